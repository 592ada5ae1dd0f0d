"""How much CPU does a picture look cost beside the usual alternatives? Same farm, same URLs, same run."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from benchmarks import floor, rivals
from benchmarks.cameras import CAMERA, SIZES, FarmCamera, farm, keyframes
from benchmarks.looking import Bench, bench
from benchmarks.measure import CpuMeter, Result
from benchmarks.probe import ALONE, MANY, overhead
from benchmarks.rivals import Runner, Took
from streamwatch.model.look import Depth
from streamwatch.wire.conversation import Keyframe

SAID = 300  # characters of an error in a note
BEST = "720p"  # where looks a second are compared


@dataclass(frozen=True, slots=True)
class Plan:
    """A sample of ours is `rounds` over all cameras, one of a rival is one. Slow rivals, which wait for seconds at a
    look, get `slow_runs` samples of `slow_looks` looks, at `slow_sizes` only."""

    cameras: int = 24
    villages: int = 1  # the fewer, the more scenes: six of 24 cameras, three of 8 in 2 villages
    runs: int = 5
    rounds: int = 7  # every camera shows each of its main stream's 7 groups once
    sizes: tuple[str, ...] = SIZES
    rivals: tuple[str, ...] = rivals.NAMES
    slow_runs: int = 3
    slow_looks: int = 8
    slow_sizes: tuple[str, ...] = SIZES
    full: bool = True

    @property
    def at_once(self) -> int:
        """Looks at once, ours and theirs; a rival's sample has no more than one a camera."""
        return min(MANY, self.cameras)


FULL = Plan()
QUICK = Plan(
    cameras=8, villages=2, runs=3, rounds=4, sizes=SIZES[1:], slow_runs=1, slow_looks=1, slow_sizes=("720p",),
    rivals=tuple(name for name in rivals.NAMES if not name.endswith("_unprobed")), full=False,
)  # fmt: skip


@dataclass(slots=True)
class _Contest:
    """What a run is made with: us, the rivals that are here, and the cameras that each of them can log in to."""

    plan: Plan
    result: Result
    ours: Bench
    runners: Mapping[str, Runner]
    frames: dict[str, list[Keyframe]]
    apart: int
    open_to: dict[str, list[FarmCamera]] = field(default_factory=dict)


def run(plan: Plan, cache: Path) -> Result:
    """Runs are interleaved: every run takes one sample of everybody."""
    return uvloop.run(_run(plan, cache))


async def _run(plan: Plan, cache: Path) -> Result:
    fixture = {
        "cameras": plan.cameras, "villages": plan.villages, "runs": plan.runs, "rounds": plan.rounds,
        "at_once": plan.at_once, "full": plan.full,
    }  # fmt: skip
    result = Result("peers", fixture)
    async with (
        farm(plan.cameras, cache, plan.villages, pictures=CAMERA) as running,
        bench(running.cameras, running.pid) as ours,
        rivals.field(plan.rivals) as (runners, notes),
    ):
        result.notes += notes + NOTES
        frames = {size: await keyframes(running.cameras, size, plan.rounds) for size in plan.sizes}
        contest = _Contest(plan, result, ours, runners, frames, running.pid)
        contest.open_to = {name: list(running.cameras) for name in runners}
        await _warm_up(contest)
        for number in range(plan.runs):
            for size in plan.sizes:
                await _run_of(contest, size, number)
    _ratios(result, plan)
    return result


async def _warm_up(contest: _Contest) -> None:
    """Decoders open their contexts, libraries load what they load at their first look, memory fills."""
    for size in contest.plan.sizes:
        await contest.ours.looks(Depth.PICTURE, size, contest.plan.at_once, 1)
    one = contest.plan.sizes[0]
    await asyncio.gather(*(runner.looks(contest.open_to[name][:1], one, 1) for name, runner in contest.runners.items()))


async def _run_of(contest: _Contest, size: str, number: int) -> None:
    """Everybody's sample at one size."""
    plan = contest.plan
    await _ours(contest, size)
    for name in contest.runners:
        if rivals.is_slow(name) and (number >= plan.slow_runs or size not in plan.slow_sizes):
            continue
        await _theirs(contest, name, size)


