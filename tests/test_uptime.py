"""Rates add up to the microsecond, carry their coverage, and follow the calendar of Asia/Shanghai."""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.clock import US, from_datetime, parse_rfc3339, rfc3339
from streamwatch.errors import Blame, UsageError
from streamwatch.model.look import State
from streamwatch.model.standing import PICTURE, STREAM
from streamwatch.model.timeline import Rate, Segment
from streamwatch.uptime import (
    MAX_WINDOWS,
    UNATTRIBUTED,
    By,
    Interval,
    Watched,
    combine,
    intact_rates,
    merged,
    rate,
    rate_json,
    windows,
    without,
)

SCALE = int(os.environ.get("STREAMWATCH_GOAL_SCALE", "1"))
EXAMPLES = max(1_000, 500 * SCALE)  # goal R8
UP, DOWN, UNKNOWN = State.UP, State.DOWN, State.UNKNOWN
END = 80  # ticks that random timelines live in

intervals = st.tuples(st.integers(-5, END), st.integers(-3, 30)).map(lambda pair: Interval(pair[0], sum(pair)))


@st.composite
def segments(draw: st.DrawFn, dimension: str = STREAM) -> list[Segment]:
    """Disjoint segments with holes, in any order."""
    cuts = sorted(draw(st.sets(st.integers(-5, END + 5), max_size=12)))
    found = []
    for start, end in pairwise(cuts):
        state = draw(st.sampled_from([UP, UP, DOWN, UNKNOWN, None]))
        if state is not None:
            blame = draw(st.sampled_from([None, Blame.CAMERA, Blame.LINE])) if state is DOWN else None
            found.append(Segment(1, dimension, start, end, state, None, blame))
    return draw(st.permutations(found))


@st.composite
def watched(draw: st.DrawFn, dimension: str = STREAM) -> Watched:
    """One camera with overlapping times in service and overlapping maintenance."""
    service = draw(st.lists(intervals, max_size=3)) or [Interval(-100, 200)]
    return Watched(draw(segments(dimension)), service, draw(st.lists(intervals, max_size=3)))


def covers(spans: list[Interval] | tuple[Interval, ...], tick: int) -> bool:
    """Whether the tick lies in one of them."""
    return any(span.from_us <= tick < span.to_us for span in spans)


def at(found: list[Segment], tick: int) -> Segment | None:
    """The segment of that tick."""
    return next((one for one in found if one.from_us <= tick < one.to_us), None)


class Ticks:
    """The four sums a second time: one tick at a time."""

    def __init__(self) -> None:
        self.sums = {"up": 0, "down": 0, "unknown": 0, "excluded": 0}
        self.blames: dict[str, int] = {}
        self.cameras = 0

    def add(self, camera: Watched, start: int, end: int, judge) -> None:  # type: ignore[no-untyped-def]
        """One camera; `judge` tells state and blame of a tick."""
        served = [tick for tick in range(start, end) if covers(list(camera.in_service), tick)]
        self.cameras += bool(served)
        for tick in served:
            state, blame = judge(tick)
            if covers(list(camera.excluded), tick):
                state = "excluded"
            self.sums[state] += 1
            if state == "down":
                self.blames[blame or UNATTRIBUTED] = self.blames.get(blame or UNATTRIBUTED, 0) + 1

    def same(self, found: Rate) -> bool:
        """Whether a rate says exactly this."""
        up, down, unknown = (self.sums[name] for name in ("up", "down", "unknown"))
        ratios = [
            (up, up + down),
            (up, up + down + unknown),
            (up + unknown, up + down + unknown),
            (up + down, up + down + unknown),
        ]
        expected = [float(Fraction(part, whole)) if whole else None for part, whole in ratios]
        return (
            (found.up_us, found.down_us, found.unknown_us, found.excluded_us) == tuple(self.sums.values())
            and found.down_by_blame_us == self.blames
            and found.cameras == self.cameras
            and [found.value, found.low, found.high, found.coverage] == expected
        )


@settings(max_examples=EXAMPLES)
@given(st.lists(watched(), max_size=3), st.integers(-10, END), st.integers(0, END))
def test_r8_rates_equal_a_tick_by_tick_oracle(cameras: list[Watched], start: int, length: int) -> None:
    """Goal R8: overlap, maintenance, gaps and time out of service: four sums, exactly, over any window."""
    oracle = Ticks()
    for camera in cameras:

        def judge(tick: int) -> tuple[str, str | None]:
            here = at(list(camera.segments), tick)  # noqa: B023 - used within this turn only
            return (here.state.value, here.blame) if here else ("unknown", None)

        oracle.add(camera, start, start + length, judge)

    assert oracle.same(rate(cameras, start, start + length))


