"""The inventory's queries: pages, filters, scopes, and plans that do not read a whole table."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from streamwatch.errors import ConfigError, NotFoundError, UsageError
from streamwatch.model.inventory import Secret
from streamwatch.model.scope import EVERYTHING, Scope
from streamwatch.secrets import Sealer
from streamwatch.store.inventory import (
    get_camera,
    get_region,
    get_village,
    list_cameras,
    list_regions,
    list_villages,
    load_inventory,
)
from streamwatch.store.tables import camera, region, village

COUNTY, TOWN, OTHER = 1, 2, 3
NORTH = Scope(COUNTY)


@pytest.fixture
async def conn(writer: AsyncEngine, tmp_path: Path) -> AsyncIterator[AsyncConnection]:
    """Two counties; one has a town; three villages with four cameras each, one of them removed."""
    sealer = Sealer.open(tmp_path)
    async with writer.begin() as found:
        await found.execute(
            insert(region),
            [
                {"id": COUNTY, "code": "99", "name": "青河县", "parent": None},
                {"id": TOWN, "code": "9901", "name": "青河县/双河镇", "parent": COUNTY},
                {"id": OTHER, "code": "98", "name": "望溪县", "parent": None},
            ],
        )
        await found.execute(
            insert(village),
            [
                {"id": id_, "code": f"V{id_}", "name": name, "region": at, "created_us": 0}
                for id_, name, at in ((1, "青石村", COUNTY), (2, "柳林村", TOWN), (3, "Oak_Village", OTHER))
            ],
        )
        await found.execute(
            insert(camera),
            [
                {
                    "id": at * 10 + number,
                    "code": f"C{number}-{at}",
                    "name": f"村口{number}",
                    "village": at,
                    "url": f"rtsp://10.0.{at}.{number}/",
                    "username": "u",
                    "password_sealed": sealer.seal(f"C{number}-{at}", Secret(f"pw{at}{number}")),
                    "interval_s": 60 if number == 1 else None,
                    "installed_us": 5,
                    "created_us": 5,
                    "removed_us": 9 if number == 4 else None,
                }
                for at in (1, 2, 3)
                for number in (1, 2, 3, 4)
            ],
        )
        yield found


def codes(rows: list[Any]) -> list[str]:
    """Their codes."""
    return [row.code for row in rows]


async def test_everything_is_loaded_with_passwords_open(conn: AsyncConnection, tmp_path: Path) -> None:
    """Removed cameras too: their time in service still counts. Without an own interval the schedule's holds."""
    inventory = await load_inventory(conn, Sealer.open(tmp_path), 120, version=3)

    assert (inventory.version, len(inventory.regions), len(inventory.villages), len(inventory.cameras)) == (3, 3, 3, 12)
    first, last = inventory.cameras[11], inventory.cameras[34]
    assert (first.code, first.village, first.interval_s, first.password) == ("C1-1", 1, 60, Secret("pw11"))
    assert (last.interval_s, last.removed_us) == (120, 9)


async def test_loading_goes_on_behind_a_page(
    conn: AsyncConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More cameras than one read takes."""
    await conn.execute(
        insert(camera),
        [
            {"code": f"X{n}", "name": "n", "village": 1, "url": "rtsp://h/", "installed_us": 0, "created_us": 0}
            for n in range(4_100)
        ],
    )

    assert len((await load_inventory(conn, Sealer.open(tmp_path))).cameras) == 4_112


async def test_a_password_that_does_not_open_stops_the_start(conn: AsyncConnection, tmp_path: Path) -> None:
    """Looks without it would be booked as the camera's refusal, which is our fault and not its own."""
    (tmp_path / "secret.key").unlink()

    with pytest.raises(ConfigError, match="camera C1-1; restore the key file"):
        await load_inventory(conn, Sealer.open(tmp_path))


async def test_pages_join_without_a_seam(conn: AsyncConnection) -> None:
    """Each begins behind the last code of the one before; removed cameras are left out."""
    whole = codes(await list_cameras(conn, EVERYTHING, limit=100))
    assert whole == [f"C{number}-{at}" for number in (1, 2, 3) for at in (1, 2, 3)]
    paged: list[str] = []
    while page := codes(await list_cameras(conn, EVERYTHING, limit=2, after=paged[-1] if paged else None)):
        assert len(page) <= 2
        paged += page
    assert paged == whole
    assert codes(await list_villages(conn, EVERYTHING, limit=2, after="V1")) == ["V2", "V3"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"village": "V2"}, ["C1-2", "C2-2", "C3-2"]),
        ({"village": "nowhere"}, []),
        ({"region": "99"}, ["C1-1", "C1-2", "C2-1", "C2-2", "C3-1", "C3-2"]),
        ({"region": "9901"}, ["C1-2", "C2-2", "C3-2"]),
        ({"region": "nowhere"}, []),
        ({"region": "99", "village": "V3"}, []),
        ({"text": "c1-"}, ["C1-1", "C1-2", "C1-3"]),
        ({"text": "口2"}, ["C2-1", "C2-2", "C2-3"]),
        ({"text": "%"}, []),
        ({"ids": [11, 32, 34, 999]}, ["C1-1", "C2-3"]),
        ({"ids": []}, []),
        ({"ids": [11, 21], "text": "-2"}, ["C1-2"]),
    ],
)
async def test_cameras_are_filtered(conn: AsyncConnection, filters: dict[str, Any], expected: list[str]) -> None:
    """By village, subtree, text (letters of a pattern are letters) and id, and all of them together."""
    assert codes(await list_cameras(conn, EVERYTHING, limit=100, **filters)) == expected


