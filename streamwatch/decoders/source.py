"""Stage 4, for files: an open file that a jailed worker may read through us, piece by piece.

The worker has no file, no path and no system call to get one: it asks for ranges over its socket, and the pool answers
with their bytes. So a large clip is never in memory as a whole, and the jail stays as it is for keyframes.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from streamwatch.decoders.recognise import HEAD_BYTES, FileCode, FileError, Known, recognise

MAX_FILE_BYTES: Final = 4 * 2**30  # two hours at 4 Mbit/s; read in pieces, so the time it takes is the real bound
MAX_STILL_BYTES: Final = 64 * 2**20  # one picture, read whole: 50 megapixels as PNG with little to compress


class Source:
    """One regular file, open for reading. Close it, or use it as a context manager."""

    def __init__(self, fd: int, size: int, known: Known) -> None:
        self._fd = fd
        self.size = size
        self.known = known

    @classmethod
    def open(cls, path: Path) -> Source:
        """Opens `path` and recognises it. Never waits: pipes and devices are refused before they are opened.

        Raises FileError.
        """
        try:
            _require_regular(path.stat().st_mode)
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except (OSError, ValueError) as error:  # ValueError: a name with a null byte
            raise _unopened(error) from error
        try:
            found = os.fstat(fd)
            _require_regular(found.st_mode)  # as it is now, whatever it was a moment ago
            if found.st_size == 0:
                raise FileError(FileCode.EMPTY, "the file has no bytes")
            known = recognise(os.pread(fd, HEAD_BYTES, 0))
            limit = MAX_STILL_BYTES if known.still else MAX_FILE_BYTES
            if found.st_size > limit:
                remedy = "save the picture smaller" if known.still else "cut the clip into shorter ones"
                detail = f"{found.st_size:,} bytes are over the limit of {limit:,}: {remedy}"
                raise FileError(FileCode.TOO_LARGE, detail)
        except OSError as error:
            os.close(fd)
            raise _unopened(error) from error
        except BaseException:
            os.close(fd)
            raise
        return cls(fd, found.st_size, known)

    def read(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset`; fewer, or none, at the end of the file. Raises FileError."""
        try:
            return os.pread(self._fd, size, offset)
        except OSError as error:
            raise FileError(FileCode.UNREADABLE, f"reading failed at byte {offset}: {error.strerror}") from error

    def close(self) -> None:
        """Closes the file; twice does no harm."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _require_regular(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise FileError(FileCode.DIRECTORY, "this is a folder: name the files in it, such as FOLDER/*.jpg")
    if not stat.S_ISREG(mode):
        raise FileError(FileCode.NOT_A_FILE, "this is a pipe, socket or device: save what it gives to a file first")


def _unopened(error: OSError | ValueError) -> FileError:
    match error:
        case FileNotFoundError() | NotADirectoryError() | ValueError():
            return FileError(FileCode.MISSING, "there is no such file: is the name right, and does it belong here?")
        case PermissionError():
            return FileError(FileCode.DENIED, "this account may not read it: change its owner or mode")
    return FileError(FileCode.UNREADABLE, f"it cannot be opened: {error.strerror}")
