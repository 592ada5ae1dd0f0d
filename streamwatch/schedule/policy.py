"""Stage 2's rules: how often, how deep, how long; what the planner obeys. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from streamwatch.model.look import Depth, StreamKind

US: Final = 1_000_000
GOLDEN: Final = 0.6180339887498949  # multiples of it, modulo 1, fill an interval evenly however many there are
JITTER: Final = 0.1  # confirming looks come up to 10 % earlier or later, so that forty cameras do not come back as one
BACKOFF_INTERVALS: Final = 6  # refused credentials: at most every sixth interval, half an hour at the default
GRACE_INTERVALS: Final = 1.5
MAX_WINDOW_S: Final = 60.0  # the design's: a village's round is min(interval/4, 60 s)
PATIENCE_S: Final = 60.0  # the longest that any look takes in all: R16
PATIENCE_INTERVALS: Final = 0.5  # such a look's successor is told before the grace of the look before it is over
CONFIRMATIONS: Final = ((10.0, 1 / 6), (30.0, 1 / 3), (60.0, 1 / 2), (120.0, 2 / 3))  # (seconds, share of the interval)


@dataclass(frozen=True, slots=True)
class Policy:
    """What the schedule obeys; seconds. `confirm_after_s` None derives about 10 s and 30 s from the interval."""

    interval_s: int = 300
    window_s: float | None = None
    depth: Depth = Depth.PICTURE
    stream: StreamKind = StreamKind.SUB
    deadline_s: float = 20.0
    confirm_looks: int = 2
    confirm_after_s: tuple[float, ...] | None = None
    access_tries: int = 2
    access_backoff_max_s: float = 1800.0
    reach_s: float | None = None  # between two looks of any depth, where the interval is longer; None: only the patrol
    watch: frozenset[str] = frozenset()  # codes of cameras whose sessions stay open between looks
    per_line_kbps: int | None = None  # 1,000 bits a second that looks may take of one line; None: as much as comes
    per_host: int = 4  # looks at once, in one looker (limits.per_host)
    per_recorder: int = 8  # the same (limits.per_recorder)

    def window(self, interval_s: int) -> float:
        """Seconds within which a round's looks begin; never more than half the interval."""
        if self.window_s is None:
            return min(interval_s / 4, MAX_WINDOW_S)
        return min(self.window_s, interval_s / 2)

    def patience_s(self, interval_s: int) -> float:
        """How long a look may take in all where its camera's keyframes are rare; 0 where the interval is too short."""
        longest_s = min(PATIENCE_S, interval_s * PATIENCE_INTERVALS)
        return longest_s if longest_s > self.deadline_s else 0.0

    def confirm_moments(self, interval_s: int) -> tuple[float, ...]:
        """Seconds after the bad look at which each confirming look begins, ascending; `confirm_looks` of them."""
        if self.confirm_after_s is not None:
            return self.confirm_after_s
        return tuple(min(longest, interval_s * share) for longest, share in CONFIRMATIONS[: self.confirm_looks])

    def confirm_delay(self, attempt: int, interval_s: int) -> float:
        """Seconds from the look of `attempt - 1` to the confirming look `attempt` (1 to `confirm_looks`)."""
        before, at = (0.0, *self.confirm_moments(interval_s))[attempt - 1 : attempt + 1]
        return max(0.1, at - before)


def grace_us(interval_s: int) -> int:
    """How long a look speaks for the time after it, at that interval (DESIGN decision 7)."""
    return int(GRACE_INTERVALS * interval_s * US)


def phase_us(village: int, interval_s: int) -> int:
    """Where in the interval this village's rounds begin."""
    return int((village * GOLDEN % 1.0) * interval_s * US)
