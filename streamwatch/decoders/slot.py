"""Stage 4: the memory through which keyframes reach a worker: the pool writes it, the worker reads it, nobody copies.

One slot a worker, for its whole life; one keyframe at a time, and none is written while another is being decoded. The
decoder reads the slot itself (PyAV takes the bytes where they are), so the one copy of a keyframe is `put`.

A worker may be taken over by what it decodes. It cannot write a slot (`F_SEAL_FUTURE_WRITE`: only the mapping that the
pool made before may), nor make it smaller under the pool's feet, which would be SIGBUS for us, nor larger, nor take a
seal off; and no worker has the slot of another one.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from typing import Final

from streamwatch.decoders.job import MAX_KEYFRAME_BYTES, PADDING

SLOT_BYTES: Final = MAX_KEYFRAME_BYTES + mmap.PAGESIZE  # pages are only taken as far as the largest keyframe yet
_F_SEAL_FUTURE_WRITE: Final = 0x0010  # linux/fcntl.h, since Linux 5.1; Python has no name for it


class Slot:
    """The pool's side of one slot: writable memory, and its descriptor until a worker has it."""

    def __init__(self) -> None:
        """Raises OSError where the system has no memory or no descriptor left."""
        self.fd = _anonymous()
        try:
            os.ftruncate(self.fd, SLOT_BYTES)
            self._map = mmap.mmap(self.fd, SLOT_BYTES)
            self._view = memoryview(self._map)
            _seal(self.fd)
        except BaseException:
            os.close(self.fd)
            raise

    def put(self, data: bytes) -> None:
        """Writes one keyframe, at most MAX_KEYFRAME_BYTES, and the padding behind it."""
        size = len(data)
        self._view[:size] = data
        self._view[size : size + len(PADDING)] = PADDING

    def passed(self) -> None:
        """The worker has the descriptor: ours is closed, the mapping stays."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def close(self) -> None:
        """Lets go of everything; twice does no harm."""
        self.passed()
        self._view.release()
        self._map.close()


def read_only(fd: int) -> memoryview:
    """The worker's side: the slot, mapped for reading, as long as the view lives."""
    return memoryview(mmap.mmap(fd, SLOT_BYTES, prot=mmap.PROT_READ))


def _anonymous() -> int:
    if sys.platform == "linux":
        return os.memfd_create("streamwatch keyframe", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    else:  # noqa: RET505 - the type checker knows where it is
        with tempfile.TemporaryFile() as file:  # nothing to seal there: the jail is not complete either
            return os.dup(file.fileno())


def _seal(fd: int) -> None:
    """Refuses every later change of the size and every later way to write. On Linux only."""
    if sys.platform == "linux":
        import fcntl

        size = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
        try:
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, size | _F_SEAL_FUTURE_WRITE | fcntl.F_SEAL_SEAL)
        except OSError:  # a kernel before 5.1: a worker could write what it alone reads
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, size | fcntl.F_SEAL_SEAL)
