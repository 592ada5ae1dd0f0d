"""Who may watch streams for a stretch of time: ours, who reads and drops, ffmpeg a process each, PyAV a thread each."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import ClassVar

from benchmarks.cameras import FarmCamera
from benchmarks.measure import BenchmarkError, ended
from benchmarks.rival_process import joined
from streamwatch.clock import SystemClock
from streamwatch.ingest.continuous import Watcher, watch
from streamwatch.ingest.session import Heard, Limits, open_session
from streamwatch.ingest.sweeping import BUFFER, Seat, Sweep
from streamwatch.model.look import Depth
from streamwatch.net.address import Guard
from streamwatch.wire.ask import Ask

ROOT = Path(__file__).resolve().parents[1]
OPENING = 16  # sessions at once while they are opened
END_S = 5.0
LIMITS = Limits(10.0, 60.0, 60.0)  # the farm may have to render first
SIZE = "720p"

# Pictures that all of them together received since this was last asked; None where they do not say.
Count = Callable[[], Awaitable[float | None]]


def ask_of(camera: FarmCamera) -> Ask:
    """What opens the stream that is watched."""
    return Ask(camera.url(SIZE), Depth.STREAM, camera.credentials)


async def _each(cameras: Sequence[FarmCamera], act: Callable[[FarmCamera], Awaitable[None]]) -> None:
    places = asyncio.Semaphore(OPENING)

    async def one(camera: FarmCamera) -> None:
        async with places:
            await act(camera)

    await asyncio.gather(*(one(camera) for camera in cameras))


def _checked(heard: Heard, camera: FarmCamera) -> None:
    if heard.failure is not None:
        raise BenchmarkError(f"no stream from {camera.url(SIZE)}: {heard.failure.detail}")


@asynccontextmanager
async def ours(cameras: Sequence[FarmCamera]) -> AsyncIterator[Count]:
    """The product's watchers, none of which wants a keyframe."""
    watchers: list[Watcher] = []
    sweep = Sweep()

    async def begin(camera: FarmCamera) -> None:
        heard, watcher = await watch(ask_of(camera), LIMITS, clock=SystemClock(), guard=Guard(), sweep=sweep)
        _checked(heard, camera)
        if watcher is None:
            raise BenchmarkError(f"{camera.url(SIZE)} could not be watched")
        watchers.append(watcher)

    async def pictures() -> float:
        if any(watcher.over for watcher in watchers):
            raise BenchmarkError("a session that was watched has ended")
        seen = [watcher.take() for watcher in watchers]
        if lost := sum(one.lost for one in seen):
            raise BenchmarkError(f"{lost} packets were lost over loopback: this is a defect of ours or of the farm")
        return sum(one.pictures for one in seen)

    try:
        await _each(cameras, begin)
        yield pictures
    finally:
        for watcher in watchers:
            watcher.close()


class _Drop(asyncio.BufferedProtocol):
    """The least that receives: one buffer for all, and a sum."""

    received: ClassVar[int] = 0

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002
        return BUFFER  # as ours has it

    def buffer_updated(self, nbytes: int) -> None:
        _Drop.received += nbytes


@asynccontextmanager
async def drop(cameras: Sequence[FarmCamera], sweep: Sweep | None = None) -> AsyncIterator[Count]:
    """Sessions opened as ours are; what comes is read, in the turns of `sweep` or as it comes, and dropped."""
    transports: list[asyncio.Transport] = []
    seats: list[Seat] = []

    async def begin(camera: FarmCamera) -> None:
        heard, opened = await open_session(ask_of(camera), LIMITS, clock=SystemClock(), guard=Guard())
        _checked(heard, camera)
        if opened is None:
            raise BenchmarkError(f"{camera.url(SIZE)} kept no session")
        protocol = _Drop()
        opened.transport.set_protocol(protocol)
        opened.transport.resume_reading()
        transports.append(opened.transport)
        if sweep is not None and (seat := sweep.join(opened.transport, protocol.buffer_updated, lambda: None)):
            seats.append(seat)

    async def pictures() -> None:
        if any(transport.is_closing() for transport in transports):
            raise BenchmarkError("a session that was read has ended")

    try:
        await _each(cameras, begin)
        yield pictures
    finally:
        for seat in seats:
            seat.leave()
        for transport in transports:
            transport.close()


def swept(cameras: Sequence[FarmCamera]) -> AbstractAsyncContextManager[Count]:
    """Read in turns, as ours are, and dropped."""
    return drop(cameras, Sweep())


def dropped_bytes() -> int:
    """All that was read and dropped since the beginning of this process."""
    return _Drop.received


@asynccontextmanager
async def ffmpeg(cameras: Sequence[FarmCamera]) -> AsyncIterator[Count]:
    """`ffmpeg -c copy -f null -` a stream: demultiplexed, not decoded."""
    processes: list[asyncio.subprocess.Process] = []
    command = "ffmpeg -nostdin -v error -rtsp_transport tcp -analyzeduration 0 -probesize 32 -i {} -c copy -f null -"

    async def pictures() -> None:
        if any(process.returncode is not None for process in processes):
            raise BenchmarkError("an ffmpeg that was watching has ended")

    try:
        for camera in cameras:
            login = camera.credentials
            url = joined(camera.url(SIZE), login.username, login.password)
            processes.append(
                await asyncio.create_subprocess_exec(
                    *command.format(url).split(), stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
                )
            )
        yield pictures
    finally:
        await asyncio.gather(*(ended(process, END_S) for process in processes))


@asynccontextmanager
async def pyav(cameras: Sequence[FarmCamera]) -> AsyncIterator[Count]:
    """A process with a thread a stream that demultiplexes it."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.demux_process", env=os.environ | {"PYTHONPATH": path},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None
    assert stdout is not None
    before = 0

    async def pictures() -> float:
        nonlocal before
        stdin.write(b"\n")
        answer = await stdout.readline()
        if not answer:
            raise BenchmarkError("the process that reads by PyAV has ended")
        since, before = int(answer) - before, int(answer)
        return since

    try:
        logins = [(one.url(SIZE), one.credentials.username, one.credentials.password) for one in cameras]
        stdin.write(json.dumps(logins).encode() + b"\n")
        yield pictures
    finally:
        stdin.close()
        await ended(process, END_S)
