"""Counting is quick, and says what the slow way of counting says."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch import counters
from streamwatch.counters import STEP_BUCKETS_S, Counters

SECONDS = st.one_of(st.sampled_from(STEP_BUCKETS_S), st.floats(0, 100))


def slowly(values: list[tuple[str, float]]) -> dict[str, dict[str, float]]:
    """Every bucket of every observation, one after the other."""
    told: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for label, seconds in values:
        for bound in STEP_BUCKETS_S:
            told["step_bucket"][f"{label}|{bound:g}"] += seconds <= bound
        told["step_bucket"][f"{label}|+Inf"] += 1
        told["step_sum"][label] += seconds
        told["step_count"][label] += 1
    return told


@given(st.lists(st.tuples(st.sampled_from(["connect", "play"]), SECONDS), max_size=30))
@settings(max_examples=60)
def test_a_histogram_counts_as_if_every_bucket_were_asked(values: list[tuple[str, float]]) -> None:
    """Bounds included, in the order of the bounds, and its sum and number with it."""
    found = Counters()
    for label, seconds in values:
        found.observe("step", seconds, label)

    assert found.snapshot() == slowly(values)
    for label in {label for label, _ in values}:
        bounds = [key.split("|")[1] for key in found.snapshot()["step_bucket"] if key.startswith(label)]
        assert bounds == [*(f"{bound:g}" for bound in STEP_BUCKETS_S), "+Inf"]


def test_labels_are_joined_alike_however_often_they_were_seen() -> None:
    """The separator within a label is replaced, the first time and later."""
    found = Counters()
    for _ in range(2):
        found.add("looks", 1, "a|b", "c")

    assert found.snapshot() == {"looks": {"a/b|c": 2}}


def test_past_the_cap_a_new_series_is_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Known series go on counting; a histogram comes whole or not at all."""
    monkeypatch.setattr(counters, "MAX_SERIES", 2)
    found = Counters()
    found.add("looks", 1, "a")
    found.add("looks", 1, "b")
    found.add("looks", 1, "c")
    found.observe("step", 1.0, "connect")
    found.add("looks", 1, "a")

    assert found.snapshot() == {"looks": {"a": 2, "b": 1}, "streamwatch_dropped_total": {"series": 2}}
