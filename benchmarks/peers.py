"""How much CPU does a picture look cost beside the usual alternatives? Same farm, same URLs, same run."""

from __future__ import annotations

import asyncio
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks import floor
from benchmarks.cameras import SIZES, FarmCamera, farm, keyframes
from benchmarks.looking import Bench, bench
from benchmarks.measure import CpuMeter, Result
from benchmarks.probe import MANY, overhead
from benchmarks.rivals import Peer, present
from streamwatch.model.look import Depth
from streamwatch.wire.conversation import Keyframe

WORST_CALL_S = 1.0  # for all cameras; a slower peer has one sample in a quick run, or it would take all the time
SAID = 300  # characters of an error in a note


@dataclass(frozen=True, slots=True)
class Plan:
    """A sample of ours is `rounds` over all cameras, one of a peer is one."""

    cameras: int = 24
    villages: int = 1  # the fewer, the more scenes: six of 24 cameras, three of 8 in 2 villages
    runs: int = 5
    rounds: int = 8
    sizes: tuple[str, ...] = tuple(SIZES)
    full: bool = True

    @property
    def at_once(self) -> int:
        """Looks at once, ours and theirs; a peer's sample has no more than one a camera."""
        return min(MANY, self.cameras)


FULL = Plan()
QUICK = Plan(cameras=8, villages=2, runs=3, rounds=4, full=False)


def run(plan: Plan, cache: Path) -> Result:
    """Runs are interleaved: every run takes one sample of everybody."""
    return uvloop.run(_run(plan, cache))


async def _run(plan: Plan, cache: Path) -> Result:
    peers, notes = present()
    fixture = {
        "cameras": plan.cameras, "villages": plan.villages, "runs": plan.runs, "rounds": plan.rounds,
        "at_once": plan.at_once, "full": plan.full,
    }  # fmt: skip
    result = Result("peers", fixture, notes=notes + NOTES)
    async with farm(plan.cameras, cache, plan.villages) as running, bench(running.cameras, running.pid) as ours:
        frames = {size: await keyframes(running.cameras, size, 2) for size in plan.sizes}
        for size in plan.sizes:
            await ours.looks(Depth.PICTURE, size, plan.at_once, 1)
        open_to = {peer.name: list(running.cameras) for peer in peers}
        for number in range(plan.runs):
            for size in plan.sizes:
                await _ours(result, ours, size, plan, frames[size])
                for peer in peers:
                    if open_to[peer.name] and not (number and _slow(result, peer, size, plan)):
                        await _theirs(result, peer, open_to[peer.name], size, plan, running.pid)
    for size in plan.sizes:
        us = f"us.picture_{size}.cpu_ms"
        result.ratio(f"us_over_floor_{size}", us, f"floor.decode_{size}.cpu_ms")
        result.ratio(f"us_over_floor_plain_{size}", us, f"floor.plain_{size}.cpu_ms")
        for peer in peers:
            if f"{peer.name}.picture_{size}.cpu_ms" in result.samples.values:
                result.ratio(f"{peer.name}_over_us_{size}", f"{peer.name}.picture_{size}.cpu_ms", us)
    return result


async def _ours(result: Result, ours: Bench, size: str, plan: Plan, frames: list[Keyframe]) -> None:
    add = result.samples.add
    done = await ours.looks(Depth.PICTURE, size, plan.at_once, plan.rounds)
    add(f"us.picture_{size}.cpu_ms", done.cpu_ms)
    add(f"us.picture_{size}.looks_per_s", done.looks / done.wall_s)
    add(f"us.picture_{size}.median_ms", done.median_ms)
    await overhead(result, ours, size, done, frames)
    add(f"floor.decode_{size}.cpu_ms", floor.decode_ms(frames))
    add(f"floor.plain_{size}.cpu_ms", floor.plain_ms(frames))


async def _theirs(result: Result, peer: Peer, cameras: list[FarmCamera], size: str, plan: Plan, apart: int) -> None:
    """One sample of a peer: all its cameras once, a thread a look.

    Where it fails at a camera the sample is no sample: that is a note, and the camera is taken from its list.
    """
    took_ms: list[float] = []
    refused: list[tuple[FarmCamera, str]] = []

    def look(camera: FarmCamera) -> None:
        begun = time.perf_counter()
        try:
            peer.act(camera.url(size), camera.credentials)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the peer's
            refused.append((camera, " ".join(str(error).split())))
        took_ms.append((time.perf_counter() - begun) * 1000)

    def all_of_them() -> None:
        with ThreadPoolExecutor(peer.threads or plan.at_once) as pool:
            list(pool.map(look, cameras))

    meter = CpuMeter([apart])
    begun = time.perf_counter()
    await asyncio.to_thread(all_of_them)
    wall_s, spent = time.perf_counter() - begun, meter.spent()
    if refused:
        count, said = len(cameras), refused[0][1][:SAID]
        for camera, _ in refused:
            cameras.remove(camera)
        result.notes.append(
            f"{peer.name}: failed at {len(refused)} of {count} cameras ({size}), left out for it: {said}"
        )
        return
    result.samples.add(f"{peer.name}.picture_{size}.cpu_ms", spent.total_s / len(cameras) * 1000)
    result.samples.add(f"{peer.name}.picture_{size}.looks_per_s", len(cameras) / wall_s)
    result.samples.add(f"{peer.name}.picture_{size}.median_ms", statistics.median(took_ms))


def _slow(result: Result, peer: Peer, size: str, plan: Plan) -> bool:
    """Whether a quick run has no time for a second sample of this peer."""
    before = result.samples.values.get(f"{peer.name}.picture_{size}.looks_per_s", [])
    return bool(before) and not plan.full and plan.cameras / before[0] > WORST_CALL_S


NOTES = [
    "CPU is user and system of the client and its children; the farm has a process of its own, not counted. Ours is "
    "the looker and its jailed decoders, scoring included; the farm asks everybody for Digest.",
    "floor: the same cameras' keyframes, decoded in one thread, nothing else; decode by the product's decoder, plain "
    "by the library's defaults. There is no 1080p: the farm's main stream is 1280x720.",
    "Loopback, and the farm sends a keyframe at once on PLAY; its 5 pictures a second make peers that probe wait "
    "longer than at a camera's 25.",
    "In a quick run a peer that needed more than 1 s for all cameras has one sample a size.",
    "gstreamer (1.22) answers no Digest challenge with qop=auth: it can only be measured at the cameras without.",
]
