"""Plain counters and histograms, keyed by metric and label values; `metrics.py` renders them."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

MAX_SERIES: Final = 100_000  # labels come from our own tables and the inventory; more than this is a mistake of ours
STEP_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 60.0)


class Counters:
    """Numbers that only grow. Label values are joined by "|" in the order of the metric's labels."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, float]] = defaultdict(dict)
        self._series = 0

    def add(self, metric: str, amount: float = 1, *labels: str) -> None:
        """Adds `amount` to one series; past the cap a new series is dropped and counted under `dropped`."""
        key = "|".join(label.replace("|", "/") for label in labels)
        series = self._values[metric]
        if key in series:
            series[key] += amount
        elif self._series < MAX_SERIES:
            self._series += 1
            series[key] = amount
        else:
            dropped = self._values["streamwatch_dropped_total"]
            dropped["series"] = dropped.get("series", 0) + 1

    def observe(self, metric: str, seconds: float, label: str) -> None:
        """One observation of a classic cumulative histogram with the buckets of STEP_BUCKETS_S."""
        for bound in STEP_BUCKETS_S:
            self.add(f"{metric}_bucket", 1 if seconds <= bound else 0, label, f"{bound:g}")
        self.add(f"{metric}_bucket", 1, label, "+Inf")
        self.add(f"{metric}_sum", seconds, label)
        self.add(f"{metric}_count", 1, label)

    def snapshot(self) -> dict[str, dict[str, float]]:
        """A copy that no later addition changes."""
        return {metric: dict(series) for metric, series in self._values.items()}
