"""Cameras that were moved: every microsecond counts once, where the camera was, for those who may see that place."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, update

from streamwatch.clock import US, rfc3339
from streamwatch.model.look import State
from streamwatch.model.standing import PICTURE, STREAM
from streamwatch.store.stays import Move, note_moves
from streamwatch.store.tables import camera, camera_stay, maintenance, segment, standing, village
from tests.api.world import COUNTY_A, DAY, HOUR, NOW, STOOD, VILLAGE_A, VILLAGE_B, World, live

LENGTH = 50  # microseconds of the whole timeline, of which now is the end
ORIGIN = NOW - LENGTH
VILLAGES = {11: VILLAGE_A, 12: VILLAGE_B, 13: "331121100002"}  # 11 and 13 in county A, 12 in county B
REGIONS = {"331121": {11, 13}, "331122": {12}, "3311": {11, 12, 13}}
STATES = (State.UP, State.DOWN, State.UNKNOWN, None)  # None: nothing is known of that time


@dataclass
class Told:
    """One camera's whole story, in microseconds after the origin."""

    installed: int
    removed: int | None
    corrected: int  # the day of installation as it was corrected later
    first: int  # the village that it began in
    moves: list[tuple[int, int]]  # when, whither
    states: dict[str, list[State | None]]  # by dimension, of every microsecond

    def where(self, at: int) -> int:
        """By replaying the moves; before the service began it was where that began."""
        place = self.first
        for moved_at, whither in self.moves:
            if moved_at <= max(at, self.installed):
                place = whither
        return place

    def serves(self, at: int) -> bool:
        return self.corrected <= at and (self.removed is None or at < self.removed)


@dataclass
class Story:
    """All cameras and all maintenance: (camera, village, from, to)."""

    cameras: dict[int, Told]
    maintained: list[tuple[int | None, int | None, int, int]] = field(default_factory=list)

    def excluded(self, number: int, at: int) -> bool:
        place = self.cameras[number].where(at)
        return any(begin <= at < end and (cam == number or vil == place) for cam, vil, begin, end in self.maintained)

    def sums(self, rate: str, window: tuple[int, int], counts: Callable[[int, int], bool]) -> Counter[str]:
        """One microsecond after the other, of every camera that `counts` then."""
        found: Counter[str] = Counter()
        for number, told in self.cameras.items():
            instants = [at for at in range(*window) if told.serves(at) and counts(number, at)]
            found["cameras"] += bool(instants)
            for at in instants:
                stream, picture = told.states[STREAM][at], told.states[PICTURE][at]
                state = stream
                if rate != "uptime":
                    state = (None if rate == "of_online" else State.DOWN) if stream is State.DOWN else picture
                found["excluded" if self.excluded(number, at) else str(state or State.UNKNOWN)] += 1
        return found


def told(dice: random.Random) -> Told:
    """One camera with up to four moves, some of them at one instant and some to where it is."""
    installed = dice.choice([0, 0, dice.randrange(LENGTH)])
    moments = sorted(dice.choices(range(installed, LENGTH + 1), k=dice.randint(0, 4)))
    states = {}
    for dimension in (STREAM, PICTURE):
        cuts = [0, *sorted(dice.sample(range(1, LENGTH), 4)), LENGTH]
        kinds = [dice.choice(STATES) for _ in pairwise(cuts)]
        states[dimension] = [
            kind for (begin, end), kind in zip(pairwise(cuts), kinds, strict=True) for _ in range(begin, end)
        ]
    return Told(
        installed=installed,
        removed=dice.choice([None, None, dice.randint(installed, LENGTH)]),
        corrected=dice.choice([installed, installed, dice.randrange(LENGTH)]),
        first=dice.choice(list(VILLAGES)),
        moves=[(at, dice.choice(list(VILLAGES))) for at in moments],
        states=states,
    )


def story(dice: random.Random) -> Story:
    cameras = {number: told(dice) for number in range(1, 5)}
    kept = []
    for _ in range(dice.randint(0, 4)):
        of_camera = dice.random() < 0.3
        begin = dice.randrange(-5, LENGTH)
        kept.append(
            (
                dice.choice(list(cameras)) if of_camera else None,
                None if of_camera else dice.choice(list(VILLAGES)),
                begin,
                dice.randint(begin + 1, LENGTH + 5),
            )
        )
    return Story(cameras, kept)


