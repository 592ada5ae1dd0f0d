"""一机一档: its headings in three spellings, its codes for makers, states and places, its village in two parts."""

from __future__ import annotations

import pytest

from streamwatch.inventory import archive
from streamwatch.inventory.archive import ARCHIVE, village_code
from streamwatch.inventory.cells import CellError
from streamwatch.inventory.columns import CAMERAS, KINDS
from streamwatch.inventory.headings import Headings, fold
from streamwatch.inventory.lists import parse_file
from streamwatch.inventory.parsed import ParsedFile
from tests.inventory.written import as_csv, as_json_lines, refused, remarked, values

SBBM = "44010101011321000001"


def cameras(head: str, *rows: str) -> ParsedFile:
    """A list of cameras that was read."""
    return parse_file("\n".join((head, *rows)).encode(), "cameras")


def test_a_list_of_pinyin_keys_alone_is_enough() -> None:
    """As archive clients export it: no village, no address, no word of ours; maker, IP and codes say everything."""
    head = "SBBM,SBMC,SBCS,XZQY,村级编码,JKDWLX,IPV4,JD,WD,SXJWZLX,LWSX,AZSJ,LXBCTS,SBZT"
    file = cameras(head, f"{SBBM},村口,1,440101,101201,2,192.0.2.7,113.264123,23.129,8/10,0,2023-05-01 08:00:00,30,1")

    assert refused(file) == []
    assert values(file) == [
        {
            "code": SBBM,
            "name": "村口",
            "vendor": "hikvision",
            "longitude": 113.264123,
            "latitude": 23.129,
            "position_type": "8/10",
            "installed_on": "2023-05-01",
            "retention_days": 30,
            "village": "440101101201",
            "url": "rtsp://192.0.2.7/Streaming/Channels/101",
            "sub_url": "rtsp://192.0.2.7/Streaming/Channels/102",
            "username": None,
            "password": None,
        }
    ]
    assert remarked(file) == [(1, None, "unused_columns", "known and not used; nothing is to be done")]


def test_a_json_export_with_item_names_of_the_standard_is_known() -> None:
    """GB/T 28181 names, and the day as archive clients give it: milliseconds, midnight in China."""
    row = {
        "DeviceID": SBBM, "Name": "村口", "Manufacturer": "Dahua", "CivilCode": "44010100", "GrassrootsCode": "101201",
        "IPAddress": "192.0.2.7", "Longitude": 113.5, "Latitude": 23.1, "InstallTime": 1320940800000,
        "RecordSaveDays": 30, "Status": "ON", "Parental": 0,
    }  # fmt: skip
    file = parse_file(as_json_lines([list(row), list(row.values())]), "cameras")

    assert refused(file) == []
    assert values(file)[0]["url"] == "rtsp://192.0.2.7/cam/realmonitor?channel=1&subtype=0"
    assert values(file)[0]["installed_on"] == "2011-11-11"
    assert values(file)[0]["village"] == "440101101201"


@pytest.mark.parametrize(
    "heading",
    [
        "设备编码",
        "*设备编码",
        "设备编码（必填）",
        "设备 编码",
        "设备\n编码",
        "＊设备编码(20位)：",
        "【必填】设备编码",
        "sbbm",
        "ＳＢＢＭ",
        "设备编码【必填】",
    ],
)
def test_headings_are_known_as_people_dress_them(heading: str) -> None:
    """Asterisks, brackets, spaces, line breaks, width and case."""
    file = parse_file(as_csv([(heading, "name", "village", "url"), ("C1", "a", "V", "rtsp://h/")]), "cameras")

    assert refused(file) == []
    assert values(file)[0]["code"] == "C1"


def test_a_bracket_that_changes_the_meaning_is_not_dropped() -> None:
    """Mbit/s are no kbit/s: the heading is known with its bracket or not at all."""
    known = Headings(KINDS["lines"])

    assert known.find("带宽(kbps)")[0] is not None
    assert known.find("带宽(Mbps)") == (None, False)


@pytest.mark.parametrize("kind", list(KINDS))
def test_no_heading_means_two_things(kind: str) -> None:
    """Within one kind every name belongs to one column."""
    names = [fold(name) for column in KINDS[kind].columns for name in {*map(fold, (column.name, *column.also))}]

    assert sorted(names) == sorted(set(names))


