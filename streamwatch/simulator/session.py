"""One connection to a simulated camera: requests in, replies and paced frames out."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import struct
from secrets import token_hex
from typing import Protocol, cast

from streamwatch.simulator.dialects import Dialect, describe
from streamwatch.simulator.digest import Proof, answers, challenge, fields
from streamwatch.simulator.faults import Fault
from streamwatch.simulator.packets import TICKS_A_FRAME, Frame, Reel
from streamwatch.simulator.render import FPS
from streamwatch.simulator.rtsp import Request, RequestError, RequestReader, reply

MAX_UNSENT = 1 << 20  # bytes; 20 key frames: who reads no faster than that is cut, as a camera with little memory does
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, for no time
MAX_LATE_S = 1.0  # behind by more, the pace starts anew instead of catching up in a burst
_INTERLEAVED = re.compile(r"interleaved\s*=\s*(\d{1,3})", re.IGNORECASE)
PUBLIC = "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN"


class Source(Protocol):
    """What a session asks of its camera."""

    address: str
    port: int
    dialect: Dialect
    proof: Proof
    fault: Fault | None

    def joined(self, session: Session) -> bool:
        """A connection came; False where the camera takes no more of them."""
        ...

    def left(self, session: Session) -> None:
        """A connection is gone."""
        ...

    def showing(self, stream: str) -> Reel | None:
        """What the camera shows now; None while that is still being rendered."""
        ...

    async def shown(self, stream: str) -> Reel:
        """The same, waiting for the renderer."""
        ...

    def next_start(self, stream: str) -> int:
        """The group of pictures that the next PLAY begins with."""
        ...


class Session(asyncio.Protocol):
    """Speaks the camera's dialect; obeys its fault at every request and at every group of pictures."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._loop = asyncio.get_running_loop()
        self._reader = RequestReader()
        self._nonce = ""
        self._id = ""
        self._stream: str | None = None
        self._waiting: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self.heard_at = self._loop.time()
        # The media: where in the loop, when the next frame is due, and the RTP numbers.
        self._channel = 0
        self._reel: Reel | None = None
        self._gop = self._index = 0
        self._due = 0.0
        self._sequence, self._timestamp, self._ssrc = (
            random.getrandbits(16),
            random.getrandbits(32),
            random.getrandbits(32),
        )

    @property
    def playing(self) -> bool:
        """Whether PLAY was answered and TEARDOWN not yet seen."""
        return self._timer is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Registers with the camera."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without inheriting from it
        if not self._source.joined(self):
            self.cut()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Stops everything."""
        self._stop()
        self._transport = None
        if self._waiting is not None:
            self._waiting.cancel()
        self._source.left(self)

    def cut(self) -> None:
        """Resets the connection: the peer gets RST, as from a device that has lost its memory."""
        self._stop()
        if self._transport is not None:
            peer = self._transport.get_extra_info("socket")
            if peer is not None:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Answers whole requests, in order."""
        if self._source.fault is Fault.SILENT:
            return
        self.heard_at = self._loop.time()
        try:
            self._reader.feed(data)
            self._answer_all()
        except RequestError:
            self._write(reply(400, {}))
            if self._transport is not None:
                self._transport.close()

    def _answer_all(self) -> None:
        while self._waiting is None and self._transport is not None and (request := self._reader.next()) is not None:
            self._answer(request)

    def _answer(self, request: Request) -> None:
        dialect = self._source.dialect
        headers = {dialect.cseq: request.headers.get("cseq", "0"), "Server": dialect.server}
        answer = _ANSWERS.get(request.method)
        if answer is None:
            self._write(reply(405, headers | {"Allow": PUBLIC}))
        elif request.method == "OPTIONS" or self._may(request, headers):
            answer(self, request, headers)

    def _may(self, request: Request, headers: dict[str, str]) -> bool:
        """Checks the Digest answer; without a right one the reply is 401 with this connection's nonce."""
        source, dialect = self._source, self._source.dialect
        given = fields(request.headers.get("authorization", ""))
        if self._nonce and source.fault is not Fault.AUTH:
            right = answers(given, method=request.method, proof=source.proof, nonce=self._nonce)
            if right:
                return True
        stale = bool(given) and given.get("nonce") != self._nonce
        self._nonce = self._nonce or token_hex(16)
        self._write(
            reply(
                401, headers | {"WWW-Authenticate": challenge(dialect.realm, self._nonce, qop=dialect.qop, stale=stale)}
            )
        )
        return False

    def _options(self, _request: Request, headers: dict[str, str]) -> None:
        self._write(reply(200, headers | {"Public": PUBLIC}))

    def _describe(self, request: Request, headers: dict[str, str]) -> None:
        stream = self._named(request.url)
        if stream is None or self._source.fault is Fault.NOT_FOUND:
            self._write(reply(404, headers))
            return
        reel = self._source.showing(stream)
        if reel is None:
            self._waiting = self._loop.create_task(self._describe_later(stream, request.url, headers))
            return
        self._describe_now(reel, request.url, headers)

    async def _describe_later(self, stream: str, url: str, headers: dict[str, str]) -> None:
        reel = await self._source.shown(stream)
        self._waiting = None
        self._describe_now(reel, url, headers)
        self._answer_all()

    def _describe_now(self, reel: Reel, url: str, headers: dict[str, str]) -> None:
        base = url.rstrip("/")
        extra = {"Content-Type": "application/sdp"}
        if self._source.dialect.content_base:
            extra["Content-Base"] = base + "/"
        self._write(reply(200, headers | extra, describe(self._source.dialect, base, self._source.address, reel)))

    def _setup(self, request: Request, headers: dict[str, str]) -> None:
        transport = request.headers.get("transport", "")
        stream = self._named(request.url, self._source.dialect.track)
        if stream is None:
            self._write(reply(404, headers))
        elif self._source.fault is Fault.BUSY:
            self._write(reply(453, headers))
        elif "/TCP" not in transport.upper():
            self._write(reply(461, headers))
        elif self._timer is not None:
            self._write(reply(455, headers))
        else:
            found = _INTERLEAVED.search(transport)
            self._channel = int(found[1]) & 0xFF if found else 0
            self._stream, self._id = stream, self._id or token_hex(4).upper()
            pair = f"{self._channel}-{self._channel + 1}"
            extra = {
                "Session": self._id + self._source.dialect.session_timeout,
                "Transport": f"RTP/AVP/TCP;unicast;interleaved={pair};ssrc={self._ssrc:08X}",
            }
            self._write(reply(200, headers | extra))

    def _play(self, request: Request, headers: dict[str, str]) -> None:
        if not self._in_session(request, headers):
            return
        if self._stream is None:
            self._write(reply(455, headers))
            return
        extra = {"Session": self._id, "Range": "npt=now-"}
        if self._source.dialect.rtp_info:
            extra["RTP-Info"] = f"url={request.url};seq={self._sequence};rtptime={self._timestamp}"
        self._write(reply(200, headers | extra))
        if self._timer is None:
            self._gop, self._index, self._reel = self._source.next_start(self._stream), 0, None
            self._due = self._loop.time()
            self._tick()

    def _get_parameter(self, request: Request, headers: dict[str, str]) -> None:
        if self._in_session(request, headers):
            self._write(reply(200, headers | ({"Session": self._id} if self._id else {})))

    def _teardown(self, request: Request, headers: dict[str, str]) -> None:
        if self._in_session(request, headers):
            self._stop()
            self._stream = None
            self._write(reply(200, headers))
            self._id = ""

    def _in_session(self, request: Request, headers: dict[str, str]) -> bool:
        named = request.headers.get("session", "").partition(";")[0].strip()
        if named == self._id or (request.method == "GET_PARAMETER" and not named):
            return True
        self._write(reply(454, headers))
        return False

    def _named(self, url: str, track: str = "") -> str | None:
        """Which stream a URL means: `sub`, `main`, or None. With `track` the control part must follow."""
        slash = url.find("/", url.find("://") + 3) if "://" in url else 0
        path = url[slash:]
        for stream, own in (("sub", self._source.dialect.sub), ("main", self._source.dialect.main)):
            if path.startswith(own):
                rest = path[len(own) :].strip("/")
                return stream if rest == track else None
        return None

    def _tick(self) -> None:
        """Sends the frame that is due and arms the timer for the next one."""
        due = self._next_frame()
        transport = self._transport
        if due is not None and transport is not None:
            if transport.get_write_buffer_size() > MAX_UNSENT:
                self.cut()
                return
            transport.write(due.stamped(self._channel, self._sequence, self._timestamp, self._ssrc))
            self._sequence = (self._sequence + len(due.starts)) & 0xFFFF
        self._timestamp = (self._timestamp + TICKS_A_FRAME) & 0xFFFFFFFF
        self._due += 1 / FPS
        now = self._loop.time()
        if self._due < now - MAX_LATE_S:
            self._due = now
        self._timer = self._loop.call_at(self._due, self._tick)

    def _next_frame(self) -> Frame | None:
        """The next frame of the loop, or None where the camera's fault leaves it out."""
        assert self._stream is not None
        if self._index == 0:
            self._reel = self._source.showing(self._stream) or self._reel
        if self._reel is None:
            return None
        gop = self._reel.gops[self._gop % len(self._reel.gops)]
        index = self._index
        self._index += 1
        if self._index == len(gop):
            self._index, self._gop = 0, self._gop + 1
        fault = self._source.fault
        if fault in (Fault.NO_DATA, Fault.SILENT) or (fault is Fault.NO_KEYFRAME and index == 0):
            return None
        return gop[index]

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


_ANSWERS = {
    "OPTIONS": Session._options,
    "DESCRIBE": Session._describe,
    "SETUP": Session._setup,
    "PLAY": Session._play,
    "GET_PARAMETER": Session._get_parameter,
    "TEARDOWN": Session._teardown,
}
