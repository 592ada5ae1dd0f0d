"""Lines, recorders, points and facilities: their columns are the store's, their values typed, their mistakes named."""

from __future__ import annotations

import pytest

from streamwatch.inventory.cells import CellError
from streamwatch.inventory.columns import KINDS
from streamwatch.inventory.facilities import FACILITY_KINDS, facility_kind
from streamwatch.inventory.lists import parse_file
from streamwatch.inventory.parsed import ParsedFile
from streamwatch.store import tables
from tests.inventory.written import refused, values

TABLES = {
    "villages": tables.village,
    "lines": tables.line,
    "recorders": tables.recorder,
    "cameras": tables.camera,
    "points": tables.point,
    "facilities": tables.facility,
}


def read(kind: str, *lines: str) -> ParsedFile:
    """A list that was read."""
    return parse_file("\n".join(lines).encode(), kind)


@pytest.mark.parametrize("kind", list(KINDS))
def test_columns_are_the_stores(kind: str) -> None:
    """Every column that is kept has its column there; what is required there is required here."""
    there = {column.name: column for column in TABLES[kind].columns}
    ours = {column.name: column for column in KINDS[kind].columns if column.stored}
    sealed = {"password"} if "password_sealed" in there else set()
    own = {"id", "created_us", "removed_us", "installed_us", "password_sealed"}

    assert ours.keys() - sealed <= there.keys()
    assert {name for name, column in there.items() if not column.nullable} - own <= {
        name for name, column in ours.items() if column.required
    }
    assert there.keys() - own - ours.keys() == set()


@pytest.mark.parametrize("kind", list(KINDS))
def test_texts_fit_their_columns(kind: str) -> None:
    """The longest text that a cell may have is no longer than the store's column."""
    for column in KINDS[kind].columns:
        there = TABLES[kind].columns.get(column.name)
        length = None if there is None else getattr(there.type, "length", None)
        if length is None:
            continue
        try:
            value = column.parse("a" * (length + 1))
        except CellError:
            continue
        raise AssertionError(f"{kind}.{column.name} takes {value!r}")


def test_lines_are_read() -> None:
    """A village's line on the town's."""
    file = read(
        "lines",
        "线路编码,线路名称,上级线路,带宽kbps,运营商,电路编号,报障电话",
        "L2,双河支线,L1,20000,电信,GZ-1234,10000",
        "L1,主干,,,,,",
    )

    assert refused(file) == []
    assert values(file) == [
        {
            "code": "L2",
            "name": "双河支线",
            "parent": "L1",
            "kbps": 20000,
            "provider": "电信",
            "circuit": "GZ-1234",
            "fault_phone": "10000",
        },
        {
            "code": "L1",
            "name": "主干",
            "parent": None,
            "kbps": None,
            "provider": None,
            "circuit": None,
            "fault_phone": None,
        },
    ]


def test_recorders_are_read_by_the_scheme_of_their_kind() -> None:
    """HTTP for the makers' interfaces, rtsp and sip for theirs; credentials leave the address."""
    file = read(
        "recorders",
        "code,name,village,kind,url,username,password,line",
        "R1,村部,V,isapi,http://admin:p%40@192.0.2.8:80/,,,L1",
        "R2,村部,V,DAHUA,https://192.0.2.8,admin,p,",
        "R3,村部,V,rtsp,rtsp://u:p@192.0.2.8:554,,,",
        "R4,平台,V,gb28181,sip:44010101002000000001@192.0.2.8:5060,,p,",
        "R5,平台,V,gb28181,SIP:44010101002000000001:geheim@192.0.2.8,,,",
    )

    assert refused(file) == []
    assert [(row["kind"], row["url"], row["username"], row["password"]) for row in values(file)] == [
        ("isapi", "http://192.0.2.8:80/", "admin", "p@"),
        ("dahua", "https://192.0.2.8", "admin", "p"),
        ("rtsp", "rtsp://192.0.2.8:554", "u", "p"),
        ("gb28181", "sip:44010101002000000001@192.0.2.8:5060", None, "p"),
        ("gb28181", "sip:44010101002000000001@192.0.2.8", None, "geheim"),
    ]


