"""One cell: what is taken, in which form, and with which words the rest is refused."""

from __future__ import annotations

import pytest

from streamwatch.inventory import cells
from streamwatch.inventory.cells import CellError, Parser


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (cells.code, "44010101011321000001", "44010101011321000001"),
        (cells.code, "村口-1.a:b_c", "村口-1.a:b_c"),
        (cells.name, "村口\u3000东", "村口 东"),
        (cells.name, "=1+2 <b>", "=1+2 <b>"),
        (cells.whole(5, 86_400), "300.0", 300),
        (cells.number(-180, 180), "113.264", 113.264),
        (cells.yes_no, "是", True),
        (cells.yes_no, "FALSE", False),
        (cells.choice("WGS-84", "GCJ-02"), "wgs-84", "WGS-84"),
        (cells.day, "2026-1-5", "2026-01-05"),
        (cells.day, "2026/01/05 08:30:00", "2026-01-05"),
        (cells.day, "20260105", "2026-01-05"),
        (cells.day, "2024-02-29", "2024-02-29"),
        (cells.region, "青河县 ／ 双河镇", "青河县/双河镇"),
        (cells.region, "440101", "440101"),
    ],
)
def test_a_good_cell_is_read(parse: Parser, text: str, value: object) -> None:
    """In the spellings that lists have, into one."""
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text", "code"),
    [
        (cells.code, "4.40101E+19", "damaged_number"),
        (cells.code, "a" * 65, "too_long"),
        (cells.code, "４４０１", "bad_code"),
        (cells.code, "../etc", "bad_code"),
        (cells.code, "a/b", "bad_code"),
        (cells.code, "a b", "bad_code"),
        (cells.code, "a%00", "bad_code"),
        (cells.code, "=cmd()", "bad_code"),
        (cells.code, "..", "bad_code"),
        (cells.name, "a\nb", "bad_text"),
        (cells.name, "a\x1b[2J", "bad_text"),
        (cells.name, "a\u202eb", "bad_text"),
        (cells.name, "村" * 201, "too_long"),
        (cells.secret, "x" * 257, "too_long"),
        (cells.whole(5, 86_400), "4", "out_of_range"),
        (cells.whole(5, 86_400), "86401", "out_of_range"),
        (cells.whole(5, 86_400), "60.5", "bad_number"),
        (cells.whole(5, 86_400), "five", "bad_number"),
        (cells.whole(5, 86_400), "nan", "out_of_range"),
        (cells.whole(5, 86_400), "1e400", "out_of_range"),
        (cells.number(-90, 90), "inf", "out_of_range"),
        (cells.number(-90, 90), "30°", "bad_number"),
        (cells.yes_no, "maybe", "bad_choice"),
        (cells.choice("a", "b"), "c", "bad_choice"),
        (cells.day, "2026-02-30", "bad_date"),
        (cells.day, "2026-13-01", "bad_date"),
        (cells.day, "5.1.2026", "bad_date"),
        (cells.day, "46024", "bad_date"),
        (cells.day, "1899-12-31", "out_of_range"),
        (cells.region, "a//b", "bad_region"),
        (cells.region, "/", "bad_region"),
        (cells.region, "/".join("abcdefghi"), "bad_region"),
    ],
)
def test_a_bad_cell_is_refused_with_a_code_and_a_remedy(parse: Parser, text: str, code: str) -> None:
    """The code is stable; the remedy is a sentence."""
    with pytest.raises(CellError) as caught:
        parse(text)
    assert caught.value.code == code
    assert caught.value.remedy
