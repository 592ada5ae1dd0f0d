"""Targets: whole looks. The input is what a device and a network do: which reply, how cut, which datagram, how late."""

from __future__ import annotations

from dataclasses import dataclass

from streamwatch.errors import LookError, Reason
from streamwatch.model.look import Depth, Transport
from streamwatch.wire import rtsp
from streamwatch.wire.ask import MAX_MEDIA_BYTES
from streamwatch.wire.auth import MAX_TRIES
from streamwatch.wire.bitstream import MAX_PIXELS
from streamwatch.wire.conversation import Ask, Conversation
from streamwatch.wire.url import parse_address
from tests.fuzz.media_targets import PACKETS, UNITS, h265_packets, jpeg_packets
from tests.fuzz.target import Reader, Target, filled
from tests.fuzz.text_targets import CREDENTIALS
from tests.wire import camera

HOST = "192.0.2.7"
MOST_OPERATIONS = 400  # of one input
MOST_REQUESTS = 64  # of ours in one look, keepalives apart: 3 places x 2 transports x 5 steps, each with an answer
MOST_REQUEST_BYTES = 16 * 1024  # an address, a nonce, a realm and an opaque of 2 KiB each, quotes escaped

STATUSES = (
    "200 OK", "401 Unauthorized", "461 Unsupported Transport", "454 Session Not Found", "302 Found", "100 Continue",
    "404 Not Found", "400 Bad", "503 Busy", "551 No", "200", "301 Moved", "405 Method", "459 Aggregate", "500 x",
    "600 y",
)  # fmt: skip
HEADERS = (
    "Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER",
    "Session: 12345678;timeout=5",
    "Session: \x7f",
    "Transport: RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=00000007",
    "Transport: RTP/AVP;unicast;client_port=5000-5001;server_port=6000-6001;source=198.51.100.1",
    "Transport: RTP/AVP;multicast;destination=239.0.0.1",
    "Transport: RTP/AVP/TCP;interleaved=254",
    'WWW-Authenticate: Digest realm="r", nonce="n1", qop="auth"',
    'WWW-Authenticate: Digest realm="r", nonce="n2", stale=true',
    'WWW-Authenticate: Basic realm="r"',
    "Location: rtsp://192.0.2.7:8554/other",
    "Location: rtsp://198.51.100.9/live",
    "Location: rtsp://u:p@192.0.2.7/x",
    "Content-Base: rtsp://192.0.2.7:554/base/",
    "Content-Base: rtsp://198.51.100.9/",
    "Server: x" + "y" * 200,
)  # fmt: skip
BODIES = (
    b"",
    camera.sdp(UNITS[0][:2]),
    camera.sdp(UNITS[0][:2], control="rtsp://192.0.2.7:554/t?x=1"),
    camera.sdp((), control="rtsp://198.51.100.9/track1"),
    b"m=video 0 RTP/AVP 98\r\na=rtpmap:98 H265/90000\r\na=control:t\r\n",
    b"m=video 0 RTP/AVPF 26\r\na=control:*\r\na=rtcp-fb:* nack pli\r\n",
    b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 MP2P/90000\r\n",
    b"m=audio 0 RTP/AVP 0\r\n",
)
MEDIA = (*PACKETS, *h265_packets()[0][:20], *jpeg_packets()[0])


@dataclass
class Seen:
    """What left and what came, from the outside."""

    requests: int = 0
    keepalives: int = 0
    refused: int = 0  # answers to a challenge that the device refused
    answered: bool = False  # whether our latest request had an answer to a challenge in it
    cseq: int = 0
    last: str = ""


