"""GET /regions and what hangs on one: uptime and status of its whole subtree."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from streamwatch.api.callers import Ctx, Reading
from streamwatch.api.cursors import DEFAULT_LIMIT, Cursor, Limit, read_cursor, write_cursor
from streamwatch.api.evidence import gather
from streamwatch.api.instant import At
from streamwatch.api.rates import RATED, status_of, uptime_of
from streamwatch.api.schemas import Page, RegionOut, StatusOut, UptimeOut
from streamwatch.api.window import Asked
from streamwatch.model.scope import Scope
from streamwatch.store.inventory import RegionRow, get_region, list_regions
from streamwatch.uptime import By

router = APIRouter(prefix="/regions", tags=["regions"])


async def region_of(code: str, context: Ctx, caller: Reading) -> RegionRow:
    """The region with that code, the caller's own or below it; 404 else."""
    async with context.reader.begin() as conn:
        return await get_region(conn, caller.scope, code)


Asking = Annotated[RegionRow, Depends(region_of)]


@router.get("")
async def regions(
    context: Ctx,
    caller: Reading,
    text: Annotated[str | None, Query(max_length=100, description="A part of the name or the code.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[RegionOut]:
    """The caller's regions in the order of their paths."""
    after = read_cursor(cursor, tuple[str, int])
    async with context.reader.begin() as conn:
        found = await list_regions(conn, caller.scope, text=text)
    rest = [region for region in found if after is None or (region.name, region.id) > after]
    items = [RegionOut(code=one.code, name=one.name, parent=one.parent) for one in rest[:limit]]
    last = rest[limit - 1] if len(rest) > limit else None
    return Page(items=items, next=None if last is None else write_cursor((last.name, last.id)))


@router.get("/{code}/uptime", responses={404: {}})
async def uptime(context: Ctx, found: Asking, asked: Asked, by: By | None = None) -> UptimeOut:
    """Uptime and intact rates of all cameras below the region, with their coverage."""
    # The region is within the caller's scope, so its own subtree is too.
    scope = Scope(found.id)
    census = await context.census(scope)
    evidence = await gather(context, scope, list(census.cameras.values()), RATED, asked)
    return await asyncio.to_thread(uptime_of, evidence, by)


@router.get("/{code}/status", responses={404: {}})
async def status(context: Ctx, found: Asking, at: At) -> StatusOut:
    """Counts at an instant, now by default."""
    scope = Scope(found.id)
    census = await context.census(scope)
    return status_of(await gather(context, scope, list(census.cameras.values()), RATED, at))
