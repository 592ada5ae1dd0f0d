"""Our own looker under the meter: whole Rounds through `Looker.work`, the path that the service takes."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from benchmarks.cameras import SIZES, FarmCamera
from benchmarks.measure import BenchmarkError, CpuMeter, Spent
from streamwatch.clock import SystemClock
from streamwatch.decoders.job import DecodeJob
from streamwatch.decoders.pool import DecoderPool, JailMode
from streamwatch.errors import Reason
from streamwatch.health import LoopLag
from streamwatch.heap import prepare_for_looks
from streamwatch.looker import Looker, LookerPolicy
from streamwatch.model.look import Depth, Look, StreamKind
from streamwatch.model.report import Report, Round, Ticket
from streamwatch.net.address import Guard
from streamwatch.net.canary import Canaries

DEADLINE_MS = 20_000
NUMBERS = 1_000_000  # cameras a size: a looker's memory of one stream is not that of another
ROUNDS_AT_ONCE = 2  # so that the cameras of one round fill the slots that the last ones of the other leave


@dataclass(frozen=True, slots=True)
class Pass:
    """One measured pass: looks done, seconds of the wall, CPU, and the looks' own durations in milliseconds."""

    looks: int
    wall_s: float
    spent: Spent
    median_ms: float
    keyframe_bytes: float  # mean

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds a look: ours and the decoders'."""
        return self.spent.total_s / self.looks * 1000


class Bench:
    """A looker for every number of looks at once; they share the decoders."""

    def __init__(self, cameras: Sequence[FarmCamera], pool: DecoderPool, apart: Sequence[int]) -> None:
        self._cameras = cameras
        self._pool = pool
        self._apart = apart
        self._lookers: dict[int, Looker] = {}

    @property
    def cameras(self) -> int:
        """How many there are."""
        return len(self._cameras)

    async def looks(self, depth: Depth, size: str, at_once: int, rounds: int, *, cold: bool = False) -> Pass:
        """Looks at every camera `rounds` times; `cold`: by a looker that remembers nothing of them.

        Raises BenchmarkError where any look failed.
        """
        seen: list[Look] = []

        async def keep(report: Report) -> None:
            seen.extend(report.looks)

        looker = self._made(at_once) if cold else self._looker(at_once)
        waiting = iter([self._round(depth, size, number) for number in range(rounds)])

        async def work() -> None:
            for order in waiting:
                await looker.work(order, keep)

        meter = CpuMeter(self._apart)
        begun = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(ROUNDS_AT_ONCE)))
        wall_s = time.perf_counter() - begun
        spent = meter.spent()
        for look in seen:
            if look.reason is not None:
                raise BenchmarkError(
                    f"a look at camera {look.camera} failed: {look.reason} at {look.step}: {look.detail}"
                )
        if len(seen) != rounds * len(self._cameras):
            raise BenchmarkError(f"{len(seen)} looks came of {rounds * len(self._cameras)}: this is a defect of ours")
        middle_ms = statistics.median(look.duration_us for look in seen) / 1000
        size_bytes = statistics.fmean(look.keyframe_bytes or 0 for look in seen)
        return Pass(len(seen), wall_s, spent, middle_ms, size_bytes)

    async def hand_over_us(self, data: bytes, jobs: int) -> tuple[float, float]:
        """CPU microseconds to hand a keyframe to a worker and to take its answer: ours, and the worker's, which does
        not decode it.

        Measured with jobs that name no codec: they are read and unpacked whole, and then refused.
        """
        job = DecodeJob("none", data, None, 0)
        meter = CpuMeter(self._apart)
        for _ in range(jobs):
            result = await self._pool.score(job)
            if result.failure is None or result.failure.reason is not Reason.MEDIA_UNSUPPORTED_CODEC:
                raise BenchmarkError(f"a job without a codec was answered with {result.failure}")
        spent = meter.spent()
        return spent.own_s / jobs * 1e6, spent.others_s / jobs * 1e6

    def _looker(self, at_once: int) -> Looker:
        if at_once not in self._lookers:
            self._lookers[at_once] = self._made(at_once)
        return self._lookers[at_once]

    def _made(self, at_once: int) -> Looker:
        clock = SystemClock()
        return Looker(
            "bench", pool=self._pool, clock=clock, policy=LookerPolicy(looks_in_flight=at_once), guard=Guard(),
            canaries=Canaries((), clock, 10.0), lag=LoopLag(clock),
        )  # fmt: skip

    def _round(self, depth: Depth, size: str, number: int) -> Round:
        tickets = tuple(
            Ticket(
                camera=SIZES.index(size) * NUMBERS + index, url=camera.url(size), offset_ms=0,
                stream=StreamKind.SUB if size == SIZES[0] else StreamKind.MAIN,
                deadline_ms=DEADLINE_MS, host=camera.host, credentials=camera.credentials,
            )
            for index, camera in enumerate(self._cameras, 1)
        )  # fmt: skip
        due_us = SystemClock().utc_us()
        return Round(
            id=f"bench-{depth}-{size}-{number}", village=1, depth=depth, due_us=due_us, window_ms=0, tickets=tickets
        )


@asynccontextmanager
async def bench(cameras: Sequence[FarmCamera], *apart: int) -> AsyncIterator[Bench]:
    """Decoders, one a core, and the lookers that use them; `apart` are the pids of farms."""
    pool = DecoderPool(workers=len(os.sched_getaffinity(0)), jail=JailMode.BEST_EFFORT)
    await pool.start()
    prepare_for_looks()  # as in the service
    try:
        yield Bench(cameras, pool, apart)
    finally:
        await pool.aclose()
