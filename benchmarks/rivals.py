"""The rivals: what each does for one picture look, how it is started, and why it is not here.

A library lives in a process of its own (`rival_process.py`) as long as the benchmark does, threads inside; a program is
started for every look. Neither shares an interpreter, an environment or a libavcodec with us or with another rival, and
what starts and reads them is not counted for them.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from benchmarks.cameras import FarmCamera
from benchmarks.measure import BenchmarkError, ended
from benchmarks.rival_process import LOOK_S, joined

ROOT = Path(__file__).resolve().parents[1]
START_S = 60.0  # a library loaded from a cold disk
END_S = 5.0
LINE_BYTES = 2**22  # of an answer: a look is 20 bytes of it, a failure some hundred


@dataclass(frozen=True, slots=True)
class Took:
    """One sample: milliseconds of every look, and what was said where no picture came, by index."""

    took_ms: tuple[float, ...]
    failed: tuple[tuple[int, str], ...]


class Runner(Protocol):
    """A rival that is ready."""

    version: str

    async def looks(self, cameras: Sequence[FarmCamera], size: str, at_once: int) -> Took:
        """One look at each camera."""
        ...

    async def aclose(self) -> None:
        """Ends it."""
        ...


@dataclass(frozen=True, slots=True)
class Rival:
    """`name` as in the figures. `slow` ones wait for seconds at every look: they get fewer samples of fewer looks.

    `at_once`: looks at once; None: as many as ours.
    """

    name: str
    needs: str  # what a note says it takes
    typed: str = ""  # the command of a program, for one look; a library has none
    slow: bool = False
    at_once: int | None = None
    library: str = ""  # its name in rival_process, where that is another

    @property
    def serves(self) -> str:
        """Which of rival_process."""
        return self.library or self.name


_TUNED = "-analyzeduration 0 -probesize 32 -threads 1"
_PROGRAMS = {  # what is typed for one look
    "ffmpeg": (
        f"ffmpeg -nostdin -v error -rtsp_transport tcp {_TUNED} -i {{joined}} -map 0:v -frames:v 1 -threads 1 -f null -"
    ),
    "ffmpeg_default": "ffmpeg -nostdin -v error -rtsp_transport tcp -i {joined} -frames:v 1 -f null -",
    "ffprobe": "ffprobe -v error -rtsp_transport tcp -show_streams {joined}",
    "gstreamer_default": (
        "gst-launch-1.0 -q rtspsrc location={url} user-id={user} user-pw={password} protocols=tcp ! decodebin ! "
        "fakesink num-buffers=1"
    ),
}
_GSTREAMER = "python3-gi, gir1.2-gst-plugins-base-1.0, gstreamer1.0-plugins-good, gstreamer1.0-libav"
RIVALS = (
    Rival("pyav", "av"),
    Rival("pyav_c1", "av", at_once=1, library="pyav"),
    Rival("pyav_unprobed", "av"),
    Rival("opencv", "opencv-python-headless"),
    Rival("opencv_unprobed", "opencv-python-headless"),
    Rival("gstreamer", _GSTREAMER),
    Rival("ffmpeg", "ffmpeg", typed=_PROGRAMS["ffmpeg"]),
    Rival("pyav_default", "av", slow=True),
    Rival("opencv_default", "opencv-python-headless", slow=True),
    Rival("ffmpeg_default", "ffmpeg", typed=_PROGRAMS["ffmpeg_default"], slow=True),
    Rival("ffprobe", "ffmpeg", typed=_PROGRAMS["ffprobe"], slow=True),
    Rival("gstreamer_default", "gstreamer1.0-tools", typed=_PROGRAMS["gstreamer_default"], slow=True),
)
NAMES = tuple(rival.name for rival in RIVALS)


@asynccontextmanager
async def field(names: Sequence[str] | None = None) -> AsyncIterator[tuple[dict[str, Runner], list[str]]]:
    """Those of the rivals that are here, ready, and a note for each: its version, or that it is missing."""
    wanted = [rival for rival in RIVALS if names is None or rival.name in names]
    libraries: dict[str, Runner] = {}
    runners: dict[str, Runner] = {}
    notes: list[str] = []
    try:
        for rival in wanted:
            try:
                runner = libraries.get(rival.serves) or await _started(rival)
            except BenchmarkError as error:
                notes.append(f"{rival.name}: not measured, {error} (it takes {rival.needs}; no dependency of ours).")
                continue
            if not rival.typed:
                libraries[rival.serves] = runner
            runners[rival.name] = runner
            notes.append(f"version: {rival.name} is {runner.version}")
        yield runners, notes
    finally:
        for runner in {id(runner): runner for runner in runners.values()}.values():
            await runner.aclose()


def at_once_of(name: str, ours: int) -> int:
    """How many looks at once that rival makes, where we make `ours`."""
    return next(rival.at_once for rival in RIVALS if rival.name == name) or ours


def is_slow(name: str) -> bool:
    """Whether it waits for seconds at every look."""
    return next(rival.slow for rival in RIVALS if rival.name == name)


async def _started(rival: Rival) -> Runner:
    if rival.typed:
        program, *arguments = rival.typed.split()
        path = shutil.which(program)
        if path is None:
            raise BenchmarkError(f"there is no {program} on PATH")
        return _Program(path, arguments, await _version(path))
    why = "nothing was tried"
    for interpreter in dict.fromkeys((sys.executable, *(["/usr/bin/python3"] if rival.name == "gstreamer" else []))):
        try:
            return await _Library.started(interpreter, rival.serves)
        except BenchmarkError as error:
            why = str(error)
    raise BenchmarkError(why)


class _Library:
    """A process that serves orders line by line."""

    def __init__(self, process: asyncio.subprocess.Process, version: str) -> None:
        self._process = process
        self._turn = asyncio.Lock()
        self.version = version

    @staticmethod
    async def started(interpreter: str, name: str) -> _Library:
        """Raises BenchmarkError where the library is not there."""
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        with tempfile.TemporaryFile() as log:  # no pipe: what libraries print must not block them
            try:
                process = await asyncio.create_subprocess_exec(
                    interpreter, "-m", "benchmarks.rival_process", name, env=os.environ | {"PYTHONPATH": path},
                    stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log, limit=LINE_BYTES,
                )  # fmt: skip
            except OSError as error:
                raise BenchmarkError(f"{interpreter} does not run ({error.strerror})") from error
            assert process.stdout is not None
            async with asyncio.timeout(START_S):
                hello = await process.stdout.readline()
            if not hello:
                await process.wait()
                log.seek(0)
                said = log.read().decode(errors="replace").strip().rpartition("\n")[2]
                raise BenchmarkError(said or "it ended at once")
        return _Library(process, json.loads(hello)["version"])

    async def looks(self, cameras: Sequence[FarmCamera], size: str, at_once: int) -> Took:
        order = {
            "threads": at_once,
            "looks": [(one.url(size), one.credentials.username, one.credentials.password) for one in cameras],
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._turn:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            answer = await self._process.stdout.readline()
        if not answer:
            raise BenchmarkError(f"{self.version} died while it looked")
        told: dict[str, Any] = json.loads(answer)
        return Took(tuple(told["took_ms"]), tuple((index, said) for index, said in told["failed"]))

    async def aclose(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        with suppress(ProcessLookupError):
            await ended(self._process, END_S)


class _Program:
    """A process a look."""

    def __init__(self, path: str, arguments: Sequence[str], version: str) -> None:
        self._path = path
        self._arguments = arguments
        self.version = version

    async def looks(self, cameras: Sequence[FarmCamera], size: str, at_once: int) -> Took:
        places = asyncio.Semaphore(at_once)
        failed: list[tuple[int, str]] = []

        async def look(index: int, camera: FarmCamera) -> float:
            async with places:
                begun = time.perf_counter()
                said = await self._look(camera, size)
                if said:
                    failed.append((index, said))
                return (time.perf_counter() - begun) * 1000

        took_ms = await asyncio.gather(*(look(index, camera) for index, camera in enumerate(cameras)))
        return Took(tuple(took_ms), tuple(failed))

    async def _look(self, camera: FarmCamera, size: str) -> str:
        """What went wrong; "" where nothing did."""
        url, login = camera.url(size), camera.credentials
        known = {
            "url": url, "joined": joined(url, login.username, login.password), "user": login.username,
            "password": login.password,
        }  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            self._path, *(part.format_map(known) for part in self._arguments),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(LOOK_S):
                _, said = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            return f"no picture within {LOOK_S:g} s"
        if process.returncode == 0:
            return ""
        return f"ended with {process.returncode}: {' '.join(said.decode(errors='replace').split())[-200:]}"

    async def aclose(self) -> None:
        """Nothing of it is left."""


async def _version(path: str) -> str:
    """What a program calls itself; the ones here know -version or --version."""
    for option in ("-version", "--version"):
        process = await asyncio.create_subprocess_exec(
            path, option, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        said, _ = await process.communicate()
        if process.returncode == 0 and said:
            return said.decode(errors="replace").splitlines()[0].partition(" Copyright")[0]
    return "of an unknown version"
