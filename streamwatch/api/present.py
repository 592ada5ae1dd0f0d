"""The present, counted: what the live view says of each camera now, and how many are in which state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from streamwatch.errors import Blame
from streamwatch.model.live import CameraLive
from streamwatch.model.look import State
from streamwatch.model.standing import FAULT_PREFIX, PICTURE, STREAM, Standing
from streamwatch.store.census import CountedCamera
from streamwatch.timeline import present

Grace = Callable[[int | None], int]  # a camera's own interval in seconds, or None, -> microseconds

_WORST: Final = {State.DOWN: 0, State.UNKNOWN: 2}  # 1 is an up camera whose picture is defective


class Stand(NamedTuple):
    """One dimension now."""

    state: State
    reason: str | None
    blame: Blame | None
    since_us: int


class Now(NamedTuple):
    """One camera now; `stream` None: it was never looked at."""

    stream: Stand | None
    picture: Stand | None
    faults: tuple[str, ...]
    pending: bool

    @property
    def state(self) -> State:
        """The state of the stream."""
        return State.UNKNOWN if self.stream is None else self.stream.state

    def rank(self) -> tuple[int, int] | None:
        """How bad it is, the worst first: down, defective, unknown, each the longest first; None: nothing is wrong."""
        if self.stream is None:
            return (_WORST[State.UNKNOWN], 0)
        if self.stream.state is not State.UP:
            return (_WORST[self.stream.state], self.stream.since_us)
        if self.picture is not None and self.picture.state is State.DOWN:
            return (1, self.picture.since_us)
        if self.faults:
            return (1, self.stream.since_us)
        if self.picture is not None and self.picture.state is State.UNKNOWN and self.picture.reason is not None:
            return (_WORST[State.UNKNOWN], self.picture.since_us)  # it sends, and no picture comes of it
        return None


NEVER: Final = Now(None, None, (), pending=False)


@dataclass(slots=True)
class Counts:
    """How many cameras are in which state; `faulty` have at least one of `faults`."""

    states: Counter[State] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    faulty: int = 0

    @property
    def cameras(self) -> int:
        """All of them."""
        return self.states.total()


def now_of(live: CameraLive | None, now_us: int, grace_us: int) -> Now:
    """What that camera is like now; a standing older than the grace is unknown."""
    if live is None:
        return NEVER
    stream = picture = None
    faults = []
    for standing in live.standings:
        if standing.dimension == STREAM:
            stream = _stand(standing, now_us, grace_us)
        elif standing.dimension == PICTURE:
            picture = _stand(standing, now_us, grace_us)
        elif _has_fault(standing, now_us, grace_us):
            faults.append(standing.dimension.removeprefix(FAULT_PREFIX))
    pending = any(standing.pending is not None for standing in live.standings)
    return Now(stream, picture, tuple(sorted(faults)), pending)


def present_of(
    cameras: Iterable[CountedCamera], live: Mapping[int, CameraLive], now_us: int, grace: Grace
) -> Iterator[tuple[CountedCamera, Now | None]]:
    """Each camera with its present, or with None where all is well: up, seen lately, nothing pending, no fault.

    Most cameras of a city are well, and a page asks every few seconds: to see that costs a microsecond.
    """
    graces: dict[int | None, int] = {}
    for camera in cameras:
        grace_us = graces.get(camera.interval_s)
        if grace_us is None:
            grace_us = graces[camera.interval_s] = grace(camera.interval_s)
        known = live.get(camera.id)
        yield camera, None if known is not None and _well(known, now_us, grace_us) else now_of(known, now_us, grace_us)


def count(cameras: Iterable[CountedCamera], live: Mapping[int, CameraLive], now_us: int, grace: Grace) -> Counts:
    """The cameras by state and fault now; the caller chose those that are in service."""
    counts = Counts()
    well = 0
    for _, now in present_of(cameras, live, now_us, grace):
        if now is None:
            well += 1
            continue
        counts.states[now.state] += 1
        counts.faults.update(now.faults)
        counts.faulty += bool(now.faults)
    counts.states[State.UP] += well
    return counts


def _well(live: CameraLive, now_us: int, grace_us: int) -> bool:
    streams = False
    for standing in live.standings:
        if standing.state is not State.UP or standing.pending is not None or now_us - standing.last_us > grace_us:
            return False
        streams = streams or standing.dimension == STREAM
    return streams


def _has_fault(standing: Standing, now_us: int, grace_us: int) -> bool:
    if standing.state is not State.DOWN or not standing.dimension.startswith(FAULT_PREFIX):
        return False
    return _stand(standing, now_us, grace_us).state is State.DOWN


def _stand(standing: Standing, now_us: int, grace_us: int) -> Stand:
    # Most cameras stand as they did at their last look: the same answer as `present` without its lists.
    if standing.pending is None and now_us - standing.last_us <= grace_us:
        return Stand(standing.state, standing.reason, standing.blame, standing.since_us)
    return Stand(*present(standing, now_us, grace_us))
