"""A clip as a whole: frozen where its keyframes say so as often as the patrol would ask."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamwatch.model.look import Depth, Look, Measurement, StreamKind
from streamwatch.sequence import together
from streamwatch.verdict import Policy

POLICY = Policy()
S = 1_000_000


def clip(*shares: float | None, tiles: float = 100, lone: tuple[float, ...] = ()) -> list[Look]:
    """Keyframes 6 s apart with these shares of equal textured tiles; None: it could not be compared."""
    return [
        Look(
            camera=0,
            depth=Depth.PICTURE,
            stream=StreamKind.MAIN,
            started_us=at * 6 * S,
            duration_us=0,
            vantage="test",
            measures=(
                Measurement("luma_mean", 100.0),
                Measurement("dark_share", 0.0),
                Measurement("texture", 90.0),
                Measurement(
                    "same_textured", share or 0.0, share is not None, None if share is not None else "too_soon"
                ),
                Measurement("textured_tiles", tiles),
                Measurement("lone_changes", lone[at] if lone else 0.0),
            ),
            reference_us=(at - 1) * 6 * S if share is not None else None,
        )
        for at, share in enumerate(shares)
    ]


def test_a_clip_that_moves_is_not_frozen() -> None:
    """Its score is that of the stillest comparison."""
    found = together(clip(None, 0.01, 0.1, 0.0), POLICY)

    assert (found.faults, found.since_us) == ((), None)
    assert found.measures[0].value == 0.1
    assert dict(found.scores)["frozen"] >= 60


def test_one_strong_comparison_is_enough_and_says_since_when() -> None:
    """All tiles equal: frozen from the frame that it was compared with."""
    found = together(clip(None, 0.0, 1.0, 0.0), POLICY)

    assert found.faults == ("frozen",)
    assert found.since_us == 6 * S
    assert dict(found.scores)["frozen"] == 0


def test_a_middling_share_must_be_repeated() -> None:
    """Alone or at the end it is a warning of 40; twice in a row it is the fault."""
    for shares in ((None, 0.6, 0.0), (None, 0.0, 0.6), (None, 0.6, 0.0, 0.6), (None, 0.6, None)):
        alone = together(clip(*shares), POLICY)
        assert (alone.faults, dict(alone.scores)) == ((), {"frozen": 40}), shares
    twice = together(clip(None, 0.0, 0.6, 0.7), POLICY)

    assert twice.faults == ("frozen",) and dict(twice.scores)["frozen"] < 40
    assert twice.since_us == 6 * S


def test_a_share_that_noise_contradicts_does_not_decide() -> None:
    """The comparison that scores lowest is shown, not the one with most equal tiles."""
    found = together(clip(None, 0.3, 0.6, lone=(0, 0, 9)), POLICY)

    assert (found.faults, dict(found.scores)) == ((), {"frozen": 40})
    assert [one.value for one in found.measures] == [0.3, 100, 0]


def test_few_tiles_make_no_strong_comparison() -> None:
    """A share of 1 over a handful of tiles wants a second one, as on the patrol."""
    assert together(clip(None, 1.0, 0.0, tiles=16), POLICY).faults == ()
    assert together(clip(None, 1.0, 1.0, tiles=16), POLICY).faults == ("frozen",)


def test_a_clip_that_is_too_short_says_why_it_cannot_be_judged() -> None:
    """No comparison: no score, no fault, and the reason beside the measure."""
    found = together(clip(None, None), POLICY)

    assert (found.faults, found.scores) == ((), ())
    assert [(one.valid, one.why) for one in found.measures] == [(False, "too_soon")]
    assert together([], POLICY).measures == ()


@given(st.lists(st.none() | st.sampled_from([0.0, 0.1, 0.2, 0.26, 0.27, 0.6, 0.89, 0.9, 1.0]), max_size=8))
def test_frozen_as_a_slow_reading_says_it(shares: list[float | None]) -> None:
    """Strong once, or at least 0.27 (of 100 tiles) in two comparisons one after the other; below 40 exactly then."""
    found = together(clip(*shares), POLICY)
    told = [share for share in shares if share is not None]
    expected = any(share >= 0.9 for share in told) or any(
        told[at] >= 0.27 and told[at + 1] >= 0.27 for at in range(len(told) - 1)
    )

    assert (found.faults == ("frozen",)) == expected
    assert all((score < 40) == expected for _, score in found.scores)
    assert bool(found.scores) == bool(told)
