"""Named queries on approved maintenance as people see it: by code, the latest announced first.

A camera's maintenance is seen where the camera is now, and where it was while the maintenance lasted: there it is taken
out of the figures.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from streamwatch.model.scope import Scope
from streamwatch.store.scoped import visible_regions, within
from streamwatch.store.tables import camera, camera_stay, maintenance, village


@dataclass(frozen=True, slots=True)
class MaintenanceRow:
    """One maintenance; `camera` or `village` is the code of what it is for."""

    id: int
    camera: str | None
    village: str | None
    from_us: int
    to_us: int
    reason: str
    author: str


_for_village = village.alias("for_village")  # the outer `village` is the one that the scope looks at
_LISTED = (
    select(
        maintenance.c.id,
        camera.c.code,
        _for_village.c.code,
        maintenance.c.from_us,
        maintenance.c.to_us,
        maintenance.c.reason,
        maintenance.c.author,
    )
    .select_from(maintenance)
    .outerjoin(camera, camera.c.id == maintenance.c.camera)
    .outerjoin(_for_village, _for_village.c.id == maintenance.c.village)
    .join(village, village.c.id == func.coalesce(maintenance.c.village, camera.c.village))
    .order_by(maintenance.c.id.desc())
)
_stayed_in = village.alias("stayed_in")


async def list_maintenance(
    conn: AsyncConnection, scope: Scope, *, limit: int, before: int | None = None
) -> list[MaintenanceRow]:
    """Maintenance within the scope with ids below `before`, newest first."""
    query = _LISTED if scope.region is None else _LISTED.where(or_(within(scope), _left_behind(scope)))
    if before is not None:
        query = query.where(maintenance.c.id < before)
    return [MaintenanceRow(*row) for row in await conn.execute(query.limit(limit))]


def _left_behind(scope: Scope) -> ColumnElement[bool]:
    """Of a camera that was in the scope at some time of its maintenance."""
    stay = (
        select(camera_stay.c.camera)
        .join(_stayed_in, _stayed_in.c.id == camera_stay.c.village)
        .where(
            camera_stay.c.camera == maintenance.c.camera,
            camera_stay.c.from_us < maintenance.c.to_us,
            camera_stay.c.to_us > maintenance.c.from_us,
            _stayed_in.c.region.in_(visible_regions(scope)),
        )
    )
    return stay.exists()
