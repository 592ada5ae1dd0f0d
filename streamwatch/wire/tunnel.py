"""Stage 3, wire: RTSP through HTTP, as QuickTime began it and GStreamer, live555 and cameras of many makers do it.

Two connections share an `x-sessioncookie`. What the device says comes, as it is, after the head of its answer to our
GET. What we say goes, in Base64, after the head of our POST, which is never answered by those who follow the custom.
Apple's description of 1999 is the only specification there is; `Content-Length: 32767` and the `Expires` in the past
are part of what devices look for. HTTP/1.0, so that nobody answers in chunks.

Pure: bytes in, bytes out. `ingest.tunnelling` moves them.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Final

from streamwatch.errors import LookError, Reason, Step
from streamwatch.wire.auth import Authenticator
from streamwatch.wire.rtsp import Headers
from streamwatch.wire.url import parse_address
from streamwatch.wire.words import plain

MAX_HEAD: Final = 16_384  # bytes of one answer's head, provisional ones included; the longest seen has 600
MAX_LINES: Final = 128
GET: Final = "GET"
POST: Final = "POST"
TUNNELLED: Final = "application/x-rtsp-tunnelled"

_STATUS = re.compile(r"HTTP/1\.[01] ([1-5][0-9]{2})(?: (.*))?")
_BEGINS = b"HTTP/1."
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_SHOWN: Final = 40  # characters of what is no answer to HTTP


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of an answer."""

    status: int
    reason: str
    headers: Headers


class AnswerHead:
    """Bytes of one HTTP connection, in any pieces -> the head of the answer, and what comes after it.

    Bare line feeds, empty lines before it, and 1xx answers are taken.
    """

    __slots__ = ("_buffer", "_read", "answer")

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self._buffer = bytearray()
        self._read = 0  # bytes of heads that are done with

    def receive(self, data: bytes) -> Answer | None:
        """Takes what arrived; the answer once its head is whole. Raises LookError(rtsp.transport) for what is none."""
        self._buffer += data
        while self.answer is None:
            self._skip_empty_lines()
            begun = bytes(self._buffer[: len(_BEGINS)])
            if not _BEGINS.startswith(begun) and not begun.startswith(_BEGINS):
                raise _no_tunnel(f"it answers {_shown(self._buffer)!r}, which is not HTTP")
            end = _HEAD_END.search(self._buffer)
            if self._read + (end.end() if end is not None else len(self._buffer)) > MAX_HEAD:
                raise _no_tunnel(f"the head of its answer has more than {MAX_HEAD} bytes")
            if end is None:
                return None
            found = _parsed(bytes(self._buffer[: end.start()]).decode("latin-1"))
            del self._buffer[: end.end()]
            self._read += end.end()
            if found.status >= 200:
                self.answer = found
        return self.answer

    def take_rest(self) -> bytes:
        """What came after the head; each byte is given once."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def _skip_empty_lines(self) -> None:
        at = 0
        while at < len(self._buffer) and self._buffer[at] in b"\r\n":
            at += 1
        self._read += at
        del self._buffer[:at]


class Tunnel:
    """The words of one tunnel. `auth` answers a challenge of either connection; its refusals count for the whole look.

    Raises LookError(rtsp.auth, rtsp.transport, rtsp.busy), step connect.
    """

    def __init__(self, url: str, auth: Authenticator, cookie: str, user_agent: str) -> None:
        address = parse_address(url)
        self._url = address.url
        path = address.path.partition("#")[0]
        self._path = path if path.startswith("/") else f"/{path}"
        self._host = address.origin.authority
        self._auth = auth
        self._cookie = cookie
        self._user_agent = user_agent
        self._answered = {GET: False, POST: False}

    def head(self, method: str) -> bytes:
        """The head to begin a connection with: GET, and once that is answered POST."""
        fields = [("Host", self._host), ("User-Agent", self._user_agent), ("x-sessioncookie", self._cookie)]
        if method == GET:
            fields.append(("Accept", TUNNELLED))
        else:
            fields += [("Content-Type", TUNNELLED), ("Content-Length", "32767")]
            fields.append(("Expires", "Sun, 9 Jan 1972 00:00:00 GMT"))
        fields += [("Pragma", "no-cache"), ("Cache-Control", "no-cache")]
        answer = self._auth.authorization(method, self._url, uri=self._path)
        self._answered[method] = answer is not None
        if method == POST:
            self._auth.renew()  # what RTSP itself will ask for is another challenge
        if answer is not None:
            fields.append(("Authorization", answer))
        lines = [f"{method} {self._path} HTTP/1.0", *(f"{name}: {value}" for name, value in fields)]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"

    def opened_by(self, method: str, answer: Answer) -> bool:
        """Whether the answer to that head opens the tunnel; False: dial again and send the head anew."""
        if answer.status == 401:
            self._challenged(method, answer)
            return False
        if answer.status == 503:
            raise LookError(Reason.RTSP_BUSY, f"the tunnel's {method} was answered with 503", step=Step.CONNECT)
        if answer.status != 200:
            said = f"{answer.status} {_shown(answer.reason.encode('latin-1', 'replace'))}".strip()
            raise _no_tunnel(f"{method} {_shown(self._path.encode('latin-1', 'replace'))} was answered with {said}")
        kind = (answer.headers.get("Content-Type") or "").lower()
        if method == GET and kind.startswith("text/"):
            raise _no_tunnel(f"GET was answered with a page ({_shown(kind.encode('latin-1', 'replace'))})")
        return True

    def _challenged(self, method: str, answer: Answer) -> None:
        try:
            self._auth.challenged(answer.headers.all("WWW-Authenticate"), answered=self._answered[method])
        except LookError as error:
            raise LookError(error.reason, f"{error.detail} (in HTTP, {method})", step=Step.CONNECT) from None


def encoded(data: bytes) -> bytes:
    """What we say, as it goes after the head of POST. Each message is padded by itself, as all clients do."""
    return base64.b64encode(data)


def _parsed(text: str) -> Answer:
    start, *lines = text.replace("\r\n", "\n").split("\n")
    found = _STATUS.fullmatch(start)
    if found is None:
        raise _no_tunnel(f"it answers {_shown(start.encode('latin-1'))!r}, which is not HTTP")
    if len(lines) > MAX_LINES:
        raise _no_tunnel(f"its answer has more than {MAX_LINES} header lines")
    fields = [line.partition(":") for line in lines]
    headers = Headers((name.strip(), value.strip()) for name, colon, value in fields if colon)
    return Answer(int(found[1]), (found[2] or "").strip(), headers)


def _shown(data: bytes | bytearray) -> str:
    return plain(data[:_SHOWN].split(b"\n")[0].rstrip().decode("latin-1"))


def _no_tunnel(detail: str) -> LookError:
    return LookError(Reason.RTSP_TRANSPORT, f"no RTSP through HTTP here: {detail}", step=Step.CONNECT)
