"""GET /lines, /recorders, /points, /facilities: what there is beside villages and cameras."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Query

from streamwatch.api.callers import Ctx, Reading
from streamwatch.api.camera_list import masked
from streamwatch.api.context import Context
from streamwatch.api.cursors import DEFAULT_LIMIT, Cursor, Limit, read_cursor, write_cursor
from streamwatch.api.schemas import FacilityOut, LineOut, Page, PointOut, RecorderOut
from streamwatch.model.scope import Scope
from streamwatch.store.equipment import (
    Asked,
    RecorderRow,
    get_facility,
    get_line,
    get_point,
    get_recorder,
    list_facilities,
    list_lines,
    list_points,
    list_recorders,
)

router = APIRouter(tags=["equipment"])

Row = TypeVar("Row")
Out = TypeVar("Out")


@dataclass(frozen=True, slots=True)
class Sought:
    """What is asked for; None: no matter."""

    village: Annotated[str | None, Query(max_length=64)] = None
    region: Annotated[str | None, Query(max_length=64)] = None
    text: Annotated[str | None, Query(max_length=100, description="A part of the name or the code.")] = None


Seeking = Annotated[Sought, Depends()]


@router.get("/lines")
async def lines(
    context: Ctx, caller: Reading, sought: Seeking, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[LineOut]:
    """Lines in the order of their codes: all, or those on which something of the caller's regions hangs."""
    return await _page(context, caller.scope, list_lines, line_out, sought, limit, cursor)


@router.get("/lines/{code}", responses={404: {}})
async def line(context: Ctx, caller: Reading, code: str) -> LineOut:
    """One line."""
    async with context.reader.begin() as conn:
        return line_out(await get_line(conn, caller.scope, code))


@router.get("/recorders")
async def recorders(
    context: Ctx, caller: Reading, sought: Seeking, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[RecorderOut]:
    """Recorders in the order of their codes."""
    return await _page(context, caller.scope, list_recorders, recorder_out, sought, limit, cursor)


@router.get("/recorders/{code}", responses={404: {}})
async def recorder(context: Ctx, caller: Reading, code: str) -> RecorderOut:
    """One recorder."""
    async with context.reader.begin() as conn:
        return recorder_out(await get_recorder(conn, caller.scope, code))


@router.get("/points")
async def points(
    context: Ctx, caller: Reading, sought: Seeking, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[PointOut]:
    """Planned points in the order of their codes."""
    return await _page(context, caller.scope, list_points, point_out, sought, limit, cursor)


@router.get("/points/{code}", responses={404: {}})
async def point(context: Ctx, caller: Reading, code: str) -> PointOut:
    """One planned point."""
    async with context.reader.begin() as conn:
        return point_out(await get_point(conn, caller.scope, code))


@router.get("/facilities")
async def facilities(
    context: Ctx, caller: Reading, sought: Seeking, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[FacilityOut]:
    """Facilities in the order of their codes."""
    return await _page(context, caller.scope, list_facilities, facility_out, sought, limit, cursor)


@router.get("/facilities/{code}", responses={404: {}})
async def facility(context: Ctx, caller: Reading, code: str) -> FacilityOut:
    """One facility."""
    async with context.reader.begin() as conn:
        return facility_out(await get_facility(conn, caller.scope, code))


def line_out(row: Any) -> LineOut:
    """A line's shape."""
    return LineOut.model_validate(row, from_attributes=True)


def recorder_out(row: RecorderRow) -> RecorderOut:
    """A recorder's shape, without its credentials."""
    shown = RecorderOut.model_validate(row, from_attributes=True)
    return shown.model_copy(update={"url": masked(row.url, credentials=row.username is not None)})


def point_out(row: Any) -> PointOut:
    """A point's shape."""
    return PointOut.model_validate(row, from_attributes=True)


def facility_out(row: Any) -> FacilityOut:
    """A facility's shape."""
    return FacilityOut.model_validate(row, from_attributes=True)


async def _page(
    context: Context,
    scope: Scope,
    listed: Callable[..., Awaitable[Sequence[Row]]],
    shape: Callable[[Row], Out],
    sought: Sought,
    limit: int,
    cursor: str | None,
) -> Page[Out]:
    asked = Asked(limit + 1, read_cursor(cursor, str), sought.village, sought.region, sought.text)
    async with context.reader.begin() as conn:
        rows = await listed(conn, scope, asked)
    items = [shape(row) for row in rows[:limit]]
    more = len(rows) > limit
    return Page(items=items, next=write_cursor(_code(rows[limit - 1])) if more else None)


def _code(row: Any) -> str:
    return str(row.code)
