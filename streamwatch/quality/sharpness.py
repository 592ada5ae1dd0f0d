"""Stage 5: how sharp the sharpest edges are: `sharpness`, and `sharpness_coarse` where the first is low.

Blur widens even the best edge of a picture, whatever its texture; so the measure looks at the steepest step inside
short profiles across edges, relative to the edge's own height, in the strongest profiles of each part of the picture.
Averages over all pixels (Laplacian variance) confuse a bare wall with a blurred street, and noise with sharpness.

It cannot tell a lens out of focus from a small picture that was enlarged: for that the coarse measure exists. Nor from
the halo of a lamp or a low sun, which is no edge: brought down in size an edge becomes steeper, a halo does not.
"""

from __future__ import annotations

import sys
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamwatch.model.look import Measurement
from streamwatch.quality.plane import MIN_SIDE, Luma, inner
from streamwatch.quality.profiles import CELLS, MAX_FACTOR, MAX_WIDTH, Grid, area_reduced, profiles_of
from streamwatch.quality.scratch import Scratch
from streamwatch.quality.table import SHARPNESS, SHARPNESS_COARSE

COARSE_WIDTH: Final = 320
COARSE_BELOW: Final = 0.40  # the coarse measure is taken below this; verdict.py asks for it below 0.34
MIN_RANGE: Final = 16  # grey levels: a lower edge is grain
NOISE_RANGES: Final = 3  # an edge is at least three times the range of the quietest tenth of the profiles
NOISE_PART: Final = 0.3  # of that quiet range, taken off step and range: what noise adds to both
CELL_MIN_KEPT: Final = 5  # profiles
MIN_CELLS: Final = 2  # along x, or along y
MIN_CELLS_BOTH: Final = 6  # of 32: the few edges of a bare road may all be soft, and say nothing of the lens
CELL_PERCENTILE: Final = 70  # the sharper part of the picture: depth of field leaves some of it soft

_CELLS: Final = CELLS * CELLS
_EACH: Final = np.arange(2 * _CELLS)
_TOP: Final = np.uint32(24)
_LOW_BYTE, _HIGH_BYTE = (0, 3) if sys.byteorder == "little" else (3, 0)


def sharpness(y: Luma, scratch: Scratch | None = None) -> tuple[Measurement, ...]:
    """`sharpness` 0-1 of a uint8 luma plane (1 = ideal step, less is softer), and `sharpness_coarse` where it is low.

    Invalid with why="no_detail" where fewer than six of its parts, 16 along x and 16 along y, hold five edges above the
    noise, and with why="too_small" below 64 pixels a side; the coarse one also where it is the lower of the two, as of
    the halo of a lamp. The text bands are left out. `y` stays unchanged and is
    never enlarged. A strip wider than 14,080 pixels is no camera's picture: no_detail.
    """
    scratch = scratch or Scratch()
    scene = inner(y)
    if min(scene.shape) < MIN_SIDE:
        return (Measurement(SHARPNESS, 0.0, valid=False, why="too_small"),)
    fine = edge_sharpness(scene, scratch)
    if fine is None:
        return (Measurement(SHARPNESS, 0.0, valid=False, why="no_detail"),)
    first = Measurement(SHARPNESS, fine)
    if fine >= COARSE_BELOW:
        return (first,)
    scratch.used = 0
    return (first, _coarse(scene, fine, scratch))


def _coarse(scene: Luma, fine: float, scratch: Scratch) -> Measurement:
    factor = max(1, round(scene.shape[1] / COARSE_WIDTH))
    if factor == 1:
        return Measurement(SHARPNESS_COARSE, fine)
    small = area_reduced(scene, factor, scratch)
    if min(small.shape) < MIN_SIDE:
        return Measurement(SHARPNESS_COARSE, 0.0, valid=False, why="too_small")
    value = edge_sharpness(small, scratch)
    if value is None:
        return Measurement(SHARPNESS_COARSE, 0.0, valid=False, why="no_detail")
    if value < fine:  # at twice the step the edges would be steeper: what is left there are halos and shading
        return Measurement(SHARPNESS_COARSE, 0.0, valid=False, why="no_detail")
    return Measurement(SHARPNESS_COARSE, value)


def edge_sharpness(y: Luma, scratch: Scratch | None = None) -> float | None:
    """The lower of the sharpness along x and along y (motion blur keeps one sharp), 0-1; None without detail."""
    if y.shape[1] > MAX_WIDTH * MAX_FACTOR:
        return None
    scratch = scratch or Scratch()
    samples, grids = profiles_of(y, scratch)
    parts = _parts(*_measured(samples, scratch), grids)
    if sum(map(len, parts)) < MIN_CELLS_BOTH:
        return None
    return min(_percentile(medians) for medians in parts if len(medians) >= MIN_CELLS)


