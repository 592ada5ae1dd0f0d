"""Stage 3, wire: bytes of an RTSP connection -> messages and interleaved packets (RFC 2326), and messages -> bytes.

`RtspParser` takes bytes in any pieces and gives the same events for every way of cutting them. It answers an event,
None ("needs more bytes") or raises LookError(rtsp.protocol), after which it stays broken. Text is Latin-1 throughout:
every byte survives, also GBK in a reason phrase. Each tolerance below names who needs it.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import msgspec

from streamwatch.errors import LookError, Reason
from streamwatch.wire.words import plain

MAX_START_LINE: Final = 2048  # bytes; gortsplib allows an URL of 2048
MAX_HEADERS: Final = 255  # gortsplib pkg/base
MAX_HEADER_NAME: Final = 512  # bytes; gortsplib pkg/base
MAX_HEADER_VALUE: Final = 2048  # bytes, of the folded value (gpac #3533); gortsplib pkg/base
MAX_HEADER_LINE: Final = MAX_HEADER_NAME + MAX_HEADER_VALUE + 64  # colon, padding and line end
MAX_BODY: Final = 128 * 1024  # bytes; gortsplib pkg/base. The longest real SDP seen has 2 KiB
MAX_SKIPPED: Final = (
    2**20
)  # bytes of garbage or of foreign channels between two good events: about 3 s of a stale 3 Mbit/s
MAX_QUICK: Final = 1_500  # bytes of a head that is read in one go: below every limit above, and most have 100 to 400
FRAME_HEADER: Final = 4  # "$", channel, 16-bit length: RFC 2326 section 10.12

_DOLLAR = 0x24
_LETTER_R = 0x52
_VERSION = b"RTSP/1.0"
_STATUS_LINE = re.compile(r"RTSP/1\.0 (0|[1-6][0-9]{2})(?: (.*))?", re.DOTALL)  # "RTSP/1.0 0 ": Dahua, to TEARDOWN
_REQUEST_LINE = re.compile(r"([A-Z_]{1,64}) (\S+) RTSP/1\.0")
_OTHER_PROTOCOL = re.compile(r"(?:RTSP|HTTP|SIP)/[0-9]\.[0-9] |ICY ")
_FORBIDDEN = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\r(?!\n|\Z)")
_QUICK_START = re.compile(r"RTSP/1\.0 ([1-6][0-9]{2})(?: ([ -\xff]*))?\r")
_QUICK_FIELD = re.compile(r"\n([!-9;-\x7e]{1,64}): ?((?:[!-\xff](?:[ -\xff]*[!-\xff])?)?)\r")
_LENGTH_NAME = len("content-length")
_QUICK_END = b"\r\n\r\n"
_HEAD_END = re.compile(rb"\n\r?\n")
_LINE_ENDS = re.compile(rb"[\r\n]+")
_DIGITS = re.compile(r"[0-9]{1,10}")


class Headers(tuple[tuple[str, str], ...]):
    """Header fields in the order of the wire; names compare without case (`Cseq`: H264DVR, VLC)."""

    __slots__ = ()

    def get(self, name: str) -> str | None:
        """The first value of that name, or None."""
        wanted = name.lower()
        for key, value in self:
            if key == name or key.lower() == wanted:
                return value
        return None

    def all(self, name: str) -> list[str]:
        """Every value of that name."""
        wanted = name.lower()
        return [value for key, value in self if key.lower() == wanted]


NO_HEADERS: Final = Headers()


class Response(msgspec.Struct, frozen=True, gc=False):
    """A reply. `reason` may be empty."""

    status: int
    reason: str = ""
    headers: Headers = NO_HEADERS
    body: bytes = b""


class Request(msgspec.Struct, frozen=True, gc=False):
    """A request, ours or the server's."""

    method: str
    url: str
    headers: Headers = NO_HEADERS
    body: bytes = b""


class Interleaved(NamedTuple):
    """One packet of a negotiated channel. A tuple, not a dataclass: one is made for every 1,400 bytes of media."""

    channel: int
    payload: bytes


class Closed(msgspec.Struct, frozen=True, gc=False):
    """The peer closed. `clean` is False where it did so inside a message or packet."""

    clean: bool


Message = Response | Request
Event = Response | Request | Interleaved | Closed


