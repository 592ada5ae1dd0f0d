"""Stage 3's turns: how many looks at once go to one camera, host, recorder, and how soon one may begin on its line."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable
from typing import Final, NamedTuple

from streamwatch.clock import Clock
from streamwatch.linebudget import LineBudget
from streamwatch.model.report import Ticket

MAX_LINES: Final = 50_000  # budgets, 200 bytes each; then those that are full are dropped: a city has some thousands
EVERYBODY: Final = "everybody"  # who has a place in a looker
LINE_TURN_S: Final = 20.0  # a look waits no longer for its line's budget; it is no part of the look


class Gate:
    """So many places for each key, first come first served; a key nobody uses takes no memory. One loop owns it.

    A place is taken by `enter`, or where that says no by `wait`, and given back by `leave`. Without a key there is
    nothing to wait for. Most looks find their gates open: that costs neither a turn of the loop nor an object.
    """

    __slots__ = ("_limit", "_taken", "_waiting")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken: dict[Hashable, int] = {}
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}  # only keys that somebody waits for

    def crowded(self, key: Hashable | None) -> bool:
        """Whether somebody waits for a place."""
        return key in self._waiting

    def taken(self, key: Hashable | None) -> int:
        """Places in use."""
        return self._taken.get(key, 0)

    def enter(self, key: Hashable | None) -> bool:
        """Takes a place where one is free and nobody waits for it; False, and nothing is taken, where not."""
        if key is None:
            return True
        taken = self._taken.get(key, 0)
        if taken >= self._limit:
            return False
        self._taken[key] = taken + 1
        return True

    async def wait(self, key: Hashable) -> None:
        """Takes a place, behind all who came before. Cancelled, nothing is taken."""
        if self.enter(key):
            return
        place = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(key, deque())
        waiting.append(place)
        try:
            await place
        except BaseException:
            if place.done() and not place.cancelled():
                self.leave(key)  # it was handed over just before
            else:
                waiting.remove(place)
                if not waiting:
                    del self._waiting[key]
            raise

    def leave(self, key: Hashable | None) -> None:
        """Gives a place back: to who has waited longest, where somebody does."""
        if key is None:
            return
        waiting = self._waiting.get(key) if self._waiting else None
        while waiting:
            place = next((one for one in waiting if not one.done()), None)
            if place is None:
                break
            waiting.remove(place)
            if not waiting:
                del self._waiting[key]
            place.set_result(None)
            return
        taken = self._taken[key] - 1
        if taken:
            self._taken[key] = taken
        else:
            del self._taken[key]


class Gates(NamedTuple):
    """Those of one looker: by camera (one session, ever), recorder and host; all looks, and those that go beside."""

    cameras: Gate
    recorders: Gate
    hosts: Gate
    all: Gate
    lane: Gate

    def enter_device(self, host: str, group: str | None) -> bool:
        """Takes a place at a host and at its recorder; False, and none is taken, where either has none free."""
        if not self.hosts.enter(host):
            return False
        if self.recorders.enter(group):
            return True
        self.hosts.leave(host)
        return False

    def leave_device(self, host: str, group: str | None) -> None:
        """Gives both back."""
        self.hosts.leave(host)
        self.recorders.leave(group)


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
        wait_s = self._budget(key, now).turn(now, min(LINE_TURN_S, ticket.deadline_ms / 1000))
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

    def spend(self, ticket: Ticket, received_bytes: int) -> None:
        """A session that stays open has received so much on the ticket's line."""
        key = _line(ticket)
        if key is not None:
            now = self._clock.monotonic()
            self._budget(key, now).spend(received_bytes, now)

    def _budget(self, key: tuple[str, int], now: float) -> LineBudget:
        budget = self._budgets.get(key)
        if budget is None:
            if len(self._budgets) >= MAX_LINES:
                self._budgets = {line: kept for line, kept in self._budgets.items() if not kept.idle(now)}
            budget = self._budgets[key] = LineBudget(key[1], now)
        return budget


def _line(ticket: Ticket) -> tuple[str, int] | None:
    if ticket.line is None or ticket.line_kbps is None:
        return None
    return ticket.line, ticket.line_kbps
