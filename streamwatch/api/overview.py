"""GET /overview: what the caller's regions look like now, and whether the service does its work."""

from __future__ import annotations

from fastapi import APIRouter

from streamwatch.api.callers import Ctx, Reading
from streamwatch.api.machine import readiness
from streamwatch.api.present import Counts, count
from streamwatch.api.schemas import OverviewOut, StatesOut
from streamwatch.clock import rfc3339
from streamwatch.model.look import State

router = APIRouter(tags=["overview"])


@router.get("/overview")
async def overview(context: Ctx, caller: Reading) -> OverviewOut:
    """The headline: villages, cameras by state, cameras with a fault, and the parts of readiness."""
    now_us = context.clock.utc_us()
    census = await context.census(caller.scope)
    villages = census.current()
    serving = (camera for village in villages for camera in census.serving(village.id, now_us))
    counts = count(serving, context.view.cameras, now_us, context.grace)
    ready = await readiness(context)
    return OverviewOut(
        at=rfc3339(now_us),
        villages=len(villages),
        cameras=counts.cameras,
        states=states_out(counts),
        faults=dict(counts.faults),
        faulty=counts.faulty,
        connected=ready.connected,
        ready=ready.ready,
        parts=ready.parts,
    )


def states_out(counts: Counts) -> StatesOut:
    """The counts by state in their shape."""
    return StatesOut(up=counts.states[State.UP], down=counts.states[State.DOWN], unknown=counts.states[State.UNKNOWN])
