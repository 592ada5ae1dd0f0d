"""Our own loop's lag, told by a clock that the test owns."""

from __future__ import annotations

import asyncio
import contextlib

from streamwatch.health import BEAT_S, KEEP_S, LoopLag


class Stalled:
    """A clock whose sleeps come back late by what `late_s` says next."""

    def __init__(self, late_s: list[float]) -> None:
        self.now = 100.0
        self._late_s = late_s

    def utc_us(self) -> int:
        return int(self.now * 1e6)

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        if not self._late_s:
            raise asyncio.CancelledError
        self.now += seconds + self._late_s.pop(0)


async def beats(late_s: list[float]) -> tuple[Stalled, LoopLag]:
    clock = Stalled(late_s)
    lag = LoopLag(clock)
    with contextlib.suppress(asyncio.CancelledError):
        await lag.run()
    return clock, lag


async def test_the_worst_lag_since_a_moment_is_told() -> None:
    """A stall counts for whoever asks from before it, and not for whoever asks from after it."""
    clock, lag = await beats([0.0, 1.5, 0.0, 0.25])

    assert round(lag.worst_ms(0.0)) == 1500
    assert round(lag.worst_ms(clock.now - 2 * BEAT_S - 0.2)) == 250
    assert lag.worst_ms(clock.now + 1) == 0


async def test_a_stall_that_is_not_over_counts_already() -> None:
    """The beat that is overdue now is part of the answer."""
    clock, lag = await beats([0.0])
    clock.now += 3.0

    assert round(lag.worst_ms(clock.now)) == round((3.0 - BEAT_S) * 1000)


async def test_old_stalls_are_forgotten() -> None:
    """Nothing is kept longer than any look lasts."""
    _, lag = await beats([2.0, *[0.0] * round(KEEP_S / BEAT_S + 2), 0.5])

    assert round(lag.worst_ms(0.0)) == 500
