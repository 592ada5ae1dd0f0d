"""What the planner does where there is more work than room, and between the rounds of the patrol."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.errors import Reason, Step
from streamwatch.model.look import Depth, Look, StreamKind
from streamwatch.model.report import Health, Report, Round
from streamwatch.schedule import US, Planner, Policy
from streamwatch.schedule.capacity import LADDERS, REACH_STEPS, WHOLE, Thinning, ladder_of
from streamwatch.schedule.outstanding import LINE_TURN_S, TELL_S
from streamwatch.schedule.tickets import offset_ms
from tests.schedule.test_planner import NOW, inventory, planner, run

HEALTH = Health(at_us=0, loop_lag_ms=0)


def report(order: Round, late_s: float = 0.0, *, last: bool = True, **found: Any) -> Report:
    """All looks of that round, begun so late."""
    looks = tuple(
        Look(
            camera=ticket.camera, depth=order.depth, stream=StreamKind.SUB, duration_us=1, vantage="v",
            started_us=order.due_us + ticket.offset_ms * 1000 + int(late_s * US), **found,
        )
        for ticket in order.tickets
    )  # fmt: skip
    return Report(
        round_id=order.id, village=order.village, depth=order.depth, due_us=order.due_us, attempt=order.attempt,
        part=0, last=last, vantage="v", before=HEALTH, after=HEALTH, looks=looks,
    )  # fmt: skip


def thinned(plan: Planner, wanted: Thinning, now_us: int) -> int:
    """Tells of late looks until that thinning is in force; gives the time then."""
    while plan.capacity.thinning != wanted:
        for number in range(100):
            plan.capacity.began(60.0 if number < 20 else 0.0, 60)
        plan.capacity.turn(now_us)
        now_us += 60 * US
    return now_us


@given(st.sampled_from(LADDERS[Depth.PICTURE]), st.integers(1, 3), st.integers(1, 7))
@settings(max_examples=40)
def test_nobody_starves_whatever_is_taken_away(thinning: Thinning, villages: int, cameras: int) -> None:
    """Each camera gets one look an interval at its own moment, and its share of the deep ones."""
    plan = planner()
    plan.load(inventory(villages, cameras), NOW)
    run(plan, NOW, NOW + 60 * US, US)
    begin_us = thinned(plan, thinning, NOW + 60 * US)
    plan.capacity._ends_us = 2**62  # it stays as it is
    run(plan, begin_us, begin_us + 1, 1)

    found: dict[int, list[Depth]] = {}
    for now_us in range(begin_us + US, begin_us + 12 * 60 * US + US, US):
        for order in plan.due(now_us):
            assert order.attempt == 0
            for ticket in order.tickets:
                assert ticket.offset_ms == offset_ms(ticket.camera, order.window_ms)
                turn = order.due_us // (60 * US) + ticket.camera
                picture, stream = turn % thinning.picture_every == 0, turn % thinning.stream_every == 0
                assert order.depth is (Depth.PICTURE if picture else Depth.STREAM if stream else Depth.REACH)
                found.setdefault(ticket.camera, []).append(order.depth)
            plan.heard(report(order, late_s=2.0), now_us)

    assert len(found) == villages * cameras
    for depths in found.values():
        told = Counter(depths)
        assert len(depths) == 12
        assert told[Depth.PICTURE] == 12 // thinning.picture_every


def test_late_looks_thin_the_patrol_and_timely_ones_make_it_whole_again() -> None:
    """From Reports alone: the lag is from a look's own moment in its round, and it all comes back."""
    plan = planner()
    plan.load(inventory(4, 5), NOW)

    def minutes(number: int, late_s: float, begin_us: int) -> int:
        for now_us in range(begin_us, begin_us + number * 60 * US, US):
            for order in plan.due(now_us):
                plan.heard(report(order, late_s), now_us + US)
        return begin_us + number * 60 * US

    now_us = minutes(3, 0.2, NOW)
    assert plan.capacity.thinning == WHOLE
    assert plan.capacity.lag_s(0.99) == pytest.approx(0.2, rel=0.25)
    now_us = minutes(3, 20.0, now_us)
    assert plan.capacity.thinning.picture_every > 2
    minutes(20, 0.2, now_us)
    assert plan.capacity.thinning == WHOLE


def test_a_round_that_does_not_end_in_its_time_is_unfinished_once() -> None:
    """Its window, its longest look and the telling are over; what comes later changes nothing."""
    plan = planner(Policy(interval_s=300, deadline_s=20.0))
    plan.load(inventory(1, 3, 300), NOW)
    (order,) = plan.due(NOW + 300 * US)
    over_us = order.due_us + order.window_ms * 1000 + int((60.0 + TELL_S) * US)  # 60 s: a rare keyframe's patience

    plan.heard(report(order, last=False), over_us)
    plan.due(over_us)
    assert plan.capacity.unfinished_rounds == 0
    plan.due(over_us + 1)
    assert plan.capacity.unfinished_rounds == 1
    plan.heard(report(order), over_us + 2)
    assert plan.capacity.unfinished_rounds == 1


