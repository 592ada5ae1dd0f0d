"""Does the patrol keep its rhythm, its memory and its word? The whole service on a simulated city, faults included.

The farm's own log says what was true; the service's API says what was booked. The farm runs beside the service on the
same cores, but its CPU is not counted.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from benchmarks.cameras import RunningFarm, farm
from benchmarks.measure import BenchmarkError, Result
from benchmarks.service import Memory, Meters, RunningService, memory, service
from streamwatch.clock import parse_rfc3339, rfc3339

US = 1_000_000
THINNING = tuple(f'streamwatch_patrol_thinning{{depth="{depth}"}}' for depth in ("picture", "stream"))
SAMPLE_S = 1.0  # of CPU, at least
MEMORY_S = 5.0
FIRST_LOOKS = 3  # intervals until every camera must have been seen
WIDE = 4_000  # from so many cameras on the farm may listen once for all of them, and then refuses for none
COST_S = 3.0  # the longest a look takes at the steps' limits below
# fault -> the state of the stream dimension while it lasts; None: the stream stays up
SHOWS = {
    "refused": "down", "dead": "down", "silent": "down", "no_data": "down", "auth": "unknown", "busy": "unknown",
    "blackout": None, "blur": None, "frozen": None, "no_keyframe": None, "loss": None,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """`faulty`: how many faults begin and end within the run, at random moments, each for 2 to 3 intervals."""

    cameras: int = 8_400
    villages: int = 280
    interval_s: int = 20
    minutes: float = 5.0
    depth: str = "stream"
    faulty: int = 60
    udp: float = 0.0  # share of the cameras that refuse TCP
    scrape_s: float = 15.0  # as Prometheus does by default
    seed: int = 1
    full: bool = True


FULL = Plan()  # 420 looks a second: what 126,000 cameras need at five minutes
PICTURES = Plan(cameras=2_000, villages=50, interval_s=60, minutes=10.0, depth="picture", faulty=100, udp=0.05)
QUICK = Plan(cameras=300, villages=10, interval_s=5, minutes=0.5, faulty=10, scrape_s=1.0, full=False)
QUICK_PICTURES = replace(QUICK, cameras=60, villages=4, depth="picture", udp=0.05)


@dataclass(slots=True)
class _Watched:
    """What was seen from outside while the patrol ran."""

    lags_s: list[float] = field(default_factory=list)  # of 99 in 100 looks lately, at each scrape
    medians_s: list[float] = field(default_factory=list)
    thinning: float = 1.0  # the most that there was
    memory: list[tuple[float, Memory]] = field(default_factory=list)  # seconds since the beginning


def run(plan: Plan, cache: Path, name: str = "patrol") -> Result:
    """One run; the figures of a run of minutes differ by little."""
    return asyncio.run(_run(plan, cache, name))


async def _run(plan: Plan, cache: Path, name: str) -> Result:
    fixture = {
        "cameras": plan.cameras, "villages": plan.villages, "interval_s": plan.interval_s, "minutes": plan.minutes,
        "depth": plan.depth, "faults": plan.faulty, "udp": plan.udp, "full": plan.full,
    }  # fmt: skip
    result = Result(name, fixture, notes=list(NOTES))
    settings = {
        "SCHEDULE__INTERVAL_S": plan.interval_s,
        "SCHEDULE__DEPTH": plan.depth,
        "SCHEDULE__ACCESS_TRIES": 8,
        "LOOK__CONNECT_S": 1,
        "LOOK__STEP_S": 2,
        "LOOK__DEADLINE_S": COST_S,
    }
    if plan.minutes * 60 < 5 * plan.interval_s:
        raise BenchmarkError("the run is too short for faults that begin and end in it: give it five intervals or more")
    async with farm(plan.cameras, cache, plan.villages, plan.udp) as running:
        settings["CANARIES__TARGETS"] = f"tcp://{running.control.removeprefix('http://')}"
        async with service(running.folder, **settings) as watching:
            await _all_up(watching, plan)
            await _patrol(result, plan, running, watching)
    return result


async def _all_up(watching: RunningService, plan: Plan) -> None:
    ends = time.monotonic() + FIRST_LOOKS * plan.interval_s + 30
    while time.monotonic() < ends:
        listed = await watching.every("/cameras")
        if len(listed) == plan.cameras and all(camera["state"] == "up" for camera in listed):
            return
        await asyncio.sleep(1)
    wrong = [camera for camera in listed if camera["state"] != "up"]
    raise BenchmarkError(
        f"{len(wrong)} of {plan.cameras} healthy cameras were not up after {FIRST_LOOKS} intervals, such as {wrong[:2]}"
    )


async def _patrol(result: Result, plan: Plan, running: RunningFarm, watching: RunningService) -> None:
    before = await watching.metrics()
    begun_us, begun = time.time_ns() // 1000, time.monotonic()
    meters = Meters(running.pid, watching.pid)
    watched = _Watched()
    faults = asyncio.create_task(_strike(plan, running))
    scrape_s = memory_s = 0.0  # when next
    while (now := time.monotonic() - begun) < plan.minutes * 60:
        if now >= scrape_s:
            metrics = await watching.metrics()
            watched.lags_s.append(metrics["streamwatch_patrol_lag_seconds"])
            watched.medians_s.append(metrics["streamwatch_patrol_lag_median_seconds"])
            watched.thinning = max(watched.thinning, *(metrics[one] for one in THINNING))
            scrape_s = now + plan.scrape_s
        if now >= memory_s:
            watched.memory.append((now, memory(watching.pid)))
            memory_s = now + MEMORY_S
        meters.sample()
        await asyncio.sleep(SAMPLE_S)
    await faults
    meters.sample()
    wall_s = time.monotonic() - begun
    # What the last looks found is booked by now, and every fault ended long ago.
    ended_us = time.time_ns() // 1000 - 2 * US
    after = await watching.metrics()
    _costs(result, plan, watched, meters, before, after, wall_s)
    await _truth(result, plan, running, watching, begun_us, ended_us)


async def _strike(plan: Plan, running: RunningFarm) -> None:
    """Faults at random moments, all over early enough to be seen to end."""
    rng = random.Random(plan.seed)
    last_s = plan.minutes * 60 - 2.5 * plan.interval_s
    chosen = rng.sample([camera.code for camera in running.cameras], plan.faulty)
    moments: list[tuple[float, str, str | None]] = []
    for number, code in enumerate(chosen):
        hold_s = rng.uniform(2, 3) * plan.interval_s if plan.full else 2.2 * plan.interval_s
        at_s = rng.uniform(0, last_s - hold_s)
        faults = [fault for fault in SHOWS if plan.cameras < WIDE or fault != "refused"]
        fault = faults[number % len(faults)]
        moments += [(at_s, code, fault), (at_s + hold_s, code, None)]
    begun = time.monotonic()
    async with httpx.AsyncClient(base_url=running.control, trust_env=False) as control:
        for at_s, code, begins in sorted(moments, key=lambda moment: moment[0]):
            await asyncio.sleep(max(0.0, begun + at_s - time.monotonic()))
            (await control.post("/faults", json={"camera": code, "fault": begins})).raise_for_status()


def _costs(
    result: Result,
    plan: Plan,
    watched: _Watched,
    meters: Meters,
    before: dict[str, float],
    after: dict[str, float],
    wall_s: float,
) -> None:
    add = result.samples.add
    looks = _sum(after, "streamwatch_probes_total{") - _sum(before, "streamwatch_probes_total{")
    dropped = _sum(after, "streamwatch_dropped_total{") - _sum(before, "streamwatch_dropped_total{")
    for lag_s, median_s in zip(watched.lags_s, watched.medians_s, strict=True):
        add("lag_p99_s", lag_s)
        add("lag_median_s", median_s)
    skipped = sum(after[one] - before[one] for one in ("streamwatch_missed_rounds", "streamwatch_unfinished_rounds"))
    add("missed_rounds", skipped + dropped)
    add("thinning_most", watched.thinning)
    add("looks", looks)
    add("looks_per_s", looks / wall_s)
    add("looks_over_planned", looks / (plan.cameras * wall_s / plan.interval_s))
    add("cores_busy", (meters.all_s + meters.farm_s) / wall_s)
    add("cores_of_service", meters.all_s / wall_s)
    add("cores_of_farm", meters.farm_s / wall_s)
    add("cpu_ms_per_look", meters.all_s * 1000 / looks)
    add("cpu_ms_per_look.farm", meters.farm_s * 1000 / looks)
    for part, spent_s in meters.parts_s().items():
        add(f"cores.{part}", spent_s / wall_s)
        add(f"cpu_ms_per_look.{part}", spent_s * 1000 / looks)
    half_s = wall_s / 2
    late = [(at_s, used) for at_s, used in watched.memory if at_s >= half_s]
    for _, used in late:
        add("rss_mb", used.all_mb)
        add("own_mb", used.own_mb)
    slope = statistics.linear_regression([at_s for at_s, _ in late], [used.own_mb for _, used in late]).slope
    add("own_growth_mb_second_half", slope * half_s)


async def _truth(
    result: Result, plan: Plan, running: RunningFarm, watching: RunningService, from_us: int, to_us: int
) -> None:
    """What the API says of the window, village by village, against the farm's log."""
    village_of = {camera["id"]: camera["village"] for camera in await watching.every("/cameras")}
    villages = await watching.every("/villages")
    true_s, transitions = _logged(running.log, village_of, from_us, to_us)
    worst = 0.0
    wrong: list[str] = []
    for village in villages:
        code = village["code"]
        window = {"from": rfc3339(from_us), "to": rfc3339(to_us)}
        rate = (await watching.get(f"/villages/{code}/uptime", **window))["uptime"]
        known_s = sum(rate[f"{name}_s"] for name in ("up", "down", "unknown", "excluded"))
        if abs(known_s - village["cameras"] * (to_us - from_us) / US) > 1e-3:
            raise BenchmarkError(f"{village['name']}: its states are {known_s} s, not cameras x window")
        changes = transitions.get(code, 0)
        for state in ("down", "unknown"):
            off_s = abs(rate[f"{state}_s"] - true_s.get((code, state), 0.0))
            if off_s > changes * plan.interval_s + 1e-3:
                wrong.append(f"{village['name']}: {state} {off_s:.1f} s off after {changes} transitions")
            worst = max(worst, off_s / max(1, changes))
    result.samples.add("transitions", sum(transitions.values()))
    result.samples.add("worst_error_s_per_transition", worst)
    result.samples.add("villages_off_by_more_than_an_interval_per_transition", len(wrong))
    result.notes += wrong


