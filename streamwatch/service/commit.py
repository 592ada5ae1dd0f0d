"""One commit: keys, segments, standings, packed lines of rounds that ended, in one transaction; durable when it
returns."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from streamwatch.clock import Clock
from streamwatch.service.absorb import Absorbed
from streamwatch.service.holding import HOLD_S, Holding
from streamwatch.store.handles import StoreError, Writer, is_passing
from streamwatch.store.timeline import Batch, RoundLook, write_batch

RETRY_FIRST_S: Final = 0.5
RETRY_LONGEST_S: Final = 5.0  # a full disk that gets room again is noticed within this

log = structlog.get_logger(__name__)


class Committer:
    """Writes what was absorbed. While the store cannot, it waits and tries again: the inbox fills, the patrol slows."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._holding = Holding()
        self.error: str | None = None

    async def commit(self, absorbed: Absorbed, now_us: int) -> None:
        """Returns when all of it is on disk but the lines of rounds that go on (`holding.py`).

        Raises what no waiting can mend: rows that the store refuses.
        """
        self._holding.add(absorbed.lines, absorbed.ended, now_us)
        await self._write(batch_of(absorbed, self._holding.ripe(now_us), now_us))

    async def write_held(self, now_us: int, *, everything: bool = False) -> None:
        """Writes the lines that waited long enough, or all of them."""
        await self._write(Batch(learned_us=now_us, rounds=self._holding.ripe(now_us, everything=everything)))

    async def write_held_forever(self, clock: Clock) -> None:
        """Lets no line wait for another Report to come."""
        while True:
            await asyncio.sleep(HOLD_S / 2)
            try:
                await self.write_held(clock.utc_us())
            except StoreError:
                log.exception("store.lines_refused")

    async def _write(self, batch: Batch) -> None:
        if not (batch.segments or batch.standings or batch.observations or batch.rounds):
            return
        pause = RETRY_FIRST_S
        while True:
            try:
                async with self._writer.begin() as conn:
                    await write_batch(conn, batch)
            except StoreError as error:
                if not is_passing(error):
                    raise
                self.error = f"cannot write: {error}"
                log.error("store.commit_failed", error=str(error), again_in_s=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, RETRY_LONGEST_S)
            else:
                self.error = None
                return


def batch_of(absorbed: Absorbed, lines: Sequence[RoundLook], now_us: int) -> Batch:
    """The rows of one commit."""
    return Batch(
        segments=tuple(absorbed.segments),
        standings=tuple(absorbed.standings.values()),
        observations=tuple(absorbed.observations),
        rounds=lines,
        learned_us=now_us,
    )
