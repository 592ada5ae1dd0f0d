"""The farm's own reading of RTSP requests (RFC 2326) and writing of replies; it knows no session and no socket."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

MAX_HEAD = 16 * 1024  # bytes of request line and headers; ours are below 1 KiB, a Digest answer below 2
MAX_BODY = 16 * 1024  # GET_PARAMETER bodies are a few lines

REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    453: "Not Enough Bandwidth",
    454: "Session Not Found",
    455: "Method Not Valid in This State",
    461: "Unsupported Transport",
    503: "Service Unavailable",
}  # RFC 2326 section 7.1.1

_PAIR = re.compile(r"(\d{1,5})(?:\s*-\s*(\d{1,5}))?")


class RequestError(ValueError):
    """The bytes are no RTSP request: answer 400 and close."""


class Login(NamedTuple):
    """A Digest answer as most clients write it: `opening` is its text from `username` to the quote before `uri`; what
    it does not have is empty."""

    opening: str
    uri: str
    response: str
    algorithm: str
    nc: str
    cnonce: str


class Request(NamedTuple):
    """One request; header names are in lower case. `login` is what its Authorization says, where `quick` knows that."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""
    login: Login | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """One choice of a Transport header: channels of the RTSP connection, or a client's ports for RTP and RTCP."""

    profile: str
    datagrams: bool
    pair: tuple[int, int]


@lru_cache(maxsize=256)  # a client writes the same ones again and again
def wanted(transport: str) -> tuple[Wanted, ...]:
    """The choices of a Transport header (RFC 2326 section 12.39) in the client's order, without those that make no
    sense here: multicast, other profiles than RTP/AVP, numbers out of range, datagrams without a port to go to."""
    out = []
    for choice in transport.split(","):
        profile, *rest = (part.strip() for part in choice.split(";"))
        parameters = {name.strip().lower(): value for name, _, value in (part.partition("=") for part in rest)}
        kind = profile.upper()
        datagrams = kind in ("RTP/AVP", "RTP/AVP/UDP")
        if "multicast" in parameters or not (datagrams or kind == "RTP/AVP/TCP"):
            continue
        found = _PAIR.fullmatch(parameters.get("client_port" if datagrams else "interleaved", "").strip())
        if found is None:
            if not datagrams:
                out.append(Wanted(profile, datagrams, (0, 1)))
            continue
        pair = (int(found[1]), int(found[2]) if found[2] else int(found[1]) + 1)
        lowest, highest = (1, 0xFFFF) if datagrams else (0, 0xFF)
        if lowest <= min(pair) and max(pair) <= highest:
            out.append(Wanted(profile, datagrams, pair))
    return tuple(out)


@dataclass(slots=True)
class RequestReader:
    """Bytes in by `feed`, requests out by `next`; interleaved packets that a client sends (RTCP) are skipped."""

    _buffer: bytearray = field(default_factory=bytearray)

    @property
    def empty(self) -> bool:
        """Whether no bytes wait for others to become a request."""
        return not self._buffer

    def feed(self, data: bytes) -> None:
        """Takes bytes from the connection. Raises RequestError when a request grows beyond every sensible size."""
        self._buffer += data
        if len(self._buffer) > MAX_HEAD + MAX_BODY + 0x10004:  # one interleaved packet is at most 4 + 65,535 bytes
            raise RequestError("more bytes wait than a request may have")

    def next(self) -> Request | None:
        """The next whole request, or None while bytes are missing. Raises RequestError."""
        buffer = self._buffer
        while buffer:
            if buffer[0] == 0x24:  # '$': RFC 2326 section 10.12
                size = 4 + int.from_bytes(buffer[2:4], "big")
                if len(buffer) < 4 or len(buffer) < size:
                    return None
                del buffer[:size]
            elif buffer[0] in b"\r\n":
                del buffer[0]
            else:
                return self._request()
        return None

    def _request(self) -> Request | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or end > MAX_HEAD:
            if len(self._buffer) > MAX_HEAD:
                raise RequestError("headers are too long")
            return None
        lines = bytes(self._buffer[:end]).decode("utf-8", "replace").split("\r\n")
        parts = lines[0].split(" ")
        if len(parts) != 3 or not parts[2].startswith("RTSP/1."):
            raise RequestError(f"not an RTSP request line: {lines[0][:80]!r}")
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon:
                raise RequestError(f"not a header: {line[:80]!r}")
            headers[name.strip().lower()] = value.strip()
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length) > MAX_BODY:
            raise RequestError(f"Content-Length is {length[:20]!r}, at most {MAX_BODY} is taken")
        stop = end + 4 + int(length)
        if len(self._buffer) < stop:
            return None
        body = bytes(self._buffer[end + 4 : stop])
        del self._buffer[:stop]
        return Request(parts[0], parts[1], headers, body)


def quick(data: bytes) -> Request | None:
    """The request that these bytes are, all of one and nothing else, as most clients write it: headers in their usual
    order and spelling, of which it keeps what a camera looks at, no body. None where they are anything else, which is
    for `RequestReader` to say."""
    try:
        found = _USUAL.fullmatch(data.decode("ascii"))
    except UnicodeDecodeError:
        return None
    if found is None:
        return None
    method, url, number, answer, opening, uri, response, algorithm, nc, cnonce, session, transport = found.groups("")
    headers = {"cseq": number}
    if session:
        headers["session"] = session
    if transport:
        headers["transport"] = transport
    if not answer:
        return Request(method, url, headers)
    headers["authorization"] = answer
    return Request(method, url, headers, b"", Login(opening, uri, response, algorithm, nc, cnonce))


_OTHERS = r"(?:(?:User-Agent|Accept|Range): [^\r\n]*\r\n)*"
_USUAL = re.compile(
    r"([A-Z_]+) ([^ \r\n]+) RTSP/1\.[^ \r\n]*\r\nCSeq: (\d+)\r\n" + _OTHERS
    + r'(?:Authorization: (Digest (username="[^"\r\n]*", realm="[^"\r\n]*", nonce="[^"\r\n]*", uri=")([^"\r\n]*)"'
    r', response="([0-9a-f]+)"(?:, algorithm="?([\w-]+)"?)?'
    r'(?:, qop="?auth"?, nc=([0-9a-f]{8}), cnonce="([^"\r\n]*)")?)\r\n)?'
    r"(?:Session: ([!-~]+)\r\n)?(?:Transport: ([!-~]+)\r\n)?" + _OTHERS + r"\r\n",
    re.ASCII,
)  # fmt: skip
