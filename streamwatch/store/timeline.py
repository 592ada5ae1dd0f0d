"""Stage 9: named queries on segments, standings, observations and approved maintenance.

A standing's row is written when the standing changes; looks that only saw it again are in the packed rounds. Its
`last_us` is therefore recovered as the latest of its own row and of the looks of `last_seen` that moved it: those
marked AS_BEFORE move every dimension of their camera, those marked NO_PICTURE reach and stream, NO_STREAM reach. Their
beginnings are kept to the half second and rounded down: what is recovered is never later than the truth.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import BindParameter, CompoundSelect, Row, bindparam, func, insert, select, union, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from streamwatch.errors import Blame, NotFoundError, UsageError
from streamwatch.model.look import Depth, State
from streamwatch.model.scope import EVERYTHING, Scope
from streamwatch.model.standing import REACH, STREAM, Pending, Standing
from streamwatch.model.timeline import Origin, Segment
from streamwatch.store import tables
from streamwatch.store.batch import Batch, RoundLook, Written, write_batch
from streamwatch.store.rounds import Mark, PackedHour
from streamwatch.store.scoped import visited, within
from streamwatch.store.stays import past_stays, time_in, whereabouts
from streamwatch.store.tables import (
    camera,
    camera_stay,
    last_seen,
    maintenance,
    observation,
    segment,
    standing,
    village,
)
from streamwatch.uptime import Interval
from streamwatch.uptime import within as part_within

__all__ = [
    "Batch",
    "RoundLook",
    "Written",
    "add_maintenance",
    "load_standings",
    "maintenance_for",
    "observations",
    "segments",
    "standings",
    "write_batch",
]

MAX_CAMERAS: Final = 1_000  # a statement

_STATES: Final = {state.value: state for state in State}
_BLAMES: Final = {blame.value: blame for blame in Blame}
_pending_decoder = msgspec.msgpack.Decoder(Pending)

# Segments of one camera and dimension are disjoint. So the first that touches a window is the last that begins at or
# before it: the primary key alone finds it, however long the history is, and no second index has to be written. `+ 0`
# makes the planner take each camera first and then its segments between two bounds; else it reads from the beginning.
_earlier = segment.alias("earlier")
_first_us = (
    select(func.max(_earlier.c.from_us))
    .where(
        _earlier.c.camera == camera.c.id,
        _earlier.c.dimension == bindparam("dimension"),
        _earlier.c.from_us <= bindparam("from_us"),
    )
    .correlate(camera)
    .scalar_subquery()
)
SEGMENTS: Final = (
    select(segment)
    .select_from(camera)
    .join(village, village.c.id == camera.c.village)
    .join(segment, segment.c.camera == camera.c.id + 0)
    .where(
        camera.c.id.in_(bindparam("cameras", expanding=True)),
        segment.c.dimension == bindparam("dimension"),
        segment.c.from_us >= func.coalesce(_first_us, bindparam("from_us")),
        segment.c.from_us < bindparam("to_us"),
        segment.c.to_us > bindparam("from_us"),
    )
    .order_by(segment.c.camera, segment.c.from_us)
)
STANDINGS: Final = (
    select(standing)
    .join(camera, camera.c.id == standing.c.camera)
    .join(village, village.c.id == camera.c.village)
    .where(standing.c.camera.in_(bindparam("cameras", expanding=True)))
    .order_by(standing.c.camera, standing.c.dimension)
)
OBSERVATIONS: Final = (
    select(observation.c.depth, observation.c.started_us, observation.c.body)
    .join(camera, camera.c.id == observation.c.camera)
    .join(village, village.c.id == camera.c.village)
    .where(observation.c.camera == bindparam("camera"), observation.c.depth == bindparam("depth"))
    .order_by(observation.c.started_us.desc())
    .limit(bindparam("most"))
)
EVERY_STANDING: Final = select(standing).order_by(standing.c.camera, standing.c.dimension)
LAST_SEEN: Final = select(last_seen.c.body)
_wanted: Final[BindParameter[Any]] = bindparam("cameras", expanding=True)
LAST_SEEN_OF: Final = LAST_SEEN.where(  # the last look at a camera that was moved may lie with the village it left
    last_seen.c.village.in_(
        union(
            select(camera.c.village).where(camera.c.id.in_(_wanted)),
            select(camera_stay.c.village).where(camera_stay.c.camera.in_(_wanted)),
        )
    )
)


def maintenance_of(scope: Scope) -> CompoundSelect[Any]:
    """Maintenance of cameras that touches a window: the cameras' own, and that of every village they are or were in.

    Of each: camera, its village now, the village that it is of (NULL: the camera's own), from, to.
    """
    shared = (
        camera.c.id.in_(bindparam("cameras", expanding=True)),
        maintenance.c.to_us > bindparam("from_us"),
        maintenance.c.from_us < bindparam("to_us"),
        visited(scope),
    )
    found = (
        select(
            camera.c.id,
            camera.c.village.label("now_in"),
            maintenance.c.village.label("of"),
            maintenance.c.from_us,
            maintenance.c.to_us,
        )
        .select_from(camera)
        .join(village, village.c.id == camera.c.village)
    )
    stayed = found.join(camera_stay, camera_stay.c.camera == camera.c.id)
    return union_all(
        found.join(maintenance, maintenance.c.camera == camera.c.id).where(*shared),
        found.join(maintenance, maintenance.c.village == camera.c.village).where(*shared),
        stayed.join(maintenance, maintenance.c.village == camera_stay.c.village).where(*shared),
    )


async def segments(
    conn: AsyncConnection,
    scope: Scope,
    camera_ids: Collection[int],
    dimensions: Collection[str],
    from_us: int,
    to_us: int,
) -> list[Segment]:
    """Closed segments of those cameras and dimensions that touch [from_us, to_us), whole.

    They come dimension by dimension, and in order within each camera.
    """
    query = SEGMENTS.where(visited(scope))
    found: list[Segment] = []
    for dimension in dict.fromkeys(dimensions):
        for ids in _chunks(camera_ids):
            wanted = {"cameras": ids, "dimension": dimension, "from_us": from_us, "to_us": to_us}
            found.extend(_segment(row) for row in await conn.execute(query, wanted))
    return found


async def standings(conn: AsyncConnection, scope: Scope, camera_ids: Collection[int]) -> list[Standing]:
    """Where those cameras stand, as the latest commit knows it, in order of camera and dimension."""
    query = STANDINGS.where(visited(scope))
    found: list[Standing] = []
    for ids in _chunks(camera_ids):
        rows = await conn.execute(query, {"cameras": ids})
        found.extend(_recovered(rows, (await conn.execute(LAST_SEEN_OF, {"cameras": ids})).scalars()))
    return found


async def load_standings(conn: AsyncConnection) -> list[Standing]:
    """Where everything stands, for the service when it starts."""
    rows = await conn.execute(EVERY_STANDING)
    return list(_recovered(rows, (await conn.execute(LAST_SEEN)).scalars()))


async def observations(conn: AsyncConnection, scope: Scope, camera_id: int, limit: int) -> list[tuple[str, int, bytes]]:
    """The newest looks of a camera that were not as before: depth, start, msgpack of Look; the newest first."""
    query = OBSERVATIONS.where(within(scope))
    found: list[tuple[str, int, bytes]] = []
    for depth in Depth:  # the key has the depth before the time: the newest of each, then the newest of those
        rows = await conn.execute(query, {"camera": camera_id, "depth": depth.value, "most": limit})
        found.extend((row.depth, row.started_us, row.body) for row in rows)
    return sorted(found, key=lambda one: one[1], reverse=True)[:limit]


async def maintenance_for(
    conn: AsyncConnection, scope: Scope, camera_ids: Collection[int], from_us: int, to_us: int
) -> dict[int, list[Interval]]:
    """Approved maintenance that touches [from_us, to_us), by camera, its village's included; may overlap.

    A village's is only as long as the camera was there.
    """
    query = maintenance_of(scope)
    window = Interval(from_us, to_us)
    found: dict[int, list[Interval]] = {}
    for ids in _chunks(camera_ids):
        rows = (await conn.execute(query, {"cameras": ids, "from_us": from_us, "to_us": to_us})).all()
        stays = await past_stays(conn, {row.id for row in rows if row.of is not None}) if rows else {}
        for row in rows:
            approved = [Interval(row.from_us, row.to_us)]
            if row.of is not None and row.id in stays:
                there = time_in(whereabouts(stays[row.id], row.now_in), (row.of,))
                approved = [part for part in part_within(there, approved[0]) if part_within([part], window)]
            if approved:
                found.setdefault(row.id, []).extend(approved)
    return found


async def add_maintenance(
    conn: AsyncConnection,
    *,
    camera: int | None,
    village: int | None,
    from_us: int,
    to_us: int,
    reason: str,
    author: str,
    created_us: int,
    scope: Scope = EVERYTHING,
) -> int:
    """Books approved maintenance of one camera or one village, by id, and gives its own id.

    `scope` is everything for the service, whose callers were checked before. Raises UsageError for a window without
    length, or where not exactly one of the two is named; NotFoundError where the scope has no such object.
    """
    if (camera is None) == (village is None):
        raise UsageError("maintenance is of one camera or of one village: name exactly one of them")
    if to_us <= from_us:
        raise UsageError("maintenance must end after it begins: to is not after from")
    visible = select(tables.village.c.id).where(within(scope))
    if village is not None:
        visible = visible.where(tables.village.c.id == village)
    else:
        visible = visible.join(tables.camera, tables.camera.c.village == tables.village.c.id)
        visible = visible.where(tables.camera.c.id == camera)
    if (await conn.execute(visible)).first() is None:
        raise NotFoundError(f"there is no {'camera' if village is None else 'village'} {camera or village}")
    row = {
        "camera": camera,
        "village": village,
        "from_us": from_us,
        "to_us": to_us,
        "reason": reason,
        "author": author,
        "created_us": created_us,
    }
    return int((await conn.execute(insert(maintenance).values(row).returning(maintenance.c.id))).scalar_one())


def _recovered(rows: Iterable[Sequence[Any]], bodies: Iterable[bytes]) -> Iterator[Standing]:
    """Standings with the `last_us` that their rows and the packed last looks give together."""
    moved: dict[Mark, dict[int, int]] = {mark: {} for mark in Mark}
    for body in bodies:
        for _due_us, _attempt, looks in PackedHour.decode(body):
            for look in looks:
                by_camera = moved[look.mark]
                by_camera[look.camera] = max(look.started_us, by_camera.get(look.camera, 0))
    all_us, stream_us, reach_us = moved[Mark.AS_BEFORE], moved[Mark.NO_PICTURE], moved[Mark.NO_STREAM]
    for number, dimension, state, reason, blame, since_us, last_us, pending in rows:
        seen_us = max(last_us, all_us.get(number, 0))
        if dimension in (REACH, STREAM):
            seen_us = max(seen_us, stream_us.get(number, 0))
        if dimension == REACH:
            seen_us = max(seen_us, reach_us.get(number, 0))
        yield Standing(
            number,
            dimension,
            _STATES[state],
            reason,
            None if blame is None else _BLAMES[blame],
            since_us,
            seen_us,
            None if pending is None else _pending_decoder.decode(pending),
        )


def _segment(row: Row[Any]) -> Segment:
    return Segment(
        row.camera,
        row.dimension,
        row.from_us,
        row.to_us,
        State(row.state),
        row.reason,
        None if row.blame is None else Blame(row.blame),
        Origin(row.origin),
    )


def _chunks(ids: Collection[int]) -> Iterator[list[int]]:
    """The ids in order and once, at most MAX_CAMERAS at a time."""
    ordered = sorted(set(ids))
    for at in range(0, len(ordered), MAX_CAMERAS):
        yield ordered[at : at + MAX_CAMERAS]
