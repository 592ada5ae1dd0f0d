"""Named queries on approved maintenance as people see it: by code, the latest announced first."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from streamwatch.model.scope import Scope
from streamwatch.store.scoped import within
from streamwatch.store.tables import camera, maintenance, village


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


async def list_maintenance(
    conn: AsyncConnection, scope: Scope, *, limit: int, before: int | None = None
) -> list[MaintenanceRow]:
    """Maintenance within the scope with ids below `before`, newest first."""
    query = _LISTED.where(within(scope))
    if before is not None:
        query = query.where(maintenance.c.id < before)
    return [MaintenanceRow(*row) for row in await conn.execute(query.limit(limit))]
