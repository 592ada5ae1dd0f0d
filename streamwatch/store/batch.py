"""Stage 9: what one commit writes. Everything in it is keyed: writing it twice changes nothing.

The caller gives the transaction (`async with writer.begin() as conn`); when that returns, all of it is on disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
from sqlalchemy import BindParameter, Select, TextClause, and_, bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from streamwatch.model.look import Depth
from streamwatch.model.standing import Standing
from streamwatch.model.timeline import Segment
from streamwatch.store.rounds import HOUR_US, Mark, PackedHour, Seen
from streamwatch.store.tables import last_seen, observation, round_hour

MAX_ROWS: Final = 1_000  # a statement: 8,400 rows stall the loop for 40 ms

Observed: TypeAlias = tuple[int, str, int, bytes]  # camera, depth, started_us, msgpack of Look


class RoundLook(NamedTuple):
    """One look's place in its round. `mark` as in `rounds.Mark`: what recovery may conclude from it."""

    village: int
    depth: Depth
    vantage: str
    due_us: int
    attempt: int
    camera: int
    started_us: int
    keyframe_ms: float | None
    mark: int
    span_us: int = HOUR_US  # how long the row is that holds it: `rounds.span_us` of its camera's interval


@dataclass(frozen=True, slots=True)
class Batch:
    """What a group of reports came to. `learned_us` is when we knew it, for segments and observations."""

    learned_us: int
    segments: Sequence[Segment] = ()
    standings: Sequence[Standing] = ()
    observations: Sequence[Observed] = ()
    rounds: Sequence[RoundLook] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """What was already there, or had no room.

    `repeated`: observations of a known key, of which `conflicts` had another content; the first one stays.
    `unpacked`: looks that found their hour full; what they showed is booked all the same.
    """

    repeated: int = 0
    conflicts: int = 0
    unpacked: int = 0


_SEGMENTS: Final = text(
    "INSERT INTO segment (camera, dimension, from_us, to_us, state, reason, blame, origin, learned_us) "
    "VALUES (:camera, :dimension, :from_us, :to_us, :state, :reason, :blame, :origin, :learned_us) "
    "ON CONFLICT (camera, dimension, from_us) DO NOTHING"
)
_STANDINGS: Final = text(
    "INSERT INTO standing (camera, dimension, state, reason, blame, since_us, last_us, pending) "
    "VALUES (:camera, :dimension, :state, :reason, :blame, :since_us, :last_us, :pending) "
    "ON CONFLICT (camera, dimension) DO UPDATE SET state = excluded.state, reason = excluded.reason, "
    "blame = excluded.blame, since_us = excluded.since_us, last_us = excluded.last_us, pending = excluded.pending"
)
_OBSERVATIONS: Final = text(
    "INSERT INTO observation (camera, depth, started_us, body, learned_us) "
    "VALUES (:camera, :depth, :started_us, :body, :learned_us) ON CONFLICT (camera, depth, started_us) DO NOTHING"
)
_ROUND_HOURS: Final = text(
    "INSERT INTO round_hour (village, depth, vantage, hour_us, body) "
    "VALUES (:village, :depth, :vantage, :hour_us, :body) "
    "ON CONFLICT (village, depth, vantage, hour_us) DO UPDATE SET body = excluded.body"
)
_LAST_SEEN: Final = text(
    "INSERT INTO last_seen (village, depth, vantage, body) VALUES (:village, :depth, :vantage, :body) "
    "ON CONFLICT (village, depth, vantage) DO UPDATE SET body = excluded.body"
)
OBSERVATION_BODY: Final = select(observation.c.body).where(
    and_(
        observation.c.camera == bindparam("camera"),
        observation.c.depth == bindparam("depth"),
        observation.c.started_us == bindparam("started_us"),
    )
)
_villages: Final[BindParameter[Any]] = bindparam("villages", expanding=True)
HOUR_BODIES: Final = select(round_hour.c.village, round_hour.c.body).where(
    and_(
        round_hour.c.village.in_(_villages),
        round_hour.c.depth == bindparam("depth"),
        round_hour.c.vantage == bindparam("vantage"),
        round_hour.c.hour_us == bindparam("hour_us"),
    )
)
LAST_SEEN_BODIES: Final = select(last_seen.c.village, last_seen.c.body).where(
    and_(
        last_seen.c.village.in_(_villages),
        last_seen.c.depth == bindparam("depth"),
        last_seen.c.vantage == bindparam("vantage"),
    )
)
_BY_ROUND: Final = itemgetter(0, 1, 2, 3, 4, 9)  # village, depth, vantage, due_us, attempt, span_us
_MARKS: Final = {mark.value: mark for mark in Mark}  # a look-up costs a fifth of Mark(value)
_Round: TypeAlias = tuple[int, int, list[Seen]]  # due_us, attempt, looks
_encode = msgspec.msgpack.Encoder().encode


