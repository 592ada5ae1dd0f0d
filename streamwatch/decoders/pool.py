"""Stage 4: the pool of jailed decode workers: jobs in, results out, and nothing that a picture does can stop it.

A job may cost its worker: a crash, an endless loop, too much memory. Then that job alone is lost (`ours.worker`,
`ours.memory`: unknown, never down), and the worker is replaced at once. A job is never tried again here; a stream that
costs worker after worker is left alone for a while (`quarantine`).

A job is one future: who scores puts it straight into an idle worker's slot, and its answer is heard in a callback. A
task there is for a worker's life only, and one timer for all deadlines.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any, Final

from streamwatch.decoders.birth import Zygote
from streamwatch.decoders.jail import JailError
from streamwatch.decoders.job import (
    MAX_KEYFRAME_BYTES,
    DecodeJob,
    DecodeResult,
    FileDone,
    FileJob,
    FileResult,
)
from streamwatch.decoders.link import Worker, WorkerLost
from streamwatch.decoders.quarantine import Quarantine
from streamwatch.decoders.source import Source
from streamwatch.decoders.worker import HEADROOM_BYTES
from streamwatch.errors import LookFailure, Reason, Step, StreamwatchError

WAITING_PER_WORKER: Final = 32  # jobs; at 10 ms each the last waits 0.3 s, at 4 MiB each they hold 128 MiB
MAX_WAIT_S: Final = 10.0  # a job that found no worker for so long is overload
MAX_BUSY_S: Final = 300.0  # CPU in a worker's life; half of the seconds its jail allows
# How often a worker is looked after: its CPU limit is moved on, its age and its memory are read (12 us). By jobs, and
# by what they took; also after each picture of 4K, which alone may take 55 MiB.
CHECK_JOBS: Final = 64
CHECK_BUSY_S: Final = 8.0
CHECK_PIXELS: Final = 4_000_000
# A 4K picture leaves up to 60 MiB with its context. What is more will not do for the next one of another codec within
# the 160 MiB that a worker may add; and 80 above the 40 MiB that it is born with stay far from 150.
MAX_GROWN_BYTES: Final = 80 * 2**20
PAUSES_S: Final = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0)  # before the next try to make a worker, by failures in a row
HOPELESS: Final = 4  # failures in a row after which jobs are refused at once instead of waiting


class JailMode(StrEnum):
    """What to do where the jail cannot be complete (not Linux, an unknown machine, a kernel without seccomp)."""

    REQUIRED = "required"  # do not decode
    BEST_EFFORT = "best_effort"  # decode with what there is, and say so in the status


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """How the pool is. `restarts` counts workers lost, not those replaced for age; `detail` is for a person."""

    alive: int
    wanted: int
    restarts: int
    jailed: bool
    detail: str


@dataclass(slots=True, eq=False)
class _Entry:
    """Somebody who waits: for what becomes of a keyframe, or, with a file (no job), for a place with a worker."""

    job: DecodeJob | None
    until: float  # monotonic; when it has waited long enough for a worker
    failed: Callable[[Reason, str], Any]
    done: asyncio.Future[Any]

    def settle(self, found: Any) -> None:
        """The answer, where anybody still waits for it."""
        if not self.done.done():
            self.done.set_result(found)


@dataclass(slots=True, eq=False)
class _Place:
    """Where one worker works; its task makes, buries and replaces it."""

    worker: Worker | None = None
    entry: _Entry | None = None  # in the worker's hands
    deadline: float = math.inf  # monotonic; of the entry
    late: bool = False  # it was killed for its deadline
    check_jobs: int = 0
    check_busy_s: float = 0.0
    over: asyncio.Event = field(default_factory=asyncio.Event)  # the worker is lost, or did its share
    tried: asyncio.Event = field(default_factory=asyncio.Event)  # the first attempt has an outcome
    task: asyncio.Task[None] | None = None


class DecoderPool:
    """`workers` jailed processes behind one queue. Use from one event loop, in the thread that outlives the pool."""

    def __init__(
        self,
        *,
        workers: int,
        jail: JailMode = JailMode.REQUIRED,
        wall_s: float = 2.0,
        max_pixels: int = 8_900_000,
        recycle_jobs: int = 10_000,
        headroom_bytes: int = HEADROOM_BYTES,
    ) -> None:
        """`wall_s` bounds one job, `max_pixels` (a little over 3840x2160) one picture, `recycle_jobs` one worker."""
        self._places = [_Place() for _ in range(workers)]
        self._jail = jail
        self._wall_s = wall_s
        self._max_pixels = max_pixels
        self._recycle_jobs = recycle_jobs
        self._headroom_bytes = headroom_bytes
        self._zygote: Zygote | None = None
        self._making = asyncio.Lock()
        self._idle: list[_Place] = []  # the one that worked last is last, and works next: its caches are warm
        self._waiting: deque[_Entry] = deque()  # only while nobody is idle
        self._quarantine = Quarantine()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self._closed = False
        self._restarts = 0
        self._trouble = ""  # why the last worker could not be made; empty when all is well
        self._failures = 0  # tries to make a worker that failed in a row, over all places

    async def start(self) -> None:
        """Makes the workers. Raises JailError where the jail is required and incomplete, StreamwatchError otherwise."""
        for place in self._places:
            place.task = asyncio.create_task(self._keep(place), name="decoder")
        for place in self._places:
            await place.tried.wait()
        if self._places and not self._alive():
            trouble = self._trouble
            await self.aclose()
            if trouble.startswith(_NOT_JAILED):
                raise JailError(f"{trouble}: run on Linux with seccomp, or set decoders.jail to best_effort")
            raise StreamwatchError(f"no decoder could be started: {trouble}")

    async def aclose(self) -> None:
        """Ends all workers and the zygote; waiting jobs answer ours.worker."""
        self._closed = True
        tasks = [place.task for place in self._places if place.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while self._waiting:
            entry = self._waiting.popleft()
            entry.settle(entry.failed(Reason.OURS_WORKER, _CLOSING))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None

    async def score(self, job: DecodeJob) -> DecodeResult:
        """Decodes and scores one keyframe. Never raises for a bad picture or a dead worker: `failure` says it.

        media.* is the camera's (or the picture is not for us); ours.worker, ours.memory, ours.overload say nothing
        about the camera.
        """
        if len(job.data) > MAX_KEYFRAME_BYTES:
            detail = f"the keyframe has {len(job.data)} bytes, over the limit of {MAX_KEYFRAME_BYTES}"
            return _failed(Reason.MEDIA_TOO_LARGE, detail)
        now = time.monotonic()
        left_s = self._quarantine.left_s(job.stream, now)
        if left_s > 0:
            detail = f"pictures of this stream ended decoder after decoder: it is left alone for another {left_s:.0f} s"
            return _failed(Reason.OURS_WORKER, detail)
        found: DecodeResult = await self._queued(job, now + MAX_WAIT_S, _failed)
        return found

    async def score_file(self, source: Source, *, every: int, thumbnails: int, wall_s: float) -> FileResult:
        """Decodes and scores a picture, or every `every`-th keyframe of a clip, within `wall_s` seconds.

        `thumbnails` is how many of the pictures are to bring a small one of themselves. Never raises for what is in
        the file or for a dead worker: `failure` says it. Raises FileError where the file cannot be read any further.
        """
        place = await self._queued(None, time.monotonic() + MAX_WAIT_S + wall_s, _file_failed)
        if isinstance(place, FileResult):
            return place
        job = FileJob(source.known.name, source.known.still, source.size, every, thumbnails)
        worker: Worker = place.worker
        worker.may_take(wall_s + CHECK_BUSY_S)
        try:
            async with asyncio.timeout(wall_s):
                frames, done = await worker.exchange_file(job, source)
        except TimeoutError:
            worker.lose("it took too long")
            return _file_failed(Reason.OURS_WORKER, _late(wall_s))
        except WorkerLost as error:
            worker.lose(str(error))
            return _file_failed(Reason.OURS_WORKER, await _how(error, worker))
        except BaseException:
            worker.lose("its file was given up")  # it still waits for bytes of it
            raise
        worker.busy_s += done.busy_ms / 1000
        self._answered(place, done)
        if done.failure is None and not frames:
            return _file_failed(Reason.OURS_WORKER, "the decoder said it was done, and told of no picture")
        return FileResult(failure=done.failure, frames=frames, keyframes=done.keyframes, every=done.every)

    def status(self) -> PoolStatus:
        """How the pool is now."""
        workers = [place.worker for place in self._places if place.worker is not None]
        open_doors = sorted({worker.detail for worker in workers if not worker.jailed})
        detail = "; ".join(part for part in (self._trouble, *open_doors) if part)
        jailed = bool(workers) and not open_doors
        return PoolStatus(self._alive(), len(self._places), self._restarts, jailed, detail)

    def _alive(self) -> int:
        return sum(1 for place in self._places if place.worker is not None and place.worker.lost is None)

    async def _queued(self, job: DecodeJob | None, until: float, failed: Callable[[Reason, str], Any]) -> Any:
        """Waits for a worker, and for what it makes of the job."""
        if self._closed or (self._failures >= HOPELESS and not self._alive()):
            return failed(Reason.OURS_WORKER, f"no decoder is running: {self._trouble or 'the pool is closed'}")
        entry = _Entry(job, until, failed, asyncio.get_running_loop().create_future())
        if self._idle:
            self._begin(self._idle.pop(), entry)
        elif len(self._waiting) >= WAITING_PER_WORKER * len(self._places):
            detail = f"{len(self._waiting)} pictures wait for {len(self._places)} decoders"
            return failed(Reason.OURS_OVERLOAD, detail)
        else:
            self._waiting.append(entry)
            self._wake(until)
        try:
            return await entry.done
        except asyncio.CancelledError:
            if entry in self._waiting:
                self._waiting.remove(entry)
            elif job is None and not entry.done.cancelled():  # it may have a worker that nobody wants any more
                place = next((place for place in self._places if place.entry is entry), None)
                if place is not None and place.worker is not None and place.worker.lost is None:
                    self._free(place)
            raise

    def _begin(self, place: _Place, entry: _Entry) -> None:
        """Gives an idle worker something to do."""
        place.entry = entry
        if entry.job is None:
            entry.settle(place)
            return
        place.deadline = time.monotonic() + self._wall_s
        self._wake(place.deadline)
        assert place.worker is not None
        place.worker.give(entry.job, partial(self._answered, place))

    def _answered(self, place: _Place, found: DecodeResult | FileDone | WorkerLost) -> None:
        """What the worker made of it. Of a lost one its task tells how it ended."""
        entry, worker = place.entry, place.worker
        if isinstance(found, WorkerLost) or entry is None or worker is None:
            return
        place.entry, place.deadline = None, math.inf
        worker.jobs += 1
        pixels = 0
        if isinstance(found, DecodeResult):
            worker.busy_s += (found.decode_ms + found.score_ms) / 1000
            pixels = (found.width or 0) * (found.height or 0)
        reason = found.failure.reason if found.failure is not None else None
        if reason is Reason.MEDIA_TOO_LARGE:
            pixels = self._max_pixels  # or more: what was taken before it was refused?
        no_memory = reason is Reason.OURS_MEMORY
        if entry.job is not None:
            if no_memory:
                self._quarantine.crashed(entry.job.stream, time.monotonic())
            else:
                self._quarantine.survived(entry.job.stream)
        if no_memory or self._worn(place, worker, pixels):  # what is left of its memory may be in pieces
            place.over.set()
        else:
            self._free(place)
        if entry.job is not None:
            entry.settle(found)

    def _free(self, place: _Place) -> None:
        """Its worker has nothing to do: it takes what waits longest."""
        place.entry = None
        while self._waiting:
            entry = self._waiting.popleft()
            if not entry.done.done():
                self._begin(place, entry)
                return
        self._idle.append(place)

    def _worn(self, place: _Place, worker: Worker, pixels: int) -> bool:
        """It did its share, or grew too large. Looks after its CPU limit besides."""
        if worker.jobs >= self._recycle_jobs:
            return True
        if worker.jobs < place.check_jobs and worker.busy_s < place.check_busy_s and pixels < CHECK_PIXELS:
            return False
        place.check_jobs, place.check_busy_s = worker.jobs + CHECK_JOBS, worker.busy_s + CHECK_BUSY_S
        worker.may_take(self._wall_s + 2 * CHECK_BUSY_S)
        return worker.cpu_s() >= MAX_BUSY_S or worker.resident_bytes() - worker.born_bytes > MAX_GROWN_BYTES

    def _wake(self, at: float) -> None:
        """Looks at the deadlines then, or earlier. One timer is set for all of them, at the first."""
        if at < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = at
            self._timer = asyncio.get_running_loop().call_later(max(0.0, at - time.monotonic()), self._ring)

    def _ring(self) -> None:
        """Ends what took too long: the worker with a job, the wait without one."""
        self._timer, self._timer_at = None, math.inf
        now = time.monotonic()
        for place in self._places:
            if place.deadline <= now and place.worker is not None:
                place.worker.poll()  # it may have answered while our own loop stood still
                if place.deadline <= now:
                    place.deadline, place.late = math.inf, True
                    place.worker.lose("it took too long")
        for entry in [entry for entry in self._waiting if entry.until <= now]:
            self._waiting.remove(entry)
            entry.settle(entry.failed(Reason.OURS_OVERLOAD, f"no decoder was free within {MAX_WAIT_S:g} s"))
        ends = [place.deadline for place in self._places] + [entry.until for entry in self._waiting]
        if ends and min(ends) < math.inf:
            self._wake(min(ends))

    async def _keep(self, place: _Place) -> None:
        """Keeps one worker alive, for ever."""
        while True:
            try:
                worker = await self._make()
            except WorkerLost as error:
                self._trouble = str(error)
                place.tried.set()
                self._failures += 1
                await asyncio.sleep(PAUSES_S[min(self._failures, len(PAUSES_S)) - 1])
                continue
            self._failures, self._trouble = 0, ""
            place.worker, place.late, place.check_jobs, place.check_busy_s = worker, False, CHECK_JOBS, CHECK_BUSY_S
            place.over.clear()
            place.tried.set()
            worker.may_take(self._wall_s + 2 * CHECK_BUSY_S)
            worker.on_lost = partial(self._lost, place)
            try:
                if worker.lost is None:
                    self._free(place)
                    await place.over.wait()
                if worker.lost is not None:
                    await self._bury(place, worker, worker.lost)
            finally:
                self._leave(place, worker)

    def _lost(self, place: _Place) -> None:
        """No job goes to it from this moment on."""
        self._restarts += 1
        if place in self._idle:
            self._idle.remove(place)
        place.over.set()

    async def _bury(self, place: _Place, worker: Worker, lost: WorkerLost) -> None:
        """Tells who waits for its answer how it ended."""
        entry = place.entry
        if entry is None or entry.job is None:  # a file's own task tells
            return
        self._quarantine.crashed(entry.job.stream, time.monotonic())
        detail = _late(self._wall_s) if place.late else await _how(lost, worker)
        entry.settle(entry.failed(Reason.OURS_WORKER, detail))

    def _leave(self, place: _Place, worker: Worker) -> None:
        """Lets go of the worker, whatever it is doing."""
        entry, place.entry, place.worker, place.deadline = place.entry, None, None, math.inf
        if place in self._idle:
            self._idle.remove(place)
        worker.on_lost = None
        worker.close()
        if entry is not None and entry.job is not None:
            entry.settle(entry.failed(Reason.OURS_WORKER, _CLOSING))

    async def _make(self) -> Worker:
        async with self._making:
            if self._zygote is None or self._zygote.lost.is_set():
                self._zygote = await Zygote.open(
                    max_pixels=self._max_pixels,
                    headroom_bytes=self._headroom_bytes,
                    jail_required=self._jail is JailMode.REQUIRED,
                )
            zygote = self._zygote
        worker = await zygote.worker()
        if self._jail is JailMode.REQUIRED and not worker.jailed:
            worker.close()
            raise WorkerLost(f"{_NOT_JAILED}: {worker.detail}")
        return worker


_NOT_JAILED: Final = "the decoders' jail is not complete"
_CLOSING: Final = "the decoders are being closed"


def _late(wall_s: float) -> str:
    return f"decoding took longer than {wall_s:g} s and was stopped"


async def _how(lost: WorkerLost, worker: Worker) -> str:
    return f"the decoder was lost during this job: {lost}; {await worker.how_it_ended()}"


def _failed(reason: Reason, detail: str) -> DecodeResult:
    return DecodeResult(failure=LookFailure(reason, Step.DECODE, detail))


def _file_failed(reason: Reason, detail: str) -> FileResult:
    return FileResult(failure=LookFailure(reason, Step.DECODE, detail))