@pytest.mark.parametrize(
    ("kind", "url", "code", "remedy"),
    [
        ("isapi", "rtsp://192.0.2.8/", "bad_url", "give an address such as http://192.0.2.7:80"),
        ("rtsp", "http://192.0.2.8/", "bad_url", "give an address such as rtsp://192.0.2.7:554/live"),
        ("gb28181", "http://h/", "bad_url", "give an address such as sip:34020000001180000001@192.0.2.7:5060"),
        (
            "gb28181",
            "sip:h.x",
            "bad_url",
            "give the device's code before the @, as in sip:34020000001180000001@192.0.2.7:5060",
        ),
        ("onvif", "192.0.2.8", "bad_url", "give an address such as http://192.0.2.7:80"),
        ("dahua", "http://192.0.2.8:99999", "bad_url", "give a port from 1 to 65535"),
        ("dahua", "http：//192.0.2.8 :80", "spaces", "remove the spaces inside it"),
    ],
)
def test_a_recorders_address_is_refused_with_one_that_is_right(kind: str, url: str, code: str, remedy: str) -> None:
    """By its kind."""
    file = read("recorders", "code,name,village,kind,url", f"R1,村部,V,{kind},{url}")

    assert refused(file) == [(2, "url", code, remedy)]


def test_a_recorder_of_no_kind_says_which_there_are() -> None:
    """The kinds are few."""
    file = read("recorders", "code,name,village,kind,url", "R1,村部,V,nvr,http://h/")

    assert refused(file) == [(2, "kind", "bad_choice", "give one of onvif, isapi, dahua, uniview, gb28181, rtsp")]


def test_points_are_read() -> None:
    """A place that must be seen, with the camera that fills it or none."""
    file = read(
        "points",
        "code,village,kind,name,longitude,latitude,key_point,camera",
        "P1,V,村口,东村口,113.5,23.1,是,C1",
        "P2,V,路口,十字路口,,,,",
    )

    assert refused(file) == []
    assert [(row["kind"], row["key_point"], row["camera"]) for row in values(file)] == [
        ("村口", True, "C1"),
        ("路口", None, None),
    ]


def test_facilities_are_read() -> None:
    """Kinds by any of their names, the last test and its result in words."""
    file = read(
        "facilities",
        "设施编码,村居,设施类型,设施名称,户数,安装日期,检测日期,检测结果",
        "F1,V,警铃入户,一组警铃,120,2023-01-01,2024-06-01,合格",
        "F2,V,大喇叭,,,,2024-06-01,不合格",
        "F3,V,红外／门磁报警,,,,,",
        "F4,V,raketen,,,,,vielleicht",
    )

    assert [(row["kind"], row["households"], row["tested_on"], row["test_passed"]) for row in values(file)] == [
        ("household_alarm", 120, "2024-06-01", True),
        ("broadcast", None, "2024-06-01", False),
        ("intrusion_alarm", None, None, None),
    ]
    assert [bad[:3] for bad in refused(file)] == [(5, "kind", "bad_choice"), (5, "test_passed", "bad_choice")]


@pytest.mark.parametrize(
    ("heading", "cell", "value"),
    [("test_result", "passed", True), ("test_passed", "no", False), ("检测结果", "Failed", False)],
)
def test_results_of_tests_in_either_spelling(heading: str, cell: str, value: bool) -> None:
    """A result or whether it was passed."""
    file = read("facilities", f"code,village,kind,{heading}", f"F1,V,门禁,{cell}")

    assert values(file)[0]["test_passed"] is value


def test_every_name_of_a_facility_means_one_kind() -> None:
    """Keys, words and aliases lead to their own row, whatever their width and case; keys fit the store."""
    for kind in FACILITY_KINDS.values():
        assert len(kind.key) <= 32
        for name in (kind.key, kind.zh, kind.en, *kind.also):
            assert facility_kind(name) == kind.key
            assert facility_kind(f"{name.upper()}") == kind.key
