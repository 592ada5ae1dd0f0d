"""What was committed is read back: by key, in scope, and with the last looks that only the packed rounds know."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from streamwatch.errors import Blame, NotFoundError, UsageError
from streamwatch.model.look import Depth, State
from streamwatch.model.scope import EVERYTHING, Scope
from streamwatch.model.standing import PICTURE, REACH, STREAM, Pending, Standing
from streamwatch.model.timeline import Origin, Segment
from streamwatch.store import batch as batch_module
from streamwatch.store import timeline
from streamwatch.store.rounds import HOUR_US, Mark, PackedHour
from streamwatch.store.scoped import visited, within
from streamwatch.store.stays import Move, note_moves
from streamwatch.store.tables import camera as camera_table
from streamwatch.store.tables import last_seen, observation, round_hour, segment
from streamwatch.store.timeline import (
    Batch,
    RoundLook,
    Written,
    add_maintenance,
    load_standings,
    maintenance_for,
    observations,
    segments,
    standings,
    write_batch,
)
from streamwatch.uptime import Interval

UP, DOWN, UNKNOWN = State.UP, State.DOWN, State.UNKNOWN
S = 1_000_000
NOON = 1_795_000_000 * S


async def write(engine: AsyncEngine, **parts: object) -> Written:
    """Commits one batch."""
    async with engine.begin() as connection:
        return await write_batch(connection, Batch(learned_us=NOON, **parts))  # type: ignore[arg-type]


def stands(camera: int, dimension: str, last_us: int, state: State = UP) -> Standing:
    """Something stands so since noon."""
    return Standing(camera, dimension, state, None, None, NOON, last_us)


def looked(camera: int, started_us: int, mark: Mark, *, due_us: int = NOON, vantage: str = "here") -> RoundLook:
    """A look of a round of village 20."""
    return RoundLook(20, Depth.PICTURE, vantage, due_us, 0, camera, started_us, 40.0, mark)


async def last_us(engine: AsyncEngine, camera: int) -> dict[str, int]:
    """When each dimension of a camera was last seen so, as a start of the service would know it."""
    async with engine.connect() as connection:
        return {one.dimension: one.last_us for one in await load_standings(connection) if one.camera == camera}


async def test_segments_and_standings_are_read_back_whole(settled: AsyncEngine) -> None:
    """Every field survives, also a pending change."""
    closed = [
        Segment(201, STREAM, 10, 20, DOWN, "net.reset", Blame.LINE),
        Segment(201, STREAM, 20, 30, UNKNOWN, None, None, Origin.MADE_UP),
    ]
    open_ = Standing(201, STREAM, UP, None, None, 30, 40, Pending(DOWN, "net.timeout", Blame.CAMERA, 41, 42, 2))
    await write(settled, segments=closed, standings=[open_])
    async with settled.connect() as connection:
        assert await segments(connection, EVERYTHING, [201], [STREAM], 0, 99) == closed
        assert await standings(connection, EVERYTHING, [201]) == await load_standings(connection) == [open_]


async def test_standing_is_replaced_in_every_field(settled: AsyncEngine) -> None:
    """The newest one stands, with its pending change or without."""
    waiting = Standing(201, STREAM, UP, None, None, 30, 40, Pending(DOWN, "net.timeout", Blame.CAMERA, 41, 42, 2))
    for newest in (
        stands(201, STREAM, NOON, DOWN),
        waiting,
        Standing(201, STREAM, DOWN, "net.reset", Blame.LINE, 41, 50),
    ):
        await write(settled, standings=[newest])
        async with settled.connect() as connection:
            assert await load_standings(connection) == [newest]


async def test_writing_twice_changes_nothing(settled: AsyncEngine) -> None:
    """A batch that is committed again, because its acknowledgement was lost, leaves every table as it was."""
    parts = {
        "segments": [Segment(201, STREAM, 10, 20, DOWN)],
        "standings": [stands(201, STREAM, NOON)],
        "observations": [(201, "stream", NOON, b"look")],
        "rounds": [looked(201, NOON + S, Mark.AS_BEFORE)],
    }

    async def everything() -> list[Sequence[object]]:
        async with settled.connect() as connection:
            return [
                (await connection.execute(select(table))).all()
                for table in (segment, batch_module.observation, round_hour, last_seen, timeline.standing)
            ]

    assert await write(settled, **parts) == Written()
    first = await everything()
    assert await write(settled, **parts) == Written(repeated=1)
    assert await everything() == first


async def test_same_key_with_other_content_is_counted_and_the_first_stays(settled: AsyncEngine) -> None:
    """An observation is never overwritten, and a conflict is told apart from a mere repetition."""
    await write(settled, observations=[(201, "stream", NOON, b"first"), (202, "stream", NOON, b"same")])
    written = await write(
        settled,
        observations=[(201, "stream", NOON, b"other"), (202, "stream", NOON, b"same"), (203, "stream", NOON, b"new")],
    )
    async with settled.connect() as connection:
        assert written == Written(repeated=2, conflicts=1)
        assert await observations(connection, EVERYTHING, 201, 5) == [("stream", NOON, b"first")]
        assert await observations(connection, EVERYTHING, 203, 5) == [("stream", NOON, b"new")]


async def test_closed_segment_is_never_overwritten(settled: AsyncEngine) -> None:
    """The first one that was booked at a key stays."""
    await write(settled, segments=[Segment(201, STREAM, 10, 20, DOWN)])
    await write(settled, segments=[Segment(201, STREAM, 10, 90, UP)])
    async with settled.connect() as connection:
        assert await segments(connection, EVERYTHING, [201], [STREAM], 0, 99) == [Segment(201, STREAM, 10, 20, DOWN)]


async def test_large_batches_are_written_in_full(settled: AsyncEngine) -> None:
    """More rows than one statement takes."""
    many = [Segment(201, STREAM, at, at + 1, UP) for at in range(batch_module.MAX_ROWS * 2 + 1)]
    await write(settled, segments=many, observations=[(201, "stream", one.from_us, b"") for one in many])
    async with settled.connect() as connection:
        assert (await connection.execute(select(func.count()).select_from(segment))).scalar_one() == len(many)
        assert (await connection.execute(select(func.count()).select_from(observation))).scalar_one() == len(many)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms())
async def test_segments_that_touch_a_window_are_found_whatever_came_before(
    settled: AsyncEngine, dice: random.Random
) -> None:
    """Exactly those that overlap the half-open window, of the cameras and dimensions asked for."""
    stored = []
    for camera in (201, 202, 301):
        for dimension in (STREAM, PICTURE):
            cuts = sorted(dice.sample(range(60), dice.randint(0, 12)))
            for begin, end in pairwise(cuts):
                if dice.random() < 0.7:
                    stored.append(Segment(camera, dimension, begin, end, dice.choice([UP, DOWN])))
    begin = dice.randint(-5, 65)
    end = begin + dice.randint(0, 30)
    wanted, dimensions = dice.sample([201, 202, 203, 301], 2), dice.sample([STREAM, PICTURE, REACH], 2)
    async with settled.connect() as connection, connection.begin() as transaction:
        await write_batch(connection, Batch(learned_us=0, segments=stored))
        found = await segments(connection, EVERYTHING, [*wanted, wanted[0]], [*dimensions, dimensions[0]], begin, end)
        await transaction.rollback()

    expected = [
        one
        for dimension in dimensions
        for one in sorted(stored, key=lambda one: (one.camera, one.from_us))
        if one.camera in wanted and one.dimension == dimension and one.from_us < end and one.to_us > begin
    ]
    assert found == expected


@pytest.mark.parametrize(
    ("scope", "visible"), [(EVERYTHING, {201, 301}), (Scope(1), {201, 301}), (Scope(2), {201}), (Scope(9), set())]
)
async def test_nothing_outside_the_scope_is_read(settled: AsyncEngine, scope: Scope, visible: set[int]) -> None:
    """Every query leaves out what lies in another region, though its id is asked for."""
    await write(
        settled,
        segments=[Segment(camera, STREAM, 10, 20, UP) for camera in (201, 301)],
        standings=[stands(camera, STREAM, NOON) for camera in (201, 301)],
        observations=[(camera, "stream", 10, b"") for camera in (201, 301)],
    )
    async with settled.begin() as connection:
        for camera in (201, 301):
            await add(connection, camera=camera)
        ids = [201, 301]
        assert {one.camera for one in await segments(connection, scope, ids, [STREAM], 0, 99)} == visible
        assert {one.camera for one in await standings(connection, scope, ids)} == visible
        assert set(await maintenance_for(connection, scope, ids, 0, 99)) == visible
        assert {camera for camera in ids if await observations(connection, scope, camera, 9)} == visible


async def test_look_as_before_moves_every_dimension_of_its_camera(settled: AsyncEngine) -> None:
    """After a restart the last look is known, to the half second below, though no row was written for it."""
    await write(settled, standings=[stands(201, name, NOON) for name in (REACH, STREAM, PICTURE)])
    await write(settled, rounds=[looked(201, NOON + 300 * S + 700_000, Mark.AS_BEFORE, due_us=NOON + 300 * S)])

    assert await last_us(settled, 201) == dict.fromkeys((REACH, STREAM, PICTURE), NOON + 300 * S + 500_000)
    async with settled.connect() as connection:
        assert await standings(connection, EVERYTHING, [201]) == await load_standings(connection)


async def test_look_without_a_picture_moves_reach_and_stream_only(settled: AsyncEngine) -> None:
    """A camera that stays down is seen so again and again; its picture is not."""
    await write(settled, standings=[stands(201, name, NOON) for name in (REACH, STREAM, PICTURE, "fault.blur")])
    await write(settled, rounds=[looked(201, NOON + 5 * S, Mark.NO_PICTURE)])

    moved = NOON + 5 * S
    assert await last_us(settled, 201) == {REACH: moved, STREAM: moved, PICTURE: NOON, "fault.blur": NOON}


async def test_look_with_a_row_of_its_own_moves_nothing(settled: AsyncEngine) -> None:
    """What changed was written to the standings; a void look says nothing at all."""
    await write(settled, standings=[stands(201, STREAM, NOON)], rounds=[looked(201, NOON + 5 * S, Mark.OWN_ROW)])

    assert await last_us(settled, 201) == {STREAM: NOON}


async def test_row_that_is_newer_than_the_packed_looks_counts(settled: AsyncEngine) -> None:
    """An older look as before never moves a standing back."""
    await write(settled, rounds=[looked(201, NOON + 5 * S, Mark.AS_BEFORE)])
    await write(settled, standings=[stands(201, STREAM, NOON + 9 * S + 1)])

    assert await last_us(settled, 201) == {STREAM: NOON + 9 * S + 1}


async def test_last_looks_are_known_however_long_ago_and_by_whichever_vantage(settled: AsyncEngine) -> None:
    """Other cameras' rounds, of later hours and from elsewhere, do not push out a camera's own last look."""
    await write(settled, standings=[stands(camera, STREAM, NOON) for camera in (201, 202)])
    await write(settled, rounds=[looked(201, NOON + 5 * S, Mark.AS_BEFORE)])
    for hours in range(1, 60, 7):
        due_us = NOON + hours * HOUR_US
        await write(settled, rounds=[looked(202, due_us + S, Mark.AS_BEFORE, due_us=due_us)])
    await write(settled, rounds=[looked(202, NOON + 2 * S, Mark.AS_BEFORE, vantage="there")])

    assert await last_us(settled, 201) == {STREAM: NOON + 5 * S}
    assert await last_us(settled, 202) == {STREAM: NOON + 57 * HOUR_US + S}


async def test_looks_move_what_they_saw(settled: AsyncEngine) -> None:
    """Of three depths: all, reach and stream, reach alone; each to its own look."""
    await write(settled, standings=[stands(201, name, NOON) for name in (REACH, STREAM, PICTURE)])
    for after, mark in ((1, Mark.AS_BEFORE), (2, Mark.NO_PICTURE), (3, Mark.NO_STREAM)):
        await write(settled, rounds=[looked(201, NOON + after * S, mark, due_us=NOON + after * S)])

    assert await last_us(settled, 201) == {REACH: NOON + 3 * S, STREAM: NOON + 2 * S, PICTURE: NOON + S}


async def test_vantages_and_depths_have_rows_of_their_own(settled: AsyncEngine) -> None:
    """Two lookers that see the same camera in the same round do not overwrite each other."""
    one = looked(201, NOON + S, Mark.AS_BEFORE)
    await write(settled, rounds=[one, one._replace(vantage="there"), one._replace(depth=Depth.STREAM)])
    async with settled.connect() as connection:
        keys = (await connection.execute(select(round_hour.c.depth, round_hour.c.vantage))).all()

    assert sorted(tuple(key) for key in keys) == [("picture", "here"), ("picture", "there"), ("stream", "here")]


async def test_each_hour_of_a_village_is_one_row_with_all_its_looks(settled: AsyncEngine) -> None:
    """Parts of a round and rounds of an hour join; another hour is another row."""
    hour_us = NOON // HOUR_US * HOUR_US
    for camera, due_us in ((201, hour_us), (202, hour_us), (201, hour_us + 300 * S), (201, hour_us + HOUR_US)):
        await write(settled, rounds=[looked(camera, due_us + S, Mark.AS_BEFORE, due_us=due_us)])
    async with settled.connect() as connection:
        rows = (await connection.execute(select(round_hour.c.hour_us, round_hour.c.body))).all()

    assert {
        row.hour_us: [[one.camera for one in looks] for _, _, looks in PackedHour.decode(row.body)] for row in rows
    } == {
        hour_us: [[201, 202], [201]],
        hour_us + HOUR_US: [[201]],
    }


async def test_looks_that_find_their_hour_full_are_told_but_still_move(
    settled: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full hour loses a line of history, never a last look."""
    monkeypatch.setattr("streamwatch.store.rounds.MAX_ROUNDS", 1)
    await write(settled, standings=[stands(201, STREAM, NOON)])
    await write(settled, rounds=[looked(201, NOON + S, Mark.AS_BEFORE)])
    written = await write(settled, rounds=[looked(201, NOON + 9 * S, Mark.AS_BEFORE, due_us=NOON + 8 * S)])

    assert written == Written(unpacked=1)
    assert await last_us(settled, 201) == {STREAM: NOON + 9 * S}


