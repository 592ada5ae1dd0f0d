"""Where a camera was: a move leaves a stay behind, and the stays divide all time."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from streamwatch.store.stays import EVER, Move, Stay, note_moves, past_stays, time_in, whereabouts
from streamwatch.store.tables import camera, camera_stay
from streamwatch.uptime import Interval


async def noted(engine: AsyncEngine, *moves: Move) -> list[tuple[int, int, int, int]]:
    """All rows after those moves: camera, from, to, village."""
    async with engine.begin() as conn:
        await note_moves(conn, moves)
        rows = await conn.execute(select(camera_stay).order_by(camera_stay.c.camera, camera_stay.c.from_us))
        return [tuple(row) for row in rows]


async def test_first_stay_begins_with_the_service_and_the_next_where_it_ended(settled: AsyncEngine) -> None:
    """There and back and there again: each stay follows the one before, in its own village."""
    async with settled.begin() as conn:
        await conn.execute(update(camera).where(camera.c.id == 201).values(installed_us=50))

    assert await noted(settled, Move(201, 20, 100), Move(202, 20, 100)) == [(201, 50, 100, 20), (202, 0, 100, 20)]
    assert await noted(settled, Move(201, 30, 130)) == [(201, 50, 100, 20), (201, 100, 130, 30), (202, 0, 100, 20)]
    assert (await noted(settled, Move(201, 20, 140)))[:3] == [
        (201, 50, 100, 20),
        (201, 100, 130, 30),
        (201, 130, 140, 20),
    ]


async def test_stay_without_length_is_not_written(settled: AsyncEngine) -> None:
    """Moved in the moment of its installation, or twice at one instant: nothing stayed behind."""
    assert await noted(settled, Move(201, 20, 0)) == []
    assert await noted(settled, Move(201, 20, 9), Move(201, 30, 9)) == [(201, 0, 9, 20)]
    assert await noted(settled, Move(201, 30, 5)) == [(201, 0, 9, 20)]


async def test_stays_divide_all_time(settled: AsyncEngine) -> None:
    """What lies before the first row, or between two, belongs to the stay that follows: nothing is lost or doubled."""
    await noted(settled, Move(201, 20, 100), Move(201, 30, 130))
    async with settled.connect() as conn:
        assert await past_stays(conn) == await past_stays(conn, [201, 202]) == {201: [Stay(100, 20), Stay(130, 30)]}
        assert await past_stays(conn, [202]) == {}

    places = whereabouts([Stay(100, 20), Stay(130, 30), Stay(130, 40)], 20)
    assert places == [
        (20, Interval(EVER.from_us, 100)),
        (30, Interval(100, 130)),
        (20, Interval(130, EVER.to_us)),
    ]
    assert time_in(places, {20}) == [Interval(EVER.from_us, 100), Interval(130, EVER.to_us)]
    assert time_in(places, {20, 30}) == [EVER]
    assert time_in(places, {40}) == []
