"""/probe: a look now, told as blackbox_exporter tells it, so that existing scrape configurations work.

`probe_success` is 1 for up and 0 for down, and there is no third number: where we cannot tell, the answer is 503, and
Prometheus shows the scrape as failed (`up` 0) instead of the camera. As blackbox_exporter's are, the series are without
the camera's name: Prometheus adds it, as `instance`.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import PlainTextResponse

from streamwatch.api.callers import Ctx, refuse_foreign_page
from streamwatch.api.context import Context
from streamwatch.api.machine import may_scrape
from streamwatch.api.problems import Problem
from streamwatch.findings import Finding, explained
from streamwatch.live.client import CallError
from streamwatch.metrics import CONTENT_TYPE, Kind, Metric, exposition, key
from streamwatch.model.look import Depth, State
from streamwatch.model.scope import Scope
from streamwatch.store.inventory import get_camera

router = APIRouter(tags=["machine"])

MODULES: Final = {depth.value: depth for depth in (Depth.REACH, Depth.STREAM, Depth.PICTURE)}
DEFAULT_MODULE: Final = "picture"
OFFSET_S: Final = 0.5  # as blackbox_exporter's --timeout-offset: the answer's way back
DEFAULT_BUDGET_S: Final = 60.0  # without the header somebody asks by hand; the longest look, and some waiting
MAX_BUDGET_S: Final = 120.0  # of what the header may say
ABSORB_S: Final = 1.0  # from a look's end to our answer: its Report, the commit that it shares with others
TURN_S: Final = 0.25  # until a camera that is being looked at is asked for again
WAIT_FOR: Final = frozenset({"running", "busy"})  # codes of the service that pass by themselves

# In the order of their names, as blackbox_exporter answers.
METRICS: Final = (
    Metric("probe_duration_seconds", Kind.GAUGE, "How long the look took, from connecting to its verdict."),
    Metric(
        "probe_rtsp_failure_info", Kind.GAUGE, "Why the look got less than it asked for.", ("reason", "step", "blame")
    ),
    Metric("probe_rtsp_height_pixels", Kind.GAUGE, "Height of the picture."),
    Metric("probe_rtsp_info", Kind.GAUGE, "What the stream is.", ("codec", "transport")),
    Metric("probe_rtsp_keyframe_bytes", Kind.GAUGE, "Size of the first whole keyframe."),
    Metric("probe_rtsp_picture_fault", Kind.GAUGE, "1 for each fault that the picture shows.", ("fault",)),
    Metric("probe_rtsp_step_duration_seconds", Kind.GAUGE, "How long each step of the look took.", ("step",)),
    Metric("probe_rtsp_width_pixels", Kind.GAUGE, "Width of the picture."),
    Metric("probe_success", Kind.GAUGE, "1 where the camera's stream is up, 0 where it is down."),
)


def budget_s(
    scrape: Annotated[str | None, Header(alias="X-Prometheus-Scrape-Timeout-Seconds", max_length=32)] = None,
) -> float:
    """Seconds that the answer may take: what Prometheus waits, less its way back. 400 for what is no such number."""
    if scrape is None:
        return DEFAULT_BUDGET_S
    try:
        waits_s = float(scrape)
    except ValueError:
        waits_s = math.nan
    if not 0 < waits_s < math.inf:
        raise Problem(400, "probe.timeout", f"X-Prometheus-Scrape-Timeout-Seconds: {scrape!r} is no number of seconds")
    return min(max(waits_s - OFFSET_S, waits_s / 2), MAX_BUDGET_S)


@router.get("/probe", response_class=PlainTextResponse, responses={400: {}, 401: {}, 403: {}, 404: {}, 503: {}})
async def probe(
    request: Request,
    context: Ctx,
    scope: Annotated[Scope, Depends(may_scrape)],
    budget: Annotated[float, Depends(budget_s)],
    target: Annotated[str, Query(max_length=64, description="The camera's code.")] = "",
    module: Annotated[str, Query(max_length=64, description="reach, stream or picture: how deep to look.")] = (
        DEFAULT_MODULE
    ),
    debug: Annotated[str, Query(max_length=8, description="true: the look explained, for a person.")] = "",
) -> Response:
    """Looks now, and answers in blackbox_exporter's words; 503 without `probe_success` where the state is unknown."""
    refuse_foreign_page(request)
    if module not in MODULES:
        raise Problem(400, "probe.module", f"unknown module {module!r}: there are {', '.join(MODULES)}")
    if not target:
        raise Problem(400, "probe.target", "the target parameter is missing: it names a camera by its code")
    async with context.reader.begin() as conn:
        camera = await get_camera(conn, scope, target)
    if camera.removed_us is not None:
        raise Problem(404, "probe.removed", f"camera {camera.code} was removed: there is nothing to look at")
    told = await _look(context, camera.id, MODULES[module], budget)
    found = msgspec.convert(told["look"], Finding)
    if debug == "true":
        return PlainTextResponse(_debug(found, told))
    if told["void"] is not None or found.state is State.UNKNOWN:
        reason = told["void"] or found.reason
        why = found.detail if reason == found.reason else f"our own side was not well ({reason}), so it proves nothing"
        raise Problem(503, "probe.unknown", f"camera {camera.code}: {why}", reason=reason)
    return Response(exposition(values(found), METRICS), media_type=CONTENT_TYPE)


def values(found: Finding) -> dict[str, dict[str, float]]:
    """The series of one look; what it did not find out has none."""
    steps = {step: round(took / 1000, 6) for step, took in found.timings_ms.items()}
    series: dict[str, dict[str, float]] = {
        "probe_success": {"": float(found.state is State.UP)},
        "probe_duration_seconds": {"": steps.pop("total", 0.0)},
        "probe_rtsp_step_duration_seconds": steps,
        "probe_rtsp_picture_fault": dict.fromkeys(found.faults, 1.0),
    }
    if found.reason is not None:
        series["probe_rtsp_failure_info"] = {key(found.reason, found.step or "", found.blame or ""): 1.0}
    if found.codec is not None:
        series["probe_rtsp_info"] = {key(found.codec, found.transport or ""): 1.0}
    sizes = {"width_pixels": found.width, "height_pixels": found.height, "keyframe_bytes": found.keyframe_bytes}
    return series | {f"probe_rtsp_{name}": {"": float(size)} for name, size in sizes.items() if size is not None}


async def _look(context: Context, camera: int, depth: Depth, budget: float) -> dict[str, Any]:
    """What the service's looker saw; waits for its turn within the budget. 503 where there is no answer in time."""
    ends = context.clock.monotonic() + budget
    while True:
        left = ends - context.clock.monotonic()
        order = {"camera": camera, "depth": depth.value, "timeout_s": max(left - ABSORB_S, left / 2)}
        try:
            answer: dict[str, Any] = await context.caller.call("scrape", order, left)
        except CallError as error:
            if error.code not in WAIT_FOR or left < 2 * TURN_S:
                raise Problem(503, "probe.unanswered", str(error), reason=f"service.{error.code}") from None
            await context.clock.sleep(TURN_S)
        else:
            return answer


def _debug(found: Finding, told: dict[str, Any]) -> str:
    """The look explained, and what a scrape would have got. The service keeps no conversation."""
    if told["void"] is not None or found.state is State.UNKNOWN:
        would = "503, without probe_success: the state is unknown\n"
    else:
        would = exposition(values(found), METRICS)
    return (
        f"{explained(found, told['thresholds'])}\n"
        f"The conversation itself is shown by `streamwatch probe --explain URL`.\n\n"
        f"Metrics that would have been returned:\n{would}"
    )
