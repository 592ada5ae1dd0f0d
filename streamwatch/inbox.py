"""Stage 3's end: the looks of one round as they come in, in the order of their ends, until a Report takes them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from streamwatch.model.look import Look

FLUSH_S: Final = 0.5  # looks wait at most this long for company in a Report: all rounds report at the same moments
FLUSH_LOOKS: Final = 500


class Inbox:
    """Runs looks and collects what they bring. One waits for it; a look that ends costs the same among any number.

    `wait` ends where there is something to do: enough looks or one that has waited long enough, none under way any
    more, or the moment that was asked for. Moments are monotonic seconds.
    """

    __slots__ = ("_asked", "_begun", "_defect", "_flush_at", "_loop", "_over", "_running", "_waiter", "looks")

    def __init__(self) -> None:
        self.looks: list[Look] = []
        self._loop = asyncio.get_running_loop()
        self._running: dict[int, asyncio.Task[None]] = {}
        self._begun = 0
        self._over = False
        self._asked = 0  # looks that need no task: one question, one answer
        self._flush_at: float | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._defect: Exception | None = None

    @property
    def under_way(self) -> int:
        """Looks that have begun and not ended."""
        return len(self._running) + self._asked

    def check(self) -> None:
        """Raises what a look raised: a defect of ours, that nobody else took."""
        if self._defect is not None:
            raise self._defect

    def start(self, look: Coroutine[Any, Any, Look]) -> None:
        """Runs a look beside the others; none any more once they were cancelled."""
        if self._over:
            look.close()
            return
        self._begun += 1
        self._running[self._begun] = self._loop.create_task(self._run(self._begun, look), name="look")

    async def _run(self, number: int, look: Coroutine[Any, Any, Look]) -> None:
        try:
            found = await look  # before `looks` is asked for: `take` puts another list there
            self.looks.append(found)
        except Exception as error:  # noqa: BLE001 - `check` raises it
            self._defect = error
        finally:
            del self._running[number]
            self._came()

    def expect(self) -> None:
        """A look is under way that `put` brings, or `unexpect` calls off."""
        self._asked += 1

    def put(self, look: Look) -> None:
        """One that was expected."""
        looks = self.looks
        looks.append(look)
        self._asked -= 1
        if len(looks) == 1 or self._asked == 0 or len(looks) >= FLUSH_LOOKS:  # else there is nothing to do
            self._came()

    def unexpect(self) -> None:
        """One that was expected goes another way."""
        self._asked -= 1
        self._came()

    def _came(self) -> None:
        count = len(self.looks)
        if count == 1 or count >= FLUSH_LOOKS or not (self._asked or self._running) or self._defect is not None:
            self._wake()

    def is_ready(self, now: float) -> bool:
        """Whether what came in is to be told now."""
        if not self.looks:
            return False
        if self._flush_at is None:
            self._flush_at = (now // FLUSH_S + 1) * FLUSH_S
        return len(self.looks) >= FLUSH_LOOKS or now >= self._flush_at

    def take(self) -> tuple[Look, ...]:
        """What came in since the last time."""
        looks, self.looks, self._flush_at = tuple(self.looks), [], None
        return looks

    async def wait(self, until: float | None, now: float) -> None:
        """Until something is to be done, at the latest `until`."""
        moments = [moment for moment in (until, self._flush_at) if moment is not None]
        self._waiter = self._loop.create_future()
        timer = self._loop.call_later(max(0.0, min(moments) - now), self._wake) if moments else None
        try:
            await self._waiter
        finally:
            if timer is not None:
                timer.cancel()

    def cancel(self) -> None:
        """Ends all that are under way."""
        self._over = True
        for task in self._running.values():
            task.cancel()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
