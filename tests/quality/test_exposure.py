"""Brightness measures: laws on made planes, and what is left out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.quality.exposure import exposure


def values(y: np.ndarray) -> dict[str, float]:
    found = exposure(y)
    assert all(measure.valid for measure in found), found
    return {measure.name: measure.value for measure in found}


@given(level=st.integers(0, 255), height=st.integers(160, 400), width=st.integers(64, 1400))
def test_even_grey_reads_its_own_level(level: int, height: int, width: int) -> None:
    """Mean is the level, no deviation, no texture, dark or not; for any size."""
    found = values(np.full((height, width), level, np.uint8))
    expected = {"luma_mean": level, "luma_std": 0, "dark_share": float(level < 48), "texture": 0}
    assert found == pytest.approx(expected, abs=1e-9)


def test_mean_and_deviation_are_those_of_the_pixels() -> None:
    """Against numpy's own on a plane that is not strided down."""
    y = np.random.default_rng(1).integers(0, 256, (240, 320), dtype=np.uint8)
    found = values(y)
    scene = y[30:210].astype(float)
    assert found["luma_mean"] == pytest.approx(scene.mean())
    assert found["luma_std"] == pytest.approx(scene.std())
    assert found["dark_share"] == pytest.approx((scene < 48).mean())


def test_text_bands_do_not_count() -> None:
    """White text rows at top and bottom of a black picture change nothing."""
    y = np.full((360, 640), 17, np.uint8)
    y[:45], y[-45:] = 235, 235
    assert values(y)["luma_mean"] == 17


@pytest.mark.parametrize("sigma", [1, 2, 4])
def test_noise_is_no_texture(sigma: float) -> None:
    """Sensor noise on black stays below 2; a lit window in the night reads far more."""
    noise = np.random.default_rng(sigma).normal(20, sigma, (360, 640)).clip(0, 255).astype(np.uint8)
    assert values(noise)["texture"] < 2
    lit = noise.copy()
    lit[100:180, 300:420] = 90  # 5.6 % of the scene
    assert values(lit)["texture"] > 20


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (16, 16), (8192, 1), (1, 8192)])
def test_a_plane_too_small_cannot_be_judged(shape: tuple[int, int]) -> None:
    """No exception, no invented number."""
    assert {(m.valid, m.why) for m in exposure(np.zeros(shape, np.uint8)) if m.name == "luma_mean"} in (
        {(False, "too_small")},
        {(True, None)},  # 8192x1 has enough pixels for a mean
    )
    assert all(not m.valid for m in exposure(np.zeros(shape, np.uint8)) if m.name == "texture")
