"""Length-prefixed frames for our own sockets, sans-IO: four bytes of big-endian length, then that many bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

_LENGTH: Final = struct.Struct(">I")
MAX_FRAME_BYTES: Final = 256 * 2**20  # a snapshot of 126,000 cameras is about 60 MB; four times that is a broken peer


class FrameError(ValueError):
    """The peer announced a frame larger than any that we send: the stream cannot be trusted any more."""


def frame(body: bytes) -> bytes:
    """`body` as it goes over the socket."""
    if len(body) > MAX_FRAME_BYTES:
        raise FrameError(f"a frame of {len(body)} bytes is over the limit of {MAX_FRAME_BYTES}")
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Bytes in, whole frames out."""

    def __init__(self, limit: int = MAX_FRAME_BYTES) -> None:
        self._buffer = bytearray()
        self._limit = limit

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yields every frame that is whole now. Raises FrameError for an impossible length."""
        self._buffer += data
        at = 0
        try:
            while len(self._buffer) - at >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(self._buffer, at)
                if length > self._limit:
                    raise FrameError(f"the peer announced a frame of {length} bytes; the limit is {self._limit}")
                end = at + _LENGTH.size + length
                if len(self._buffer) < end:
                    break
                body = bytes(memoryview(self._buffer)[at + _LENGTH.size : end])
                at = end
                yield body
        finally:
            del self._buffer[:at]
