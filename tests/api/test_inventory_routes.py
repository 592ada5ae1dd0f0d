"""Regions, villages and cameras: shapes, filters, pages, and what they say about the present."""

from __future__ import annotations

import pytest
from msgspec import structs

from streamwatch.clock import US, rfc3339
from streamwatch.model.live import CameraLive
from streamwatch.model.look import State
from streamwatch.model.standing import STREAM, Pending
from streamwatch.store.tables import camera, village
from tests.api.world import EVIL, HOUR, INTERVAL_S, NOW, STOOD, VILLAGE_A, VILLAGE_B, World, live, stand

CAMERA_KEYS = {
    "id",
    "name",
    "village",
    "region",
    "url",
    "recorder",
    "line",
    "state",
    "state_since",
    "faults",
    "last_look_at",
    "last_up_at",
    "interval_s",
    "maintenance",
}


MAX_PAGES = 50  # of a list of six; a cursor that stands still must fail, not hang


async def codes(world: World, query: str, key: str = "read.all") -> list[str]:
    """The ids or codes of a list, all pages of it."""
    found: list[str] = []
    cursor = ""
    for _ in range(MAX_PAGES):
        page = await world.get(query + (f"{'&' if '?' in query else '?'}cursor={cursor}" if cursor else ""), key)
        found += [item.get("id") or item["code"] for item in page["items"]]
        if page["next"] is None:
            return found
        cursor = page["next"]
    raise AssertionError(f"{query} never ends: {found[:20]} …")


async def test_camera_has_the_interfaces_shape(world: World) -> None:
    """Every key of the interface is there; the address shows that there are credentials, and none of them."""
    one = await world.get("/cameras/c1")

    assert set(one) >= CAMERA_KEYS
    assert one["url"] == "rtsp://***@192.0.2.1/live"
    assert (one["village"], one["region"]) == (VILLAGE_A, "331121")
    assert (one["state"], one["reason"], one["blame"], one["faults"]) == ("up", None, None, [])
    assert one["last_look_at"] == one["last_up_at"] == rfc3339(NOW - 60 * US)
    assert one["interval_s"] == INTERVAL_S
    assert one["maintenance"] is False
    assert (await world.get("/cameras/c2"))["url"] == "rtsp://192.0.2.2/live"


async def test_camera_states_are_those_of_the_live_view(world: World) -> None:
    """Down with reason and blame; defective with its fault; unknown from the last look on once the grace is over."""
    down, blurred, old, never = [await world.get(f"/cameras/c{number}") for number in (2, 3, 4, 6)]

    assert (down["state"], down["reason"], down["blame"]) == ("down", "net.refused", "camera")
    assert down["state_since"] == rfc3339(NOW - HOUR)
    assert down["last_up_at"] is None
    assert (blurred["state"], blurred["faults"], blurred["picture"]["state"]) == ("up", ["blur"], "down")
    assert (old["state"], old["state_since"]) == ("unknown", rfc3339(NOW - 3 * HOUR))
    assert (never["state"], never["state_since"], never["picture"]) == ("unknown", None, None)


async def test_pending_and_void_are_told(world: World) -> None:
    """A bad look that waits for confirmation changes no state but is told; so is a look that did not count."""
    waiting = stand(1, STREAM, State.UP, NOW - HOUR, NOW - 60 * US)
    pending = Pending(State.DOWN, "net.timeout", None, NOW - 10 * US, NOW - 10 * US, 1)
    world.tell(
        CameraLive(camera=1, standings=(structs.replace(waiting, pending=pending),)),
        CameraLive(camera=2, standings=(), void="ours.overload", void_us=NOW),
    )

    one, two = await world.get("/cameras/c1"), await world.get("/cameras/c2")

    assert (one["state"], one["pending"]) == ("up", True)
    assert (two["pending"], two["void"]) == (False, "ours.overload")


