"""The fast measures against their definitions: the same numbers, whatever the size and the content of the plane."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamwatch.quality import fingerprint, score
from streamwatch.quality.exposure import exposure
from streamwatch.quality.profiles import area_reduced
from streamwatch.quality.scratch import BYTES, Scratch
from streamwatch.quality.sharpness import sharpness
from tests.decoders.streams import blurred, noisy, plane, street
from tests.quality import slow
from tests.quality.test_streams import CLIPS, natural

# Every stride, word and factor: odd and even widths, 4:3 cameras, what is averaged down by 2 (1080p, 4:3 at 1440 wide),
# by 3 (2688), and a line in 3, 5 and 7 where no pairs of columns can be read.
SIZES = [
    (64, 86), (176, 144), (352, 288), (479, 270), (480, 270), (638, 358), (640, 360), (704, 576), (768, 576),
    (800, 600), (1119, 640), (1280, 720), (1282, 722), (1440, 1080),
    (1920, 1080), (2304, 1296), (2560, 1440), (2688, 1520),
]  # fmt: skip
TOLERANCE = 1e-6  # of the sharpness: its medians are 32-bit floats; all other measures are exact


def same(y: np.ndarray, scratch: Scratch | None = None) -> None:
    """Asserts that all measures of `y` are those of the definitions."""
    before = y.copy()
    levels = {found.name: found.value for found in exposure(y, scratch)}
    assert levels == pytest.approx(slow.brightness(y), abs=1e-9)
    tiles = slow.tiles(y)
    assert (fingerprint.take(y, 0, scratch).tiles == tiles).all()
    edges = {found.name: found.value if found.valid else None for found in sharpness(y, scratch)}
    assert edges == pytest.approx(slow.sharpness(y), abs=TOLERANCE)
    scored = score(y, None, 0)
    assert {found.name: found.value for found in scored.measures if found.name in levels} == levels
    assert fingerprint.Fingerprint(y.shape[1], y.shape[0], 0, tiles).pack() == scored.fingerprint
    assert (y == before).all()


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_pictures_of_every_size_read_as_defined(width: int, height: int) -> None:
    """A street with sensor noise, and one out of focus, for which the coarse measure is taken as well."""
    y = street(max(width, 176), max(height, 144))[:height, :width]
    same(plane(noisy(y, 2, 1)))
    soft = blurred(y[::4, ::4], 1.5).repeat(4, 0).repeat(4, 1)[:height, :width]
    same(plane(noisy((soft + np.roll(soft, 2, 0) + np.roll(soft, 2, 1)) / 3, 2, 1)))


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(64, 700),
    height=st.integers(86, 400),
    pad=st.integers(0, 9),
    levels=st.integers(2, 40),
    block=st.integers(1, 12),
    seed=st.integers(0, 2**16),
)
def test_any_plane_reads_as_defined(width: int, height: int, pad: int, levels: int, block: int, seed: int) -> None:
    """Blocks of few levels: many equal heights, whose order within a cell counts; rows padded and unaligned."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, levels, (height // block + 1, width // block + 1)) * (255 // (levels - 1))
    wide = np.zeros((height, width + pad), np.uint8)
    wide[:, pad:] = drawn.repeat(block, 0).repeat(block, 1)[:height, :width]
    same(wide[:, pad:])


@settings(max_examples=30, deadline=None)
@given(factor=st.integers(1, 40), width=st.integers(41, 300), height=st.integers(41, 120), white=st.booleans())
@example(factor=16, width=64, height=64, white=True)
@example(factor=17, width=64, height=64, white=True)
def test_boxes_are_averaged_as_defined(factor: int, width: int, height: int, white: bool) -> None:
    """Also where a box of white pixels is the largest sum there is."""
    y = np.random.default_rng(factor).integers(255 if white else 0, 256, (height, width), dtype=np.uint8)
    assert (area_reduced(y, factor, Scratch()) == slow.area_reduced(y, factor)).all()


@pytest.mark.parametrize("clip", CLIPS)
def test_natural_clips_read_as_defined(shared_data: Path, clip: str) -> None:
    """Every eighth second, in memory that the pictures before have used."""
    scratch = Scratch()
    for y in list(natural(shared_data / "media" / clip))[::8]:
        scratch.used = 0
        same(y, scratch)


def test_natural_photographs_read_as_defined(shared_data: Path) -> None:
    """Sharp and really blurred, at their own sizes."""
    for path in sorted((shared_data / "images").rglob("*.[jJ][pP][gG]")):
        (y,) = natural(path)
        same(y)


def test_planes_read_against_the_grain_are_the_same() -> None:
    """Mirrored and turned views, whose rows are not contiguous in memory."""
    y = plane(noisy(street(), 2, 1))
    for view in (y[:, ::-1], y[::-1], np.asfortranarray(y)):
        same(view)


def test_what_a_picture_left_in_the_scratch_does_not_matter() -> None:
    """Neither its values nor its size; what does not fit is allocated."""
    small, large = plane(noisy(street(352, 288), 2, 1)), plane(noisy(street(1920, 1080), 2, 1))
    scratch = Scratch()
    scratch.array((BYTES,), np.uint8)[:] = 0xA5
    for y in (small, large, small):
        scratch.used = 0
        same(y, scratch)
    scratch.used = BYTES - 100
    same(small, scratch)


def test_scratch_hands_out_each_byte_once() -> None:
    """Arrays do not overlap until `used` is set back, begin at cache lines, and may be larger than all of it."""
    scratch = Scratch()
    first, second = scratch.array((3, 5), np.uint16), scratch.array((7,), np.uint64)
    assert first.shape == (3, 5) and first.dtype == np.dtype(np.uint16)
    assert second.shape == (7,) and second.dtype == np.dtype(np.uint64)
    assert not np.shares_memory(first, second)
    assert (second.ctypes.data - first.ctypes.data) % 64 == 0
    assert scratch.array((BYTES + 1,), np.uint8).size == BYTES + 1
    scratch.used = 0
    assert np.shares_memory(scratch.array((3, 5), np.uint16), first)
