"""Stage 1: a workbook (XLSX) -> headings and records. Knows sheets, styles and cells, nothing of cameras.

ECMA-376 part 1, the few elements that hold a list, read as a stream: a row is given on when it is whole, so that memory
holds the shared strings and one piece of the sheet, whatever the file is. Readers that build each element first cannot
be told to stop in time, and do not tell a formula without a result from an empty cell.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final

from streamwatch.errors import UsageError
from streamwatch.inventory.headings import ENOUGH, Headings, Table
from streamwatch.inventory.notes import Notes
from streamwatch.inventory.package import MAX_SHEET_BYTES, MAX_STRINGS_BYTES, Package
from streamwatch.inventory.records import HEAD_ROWS, Record
from streamwatch.inventory.sheet import Sheet, column_place
from streamwatch.inventory.values import unescaped

MAX_SHEETS: Final = 100
MAX_STRINGS: Final = 3_000_000  # 126,000 cameras with 21 columns are 2.6 million cells
MAX_STYLES: Final = 65_536  # 18.8.10 cellXfs; spreadsheets allow 64,000
MAX_MERGES: Final = 100_000  # merged cells; a village of 35 cameras has one or two

_ROOT: Final = "_rels/.rels"
_DATES: Final = frozenset({*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)})  # 18.8.30 numFmt, built in
_NO_DATE = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.|_.|\*.')  # of a format: literals, colours, padding
_DATE_LETTERS = re.compile(r"[dmyh]", re.IGNORECASE)
_MERGE = re.compile(rb'<(?:[A-Za-z0-9]+:)?mergeCell\s[^>]*?ref="([A-Z]{1,3})([0-9]{1,7}):([A-Z]{1,3})([0-9]{1,7})"')
_MERGE_TAIL: Final = 200  # bytes of a mergeCell that may lie across two pieces


class Workbook:
    """A workbook whose sizes were found fit. Raises UsageError naming the file."""

    def __init__(self, raw: bytes, name: str) -> None:
        self._name = name
        self._package = Package(raw, name)
        main = next(iter(self._relations(_ROOT, "", "/officeDocument").values()), "xl/workbook.xml")
        if main not in self._package:
            raise UsageError(f"{name}: is a ZIP file but no workbook; unpack it and import the list itself")
        folder = posixpath.dirname(main)
        relations = posixpath.join(folder, "_rels", posixpath.basename(main) + ".rels")
        self._epoch_1904 = False
        self._sheets = self._read_sheets(main, self._relations(relations, folder, "/worksheet"))
        self._strings_part = next(iter(self._relations(relations, folder, "/sharedStrings").values()), None)
        self._styles_part = next(iter(self._relations(relations, folder, "/styles").values()), None)
        if not self._sheets:
            raise self._package.refusal("has no sheet")

    def table(self, known: Headings, remarks: Notes) -> Table | None:
        """The list: of the first sheet with known headings, else of the first sheet. Other lists are remarked on."""
        strings = self._strings()
        dates = self._date_styles()
        found: list[str] = []
        chosen: tuple[str, Iterator[Record]] | None = None
        for title, part in self._sheets.items():
            rows = self._rows(part, strings, dates)
            head = list(islice(rows, HEAD_ROWS))
            if max((known.known(row.cells) for row in head), default=0) >= ENOUGH:
                found.append(title)
                chosen = chosen or (title, chain(head, rows))
        if chosen is None:
            title, part = next(iter(self._sheets.items()))
            chosen = title, self._rows(part, strings, dates)
        table = known.table(chosen[1])
        if len(found) > 1 and table is not None:
            remedy = f"only sheet {chosen[0][:40]!r} was read; import these sheets as files of their own"
            remarks.add(table.headings.line, None, ", ".join(found[1:]), "other_sheets", remedy)
        return table

    def _relations(self, part: str, folder: str, kind: str) -> Mapping[str, str]:
        """Parts by relation id, of one kind; what lies outside the file is left out."""
        found: dict[str, str] = {}

        def start(name: str, attributes: dict[str, str]) -> None:
            inside = attributes.get("TargetMode", "Internal") == "Internal"
            if name == "Relationship" and inside and attributes.get("Type", "").endswith(kind):
                target = attributes.get("Target", "")
                path = (
                    target.lstrip("/") if target.startswith("/") else posixpath.normpath(posixpath.join(folder, target))
                )
                found[attributes.get("Id", "")] = path

        if part in self._package:
            for _ in self._package.parse(part, start=start):
                pass
        return found

    def _read_sheets(self, main: str, parts: Mapping[str, str]) -> dict[str, str]:
        """Sheets that are shown, in their order; hidden ones only where there are no others."""
        shown: dict[str, str] = {}
        hidden: dict[str, str] = {}

        def start(name: str, attributes: dict[str, str]) -> None:
            if name == "workbookPr":
                self._epoch_1904 = attributes.get("date1904") in ("1", "true")
            elif name == "sheet":
                id_ = next((value for key, value in attributes.items() if key.rpartition(":")[2] == "id"), "")
                part = parts.get(id_)
                if part is not None:
                    sheets = shown if attributes.get("state", "visible") == "visible" else hidden
                    sheets[attributes.get("name", "")] = part
                if len(shown) + len(hidden) > MAX_SHEETS:
                    raise self._package.refusal(f"has more than {MAX_SHEETS} sheets")

        for _ in self._package.parse(main, start=start):
            pass
        return shown or hidden

    def _strings(self) -> list[str]:
        """The shared strings (18.4.9); readings in small print beside Chinese characters are left out."""
        found: list[str] = []
        if self._strings_part is None or self._strings_part not in self._package:
            return found
        pieces: list[str] = []
        state = _StringState()

        def start(name: str, _: dict[str, str]) -> None:
            if name == "t":
                state.text = not state.phonetic
            elif name == "rPh":
                state.phonetic = True
            elif name == "si":
                pieces.clear()

        def end(name: str) -> None:
            if name == "t":
                state.text = False
            elif name == "rPh":
                state.phonetic = False
            elif name == "si":
                found.append(unescaped("".join(pieces)))
                if len(found) > MAX_STRINGS:
                    raise self._package.refusal(f"has more than {MAX_STRINGS} texts")

        def text(piece: str) -> None:
            if state.text:
                pieces.append(piece)

        for _ in self._package.parse(self._strings_part, start=start, end=end, text=text, longest=MAX_STRINGS_BYTES):
            pass
        return found

    def _date_styles(self) -> frozenset[int]:
        """The cell styles (18.8.10) whose numbers are dates."""
        dates: set[int] = set()
        formats: dict[str, bool] = {}
        state = _StyleState()
        if self._styles_part is None or self._styles_part not in self._package:
            return frozenset()

        def start(name: str, attributes: dict[str, str]) -> None:
            if name == "numFmt" and len(formats) < MAX_STYLES:
                formats[attributes.get("numFmtId", "")] = _is_date(attributes.get("formatCode", ""))
            elif name == "cellXfs":
                state.inside = True
            elif name == "xf" and state.inside:
                format_ = attributes.get("numFmtId", "0")
                if formats.get(format_, format_.isdecimal() and int(format_[:9]) in _DATES):
                    dates.add(state.count)
                state.count += 1
                if state.count > MAX_STYLES:
                    raise self._package.refusal(f"has more than {MAX_STYLES} styles")

        def end(name: str) -> None:
            if name == "cellXfs":
                state.inside = False

        for _ in self._package.parse(self._styles_part, start=start, end=end):
            pass
        return frozenset(dates)

    def _rows(self, part: str, strings: list[str], dates: frozenset[int]) -> Iterator[Record]:
        sheet = Sheet(strings, dates, self._merges(part), epoch_1904=self._epoch_1904)
        pieces = self._package.parse(part, start=sheet.start, end=sheet.end, text=sheet.text, longest=MAX_SHEET_BYTES)
        for _ in pieces:
            yield from sheet.taken()

    def _merges(self, part: str) -> Mapping[tuple[int, int], int]:
        """Cells merged downwards: (row, column) of the upper one -> the last row.

        They stand behind the rows, so the part is searched first; `<` is never text in XML: a pattern is enough.
        """
        found: dict[tuple[int, int], int] = {}
        tail = b""
        for chunk in self._package.chunks(part, MAX_SHEET_BYTES):
            piece = tail + chunk
            for match in _MERGE.finditer(piece):
                first, last = int(match[2]), int(match[4])
                if last > first and match[1] == match[3] and len(found) < MAX_MERGES:
                    found[first, column_place(match[1].decode())] = last
            tail = piece[-_MERGE_TAIL:]
        return found


@dataclass(slots=True)
class _StringState:
    text: bool = False
    phonetic: bool = False


@dataclass(slots=True)
class _StyleState:
    inside: bool = False
    count: int = 0


def _is_date(code: str) -> bool:
    return _DATE_LETTERS.search(_NO_DATE.sub("", code)) is not None
