"""Hostile in what is described: too much, too little, nonsense, and tracks that lead elsewhere."""

from __future__ import annotations

import random
from base64 import b64encode
from collections.abc import Iterator
from typing import Final

from streamwatch.errors import Reason, Step
from streamwatch.simulator.hostile.bits import sps
from streamwatch.simulator.hostile.stage import (
    AUDIO,
    VIDEO,
    Hostility,
    Reply,
    Script,
    Talk,
    camera,
    description,
    hostility,
)
from streamwatch.simulator.rtsp import Request

SDP_MOST: Final = 128 * 1024  # bytes; no reply may be longer
NO_VIDEO: Final = Reason.MEDIA_NO_VIDEO
UNSUPPORTED: Final = Reason.MEDIA_UNSUPPORTED_CODEC


def _described(body: bytes) -> Script:
    return camera(sdp=lambda _talk: body)


def _video(*lines: str, control: str = "trackID=1", number: int | str = 96, port: int = 0) -> str:
    return "\r\n".join([f"m=video {port} RTP/AVP {number}", *lines, f"a=control:{control}", ""])


def _h264(fmtp: str = "packetization-mode=1", rate: str = "90000") -> str:
    return _video(f"a=rtpmap:96 H264/{rate}", f"a=fmtp:96 {fmtp}")


def _sprop(make: str) -> Script:
    """What the description says of the parameter sets; those in the stream are right."""

    def sdp(talk: Talk) -> bytes:
        right = [b64encode(one).decode() for one in (talk.props.clip.sps, talk.props.clip.pps)]
        other = b64encode(sps(1920, 1080)).decode()
        huge = b64encode(sps(16_000, 16_000)).decode()
        noise = b64encode(random.Random(1).randbytes(75_000)).decode()
        text = {
            "bad": "!!!,***",
            "swapped": ",".join(reversed(right)),
            "other": f"{other},{right[1]}",
            "long": noise,
            "bomb": f"{huge},{right[1]}",
            "many": ",".join(right * 300),
            "empty": "",
        }[make]
        return description(_h264(f"packetization-mode=1;sprop-parameter-sets={text}"))

    return camera(sdp=sdp)


def _bodies() -> Iterator[Hostility]:
    rng, at = random.Random(2), Step.DESCRIBE
    junk = ("x=" + "y" * 98 + "\r\n") * 1250
    other = _video("a=rtpmap:97 AV1/90000", number=97)
    for name, does, body, reason in (
        ("empty", "an empty description", b"", NO_VIDEO),
        ("junk_128k", "122 KiB of lines without meaning", description(junk), NO_VIDEO),
        ("over_cap", "a description above 128 KiB", description(VIDEO, head=junk + junk), Reason.RTSP_PROTOCOL),
        ("binary", "random bytes", rng.randbytes(20_000), NO_VIDEO),
        ("html", "a page in HTML", b"<html><body>Login</body></html>", NO_VIDEO),
        ("no_video", "audio only", description(AUDIO), NO_VIDEO),
        ("media_1000_before", "1,000 sections before the video", description(AUDIO * 1000, VIDEO), NO_VIDEO),
        ("media_1000_behind", "1,000 sections behind the video", description(VIDEO, AUDIO * 1000), None),
        ("port_0", "video port 0, as all cameras say", description(VIDEO), None),
        ("port_huge", "video port 99999999", description(VIDEO.replace("video 0", "video 99999999")), None),
        ("codec_unknown", "a codec that nobody knows", description(_video("a=rtpmap:96 WRONG/90000")), UNSUPPORTED),
        ("codec_av1", "AV1", description(other), UNSUPPORTED),
        ("codec_vp9", "VP9", description(_video("a=rtpmap:96 VP9/90000")), UNSUPPORTED),
        ("codec_beside", "AV1 beside H.264", description(other, VIDEO), None),
        ("rate_0", "a clock rate of 0", description(_h264(rate="0")), None),
        ("rate_1e12", "a clock rate of 10^12", description(_h264(rate="1" + "0" * 12)), None),
        ("types_twice", "payload type 96 in two sections", description(AUDIO.replace("AVP 8", "AVP 96"), VIDEO), None),
        (
            "broken_beside",
            "a broken section beside a good one",
            description("m=application/X 0 RTP/AVP smart/1/90000\r\na=control:x\r\n", VIDEO),
            None,
        ),
        (
            "broken_lines",
            "lines that break the grammar",
            description("m=\r\nm=video\r\n=\r\na\r\na=\r\na=rtpmap:\r\n", VIDEO),
            None,
        ),
        ("nul", "NULs in the description", description("a=x:\0\0\0\r\n", VIDEO), None),
        ("attributes_10000", "10,000 attributes before the video", description(VIDEO, head="a=x:y\r\n" * 10_000), None),
        (
            "types_1000",
            "1,000 payload types, the right one first",
            description(VIDEO.replace("AVP 96", "AVP 96" + " 97" * 1000)),
            None,
        ),
        ("line_100k", "a line of 100 KiB", description("a=x:" + "y" * 100_000 + "\r\n", VIDEO), None),
    ):
        yield hostility(
            f"sdp_{name}",
            does,
            _described(body),
            *(() if reason is None else (reason,)),
            at=() if reason is None else at,
        )
    yield hostility(
        "sdp_other_connection", "c= names another host", _described(description(VIDEO, head="c=IN IP4 127.255.1.1\r\n"))
    )


