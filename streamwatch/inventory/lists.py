"""Stage 1: a file -> ParsedFile: CSV, a workbook (XLSX) or JSON lines, told apart by what is in them, not by name."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from streamwatch.errors import UsageError
from streamwatch.inventory import jsonlines, records
from streamwatch.inventory.columns import KINDS
from streamwatch.inventory.headings import Headings, Table
from streamwatch.inventory.judging import Lines, new_notes
from streamwatch.inventory.notes import Notes
from streamwatch.inventory.parsed import ParsedFile
from streamwatch.inventory.records import MAX_FILE_BYTES
from streamwatch.inventory.workbook import Workbook

_ZIP: Final = b"PK\x03\x04"
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # [MS-CFB] 2.2: old workbooks, and protected new ones


def parse_file(source: Path | bytes, kind: str) -> ParsedFile:
    """Reads a list. Raises UsageError where the file as a whole cannot be read; bad lines are values.

    Files up to 128 MiB and 500,000 lines; a line of CSV takes about 35 us, of a workbook or JSON about twice that.
    """
    rules = KINDS.get(kind)
    if rules is None:
        raise UsageError(f"there is no import {kind!r}; it knows {', '.join(KINDS)}")
    name = "the file" if isinstance(source, bytes) else str(source)
    raw = source if isinstance(source, bytes) else _read(source)
    known = Headings(rules)
    refused, remarks = new_notes()
    table = _table(raw, name, known, remarks)
    if table is None:
        raise UsageError(f"{name}: is empty; its first line must hold the headings {known.required()} …")
    columns = known.columns(table, refused, remarks)
    if refused.total:
        return ParsedFile(
            kind=kind,
            columns=(),
            rows=(),
            rejected=refused.kept(),
            rejected_total=refused.total,
            remarks=remarks.kept(),
            remarks_total=remarks.total,
        )
    return Lines(kind, columns, refused, remarks).read(table.records, name)


def _table(raw: bytes, name: str, known: Headings, remarks: Notes) -> Table | None:
    if raw.startswith(_OLE):
        raise UsageError(
            f"{name}: is an old workbook (.xls) or one with a password; save it as XLSX without a password"
        )
    if raw.startswith(_ZIP):
        return Workbook(raw, name).table(known, remarks)
    text = records.decode(raw, name)
    if text[:1_000].lstrip()[:1] in ("{", "["):
        return jsonlines.table(text, name)
    return known.table(records.records(text))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}; name a readable file") from None
