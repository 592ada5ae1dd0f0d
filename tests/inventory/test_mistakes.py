"""Ten mistakes that lists from people have: each is named with its line, its column, a code and what to do."""

from __future__ import annotations

import pytest

from streamwatch.errors import UsageError
from streamwatch.inventory.lists import parse_file
from streamwatch.inventory.parsed import ParsedFile
from tests.inventory.written import Rows, as_csv, as_json_lines, as_xlsx, refused, remarked, values

HEAD = ("code", "name", "village", "url")
GOOD = ("C1", "村口", "V1", "rtsp://192.0.2.1/a")
WAYS = {"csv": as_csv, "xlsx": as_xlsx, "json": as_json_lines}


def cameras(text: str | bytes) -> ParsedFile:
    """A CSV that was read."""
    return parse_file(text if isinstance(text, bytes) else text.encode(), "cameras")


def read(way: str, *rows: tuple[object, ...], head: tuple[object, ...] = HEAD) -> ParsedFile:
    """The same rows in one kind of file. The headings stand in line 1, in JSON in none: its lines are one less."""
    return parse_file(WAYS[way]((head, *rows)), "cameras")


def line(way: str, number: int) -> int:
    """The line that a person sees."""
    return number - 1 if way == "json" else number


every_way = pytest.mark.parametrize("way", ["csv", "xlsx", "json"])


def test_1_encoding_of_some_lines() -> None:
    """A line pasted from another encoding is refused alone, with the character that was lost."""
    raw = "code,name,village,url\nC1,村口,V1,rtsp://h/\nC2,村口,V1,rtsp://h/\n".encode()
    file = cameras(raw + "C3,村尾,V1,rtsp://h/\n".encode("gb18030"))

    assert [row["code"] for row in values(file)] == ["C1", "C2"]
    assert refused(file) == [
        (
            4,
            "name",
            "bad_encoding",
            "characters are not UTF-8 or were lost on the way; write it again and save the file as CSV UTF-8",
        )
    ]


def test_1_encoding_of_the_whole_file() -> None:
    """Bytes of no encoding refuse the file, which names the line."""
    with pytest.raises(UsageError, match=r"line 2 is neither UTF-8 nor GB18030; save it as CSV UTF-8"):
        cameras(b"code,name,village,url\nC1,\xff\xff,V1,rtsp://h/\n")


@every_way
def test_2_header_misspelt(way: str) -> None:
    """Refused as a whole: a misspelt password must not import a city without passwords."""
    file = read(way, (*GOOD, "x"), head=(*HEAD, "pasword"))

    assert file.rows == ()
    assert refused(file) == [(1, "pasword", "unknown_column", "did you mean password?, or remove the column")]


@every_way
def test_2_header_missing(way: str) -> None:
    """What is missing is named, and what may stand in its place."""
    file = read(way, GOOD[:3], head=HEAD[:3])

    assert refused(file) == [
        (
            1,
            "url",
            "missing_column",
            "add the column; required are code,name,village,url (url: an rtsp address; or vendor with the IP address "
            "in url or host; or recorder with recorder_channel)",
        )
    ]


def test_2_header_line_missing() -> None:
    """Without headings the first camera is not taken for them silently."""
    file = cameras("C1,村口,V1,rtsp://192.0.2.1/a\nC2,村尾,V1,rtsp://192.0.2.2/a\n")

    assert file.rows == ()
    assert {(bad.line, bad.code) for bad in file.rejected} == {(1, "unknown_column"), (1, "missing_column")}


@every_way
def test_3_duplicate_code(way: str) -> None:
    """The later line is refused and names the earlier."""
    file = read(way, GOOD, ("C1", "村尾", "V1", "rtsp://192.0.2.2/a"))

    assert len(file.rows) == 1
    remedy = f"line {line(way, 2)} has the same code; give each its own"
    assert refused(file) == [(line(way, 3), "code", "duplicate_code", remedy)]


@every_way
@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("http://192.0.2.1/a", "give an address such as rtsp://192.0.2.7:554/live"),
        ("rtsp//192.0.2.1/a", "give an address such as rtsp://192.0.2.7:554/live"),
        ("rtsp://192.0.2.256/a", "the IP address is not one; correct it"),
        ("192.0.2.1", "give the whole address such as rtsp://192.0.2.7:554/live, or the maker in vendor beside it"),
    ],
)
def test_4_bad_url(way: str, url: str, remedy: str) -> None:
    """The remedy is an address that is right."""
    file = read(way, ("C1", "村口", "V1", url))

    assert refused(file) == [(line(way, 2), "url", "bad_url", remedy)]


@every_way
def test_5_missing_village(way: str) -> None:
    """An empty village is asked for; one that the store does not have is refused by the import."""
    file = read(way, ("C1", "村口", "", "rtsp://192.0.2.1/a"))

    remedy = "give the code or name of its village, or 村级编码 with 行政区域"
    assert refused(file) == [(line(way, 2), "village", "missing", remedy)]


@every_way
def test_6_port_99999(way: str) -> None:
    """In the address or in its own column."""
    file = read(way, ("C1", "村口", "V1", "rtsp://192.0.2.1:99999/a"))
    apart = read(way, ("C1", "村口", "V1", "192.0.2.1", "hik", 99999), head=(*HEAD, "vendor", "port"))

    assert refused(file) == [(line(way, 2), "url", "bad_url", "give a port from 1 to 65535")]
    assert refused(apart) == [(line(way, 2), "port", "out_of_range", "give a whole number from 1 to 65535")]


