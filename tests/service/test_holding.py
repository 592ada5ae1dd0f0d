"""Round lines wait for their round to end, and nothing gets lost or stuck on the way."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.model.look import Depth
from streamwatch.service import holding
from streamwatch.service.holding import COMPANY_S, HOLD_S, Holding, RoundKey, check
from streamwatch.store.batch import RoundLook

US = 1_000_000
DUE = 1_800_000_000 * US
COMPANY = int(COMPANY_S)


def line(village: int, camera: int, due_us: int = DUE) -> RoundLook:
    return RoundLook(village, Depth.STREAM, "v", due_us, 0, camera, due_us + US, 40.0, 1)


def key(village: int) -> RoundKey:
    return RoundKey(village, "stream", "v")


def test_a_round_is_written_when_it_ends_and_others_wait() -> None:
    """The last Report of a village's round brings out its lines, not its neighbour's, once others had time to join."""
    held = Holding()
    held.add([line(1, 1), line(2, 2)], [], DUE)
    assert held.ripe(DUE + US) == []
    held.add([line(1, 3)], [key(1)], DUE + 2 * US)

    assert held.ripe(DUE + (2 + COMPANY) * US - 1) == []
    assert held.ripe(DUE + (2 + COMPANY) * US) == [line(1, 1), line(1, 3)]
    assert len(held) == 1


def test_rounds_that_ended_come_out_together() -> None:
    """With the first whose time is over come all that ended meanwhile, and with one that was held for long."""
    held = Holding()
    held.add([line(1, 1), line(2, 2), line(3, 3)], [key(1)], DUE)
    held.add([], [key(2)], DUE + US)
    assert sorted(held.ripe(DUE + COMPANY * US)) == [line(1, 1), line(2, 2)]

    late_us = DUE + int(HOLD_S * US)
    held.add([line(4, 4)], [key(4)], late_us - 1)
    assert sorted(held.ripe(late_us)) == [line(3, 3), line(4, 4)]
    assert held.ripe(late_us + 100 * US) == []


def test_a_round_that_goes_on_is_written_after_a_while() -> None:
    """A camera that takes its time keeps nobody's line longer than HOLD_S."""
    held = Holding()
    held.add([line(1, 1)], [], DUE)

    assert held.ripe(DUE + int(HOLD_S * US) - 1) == []
    assert held.ripe(DUE + int(HOLD_S * US)) == [line(1, 1)]
    assert held.ripe(DUE + 10 * int(HOLD_S * US)) == []


def test_an_end_without_lines_brings_out_nothing_later() -> None:
    """A round whose last Report had no looks does not end the next round of its village."""
    held = Holding()
    held.add([], [key(1)], DUE)
    held.add([line(1, 1)], [], DUE + US)

    assert held.ripe(DUE + US) == []


def test_too_many_are_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the cap nothing waits."""
    monkeypatch.setattr(holding, "MAX_HELD", 2)
    held = Holding()
    held.add([line(1, 1), line(2, 2)], [], DUE)
    assert held.ripe(DUE) == []
    held.add([line(3, 3)], [], DUE)

    assert sorted(held.ripe(DUE)) == [line(1, 1), line(2, 2), line(3, 3)]


def test_a_clock_that_is_set_back_keeps_no_line_waiting() -> None:
    """An hour back: what was held before is written at the next look at the clock, not an hour later."""
    held = Holding()
    held.add([line(1, 1), line(2, 2)], [key(1)], DUE)
    held.add([line(3, 3)], [], DUE - 3600 * US)

    assert sorted(held.ripe(DUE - 3600 * US)) == [line(1, 1), line(2, 2)]
    assert held.ripe(DUE - 3600 * US + int(HOLD_S * US)) == [line(3, 3)]


def test_a_line_that_no_row_can_hold_is_refused_with_all_that_came_with_it() -> None:
    """It must not spoil the commits of other rounds later."""
    with pytest.raises(ValueError, match="before its round was due"):
        check([line(1, 1), line(1, 2)._replace(started_us=DUE - 30_000 * US)])


@given(st.lists(st.tuples(st.integers(1, 3), st.booleans(), st.integers(0, 8)), max_size=40))
@settings(max_examples=60)
def test_every_line_comes_out_once_and_in_time(steps: list[tuple[int, bool, int]]) -> None:
    """Whatever comes when: no line twice, none lost, none older than HOLD_S after a look at the clock."""
    held, now, given_, out = Holding(), DUE, [], []
    for number, (village, last, wait_s) in enumerate(steps):
        now += wait_s * US
        given_.append((now, line(village, number)))
        held.add([line(village, number)], [key(village)] if last else [], now)
        out += held.ripe(now)
        late = {one for at, one in given_ if at <= now - HOLD_S * US}
        assert late <= set(out)
    out += held.ripe(now, everything=True)

    assert sorted(out) == sorted(one for _, one in given_)
    assert len(held) == 0
