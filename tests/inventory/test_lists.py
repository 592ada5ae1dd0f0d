"""A whole list: headings, lines, and every refusal with line, column, value, code and remedy."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.errors import UsageError
from streamwatch.inventory.lists import parse_file
from streamwatch.inventory.parsed import ParsedFile, Rejection

HEAD = "code,name,village,url,sub_url,username,password\n"


def cameras(*lines: str, head: str = HEAD) -> ParsedFile:
    """A list of cameras that was read."""
    return parse_file((head + "\n".join(lines)).encode(), "cameras")


def rows(file: ParsedFile) -> list[dict[str, object]]:
    """Its lines as mappings."""
    return [dict(zip(file.columns, row.values, strict=True)) for row in file.rows]


def refused(file: ParsedFile) -> list[tuple[int, str | None, str, str]]:
    """Its refusals, without remedies."""
    assert all(bad.remedy for bad in file.rejected)
    return [(bad.line, bad.column, bad.value, bad.code) for bad in file.rejected]


def test_a_good_line_is_typed() -> None:
    """Every column of a camera in its type; empty cells are None."""
    file = cameras(
        "1,村口,V1,rtsp://10.0.0.1/a,rtsp://10.0.0.1/b,hik,1,u,p,true,R1,2,L1,60,30,113.5,23.1,gcj-02,00204,是,2024/5/1,",
        head="code,name,village,url,sub_url,vendor,channel,username,password,allow_basic,recorder,recorder_channel,line,"
        "interval_s,retention_days,longitude,latitude,datum,position_type,key_point,installed_on,\n",
    )

    assert refused(file) == []
    assert rows(file) == [
        {
            "code": "1",
            "name": "村口",
            "village": "V1",
            "url": "rtsp://10.0.0.1/a",
            "sub_url": "rtsp://10.0.0.1/b",
            "vendor": "hikvision",
            "channel": "1",
            "username": "u",
            "password": "p",
            "allow_basic": True,
            "recorder": "R1",
            "recorder_channel": "2",
            "line": "L1",
            "interval_s": 60,
            "retention_days": 30,
            "longitude": 113.5,
            "latitude": 23.1,
            "datum": "GCJ-02",
            "position_type": "00204",
            "key_point": True,
            "installed_on": "2024-05-01",
        }
    ]


def test_every_bad_cell_of_every_line_is_named_and_good_lines_stay() -> None:
    """One bad line does not stop the others, and a line with three faults says all three."""
    file = cameras(
        "1,a,V,rtsp://h/,,,",
        ",b,,rtsp://h/,,,",
        "①,c,V,rtsp://h/,,,",
        '5,"d\nx",V,rtsp://u:geheim@h:0/,,,',
        "6,e,V,rtsp://h/,,,,surplus",
        '7,"f',
        "1,g,V,rtsp://h/,,,",
        "8,h",
        "9,i,V,rtsp://h/,,,,,",
    )

    assert [row["code"] for row in rows(file)] == ["1", "9"]
    assert refused(file) == [
        (3, "code", "", "missing"),
        (3, "village", "", "missing"),
        (4, "code", "①", "bad_code"),
        (5, "name", "d\nx", "bad_text"),
        (7, None, "8 values", "too_many_values"),
        (8, None, "", "bad_line"),
        (9, "code", "1", "duplicate_code"),
        (10, "village", "", "missing"),
        (10, "url", "", "missing"),
    ]
    assert file.rejected_total == 7
    assert "line 2 has the same code" in file.rejected[6].remedy


def test_no_refusal_shows_a_password() -> None:
    """Neither from its own column nor from an address, however damaged."""
    long = "geheim" * 50
    file = cameras(
        f"1,a,V,rtsp://h/,,u,{long}",
        "2,a,V,rtsp://u:geheim@h:0/,,,",
        "3,a,V,rtsp:/u:geheim@h/,,,",
        "4,a,V,rtsp://u:geheim@h/,,u,other",
        "5,a,V,rtsp://u:geheim@h/,rtsp://u:geheim@g/,,",
        f"6,a,V,rtsp://h/,,{long},x",
        "7,a,V,rtsp://h/?x=1 password=geheim,,,",
        "8,a,V,rtsp://u:geheim%0d%0aCSeq:1@h/,,,",
    )

    assert [(bad.line, bad.column, bad.value, bad.code) for bad in file.rejected] == [
        (2, "password", "***", "too_long"),
        (3, "url", "rtsp://***@h:0/", "bad_url"),
        (4, "url", "***@h/", "bad_url"),
        (5, "url", "rtsp://***@h/", "credentials_conflict"),
        (6, "sub_url", "rtsp://g/", "other_host"),
        (7, "username", "***", "too_long"),
        (8, "url", "rtsp://h/?x=1 password=***", "spaces"),
        (9, "url", "rtsp://***@h/", "bad_text"),
    ]
    assert "geheim" not in repr(file)


def test_credentials_of_addresses_go_to_their_columns() -> None:
    """Many lists come so; equal ones beside them are fine, and a sub address may bring what the main one lacks."""
    file = cameras(
        "1,a,V,rtsp://u:p%40@h/x,,,",
        "2,a,V,rtsp://u:p@h/x,rtsp://u:p@h/y,u,p",
        "3,a,V,rtsp://h/x,rtsp://u:p@h/y,,",
        "4,a,V,rtsp://u@h/x,,,p",
    )

    assert refused(file) == []
    assert [(row["url"], row["sub_url"], row["username"], row["password"]) for row in rows(file)] == [
        ("rtsp://h/x", None, "u", "p@"),
        ("rtsp://h/x", "rtsp://h/y", "u", "p"),
        ("rtsp://h/x", "rtsp://h/y", "u", "p"),
        ("rtsp://h/x", None, "u", "p"),
    ]


def test_columns_that_only_addresses_fill_are_quiet() -> None:
    """A file without a password column says nothing about passwords where its addresses do not."""
    file = cameras("1,a,V,rtsp://u:p@h/x", "2,a,V,rtsp://h/x", head="code,name,village,url\n")

    assert file.quiet == ("username", "password")
    assert [(row["username"], row["password"]) for row in rows(file)] == [("u", "p"), (None, None)]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("code,name,village", [("url", "", "missing_column")]),
        ("code,name,village,url,pasword", [("pasword", "pasword", "unknown_column")]),
        ("code,name,village,url,name", [("name", "name", "duplicate_column")]),
        ("code,name,village,url,设备名称", [("name", "设备名称", "duplicate_column")]),
        ('code,name,village,"url', [(None, "", "bad_line")]),
    ],
)
def test_bad_headings_refuse_the_whole_list(head: str, expected: list[tuple[str | None, str, str]]) -> None:
    """A misspelt password column must not import 126,000 cameras without passwords."""
    file = cameras("1,a,V,rtsp://h/,x", head=head + "\n")

    assert file.rows == ()
    assert refused(file)[: len(expected)] == [(1, *bad) for bad in expected]


def test_a_misspelt_heading_is_told_what_was_meant() -> None:
    """The remedy names the nearest column."""
    file = cameras(head="code,name,village,url,pasword\n")

    assert file.rejected == (
        Rejection(1, "pasword", "pasword", "unknown_column", "did you mean password?, or remove the column"),
    )


def test_chinese_and_pinyin_headings_are_known() -> None:
    """一机一档 lists: their columns that we use are taken, the others are let be."""
    file = cameras(
        '="44010101011321000001",村口,V,rtsp://h/,30,192.0.2.1,公安',
        head="设备编码,SBMC,村居,主码流地址,录像保存天数,IPV4,所属部门/行业\n",
    )

    assert refused(file) == []
    assert rows(file)[0] == {
        "code": "44010101011321000001",
        "name": "村口",
        "village": "V",
        "url": "rtsp://h/",
        "retention_days": 30,
        "username": None,
        "password": None,
    }


@pytest.mark.parametrize("heading", ["allow_basic", "允许Basic认证", "允许basic认证", "YXBasicRZ"])
@pytest.mark.parametrize(("cell", "value"), [("true", True), ("是", True), ("no", False), ("", None)])
def test_permission_of_basic_is_read(heading: str, cell: str, value: bool | None) -> None:
    """Under each of its headings, in the words of every yes or no; an empty cell permits nothing."""
    file = cameras(f"1,村口,V,rtsp://h/,{cell}", head=f"code,name,village,url,{heading}\n")

    assert refused(file) == []
    assert rows(file)[0]["allow_basic"] is value


def test_what_is_no_yes_does_not_permit_basic() -> None:
    """A word that may mean anything costs the line: it is never taken for a yes."""
    file = cameras("1,村口,V,rtsp://h/,digest", head="code,name,village,url,allow_basic\n")

    assert refused(file) == [(2, "allow_basic", "digest", "bad_choice")]
    assert rows(file) == []


def test_villages_are_read() -> None:
    """The other kind of list, from GB18030."""
    text = "code,name,region,households,monitor_centre,joined_on\n1,青石村,青河县/双河镇,120,是,2024-1-1\n2,,x,-1,?,\n"
    file = parse_file(text.encode("gb18030"), "villages")

    assert rows(file) == [
        {
            "code": "1",
            "name": "青石村",
            "region": "青河县/双河镇",
            "households": 120,
            "monitor_centre": True,
            "joined_on": "2024-01-01",
        }
    ]
    assert [bad[3] for bad in refused(file)] == ["missing", "out_of_range", "bad_choice"]


def test_files_that_cannot_be_read_are_wrong_usage(tmp_path: Path) -> None:
    """Missing, empty, or another kind: exit 64 with a sentence."""
    with pytest.raises(UsageError, match=r"no\.csv: cannot be read: No such file"):
        parse_file(tmp_path / "no.csv", "cameras")
    with pytest.raises(UsageError, match="is empty; its first line must hold the headings code,name,village,url"):
        parse_file(b"\n \n", "cameras")
    with pytest.raises(
        UsageError, match="no import 'cats'; it knows villages, lines, recorders, cameras, points, facilities"
    ):
        parse_file(b"x", "cats")


def test_lists_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many lines are refused; refusals beyond the cap are counted, not kept."""
    monkeypatch.setattr("streamwatch.inventory.judging.MAX_REJECTIONS", 2)
    file = cameras("x", "y", "z")
    assert (len(file.rejected), file.rejected_total) == (2, 3)
    monkeypatch.setattr("streamwatch.inventory.judging.MAX_ROWS", 1)
    with pytest.raises(UsageError, match="more than 1 lines; split it"):
        cameras("1,a,V,rtsp://h/,,,", "2,a,V,rtsp://h/,,,")


