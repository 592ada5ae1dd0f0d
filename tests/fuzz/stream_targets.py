"""Targets: bytes of a connection in the middle of a look, its fast path, recordings, and the HTTP around it."""

from __future__ import annotations

from streamwatch.errors import LookError, UsageError
from streamwatch.model.look import Depth
from streamwatch.wire import rtsp, sdp, transcript, tunnel
from streamwatch.wire.bitstream import MAX_PIXELS
from streamwatch.wire.conversation import Ask, Conversation
from streamwatch.wire.media import Media
from tests.fuzz.look_targets import outcome
from tests.fuzz.media_targets import PACKETS, UNITS, jpeg_packets
from tests.fuzz.target import Target, chance, filled, pieces
from tests.fuzz.text_targets import CREDENTIALS, DATA, replies
from tests.wire import camera

# ---- the connection's own bytes, after a good beginning


GOOD = camera.script(PACKETS)
MJPEG = camera.script(jpeg_packets()[0], b"m=video 0 RTP/AVP 26\r\n")


def parse_stream(data: bytes, size: int = 0) -> Conversation:
    """The first byte says after how many good parts the input comes."""
    talked = Conversation(Ask(camera.URL, Depth.STREAM, CREDENTIALS), lambda: "c")
    talked.start(0.0)
    before = data[0] % 5 if data else 0
    for part in GOOD.parts[:before]:
        talked.receive(part, 1.0)
    rest = data[1:]
    for part in [rest] if not size else [rest[at : at + size] for at in range(0, len(rest), size)]:
        if part:
            talked.receive(part, 2.0)
    talked.receive(b"", 3.0)
    return talked


def check_stream(data: bytes) -> None:
    """Bytes of the network itself: an outcome, the same for every cutting."""
    talked = parse_stream(data)
    assert talked.finished or talked.redial
    dice = chance(data)
    sizes = [dice.choice((1, 2, 5, 64))] if len(data) < 4096 else [997]
    for size in sizes:
        again = parse_stream(data, size)
        assert outcome(again) == outcome(talked), "the outcome depends on how the bytes arrived"


def stream_seeds() -> list[bytes]:
    parts = GOOD.parts
    return [bytes((at,)) + b"".join(parts[at:]) for at in range(5)] + [
        b"\x01" + reply for reply in replies() if b"m=" in reply
    ]


def stream_traps() -> dict[str, bytes]:
    setup = b"\x04"
    return {
        "tiny fragments": filled(
            b"".join(camera.frame(camera.rtp(b"\x7c\x05\x88", number, 0)) for number in range(1, 3500)),
            setup + camera.frame(camera.rtp(b"\x7c\x85\x88", 0, 0)),
        ),
        "tiny units": filled(
            b"".join(camera.frame(camera.rtp(b"\x65\x88\x84", number, 0)) for number in range(3500)), setup
        ),
        "empty packets": filled(camera.frame(b""), setup),
        "short packets": filled(camera.frame(b"\x80"), setup),
        "challenges of blanks": filled(b"WWW-Authenticate: Digest" + b" " * 2000 + b"\r\n", b"\x01RTSP/1.0 401 No\r\n"),
        "challenges of quotes": filled(
            b'WWW-Authenticate: Digest a="' + b'",x="' * 400 + b"\r\n", b"\x01RTSP/1.0 401 No\r\n"
        ),
        "stray replies": filled(camera.reply(0), b"\x02"),
        "requests": filled(b"OPTIONS * RTSP/1.0\r\n\r\n", b"\x02"),
        "a description": filled(b"a=x\n", b"\x01" + camera.reply(2, "200 OK", "Content-Length: 65000")),
    }


# ---- the fast path


TRACK = sdp.VideoTrack("h264", 96, 90_000, None)


def numbers(data: bytes, *, slow: bool) -> tuple[object, ...]:
    """What comes of interleaved bytes, and all that is counted on the way."""
    parser, media = rtsp.RtspParser(), Media(TRACK, MAX_PIXELS, 60_000)
    parser.channels = frozenset({0, 1})
    packets, error = 0, None
    try:
        for piece in pieces(data, chance(data)):
            parser.receive(piece)
            while (event := parser.next_event()) is not None:
                if isinstance(event, rtsp.Interleaved) and event.channel == 0:
                    packets += 1
                    media.packet(event.payload)
                if not slow:
                    packets += media.run(parser, 0)
    except LookError as refused:
        error = refused.reason, refused.detail
    made, tracker = media.depacketiser, media.tracker
    counts = (made.broken, made.malformed, made.unready, made.state, made._size)
    places = (tracker.lost, tracker.dropped, tracker.position())
    return packets, media.bytes, media.keyframe, media.size, error, *counts, *places


def check_fragments(data: bytes) -> None:
    """The fast path leads to what the slow one leads to, whatever the bytes are."""
    assert numbers(data, slow=False) == numbers(data, slow=True), "the fast path takes what the slow one would not"


def fragment_seeds() -> list[bytes]:
    frames = [camera.frame(packet) for packet in camera.packetise(UNITS, mtu=30)]
    swapped = [*frames[:6], frames[7], frames[6], *frames[8:]]
    return [b"".join(frames[:60]), b"".join(swapped[:60]), b"".join(frames[:8]) + b"\r\n" + b"".join(frames[8:40])]


# ---- recordings


def parse_recording(data: bytes) -> Conversation:
    return transcript.replay(transcript.load(data.decode("utf-8", "replace")))


