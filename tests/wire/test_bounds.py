"""Hostile bytes of 64 KiB, whole and in single bytes: a declared outcome within bounded memory."""

from __future__ import annotations

import tracemalloc

import pytest

from streamwatch.errors import Reason
from streamwatch.model.look import Depth, Transport
from streamwatch.model.report import Credentials
from streamwatch.wire.conversation import Ask, Conversation
from tests.wire.camera import URL, frame, reply, rtp
from tests.wire.test_conversation import GOOD

SIZE = 64 * 1024
ROOM = 4 * SIZE + 2**20  # reliability goal R14: 4 x input + 1 MiB


def filled(pattern: bytes) -> bytes:
    """64 KiB of it."""
    return (pattern * (SIZE // len(pattern) + 1))[:SIZE]


HOSTILE = {
    "silence of line ends": filled(b"\r\n"),
    "dollars": filled(b"$"),
    "dollars and our channel": filled(b"$\x00"),
    "versions": filled(b"RTSP/1.0"),
    "versions and blanks": filled(b"RTSP/1.0 "),
    "status lines": filled(b"RTSP/1.0 200 OK\r\n"),
    "a line without end": filled(b"RTSP/1.0 200 " + b"x" * 1000),
    "headers": filled(b"RTSP/1.0 200 OK\r\n" + b"A: b\r\n" * 10_000),
    "folds": filled(b"RTSP/1.0 200 OK\r\nA: b\r\n" + b" x\r\n" * 20_000),
    "carriage returns": filled(b"\r"),
    "zeros": bytes(SIZE),
    "letters": filled(b"A"),
    "replies to nothing": filled(reply(1)),
    "requests": filled(b"OPTIONS * RTSP/1.0\r\n\r\n"),
    "a body that never ends": filled(b"RTSP/1.0 200 OK\r\nContent-Length: 131072\r\n\r\n" + b"x" * SIZE),
    "a challenge of quotes": reply(2, "401 Unauthorized", 'WWW-Authenticate: Digest realm="' + '",x="' * 400),
    "challenges": reply(2, "401 Unauthorized", *["WWW-Authenticate: Digest" + " Digest" * 250] * 30),
    "a description of sections": reply(2, body=filled(b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 X/1\r\n")),
    "a description of formats": reply(
        2, body=b"m=video 0 RTP/AVP " + filled(b"96 ") + b"\r\na=rtpmap:96 H264/90000\r\n"
    ),
    "a description of rtpmaps": reply(2, body=b"m=video 0 RTP/AVP 96 97 98\r\n" + filled(b"a=rtpmap:96 Y/1\r\n")),
    "parameter sets": reply(
        2,
        body=b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 sprop-parameter-sets="
        + filled(b"Z0LAHtkDxWhAAAADAEAAAAwDxYuS,"),
    ),
    "empty packets": filled(frame(b"")),
    "packets of one byte": filled(frame(b"\x80")),
    "tiny fragments": b"".join(
        frame(rtp(b"\x7c" + (b"\x85" if number == 0 else b"\x05") + b"\x88", number, 0)) for number in range(3000)
    ),
    "tiny units": b"".join(frame(rtp(b"\x65\x88\x84", number, 0)) for number in range(3000)),
    "aggregates of nothing": filled(frame(rtp(b"\x78" + bytes(30_000), 1, 0))),
    "start codes": filled(frame(rtp(b"\x00\x00\x01" * 10_000, 1, 0))),
}


@pytest.mark.parametrize("before", [0, 1, 4])
@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_bytes_have_an_outcome_and_bounded_memory(name: str, before: int) -> None:
    """At the first step, at DESCRIBE and within media; in one piece, then the device closes."""
    talked = Conversation(Ask(URL, Depth.STREAM, transport=Transport.TCP), lambda: "c")
    talked.start(0.0)
    for part in GOOD.parts[:before]:
        talked.receive(part, 1.0)
    tracemalloc.start()
    talked.receive(HOSTILE[name], 2.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak <= ROOM
    talked.receive(b"", 3.0)
    assert talked.finished and talked.failure is not None


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_bytes_cost_the_same_in_small_pieces(name: str) -> None:
    """Seven bytes at a time: the same reason, and no work that grows with the square."""
    data = HOSTILE[name]
    ends = []
    for size in (len(data), 7):
        talked = Conversation(Ask(URL, Depth.STREAM, transport=Transport.TCP), lambda: "c")
        talked.start(0.0)
        talked.receive(GOOD.options, 1.0)
        for at in range(0, len(data), size):
            talked.receive(data[at : at + size], 2.0)
        talked.receive(b"", 3.0)
        assert talked.failure is not None
        ends.append((talked.failure.reason, talked.failure.step))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.UDP])
@pytest.mark.parametrize("session", ["*", "rtsp://a/" + "b" * 2035])
@pytest.mark.parametrize("control", ["*", "rtsp://192.0.2.7/t", "rtsp://a/" + "b" * 2035])
def test_addresses_too_long_to_answer_a_challenge_for_end_a_look_as_the_devices_fault(
    transport: Transport, control: str, session: str
) -> None:
    """What grows beyond MAX_URL with our host in place of the device's: nothing raises, and farewell can be said."""
    media = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000"
    body = f"a=control:{session}\r\n{media}\r\na=control:{control}\r\n".encode()
    for base in ("/" + "a" * 2040, "rtsp://a/" + "a" * 2035):
        ask = Ask(URL, Depth.STREAM, Credentials("u", "p"), transport=transport)
        talked = Conversation(ask, lambda: "c")
        talked.start(0.0)
        for piece in (
            reply(1),
            reply(2, "401 Unauthorized", 'WWW-Authenticate: Digest realm="r", nonce="n"'),
            reply(3, "200 OK", f"Content-Base: {base}", body=body),
            reply(4, "200 OK", "Session: 1"),
        ):
            talked.receive(piece, 1.0)
            if talked.wants_ports:
                talked.use_ports(5000)
        talked.timeout(20.0)
        talked.farewell()
        assert talked.failure is not None and talked.failure.reason in {
            Reason.NET_TIMEOUT,
            Reason.RTSP_REDIRECT,
            Reason.RTSP_PROTOCOL,
        }
