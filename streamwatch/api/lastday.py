"""The last 24 hours of villages, added up some villages at a time and kept for some seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from streamwatch.api.context import Context
from streamwatch.api.evidence import gather
from streamwatch.api.rates import last_day_of
from streamwatch.api.schemas import LastDay
from streamwatch.api.window import DAY_US, Window
from streamwatch.clock import US
from streamwatch.model.scope import Scope
from streamwatch.model.standing import STREAM
from streamwatch.store.census import CountedCamera

MAX_CAMERAS_AT_ONCE: Final = 2_000  # read in one transaction and added up; then others get their turn

Groups = dict[int, Sequence[CountedCamera]]


async def last_days(context: Context, scope: Scope, villages: Groups) -> dict[int, LastDay]:
    """The last day of each village (by id), whose cameras the caller gives and may see."""
    now_s = context.clock.monotonic()
    days = {number: day for number in villages if (day := context.days.get(number, now_s)) is not None}
    missing = [number for number in villages if number not in days]
    while missing:
        some, missing = _some(missing, villages)
        for number, day in (await _add_up(context, scope, {one: villages[one] for one in some})).items():
            context.days.put(number, day, now_s)
            days[number] = day
    return days


async def _add_up(context: Context, scope: Scope, villages: Groups) -> dict[int, LastDay]:
    now_us = context.clock.utc_us()
    end_us = now_us - now_us % US  # whole seconds: the one under way belongs to the next answer
    window = Window(end_us - DAY_US, end_us, now_us)
    cameras = [camera for group in villages.values() for camera in group]
    evidence = await gather(context, scope, cameras, (STREAM,), window)
    return {number: await asyncio.to_thread(last_day_of, evidence, group) for number, group in villages.items()}


def _some(numbers: list[int], villages: Groups) -> tuple[list[int], list[int]]:
    """As many of the villages as have MAX_CAMERAS_AT_ONCE cameras together (at least one), and the rest."""
    cameras = 0
    for place, number in enumerate(numbers):
        cameras += len(villages[number])
        if place and cameras > MAX_CAMERAS_AT_ONCE:
            return numbers[:place], numbers[place:]
    return numbers, []
