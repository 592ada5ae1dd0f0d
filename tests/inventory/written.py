"""The same table written as each kind of file that is read."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence

from openpyxl import Workbook as Book

from streamwatch.inventory.parsed import ParsedFile

Rows = Sequence[Sequence[object]]


def as_csv(rows: Rows) -> bytes:
    """Commas and quotation marks as the csv module writes them."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()


def as_xlsx(rows: Rows, *, merge: Sequence[str] = (), more: Mapping[str, Rows] | None = None) -> bytes:
    """The first sheet of a workbook; `merge` names merged areas, `more` further sheets."""
    book = Book()
    sheets = {"Sheet1": rows, **(more or {})}
    for title, content in sheets.items():
        sheet = book.create_sheet(title)
        for row in content:
            sheet.append([cell if cell != "" else None for cell in row])
    del book["Sheet"]
    for area in merge:
        book["Sheet1"].merge_cells(area)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def as_json_lines(rows: Rows) -> bytes:
    """One object a line, whose keys are the first row; an empty line for a row without cells."""
    head, *others = rows
    lines = [
        "" if not any(row) else json.dumps(dict(zip(head, row, strict=False)), ensure_ascii=False) for row in others
    ]
    return "\n".join(lines).encode()


def repacked(raw: bytes, changed: Mapping[str, bytes]) -> bytes:
    """A workbook with other parts in it."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            if name not in changed:
                new.writestr(name, old.read(name))
        for name, content in changed.items():
            new.writestr(name, content)
    return out.getvalue()


def with_shared_strings(raw: bytes) -> bytes:
    """The workbook as spreadsheets save it: texts in a part of their own, some in pieces, elements with a prefix."""
    name = "xl/worksheets/sheet1.xml"
    with zipfile.ZipFile(io.BytesIO(raw)) as file:
        sheet, relations = file.read(name).decode(), file.read("xl/_rels/workbook.xml.rels").decode()
    texts: list[str] = []

    def moved(found: re.Match[str]) -> str:
        texts.append(found[1])
        return f' t="s"><v>{len(texts) - 1}</v></c>'

    sheet = re.sub(
        r' t="inlineStr"><is>(<t(?: xml:space="preserve")?>.*?</t>|<t ?/>)</is></c>', moved, sheet, flags=re.DOTALL
    )
    sheet = re.sub(r"(</?)([A-Za-z])", r"\1x:\2", sheet).replace('xmlns="', 'xmlns:x="')
    items = "".join(
        f"<si><r><rPr/>{text}</r><r><t></t></r><rPh sb='0'><t>yin</t></rPh></si>" if at % 2 else f"<si>{text}</si>"
        for at, text in enumerate(texts)
    )
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings"
    relation = f'<Relationship Type="{kind}" Target="sharedStrings.xml" Id="rId77"/></Relationships>'
    return repacked(
        raw,
        {
            name: sheet.encode(),
            "xl/sharedStrings.xml": f"<sst>{items}</sst>".encode(),
            "xl/_rels/workbook.xml.rels": relations.replace("</Relationships>", relation).encode(),
        },
    )


def values(file: ParsedFile) -> list[dict[str, object]]:
    """The lines of a list as mappings."""
    return [dict(zip(file.columns, row.values, strict=True)) for row in file.rows]


def refused(file: ParsedFile) -> list[tuple[int, str | None, str, str]]:
    """Line, column, code and remedy of what was not taken."""
    return [(bad.line, bad.column, bad.code, bad.remedy) for bad in file.rejected]


def remarked(file: ParsedFile) -> list[tuple[int, str | None, str, str]]:
    """The same of what was taken."""
    return [(note.line, note.column, note.code, note.remedy) for note in file.remarks]
