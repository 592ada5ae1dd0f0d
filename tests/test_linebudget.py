"""The bits of one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.linebudget import BURST_S, OWED_S, RESERVE_BYTES, LineBudget

KBPS = 4_000  # half a megabyte a second
RATE = KBPS * 125
BURST = RATE * BURST_S
LOOKS = st.lists(st.tuples(st.floats(0, 5), st.integers(0, 8 * 2**20)), min_size=1, max_size=60)


@given(LOOKS)
def test_a_line_carries_its_rate_and_the_burst(looks: list[tuple[float, int]]) -> None:
    """One look after another: each begins only once all before it were paid for, against the plain sum."""
    budget = LineBudget(KBPS, 0.0)
    now, received = 0.0, 0
    for pause_s, size in looks:
        now += pause_s
        wait_s = budget.turn(now, 1e9)
        assert wait_s is not None
        now += wait_s
        assert received <= BURST + RATE * now + 1
        budget.settle(size, now)
        received += size


@given(st.integers(1, 100))
def test_looks_at_the_same_moment_share_the_room(count: int) -> None:
    """Each takes its share in advance: they begin one after another, at the line's rate."""
    budget = LineBudget(KBPS, 0.0)

    waits = [budget.turn(0.0, 1e9) for _ in range(count)]

    assert waits == [max(0.0, number * RESERVE_BYTES - BURST) / RATE for number in range(count)]


def test_a_turn_that_comes_too_late_is_refused_and_takes_nothing() -> None:
    """The next look is no worse off for it."""
    budget = LineBudget(KBPS, 0.0)
    budget.turn(0.0, 20.0)
    budget.settle(30 * RATE, 0.0)

    assert budget.turn(0.0, 20.0) is None
    assert budget.turn(0.0, 30.0) == (30 * RATE - BURST) / RATE


def test_a_line_in_debt_has_no_room() -> None:
    """With what flows meanwhile it has; a full one has its burst besides."""
    budget = LineBudget(KBPS, 0.0)
    assert budget.room(0.0, 10.0) == BURST + 10 * RATE

    budget.turn(0.0, 20.0)
    budget.settle(4 * RATE, 0.0)

    assert budget.room(1.0, 10.0) == 0
    assert budget.room(3.0, 10.0) == 11 * RATE


def test_a_budget_without_looks_that_is_full_knows_nothing() -> None:
    """And one whose look is under way does, full or not."""
    budget = LineBudget(KBPS, 0.0)
    assert budget.idle(0.0)
    budget.turn(0.0, 20.0)
    assert not budget.idle(60.0)
    budget.settle(0, 60.0)
    assert budget.idle(60.0)


def test_a_thin_line_still_carries_one_look_at_a_time() -> None:
    """Its burst is never less than a look's share."""
    budget = LineBudget(1, 0.0)

    assert budget.turn(0.0, 20.0) == 0.0
    assert budget.turn(0.0, 20.0) == 0.0, "the bucket is empty then, not in debt"
    assert budget.turn(0.0, 20.0) is None


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 8 * 2**20)), min_size=1, max_size=60))
def test_what_flows_all_the_time_is_owed_but_not_for_ever(pieces: list[tuple[float, int]]) -> None:
    """Looks beside it see less room, by the plain sum; none is refused longer than OWED_S after it has ended."""
    budget = LineBudget(KBPS, 0.0)
    now, level = 0.0, BURST
    for pause_s, size in pieces:
        now += pause_s
        level = max(-OWED_S * RATE, min(BURST, level + pause_s * RATE) - size)
        budget.spend(size, now)
        if abs(level) > 1:
            assert budget.room(now, 10.0) == (pytest.approx(level + 10 * RATE, abs=2) if level > 0 else 0)
    assert budget.turn(now + OWED_S, 1.0) is not None


def test_a_deeper_debt_of_looks_is_left_as_it_is() -> None:
    """What flows beside them neither forgives it nor adds to it."""
    budget = LineBudget(KBPS, 0.0)
    budget.turn(0.0, 20.0)
    budget.settle((OWED_S + 100) * RATE, 0.0)
    before = budget.turn(0.0, 1e9)
    budget.settle(0, 0.0)
    budget.spend(1_000_000, 0.0)
    assert budget.turn(0.0, 1e9) == before
