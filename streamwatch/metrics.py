"""Exposition: plain numbers by metric and label values -> Prometheus text. One table names every metric that there is.

The table is the contract (docs and tests read it); values come as `{metric: {"label|label": number}}`, which is how
`counters.py` keeps them and the live view carries them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
MAX_SERIES: Final = (
    200_000  # 2,600 villages x 24 series (interface, "Prometheus") = 62,400, and room for three times that
)
Values = Mapping[str, Mapping[str, float]]


class Kind(StrEnum):
    """What a metric is, in the exposition format's words."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the catalogue; `labels` are in the order of the joined label values."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()

    def samples(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The names under which values arrive, each with its labels."""
        if self.kind is Kind.HISTOGRAM:
            return (
                (f"{self.name}_bucket", (*self.labels, "le")),
                (f"{self.name}_sum", self.labels),
                (f"{self.name}_count", self.labels),
            )
        return ((self.name, self.labels),)


_VILLAGE: Final = ("region", "village")

CATALOGUE: Final = (
    Metric(
        "streamwatch_village_cameras",
        Kind.GAUGE,
        "Cameras in service by the state of their stream now.",
        (*_VILLAGE, "state"),
    ),
    Metric(
        "streamwatch_village_faulty_cameras",
        Kind.GAUGE,
        "Cameras with a fault now; a series only for a fault seen in the last 24 hours.",
        (*_VILLAGE, "fault"),
    ),
    Metric(
        "streamwatch_village_up_seconds_total",
        Kind.COUNTER,
        "Camera-seconds booked as up, when first booked; never revised.",
        _VILLAGE,
    ),
    Metric(
        "streamwatch_village_down_seconds_total",
        Kind.COUNTER,
        "Camera-seconds booked as down, when first booked; never revised.",
        _VILLAGE,
    ),
    Metric(
        "streamwatch_village_unknown_seconds_total",
        Kind.COUNTER,
        "Camera-seconds booked as unknown, when first booked; never revised.",
        _VILLAGE,
    ),
    Metric(
        "streamwatch_village_excluded_seconds_total",
        Kind.COUNTER,
        "Camera-seconds of approved maintenance, when first booked; never revised.",
        _VILLAGE,
    ),
    Metric(
        "streamwatch_probes_total",
        Kind.COUNTER,
        "Looks finished. outcome: ok, failed, void (it did not count). reason is empty when there is none.",
        ("depth", "outcome", "reason"),
    ),
    Metric(
        "streamwatch_probe_step_seconds",
        Kind.HISTOGRAM,
        "Time that each step of a look took.",
        ("step",),
    ),
    Metric(
        "streamwatch_look_remarks_total",
        Kind.COUNTER,
        "Looks that found something to be said that ended nothing, such as tls.untrusted.",
        ("remark",),
    ),
    Metric(
        "streamwatch_blips_total",
        Kind.COUNTER,
        "Failures that their confirming looks did not repeat; they changed no state.",
    ),
    Metric("streamwatch_config_last_reload_successful", Kind.GAUGE, "1 unless the last SIGHUP was refused."),
    Metric(
        "streamwatch_watch_unknown_cameras", Kind.GAUGE, "Codes in watch.cameras that no camera of the inventory has."
    ),
    Metric("streamwatch_missed_rounds", Kind.GAUGE, "Rounds skipped since the start because they came too late."),
    Metric("streamwatch_unfinished_rounds", Kind.GAUGE, "Rounds since the start that did not end in their time."),
    Metric(
        "streamwatch_patrol_lag_seconds",
        Kind.GAUGE,
        "How late looks of the patrol began lately: 99 in 100 were no later (told at most 19 % too high).",
    ),
    Metric(
        "streamwatch_patrol_lag_median_seconds",
        Kind.GAUGE,
        "The same of the middle one: half were no later.",
    ),
    Metric(
        "streamwatch_patrol_thinning",
        Kind.GAUGE,
        "Of so many looks at a camera one is as deep as that; reach: of those between the patrol's one comes. 1: each. "
        "Above 1 there is more work than room.",
        ("depth",),
    ),
    Metric("streamwatch_loop_lag_seconds", Kind.GAUGE, "Worst event loop delay lately.", ("process",)),
    Metric("streamwatch_canary_up", Kind.GAUGE, "1 while a target that is not a camera answers.", ("canary",)),
    Metric("streamwatch_sessions", Kind.GAUGE, "Conversations with cameras that are open now."),
    Metric("streamwatch_workers", Kind.GAUGE, "Processes alive.", ("kind",)),
    Metric("streamwatch_store_backlog", Kind.GAUGE, "Looks that wait to be committed."),
    Metric("streamwatch_dropped_total", Kind.COUNTER, "What a bound made us drop, by what it was.", ("what",)),
    Metric("streamwatch_ready", Kind.GAUGE, "1 while that part of the service is ready.", ("part",)),
    Metric("streamwatch_started_seconds", Kind.GAUGE, "When the service started, seconds since 1970."),
    Metric("streamwatch_build_info", Kind.GAUGE, "Always 1; the label says which version runs.", ("version",)),
)


def exposition(values: Values, catalogue: Sequence[Metric] = CATALOGUE) -> str:
    """The text of every catalogued metric that has values (text format 0.0.4).

    What is not in the catalogue, or has another number of labels, is left out and counted in
    `streamwatch_dropped_total{what="metric"}`: a newer service must not take `/metrics` away.
    """
    lines: list[str] = []
    known = {name for metric in catalogue for name, _ in metric.samples()}
    left_out = sum(len(series) for name, series in values.items() if name not in known)
    for metric in catalogue:
        body: list[str] = []
        for name, labels in metric.samples():
            for key, value in values.get(name, {}).items():
                row = _row(name, labels, key, value) if len(lines) + len(body) < MAX_SERIES else None
                if row is None:
                    left_out += 1
                else:
                    body.append(row)
        if metric.name == "streamwatch_dropped_total" and left_out:
            body.append(f'streamwatch_dropped_total{{what="metric"}} {left_out}')
        if body:
            lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}", *body]
    return "\n".join(lines) + "\n"


def merged(*parts: Values) -> dict[str, dict[str, float]]:
    """Several sets of values as one; of the same series the later one counts."""
    whole: dict[str, dict[str, float]] = {}
    for part in parts:
        for name, series in part.items():
            whole.setdefault(name, {}).update(series)
    return whole


def key(*labels: str) -> str:
    """Label values joined as `counters.py` joins them."""
    return "|".join(label.replace("|", "/") for label in labels)


def _row(name: str, labels: tuple[str, ...], joined: str, value: float) -> str | None:
    """One line, or None where the number of label values is wrong."""
    if not labels:
        return f"{name} {_number(value)}" if joined == "" else None
    found = joined.split("|")
    if len(found) != len(labels):
        return None
    pairs = ",".join(f'{label}="{_escape(text)}"' for label, text in zip(labels, found, strict=True))
    return f"{name}{{{pairs}}} {_number(value)}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    if math.isinf(value) or math.isnan(value):
        return {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN")
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))
