"""Lines, recorders, points and facilities into a real database; what they name, where they lie, whose login is used."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from streamwatch.errors import UsageError
from streamwatch.inventory.apply import run_import
from streamwatch.inventory.lists import parse_file
from streamwatch.inventory.parsed import Change, ImportResult
from streamwatch.model.inventory import Camera, Secret
from streamwatch.model.scope import Scope
from streamwatch.secrets import Sealer
from streamwatch.store.inventory import load_inventory
from streamwatch.store.tables import camera_stay, facility, line, point, recorder, region, village

NOW = 1_790_000_000_000_000
VILLAGES = "code,name,region\nV1,青石村,青河县/双河镇\nV2,柳林村,青河县/双河镇\nV3,石桥村,望溪县\n"
LISTS = {
    "lines": (
        "code,name,parent,kbps,provider,circuit,fault_phone\nL1,镇汇聚,,100000,电信,C-1,10000\nL2,村专线,L1,2000,,,\n"
    ),
    "recorders": (
        "code,name,village,kind,url,username,password,line\n"
        "N1,村委会,V1,isapi,http://10.0.0.9,admin,geheim,L2\nN2,二号,柳林村,rtsp,rtsp://10.0.0.8:8554/,,,\n"
    ),
    "points": (
        "code,village,kind,name,longitude,latitude,key_point,camera\n"
        "P1,V1,村口,东口,119.9,28.4,是,C1\nP2,V1,路口,西口,,,,\n"
    ),
    "facilities": (
        "code,village,kind,name,households,installed_on,tested_on,test_passed\n"
        "F1,V1,警铃入户,警铃,120,2024-05-01,2025-05-01,合格\nF2,柳林村,应急广播,,,,,\n"
    ),
}
CAMERAS = "code,name,village,url,recorder,recorder_channel,line\nC1,村口,V1,rtsp://10.0.0.9/a,N1,1,L2\n"
TABLES = {"lines": line, "recorders": recorder, "points": point, "facilities": facility}


async def take(
    conn: AsyncConnection, sealer: Sealer, kind: str, text: str, now_us: int = NOW, **options: Any
) -> ImportResult:
    """Imports a text."""
    options = {"dry_run": False, "on_error": "skip", **options}
    return await run_import(conn, sealer, kind, parse_file(text.encode(), kind), now_us=now_us, **options)


def counts(result: ImportResult) -> tuple[int, int, int, int]:
    """Created, changed, unchanged, rejected."""
    return result.created, result.changed, result.unchanged, result.rejected_total


def said(found: Any) -> list[tuple[int, str | None, str, str]]:
    """Line, column, value and code of rejections or remarks."""
    return [(one.line, one.column, one.value, one.code) for one in found]


async def row(conn: AsyncConnection, kind: str, code: str) -> dict[str, Any]:
    """The whole row of that code."""
    table = TABLES[kind]
    return dict((await conn.execute(select(table).where(table.c.code == code))).mappings().one())


async def watched(conn: AsyncConnection, sealer: Sealer, code: str) -> Camera:
    """A camera as the service knows it."""
    return next(found for found in (await load_inventory(conn, sealer)).cameras.values() if found.code == code)


@pytest.fixture
async def filled(conn: AsyncConnection, sealer: Sealer) -> AsyncConnection:
    """Everything, imported in the order in which nothing is missing."""
    assert counts(await take(conn, sealer, "villages", VILLAGES)) == (3, 0, 0, 0)
    for kind in ("lines", "recorders"):
        result = await take(conn, sealer, kind, LISTS[kind])
        assert (counts(result), result.remarks) == ((2, 0, 0, 0), ()), kind
    assert counts(await take(conn, sealer, "cameras", CAMERAS)) == (1, 0, 0, 0)
    for kind in ("points", "facilities"):
        result = await take(conn, sealer, kind, LISTS[kind])
        assert (counts(result), result.remarks) == ((2, 0, 0, 0), ()), kind
    return conn


async def test_lists_become_rows(filled: AsyncConnection, sealer: Sealer) -> None:
    """Every column of every kind arrives; villages by code or name; passwords sealed for the recorder, not readable."""
    ids = {code: id_ for id_, code in await filled.execute(select(village.c.id, village.c.code))}
    mine = {"created_us": NOW, "removed_us": None}
    assert await row(filled, "lines", "L1") == {
        "id": 1, "code": "L1", "name": "镇汇聚", "parent": None, "kbps": 100_000, "provider": "电信",
        "circuit": "C-1", "fault_phone": "10000", **mine,
    }  # fmt: skip
    found = await row(filled, "recorders", "N1")
    sealed = found.pop("password_sealed")
    assert found == {
        "id": 1, "code": "N1", "name": "村委会", "village": ids["V1"], "kind": "isapi", "url": "http://10.0.0.9",
        "username": "admin", "line": "L2", **mine,
    }  # fmt: skip
    assert b"geheim" not in sealed
    assert sealer.unseal("N1", sealed, "recorder") == Secret("geheim")
    assert (await row(filled, "recorders", "N2"))["village"] == ids["V2"]
    assert await row(filled, "points", "P1") == {
        "id": 1, "code": "P1", "village": ids["V1"], "kind": "村口", "name": "东口", "longitude": 119.9,
        "latitude": 28.4, "key_point": True, "camera": "C1", **mine,
    }  # fmt: skip
    assert await row(filled, "facilities", "F1") == {
        "id": 1, "code": "F1", "village": ids["V1"], "kind": "household_alarm", "name": "警铃", "households": 120,
        "installed_on": "2024-05-01", "tested_on": "2025-05-01", "test_passed": True, **mine,
    }  # fmt: skip


@pytest.mark.parametrize("kind", list(LISTS))
async def test_the_same_list_twice_changes_nothing(filled: AsyncConnection, sealer: Sealer, kind: str) -> None:
    """Not a row is written: also the sealed bytes stay."""
    table = TABLES[kind]
    before = (await filled.execute(select(table))).all()

    assert counts(await take(filled, sealer, kind, LISTS[kind], NOW + 9)) == (0, 0, 2, 0)
    assert (await filled.execute(select(table))).all() == before


@pytest.mark.parametrize(
    ("kind", "text", "code", "field"),
    [
        ("lines", "code,name\nL2,新名\n", "L2", "name"),
        ("recorders", "code,name,village,kind,url\nN1,新名,V1,isapi,http://10.0.0.9\n", "N1", "name"),
        ("points", "code,village,kind,name\nP1,V1,村口,新名\n", "P1", "name"),
        ("facilities", "code,village,kind,households\nF1,V1,警铃入户,121\n", "F1", "households"),
    ],
)
async def test_a_change_is_shown_first_and_keeps_what_the_list_does_not_say(
    filled: AsyncConnection, sealer: Sealer, kind: str, text: str, code: str, field: str
) -> None:
    """A dry run tells it and writes nothing; then one column changes, what is not in the list stays."""
    before = await row(filled, kind, code)
    told = await take(filled, sealer, kind, text, dry_run=True)

    assert (counts(told), told.changes) == ((0, 1, 0, 0), (Change(code, (field,)),))
    assert await row(filled, kind, code) == before
    assert counts(await take(filled, sealer, kind, text)) == (0, 1, 0, 0)
    after = await row(filled, kind, code)
    assert {name for name in after if after[name] != before[name]} - {"password_sealed"} == {field}
    if kind == "recorders":
        assert sealer.unseal("N1", after["password_sealed"], "recorder") == Secret("geheim")
    assert (await filled.execute(select(func.count()).select_from(TABLES[kind]))).scalar_one() == 2


async def test_stop_writes_nothing_and_refusals_name_line_and_remedy(filled: AsyncConnection, sealer: Sealer) -> None:
    """A village that is not there, a day to come, a code that was taken out of service."""
    text = "code,village,kind,tested_on\nF8,V1,警铃入户,\nF9,V9,警铃入户,\nF1,V1,警铃入户,2199-01-01\nF2,V2,应急广播,\n"
    await filled.execute(update(facility).where(facility.c.code == "F2").values(removed_us=NOW))

    stopped = await take(filled, sealer, "facilities", text, on_error="stop")
    assert (stopped.stopped, counts(stopped)) == (True, (0, 0, 0, 3))
    result = await take(filled, sealer, "facilities", text)
    assert counts(result) == (1, 0, 0, 3)
    assert said(result.rejected) == [
        (3, "village", "V9", "unknown_village"),
        (4, "tested_on", "2199-01-01", "in_future"),
        (5, "code", "F2", "removed"),
    ]


async def test_what_is_not_there_yet_is_taken_and_remarked(conn: AsyncConnection, sealer: Sealer) -> None:
    """Lists arrive in any order: the remark goes away with the other list, nothing else changes."""
    await take(conn, sealer, "villages", VILLAGES)
    order = {
        "points": (LISTS["points"], [(2, "camera", "C1", "unknown_camera")]),
        "cameras": (CAMERAS, [(2, "recorder", "N1", "unknown_recorder"), (2, "line", "L2", "unknown_line")]),
        "recorders": (LISTS["recorders"], [(2, "line", "L2", "unknown_line")]),
        "lines": ("code,name,parent\nL2,村专线,L1\n", [(2, "parent", "L1", "unknown_line")]),
    }
    for kind, (text, remarks) in order.items():
        result = await take(conn, sealer, kind, text)
        assert (said(result.remarks), result.rejected_total) == (remarks, 0)
        assert result.remarks_total == 1  # lines, as the file's own
    assert (
        "import recorders first, or correct it"
        in (await take(conn, sealer, "cameras", CAMERAS.replace(",N1,", ",N7,"))).remarks[0].remedy
    )
    await take(conn, sealer, "lines", LISTS["lines"])
    for kind in ("points", "recorders"):
        assert (await take(conn, sealer, kind, LISTS[kind])).remarks == ()
    assert (await take(conn, sealer, "cameras", CAMERAS)).remarks == ()


async def test_a_line_with_two_kinds_of_remarks_counts_once(filled: AsyncConnection, sealer: Sealer) -> None:
    """Of the file and of what it names."""
    result = await take(filled, sealer, "points", "code,village,kind,name,camera\nP8,V1,a, b ,C9\nP9,V1,a,b,C9\n")

    assert [one.code for one in result.remarks] == [
        "spaces",
        "unknown_camera",
        "shared_camera",
        "unknown_camera",
        "shared_camera",
    ]
    assert result.remarks_total == 2


async def test_refused_lines_are_not_remarked(filled: AsyncConnection, sealer: Sealer) -> None:
    """One line, one answer, whether the line or what the store has refuses it."""
    await filled.execute(update(point).where(point.c.code == "P2").values(removed_us=NOW))
    text = "code,village,kind,name,camera\nP9,V9,a,b,C9\nP2,V1,a,b,C9\n"
    result = await take(filled, sealer, "points", text)

    assert (result.rejected_total, result.remarks) == (2, ())


async def test_lines_that_hang_on_each_other_in_a_circle_are_refused(filled: AsyncConnection, sealer: Sealer) -> None:
    """Within the list, through the store, or on itself; what hangs on the circle is no part of it."""
    inside = await take(filled, sealer, "lines", "code,name,parent\nA,a,B\nB,b,C\nC,c,A\nD,d,A\nE,e,E\nF,f,G\nG,g,\n")
    assert said(inside.rejected) == [
        (2, "parent", "B", "parent_loop"),
        (3, "parent", "C", "parent_loop"),
        (4, "parent", "A", "parent_loop"),
        (6, "parent", "E", "parent_loop"),
    ]
    assert inside.created == 3
    through = await take(filled, sealer, "lines", "code,name,parent\nL1,镇汇聚,L2\n")
    assert said(through.rejected) == [(2, "parent", "L2", "parent_loop")]
    turned = await take(filled, sealer, "lines", "code,name,parent\nL1,镇汇聚,L2\nL2,村专线,\n")
    assert counts(turned) == (0, 2, 0, 0)


async def test_a_camera_fills_one_point_and_is_in_its_village(filled: AsyncConnection, sealer: Sealer) -> None:
    """Two points with one camera, in one list or with the store's, and a camera from elsewhere: taken, remarked."""
    head = "code,village,kind,name,camera\n"
    result = await take(filled, sealer, "points", f"{head}P3,V1,a,b,C1\nP4,V2,a,b,C1\n")

    assert said(result.remarks) == [
        (2, "camera", "C1", "shared_camera"),
        (3, "camera", "C1", "shared_camera"),
        (3, "camera", "C1", "other_village"),
    ]
    handed = await take(filled, sealer, "points", f"{head}P1,V1,村口,东口,\nP3,V1,a,b,C1\nP4,V2,a,b,\n")
    assert (counts(handed), handed.remarks) == ((0, 2, 1, 0), ())


