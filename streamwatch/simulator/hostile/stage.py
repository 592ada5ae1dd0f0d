"""The stage on which a hostility plays: one connection, and the good camera that each of them deviates from."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from secrets import token_hex
from types import MappingProxyType
from typing import Final

from streamwatch.errors import Reason, Step
from streamwatch.simulator.digest import answers, challenges, fields, proof
from streamwatch.simulator.hostile.props import Props
from streamwatch.simulator.packets import PAYLOAD_TYPE, TICKS_A_FRAME, payloads
from streamwatch.simulator.profile import FPS
from streamwatch.simulator.rtsp import REASONS, Request, RequestError, RequestReader, wanted
from streamwatch.simulator.switchboard import RESET_ON_CLOSE

BYTE_S: Final = 1.0  # between two bytes of a peer that trickles
FRAME_S: Final = 1 / FPS
READ: Final = 65_536
MAX_LIFE_S: Final = 90.0  # of one connection: half as long again as the longest look may last
CLOSE_S: Final = 1.0
REALM: Final = "hostile"


@dataclass(frozen=True, slots=True)
class Account:
    """Who may look, in clear: they are made up."""

    username: str = "viewer"
    password: str = "Gui-8417"  # noqa: S105 - made up


class Talk:
    """One connection: what a script reads and says, and the state of the good camera in it. `turn` counts the
    connections that this hostility has had before, for scripts that differ from one to the next."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, props: Props, account: Account, turn: int
    ) -> None:
        self._reader, self._writer = reader, writer
        self._requests = RequestReader()
        self.props, self.account, self.turn = props, account, turn
        self.host, self.port = writer.get_extra_info("sockname")[:2]
        self.rng = random.Random(turn)
        self.channel = 0  # of RTP
        self.session = token_hex(4)
        self.nonce = token_hex(8)
        self.asked: dict[str, int] = {}  # how often, by method

    @property
    def authority(self) -> str:
        """Where the peer has reached us."""
        return f"{self.host}:{self.port}"

    async def request(self) -> Request | None:
        """The next request; None when the peer has left, or says what is none."""
        while True:
            try:
                if (request := self._requests.next()) is not None:
                    self.asked[request.method] = self.asked.get(request.method, 0) + 1
                    return request
                data = await self._reader.read(READ)
                if not data:
                    return None
                self._requests.feed(data)
            except RequestError:
                return None

    async def send(self, data: bytes) -> None:
        """Says it, as fast as the peer takes it."""
        if self._writer.is_closing():  # to write then is a RuntimeError with uvloop, and a warning without
            raise ConnectionResetError("the peer has left")
        self._writer.write(data)
        await self._writer.drain()

    async def trickle(self, data: bytes, pause_s: float = BYTE_S) -> None:
        """Says it a byte at a time."""
        for value in data:
            await self.send(bytes((value,)))
            await asyncio.sleep(pause_s)

    async def stay(self) -> None:
        """Says nothing more and lets the peer talk, until it leaves."""
        while await self._reader.read(READ):
            pass

    def half_close(self) -> None:
        """FIN from our side; what the peer says is still heard."""
        if self._writer.can_write_eof():
            self._writer.write_eof()

    def reset(self) -> None:
        """RST instead of FIN."""
        peer = self._writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self._writer.transport.abort()

    def close(self) -> None:
        """FIN."""
        self._writer.close()

    async def closed(self) -> None:
        """Until what was said is on its way and the connection is over, or CLOSE_S."""
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._writer.wait_closed()


@dataclass(slots=True)
class Reply:
    """A reply that may still be bent: `start` replaces the status line."""

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    start: str | None = None

    def without(self, name: str) -> Reply:
        """The same without these headers."""
        self.headers = [pair for pair in self.headers if pair[0].lower() != name.lower()]
        return self

    def having(self, name: str, value: str) -> Reply:
        """The same with this header alone of its name."""
        self.without(name).headers.append((name, value))
        return self

    def encode(self, end: str = "\r\n") -> bytes:
        """Its bytes. Where nothing else is stated Content-Length is right."""
        start = self.start if self.start is not None else f"RTSP/1.0 {self.status} {REASONS.get(self.status, 'Other')}"
        lines = [start, *(f"{name}: {value}" for name, value in self.headers)]
        if self.body and not any(name == "Content-Length" for name, _ in self.headers):
            lines.append(f"Content-Length: {len(self.body)}")
        return end.join([*lines, "", ""]).encode("latin-1") + self.body


