"""The simulated farm as a process of its own, whose CPU is not counted, and its cameras as a client sees them."""

from __future__ import annotations

import asyncio
import csv
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
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

READY_S = 300.0  # rendering all scenes takes a minute; the cache makes it one second
END_S = 10.0
SIZES = ("360p", "720p", "1080p")  # the farm's streams: 640x360, 1280x720 and 1920x1080


@dataclass(frozen=True, slots=True)
class Pictures:
    """How a farm's streams are encoded and sent: pictures a second, a key frame every so many of them, and a quantiser,
    or a rate (of the 720p stream) instead; `paced`: a packet a write, else a picture a write."""

    fps: int = 25
    gop: int = 25
    qp: int = 29
    kbps: int | None = None
    paced: bool = False

    @property
    def arguments(self) -> list[str]:
        """What tells the simulator."""
        rate = [] if self.kbps is None else [f"--kbps={self.kbps}"]
        sent = "--paced" if self.paced else "--no-paced"
        return [f"--fps={self.fps}", f"--gop={self.gop}", f"--qp={self.qp}", *rate, sent]


CAMERA = Pictures()  # as cameras are set; key frames of about 20, 60 and 110 KB
PATROL = Pictures(5, 10, paced=True)  # the farm's own default: what a patrol sees of it costs the farm little


@dataclass(frozen=True, slots=True)
class FarmCamera:
    """A camera of the farm: where it answers and as whom; `urls` by size, without credentials."""

    code: str
    urls: Mapping[str, str]
    credentials: Credentials

    def url(self, size: str) -> str:
        """The address of the stream of that size, without credentials."""
        return self.urls[size]

    @property
    def sub_url(self) -> str:
        """The smallest stream."""
        return self.urls[SIZES[0]]

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
async def farm(
    count: int,
    cache: Path,
    villages: int = 1,
    udp: float = 0.0,
    pictures: Pictures = PATROL,
    extra: Sequence[str] = (),
) -> AsyncIterator[RunningFarm]:
    """`count` healthy cameras, for as long as the context lasts; clips are kept in `cache`.

    A village's cameras begin with the same scenes: the more villages, the fewer scenes there are to render.
    `udp` is the share that serves media as datagrams only: none where peers that know TCP are to see the same cameras.
    `extra` are more arguments of the simulator.
    """
    with tempfile.TemporaryDirectory(prefix="streamwatch-bench-") as folder:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "streamwatch.simulator", f"--villages={villages}", f"--cameras={count}",
            f"--inventory={folder}", f"--log={folder}/farm.jsonl", f"--cache={cache}", f"--udp={udp}",
            f"--sizes={','.join(SIZES)}", *pictures.arguments, *extra,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            async with asyncio.timeout(READY_S):
                ready = await process.stdout.readline()
                if not ready:
                    raise BenchmarkError("the simulated farm could not start; what it said is above")
            listed = _listed(Path(folder))
            yield RunningFarm(process.pid, listed, json.loads(ready)["control"], Path(folder))
        finally:
            await ended(process, END_S)


def _listed(folder: Path) -> tuple[FarmCamera, ...]:
    with (folder / "streams.csv").open(encoding="utf-8", newline="") as file:
        urls: dict[str, dict[str, str]] = {}
        for row in csv.DictReader(file):
            urls.setdefault(row["code"], {})[row["size"]] = row["url"]
    with (folder / "cameras.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            FarmCamera(row["code"], urls[row["code"]], Credentials(row["username"], row["password"]))
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
