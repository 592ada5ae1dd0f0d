"""How much is looked at follows from how the patrol goes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.model.look import Depth
from streamwatch.schedule.capacity import (
    CALM_PERIODS,
    LADDERS,
    MOST_CALM_PERIODS,
    PICTURE_STEPS,
    WHOLE,
    Capacity,
    Lags,
    Thinning,
    depth_of,
)

US = 1_000_000
INTERVAL_S = 60


class Patrol:
    """A capacity and its periods, one after the other."""

    def __init__(self, depth: Depth = Depth.PICTURE) -> None:
        self.capacity = Capacity(depth, INTERVAL_S)
        self.now_us = 1_800_000_000 * US
        self.capacity.turn(self.now_us)

    def period(self, late: int = 0, of: int = 100, lag_s: float = 30.0, unfinished: int = 0, rounds: int = 10) -> bool:
        for number in range(of):
            self.capacity.began(lag_s if number < late else 0.1, INTERVAL_S)
        for number in range(rounds):
            self.capacity.ended(in_time=number >= unfinished)
        self.now_us += INTERVAL_S * US
        return self.capacity.turn(self.now_us)


@given(st.lists(st.floats(0, 5_000), min_size=1, max_size=60), st.floats(0.01, 1))
@settings(max_examples=100)
def test_a_quantile_of_lags_is_never_told_too_low_nor_more_than_a_quarter_too_high(
    lags: list[float], share: float
) -> None:
    """Against all of them in order; below 4 ms and above 70 minutes the scale ends."""
    half = len(lags) // 2
    told, others = Lags(), Lags()
    for number, lag_s in enumerate(lags):
        (told if number < half else others).add(lag_s)
    wanted = share * len(lags)
    exact = next(lag for number, lag in enumerate(sorted(lags), 1) if number >= wanted)

    found = told.quantile(share, others)

    assert found >= min(exact, 4_000)
    assert found <= max(exact * 1.25 + 0.001, 0.004)


def test_without_looks_there_is_no_lag() -> None:
    """Nothing began late where nothing began."""
    assert Lags().quantile(0.99, Lags()) == 0.0


def test_a_patrol_in_time_is_whole() -> None:
    """Looks that begin a little late, and one camera that takes its time, change nothing."""
    patrol = Patrol()
    for _ in range(5):
        patrol.period(late=5, unfinished=1)

    assert patrol.capacity.thinning == WHOLE


def test_picture_looks_thin_out_first_and_stream_looks_last() -> None:
    """Period by period one step down the ladder; at its end nothing is left to take away."""
    patrol = Patrol()
    seen = [patrol.capacity.thinning]
    while not patrol.capacity.exhausted:
        patrol.period(late=20)
        seen.append(patrol.capacity.thinning)
    patrol.period(late=20)

    assert seen == list(LADDERS[Depth.PICTURE])
    assert [one.picture_every for one in seen[:6]] == [1, 2, 3, 4, 6, 12]
    assert all(one.stream_every == 1 for one in seen[:6])
    assert patrol.capacity.thinning == Thinning(12, 6)


def test_a_patrol_of_streams_thins_to_reach() -> None:
    """It has no picture looks that could go first; one that only asks for answers has nothing to thin."""
    patrol, answers = Patrol(Depth.STREAM), Patrol(Depth.REACH)
    for one in (patrol, answers):
        one.period(late=20)

    assert patrol.capacity.thinning == Thinning(1, 2)
    assert answers.capacity.thinning == WHOLE
    assert answers.capacity.exhausted


def test_streams_are_not_given_away_for_looks_that_come_within_the_grace() -> None:
    """A quarter of the interval late costs pictures; a stream look is better late than not at all."""
    pictures, streams = Patrol(), Patrol(Depth.STREAM)
    for _ in range(9):
        pictures.period(late=20, lag_s=INTERVAL_S / 4)
        streams.period(late=20, lag_s=INTERVAL_S / 4)
    assert pictures.capacity.thinning == Thinning(12, 1)
    assert streams.capacity.thinning == WHOLE
    pictures.period(late=20, lag_s=INTERVAL_S / 2)
    streams.period(late=20, lag_s=INTERVAL_S / 2)

    assert pictures.capacity.thinning == Thinning(12, 2)
    assert streams.capacity.thinning == Thinning(1, 2)


def test_short_intervals_bear_a_hesitation() -> None:
    """At 5 s a fifth of the interval is one second: that alone is not too much work, three are."""
    capacity = Capacity(Depth.PICTURE, 5)
    seen = []
    for period, lag_s in enumerate((0.0, 2.9, 3.1)):
        capacity.turn(period * 20 * US)
        for _ in range(10):
            capacity.began(lag_s, 5)
        capacity.turn((period + 1) * 20 * US)
        seen.append(capacity.thinning.picture_every)

    assert seen == [1, 1, 3]


def test_rounds_that_do_not_end_thin_out_as_late_looks_do() -> None:
    """Looks that began in time and never ended are no capacity."""
    patrol = Patrol()
    patrol.period(unfinished=2)

    assert patrol.capacity.thinning == Thinning(2, 1)
    assert patrol.capacity.unfinished_rounds == 2


def test_rounds_that_were_not_sent_and_looks_without_room_count() -> None:
    """What never began has no lag to tell of it."""
    missed, full = Patrol(), Patrol()
    missed.capacity.missed(3)
    missed.period()
    for _ in range(60):
        full.capacity.not_begun()
    full.period(of=40)
    streams = Patrol(Depth.STREAM)
    for _ in range(60):
        streams.capacity.not_begun()
    streams.period(of=40)

    assert streams.capacity.thinning == Thinning(1, 3)
    assert missed.capacity.thinning == Thinning(2, 1)
    assert full.capacity.thinning == Thinning(3, 1)  # more than half: two steps at once


def test_it_recovers_by_itself_after_calm_periods() -> None:
    """A step back for every CALM_PERIODS in which all went well; a period that is neither begins the count anew."""
    patrol = Patrol()
    patrol.period(late=20)
    patrol.period(late=20)
    assert patrol.capacity.thinning == Thinning(3, 1)
    for _ in range(CALM_PERIODS - 1):
        assert not patrol.period()
    assert not patrol.period(late=5)
    for _ in range(CALM_PERIODS - 1):
        assert not patrol.period()
    assert patrol.period()
    assert patrol.capacity.thinning == Thinning(2, 1)
    for _ in range(CALM_PERIODS):
        patrol.period()
    assert patrol.capacity.thinning == WHOLE


def test_a_step_back_that_was_too_early_is_tried_ever_more_rarely() -> None:
    """Where there is room for half of the pictures only, it does not swing: the pauses double to MOST_CALM_PERIODS."""
    patrol = Patrol()
    pauses, pause = [], 0
    for _ in range(300):
        room = patrol.capacity.thinning.picture_every >= 2
        patrol.period(late=0 if room else 20)
        pause = pause + 1 if room else 0
        if room and patrol.capacity.thinning == WHOLE:
            pauses.append(pause)

    assert pauses[:5] == [3, 6, 12, 24, 48]
    assert set(pauses[4:]) == {MOST_CALM_PERIODS}


def test_no_looks_prove_nothing() -> None:
    """A period without looks is not a calm one."""
    patrol = Patrol()
    patrol.period(late=20)
    for _ in range(10):
        patrol.period(of=0, rounds=0)

    assert patrol.capacity.thinning == Thinning(2, 1)


@given(st.sampled_from(LADDERS[Depth.PICTURE]), st.integers(0, 10**9))
def test_each_camera_keeps_its_share_of_deep_looks(thinning: Thinning, turn: int) -> None:
    """Of any twelve looks in a row exactly the told share is a picture look, and a stream look or deeper."""
    deep = [depth_of(Depth.PICTURE, thinning, turn + number) for number in range(PICTURE_STEPS[-1])]

    assert deep.count(Depth.PICTURE) == PICTURE_STEPS[-1] // thinning.picture_every
    assert len(deep) - deep.count(Depth.REACH) == PICTURE_STEPS[-1] // thinning.stream_every
