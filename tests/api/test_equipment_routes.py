"""Lines, recorders, planned points and facilities: shapes, filters, pages, and who sees what."""

from __future__ import annotations

from typing import Any

import pytest

from streamwatch.store.tables import camera, recorder
from tests.api.test_inventory_routes import codes
from tests.api.world import NOW, VILLAGE_A, VILLAGE_B, World


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (
            "/lines/l1",
            {
                "code": "l1",
                "name": "线路1",
                "parent": None,
                "kbps": 2_000,
                "provider": None,
                "circuit": None,
                "fault_phone": None,
            },
        ),
        (
            "/recorders/r1",
            {"kind": "isapi", "url": "http://***@192.0.2.10", "line": None},
        ),
        ("/recorders/r5", {"kind": "isapi", "url": "http://192.0.2.50", "line": "l5"}),
        ("/points/p1", {"kind": "村口", "longitude": None, "latitude": None, "key_point": None, "camera": "c1"}),
        (
            "/facilities/f1",
            {
                "kind": "household_alarm",
                "households": None,
                "installed_on": None,
                "tested_on": None,
                "test_passed": None,
            },
        ),
    ],
)
async def test_each_has_its_shape_and_no_password(world: World, path: str, expected: dict[str, Any]) -> None:
    """All columns of the list, the village's place, and of a login only that there is one; as in the list of them."""
    one = await world.get(path)
    if "lines" not in path:
        number = path[-1]
        village, region = (VILLAGE_A, "331121") if number == "1" else (VILLAGE_B, "331122")
        name = (await world.get(f"/villages/{village}"))["name"]
        place = {"village": village, "village_name": name, "region": region}
        expected = {"code": path.rpartition("/")[2], "name": f"设备{number} <b>", **place, **expected}

    assert one == expected
    listed = (await world.get(path.rpartition("/")[0]))["items"]
    assert one in listed


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("/lines", ["l1", "l5", "l9"]),
        (f"/lines?village={VILLAGE_A}", ["l1"]),
        (f"/lines?village={VILLAGE_B}", ["l5"]),
        ("/lines?region=331122", ["l5"]),
        ("/lines?region=3311", ["l1", "l5"]),
        ("/lines?region=nowhere", []),
        ("/lines?text=%E7%A9%BA", ["l9"]),
        ("/lines?text=L5", ["l5"]),
        ("/recorders", ["r1", "r5"]),
        (f"/recorders?village={VILLAGE_B}", ["r5"]),
        ("/recorders?region=331121", ["r1"]),
        ("/recorders?region=331121&text=r5", []),
        ("/recorders?text=r5", ["r5"]),
        ("/points?region=3311", ["p1", "p5"]),
        (f"/points?village={VILLAGE_A}", ["p1"]),
        ("/points?text=%E8%AE%BE%E5%A4%875", ["p5"]),
        ("/facilities?region=331122", ["f5"]),
        (f"/facilities?village={VILLAGE_A}", ["f1"]),
        ("/facilities?text=F1", ["f1"]),
    ],
)
async def test_filters_and_pages_agree(world: World, query: str, expected: list[str]) -> None:
    """A filter finds the same on one page as on pages of one, each once, in the order of codes."""
    joint = "&" if "?" in query else "?"

    assert await codes(world, query) == expected
    assert await codes(world, f"{query}{joint}limit=1") == expected


async def test_a_line_is_seen_by_whose_cameras_or_recorders_hang_on_it(world: World) -> None:
    """A county sees the lines of its own, not those that nobody uses; what was removed hangs on nothing."""
    assert await codes(world, "/lines", "read.a") == ["l1"]
    assert await codes(world, "/lines", "read.b") == ["l5"]
    assert await codes(world, "/lines", "read.city") == ["l1", "l5"]
    async with world.writer.begin() as conn:
        await conn.execute(camera.update().where(camera.c.id == 1).values(removed_us=NOW))
        await conn.execute(recorder.update().where(recorder.c.id == 5).values(removed_us=NOW))
    assert await codes(world, "/lines", "read.city") == []
    assert await codes(world, "/recorders") == ["r1"]
    async with world.client("read.all") as client:
        assert (await client.get("/api/v1/recorders/r5")).status_code == 404
