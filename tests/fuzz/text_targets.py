"""Targets: the RTSP messages, their headers, addresses and descriptions."""

from __future__ import annotations

import json
import re
from pathlib import Path

from streamwatch.errors import LookError, UsageError
from streamwatch.model.look import Transport
from streamwatch.model.report import Credentials
from streamwatch.wire import auth, rtsp, transport, url
from streamwatch.wire.redaction import MASK, masked_url
from tests.fuzz.target import SIZE, Target, chance, filled, pieces
from tests.wire import camera

DATA = Path(__file__).resolve().parents[1] / "data"
ORIGIN = url.Origin("rtsp", "192.0.2.7", 554)
CREDENTIALS = Credentials("Betrieb", "gehe1m&Pa55/ö")
MOST_ROUND_TRIPS = 64  # messages of one input

UNITS = camera.encode(64, 64, pictures=2)
PACKETS = camera.packetise(UNITS, mtu=200)


def replies() -> list[bytes]:
    """What real devices said, message by message, from the recordings of the tests."""
    lines = (json.loads(line) for path in sorted(DATA.glob("*.jsonl")) for line in path.read_text("utf-8").splitlines())
    said = [line["data"].encode("latin-1") for line in lines if line.get("dir") == "in" and "data" in line]
    return list(dict.fromkeys(said))


def lines_of(data: bytes) -> list[str]:
    """Header values as the parser lets them through: no control characters."""
    text = re.sub(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\r]", b"", data).decode("latin-1")
    return text.split("\n")


# ---- RTSP


def events(parts: list[bytes]) -> list[object]:
    """All events of one connection, then the error or the end."""
    parser = rtsp.RtspParser()
    parser.channels = frozenset({0, 1})
    found: list[object] = []
    try:
        for part in [*parts, b""]:
            parser.receive(part)
            while (event := parser.next_event()) is not None:
                found.append(event)
                if isinstance(event, rtsp.Closed):
                    return [*found, parser.skipped_bytes]
    except LookError as error:
        return [*found, error.reason, error.detail]
    raise AssertionError("the peer closed, and there was neither an event nor an error for that")


def parse_rtsp(data: bytes) -> None:
    parser = rtsp.RtspParser()
    parser.channels = frozenset({0, 1})
    for part in (data, b""):
        parser.receive(part)
        while (event := parser.next_event()) is not None and not isinstance(event, rtsp.Closed):
            pass


def check_rtsp(data: bytes) -> None:
    """The same events for every cutting, and what was understood can be said again."""
    whole = events([data])
    assert events(pieces(data, chance(data))) == whole, "events depend on how the bytes arrived"
    if len(data) <= 256:
        assert events([data[at : at + 1] for at in range(len(data))]) == whole, "events depend on single bytes"
    messages = [event for event in whole if isinstance(event, rtsp.Request | rtsp.Response)]
    for message in messages[:MOST_ROUND_TRIPS]:
        again = events([rtsp.serialise(message)])
        assert again == [message, rtsp.Closed(clean=True), 0], "a message does not survive being written"


def rtsp_seeds() -> list[bytes]:
    good = camera.script(PACKETS[:3])
    return [
        *replies(),
        good.whole,
        b"\r\n" + good.options + b"$\x05\x00\x03abc\r\n" + good.setup + b"garbage" + camera.frame(b"xy", 1) + good.play,
        b"OPTIONS rtsp://a/ RTSP/1.0\nCSeq:1\nX: a\n b\n\n" + camera.reply(7, "404", "Session:        7 ", body=b"xyz"),
    ]


def rtsp_traps() -> dict[str, bytes]:
    line = b"RTSP/1.0 200 OK\r\n"
    return {
        "line ends": filled(b"\r\n"),
        "carriage returns": filled(b"\r"),
        "dollars": filled(b"$"),
        "packets of nobody": filled(b"$\x07\x00\x00"),
        "empty packets": filled(b"$\x00\x00\x00"),
        "versions": filled(b"RTSP/1.0"),
        "versions and dollars": filled(b"RTSP/1.$"),
        "status lines": filled(line),
        "messages": filled(line + b"\r\n"),
        "headers": filled(b"A:b\r\n" * 255 + b"\r\n" + line, line),
        "long headers": filled(b"A: " + b"b" * 2000 + b"\r\n", line),
        "folds": filled(b" x\r\n", line + b"A: b\r\n"),
        "growing folds": filled(b" xxxxxxx\r\n" * 200 + b"\r\n" + line + b"A: b\r\n", line + b"A: b\r\n"),
        "blanks": filled(b" ", line + b"A:"),
        "colons": filled(b":", line),
        "a body": filled(b"x", line + b"Content-Length: 131072\r\n\r\n"),
        "one byte bodies": filled(line + b"Content-Length:1\r\n\r\nx"),
        "zeros": bytes(SIZE),
        "letters": filled(b"A"),
        "letters and zeros": filled(b"A\x00"),
    }


# ---- headers