async def test_villages_and_regions_are_filtered(conn: AsyncConnection) -> None:
    """By text without regard to case, where _ is a letter; removed villages are left out of the list."""
    assert codes(await list_villages(conn, EVERYTHING, limit=9, text="oak_v")) == ["V3"]
    assert codes(await list_villages(conn, EVERYTHING, limit=9, text="o_k")) == []
    assert codes(await list_villages(conn, EVERYTHING, limit=9, region="99")) == ["V1", "V2"]
    assert [(row.code, row.parent) for row in await list_regions(conn, EVERYTHING)] == [
        ("98", None),
        ("99", None),
        ("9901", "99"),
    ]
    assert codes(await list_regions(conn, EVERYTHING, text="双河")) == ["9901"]
    await conn.execute(update(village).where(village.c.code == "V1").values(removed_us=1))
    assert codes(await list_villages(conn, EVERYTHING, limit=9)) == ["V2", "V3"]
    assert (await get_village(conn, EVERYTHING, "V1")).removed_us == 1


async def test_a_scope_hides_everything_outside(conn: AsyncConnection) -> None:
    """In lists and one by one; a filter cannot reach around it, and foreign looks like absent."""
    assert codes(await list_cameras(conn, Scope(TOWN), limit=100)) == ["C1-2", "C2-2", "C3-2"]
    assert codes(await list_villages(conn, NORTH, limit=100)) == ["V1", "V2"]
    assert codes(await list_regions(conn, NORTH)) == ["99", "9901"]
    assert await list_cameras(conn, NORTH, limit=100, village="V3") == []
    assert await list_cameras(conn, NORTH, limit=100, region="98") == []
    assert await list_cameras(conn, Scope(TOWN), limit=100, region="99") == []  # above it
    assert await list_cameras(conn, NORTH, limit=100, ids=[31]) == []
    assert (await get_camera(conn, NORTH, "C1-2")).village == "V2"
    for asked, there, absent in (
        (get_camera, "C1-3", "C9"),
        (get_village, "V3", "V9"),
        (get_region, "98", "97"),
    ):
        messages = []
        for code in (there, absent):
            with pytest.raises(NotFoundError) as caught:
                await asked(conn, NORTH, code)
            messages.append(str(caught.value).replace(code, "CODE"))
        assert messages[0] == messages[1]


async def test_a_camera_row_has_its_places_and_no_password(conn: AsyncConnection) -> None:
    """What the API shows of a camera."""
    row = await get_camera(conn, EVERYTHING, "C1-2")

    assert (row.id, row.village, row.village_name, row.region, row.region_name) == (
        21,
        "V2",
        "柳林村",
        "9901",
        "青河县/双河镇",
    )
    assert not any("password" in name for name in type(row).__dataclass_fields__)


async def test_questions_are_bounded(conn: AsyncConnection) -> None:
    """Pages and lists of ids have a largest size."""
    for limit in (0, 502):
        with pytest.raises(UsageError, match="limit"):
            await list_cameras(conn, EVERYTHING, limit=limit)
    with pytest.raises(UsageError, match="too many"):
        await list_cameras(conn, EVERYTHING, limit=1, ids=range(20_001))


QUESTIONS: dict[str, Callable[[AsyncConnection], Awaitable[Any]]] = {
    "camera page": lambda conn: list_cameras(conn, EVERYTHING, limit=101, after="C1"),
    "camera page in a scope": lambda conn: list_cameras(conn, NORTH, limit=101, after="C1"),
    "cameras of a village": lambda conn: list_cameras(conn, EVERYTHING, limit=101, village="V1"),
    "cameras of a region": lambda conn: list_cameras(conn, EVERYTHING, limit=101, region="99"),
    "one camera": lambda conn: get_camera(conn, NORTH, "C1-1"),
    "village page": lambda conn: list_villages(conn, EVERYTHING, limit=101, after="V1"),
    "one village": lambda conn: get_village(conn, NORTH, "V1"),
}


@pytest.mark.parametrize("question", sorted(QUESTIONS))
async def test_no_question_reads_the_whole_camera_table(conn: AsyncConnection, question: str) -> None:
    """The plan of each: every table is searched by an index, or walked in the index's order up to the limit."""
    asked: list[tuple[str, Any]] = []

    @event.listens_for(conn.sync_connection, "before_cursor_execute")
    def remember(_conn: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: Any) -> None:
        if not statement.startswith("EXPLAIN"):
            asked.append((statement, parameters))

    await QUESTIONS[question](conn)

    assert asked
    for statement, parameters in list(asked):
        rows = await conn.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, parameters)
        plan = [row[3] for row in rows]
        scans = [step for step in plan if step.startswith("SCAN") and "INDEX" not in step]
        assert not [step for step in scans if "camera" in step or "village" in step], plan
