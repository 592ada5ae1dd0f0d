"""Approved maintenance: announced here, booked by the service, taken out of every rate."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from streamwatch.api.callers import Ctx, Reading, Writing
from streamwatch.api.cursors import DEFAULT_LIMIT, Cursor, Limit, read_cursor, write_cursor
from streamwatch.api.problems import Problem
from streamwatch.api.schemas import MaintenanceIn, MaintenanceOut, Page
from streamwatch.api.window import DAY_US, instant
from streamwatch.clock import rfc3339
from streamwatch.store.inventory import get_camera, get_village
from streamwatch.store.maintenance import MaintenanceRow, list_maintenance

router = APIRouter(prefix="/maintenance", tags=["maintenance"])

MAX_DAYS: Final = 366  # longer than a year is not maintenance: the camera is to be removed


@router.get("")
async def maintenances(
    context: Ctx, caller: Reading, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[MaintenanceOut]:
    """Maintenance of the caller's cameras and villages, the latest announced first."""
    before = read_cursor(cursor, int)
    async with context.reader.begin() as conn:
        rows = await list_maintenance(conn, caller.scope, before=before, limit=limit + 1)
    items = [_out(row) for row in rows[:limit]]
    return Page(items=items, next=write_cursor(rows[limit - 1].id) if len(rows) > limit else None)


@router.post("", status_code=201, responses={404: {}, 503: {}})
async def announce(context: Ctx, caller: Writing, wish: MaintenanceIn) -> MaintenanceOut:
    """Excludes a camera's or a village's time [from, to) from every rate; answered once it is booked."""
    from_us, to_us = instant(wish.from_, "from"), instant(wish.to, "to")
    if not from_us < to_us <= from_us + MAX_DAYS * DAY_US:
        raise Problem(422, "request.window", f"`from` must be before `to`, and at most {MAX_DAYS} days before it")
    if (wish.camera is None) == (wish.village is None):
        raise Problem(422, "request.invalid", "name either a camera or a village")
    camera = village = None
    async with context.reader.begin() as conn:
        if wish.camera is not None:
            camera = (await get_camera(conn, caller.scope, wish.camera)).id
        if wish.village is not None:
            village = (await get_village(conn, caller.scope, wish.village)).id
    number = await context.caller.call(
        "maintenance",
        {
            "camera": camera,
            "village": village,
            "from_us": from_us,
            "to_us": to_us,
            "reason": wish.reason,
            "author": caller.name,
        },
    )
    return _out(MaintenanceRow(int(number), wish.camera, wish.village, from_us, to_us, wish.reason, caller.name))


def _out(row: MaintenanceRow) -> MaintenanceOut:
    return MaintenanceOut.model_validate(
        {
            "id": row.id,
            "camera": row.camera,
            "village": row.village,
            "from": rfc3339(row.from_us),
            "to": rfc3339(row.to_us),
            "reason": row.reason,
            "author": row.author,
        }
    )