async def _ours(contest: _Contest, size: str) -> None:
    add, plan, frames = contest.result.samples.add, contest.plan, contest.frames[size]
    done = await contest.ours.looks(Depth.PICTURE, size, plan.at_once, plan.rounds)
    add(f"us.picture_{size}.cpu_ms", done.cpu_ms)
    add(f"us.picture_{size}.looks_per_s", done.looks / done.wall_s)
    add(f"us.picture_{size}.median_ms", done.median_ms)
    await overhead(contest.result, contest.ours, size, size, done, frames)
    floor.sample(contest.result, size, frames)


async def _theirs(contest: _Contest, name: str, size: str) -> None:
    """One sample of a rival: its cameras once.

    Where it fails at a camera the sample is no sample: that is a note, and the camera is taken from its list.
    """
    plan, add = contest.plan, contest.result.samples.add
    cameras = contest.open_to[name]
    some = cameras[: plan.slow_looks] if rivals.is_slow(name) else cameras
    if not some:
        return
    meter = CpuMeter([contest.apart])
    begun = time.perf_counter()
    took = await contest.runners[name].looks(some, size, rivals.at_once_of(name, plan.at_once))
    wall_s, spent = time.perf_counter() - begun, meter.spent()
    if took.failed:
        contest.result.notes.append(_left_out(name, size, took, some))
        lost = {some[index].code for index, _ in took.failed}
        contest.open_to[name] = [camera for camera in cameras if camera.code not in lost]
        return
    add(f"{name}.picture_{size}.cpu_ms", spent.others_s / len(some) * 1000)
    add(f"{name}.picture_{size}.looks_per_s", len(some) / wall_s)
    add(f"{name}.picture_{size}.median_ms", statistics.median(took.took_ms))


def _left_out(name: str, size: str, took: Took, some: list[FarmCamera]) -> str:
    said = took.failed[0][1][:SAID]
    return f"{name}: failed at {len(took.failed)} of {len(some)} cameras ({size}), left out for it: {said}"


def _ratios(result: Result, plan: Plan) -> None:
    known = result.samples.values
    for size in plan.sizes:
        us = f"us.picture_{size}.cpu_ms"
        result.ratio(f"us_over_floor_{size}", us, f"floor.decode_{size}.cpu_ms")
        result.ratio(f"us_over_floor_plain_{size}", us, f"floor.plain_{size}.cpu_ms")
        for name in plan.rivals:
            if f"{name}.picture_{size}.cpu_ms" in known:
                result.ratio(f"{name}_over_us_{size}", f"{name}.picture_{size}.cpu_ms", us)
        rates = [f"{name}.picture_{size}.looks_per_s" for name in plan.rivals]
        rates = [name for name in rates if name in known]
        if rates:
            best = max(rates, key=result.samples.median)
            result.ratio(f"looks_per_s_over_best_peer_{size}", f"us.picture_{size}.looks_per_s", best)
            if size == BEST:
                result.notes.append(f"the peer with the most looks a second at {size} is {best.partition('.')[0]}.")


NOTES = [
    "CPU is user and system of the client and its children; the farm has a process of its own, not counted. Ours is "
    "the looker and its jailed decoders, scoring included. Of a rival it is that of the process that its library lives "
    "in, or of the programs, and not what starts them.",
    "pyav, opencv and ffmpeg are told not to probe (analyzeduration 0, probesize 32; gstreamer does not), and all of "
    "them to use one thread, as an expert would; …_default is what their first page shows, by TCP. pyav_c1 is pyav "
    "with one look at a time, without what many threads in one interpreter cost each other.",
    "…_unprobed: tuned, and kept from decoding the key frame while it probes by a trick that no manual tells "
    "(codec_whitelist=none): the cheapest that we could make them.",
    "pyav and opencv score their picture by our measures; gstreamer and the programs decode it and drop it, which "
    "flatters them by the cost of a score. ffprobe shows no pictures at all.",
    "floor: the same cameras' keyframes, decoded in one thread, nothing else; decode by the product's decoder, plain "
    "by the library's defaults. score is what our measures cost on top.",
    ALONE,
    "A quick run leaves out 360p and …_unprobed, and has one look of each slow peer, at 720p.",
    "Loopback, and the farm sends a keyframe at once on PLAY, in one write.",
]
