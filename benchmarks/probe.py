"""What does one look cost? Our looker at depths reach, stream and picture, one at a time and 16 at once."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
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

    `others`: the sizes that are looked at once more, by the names of OTHERS.
    """

    cameras: int = 24
    villages: int = 1  # the fewer, the more scenes: six of 24 cameras, three of 8 in 2 villages
    runs: int = 5
    rounds: int = 14  # each camera shows each of its main stream's 7 groups twice
    sizes: tuple[str, ...] = SIZES
    others: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: {"large": ("720p", "1080p"), "paced": ("720p",)}
    )
    full: bool = True


FULL = Plan()
QUICK = Plan(cameras=12, villages=6, runs=3, rounds=3, full=False)
OTHERS = {
    "large": Pictures(qp=22),  # keyframes of about 150 KB at 720p and 250 KB at 1080p: a camera that saves nothing
    "paced": Pictures(paced=True),  # a packet a write: more reads for the same bytes
}


def run(plan: Plan, cache: Path) -> Result:
    """Runs are interleaved: every run takes one sample of everything, so that a noisy minute touches all alike."""
    return uvloop.run(_run(plan, cache))


async def _run(plan: Plan, cache: Path) -> Result:
    fixture = {
        "cameras": plan.cameras, "villages": plan.villages, "runs": plan.runs, "rounds": plan.rounds, "full": plan.full,
    }  # fmt: skip
    result = Result("probe", fixture, notes=list(NOTES))
    async with AsyncExitStack() as stack:
        farms = {}
        for name, pictures in {"": CAMERA, **{name: OTHERS[name] for name in plan.others}}.items():
            made = farm(plan.cameras, cache, plan.villages, pictures=pictures)
            farms[name] = await stack.enter_async_context(made)
        apart = [running.pid for running in farms.values()]
        sizes = {"": plan.sizes, **plan.others}
        benches = {
            name: await stack.enter_async_context(bench(running.cameras, *apart)) for name, running in farms.items()
        }
        frames = {
            name: {size: await keyframes(running.cameras, size, min(plan.rounds, floor.GROUPS)) for size in sizes[name]}
            for name, running in farms.items()
        }
        for name, some in sizes.items():
            for size in some:  # opens the decoders' contexts, fills the lookers' memory
                await benches[name].looks(Depth.PICTURE, size, MANY, 1)
        for _ in range(plan.runs):
            await _sample(result, benches[""], plan, frames[""])
            for name, some in plan.others.items():
                for size in some:
                    await _other(result, benches[name], size, name, plan, frames[name][size])
    names = [*plan.sizes, *(f"{size}_{name}" for name, some in plan.others.items() for size in some)]
    for name in names:
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
                await overhead(result, ours, size, size, picture, frames[size])
        if at_once == MANY:
            for size in plan.sizes:
                cold = await ours.looks(Depth.STREAM, size, at_once, 1, cold=True)
                add(f"us.stream_{size}.cold.cpu_ms", cold.cpu_ms)
    for size in plan.sizes:
        floor.sample(result, size, frames[size])


async def _other(result: Result, ours: Bench, size: str, other: str, plan: Plan, frames: list[Keyframe]) -> None:
    name, rounds = f"{size}_{other}", max(1, plan.rounds // 2)
    stream = await ours.looks(Depth.STREAM, size, MANY, rounds)
    result.samples.add(f"us.stream_{name}.cpu_ms", stream.cpu_ms)
    picture = await ours.looks(Depth.PICTURE, size, MANY, rounds)
    result.samples.add(f"us.picture_{name}.cpu_ms", picture.cpu_ms)
    await overhead(result, ours, size, name, picture, frames)
    floor.sample(result, name, frames)


async def overhead(result: Result, ours: Bench, size: str, figure: str, picture: Pass, frames: list[Keyframe]) -> None:
    """All of a picture look but decoding and scoring, both halves measured: the looker's process, and what a worker
    does around its picture. And the same work alone: a stream look, and a keyframe handed over, nothing decoding."""
    add = result.samples.add
    middle = sorted(frames, key=lambda frame: len(frame.data))[len(frames) // 2]
    handing_us, worker_us = await ours.hand_over_us(middle.data, max(50, picture.looks // 2))
    looker_us = picture.spent.own_s / picture.looks * 1e6
    add(f"look_overhead_us_{figure}", looker_us + worker_us)
    add(f"us.picture_{figure}.looker_us", looker_us)
    add(f"us.picture_{figure}.worker_us", worker_us)
    stream = await ours.looks(Depth.STREAM, size, MANY, max(1, picture.looks // ours.cameras))
    add(f"look_overhead_alone_us_{figure}", stream.cpu_ms * 1000 + handing_us + worker_us)


def _pace(result: Result, name: str, done: Pass) -> None:
    result.samples.add(f"{name}.looks_per_s", done.looks / done.wall_s)
    result.samples.add(f"{name}.median_ms", done.median_ms)


ALONE = (
    "look_overhead_us is measured while decoders share the cores and the looker wakes for every step of a look, to "
    "cold caches; look_overhead_alone_us is the same work with nothing decoding and the next look always ready: a "
    "stream look, and its keyframe handed to a decoder that refuses it."
)
NOTES = [
    f"Without a suffix {MANY} looks at once, with .c1 one at a time; median_ms is a look's own duration. Looks are "
    "warm: the looker knows the cameras; with .cold it sees each of them for the first time.",
    "The farm sends a picture a write; …_paced: a packet a write, one behind the other. …_large: keyframes as of a "
    "camera that saves nothing; keyframe_… says how many bytes they have.",
    "Loopback: part of the work to receive is done in the sender's context, and the farm sends a keyframe at once on "
    "PLAY. On a network the part without decoding costs more, and a look waits for the next keyframe.",
    "CPU is user and system of the looker's process and its decoders; the farm has a process of its own, not counted.",
    ALONE,
    "look_overhead_us is looker_us (the looker's process, all of it) and worker_us (what a decoder does around its "
    "picture: it takes the job and answers, measured with jobs that it refuses; packing a full result is not in it).",
    "floor: the same cameras' keyframes, decoded in one thread by the product's decoder, nothing else.",
]