def serialise(message: Message) -> bytes:
    """The bytes of a message. A body gets its Content-Length where the headers have none."""
    if isinstance(message, Request):
        start = f"{message.method} {message.url} RTSP/1.0"
    else:
        start = f"RTSP/1.0 {message.status} {message.reason}"
    lines = [start, *(f"{name}: {value}" for name, value in message.headers)]
    if message.body and message.headers.get("Content-Length") is None:
        lines.append(f"Content-Length: {len(message.body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + message.body


def protocol_error(detail: str) -> LookError:
    """What a peer gets that does not speak RTSP as we can understand it."""
    return LookError(Reason.RTSP_PROTOCOL, detail)


class RtspParser:
    """Incremental and linear: every byte is looked at a fixed number of times, however it arrives.

    `channels` are the interleaved channels in use; packets of others are skipped, as they may come from a session that
    the device forgot to end (live555); with `foreign` they are events too. `skipped_bytes` counts all that was skipped,
    `position` all that was consumed.
    """

    __slots__ = (
        "_at",
        "_buffer",
        "_dropped",
        "_eof",
        "_error",
        "_floor",
        "_foreign",
        "_garbage",
        "_head",
        "_scanned",
        "_skipped",
        "channels",
        "skipped_bytes",
    )

    def __init__(self, *, foreign: bool = False) -> None:
        self.channels: frozenset[int] = frozenset()
        self._foreign = foreign
        self._dropped = 0  # bytes that are consumed and no longer in the buffer
        self.skipped_bytes = 0
        self._buffer: bytes | bytearray = b""  # what was received last, where nothing had waited; else a copy
        self._at = 0  # what lies before it is consumed
        self._scanned = 0  # neither a line end nor a forbidden byte between _at and here
        self._floor = 0  # a line that begins before here has a forbidden byte in it
        self._head: _Head | None = None  # a message whose start line has been read
        self._garbage = False  # looking for the next place where something of ours begins
        self._skipped = 0  # since the last good event
        self._eof = False
        self._error: LookError | None = None

    @property
    def position(self) -> int:
        """Bytes of the connection that are consumed, events and skipped ones."""
        return self._dropped + self._at

    @property
    def is_empty(self) -> bool:
        """Whether all that came is consumed, and nothing has begun that goes on."""
        return self._head is None and not self._garbage and self._at >= len(self._buffer)

    def window(self) -> tuple[bytes | bytearray, int] | None:
        """The bytes at hand and where the next event begins in them, for the fast path; None within a message."""
        if self._head is not None or self._garbage or self._error is not None:
            return None
        return self._buffer, self._at

    def advance(self, to: int) -> None:
        """The fast path took complete packets of ours up to there."""
        self._at = self._scanned = to
        self._skipped = 0

    def receive(self, data: bytes) -> None:
        """Takes what arrived; b"" means that the peer closed."""
        if not data:
            self._eof = True
            return
        at = self._at
        if at >= len(self._buffer):
            self._dropped += at
            self._buffer = bytes(data)  # which is no copy of bytes
            self._at = self._scanned = self._floor = 0
            return
        buffer = self._buffer
        if isinstance(buffer, bytes):
            buffer = self._buffer = bytearray(memoryview(buffer)[at:])
        elif at:
            del buffer[:at]  # moves a pointer, not the bytes
        if at:
            self._dropped += at
            self._scanned = max(0, self._scanned - at)
            self._floor = max(0, self._floor - at)
            self._at = 0
        buffer += data

    def next_event(self) -> Event | None:
        """The next event; None needs more bytes; Closed ends it. Raises LookError(rtsp.protocol), again each time."""
        if self._error is not None:
            raise self._error
        event: Event | None = None
        try:
            while True:
                if self._head is not None:
                    event = self._continue_message(self._head)
                    break
                if self._garbage and not self._resynchronise():
                    break
                buffer, at = self._buffer, self._at
                have = len(buffer) - at
                if have <= 0:
                    break
                first = buffer[at]
                if first == _DOLLAR:
                    if have < FRAME_HEADER:
                        break
                    size = FRAME_HEADER + (buffer[at + 2] << 8 | buffer[at + 3])
                    channel = buffer[at + 1]
                    if have < size:
                        break
                    self._at = self._scanned = at + size
                    if channel in self.channels or self._foreign:
                        packet = buffer[at + FRAME_HEADER : at + size]
                        event = Interleaved(channel, packet if type(packet) is bytes else bytes(packet))
                        break
                    self._skip(size)
                elif first == _LETTER_R and (event := self._quick()) is not None:
                    break
                elif first in b"\r\n":  # stray CRLF before "$" (retina 0.4), or after a body
                    run = _LINE_ENDS.match(buffer, at)
                    size = len(run[0]) if run is not None else 1
                    size = min(size, MAX_SKIPPED + 1 - self._skipped)  # no more than the one that is too many
                    self._consume(size)
                    self._skip(size)
                elif not self._begin_message():
                    break
        except LookError as error:
            self._error = error
            self._buffer = b""
            raise
        if event is not None:
            self._skipped = 0
        elif self._eof:
            return Closed(clean=self._head is None and self._at >= len(self._buffer))
        return event

    def _quick(self) -> Response | None:
        """A whole reply, short and as it should be, read in one go; None: it is read line by line."""
        buffer, at = self._buffer, self._at
        end = buffer.find(_QUICK_END, at, at + MAX_QUICK)
        if end < 0 or self._scanned > at:
            return None
        text = buffer[at : end + 1].decode("latin-1")
        start = _QUICK_START.match(text)
        fields = _QUICK_FIELD.findall(text)
        count = len(fields)
        if start is None or count > MAX_HEADERS or text.count("\r\n") != count:
            return None
        if text.count("\n") != count or text.count("\r") != count + 1:  # each of them ends a line
            return None
        stated: str | None = None
        for name, value in fields:
            if len(name) == _LENGTH_NAME and name.lower() == "content-length":
                if stated is not None or _DIGITS.fullmatch(value) is None or int(value) > MAX_BODY:
                    return None
                stated = value
        length = int(stated or 0)
        stop = end + 4 + length
        if stop > len(buffer):
            return None
        body = bytes(memoryview(buffer)[end + 4 : stop]) if length else b""
        self._at = self._scanned = stop
        return Response(int(start[1]), (start[2] or "").strip(" "), Headers(fields), body)

    def _consume(self, count: int) -> None:
        self._at += count
        self._scanned = max(self._scanned, self._at)

    def _skip(self, count: int) -> None:
        self.skipped_bytes += count
        self._skipped += count
        if self._skipped > MAX_SKIPPED:
            raise protocol_error(f"more than {MAX_SKIPPED} bytes that are neither RTSP nor a channel of ours")

    def _line(self, limit: int) -> str | None:
        """The next line without its end (CRLF or bare LF), not yet consumed; None needs more. Raises ValueError."""
        buffer, at = self._buffer, self._at
        fresh = max(at, self._scanned - 1)  # what was not looked at before, and the CR that may have ended it
        longest = at + limit + 2
        end = buffer.find(b"\n", self._scanned, longest)
        stop = min(len(buffer), longest) if end < 0 else end
        self._scanned = stop
        view = buffer[fresh : min(stop, at + limit + 1)]
        if found := _FORBIDDEN.search(view):
            self._scanned = fresh + found.start()
            self._floor = self._scanned + 1
            raise ValueError("a NUL, a control character, or a carriage return without line feed")
        if stop - at > limit + 1:
            raise ValueError(f"a line of more than {limit} bytes")
        if end < 0:
            return None
        line = view if fresh == at else buffer[at:end]
        return line.decode("latin-1").removesuffix("\r")

    def _end_line(self) -> None:
        self._at = self._scanned = self._scanned + 1

    def _begin_message(self) -> bool:
        """Reads a start line, or sees that it is none. False needs more."""
        try:
            line = self._line(MAX_START_LINE)
            if line is None:
                return False
            head = _start(line)
        except ValueError:
            self._garbage = True
            self._consume(1)
            self._skip(1)
            return True
        self._end_line()
        self._head = head
        self._take_headers(head)
        return True

    def _take_headers(self, head: _Head) -> None:
        """All header lines in one go where they are there, few and harmless; else none, and they are read singly."""
        buffer, begin = self._buffer, self._at
        found = _HEAD_END.search(buffer, begin - 1, begin + MAX_HEADER_LINE)  # so short that no line is too long
        if found is None or _FORBIDDEN.search(buffer, begin, found.end()):
            return
        for line in buffer[begin : found.end() - 1].decode("latin-1").split("\n"):
            self._at += len(line) + 1
            self._scanned = self._at
            head.add(line.removesuffix("\r"))

    def _resynchronise(self) -> bool:
        """Throws away what lies before the next version or packet of a channel of ours. False needs more."""
        buffer, at = self._buffer, self._at
        place = buffer.find(_VERSION, max(at, self._floor))
        dollar = buffer.find(b"$", at, place if place >= 0 else len(buffer) - 1)
        while dollar >= 0 and buffer[dollar + 1] not in self.channels:
            dollar = buffer.find(b"$", dollar + 1, place if place >= 0 else len(buffer) - 1)
        place = dollar if dollar >= 0 else place
        self._garbage = place < 0
        if place < 0:  # keep what may be a first part, so that the cut between two reads does not matter
            place = max(at, len(buffer) - len(_VERSION) + 1)
        self._at = place
        self._scanned = max(place, self._scanned)
        self._skip(place - at)
        return not self._garbage

    def _continue_message(self, head: _Head) -> Message | None:
        while not head.complete:
            try:
                line = self._line(MAX_HEADER_LINE)
            except ValueError as error:
                raise protocol_error(f"{error} in a header") from None
            if line is None:
                return None
            self._end_line()
            head.add(line)
        end = self._at + head.length
        if len(self._buffer) < end:
            return None
        body = bytes(memoryview(self._buffer)[self._at : end])
        self._at = self._scanned = end
        self._head = None
        return head.message(body)


def _start(line: str) -> _Head:
    """Raises ValueError for garbage, LookError for another protocol."""
    if found := _STATUS_LINE.fullmatch(line):
        return _Head(status=int(found[1]), reason=(found[2] or "").strip(" \t"))
    if found := _REQUEST_LINE.fullmatch(line):
        return _Head(method=found[1], url=found[2])
    if _OTHER_PROTOCOL.match(line):
        raise protocol_error(
            f"the reply begins with {plain(line[:40])!r}, which is not RTSP/1.0: is this the right port?"
        )
    raise ValueError("not a start line")


class _Head:
    """A message whose body is not there yet. Counts and sizes are checked as the lines come."""

    __slots__ = ("complete", "folds", "length", "method", "names", "reason", "status", "url", "values")

    def __init__(self, *, status: int = 0, reason: str = "", method: str = "", url: str = "") -> None:
        self.status, self.reason, self.method, self.url = status, reason, method, url
        self.names: list[str] = []
        self.values: list[str] = []
        self.folds = 0
        self.complete = False
        self.length = 0

    def add(self, line: str) -> None:
        """Takes one header line, a continuation line, or the empty line that ends the headers."""
        if not line:
            self.length = self._content_length()
            self.complete = True
        elif line[0] in " \t":  # RFC 2326 section 4.2, by way of RFC 2068: folding
            if not self.names:
                raise protocol_error("a continuation line before any header")
            self._count(line)
            self.values[-1] = self._checked(f"{self.values[-1]} {line.strip(' ' + chr(9))}".strip(" \t"))
        else:
            name, colon, value = line.partition(":")
            name = name.rstrip(" \t")
            if not colon:  # "657338e8a4cd1 403 Forbidden" among the headers of Arecont Vision (ZLMediaKit #1246)
                self._count(line)
                return
            if not name:
                raise protocol_error("a header line without a name")
            if len(name) > MAX_HEADER_NAME:
                raise protocol_error(f"a header name of more than {MAX_HEADER_NAME} bytes")
            if len(self.names) >= MAX_HEADERS:
                raise protocol_error(f"more than {MAX_HEADERS} headers")
            self.names.append(name)
            self.values.append(self._checked(value.strip(" \t")))  # "Session:        7": Hikvision; "CSeq: 1 ": longse

    def _count(self, line: str) -> None:
        """A line that is no header of its own."""
        self._checked(line)
        self.folds += 1
        if self.folds > MAX_HEADERS:
            raise protocol_error(f"more than {MAX_HEADERS} lines that continue a header, or are none")

    @staticmethod
    def _checked(value: str) -> str:
        if len(value) > MAX_HEADER_VALUE:
            raise protocol_error(f"a header value of more than {MAX_HEADER_VALUE} bytes")
        return value

    def _content_length(self) -> int:
        stated = {
            value for name, value in zip(self.names, self.values, strict=True) if name.lower() == "content-length"
        }
        if not stated:
            return 0
        value = stated.pop()
        if stated or _DIGITS.fullmatch(value) is None:
            raise protocol_error("a Content-Length that is not one plain number")
        if int(value) > MAX_BODY:
            raise protocol_error(f"a body of {value} bytes; {MAX_BODY} are the most")
        return int(value)

    def message(self, body: bytes) -> Message:
        """The finished message."""
        headers = Headers(zip(self.names, self.values, strict=True))
        if self.method:
            return Request(self.method, self.url, headers, body)
        return Response(self.status, self.reason, headers, body)
