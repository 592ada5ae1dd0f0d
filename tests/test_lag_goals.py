"""Goal R5: while our own loop stands still no camera is shown as down, whatever times out meanwhile."""

from __future__ import annotations

import asyncio
import csv
import os
import random
import time
from pathlib import Path

import uvloop
from msgspec.structs import replace

from streamwatch.blame import attribute
from streamwatch.clock import SystemClock
from streamwatch.decoders.pool import DecoderPool
from streamwatch.health import LoopLag
from streamwatch.looker import Looker, LookerPolicy
from streamwatch.model.look import Depth, State, StreamKind
from streamwatch.model.report import Credentials, Report, Round, Ticket, decode_report, encode
from streamwatch.model.verdict import Attributed
from streamwatch.net.address import Guard
from streamwatch.net.canary import Canaries
from streamwatch.verdict import Policy, judge
from tests.running import farm

SCALE = int(os.environ.get("STREAMWATCH_GOAL_SCALE", "1"))
FULL = SCALE >= 20
CAMERAS = 40 if FULL else 6
ROUNDS = 5 if FULL else 1  # of each depth
TRIES = 5  # until a look timed out: of twelve short ones none may
STALL_S = 5.0 if FULL else 0.4
DEADLINE_S = STALL_S * 0.6  # a stall is longer than any look may last
WINDOW_S = 2.5 * STALL_S


async def standing_still(seed: int) -> None:
    """Blocks the loop, with a busy core, for STALL_S; then it has one turn, or some milliseconds, and again."""
    chance = random.Random(seed)
    while True:
        await asyncio.sleep(chance.choice((0.0, 0.002, 0.05)))
        until = time.monotonic() + STALL_S
        while time.monotonic() < until:
            pass


async def looked_at(tickets: list[Ticket], seed: int) -> tuple[list[Attributed], list[Attributed]]:
    """All looks of the rounds while the loop stands still again and again, and those of a round after it."""
    clock, found = SystemClock(), list[Attributed]()
    lag = LoopLag(clock)
    looker = Looker(
        "here",
        pool=DecoderPool(workers=1),
        clock=clock,
        policy=LookerPolicy(held=CAMERAS // 2, connect_s=DEADLINE_S),  # else no look is short enough for `asking`
        guard=Guard(),
        canaries=Canaries((), clock, 60),
        lag=lag,
    )

    async def absorb(report: Report) -> None:
        found.extend(attribute(decode_report(encode(report))))

    async def work(depth: Depth, number: int, tickets: list[Ticket] = tickets) -> None:
        due_us, window_ms = clock.utc_us(), int(WINDOW_S * 1000)
        order = Round(
            id=f"{depth}{number}", village=1, depth=depth, due_us=due_us, window_ms=window_ms, tickets=tuple(tickets)
        )
        await looker.work(order, absorb)

    beats = asyncio.create_task(lag.run())
    still = asyncio.create_task(standing_still(seed))
    for number in range(ROUNDS):
        for depth in (Depth.STREAM, Depth.REACH):
            await work(depth, number)
    still.cancel()
    await asyncio.sleep(0.3)
    lagging = found.copy()
    found.clear()
    await work(Depth.STREAM, ROUNDS, [replace(ticket, offset_ms=0) for ticket in tickets])
    beats.cancel()
    looker.close()
    return lagging, found


def test_r5_a_loop_that_stands_still_shows_no_camera_down(tmp_path: Path) -> None:
    """Setup: one looker and healthy cameras, some in connections that are held. Fault: CPU saturated, the loop stands
    still for 5 s (0.4 s when scaled) again and again, longer than any look may last. Bound: 0 looks say down; each that
    timed out is void; afterwards all are up."""
    with farm(tmp_path, villages=1, cameras=CAMERAS) as running:
        with (running.folder / "cameras.csv").open(encoding="utf-8", newline="") as file:
            tickets = [
                Ticket(
                    camera=number,
                    url=row["sub_url"],
                    stream=StreamKind.SUB,
                    offset_ms=number * int(WINDOW_S * 1000) // CAMERAS,
                    deadline_ms=int(DEADLINE_S * 1000),
                    host=row["sub_url"].split("/")[2].rpartition(":")[0],
                    credentials=Credentials(row["username"], row["password"]),
                )
                for number, row in enumerate(csv.DictReader(file))
            ]
        for _ in range(TRIES):
            seed = random.randrange(2**32)
            lagging, after = uvloop.run(looked_at(tickets, seed))
            if any(one.look.reason is not None for one in lagging):
                break

    told = [opinion for one in lagging for opinion in judge(one, Policy()).opinions]
    failed = [one for one in lagging if one.look.reason is not None]
    assert len(lagging) == 2 * ROUNDS * CAMERAS
    assert [opinion for opinion in told if opinion.state is State.DOWN] == [], f"seed {seed}"
    assert failed, f"no look timed out: nothing was shown (seed {seed})"
    assert all(one.void is not None for one in failed), f"seed {seed}"
    assert [one.look.reason for one in after] == [None] * CAMERAS, f"seed {seed}"
