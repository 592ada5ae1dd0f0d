"""What does it cost to ask a camera whether it is there, anew or on a connection that stays, and to keep that open?"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.cameras import FarmCamera, farm
from benchmarks.hold_process import FILES_BESIDE
from benchmarks.measure import BenchmarkError, Result, ended

ROOT = Path(__file__).resolve().parents[1]
END_S = 10.0
START_S = 60.0
LINE_BYTES = 2**24  # of the list of cameras: about 60 bytes each
KINDS = {"": "us", "bare.": "bare", "streams.": "streams"}  # prefix of the figures, and who


@dataclass(frozen=True, slots=True)
class Plan:
    """`connections` are held, `cameras` of them connected to anew, so that not every port waits for its last packet.

    A sample is `rounds` over all of them.
    """

    connections: int = 9_900
    cameras: int = 500
    runs: int = 3
    rounds: int = 4
    connect_rounds: int = 4
    full: bool = True


FULL = Plan()
QUICK = Plan(connections=1_000, cameras=200, runs=3, rounds=2, connect_rounds=2, full=False)


def run(plan: Plan, cache: Path) -> Result:
    """Runs are interleaved: every run takes one sample of each way; all of them hold their connections meanwhile."""
    return uvloop.run(_run(plan, cache))


async def _run(plan: Plan, cache: Path) -> Result:
    held, note = _possible(plan.connections)
    fixture = {
        "connections": held, "cameras": plan.cameras, "runs": plan.runs, "rounds": plan.rounds, "full": plan.full,
    }  # fmt: skip
    result = Result("hold", fixture, notes=[*note, *NOTES])
    async with farm(held, cache, min(held, 250), extra=["--wide"]) as running:
        for _ in range(plan.runs):
            for prefix, kind in KINDS.items():
                await _connect(result, prefix, kind, running.cameras[: plan.cameras], plan)
                await _hold(result, prefix, kind, running.cameras, plan)
    for name in ("connect_options_us", "reach_held_us"):
        for other in ("bare", "streams"):
            result.ratio(f"{name}_over_{other}", name, f"{other}.{name}")
    return result


async def _connect(result: Result, prefix: str, kind: str, cameras: Sequence[FarmCamera], plan: Plan) -> None:
    async with _way(kind, "forget", cameras) as way:
        await way.order("reach")
        asked = [await way.order("reach") for _ in range(plan.connect_rounds)]
    result.samples.add(f"{prefix}connect_options_us", sum(one["cpu_us"] / one["asked"] for one in asked) / len(asked))


async def _hold(result: Result, prefix: str, kind: str, cameras: Sequence[FarmCamera], plan: Plan) -> None:
    """Memory is compared with that of a process that did the same and let every connection go."""
    add, count = result.samples.add, len(cameras)
    async with _way(kind, "forget", cameras) as way:
        await way.order("know")
        let_go = await way.order("reach")
        add(f"{prefix}known_kb", max(0, let_go["rss_kb"] - way.begun_kb) / count)
    async with _way(kind, "hold", cameras) as way:
        await way.order("know")
        opened = await way.order("reach")
        add(f"{prefix}held_kb", max(0, opened["rss_kb"] - let_go["rss_kb"]) / count)
        asked = [await way.order("reach") for _ in range(plan.rounds)]
        if asked[-1]["held"] != count:
            raise BenchmarkError(f"{asked[-1]['held']} of {count} connections stayed")
    add(f"{prefix}reach_held_us", sum(one["cpu_us"] / count for one in asked) / len(asked))


class _Way:
    """A process of `hold_process`; `begun_kb` is what it had in memory before its first connection."""

    def __init__(self, process: asyncio.subprocess.Process, cameras: int) -> None:
        self._process = process
        self._cameras = cameras
        self.begun_kb = 0

    async def answer(self) -> dict[str, Any]:
        """Its next line. Raises BenchmarkError where it has ended."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise BenchmarkError("it ended before it answered; what it said is above")
        told: dict[str, Any] = json.loads(line)
        return told

    async def order(self, word: str) -> dict[str, Any]:
        """Its answer to an order, in which every camera must have answered."""
        assert self._process.stdin is not None
        self._process.stdin.write(word.encode() + b"\n")
        told = await self.answer()
        if told["asked"] != self._cameras:
            raise BenchmarkError(f"{told['asked']} of {self._cameras} cameras answered: nothing is known of the others")
        return told


@asynccontextmanager
async def _way(kind: str, then: str, cameras: Sequence[FarmCamera]) -> AsyncIterator[_Way]:
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.hold_process", kind, then, env=os.environ | {"PYTHONPATH": path},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LINE_BYTES,
    )  # fmt: skip
    assert process.stdin is not None
    try:
        way = _Way(process, len(cameras))
        listed = [(one.sub_url, one.credentials.username, one.credentials.password) for one in cameras]
        process.stdin.write(json.dumps(listed).encode() + b"\n")
        async with asyncio.timeout(START_S):
            way.begun_kb = (await way.answer())["rss_kb"]
        yield way
    finally:
        process.stdin.close()
        await ended(process, END_S)


def _possible(wanted: int) -> tuple[int, list[str]]:
    """How many connections this machine's limit of open files allows, and what is to be said of it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or wanted + FILES_BESIDE <= hard:
        return wanted, []
    fewer = max(1, hard - FILES_BESIDE)
    return fewer, [f"only {fewer} connections were held instead of {wanted}: the hard limit of open files is {hard}."]


NOTES = [
    "CPU microseconds of the asking process. connect_options_us: a new connection, OPTIONS, its answer, close. "
    "reach_held_us: OPTIONS and its answer on a connection that stays.",
    "held_kb: resident memory of a process that holds the connections, less that of another that did the same and let "
    "them go, a connection; known_kb: what the latter grew by, for ours all that a looker remembers of a camera after "
    "a look of depth stream. The kernel's share, about 8 KB a pair of sockets, is in neither.",
    "Ours (no prefix) goes the whole way: Rounds of 35 cameras at depth reach through Looker.work, limits, deadlines "
    "and the reading of the answer included. bare: a uvloop protocol that writes and looks for an empty line; streams: "
    "asyncio's streams on uvloop, as a user would write it. Neither checks anything or has a deadline.",
    "blackbox_exporter: not measured.",
]