async def test_newest_observations_come_first_over_all_depths(settled: AsyncEngine) -> None:
    """The newest of each depth, then the newest of those."""
    rows = [
        (201, depth, at, b"%d" % at) for depth, ats in (("stream", (1, 4, 6)), ("picture", (2, 3, 5))) for at in ats
    ]
    await write(settled, observations=[*rows, (202, "stream", 99, b"")])
    async with settled.connect() as connection:
        assert [one[1] for one in await observations(connection, EVERYTHING, 201, 4)] == [6, 5, 4, 3]
        assert [one[1] for one in await observations(connection, EVERYTHING, 201, 99)] == [6, 5, 4, 3, 2, 1]


async def add(connection: AsyncConnection, **changes: object) -> int:
    """Maintenance of [10, 20)."""
    row = {
        "camera": None,
        "village": None,
        "from_us": 10,
        "to_us": 20,
        "reason": "pole",
        "author": "a",
        "created_us": 1,
    }
    return await add_maintenance(connection, **{**row, **changes})  # type: ignore[arg-type]


async def test_maintenance_of_a_village_is_that_of_its_cameras(settled: AsyncEngine) -> None:
    """A camera has its own and its village's; only what touches the window."""
    async with settled.begin() as connection:
        assert await add(connection, camera=201) != await add(connection, village=20, from_us=15, to_us=30)
        await add(connection, village=30, from_us=100, to_us=200)
        found = await maintenance_for(connection, EVERYTHING, [201, 202, 301], 0, 100)
        assert {camera: sorted(spans) for camera, spans in found.items()} == {
            201: [Interval(10, 20), Interval(15, 30)],
            202: [Interval(15, 30)],
        }
        assert await maintenance_for(connection, EVERYTHING, [201], 20, 30) == {201: [Interval(15, 30)]}
        assert await maintenance_for(connection, EVERYTHING, [201], 30, 99) == {}


