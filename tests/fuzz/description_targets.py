"""Targets: descriptions, and what is masked in what others may see."""

from __future__ import annotations

import re

from streamwatch.errors import LookError
from streamwatch.wire import rtsp, sdp, url
from streamwatch.wire.redaction import Redactor
from streamwatch.wire.transcript import load
from tests.fuzz.target import Target, filled
from tests.fuzz.text_targets import CREDENTIALS, DATA, ORIGIN, UNITS, events
from tests.wire import camera

# ---- descriptions


def parse_sdp(data: bytes) -> None:
    sdp.pick_video(sdp.parse_sdp(data))


def check_sdp(data: bytes) -> None:
    """Every address that comes of it is one of the host that we are connected to."""
    description = sdp.parse_sdp(data)
    assert len(description.media) <= sdp.MAX_MEDIA
    stated = [description.control, *(media.get("control") for media in description.media)]
    for control in stated:
        base = sdp.base_url(ORIGIN, camera.URL, control, None)
        assert url.parse_address(base).origin == ORIGIN, "a base that is another host's"
        assert not re.search(r"[\x00-\x20\x7f]", base)
        try:
            asked = sdp.control_url(ORIGIN, base, control)
        except LookError:
            continue
        found = url.parse_address(asked)
        assert found.origin == ORIGIN and found.credentials is None, "a control that is another host's"
        assert not re.search(r"[\x00-\x20\x7f]", asked)
    track = sdp.pick_video(description)
    assert 0 <= track.payload_type < 128 and 0 < track.clock_rate <= sdp.MAX_CLOCK
    assert all(track.parameter_sets)


def sdp_seeds() -> list[bytes]:
    chunks = [chunk.data for path in sorted(DATA.glob("*.jsonl")) for chunk in load(path.read_text("utf-8")).chunks]
    bodies = [data.partition(b"\r\n\r\n")[2] for data in chunks if data.startswith(b"RTSP/") and b"m=video" in data]
    more = [
        camera.sdp(UNITS[0][:2]),
        b"m=video 0 RTP/AVP 26\na=x-dimensions:2560,1440\na=control:rtsp://192.0.2.7/x/track1\n",
        b"m=audio 0 RTP/AVP 0\na=rtpmap:98 H265/90000\nm=video 0 RTP/AVP 98\na=control:/t?a=b\n"
        b"a=fmtp:98 sprop-vps=QAE=;sprop-sps=QgEB;sprop-pps=RAE=;sprop-max-don-diff=0\n",
    ]
    return [body for body in bodies if body] + more


def sdp_traps() -> dict[str, bytes]:
    head = b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    return {
        "sections": filled(b"m=video 0 RTP/AVP 96\r\n"),
        "sections without video": filled(b"m=audio 0 RTP/AVP 0\r\na=rtpmap:0 X/1\r\n"),
        "formats": filled(b"96 ", b"m=video 0 RTP/AVP "),
        "long formats": filled(b"9", b"m=video 0 RTP/AVP "),
        "blanks": filled(b" ", b"m=video"),
        "blanks in an rtpmap": filled(b" ", head + b"a=rtpmap:97"),
        "slashes in an rtpmap": filled(b" /", head + b"a=rtpmap:97 X"),
        "digits": filled(b"9", head + b"a=rtpmap:97 X/"),
        "rtpmaps": filled(b"a=rtpmap:96 Y/1\r\n", head),
        "controls": filled(b"a=control:x\r\n", head),
        "lines": filled(b"\r"),
        "attributes": filled(b"a=\n"),
        "colons": filled(b":", b"a="),
        "parameters": filled(b"a=b;", head + b"a=fmtp:96 "),
        "semicolons": filled(b";", head + b"a=fmtp:96 "),
        "parameter sets": filled(b"Z0LAHtkDxWhAAAADAEAAAAwDxYuS,", head + b"a=fmtp:96 sprop-parameter-sets="),
        "commas": filled(b",", head + b"a=fmtp:96 sprop-parameter-sets="),
        "base64": filled(b"A", head + b"a=fmtp:96 sprop-parameter-sets="),
        "start codes in base64": filled(b"AAABZwAA", head + b"a=fmtp:96 sprop-parameter-sets="),
        "schemes": filled(b"a://", head + b"a=control:"),
        "dimensions": filled(b" ", head + b"a=x-dimensions:"),
    }


# ---- what others may see


def parse_redaction(data: bytes) -> str:
    return Redactor(CREDENTIALS).text(data.decode("latin-1"))


def check_redaction(data: bytes) -> None:
    """The password is in nothing that was masked, however it was written, and a message is still one."""
    redactor = Redactor(CREDENTIALS)
    assert CREDENTIALS.password not in redactor.text(data.decode("latin-1"))
    for event in events([data]):
        if isinstance(event, rtsp.Request | rtsp.Response):
            raw = redactor.message(rtsp.serialise(event), len(event.body))
            (again, *_) = events([raw])
            assert type(again) is type(event), "a masked message cannot be read any more"
            kept = {name for name, _ in again.headers}  # type: ignore[attr-defined]
            assert {name for name, _ in event.headers if name.isalpha()} <= kept, "a header is gone"


def redaction_seeds() -> list[bytes]:
    return [
        "rtsp://Betrieb:gehe1m&Pa55/ö@192.0.2.7/x?user=Betrieb&pwd=gehe1m&Pa55/ö".encode(),
        camera.reply(2, "401 No", 'WWW-Authenticate: Digest realm="DS-2CD20200101AAWR123456789", nonce="a"'),
        b"DESCRIBE rtsp://a/ RTSP/1.0\r\nCSeq: 2\r\nAuthorization: Basic QmV0cmllYg==\r\n x\r\n\r\n",
        b"serial: ABC-123 mac=0011aabbccdd 00:11:22:33:44:55 uuid = 12-34",
        camera.reply(2, "200 OK", "Content-Base: rtsp://u:p@h/", body=b"o=- 1 1 IN IP4 x\r\nsn: serialno=77\r\n"),
    ]


def redaction_traps() -> dict[str, bytes]:
    return {
        name: filled(pattern)
        for name, pattern in {
            "letters": b"a",
            "dashes": b"-",
            "words": b"serial",
            "uuids": b"uuid ",
            "serials": b"DS-0",
            "serial dashes": b"DS-A/",
            "macs": b"00:",
            "mac words": b"mac-",
            "schemes": b"://a",
            "queries": b"?user=a",
            "realms": b'www-authenticate: a realm="',
            "authorizations": b"authorization: a\n ",
            "blanks": b"serial ",
        }.items()
    }


TARGETS = [
    Target(
        "sdp",
        parse_sdp,
        check_sdp,
        sdp_seeds,
        sdp_traps,
        declared=(LookError,),
        words=(
            b"m=video 0 RTP/AVP 96\r\n",
            b"a=rtpmap:96 H265/90000\r\n",
            b"a=control:",
            b"rtsp://192.0.2.7/",
            b"a=fmtp:96 ",
        ),
    ),
    Target(
        "redaction",
        parse_redaction,
        check_redaction,
        redaction_seeds,
        redaction_traps,
        words=(
            "gehe1m&Pa55/ö".encode(),
            "gehe1m&Pa55/ö".encode("latin-1"),
            b"Authorization: ",
            b'realm="',
            b"serial=",
            b"://",
        ),
    ),
]
