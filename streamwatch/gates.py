"""Stage 3's turns: how many looks at once go to one camera, host, recorder, and how soon one may begin on its line."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from streamwatch.clock import Clock
from streamwatch.linebudget import LineBudget
from streamwatch.model.report import Ticket

MAX_LINES: Final = 50_000  # budgets, 200 bytes each; then those that are full are dropped: a city has some thousands
LINE_TURN_S: Final = 20.0  # a look waits no longer for its line's budget; it is no part of the look


class Gate:
    """Counts sessions by key; a key nobody uses takes no memory."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._gates: dict[str, tuple[asyncio.Semaphore, int]] = {}

    def crowded(self, key: str | None) -> bool:
        """Whether somebody waits for a place."""
        return key is not None and self._gates.get(key, (None, 0))[1] > self._limit

    @contextlib.asynccontextmanager
    async def through(self, key: str | None) -> AsyncIterator[None]:
        """A place for as long as the block lasts; without a key there is nothing to wait for."""
        if key is None:
            yield
            return
        semaphore, users = self._gates.get(key, (None, 0))
        if semaphore is None:
            semaphore = asyncio.Semaphore(self._limit)
        self._gates[key] = (semaphore, users + 1)
        try:
            async with semaphore:
                yield
        finally:
            _, users = self._gates[key]
            if users == 1:
                del self._gates[key]
            else:
                self._gates[key] = (semaphore, users - 1)


class Lines:
    """The budgets of the lines.

    A camera's own line is charged, not the line that this one hangs on; and each looker keeps its own account.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._budgets: dict[tuple[str, int], LineBudget] = {}

    async def turn(self, ticket: Ticket) -> bool:
        """Waits until the ticket's line has room for a look; False, and nothing is taken, where that is too long."""
        key = _line(ticket)
        if key is None:
            return True
        now = self._clock.monotonic()
        budget = self._budgets.get(key)
        if budget is None:
            if len(self._budgets) >= MAX_LINES:
                self._budgets = {line: kept for line, kept in self._budgets.items() if not kept.idle(now)}
            budget = self._budgets[key] = LineBudget(key[1], now)
        wait_s = budget.turn(now, min(LINE_TURN_S, ticket.deadline_ms / 1000))
        if wait_s is None:
            return False
        if wait_s > 0:
            try:
                await self._clock.sleep(wait_s)
            except BaseException:
                self.settle(ticket, 0)
                raise
        return True

    def room(self, ticket: Ticket, for_s: float) -> int | None:
        """Bytes that the ticket's line has for a look of so many seconds; None where its bits are not counted."""
        budget = self._budgets.get(key) if (key := _line(ticket)) is not None else None
        return None if budget is None else budget.room(self._clock.monotonic(), for_s)

    def settle(self, ticket: Ticket, received_bytes: int) -> None:
        """A look that had its turn is over."""
        key = _line(ticket)
        if key is None or (budget := self._budgets.get(key)) is None:
            return
        budget.settle(received_bytes, self._clock.monotonic())


def _line(ticket: Ticket) -> tuple[str, int] | None:
    if ticket.line is None or ticket.line_kbps is None:
        return None
    return ticket.line, ticket.line_kbps
