"""All measures of one picture: names, ranges, determinism, and no effect on the input."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.quality import MEASURES, score
from tests.decoders.streams import blurred, noisy, plane, street

MINUTE = 60_000_000


@settings(max_examples=60)
@given(
    height=st.integers(0, 300),
    width=st.integers(0, 400),
    kind=st.sampled_from(["noise", "black", "white", "stripes", "blocks", "binary"]),
    seed=st.integers(0, 1000),
)
def test_every_plane_gives_known_measures_in_range(height: int, width: int, kind: str, seed: int) -> None:
    """Whatever the plane: names of the table, finite values inside their range, a why with every invalid one."""
    rng = np.random.default_rng(seed)
    y = {
        "noise": lambda: rng.integers(0, 256, (height, width)),
        "black": lambda: np.zeros((height, width)),
        "white": lambda: np.full((height, width), 255),
        "stripes": lambda: np.broadcast_to((np.arange(width) // 3 % 2) * 255, (height, width)),
        "blocks": lambda: rng.integers(0, 256, (height // 8 + 1, width // 8 + 1)).repeat(8, 0).repeat(8, 1),
        "binary": lambda: rng.integers(0, 2, (height, width)) * 255,
    }[kind]()
    y = np.ascontiguousarray(y[:height, :width]).astype(np.uint8)
    for found in score(y, score(y, None, 0).fingerprint, MINUTE).measures:
        row = MEASURES[found.name]
        assert math.isfinite(found.value)
        assert (found.why is None) == found.valid
        if found.valid:
            assert row.low <= found.value <= row.high


def test_all_measures_of_the_table_can_be_had() -> None:
    """No row of the table is only promised."""
    y = plane(noisy(blurred(street(), 3), 2, 1))
    seen = {found.name for found in score(y, score(y, None, 0).fingerprint, MINUTE).measures if found.valid}
    assert seen == set(MEASURES)


def test_scoring_is_deterministic_and_leaves_the_plane_alone() -> None:
    """Same input, same bytes out; a read-only plane is enough."""
    y = plane(noisy(street(), 2, 1))
    before = y.copy()
    y.setflags(write=False)
    assert score(y, None, 7) == score(y.copy(), None, 7)
    assert (y == before).all()


def test_padded_rows_score_like_packed_ones() -> None:
    """The decoder's plane is a view with padding at the end of each row."""
    y = plane(noisy(street(638, 358), 2, 1))
    wide = np.full((358, 704), 255, np.uint8)
    wide[:, :638] = y
    assert score(wide[:, :638], None, 0) == score(y, None, 0)


def test_reference_is_named_only_where_it_was_compared_with() -> None:
    """`reference_us` tells since when a frozen picture stands still."""
    y = plane(noisy(street(), 2, 1))
    first = score(y, None, 1000)
    assert first.reference_us is None
    assert score(y, first.fingerprint, 1000 + MINUTE).reference_us == 1000
    assert score(plane(street(320, 180)), first.fingerprint, 1000 + MINUTE).reference_us is None
    assert score(y, b"junk", 1000 + MINUTE).reference_us is None


@pytest.mark.parametrize("y", [np.zeros((4, 4, 3), np.uint8), np.zeros((64, 64), np.float32), np.zeros(64, np.uint8)])
def test_anything_but_a_luma_plane_is_refused(y: np.ndarray) -> None:
    """A colour picture handed in by mistake is our bug, not a bad picture."""
    with pytest.raises(ValueError, match="two-dimensional uint8"):
        score(y, None, 0)


def test_a_look_too_soon_keeps_the_picture_that_the_next_one_is_compared_with() -> None:
    """Confirming looks a second apart must not keep a frozen picture from ever being seen."""
    y = np.random.default_rng(3).integers(0, 255, (360, 640), dtype=np.uint8)
    first = score(y, None, 0)
    soon = score(y, first.fingerprint, 1_000_000)
    later = score(y, soon.fingerprint, 6_000_000)

    assert soon.fingerprint == first.fingerprint
    assert soon.reference_us is None
    assert later.reference_us == 0
    assert later.fingerprint != first.fingerprint
