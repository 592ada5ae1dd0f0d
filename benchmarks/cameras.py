"""The simulated farm as a process of its own, whose CPU is not counted, and its cameras as a client sees them."""

from __future__ import annotations

import asyncio
import csv
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.measure import BenchmarkError, ended
from streamwatch.clock import SystemClock
from streamwatch.ingest.session import Limits, converse
from streamwatch.model.look import Depth
from streamwatch.model.report import Credentials
from streamwatch.net.address import Guard
from streamwatch.wire.conversation import Ask, Keyframe

READY_S = 180.0  # rendering all scenes takes about 20 s; the cache makes it one
END_S = 10.0
SIZES = {"360p": "sub", "720p": "main"}  # the farm's streams: 640x360 and 1280x720


@dataclass(frozen=True, slots=True)
class FarmCamera:
    """A camera of the farm: where it answers and as whom."""

    code: str
    sub_url: str
    main_url: str
    credentials: Credentials

    def url(self, size: str) -> str:
        """The address of the stream of that size, without credentials."""
        return self.main_url if SIZES[size] == "main" else self.sub_url

    @property
    def host(self) -> str:
        """Its address."""
        return urlsplit(self.sub_url).hostname or ""


@dataclass(frozen=True, slots=True)
class RunningFarm:
    """Its process, its cameras, where its faults are switched, and the folder of its lists and its log."""

    pid: int
    cameras: tuple[FarmCamera, ...]
    control: str
    folder: Path

    @property
    def log(self) -> Path:
        """One JSON line a change of a fault."""
        return self.folder / "farm.jsonl"


@asynccontextmanager
async def farm(count: int, cache: Path, villages: int = 1, udp: float = 0.0) -> AsyncIterator[RunningFarm]:
    """`count` healthy cameras, for as long as the context lasts; clips are kept in `cache`.

    A village's cameras begin with the same scenes: the more villages, the fewer scenes there are to render.
    `udp` is the share that serves media as datagrams only: none where peers that know TCP are to see the same cameras.
    """
    with tempfile.TemporaryDirectory(prefix="streamwatch-bench-") as folder:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "streamwatch.simulator", f"--villages={villages}", f"--cameras={count}",
            f"--inventory={folder}", f"--log={folder}/farm.jsonl", f"--cache={cache}", f"--udp={udp}",
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            async with asyncio.timeout(READY_S):
                ready = await process.stdout.readline()
                if not ready:
                    raise BenchmarkError("the simulated farm could not start; what it said is above")
            listed = _listed(Path(folder) / "cameras.csv")
            yield RunningFarm(process.pid, listed, json.loads(ready)["control"], Path(folder))
        finally:
            await ended(process, END_S)


def _listed(path: Path) -> tuple[FarmCamera, ...]:
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(
            FarmCamera(row["code"], row["sub_url"], row["url"], Credentials(row["username"], row["password"]))
            for row in csv.DictReader(file)
        )


async def keyframes(cameras: Sequence[FarmCamera], size: str, each: int) -> list[Keyframe]:
    """`each` keyframes of every camera, fetched as a look fetches them; the farm renders what it has not yet."""

    async def fetch(camera: FarmCamera) -> list[Keyframe]:
        found = []
        for _ in range(each):
            ask = Ask(camera.url(size), Depth.STREAM, camera.credentials)
            heard = await converse(ask, Limits(5.0, READY_S, READY_S), clock=SystemClock(), guard=Guard())
            if heard.keyframe is None:
                raise BenchmarkError(f"no keyframe from {camera.url(size)}: {heard.failure}")
            found.append(heard.keyframe)
        return found

    return [keyframe for some in await asyncio.gather(*(fetch(camera) for camera in cameras)) for keyframe in some]