def _measured(samples: Luma, scratch: Scratch) -> tuple[Luma, Luma]:
    """Height (range) and steepest step of each profile."""
    height = np.maximum.reduce(samples, axis=0)
    height -= np.minimum.reduce(samples, axis=0)
    before, after = samples[:-1], samples[1:]
    steps = np.maximum(before, after, out=scratch.array(before.shape, np.uint8))
    steps -= np.minimum(before, after, out=scratch.array(before.shape, np.uint8))
    return height, np.maximum.reduce(steps, axis=0)


def _parts(height: Luma, step: Luma, grids: tuple[Grid, Grid]) -> list[list[float]]:
    """Of each direction, of each cell that keeps enough profiles: the median over their strongest quarter."""
    heights = height[: grids[0].size], height[grids[0].size :]
    quiet = [_quiet(part, grid.profiles * grid.lines) for part, grid in zip(heights, grids, strict=True)]
    keys = _sorted_cells(height, step, grids)
    count = keys.shape[1]
    floor = [max(MIN_RANGE, NOISE_RANGES * q) << 24 for q in quiet]
    enough = keys >= np.array([min(low, 2**32 - 1) for low in floor], np.uint32).repeat(_CELLS)[:, None]
    kept = (count - enough.argmax(axis=1)) % count  # from the first one that is; the very first key never is
    quarter = (kept + 3) >> 2
    widest = int(quarter.max())
    if widest == 0:
        return []
    strongest = keys.view(np.uint8).reshape(2 * _CELLS, count, 4)[:, count - widest :]
    noise = np.array([NOISE_PART * q for q in quiet], np.float32).repeat(_CELLS)[:, None]
    steep = strongest[:, :, _LOW_BYTE] - noise
    span = strongest[:, :, _HIGH_BYTE] - noise
    np.maximum(span, 1, out=span)  # of kept profiles none is below
    steep /= span
    np.copyto(steep, 2, where=np.arange(widest, 0, -1) > quarter[:, None])  # beyond the quarter: sorts to the end
    steep.sort(axis=1)
    lower, upper = steep[_EACH, (quarter - 1) >> 1], steep[_EACH, quarter >> 1]
    medians = (np.maximum(lower, 0) + np.maximum(upper, 0)) / 2
    good = kept >= CELL_MIN_KEPT
    return [medians[cells][good[cells]].tolist() for cells in (slice(_CELLS), slice(_CELLS, None))]


def _quiet(height: Luma, count: int) -> int:
    """The 10th percentile of `count` heights that lie among others of 0; 0 without any."""
    if not count:
        return 0
    at = height.size - count + count // 10
    return int(np.add.accumulate(np.bincount(height)).searchsorted(at, "right"))


def _sorted_cells(height: Luma, step: Luma, grids: tuple[Grid, Grid]) -> NDArray[np.uint32]:
    """The profiles of each cell in a row, weakest first; of equal ones the first in the picture comes last.

    A cell of a picture of 65,535 rows, the most that a codec knows, has 51,000 profiles: their order has two bytes.
    Shape (32, 1 + profiles of a cell): height in the top byte, step in the lowest, 0 in front of the shorter rows.
    """
    ranked = height.astype(np.uint32)
    ranked <<= _TOP
    ranked |= step
    keys = np.zeros((2 * _CELLS, 1 + max(grid.size for grid in grids) // _CELLS), np.uint32)
    at = 0
    for k, grid in enumerate(grids):
        size = grid.size // _CELLS
        into = keys[k * _CELLS : (k + 1) * _CELLS, 1 : 1 + size].reshape(CELLS, CELLS, grid.rows, grid.columns)
        order = np.arange(size << 8, 0, -256, dtype=np.uint32).reshape(grid.rows, grid.columns)
        np.bitwise_or(grid.cut(ranked[at : at + grid.size]), order, out=into)
        at += grid.size
    keys.sort(axis=1)
    return keys


def _percentile(medians: list[float]) -> float:
    """The sharper part of them: linear between its neighbours, as numpy's. There is one at least."""
    medians.sort()
    low, part = divmod((len(medians) - 1) * CELL_PERCENTILE, 100)
    high = min(low + 1, len(medians) - 1)
    return medians[low] + (medians[high] - medians[low]) * part / 100
