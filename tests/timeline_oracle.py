"""The gap and confirmation rules a second time, by a different way: over the whole history at once, second by second.

Nothing of `streamwatch.timeline` is used: a mistake there must not repeat itself here.
"""

from __future__ import annotations

from itertools import groupby

from streamwatch.model.look import State
from streamwatch.model.verdict import Opinion

History = list[tuple[int, Opinion]]
Label = tuple[State, str | None, object]
UNSEEN: Label = (State.UNKNOWN, None, None)


def label(opinion: Opinion) -> Label:
    """What is written on a second that has this opinion."""
    return (opinion.state, opinion.reason, opinion.blame)


def counting(history: History) -> History:
    """The looks that are newer than all before them."""
    found: History = []
    for at, opinion in history:
        if not found or at > found[-1][0]:
            found.append((at, opinion))
    return found


def episodes(looks: History, grace: int) -> list[History]:
    """The looks in stretches without a gap."""
    found: list[History] = []
    for look in looks:
        if found and look[0] - found[-1][-1][0] <= grace:
            found[-1].append(look)
        else:
            found.append([look])
    return found


class Oracle:
    """`labels[t - start]` says what second t was, from the first look to `now`; `blips` counts unrepeated failures."""

    def __init__(self, history: History, now: int, grace: int) -> None:
        looks = counting(history)
        self.grace = grace
        self.start = looks[0][0]
        self.labels: list[Label] = [UNSEEN] * max(0, now - self.start)
        self.blips = 0
        self.applied: list[tuple[int, int | None, Label, bool, int]] = []
        stretches = episodes(looks, grace)
        for stretch in stretches:
            self.one_stretch(stretch, now if stretch is stretches[-1] else None)
        self.reach_back()

    def paint(self, start: int, end: int, what: Label) -> None:
        """Writes `what` on the seconds [start, end)."""
        for second in range(start, end):
            if 0 <= second - self.start < len(self.labels):
                self.labels[second - self.start] = what

    def one_stretch(self, looks: History, now: int | None) -> None:
        """Paints looks that follow each other without a gap; `now` where they are the last ones."""
        numbers = range(len(looks))
        for is_down, group in groupby(numbers, key=lambda number: looks[number][1].state is State.DOWN):
            members = list(group)
            if is_down:
                self.failures(looks, members, now)
                continue
            for number in members:
                at, opinion = looks[number]
                self.paint(at, self.until(looks, number, now), label(opinion))
                self.applied.append(
                    (
                        at,
                        opinion.since_us,
                        label(opinion),
                        number > 0 and self.keeps(looks, number),
                        self.before(looks, number),
                    )
                )

    def until(self, looks: History, number: int, now: int | None) -> int:
        """Where the time of a look ends: at the next one; at `now`, if that is within the grace; else at once."""
        if number + 1 < len(looks):
            return looks[number + 1][0]
        at = looks[number][0]
        return now if now is not None and now - at <= self.grace else at

    def before(self, looks: History, number: int) -> int:
        """When the look before was."""
        return looks[number - 1][0] if number else looks[number][0]

    def keeps(self, looks: History, number: int) -> bool:
        """Whether the time up to this look, which is not down, belongs wholly to what stood before."""
        first = number
        while first > 0 and looks[first - 1][1].state is State.DOWN:
            first -= 1
        if first == number or self.confirmed(looks, list(range(first, number))) is not None:
            return True
        stood = looks[first - 1][1].state if first else State.UNKNOWN
        agreed = looks[first - 1][0] if first else looks[0][0]
        return looks[number][1].state in (State.UP, stood) and looks[number][0] - agreed <= self.grace

    def confirmed(self, looks: History, members: list[int]) -> int | None:
        """Which of these failures in a row was the one that sufficed, or None."""
        for nth, number in enumerate(members, start=1):
            if nth > looks[number][1].confirmations:
                return number
        return None

    def failures(self, looks: History, members: list[int], now: int | None) -> None:
        """Paints a row of failures between two looks that were none."""
        first, last = members[0], members[-1]
        begun, opinion = looks[first]
        enough = self.confirmed(looks, members)
        if enough is not None:
            self.paint(begun, looks[enough][0], label(looks[enough][1]))
            since = opinion.since_us if first else None  # after a gap nothing reaches back
            self.applied.append((begun, since, label(looks[enough][1]), first > 0, self.before(looks, first)))
            for number in range(enough, last + 1):
                at, later = looks[number]
                self.paint(at, self.until(looks, number, now), label(later))
                if number > enough:
                    self.applied.append((at, later.since_us, label(later), True, self.before(looks, number)))
            return
        ended = looks[last + 1] if last + 1 < len(looks) else None
        stood = looks[first - 1] if first else None
        stood_state = stood[1].state if stood else State.UNKNOWN
        repeated = ended is not None and ended[1].state in (State.UP, stood_state)
        self.blips += repeated
        if stood is None:
            self.applied.append((begun, None, UNSEEN, False, begun))  # unknown since before, and still
            return
        at, before = stood
        came = begun if opinion.since_us is None else max(min(opinion.since_us, begun), at)
        end = ended[0] if repeated and ended else now if ended is None else None
        self.paint(at, looks[last][0] if end is None else end, UNSEEN)
        self.paint(at, end if end is not None and end - at <= self.grace else came, label(before))

    def reach_back(self) -> None:
        """Paints over what stood, where a change had evidence that reaches back."""
        kind, opened = UNSEEN, self.start
        for at, since, what, follows, previous in self.applied:
            if follows and what == kind:
                continue
            begun = at
            if follows and since is not None:
                begun = min(max(since, previous if kind[0] is State.UNKNOWN else opened), at)
            self.paint(begun, at, what)
            kind, opened = what, begun
