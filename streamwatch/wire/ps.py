"""Stage 3, wire: an MPEG program stream (ISO/IEC 13818-1 clause 2.5) in pieces of any size -> its video, in pieces.

GB/T 28181 devices send their video so (annex C). Clauses are 13818-1's. What is between the packets of the video
(packs, system headers, audio, private streams, padding) is passed over; the map says the codec, where one comes.

The end of a video packet is where the next start code of the system layer stands, not where PES_packet_length says:
that is 0 in some streams and, for pictures above 64 KiB, wrong in others, while neither H.264 nor H.265 has such a
start code in it (their units begin with a bit of 0, those codes are 0xB9 and above).
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

CODE: Final = 4  # bytes of a start code, clause 2.5.3.4
FIRST_SYSTEM_CODE: Final = 0xB9
END: Final = 0xB9  # MPEG_program_end_code
PACK: Final = 0xBA
MAP: Final = 0xBC  # table 2-22
FIRST_VIDEO: Final = 0xE0
LAST_VIDEO: Final = 0xEF
MAX_MAP: Final = 0x3FA  # bytes, clause 2.5.4.2: program_stream_map_length
PES_HEADER: Final = 9  # bytes up to and with PES_header_data_length, clause 2.4.3.6
MAX_STUFFING: Final = 16  # bytes, ISO/IEC 11172-1 clause 2.4.3.3
MAX_HELD: Final = CODE + 2 + MAX_MAP  # bytes that wait for more: a map is the longest thing that is read whole

_PACK_LENGTH: Final = 14  # with MPEG-2's clock reference; behind it up to 7 bytes of stuffing
_PACK_LENGTH_MPEG1: Final = 12  # ISO/IEC 11172-1 clause 2.4.3.2
_SYSTEM_CODE: Final = re.compile(rb"\x00\x00\x01[\xb9-\xff]")


class Piece(NamedTuple):
    """Bytes of the video's elementary stream. `pts` (90 kHz, 33 bits) is its packet's, with the first piece of one."""

    data: bytes
    pts: int | None


class ProgramStream:
    """One stream's state. Takes bytes as they come, and is told where some are missing.

    `stream_type` is the video's in the map (table 2-34), None where none came. `scrambled` counts packets of the video
    that say that they are encrypted; their bytes are kept back. `malformed` counts what made no sense.
    """

    __slots__ = ("_buffer", "_in_video", "_left", "_lost", "_pts", "_video", "malformed", "scrambled", "stream_type")

    def __init__(self) -> None:
        self.stream_type: int | None = None
        self.scrambled = self.malformed = 0
        self._buffer = bytearray()
        self._left = 0  # bytes to pass over
        self._in_video = False
        self._lost = True  # looking for the next start code, as at the beginning
        self._video: int | None = None  # stream_id
        self._pts: int | None = None

    def push(self, data: bytes) -> list[Piece]:
        """Takes the next bytes, gives those of the video. Never raises."""
        self._buffer += data
        pieces: list[Piece] = []
        while self._step(pieces):
            pass
        return pieces

    def lose(self) -> None:
        """Bytes are missing here: the next start code of the system layer is looked for."""
        self._buffer.clear()
        self._left = 0
        self._in_video = False
        self._lost = True

    def _step(self, pieces: list[Piece]) -> bool:
        """One move; False where more bytes are needed."""
        buffer = self._buffer
        if self._left:
            size = min(self._left, len(buffer))
            del buffer[:size]
            self._left -= size
            return size > 0
        found = _SYSTEM_CODE.search(buffer)
        at = found.start() if found is not None else len(buffer) - _begun_code(buffer)
        if at:
            self._between(bytes(buffer[:at]), pieces)
            del buffer[:at]
        if found is None:
            return False
        length = self._packet()
        if length is None:
            return False
        del buffer[:length]
        return True

    def _between(self, data: bytes, pieces: list[Piece]) -> None:
        """What stands before the next start code."""
        if self._in_video:
            pieces.append(Piece(data, self._pts))
            self._pts = None
        elif not self._lost:  # a length that was wrong
            self.malformed += 1
            self._lost = True

    def _packet(self) -> int | None:
        """The buffer begins with a start code: how many bytes are read with that; None: more are needed."""
        buffer = self._buffer
        code = buffer[3]
        if code == END:
            return self._found(CODE)
        if code == PACK:
            return self._pack()
        if len(buffer) < CODE + 2:
            return None
        length = buffer[4] << 8 | buffer[5]
        if FIRST_VIDEO <= code <= LAST_VIDEO and self._video in {None, code}:
            return self._video_header(code, length)
        if code == MAP and length <= MAX_MAP:
            if len(buffer) < CODE + 2 + length:
                return None
            self._read_map(bytes(buffer[CODE + 2 : CODE + 2 + length]))
            return self._found(CODE + 2 + length)
        self._left = length
        return self._found(CODE + 2)

    def _found(self, length: int) -> int:
        self._in_video = self._lost = False
        return length

    def _broken(self) -> int:
        """Takes a start code for nothing."""
        self.malformed += 1
        self._in_video = False
        self._lost = True
        return CODE

    def _pack(self) -> int | None:
        buffer = self._buffer
        if len(buffer) < _PACK_LENGTH_MPEG1:
            return None
        if buffer[4] >> 4 == 0b0010:
            return self._found(_PACK_LENGTH_MPEG1)
        if buffer[4] >> 6 != 0b01:
            return self._broken()
        if len(buffer) < _PACK_LENGTH:
            return None
        self._left = buffer[13] & 0x07
        return self._found(_PACK_LENGTH)

    def _video_header(self, code: int, length: int) -> int | None:
        """Clause 2.4.3.6; a packet of an MPEG-1 system stream (ISO/IEC 11172-1) has another header."""
        buffer = self._buffer
        if len(buffer) < PES_HEADER:
            return None
        if buffer[6] >> 6 != 0b10:
            return self._video_header_mpeg1(code)
        end = PES_HEADER + buffer[8]
        if len(buffer) < end:
            return None
        if length and end > CODE + 2 + length:
            return self._broken()
        if buffer[7] & 0x80 and buffer[8] >= 5:
            self._pts = _time(buffer, PES_HEADER)
        return self._begin(code, end, scrambled=buffer[6] & 0x30 != 0)

    def _video_header_mpeg1(self, code: int) -> int | None:
        buffer = self._buffer
        if len(buffer) < CODE + 2 + MAX_STUFFING + 12:  # all that may come: stuffing, buffer size, PTS and DTS
            return None
        at = CODE + 2
        while buffer[at] == 0xFF and at < CODE + 2 + MAX_STUFFING:
            at += 1
        if buffer[at] >> 6 == 0b01:
            at += 2
        kind = buffer[at] >> 4
        if kind in {0b0010, 0b0011}:
            self._pts = _time(buffer, at)
            return self._begin(code, at + (5 if kind == 0b0010 else 10))
        return self._begin(code, at + 1) if buffer[at] == 0x0F else self._broken()

    def _begin(self, code: int, length: int, *, scrambled: bool = False) -> int:
        self._video = code
        self._found(length)
        self.scrambled += scrambled
        self._in_video = not scrambled
        self._lost = scrambled
        return length

    def _read_map(self, body: bytes) -> None:
        """Clause 2.5.4: the first video in it. Its CRC is not looked at: devices write 0 there."""
        if len(body) < 6:
            self.malformed += 1
            return
        at = 4 + (body[2] << 8 | body[3])  # behind the program's own descriptors
        if at + 2 > len(body):
            self.malformed += 1
            return
        end = min(len(body), at + 2 + (body[at] << 8 | body[at + 1]))
        at += 2
        while at + 4 <= end:
            kind, stream = body[at], body[at + 1]
            if FIRST_VIDEO <= stream <= LAST_VIDEO:
                self.stream_type, self._video = kind, stream
                return
            at += 4 + (body[at + 2] << 8 | body[at + 3])


def _begun_code(buffer: bytearray) -> int:
    """How many bytes at the end may begin a start code."""
    return next((size for size in (3, 2, 1) if buffer.endswith(b"\x00\x00\x01"[:size])), 0)


def _time(data: bytearray, at: int) -> int:
    """33 bits in five bytes with their marker bits."""
    return (
        (data[at] & 0x0E) << 29
        | data[at + 1] << 22
        | (data[at + 2] & 0xFE) << 14
        | data[at + 3] << 7
        | data[at + 4] >> 1
    )
