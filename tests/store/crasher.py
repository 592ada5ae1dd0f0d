"""The process that `test_crash.py` kills: commits numbered batches and says each number once it is on disk."""

from __future__ import annotations

import asyncio
import sys

from streamwatch.clock import US
from streamwatch.model.look import Depth, State
from streamwatch.model.standing import STREAM, Standing
from streamwatch.model.timeline import Segment
from streamwatch.store.engine import open_writer
from streamwatch.store.rounds import Mark
from streamwatch.store.timeline import Batch, RoundLook, write_batch

CAMERAS = range(1, 41)
STEP_US = 60 * US


def batch(number: int) -> Batch:
    """One change of every camera: the segment it closed, the standing it opened, the look, its place in the round."""
    begin, end = number * STEP_US, (number + 1) * STEP_US
    state = State.UP if number % 2 else State.DOWN
    return Batch(
        segments=[Segment(camera, STREAM, begin, end, state) for camera in CAMERAS],
        standings=[Standing(camera, STREAM, State.UP, None, None, end, end) for camera in CAMERAS],
        observations=[(camera, "stream", end, b"look %d" % number) for camera in CAMERAS],
        rounds=[
            RoundLook(1, Depth.STREAM, "here", end, 0, camera, end + US, 40.0, Mark.AS_BEFORE) for camera in CAMERAS
        ],
        learned_us=end,
    )


async def main(url: str, number: int) -> None:
    """Commits until it is killed."""
    writer = open_writer(url)
    while True:
        async with writer.begin() as connection:
            await write_batch(connection, batch(number))
        print(number, flush=True)
        number += 1


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