Script = Callable[[Talk], Awaitable[None]]
Bend = Callable[[Talk, Request, Reply], bytes | Awaitable[bytes]]  # what is said instead of the good reply
Packets = Callable[[Talk], Iterable[bytes]]  # what flows after PLAY, framed
UNBENT: Final[Mapping[str, Bend]] = MappingProxyType({})


def deserved(*reasons: Reason | None) -> frozenset[Reason | None]:
    """A set of reasons; None is a session with a picture."""
    return frozenset(reasons)


@dataclass(frozen=True, slots=True)
class Hostility:
    """A way of being hostile. A look at it ends with one of `deserves` (None: a session with a picture), at one of
    `steps` where those are fixed. `secure` names the certificate of a listener with TLS; `scheme` is its address's."""

    name: str
    does: str
    serve: Script
    deserves: frozenset[Reason | None]
    steps: frozenset[Step] = frozenset()
    scheme: str = "rtsp"
    secure: str | None = None


def hostility(
    name: str,
    does: str,
    serve: Script,
    *deserves: Reason | None,
    at: Step | tuple[Step, ...] = (),
    scheme: str = "rtsp",
    secure: str | None = None,
) -> Hostility:
    """One row of the table; without `deserves` the look gets its picture."""
    steps = frozenset((at,) if isinstance(at, Step) else at)
    return Hostility(name, does, serve, deserved(*(deserves or (None,))), steps, scheme, secure)


def camera(
    bends: Mapping[str, Bend] = UNBENT,
    *,
    media: Packets | None = None,
    sdp: Callable[[Talk], bytes] | None = None,
    pace_s: float = FRAME_S,
    protect: bool = False,
) -> Script:
    """The good camera: answers everything, TCP only, sends a keyframe at once and then every two seconds.

    `bends` by method change what it says, `sdp` and `media` what it describes and sends, a piece every `pace_s` (0: as
    fast as the peer takes it). `protect`: with Digest, as a camera has it.
    """

    async def serve(talk: Talk) -> None:
        flowing: asyncio.Task[None] | None = None
        try:
            while (request := await talk.request()) is not None:
                reply = _right(talk, request, sdp or describe)
                if protect and request.method != "OPTIONS" and not proves(talk, request):
                    reply = unauthorized(talk, request)
                bend = bends.get(request.method)
                said = reply.encode() if bend is None else bend(talk, request, reply)
                told = said if isinstance(said, bytes) else await said
                await talk.send(told)
                if request.method == "PLAY" and reply.status == 200 and told and flowing is None:
                    flowing = asyncio.create_task(_flow(talk, (media or film)(talk), pace_s))
                elif request.method == "TEARDOWN" and flowing is not None:
                    flowing.cancel()
        finally:
            if flowing is not None:
                flowing.cancel()
                await asyncio.gather(flowing, return_exceptions=True)

    return serve


async def _flow(talk: Talk, pieces: Iterable[bytes], pace_s: float) -> None:
    for piece in pieces:
        await talk.send(piece)
        await asyncio.sleep(pace_s)


def _right(talk: Talk, request: Request, sdp: Callable[[Talk], bytes]) -> Reply:
    """What a good camera answers."""
    reply = Reply(headers=[("CSeq", request.headers.get("cseq", "0")), ("Server", "Hostile/1.0")])
    if request.method == "OPTIONS":
        reply.headers.append(("Public", "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER"))
    elif request.method == "DESCRIBE":
        reply.headers += [("Content-Type", "application/sdp"), ("Content-Base", request.url.rstrip("/") + "/")]
        reply.body = sdp(talk)
    elif request.method == "SETUP":
        choice = next((one for one in wanted(request.headers.get("transport", "")) if not one.datagrams), None)
        if choice is None:
            reply.status = 461
            return reply
        talk.channel = choice.pair[0]
        reply.headers += [
            ("Session", f"{talk.session};timeout=60"),
            ("Transport", f"RTP/AVP/TCP;unicast;interleaved={choice.pair[0]}-{choice.pair[1]}"),
        ]
    elif request.method in ("PLAY", "TEARDOWN", "GET_PARAMETER"):
        reply.headers.append(("Session", talk.session))
    else:
        reply.status = 405
    return reply


