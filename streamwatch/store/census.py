"""Named queries for counting: which cameras are in which village, lean enough to read a whole city at once."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from streamwatch.model.scope import Scope
from streamwatch.store.scoped import within
from streamwatch.store.tables import camera, region, village


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
    """A camera as far as counting needs it. `interval_s` None: the schedule's own."""

    id: int
    village: int
    interval_s: int | None
    installed_us: int
    removed_us: int | None


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


async def count_villages(conn: AsyncConnection, scope: Scope) -> list[CountedVillage]:
    """Every village in the scope, removed ones too."""
    rows = await conn.execute(_VILLAGES.where(within(scope)))
    return [CountedVillage(*row) for row in rows.all()]


async def count_cameras(conn: AsyncConnection, scope: Scope) -> list[CountedCamera]:
    """Every camera in the scope, removed ones too: their past counts."""
    rows = await conn.execute(_CAMERAS.where(within(scope)))
    return [CountedCamera(*row) for row in rows.all()]