async def test_a_recorders_password_stays_with_its_host(filled: AsyncConnection, sealer: Sealer) -> None:
    """Another host or port needs the password again, as a camera's does."""
    head = "code,name,village,kind,url,username,password\n"
    moved = await take(filled, sealer, "recorders", f"{head}N1,村委会,V1,isapi,http://10.6.6.6,admin,\n")
    assert said(moved.rejected) == [(2, "password", "***", "password_needed")]
    port = await take(filled, sealer, "recorders", f"{head}N1,村委会,V1,isapi,http://10.0.0.9:81,admin,\n")
    assert said(port.rejected) == [(2, "password", "***", "password_needed")]
    again = await take(filled, sealer, "recorders", f"{head}N1,村委会,V1,isapi,http://10.6.6.6,admin,neu\n")
    assert counts(again) == (0, 1, 0, 0)
    assert sealer.unseal("N1", (await row(filled, "recorders", "N1"))["password_sealed"], "recorder") == Secret("neu")


async def test_a_camera_without_a_login_looks_with_its_recorders(filled: AsyncConnection, sealer: Sealer) -> None:
    """At the recorder's host only, both streams; its own login wins; a new password reaches it at the next load."""
    head = "code,name,village,url,sub_url,recorder,username,password\n"
    text = (
        f"{head}C1,a,V1,rtsp://10.0.0.9/a,,N1,,\nC2,a,V1,rtsp://10.6.6.6/a,,N1,,\nC3,a,V1,rtsp://10.0.0.9/a,,N1,own,pw\n"
        "C4,a,V1,rtsp://10.0.0.9/a,,,,\nC5,a,V1,rtsp://10.0.0.9:8554/a,rtsp://10.0.0.9/b,N1,,\nC6,a,V1,rtsp://10.0.0.8/a,,N2,,\n"
    )
    assert counts(await take(filled, sealer, "cameras", text)) == (5, 1, 0, 0)

    async def logins() -> dict[str, tuple[str | None, Secret | None]]:
        found = (await load_inventory(filled, sealer)).cameras.values()
        return {one.code: (one.username, one.password) for one in found}

    expected = {
        "C1": ("admin", Secret("geheim")), "C2": (None, None), "C3": ("own", Secret("pw")), "C4": (None, None),
        "C5": ("admin", Secret("geheim")), "C6": (None, None),
    }  # fmt: skip
    assert await logins() == expected
    await take(filled, sealer, "recorders", LISTS["recorders"].replace("geheim", "neu"))
    assert (await logins())["C1"] == ("admin", Secret("neu"))
    await filled.execute(update(recorder).values(removed_us=NOW))
    assert (await logins())["C1"] == (None, None)


