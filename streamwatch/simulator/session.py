"""One connection to a simulated camera: requests in, replies and paced frames out."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Protocol

from streamwatch.simulator.carriage import Carriage
from streamwatch.simulator.carriers import Carrier, Datagrams, Interleaved
from streamwatch.simulator.dialects import Dialect, describe, named
from streamwatch.simulator.digest import Proof, answers, challenges, fields, opening, proves
from streamwatch.simulator.faults import Fault
from streamwatch.simulator.packets import Reel
from streamwatch.simulator.playback import Footage, Playback
from streamwatch.simulator.rtsp import REASONS, Request, RequestError, RequestReader, Wanted, quick, wanted
from streamwatch.simulator.switchboard import Connection, Switchboard


class Source(Footage, Protocol):
    """What a session asks of its camera."""

    address: str
    port: int
    dialect: Dialect
    carriage: Carriage
    streams: tuple[str, ...]  # that it has: of `sub`, `main`, `full`
    paced: bool  # each packet leaves alone
    ssrc: int  # of media within a connection: one for all, so that packets are made once
    latency_s: float  # from a request to its answer
    board: Switchboard

    @property
    def proof(self) -> Proof:
        """What a right Digest answer shows."""
        ...

    def joined(self, session: Session) -> bool:
        """A connection came; False where the camera takes no more of them."""
        ...

    def left(self, session: Session) -> None:
        """A connection is gone."""
        ...

    async def shown(self, stream: str) -> Reel:
        """The same, waiting for the renderer."""
        ...


class Session:
    """Speaks the camera's dialect; obeys its fault at every request."""

    __slots__ = (
        "_connection", "_due", "_id", "_late", "_nonce", "_opening", "_playback", "_reader", "_source", "_waiting",
        "heard_at",
    )  # fmt: skip

    def __init__(self, source: Source, connection: Connection) -> None:
        self._source = source
        self._connection = connection
        self._reader: RequestReader | None = None  # once a request comes that is not whole and alone
        self._nonce = self._opening = ""  # of this connection, and how a right answer to it begins
        self._id = ""
        self._waiting: asyncio.Task[None] | None = None
        self._late, self._due = 0, 0.0  # what has come and is to be heard later, and when the last of it
        self._playback: Playback | None = None
        self.heard_at = source.board.time()
        connection.peer = self
        if not source.joined(self):
            self.cut()

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

    def lost(self) -> None:
        """Stops everything."""
        self._stop()
        if self._waiting is not None:
            self._waiting.cancel()
        self._source.left(self)

    def cut(self) -> None:
        """Resets the connection: the peer gets RST, as from a device that has lost its memory."""
        self._stop()
        self._connection.cut()

    def received(self, data: bytes) -> None:
        """Answers whole requests, in order; a camera far away answers later."""
        source = self._source
        if source.latency_s > 0 or self._late:  # nothing overtakes what came before, if the line became shorter
            self._late += 1
            self._due = max(self._due, source.board.time() + source.latency_s)
            source.board.at(self._due, lambda: self._arrived(data))
        else:
            self._received(data)

    def _arrived(self, data: bytes) -> None:
        self._late -= 1
        self._received(data)

    def _received(self, data: bytes) -> None:
        if self._source.fault is Fault.SILENT or not self._connection.open:
            return
        self.heard_at = self._source.board.time()
        reader = self._reader
        if reader is None:
            keepalive = _KEEPALIVE.fullmatch(data)
            if keepalive is not None and self._waiting is None:
                before, after = _alive(self._source.dialect)
                self._connection.write(b"%b%b%b" % (before, keepalive[1], after))
                return
            if self._waiting is None and (request := quick(data)) is not None:
                self._answer(request)
                return
            reader = self._reader = RequestReader()
        try:
            reader.feed(data)
            self._answer_all()
        except RequestError:
            self._connection.write(b"RTSP/1.0 400 Bad Request\r\n\r\n")
            self._connection.close()

    def _answer_all(self) -> None:
        reader = self._reader
        if reader is None:
            return
        while self._waiting is None and self._connection.open and (request := reader.next()) is not None:
            self._answer(request)
        if reader.empty:
            self._reader = None

    def _answer(self, request: Request) -> None:
        dialect = self._source.dialect
        answer = _ANSWERS.get(request.method) if request.method in dialect.methods else None
        if answer is not None:
            if request.method == "OPTIONS" or self._may(request):
                answer(self, request)
        elif dialect.get_parameter:
            self._say(405, request.headers, f"Allow: {dialect.public}\r\n")
        else:
            self._connection.close()

    def _may(self, request: Request) -> bool:
        """Checks the Digest answer; without a right one the reply is 401 with this connection's nonce."""
        if self._proven(request):
            return True
        source, dialect, nonce = self._source, self._source.dialect, self._nonce
        answer = request.headers.get("authorization")
        given = fields(answer) if answer is not None else {}
        stale = bool(given) and given.get("nonce") != nonce
        if not nonce:
            self._nonce = nonce = f"{random.getrandbits(128):032x}"
            self._opening = opening(source.proof, nonce)
        self._say(401, request.headers, _asked(dialect, stale=stale).replace("\0", nonce))
        return False

    def _proven(self, request: Request) -> bool:
        """Whether it proves the password: quickly, as most clients write it, or however else it may be written."""
        source, nonce, login, method = self._source, self._nonce, request.login, request.method
        answer = request.headers.get("authorization")
        if answer is None or not nonce or source.fault is Fault.AUTH:
            return False
        if login is not None and login.opening == self._opening and proves(login, method, source.proof, nonce):
            return True
        return answers(fields(answer), method=method, proof=source.proof, nonce=nonce)

    def _options(self, request: Request) -> None:
        self._say(200, request.headers, f"Public: {self._source.dialect.public}\r\n")

    def _describe(self, request: Request) -> None:
        stream = self._named(request.url)
        if stream is None or self._source.fault is Fault.NOT_FOUND:
            self._say(404, request.headers)
            return
        reel = self._source.showing(stream)
        if reel is None:
            self._waiting = asyncio.get_running_loop().create_task(self._describe_later(stream, request))
            return
        self._describe_now(reel, request)

    async def _describe_later(self, stream: str, request: Request) -> None:
        reel = await self._source.shown(stream)
        self._waiting = None
        self._describe_now(reel, request)
        self._answer_all()

    def _describe_now(self, reel: Reel, request: Request) -> None:
        base = request.url.rstrip("/")
        extra = f"Content-Type: application/sdp\r\nContent-Base: {base}/\r\n"
        if not self._source.dialect.content_base:
            extra = "Content-Type: application/sdp\r\n"
        self._say(200, request.headers, extra, describe(self._source.dialect, base, self._source.address, reel))

    def _setup(self, request: Request) -> None:
        stream = self._named(request.url, self._source.dialect.track)
        if stream is None or self._source.fault is Fault.NOT_FOUND:
            self._say(404, request.headers)
        elif self._source.fault is Fault.BUSY:
            self._say(453, request.headers)
        elif self.playing:
            self._say(455, request.headers)
        else:
            choices = wanted(request.headers.get("transport", ""))
            choice = next((choice for choice in choices if self._takes(choice)), None)
            if choice is None:
                self._say(self._source.carriage.refusal, request.headers)
                return
            self._stop()
            ssrc = random.getrandbits(32) if choice.datagrams else self._source.ssrc
            carrier = self._open(choice, ssrc)
            if carrier is None:
                self._say(503, request.headers)
                return
            self._playback = Playback(self._source, self._source.board, stream, carrier, ssrc, self.cut)
            self._id = self._id or f"{random.getrandbits(32):08X}"
            session = self._id + self._source.dialect.session_timeout
            self._say(200, request.headers, f"Session: {session}\r\nTransport: {carrier.reply}\r\n")

    def _takes(self, choice: Wanted) -> bool:
        if choice.datagrams:
            return self._source.carriage.udp
        return self._source.carriage.tcp and self._source.fault is not Fault.TCP_REFUSED

    def _open(self, choice: Wanted, ssrc: int) -> Carrier | None:
        """The way out that was asked for; None where the machine has no port or file descriptor left for it."""
        if not choice.datagrams:
            return Interleaved(self._connection, choice.pair[0], ssrc, paced=self._source.paced)
        try:
            peer = self._connection.address()
            return Datagrams(self._source.address, peer, choice.pair, choice.profile, ssrc)
        except OSError:
            return None

    def _play(self, request: Request) -> None:
        if not self._in_session(request):
            return
        playback = self._playback
        if playback is None:
            self._say(455, request.headers)
            return
        playback.aim()
        extra = f"Session: {self._id}\r\nRange: npt=now-\r\n"
        if self._source.dialect.rtp_info:
            extra += f"RTP-Info: url={request.url};seq={playback.sequence};rtptime={playback.timestamp}\r\n"
        connection = self._connection
        if not self._source.paced and not playback.carrier.datagrams:
            connection.hold(reply(self._source.dialect, 200, request.headers.get("cseq", "0"), extra))
            playback.start()
            connection.release()
        else:
            self._say(200, request.headers, extra)
            playback.start()

    def _get_parameter(self, request: Request) -> None:
        if self._in_session(request):
            self._say(200, request.headers, f"Session: {self._id}\r\n" if self._id else "")

    def _teardown(self, request: Request) -> None:
        if self._in_session(request):
            self._stop()
            self._say(200, request.headers)
            self._id = ""

    def _in_session(self, request: Request) -> bool:
        named = request.headers.get("session", "").partition(";")[0].strip()
        if named == self._id or (request.method == "GET_PARAMETER" and not named):
            return True
        self._say(454, request.headers)
        return False

    def _named(self, url: str, track: str = "") -> str | None:
        """Which stream a URL means, or None. With `track` the control part must follow."""
        slash = url.find("/", url.find("://") + 3) if "://" in url else 0
        return named(self._source.dialect, self._source.streams, url[slash:], track)

    def _stop(self) -> None:
        if self._playback is not None:
            self._playback.close()
            self._playback = None

    def _say(self, status: int, asked: Mapping[str, str], extra: str = "", body: bytes = b"") -> None:
        """One reply; `extra` are whole header lines."""
        self._connection.write(reply(self._source.dialect, status, asked.get("cseq", "0"), extra, body))


