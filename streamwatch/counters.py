"""Plain counters and histograms, keyed by metric and label values; `metrics.py` renders them."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from itertools import accumulate
from typing import Final

MAX_SERIES: Final = 100_000  # labels come from our own tables and the inventory; more than this is a mistake of ours
STEP_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 60.0)
_BOUNDS: Final = (*(f"{bound:g}" for bound in STEP_BUCKETS_S), "+Inf")


class _Histogram:
    """How many values fell into each bucket alone; what is told adds them up."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * len(_BOUNDS)
        self.sum_s = 0.0


class Counters:
    """Numbers that only grow. Label values are joined by "|" in the order of the metric's labels."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, float]] = defaultdict(dict)
        self._histograms: dict[tuple[str, str], _Histogram] = {}
        self._joined: dict[tuple[str, ...], str] = {}
        self._series = 0

    def add(self, metric: str, amount: float = 1, *labels: str) -> None:
        """Adds `amount` to one series; past the cap a new series is dropped and counted under `dropped`."""
        key = self._joined.get(labels)
        if key is None:
            key = "|".join([label.replace("|", "/") for label in labels])
            if len(self._joined) < MAX_SERIES:
                self._joined[labels] = key
        series = self._values[metric]
        if key in series:
            series[key] += amount
        elif self._room(1):
            series[key] = amount

    def observe(self, metric: str, seconds: float, label: str) -> None:
        """One observation of a classic cumulative histogram with the buckets of STEP_BUCKETS_S."""
        found = self._histograms.get((metric, label))
        if found is None:
            if not self._room(len(_BOUNDS) + 2):
                return
            found = self._histograms[metric, label] = _Histogram()
        found.counts[bisect_left(STEP_BUCKETS_S, seconds)] += 1
        found.sum_s += seconds

    def snapshot(self) -> dict[str, dict[str, float]]:
        """A copy that no later addition changes."""
        told = {metric: dict(series) for metric, series in self._values.items()}
        for (metric, label), found in self._histograms.items():
            name = label.replace("|", "/")
            buckets = told.setdefault(f"{metric}_bucket", {})
            for bound, count in zip(_BOUNDS, accumulate(found.counts), strict=True):
                buckets[f"{name}|{bound}"] = count
            told.setdefault(f"{metric}_sum", {})[name] = found.sum_s
            told.setdefault(f"{metric}_count", {})[name] = sum(found.counts)
        return told

    def _room(self, series: int) -> bool:
        """Whether so many more series fit; where not, what was to be counted is dropped and that is counted."""
        if self._series + series <= MAX_SERIES:
            self._series += series
            return True
        dropped = self._values["streamwatch_dropped_total"]
        dropped["series"] = dropped.get("series", 0) + 1
        return False
