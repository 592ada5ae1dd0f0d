"""What does it cost to watch a stream all the time, without decoding it? Beside read-and-drop, ffmpeg and PyAV."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import uvloop

from benchmarks import watchers
from benchmarks.cameras import FarmCamera, Pictures, RunningFarm, farm
from benchmarks.measure import BenchmarkError, CpuMeter, Result
from benchmarks.watchers import Count

KBPS = 2000
STREAM = Pictures(fps=25, gop=25, kbps=KBPS)  # with a key frame a second a sample has its share
SENT = {"": False, "_paced": True}  # whether paced, by the suffix of the figures
AGAIN_S = 0.2
STARTING_MS = 25.0  # CPU a stream second: who spends more still starts, and loads and probes
PEEK_S = 0.4
STARTED_S = 15.0  # then it is measured as it is


@dataclass(frozen=True, slots=True)
class _Reader:
    """`prefix` of its figures; `streams`: how many at once, None: as many as ours, and in this process."""

    prefix: str
    reading: Callable[[Sequence[FarmCamera]], AbstractAsyncContextManager[Count]]
    streams: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """A sample is `seconds` of so many streams, whole ones; `settle_s` before, after all of them were asked for."""

    streams: int = 100  # of ours and of read-and-drop
    streams_paced: int = 40
    heavy: int = 20  # of ffmpeg and PyAV
    runs: int = 5
    heavy_runs: int = 5  # in which ffmpeg and PyAV take part
    seconds: float = 4.0
    settle_s: float = 1.0
    heavy_settle_s: float = 3.0
    pictures: Pictures = STREAM
    slack: float = 0.15  # of the pictures that must come to ours: the edges of a stretch
    full: bool = True

    def count(self, suffix: str) -> int:
        """Streams of ours at once."""
        return self.streams_paced if suffix else self.streams


FULL = Plan()
QUICK = Plan(
    streams=40, streams_paced=20, heavy=6, runs=3, heavy_runs=1, seconds=1.0, settle_s=0.4, heavy_settle_s=1.2,
    full=False,
)  # fmt: skip


def run(plan: Plan, cache: Path) -> Result:
    """Runs are interleaved: every run takes one sample of every reader with either way of sending."""
    return uvloop.run(_run(plan, cache))


async def _run(plan: Plan, cache: Path) -> Result:
    fixture = {
        "streams": plan.streams, "streams_paced": plan.streams_paced, "streams_of_peers": plan.heavy,
        "seconds": plan.seconds, "runs": plan.runs, "kbps": KBPS, "full": plan.full,
    }  # fmt: skip
    result = Result("continuous", fixture, notes=list(NOTES))
    readers = [
        _Reader("", watchers.ours, None),
        _Reader("drop.", watchers.drop, None),
        _Reader("swept.", watchers.swept, None),
        _Reader("pyav.", watchers.pyav, plan.heavy),
        _Reader("ffmpeg.", watchers.ffmpeg, plan.heavy),
    ]
    if shutil.which("ffmpeg") is None:
        result.notes.append("ffmpeg: there is no ffmpeg on PATH; not measured.")
        readers.pop()
    async with AsyncExitStack() as stack:
        farms: dict[str, RunningFarm] = {}
        for suffix, paced in SENT.items():
            count = max(plan.count(suffix), plan.heavy)
            sent = replace(plan.pictures, paced=paced)
            made = farm(count, cache, count, pictures=sent)  # a village a camera: one scene for all
            farms[suffix] = await stack.enter_async_context(made)
        apart = [running.pid for running in farms.values()]
        for number in range(plan.runs):
            for suffix, running in farms.items():
                for reader in readers:
                    if reader.streams is None or number < plan.heavy_runs:
                        await _sample(result, reader, suffix, running, plan, apart)
    for suffix in SENT:
        us = f"stream_second_cpu_ms{suffix}"
        for floor in ("drop", "swept"):
            result.ratio(f"us_over_{floor}{suffix}", us, f"{floor}.{us}")
        for reader in readers[3:]:
            result.ratio(f"{reader.prefix[:-1]}_over_us{suffix}", f"{reader.prefix}{us}", us)
    return result


async def _sample(
    result: Result, reader: _Reader, suffix: str, running: RunningFarm, plan: Plan, apart: Sequence[int]
) -> None:
    add, streams = result.samples.add, reader.streams or plan.count(suffix)
    async with reader.reading(running.cameras[:streams]) as pictures:
        await asyncio.sleep(plan.settle_s if reader.streams is None else plan.heavy_settle_s)
        if reader.streams is not None:
            await _started(streams, apart)
        await pictures()
        dropped = watchers.dropped_bytes()
        meter, begun = CpuMeter(apart), time.perf_counter()
        await asyncio.sleep(plan.seconds)
        spent, seconds = meter.spent(), time.perf_counter() - begun
        came = await pictures()
        dropped = watchers.dropped_bytes() - dropped
    stream_seconds = streams * seconds
    add(
        f"{reader.prefix}stream_second_cpu_ms{suffix}",
        (spent.own_s if reader.streams is None else spent.others_s) / stream_seconds * 1000,
    )
    if came is not None:
        add(f"{reader.prefix or 'us.'}pictures_per_s{suffix}", came / stream_seconds)
    if dropped:
        add(f"{reader.prefix}kbps{suffix}", dropped * 8 / 1000 / stream_seconds)
    if reader.prefix == "" and not abs((came or 0.0) / stream_seconds / plan.pictures.fps - 1) < plan.slack:
        raise BenchmarkError(
            f"{came} pictures came within {stream_seconds:.0f} stream seconds: not {plan.pictures.fps} a second"
        )
    await asyncio.sleep(AGAIN_S)  # the farm takes leave of them


async def _started(streams: int, apart: Sequence[int]) -> None:
    """Until no more CPU is spent than by who only reads."""
    ends = time.perf_counter() + STARTED_S
    while time.perf_counter() < ends:
        meter, begun = CpuMeter(apart), time.perf_counter()
        await asyncio.sleep(PEEK_S)
        if meter.spent().total_s * 1000 < STARTING_MS * streams * (time.perf_counter() - begun):
            return


NOTES = [
    "CPU milliseconds to read one second of one stream: 720p, 25 pictures a second, a key frame a second, 2 Mb/s. "
    "Nothing is decoded. Without a suffix the farm sends a picture a write, with _paced a packet a write, one behind "
    "the other; sending is not counted.",
    "stream_second_cpu_ms is ours: packets, loss, stalls and key frames are counted. drop: the same sessions, the same "
    "buffer, what is read is thrown away, as soon as it comes; swept: ten times a second, as ours is read, and thrown "
    "away. ffmpeg: `-c copy -f null -`, a process a stream; pyav: demux() in a thread a stream, all in one process; "
    "both told not to probe.",
    "pictures_per_s: who falls behind shows fewer than 25. kbps is what came, with its framing.",
]
