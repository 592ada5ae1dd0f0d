"""Who notices hostile cameras? Looks at 2,000 cameras, a quarter of them hostile, and at 2,000 that are healthy."""

from __future__ import annotations

import os
import statistics
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks.cameras import farm
from benchmarks.crowd import Patience, Seen, Target, hostile, rig
from benchmarks.measure import BenchmarkError, Result

WHOLE = Patience(5.0, 10.0, 10.0, 20.0)  # the patrol's own limits
SHORT = Patience(1.0, 1.0, 1.5, 2.5)
BIND = "127.74.0.0/16"  # beside the farm's own


@dataclass(frozen=True, slots=True)
class Plan:
    """`healthy` and `bad` cameras, a look at each within `window_s`; first healthy ones stand in for the bad ones."""

    healthy: int = 1500
    bad: int = 500
    window_s: float = 60.0
    runs: int = 3
    patience: Patience = WHOLE
    full: bool = True


FULL = Plan()
QUICK = Plan(healthy=90, bad=30, window_s=3.0, runs=3, patience=SHORT, full=False)


def run(plan: Plan, cache: Path) -> Result:
    """Runs with and without hostile cameras take turns, so that a slow minute of the machine meets both.

    The control has as many looks: what is asked is what hostility costs the others, not what more cameras cost.
    """
    return uvloop.run(_run(plan, cache))


async def _run(plan: Plan, cache: Path) -> Result:
    fixture = {
        "healthy": plan.healthy, "hostile": plan.bad, "window_s": plan.window_s, "runs": plan.runs,
        "deadline_s": plan.patience.total_s, "full": plan.full,
    }  # fmt: skip
    result = Result("hostile", fixture)
    add = result.samples.add
    with hostile(cache, f"--bind={BIND}", f"--cameras={plan.bad}", "--shuffle=7", idle=True) as bad:
        async with farm(plan.healthy + plan.bad, cache, 10) as running, rig(plan.patience, workers=_cores()) as ours:
            every = [Target(camera.sub_url, camera.credentials) for camera in running.cameras]
            good = every[: plan.healthy]
            await ours.crowd(every, plan.window_s / 3)  # decoders open their contexts, the farm renders
            for number in range(plan.runs):
                control = await ours.crowd(every, plan.window_s, seed=number)
                add("control_p50_ms", _quantile_ms(control[: plan.healthy], 50))
                add("control_p99_ms", _quantile_ms(control[: plan.healthy], 99))
                mixed = await ours.crowd([*good, *bad], plan.window_s, seed=number)
                beside = mixed[: plan.healthy]
                add("healthy_p50_ms", _quantile_ms(beside, 50))
                add("healthy_p99_ms", _quantile_ms(beside, 99))
                late_s = max(one.took_s - plan.patience.total_s for one in mixed if one.target.hostile is not None)
                add("hostile_late_worst_ms", max(0.0, late_s) * 1000)
                add("sessions_most", ours.cost.sessions)
                add("rss_kb_per_session", max(0, ours.cost.rss_kb) / max(1, ours.cost.sessions))
                add("fds_left", ours.cost.fds_left)
                add("tasks_left", ours.cost.tasks_left)
                add("settled_s", ours.cost.settled_s)
                add("rss_mb_left", ours.cost.rss_kb_left / 1024)
                if wrong := [one.wrong for one in (*control, *mixed) if one.wrong]:
                    raise BenchmarkError(f"{len(wrong)} looks ended otherwise than they deserve: {wrong[0]}")
    result.ratio("healthy_p99_over_control", "healthy_p99_ms", "control_p99_ms")
    result.notes += NOTES
    return result


def _quantile_ms(looks: list[Seen], percent: int) -> float:
    return statistics.quantiles((one.look.duration_us / 1000 for one in looks), n=100)[percent - 1]


def _cores() -> int:
    return len(os.sched_getaffinity(0))


NOTES = [
    "healthy: picture looks at the simulated farm's sub streams over loopback, begun at random moments of the window, "
    "as the patrol spreads them; control: the same looks at the same moments, with further healthy cameras in place "
    "of the hostile ones.",
    "hostile: the corpus of `python -m streamwatch.simulator.hostile --list` by rotation; every look must end with a "
    "reason that it deserves, or the run counts for nothing.",
    "The farm and the decoders are processes of this machine too and share its cores; the hostile cameras get only "
    "what nobody else wants (SCHED_IDLE), as real ones run elsewhere.",
    "rss_kb_per_session: what the looker's process grew by at most, over the most sessions that it had at once.",
]