async def test_moving_a_camera_leaves_its_history_where_it_was(filled: AsyncConnection, sealer: Sealer) -> None:
    """A changed village notes the stay that ends now; a dry run, another change and the same list again do not."""
    (home,) = (await filled.execute(select(village.c.id).where(village.c.code == "V1"))).scalars()
    text = CAMERAS.replace(",V1,", ",V2,")

    told = await take(filled, sealer, "cameras", text, NOW + 5, dry_run=True)
    assert told.changes == (Change("C1", ("village",)),)
    assert (await filled.execute(select(camera_stay))).all() == []
    await take(filled, sealer, "cameras", text, NOW + 7)
    await take(filled, sealer, "cameras", text.replace("村口", "村尾"), NOW + 9)
    (stay,) = (await filled.execute(select(camera_stay))).all()
    assert tuple(stay) == ((await watched(filled, sealer, "C1")).id, NOW, NOW + 7, home)


async def test_a_camera_behind_a_recorder_needs_no_address(filled: AsyncConnection, sealer: Sealer) -> None:
    """Recorder and channel give both addresses; the recorder's login goes with them; the same list changes nothing."""
    text = (
        "code,name,village,recorder,recorder_channel,vendor\n"
        "C7,a,V1,N1,3,\nC8,a,V1,N9,1,\nC9,a,V2,N2,1,\nC10,a,V2,N2,2,大华\n"
    )
    result = await take(filled, sealer, "cameras", text)

    assert said(result.rejected) == [(3, "recorder", "N9", "unknown_recorder"), (4, "recorder", "N2", "no_template")]
    found = await watched(filled, sealer, "C7")
    assert (found.url, found.sub_url) == (
        "rtsp://10.0.0.9/Streaming/Channels/301",
        "rtsp://10.0.0.9/Streaming/Channels/302",
    )
    assert (found.username, found.password) == ("admin", Secret("geheim"))
    own = await watched(filled, sealer, "C10")
    assert own.url == "rtsp://10.0.0.8:8554/cam/realmonitor?channel=2&subtype=0"
    assert counts(await take(filled, sealer, "cameras", text)) == (0, 0, 2, 2)


