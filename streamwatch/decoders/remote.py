"""Stage 4, for files, in the worker: a file that is read by asking the pool for it, over the socket that is there."""

from __future__ import annotations

import os
from collections.abc import Callable

from streamwatch.decoders.job import MAX_CHUNK_BYTES, Frame, Want, framed, read_message, write_all

Ask = Callable[[Want | Frame], bytes]
"""Says one thing and gives what is answered: the bytes wanted, or nothing."""


class Remote:
    """What PyAV and we take for an open file of `size` bytes."""

    def __init__(self, ask: Ask, size: int) -> None:
        self._ask = ask
        self._size = size
        self._at = 0

    def read(self, size: int) -> bytes:
        """The next bytes: at most `size` (PyAV copies what comes into a buffer of that size), none at the end."""
        wanted = min(size, self._size - self._at, MAX_CHUNK_BYTES)
        if wanted <= 0:
            return b""
        found = self._ask(Want(self._at, wanted))[:wanted]
        self._at += len(found)
        return found

    def read_all(self) -> bytes:
        """Everything from here to the end."""
        parts = []
        while part := self.read(MAX_CHUNK_BYTES):
            parts.append(part)
        return b"".join(parts)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves; the new place. Behind the end there is nothing to read, as in a file that was cut short.

        Raises ValueError for a place before the beginning.
        """
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError(f"byte {start + offset} is before the beginning of a file")
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        """Where the next byte comes from."""
        return self._at


def asking(fd: int) -> Ask:
    """How a worker asks the pool over its socket. What it gives raises EOFError where the pool hangs up."""
    buffer = bytearray()

    def ask(value: Want | Frame) -> bytes:
        write_all(fd, framed(value))
        answer = read_message(fd, buffer)
        if answer is None:
            raise EOFError("the pool hung up")
        return bytes(answer)

    return ask
