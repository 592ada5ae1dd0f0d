"""GET /villages and what hangs on one: now, uptime, status, badge."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from streamwatch.api.badges import badge
from streamwatch.api.callers import Ctx, Reading
from streamwatch.api.context import Context
from streamwatch.api.cursors import DEFAULT_LIMIT, Cursor, Limit, read_cursor, write_cursor
from streamwatch.api.evidence import gather
from streamwatch.api.instant import At
from streamwatch.api.lastday import last_days
from streamwatch.api.overview import states_out
from streamwatch.api.present import Counts, count
from streamwatch.api.rates import RATED, status_of, uptime_of
from streamwatch.api.schemas import LastDay, Page, StatusOut, UptimeOut, VillageDetail, VillageOut
from streamwatch.api.window import DAY_US, DEFAULT_DAYS, Asked, Window
from streamwatch.clock import rfc3339
from streamwatch.model.look import State
from streamwatch.model.scope import Scope
from streamwatch.model.standing import STREAM
from streamwatch.store.census import CountedVillage
from streamwatch.store.inventory import VillageRow, get_village, list_villages
from streamwatch.texts import negotiate
from streamwatch.uptime import By, rate

router = APIRouter(prefix="/villages", tags=["villages"])
Rates = Annotated[Literal["24h"] | None, Query(description="`24h` adds the last 24 hours to each village.")]
Text = Annotated[str | None, Query(max_length=100, description="A part of the name or the code.")]
Code = Annotated[str | None, Query(max_length=64)]


async def village_of(code: str, context: Ctx, caller: Reading) -> VillageRow:
    """The village with that code in the caller's regions; 404 else."""
    async with context.reader.begin() as conn:
        return await get_village(conn, caller.scope, code)


Asking = Annotated[VillageRow, Depends(village_of)]


@router.get("")
async def villages(
    context: Ctx,
    caller: Reading,
    region: Code = None,
    text: Text = None,
    state: Annotated[State | None, Query(description="Only villages with a camera in that state now.")] = None,
    fault: Annotated[
        str | None, Query(max_length=40, description="Only villages with a camera that has it now.")
    ] = None,
    rates: Rates = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[VillageOut]:
    """Villages in the order of their codes, with their cameras now."""
    after = read_cursor(cursor, str)
    items: list[VillageOut] = []
    while True:
        async with context.reader.begin() as conn:
            found = await list_villages(conn, caller.scope, after=after, limit=limit, text=text, region=region)
        shown = await described(context, caller.scope, [village.id for village in found], rates)
        for village, out in zip(found, shown, strict=True):
            after = village.code
            if (state is None or getattr(out.states, state)) and (fault is None or fault in out.faults):
                items.append(out)
                if len(items) == limit:
                    return Page(items=items, next=write_cursor(after))
        if len(found) < limit:
            return Page(items=items, next=None)


@router.get("/{code}", responses={404: {}})
async def village(context: Ctx, caller: Reading, found: Asking, rates: Rates = None) -> VillageDetail:
    """One village with its cameras now, and what its list says of it."""
    return await detail(context, caller.scope, found, rates)


@router.get("/{code}/uptime", responses={404: {}})
async def uptime(context: Ctx, caller: Reading, found: Asking, asked: Asked, by: By | None = None) -> UptimeOut:
    """Uptime and intact rates of the village, with their coverage."""
    census = await context.census(caller.scope)
    evidence = await gather(context, caller.scope, census.by_village.get(found.id, ()), RATED, asked)
    return await asyncio.to_thread(uptime_of, evidence, by)


@router.get("/{code}/status", responses={404: {}})
async def status(context: Ctx, caller: Reading, found: Asking, at: At) -> StatusOut:
    """Counts at an instant, now by default."""
    census = await context.census(caller.scope)
    return status_of(await gather(context, caller.scope, census.by_village.get(found.id, ()), RATED, at))


@router.get("/{code}/badge.svg", responses={404: {}, 200: {"content": {"image/svg+xml": {}}}}, response_class=Response)
async def badge_svg(request: Request, context: Ctx, caller: Reading, found: Asking, lang: Code = None) -> Response:
    """Uptime of the last 30 days with its coverage."""
    now_us = context.clock.utc_us()
    census = await context.census(caller.scope)
    window = Window(now_us - DEFAULT_DAYS * DAY_US, now_us, now_us)
    evidence = await gather(context, caller.scope, census.by_village.get(found.id, ()), (STREAM,), window)
    value = await asyncio.to_thread(rate, evidence.watched(STREAM), window.from_us, window.to_us)
    chosen = negotiate(asked=lang, cookie=None, accept=request.headers.get("accept-language"))
    return Response(badge(value, chosen), media_type="image/svg+xml", headers={"Cache-Control": "private, max-age=60"})


async def described(context: Context, scope: Scope, numbers: list[int], rates: str | None) -> list[VillageOut]:
    """The villages with those ids, all within the scope, as they are now."""
    now_us = context.clock.utc_us()
    census = await context.census(scope)
    days: dict[int, LastDay] = {}
    if rates is not None:
        days = await last_days(context, scope, {number: census.by_village.get(number, []) for number in numbers})
    shown = []
    for number in numbers:
        known = census.villages.get(number)
        if known is None:  # made within the last moments: the census does not know it yet
            census = await context.census(scope, fresh=True)
            known = census.villages[number]
        counts = count(census.serving(number, now_us), context.view.cameras, now_us, context.grace)
        shown.append(_out(known, counts, days.get(number)))
    return shown


async def detail(context: Context, scope: Scope, row: VillageRow, rates: str | None = None) -> VillageDetail:
    """The village in its full shape."""
    now = (await described(context, scope, [row.id], rates))[0]
    return VillageDetail(
        **now.model_dump(exclude={"last_24h"}),
        last_24h=now.last_24h,
        households=row.households,
        population=row.population,
        police_station=row.police_station,
        unit=row.unit,
        unit_phone=row.unit_phone,
        monitor_centre=row.monitor_centre,
        joined_on=row.joined_on,
        removed_at=None if row.removed_us is None else rfc3339(row.removed_us),
    )


def _out(village: CountedVillage, counts: Counts, day: LastDay | None) -> VillageOut:
    return VillageOut(
        code=village.code,
        name=village.name,
        region=village.region,
        region_name=village.region_name,
        cameras=counts.cameras,
        states=states_out(counts),
        faults=dict(counts.faults),
        faulty=counts.faulty,
        last_24h=day,
    )
