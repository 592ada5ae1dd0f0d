"""Stage 1: bytes -> records with their line numbers. Knows CSV and encodings, nothing of cameras.

RFC 4180 with what spreadsheets make of it: BOM or none, GB18030, UTF-16, semicolons or tabs, quoted line breaks. One
stray quotation mark costs its own line only: reading goes on with the next.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from streamwatch.errors import UsageError

MAX_FILE_BYTES: Final = 128 * 2**20  # 126,000 cameras with all columns are about 50 MB
MAX_RECORD_CHARS: Final = 65_536  # 30 columns of 2,000 characters
MAX_RECORD_LINES: Final = 100  # of a record with quoted line breaks

_DELIMITERS: Final = (",", ";", "\t")


@dataclass(frozen=True, slots=True)
class Record:
    """One record; `line` is its first, counted from 1. `broken` says why it cannot be read: then it has no cells."""

    line: int
    cells: tuple[str, ...]
    broken: str | None = None


def decode(raw: bytes, name: str) -> str:
    """The text of a file: UTF-8 (BOM or none), else GB18030; UTF-16 by its BOM. Raises UsageError naming the file."""
    if len(raw) > MAX_FILE_BYTES:
        raise UsageError(f"{name}: larger than {MAX_FILE_BYTES} bytes; split it")
    if raw.startswith(b"PK\x03\x04"):
        raise UsageError(f"{name}: is a workbook (XLSX), which this version does not read; save it as CSV UTF-8")
    encodings = ["utf-16"] if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else ["utf-8-sig", "gb18030"]
    for encoding in encodings:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
        else:
            return text
    raise UsageError(f"{name}: line {line} is neither UTF-8 nor GB18030; save it as CSV UTF-8")


def records(text: str) -> Iterator[Record]:
    """The records of a file, headings first; empty lines are skipped."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    delimiter = _delimiter(lines)
    at = 0
    while at < len(lines):
        line = lines[at]
        if not line.strip():
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
    headings = next((line for line in lines if line.strip()), "")
    return max(_DELIMITERS, key=headings.count)
