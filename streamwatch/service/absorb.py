"""Reports + where everything stood -> what is to be committed and what is to be told. Pure: it changes nothing.

The one owner of timelines calls it, commits what it returns in one transaction, and only then takes over the new
standings: memory never runs ahead of the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from streamwatch.blame import attribute
from streamwatch.errors import Step
from streamwatch.model.live import CameraLive
from streamwatch.model.look import Depth, Look, State
from streamwatch.model.report import Report
from streamwatch.model.standing import FAULT_PREFIX, PICTURE, REACH, STREAM, Standing
from streamwatch.model.timeline import Segment
from streamwatch.model.verdict import Attributed, Verdict
from streamwatch.schedule import GRACE_INTERVALS, US
from streamwatch.service.holding import RoundKey
from streamwatch.store.batch import RoundLook
from streamwatch.store.rounds import Mark, span_us
from streamwatch.timeline import Booked, advance
from streamwatch.verdict import ALL_UP, Policy, judge

Standings = Mapping[str, Standing]
_encode = msgspec.msgpack.Encoder().encode


class Judged(msgspec.Struct, frozen=True, gc=False):
    """One look with all that was said of it."""

    attributed: Attributed
    verdict: Verdict
    attempt: int
    pending: bool  # a bad look waits to be confirmed
    late: bool
    blips: int


@dataclass(slots=True)
class Absorbed:
    """What a group of reports comes to."""

    segments: list[Segment] = field(default_factory=list)
    standings: dict[tuple[int, str], Standing] = field(default_factory=dict)  # to be written
    observations: list[tuple[int, str, int, bytes]] = field(default_factory=list)  # camera, depth, started_us, Look
    lines: list[RoundLook] = field(default_factory=list)
    ended: list[RoundKey] = field(default_factory=list)  # rounds that brought their last Report
    booked: list[Booked] = field(default_factory=list)
    judged: list[Judged] = field(default_factory=list)
    moved: dict[int, dict[str, Standing]] = field(default_factory=dict)  # every camera's standings from now on
    live: dict[int, CameraLive] = field(default_factory=dict)
    reach_us: int | None = None


def absorb(
    reports: Iterable[Report],
    standings: Mapping[int, Standings],
    live: Mapping[int, CameraLive],
    policy: Policy,
    grace_us: Callable[[int], int],
    reach_s: float | None = None,
) -> Absorbed:
    """Blame, verdict and timeline for every look, in the order of their beginnings. Unknown cameras are passed over.

    `reach_s` is how often cameras are asked whether they answer, where that is oftener than by their interval.
    """
    out = Absorbed(reach_us=None if reach_s is None else int(reach_s * US))
    reports = list(reports)
    out.ended = [RoundKey(report.village, report.depth.value, report.vantage) for report in reports if report.last]
    looks = [(attributed, report) for report in reports for attributed in attribute(report)]
    looks.sort(key=lambda entry: entry[0].look.started_us)
    for attributed, report in looks:
        camera = attributed.look.camera
        if camera not in live:
            continue  # it left the inventory while the look was under way
        current = out.moved.get(camera)
        if current is None:
            current = dict(standings.get(camera, {}))
        before, camera_grace_us = out.live.get(camera, live[camera]), grace_us(camera)
        if not take_as_before(out, attributed, report, current, before, camera_grace_us):
            take(out, attributed, report, current, before, policy, camera_grace_us)
    return out


def take_as_before(
    out: Absorbed,
    attributed: Attributed,
    report: Report,
    current: dict[str, Standing],
    before: CameraLive,
    grace_us: int,
) -> bool:
    """What `take` does with a look that finds a camera up as before, as nearly all do, for a fifth of its cost.

    False, and nothing is done, where that is not so. Pictures are always judged.
    """
    look = attributed.look
    depth = look.depth
    if look.reason is not None or attributed.void is not None or not (depth is Depth.STREAM or depth is Depth.REACH):
        return False
    at_us, camera = look.started_us, look.camera
    reach = current.get(REACH)
    if reach is None or not _is_up(reach) or not 0 < at_us - reach.last_us <= grace_us:
        return False
    booked = [Booked(camera, REACH, State.UP, reach.last_us, at_us)]
    last_up_us = before.last_up_us
    if depth is Depth.REACH:
        mark = Mark.AS_BEFORE if len(current) == 1 else Mark.NO_STREAM
        if mark is Mark.NO_STREAM and STREAM not in current:
            return False
    else:
        stream = current.get(STREAM)
        if stream is None or not _is_up(stream) or not 0 < at_us - stream.last_us <= grace_us:
            return False
        mark = Mark.AS_BEFORE if len(current) == 2 else Mark.NO_PICTURE
        if mark is Mark.NO_PICTURE and PICTURE not in current:
            return False
        last_up_us = at_us
        booked.append(Booked(camera, STREAM, State.UP, stream.last_us, at_us))
        current[STREAM] = Standing(camera, STREAM, State.UP, None, None, stream.since_us, at_us)
    current[REACH] = Standing(camera, REACH, State.UP, None, None, reach.since_us, at_us)
    out.booked += booked
    out.moved[camera] = current
    out.lines.append(_line(report, look, mark, grace_us, out.reach_us))
    verdict = Verdict(camera, at_us, ALL_UP[depth])
    out.judged.append(Judged(attributed, verdict, report.attempt, pending=False, late=False, blips=0))
    out.live[camera] = CameraLive(
        camera=camera, standings=tuple(current.values()), last_look_us=at_us, last_up_us=last_up_us
    )
    return True


def _is_up(standing: Standing) -> bool:
    return (
        standing.state is State.UP and standing.pending is None and standing.reason is None and standing.blame is None
    )


def take(
    out: Absorbed,
    attributed: Attributed,
    report: Report,
    current: dict[str, Standing],
    before: CameraLive,
    policy: Policy,
    grace_us: int,
) -> None:
    """One look by the rules: what it says, what that moves, what is to be written and told of it."""
    look = attributed.look
    verdict = judge(attributed, policy, _present_faults(current))
    if verdict.void is not None:
        out.live[look.camera] = msgspec.structs.replace(before, void=verdict.void.value, void_us=look.started_us)
        out.observations.append(_observation(look))
        out.lines.append(_line(report, look, Mark.OWN_ROW, grace_us, out.reach_us))
        out.judged.append(Judged(attributed, verdict, report.attempt, pending=False, late=False, blips=0))
        return
    changed: set[str] = set()
    asked: set[str] = set()
    late, blips = False, 0
    picture = current.get(PICTURE)
    for opinion in verdict.opinions:
        known = current.get(opinion.dimension)
        if known is None and opinion.dimension.startswith(FAULT_PREFIX):
            if opinion.state is not State.DOWN:
                continue  # a fault never seen at this camera takes no row
            known = _absent_so_far(opinion.dimension, picture)
        step = advance(known, look.camera, opinion, look.started_us, grace_us)
        if step.late:
            late = True
            continue
        blips += step.blip
        asked.add(opinion.dimension)
        current[opinion.dimension] = step.standing
        out.segments += step.closed
        out.booked += step.booked
        if step.changed:
            changed.add(opinion.dimension)
    out.moved[look.camera] = current
    mark = _mark(current, asked, changed, late=late)
    if mark is Mark.OWN_ROW:
        out.standings.update(((look.camera, name), current[name]) for name in asked)
    if changed or late:
        out.observations.append(_observation(look))
    if asked:  # a look that is told twice must not rewrite its place in the round
        out.lines.append(_line(report, look, mark, grace_us, out.reach_us))
    pending = any(current[name].pending is not None for name in asked)
    out.judged.append(Judged(attributed, verdict, report.attempt, pending=pending, late=late, blips=blips))
    if asked:
        up = any(opinion.dimension == STREAM and opinion.state is State.UP for opinion in verdict.opinions)
        out.live[look.camera] = CameraLive(
            camera=look.camera,
            standings=tuple(current.values()),
            last_look_us=look.started_us,
            last_up_us=look.started_us if up else before.last_up_us,
        )


def _absent_so_far(dimension: str, picture: Standing | None) -> Standing | None:
    """Where a fault stood before it was seen for the first time: absent for as long as the picture has been judged."""
    if picture is None or picture.state is State.UNKNOWN:
        return None
    return Standing(picture.camera, dimension, State.UP, None, None, picture.since_us, picture.last_us)


def _line(report: Report, look: Look, mark: Mark, grace_us: int, reach_us: int | None) -> RoundLook:
    """The look's place in its round's packed line."""
    between_us = int(grace_us / GRACE_INTERVALS)
    if report.depth is Depth.REACH and reach_us is not None:
        between_us = min(between_us, reach_us)
    return RoundLook(
        village=report.village,
        depth=report.depth,
        vantage=report.vantage,
        due_us=report.due_us,
        attempt=report.attempt,
        camera=look.camera,
        started_us=look.started_us,
        keyframe_ms=look.timings_ms.get(Step.FIRST_KEYFRAME),
        mark=mark,
        span_us=span_us(between_us // US),
    )


def _mark(current: Standings, asked: set[str], changed: set[str], *, late: bool) -> Mark:
    """Which of the camera's standings recovery may move by this look: all, only reach and stream, only reach, none."""
    if changed or late:
        return Mark.OWN_ROW
    if asked == set(current):
        return Mark.AS_BEFORE
    if asked == {REACH, STREAM} and PICTURE in current:
        return Mark.NO_PICTURE
    if asked == {REACH} and STREAM in current:
        return Mark.NO_STREAM
    return Mark.OWN_ROW


def _present_faults(current: Standings) -> frozenset[str]:
    return frozenset(
        name.removeprefix(FAULT_PREFIX)
        for name, standing in current.items()
        if name.startswith(FAULT_PREFIX) and standing.state is State.DOWN
    )


def _observation(look: Look) -> tuple[int, str, int, bytes]:
    return (look.camera, look.depth.value, look.started_us, _encode(look))
