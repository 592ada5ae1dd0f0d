"""Stage 2's memory of rounds that are under way: when they should have ended, and how late their looks began. Pure."""

from __future__ import annotations

import heapq
from typing import Final, NamedTuple

from streamwatch.errors import Reason, Step
from streamwatch.model.report import Report, Round
from streamwatch.schedule.capacity import Capacity
from streamwatch.schedule.policy import US
from streamwatch.schedule.tickets import offset_ms

TELL_S: Final = 5.0  # after its last look a round is told: waiting for company, decoding, a commit
LINE_TURN_S: Final = 20.0  # longer no look waits for its line's budget (gates.LINE_TURN_S)


class _Sent(NamedTuple):
    due_us: int
    window_ms: int
    ends_us: int
    interval_s: int


class Outstanding:
    """Rounds of the patrol by id. Visits and confirming looks are not in it: they follow no rhythm."""

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self._sent: dict[str, _Sent] = {}
        self._ends: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._sent)

    def sent(self, order: Round, interval_s: int, turns: int = 1) -> None:
        """That round is due now; where its devices are silent its looks follow each other in so many turns."""
        longest_ms = max(max(ticket.deadline_ms, ticket.patience_ms) for ticket in order.tickets)
        turn_s = LINE_TURN_S if any(ticket.line_kbps is not None for ticket in order.tickets) else 0.0
        ends_us = order.due_us + (order.window_ms + turns * longest_ms) * 1000 + int((turn_s + TELL_S) * US)
        self._sent[order.id] = _Sent(order.due_us, order.window_ms, ends_us, interval_s)
        heapq.heappush(self._ends, (ends_us, order.id))

    def heard(self, report: Report, now_us: int) -> None:
        """A Report came in. A look that this looker had no room for counts as one that never began; what it waited for
        its own camera, line, recorder or host is none of our lag: a silent device makes its own looks late."""
        sent = self._sent.get(report.round_id)
        if sent is None:
            return
        for look in report.looks:
            if look.step is Step.CONNECT and look.reason is Reason.OURS_OVERLOAD:
                self._capacity.not_begun()
            elif look.reason is not Reason.OURS_LIMIT:  # a line's budget, or its own last look, says nothing of ours
                due_us = sent.due_us + offset_ms(look.camera, sent.window_ms) * 1000
                lag_s = (look.started_us - due_us) / US - look.queued_ms / 1000
                self._capacity.began(max(0.0, lag_s), sent.interval_s)
        if report.last:
            del self._sent[report.round_id]
            self._capacity.ended(in_time=now_us <= sent.ends_us)

    def lost(self, round_id: str) -> None:
        """That round found no looker, which is no question of capacity."""
        self._sent.pop(round_id, None)

    def forget(self) -> None:
        """A looker is gone, and with it what it had in hand."""
        self._sent.clear()
        self._ends.clear()

    def expire(self, now_us: int) -> None:
        """Rounds whose time is over did not end in it."""
        while self._ends and self._ends[0][0] < now_us:
            _, round_id = heapq.heappop(self._ends)
            if self._sent.pop(round_id, None) is not None:
                self._capacity.ended(in_time=False)
