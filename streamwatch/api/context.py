"""What every request needs: the read-only database, the present, the way to the service, the clock."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import cast

from fastapi import Request

from streamwatch.access.backoff import Backoff
from streamwatch.access.session import Sessions
from streamwatch.api.census import Census, CensusKeeper
from streamwatch.api.kept import Kept
from streamwatch.api.recent import RecentFaults
from streamwatch.api.schemas import LastDay
from streamwatch.clock import Clock
from streamwatch.live.view import Caller, View
from streamwatch.model.scope import Scope
from streamwatch.schedule import grace_us
from streamwatch.store.handles import Reader


@dataclass(frozen=True, slots=True)
class Context:
    """Put into `app.state` by `create_app`; the composition root owns what is in it."""

    reader: Reader
    view: View
    caller: Caller
    clock: Clock
    sessions: Sessions
    backoff: Backoff
    passwords: asyncio.Semaphore  # how many are checked at once
    keeper: CensusKeeper
    faults: RecentFaults
    days: Kept[int, LastDay]  # by village
    default_interval_s: int
    imports: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))  # lists that are read at once

    def grace(self, interval_s: int | None) -> int:
        """How long a look speaks for the time after it (microseconds), at a camera's own interval or the usual one."""
        return grace_us(interval_s or self.default_interval_s)

    async def census(self, scope: Scope, *, fresh: bool = False) -> Census:
        """Who is where, as far as the scope reaches; read again where it must be `fresh`."""
        return await self.keeper.of(scope, self.clock.monotonic(), fresh=fresh)


def context_of(request: Request) -> Context:
    """The application's context."""
    return cast("Context", request.app.state.context)
