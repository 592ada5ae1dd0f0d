"""Goals R15 and R16: a quarter of the cameras is hostile, and only they notice; silence and trickling end in time."""

from __future__ import annotations

import csv
import os
import statistics
from pathlib import Path

import pytest
import uvloop

from benchmarks.crowd import Patience, Rig, Seen, Target, hostile, process, rig
from streamwatch.errors import Reason, Step
from streamwatch.model.look import Transport
from streamwatch.model.report import Credentials

CACHE = Path(__file__).resolve().parents[2] / ".run" / "farm-cache"  # kept between runs
SCALE = int(os.environ.get("STREAMWATCH_GOAL_SCALE", "1"))
FULL = SCALE >= 20
# A look's own limits, at full counts; a tenth where there are a twentieth of the cameras.
PATIENCE = Patience(5.0, 10.0, 10.0, 20.0) if FULL else Patience(1.0, 1.0, 1.5, 2.5)
LATE_S = 0.5
CLOCK_S = 0.01  # a loop's timers may fire so much early
HEALTHY, HOSTILE = 75 * SCALE, 25 * SCALE
WINDOW_S = 60.0 if FULL else 3.0
# With hostile cameras and with healthy ones in their place by turns, so that a slow minute of the machine meets both.
ROUNDS = 2
MOST = 1.2  # of the healthy cameras' p99
# Of 150 looks the p99 is the second slowest, and a machine that tests run on stalls that long by itself; at full counts
# it is the thirtieth slowest of 3,000, and nothing is allowed for.
JITTER_MS = 0.0 if FULL else 250.0
RSS_KB = 1024  # a live session
LEFT_KB = 8 * 1024  # after the last round: what allocators keep, and what is learnt of cameras (2 KiB each)
SESSIONS = 100 * SCALE
SILENT = ("connect", "options", "describe", "setup", "play")
TRICKLING = ("options", "describe", "setup", "play", "media")


def p99_ms(looks: list[Seen]) -> float:
    return statistics.quantiles((one.look.duration_us / 1000 for one in looks), n=100)[98]


@pytest.mark.quiet
def test_r15_hostile_cameras_cost_their_own_look_only(tmp_path: Path) -> None:
    """Setup: 2,000 cameras, the looker with its decoders, looks spread over a minute. Fault: a quarter of the cameras
    is hostile, in every way of the corpus. Bound: each hostile look ends within its deadline + 0.5 s, with the reason
    that it deserves; the healthy ones' p99 is at most 1.2 x that of the same looks when the others are healthy too
    (+ 250 ms where only 100 cameras are looked at); at most 1 MiB a live session; descriptors, tasks and
    memory (8 MiB) as before within 5 s."""
    farm = ("--villages=10", f"--cameras={HEALTHY + HOSTILE}", "--bind=127.69.0.0/16", "--udp=0", f"--cache={CACHE}")
    with (
        process("streamwatch.simulator", *farm, f"--inventory={tmp_path}"),
        hostile(CACHE, "--bind=127.70.0.0/16", f"--cameras={HOSTILE}", "--shuffle=7", idle=True) as bad,
    ):
        every = healthy(tmp_path)
        control, beside, hostile_looks, ours = uvloop.run(_r15(every, bad))

    assert [one.wrong for one in (*control, *beside, *hostile_looks) if one.wrong] == []
    assert [one.target.hostile for one in hostile_looks if one.took_s > PATIENCE.total_s + LATE_S] == []
    assert p99_ms(beside) <= MOST * p99_ms(control) + JITTER_MS
    assert ours.cost.rss_kb <= RSS_KB * ours.cost.sessions
    assert (ours.cost.fds_left, ours.cost.tasks_left) == (0, 0)
    assert ours.cost.rss_kb_left <= LEFT_KB


async def _r15(every: list[Target], bad: list[Target]) -> tuple[list[Seen], list[Seen], list[Seen], Rig]:
    """The healthy ones' looks beside others like them and beside hostile ones, the hostile ones' looks, and the rig."""
    good = every[:HEALTHY]
    control: list[Seen] = []
    beside: list[Seen] = []
    hostile_looks: list[Seen] = []
    async with rig(PATIENCE) as ours:
        await ours.crowd(every, WINDOW_S / 3)  # decoders open their contexts, the farm renders
        for number in range(ROUNDS):
            control += (await ours.crowd(every, WINDOW_S, seed=number))[:HEALTHY]
            mixed = await ours.crowd([*good, *bad], WINDOW_S, seed=number)
            beside += mixed[:HEALTHY]
            hostile_looks += mixed[HEALTHY:]
        return control, beside, hostile_looks, ours


def healthy(folder: Path) -> list[Target]:
    """The farm's cameras, by their sub streams."""
    with (folder / "cameras.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [Target(row["sub_url"], Credentials(row["username"], row["password"])) for row in rows]


@pytest.mark.quiet
def test_r16_silence_ends_with_its_step_and_the_look_with_its_deadline() -> None:
    """Setup: 2,000 sessions at once. Fault: silence after each step of the protocol, replies and media a byte a
    second, and devices that talk without ever answering. Bound: each silent step is closed after its 10 s + 0.5 s,
    however often a byte comes; who talks on ends at the look's own deadline + 0.5 s."""
    names = [*(f"silence_after_{step}" for step in SILENT), *(f"trickle_{step}" for step in TRICKLING), "busybody"]
    only = [f"--only={name}" for name in names]
    with hostile(CACHE, "--bind=127.71.0.0/16", f"--cameras={SESSIONS}", *only) as targets:
        looks = uvloop.run(_r16(targets))

    assert [one.wrong for one in looks if one.wrong] == []
    for one in looks:
        talks_on = one.target.hostile == "busybody"
        limit_s = PATIENCE.total_s if talks_on else PATIENCE.step_s
        lasted_s = one.look.duration_us / 1e6 if talks_on else silent_s(one)
        assert limit_s - CLOCK_S <= lasted_s <= limit_s + LATE_S, (one.target.hostile, one.look.timings_ms)
    assert {one.look.step for one in looks} == {
        Step.OPTIONS, Step.DESCRIBE, Step.SETUP, Step.PLAY, Step.FIRST_KEYFRAME,
    }  # fmt: skip
    assert {one.look.reason for one in looks} == {Reason.NET_TIMEOUT, Reason.MEDIA_NO_DATA}


def silent_s(one: Seen) -> float:
    """How long the step lasted that was never answered: all but the steps that were."""
    timings = dict(one.look.timings_ms)
    return (timings.pop("total") - sum(timings.values())) / 1000


async def _r16(targets: list[Target]) -> list[Seen]:
    async with rig(PATIENCE, transport=Transport.TCP, workers=1) as ours:  # pinned: silence is not taken for a firewall
        return await ours.crowd(targets, WINDOW_S / 10)