async def test_maintenance_that_makes_no_sense_is_refused(settled: AsyncEngine) -> None:
    """Neither or both of camera and village, a window without length, and whatever the scope does not have."""
    async with settled.begin() as connection:
        for wrong in ({}, {"camera": 201, "village": 20}, {"camera": 201, "to_us": 10}):
            with pytest.raises(UsageError):
                await add(connection, **wrong)
        for foreign in ({"camera": 301}, {"village": 30}, {"camera": 999}):
            with pytest.raises(NotFoundError):
                await add(connection, **foreign, scope=Scope(2))
        assert await maintenance_for(connection, EVERYTHING, [201, 301], 0, 99) == {}


async def move(engine: AsyncEngine, number: int, from_: int, to: int, at_us: int) -> None:
    """A camera goes to another village."""
    async with engine.begin() as connection:
        await note_moves(connection, [Move(number, from_, at_us)])
        await connection.execute(update(camera_table).where(camera_table.c.id == number).values(village=to))


async def test_last_look_of_a_moved_camera_is_found_where_it_was(settled: AsyncEngine) -> None:
    """A look that changed nothing lies with the village that it was made for; the camera has left it since."""
    await write(settled, standings=[stands(201, STREAM, NOON)])
    await write(settled, rounds=[looked(201, NOON + 5 * S, Mark.AS_BEFORE)])
    await move(settled, 201, 20, 30, NOON + 6 * S)
    for scope in (EVERYTHING, Scope(3), Scope(2)):  # the county that it left keeps its figures
        async with settled.connect() as connection:
            assert [one.last_us for one in await standings(connection, scope, [201])] == [NOON + 5 * S]
    assert await last_us(settled, 201) == {STREAM: NOON + 5 * S}

    # The round of the village that it left was still under way: the latest of both rows counts.
    await write(settled, rounds=[looked(201, NOON + 7 * S, Mark.AS_BEFORE, due_us=NOON + 7 * S)])
    there = looked(201, NOON + 9 * S, Mark.AS_BEFORE)._replace(village=30)
    await write(settled, rounds=[there])
    async with settled.connect() as connection:
        assert [one.last_us for one in await standings(connection, EVERYTHING, [201])] == [NOON + 9 * S]
    assert await last_us(settled, 201) == {STREAM: NOON + 9 * S}