def test_looks_may_wait_for_their_line_before_a_round_is_unfinished() -> None:
    """Where a line's bits are counted, its turn belongs to the round's time."""
    plan = planner(Policy(interval_s=300, per_line_kbps=500))
    plan.load(inventory(1, 3, 300, line="L1"), NOW)
    (order,) = plan.due(NOW + 300 * US)

    plan.heard(report(order), order.due_us + order.window_ms * 1000 + int((60.0 + LINE_TURN_S + TELL_S) * US))
    assert plan.capacity.unfinished_rounds == 0


def test_rounds_of_a_lost_looker_are_not_held_against_us() -> None:
    """It died with them in hand, or there was none: that is no question of capacity."""
    plan = planner()
    plan.load(inventory(2, 3), NOW)
    orders = [order for second in range(61) for order in plan.due(NOW + second * US)]
    plan.undelivered(orders[0])
    plan.looker_lost()
    plan.due(NOW + 59 * 60 * US)

    assert plan.capacity.unfinished_rounds == 0


def test_looks_that_our_own_limits_held_back_are_told_apart() -> None:
    """No room in a looker is more work than room; no room on a thin line is that line's."""
    told = []
    for reason in (Reason.OURS_OVERLOAD, Reason.OURS_LIMIT):
        plan = planner()
        plan.load(inventory(2, 20), NOW)
        for second in range(140):
            for order in plan.due(NOW + second * US):
                plan.heard(report(order, reason=reason, step=Step.CONNECT), NOW + second * US)
        told.append(plan.capacity.thinning)

    assert told[0].picture_every > 1
    assert told[1] == WHOLE


def test_reach_looks_come_between_those_of_the_patrol() -> None:
    """Every 60 s of 300 four of them, at each camera's own place, and none beside a round of the patrol."""
    plan = planner(Policy(interval_s=300, reach_s=60.0))
    plan.load(inventory(3, 4, 300), NOW)
    moments: dict[int, list[tuple[int, Depth]]] = {}
    for now_us in range(NOW, NOW + 1500 * US, US):
        for order in plan.due(now_us):
            assert len(order.tickets) == 4
            moments.setdefault(order.village, []).append((order.due_us, order.depth))
            plan.heard(report(order), now_us)

    for rounds in moments.values():
        assert {(b[0] - a[0]) / US for a, b in pairwise(rounds)} == {60.0}
        begin = next(at for at, (_, depth) in enumerate(rounds) if depth is Depth.PICTURE)
        assert [depth for _, depth in rounds[begin : begin + 5]] == [Depth.PICTURE, *[Depth.REACH] * 4]


REACH = [(60, 60.0, 0), (60, 41.0, 0), (60, 40.0, 1), (60, 20.0, 2)]


@pytest.mark.parametrize(("interval_s", "reach_s", "between"), REACH)
def test_reach_looks_need_room(interval_s: int, reach_s: float, between: int) -> None:
    """One and a half pauses must fit before the next round, else it is near enough."""
    plan = Planner(Policy(interval_s=interval_s, reach_s=reach_s), random.Random(1))
    plan.load(inventory(1, 2, interval_s), NOW)
    depths: Counter[Depth] = Counter()
    for now_us in range(NOW, NOW + 10 * interval_s * US, US):
        for order in plan.due(now_us):
            depths[order.depth] += 1
            plan.heard(report(order), now_us)

    assert depths[Depth.PICTURE] == 10
    assert abs(depths[Depth.REACH] - between * 10) <= between


def test_a_late_planner_sends_one_reach_round_and_not_all_that_it_slept_through() -> None:
    """Ten minutes asleep: what is due now, once; and a village that is gone gets none."""
    plan = planner(Policy(interval_s=3600, reach_s=60.0))
    plan.load(inventory(1, 2, 3600), NOW)
    run(plan, NOW, NOW + 3600 * US, US)
    begin_us = NOW + 3600 * US
    assert len([order for order in plan.due(begin_us + 600 * US) if order.depth is Depth.REACH]) <= 1
    plan.load(inventory(0, 0), begin_us + 600 * US)

    assert run(plan, begin_us + 600 * US, begin_us + 900 * US, US) == []


