"""Stage 1: which line holds the headings, and which column each of them is. Pure.

Lists that people pass on have titles above their headings, asterisks before them, remarks in brackets behind them and
line breaks inside them. None of that counts; but a heading that is still not known refuses the list, because it may be
a misspelt one.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from streamwatch.inventory.columns import Column, Kind
from streamwatch.inventory.notes import SHOWN, Notes
from streamwatch.inventory.records import HEAD_ROWS, Record

ENOUGH: Final = 2  # known headings that make a line the headings
_MARKS: Final = "*＊#:：;；.。、\u200b\ufeff"
_BRACKET = re.compile(r"^[(\[【〔][^()\[\]【】〔〕]*[)\]】〕]|[(\[【〔][^()\[\]【】〔〕]*[)\]】〕]$")
_FULL_WIDTH = re.compile(r"[０-９Ａ-Ｚａ-ｚ：，；．＿]")
_OTHER_SEPARATORS = re.compile(r"[，；\t;|]")


@dataclass(frozen=True, slots=True)
class Table:
    """A list as its reader gives it: the headings with the line of each, and what stands below them."""

    headings: Record
    records: Iterator[Record]
    above: tuple[int, ...] = ()  # lines of titles
    lines: tuple[int, ...] | None = None  # of each heading, where they differ


def fold(heading: str) -> str:
    """A heading as it is compared: width, case, spaces, line breaks and marks around it do not count."""
    plain = "".join(unicodedata.normalize("NFKC", heading).casefold().split())
    return plain.strip(_MARKS)


class Headings:
    """The headings that a kind of list knows."""

    def __init__(self, rules: Kind) -> None:
        self.rules = rules
        self._columns = {fold(name): column for column in rules.columns for name in (column.name, *column.also)}
        self._ignored = {fold(name) for name in rules.ignored} - self._columns.keys()

    def find(self, heading: str) -> tuple[Column | None, bool]:
        """The column, and whether the heading is known: with, or else without, what stands in brackets behind it."""
        folded = fold(heading)
        for text in (folded, fold(_BRACKET.sub("", folded))):
            if text in self._columns:
                return self._columns[text], True
            if text in self._ignored:
                return None, True
        return None, False

    def known(self, cells: Iterable[str]) -> int:
        """How many of the cells are headings that we know."""
        return sum(1 for cell in cells if cell.strip() and self.find(cell)[1])

    def table(self, found: Iterator[Record]) -> Table | None:
        """Finds the headings among the first lines; None where there are none at all.

        They are the line with most known headings; the first line where no line has two.
        """
        head: list[Record] = []
        room = HEAD_ROWS
        for record in found:
            head.append(record)
            room -= not record.blank
            if not room:
                break
        counts = [self.known(record.cells) for record in head]
        best = max(counts, default=0)
        first = next((at for at, record in enumerate(head) if not record.blank), None)
        if first is None:
            return None
        at = counts.index(best) if best >= ENOUGH else first
        above = tuple(record.line for record in head[:at] if not record.blank)
        return Table(head[at], chain(head[at + 1 :], found), above)

    def columns(self, table: Table, refused: Notes, remarks: Notes) -> list[Column | None]:
        """The column of each heading; None for one that is known and not used. What is wrong is noted."""
        head = table.headings
        if head.broken is not None:
            refused.add(head.line, None, "", "bad_line", f"{head.broken}; correct the headings")
            return []
        if table.above:
            remarks.add(table.above[0], None, "", "title", f"skipped as a title; the headings are in line {head.line}")
        if self._other_separator(head, refused):
            return []
        columns: list[Column | None] = []
        unused: list[str] = []
        for at, heading in enumerate(head.cells):
            line = head.line if table.lines is None else table.lines[at]
            columns.append(self._column(line, " ".join(heading.split()), columns, unused, refused, remarks))
        while columns and columns[-1] is None and not head.cells[len(columns) - 1].strip():
            columns.pop()  # spreadsheets leave empty columns at the right
        self._missing(head.line, columns, refused)
        if unused and not refused.total:
            remarks.add(
                head.line, None, " ".join(unused), "unused_columns", "known and not used; nothing is to be done"
            )
        return columns

    def _column(
        self,
        line: int,
        text: str,
        before: Sequence[Column | None],
        unused: list[str],
        refused: Notes,
        remarks: Notes,
    ) -> Column | None:
        column, known = self.find(text)
        if not known:
            if text:
                refused.add(line, text[:SHOWN], text, "unknown_column", f"{self._nearest(text)}, or remove the column")
            return None
        if column is None:
            unused.append(text)
        elif column in before:
            refused.add(line, column.name, text, "duplicate_column", "keep one column of that name")
        elif _FULL_WIDTH.search(text):
            remarks.add(
                line, column.name, text, "full_width", f"read as {column.name}; write it in ordinary (half) width"
            )
        return column

    def _missing(self, line: int, columns: Sequence[Column | None], refused: Notes) -> None:
        there = {column.name for column in columns if column is not None}
        for column in self.rules.columns:
            if not column.required or column.name in there:
                continue
            others, what = self.rules.instead.get(column.name, ((), ""))
            if any(other <= there for other in others):
                continue
            remedy = f"add the column; required are {self.required()}" + (f" ({column.name}: {what})" if what else "")
            refused.add(line, column.name, "", "missing_column", remedy)

    def _other_separator(self, head: Record, refused: Notes) -> bool:
        """Whether the headings stand in one cell because another mark separates them."""
        if len(head.cells) != 1 or self.find(head.cells[0])[1]:
            return False
        parts = _OTHER_SEPARATORS.split(head.cells[0])
        if len(parts) < ENOUGH or self.known(parts) < ENOUGH:
            return False
        remedy = "separate headings and values by ordinary commas (,), semicolons or tabs"
        refused.add(head.line, None, head.cells[0], "wrong_separator", remedy)
        return True

    def _nearest(self, heading: str) -> str:
        near = difflib.get_close_matches(fold(heading), list(self._columns), n=1, cutoff=0.6)
        return f"did you mean {self._columns[near[0]].name}?" if near else "no import file has this column; see docs"

    def required(self) -> str:
        """The required columns, for messages."""
        return ",".join(column.name for column in self.rules.columns if column.required)