async def tell(world: World, what: Story) -> None:
    """Puts the story into the store as it would have happened: installed, then moved move by move."""
    async with world.writer.begin() as conn:
        for table in (segment, standing, maintenance, camera_stay, camera):
            await conn.execute(delete(table))
        await conn.execute(delete(village).where(village.c.id == 13))
        values = {"id": 13, "code": VILLAGES[13], "name": "南山村", "region": COUNTY_A, "created_us": 0}
        await conn.execute(insert(village).values(values))
        for number, one in what.cameras.items():
            await conn.execute(
                insert(camera).values(
                    id=number,
                    code=f"c{number}",
                    name="",
                    village=one.first,
                    url="rtsp://192.0.2.1/live",
                    installed_us=ORIGIN + one.installed,
                    created_us=ORIGIN,
                    removed_us=None if one.removed is None else ORIGIN + one.removed,
                )
            )
            place = one.first
            for at, whither in one.moves:
                if whither != place:
                    await note_moves(conn, [Move(number, place, ORIGIN + at)])
                    place = whither
            values = {"village": place, "installed_us": ORIGIN + one.corrected}
            await conn.execute(update(camera).where(camera.c.id == number).values(values))
            for dimension, states in one.states.items():
                rows = [
                    {
                        "camera": number,
                        "dimension": dimension,
                        "from_us": ORIGIN + begin,
                        "to_us": ORIGIN + end,
                        "state": states[begin],
                        "origin": "look",
                        "learned_us": 0,
                    }
                    for begin, end in stretches(states)
                    if states[begin] is not None
                ]
                if rows:
                    await conn.execute(insert(segment), rows)
        for cam, vil, begin, end in what.maintained:
            await conn.execute(
                insert(maintenance).values(
                    camera=cam,
                    village=vil,
                    from_us=ORIGIN + begin,
                    to_us=ORIGIN + end,
                    reason="r",
                    author="a",
                    created_us=0,
                )
            )
    world.inventory_version += 1
    world.tell()


def stretches(states: list[State | None]) -> list[tuple[int, int]]:
    cuts = [0, *(at for at in range(1, LENGTH) if states[at] is not states[at - 1]), LENGTH]
    return list(pairwise(cuts))


def summed(rate: dict[str, Any]) -> Counter[str]:
    """A rate of the API in microseconds."""
    parts = {"up": "up_s", "down": "down_s", "unknown": "unknown_s", "excluded": "excluded_s"}
    found = Counter({name: round(rate[part] * US) for name, part in parts.items()})
    found["cameras"] = rate["cameras"]
    return +found


async def rates(world: World, path: str, window: tuple[int, int], key: str = "read.all") -> dict[str, Counter[str]]:
    begin, end = (rfc3339(ORIGIN + edge) for edge in window)
    answer = await world.get(f"{path}/uptime?from={begin}&to={end}", key)
    return {
        "uptime": summed(answer["uptime"]),
        "of_online": summed(answer["intact"]["of_online"]),
        "of_registered": summed(answer["intact"]["of_registered"]),
    }


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False))
async def test_every_microsecond_counts_where_the_camera_was(world: World, dice: random.Random) -> None:
    """Villages, regions, cameras and counts at an instant say what labelling every microsecond says; the villages
    together are the cameras together."""
    what = story(dice)
    await tell(world, what)
    begin = dice.randrange(LENGTH)
    window = (begin, dice.randint(begin + 1, LENGTH))
    at = dice.randrange(LENGTH)
    whole: dict[str, Counter[str]] = {}

    def expected(counts: Callable[[int, int], bool]) -> dict[str, Counter[str]]:
        return {rate: +what.sums(rate, window, counts) for rate in ("uptime", "of_online", "of_registered")}

    places = {number: one.where for number, one in what.cameras.items()}
    for number, code in VILLAGES.items():
        found = await rates(world, f"/villages/{code}", window)
        assert found == expected(lambda cam, then, number=number: places[cam](then) == number)  # type: ignore[misc]
        for rate, sums in found.items():
            whole.setdefault(rate, Counter()).update(sums)
        await check_status(world, f"/villages/{code}", at, what, {number})
    for code, inside in REGIONS.items():
        key = "read.a" if code == "331121" and dice.random() < 0.5 else "read.all"
        found = await rates(world, f"/regions/{code}", window, key)
        assert found == expected(lambda cam, then, inside=inside: places[cam](then) in inside)  # type: ignore[misc]
        await check_status(world, f"/regions/{code}", at, what, inside)
    together: dict[str, Counter[str]] = {}
    for number in what.cameras:
        found = await rates(world, f"/cameras/c{number}", window)
        assert found == expected(lambda cam, _then, number=number: cam == number)  # type: ignore[misc]
        for rate, sums in found.items():
            together.setdefault(rate, Counter()).update(sums)
    for sums in (*whole.values(), *together.values()):
        del sums["cameras"]  # one that was moved counts in each of its villages
    assert whole == together