def test_a_list_crosses_a_socket_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes give the same list; others, and too many, are wrong usage and are not quoted."""
    file = cameras("1,a,V,rtsp://u:geheim@h/,,,", "bad")

    assert ParsedFile.from_bytes(file.to_bytes()) == file
    crooked = msgspec.structs.replace(file, columns=("code",))
    for data in (b"geheim", b"\x93\x01", crooked.to_bytes()):
        with pytest.raises(UsageError) as caught:
            ParsedFile.from_bytes(data)
        assert "geheim" not in str(caught.value)
    monkeypatch.setattr("streamwatch.inventory.parsed.MAX_PARSED_BYTES", 10)
    with pytest.raises(UsageError, match="split it"):
        file.to_bytes()
    with pytest.raises(UsageError, match="split it"):
        ParsedFile.from_bytes(b"x" * 11)


@given(st.binary(max_size=300), st.sampled_from(["cameras", "villages"]))
def test_no_bytes_break_the_reader(data: bytes, kind: str) -> None:
    """Whatever lies in the file: a list, refusals, or UsageError; never another error."""
    heads = {"cameras": b"code,name,village,url\n", "villages": b"code,name,region\n"}
    for raw in (data, heads[kind] + data):
        with contextlib.suppress(UsageError):
            parse_file(raw, kind)
