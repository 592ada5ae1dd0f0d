"""Lists into a real database: made, changed, left alone, refused; twice the same changes nothing."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from streamwatch.errors import UsageError
from streamwatch.inventory.apply import run_import
from streamwatch.inventory.lists import parse_file
from streamwatch.inventory.parsed import Change, ImportResult
from streamwatch.model.inventory import Secret
from streamwatch.model.look import Depth
from streamwatch.schedule import Planner, Policy
from streamwatch.secrets import Sealer
from streamwatch.store.inventory import load_inventory
from streamwatch.store.tables import camera, region, village

NOW = 1_790_000_000_000_000
VILLAGES = "code,name,region\nV1,青石村,青河县/双河镇\nV2,柳林村,青河县/双河镇\nV3,青石村,望溪县\n"
CAMERAS = (
    "code,name,village,url,sub_url,username,password,line,interval_s,installed_on\n"
    "C1,村口,V1,rtsp://admin:p%40ss@10.0.0.1/a,rtsp://10.0.0.1/b,,,L1,60,2024-05-01\n"
    "C2,广场,柳林村,rtsp://10.0.0.2/a,,u,geheim,,,\n"
    "C3,河堤,V3,rtsp://10.0.0.3/a,,,,,,\n"
)


async def take(
    conn: AsyncConnection, sealer: Sealer, kind: str, text: str, now_us: int = NOW, **options: Any
) -> ImportResult:
    """Imports a text."""
    options = {"dry_run": False, "on_error": "skip", **options}
    return await run_import(conn, sealer, kind, parse_file(text.encode(), kind), now_us=now_us, **options)


def counts(result: ImportResult) -> tuple[int, int, int, int]:
    """Created, changed, unchanged, rejected."""
    return result.created, result.changed, result.unchanged, result.rejected_total


async def stored(conn: AsyncConnection, code: str) -> dict[str, Any]:
    """A camera's whole row."""
    return dict((await conn.execute(select(camera).where(camera.c.code == code))).mappings().one())


@pytest.fixture
async def filled(conn: AsyncConnection, sealer: Sealer) -> AsyncConnection:
    """The two lists, imported."""
    assert counts(await take(conn, sealer, "villages", VILLAGES)) == (3, 0, 0, 0)
    assert counts(await take(conn, sealer, "cameras", CAMERAS)) == (3, 0, 0, 0)
    return conn


async def test_lists_become_the_inventory(filled: AsyncConnection, sealer: Sealer) -> None:
    """Regions are made, villages found by code or name, passwords sealed and opened again."""
    inventory = await load_inventory(filled, sealer)

    by_code = {found.code: found for found in inventory.cameras.values()}
    villages = {found.id: found for found in inventory.villages.values()}
    regions = inventory.regions
    assert sorted(found.name for found in regions.values()) == ["望溪县", "青河县", "青河县/双河镇"]
    town = regions[villages[by_code["C1"].village].region]
    assert town.parent is not None
    assert (town.name, regions[town.parent].name) == ("青河县/双河镇", "青河县")
    first = by_code["C1"]
    assert (first.url, first.sub_url, first.username) == ("rtsp://10.0.0.1/a", "rtsp://10.0.0.1/b", "admin")
    assert (first.password, first.line, first.interval_s) == (Secret("p@ss"), "L1", 60)
    assert villages[by_code["C2"].village].code == "V2"
    assert by_code["C2"].password == Secret("geheim")
    assert (by_code["C2"].interval_s, by_code["C2"].installed_us) == (300, NOW)
    assert by_code["C3"].password is None
    row = await stored(filled, "C2")
    assert b"geheim" not in row["password_sealed"]


async def test_the_same_lists_twice_change_nothing(filled: AsyncConnection, sealer: Sealer) -> None:
    """Not a row is written: the sealed bytes are the same."""
    before = [await stored(filled, code) for code in ("C1", "C2", "C3")]

    assert counts(await take(filled, sealer, "villages", VILLAGES, NOW + 9)) == (0, 0, 3, 0)
    assert counts(await take(filled, sealer, "cameras", CAMERAS, NOW + 9)) == (0, 0, 3, 0)
    assert [await stored(filled, code) for code in ("C1", "C2", "C3")] == before


