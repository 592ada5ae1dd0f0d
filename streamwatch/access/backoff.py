"""Bad logins cost time: per account and address, doubling, forgotten after quiet, bounded in memory (goal R31)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

FREE_FAILURES: Final = 5  # a person mistypes; the sixth try in a row waits
FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 900.0  # 15 minutes: 96 tries a day
FORGET_S: Final = 3_600.0  # an hour without a failure starts over
MAX_REMEMBERED: Final = 10_000  # x about 250 bytes = 2.5 MB; the one that failed longest ago is forgotten first


@dataclass(slots=True)
class _Failures:
    count: int
    last_s: float


class Backoff:
    """Counts failures of (account, address). Times are seconds of one monotonic clock."""

    def __init__(self, limit: int = MAX_REMEMBERED) -> None:
        self._failed: OrderedDict[tuple[str, str], _Failures] = OrderedDict()
        self._limit = limit

    def wait_s(self, account: str, address: str, now_s: float) -> float:
        """Seconds until the next try is allowed; 0 when it is now."""
        found = self._failed.get((account, address))
        if found is None or found.count < FREE_FAILURES:
            return 0.0
        wait = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(found.count - FREE_FAILURES, 30))
        return max(0.0, found.last_s + wait - now_s)

    def failed(self, account: str, address: str, now_s: float) -> None:
        """A try failed."""
        key = (account, address)
        found = self._failed.pop(key, None)
        if found is None or now_s - found.last_s > FORGET_S:
            found = _Failures(0, now_s)
        self._failed[key] = _Failures(found.count + 1, now_s)
        while len(self._failed) > self._limit:
            self._failed.popitem(last=False)

    def succeeded(self, account: str, address: str) -> None:
        """A try succeeded: its failures are forgotten."""
        self._failed.pop((account, address), None)

    def __len__(self) -> int:
        return len(self._failed)
