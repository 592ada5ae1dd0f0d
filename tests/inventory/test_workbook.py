"""Workbooks as offices pass them on: titles, merged cells, dates, numbers that were codes, several sheets."""

from __future__ import annotations

import datetime as dt
import io

import pytest
from openpyxl import Workbook as Book
from openpyxl import load_workbook

from streamwatch.errors import UsageError
from streamwatch.inventory.lists import parse_file
from streamwatch.inventory.parsed import ParsedFile
from tests.inventory.written import Rows, as_xlsx, refused, remarked, repacked, values

HEAD = ("code", "name", "village", "url")
GOOD = ("C1", "村口", "V1", "rtsp://192.0.2.1/a")


def cameras(rows: Rows, **more: object) -> ParsedFile:
    """A workbook that was read."""
    return parse_file(as_xlsx(rows, **more), "cameras")  # type: ignore[arg-type]


def test_a_title_above_the_headings_is_skipped_and_said() -> None:
    """Lists begin with a merged title and a date; line numbers stay those of the sheet."""
    file = cameras([("青河县视频监控一机一档",), (), ("制表日期 2026年", ""), HEAD, GOOD], merge=["A1:D1"])

    assert [row.line for row in file.rows] == [5]
    assert remarked(file) == [(1, None, "title", "skipped as a title; the headings are in line 4")]


def test_what_is_merged_downwards_stands_in_every_row() -> None:
    """One village over its cameras, as a person sees it; the rows below the area are none of it."""
    rows = [HEAD, GOOD, ("C2", "村尾", "", "rtsp://192.0.2.2/a"), ("C3", "路口", "", "rtsp://192.0.2.3/a")]
    file = cameras(rows, merge=["C2:C3"])

    assert [row["village"] for row in values(file)] == ["V1", "V1"]
    assert [(bad[0], bad[1], bad[2]) for bad in refused(file)] == [(4, "village", "missing")]


def test_headings_of_two_rows_are_read_where_cells_are_merged() -> None:
    """The lower row has the parts, the merged cells hang down into it."""
    rows = [(*HEAD, "位置", ""), ("", "", "", "", "经度", "纬度"), (*GOOD, 113.5, 23.25)]
    file = cameras(rows, merge=["A1:A2", "B1:B2", "C1:C2", "D1:D2", "E1:F1"])

    assert refused(file) == []
    assert [(row["longitude"], row["latitude"]) for row in values(file)] == [(113.5, 23.25)]


def test_days_are_days_however_they_are_stored() -> None:
    """A date, a date with its time, a text, Chinese formats; the year 1904 where a Mac made the workbook."""
    book = Book()
    sheet = book.active
    assert sheet is not None
    sheet.append([*HEAD, "installed_on"])
    days = [dt.date(2024, 5, 1), dt.datetime(2024, 5, 1, 8, 30), "2024-05-01", dt.date(2024, 5, 1), dt.date(2024, 5, 1)]
    for number, day in enumerate(days):
        sheet.append([f"C{number}", "村口", "V1", "rtsp://h/", day])
    sheet["E5"].number_format = '[$-804]yyyy"年"m"月"d"日";@'
    sheet["E6"].number_format = "m/d/yyyy"
    for epoch in (dt.datetime(1899, 12, 30), dt.datetime(1904, 1, 1)):
        book.epoch = epoch
        out = io.BytesIO()
        book.save(out)
        file = parse_file(out.getvalue(), "cameras")

        assert refused(file) == []
        assert {row["installed_on"] for row in values(file)} == {"2024-05-01"}


def test_numbers_are_what_they_show_and_rounded_codes_are_refused() -> None:
    """A spreadsheet keeps 15 digits: a code of 20 that was typed as a number has lost five."""
    rows = [
        (*HEAD, "channel", "longitude"),
        (1001, 7, 990000101201, "rtsp://h/", 3.0, 113.264123),
        (44010101011321000001, "村口", "V", "rtsp://h/", 1, 1),
        (4.4010101011321e19, "村口", "V", "rtsp://h/", 1, 1),
        ("44010101011321000001", "村口", 4.4010101e15, "rtsp://h/", 1, 1),
    ]
    file = cameras(rows)

    assert values(file)[0] | {"username": None, "password": None, "sub_url": None} == {
        "code": "1001",
        "name": "7",
        "village": "990000101201",
        "url": "rtsp://h/",
        "channel": "3",
        "longitude": 113.264123,
        "username": None,
        "password": None,
        "sub_url": None,
    }
    remedy = "a spreadsheet rounded this code; format the column as text and fill it again"
    assert refused(file) == [
        (3, "code", "damaged_number", remedy),
        (4, "code", "damaged_number", remedy),
        (5, "village", "damaged_number", remedy),
    ]