def _controls() -> Iterator[Hostility]:
    moved, at, protocol = Reason.RTSP_REDIRECT, (Step.DESCRIBE, Step.SETUP), Reason.RTSP_PROTOCOL

    def to(control: str) -> Script:
        def sdp(talk: Talk) -> bytes:
            return description(VIDEO.replace("trackID=1", control.replace("{here}", talk.authority)))

        return camera(sdp=sdp)

    for kind, control, reason in (
        ("star", "*", None),
        ("dots", "../../..", None),
        ("same", "rtsp://{here}/live/trackID=1", None),
        ("credentials", "rtsp://a:b@{here}/live/trackID=1", None),
        ("slash", "/trackID=1", None),
        ("query", "?track=1", None),
        ("elsewhere", "rtsp://127.255.1.1:554/x", moved),
        ("metadata", "rtsp://169.254.169.254/x", moved),
        ("port", "rtsp://127.0.0.1:1/x", moved),
        ("http", "http://{here}/x", moved),
        ("file", "file:///etc/passwd", moved),
        ("tls", "rtsps://{here}/x", moved),
        ("long", "a" * 3000, protocol),
        ("blank", "a b", protocol),
    ):
        yield hostility(
            f"control_{kind}",
            f"a=control:{control[:40]}",
            to(control),
            *(() if reason is None else (reason,)),
            at=() if reason is None else at,
        )

    def based(name: str, value: str) -> Script:
        def said(talk: Talk, _request: Request, reply: Reply) -> bytes:
            return reply.without("Content-Base").having(name, value.replace("{here}", talk.authority)).encode()

        return camera({"DESCRIBE": said})

    for name in ("Content-Base", "Content-Location"):
        for kind, value in {
            "elsewhere": "rtsp://127.255.1.1/live/",
            "doubled": "rtsp://rtsp://{here}/live/",
            "bare": "{here}/live/",
            "path": "/live/",
            "nonsense": "::://[",
            "empty": "",
        }.items():
            yield hostility(f"{name.lower().replace('-', '_')}_{kind}", f"{name}: {value}", based(name, value))


def _sprops() -> Iterator[Hostility]:
    for kind, does in {
        "bad": "no base64",
        "swapped": "PPS before SPS",
        "other": "another size than in the stream",
        "long": "100 KiB",
        "bomb": "16,000 x 16,000 while the stream is small",
        "many": "600 of them",
        "empty": "none",
    }.items():
        yield hostility(f"sprop_{kind}", f"sprop-parameter-sets: {does}", _sprop(kind))


HOSTILITIES: Final = (*_bodies(), *_controls(), *_sprops())
