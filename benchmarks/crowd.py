"""A looker with real decoders, hostile cameras in a process of their own, and what a crowd of looks at both costs.

The tests of goals R15 and R16 use it too: what is measured is what is held.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamwatch.clock import SystemClock
from streamwatch.decoders.pool import DecoderPool, JailMode
from streamwatch.health import LoopLag
from streamwatch.looker import Looker, LookerPolicy
from streamwatch.model.look import Depth, Look, StreamKind, Transport
from streamwatch.model.report import Credentials, Ticket
from streamwatch.net.address import Guard
from streamwatch.net.canary import Canaries
from streamwatch.simulator.hostile.corpus import CORPUS

ROOT = Path(__file__).resolve().parents[1]
READY_S = 120.0
SAMPLE_S = 0.1
SETTLE_S = 5.0  # goal R15: within which all is as it was


@dataclass(frozen=True)
class Target:
    """A camera to look at; `hostile` is the name of what it does, None of a healthy one."""

    url: str
    credentials: Credentials
    hostile: str | None = None


@contextlib.contextmanager
def process(*command: str, idle: bool = False) -> Iterator[dict[str, Any]]:
    """A program of ours that prints one JSON line when it is ready, and ends by SIGTERM."""
    started = subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.PIPE, cwd=ROOT)
    try:
        assert started.stdout is not None
        if idle:
            os.sched_setscheduler(started.pid, os.SCHED_IDLE, os.sched_param(0))
        line = started.stdout.readline()
        assert line, f"{command[0]} ended before it was ready"
        yield json.loads(line)
    finally:
        started.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.wait(10)
        started.kill()
        started.wait()


@contextlib.contextmanager
def hostile(cache: Path, *arguments: str, idle: bool = False) -> Iterator[list[Target]]:
    """Hostile cameras: all of the corpus, or those that the arguments ask for.

    Idle ones get only such time of the processors as nobody else wants: real ones do not run on our machine, and what
    they cost a looker is asked, not what a flood costs its sender.
    """
    with process("streamwatch.simulator.hostile", f"--cache={cache}", *arguments, idle=idle) as ready:
        account = Credentials(ready["username"], ready["password"])
        yield [Target(one["url"], account, one["name"]) for one in ready["cameras"]]


@dataclass(frozen=True)
class Patience:
    """Seconds of one look: until connected, of a silent step, for a keyframe, in all."""

    connect_s: float
    step_s: float
    keyframe_s: float
    total_s: float


@dataclass(frozen=True)
class Seen:
    """A look, how long it took from call to return, and whom it was at."""

    target: Target
    look: Look
    took_s: float

    @property
    def wrong(self) -> str | None:
        """What is wrong with how it ended, None where that is as deserved."""
        if self.target.hostile is None:
            return None if self.look.reason is None else f"{self.target.url}: {self.look.reason}: {self.look.detail}"
        what, reason, step = CORPUS[self.target.hostile], self.look.reason, self.look.step
        if reason in what.deserves and (reason is None or not what.steps or step in what.steps):
            return None
        wanted = " or ".join(sorted(str(one) for one in what.deserves))
        return (
            f"{what.name} ({what.does}): {reason} at {step}: {self.look.detail!r}; deserved: {wanted} at {what.steps}"
        )


@dataclass
class Cost:
    """What a crowd of looks took of this process."""

    rss_kb: int = 0  # above what there was before, at most
    sessions: int = 0  # at once, at most
    fds_left: int = 0
    tasks_left: int = 0
    rss_kb_left: int = 0  # above what there was before, once all has settled
    settled_s: float = 0.0


@dataclass
class Rig:
    """A looker and its limits."""

    looker: Looker
    patience: Patience
    transport: Transport = Transport.AUTO
    cost: Cost = field(default_factory=Cost)
    _cameras: dict[str, int] = field(default_factory=dict)

    async def look(self, target: Target) -> Seen:
        """One look at depth picture."""
        ticket = Ticket(
            camera=self._cameras.setdefault(target.url, len(self._cameras) + 1),
            url=target.url,
            stream=StreamKind.SUB,
            offset_ms=0,
            deadline_ms=int(self.patience.total_s * 1000),
            host=target.url.split("/")[2],
            credentials=target.credentials,
            transport=self.transport,
        )
        begun = time.monotonic()
        look = await self.looker.look(ticket, Depth.PICTURE)
        return Seen(target, look, time.monotonic() - begun)

    async def crowd(self, targets: Sequence[Target], window_s: float, seed: int = 1) -> list[Seen]:
        """A look at each, begun at a time of its own within the window, as the patrol spreads them; costs in `cost`.

        With the same seed the first so many targets of two crowds begin at the same moments.
        """
        rng = random.Random(seed)
        starts = {target.url: rng.random() * window_s for target in targets}
        fds, tasks, rss = _fds(), len(asyncio.all_tasks()), _rss_kb()
        self.cost = Cost()
        sampling = asyncio.create_task(self._sample(rss))

        async def later(target: Target) -> Seen:
            await asyncio.sleep(starts[target.url])
            return await self.look(target)

        seen = await asyncio.gather(*(later(target) for target in targets))
        sampling.cancel()
        await asyncio.gather(sampling, return_exceptions=True)
        begun = time.monotonic()
        for _ in range(int(SETTLE_S / SAMPLE_S)):
            if _fds() <= fds and len(asyncio.all_tasks()) <= tasks:
                break
            await asyncio.sleep(SAMPLE_S)
        self.cost.settled_s = time.monotonic() - begun
        self.cost.rss_kb_left = max(0, _rss_kb() - rss)
        self.cost.fds_left, self.cost.tasks_left = max(0, _fds() - fds), max(0, len(asyncio.all_tasks()) - tasks)
        return seen

    async def _sample(self, before_kb: int) -> None:
        while True:
            self.cost.rss_kb = max(self.cost.rss_kb, _rss_kb() - before_kb)
            self.cost.sessions = max(self.cost.sessions, self.looker.open_sessions)
            await asyncio.sleep(SAMPLE_S)


@contextlib.asynccontextmanager
async def rig(patience: Patience, *, transport: Transport = Transport.AUTO, workers: int = 2) -> AsyncIterator[Rig]:
    """A looker of its own with decoders, whose workers have been started."""
    clock = SystemClock()
    pool = DecoderPool(workers=workers, jail=JailMode.BEST_EFFORT)
    await pool.start()
    policy = LookerPolicy(connect_s=patience.connect_s, step_s=patience.step_s, keyframe_s=patience.keyframe_s)
    looker = Looker(
        "hostile", pool=pool, clock=clock, policy=policy, guard=Guard(), canaries=Canaries((), clock, 60.0),
        lag=LoopLag(clock),
    )  # fmt: skip
    try:
        yield Rig(looker, patience, transport)
    finally:
        await pool.aclose()


def _fds() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _rss_kb() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * (os.sysconf("SC_PAGE_SIZE") // 1024)