@settings(max_examples=EXAMPLES // 2)
@given(st.lists(st.tuples(watched(PICTURE), segments()), max_size=3), st.integers(-10, END), st.integers(0, END))
def test_r8_intact_rates_equal_a_tick_by_tick_oracle(
    cameras: list[tuple[Watched, list[Segment]]], start: int, length: int
) -> None:
    """A stream that is down hides its picture: unjudged among the online time, defective among the registered."""
    online, registered = Ticks(), Ticks()
    for picture, stream in cameras:

        def judge(tick: int, *, counts_outages: bool) -> tuple[str, str | None]:
            sent, shown = at(stream, tick), at(list(picture.segments), tick)  # noqa: B023 - used within this turn only
            if sent and sent.state is DOWN:
                return ("down", sent.blame) if counts_outages else ("unknown", None)
            return (shown.state.value, shown.blame) if shown else ("unknown", None)

        online.add(picture, start, start + length, lambda tick: judge(tick, counts_outages=False))
        registered.add(picture, start, start + length, lambda tick: judge(tick, counts_outages=True))
    found = intact_rates([picture for picture, _ in cameras], [stream for _, stream in cameras], start, start + length)

    assert online.same(found.of_online)
    assert registered.same(found.of_registered)


@settings(max_examples=EXAMPLES // 4)
@given(st.lists(watched(), min_size=1, max_size=6), st.randoms())
def test_r8_combining_is_associative_and_free_of_order(cameras: list[Watched], dice: random.Random) -> None:
    """The rate of a county is the sum of its villages', however they are grouped."""
    whole = rate(cameras, 0, END)
    parts = [rate([camera], 0, END) for camera in cameras]
    dice.shuffle(parts)
    cut = dice.randint(0, len(parts))

    assert combine(parts) == whole
    assert combine([combine(parts[:cut]), combine(parts[cut:])]) == whole
    assert combine([whole]) == whole


@settings(max_examples=EXAMPLES // 4)
@given(st.lists(intervals, max_size=8), st.lists(intervals, max_size=8), st.randoms())
def test_r8_merging_is_associative_order_free_and_idempotent(
    some: list[Interval], others: list[Interval], dice: random.Random
) -> None:
    """Overlapping maintenance is one stretch, whatever order it was entered in."""
    shuffled = [*some, *others]
    dice.shuffle(shuffled)
    whole = merged([*some, *others])

    assert [tick for tick in range(-10, 130) if covers(whole, tick)] == [
        tick for tick in range(-10, 130) if covers(shuffled, tick)
    ]
    assert all(one.to_us < two.from_us for one, two in pairwise(whole))
    assert merged(shuffled) == merged(merged(some) + merged(others)) == merged(whole) == whole
    assert [tick for tick in range(-10, 130) if covers(without(merged(some), merged(others)), tick)] == [
        tick for tick in range(-10, 130) if covers(some, tick) and not covers(others, tick)
    ]


def test_overlapping_segments_are_never_counted_twice() -> None:
    """Should two segments ever overlap, the sums still equal the time."""
    found = rate(
        [Watched([Segment(1, STREAM, 0, 60, UP), Segment(1, STREAM, 40, 90, DOWN)], [Interval(0, 100)])], 0, 100
    )

    assert (found.up_us, found.down_us, found.unknown_us) == (60, 30, 10)


def test_rate_without_time_is_null() -> None:
    """Nothing seen gives no value; nothing in service gives no coverage either."""
    unseen, absent = rate([Watched([], [Interval(0, 9)])], 0, 9), rate([Watched([], [Interval(20, 30)])], 0, 9)

    assert (unseen.value, unseen.low, unseen.high, unseen.coverage, unseen.cameras) == (None, 0.0, 1.0, 0.0, 1)
    assert (absent.value, absent.low, absent.high, absent.coverage, absent.cameras) == (None, None, None, None, 0)
    assert rate_json(absent)["value"] is rate_json(absent)["coverage"] is None


def test_json_has_the_shape_of_the_interface() -> None:
    """Seconds as numbers, whole ones as integers; ratios beside them."""
    one = [
        Segment(1, STREAM, 0, 6 * US, UP),
        Segment(1, STREAM, 6 * US, 8 * US, DOWN, "net.reset", Blame.LINE),
    ]
    other = [Segment(2, STREAM, 0, 1_250_000, UP)]
    cameras = [
        Watched(one, [Interval(0, 10 * US)]),
        Watched(other, [Interval(0, 2 * US)], [Interval(US, 9 * US)]),
    ]

    assert rate_json(rate(cameras, 0, 10 * US), inferred_us=US) == {
        "value": 0.777777,
        "low": 0.636363,
        "high": 0.818181,
        "up_s": 7,
        "down_s": 2,
        "unknown_s": 2,
        "excluded_s": 1,
        "coverage": 0.818181,
        "cameras": 2,
        "down_by_blame_s": {"line": 2},
        "inferred_s": 1,
    }
    seconds = rate_json(
        rate([Watched([Segment(1, STREAM, 0, 77_530_400_123_456, UP)], [Interval(0, 10**17)])], 0, 10**17)
    )
    assert seconds["up_s"] == 77530400.123456
    assert isinstance(rate_json(rate(cameras, 0, 10 * US))["up_s"], int)


def test_almost_always_up_is_not_shown_as_always() -> None:
    """One microsecond of down, or of not looking, in a year never disappears in rounding up."""
    year = 365 * 86_400 * US
    down = rate(
        [Watched([Segment(1, STREAM, 0, year - 1, UP), Segment(1, STREAM, year - 1, year, DOWN)], [Interval(0, year)])],
        0,
        year,
    )
    gap = rate([Watched([Segment(1, STREAM, 0, year - 1, UP)], [Interval(0, year)])], 0, year)

    assert rate_json(down)["value"] == 0.999999
    assert (rate_json(gap)["value"], rate_json(gap)["coverage"], rate_json(gap)["low"]) == (1.0, 0.999999, 0.999999)


def told(found: tuple[Interval, ...]) -> list[str]:
    """The boundaries of windows, readable."""
    return [rfc3339(one.from_us) for one in found] + [rfc3339(found[-1].to_us)]


def test_days_and_months_are_those_of_shanghai() -> None:
    """A day begins at 16:00Z, wherever this machine stands; the leap day is one."""
    start, end = parse_rfc3339("2028-02-28T10:00:00Z"), parse_rfc3339("2028-03-01T20:00:00Z")

    assert told(windows(start, end, By.DAY)) == [
        "2028-02-28T10:00:00Z",
        "2028-02-28T16:00:00Z",
        "2028-02-29T16:00:00Z",
        "2028-03-01T16:00:00Z",
        "2028-03-01T20:00:00Z",
    ]
    assert told(windows(start, end, By.MONTH)) == [
        "2028-02-28T10:00:00Z",
        "2028-02-29T16:00:00Z",
        "2028-03-01T20:00:00Z",
    ]


@pytest.mark.parametrize("day", range(1, 32))
def test_months_follow_from_any_day_of_a_month(day: int) -> None:
    """The next first of the month is found from the 1st as well as from the 31st, also where February follows."""
    start = f"2027-01-{day:02}T03:00:00Z"

    assert told(windows(parse_rfc3339(start), parse_rfc3339("2027-03-31T16:00:00Z"), By.MONTH)) == [
        start,
        "2027-01-31T16:00:00Z",
        "2027-02-28T16:00:00Z",
        "2027-03-31T16:00:00Z",
    ]


def test_last_microsecond_of_a_year_belongs_to_it() -> None:
    """Half open: the year ends at 16:00Z, and what begins there is the next one's."""
    start, end = parse_rfc3339("2026-12-31T15:59:59.999999Z"), parse_rfc3339("2026-12-31T16:00:00.000001Z")

    assert told(windows(start, end, By.MONTH))[1] == "2026-12-31T16:00:00Z"


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("America/New_York", "2026-03-08T05:00:00Z", 23),
        ("America/New_York", "2026-11-01T04:00:00Z", 25),
        ("Asia/Shanghai", "1986-05-03T16:00:00Z", 23),
        ("America/Sao_Paulo", "2018-11-04T03:00:00Z", 23),  # its midnight did not exist
    ],
)
def test_days_of_changing_clocks_have_their_true_length(zone: str, day: str, hours: int) -> None:
    """A day on which the clocks are moved is one day of 23 or 25 hours, and its hours are real hours."""
    start = parse_rfc3339(day)
    first, *_ = windows(start, start + 3 * 86_400 * US, By.DAY, zone)

    assert (first.to_us - first.from_us) / US / 3600 == hours
    assert len(windows(*first, By.HOUR, zone)) == hours


@settings(max_examples=300)
@given(
    st.datetimes(datetime(1980, 1, 1), datetime(2040, 1, 1)),
    st.integers(1, 400 * 86_400 * US),
    st.sampled_from([By.DAY, By.MONTH]),
    st.sampled_from(["Asia/Shanghai", "America/New_York", "Australia/Lord_Howe", "UTC"]),
)
def test_windows_are_the_window_without_hole_or_overlap(begin: datetime, length: int, by: By, zone: str) -> None:
    """Divided or not, it is the same time: half open, in order, each part with some length."""
    start = from_datetime(begin.replace(tzinfo=UTC))
    found = windows(start, start + length, by, zone)

    assert found[0].from_us == start
    assert found[-1].to_us == start + length
    assert all(one.to_us == two.from_us for one, two in pairwise(found))
    assert all(one.to_us > one.from_us for one in found)
    assert len(found) <= length // ((23 if by is By.DAY else 27 * 24) * 3600 * US) + 2


def test_windows_are_bounded() -> None:
    """A year of hours is given; a century of them is refused with the remedy."""
    hour = 3600 * US
    assert len(windows(0, MAX_WINDOWS * hour, By.HOUR)) == MAX_WINDOWS
    with pytest.raises(UsageError, match="choose a longer step"):
        windows(0, (MAX_WINDOWS + 1) * hour, By.HOUR)
    assert windows(5, 5, By.DAY) == ()
