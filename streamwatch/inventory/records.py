"""Stage 1: bytes -> records with their line numbers. Knows CSV and encodings, nothing of cameras.

RFC 4180 with what spreadsheets make of it: BOM or none, GB18030, UTF-16, semicolons or tabs, quoted line breaks. One
stray quotation mark costs its own line only: reading goes on with the next.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from streamwatch.errors import UsageError

MAX_FILE_BYTES: Final = 128 * 2**20  # 126,000 cameras with all columns are about 50 MB
MAX_RECORD_CHARS: Final = 65_536  # 30 columns of 2,000 characters
MAX_RECORD_LINES: Final = 100  # of a record with quoted line breaks
HEAD_ROWS: Final = 10  # among which the headings are: lists begin with a title, a date, a remark

_DELIMITERS: Final = (",", ";", "\t")


@dataclass(frozen=True, slots=True)
class Record:
    """One record; `line` is its first, counted from 1. A blank line has no cells. `broken` says why it cannot be read:
    then it has no cells. `odd`: cells that hold no value, by place: the code and remedy of their refusal."""

    line: int
    cells: tuple[str, ...]
    broken: str | None = None
    odd: Mapping[int, tuple[str, str]] | None = None

    @property
    def blank(self) -> bool:
        """Whether nothing stands in it."""
        return self.broken is None and not self.odd and not any(cell.strip() for cell in self.cells)


def decode(raw: bytes, name: str) -> str:
    """The text of a file: UTF-8 (BOM or none), else GB18030; UTF-16 by its BOM. Raises UsageError naming the file.

    Where most lines are UTF-8 and some are not, U+FFFD stands in the latter: the cells that have it are refused.
    """
    if len(raw) > MAX_FILE_BYTES:
        raise UsageError(f"{name}: larger than {MAX_FILE_BYTES} bytes; split it")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _decode_as(raw, "utf-16", name)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("utf-8-sig", errors="replace") if _mostly_utf8(raw) else _decode_as(raw, "gb18030", name)


def _decode_as(raw: bytes, encoding: str, name: str) -> str:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
    raise UsageError(f"{name}: line {line} is neither UTF-8 nor GB18030; save it as CSV UTF-8")


def _mostly_utf8(raw: bytes) -> bool:
    """Whether most of the lines that tell (they are not ASCII) are UTF-8. Two Chinese characters may be both."""
    good = bad = 0
    for line in raw.splitlines():
        if not line.isascii():
            try:
                line.decode("utf-8")
                good += 1
            except UnicodeDecodeError:
                bad += 1
    return good > bad


def records(text: str) -> Iterator[Record]:
    """The records of a file, headings first."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if not lines[-1]:
        lines.pop()  # the last line ends as every other
    delimiter = _delimiter(lines)
    at = 0
    while at < len(lines):
        line = lines[at]
        if not line.strip():
            yield Record(at + 1, ())
            at += 1
        elif len(line) > MAX_RECORD_CHARS:
            yield Record(at + 1, (), f"longer than {MAX_RECORD_CHARS} characters")
            at += 1
        elif '"' not in line:  # nearly all lines; the csv module takes three times as long
            yield Record(at + 1, tuple(line.split(delimiter)))
            at += 1
        else:
            used, record = _quoted(lines, at, delimiter)
            yield record
            at += used


def _quoted(lines: list[str], at: int, delimiter: str) -> tuple[int, Record]:
    """The record that begins at `at`, and of how many lines it is."""
    used = 0

    def feed() -> Iterator[str]:
        nonlocal used
        size = 0
        for line in lines[at : at + MAX_RECORD_LINES]:
            size += len(line)
            if size > MAX_RECORD_CHARS:
                return
            used += 1
            yield line + "\n"

    try:
        cells = next(csv.reader(feed(), delimiter=delimiter, strict=True))
    except (csv.Error, StopIteration):
        return 1, Record(at + 1, (), "a quotation mark is not closed, or text follows it")
    return used, Record(at + 1, tuple(cells))


def _delimiter(lines: list[str]) -> str:
    """The one that the first lines have most of; a title above the headings has none."""
    head = [line for line in lines[: 10 * HEAD_ROWS] if line.strip()][:HEAD_ROWS]
    return max(_DELIMITERS, key=lambda delimiter: max((line.count(delimiter) for line in head), default=0))
