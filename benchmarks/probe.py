"""What does one look cost? Our looker at depths reach, stream and picture, one at a time and 16 at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks import floor
from benchmarks.cameras import CAMERA, SIZES, Pictures, farm, keyframes
from benchmarks.looking import Bench, Pass, bench
from benchmarks.measure import Result
from streamwatch.model.look import Depth
from streamwatch.wire.conversation import Keyframe

MANY = 16  # looks at once


@dataclass(frozen=True, slots=True)
class Plan:
    """`rounds` over all cameras make one sample at MANY looks at once; a third of them, one at a time, the other.

    `large`: the sizes that are looked at once more with keyframes as of a camera that saves nothing.
    """

    cameras: int = 24
    villages: int = 1  # the fewer, the more scenes: six of 24 cameras, three of 8 in 2 villages
    runs: int = 5
    rounds: int = 14  # each camera shows each of its main stream's 7 groups twice
    sizes: tuple[str, ...] = SIZES
    large: tuple[str, ...] = SIZES[1:]
    full: bool = True


FULL = Plan()
QUICK = Plan(cameras=16, villages=8, runs=3, rounds=3, full=False)
LARGE = Pictures(qp=22)  # keyframes of about 150 KB at 720p and 250 KB at 1080p


def run(plan: Plan, cache: Path) -> Result:
    """Runs are interleaved: every run takes one sample of everything, so that a noisy minute touches all alike."""
    return uvloop.run(_run(plan, cache))


async def _run(plan: Plan, cache: Path) -> Result:
    fixture = {
        "cameras": plan.cameras, "villages": plan.villages, "runs": plan.runs, "rounds": plan.rounds, "full": plan.full,
    }  # fmt: skip
    result = Result("probe", fixture, notes=list(NOTES))
    async with (
        farm(plan.cameras, cache, plan.villages, pictures=CAMERA) as ordinary,
        farm(plan.cameras, cache, plan.villages, pictures=LARGE) as saving_nothing,
        bench(ordinary.cameras, ordinary.pid, saving_nothing.pid) as ours,
        bench(saving_nothing.cameras, ordinary.pid, saving_nothing.pid) as ours_large,
    ):
        frames = {size: await keyframes(ordinary.cameras, size, floor.GROUPS) for size in plan.sizes}
        large = {size: await keyframes(saving_nothing.cameras, size, floor.GROUPS) for size in plan.large}
        for size in plan.sizes:
            await ours.looks(Depth.PICTURE, size, MANY, 1)  # opens the decoders' contexts, fills the looker's memory
        for size in plan.large:
            await ours_large.looks(Depth.PICTURE, size, MANY, 1)
        for _ in range(plan.runs):
            await _sample(result, ours, plan, frames)
            for size in plan.large:
                await _large(result, ours_large, size, plan, large[size])
    for name in (*plan.sizes, *(f"{size}_large" for size in plan.large)):
        result.ratio(f"us_over_floor_{name}", f"us.picture_{name}.cpu_ms", f"floor.decode_{name}.cpu_ms")
    return result


async def _sample(result: Result, ours: Bench, plan: Plan, frames: dict[str, list[Keyframe]]) -> None:
    add = result.samples.add
    for at_once, suffix, rounds in ((MANY, "", plan.rounds), (1, ".c1", max(1, plan.rounds // 3))):
        reach = await ours.looks(Depth.REACH, plan.sizes[0], at_once, rounds)
        add(f"us.reach{suffix}.cpu_us", reach.cpu_ms * 1000)
        _pace(result, f"us.reach{suffix}", reach)
        for size in plan.sizes:
            stream = await ours.looks(Depth.STREAM, size, at_once, rounds)
            add(f"us.stream_{size}{suffix}.cpu_ms", stream.cpu_ms)
            _pace(result, f"us.stream_{size}{suffix}", stream)
            picture = await ours.looks(Depth.PICTURE, size, at_once, rounds)
            add(f"us.picture_{size}{suffix}.cpu_ms", picture.cpu_ms)
            _pace(result, f"us.picture_{size}{suffix}", picture)
            if at_once == MANY:
                await overhead(result, ours, size, picture, frames[size])
        if at_once == MANY:
            for size in plan.sizes:
                cold = await ours.looks(Depth.STREAM, size, at_once, 1, cold=True)
                add(f"us.stream_{size}.cold.cpu_ms", cold.cpu_ms)
    for size in plan.sizes:
        floor.sample(result, size, frames[size])


async def _large(result: Result, ours: Bench, size: str, plan: Plan, frames: list[Keyframe]) -> None:
    name = f"{size}_large"
    picture = await ours.looks(Depth.PICTURE, size, MANY, max(1, plan.rounds // 2))
    result.samples.add(f"us.picture_{name}.cpu_ms", picture.cpu_ms)
    await overhead(result, ours, name, picture, frames)
    floor.sample(result, name, frames)


async def overhead(result: Result, ours: Bench, size: str, picture: Pass, frames: list[Keyframe]) -> None:
    """All of a picture look but decoding and scoring, both halves measured: the looker's process, and what a worker
    does around its picture."""
    middle = sorted(frames, key=lambda frame: len(frame.data))[len(frames) // 2]
    worker_us = await ours.hand_over_us(middle.data, max(50, picture.looks // 2))
    looker_us = picture.spent.own_s / picture.looks * 1e6
    result.samples.add(f"look_overhead_us_{size}", looker_us + worker_us)
    result.samples.add(f"us.picture_{size}.looker_us", looker_us)
    result.samples.add(f"us.picture_{size}.worker_us", worker_us)


def _pace(result: Result, name: str, done: Pass) -> None:
    result.samples.add(f"{name}.looks_per_s", done.looks / done.wall_s)
    result.samples.add(f"{name}.median_ms", done.median_ms)


NOTES = [
    f"Without a suffix {MANY} looks at once, with .c1 one at a time; median_ms is a look's own duration. Looks are "
    "warm: the looker knows the cameras; with .cold it sees each of them for the first time.",
    "…_large: keyframes as of a camera that saves nothing; keyframe_… says how many bytes they have.",
    "Loopback: part of the work to receive is done in the sender's context, and the farm sends a keyframe at once on "
    "PLAY. On a network the part without decoding costs more, and a look waits for the next keyframe.",
    "CPU is user and system of the looker's process and its decoders; the farm has a process of its own, not counted.",
    "look_overhead_us is looker_us (the looker's process, all of it) and worker_us (what a decoder does around its "
    "picture: it takes the job and answers, measured with jobs that it refuses; packing a full result is not in it).",
    "floor: the same cameras' keyframes, decoded in one thread by the product's decoder, nothing else.",
]