def check_session(data: bytes) -> None:
    """An id can be repeated as it is, and the time is one that we can keep."""
    for line in lines_of(data):
        found = transport.parse_session(line)
        if found is not None:
            assert transport.MIN_TIMEOUT_S <= found.timeout_s <= transport.MAX_TIMEOUT_S
            assert re.fullmatch(r"[!-~]{1,512}", found.id), "an id that would break our own header"
            assert transport.parse_session(f"{found.id};timeout={found.timeout_s}") == found


def parse_transports(data: bytes) -> list[transport.Agreed]:
    text = data.decode("latin-1")
    return [transport.parse_transport(text, lower) for lower in (Transport.TCP, Transport.UDP)]


def check_transport(data: bytes) -> None:
    """Channels fit a byte, ports are ones that we may send to, and what was agreed can be said again."""
    for line in lines_of(data):
        for asked_for in (Transport.TCP, Transport.UDP):
            agreed = transport.parse_transport(line, asked_for)
            assert all(number is None or 0 <= number <= 255 for number in agreed.channels)
            assert agreed.ssrc is None or 0 < agreed.ssrc < 2**32
            if agreed.server_ports is not None:
                assert all(transport.MIN_MEDIA_PORT <= port <= 65_535 for port in agreed.server_ports)
                said = (
                    f"RTP/AVP;server_port={agreed.server_ports[0]}-{agreed.server_ports[1]};ssrc={agreed.ssrc or 0:x}"
                )
                again = transport.parse_transport(said, Transport.UDP)
                assert (again.server_ports, again.ssrc) == (agreed.server_ports, agreed.ssrc)
            first, second = agreed.channels
            if second is not None:
                assert transport.parse_channels(f"RTP/AVP/TCP;interleaved={first}-{second}") == agreed.channels


def header_traps() -> dict[str, bytes]:
    return {
        name: filled(pattern)
        for name, pattern in {
            "semicolons": b";",
            "equals": b"=",
            "blanks": b" ",
            "blanks and digits": b" 1",
            "timeouts": b"a;timeout=1",
            "channels": b";interleaved=0-1",
            "ports": b"RTP/AVP;server_port=1 -",
            "digits": b"9",
            "dashes": b"-",
        }.items()
    }


def written(challenge: auth.Challenge) -> str:
    """A challenge as a device would send it."""
    parameters = (f'{name}="{_quoted(value)}"' for name, value in challenge.parameters.items())
    return f"{challenge.scheme} {', '.join(parameters)}"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def parse_auth(data: bytes) -> auth.Challenge | None:
    text = data.decode("latin-1")  # in values that are as long as the parser lets them be
    values = [text[at : at + rtsp.MAX_HEADER_VALUE] for at in range(0, len(text), rtsp.MAX_HEADER_VALUE)]
    return auth.choose(auth.parse_challenges(values), allow_basic=True)


def check_auth(data: bytes) -> None:
    """A challenge can be written and read again; an answer is one line, and repeats what it must."""
    challenges = auth.parse_challenges(lines_of(data))
    assert len(challenges) <= auth.MAX_CHALLENGES
    for challenge in challenges:
        if challenge.parameters:
            assert auth.parse_challenges([written(challenge)]) == [challenge], "a challenge does not survive"
    strict, lax = (auth.choose(challenges, allow_basic=allowed) for allowed in (False, True))
    assert strict is None or strict.scheme == "digest"
    assert lax is None or lax.scheme == "digest" or strict is None, "Basic before Digest"
    if strict is None:
        return
    answer = auth.digest_answer(strict, CREDENTIALS, "DESCRIBE", "rtsp://192.0.2.7/live", b"", "c0ffee", 1)
    assert not re.search(r"[\x00-\x08\x0a-\x1f]", answer), "an answer that would be more than a header"
    answer.encode("latin-1")
    assert CREDENTIALS.password not in answer
    (again,) = auth.parse_challenges([answer])
    for name in ("realm", "nonce", "opaque"):
        missing = "" if name == "realm" else None
        assert again.parameters.get(name) == strict.parameters.get(name, missing), f"{name} is not repeated as it came"
    assert re.fullmatch(r"[0-9a-f]{32}|[0-9a-f]{64}", again.parameters["response"])


def auth_seeds() -> list[bytes]:
    return [
        b'Digest realm="IP Camera(23456)", nonce="4d6a51", algorithm="MD5", stale="FALSE"',
        b'Digest realm="a", nonce="b", qop="auth,auth-int", opaque="o", algorithm=SHA-256-sess, charset=UTF-8',
        b'Basic realm="x"\nDigest realm="x", nonce="y"',
        b'Basic realm="a", Digest realm="b"c", nonce="n\\"m"',
        b"Digest realm=a,nonce=b,stale = true , qop=",
        b'digest realm="r",nonce="",opaque="", algorithm=MD5-sess',
    ]


