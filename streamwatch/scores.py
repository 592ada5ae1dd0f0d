"""Measures -> a score of 0 to 100 for each fault: how far a picture is from it. Pure.

A score says nothing that the thresholds of `verdict.Policy` do not say; it says it on one scale for all faults:

    60-100  normal: a fault that stood would clear
    40-59   warning: between the two thresholds, where a fault that stands goes on and none begins
    0-39    fault: `verdict.py` raises it

Within each of the three the score follows the measure in a straight line, from the worst end of the measure's range
(quality/table.py) over the two thresholds to its best end, rounded down. So a worse measure never scores higher.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from streamwatch.model.look import Depth, Look
from streamwatch.quality import MEASURES
from streamwatch.verdict import Policy, blur_coarse_bars, faults_of, frozen_shares

NORMAL: Final = 60
WARNING: Final = 40
TOP: Final = 100


@dataclass(frozen=True, slots=True)
class Scale:
    """One measure's way from worst to best. `at_bad`: the thresholds themselves belong to the bad side."""

    worst: float
    raised: float
    cleared: float
    best: float
    at_bad: bool = False

    def score(self, value: float) -> int:
        """0-100, monotone from `worst` to `best`."""
        if self._before(value, self.raised):
            return _between(value, self.worst, self.raised, 0, WARNING)
        if self._before(value, self.cleared):
            return _between(value, self.raised, self.cleared, WARNING, NORMAL)
        return _between(value, self.cleared, self.best, NORMAL, TOP + 1)

    def _before(self, value: float, threshold: float) -> bool:
        """On the bad side of the threshold."""
        if value == threshold:
            return self.at_bad
        return (value < threshold) == (self.worst < self.best)


def _between(value: float, start: float, end: float, low: int, high: int) -> int:
    """`low` at `start`, just below `high` at `end`; whole, and never outside of low to high - 1."""
    share = 0.0 if start == end else (value - start) / (end - start)
    return max(low, min(high - 1, int(low + share * (high - low))))


def scores_of(look: Look, policy: Policy) -> dict[str, int]:
    """The score of every fault that can be judged by this look, in the order of the fault table.

    Below 40 exactly where `faults_of` names the fault. None at all for a picture that was not decoded, but
    `picture_broken`: 0. A black picture is neither sharp nor live: it has no other scores.
    """
    raised = faults_of(look, policy)
    if "picture_broken" in raised:
        return {"picture_broken": 0}
    found: dict[str, int | None] = {"blackout": _blackout(look, policy)}
    if "blackout" not in raised:
        found |= {"frozen": frozen_score(look, policy), "blur": _blur(look, policy)}
    judged = {name: score for name, score in found.items() if score is not None}
    decoded = look.reason is None and look.depth is Depth.PICTURE and look.measures  # those of a stream need no picture
    return judged | {"picture_broken": TOP} if decoded else judged


def _blackout(look: Look, policy: Policy) -> int | None:
    """All three must be bad for a blackout: the best of them counts."""
    scales = {
        "luma_mean": _scale("luma_mean", policy.black_mean, policy.black_mean_clear),
        "dark_share": _scale("dark_share", policy.black_share, policy.black_share_clear, bad_is_high=True),
        "texture": _scale("texture", policy.black_texture, policy.black_texture_clear),
    }
    values = {name: look.value(name) for name in scales}
    scores = [scales[name].score(value) for name, value in values.items() if value is not None]
    return max(scores) if len(scores) == len(scales) else None


def _blur(look: Look, policy: Policy) -> int | None:
    """Fine and coarse must both be low; where the fine one is and the coarse one is not known, nobody can tell."""
    fine, coarse = look.value("sharpness"), look.value("sharpness_coarse")
    if fine is None:
        return None
    score = _scale("sharpness", policy.blur, policy.blur_clear).score(fine)
    if coarse is None:
        return score if score >= WARNING else None
    coarse_scale = _scale("sharpness_coarse", *blur_coarse_bars(fine, coarse, policy))
    return max(score, coarse_scale.score(coarse))


def frozen_score(look: Look, policy: Policy) -> int | None:
    """How live it looks: by the textured tiles equal to those of the look before, and by changes of noise alone."""
    same, tiles, lone = look.value("same_textured"), look.value("textured_tiles"), look.value("lone_changes") or 0
    if same is None or not tiles:
        return None
    scale = _scale("same_textured", *frozen_shares(tiles, policy), bad_is_high=True)
    score = scale.score(same)
    return score if lone < policy.frozen_lone else max(score, WARNING)


def _scale(name: str, raised: float, cleared: float, *, bad_is_high: bool = False) -> Scale:
    low, high = MEASURES[name].low, MEASURES[name].high
    return Scale(high, raised, cleared, low, at_bad=True) if bad_is_high else Scale(low, raised, cleared, high)