async def test_a_change_keeps_the_id_and_what_the_list_does_not_name(filled: AsyncConnection, sealer: Sealer) -> None:
    """Cameras that are not in the list stay; columns that are not in it stay; moving keeps the id."""
    before = await stored(filled, "C1")
    result = await take(filled, sealer, "cameras", "code,name,village,url\nC1,村尾,V2,rtsp://10.0.0.1/a\n")

    assert result.changes == (Change("C1", ("name", "village")),)
    after = await stored(filled, "C1")
    assert after["id"] == before["id"]
    assert {name for name in after if after[name] != before[name]} == {"name", "village", "password_sealed"}
    assert sealer.unseal("C1", after["password_sealed"]) == Secret("p@ss")
    assert (await filled.execute(select(func.count()).select_from(camera))).scalar_one() == 3


async def test_basic_is_allowed_only_where_the_list_says_so(filled: AsyncConnection, sealer: Sealer) -> None:
    """The list's yes reaches the ticket of that camera and no other; taking it back, or granting it, is a change."""

    async def allowed() -> dict[str, bool]:
        inventory = await load_inventory(filled, sealer)
        planner = Planner(Policy(), random.Random(1))
        rounds = {found.code: planner.visit(found, Depth.STREAM, NOW) for found in inventory.cameras.values()}
        assert {code: round_.tickets[0].allow_basic for code, round_ in rounds.items()} == {
            found.code: found.allow_basic for found in inventory.cameras.values()
        }
        return {code: round_.tickets[0].allow_basic for code, round_ in rounds.items()}

    head = "code,name,village,url,allow_basic\n"
    assert await allowed() == {"C1": False, "C2": False, "C3": False}  # a list that does not say it
    text = f"{head}C1,村口,V1,rtsp://10.0.0.1/a,true\nC4,桥头,V2,rtsp://10.0.0.4/a,是\nC5,桥尾,V2,rtsp://10.0.0.5/a,\n"
    granted = await take(filled, sealer, "cameras", text)
    assert (counts(granted), granted.changes) == ((2, 1, 0, 0), (Change("C1", ("allow_basic",)),))
    assert await allowed() == {"C1": True, "C2": False, "C3": False, "C4": True, "C5": False}
    assert counts(await take(filled, sealer, "cameras", text)) == (0, 0, 3, 0)
    assert counts(await take(filled, sealer, "cameras", CAMERAS)) == (0, 0, 3, 0)  # says nothing of it: it stays
    assert (await allowed())["C1"]
    taken = await take(
        filled, sealer, "cameras", f"{head}C1,村口,V1,rtsp://10.0.0.1/a,no\nC4,桥头,V2,rtsp://10.0.0.4/a,\n"
    )
    assert taken.changes == (Change("C1", ("allow_basic",)), Change("C4", ("allow_basic",)))
    assert not any((await allowed()).values())
    assert sealer.unseal("C1", (await stored(filled, "C1"))["password_sealed"]) == Secret("p@ss")


async def test_a_dry_run_tells_and_writes_nothing(filled: AsyncConnection, sealer: Sealer) -> None:
    """Also no region."""
    text = "code,name,region\nV1,青石村,新县/新镇\nV9,新村,新县/新镇\n"
    result = await take(filled, sealer, "villages", text, dry_run=True)

    assert counts(result) == (1, 1, 0, 0)
    assert result.changes == (Change("V1", ("region",)),)
    assert (await filled.execute(select(func.count()).select_from(region))).scalar_one() == 3
    assert counts(await take(filled, sealer, "villages", text)) == (1, 1, 0, 0)
    assert (await filled.execute(select(func.count()).select_from(region))).scalar_one() == 5


async def test_refusals_of_file_and_store_come_together(filled: AsyncConnection, sealer: Sealer) -> None:
    """In the order of lines; with stop nothing at all is written."""
    text = (
        "code,name,village,url\nC5,a,V1,rtsp://h/\nC6,b,nowhere,rtsp://h/\nC7,c,V1,bad\nC8,d,青石村,rtsp://h/\n"
        "C2,e,V2,rtsp://10.9.9.9/a\n"
    )

    stopped = await take(filled, sealer, "cameras", text, on_error="stop")
    assert counts(stopped) == (0, 0, 0, 4)
    assert stopped.stopped
    assert (await filled.execute(select(func.count()).select_from(camera))).scalar_one() == 3
    result = await take(filled, sealer, "cameras", text)
    assert counts(result) == (1, 0, 0, 4)
    assert [(bad.line, bad.column, bad.code) for bad in result.rejected] == [
        (3, "village", "unknown_village"),
        (4, "url", "bad_url"),
        (5, "village", "ambiguous_village"),
        (6, "password", "password_needed"),
    ]
    assert result.to_json()["rejected"][0] == {
        "line": 3,
        "column": "village",
        "value": "nowhere",
        "code": "unknown_village",
        "remedy": "no village has this code or name; import villages first, or correct it",
    }
    assert ImportResult.from_json(result.to_json()) == result


