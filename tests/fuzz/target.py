"""What a fuzz target is, and how an input is turned into pieces, lines and packets."""

from __future__ import annotations

import hashlib
import random
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

CORPUS = Path(__file__).with_name("corpus")
SIZE = 64 * 1024  # bytes: what the bounds of goal R14 are given for
CPU_S = 0.1  # for so much, goal R14
ROOM = 4 * SIZE + 2**20  # bytes, the same


@dataclass(frozen=True)
class Target:
    """One parser. `parse` only parses, and is what time and memory are measured of; `check` holds its laws as well.

    Neither may raise anything but `declared`. `seeds` are good inputs, `hostile` traps of SIZE bytes by name,
    `words` what a mutation may put in. `room` is the bound of memory where it is not the goal's, with `why`.
    """

    name: str
    parse: Callable[[bytes], object]
    check: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    hostile: Callable[[], Mapping[str, bytes]]
    declared: tuple[type[Exception], ...] = ()
    words: tuple[bytes, ...] = ()
    room: int = ROOM
    why: str = ""
    gortsplib: tuple[str, ...] = field(default=())  # beginnings of file names in its corpus

    def accepts(self, data: bytes) -> bool:
        """Runs one input, laws included; False where it was refused by a declared error."""
        try:
            self.check(data)
        except self.declared:
            return False
        return True

    def stored(self) -> list[Path]:
        """Inputs that were worth keeping: every one that once broke it, and those of its corpus."""
        return sorted((CORPUS / self.name).glob("*"))

    def keep(self, data: bytes) -> Path:
        """Stores an input."""
        path = CORPUS / self.name / hashlib.sha256(data).hexdigest()[:16]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path


def filled(pattern: bytes, head: bytes = b"", tail: bytes = b"") -> bytes:
    """SIZE bytes: `pattern` over and over between head and tail."""
    room = SIZE - len(head) - len(tail)
    return head + (pattern * (room // len(pattern) + 1))[:room] + tail


def chance(data: bytes) -> random.Random:
    """The same for the same input, and without a share of its bytes."""
    return random.Random(zlib.crc32(data))


def pieces(data: bytes, dice: random.Random) -> list[bytes]:
    """`data` cut in up to eight places, or into small pieces of one size."""
    if not data:
        return []
    if dice.random() < 0.3:
        size = dice.choice((1, 2, 3, 7, 64)) if len(data) < 4096 else dice.choice((64, 1000, 1460))
        return [data[at : at + size] for at in range(0, len(data), size)]
    places = sorted({dice.randrange(len(data)) for _ in range(dice.randrange(1, 9))} - {0})
    return [data[begin:end] for begin, end in zip([0, *places], [*places, len(data)], strict=True)]


class Reader:
    """Takes an input as small decisions; past its end all of them are 0."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def byte(self) -> int:
        """0 to 255."""
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def word(self) -> int:
        """0 to 65,535."""
        return self.byte() << 8 | self.byte()

    def take(self, count: int) -> bytes:
        """At most so many bytes."""
        self._at += count
        return self._data[self._at - count : self._at]

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(max(0, len(self._data) - self._at))

    def sized(self) -> Iterator[tuple[int, bytes]]:
        """Records: a byte of flags, a length of two bytes, and so many bytes."""
        while self:
            flags = self.byte()
            yield flags, self.take(self.word())


def records(parts: list[tuple[int, bytes]]) -> bytes:
    """The input that `Reader.sized` reads as `parts`."""
    return b"".join(bytes((flags,)) + len(part).to_bytes(2, "big") + part for flags, part in parts)