async def check_status(world: World, path: str, at: int, what: Story, inside: set[int]) -> None:
    """Counts at an instant of the cameras that were inside then."""
    found = await world.get(f"{path}/status?at={rfc3339(ORIGIN + at)}")
    there = {number: one for number, one in what.cameras.items() if one.where(at) in inside}
    serving = {number: one for number, one in there.items() if one.serves(at)}
    streams = Counter(one.states[STREAM][at] or State.UNKNOWN for one in serving.values())
    assert found["registered"] == sum(one.removed is None or at < one.removed for one in there.values())
    assert found["in_service"] == len(serving)
    assert [found["online"], found["offline"], found["unknown"]] == [
        streams[state] for state in (State.UP, State.DOWN, State.UNKNOWN)
    ]
    assert found["excluded"] == sum(what.excluded(number, at) for number in serving)


async def moved(world: World, at_us: int) -> None:
    """Camera 1 goes from village A to village B."""
    async with world.writer.begin() as conn:
        await note_moves(conn, [Move(1, 11, at_us)])
        await conn.execute(update(camera).where(camera.c.id == 1).values(village=12))
    world.inventory_version += 1
    world.tell(*live(*STOOD))


async def test_moved_camera_is_where_it_is_and_its_past_where_it_was(world: World) -> None:
    """The county that it left has its figures and not the camera; the county that has it sees all its history."""
    await moved(world, NOW - 4 * HOUR)
    window = f"from={rfc3339(NOW - DAY)}&to={rfc3339(NOW)}"
    async with world.client("read.a") as client:
        assert (await client.get("/api/v1/cameras/c1")).status_code == 404
        assert (await client.get(f"/api/v1/cameras/c1/uptime?{window}")).status_code == 404

    left = (await world.get(f"/villages/{VILLAGE_A}/uptime?{window}", "read.a"))["uptime"]
    joined = (await world.get(f"/villages/{VILLAGE_B}/uptime?{window}", "read.b"))["uptime"]
    assert left == (await world.get(f"/regions/331121/uptime?{window}", "read.a"))["uptime"]
    assert (left["cameras"], joined["cameras"]) == (4, 3)
    assert left["excluded_s"] == 3_600  # of its own maintenance the half that it was there for
    assert joined["excluded_s"] == 3_600 + 3 * 3_600  # and that of village B, which covers it too by now
    assert [item["state"] for item in (await world.get(f"/cameras/c1/timeline?{window}", "read.b"))["items"]] == [
        "up"
    ] * 4
    assert {one["id"] for one in (await world.get("/cameras", "read.a"))["items"]} == {"c2", "c3", "c4"}
    assert (await world.get(f"/villages/{VILLAGE_A}", "read.a"))["cameras"] == 3
    assert (await world.get("/overview", "read.b"))["cameras"] == 3


async def test_last_day_and_badge_follow_the_move(world: World) -> None:
    """Both bars of one page hold their part of the camera, though it is read once."""
    await moved(world, NOW - 6 * HOUR)
    items = {one["code"]: one for one in (await world.get("/villages?rates=24h"))["items"]}
    left, joined = items[VILLAGE_A]["last_24h"]["uptime"], items[VILLAGE_B]["last_24h"]["uptime"]
    assert sum(left[part] for part in ("up_s", "down_s", "unknown_s", "excluded_s")) == (3 * 24 + 18) * 3_600
    assert sum(joined[part] for part in ("up_s", "down_s", "unknown_s", "excluded_s")) == (2 * 24 + 6) * 3_600
    async with world.client("read.a") as client:
        assert "·" in (await client.get(f"/api/v1/villages/{VILLAGE_A}/badge.svg")).text


async def test_maintenance_is_listed_wherever_it_is_taken_out(world: World) -> None:
    """A camera's is seen where the camera is, and where it was for some of that time; nowhere else."""
    assert [one["id"] for one in (await world.get("/maintenance", "read.a"))["items"]] == [1]
    await moved(world, NOW - 4 * HOUR)  # in the middle of it
    assert [one["id"] for one in (await world.get("/maintenance", "read.a"))["items"]] == [1]
    assert [one["id"] for one in (await world.get("/maintenance", "read.b"))["items"]] == [2, 1]


async def test_maintenance_before_or_after_its_stay_stays_with_the_camera(world: World) -> None:
    """One that the camera had elsewhere is not shown to those who had it at another time."""
    await moved(world, NOW - 6 * HOUR)
    assert (await world.get("/maintenance", "read.a"))["items"] == []


async def test_made_up_history_is_told_where_it_counts(world: World) -> None:
    """Camera 2's demonstration ended ten days ago: who has the camera only since then has nothing made up."""
    async with world.writer.begin() as conn:
        await note_moves(conn, [Move(2, 11, NOW - DAY)])
        await conn.execute(update(camera).where(camera.c.id == 2).values(village=12))
    world.inventory_version += 1
    world.tell(*live(*STOOD))
    assert (await world.get(f"/villages/{VILLAGE_A}/uptime"))["made_up"] is True
    assert (await world.get(f"/villages/{VILLAGE_B}/uptime"))["made_up"] is False
