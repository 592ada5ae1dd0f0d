"""What rates and timelines are made of: closed and open segments of one snapshot, carried on to now by the live view.

In one transaction the database gives closed segments and standings. A standing that the live view knows further on (the
same segment, seen again since) takes its `last_us` and what is pending from there. Where the view is already in a later
segment, the transaction began too early: it is read again. So no time is missing and none is counted twice.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec import structs

from streamwatch.api.context import Context
from streamwatch.api.window import Window
from streamwatch.model.live import CameraLive
from streamwatch.model.scope import Scope
from streamwatch.model.standing import Standing
from streamwatch.model.timeline import Origin, Segment
from streamwatch.store.census import CountedCamera
from streamwatch.store.handles import Connection
from streamwatch.store.timeline import maintenance_for, segments, standings
from streamwatch.timeline import assemble
from streamwatch.uptime import Interval, Watched, within

TRIES: Final = 3  # a commit between the view's message and ours is milliseconds; a third miss is a busy moment
Key = tuple[int, str]  # camera, dimension


@dataclass(frozen=True, slots=True)
class Evidence:
    """Segments without a hole over the window by camera and dimension, and what is excluded by camera.

    A camera that was moved counts only for its time `there` (CountedCamera), whatever its segments reach over.
    """

    window: Window
    cameras: Sequence[CountedCamera]
    segments: Mapping[Key, tuple[Segment, ...]]
    excluded: Mapping[int, Sequence[Interval]]

    def watched(self, dimension: str, cameras: Sequence[CountedCamera] | None = None) -> list[Watched]:
        """One dimension of all cameras, or of those given, as the rates take it."""
        return [
            Watched(
                self.segments[camera.id, dimension], service_of(camera, self.window), self.excluded.get(camera.id, ())
            )
            for camera in (self.cameras if cameras is None else cameras)
        ]

    def of(self, dimension: str, cameras: Sequence[CountedCamera] | None = None) -> list[Sequence[Segment]]:
        """The segments of one dimension, camera by camera."""
        return [self.segments[camera.id, dimension] for camera in (self.cameras if cameras is None else cameras)]

    def made_up(self, dimensions: Collection[str], cameras: Sequence[CountedCamera] | None = None) -> bool:
        """Whether a demonstration's history is in it."""
        return any(
            one.origin is Origin.MADE_UP and (camera.there is None or within(camera.there, time_of(one)))
            for camera in (self.cameras if cameras is None else cameras)
            for dimension in dimensions
            for one in self.segments[camera.id, dimension]
        )


def time_of(segment: Segment) -> Interval:
    """The time of a segment."""
    return Interval(segment.from_us, segment.to_us)


def service_of(camera: CountedCamera, window: Window) -> tuple[Interval, ...]:
    """When the camera was in service here within the window: one interval, or none; several where it came and went."""
    begin = max(camera.installed_us, window.from_us)
    end = window.to_us if camera.removed_us is None else min(camera.removed_us, window.to_us)
    if begin >= end:
        return ()
    served = Interval(begin, end)
    return (served,) if camera.there is None else tuple(within(camera.there, served))


async def gather(
    context: Context, scope: Scope, cameras: Sequence[CountedCamera], dimensions: Collection[str], window: Window
) -> Evidence:
    """The evidence of those cameras and dimensions; without a live view it is what the database knows."""
    for attempt in range(TRIES):
        async with context.reader.begin() as conn:
            found = await _read(conn, context, scope, cameras, dimensions, window, last=attempt == TRIES - 1)
        if found is not None:
            return found
    raise AssertionError("the last try always gives evidence")


async def _read(
    conn: Connection,
    context: Context,
    scope: Scope,
    cameras: Sequence[CountedCamera],
    dimensions: Collection[str],
    window: Window,
    *,
    last: bool,
) -> Evidence | None:
    """One snapshot; None where the live view is ahead of it (never at the `last` try: the snapshot then counts)."""
    numbers = [camera.id for camera in cameras]
    wanted = tuple(dimensions)
    closed: dict[Key, list[Segment]] = {}
    for segment in await segments(conn, scope, numbers, wanted, window.from_us, window.to_us):
        closed.setdefault((segment.camera, segment.dimension), []).append(segment)
    stood = {(one.camera, one.dimension): one for one in await standings(conn, scope, numbers)}
    excluded = await maintenance_for(conn, scope, numbers, window.from_us, window.to_us)
    found: dict[Key, tuple[Segment, ...]] = {}
    for camera in cameras:
        live = context.view.cameras.get(camera.id)
        grace_us = context.grace(camera.interval_s)
        for dimension in wanted:
            key = (camera.id, dimension)
            standing, ahead = carried_on(stood.get(key), live, dimension)
            if ahead and not last:
                return None
            found[key] = assemble(
                closed.get(key, ()),
                standing,
                window.from_us,
                window.to_us,
                window.now_us,
                grace_us,
                camera.id,
                dimension,
            )
    return Evidence(window, cameras, found, excluded)


def carried_on(booked: Standing | None, live: CameraLive | None, dimension: str) -> tuple[Standing | None, bool]:
    """The booked standing with what the view knows further on, and whether the view is in a later segment already."""
    now = None if live is None else live.standing(dimension)
    if now is None:
        return booked, False
    if booked is None:
        return None, True
    same = (booked.state, booked.reason, booked.blame, booked.since_us) == (
        now.state,
        now.reason,
        now.blame,
        now.since_us,
    )
    if same:
        if now.seen_us < booked.seen_us:
            return booked, False
        return structs.replace(booked, last_us=now.last_us, pending=now.pending), False
    return booked, now.seen_us > booked.seen_us
