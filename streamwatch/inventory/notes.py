"""Stage 1: what is to be said of the lines of one file, bounded: refusals, and remarks about what was taken."""

from __future__ import annotations

from collections import Counter
from typing import Final

from streamwatch.inventory.addresses import mask_address
from streamwatch.inventory.columns import Column
from streamwatch.inventory.parsed import MASKED, Rejection

SHOWN: Final = 60  # characters of a bad value in a message
MAX_OF_A_CODE: Final = 200  # remarks of one kind: one habit of a list must not hide the others


class Notes:
    """The first `cap` notes are kept, `of_a_code` at most of each code; all are counted by line."""

    def __init__(self, cap: int, of_a_code: int | None = None) -> None:
        self._cap = cap
        self._of_a_code = cap if of_a_code is None else of_a_code
        self._codes: Counter[str] = Counter()
        self._kept: list[Rejection] = []
        self._last_line = 0
        self.total = 0

    def add(self, line: int, column: Column | str | None, value: str, code: str, remedy: str) -> None:
        """One note; a value that may be secret is masked."""
        if line != self._last_line:
            self.total += 1
            self._last_line = line
        if len(self._kept) >= self._cap or self._codes[code] >= self._of_a_code:
            return
        self._codes[code] += 1
        if isinstance(column, Column):
            value = MASKED if column.secret and value else mask_address(value) if column.address else value
            column = column.name
        self._kept.append(Rejection(line, column, value[:SHOWN], code, remedy))

    def kept(self) -> tuple[Rejection, ...]:
        """Those that are kept, in the order of their lines."""
        return tuple(sorted(self._kept, key=lambda note: note.line))