async def regions(conn: AsyncConnection) -> dict[str, int]:
    """Ids by path."""
    return {name: id_ for id_, name in await conn.execute(select(region.c.id, region.c.name))}


async def test_an_importer_of_one_region_touches_and_learns_nothing_outside(
    filled: AsyncConnection, sealer: Sealer
) -> None:
    """Foreign villages are unknown, foreign codes taken, foreign recorders no source of addresses or logins."""
    county = Scope((await regions(filled))["望溪县"])
    head = "code,name,village,url,recorder,recorder_channel\n"
    text = f"{head}C1,a,V3,rtsp://h/,,\nX1,a,V3,rtsp://h/,,\nX2,a,V1,rtsp://h/,,\nX3,a,V3,rtsp://10.0.0.9/,N1,1\n"
    result = await take(filled, sealer, "cameras", text, scope=county)

    assert counts(result) == (1, 0, 0, 3)
    assert said(result.rejected) == [
        (2, "code", "C1", "taken"),
        (4, "village", "V1", "unknown_village"),
        (5, "recorder", "N1", "foreign_recorder"),
    ]
    assert (await watched(filled, sealer, "C1")).name == "村口"
    with pytest.raises(UsageError, match="lines belong to no region"):
        await take(filled, sealer, "lines", LISTS["lines"], scope=county)


