"""Stage 3, wire: requests and replies of one connection: numbered, answered for, and matched to each other."""

from __future__ import annotations

from typing import Final, NamedTuple

from streamwatch.errors import LookError
from streamwatch.wire.auth import Authenticator
from streamwatch.wire.rtsp import Headers, Request, Response, protocol_error, serialise
from streamwatch.wire.transport import Session, parse_session

MAX_STRAY_REPLIES: Final = 16  # of earlier requests, or provisional (1xx)
MAX_SERVER_REQUESTS: Final = 64  # the chattiest device asks once a minute


class Asked(NamedTuple):
    """A request of ours, as far as it matters to its answer."""

    method: str
    url: str
    answers: bool  # it had an answer to a challenge in it
    in_session: bool


class Exchange:
    """One request is under way at a time. What is to be sent is collected until `take_out`."""

    __slots__ = (
        "_auth",
        "_heard",
        "_out",
        "_pending",
        "_sequence",
        "_server_requests",
        "_strays",
        "_user_agent",
        "session",
    )

    def __init__(self, auth: Authenticator, user_agent: str) -> None:
        self.session: Session | None = None
        self._auth = auth
        self._user_agent = user_agent
        self._out: list[bytes] = []
        self._pending: Asked | None = None
        self._heard = False  # an answer to a challenge of ours was answered
        self._sequence = 0
        self._strays = 0
        self._server_requests = 0

    def ask(self, method: str, url: str, fields: str = "") -> None:
        """A request; `fields` are further header lines, each with its end. Raises LookError(rtsp.redirect) where it
        would carry our password to another host."""
        self._sequence += 1
        answer, session = self._auth.authorization(method, url), self.session
        told = "" if answer is None else f"Authorization: {answer}\r\n"
        named = "" if session is None else f"Session: {session.id}\r\n"
        self._pending = Asked(method, url, answer is not None, session is not None)
        head = f"{method} {url} RTSP/1.0\r\nCSeq: {self._sequence}\r\nUser-Agent: {self._user_agent}\r\n"
        self._out.append(f"{head}{told}{named}{fields}\r\n".encode("latin-1"))

    @property
    def sequence(self) -> int:
        """The latest CSeq."""
        return self._sequence

    @property
    def is_first_answer(self) -> bool:
        """Whether what is under way is our first answer to a challenge in this connection."""
        return self._pending is not None and not self._heard and self._pending.answers

    def match(self, reply: Response) -> Asked | None:
        """The request that it answers; None for a stray one. Raises LookError(rtsp.protocol) for too many of those."""
        pending = self._pending
        stated = reply.headers.get("CSeq")
        stray = pending is None or reply.status < 200
        if stated is not None and not stray:
            if not stated.isdecimal() or len(stated) > 10 or int(stated) > self._sequence:
                raise protocol_error(f"a reply with a CSeq that we never sent, to {self._sequence}")
            # 0 was never asked: HiSilicon's server in Foscam cameras answers so where CSeq is the first header
            stray = 0 < int(stated) < self._sequence
        if stray:
            self._strays += 1
            if self._strays > MAX_STRAY_REPLIES:
                raise protocol_error(f"more than {MAX_STRAY_REPLIES} replies to nothing that we asked")
            return None
        self._heard = self._heard or (pending is not None and pending.answers)
        self._pending = None
        if reply.status == 200 and (stated := reply.headers.get("Session")) is not None:
            self._hear_session(stated)
        return pending

    def _hear_session(self, stated: str) -> None:
        """The latest id holds, also one of before SETUP; a timeout holds on where a later reply leaves it out."""
        before = self.session
        if before is not None and stated == before.id:
            return
        session = parse_session(stated)
        if session is None:
            return
        if before is not None and "timeout" not in stated.lower():
            session = Session(session.id, before.timeout_s)
        self.session = session

    def answers_farewell(self, reply: Response) -> Asked | None:
        """Our TEARDOWN, where this answers it; never raises."""
        pending = self._pending
        if (
            pending is None
            or pending.method != "TEARDOWN"
            or reply.headers.get("CSeq") not in {None, str(self._sequence)}
        ):
            return None
        self._pending = None
        return pending

    def challenged(self, reply: Response, request: Asked, fields: str = "") -> None:
        """A 401: asks again with an answer. Raises LookError(rtsp.auth) where there is none worth sending."""
        self._auth.challenged(reply.headers.all("WWW-Authenticate"), answered=request.answers)
        self.ask(request.method, request.url, fields)

    def try_again(self, reply: Response, request: Asked) -> bool:
        """The same for a request that no look fails for; False where it is not worth it."""
        try:
            self.challenged(reply, request)
        except LookError:
            return False
        return True

    def serve(self, request: Request) -> str | None:
        """The device asks. OPTIONS, and a GET_PARAMETER that asks for nothing, are its keepalives; where REDIRECT sends
        us to is given; anything else is more than we do. Never taken for a reply.
        """
        self._server_requests += 1
        if self._server_requests > MAX_SERVER_REQUESTS:
            raise protocol_error(f"more than {MAX_SERVER_REQUESTS} requests from the device")
        self._out.append(answer_to(request))
        return _sends_on(request)

    def forgive(self) -> None:
        """A session that is watched goes on for months: what a device may send too much of is counted anew."""
        self._strays = self._server_requests = 0

    def proven(self) -> None:
        """An answer of ours was taken: that of a nonce that runs out later is no wrong password before."""
        self._auth.refusals = 0

    def put(self, data: bytes) -> None:
        """Bytes that are no message: a packet of a channel."""
        self._out.append(data)

    def take_out(self) -> bytes:
        """The bytes to send now."""
        out = b"".join(self._out)
        self._out.clear()
        return out


def answer_to(request: Request) -> bytes:
    """What a request of the device's is answered with."""
    method = request.method
    known = method == "OPTIONS" or (method == "GET_PARAMETER" and not request.body) or _sends_on(request) is not None
    fields = [("Public", "OPTIONS")] if method == "OPTIONS" else []
    stated = request.headers.get("CSeq")
    if stated is not None:
        fields.insert(0, ("CSeq", stated))
    status, reason = (200, "OK") if known else (501, "Not Implemented")
    return serialise(Response(status, reason, Headers(fields)))


def _sends_on(request: Request) -> str | None:
    """Where a device sends us to."""
    return request.headers.get("Location") if request.method == "REDIRECT" else None
