"""GET /cameras and what hangs on one: uptime, timeline, explain, and a look now."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Body, Depends, Query

from streamwatch.api.callers import Ctx, Probing, Reading
from streamwatch.api.camera_list import Filters, by_code, by_rank, masked, shown
from streamwatch.api.context import Context
from streamwatch.api.cursors import DEFAULT_LIMIT, Cursor, Limit
from streamwatch.api.evidence import Evidence, gather
from streamwatch.api.problems import Problem
from streamwatch.api.rates import RATED, timeline_of, uptime_of
from streamwatch.api.schemas import CameraDetail, CameraOut, Page, ProbeIn, TimelineOut, UptimeOut
from streamwatch.api.window import Asked, Window
from streamwatch.clock import rfc3339
from streamwatch.model.look import State
from streamwatch.model.scope import Scope
from streamwatch.model.standing import STREAM
from streamwatch.store.census import CountedCamera
from streamwatch.store.inventory import CameraRow, get_camera
from streamwatch.uptime import By

router = APIRouter(prefix="/cameras", tags=["cameras"])

PROBE_TIMEOUT_S: Final = 100.0  # a look takes at most 60 s; it may wait 20 s for its line, and 10 s for the rest
Code = Annotated[str | None, Query(max_length=64)]


async def camera_of(id: str, context: Ctx, caller: Reading) -> CameraRow:  # noqa: A002 - the interface's name of it
    """The camera with that code in the caller's regions; 404 else."""
    async with context.reader.begin() as conn:
        return await get_camera(conn, caller.scope, id)


Asking = Annotated[CameraRow, Depends(camera_of)]


def states(
    state: Annotated[str | None, Query(max_length=40, description="up, down, unknown; several with commas.")] = None,
) -> frozenset[State] | None:
    """The states asked for. Raises 422 for a word that is none."""
    if state is None:
        return None
    words = [word.strip() for word in state.split(",")]
    try:
        return frozenset(State(word) for word in words)
    except ValueError:
        raise Problem(422, "request.invalid", f"state: {state!r} is not a list of up, down, unknown") from None


@router.get("")
async def cameras(
    context: Ctx,
    caller: Reading,
    state: Annotated[frozenset[State] | None, Depends(states)],
    village: Code = None,
    region: Code = None,
    fault: Annotated[str | None, Query(max_length=40, description="Only cameras that have that fault now.")] = None,
    text: Annotated[str | None, Query(max_length=100, description="A part of the name or the code.")] = None,
    sort: Annotated[
        Literal["code", "worst"], Query(description="`worst`: only cameras with something wrong, the worst first.")
    ] = "code",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[CameraOut]:
    """Cameras as they are now, in the order of their codes or the worst first."""
    filters = Filters(states=state, fault=fault, village=village, region=region, text=text)
    pick = by_rank if sort == "worst" else by_code
    return await pick(context, caller.scope, filters, limit, cursor)


@router.get("/{id}", responses={404: {}})
async def camera(context: Ctx, caller: Reading, found: Asking) -> CameraDetail:
    """One camera as it is now, with what its list says of it."""
    return await detail(context, caller.scope, found)


@router.get("/{id}/uptime", responses={404: {}})
async def uptime(context: Ctx, caller: Reading, found: Asking, asked: Asked, by: By | None = None) -> UptimeOut:
    """Uptime and intact rates of the camera, with their coverage."""
    evidence = await gather(context, caller.scope, [counted(found)], RATED, asked)
    return await asyncio.to_thread(uptime_of, evidence, by)


@router.get("/{id}/timeline", responses={404: {}})
async def timeline(
    context: Ctx,
    caller: Reading,
    found: Asking,
    asked: Asked,
    dimension: Annotated[
        str,
        Query(
            pattern=r"^(reach|stream|picture|recording|fault\.[a-z_]{1,30})$",
            description="reach, stream, picture, fault.NAME",
        ),
    ] = STREAM,
) -> TimelineOut:
    """One dimension over the window, without a hole."""
    evidence = await _evidence(context, caller.scope, found, dimension, asked)
    return TimelineOut.model_validate(
        {
            "from": rfc3339(asked.from_us),
            "to": rfc3339(asked.to_us),
            "dimension": dimension,
            "items": timeline_of(evidence, counted(found), dimension),
        }
    )


@router.get("/{id}/explain", responses={404: {}, 503: {}})
async def explain(context: Ctx, found: Asking) -> dict[str, Any]:
    """The last look explained: what it saw and measured, the thresholds, the verdict, where everything stands."""
    answer: dict[str, Any] = await context.caller.call("explain", {"camera": found.id})
    return answer


@router.post("/{id}/probe", responses={404: {}, 409: {}, 503: {}})
async def probe(
    context: Ctx, _caller: Probing, found: Asking, order: Annotated[ProbeIn | None, Body()] = None
) -> dict[str, Any]:
    """Looks now and answers as `streamwatch probe --json` does; 409 while a look at this camera is under way."""
    if found.removed_us is not None:
        raise Problem(409, "camera.removed", f"camera {found.code} was removed: there is nothing to look at")
    answer: dict[str, Any] = await context.caller.call(
        "probe", {"camera": found.id, "depth": (order or ProbeIn()).depth.value}, PROBE_TIMEOUT_S
    )
    return answer


async def detail(context: Context, scope: Scope, row: CameraRow) -> CameraDetail:
    """The camera in its full shape."""
    now = (await shown(context, scope, [row]))[0]
    credentials = row.username is not None
    return CameraDetail(
        **now.model_dump(),
        sub_url=None if row.sub_url is None else masked(row.sub_url, credentials=credentials),
        vendor=row.vendor,
        channel=row.channel,
        has_login=credentials,
        recorder_channel=row.recorder_channel,
        retention_days=row.retention_days,
        longitude=row.longitude,
        latitude=row.latitude,
        datum=row.datum,
        position_type=row.position_type,
        key_point=row.key_point,
        installed_on=row.installed_on,
        installed_at=rfc3339(row.installed_us),
        removed_at=None if row.removed_us is None else rfc3339(row.removed_us),
    )


def counted(row: CameraRow) -> CountedCamera:
    """The camera as far as counting needs it: all of its time, in whichever village it was."""
    return CountedCamera(row.id, row.village_id, row.interval_s, row.installed_us, row.removed_us)


async def _evidence(context: Context, scope: Scope, row: CameraRow, dimension: str, asked: Window) -> Evidence:
    return await gather(context, scope, [counted(row)], (dimension,), asked)
