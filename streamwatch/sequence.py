"""Successive pictures of one clip -> what they say together: the faults that need time. Pure.

A clip is to this what a patrol is to the service: each keyframe is a look, and what one look suspects its followers
confirm, as often as `verdict.py` asks. Nothing is remembered beyond the clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from streamwatch.model.look import Look, Measurement, State
from streamwatch.model.standing import FAULT_PREFIX
from streamwatch.model.verdict import Attributed, Opinion
from streamwatch.quality.table import LONE_CHANGES, SAME_TEXTURED, TEXTURED_TILES
from streamwatch.scores import TOP, WARNING, frozen_score
from streamwatch.verdict import Policy, judge

NEED_TIME: Final = frozenset({"frozen"})
"""The faults that one picture alone cannot show."""

_TELLING: Final = (SAME_TEXTURED, TEXTURED_TILES, LONE_CHANGES)


@dataclass(frozen=True, slots=True)
class Together:
    """What a clip says as a whole. `since_us`: the time in the clip from which its fault is seen."""

    faults: tuple[str, ...] = ()
    scores: tuple[tuple[str, int], ...] = ()
    measures: tuple[Measurement, ...] = ()
    since_us: int | None = None


def together(looks: Sequence[Look], policy: Policy) -> Together:
    """`looks` in their order, each compared with one before it. Its measures are those of the comparison that decides:
    of those that confirm the fault, or of all where none does, the one that scores lowest.

    Frozen where a comparison shows it and as many of the next ones as it needs repeat it. A middling share that is not
    repeated is a warning (40): no fault, and not the score that the share would have by itself.
    """
    compared = [look for look in looks if look.value(SAME_TEXTURED) is not None]
    if not compared:
        named = [look.measure(SAME_TEXTURED) for look in looks]
        return Together(measures=tuple(measure for measure in named[-1:] if measure is not None))
    opinions = [_frozen(look, policy) for look in compared]
    confirmed = [at for at in range(len(compared)) if _confirmed(opinions, at)]
    scores = [TOP if (score := frozen_score(look, policy)) is None else score for look in compared]
    shares = [look.value(SAME_TEXTURED) or 0.0 for look in compared]
    lowest = min(confirmed or range(len(compared)), key=lambda at: (scores[at], -shares[at]))
    decisive, score = compared[lowest], scores[lowest]
    since = opinions[confirmed[0]] if confirmed else None
    return Together(
        faults=("frozen",) if confirmed else (),
        scores=(("frozen", score if confirmed else max(score, WARNING)),),
        measures=tuple(one for one in decisive.measures if one.name in _TELLING),
        since_us=since.since_us if since is not None else None,
    )


def _frozen(look: Look, policy: Policy) -> Opinion | None:
    """What the look says if it says frozen."""
    verdict = judge(Attributed(look), policy)
    wanted = FAULT_PREFIX + "frozen"
    return next((one for one in verdict.opinions if one.dimension == wanted and one.state is State.DOWN), None)


def _confirmed(opinions: Sequence[Opinion | None], at: int) -> bool:
    """The opinion there is one, and as many behind it as it asks for agree."""
    opinion = opinions[at]
    if opinion is None:
        return False
    following = opinions[at + 1 : at + 1 + opinion.confirmations]
    return len(following) == opinion.confirmations and None not in following
