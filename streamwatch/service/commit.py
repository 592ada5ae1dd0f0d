"""One commit: keys, segments, standings, packed round lines, in one transaction; durable when it returns."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from streamwatch.service.absorb import Absorbed
from streamwatch.store.handles import StoreError, Writer, is_passing
from streamwatch.store.timeline import Batch, write_batch

RETRY_FIRST_S: Final = 0.5
RETRY_LONGEST_S: Final = 5.0  # a full disk that gets room again is noticed within this

log = structlog.get_logger(__name__)


class Committer:
    """Writes what was absorbed. While the store cannot, it waits and tries again: the inbox fills, the patrol slows."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.error: str | None = None

    async def commit(self, absorbed: Absorbed, now_us: int) -> None:
        """Returns when all of it is on disk. Raises what no waiting can mend: rows that the store refuses."""
        batch = batch_of(absorbed, now_us)
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


def batch_of(absorbed: Absorbed, now_us: int) -> Batch:
    """The rows of one commit."""
    return Batch(
        segments=tuple(absorbed.segments),
        standings=tuple(absorbed.standings.values()),
        observations=tuple(absorbed.observations),
        rounds=tuple(absorbed.lines),
        learned_us=now_us,
    )
