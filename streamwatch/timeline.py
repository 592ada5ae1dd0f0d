"""Stage 8: opinions -> segments. Where a dimension stands, how one more look moves it, and what that was up to now.

The rules (design, decision 7), per camera and dimension:

- Between two successive looks at most `grace` apart, the time has the state of the earlier one; a change begins, both
  ways, at the first look that showed it. A longer gap is unknown from the earlier look to the later one.
- A change to down that asks for confirmation is *pending* until enough further looks repeated it; then it is booked
  from the look that showed it first. One that is not repeated changes nothing and is a *blip*.
- A camera that refuses our password is looked at ever more rarely, so that it does not lock us out. It is unknown with
  that reason until the next look, for up to `PATIENCE` times the grace; no known time comes of it.
- Evidence that reaches back (a frozen picture) moves the beginning of a change back within the open segment, but never
  into one that is closed, and never turns time that was unknown into known time.

Everything is integer microseconds; nothing here asks what time it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
from msgspec import structs

from streamwatch.errors import Blame
from streamwatch.model.look import State
from streamwatch.model.standing import Pending, Standing
from streamwatch.model.timeline import Origin, Segment
from streamwatch.model.verdict import Opinion


class Kind(NamedTuple):
    """What a stretch of time was like: two that abut and are equal in this are one."""

    state: State
    reason: str | None
    blame: Blame | None


PATIENCE: Final = 5  # x 1.5 intervals: such a look comes at least every sixth interval (schedule.BACKOFF_INTERVALS)
UNSEEN: Final = Kind(State.UNKNOWN, None, None)  # nobody looked, or what was seen was not confirmed in time


class Run(NamedTuple):
    """A stretch [from_us, to_us) of one kind."""

    kind: Kind
    from_us: int
    to_us: int


class Booked(NamedTuple):
    """A stretch [from_us, to_us) that was booked for the first time: for counters that are never revised."""

    camera: int
    dimension: str
    state: State
    from_us: int
    to_us: int

    @property
    def seconds_us(self) -> int:
        """How much time that is, in microseconds."""
        return self.to_us - self.from_us


class Advance(msgspec.Struct, frozen=True, gc=False):
    """What one look did.

    `closed` are the segments it ended, in order; the new standing begins where the last of them ends. `booked` adds up
    to the way from the old `last_us` to the new one. `changed` says that the standing differs in more than `last_us`
    and must be written. `late`: the look is not newer than what is known already, and was ignored.
    """

    standing: Standing
    closed: tuple[Segment, ...] = ()
    booked: tuple[Booked, ...] = ()
    blip: bool = False
    changed: bool = False
    late: bool = False


def advance(standing: Standing | None, camera: int, opinion: Opinion, at_us: int, grace_us: int) -> Advance:
    """Moves one dimension on by a look that began at `at_us`; `standing` is None before the first look ever.

    Two segments that abut and are equal can follow each other in `closed` of two calls (a state that a single look
    showed between two gaps has no length); `assemble` joins them.
    """
    if (
        standing is not None
        and standing.pending is None
        and opinion.state is standing.state
        and opinion.reason == standing.reason
        and opinion.blame is standing.blame
        and 0 < at_us - standing.last_us <= grace_us
    ):  # as before, as nearly every look finds it: what `advance_fully` says of it, for a tenth of its cost
        number, dimension, state, last_us = standing.camera, standing.dimension, standing.state, standing.last_us
        moved = Standing(number, dimension, state, standing.reason, standing.blame, standing.since_us, at_us)
        return Advance(moved, booked=(Booked(number, dimension, state, last_us, at_us),))
    return advance_fully(standing, camera, opinion, at_us, grace_us)


def advance_fully(standing: Standing | None, camera: int, opinion: Opinion, at_us: int, grace_us: int) -> Advance:
    """`advance` by the rules alone."""
    seen = Kind(opinion.state, opinion.reason, opinion.blame)
    if standing is None:
        return Advance(_afresh(camera, opinion, at_us, since_us=at_us), changed=True)
    if at_us <= standing.seen_us:
        return Advance(standing, late=True)
    grace_us = _patient(standing, grace_us)

    if at_us - standing.seen_us > grace_us:
        fresh = _afresh(camera, opinion, at_us, since_us=at_us)
        return _move(standing, [*_settled(standing, at_us, grace_us), Run(_kind(fresh), at_us, at_us)], fresh.pending)

    pending = standing.pending
    if opinion.state is State.DOWN and standing.state is not State.DOWN:
        first_us = pending.first_us if pending else _begin(standing, opinion, at_us)
        count = pending.count + 1 if pending else 1
        if count <= opinion.confirmations:
            waiting = Pending(State.DOWN, opinion.reason, opinion.blame, first_us, at_us, count)
            return Advance(structs.replace(standing, pending=waiting), changed=True)
        return _move(standing, [*_settled(standing, first_us, grace_us), Run(seen, first_us, at_us)], None)

    # The standing state again, or better, or unknown: what was pending is dropped.
    repeated = opinion.state in (standing.state, State.UP)
    before = _settled(standing, at_us, grace_us, doubted=pending is not None and not repeated)
    from_us = _begin(standing, opinion, at_us) if len(before) == 1 and seen != _kind(standing) else at_us
    return _move(standing, [*before, Run(seen, from_us, at_us)], None, blip=pending is not None and repeated)


def present(standing: Standing, now_us: int, grace_us: int) -> tuple[State, str | None, Blame | None, int]:
    """State, reason, blame and since when, as of `now_us`: unknown once the last look is older than the grace.

    It is then unknown from that last look on. A change that waits for its confirmation is not shown yet.
    """
    last = _joined(_settled(standing, now_us, _patient(standing, grace_us)))[-1]
    return (*last.kind, last.from_us)


def pieces(standing: Standing, now_us: int, grace_us: int) -> tuple[Segment, ...]:
    """The open part as segments, without a hole from `since_us` to `now_us`; empty where that is no time."""
    runs = _joined(_settled(standing, now_us, _patient(standing, grace_us)))
    return tuple(_segment(standing.camera, standing.dimension, run) for run in runs if run.to_us > run.from_us)


def assemble(
    closed: Sequence[Segment],
    standing: Standing | None,
    from_us: int,
    to_us: int,
    now_us: int,
    grace_us: int,
    camera: int,
    dimension: str,
) -> tuple[Segment, ...]:
    """One dimension over [from_us, min(to_us, now_us)), in order and without a hole.

    `closed` may come in any order and reach beyond the window. Time before the first look, and any hole, is unknown
    without a reason. Neighbours that are equal are one segment.
    """
    end_us = min(to_us, now_us)
    known = sorted(closed, key=lambda segment: segment.from_us)
    if standing is not None:
        known.extend(pieces(standing, now_us, grace_us))
    found: list[Segment] = []
    cursor = from_us
    for segment in known:
        start_us, stop_us = max(segment.from_us, cursor), min(segment.to_us, end_us)
        if stop_us <= start_us:
            continue
        if start_us > cursor:
            _append(found, _segment(camera, dimension, Run(UNSEEN, cursor, start_us)))
        kind = Kind(segment.state, segment.reason, segment.blame)
        _append(found, _segment(camera, dimension, Run(kind, start_us, stop_us), segment.origin))
        cursor = stop_us
    if cursor < end_us:
        _append(found, _segment(camera, dimension, Run(UNSEEN, cursor, end_us)))
    return tuple(found)


def _patient(standing: Standing, grace_us: int) -> int:
    """How long the last look speaks for the time after it. Where a failure is pending, no longer than any other's."""
    refused = standing.state is State.UNKNOWN and standing.blame is Blame.ACCESS and standing.pending is None
    return grace_us * PATIENCE if refused else grace_us


