"""Stage 1: one sheet of a workbook, element by element -> records. Knows cells, nothing of files or of cameras."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from streamwatch.inventory.records import MAX_RECORD_CHARS, Record
from streamwatch.inventory.values import bool_text, date_text, number_text, unescaped

MAX_COLUMNS: Final = 256  # the longest forms of 一机一档 have 73

_FORMULA: Final = ("formula", "its formula has no saved result; open and save the workbook, or paste the values")
_ERROR: Final = ("cell_error", "the cell holds a spreadsheet's error; correct its formula or write the value")
_LETTERS = re.compile(r"[A-Z]{1,3}")


@dataclass(slots=True)
class Sheet:
    """Gathers the rows of one sheet (18.3.1.73) from its elements."""

    strings: list[str]
    dates: frozenset[int]
    merges: Mapping[tuple[int, int], int]
    epoch_1904: bool
    _rows: list[Record] = field(default_factory=list)
    _down: dict[int, tuple[int, str]] = field(default_factory=dict)  # column -> last row and value of a merged cell
    _row: int = 0
    _last_row: int = 0
    _cells: list[str] = field(default_factory=list)
    _odd: dict[int, tuple[str, str]] = field(default_factory=dict)
    _broken: str | None = None
    _size: int = 0
    _at: int = -1  # column
    _type: str = "n"
    _style: str = ""
    _formula: bool = False
    _pieces: list[str] = field(default_factory=list)
    _places: dict[str, int] = field(default_factory=dict)
    _phonetic: bool = False
    _inside: bool = False  # v, or t of an inline string

    def taken(self) -> list[Record]:
        """The rows that are whole since the last call."""
        rows, self._rows = self._rows, []
        return rows

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        if name == "c":
            place = attributes.get("r")
            self._at = self._at + 1 if place is None else self._place(place.rstrip("0123456789"))
            self._type = attributes.get("t", "n")
            self._style = attributes.get("s", "")
            self._formula = False
            self._pieces = []
        elif name == "v" or name == "t":
            self._inside = not self._phonetic
        elif name == "f":
            self._formula = True
        elif name == "rPh":
            self._phonetic = True
        elif name == "row":
            number = attributes.get("r", "")
            self._row = int(number) if number.isdecimal() and len(number) <= 7 else self._row + 1
            self._cells, self._odd, self._broken, self._size, self._at = [], {}, None, 0, -1

    def _place(self, letters: str) -> int:
        at = self._places.get(letters)
        if at is None:
            known = _LETTERS.fullmatch(letters) is not None
            at = column_place(letters) if known else self._at + 1
            if known:
                self._places[letters] = at  # at most 18,278
        return at

    def text(self, piece: str) -> None:
        """Text, of a value or between elements."""
        if self._inside:
            self._size += len(piece)
            if self._size <= MAX_RECORD_CHARS:
                self._pieces.append(piece)

    def end(self, name: str) -> None:
        """An element ends."""
        if name == "v" or name == "t":
            self._inside = False
        elif name == "c":
            self._cell()
        elif name == "rPh":
            self._phonetic = False
        elif name == "row":
            self._end_row()

    def _cell(self) -> None:
        raw = "".join(self._pieces)
        if not raw and not self._formula:
            return
        if self._at >= MAX_COLUMNS:
            self._broken = f"has more than {MAX_COLUMNS} columns"
            return
        text, odd = self._value(raw)
        if odd is not None:
            self._odd[self._at] = odd
        if text or odd is not None:
            self._put(self._at, text)

    def _value(self, raw: str) -> tuple[str, tuple[str, str] | None]:
        """The text of a cell (18.18.11 ST_CellType), and why it is none."""
        kind = self._type
        if kind == "s":
            at = int(raw) if raw.isdecimal() and len(raw) < 9 else -1
            return (self.strings[at], None) if 0 <= at < len(self.strings) else ("", _ERROR)
        if self._formula and not raw:
            return "", _FORMULA if kind != "str" else None  # a formula may give the empty text
        if kind == "n":
            return self._number(raw), None
        if kind == "b":
            return bool_text(raw.strip() == "1"), None
        if kind == "e":
            return raw, _ERROR
        if kind == "d":
            return raw.replace("T00:00:00", ""), None
        return unescaped(raw), None

    def _number(self, raw: str) -> str:
        try:
            number = float(raw)
        except ValueError:
            return raw
        if self._style and self._style.isdecimal() and int(self._style) in self.dates:
            found = date_text(number, epoch_1904=self.epoch_1904)
            if found is not None:
                return found
        return number_text(number)

    def _put(self, at: int, text: str) -> None:
        cells = self._cells
        missing = at - len(cells)
        if missing == 0:
            cells.append(text)
        elif missing > 0:
            cells.extend([""] * missing)
            cells.append(text)
        else:
            cells[at] = text

    def _end_row(self) -> None:
        if self._row > self._last_row + 1:
            self._rows.append(Record(self._last_row + 1, ()))  # empty rows are left out of the file
        self._last_row = self._row
        if self._size > MAX_RECORD_CHARS:
            self._broken = f"is longer than {MAX_RECORD_CHARS} characters"
        if self.merges:
            self._merge()
        if self._broken is not None:
            self._rows.append(Record(self._row, (), self._broken))
        else:
            self._rows.append(Record(self._row, tuple(self._cells), None, self._odd or None))

    def _merge(self) -> None:
        """What is merged downwards stands in every row, as a person sees it."""
        for at, (last, text) in list(self._down.items()):
            if self._row > last:
                del self._down[at]
            else:
                self._put(at, text)
        for at, text in enumerate(self._cells):
            last_row = self.merges.get((self._row, at))
            if last_row is not None and text:
                self._down[at] = last_row, text


def column_place(letters: str) -> int:
    """The place of a column from 0: A, B, …, Z, AA, …"""
    place = 0
    for letter in letters:
        place = place * 26 + ord(letter) - 64
    return place - 1
