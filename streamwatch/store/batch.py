"""Stage 9: what one commit writes. Everything in it is keyed: writing it twice changes nothing.

The caller gives the transaction (`async with writer.begin() as conn`); when that returns, all of it is on disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
from sqlalchemy import TextClause, and_, bindparam, select, text
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
HOUR_BODY: Final = select(round_hour.c.body).where(
    and_(
        round_hour.c.village == bindparam("village"),
        round_hour.c.depth == bindparam("depth"),
        round_hour.c.vantage == bindparam("vantage"),
        round_hour.c.hour_us == bindparam("hour_us"),
    )
)
LAST_SEEN_BODY: Final = select(last_seen.c.body).where(
    and_(
        last_seen.c.village == bindparam("village"),
        last_seen.c.depth == bindparam("depth"),
        last_seen.c.vantage == bindparam("vantage"),
    )
)
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
    """Adds looks to the packed hours of their groups; tells how many found no room."""
    unpacked = 0
    hours: list[dict[str, Any]] = []
    lasts: list[dict[str, Any]] = []
    for group, rounds in _grouped(looks):
        key = {"village": group[0], "depth": group[1], "vantage": group[2]}
        last = await _packed(conn, LAST_SEEN_BODY, key)
        fresh = PackedHour()
        for hour_us, members in groupby(rounds, key=lambda one: one[0] // HOUR_US * HOUR_US):
            row = {**key, "hour_us": hour_us}
            packed = await _packed(conn, HOUR_BODY, row)
            for due_us, attempt, seen in members:
                if not packed.add(due_us, attempt, seen):
                    unpacked += len(seen)
                fresh.add(due_us, attempt, seen)
            hours.append({**row, "body": packed.encode()})
        lasts.append({**key, "body": last.last(fresh).encode()})
    await _execute(conn, _ROUND_HOURS, hours)
    await _execute(conn, _LAST_SEEN, lasts)
    return unpacked


def _grouped(looks: Sequence[RoundLook]) -> Iterator[tuple[tuple[int, str, str], list[tuple[int, int, list[Seen]]]]]:
    """Looks by (village, depth, vantage), then by (due, attempt), all in order."""

    def group(look: RoundLook) -> tuple[int, str, str]:
        return (look.village, look.depth.value, look.vantage)

    def round_key(look: RoundLook) -> tuple[int, int]:
        return (look.due_us, look.attempt)

    for key, members in groupby(sorted(looks, key=lambda one: (*group(one), *round_key(one))), key=group):
        rounds = [
            (*due, [Seen(one.camera, one.started_us, one.keyframe_ms, Mark(one.mark)) for one in seen])
            for due, seen in groupby(members, key=round_key)
        ]
        yield key, rounds


async def _packed(conn: AsyncConnection, statement: Any, key: dict[str, Any]) -> PackedHour:
    body = (await conn.execute(statement, key)).scalar_one_or_none()
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