async def test_maintenance_of_camera_and_village_is_shown_only_while_it_lasts(world: World) -> None:
    """Village B is in maintenance now; camera 1's is over."""
    assert (await world.get("/cameras/c5"))["maintenance"] is True
    assert (await world.get("/cameras/c1"))["maintenance"] is False


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("/cameras", ["c1", "c2", "c3", "c4", "c5", "c6"]),
        (f"/cameras?village={VILLAGE_B}", ["c5", "c6"]),
        ("/cameras?region=331121", ["c1", "c2", "c3", "c4"]),
        ("/cameras?region=3311", ["c1", "c2", "c3", "c4", "c5", "c6"]),
        ("/cameras?state=down", ["c2"]),
        ("/cameras?state=down,unknown", ["c2", "c4", "c6"]),
        ("/cameras?fault=blur", ["c3"]),
        ("/cameras?fault=frozen", []),
        ("/cameras?text=3%E5%8F%B7", ["c3"]),
        ("/cameras?text=C5", ["c5"]),
        ("/cameras?sort=worst", ["c2", "c3", "c6", "c4"]),
        ("/cameras?sort=worst&state=unknown", ["c6", "c4"]),
        (f"/cameras?sort=worst&village={VILLAGE_B}", ["c6"]),
        ("/cameras?sort=worst&text=c2", ["c2"]),
        ("/villages", [VILLAGE_A, VILLAGE_B]),
        ("/villages?text=%E7%99%BD%E7%9F%B3", [VILLAGE_B]),
        ("/villages?state=down", [VILLAGE_A]),
        ("/villages?state=up", [VILLAGE_A, VILLAGE_B]),
        ("/villages?fault=blur", [VILLAGE_A]),
        ("/villages?region=331122", [VILLAGE_B]),
        ("/regions", ["3311", "331121", "331122"]),
        ("/regions?text=%E7%99%BD", ["331122"]),
    ],
)
async def test_filters_and_pages_agree(world: World, query: str, expected: list[str]) -> None:
    """A filter finds the same on one page as on pages of one, in the same order, each once."""
    joint = "&" if "?" in query else "?"
    expected = sorted(expected) if query.startswith("/regions") else expected

    assert sorted(await codes(world, query)) == sorted(expected)
    whole = await codes(world, f"{query}{joint}limit=500")
    assert await codes(world, f"{query}{joint}limit=1") == whole
    if "sort" in query:
        assert whole == expected


async def test_village_counts_its_cameras_now(world: World) -> None:
    """Cameras by state and by fault; a name with markup is just a text."""
    one = await world.get(f"/villages/{VILLAGE_A}")

    assert one["name"] == EVIL
    assert (one["cameras"], one["states"]) == (4, {"up": 2, "down": 1, "unknown": 1})
    assert (one["faults"], one["faulty"]) == ({"blur": 1}, 1)
    assert one["last_24h"] is None


async def test_overview_is_the_sum_of_the_villages(world: World) -> None:
    """The headline counts what the caller's villages hold."""
    whole, own = await world.get("/overview"), await world.get("/overview", "read.b")

    assert (whole["villages"], whole["cameras"], whole["states"]) == (2, 6, {"up": 3, "down": 1, "unknown": 2})
    assert (own["villages"], own["cameras"], own["states"]) == (1, 2, {"up": 1, "down": 0, "unknown": 1})
    assert (whole["connected"], whole["ready"]) == (True, True)


async def test_removed_camera_and_village_leave_lists_and_counts_but_can_be_asked(world: World) -> None:
    """What was removed is not in lists or counts any more; its past can still be asked for by its code."""
    async with world.writer.begin() as conn:
        await conn.execute(camera.update().where(camera.c.id == 2).values(removed_us=NOW - HOUR))
        await conn.execute(village.update().where(village.c.id == 12).values(removed_us=NOW - HOUR))
        await conn.execute(camera.update().where(camera.c.village == 12).values(removed_us=NOW - HOUR))

    assert await codes(world, "/cameras") == ["c1", "c3", "c4"]
    assert await codes(world, "/villages") == [VILLAGE_A]
    assert (await world.get(f"/villages/{VILLAGE_A}"))["cameras"] == 3
    assert (await world.get(f"/villages/{VILLAGE_B}"))["cameras"] == 0
    assert (await world.get("/cameras/c2"))["id"] == "c2"
    assert (await world.get("/overview"))["cameras"] == 3


async def test_new_village_is_seen_before_the_census_is_old(world: World) -> None:
    """A village made a moment ago is listed at once, although counting remembers who is where."""
    await world.get("/villages")
    async with world.writer.begin() as conn:
        await conn.execute(village.insert().values(id=13, code="331122100009", name="新村", region=3, created_us=NOW))

    assert "331122100009" in await codes(world, "/villages")


async def test_census_follows_the_inventory(world: World) -> None:
    """Who is where is remembered until the service says that the inventory changed, or for half a minute."""

    async def add(number: int) -> None:
        row = {"id": number, "code": f"c{number}", "name": "x", "village": 11, "url": "rtsp://192.0.2.9/x"}
        async with world.writer.begin() as conn:
            await conn.execute(camera.insert().values(**row, installed_us=NOW - HOUR, created_us=NOW - HOUR))

    assert (await world.get("/overview"))["cameras"] == 6
    await add(7)
    assert (await world.get("/overview"))["cameras"] == 6
    world.inventory_version += 1
    world.tell(*live(*STOOD))
    assert (await world.get("/overview"))["cameras"] == 7
    await add(8)
    world.clock.seconds += 30
    assert (await world.get("/overview"))["cameras"] == 8


async def test_lost_service_turns_everything_unknown_by_itself(world: World) -> None:
    """When the service is gone the last states are shown until the grace is over, then nothing is claimed."""
    world.tell(*live(*STOOD), connected=False)
    assert (await world.get("/overview"))["states"]["up"] == 3

    world.clock.now_us += HOUR

    overview = await world.get("/overview")
    assert overview["states"] == {"up": 0, "down": 0, "unknown": 6}
    assert overview["connected"] is False