async def test_an_importer_of_one_region_makes_villages_below_it_only(filled: AsyncConnection, sealer: Sealer) -> None:
    """New towns below the region are made; elsewhere nothing, and no village is taken from or put elsewhere."""
    county = Scope((await regions(filled))["青河县"])
    text = (
        "code,name,region\nV1,青石村,青河县/新镇\nV3,石桥村,青河县\nV8,a,望溪县\nV9,a,青河县/新镇\nV7,a,新县/新镇\n"
        "V2,柳林村,望溪县\n"
    )
    result = await take(filled, sealer, "villages", text, scope=county)

    assert counts(result) == (1, 1, 0, 4)
    assert said(result.rejected) == [
        (3, "code", "V3", "taken"),
        (4, "region", "望溪县", "unknown_region"),
        (6, "region", "新县/新镇", "unknown_region"),
        (7, "region", "望溪县", "unknown_region"),
    ]
    assert set(await regions(filled)) == {"望溪县", "青河县", "青河县/双河镇", "青河县/新镇"}


async def test_names_of_villages_that_are_there_make_no_second_one(filled: AsyncConnection, sealer: Sealer) -> None:
    """`run --cameras` makes the villages that a list names: one that is known by its name is not made by it."""
    text = "code,name,region\n青石村,青石村,未分区\nV2,V2,未分区\n新村,新村,未分区\n"

    assert counts(await take(filled, sealer, "villages", text, create_only=True)) == (1, 0, 2, 0)
    assert (await filled.execute(select(func.count()).select_from(village))).scalar_one() == 4


async def test_a_list_of_points_as_long_as_a_city(conn: AsyncConnection, sealer: Sealer) -> None:
    """Batches join without a seam: references of later batches are looked up too."""
    await take(conn, sealer, "villages", VILLAGES)
    cameras = [f"C{number},n,V1,rtsp://10.0.0.1/{number}" for number in range(1_500)]
    await take(conn, sealer, "cameras", "code,name,village,url\n" + "\n".join(cameras))
    points = [f"P{number},V1,a,b,C{number}" for number in range(1_501)]
    result = await take(conn, sealer, "points", "code,village,kind,name,camera\n" + "\n".join(points))

    assert (counts(result), said(result.remarks)) == ((1_501, 0, 0, 0), [(1_502, "camera", "C1500", "unknown_camera")])


async def test_a_camera_hangs_on_its_own_line_or_on_its_recorders(filled: AsyncConnection, sealer: Sealer) -> None:
    """And what lines have is loaded with them."""
    await take(
        filled, sealer, "cameras", CAMERAS + "C2,村尾,V1,rtsp://10.0.0.9/b,N1,2,\nC3,桥头,V1,rtsp://10.0.0.8/,,,\n"
    )
    await take(
        filled, sealer, "recorders", LISTS["recorders"].splitlines()[0] + "\nN1,录像机,V1,rtsp,rtsp://10.0.0.9/,,,L1\n"
    )
    inventory = await load_inventory(filled, sealer)

    assert {camera.code: camera.line for camera in inventory.cameras.values()} == {"C1": "L2", "C2": "L1", "C3": None}
    assert inventory.line_kbps == {"L1": 100_000, "L2": 2_000}
