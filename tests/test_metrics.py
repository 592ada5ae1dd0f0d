"""What `/metrics` says, read back with the reference parser."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from streamwatch import metrics
from streamwatch.counters import STEP_BUCKETS_S, Counters

LABEL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="|"), min_size=1, max_size=20)


def read(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_catalogue_names_follow_the_rule() -> None:
    """`streamwatch_<thing>`, counters end in _total, nothing twice, every row has help."""
    names = [metric.name for metric in metrics.CATALOGUE]

    assert len(set(names)) == len(names)
    for metric in metrics.CATALOGUE:
        assert metric.name.startswith("streamwatch_")
        assert metric.name.endswith("_total") == (metric.kind is metrics.Kind.COUNTER)
        assert metric.help.endswith(".")
        assert "\n" not in metric.help


@given(region=LABEL, village=LABEL, number=st.floats(allow_nan=False))
def test_values_survive_the_reference_parser(region: str, village: str, number: float) -> None:
    """Whatever a code contains and whatever the number, the parser reads the same back."""
    text = metrics.exposition({"streamwatch_village_cameras": {metrics.key(region, village, "up"): number}})

    labels = (("region", region), ("state", "up"), ("village", village))
    assert read(text) == {("streamwatch_village_cameras", labels): number}


def test_counters_and_histogram_render_as_their_types() -> None:
    """What `Counters` keeps comes out as counters and as one well-formed cumulative histogram."""
    counters = Counters()
    counters.add("streamwatch_probes_total", 3, "picture", "up", "")
    for seconds in (0.004, 0.2, 99.0):
        counters.observe("streamwatch_probe_step_seconds", seconds, "connect")

    families = {
        family.name: family for family in text_string_to_metric_families(metrics.exposition(counters.snapshot()))
    }

    assert families["streamwatch_probes"].type == "counter"
    assert families["streamwatch_probes"].samples[0].labels == {"depth": "picture", "outcome": "up", "reason": ""}
    histogram = families["streamwatch_probe_step_seconds"]
    assert histogram.type == "histogram"
    buckets = [sample for sample in histogram.samples if sample.name.endswith("_bucket")]
    assert [float(sample.labels["le"]) for sample in buckets] == [*STEP_BUCKETS_S, math.inf]
    assert [sample.value for sample in buckets] == sorted(sample.value for sample in buckets)
    assert buckets[-1].value == 3
    assert {sample.name: sample.value for sample in histogram.samples}["streamwatch_probe_step_seconds_count"] == 3


@pytest.mark.parametrize(
    "values",
    [
        {"streamwatch_of_tomorrow": {"": 1.0}},
        {"streamwatch_village_cameras": {"a|b": 1.0}},
        {"streamwatch_sessions": {"a": 1.0}},
    ],
)
def test_what_is_not_catalogued_is_counted_not_raised(values: metrics.Values) -> None:
    """A newer service's metric, or one with other labels, never takes the page away."""
    assert read(metrics.exposition(values)) == {("streamwatch_dropped_total", (("what", "metric"),)): 1.0}


def test_series_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the cap nothing is added, and what is left out is counted."""
    monkeypatch.setattr(metrics, "MAX_SERIES", 10)
    values = {"streamwatch_dropped_total": {f"w{number}": 1.0 for number in range(12)}}

    found = read(metrics.exposition(values))

    assert len(found) == 11
    assert found["streamwatch_dropped_total", (("what", "metric"),)] == 2.0


def test_later_part_wins_when_merged() -> None:
    """Gauges of the web process come on top of what the service sent."""
    assert metrics.merged({"a": {"x": 1.0, "y": 2.0}}, {"a": {"x": 3.0}, "b": {"": 4.0}}) == {
        "a": {"x": 3.0, "y": 2.0},
        "b": {"": 4.0},
    }
