"""The blur measure: physical laws on made planes."""

from __future__ import annotations

import numpy as np
import pytest

from streamwatch.quality.sharpness import edge_sharpness, sharpness
from tests.decoders.streams import blurred, noisy, plane, street, with_clock


def fine(y: np.ndarray) -> float:
    first = sharpness(y)[0]
    assert first.valid, first
    return first.value


def test_hard_edges_read_one() -> None:
    """An unblurred drawing is as sharp as can be."""
    assert fine(plane(street())) > 0.95


@pytest.mark.parametrize("size", [(640, 360), (1280, 720), (1920, 1080)])
def test_more_blur_reads_less(size: tuple[int, int]) -> None:
    """Strictly falling with sigma, at each size."""
    read = [fine(plane(blurred(street(*size), sigma))) for sigma in (0.7, 1.2, 2, 3, 4.5)]
    assert read == sorted(read, reverse=True)
    assert read[0] > 1.5 * read[-1]


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0, 3.0])
def test_gaussian_blur_reads_about_its_physics(sigma: float) -> None:
    """The steepest step of a blurred edge is 0.4 / sigma of its height."""
    assert fine(plane(blurred(street(), sigma))) == pytest.approx(0.4 / sigma, rel=0.25)


@pytest.mark.parametrize("noise", [2, 5, 10])
def test_noise_does_not_fake_sharpness(noise: float) -> None:
    """A blurred picture with sensor noise stays far below a sharp one, and below the bar of the fault."""
    assert fine(plane(noisy(blurred(street(), 4), noise, 1))) < 0.30
    assert fine(plane(noisy(street(), noise, 1))) > 0.80


@pytest.mark.parametrize("axis", [0, 1])
def test_motion_blur_along_one_axis_is_seen(axis: int) -> None:
    """15 pixels of motion leave the other direction sharp; the lower one counts."""
    y = street()
    moved = sum(np.roll(y, k, axis) for k in range(15)) / 15
    assert fine(plane(moved)) < 0.30


def test_text_does_not_hide_blur() -> None:
    """Clock and name in the bands are the sharpest edges of a blurred picture; they do not count."""
    soft = blurred(street(), 4)
    assert fine(plane(with_clock(soft, 1))) == fine(plane(soft))


def test_mirrored_pictures_read_alike() -> None:
    """No side of the picture is preferred; line sampling moves the value a little."""
    y = plane(blurred(street(), 1.5))
    for other in (y[:, ::-1], y[::-1]):
        assert fine(other) == pytest.approx(fine(y), abs=0.06)


@pytest.mark.parametrize("gain", [0.4, 0.7])
def test_lower_contrast_is_not_blur(gain: float) -> None:
    """Fog halves every edge and blurs none."""
    y = street()
    assert fine(plane(y * gain + 60)) == pytest.approx(fine(plane(y)), abs=0.1)


@pytest.mark.parametrize("level", [0, 16, 128, 255])
def test_blank_plane_has_no_detail(level: int) -> None:
    """Nothing to judge is not blurred."""
    (found,) = sharpness(np.full((360, 640), level, np.uint8))
    assert (found.valid, found.why) == (False, "no_detail")


def test_noise_alone_has_no_detail() -> None:
    """Grain makes no edges."""
    for sigma in (2, 5, 20):
        (found,) = sharpness(plane(noisy(np.full((360, 640), 120.0), sigma, 3)))
        assert (found.valid, found.why) == (False, "no_detail")


def test_a_lamp_at_night_is_no_blurred_picture() -> None:
    """Its halo is soft by nature, and as soft when the picture is brought down: no coarse measure, so no fault."""
    x, y = np.arange(640)[None, :], np.arange(360)[:, None]
    night = 20 + 200 * np.exp(-np.hypot(x - 320, y - 180) / 40)
    halo, coarse = sharpness(plane(noisy(night, 1, 1)))
    assert halo.value < 0.30
    assert (coarse.valid, coarse.why) == (False, "no_detail")
    blur, coarse = sharpness(plane(noisy(blurred(street(), 4), 1, 1)))
    assert coarse.valid and coarse.value > blur.value


@pytest.mark.parametrize(("patches", "judged"), [(2, False), (12, True)])
def test_few_soft_edges_are_not_enough_to_judge_by(patches: int, judged: bool) -> None:
    """Two soft patches on a bare road may be all there is; a dozen of them and no sharp edge are a soft picture."""
    road = np.full((360, 640), 110.0)
    for k in range(patches):
        row, column = 90 + 50 * (k % 4), 60 + 190 * (k // 4)
        road[row : row + 30, column : column + 80] += 40
    first = sharpness(plane(noisy(blurred(road, 4), 1, 1)))[0]
    assert first.valid == judged
    assert first.why == (None if judged else "no_detail")
    assert first.value < 0.30


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (63, 640), (640, 63), (8192, 1)])
def test_a_plane_too_small_cannot_be_judged(shape: tuple[int, int]) -> None:
    """No exception, no invented number."""
    (found,) = sharpness(np.zeros(shape, np.uint8))
    assert (found.valid, found.why) == (False, "too_small")


@pytest.mark.parametrize("shape", [(64, 64), (86, 65), (144, 176), (431, 769), (1081, 1919), (2160, 3840), (300, 5000)])
def test_odd_and_large_sizes_are_judged(shape: tuple[int, int]) -> None:
    """Random texture in every size gives a value in range or no detail, never an exception."""
    y = np.random.default_rng(5).integers(0, 2, (shape[0] // 8 + 1, shape[1] // 8 + 1)).repeat(8, 0).repeat(8, 1)
    for found in sharpness(plane(y[: shape[0], : shape[1]] * 200.0)):
        assert 0 <= found.value <= 1


def test_coarse_measure_tells_an_enlarged_picture_from_a_blurred_one() -> None:
    """Both are soft at 640; brought down to 320 the enlarged one is sharp again."""
    small = street(320, 180)
    enlarged = blurred(np.kron(small, np.ones((2, 2))), 1.2)
    soft = blurred(street(), 4)
    read = [{m.name: m.value for m in sharpness(plane(y))} for y in (enlarged, soft)]
    assert read[0]["sharpness"] < 0.4 and read[1]["sharpness"] < 0.3
    assert read[0]["sharpness_coarse"] > 0.40
    assert read[1]["sharpness_coarse"] < 0.28


def test_padded_rows_read_like_packed_ones() -> None:
    """A view into wider decoder memory gives the same number as its copy."""
    y = plane(blurred(street(), 1.3))
    wide = np.zeros((360, 704), np.uint8)
    wide[:, :640] = y
    assert edge_sharpness(wide[:, :640]) == edge_sharpness(y)
