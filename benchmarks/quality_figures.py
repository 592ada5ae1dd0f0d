"""Observations -> figures: AUC, recall and false alarms by fault, ours beside the rules in use today.

A row of `ROWS` is a fault. One that `verdict.FAULTS` does not know yet is shown as not judged, with its peers; from the
day on which it is judged its figures come by themselves.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from benchmarks.measure import Result
from benchmarks.quality_peers import Called
from streamwatch.sequence import NEED_TIME
from streamwatch.verdict import FAULTS

HEALTHY: Final = "healthy"  # the grade of a picture as it came
WEATHER: Final = "weather"  # what is normal, and looks wrong
FILM_FOCUS: Final = "film_focus"  # out of focus, and meant so
STILL: Final = "still"  # scenes in which nothing moves but the noise
STILL_RATED: Final = "still_rated"  # the same under rate control


@dataclass(frozen=True, slots=True)
class Row:
    """A fault of the table, the AUC that has to be reached over the grades that are held to it, and the measures whose
    own AUC is to be known beside that of the fault's score: "-" before one whose high values are bad."""

    fault: str
    bar: float
    measures: tuple[str, ...] = ()


ROWS: Final = (
    Row("blackout", 0.99, ("luma_mean",)),
    Row("blur", 0.97, ("sharpness",)),
    Row("frozen", 0.99, ("-same_textured",)),
    Row("picture_broken", 0.99),
    Row("overexposed", 0.99),
    Row("underexposed", 0.99),
    Row("occluded", 0.99),
    Row("signal_loss", 0.99),
    Row("noise", 0.99),
    Row("stripes", 0.99),
    Row("colour_cast", 0.99),
    Row("low_contrast", 0.99),
)


@dataclass(frozen=True, slots=True)
class Observation:
    """One picture: what it is, what the product says of it, and what the peers say."""

    scene: str
    grade: str  # HEALTHY, or the name of a damage or of a weather
    fault: str  # what it ought to be called: "" for none
    held: bool
    faults: tuple[str, ...]
    scores: Mapping[str, int]
    measures: Mapping[str, float] = field(default_factory=dict)
    peers: Mapping[tuple[str, str], Called] = field(default_factory=dict)
    second: bool = False  # there was a look before it: what needs two can be judged


def auc(
    bad: Sequence[float | None], good: Sequence[float | None],
    bad_weights: ArrayLike | None = None, good_weights: ArrayLike | None = None,
) -> float:  # fmt: skip
    """The chance that a bad picture scores below a good one, ties counted half; None (cannot judge) ties with all.

    Weights need not sum to anything. ValueError where one side is empty or weighs nothing.
    """
    low, low_weight = _scores(bad, bad_weights)
    high, high_weight = _scores(good, good_weights)
    total_low, total_high = low_weight.sum(), high_weight.sum()
    if not total_low > 0 or not total_high > 0:
        raise ValueError("an AUC needs pictures on both sides")
    known_low, known_high = ~np.isnan(low), ~np.isnan(high)
    order = np.argsort(high[known_high], kind="stable")
    ranked, weights = high[known_high][order], high_weight[known_high][order]
    above = np.concatenate([[0.0], np.cumsum(weights)])
    left = above[np.searchsorted(ranked, low[known_low], side="left")]
    right = above[np.searchsorted(ranked, low[known_low], side="right")]
    wins = float((low_weight[known_low] * (above[-1] - (left + right) / 2)).sum())
    judged = float(low_weight[known_low].sum() * above[-1])
    return (wins + (total_low * total_high - judged) / 2) / float(total_low * total_high)


def _scores(values: Sequence[float | None], weights: ArrayLike | None) -> tuple[Any, Any]:
    scores = np.array([np.nan if value is None else value for value in values], np.float64)
    return scores, np.ones(len(scores)) if weights is None else np.asarray(weights, np.float64)


def scene_weights(seen: Sequence[Observation]) -> list[float]:
    """Each scene weighs the same, however many pictures it has."""
    many = Counter(one.scene for one in seen)
    return [1 / many[one.scene] for one in seen]