@pytest.mark.parametrize("format_", ['0"day"', "[Red]0", r"0\d", "#,##0_d;[Blue]-0*m", "General", "0.00E+00"])
def test_formats_with_letters_that_are_no_dates(format_: str) -> None:
    """Literals, colours and padding may hold a d or an m."""
    book = Book()
    sheet = book.active
    assert sheet is not None
    sheet.append([*HEAD, "retention_days"])
    sheet.append([*GOOD, 30])
    sheet["E2"].number_format = format_
    out = io.BytesIO()
    book.save(out)

    assert values(parse_file(out.getvalue(), "cameras"))[0]["retention_days"] == 30


def test_formulas_without_a_result_and_errors_are_named() -> None:
    """They look filled in and hold nothing; in a column that is not used they harm nobody."""
    file = cameras(
        [(*HEAD, "备注"), ("C1", "=A2&B1", "V1", "rtsp://h/", "=1+1"), ("C2", "#N/A", "V1", "rtsp://h/", "#REF!")]
    )

    formula = "its formula has no saved result; open and save the workbook, or paste the values"
    error = "the cell holds a spreadsheet's error; correct its formula or write the value"
    assert refused(file) == [(2, "name", "formula", formula), (3, "name", "cell_error", error)]


def test_results_of_formulas_are_read() -> None:
    """What the spreadsheet saved beside the formula: text, number, and the empty text."""
    raw = as_xlsx([HEAD, GOOD])
    sheet = (
        b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
        b'<row><c t="inlineStr"><is><t>code</t></is></c><c t="inlineStr"><is><t>name</t><rPh><t>x</t></rPh></is></c>'
        b'<c t="str"><v>village</v></c><c t="str"><v>url</v></c><c t="str"><v>households</v></c></row>'
        b'<row><c><f>1+1</f><v>2</v></c><c t="str"><f>B1</f><v>_x4E00__x000D_</v></c><c t="str"><v>V</v></c>'
        b'<c t="str"><f>x</f><v>rtsp://h/</v></c></row>'
        b'<row><c><v>3</v></c><c t="str"><f>x</f><v></v></c><c t="str"><v>V</v></c><c t="str"><v>rtsp://h/</v></c></row>'
        b"</sheetData></worksheet>"
    )
    file = parse_file(repacked(raw, {"xl/worksheets/sheet1.xml": sheet.replace(b"households", b"channel")}), "cameras")

    assert [(row["code"], row["name"]) for row in values(file)] == [("2", "一")]
    assert [bad[:3] for bad in refused(file)] == [(3, "name", "missing")]


def test_half_characters_are_refused_and_can_be_said() -> None:
    """What XML cannot hold is escaped; half of a character is none."""
    file = cameras([HEAD, ("C1", "村_xD800_", "V1", "rtsp://h/"), (*GOOD[:1], "a_x0041_", *GOOD[2:])])

    assert [bad[:3] for bad in refused(file)] == [(2, "name", "bad_encoding")]
    assert values(file)[0]["name"] == "aA"
    assert file.to_bytes()


def test_the_sheet_with_known_headings_is_read() -> None:
    """Neither an introduction before it nor a dictionary behind it is the list; another list is remarked on."""
    intro, more = [("填表说明",), ("一、…",)], {"设备": [HEAD, GOOD], "字典": [("类型",), ("1",)]}
    one = cameras(intro, more=more)
    two = cameras(intro, more={**more, "设备2": [HEAD, GOOD]})

    assert [row["code"] for row in values(one)] == ["C1"]
    assert remarked(one) == []
    remedy = "only sheet '设备' was read; import these sheets as files of their own"
    assert remarked(two) == [(1, None, "other_sheets", remedy)]


def test_hidden_sheets_are_not_read() -> None:
    """A hidden copy of last year is not the list."""
    book = load_workbook(io.BytesIO(as_xlsx([HEAD, ("OLD", *GOOD[1:])], more={"now": [HEAD, GOOD]})))
    book["Sheet1"].sheet_state = "hidden"
    book.active = 1
    out = io.BytesIO()
    book.save(out)

    assert [row["code"] for row in values(parse_file(out.getvalue(), "cameras"))] == ["C1"]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
            r"old workbook \(\.xls\) or one with a password; save it as XLSX",
        ),
        (as_xlsx([()]), "is empty; its first line must hold the headings code,name,village,url"),
    ],
)
def test_other_workbooks_say_what_to_do(raw: bytes, message: str) -> None:
    """Old, protected, empty."""
    with pytest.raises(UsageError, match=message):
        parse_file(raw, "cameras")


def test_styles_without_end_and_columns_without_end_are_bounded() -> None:
    """A row may be damaged or wide: it is refused alone, and the next is read."""
    file = cameras([HEAD, (*GOOD, *[""] * 300, "x"), GOOD])

    assert [row.line for row in file.rows] == [3]
    assert refused(file) == [(2, None, "bad_line", "has more than 256 columns; correct the line")]


def test_long_rows_are_refused_alone() -> None:
    """A cell that holds a book costs its own row."""
    file = cameras([HEAD, ("C1", "村" * 30_000, "V1", "x" * 32_000, "y" * 32_000), GOOD])

    assert [(bad[0], bad[2]) for bad in refused(file)] == [(2, "bad_line")]
    assert [row.line for row in file.rows] == [3]
