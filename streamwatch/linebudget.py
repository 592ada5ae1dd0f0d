"""Stage 3's limit of bits: how much of one line all looks together take, as a bucket that is told the time. Pure."""

from __future__ import annotations

from typing import Final

RESERVE_BYTES: Final = 256 * 1024  # a look's share in advance: a large keyframe of a sub stream, and what comes before
BURST_S: Final = 2.0  # of the line's rate may come at once: a village's looks are staggered over a minute
# What flows all the time puts a line into debt for so long at most: beyond what any look waits for its turn, so that
# none is made where it takes all, and some are soon after it has ended.
OWED_S: Final = 30.0


class LineBudget:
    """A token bucket of bytes at `kbps` (1,000 bits a second); `now` is monotonic seconds and never goes back.

    A look takes its share in advance and settles with what it received, so that looks at the same time cannot all
    find the same room. What it received beyond that is a debt, which later looks wait out: over any stretch of time
    the line carries the rate, the burst, and what the looks under way took beyond their share.
    """

    __slots__ = ("_at", "_burst", "_level", "_rate", "_under_way")

    def __init__(self, kbps: int, now: float) -> None:
        self._rate = kbps * 125.0  # bytes a second
        self._burst = max(self._rate * BURST_S, float(RESERVE_BYTES))
        self._level = self._burst
        self._at = now
        self._under_way = 0

    def idle(self, now: float) -> bool:
        """Whether a new bucket would know as much: no look is under way, and it is full."""
        self._flow(now)
        return self._under_way == 0 and self._level >= self._burst

    def turn(self, now: float, longest_s: float) -> float | None:
        """Takes a look's share: in how many seconds it may begin, or None, and nothing is taken, if not in time."""
        self._flow(now)
        wait_s = max(0.0, -self._level / self._rate)
        if wait_s > longest_s:
            return None
        self._level -= RESERVE_BYTES
        self._under_way += 1
        return wait_s

    def room(self, now: float, for_s: float) -> int:
        """Bytes that come by in `for_s` seconds and that nobody took: 0 where the bucket is in debt."""
        self._flow(now)
        return int(self._level + self._rate * for_s) if self._level >= 0 else 0

    def settle(self, received_bytes: int, now: float) -> None:
        """The look is over: what it really took instead of its share."""
        self._flow(now)
        self._level = min(self._burst, self._level + RESERVE_BYTES - received_bytes)
        self._under_way -= 1

    def spend(self, received_bytes: int, now: float) -> None:
        """A session that stays open has received so much: nobody took a share for it in advance."""
        self._flow(now)
        self._level = max(min(self._level, -self._rate * OWED_S), self._level - received_bytes)

    def _flow(self, now: float) -> None:
        self._level = min(self._burst, self._level + self._rate * max(0.0, now - self._at))
        self._at = max(self._at, now)