def tally(result: Result, seen: Sequence[Observation]) -> None:
    """All figures by fault, and those of the pictures as they came."""
    came = [one for one in seen if one.grade == HEALTHY and not one.fault]
    for row in ROWS:
        healthy = came
        if row.fault in NEED_TIME:
            healthy = [one for one in seen if one.second and not one.fault and one.grade in (HEALTHY, STILL)]
        held = [one for one in seen if one.fault == row.fault and one.held]
        if held and healthy:
            versus(result, row.fault, held, healthy)
            measured(result, row.fault, row, held, healthy)
        graded: dict[str, list[Observation]] = defaultdict(list)
        for one in seen:
            if one.fault == row.fault:
                graded[one.grade].append(one)
        if row.fault not in FAULTS:
            if graded:
                _not_judged(result, row.fault, [one for some in graded.values() for one in some])
            continue
        for grade, some in graded.items():
            result.samples.add(f"auc_of.{row.fault}.{grade}", _auc(some, healthy, _ours(row.fault)))
            result.samples.add(f"recall_of.{row.fault}.{grade}", _share(some, row.fault))
    _false(result, "false_per_1000", came)
    for weather in sorted({one.grade for one in seen if one.grade != HEALTHY and not one.fault}):
        _false(result, f"false_per_1000.{WEATHER}.{weather}", [one for one in seen if one.grade == weather])


def versus(result: Result, name: str, bad: Sequence[Observation], good: Sequence[Observation], fault: str = "") -> None:
    """AUC, recall and false alarms of ours and of every peer's on the same pictures. `fault` where `name` is a part."""
    fault, add = fault or name, result.samples.add
    if fault in FAULTS:
        add(f"auc.{name}", _auc(bad, good, _ours(fault)))
        add(f"recall.{name}", _share(bad, fault))
        add(f"false_per_1000.{name}", 1000 * _share(good, fault))
        judged = [[one for one in some if fault in one.scores] for some in (bad, good)]
        if all(judged):
            add(f"auc_judged.{name}", _auc(*judged, _ours(fault)))
        add(f"cannot_judge.{name}", _unjudged(good, fault))
        add(f"cannot_judge_bad.{name}", _unjudged(bad, fault))
        _worst(result, name, fault, bad, good)
    for peer in sorted({peer for one in (*bad, *good) for about, peer in one.peers if about == fault}):
        add(f"auc.{name}.{peer}", _auc(bad, good, _theirs(fault, peer)))
        recall, false = _called(bad, fault, peer), _called(good, fault, peer)
        if recall is not None and false is not None:
            add(f"recall.{name}.{peer}", recall)
            add(f"false_per_1000.{name}.{peer}", 1000 * false)


def measured(result: Result, name: str, row: Row, bad: Sequence[Observation], good: Sequence[Observation]) -> None:
    """What the measures of a fault say by themselves, without what its rule makes of them."""
    for column in row.measures:
        by, measure = _measure(column), f"{name}.{column.removeprefix('-')}"
        result.samples.add(f"auc_of_measure.{measure}", _auc(bad, good, by))
        left_out(result, measure, bad, good, by)


def left_out(
    result: Result, name: str, bad: Sequence[Observation], good: Sequence[Observation],
    of: Callable[[Observation], float | None],
) -> None:  # fmt: skip
    """The bar that the healthy pictures of all other scenes allow, and what it says of the scene left out."""
    values = {scene: _known(some, of) for scene, some in by_scene(good).items()}
    missed, false = [], []
    theirs = by_scene(bad)
    for scene, own in values.items():
        others = [value for other, some in values.items() if other != scene for value in some]
        if not others:
            continue
        bar = min(others)
        result.samples.add(f"loso_bar.{name}", abs(bar))  # no measure is below zero: the sign only says what is bad
        if own:
            false.append(sum(value < bar for value in own) / len(own))
        if scene in theirs:
            found = _known(theirs[scene], of)
            missed.append(1 - sum(value < bar for value in found) / len(theirs[scene]))
    if missed and false:
        result.samples.add(f"loso_missed.{name}", fmean(missed))
        result.samples.add(f"loso_false_per_1000.{name}", 1000 * fmean(false))


