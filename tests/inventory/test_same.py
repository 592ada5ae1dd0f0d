"""CSV, workbook and JSON lines of one table are one list: the same pipeline judges them."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.inventory.lists import parse_file
from streamwatch.inventory.parsed import ParsedFile
from tests.inventory.written import as_csv, as_json_lines, as_xlsx, with_shared_strings

HEAD = ("code", "name", "village", "url", "username", "password", "retention_days", "installed_on", "key_point")

# What XML 1.0 (2.2) can hold: a workbook has no control characters but tab and line feed.
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff="), max_size=8)
CELLS = (
    st.sampled_from(["C1", "C2", " C3", "Ｃ４", "C 5", "", "4.4E+19", "C\t6"]) | TEXT,
    st.sampled_from(["村口", "村\t口", "", " 村口 ", "a\nb"]) | TEXT,
    st.sampled_from(["V1", "", "青石村", "Ｖ１"]) | TEXT,
    st.sampled_from(
        ["rtsp://192.0.2.1/a", "rtsp://u:p@192.0.2.1/a", "rtsp：//192.0.2.1/", "rtsp://h:99999/", "rtsp://h /", "", "h"]
    ),
    st.sampled_from(["", "admin", "u"]) | TEXT,
    st.sampled_from(["", "p", "Ｐ"]) | TEXT,
    st.sampled_from(["", "30", "３０", "0", "x", " 90"]),
    st.sampled_from(["", "2024-1-5", "2024/01/05 08:00", "2024年1月5日", "5.1.2024", "２０２４-01-05"]),
    st.sampled_from(["", "是", "no", "1", "vielleicht"]),
)
TABLES = st.lists(st.tuples(*CELLS), min_size=1, max_size=8).filter(lambda table: any(map(any, table)))


def by_row(file: ParsedFile, first_lines: list[int]) -> ParsedFile:
    """The list with rows in place of lines."""
    row_of = {line: row for row, line in enumerate(first_lines)}
    rows = tuple(msgspec.structs.replace(row, line=row_of[row.line]) for row in file.rows)
    rejected, remarks = (
        tuple(msgspec.structs.replace(note, line=row_of[note.line], remedy="") for note in notes)
        for notes in (file.rejected, file.remarks)
    )
    return msgspec.structs.replace(file, rows=rows, rejected=rejected, remarks=remarks)


@settings(max_examples=80)
@given(TABLES)
def test_three_files_of_one_table_are_one_list(table: list[tuple[str, ...]]) -> None:
    """Values, refusals and remarks are equal; only line numbers differ, and the remedies that name one."""
    rows = [row for row in table if any(cell.strip() for cell in row)]  # what is blank is written differently
    csv, book, lines = (parse_file(write([HEAD, *rows]), "cameras") for write in (as_csv, as_xlsx, as_json_lines))
    count = len(rows) + 1
    lines_of_csv = [1 + as_csv([HEAD, *rows[:at]]).count(b"\n") for at in range(count)]

    expected = by_row(csv, [1, *lines_of_csv[:-1]])
    assert by_row(book, list(range(1, count + 1))) == expected
    assert (
        by_row(parse_file(with_shared_strings(as_xlsx([HEAD, *rows])), "cameras"), list(range(1, count + 1)))
        == expected
    )
    assert by_row(lines, list(range(count))) == expected
