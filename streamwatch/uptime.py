"""Stage 10: segments + window -> rates with coverage, exact to the microsecond.

Every rate is made of four sums that add up to the cameras' time in service within the window: up, down, unknown and
excluded (approved maintenance). Time without a segment is unknown. The picture of a camera counts only while its
stream is not down: a picture seen before an outage says nothing about the outage.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import structs

from streamwatch.clock import US, from_datetime, to_datetime
from streamwatch.errors import UsageError
from streamwatch.model.look import State
from streamwatch.model.timeline import Rate, Segment

ZONE: Final = "Asia/Shanghai"  # days and months of every report
UNATTRIBUTED: Final = "unattributed"  # in `down_by_blame_us`: down, and nobody said whose fault
MAX_WINDOWS: Final = 9_000  # a leap year of hours is 8,784
RATIO_PARTS: Final = 10**6  # a ratio is shown in millionths, rounded down: 0.9999996 is never shown as 1


class Interval(NamedTuple):
    """Half open [from_us, to_us), UTC microseconds."""

    from_us: int
    to_us: int


class By(StrEnum):
    """How a window is divided."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Watched:
    """One camera: its segments of one dimension (disjoint, any order), when it was in service, and what is excluded."""

    segments: Sequence[Segment]
    in_service: Sequence[Interval]
    excluded: Sequence[Interval] = ()


@dataclass(frozen=True, slots=True)
class IntactRates:
    """Intact 完好 of the time online, and of all registered time: the second counts a stream that is down as defective.

    Time whose picture nobody judged is unknown in both.
    """

    of_online: Rate
    of_registered: Rate


@dataclass(slots=True)
class _Sums:
    up_us: int = 0
    down_us: int = 0
    unknown_us: int = 0
    excluded_us: int = 0
    cameras: int = 0
    by_blame: dict[str, int] = field(default_factory=dict)


def rate(cameras: Iterable[Watched], from_us: int, to_us: int) -> Rate:
    """The rate of `cameras` together over [from_us, to_us); a camera that was never in service there is not counted.

    The window must not reach beyond now: what has not happened yet is nobody's unknown time.
    """
    sums = _Sums()
    for camera in cameras:
        _add(sums, camera, Interval(from_us, to_us))
    return _rate(sums)


def intact_rates(
    pictures: Sequence[Watched], streams: Sequence[Sequence[Segment]], from_us: int, to_us: int
) -> IntactRates:
    """Both intact rates; `streams` holds the stream segments of the cameras of `pictures`, in the same order."""
    online, registered = _Sums(), _Sums()
    window = Interval(from_us, to_us)
    for picture, stream in zip(pictures, streams, strict=True):
        down = [segment for segment in stream if segment.state is State.DOWN]
        outages = merged([Interval(segment.from_us, segment.to_us) for segment in down])
        judged = [
            structs.replace(segment, from_us=part.from_us, to_us=part.to_us)
            for segment in picture.segments
            for part in without([Interval(segment.from_us, segment.to_us)], outages)
        ]
        _add(online, Watched(judged, picture.in_service, picture.excluded), window)
        _add(registered, Watched([*judged, *down], picture.in_service, picture.excluded), window)
    return IntactRates(_rate(online), _rate(registered))


def combine(rates: Iterable[Rate]) -> Rate:
    """The rate of all cameras of `rates` together: sums are added, percentages never averaged.

    For groups that share no camera, over the same window. In whatever order and grouping, the result is the same.
    """
    sums = _Sums()
    for one in rates:
        sums.up_us += one.up_us
        sums.down_us += one.down_us
        sums.unknown_us += one.unknown_us
        sums.excluded_us += one.excluded_us
        sums.cameras += one.cameras
        for blame, time_us in one.down_by_blame_us.items():
            sums.by_blame[blame] = sums.by_blame.get(blame, 0) + time_us
    return _rate(sums)


def windows(from_us: int, to_us: int, by: By, zone: str = ZONE) -> tuple[Interval, ...]:
    """[from_us, to_us) divided at the hours, midnights or firsts of month of `zone`; the first and last may be partial.

    Raises UsageError where that gives more than MAX_WINDOWS.
    """
    local = ZoneInfo(zone)
    found: list[Interval] = []
    cursor = from_us
    while cursor < to_us:
        if len(found) == MAX_WINDOWS:
            raise UsageError(f"from/to by {by} are more than {MAX_WINDOWS} windows: choose a longer step or less time")
        end_us = min(_next_boundary(cursor, by, local), to_us)
        found.append(Interval(cursor, end_us))
        cursor = end_us
    return tuple(found)


