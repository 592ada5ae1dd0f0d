"""Stage 2's tickets: what a looker needs to know to look at a camera. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from streamwatch.model.inventory import Camera
from streamwatch.model.look import StreamKind
from streamwatch.model.report import Credentials, Ticket
from streamwatch.schedule.policy import GOLDEN, Policy


def offset_ms(camera: int, window_ms: int) -> int:
    """When in a round's window that camera's look begins: the same in every round, cameras spread evenly."""
    return int((camera * GOLDEN % 1.0) * window_ms)


def tickets_of(
    cameras: Iterable[Camera], window_ms: int, policy: Policy, line_kbps: Mapping[str, int]
) -> tuple[Ticket, ...]:
    """A ticket for each camera, in the order in which their looks begin."""
    tickets = [ticket_of(camera, offset_ms(camera.id, window_ms), policy, line_kbps) for camera in cameras]
    return tuple(sorted(tickets, key=lambda ticket: ticket.offset_ms))


def ticket_of(camera: Camera, after_ms: int, policy: Policy, line_kbps: Mapping[str, int]) -> Ticket:
    """One camera's, to begin `after_ms` after its round is due; `line_kbps` is what lines have, by name."""
    sub = policy.stream is StreamKind.SUB and camera.sub_url is not None
    url = camera.sub_url if sub and camera.sub_url is not None else camera.url
    credentials = None
    if camera.username is not None:
        password = camera.password.reveal() if camera.password is not None else ""
        credentials = Credentials(camera.username, password)
    return Ticket(
        camera=camera.id,
        url=url,
        stream=StreamKind.SUB if sub else StreamKind.MAIN,
        offset_ms=after_ms,
        deadline_ms=int(policy.deadline_s * 1000),
        host=urlsplit(url).hostname or "",
        group=camera.recorder,
        credentials=credentials,
        allow_basic=camera.allow_basic,
        patience_ms=int(policy.patience_s(camera.interval_s) * 1000),
        line=camera.line,
        line_kbps=_kbps(camera.line, policy, line_kbps),
        watch=camera.code in policy.watch,
    )


def turns_of(tickets: Sequence[Ticket], policy: Policy, at_recorder: Mapping[str, int]) -> int:
    """How many looks follow each other at most at the busiest device of a round, where every look there takes its time.

    `at_recorder`: the cameras that each recorder carries, of this round or not; a host is of one village nearly always.
    """
    hosts = Counter(ticket.host for ticket in tickets)
    recorders = {ticket.group for ticket in tickets if ticket.group is not None}
    queues = [-(-count // policy.per_host) for count in hosts.values()]
    queues += [-(-at_recorder.get(recorder, 1) // policy.per_recorder) for recorder in recorders]
    return max(queues, default=1)


def _kbps(line: str | None, policy: Policy, line_kbps: Mapping[str, int]) -> int | None:
    """What looks may take of that line: the setting, and never more than the line has."""
    if line is None or policy.per_line_kbps is None:
        return None
    return min(policy.per_line_kbps, line_kbps.get(line, policy.per_line_kbps))
