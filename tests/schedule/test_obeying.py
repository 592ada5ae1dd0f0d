"""What a planner keeps when it is given another policy, as SIGHUP does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamwatch.errors import Reason
from streamwatch.model.look import Depth
from streamwatch.schedule import US, Policy
from streamwatch.schedule.capacity import WHOLE, Thinning
from tests.schedule.test_planner import NOW, inventory, planner, run
from tests.schedule.test_thinning import thinned

POLICY = Policy(interval_s=60)


def test_who_refuses_us_is_still_left_alone() -> None:
    """Another policy, another interval with it: cameras that refused our password keep their backoff and count."""
    plan = planner(POLICY)
    plan.load(inventory(1, 3), NOW)
    for _ in range(4):
        plan.record(101, Reason.RTSP_AUTH, NOW)
    until_us = plan.waits_us(101)
    assert until_us > NOW + 120 * US
    plan.load(inventory(1, 3, 90), NOW + US)  # the default interval is another one from now on
    plan.obey(replace(POLICY, interval_s=90), NOW + US)
    plan.load(inventory(1, 3, 90), NOW + US)

    assert plan.waits_us(101) == until_us
    assert 101 not in {camera for _, camera, _ in run(plan, NOW + US, until_us - US, US)}
    plan.record(101, Reason.RTSP_AUTH, until_us)
    assert plan.waits_us(101) > until_us + 2 * 90 * US


def test_a_more_impatient_policy_shortens_what_is_left() -> None:
    """access_backoff_max_s is obeyed at once."""
    plan = planner(POLICY)
    plan.load(inventory(1, 1), NOW)
    for _ in range(9):
        plan.record(100, Reason.RTSP_AUTH, NOW)
    plan.obey(replace(POLICY, access_backoff_max_s=30.0), NOW)

    assert plan.waits_us(100) == NOW + 30 * US


def test_counts_confirmations_and_room_stay() -> None:
    """Missed and unfinished rounds count on, a look that was to be confirmed is, and the thinning stays in force."""
    plan = planner(POLICY)
    plan.load(inventory(2, 3), NOW)
    now_us = thinned(plan, Thinning(3, 1), NOW)
    run(plan, now_us + 3 * 60 * US, now_us + 5 * 60 * US, US)  # asleep for three minutes, and nobody answers
    now_us += 6 * 60 * US
    plan.due(now_us)
    missed, unfinished = plan.missed_rounds, plan.capacity.unfinished_rounds
    assert missed and unfinished
    thinning = plan.capacity.thinning
    assert thinning != WHOLE
    plan.confirm(101, 0, now_us)
    plan.obey(replace(POLICY, deadline_s=10.0), now_us)
    plan.load(inventory(2, 3), now_us)

    assert (plan.missed_rounds, plan.capacity.unfinished_rounds) == (missed, unfinished)
    assert plan.capacity.thinning == thinning
    plan.capacity._ends_us = 2**62
    looks = [order for now in range(now_us, now_us + 60 * US, US) for order in plan.due(now)]
    assert [order.tickets[0].camera for order in looks if order.attempt] == [101]
    assert {ticket.deadline_ms for order in looks for ticket in order.tickets} == {10_000}


@pytest.mark.parametrize("other", [Policy(interval_s=60, depth=Depth.STREAM), Policy(interval_s=60, reach_s=20.0)])
def test_what_is_another_amount_of_work_begins_whole(other: Policy) -> None:
    """Another depth, or looks between the rounds: how much room there is must be measured anew; the counter stays."""
    plan = planner(POLICY)
    plan.load(inventory(2, 3), NOW)
    now_us = thinned(plan, Thinning(3, 1), NOW)
    plan.capacity.unfinished_rounds = 7
    plan.obey(other, now_us)
    plan.load(inventory(2, 3), now_us)

    assert plan.capacity.thinning == WHOLE
    assert plan.capacity.unfinished_rounds == 7


def test_reach_rounds_begin_and_end_with_the_policy_and_keep_to_their_villages_moments() -> None:
    """Switched on, they come at once where they would have come anyway; switched off, none does."""
    always, later = planner(replace(POLICY, reach_s=15.0)), planner(POLICY)
    for plan in (always, later):
        plan.load(inventory(8, 1), NOW)
        run(plan, NOW, NOW + 151 * US, US)
    later.obey(always.policy, NOW + 150 * US)
    later.load(inventory(8, 1), NOW + 150 * US)
    begin_us = NOW + 151 * US

    assert run(later, begin_us, begin_us + 200 * US, US) == run(always, begin_us, begin_us + 200 * US, US)
    later.obey(POLICY, begin_us + 200 * US)
    later.load(inventory(8, 1), begin_us + 200 * US)
    looks = run(later, begin_us + 200 * US, begin_us + 320 * US, US)
    assert len(looks) == 16
