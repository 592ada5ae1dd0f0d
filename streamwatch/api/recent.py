"""Which faults were seen lately: their series end at 0 instead of vanishing."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from streamwatch.clock import US

SHOWN_US: Final = 24 * 3_600 * US  # interface, "Prometheus": a fault's series stays for 24 hours
MAX_SERIES: Final = 60_000  # 2,600 villages x 21 faults; the one seen longest ago goes first


class RecentFaults:
    """Remembers the series that were not 0 within the last 24 hours."""

    def __init__(self, limit: int = MAX_SERIES) -> None:
        self._seen_us: OrderedDict[str, int] = OrderedDict()
        self._limit = limit

    def complete(self, series: dict[str, float], now_us: int) -> dict[str, float]:
        """`series`, and a 0 for each remembered one that is not in it."""
        for name, value in series.items():
            if value:
                self._seen_us.pop(name, None)
                self._seen_us[name] = now_us
        while self._seen_us and (
            len(self._seen_us) > self._limit or now_us - next(iter(self._seen_us.values())) > SHOWN_US
        ):
            self._seen_us.popitem(last=False)
        return dict.fromkeys(self._seen_us, 0.0) | series