def _settled(standing: Standing, at_us: int, grace_us: int, *, doubted: bool = False) -> list[Run]:
    """The open segment up to `at_us`, if no look confirms what is pending: its own kind, then unseen where it must be.

    Its own kind reaches on while its last look is at most the grace ago and it is not `doubted`; else only to the first
    look that showed something else, where that came in time, or to its own last one.
    """
    end_us = at_us
    if doubted or at_us - standing.last_us > grace_us:
        end_us = standing.last_us
        pending = standing.pending
        if pending and 0 < pending.first_us - end_us <= grace_us:
            end_us = pending.first_us
    own = Run(_kind(standing), standing.since_us, end_us)
    return [own] if end_us == at_us else [own, Run(UNSEEN, end_us, at_us)]


def _begin(standing: Standing, opinion: Opinion, at_us: int) -> int:
    """Where a change seen at `at_us` begins: there, or earlier where its evidence reaches back and time is free."""
    if opinion.since_us is None:
        return at_us
    floor_us = standing.seen_us if standing.state is State.UNKNOWN else standing.since_us
    return min(max(opinion.since_us, floor_us), at_us)


def _afresh(camera: int, opinion: Opinion, at_us: int, *, since_us: int) -> Standing:
    """Where a look alone puts a dimension: what asks for confirmation is unknown until it has it."""
    kind, pending = Kind(opinion.state, opinion.reason, opinion.blame), None
    if opinion.state is State.DOWN and opinion.confirmations > 0:
        pending = Pending(State.DOWN, opinion.reason, opinion.blame, at_us, at_us, 1)
        kind = UNSEEN
    return Standing(camera, opinion.dimension, *kind, since_us, at_us, pending)


