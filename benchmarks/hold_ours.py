"""Our looker as a way to ask: Rounds of a village through `Looker.work`, in the process of `hold_process`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from benchmarks.hold_process import AT_ONCE, Camera, place_of
from benchmarks.looking import DEADLINE_MS, ROUNDS_AT_ONCE
from benchmarks.measure import BenchmarkError
from streamwatch.clock import SystemClock
from streamwatch.decoders.pool import DecoderPool
from streamwatch.health import LoopLag
from streamwatch.looker import Looker, LookerPolicy
from streamwatch.model.look import Depth, StreamKind
from streamwatch.model.report import Credentials, Report, Round, Ticket
from streamwatch.net.address import Guard
from streamwatch.net.canary import Canaries

VILLAGE = 35  # cameras of one round: 126,000 in 3,600 villages


class Ours:
    """The product: Rounds of a village through `Looker.work`."""

    def __init__(self, cameras: Sequence[Camera], *, hold: bool) -> None:
        tickets = [
            Ticket(
                camera=number, url=url, stream=StreamKind.SUB, offset_ms=0, deadline_ms=DEADLINE_MS,
                host=place_of(url)[0], credentials=Credentials(username, password),
            )
            for number, (url, username, password) in enumerate(cameras, 1)
        ]  # fmt: skip
        self._villages = [tuple(tickets[start : start + VILLAGE]) for start in range(0, len(tickets), VILLAGE)]
        clock, policy = SystemClock(), LookerPolicy(looks_in_flight=AT_ONCE, held=len(tickets) if hold else 0)
        self._looker = Looker(
            "bench", pool=DecoderPool(workers=0), clock=clock, policy=policy,
            guard=Guard(), canaries=Canaries((), clock, 10.0), lag=LoopLag(clock),
        )  # fmt: skip

    @property
    def held(self) -> int:
        return self._looker.held

    async def know(self) -> int:
        """A look of depth stream, from which the looker learns how each camera is spoken to."""
        return await self._all(Depth.STREAM)

    async def reach(self) -> int:
        return await self._all(Depth.REACH)

    async def _all(self, depth: Depth) -> int:
        waiting = iter(enumerate(self._villages))

        async def work() -> int:
            return sum([await self._round(depth, number, tickets) for number, tickets in waiting])

        return sum(await asyncio.gather(*(work() for _ in range(ROUNDS_AT_ONCE))))

    async def _round(self, depth: Depth, number: int, tickets: tuple[Ticket, ...]) -> int:
        order = Round(
            id=f"bench-{number}", village=number, depth=depth, due_us=time.time_ns() // 1000, window_ms=0,
            tickets=tickets,
        )  # fmt: skip
        seen = 0

        async def keep(report: Report) -> None:
            nonlocal seen
            for look in report.looks:
                if look.reason is not None:
                    raise BenchmarkError(f"a look at camera {look.camera} failed: {look.reason}: {look.detail}")
            seen += len(report.looks)

        await self._looker.work(order, keep)
        return seen
