"""What was acknowledged survives kill -9 at any moment, and no commit survives in part."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from pathlib import Path

from sqlalchemy import insert, text

from streamwatch.clock import US
from streamwatch.model.scope import EVERYTHING
from streamwatch.model.standing import STREAM
from streamwatch.store.engine import open_writer
from streamwatch.store.tables import camera, region, village
from streamwatch.store.timeline import load_standings, segments
from tests.store.crasher import CAMERAS, STEP_US, batch

KILLS = 10 * int(os.environ.get("STREAMWATCH_GOAL_SCALE", "1"))  # goal R22: 200 at scale 20
ROOT = Path(__file__).resolve().parents[2]
OBSERVED = text("SELECT camera, started_us, body FROM observation ORDER BY started_us, camera")


async def until_killed(url: str, first: int, dice: random.Random) -> int:
    """Lets the process write from batch `first` on, kills it somewhere, and gives the last number it acknowledged."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.store.crasher", url, str(first), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    told = b""
    for _ in range(dice.randint(1, 12)):
        told = await child.stdout.readline()
        assert told, "the writing process ended by itself"
    await asyncio.sleep(dice.random() * 0.02)  # anywhere within a commit
    child.send_signal(signal.SIGKILL)
    told += await child.stdout.read()
    await child.wait()
    return int(told[: told.rindex(b"\n")].split()[-1])  # a line that was cut short is no acknowledgement


async def test_r22_acknowledged_changes_survive_kill_9(url: str) -> None:
    """Goal R22: after each kill every acknowledged batch is there whole, the next one whole or not at all."""
    seed = int(os.environ.get("STREAMWATCH_SEED", "22"))
    dice = random.Random(seed)
    setup = open_writer(url)
    async with setup.begin() as connection:
        await connection.execute(insert(region).values(id=1, code="r", name="r"))
        await connection.execute(insert(village).values(id=1, code="v", name="v", region=1, created_us=0))
        await connection.execute(
            insert(camera),
            [
                {"id": n, "code": f"c{n}", "name": "", "village": 1, "url": "", "installed_us": 0, "created_us": 0}
                for n in CAMERAS
            ],
        )
    await setup.dispose()

    stored = 0  # batches that are in the database
    for kill in range(KILLS):
        acknowledged = await until_killed(url, stored, dice)
        writer = open_writer(url)
        async with writer.connect() as connection:
            where = f"seed {seed}, kill {kill}"
            assert (await connection.execute(text("PRAGMA integrity_check"))).scalar_one() == "ok", where
            found = await segments(connection, EVERYTHING, CAMERAS, [STREAM], 0, 10**15)
            before, stored = stored, len(found) // len(CAMERAS)
            assert stored > acknowledged >= before, where
            batches = [batch(number) for number in range(stored)]
            expected = [one for each in batches for one in each.segments]
            assert found == sorted(expected, key=lambda one: (one.camera, one.from_us)), where
            looks = [(row[0], "stream", row[1], row[2]) for row in await connection.execute(OBSERVED)]
            assert looks == [one for each in batches for one in each.observations], where
            standings = await load_standings(connection)
            assert [one.since_us for one in standings] == [stored * STEP_US] * len(CAMERAS), where
            assert [one.last_us for one in standings] == [stored * STEP_US + US] * len(CAMERAS), where
        await writer.dispose()
