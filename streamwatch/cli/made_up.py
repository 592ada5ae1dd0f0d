"""The demo's past: a week that nobody saw, invented from a seed and marked `made_up` in every segment."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Final

from streamwatch.clock import US, SystemClock
from streamwatch.datadir import DataDir
from streamwatch.errors import Blame, Reason
from streamwatch.model.inventory import Camera, Inventory
from streamwatch.model.look import State
from streamwatch.model.standing import FAULT_PREFIX, PICTURE, REACH, STREAM
from streamwatch.model.timeline import Origin, Segment
from streamwatch.secrets import Sealer
from streamwatch.settings import Settings
from streamwatch.store.engine import default_url, open_writer
from streamwatch.store.inventory import load_inventory
from streamwatch.store.timeline import Batch, write_batch

HOUR_US: Final = 3600 * US
OUTAGES_A_WEEK: Final = 0.35  # per camera, on average
LINE_CUTS_A_WEEK: Final = 0.6  # per village
BLURRED_SHARE: Final = 0.03
GAP_HOUR: Final = 61  # our own outage in the made-up week: unknown, not down

_FAILURES: Final = (Reason.NET_TIMEOUT, Reason.NET_REFUSED, Reason.MEDIA_NO_DATA, Reason.NET_UNREACHABLE)
_Stretch = tuple[int, int, State, str | None, Blame | None]


async def write_history(settings: Settings, *, seed: int) -> None:
    """Writes a past for every camera, from its installation up to now. The service must not run."""
    now_us = SystemClock().utc_us()
    url = settings.database_url or default_url(settings.data_dir)
    writer = open_writer(url)
    try:
        with DataDir(settings.data_dir).lock("demo", now_us):
            async with writer.connect() as conn:
                inventory = await load_inventory(conn, Sealer.open(settings.data_dir), settings.schedule.interval_s)
            from_us = min((camera.installed_us for camera in inventory.cameras.values()), default=now_us)
            segments = list(invent(inventory, from_us, now_us, seed))
            for at in range(0, len(segments), 5_000):
                batch = Batch(segments=tuple(segments[at : at + 5_000]), learned_us=now_us)
                async with writer.begin() as conn:
                    await write_batch(conn, batch)
    finally:
        await writer.dispose()


def invent(inventory: Inventory, from_us: int, to_us: int, seed: int) -> Iterator[Segment]:
    """Gapless segments of reach, stream and picture for every camera over [from_us, to_us)."""
    rng = random.Random(seed)  # noqa: S311 - a demo's past
    gap = (from_us + GAP_HOUR * HOUR_US, from_us + GAP_HOUR * HOUR_US + 25 * 60 * US)
    cuts = {village: _moments(rng, LINE_CUTS_A_WEEK, from_us, to_us, 0.2, 2.0) for village in inventory.villages}
    for camera in inventory.cameras.values():
        outages = _moments(rng, OUTAGES_A_WEEK, from_us, to_us, 0.1, 9.0)
        down = [(a, b, State.DOWN, rng.choice(_FAILURES), Blame.CAMERA) for a, b in outages]
        down += [(a, b, State.DOWN, Reason.NET_TIMEOUT, Blame.LINE) for a, b in cuts[camera.village]]
        unseen: list[_Stretch] = [(*gap, State.UNKNOWN, None, None)]
        for dimension in (REACH, STREAM):
            yield from _painted(camera, dimension, from_us, to_us, [*down, *unseen])
        blurred: list[_Stretch] = []
        if rng.random() < BLURRED_SHARE:
            blurred = [(rng.randrange(from_us, to_us), to_us, State.DOWN, "blur", Blame.CAMERA)]
        not_asked = [(a, b, State.UNKNOWN, None, None) for a, b, *_ in down]
        yield from _painted(camera, PICTURE, from_us, to_us, [*blurred, *not_asked, *unseen])
        if blurred:
            yield from _painted(camera, f"{FAULT_PREFIX}blur", from_us, to_us, [*blurred, *not_asked, *unseen])


def _moments(
    rng: random.Random, a_week: float, from_us: int, to_us: int, shortest_h: float, longest_h: float
) -> list[tuple[int, int]]:
    """Random stretches, rare ones long: their lengths are spread evenly on a logarithmic scale."""
    found = []
    expected = a_week * (to_us - from_us) / (7 * 24 * HOUR_US)
    while rng.random() < expected / (expected + 1):
        begin = rng.randrange(from_us, to_us)
        hours = shortest_h * (longest_h / shortest_h) ** rng.random()
        found.append((begin, min(to_us, begin + int(hours * HOUR_US))))
    return found


def _painted(camera: Camera, dimension: str, from_us: int, to_us: int, over: list[_Stretch]) -> Iterator[Segment]:
    """Up all the time, with `over` painted on it in order: later ones cover earlier ones."""
    edges = sorted({from_us, to_us, *(edge for a, b, *_ in over for edge in (a, b) if from_us < edge < to_us)})
    last: Segment | None = None
    for begin, end in itertools.pairwise(edges):
        kind: tuple[State, str | None, Blame | None] = (State.UP, None, None)
        for a, b, state, reason, blame in over:
            if a <= begin < b:
                kind = (state, reason, blame)
        if last is not None and (last.state, last.reason, last.blame) == kind:
            last = Segment(camera.id, dimension, last.from_us, end, *kind, Origin.MADE_UP)
            continue
        if last is not None:
            yield last
        last = Segment(camera.id, dimension, begin, end, *kind, Origin.MADE_UP)
    if last is not None:
        yield last
