"""Hostile workbooks: judged by their directory, never unpacked beyond their bounds, never followed outside."""

from __future__ import annotations

import contextlib
import io
import re
import struct
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.errors import UsageError
from streamwatch.inventory import package, workbook
from streamwatch.inventory.lists import parse_file
from tests.inventory.written import as_xlsx, repacked, values, with_shared_strings

GOOD = with_shared_strings(as_xlsx([("code", "name", "village", "url"), ("C1", "村口", "V1", "rtsp://192.0.2.1/a")]))
SHEET = "xl/worksheets/sheet1.xml"


def refusal(raw: bytes) -> str:
    """What is said of a workbook."""
    with pytest.raises(UsageError) as caught:
        parse_file(raw, "cameras")
    return str(caught.value)


def with_part(name: str, content: bytes) -> bytes:
    """A good workbook with one part changed."""
    return repacked(GOOD, {name: content})


def test_a_bomb_is_refused_by_its_ratio() -> None:
    """20 MiB of nothing in 20 KiB: nothing of it is unpacked."""
    said = refusal(with_part(SHEET, b"<worksheet>" + b" " * (20 * 2**20) + b"</worksheet>"))

    assert "unpacks to more than 250 times its size" in said
    assert "save the one sheet with the list as XLSX or CSV UTF-8" in said


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("MAX_TOTAL_BYTES", 1_000, "unpacks to more than 1000 bytes"),
        ("MAX_MEMBERS", 3, "has more than 3 parts"),
        ("MAX_PART_BYTES", 10, "of more than 10 bytes"),
    ],
)
def test_sizes_are_bounded_before_unpacking(monkeypatch: pytest.MonkeyPatch, name: str, value: int, said: str) -> None:
    """All together, their number, and each."""
    monkeypatch.setattr(package, name, value)
    if name == "MAX_PART_BYTES":
        monkeypatch.setattr(package.Package.chunks, "__defaults__", (value,))
        monkeypatch.setattr(package.Package.parse, "__kwdefaults__", {"end": None, "text": None, "longest": value})
    assert said in refusal(GOOD)


def test_a_directory_of_a_million_entries_is_not_read() -> None:
    """The end record is judged before any entry becomes an object."""
    at = GOOD.rfind(b"PK\x05\x06")
    many = bytearray(GOOD)
    struct.pack_into("<HH", many, at + 8, 60_000, 60_000)
    large = bytearray(GOOD)
    struct.pack_into("<L", large, at + 12, 2**31)
    wide = GOOD[:at] + b"PK\x06\x07" + bytes(16) + GOOD[at:]

    for raw in (bytes(many), bytes(large), wide):
        assert "has more than 2000 parts" in refusal(raw)


