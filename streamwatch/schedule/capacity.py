"""Stage 2's measure of itself: how late looks begin and which rounds do not end in time -> how much is looked at. Pure.

Capacity is measured, never guessed. With more work than there is room for, picture looks become stream looks, one in
two, then two in three and so on; only when all but one in twelve did, stream looks become reach looks: the time
between stream looks is then unknown, so a late one is better for as long as it still comes within the grace. Rounds
between those of the patrol, that only ask whether cameras answer, go last of all.

One step down takes a period in which a tenth of the looks began late, or a twentieth of the rounds did not end; a step
back takes several calm ones, and more of them each time that a step back proved too early.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Final, NamedTuple

from streamwatch.model.look import Depth

LATE_SHARE: Final = 0.2  # of its interval: a look that begins later than that is late
VERY_LATE_SHARE: Final = 0.4  # the grace bears half an interval; before that is used up no stream look is given away
LATE_LEAST_S: Final = 3.0  # nothing is late by less, however short the interval: a machine hesitates now and then
OVER_LOOKS: Final = 0.1  # of the looks late: more work than room. One sick recorder of a city is less
MANY_LOOKS: Final = 0.5  # late: two steps at once
OVER_ROUNDS: Final = 0.05  # of the rounds missed or not ended in their time
CALM_LOOKS: Final = 0.01
CALM_PERIODS: Final = 3  # before a step back
MOST_CALM_PERIODS: Final = 48  # at the default interval four hours
LEAST_PERIOD_S: Final = 20.0  # one interval, but no shorter: a handful of looks proves nothing
LEAST_ROUNDS: Final = 2  # that did not end: one may be a camera's doing

_PER_DOUBLING: Final = 4  # steps of the lags' scale: a quantile is told at most 19 % too high
_FIRST_S: Final = 0.001
_STEPS: Final = 4 * 22  # to 4,194 s


class Thinning(NamedTuple):
    """Of so many looks at a camera one is still a picture look, or at least a stream look. 1: each.

    `reach_every`: of so many looks between those of the patrol one is still sent.
    """

    picture_every: int
    stream_every: int
    reach_every: int = 1


PICTURE_STEPS: Final = (1, 2, 3, 4, 6, 12)  # each divides the last, so that looks that stay fall together
STREAM_STEPS: Final = (2, 3, 4, 6)
REACH_STEPS: Final = (2, 4, 12)
LADDERS: Final = {
    Depth.PICTURE: (
        *(Thinning(every, 1) for every in PICTURE_STEPS),
        *(Thinning(PICTURE_STEPS[-1], every) for every in STREAM_STEPS),
    ),
    Depth.STREAM: (Thinning(1, 1), *(Thinning(1, every) for every in STREAM_STEPS)),
}
WHOLE: Final = Thinning(1, 1)


def ladder_of(depth: Depth, *, between: bool) -> tuple[Thinning, ...]:
    """What is taken away, step by step; `between`: there are rounds between those of the patrol."""
    steps = LADDERS.get(depth, (WHOLE,))
    if not between:
        return steps
    return (*steps, *(steps[-1]._replace(reach_every=every) for every in REACH_STEPS))


def depth_of(depth: Depth, thinning: Thinning, turn: int) -> Depth:
    """How deep a camera's look number `turn` goes where the patrol's depth is `depth`."""
    if depth is Depth.PICTURE and turn % thinning.picture_every:
        depth = Depth.STREAM
    if depth is Depth.STREAM and turn % thinning.stream_every:
        depth = Depth.REACH
    return depth


class Lags:
    """How late looks began, on a scale of quarter octaves: bounded, whatever comes."""

    __slots__ = ("_counts", "looks")

    def __init__(self) -> None:
        self._counts = [0] * (_STEPS + 1)
        self.looks = 0

    def add(self, lag_s: float) -> None:
        """One look more."""
        parts = int(lag_s / _FIRST_S)
        octave = max(0, parts.bit_length() - 1)
        quarter = (parts >> octave - 2 if octave >= 2 else parts << 2 - octave) & 3
        self._counts[min(octave * _PER_DOUBLING + quarter, _STEPS)] += 1
        self.looks += 1

    def quantile(self, share: float, *others: Lags) -> float:
        """Seconds that so great a share of the looks, of `others` too, began no later than; 0 where there are none."""
        counts = [sum(column) for column in zip(self._counts, *(one._counts for one in others), strict=True)]
        wanted = share * sum(counts)
        if wanted == 0:
            return 0.0
        step = next(at for at, reached in enumerate(accumulate(counts)) if reached >= wanted)
        octave, quarter = divmod(step, _PER_DOUBLING)
        return _FIRST_S * (1 << octave) * (5 + quarter) / 4  # the upper end of its step


@dataclass(slots=True)
class _Period:
    looks: int = 0
    late: int = 0
    very_late: int = 0
    rounds: int = 0
    unfinished: int = 0
    missed: int = 0


class Capacity:
    """Takes in how the patrol goes, and says after each period how much of it there is room for."""

    def __init__(self, depth: Depth, interval_s: int, *, between: bool = False) -> None:
        self._ladder = ladder_of(depth, between=between)
        self._step = 0
        self._period_us = int(max(LEAST_PERIOD_S, interval_s) * 1_000_000)
        self._ends_us: int | None = None
        self._now = _Period()
        self._lags, self._lags_before = Lags(), Lags()
        self._calm = 0
        self._needed = CALM_PERIODS
        self._relaxed_for: int | None = None  # periods since the last step back
        self.unfinished_rounds = 0

    @property
    def thinning(self) -> Thinning:
        """What is in force."""
        return self._ladder[self._step]

    @property
    def exhausted(self) -> bool:
        """Whether there is nothing left to take away."""
        return self._step == len(self._ladder) - 1

    def lag_s(self, share: float) -> float:
        """How late so great a share of the looks began at most, of this period and the one before."""
        return self._lags.quantile(share, self._lags_before)

    def began(self, lag_s: float, interval_s: int) -> None:
        """A look of the patrol began so long after it was due."""
        self._lags.add(lag_s)
        self._now.looks += 1
        self._now.late += lag_s > max(LATE_LEAST_S, LATE_SHARE * interval_s)
        self._now.very_late += lag_s > max(LATE_LEAST_S, VERY_LATE_SHARE * interval_s)

    def not_begun(self) -> None:
        """A look of the patrol that there was no room for at all."""
        self._now.looks += 1
        self._now.late += 1
        self._now.very_late += 1

    def ended(self, *, in_time: bool) -> None:
        """A round brought its last Report, or its time is over."""
        self._now.rounds += 1
        if not in_time:
            self._now.unfinished += 1
            self.unfinished_rounds += 1

    def missed(self, rounds: int) -> None:
        """Rounds that were not even sent."""
        self._now.rounds += rounds
        self._now.missed += rounds

    def pause(self) -> None:
        """Forgets the period so far, whose end proves nothing."""
        self._now, self._ends_us = _Period(), None

    def turn(self, now_us: int) -> bool:
        """Closes the period where it is over; whether another thinning is in force from now on."""
        if self._ends_us is None:
            self._ends_us = now_us + self._period_us
        if now_us < self._ends_us:
            return False
        self._ends_us = now_us + self._period_us
        period, self._now = self._now, _Period()
        self._lags_before, self._lags = self._lags, Lags()
        before = self._step
        if self._relaxed_for is not None:
            self._relaxed_for += 1
        gives = self._ladder[min(self._step + 1, len(self._ladder) - 1)]
        late = _share(period.late if gives.stream_every == gives.reach_every == 1 else period.very_late, period)
        if late > OVER_LOOKS or _failed(period):
            self._tighten(2 if late > MANY_LOOKS else 1)
        elif _share(period.late, period) <= CALM_LOOKS and period.looks and not period.unfinished + period.missed:
            self._relax()
        else:
            self._calm = 0
        return self._step != before

    def _tighten(self, steps: int) -> None:
        self._calm = 0
        if self._relaxed_for is not None and self._relaxed_for <= self._needed:
            self._needed = min(self._needed * 2, MOST_CALM_PERIODS)  # the step back was too early
        self._relaxed_for = None
        self._step = min(self._step + steps, len(self._ladder) - 1)

    def _relax(self) -> None:
        self._calm += 1
        if self._step == 0:
            if self._calm >= MOST_CALM_PERIODS:
                self._needed = CALM_PERIODS
        elif self._calm >= self._needed:
            self._calm = 0
            self._step -= 1
            self._relaxed_for = 0


def _share(looks: int, period: _Period) -> float:
    return looks / period.looks if period.looks else 0.0


def _failed(period: _Period) -> bool:
    failed = period.unfinished + period.missed
    return failed >= LEAST_ROUNDS and failed > OVER_ROUNDS * period.rounds
