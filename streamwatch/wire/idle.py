"""Stage 3, wire: an open connection in which nothing plays, asked now and then whether the device is still there.

One exchange is OPTIONS and any well-formed answer. Most answers are short and come whole: those are read in passing.
All others go through `RtspParser`, which knows every way to be odd.
"""

from __future__ import annotations

import re
from typing import Final

from streamwatch.errors import LookError, Reason
from streamwatch.wire.exchange import MAX_SERVER_REQUESTS, MAX_STRAY_REPLIES, answer_to
from streamwatch.wire.rtsp import Closed, Request, Response, RtspParser, protocol_error
from streamwatch.wire.words import MAX_SERVER_NAME

MAX_PASSING: Final = 1024  # bytes of an answer that is read in passing; most have 100 to 300
# Bytes that are not read in passing, between two questions: the longest answer with its body, and as much again for
# what a device asks and says besides. A parser of its own would read line ends and foreign packets for ever.
MAX_BETWEEN: Final = 2**18
_LINE = rb"(?:(?![Cc](?:[Ss][Ee][Qq]|[Oo][Nn][Tt][Ee][Nn][Tt]-[Ll]))[A-Za-z-]{1,64}+:[^\x00-\x1f]*+\r\n)*+"
_PLAIN = re.compile(
    rb"RTSP/1\.0 [2-6][0-9][0-9](?: [^\x00-\x1f]*+)?\r\n"
    + _LINE
    + rb"[Cc][Ss][Ee][Qq]: ([0-9]{1,10})\r\n"
    + _LINE
    + rb"\r\n"
)  # "Cseq": H264DVR
_SERVER = re.compile(rb"\n[Ss][Ee][Rr][Vv][Ee][Rr]:(?: ?([!-~](?:[ -~]*[!-~])?)\r\n)?")


def question(url: str, user_agent: str) -> bytes:
    """The first question in a connection."""
    return f"OPTIONS {url} RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: {user_agent}\r\n\r\n".encode("latin-1")


def plain_answer(data: bytes, sequence: int) -> bool:
    """Whether `data` is one answer to the request of that number: whole, short, nothing odd, and nothing behind it."""
    return len(data) <= MAX_PASSING and (found := _PLAIN.fullmatch(data)) is not None and found[1] == b"%d" % sequence


def server_of(answer: bytes) -> str | None:
    """What the device calls itself in a plain answer. Raises ValueError where that is not plain itself."""
    found = _SERVER.search(answer)
    if found is None:
        return None
    if (name := found[1]) is None:
        raise ValueError("the name of a server in other characters, or none")
    return name[:MAX_SERVER_NAME].decode("ascii")


class Idle:
    """The questions of one connection, one at a time. `sequence` is the latest CSeq that was used in it."""

    __slots__ = ("_asked", "_between", "_head", "_like", "_parser", "_served", "_strays", "_tail", "sequence")

    def __init__(self, url: str, user_agent: str, sequence: int = 0, *, session: str | None = None) -> None:
        self.sequence = sequence
        self._head = f"OPTIONS {url} RTSP/1.0\r\nCSeq: ".encode("latin-1")
        named = "" if session is None else f"\r\nSession: {session}"
        self._tail = f"\r\nUser-Agent: {user_agent}{named}\r\n\r\n".encode("latin-1")
        self._asked = False
        self._like: tuple[bytes, bytes] | None = None  # the latest plain answer, before and behind its number
        self._parser: RtspParser | None = None  # while something odd is being read
        self._served = self._strays = self._between = 0  # since the latest question: a connection is held for days

    def ask(self) -> bytes:
        """A question to send. The one before needs no answer any more."""
        self._asked = True
        self._served = self._strays = self._between = 0
        self.sequence += 1
        return b"%b%d%b" % (self._head, self.sequence, self._tail)

    def receive(self, data: bytes) -> tuple[bool, bytes]:
        """Takes what arrived (b"": the peer closed): whether the question is answered, and what is to be sent now.

        Raises LookError: net.reset where the peer closed, rtsp.protocol for what is no RTSP. The connection is of no
        use then.
        """
        if self._parser is None and self._asked and len(data) <= MAX_PASSING:
            like = self._like  # most devices answer the same each time, but for the number
            if (like is not None and data == b"%b%d%b" % (like[0], self.sequence, like[1])) or self._is_plain(data):
                self._asked = False
                return True, b""
        return self._read(data)

    def _is_plain(self, data: bytes) -> bool:
        found = _PLAIN.fullmatch(data)
        if found is None or found[1] != b"%d" % self.sequence:
            return False
        self._like = data[: found.start(1)], data[found.end(1) :]
        return True

    def _read(self, data: bytes) -> tuple[bool, bytes]:
        self._between += len(data)
        if self._between > MAX_BETWEEN:
            raise protocol_error(f"more than {MAX_BETWEEN} bytes that nobody asked for")
        parser = self._parser = self._parser or RtspParser()
        parser.receive(data)
        out: list[bytes] = []
        answered = False
        while (event := parser.next_event()) is not None:
            if isinstance(event, Closed):
                raise LookError(Reason.NET_RESET, "the peer closed the connection")
            if isinstance(event, Request):
                self._served += 1
                if self._served > MAX_SERVER_REQUESTS:
                    raise protocol_error(f"more than {MAX_SERVER_REQUESTS} requests from the device")
                out.append(answer_to(event))
            elif isinstance(event, Response):
                stated = event.headers.get("CSeq")
                if self._asked and event.status >= 200 and stated in {None, "0", str(self.sequence)}:
                    self._asked, answered = False, True
                    continue
                self._strays += 1
                if self._strays > MAX_STRAY_REPLIES:
                    raise protocol_error(f"more than {MAX_STRAY_REPLIES} replies to nothing that we asked")
        if parser.is_empty:
            self._parser = None
        return answered, b"".join(out)
