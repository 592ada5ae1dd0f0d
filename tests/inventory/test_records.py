"""CSV as it comes: encodings, delimiters, quoted line breaks, and damage that stays where it is."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.errors import UsageError
from streamwatch.inventory.records import MAX_RECORD_CHARS, MAX_RECORD_LINES, Record, decode, records

CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=12)


def read(text: str) -> list[tuple[int, tuple[str, ...]]]:
    """Lines and cells of what is not blank."""
    return [(record.line, record.cells) for record in records(text) if not record.blank]


@given(st.lists(st.lists(CELL, min_size=2, max_size=5).map(tuple), max_size=8), st.sampled_from(["\n", "\r\n", "\r"]))
def test_what_the_csv_module_writes_is_read_back(rows: list[tuple[str, ...]], ending: str) -> None:
    """Against the csv module: the same cells, and the line at which each record begins."""
    headings = ("a", "b", "c", "d", "e", "f")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
    expected = []
    for row in (headings, *rows):
        line = out.getvalue().count("\n") + 1
        writer.writerow(row)
        expected.append((line, row))

    found = read(out.getvalue().replace("\n", ending))

    assert [item for item in found if any(map(str.strip, item[1]))] == [
        item for item in expected if any(map(str.strip, item[1]))
    ]


def test_line_numbers_hold_behind_quoted_line_breaks_and_empty_lines() -> None:
    """The number is that of the line in an editor, where the record begins."""
    assert read('code,name\n\n1,"two\nlines"\r\n   \n2,"say ""x"""\n3,end') == [
        (1, ("code", "name")),
        (3, ("1", "two\nlines")),
        (6, ("2", 'say "x"')),
        (7, ("3", "end")),
    ]


def test_a_stray_quotation_mark_costs_its_own_line() -> None:
    """An open quote does not swallow the rest of the city."""
    found = list(records('code,name\n1,"open\n2,b\n3,"x"y\n4,d\n'))

    assert [(record.line, record.broken is None) for record in found] == [
        (1, True),
        (2, False),
        (3, True),
        (4, False),
        (5, True),
    ]
    assert found[1] == Record(2, (), "a quotation mark is not closed, or text follows it")


def test_an_inch_mark_within_a_cell_is_text() -> None:
    """Only a mark at the beginning of a cell opens a quotation."""
    assert read('code,name\n1,7" monitor\n2,b') == [(1, ("code", "name")), (2, ("1", '7" monitor')), (3, ("2", "b"))]


def test_long_lines_and_records_are_bounded() -> None:
    """Neither a line without end nor a quotation over hundreds of lines is taken."""
    long, many = "x" * (MAX_RECORD_CHARS + 1), "\n" * MAX_RECORD_LINES
    found = list(records(f'a,b\n1,{long}\n2,"{many}"\n3,c'))

    assert [record.line for record in found if record.broken] == [2, 3, 3 + MAX_RECORD_LINES]
    assert found[-1] == Record(4 + MAX_RECORD_LINES, ("3", "c"))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_spreadsheets_may_write_semicolons_or_tabs(delimiter: str) -> None:
    """The headings tell which."""
    assert read(f"code{delimiter}name\n1{delimiter}a") == [(1, ("code", "name")), (2, ("1", "a"))]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "gbk", "utf-16"])
def test_the_encodings_of_chinese_spreadsheets_are_told_apart(encoding: str) -> None:
    """UTF-8 with and without BOM, GB18030 and its subset GBK, and what Excel calls Unicode text."""
    assert decode("编码,名称\n一,村口東\n".encode(encoding), "f") == "编码,名称\n一,村口東\n"


def test_bytes_of_no_encoding_are_named_by_line() -> None:
    """The message says which line of which file, and what to do."""
    with pytest.raises(UsageError, match=r"^f\.csv: line 2 is neither UTF-8 nor GB18030; save it as CSV UTF-8$"):
        decode(b"code\n\xff\xff\xff\n", "f.csv")


def test_a_blank_line_is_a_record_without_cells() -> None:
    """So that it can be named; the end of the last line is none."""
    assert list(records("a,b\n\n  \n1,2\n")) == [
        Record(1, ("a", "b")),
        Record(2, ()),
        Record(3, ()),
        Record(4, ("1", "2")),
    ]


def test_a_title_does_not_hide_the_separator() -> None:
    """The first lines together tell it."""
    assert read("Cameras, spring\n\ncode;name;village\n1;a;V")[1:] == [
        (3, ("code", "name", "village")),
        (4, ("1", "a", "V")),
    ]


def test_some_lines_of_another_encoding_are_marked() -> None:
    """UTF-8 with a line that was pasted from elsewhere: its characters are lost, the others are not."""
    raw = "编码,名称\n1,村口\n2,村口\n".encode() + "3,村尾\n".encode("gb18030")

    assert decode(raw, "f").splitlines()[:3] == ["编码,名称", "1,村口", "2,村口"]
    assert "\ufffd" in decode(raw, "f").splitlines()[3]


def test_a_huge_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cap is on bytes, before anything is decoded."""
    monkeypatch.setattr("streamwatch.inventory.records.MAX_FILE_BYTES", 10)
    with pytest.raises(UsageError, match="larger than 10 bytes"):
        decode(b"x" * 11, "f.csv")
