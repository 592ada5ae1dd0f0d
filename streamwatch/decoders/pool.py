"""Stage 4: the pool of jailed decode workers: jobs in, results out, and nothing that a picture does can stop it.

A job may cost its worker: a crash, an endless loop, too much memory. Then that job alone is lost (`ours.worker`,
`ours.memory`: unknown, never down), and the worker is replaced at once. A job is never tried again here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Generic, TypeVar

from streamwatch.decoders.birth import Worker, WorkerLost, Zygote
from streamwatch.decoders.jail import JailError
from streamwatch.decoders.job import (
    MAX_KEYFRAME_BYTES,
    DecodeJob,
    DecodeResult,
    FileJob,
    FileResult,
    framed,
)
from streamwatch.decoders.recognise import FileError
from streamwatch.decoders.source import Source
from streamwatch.decoders.worker import HEADROOM_BYTES
from streamwatch.errors import LookFailure, Reason, Step, StreamwatchError

WAITING_PER_WORKER: Final = 32  # jobs; at 10 ms each the last waits 0.3 s, at 4 MiB each they hold 128 MiB
MAX_WAIT_S: Final = 10.0  # a job that found no worker for so long is overload
MAX_BUSY_S: Final = 300.0  # of a worker's life; half of the CPU seconds its jail allows
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


_R = TypeVar("_R", DecodeResult, FileResult)


@dataclass(slots=True)
class _Waiting(Generic[_R]):
    """A job in the queue: how a worker does it, in how long, and what it is called when it failed for our reasons."""

    work: Callable[[Worker], Awaitable[_R]]
    wall_s: float
    failed: Callable[[Reason, str], _R]
    done: asyncio.Future[_R]


@dataclass(slots=True)
class _Slot:
    """The place of one worker; its task makes, feeds and replaces it."""

    worker: Worker | None = None
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
        self._slots = [_Slot() for _ in range(workers)]
        self._jail = jail
        self._wall_s = wall_s
        self._max_pixels = max_pixels
        self._recycle_jobs = recycle_jobs
        self._headroom_bytes = headroom_bytes
        self._zygote: Zygote | None = None
        self._making = asyncio.Lock()
        self._waiting: deque[_Waiting[Any]] = deque()
        self._nudge = asyncio.Event()  # wakes every idle slot: there is a job, or a worker is gone
        self._closed = False
        self._restarts = 0
        self._trouble = ""  # why the last worker could not be made; empty when all is well
        self._failures = 0  # tries to make a worker that failed in a row, over all slots

    async def start(self) -> None:
        """Makes the workers. Raises JailError where the jail is required and incomplete, StreamwatchError otherwise."""
        for slot in self._slots:
            slot.task = asyncio.create_task(self._keep(slot), name="decoder slot")
        for slot in self._slots:
            await slot.tried.wait()
        if self._slots and not self._alive():
            trouble = self._trouble
            await self.aclose()
            if trouble.startswith(_NOT_JAILED):
                raise JailError(f"{trouble}: run on Linux with seccomp, or set decoders.jail to best_effort")
            raise StreamwatchError(f"no decoder could be started: {trouble}")

    async def aclose(self) -> None:
        """Ends all workers and the zygote; waiting jobs answer ours.worker."""
        self._closed = True
        tasks = [slot.task for slot in self._slots if slot.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while self._waiting:
            waiting = self._waiting.popleft()
            _settle(waiting, waiting.failed(Reason.OURS_WORKER, "the decoders are being closed"))
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
        message = framed(job)

        async def work(worker: Worker) -> DecodeResult:
            result = await worker.exchange(message)
            worker.busy_s += (result.decode_ms + result.score_ms) / 1000
            return result

        return await self._queued(work, self._wall_s, _failed)

    async def score_file(self, source: Source, *, every: int, thumbnails: int, wall_s: float) -> FileResult:
        """Decodes and scores a picture, or every `every`-th keyframe of a clip, within `wall_s` seconds.

        `thumbnails` is how many of the pictures are to bring a small one of themselves. Never raises for what is in
        the file or for a dead worker: `failure` says it. Raises FileError where the file cannot be read any further.
        """
        job = FileJob(source.known.name, source.known.still, source.size, every, thumbnails)

        async def work(worker: Worker) -> FileResult:
            try:
                frames, done = await worker.exchange_file(job, source)
            except FileError as error:
                worker.kill()  # it still waits for the bytes
                return _file_failed(Reason.OURS_WORKER, error.detail, unreadable=error)
            worker.busy_s += done.busy_ms / 1000
            if done.failure is None and not frames:
                return _file_failed(Reason.OURS_WORKER, "the decoder said it was done, and told of no picture")
            return FileResult(failure=done.failure, frames=frames, keyframes=done.keyframes, every=done.every)

        result = await self._queued(work, wall_s, _file_failed)
        if result.unreadable is not None:
            raise result.unreadable
        return result

    async def _queued(
        self, work: Callable[[Worker], Awaitable[_R]], wall_s: float, failed: Callable[[Reason, str], _R]
    ) -> _R:
        """Waits for a worker and for what it makes of the job."""
        if self._closed or (self._failures >= HOPELESS and not self._alive()):
            return failed(Reason.OURS_WORKER, f"no decoder is running: {self._trouble or 'the pool is closed'}")
        if len(self._waiting) >= WAITING_PER_WORKER * len(self._slots):
            return failed(Reason.OURS_OVERLOAD, f"{len(self._waiting)} pictures wait for {len(self._slots)} decoders")
        done: asyncio.Future[_R] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(work, wall_s, failed, done)
        self._waiting.append(waiting)
        self._nudge.set()
        try:
            async with asyncio.timeout(MAX_WAIT_S + wall_s):
                return await done
        except TimeoutError:
            return failed(Reason.OURS_OVERLOAD, f"no decoder was free within {MAX_WAIT_S:g} s")
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)

    def status(self) -> PoolStatus:
        """How the pool is now."""
        workers = [slot.worker for slot in self._slots if slot.worker is not None]
        open_doors = sorted({worker.detail for worker in workers if not worker.jailed})
        detail = "; ".join(part for part in (self._trouble, *open_doors) if part)
        jailed = bool(workers) and not open_doors
        return PoolStatus(self._alive(), len(self._slots), self._restarts, jailed, detail)

    def _alive(self) -> int:
        return sum(1 for slot in self._slots if slot.worker is not None and not slot.worker.gone.is_set())

    async def _keep(self, slot: _Slot) -> None:
        """Keeps one worker alive and fed, for ever."""
        while True:
            try:
                slot.worker = await self._make()
            except WorkerLost as error:
                self._trouble = str(error)
                slot.tried.set()
                self._failures += 1
                await asyncio.sleep(PAUSES_S[min(self._failures, len(PAUSES_S)) - 1])
                continue
            self._failures, self._trouble = 0, ""
            slot.tried.set()
            watch = asyncio.ensure_future(slot.worker.gone.wait())  # one in a worker's life, not one a job
            watch.add_done_callback(lambda _ended: self._nudge.set())
            try:
                await self._feed(slot.worker)
            finally:
                watch.cancel()
                slot.worker.close()
                slot.worker = None

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

    async def _feed(self, worker: Worker) -> None:
        """Gives it jobs until it is lost or has done its share."""
        while worker.jobs < self._recycle_jobs and worker.busy_s < MAX_BUSY_S:
            if worker.gone.is_set():
                self._restarts += 1
                return
            if not self._waiting:
                self._nudge.clear()
                await self._nudge.wait()
                continue
            waiting = self._waiting.popleft()
            if waiting.done.done():
                continue
            try:
                result = await self._do(worker, waiting)
            except asyncio.CancelledError:
                _settle(waiting, waiting.failed(Reason.OURS_WORKER, "the decoders are being closed"))
                raise
            _settle(waiting, result)
            if result.failure is not None and result.failure.reason is Reason.OURS_WORKER:
                self._restarts += 1
                return
            if result.failure is not None and result.failure.reason is Reason.OURS_MEMORY:
                return  # what is left of its address space may be in pieces

    async def _do(self, worker: Worker, waiting: _Waiting[_R]) -> _R:
        try:
            async with asyncio.timeout(waiting.wall_s):
                result = await waiting.work(worker)
        except TimeoutError:
            worker.kill()
            return waiting.failed(Reason.OURS_WORKER, f"decoding took longer than {waiting.wall_s:g} s and was stopped")
        except WorkerLost as error:
            worker.kill()
            ended = await worker.how_it_ended()
            return waiting.failed(Reason.OURS_WORKER, f"the decoder was lost during this job: {error}; {ended}")
        worker.jobs += 1
        return result


_NOT_JAILED: Final = "the decoders' jail is not complete"


def _failed(reason: Reason, detail: str) -> DecodeResult:
    return DecodeResult(failure=LookFailure(reason, Step.DECODE, detail))


def _file_failed(reason: Reason, detail: str, unreadable: FileError | None = None) -> FileResult:
    return FileResult(failure=LookFailure(reason, Step.DECODE, detail), unreadable=unreadable)


def _settle(waiting: _Waiting[_R], result: _R) -> None:
    if not waiting.done.done():
        waiting.done.set_result(result)
