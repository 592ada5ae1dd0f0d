"""One connection to a simulated camera: requests in, replies and paced frames out."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from secrets import token_hex
from typing import Protocol, cast

from streamwatch.simulator.carriage import Carriage
from streamwatch.simulator.carriers import Carrier, Datagrams, Interleaved
from streamwatch.simulator.dialects import Dialect, describe
from streamwatch.simulator.digest import Proof, answers, challenges, fields
from streamwatch.simulator.faults import Fault
from streamwatch.simulator.packets import Reel
from streamwatch.simulator.playback import Footage, Playback
from streamwatch.simulator.rtsp import Request, RequestError, RequestReader, Wanted, reply, wanted

RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, for no time
Headers = dict[str, str | tuple[str, ...]]


class Source(Footage, Protocol):
    """What a session asks of its camera."""

    address: str
    port: int
    dialect: Dialect
    carriage: Carriage
    proof: Proof
    streams: tuple[str, ...]  # that it has: of `sub`, `main`, `full`

    def joined(self, session: Session) -> bool:
        """A connection came; False where the camera takes no more of them."""
        ...

    def left(self, session: Session) -> None:
        """A connection is gone."""
        ...

    async def shown(self, stream: str) -> Reel:
        """The same, waiting for the renderer."""
        ...


class Session(asyncio.Protocol):
    """Speaks the camera's dialect; obeys its fault at every request."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._loop = asyncio.get_running_loop()
        self._reader = RequestReader()
        self._nonce = ""
        self._id = ""
        self._waiting: asyncio.Task[None] | None = None
        self._playback: Playback | None = None
        self._transport: asyncio.Transport | None = None
        self.heard_at = self._loop.time()

    @property
    def playing(self) -> bool:
        """Whether PLAY was answered and TEARDOWN not yet seen."""
        return self._playback is not None and self._playback.playing

    def abandoned(self, now: float, after_s: float) -> bool:
        """Whether the peer neither asked nor, where that is what keeps it alive, took media for so long.

        Who plays within the connection is heard by what the connection takes; datagrams leave whether or not
        anybody is there.
        """
        carrier = self._playback.carrier if self._playback is not None else None
        if carrier is not None and carrier.heard():
            self.heard_at = now
        spared = self.playing and carrier is not None and not carrier.datagrams
        return not spared and now - self.heard_at > after_s

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
        headers: Headers = {dialect.cseq: request.headers.get("cseq", "0"), "Server": dialect.server}
        answer = _ANSWERS.get(request.method) if request.method in dialect.public else None
        if answer is not None:
            if request.method == "OPTIONS" or self._may(request, headers):
                answer(self, request, headers)
        elif dialect.get_parameter:
            self._write(reply(405, headers | {"Allow": dialect.public}))
        elif self._transport is not None:
            self._transport.close()

    def _may(self, request: Request, headers: Headers) -> bool:
        """Checks the Digest answer; without a right one the reply is 401 with this connection's nonce."""
        source, dialect = self._source, self._source.dialect
        given = fields(request.headers.get("authorization", ""))
        if self._nonce and source.fault is not Fault.AUTH:
            right = answers(given, method=request.method, proof=source.proof, nonce=self._nonce)
            if right:
                return True
        stale = bool(given) and given.get("nonce") != self._nonce
        self._nonce = self._nonce or token_hex(16)
        asked = challenges(dialect.realm, self._nonce, qop=dialect.qop, sha256=dialect.sha256, stale=stale)
        self._write(reply(401, headers | {"WWW-Authenticate": asked}))
        return False

    def _options(self, _request: Request, headers: Headers) -> None:
        self._write(reply(200, headers | {"Public": self._source.dialect.public}))

    def _describe(self, request: Request, headers: Headers) -> None:
        stream = self._named(request.url)
        if stream is None or self._source.fault is Fault.NOT_FOUND:
            self._write(reply(404, headers))
            return
        reel = self._source.showing(stream)
        if reel is None:
            self._waiting = self._loop.create_task(self._describe_later(stream, request.url, headers))
            return
        self._describe_now(reel, request.url, headers)

    async def _describe_later(self, stream: str, url: str, headers: Headers) -> None:
        reel = await self._source.shown(stream)
        self._waiting = None
        self._describe_now(reel, url, headers)
        self._answer_all()

    def _describe_now(self, reel: Reel, url: str, headers: Headers) -> None:
        base = url.rstrip("/")
        extra: Headers = {"Content-Type": "application/sdp"}
        if self._source.dialect.content_base:
            extra["Content-Base"] = base + "/"
        self._write(reply(200, headers | extra, describe(self._source.dialect, base, self._source.address, reel)))

    def _setup(self, request: Request, headers: Headers) -> None:
        stream = self._named(request.url, self._source.dialect.track)
        if stream is None:
            self._write(reply(404, headers))
        elif self._source.fault is Fault.BUSY:
            self._write(reply(453, headers))
        elif self.playing:
            self._write(reply(455, headers))
        else:
            choices = wanted(request.headers.get("transport", ""))
            choice = next((choice for choice in choices if self._takes(choice)), None)
            if choice is None:
                self._write(reply(self._source.carriage.refusal, headers))
                return
            self._stop()
            ssrc = random.getrandbits(32)
            carrier = self._open(choice, ssrc)
            if carrier is None:
                self._write(reply(503, headers))
                return
            self._playback = Playback(self._source, stream, carrier, ssrc, self.cut)
            self._id = self._id or token_hex(4).upper()
            session = self._id + self._source.dialect.session_timeout
            self._write(reply(200, headers | {"Session": session, "Transport": carrier.reply}))

    def _takes(self, choice: Wanted) -> bool:
        if choice.datagrams:
            return self._source.carriage.udp
        return self._source.carriage.tcp and self._source.fault is not Fault.TCP_REFUSED

    def _open(self, choice: Wanted, ssrc: int) -> Carrier | None:
        """The way out that was asked for; None where the machine has no port or file descriptor left for it."""
        assert self._transport is not None
        if not choice.datagrams:
            return Interleaved(self._transport, choice.pair[0], ssrc)
        peer = self._transport.get_extra_info("peername")[0]
        try:
            return Datagrams(self._source.address, peer, choice.pair, choice.profile, ssrc)
        except OSError:
            return None

    def _play(self, request: Request, headers: Headers) -> None:
        if not self._in_session(request, headers):
            return
        playback = self._playback
        if playback is None:
            self._write(reply(455, headers))
            return
        extra: Headers = {"Session": self._id, "Range": "npt=now-"}
        if self._source.dialect.rtp_info:
            extra["RTP-Info"] = f"url={request.url};seq={playback.sequence};rtptime={playback.timestamp}"
        self._write(reply(200, headers | extra))
        playback.start()

    def _get_parameter(self, request: Request, headers: Headers) -> None:
        if self._in_session(request, headers):
            self._write(reply(200, headers | ({"Session": self._id} if self._id else {})))

    def _teardown(self, request: Request, headers: Headers) -> None:
        if self._in_session(request, headers):
            self._stop()
            self._write(reply(200, headers))
            self._id = ""

    def _in_session(self, request: Request, headers: Headers) -> bool:
        named = request.headers.get("session", "").partition(";")[0].strip()
        if named == self._id or (request.method == "GET_PARAMETER" and not named):
            return True
        self._write(reply(454, headers))
        return False

    def _named(self, url: str, track: str = "") -> str | None:
        """Which stream a URL means, or None. With `track` the control part must follow."""
        slash = url.find("/", url.find("://") + 3) if "://" in url else 0
        path = url[slash:]
        for stream in self._source.streams:
            own = self._source.dialect.path(stream)
            if path.startswith(own):
                rest = path[len(own) :].strip("/")
                return stream if rest == track else None
        return None

    def _stop(self) -> None:
        if self._playback is not None:
            self._playback.close()
            self._playback = None

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