def check_recording(data: bytes) -> None:
    """A recording is refused by name or replayed, and says the same whenever that is done."""
    text = data.decode("utf-8", "replace")
    recording = transcript.load(text)
    assert sum(len(chunk.data) for chunk in recording.chunks) <= transcript.MAX_LOADED + 2**20
    assert outcome(transcript.replay(recording)) == outcome(parse_recording(data))


def recording_seeds() -> list[bytes]:
    return [path.read_bytes()[:6000].rpartition(b"\n")[0] for path in sorted(DATA.glob("*.jsonl"))]


def recording_traps() -> dict[str, bytes]:
    head = recording_seeds()[0].partition(b"\n")[0] + b"\n"
    return {
        name: filled(pattern, head)
        for name, pattern in {
            "skipped": b'{"t_ms":1,"dir":"in","skipped":33554432}\n',
            "media": b'{"t_ms":1,"dir":"in","media":{"channel":0,"bytes":65535,"b64":""}}\n',
            "parts": b'{"t_ms":1,"dir":"in","media_part":65535,"b64":""}\n',
            "empty": b'{"t_ms":1,"dir":"in","data":""}\n',
            "braces": b"{",
            "brackets": b"[",
            "lines": b"\n",
            "digits": b"9",
        }.items()
    }


def check_recorded(data: bytes) -> None:
    """What a look comes to is what its recording comes to, with the password and the picture taken out.

    Of looks without garbage: a recording cuts it where it guesses that messages begin, which is not always as the look
    did, and keeps no more than the first of it.
    """
    talked = Conversation(ask := Ask(camera.URL, Depth.STREAM, CREDENTIALS), lambda: "0" * 16)
    recorder = transcript.Recorder(ask, 0, 0.0)
    recorder.sent(talked.start(0.0), 0.0)
    before = data[0] % 5 if data else 0
    rest = pieces(data[1:], chance(data))
    for number, part in enumerate([*GOOD.parts[:before], *rest, b""]):
        if talked.finished or talked.redial:
            break
        recorder.received(part, number / 100)
        recorder.sent(talked.receive(part, number / 100), number / 100)
    if talked.redial or talked._leg.parser.skipped_bytes:
        return
    again = transcript.replay(transcript.load(transcript.dump(recorder)))
    told = (None if one.failure is None else (one.failure.reason, one.failure.step) for one in (talked, again))
    first, second = told
    assert first == second, "a recording comes to another verdict"


# ---- RTSP through HTTP


def parse_tunnel(data: bytes) -> object:
    head = tunnel.AnswerHead()
    return head.receive(data)


def check_tunnel(data: bytes) -> None:
    """The same answer for every cutting, and no byte behind its head is lost."""

    def told(parts: list[bytes]) -> tuple[object, bytes]:
        head, answer = tunnel.AnswerHead(), None
        for part in parts:
            answer = head.receive(part)
        return answer, head.take_rest() if answer is not None else b""

    whole = _refused(told, [data])
    assert _refused(told, pieces(data, chance(data))) == whole, "an answer depends on how the bytes arrived"
    if isinstance(whole, tuple) and whole[0] is not None:
        assert data.endswith(whole[1])


def _refused(told: object, parts: list[bytes]) -> object:
    try:
        return told(parts)  # type: ignore[operator]
    except LookError as error:
        return error.reason


def tunnel_seeds() -> list[bytes]:
    head = b"HTTP/1.0 200 OK\r\nContent-Type: application/x-rtsp-tunnelled\r\nCache-Control: no-cache\r\n\r\n"
    return [
        head + GOOD.options,
        b"\r\nHTTP/1.1 100 Go on\n\nHTTP/1.1 401 No\nWWW-Authenticate: Basic\n\n",
        GOOD.options,
    ]


def tunnel_traps() -> dict[str, bytes]:
    head = b"HTTP/1.0 200 OK\r\n"
    return {
        "line ends": filled(b"\r\n"),
        "line feeds": filled(b"\n"),
        "headers": filled(b"A: b\r\n", head),
        "provisional": filled(b"HTTP/1.1 100 C\r\n\r\n"),
        "letters": filled(b"x", head),
        "rest": filled(b"x", head + b"\r\n"),
        "carriage returns": filled(b"\r", head),
    }


TARGETS = [
    Target(
        "stream",
        parse_stream,
        check_stream,
        stream_seeds,
        stream_traps,
        words=(b"RTSP/1.0 200 OK\r\n", b"CSeq: 4\r\n", b"\r\n\r\n", b"$\x00", b"Session: 1\r\n", b"Transport: "),
    ),
    Target("fragments", lambda data: numbers(data, slow=False), check_fragments, fragment_seeds, stream_traps),
    Target(
        "recording",
        parse_recording,
        check_recording,
        recording_seeds,
        recording_traps,
        declared=(UsageError,),
        words=(b'"t_ms":', b'"dir":"in"', b'"data":"', b'"media":{"channel":0,"bytes":', b'"end":"', b"1e999", b"NaN"),
        room=2 * transcript.MAX_LOADED,
        why="zeros of a recording are not written: its own bound is MAX_LOADED",
    ),
    Target("recorded", parse_stream, check_recorded, stream_seeds, stream_traps),
    Target(
        "tunnel",
        parse_tunnel,
        check_tunnel,
        tunnel_seeds,
        tunnel_traps,
        declared=(LookError,),
        words=(b"HTTP/1.0 200 OK\r\n", b"\r\n\r\n", b"HTTP/1.1 100 C\n\n"),
    ),
]
