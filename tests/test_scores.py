"""Scores say what the thresholds say: under 40 exactly with the fault, 60 and more exactly where it would clear."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.errors import Reason, Step
from streamwatch.model.look import Depth, Look, Measurement, State, StreamKind
from streamwatch.model.standing import FAULT_PREFIX
from streamwatch.model.verdict import Attributed
from streamwatch.quality import MEASURES
from streamwatch.scores import frozen_score, scores_of
from streamwatch.verdict import FAULTS, Policy, faults_of, judge

POLICY = Policy()
EDGES = sorted({value for value in dataclasses.asdict(POLICY).values() if 0 <= value <= 50})


def look(measures: dict[str, float | None], reason: Reason | None = None) -> Look:
    """A look with these measures; None: it could not be judged."""
    return Look(
        camera=0,
        depth=Depth.PICTURE,
        stream=StreamKind.MAIN,
        started_us=10_000_000,
        duration_us=0,
        vantage="test",
        reason=reason,
        step=Step.DECODE if reason else None,
        measures=tuple(
            Measurement(name, value or 0.0, valid=value is not None, why=None if value is not None else "no_detail")
            for name, value in measures.items()
        ),
    )


def values(name: str) -> st.SearchStrategy[float]:
    """The whole range of a measure, and often exactly a threshold or its neighbours."""
    low, high = MEASURES[name].low, MEASURES[name].high
    near = [edge + step for edge in EDGES for step in (-1e-9, 0, 1e-9) if low <= edge + step <= high]
    return st.one_of(st.floats(low, high), st.sampled_from([low, high, *near]))


MEASURED = st.fixed_dictionaries(
    {name: values(name) | st.none() for name in MEASURES if name != "sharpness_coarse"},
    optional={"sharpness_coarse": values("sharpness_coarse") | st.none()},
)


@given(MEASURED)
def test_below_40_exactly_where_the_fault_is_raised(measures: dict[str, float | None]) -> None:
    """Whatever was measured: the faults are those with a score below 40, and no other."""
    one = look(measures)
    scores = scores_of(one, POLICY)

    assert tuple(name for name in FAULTS if scores.get(name, 100) < 40) == faults_of(one, POLICY)
    assert all(0 <= score <= 100 for score in scores.values())


@given(MEASURED)
def test_60_and_more_exactly_where_a_standing_fault_would_clear(measures: dict[str, float | None]) -> None:
    """Between 40 and 59 nothing begins and nothing ends: the hysteresis of the verdict."""
    one = look(measures)
    scores = scores_of(one, POLICY)
    for fault in ("blackout", "blur", "frozen"):
        verdict = judge(Attributed(one), POLICY, frozenset({fault}))
        standing = {found.dimension: found.state for found in verdict.opinions}.get(FAULT_PREFIX + fault)
        if fault in scores and standing is not None:
            assert (scores[fault] >= 60) == (standing is State.UP), fault
        elif standing is not None and fault != "blackout":
            # Not scored, but judged: blur without its coarse measure, or anything in a standing blackout.
            assert fault not in faults_of(one, POLICY)


@pytest.mark.parametrize(
    ("name", "worse_is_more"),
    [
        ("luma_mean", False),
        ("texture", False),
        ("dark_share", True),
        ("sharpness", False),
        ("sharpness_coarse", False),
        ("same_textured", True),
        ("lone_changes", False),
    ],
)
@given(data=st.data())
def test_a_worse_measure_never_scores_higher(name: str, worse_is_more: bool, data: st.DataObject) -> None:
    """Everything else equal, the score follows the measure and never turns."""
    fixed = {"luma_mean": 20.0, "dark_share": 1.0, "texture": 1.0, "sharpness": 0.1, "sharpness_coarse": 0.1}
    if name not in ("luma_mean", "texture", "dark_share"):
        fixed |= {"luma_mean": 120.0, "dark_share": 0.0, "texture": 90.0, "same_textured": 0.9, "textured_tiles": 90.0}
    fault = {"same_textured": "frozen", "textured_tiles": "frozen", "lone_changes": "frozen"}.get(
        name, "blur" if name.startswith("sharp") else "blackout"
    )
    one, other = sorted([data.draw(values(name)), data.draw(values(name))], reverse=worse_is_more)
    scores = [scores_of(look({**fixed, name: value}), POLICY).get(fault) for value in (one, other)]

    assert None not in scores
    assert scores[0] <= scores[1]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("same", "score"), [(0.0, 100), (0.14, 59), (0.1399, 60), (0.2699, 40), (0.27, 39), (0.635, 20), (1.0, 0)]
)
def test_the_scale_passes_through_its_thresholds(same: float, score: int) -> None:
    """Worst 0, fault below 40, warning below 60, best 100; the thresholds are on the side that verdict says."""
    assert frozen_score(look({"same_textured": same, "textured_tiles": 100.0}), POLICY) == score


@pytest.mark.parametrize(("lone", "score"), [(0.0, 0), (1.0, 0), (2.0, 40), (40.0, 40)])
def test_noise_makes_a_still_scene_a_warning_at_worst(lone: float, score: int) -> None:
    """Nothing begins where tiles changed by themselves, and nothing ends."""
    measures = {"same_textured": 1.0, "textured_tiles": 100.0, "lone_changes": lone}
    assert frozen_score(look(measures), POLICY) == score


def test_a_black_picture_has_no_other_scores_and_a_broken_one_only_its_own() -> None:
    """What cannot be judged has no score: no number stands for "unknown"."""
    black = {"luma_mean": 16.0, "dark_share": 1.0, "texture": 0.5, "sharpness": 0.1, "sharpness_coarse": 0.1}
    assert set(scores_of(look(black), POLICY)) == {"blackout", "picture_broken"}
    assert scores_of(look({}, Reason.MEDIA_BROKEN), POLICY) == {"picture_broken": 0}
    assert scores_of(look({}, Reason.MEDIA_TOO_LARGE), POLICY) == {}
    soft = {"luma_mean": 100.0, "dark_share": 0.0, "texture": 90.0, "sharpness": 0.2, "sharpness_coarse": None}
    assert "blur" not in scores_of(look(soft), POLICY)


def test_a_look_without_a_picture_has_no_scores() -> None:
    """What was measured of its stream says nothing of its picture."""
    streamed = msgspec.structs.replace(look({"loss_percent": 1.0}), depth=Depth.STREAM)
    assert scores_of(streamed, POLICY) == {}


def test_scores_follow_the_thresholds_that_are_set() -> None:
    """A site's own threshold moves the scale with it, also one beyond the other threshold of its fault."""
    soft = look({"luma_mean": 100.0, "dark_share": 0.0, "texture": 90.0, "sharpness": 0.37, "sharpness_coarse": 0.2})
    assert scores_of(soft, POLICY)["blur"] >= 60
    strict = dataclasses.replace(POLICY, blur=0.40)

    assert scores_of(soft, strict)["blur"] < 40
    assert faults_of(soft, strict) == ("blur",)