class Device:
    """Drives one look as its shell does, by an input, and holds what must hold whatever the peer does."""

    def __init__(self, data: bytes) -> None:
        self.read = Reader(data)
        setup = self.read.byte()
        self.size = (0, 1, 3, 50)[setup & 3]  # of the pieces in which bytes arrive; 0: whole
        self.basic = setup & 4 != 0
        wanted = (Transport.AUTO, Transport.TCP, Transport.UDP, Transport.AUTO)[setup >> 3 & 3]
        self.reach = setup & 0xE0 == 0xE0
        self.ask = Ask(
            camera.URL,
            Depth.REACH if self.reach else Depth.STREAM,
            CREDENTIALS if setup & 0x20 else None,
            allow_basic=self.basic,
            transport=wanted,
            prefer=Transport.UDP if setup & 0x40 else Transport.TCP,
        )
        self.now = 0.0
        self.seen = Seen()
        self.talked = Conversation(self.ask, lambda: "c0ffee", patience_s=5.0, ends=60.0)
        self.ticks = 0
        self.place = parse_address(camera.URL).origin  # that the present connection leads to

    def run(self) -> Conversation:
        """The whole look, to its end and farewell."""
        talked = self.talked
        self._sent(talked.start(self.now))
        count = 0
        while self.read and not talked.finished and count < MOST_OPERATIONS:
            count += 1
            self._operate(self.read.byte())
            self._serve()
        talked.timeout(self.now)
        self._end()
        return talked

    def _operate(self, what: int) -> None:
        talked, read = self.talked, self.read
        kind, low = what >> 4, what & 15
        self.now += low / 100
        if kind <= 2:
            self._arrive(self._good())
        elif kind <= 4:
            self._arrive(self._reply(low))
        elif kind == 5:
            self._arrive(read.take(read.byte() * (1 + low)))
        elif kind in {6, 7}:
            first = read.byte()
            chosen = [MEDIA[(first + offset) % len(MEDIA)] for offset in range(low + 1)]
            self._arrive(b"".join(camera.frame(packet, (0, 1, 254, 7)[kind & 1 and low & 3]) for packet in chosen))
        elif kind == 8:
            talked.datagram(MEDIA[read.byte() % len(MEDIA)], self.now, control=low == 15)
        elif kind == 9:
            talked.datagram(read.take(read.byte()), self.now, control=low & 1 != 0)
        elif kind == 10:
            self.now += low
            self._tick()
        elif kind == 11:
            self._arrive(b"OPTIONS * RTSP/1.0\r\nCSeq: 9\r\n\r\n" if low else b"REDIRECT x RTSP/1.0\r\n\r\n")
        elif kind == 12:
            self._arrive(b"")
        elif kind == 13:
            talked.dropped(low)
        elif kind == 14:
            talked.give_up(self.now)
        elif low == 15:
            talked.abort(LookError(Reason.NET_RESET, "the connection was reset"))

    def _good(self) -> bytes:
        """What a good device answers to our latest request."""
        last, cseq = self.seen.last, self.seen.cseq
        self.seen.answered = False
        if last == "DESCRIBE":
            return camera.reply(cseq, "200 OK", body=BODIES[1 + self.read.byte() % 6])
        if last == "SETUP":
            udp = self.talked._attempts.current is Transport.UDP
            return camera.reply(cseq, "200 OK", "Session: 1;timeout=30", HEADERS[4 if udp else 3])
        return camera.reply(cseq, "200 OK", HEADERS[0])

    def _reply(self, low: int) -> bytes:
        """Any reply at all."""
        chosen = self.read.byte()
        cseq = (self.seen.cseq, self.seen.cseq, None, max(0, self.seen.cseq - 1))[chosen >> 6]
        headers = [HEADERS[chosen & 15], HEADERS[self.read.byte() & 15]]
        body = BODIES[chosen >> 4 & 3] if chosen & 0x40 else b""
        reply = camera.reply(cseq, STATUSES[low], *headers, body=body)
        right = cseq is None or cseq == self.seen.cseq
        if right and not STATUSES[low].startswith("100"):  # a second reply to the same request says nothing
            self.seen.refused += STATUSES[low].startswith("401") and self.seen.answered
            self.seen.answered = False
        return reply

    def _arrive(self, data: bytes) -> None:
        talked = self.talked
        size = self.size or len(data) or 1
        for piece in [data[at : at + size] for at in range(0, len(data), size)] or [b""]:
            self._sent(talked.receive(piece, self.now))
            self._serve_ports()
            if talked.finished or talked.redial:
                break

    def _serve_ports(self) -> None:
        talked = self.talked
        while talked.wants_ports:
            given = self.read.byte() % 4
            error = LookError(Reason.OURS_OVERLOAD, "no ports are left")
            self._sent(talked.use_ports(5000) if given else talked.no_ports(error))

    def _serve(self) -> None:
        """What the shell does after each call."""
        talked = self.talked
        self._serve_ports()
        for one in talked.take_datagrams():
            assert 0 < one.port < 65_536 and len(one.data) <= 1200
        if talked.redial:
            self._part()
            self.place = parse_address(talked.url).origin
            assert self.place.host == HOST, "sent on to another host"
            self._sent(talked.start(self.now))
            assert not talked.redial and not talked.finished
        due = talked.due
        assert due is None or due >= 0

    def _tick(self) -> None:
        talked = self.talked
        due = talked.due
        if due is not None and self.now >= due:
            self.ticks += 1
            self._sent(talked.tick(self.now))

    def _part(self) -> None:
        talked = self.talked
        self._sent(talked.farewell())
        if not talked.parted and self.read.byte() & 1:
            self._sent(talked.receive(self._reply(self.read.byte() & 15), self.now))
        self._sent(talked.receive(b"", self.now))
        assert talked.parted, "the peer closed, and it is still waited for"

    def _end(self) -> None:
        talked = self.talked
        assert talked.finished, "a deadline fell, and the look is not over"
        assert (talked.failure is None) != (talked.keyframe is None) or (self.reach and talked.failure is None)
        if talked.failure is not None:
            detail = talked.failure.detail
            assert detail.isprintable() and CREDENTIALS.password not in detail and len(detail) < 1500
        else:
            assert talked.keyframe is None or talked.keyframe.width * talked.keyframe.height <= MAX_PIXELS
        before = talked.failure, talked.keyframe
        self._part()
        talked.timeout(self.now)
        talked.abort(LookError(Reason.NET_RESET, "late"))
        talked.datagram(MEDIA[0], self.now)
        assert talked.tick(self.now + 1000) == b"" and talked.due is None
        assert (talked.failure, talked.keyframe) == before, "a look that was over changed"
        assert talked.media_bytes <= 2 * (MAX_MEDIA_BYTES + 65_536)

    def _sent(self, data: bytes) -> None:
        """Reads our own bytes as a device would, and keeps account."""
        parser = rtsp.RtspParser(foreign=True)
        if data:
            parser.receive(data)
        while (event := parser.next_event()) is not None:
            if isinstance(event, rtsp.Request):
                self._requested(event)
            elif isinstance(event, rtsp.Interleaved):
                assert len(event.payload) <= 1200, "what we report is short"
            else:
                assert isinstance(event, rtsp.Response)
        assert parser.position == len(data) and parser.skipped_bytes == 0, "we sent half a message"
        assert len(data) <= 8 * MOST_REQUEST_BYTES

    def _requested(self, request: rtsp.Request) -> None:
        seen = self.seen
        seen.requests += 1
        seen.last, seen.cseq = request.method, int(request.headers.get("CSeq") or 0)
        assert seen.requests - self.ticks <= MOST_REQUESTS, "the device has us ask without end"
        assert len(rtsp.serialise(request)) <= MOST_REQUEST_BYTES
        asked = parse_address(request.url)
        assert asked.credentials is None and CREDENTIALS.password not in request.url
        assert asked.origin == self.place, "a request for another place than we talk to"
        answer = request.headers.get("Authorization")
        seen.answered = answer is not None
        if answer is not None:
            assert self.ask.credentials is not None
            assert asked.origin == parse_address(camera.URL).origin, "our password goes to another origin"
            assert self.basic or not answer.startswith("Basic"), "Basic, which was not allowed"
            assert seen.refused < MAX_TRIES or request.method == "TEARDOWN", "an account is being locked"
            assert seen.refused <= MAX_TRIES


