"""Frozen or still, from pixels to the verdict: scenes in which nothing moves, coded coarsely, one keyframe a look."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from streamwatch.decoders.codec import Codecs
from streamwatch.model.look import Depth, Look, StreamKind
from streamwatch.quality import score
from streamwatch.scores import scores_of
from streamwatch.verdict import Policy, faults_of
from tests.decoders.streams import keyframes, noisy, street, with_clock

CODECS = Codecs(max_pixels=1_000_000)
MINUTE = 60_000_000
CIF = (352, 288)


def bare_road(seed: int) -> NDArray[np.float64]:
    """Asphalt with five faint patches: about twenty tiles hold anything, behind a coarse quantiser next to nothing."""
    width, height = CIF
    y = np.add.outer(np.linspace(130, 105, height), np.linspace(0, 8, width))
    rng = np.random.default_rng(seed)
    for _ in range(5):
        top, left = rng.integers(60, height - 80), rng.integers(5, width - 40)
        y[top : top + 20, left : left + 30] += rng.choice([-9, 10])
    return y


def looks(pictures: list[NDArray[np.float64]], qp: int) -> list[Look]:
    """All but the first, which has nothing to compare with."""
    memory, found = None, []
    for number, unit in enumerate(keyframes(pictures, qp=qp)):
        scored = score(CODECS.decode("h264", unit).luma, memory, number * MINUTE)
        memory = scored.fingerprint
        found.append(
            Look(
                camera=0, depth=Depth.PICTURE, stream=StreamKind.MAIN, started_us=number * MINUTE, duration_us=0,
                vantage="test", measures=scored.measures, reference_us=scored.reference_us,
            )
        )  # fmt: skip
    return found[1:]


@pytest.mark.parametrize("seed", range(4))
def test_noise_behind_a_coarse_quantiser_is_not_called_frozen(seed: int) -> None:
    """Most textured tiles of a live bare scene come out equal, now and then all; others change by themselves."""
    found = looks([noisy(bare_road(seed), 0.5, number) for number in range(25)], qp=38)
    shares = [measure.value for look in found if (measure := look.measure("same_textured")) and measure.valid]

    assert max(shares) >= 0.5  # what was called frozen once
    assert [look for look in found if "frozen" in faults_of(look, Policy())] == []


@pytest.mark.parametrize("qp", [29, 34, 38])
def test_a_picture_held_under_a_running_clock_is_frozen_in_every_comparison(qp: int) -> None:
    """The clock changes what is predicted from it, far into the picture, and nothing else."""
    held = noisy(street(*CIF), 1.0, 1)
    found = looks([with_clock(held, tick) for tick in range(8)], qp)

    assert all(faults_of(look, Policy()) == ("frozen",) for look in found)
    assert all(scores_of(look, Policy())["frozen"] < 40 for look in found)