def unauthorized(talk: Talk, request: Request, *values: str) -> Reply:
    """A 401 with these challenges, or with Digest as a camera asks for it."""
    asked = values or challenges(REALM, talk.nonce, qop=True)
    return Reply(401, [("CSeq", request.headers.get("cseq", "0")), *(("WWW-Authenticate", one) for one in asked)])


def proves(talk: Talk, request: Request, *, realm: str = REALM, sha256: bool = False) -> bool:
    """Whether the request shows the right password by Digest, in this realm and with this connection's nonce."""
    right = proof(talk.account.username, realm, talk.account.password, qop=True, sha256=sha256)
    given = fields(request.headers.get("authorization", ""))
    return answers(given, method=request.method, proof=right, nonce=talk.nonce)


def description(*media: str, head: str = "") -> bytes:
    """An SDP of these sections."""
    return ("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=Hostile\r\nt=0 0\r\n" + head + "".join(media)).encode("latin-1")


VIDEO: Final = (
    f"m=video 0 RTP/AVP {PAYLOAD_TYPE}\r\na=rtpmap:{PAYLOAD_TYPE} H264/90000\r\n"
    f"a=fmtp:{PAYLOAD_TYPE} packetization-mode=1\r\na=control:trackID=1\r\n"
)
AUDIO: Final = "m=audio 0 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=control:trackID=2\r\n"


def describe(_talk: Talk) -> bytes:
    """The good camera's description: parameter sets come in the stream only."""
    return description(VIDEO)


@dataclass(slots=True)
class Stream:
    """Numbers packets. Its own RTP (RFC 3550 section 5.1), with every field open to be bent."""

    ssrc: int = 0x5EED
    sequence: int = 1000
    timestamp: int = 90_000
    payload_type: int = PAYLOAD_TYPE

    def packet(
        self, payload: bytes, *, marker: bool = False, first: int = 0x80, before: bytes = b"", ssrc: int | None = None
    ) -> bytes:
        """The next packet; `before` stands between the fixed header and the payload."""
        out = b"".join(
            (
                bytes((first, (0x80 if marker else 0) | self.payload_type)),
                (self.sequence & 0xFFFF).to_bytes(2, "big"),
                (self.timestamp & 0xFFFF_FFFF).to_bytes(4, "big"),
                (self.ssrc if ssrc is None else ssrc).to_bytes(4, "big"),
                before,
                payload,
            )
        )
        self.sequence += 1
        return out

    def picture(self, parts: Iterable[bytes]) -> list[bytes]:
        """Payloads of one access unit as packets, the last one marked; then the clock goes on."""
        listed = list(parts)
        out = [self.packet(part, marker=index == len(listed) - 1) for index, part in enumerate(listed)]
        self.timestamp += TICKS_A_FRAME
        return out


def framed(packets: Iterable[bytes], channel: int) -> bytes:
    """Packets as RTSP interleaves them (RFC 2326 section 10.12)."""
    return b"".join(b"$" + bytes((channel,)) + len(one).to_bytes(2, "big") + one for one in packets)


def pictures(props: Props) -> Iterator[tuple[bool, list[bytes]]]:
    """The good film for ever: whether it is a keyframe, and its payloads, parameter sets in front of keyframes."""
    while True:
        for gop in props.clip.gops:
            for index, units in enumerate(gop):
                head = [props.clip.sps, props.clip.pps] if index == 0 else []
                yield index == 0, head + payloads(units)


def film(talk: Talk) -> Iterator[bytes]:
    """The good film, framed."""
    stream = Stream()
    for _, parts in pictures(talk.props):
        yield framed(stream.picture(parts), talk.channel)


async def perform(what: Hostility, talk: Talk) -> None:
    """Plays a hostility until it is over, the peer has left, or MAX_LIFE_S."""
    try:
        async with asyncio.timeout(MAX_LIFE_S):
            await what.serve(talk)
    except (OSError, TimeoutError):  # TLS errors are OSErrors too
        pass
    finally:
        talk.close()
        await talk.closed()
