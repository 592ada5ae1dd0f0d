"""Evidence -> the shapes of rates: uptime, intact, series, the bar of a day, counts at an instant."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from streamwatch.api.evidence import Evidence, service_of, time_of
from streamwatch.api.schemas import (
    HourOut,
    IntactOut,
    IntactRateOut,
    LastDay,
    RateOut,
    StatusOut,
    StretchOut,
    TimelineItem,
    UptimeOut,
)
from streamwatch.clock import rfc3339
from streamwatch.model.look import State
from streamwatch.model.standing import PICTURE, STREAM
from streamwatch.model.timeline import Segment
from streamwatch.store.census import CountedCamera
from streamwatch.uptime import By, Interval, intact_rates, rate, rate_json, windows, within

RATED = (STREAM, PICTURE)  # what uptime and the intact rates are made of


def uptime_of(evidence: Evidence, by: By | None) -> UptimeOut:
    """All rates of the window, and step by step where `by` says so. Blocks for as long as it takes to add up."""
    window = evidence.window
    steps = () if by is None else windows(window.from_us, window.to_us, by)
    whole = _stretch(evidence, Interval(window.from_us, window.to_us))
    return UptimeOut.model_validate(
        {
            "from": rfc3339(window.from_us),
            "to": rfc3339(window.to_us),
            "by": by,
            "uptime": whole.uptime,
            "intact": whole.intact,
            "series": [_stretch(evidence, step) for step in steps],
            "made_up": evidence.made_up(RATED),
        }
    )


def last_day_of(evidence: Evidence, cameras: Sequence[CountedCamera]) -> LastDay:
    """The uptime of those cameras over the window of `evidence`, and of each of its hours."""
    window = evidence.window
    watched = evidence.watched(STREAM, cameras)
    hours: list[dict[str, Any]] = []
    for step in windows(window.from_us, window.to_us, By.HOUR):
        shown = rate_json(rate(watched, step.from_us, step.to_us))
        hours.append(
            {
                "from": rfc3339(step.from_us),
                "to": rfc3339(step.to_us),
                "value": shown["value"],
                "coverage": shown["coverage"],
            }
        )
    return LastDay.model_validate(
        {
            "from": rfc3339(window.from_us),
            "to": rfc3339(window.to_us),
            "uptime": RateOut(**rate_json(rate(watched, window.from_us, window.to_us))),
            "hours": [HourOut.model_validate(hour) for hour in hours],
            "made_up": evidence.made_up((STREAM,), cameras),
        }
    )


def status_of(evidence: Evidence) -> StatusOut:
    """Counts at the one instant that the window of `evidence` holds."""
    window = evidence.window
    states = dict.fromkeys(State, 0)
    pictures = dict.fromkeys(State, 0)
    excluded = in_service = 0
    for camera in evidence.cameras:
        if not service_of(camera, window):
            continue
        in_service += 1
        excluded += bool(evidence.excluded.get(camera.id))
        stream = evidence.segments[camera.id, STREAM][0].state
        states[stream] += 1
        if stream is State.UP:
            pictures[evidence.segments[camera.id, PICTURE][0].state] += 1
    return StatusOut(
        at=rfc3339(window.from_us),
        registered=sum(
            (camera.removed_us is None or camera.removed_us > window.from_us) and camera.is_there(window.from_us)
            for camera in evidence.cameras
        ),
        in_service=in_service,
        online=states[State.UP],
        offline=states[State.DOWN],
        unknown=states[State.UNKNOWN],
        intact=pictures[State.UP],
        defective=pictures[State.DOWN],
        excluded=excluded,
    )


def timeline_of(evidence: Evidence, camera: CountedCamera, dimension: str) -> list[TimelineItem]:
    """One dimension of one camera while it was in service, cut where maintenance begins and ends."""
    window = evidence.window
    items: list[TimelineItem] = []
    excluded = evidence.excluded.get(camera.id, ())
    cuts = sorted({edge for one in excluded for edge in one})
    served = service_of(camera, window)
    for segment in evidence.segments[camera.id, dimension]:
        for part in within(served, time_of(segment)):
            items += _pieces(segment, part, cuts, excluded, window.now_us)
    return items


def _pieces(
    segment: Segment, span: Interval, cuts: Sequence[int], excluded: Sequence[Interval], now_us: int
) -> list[TimelineItem]:
    edges = [span.from_us, *(cut for cut in cuts if span.from_us < cut < span.to_us), span.to_us]
    return [
        TimelineItem.model_validate(
            {
                "from": rfc3339(begin),
                "to": None if end >= now_us else rfc3339(end),
                "state": segment.state,
                "reason": segment.reason,
                "blame": segment.blame,
                "excluded": any(one.from_us <= begin < one.to_us for one in excluded),
                "origin": segment.origin,
            }
        )
        for begin, end in itertools.pairwise(edges)
    ]


def _stretch(evidence: Evidence, span: Interval) -> StretchOut:
    uptime = rate(evidence.watched(STREAM), span.from_us, span.to_us)
    intact = intact_rates(evidence.watched(PICTURE), evidence.of(STREAM), span.from_us, span.to_us)
    return StretchOut.model_validate(
        {
            "from": rfc3339(span.from_us),
            "to": rfc3339(span.to_us),
            "uptime": RateOut(**rate_json(uptime)),
            "intact": IntactOut(
                of_online=IntactRateOut(**rate_json(intact.of_online, inferred_us=0)),
                of_registered=IntactRateOut(**rate_json(intact.of_registered, inferred_us=0)),
            ),
        }
    )
