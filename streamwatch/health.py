"""How we are ourselves doing: the loop's lag, as evidence for or against our own looks."""

from __future__ import annotations

from collections import deque
from typing import Final

from streamwatch.clock import Clock

BEAT_S: Final = 0.1
KEEP_S: Final = 120.0  # longer than any look: a look asks for the worst lag since it began


class LoopLag:
    """Beats ten times a second and remembers how late each beat came."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._beats: deque[tuple[float, float]] = deque()  # (monotonic, lag in ms), only those worth telling
        self._expected: float | None = None

    async def run(self) -> None:
        """Beats until cancelled."""
        while True:
            self._expected = self._clock.monotonic() + BEAT_S
            await self._clock.sleep(BEAT_S)
            now = self._clock.monotonic()
            lag_ms = (now - self._expected) * 1000
            if lag_ms > 1.0:
                self._beats.append((now, lag_ms))
            while self._beats and self._beats[0][0] < now - KEEP_S:
                self._beats.popleft()

    def worst_ms(self, since: float) -> float:
        """The worst lag since the monotonic moment, in milliseconds; a beat that is overdue now counts as well."""
        worst = max((lag for at, lag in self._beats if at >= since), default=0.0)
        if self._expected is not None:
            worst = max(worst, (self._clock.monotonic() - self._expected) * 1000)
        return max(0.0, worst)
