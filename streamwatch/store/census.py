"""Named queries for counting: which cameras are in which village, lean enough to read a whole city at once.

A camera that was moved counts for each village only while it was there.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from streamwatch.model.scope import Scope
from streamwatch.store.scoped import visited, within
from streamwatch.store.stays import EVER, past_stays, time_in, whereabouts
from streamwatch.store.tables import camera, camera_stay, region, village
from streamwatch.uptime import Interval, merged


@dataclass(frozen=True, slots=True)
class CountedVillage:
    """A village with the region it lies in; `region_name` is the region's path from the top."""

    id: int
    code: str
    name: str
    region: str
    region_name: str
    removed_us: int | None


@dataclass(frozen=True, slots=True)
class CountedCamera:
    """A camera as far as counting needs it. `interval_s` None: the schedule's own.

    `there`: when its time counts here, in order; None: always, as with nearly every camera.
    """

    id: int
    village: int
    interval_s: int | None
    installed_us: int
    removed_us: int | None
    there: tuple[Interval, ...] | None = None

    def is_there(self, at_us: int) -> bool:
        """Whether it counts here at that instant, in service or not."""
        return self.there is None or any(one.from_us <= at_us < one.to_us for one in self.there)

    def serves(self, at_us: int) -> bool:
        """Whether it is here and in service at that instant."""
        if at_us < self.installed_us or (self.removed_us is not None and at_us >= self.removed_us):
            return False
        return self.there is None or self.is_there(at_us)


_VILLAGES = (
    select(village.c.id, village.c.code, village.c.name, region.c.code, region.c.name, village.c.removed_us)
    .join(region, region.c.id == village.c.region)
    .order_by(village.c.id)
)
_CAMERAS = (
    select(camera.c.id, camera.c.village, camera.c.interval_s, camera.c.installed_us, camera.c.removed_us)
    .join(village, village.c.id == camera.c.village)
    .order_by(camera.c.id)
)
_MOVED: Final = _CAMERAS.where(camera.c.id.in_(select(camera_stay.c.camera)))


async def count_villages(conn: AsyncConnection, scope: Scope) -> list[CountedVillage]:
    """Every village in the scope, removed ones too."""
    rows = await conn.execute(_VILLAGES.where(within(scope)))
    return [CountedVillage(*row) for row in rows.all()]


async def count_cameras(conn: AsyncConnection, scope: Scope) -> list[CountedCamera]:
    """Every camera in the scope, removed ones too: their past counts; in the order of ids.

    One that was moved comes once for each village of the scope that it was in, with the time that it spent there; the
    same camera then follows itself.
    """
    found = [CountedCamera(*row) for row in (await conn.execute(_CAMERAS.where(within(scope)))).all()]
    moved = await _moved(conn, scope)
    if not moved:
        return found
    numbers = {camera.id for camera in moved}
    return sorted([camera for camera in found if camera.id not in numbers] + moved, key=lambda camera: camera.id)


async def _moved(conn: AsyncConnection, scope: Scope) -> list[CountedCamera]:
    """The cameras that are or were in the scope and were moved, village by village."""
    rows = (await conn.execute(_MOVED.where(visited(scope)))).all()
    if not rows:
        return []
    stays = await past_stays(conn)
    visible = set((await conn.execute(select(village.c.id).where(within(scope)))).scalars())
    found: list[CountedCamera] = []
    for number, now_in, interval_s, installed_us, removed_us in rows:
        places = whereabouts(stays[number], now_in)
        for place in sorted({place for place, _ in places} & visible):
            there = tuple(time_in(places, (place,)))
            found.append(CountedCamera(number, place, interval_s, installed_us, removed_us, there))
    return found


def together(cameras: Collection[CountedCamera]) -> dict[int, CountedCamera]:
    """The cameras of `count_cameras` by id, each once with all its time in the scope: no instant counts twice."""
    found: dict[int, CountedCamera] = {}
    for one in cameras:
        before = found.get(one.id)
        if before is None or before.there is None or one.there is None:
            found[one.id] = one
            continue
        there = tuple(merged((*before.there, *one.there)))
        found[one.id] = replace(one, there=None if there == (EVER,) else there)
    return found