def rate_json(rate: Rate, *, inferred_us: int | None = None) -> dict[str, Any]:
    """A rate as the interface shows it: seconds (whole ones as integers), ratios in millionths rounded down.

    `inferred_us` is for intact rates: the part of up that no decoded picture shows, but one judged equal to it.
    """
    seen, all_us = rate.up_us + rate.down_us, rate.up_us + rate.down_us + rate.unknown_us
    shown: dict[str, Any] = {
        "value": _ratio(rate.up_us, seen),
        "low": _ratio(rate.up_us, all_us),
        "high": _ratio(rate.up_us + rate.unknown_us, all_us),
        "up_s": _seconds(rate.up_us),
        "down_s": _seconds(rate.down_us),
        "unknown_s": _seconds(rate.unknown_us),
        "excluded_s": _seconds(rate.excluded_us),
        "coverage": _ratio(seen, all_us),
        "cameras": rate.cameras,
        "down_by_blame_s": {blame: _seconds(time_us) for blame, time_us in rate.down_by_blame_us.items()},
    }
    if inferred_us is not None:
        shown["inferred_s"] = _seconds(inferred_us)
    return shown


def merged(intervals: Iterable[Interval]) -> list[Interval]:
    """The same time as `intervals`, in order, without overlap or touching neighbours; empty ones are dropped."""
    found: list[Interval] = []
    for one in sorted(intervals):
        if one.to_us <= one.from_us:
            continue
        if found and one.from_us <= found[-1].to_us:
            found[-1] = Interval(found[-1].from_us, max(found[-1].to_us, one.to_us))
        else:
            found.append(Interval(one.from_us, one.to_us))
    return found


def within(intervals: Sequence[Interval], window: Interval) -> list[Interval]:
    """The part of `intervals` that lies in `window`."""
    cut = [Interval(max(one.from_us, window.from_us), min(one.to_us, window.to_us)) for one in intervals]
    return [one for one in cut if one.to_us > one.from_us]


def without(intervals: Sequence[Interval], holes: Sequence[Interval]) -> list[Interval]:
    """`intervals` without the time of `holes`; both in order and without overlap, as `merged` gives them."""
    found: list[Interval] = []
    for one in intervals:
        cursor = one.from_us
        for hole in holes:
            if hole.to_us <= cursor:
                continue
            if hole.from_us >= one.to_us:
                break
            if hole.from_us > cursor:
                found.append(Interval(cursor, hole.from_us))
            cursor = hole.to_us
        if cursor < one.to_us:
            found.append(Interval(cursor, one.to_us))
    return found


def _length(intervals: Iterable[Interval]) -> int:
    return sum(one.to_us - one.from_us for one in intervals)


def _add(sums: _Sums, camera: Watched, window: Interval) -> None:
    """Adds one camera's time in service within `window`, each microsecond to exactly one sum."""
    service = within(merged(camera.in_service), window)
    if not service:
        return
    counted = without(service, merged(camera.excluded))
    unseen_us = _length(counted)
    sums.cameras += 1
    sums.excluded_us += _length(service) - unseen_us
    cursor = window.from_us
    for segment in sorted(camera.segments, key=lambda one: one.from_us):
        # Should two ever overlap, the time is the earlier one's: nothing is counted twice.
        part = Interval(max(segment.from_us, cursor), segment.to_us)
        if part.to_us <= part.from_us:
            continue
        cursor = part.to_us
        if segment.state is State.UNKNOWN:
            continue
        time_us = _length(within(counted, part))
        unseen_us -= time_us
        if segment.state is State.UP:
            sums.up_us += time_us
        elif time_us:
            sums.down_us += time_us
            blame = segment.blame or UNATTRIBUTED
            sums.by_blame[blame] = sums.by_blame.get(blame, 0) + time_us
    sums.unknown_us += unseen_us


def _rate(sums: _Sums) -> Rate:
    seen, all_us = sums.up_us + sums.down_us, sums.up_us + sums.down_us + sums.unknown_us
    return Rate(
        value=sums.up_us / seen if seen else None,
        low=sums.up_us / all_us if all_us else None,
        high=(sums.up_us + sums.unknown_us) / all_us if all_us else None,
        up_us=sums.up_us,
        down_us=sums.down_us,
        unknown_us=sums.unknown_us,
        excluded_us=sums.excluded_us,
        coverage=seen / all_us if all_us else None,
        cameras=sums.cameras,
        down_by_blame_us={str(blame): sums.by_blame[blame] for blame in sorted(sums.by_blame)},
    )


def _next_boundary(us: int, by: By, zone: ZoneInfo) -> int:
    """The first beginning of an hour, day or month after `us`, as the clocks of `zone` show them."""
    local = to_datetime(us).astimezone(zone)
    if by is By.HOUR:
        return us + 3600 * US - (local.minute * 60 + local.second) * US - local.microsecond
    days = 1 if by is By.DAY else 32 - local.day  # 31 days after the first is always in the next month
    later = local.date() + timedelta(days=days)
    first = later if by is By.DAY else later.replace(day=1)
    return from_datetime(datetime(first.year, first.month, first.day, tzinfo=zone))


def _ratio(part: int, whole: int) -> float | None:
    """`part / whole` in millionths, rounded down in integers; None where there is no whole."""
    return part * RATIO_PARTS // whole / RATIO_PARTS if whole else None


def _seconds(us: int) -> int | float:
    """Whole seconds as an integer; others with up to six decimals."""
    whole, rest = divmod(us, US)
    return whole if rest == 0 else us / US
