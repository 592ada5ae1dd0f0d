"""Stage 1: a file -> ParsedFile. Every line is judged; a bad cell refuses its line, a bad heading all of them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from streamwatch.errors import UsageError
from streamwatch.inventory.addresses import Address, AddressError, mask_address, split_address
from streamwatch.inventory.cells import CellError, secret
from streamwatch.inventory.columns import CAMERAS, KINDS, Column, Kind
from streamwatch.inventory.parsed import (
    MASKED,
    MAX_REJECTIONS,
    MAX_ROWS,
    ParsedFile,
    ParsedRow,
    Rejection,
    Value,
)
from streamwatch.inventory.records import MAX_FILE_BYTES, Record, decode, records

SHOWN: Final = 60  # characters of a bad value in a message

_QUOTED_FORMULA = re.compile(r'="([^"]*)"')  # how spreadsheets are made to keep leading zeros

_LOGIN: Final = ("username", "password")

_Row = dict[str, Value]


def parse_file(source: Path | bytes, kind: str) -> ParsedFile:
    """Reads a list. Raises UsageError where the file as a whole cannot be read; bad lines are values.

    Files up to 128 MiB and 500,000 lines; takes about 35 us a line.
    """
    rules = KINDS.get(kind)
    if rules is None:
        raise UsageError(f"there is no import {kind!r}; it knows {', '.join(KINDS)}")
    name = "the file" if isinstance(source, bytes) else str(source)
    raw = source if isinstance(source, bytes) else _read(source)
    found = records(decode(raw, name))
    headings = next(found, None)
    if headings is None:
        raise UsageError(f"{name}: is empty; its first line must hold the headings {_required(rules)} …")
    refused = _Refused()
    columns = _columns(headings, rules, refused)
    if refused.total:
        return ParsedFile(kind=kind, columns=(), rows=(), rejected=refused.kept(), rejected_total=refused.total)
    return _Lines(kind, columns, refused).read(found, name)


class _Refused:
    """Rejections, bounded: the first MAX_REJECTIONS are kept, all are counted by line."""

    def __init__(self) -> None:
        self._kept: list[Rejection] = []
        self._last_line = 0
        self.total = 0

    def add(self, line: int, column: Column | str | None, value: str, code: str, remedy: str) -> None:
        if line != self._last_line:
            self.total += 1
            self._last_line = line
        if len(self._kept) >= MAX_REJECTIONS:
            return
        if isinstance(column, Column):
            value = MASKED if column.secret and value else mask_address(value) if column.address else value
            column = column.name
        self._kept.append(Rejection(line, column, value[:SHOWN], code, remedy))

    def kept(self) -> tuple[Rejection, ...]:
        return tuple(self._kept)


class _Lines:
    """Judges the lines of one file."""

    def __init__(self, kind: str, columns: Sequence[Column | None], refused: _Refused) -> None:
        self._kind = kind
        self._columns = columns
        self._refused = refused
        self._lines_of_code: dict[Value, int] = {}
        self._names = [column.name for column in columns if column is not None]

    def read(self, found: Iterator[Record], name: str) -> ParsedFile:
        # Addresses may bring credentials for which the file has no columns: these stand last.
        quiet = [extra for extra in _LOGIN if self._kind == CAMERAS and extra not in self._names]
        names = [*self._names, *quiet]
        rows: list[ParsedRow] = []
        for record in found:
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
            quiet=tuple(quiet),
        )

    def _row(self, record: Record) -> _Row | None:
        """The values of a line, or None where something in it is refused (all of which is noted)."""
        line = record.line
        if record.broken is not None:
            self._refused.add(line, None, "", "bad_line", f"{record.broken}; correct the line")
            return None
        count = len(self._columns)
        if len(record.cells) != count and any(cell.strip() for cell in record.cells[count:]):
            remedy = f"give {count} values as in the headings; put a value with a separator into quotation marks"
            self._refused.add(line, None, f"{len(record.cells)} values", "too_many_values", remedy)
            return None
        before = self._refused.total
        row: _Row = {}
        for at, column in enumerate(self._columns):
            if column is not None:
                self._cell(line, column, record.cells[at] if at < len(record.cells) else "", row)
        if self._refused.total != before:
            return None
        if self._kind == CAMERAS and not self._addresses(line, row):
            return None
        first = self._lines_of_code.setdefault(row["code"], line)
        if first != line:
            remedy = f"line {first} has the same code; give each its own"
            self._refused.add(line, "code", str(row["code"]), "duplicate_code", remedy)
            return None
        return row

    def _cell(self, line: int, column: Column, text: str, row: _Row) -> None:
        text = text.strip()
        if text.startswith('="') and (quoted := _QUOTED_FORMULA.fullmatch(text)) is not None:
            text = quoted[1].strip()
        if not text:
            row[column.name] = None
            if column.required:
                self._refused.add(line, column, "", "missing", "fill it in")
            return
        try:
            row[column.name] = column.parse(text)
        except CellError as error:
            self._refused.add(line, column, text, error.code, error.remedy)

    def _addresses(self, line: int, row: _Row) -> bool:
        """Moves credentials out of the addresses; False where the line is refused."""
        by_name = {column.name: column for column in self._columns if column is not None}
        found: dict[str, Address] = {}
        for name in ("url", "sub_url"):
            text = row.get(name)
            if not isinstance(text, str):
                continue
            try:
                found[name] = split_address(text)
            except AddressError as error:
                self._refused.add(line, by_name[name], text, "bad_url", str(error))
                return False
            row[name] = found[name].url
            if not self._login(line, by_name[name], text, found[name], row):
                return False
        if len(found) == 2 and found["url"].host != found["sub_url"].host:
            remedy = "give both streams at one host: the password is sent to the host of url only"
            self._refused.add(line, by_name["sub_url"], str(row["sub_url"]), "other_host", remedy)
            return False
        return True

    def _login(self, line: int, column: Column, text: str, address: Address, row: _Row) -> bool:
        if address.username is None and address.password is None:
            return True
        for name, value in (("username", address.username), ("password", address.password)):
            if value is None:
                continue
            try:
                secret(value)  # decoded: it may hold line breaks that would end a header
            except CellError as error:
                self._refused.add(line, column, text, error.code, error.remedy)
                return False
            there = row.get(name)
            if there is not None and there != value:
                remedy = f"the address holds another {name} than its column; keep the right one"
                self._refused.add(line, column, text, "credentials_conflict", remedy)
                return False
        if row.get("username") is None:
            row["username"] = address.username
        if row.get("password") is None:
            row["password"] = address.password
        return True


def _columns(headings: Record, rules: Kind, refused: _Refused) -> list[Column | None]:
    """The column of each heading; None for one that is known and not used."""
    if headings.broken is not None:
        refused.add(headings.line, None, "", "bad_line", f"{headings.broken}; correct the headings")
        return []
    by_heading = rules.by_heading()
    columns: list[Column | None] = []
    seen: set[str] = set()
    for heading in headings.cells:
        text = heading.strip()
        folded = text.casefold()
        column = by_heading.get(folded)
        if column is None and folded not in rules.ignored and text:
            remedy = f"{_nearest(folded, by_heading)}, or remove the column"
            refused.add(headings.line, text[:SHOWN], text, "unknown_column", remedy)
        elif column is not None and column.name in seen:
            refused.add(headings.line, column.name, text, "duplicate_column", "keep one column of that name")
        elif column is not None:
            seen.add(column.name)
        columns.append(column)
    while columns and columns[-1] is None and not headings.cells[len(columns) - 1].strip():
        columns.pop()  # spreadsheets leave empty columns at the right
    for column in rules.columns:
        if column.required and column.name not in seen:
            remedy = f"add the column; required are {_required(rules)}"
            refused.add(headings.line, column.name, "", "missing_column", remedy)
    return columns


def _required(rules: Kind) -> str:
    return ",".join(column.name for column in rules.columns if column.required)


def _nearest(heading: str, known: Mapping[str, Column]) -> str:
    near = difflib.get_close_matches(heading, list(known), n=1, cutoff=0.6)
    return f"did you mean {known[near[0]].name}?" if near else "no import file has this column; see docs"


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}; name a readable file") from None