async def write_batch(conn: AsyncConnection, batch: Batch) -> Written:
    """Writes all of `batch` in the caller's transaction."""
    await _execute(conn, _SEGMENTS, [_segment_row(segment, batch.learned_us) for segment in batch.segments])
    await _execute(conn, _STANDINGS, [_standing_row(standing) for standing in batch.standings])
    rows = [
        {"camera": camera, "depth": str(depth), "started_us": started_us, "body": body, "learned_us": batch.learned_us}
        for camera, depth, started_us, body in batch.observations
    ]
    repeated = len(rows) - await _execute(conn, _OBSERVATIONS, rows)
    conflicts = await _conflicts(conn, rows) if repeated else 0
    return Written(repeated, conflicts, await _write_rounds(conn, batch.rounds))


async def _execute(conn: AsyncConnection, statement: TextClause, rows: list[dict[str, Any]]) -> int:
    """Runs one statement for all rows, at most MAX_ROWS at a time, and tells how many rows it changed."""
    changed = 0
    for at in range(0, len(rows), MAX_ROWS):
        result = await conn.execute(statement, rows[at : at + MAX_ROWS], execution_options={"preserve_rowcount": True})
        changed += result.rowcount
    return changed


async def _conflicts(conn: AsyncConnection, rows: list[dict[str, Any]]) -> int:
    """How many rows have a key that is stored with another content."""
    found = 0
    for row in rows:
        stored = (await conn.execute(OBSERVATION_BODY, row)).scalar_one()
        found += stored != row["body"]
    return found


async def _write_rounds(conn: AsyncConnection, looks: Sequence[RoundLook]) -> int:
    """Adds looks to the packed rows of their villages; tells how many found no room.

    Villages that share depth, vantage and hour are read in one statement: a statement costs more than a row.
    """
    unpacked = 0
    hours: list[dict[str, Any]] = []
    lasts: list[dict[str, Any]] = []
    by_hour: dict[tuple[str, str, int], dict[int, list[_Round]]] = {}
    by_last: dict[tuple[str, str], dict[int, list[_Round]]] = {}
    for (village, depth, vantage, due_us, attempt, span_us), some in groupby(sorted(looks, key=_BY_ROUND), _BY_ROUND):
        seen = [Seen(one.camera, one.started_us, one.keyframe_ms, _MARKS[one.mark]) for one in some]
        row, last = (depth.value, vantage, due_us // span_us * span_us), (depth.value, vantage)
        by_hour.setdefault(row, {}).setdefault(village, []).append((due_us, attempt, seen))
        by_last.setdefault(last, {}).setdefault(village, []).append((due_us, attempt, seen))
    for (depth, vantage, hour_us), members in by_hour.items():
        key = {"depth": depth, "vantage": vantage, "hour_us": hour_us}
        bodies = await _bodies(conn, HOUR_BODIES, key, members)
        for village, mine in members.items():
            packed = _unpacked(bodies, village)
            unpacked += sum(len(seen) for due_us, attempt, seen in mine if not packed.add(due_us, attempt, seen))
            hours.append({**key, "village": village, "body": packed.encode()})
    for (depth, vantage), members in by_last.items():
        key = {"depth": depth, "vantage": vantage}
        bodies = await _bodies(conn, LAST_SEEN_BODIES, key, members)
        for village, mine in members.items():
            fresh = PackedHour()
            for due_us, attempt, seen in mine:
                fresh.add(due_us, attempt, seen)
            lasts.append({**key, "village": village, "body": _unpacked(bodies, village).last(fresh).encode()})
    await _execute(conn, _ROUND_HOURS, hours)
    await _execute(conn, _LAST_SEEN, lasts)
    return unpacked


async def _bodies(
    conn: AsyncConnection, statement: Select[Any], key: dict[str, Any], villages: Iterable[int]
) -> dict[int, bytes]:
    """The packed rows of those villages that there are."""
    found: dict[int, bytes] = {}
    wanted = [*villages]
    for at in range(0, len(wanted), MAX_ROWS):
        rows = await conn.execute(statement, {**key, "villages": wanted[at : at + MAX_ROWS]})
        found.update((village, body) for village, body in rows)
    return found


def _unpacked(bodies: Mapping[int, bytes], village: int) -> PackedHour:
    body = bodies.get(village)
    return PackedHour() if body is None else PackedHour.decode(body)


def _segment_row(segment: Segment, learned_us: int) -> dict[str, Any]:
    return {
        "camera": segment.camera,
        "dimension": segment.dimension,
        "from_us": segment.from_us,
        "to_us": segment.to_us,
        "state": segment.state.value,
        "reason": None if segment.reason is None else str(segment.reason),
        "blame": None if segment.blame is None else segment.blame.value,
        "origin": segment.origin.value,
        "learned_us": learned_us,
    }


def _standing_row(standing: Standing) -> dict[str, Any]:
    return {
        "camera": standing.camera,
        "dimension": standing.dimension,
        "state": standing.state.value,
        "reason": None if standing.reason is None else str(standing.reason),
        "blame": None if standing.blame is None else standing.blame.value,
        "since_us": standing.since_us,
        "last_us": standing.last_us,
        "pending": None if standing.pending is None else _encode(standing.pending),
    }