async def test_create_only_leaves_what_is_there(filled: AsyncConnection, sealer: Sealer) -> None:
    """What run --cameras makes of a camera list must not undo what an operator sorted since."""
    text = "code,name,region\nV1,V1,未分区\nV9,V9,未分区\n"

    assert counts(await take(filled, sealer, "villages", text, create_only=True)) == (1, 0, 1, 0)
    names = (await filled.execute(select(village.c.name).order_by(village.c.code))).scalars().all()
    assert names == ["青石村", "柳林村", "青石村", "V9"]


async def test_removed_villages_take_no_cameras(filled: AsyncConnection, sealer: Sealer) -> None:
    """Neither by code nor by name; then the name is unique again."""
    await filled.execute(update(village).where(village.c.code == "V3").values(removed_us=NOW))
    text = "code,name,village,url\nC5,a,V3,rtsp://h/\nC6,b,青石村,rtsp://h/\n"

    result = await take(filled, sealer, "cameras", text)
    assert counts(result) == (1, 0, 0, 1)
    assert result.rejected[0].code == "unknown_village"


async def test_a_list_heals_passwords_whose_key_is_lost(filled: AsyncConnection, tmp_path: Path) -> None:
    """Importing the cameras again is the remedy that the message names; what the list does not say stays sealed."""
    (tmp_path / "secret.key").rename(tmp_path / "lost.key")
    fresh = Sealer.open(tmp_path)
    lost = (await stored(filled, "C1"))["password_sealed"]

    renamed = "code,name,village,url\nC1,村尾,V1,rtsp://10.0.0.1/a\n"
    assert counts(await take(filled, fresh, "cameras", renamed)) == (0, 1, 0, 0)
    assert (await stored(filled, "C1"))["password_sealed"] == lost
    assert counts(await take(filled, fresh, "cameras", CAMERAS)) == (0, 2, 1, 0)
    assert fresh.unseal("C1", (await stored(filled, "C1"))["password_sealed"]) == Secret("p@ss")


async def test_more_lines_than_a_batch_meet_what_is_stored(conn: AsyncConnection, sealer: Sealer) -> None:
    """Batches join without a seam, and progress counts every line."""
    await take(conn, sealer, "villages", VILLAGES)
    lines = [f"C{number},n,V1,rtsp://u:pw{number}@10.0.0.1/{number}" for number in range(2_345)]
    text = "code,name,village,url\n" + "\n".join(lines)
    seen: list[int] = []

    assert counts(await take(conn, sealer, "cameras", text, progress=seen.append)) == (2_345, 0, 0, 0)
    assert sum(seen) == 2_345
    other = text.replace("/1999\n", "/x\n").replace("/3\n", "/y\n")
    result = await take(conn, sealer, "cameras", other)
    assert counts(result) == (0, 2, 2_343, 0)
    assert [change.code for change in result.changes] == ["C3", "C1999"]


async def test_lists_of_both_kinds_of_lines_are_written_alike(conn: AsyncConnection, sealer: Sealer) -> None:
    """Some addresses bring credentials and some do not: one statement takes them all."""
    await take(conn, sealer, "villages", VILLAGES)
    text = "code,name,village,url\nC1,n,V1,rtsp://10.0.0.1/\nC2,n,V1,rtsp://u:pw@10.0.0.2/\nC3,n,V1,rtsp://10.0.0.3/\n"

    assert counts(await take(conn, sealer, "cameras", text)) == (3, 0, 0, 0)
    assert [(await stored(conn, code))["username"] for code in ("C1", "C2", "C3")] == [None, "u", None]


async def test_another_kind_of_list_is_wrong_usage(conn: AsyncConnection, sealer: Sealer) -> None:
    """A list of villages is not taken for one of cameras."""
    with pytest.raises(UsageError, match="this is a list of villages, not of cameras"):
        await run_import(
            conn,
            sealer,
            "cameras",
            parse_file(VILLAGES.encode(), "villages"),
            now_us=NOW,
            dry_run=False,
            on_error="skip",
        )


async def test_a_region_given_by_code_is_used(conn: AsyncConnection, sealer: Sealer) -> None:
    """Existing ones are found by their code; a path below them hangs where it should."""
    await conn.execute(insert(region).values(code="990101", name="青河县", parent=None))
    await take(conn, sealer, "villages", "code,name,region\nV1,a,990101\nV2,b,青河县/双河镇\n")

    found = (await conn.execute(select(region.c.name, region.c.parent).order_by(region.c.id))).all()
    assert [tuple(row) for row in found] == [("青河县", None), ("青河县/双河镇", 1)]