def look(data: bytes) -> Conversation:
    return Device(data).run()


def outcome(talked: Conversation) -> tuple[object, ...]:
    return (
        talked.failure,
        talked.keyframe,
        talked.step,
        talked.codec,
        talked.width,
        talked.media_flowed,
        talked.transport,
    )


def check_look(data: bytes) -> None:
    """By TCP alone the outcome does not depend on how the bytes arrive."""
    talked = look(data)
    if data and data[0] >> 3 & 3 == 1 and data[0] & 3:
        assert outcome(look(bytes((data[0] & ~3,)) + data[1:])) == outcome(talked)


GOOD_STEPS = b"\x00\x00\x00\x00\x00"  # OPTIONS; DESCRIBE and its body; SETUP; PLAY


def look_seeds() -> list[bytes]:
    media = b"".join(bytes((0x6F, at)) for at in range(0, len(PACKETS), 16))
    datagrams = b"".join(bytes((0x80, at)) for at in range(len(PACKETS)))
    challenged = b"\x00" + b"\x31\x07\x07" + b"\x00\x00\x00\x00"
    return [
        bytes((8,)) + GOOD_STEPS + media,
        bytes((9 | 0x20,)) + challenged + media,
        bytes((16,)) + b"\x00\x00\x00\x01\x00\x00" + datagrams,
        bytes((0x20,)) + b"\x00\x31\x07\x07\x31\x08\x08\x31\x09\x09",
        bytes((0,)) + b"\x00\x34\x0a\x0a\x00" + GOOD_STEPS + b"\xab\xab\xab",
        bytes((0x44,)) + b"\x00\x00\x00\x01\x32\x00\x00\x00\x00\x6f\x00\xc0",
        bytes((8 | 0x20,)) + GOOD_STEPS + b"\xaf\x31\x08\x08\xaf\x31\x08\x08\xaf\x31\x08\x08",
        bytes((0xE0,)) + b"\x00",
    ]


def look_traps() -> dict[str, bytes]:
    start = bytes((8,)) + GOOD_STEPS
    return {
        "replies": filled(b"\x31\x07\x07", b"\x20"),
        "packets": filled(b"\x6f\x00", start),
        "datagrams": filled(b"\x80\x05", b"\x10\x00\x00\x00\x01\x00\x00"),
    }


TARGETS = [
    Target("look", look, check_look, look_seeds, look_traps),
]
