"""Stage 1: the lines of a list -> ParsedFile. Every line is judged; a bad cell refuses its line. Pure.

What is plainly meant is taken and remarked on: spaces around a value, full-width digits, an empty line. What could be
meant in two ways is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from streamwatch.errors import UsageError
from streamwatch.inventory.cells import CellError
from streamwatch.inventory.columns import KINDS, Column, Wide
from streamwatch.inventory.notes import SHOWN, Notes
from streamwatch.inventory.parsed import MAX_REJECTIONS, MAX_REMARKS, MAX_ROWS, ParsedFile, ParsedRow, Value
from streamwatch.inventory.records import Record
from streamwatch.inventory.rows import WHOLE_ROW, Row, RowError
from streamwatch.inventory.widths import half_width

_QUOTED_FORMULA = re.compile(r'="([^"]*)"')  # how spreadsheets are made to keep leading zeros
_LOST: Final = "\ufffd"
_MOJIBAKE: Final = "锟斤拷"  # U+FFFD twice in UTF-8, read as GB18030
SEPARATORS: Final = 2  # of another kind in a first cell mean that it holds the whole line
_OTHER_SEPARATORS: Final = "\t;，；"
_WIDE_SAID: Final = "read as {found!r}; write digits, letters and marks in ordinary (half) width"
_WIDE_KEPT: Final = "it holds full-width characters, which are kept: devices seldom take them; write it in half width"


def new_notes() -> tuple[Notes, Notes]:
    """Where refusals and remarks of one file go."""
    return Notes(MAX_REJECTIONS), Notes(MAX_REMARKS, of_a_code=MAX_REMARKS // 5)


class Lines:
    """Judges the lines of one file."""

    def __init__(self, kind: str, columns: Sequence[Column | None], refused: Notes, remarks: Notes) -> None:
        self._kind = kind
        self._instead = KINDS[kind].instead
        self._columns = columns
        self._by_name = {column.name: column for column in columns if column is not None}
        self._refused = refused
        self._remarks = remarks
        # Names in Chinese: nothing is to be read differently, nothing to be said.
        self._kept = {column.name for column in columns if column and column.wide is Wide.KEPT and not column.secret}
        self._lines_of_code: dict[Value, int] = {}
        self._whole = WHOLE_ROW.get(kind)
        # Required columns that may be empty until the line is seen as a whole: this file has what may stand instead.
        self._late = {
            name for name, (others, _) in self._instead.items() if any(self._by_name.keys() & other for other in others)
        }
        self._blank_from = 0

    def read(self, found: Iterator[Record], name: str) -> ParsedFile:
        """All of them. Raises UsageError where they are too many."""
        given = [column.name for column in self._by_name.values() if column.stored]
        # What other columns bring (credentials in an address, a village's code in two parts) stands last.
        quiet = () if self._whole is None else self._whole.brings(given)
        names = [*given, *quiet]
        rows: list[ParsedRow] = []
        for record in found:
            if not (record.cells and record.cells[0]) and record.blank:
                self._blank_from = self._blank_from or record.line
                continue
            if self._blank_from:
                self._end_of_blank(record.line)
            row = self._row(record)
            if row is not None:
                rows.append(ParsedRow(record.line, tuple(map(row.get, names))))
            if len(rows) > MAX_ROWS:
                raise UsageError(f"{name}: more than {MAX_ROWS} lines; split it")
        return ParsedFile(
            kind=self._kind,
            columns=tuple(names),
            rows=tuple(rows),
            rejected=self._refused.kept(),
            rejected_total=self._refused.total,
            quiet=quiet,
            remarks=self._remarks.kept(),
            remarks_total=self._remarks.total,
        )

    def _end_of_blank(self, line: int) -> None:
        """Empty lines are worth a word only where others follow them."""
        first, last = self._blank_from, line - 1
        self._blank_from = 0
        shown = "" if first == last else f"to line {last}"
        self._remarks.add(first, None, shown, "empty_line", "skipped; remove empty lines")

    def _row(self, record: Record) -> Row | None:
        """The values of a line, or None where it is not taken (why is noted)."""
        line = record.line
        if record.broken is not None:
            self._refused.add(line, None, "", "bad_line", f"{record.broken}; correct the line")
            return None
        if not self._shape(record):
            return None
        before = self._refused.total
        row: Row = {}
        cells = record.cells
        for at, column in enumerate(self._columns):
            if column is None:
                continue
            if record.odd is not None and at in record.odd:
                code, remedy = record.odd[at]
                self._refused.add(line, column, cells[at], code, remedy)
            else:
                self._cell(line, column, cells[at] if at < len(cells) else "", row)
        if self._refused.total != before or not self._as_a_whole(line, row):
            return None
        first = self._lines_of_code.setdefault(row["code"], line)
        if first != line:
            remedy = f"line {first} has the same code; give each its own"
            self._refused.add(line, "code", str(row["code"]), "duplicate_code", remedy)
            return None
        return row

    def _shape(self, record: Record) -> bool:
        """Whether the line has the columns of the headings."""
        cells = record.cells
        count = len(self._columns)
        if len(cells) < count and sum(map(cells[0].count, _OTHER_SEPARATORS)) >= SEPARATORS:
            remedy = f"separate its {count} values by the mark that the headings have"
            self._refused.add(record.line, None, f"{len(cells)} values", "wrong_separator", remedy)
            return False
        if len(cells) > count and any(cell.strip() for cell in cells[count:]):
            remedy = f"give {count} values as in the headings; put a value with a separator into quotation marks"
            self._refused.add(record.line, None, f"{len(cells)} values", "too_many_values", remedy)
            return False
        return True

    def _cell(self, line: int, column: Column, raw: str, row: Row) -> None:
        text = raw.strip()
        if text.startswith('="') and (quoted := _QUOTED_FORMULA.fullmatch(text)) is not None:
            text = quoted[1].strip()
        elif len(text) != len(raw) and text:
            self._remarks.add(line, column, text, "spaces", "spaces or tabs around it were removed; remove them")
        if not text:
            row[column.name] = None
            if column.required and column.name not in self._late:
                what = self._instead.get(column.name)
                self._refused.add(line, column, "", "missing", "fill it in" if what is None else f"give {what[1]}")
            return
        if not text.isascii():
            if _LOST in text or _MOJIBAKE in text:
                remedy = (
                    "characters are not UTF-8 or were lost on the way; write it again and save the file as CSV UTF-8"
                )
                self._refused.add(line, column, text, "bad_encoding", remedy)
                return
            if column.name not in self._kept:
                text = self._half_width(line, column, text)
        try:
            value = column.parse(text)
        except CellError as error:
            self._refused.add(line, column, text, *_why(column, text, error))
            return
        row[column.name] = value
        if column.doubt is not None and (doubt := column.doubt(value)) is not None:
            self._remarks.add(line, column, text, *doubt)

    def _half_width(self, line: int, column: Column, text: str) -> str:
        """The text with ordinary digits, letters and marks, where that is what is meant."""
        plain = half_width(text)
        if plain == text:
            return text
        if column.secret:
            self._remarks.add(line, column, text, "full_width", _WIDE_KEPT)
            return text
        if column.wide is Wide.READ_WHOLE and not plain.isascii():
            return text
        if column.address and "@" in plain:
            return text  # a login may hold such characters: it is refused with the address
        self._remarks.add(line, column, text, "full_width", _WIDE_SAID.format(found=plain[:SHOWN]))
        return plain

    def _as_a_whole(self, line: int, row: Row) -> bool:
        """What several columns say together; False where the line is not taken."""
        if self._whole is None:
            return True
        try:
            skipped = self._whole.complete(row)
        except RowError as error:
            column = self._by_name.get(error.column, error.column)
            self._refused.add(line, column, error.value, error.code, error.remedy)
            return False
        if skipped is not None:
            self._remarks.add(line, self._by_name[skipped.column], skipped.value, skipped.code, skipped.remedy)
        return skipped is None


def _why(column: Column, text: str, error: CellError) -> tuple[str, str]:
    """The code and remedy of a bad cell: tabs and spaces inside it are named where they are what is wrong."""
    if "\t" in text:
        return "tab", "remove the tab inside it"
    together = "".join(text.split())
    if together != text and text.splitlines() == [text]:
        try:
            column.parse(together)
        except CellError:
            pass
        else:
            return "spaces", "remove the spaces inside it"
    return error.code, error.remedy