# An OPTIONS of which only the number matters: thousands of held connections ask nothing else.
_KEEPALIVE = re.compile(
    rb"OPTIONS [^ \r\n]+ RTSP/1\.\d\r\nCSeq: (\d+)\r\n(?:(?:User-Agent|Session): [\x20-\x7e]*\r\n)*\r\n", re.ASCII
)


@lru_cache(maxsize=64)  # dialects
def _alive(dialect: Dialect) -> tuple[bytes, bytes]:
    """Its reply to OPTIONS, before and behind the request's number."""
    before, after = reply(dialect, 200, "\0", f"Public: {dialect.public}\r\n").split(b"\0")
    return before, after


@lru_cache(maxsize=64)
def _asked(dialect: Dialect, *, stale: bool) -> str:
    """Its challenges, header lines, with a NUL where the nonce belongs."""
    asked = challenges(dialect.realm, "\0", qop=dialect.qop, sha256=dialect.sha256, stale=stale)
    return "".join(f"WWW-Authenticate: {one}\r\n" for one in asked)


def reply(dialect: Dialect, status: int, number: str, extra: str = "", body: bytes = b"") -> bytes:
    """A reply in that dialect to the request of this CSeq; `extra` are whole header lines."""
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    head = (
        f"RTSP/1.0 {status} {REASONS[status]}\r\n{dialect.cseq}: {number}\r\nServer: {dialect.server}\r\n"
        f"{extra}{length}\r\n"
    )
    return head.encode() + body


_ANSWERS = {
    "OPTIONS": Session._options,
    "DESCRIBE": Session._describe,
    "SETUP": Session._setup,
    "PLAY": Session._play,
    "GET_PARAMETER": Session._get_parameter,
    "TEARDOWN": Session._teardown,
}