def _move(standing: Standing, runs: list[Run], pending: Pending | None, *, blip: bool = False) -> Advance:
    """Closes all `runs` but the last, which becomes the standing, last seen where it ends."""
    *closed, last = _joined(runs)
    moved = Standing(standing.camera, standing.dimension, *last.kind, last.from_us, last.to_us, pending)
    return Advance(
        moved,
        tuple(_segment(standing.camera, standing.dimension, run) for run in closed),
        _booked(standing, [*closed, last]),
        blip,
        changed=structs.replace(moved, last_us=standing.last_us) != standing,
    )


def _joined(runs: list[Run]) -> list[Run]:
    """`runs` without those of no length, equal neighbours joined; the last one stays in any case.

    A run may begin before its predecessor ends: it then takes that time over.
    """
    found: list[Run] = []
    for run in runs:
        while found and found[-1].from_us >= run.from_us:
            found.pop()
        if found and found[-1].kind == run.kind:
            found[-1] = Run(run.kind, found[-1].from_us, run.to_us)
            continue
        if found:
            found[-1] = found[-1]._replace(to_us=run.from_us)
        found.append(run)
    return found


def _booked(standing: Standing, runs: list[Run]) -> tuple[Booked, ...]:
    """What of `runs` lies after the old `last_us`."""
    found: list[Booked] = []
    for run in runs:
        begin_us = max(run.from_us, standing.last_us)
        if run.to_us > begin_us:
            found.append(Booked(standing.camera, standing.dimension, run.kind.state, begin_us, run.to_us))
    return tuple(found)


def _append(found: list[Segment], segment: Segment) -> None:
    """Appends `segment`, which abuts the last one, or lets that one grow where the two are alike."""
    if found:
        last = found[-1]
        alike = Kind(last.state, last.reason, last.blame) == Kind(segment.state, segment.reason, segment.blame)
        if alike and last.origin is segment.origin:
            found[-1] = structs.replace(last, to_us=segment.to_us)
            return
    found.append(segment)


def _segment(camera: int, dimension: str, run: Run, origin: Origin = Origin.LOOK) -> Segment:
    return Segment(camera, dimension, run.from_us, run.to_us, *run.kind, origin)


def _kind(standing: Standing) -> Kind:
    return Kind(standing.state, standing.reason, standing.blame)
