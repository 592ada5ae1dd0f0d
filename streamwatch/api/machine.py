"""/healthz, /readyz, /metrics: at the root, for machines."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from streamwatch import __version__
from streamwatch.access.principal import Permission
from streamwatch.api.callers import Ctx, MaybePrincipal, from_loopback
from streamwatch.api.context import Context
from streamwatch.api.present import count
from streamwatch.api.problems import Problem
from streamwatch.api.schemas import PartOut, ReadyOut
from streamwatch.clock import US, rfc3339
from streamwatch.metrics import CONTENT_TYPE, exposition, key, merged
from streamwatch.model.look import State
from streamwatch.model.scope import EVERYTHING, Scope
from streamwatch.store.census import count_villages

router = APIRouter(tags=["machine"])

PULSE_LATE_S: Final = 10  # the service tells about once a second how it is
TOLD: Final = frozenset({"patrol"})  # parts whose state readiness tells and does not depend on


def may_scrape(request: Request, found: MaybePrincipal) -> Scope:
    """This machine itself needs no key; anybody else one with the scope `metrics`."""
    if found is not None and found.may(Permission.METRICS):
        return found.scope
    if from_loopback(request):
        return EVERYTHING
    if found is None:
        raise Problem(
            401, "access.unknown", "show an API key with the scope metrics", headers={"WWW-Authenticate": "Bearer"}
        )
    raise Problem(403, "access.forbidden", f"{found.name} has no metrics permission")


@router.get("/healthz", response_class=PlainTextResponse)
async def healthz() -> str:
    """This process answers; nothing more."""
    return "ok\n"


@router.get("/readyz", response_model=ReadyOut, responses={503: {"model": ReadyOut}})
async def readyz(context: Ctx) -> Response:
    """200 when everything that the service needs works, 503 else; the parts say what does not.

    A patrol that looks less deep for want of room is told, and is no 503: a balancer would take away the page that
    says so, and a restart would give no room.
    """
    answer = await readiness(context)
    return JSONResponse(answer.model_dump(mode="json"), 200 if answer.ready else 503)


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(context: Ctx, scope: Annotated[Scope, Depends(may_scrape)]) -> Response:
    """Prometheus text: the present by village, and the service itself."""
    ready = await readiness(context)
    status = context.view.status
    parts = [await village_gauges(context, scope)]
    if scope == EVERYTHING:
        parts += [status.counters, status.gauges] if status is not None else []
        parts.append(own_gauges(context, ready))
    return Response(exposition(merged(*parts)), media_type=CONTENT_TYPE)


async def readiness(context: Context) -> ReadyOut:
    """What `/readyz` says: the service's parts, and what only this process can tell."""
    status = context.view.status
    parts = [PartOut(name="database", ready=await _database(context), detail="")]
    parts.append(
        PartOut(name="service", ready=context.view.connected, detail="" if context.view.connected else "not connected")
    )
    if status is not None:
        late_s = (context.clock.utc_us() - status.at_us) / US
        if late_s > PULSE_LATE_S:
            parts.append(PartOut(name="pulse", ready=False, detail=f"last heard of {late_s:.0f} s ago"))
        parts += [PartOut(name=part.name, ready=part.ready, detail=part.detail) for part in status.parts]
    return ReadyOut(
        ready=status is not None and all(part.ready or part.name in TOLD for part in parts),
        connected=context.view.connected,
        version=None if status is None else status.version,
        at=None if status is None else rfc3339(status.at_us),
        parts=parts,
    )


async def village_gauges(context: Context, scope: Scope) -> dict[str, dict[str, float]]:
    """Cameras by state and fault, one series a village."""
    now_us = context.clock.utc_us()
    census = await context.census(scope)
    states: dict[str, float] = {}
    faults: dict[str, float] = {}
    for village in census.current():
        counts = count(census.serving(village.id, now_us), context.view.cameras, now_us, context.grace)
        for state in State:
            states[key(village.region_name, village.code, state)] = counts.states[state]
        for fault, cameras in counts.faults.items():
            faults[key(village.region_name, village.code, fault)] = cameras
    if scope == EVERYTHING:
        faults = context.faults.complete(faults, now_us)
    return {"streamwatch_village_cameras": states, "streamwatch_village_faulty_cameras": faults}


def own_gauges(context: Context, ready: ReadyOut) -> dict[str, dict[str, float]]:
    """What is known only here: readiness and versions."""
    status = context.view.status
    return {
        "streamwatch_ready": {key(part.name): float(part.ready) for part in ready.parts},
        "streamwatch_started_seconds": {} if status is None else {"": status.started_us / US},
        "streamwatch_build_info": {key(__version__): 1.0},
    }


async def _database(context: Context) -> bool:
    """Whether a query is answered."""
    try:
        async with context.reader.begin() as conn:
            await count_villages(conn, Scope(-1))
    except Exception:  # noqa: BLE001 - whatever it is, the database cannot be read, and /readyz must say so
        return False
    return True
