"""Stage 1's rows: which village a camera was in, and when. A camera that is moved leaves its history where it was.

Only past stays have rows. They divide all time: a camera was in the village of its first stay that ends later than the
instant asked about, and in `camera.village` after the last of them. So no instant is counted twice or lost, also where
a day of installation was corrected afterwards; `from_us` is the key and tells people where a stay began.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Sequence
from typing import Final, NamedTuple

from sqlalchemy import bindparam, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from streamwatch.store.tables import camera, camera_stay
from streamwatch.uptime import Interval, merged

MAX_ROWS: Final = 1_000  # a statement: about 10 ms of the loop
EVER: Final = Interval(-(2**62), 2**62)  # all time: 73,000 years both ways


class Move(NamedTuple):
    """A camera that leaves `village`, the old one, at that instant."""

    camera: int
    village: int
    at_us: int


class Stay(NamedTuple):
    """A past stay as it is read: where the camera was until `to_us`, from the end of the stay before."""

    to_us: int
    village: int


Whereabouts = Sequence[tuple[int, Interval]]  # village and when, in order; together all time

_BEGINNINGS: Final = (
    select(camera.c.id, camera.c.installed_us, func.max(camera_stay.c.to_us))
    .outerjoin(camera_stay, camera_stay.c.camera == camera.c.id)
    .where(camera.c.id.in_(bindparam("cameras", expanding=True)))
    .group_by(camera.c.id, camera.c.installed_us)
)
STAYS_OF: Final = (
    select(camera_stay.c.camera, camera_stay.c.to_us, camera_stay.c.village)
    .where(camera_stay.c.camera.in_(bindparam("cameras", expanding=True)))
    .order_by(camera_stay.c.camera, camera_stay.c.from_us)
)
_EVERY_STAY: Final = select(camera_stay.c.camera, camera_stay.c.to_us, camera_stay.c.village).order_by(
    camera_stay.c.camera, camera_stay.c.from_us
)


async def note_moves(conn: AsyncConnection, moves: Iterable[Move]) -> None:
    """Writes the stay that each move ends, in the caller's transaction, before or after the camera's own row changes.

    A stay begins where the one before ended, the first one where the camera's service began; one without length is not
    written.
    """
    ordered = sorted(moves, key=lambda move: (move.at_us, move.camera))
    begins: dict[int, int] = {}
    numbers = sorted({move.camera for move in ordered})
    for at in range(0, len(numbers), MAX_ROWS):
        for number, installed_us, ended_us in await conn.execute(_BEGINNINGS, {"cameras": numbers[at : at + MAX_ROWS]}):
            begins[number] = installed_us if ended_us is None else max(installed_us, ended_us)
    rows: list[dict[str, int]] = []
    for move in ordered:
        from_us = begins[move.camera]
        if from_us < move.at_us:
            rows.append({"camera": move.camera, "from_us": from_us, "to_us": move.at_us, "village": move.village})
            begins[move.camera] = move.at_us
    for at in range(0, len(rows), MAX_ROWS):
        await conn.execute(insert(camera_stay), rows[at : at + MAX_ROWS])


async def past_stays(conn: AsyncConnection, camera_ids: Collection[int] | None = None) -> dict[int, list[Stay]]:
    """The past stays of those cameras (at most MAX_ROWS), or of all there are, in order; a camera never moved has none.

    Takes no scope: the caller has one for the cameras that it asks about.
    """
    if camera_ids is None:
        rows = await conn.execute(_EVERY_STAY)
    else:
        rows = await conn.execute(STAYS_OF, {"cameras": list(camera_ids)})
    found: dict[int, list[Stay]] = {}
    for number, to_us, village in rows:
        found.setdefault(number, []).append(Stay(to_us, village))
    return found


def whereabouts(stays: Iterable[Stay], village: int) -> Whereabouts:
    """Where a camera was at any time: its past stays, in order, and then `village`."""
    found: list[tuple[int, Interval]] = []
    cursor = EVER.from_us
    for stay in stays:
        if stay.to_us > cursor:
            found.append((stay.village, Interval(cursor, stay.to_us)))
            cursor = stay.to_us
    return [*found, (village, Interval(cursor, EVER.to_us))]


def time_in(places: Whereabouts, villages: Container[int]) -> list[Interval]:
    """When the camera was in one of those villages; in order, without touching neighbours."""
    return merged(when for village, when in places if village in villages)