@every_way
def test_7_spaces_around(way: str) -> None:
    """They are removed, and said."""
    file = read(way, (" C1", "村口\u3000", "V1", " rtsp://192.0.2.1/a "))

    remedy = "spaces or tabs around it were removed; remove them"
    assert remarked(file) == [(line(way, 2), column, "spaces", remedy) for column in ("code", "name", "url")]
    assert values(file)[0] | {"username": 0, "password": 0} == dict(
        zip((*HEAD, "username", "password"), (*GOOD, 0, 0), strict=True)
    )


@every_way
def test_7_spaces_inside(way: str) -> None:
    """In a code or an address they are refused: nobody knows what was meant. In a name they are text."""
    file = read(way, ("C 1", "村口 东", "V1", "rtsp://h/"), ("C2", "村口 东", "V1", "rtsp://192.0.2.1 :554/a"))

    assert refused(file) == [
        (line(way, 2), "code", "spaces", "remove the spaces inside it"),
        (line(way, 3), "url", "spaces", "remove the spaces inside it"),
    ]


@every_way
def test_8_full_width_digits(way: str) -> None:
    """Codes, numbers, days and addresses are read as ordinary, and said; passwords are kept, and said."""
    row = ("Ｃ１", "村口", "V1", "rtsp：／／192.0.2.1：８５５４／a", "３０", "２０２４-1-5", "ｐ１")
    file = read(way, row, head=(*HEAD, "retention_days", "installed_on", "password"))

    assert refused(file) == []
    assert values(file) == [
        {
            "code": "C1",
            "name": "村口",
            "village": "V1",
            "url": "rtsp://192.0.2.1:8554/a",
            "retention_days": 30,
            "installed_on": "2024-01-05",
            "password": "ｐ１",
            "username": None,
        }
    ]
    said = "read as '{}'; write digits, letters and marks in ordinary (half) width"
    kept = "it holds full-width characters, which are kept: devices seldom take them; write it in half width"
    assert remarked(file) == [
        (line(way, 2), "code", "full_width", said.format("C1")),
        (line(way, 2), "url", "full_width", said.format("rtsp://192.0.2.1:8554/a")),
        (line(way, 2), "retention_days", "full_width", said.format("30")),
        (line(way, 2), "installed_on", "full_width", said.format("2024-1-5")),
        (line(way, 2), "password", "full_width", kept),
    ]
    assert "ｐ１" not in repr(file.remarks)


def test_8_full_width_beside_a_login_is_refused() -> None:
    """A password may hold such a character: what was meant is not known."""
    file = cameras("code,name,village,url\nC1,村口,V1,rtsp：//admin:geheim@192.0.2.1/a\n")

    assert refused(file) == [(2, "url", "full_width", "write : / @ and digits in ordinary (half) width")]
    assert "geheim" not in repr(file.rejected)


@pytest.mark.parametrize(
    ("head", "code"), [("code，name，village，url", "wrong_separator"), ("ｃｏｄｅ,name：,village,url", None)]
)
def test_8_full_width_in_headings(head: str, code: str | None) -> None:
    """Full-width commas separate nothing; other full-width marks are read and said."""
    file = cameras(f"{head}\nC1,村口,V1,rtsp://h/\n")

    if code is None:
        remedy = "read as {}; write it in ordinary (half) width"
        assert remarked(file) == [(1, name, "full_width", remedy.format(name)) for name in ("code", "name")]
        assert len(file.rows) == 1
    else:
        remedy = "separate headings and values by ordinary commas (,), semicolons or tabs"
        assert refused(file) == [(1, None, code, remedy)]


@every_way
def test_9_tabs_inside(way: str) -> None:
    """They cannot be seen, so the line is refused."""
    file = read(way, ("C1", "村\t口", "V1", "rtsp://h/"), ("C2", "村口", "V1", "rtsp://h/\ta"))

    assert refused(file) == [
        (line(way, 2), "name", "tab", "remove the tab inside it"),
        (line(way, 3), "url", "tab", "remove the tab inside it"),
    ]


@pytest.mark.parametrize("mark", ["\t", ";", "，"])
def test_9_a_line_with_another_separator(mark: str) -> None:
    """A line that was pasted from a spreadsheet into a file with commas."""
    file = cameras("code,name,village,url\n" + mark.join(GOOD) + "\nC2,村尾,V1,rtsp://h/\n")

    assert [row["code"] for row in values(file)] == ["C2"]
    assert refused(file) == [(2, None, "wrong_separator", "separate its 4 values by the mark that the headings have")]


@every_way
def test_10_empty_lines(way: str) -> None:
    """Skipped and said, once a stretch; those at the end are nobody's mistake."""
    other = ("C2", "村尾", "V1", "rtsp://192.0.2.2/a")
    rows: Rows = ((), GOOD, (), (), other, (), ())
    file = read(way, *rows)  # type: ignore[arg-type]

    assert len(file.rows) == 2
    notes = [(note.line, note.value, note.code) for note in file.remarks]
    assert notes == [(line(way, 2), "", "empty_line"), (line(way, 4), f"to line {line(way, 5)}", "empty_line")]
    assert [row.line for row in file.rows] == [line(way, 3), line(way, 6)]


def test_10_lines_of_separators_only_are_empty() -> None:
    """As spreadsheets write them."""
    file = cameras("code,name,village,url\n,,,\nC1,村口,V1,rtsp://h/\n,,,\n")

    assert len(file.rows) == 1
    assert remarked(file) == [(2, None, "empty_line", "skipped; remove empty lines")]


def test_one_habit_does_not_hide_the_others() -> None:
    """Of each kind of remark some are kept; all lines are counted."""
    lines = [f" C{number},村口,V1,rtsp://h/" for number in range(500)]
    file = cameras("code,name,village,url\n" + "\n".join(lines) + "\nC,村口,V1,rtsp：//h/\n")

    assert file.remarks_total == 501
    assert len(file.remarks) == 201
    assert file.remarks[-1].code == "full_width"
