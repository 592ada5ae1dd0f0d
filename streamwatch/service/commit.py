"""One commit: keys, segments, standings, packed lines of rounds that ended, in one transaction; durable when it
returns."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from streamwatch.clock import Clock
from streamwatch.service.absorb import Absorbed
from streamwatch.service.holding import COMPANY_S, Holding, RoundKey, check, key_of
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
        """Returns when all of it is on disk but its lines, which are held from then on (`holding.py`).

        Raises what no waiting can mend: rows that the store refuses. Lines that are refused cost neither what was
        absorbed, which may be of another round, nor each other: they are dropped, and the log says which.
        """
        check(absorbed.lines)
        lines = self._holding.ripe(now_us)
        try:
            await self._written(batch_of(absorbed, lines, now_us), lines)
        except Exception:
            if not lines:
                raise
            await self._write_apart(lines, now_us)
            await self._write(batch_of(absorbed, (), now_us))
        self._holding.add(absorbed.lines, absorbed.ended, now_us)

    async def write_held(self, now_us: int, *, everything: bool = False) -> None:
        """Writes the lines that waited long enough, or all of them; drops those that the store refuses."""
        lines = self._holding.ripe(now_us, everything=everything)
        try:
            await self._written(Batch(learned_us=now_us, rounds=lines), lines)
        except Exception:  # noqa: BLE001 - told by each round that is refused
            await self._write_apart(lines, now_us)

    async def write_held_forever(self, clock: Clock) -> None:
        """Lets no line wait for another Report to come."""
        while True:
            await asyncio.sleep(COMPANY_S)
            await self.write_held(clock.utc_us())

    async def _written(self, batch: Batch, lines: Sequence[RoundLook]) -> None:
        """Writes `batch`; where that is broken off, by an end of the service, its lines are held again."""
        try:
            await self._write(batch)
        except asyncio.CancelledError:
            self._holding.take_back(lines, batch.learned_us)
            raise

    async def _write_apart(self, lines: Sequence[RoundLook], now_us: int) -> None:
        """Each round of a village by itself: one that is refused costs no other."""
        by_round: dict[RoundKey, list[RoundLook]] = {}
        for line in lines:
            by_round.setdefault(key_of(line), []).append(line)
        for key, some in by_round.items():
            try:
                await self._written(Batch(learned_us=now_us, rounds=some), some)
            except Exception:
                log.exception("store.lines_refused", village=key.village, depth=key.depth, looks=len(some))

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