def auth_traps() -> dict[str, bytes]:
    return {
        name: filled(pattern, head)
        for name, (head, pattern) in {
            "quotes": (b'Digest realm="', b'"'),
            "escaped quotes": (b'Digest realm="', b'\\"'),
            "backslashes": (b'Digest realm="', b"\\"),
            "quotes and commas": (b'Digest realm="', b'",x="'),
            "quotes and blanks": (b'Digest realm="', b'" '),
            "quotes and words": (b'Digest realm="', b'"a'),
            "quotes, blanks, words": (b'Digest realm="', b'" a b'),
            "quote, comma, long word": (b'Digest realm="', b'",' + b"a" * 1000),
            "quote, comma, blanks": (b'Digest realm="', b'",' + b" " * 1000),
            "quotes after blanks": (b'Digest realm="', b" " * 1000 + b'"'),
            "blanks": (b"Digest", b" "),
            "blanks before equals": (b"Digest a", b" "),
            "schemes": (b"", b"Digest "),
            "schemes and commas": (b"", b"Digest,"),
            "words": (b"", b"a"),
            "parameters": (b"Digest ", b"a=b,"),
            "empty parameters": (b"Digest ", b"a=,"),
            "equals": (b"Digest ", b"="),
            "commas": (b"Digest ", b","),
            "lines": (b"", b'Digest realm="a\n'),
        }.items()
    }


# ---- addresses


def any_text(data: bytes) -> str:
    """Addresses are typed by people, and come from devices."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def check_url(data: bytes) -> None:
    """An address loses its credentials once, and then is what it says; a shown one holds no password."""
    text = any_text(data)
    behind = text.partition("://")[2]
    userinfo, rest = url.split_userinfo(behind)
    assert (behind == rest) if userinfo is None else (behind == f"{userinfo}@{rest}")
    masked = masked_url(text)
    address = url.parse_address(text)
    address.url.encode("latin-1")
    assert 0 < address.origin.port < 65_536 and address.origin.host
    again = url.parse_address(address.url)
    assert again == address._replace(credentials=None), "what is left of an address is another one"
    assert url.parse_address(f"{address.origin.scheme}://{address.origin.authority}/").origin == address.origin
    if userinfo is not None:
        assert masked.startswith(f"{text.partition('://')[0]}://{MASK}@"), "a user name is shown"


def url_seeds() -> list[bytes]:
    return [
        b"rtsp://192.0.2.7/live",
        b"rtsp://admin:p%40ss@192.0.2.7:8554/Streaming/Channels/101?transportmode=unicast",
        b"rtsps://u:p@/ss@[2001:db8::1]:322/a;b",
        b"RTSP://camera.example.:554",
        b"rtsp://[::ffff:192.0.2.7]/x#y",
        b"rtsp://2001:db8::7/x",
        "rtsp://192.0.2.7/通道1".encode(),
        b"rtsp://admin:pa/ss@192.0.2.7/?password=secret&user=x",
    ]


def url_traps() -> dict[str, bytes]:
    return {
        name: filled(pattern, b"rtsp://")
        for name, pattern in {
            "ats": b"@",
            "colons": b":",
            "slashes": b"/",
            "brackets": b"[",
            "percents": b"%41",
            "letters": b"a",
            "ports": b":1@",
            "schemes": b"rtsp://",
            "queries": b"?user=",
            "parameters": b"&pwd=a",
        }.items()
    }


TARGETS = [
    Target(
        "rtsp",
        parse_rtsp,
        check_rtsp,
        rtsp_seeds,
        rtsp_traps,
        declared=(LookError,),
        words=(
            b"RTSP/1.0 200 OK\r\n",
            b"OPTIONS * RTSP/1.0\r\n",
            b"\r\n",
            b"$\x00\x00\x01",
            b"Content-Length: 3\r\n",
            b"CSeq:",
        ),
        gortsplib=("base__",),
    ),
    Target(
        "session",
        lambda data: transport.parse_session(data.decode("latin-1")),
        check_session,
        lambda: [b"12345678;timeout=60", b"  7 ; timeout = -5 ;x", b"abc.def-_~;Timeout=999999999999"],
        header_traps,
        words=(b";timeout=", b"60"),
        gortsplib=("headers__",),
    ),
    Target(
        "transport",
        parse_transports,
        check_transport,
        lambda: [
            b"RTP/AVP/TCP;unicast;interleaved=0-1;ssrc= d6d6627",
            b"RTP/AVP;unicast;client_port=5000-5001;server_port=6970-6971;source=192.0.2.7;ssrc=0A",
            b"RTP/AVP/UDP;multicast;destination=239.0.0.1;port=5000",
            b"RTP/AVP/TCP;interleaved=254",
        ],
        header_traps,
        words=(b"interleaved=", b"server_port=", b"RTP/AVP", b";ssrc=", b";source=", b"multicast"),
        gortsplib=("headers__",),
    ),
    Target(
        "auth",
        parse_auth,
        check_auth,
        auth_seeds,
        auth_traps,
        words=(
            b'Digest realm="',
            b'nonce="',
            b'", ',
            b"algorithm=",
            b"SHA-256-sess",
            b'\\"',
            b"qop=auth-int",
            b"Basic ",
        ),
        gortsplib=("auth__",),
    ),
    Target(
        "url",
        lambda data: (masked_url(any_text(data)), url.parse_address(any_text(data))),
        check_url,
        url_seeds,
        url_traps,
        declared=(UsageError,),
        words=(b"rtsp://", b"@", b"[::1]", b":554", b"%40", b"?password="),
    ),
]