async def test_maintenance_of_a_village_covers_who_was_there_meanwhile(settled: AsyncEngine) -> None:
    """It begins with a camera's arrival and ends with its departure; the camera's own goes with it."""
    async with settled.begin() as connection:
        await add(connection, village=20, from_us=10, to_us=50)
        await add(connection, village=30, from_us=30, to_us=60)
        await add(connection, camera=201, from_us=70, to_us=80)
    await move(settled, 201, 20, 30, 40)
    async with settled.connect() as connection:
        found = await maintenance_for(connection, EVERYTHING, [201, 202, 301], 0, 99)
        late = await maintenance_for(connection, EVERYTHING, [201], 45, 99)

    assert {camera: sorted(one) for camera, one in found.items()} == {
        201: [Interval(10, 40), Interval(40, 60), Interval(70, 80)],
        202: [Interval(10, 50)],
        301: [Interval(30, 60)],
    }
    assert sorted(late[201]) == [Interval(40, 60), Interval(70, 80)]


PARAMETERS = {
    "cameras": [1, 2], "camera": 1, "dimension": STREAM, "from_us": 1, "to_us": 9, "most": 5, "depth": "stream",
    "started_us": 1, "villages": [1, 2], "vantage": "here", "hour_us": 0,
}  # fmt: skip
SCOPE = Scope(1)
QUERIES = {
    "segments": (
        timeline.SEGMENTS.where(visited(SCOPE)),
        [
            "SEARCH segment USING PRIMARY KEY (camera=? AND dimension=? AND from_us>? AND from_us<?)",
            "SEARCH earlier USING PRIMARY KEY (camera=? AND dimension=? AND from_us<?)",
        ],
    ),
    "standings": (timeline.STANDINGS.where(visited(SCOPE)), ["SEARCH standing USING PRIMARY KEY (camera=?)"]),
    "last seen": (timeline.LAST_SEEN_OF, ["SEARCH last_seen USING PRIMARY KEY (village=?)"]),
    "observations": (
        timeline.OBSERVATIONS.where(within(SCOPE)),
        ["SEARCH observation USING PRIMARY KEY (camera=? AND depth=?)"],
    ),
    "one observation": (
        batch_module.OBSERVATION_BODY,
        ["SEARCH observation USING PRIMARY KEY (camera=? AND depth=? AND started_us=?)"],
    ),
    "maintenance": (
        timeline.maintenance_of(SCOPE),
        [
            "SEARCH maintenance USING INDEX ix_maintenance_camera (camera=?)",
            "SEARCH maintenance USING INDEX ix_maintenance_village (village=?)",
            "SEARCH maintenance USING INDEX ix_maintenance_village (village=?)",
        ],
    ),
    "hours": (
        batch_module.HOUR_BODIES,
        ["SEARCH round_hour USING PRIMARY KEY (village=? AND depth=? AND vantage=? AND hour_us=?)"],
    ),
    "last seen of a round": (
        batch_module.LAST_SEEN_BODIES,
        ["SEARCH last_seen USING PRIMARY KEY (village=? AND depth=? AND vantage=?)"],
    ),
}
LARGE = ("segment", "earlier", "observation", "round_hour", "last_seen", "standing", "camera", "village", "maintenance")
LARGE += ("camera_stay", "stayed", "stayed_in")


@pytest.mark.parametrize("name", QUERIES)
async def test_query_plans(settled: AsyncEngine, name: str) -> None:
    """No named query reads a large table from end to end, and each finds its rows by the key meant for it."""
    query, searches = QUERIES[name]
    sent: list[tuple[str, object]] = []

    def note(_conn: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        sent.append((statement, parameters))

    async with settled.connect() as connection:
        event.listen(settled.sync_engine, "before_cursor_execute", note)
        await connection.execute(query, PARAMETERS)
        event.remove(settled.sync_engine, "before_cursor_execute", note)
        statement, parameters = next(one for one in sent if one[0].startswith("SELECT") or one[0].startswith("WITH"))
        rows = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)  # type: ignore[arg-type]
        plan = [row[3] for row in rows]

    assert not [line for line in plan if line.startswith("SCAN") and line.split()[1] in LARGE]
    assert [line for line in plan if line.startswith("SEARCH") and line in searches] == searches