def _known(seen: Sequence[Observation], of: Callable[[Observation], float | None]) -> list[float]:
    return [value for value in map(of, seen) if value is not None]


def _auc(bad: Sequence[Observation], good: Sequence[Observation], of: Callable[[Observation], float | None]) -> float:
    return auc([of(one) for one in bad], [of(one) for one in good], scene_weights(bad), scene_weights(good))


def _measure(name: str) -> Callable[[Observation], float | None]:
    def of(one: Observation) -> float | None:
        value = one.measures.get(name.removeprefix("-"))
        return -value if value is not None and name.startswith("-") else value

    return of


def _ours(fault: str) -> Callable[[Observation], float | None]:
    return lambda one: one.scores.get(fault)


def _theirs(fault: str, peer: str) -> Callable[[Observation], float | None]:
    def of(one: Observation) -> float | None:
        called = one.peers.get((fault, peer))
        return None if called is None or called.badness is None else -called.badness

    return of


def _share(seen: Sequence[Observation], fault: str) -> float:
    """Of pictures, each the same."""
    return sum(fault in one.faults for one in seen) / len(seen)


def _unjudged(seen: Sequence[Observation], fault: str) -> float:
    return sum(fault not in one.scores for one in seen) / len(seen)


def _called(seen: Sequence[Observation], fault: str, peer: str) -> float | None:
    """The same of a peer's own decisions; None where it has no threshold of its own."""
    said = [one.peers[fault, peer].fault for one in seen if (fault, peer) in one.peers]
    known = [one for one in said if one is not None]
    return sum(known) / len(known) if known else None


def by_scene(seen: Iterable[Observation]) -> dict[str, list[Observation]]:
    """The pictures of each scene."""
    found: dict[str, list[Observation]] = defaultdict(list)
    for one in seen:
        found[one.scene].append(one)
    return found


def _worst(result: Result, name: str, fault: str, bad: Sequence[Observation], good: Sequence[Observation]) -> None:
    """The scene in which most is missed, and the one that is most often called so falsely, if any is."""
    found = {scene: _share(some, fault) for scene, some in by_scene(bad).items()}
    worst = min(found, key=lambda scene: found[scene])
    if found[worst] < 1:
        result.samples.add(f"recall_in.{name}.{worst}", found[worst])
    false = {scene: 1000 * _share(some, fault) for scene, some in by_scene(good).items()}
    worst = max(false, key=lambda scene: false[scene])
    if false[worst]:
        result.samples.add(f"false_in.{name}.{worst}", false[worst])


def _false(result: Result, name: str, seen: Sequence[Observation]) -> None:
    """Looks that name any fault, of 1,000; the scene that has most, and what they are called."""
    if not seen:
        return
    wrong = [one for one in seen if one.faults]
    result.samples.add(name, 1000 * len(wrong) / len(seen))
    if wrong:
        rates = {scene: sum(bool(one.faults) for one in some) / len(some) for scene, some in by_scene(seen).items()}
        worst = max(rates, key=lambda scene: rates[scene])
        result.samples.add(f"{name}.in.{worst}", 1000 * rates[worst])
        said = Counter(fault for one in wrong for fault in one.faults)
        listed = ", ".join(f"{fault} {count}" for fault, count in said.most_common())
        result.notes.append(f"{name}: {len(wrong)} of {len(seen)} looks name a fault ({listed}), most in {worst}.")


def _not_judged(result: Result, fault: str, seen: Sequence[Observation]) -> None:
    said = Counter(name for one in seen for name in one.faults or ("none",))
    listed = ", ".join(f"{name} {count}" for name, count in said.most_common())
    result.notes.append(f"{fault} is not judged yet; of its {len(seen)} pictures today's faults say: {listed}.")