def test_looks_that_waited_for_their_own_device_are_not_late() -> None:
    """A silent recorder makes its own looks begin a minute late: that thins nothing out; half of it does."""
    told = []
    for queued_s in (60.0, 30.0):
        plan = planner()
        plan.load(inventory(4, 5), NOW)
        for now_us in range(NOW, NOW + 4 * 60 * US, US):
            for order in plan.due(now_us):
                plan.heard(report(order, 60.0, queued_ms=queued_s * 1000), now_us)
        told.append((plan.capacity.thinning, plan.capacity.lag_s(0.99)))

    assert told[0] == (WHOLE, pytest.approx(0.001, abs=0.001))
    assert told[1][0].picture_every > 1
    assert told[1][1] >= 30


@pytest.mark.parametrize(("shared", "policy", "turns"), [
    ({}, Policy(interval_s=300), 1),
    ({"recorder": "N1"}, Policy(interval_s=300, per_recorder=2), 3),
    ({"recorder": "N1"}, Policy(interval_s=300, per_recorder=8), 1),
    ({"sub_url": "rtsp://192.0.2.7/x"}, Policy(interval_s=300, per_host=1), 5),
])  # fmt: skip
def test_a_round_may_take_as_long_as_its_silent_device_makes_it(
    shared: dict[str, Any], policy: Policy, turns: int
) -> None:
    """Five looks that follow each other in so many turns, each as long as a look may take: not unfinished before."""
    plan = planner(policy)
    plan.load(inventory(1, 5, 300, **shared), NOW)
    (order,) = plan.due(NOW + 300 * US)
    over_us = order.due_us + order.window_ms * 1000 + int((turns * 60.0 + TELL_S) * US)

    plan.due(over_us)
    assert plan.capacity.unfinished_rounds == 0
    plan.due(over_us + 1)
    assert plan.capacity.unfinished_rounds == 1


def test_reach_rounds_are_the_last_to_thin_out() -> None:
    """Only when nothing else is left to take away: then each camera keeps its share of them and of the patrol."""
    plan = planner(Policy(interval_s=300, reach_s=60.0))
    assert [one.reach_every for one in plan.capacity._ladder[-4:]] == [1, 2, 4, 12]
    assert {one.reach_every for one in plan.capacity._ladder[:-3]} == {1}
    plan.load(inventory(2, 4, 300), NOW)
    begin_us = thinned(plan, Thinning(12, 6, 4), NOW)
    assert not plan.capacity.exhausted
    plan.capacity._ends_us = 2**62  # it stays as it is
    run(plan, begin_us, begin_us + 301 * US, US)
    begin_us += 301 * US

    between, patrol = Counter[int](), Counter[int]()
    for now_us in range(begin_us, begin_us + 12 * 300 * US, US):
        for order in plan.due(now_us):
            counted = between if ":every 60 s:" in order.id else patrol
            counted.update(ticket.camera for ticket in order.tickets)
            plan.heard(report(order), now_us)
    assert set(patrol.values()) == {12}
    assert set(between.values()) == {12}  # of 48

    assert ladder_of(Depth.PICTURE, between=False) == LADDERS[Depth.PICTURE]
    assert planner(Policy(depth=Depth.REACH, reach_s=60.0)).capacity.exhausted


@pytest.mark.parametrize(("interval_s", "reach_s"), [(120, 60.0), (300, 60.0), (180, 60.0), (300, 75.0), (300, 37.5)])
@pytest.mark.parametrize("every", REACH_STEPS)
def test_thinned_reach_rounds_pass_over_nobody(interval_s: int, reach_s: float, every: int) -> None:
    """Whatever the intervals have in common: of so many rounds of a village each camera has one."""
    plan = planner(Policy(interval_s=interval_s, reach_s=reach_s))
    plan.load(inventory(1, 24, interval_s), NOW)
    begin_us = thinned(plan, Thinning(12, 6, every), NOW)
    plan.capacity._ends_us = 2**62  # it stays as it is
    run(plan, begin_us, begin_us + (interval_s + 1) * US, US)
    begin_us += (interval_s + 1) * US

    looks = Counter[int]()
    for now_us in range(begin_us, begin_us + 12 * interval_s * US, US):
        for order in plan.due(now_us):
            if ":every " in order.id:
                looks.update(ticket.camera for ticket in order.tickets)
    between = 12 * int(interval_s / reach_s - 0.5)  # the last half of a pause before the patrol's needs none
    assert set(looks.values()) <= {between // every, -(-between // every)}
    assert len(looks) == 24


def test_reach_looks_are_late_by_their_own_pause() -> None:
    """Every 15 s and ten seconds late: too late, although the interval would bear a minute."""
    plan = planner(Policy(interval_s=300, reach_s=15.0))
    plan.load(inventory(4, 5, 300), NOW)
    for now_us in range(NOW, NOW + 3 * 300 * US, US):
        for order in plan.due(now_us):
            plan.heard(report(order, 10.0), now_us)

    assert plan.capacity.thinning != WHOLE