def test_every_column_of_the_archive_is_one_of_ours_or_unused() -> None:
    """The table names no column that does not exist."""
    ours = {column.name for column in KINDS[CAMERAS].columns}

    assert {row.column for row in ARCHIVE if row.column is not None} <= ours


@pytest.mark.parametrize("state", ["3", "拆除", "已拆除", "报废"])
def test_a_removed_camera_is_left_out_and_said(state: str) -> None:
    """It must not be watched; and the list is right as it is, so the line is no error."""
    file = cameras("SBBM,SBMC,村居,url,SBZT", f"{SBBM},村口,V,rtsp://h/,{state}", "2,村尾,V,rtsp://h/,1")

    assert [row["code"] for row in values(file)] == ["2"]
    assert refused(file) == []
    assert remarked(file) == [(2, "state", "removed", "not taken: it is marked as removed 拆除")]


def test_a_camera_in_repair_is_taken_and_said() -> None:
    """It stays in the inventory; its downtime is a matter of maintenance."""
    file = cameras("SBBM,SBMC,村居,url,SBZT", f"{SBBM},村口,V,rtsp://h/,2")

    assert len(file.rows) == 1
    assert remarked(file)[0][:3] == (2, "state", "in_repair")


@pytest.mark.parametrize(
    ("cell", "taken", "code"),
    [("0", True, None), ("已联网", True, None), ("1", True, "networked_unsure"), ("未联网", False, "not_networked")],
)
def test_what_is_not_networked_is_left_out(cell: str, taken: bool, code: str | None) -> None:
    """In words only: archives differ on what 1 means, so 1 is taken and said."""
    file = cameras("SBBM,SBMC,村居,url,联网属性", f"{SBBM},村口,V,rtsp://h/,{cell}")

    assert (len(file.rows) == 1) is taken
    assert [note.code for note in file.remarks] == ([] if code is None else [code])


@pytest.mark.parametrize(
    ("civil", "grassroots", "village"),
    [
        ("440101", "101201", "440101101201"),
        ("44010100", "101201", "440101101201"),
        (None, "101201", "440101101201"),
        (None, "440199101201", "440199101201"),
        ("440199101201", None, "440199101201"),
        ("440199101201", "000000", "440199101201"),
        ("440199101000", None, None),
        ("440101", None, None),
        (None, "000000", None),
    ],
)
def test_the_village_is_found_from_codes(civil: str | None, grassroots: str | None, village: str | None) -> None:
    """County 6, township 3, village 3; the county of the camera's own code where no other is given."""
    assert village_code(SBBM, civil, grassroots) == village


def test_without_a_county_there_is_no_village() -> None:
    """A local camera code has none."""
    assert village_code("C1", None, "101201") is None
    file = cameras("SBBM,SBMC,url,村级编码", "C1,村口,rtsp://h/,101201")

    remedy = "give the code or name of its village, or 村级编码 with 行政区域"
    assert refused(file) == [(2, "village", "missing", remedy)]


@pytest.mark.parametrize(
    ("text", "value", "known"),
    [
        ("8", "8", True),
        ("校园周边", "8", True),
        ("8/10", "8/10", True),
        ("校园周边、重点水域", "校园周边、重点水域", False),
        ("重点水域、航道", "15", True),
        ("08", "8", True),
        ("00204", "00204", True),
        ("0020401", "0020401", True),
        ("村口", "村口", False),
    ],
)
def test_places_are_numbers_of_one_vocabulary(text: str, value: str, known: bool) -> None:
    """Names become numbers; codes of the 2022 edition stay; what is neither is kept and said."""
    assert archive.position_type(text) == value
    assert archive.is_position(value) is known


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (archive.device_state, "4"),
        (archive.networked, "vielleicht"),
        (archive.civil_code, "4401"),
        (archive.grassroots_code, "10120"),
    ],
)
def test_other_codes_are_refused(parse: object, text: str) -> None:
    """A state that nobody knows might mean that the camera is gone."""
    with pytest.raises(CellError):
        parse(text)  # type: ignore[operator]