def test_a_directory_that_lies_about_its_number_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end record says one entry, and there are ten."""
    lying = bytearray(GOOD)
    struct.pack_into("<HH", lying, GOOD.rfind(b"PK\x05\x06") + 8, 1, 1)
    assert len(values(parse_file(bytes(lying), "cameras"))) == 1
    monkeypatch.setattr(package, "MAX_MEMBERS", 3)
    assert "has more than 3 parts" in refusal(bytes(lying))


def test_a_directory_that_lies_about_sizes_gives_no_more_than_it_says() -> None:
    """A part that is longer than said is damaged, not unpacked to its end."""
    raw = with_part(SHEET, b"<worksheet><sheetData>" + b"<row/>" * 100_000 + b"</sheetData></worksheet>")
    lying = bytearray(raw)
    at = raw.rfind(SHEET.encode()) - 46  # its entry in the directory
    struct.pack_into("<L", lying, at + 24, 100)

    assert "is damaged" in refusal(bytes(lying))


@pytest.mark.parametrize("part", [SHEET, "xl/sharedStrings.xml", "xl/styles.xml", "xl/workbook.xml", "_rels/.rels"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused_in_every_part(part: str, encoding: str) -> None:
    """A billion laughs, or a file of ours: no part has a document type, in whatever encoding."""
    laughs = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;"><!ENTITY c SYSTEM "file:///etc/passwd">]><x>&b;&c;</x>'

    assert "has a document type" in refusal(with_part(part, laughs.encode(encoding)))


def test_links_outside_are_never_followed() -> None:
    """External links are common and harmless: they are not opened; nor is a sheet that lies elsewhere."""
    with zipfile.ZipFile(io.BytesIO(GOOD)) as file:
        relations = file.read("xl/_rels/workbook.xml.rels")
    linked = relations.replace(
        b"</Relationships>",
        b'<Relationship Id="rId99" Type="http://x/externalLink" Target="file:///etc/passwd" TargetMode="External"/>'
        b"</Relationships>",
    )
    assert len(values(parse_file(with_part("xl/_rels/workbook.xml.rels", linked), "cameras"))) == 1
    outside = re.sub(
        rb'Target="/xl/worksheets/sheet1.xml"', b'Target="http://x/s.xml" TargetMode="External"', relations
    )
    assert outside != relations
    assert "has no sheet" in refusal(with_part("xl/_rels/workbook.xml.rels", outside))
    climbing = re.sub(rb"/xl/worksheets/sheet1.xml", b"../../../../etc/passwd", relations)
    assert "has no part" in refusal(with_part("xl/_rels/workbook.xml.rels", climbing))


def test_other_archives_say_what_they_are() -> None:
    """A ZIP of CSVs, an OpenDocument sheet, half a download."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("a.csv", "code")
    assert "is a ZIP file but no workbook; unpack it" in refusal(out.getvalue())
    assert "is an OpenDocument file; save it as XLSX" in refusal(with_part("mimetype", b"application/vnd.oasis"))
    assert "is damaged or was not loaded whole" in refusal(GOOD[:-30])


def test_rows_and_strings_without_end_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers of rows that cannot be, references to texts that are not there, more texts than a city has."""
    rows = b'<row r="99999999999999"><c r="ZZZZZ9" t="s"><v>99999999999</v></c><c r="" t="s"><v>-1</v></c></row>'
    sheet = b"<worksheet><sheetData>" + rows * 3 + b"</sheetData></worksheet>"
    file = parse_file(with_part(SHEET, sheet), "cameras")
    assert {bad.code for bad in file.rejected} == {"missing_column"}
    monkeypatch.setattr(workbook, "MAX_STRINGS", 2)
    assert "has more than 2 texts" in refusal(GOOD)


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_no_damage_breaks_the_reader(damage: list[tuple[int, int]]) -> None:
    """Whatever bytes are changed: a list, refusals or UsageError, never another error."""
    raw = bytearray(GOOD)
    for at, byte in damage:
        raw[at] = byte
    with contextlib.suppress(UsageError):
        parse_file(bytes(raw), "cameras")


PIECES = st.sampled_from(
    ["<row>", "</row>", "<c>", "</c>", '<c r="B2" t="s">', '<c s="1">', "<v>", "</v>", "1", "-5", "1e999", "nan", "<f>",
     "</f>", "<is>", "</is>", "<t>", "</t>", "<mergeCells>", '<mergeCell ref="A1:A9999999"/>', "</mergeCells>",
     "<sheetData>",
     "</sheetData>", "&lt;", "x:y", '<row r="-1">', "<worksheet>", "</worksheet>", "code", "name"]
)  # fmt: skip


@settings(max_examples=150)
@given(st.lists(PIECES, max_size=25))
def test_no_sheet_breaks_the_reader(pieces: list[str]) -> None:
    """Elements in any order and number, well-formed or not."""
    for sheet in ("".join(pieces), f"<worksheet><sheetData><row>{''.join(pieces)}</row></sheetData></worksheet>"):
        with contextlib.suppress(UsageError):
            parse_file(with_part(SHEET, sheet.encode()), "cameras")