def _logged(
    log: Path, village_of: dict[str, str], from_us: int, to_us: int
) -> tuple[dict[tuple[str, str], float], dict[str, int]]:
    """Seconds by village and state that the farm's log says, and how many times something changed there."""
    true_s: dict[tuple[str, str], float] = {}
    transitions: dict[str, int] = {}
    begun: dict[str, tuple[str, int]] = {}
    for line in log.read_text().splitlines():
        change: dict[str, Any] = json.loads(line)
        camera, at_us = change["camera"], parse_rfc3339(change["at"])
        if at_us < from_us:
            continue
        transitions[village_of[camera]] = transitions.get(village_of[camera], 0) + 1
        if change["fault"] is not None:
            begun[camera] = (change["fault"], at_us)
        elif camera in begun:
            fault, since_us = begun.pop(camera)
            state = SHOWS[fault]
            if state is not None:
                key = (village_of[camera], state)
                true_s[key] = true_s.get(key, 0.0) + (min(at_us, to_us) - since_us) / US
    if begun:
        raise BenchmarkError(f"faults of {list(begun)} did not end in time")
    return true_s, transitions


def _sum(metrics: dict[str, float], prefix: str) -> float:
    return sum(value for name, value in metrics.items() if name.startswith(prefix))


NOTES: Sequence[str] = (
    "The farm runs beside the service on the same cores. cores_busy is both; cores_of_service and cpu_ms_per_look are "
    "all of the service's processes, the web process scraped as by Prometheus among them; cores.… is each kind of them "
    "by itself, and cpu_ms_per_look.farm what the farm takes beside them.",
    "lag_p99_s: how late after its own moment in its round a look began, 99 in 100 no later, over the last two "
    "intervals at each scrape; told at most 19 % too high. max is the worst scrape.",
    "rss_mb: proportional set size of all its processes, shared pages counted once, over the second half of the run. "
    "Its share of libraries grows when other programs that use them end; own_mb is what it allocated itself, and "
    "own_growth_mb_second_half the slope of a line through that, times that half.",
    "missed_rounds counts rounds that came an interval late, rounds that did not end in their time and everything that "
    "a bound made it drop. thinning_most above 1: looks were less deep for a while, because there was no room. "
    "looks_over_planned is above 1 by the looks that confirm failures.",
    "worst_error_s_per_transition: of any village, down or unknown seconds by the API against the farm's log, divided "
    "by the number of its transitions: up to one interval is the resolution of a patrol.",
)
