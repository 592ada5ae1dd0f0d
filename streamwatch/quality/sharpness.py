"""Stage 5: how sharp the sharpest edges are: `sharpness`, and `sharpness_coarse` where the first is low.

Blur widens even the best edge of a picture, whatever its texture; so the measure looks at the steepest step inside
short profiles across edges, relative to the edge's own height, in the strongest profiles of each part of the picture.
Averages over all pixels (Laplacian variance) confuse a bare wall with a blurred street, and noise with sharpness.

It cannot tell a lens out of focus from a small picture that was enlarged: for that the coarse measure exists.
"""

from __future__ import annotations

from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from streamwatch.model.look import Measurement
from streamwatch.quality.plane import MIN_SIDE, Luma, area_reduced, inner
from streamwatch.quality.table import SHARPNESS, SHARPNESS_COARSE

PROFILE: Final = 16  # samples of one profile across an edge
MAX_WIDTH: Final = 1280  # pixels; wider planes are averaged down: blur that matters is wider there
LINES_PER_WIDTH: Final = 160  # one pair of lines in 4 at 640 wide, in 8 at 1280: more lines do not separate better
COARSE_WIDTH: Final = 320
COARSE_BELOW: Final = 0.40  # the coarse measure is taken below this; verdict.py asks for it below 0.34
MIN_RANGE: Final = 16  # grey levels: a lower edge is grain
NOISE_RANGES: Final = 3  # an edge is at least three times the range of the quietest tenth of the profiles
NOISE_PART: Final = 0.3  # of that quiet range, taken off step and range: what noise adds to both
CELLS: Final = 4  # 4 x 4 parts of the picture
CELL_MIN_KEPT: Final = 5  # profiles
MIN_CELLS: Final = 2
CELL_PERCENTILE: Final = 70  # the sharper part of the picture: depth of field leaves some of it soft


def sharpness(y: Luma) -> tuple[Measurement, ...]:
    """`sharpness` 0-1 of a uint8 luma plane (1 = ideal step, less is softer), and `sharpness_coarse` where it is low.

    Invalid with why="no_detail" where fewer than two parts of the picture hold five edges above the noise, and with
    why="too_small" below 64 pixels a side. The text bands are left out. `y` stays unchanged and is never enlarged.
    """
    scene = inner(y)
    if min(scene.shape) < MIN_SIDE:
        return (Measurement(SHARPNESS, 0.0, valid=False, why="too_small"),)
    fine = edge_sharpness(scene)
    if fine is None:
        return (Measurement(SHARPNESS, 0.0, valid=False, why="no_detail"),)
    first = Measurement(SHARPNESS, fine)
    if fine >= COARSE_BELOW:
        return (first,)
    return (first, _coarse(scene, fine))


def _coarse(scene: Luma, fine: float) -> Measurement:
    factor = max(1, round(scene.shape[1] / COARSE_WIDTH))
    if factor == 1:
        return Measurement(SHARPNESS_COARSE, fine)
    small = area_reduced(scene, factor)
    if min(small.shape) < MIN_SIDE:
        return Measurement(SHARPNESS_COARSE, 0.0, valid=False, why="too_small")
    value = edge_sharpness(small)
    if value is None:
        return Measurement(SHARPNESS_COARSE, 0.0, valid=False, why="no_detail")
    return Measurement(SHARPNESS_COARSE, value)


def edge_sharpness(y: Luma) -> float | None:
    """The lower of the sharpness along x and along y (motion blur keeps one sharp), 0-1; None without detail."""
    factor = -(-y.shape[1] // MAX_WIDTH)
    step = max(2, round(y.shape[1] / factor / LINES_PER_WIDTH))
    found = [
        value
        for value in (_directed(_across_x(y, factor, step)), _directed(_across_y(y, factor, step)))
        if value is not None
    ]
    return min(found) if found else None


def _across_x(y: Luma, factor: int, step: int) -> Luma:
    """Profiles along x, shape (profiles, 16, lines): the sample axis second to last, which numpy reduces 6 x faster."""
    every = step * factor
    count = (y.shape[0] - 2 * factor) // every + 1
    total = np.zeros((count, y.shape[1]), np.uint16)
    for k in range(2 * factor):  # two neighbouring lines of the reduced plane
        total += y[k::every][:count]
    width = y.shape[1] // factor
    if factor > 1:  # sums of up to 6 x 3 pixels (3840 wide) stay far below 2**16; slices beat a reduction over axis 2
        total = _summed([total[:, k : width * factor : factor] for k in range(factor)])
    lines = (total // (2 * factor * factor)).astype(np.uint8)
    profiles = width // PROFILE
    return np.ascontiguousarray(lines[:, : profiles * PROFILE].T).reshape(profiles, PROFILE, count)


def _across_y(y: Luma, factor: int, step: int) -> Luma:
    """Profiles along y, shape (profiles, 16, columns)."""
    every = step * factor
    count = (y.shape[1] - 2 * factor) // every + 1
    total = np.zeros((y.shape[0], count), np.uint16)
    for k in range(2 * factor):
        total += y[:, k::every][:, :count]
    height = y.shape[0] // factor
    if factor > 1:
        total = _summed([total[k : height * factor : factor] for k in range(factor)])
    lines = (total // (2 * factor * factor)).astype(np.uint8)
    profiles = height // PROFILE
    return lines[: profiles * PROFILE].reshape(profiles, PROFILE, count)


def _summed(parts: list[NDArray[np.uint16]]) -> NDArray[np.uint16]:
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    return total


def _directed(profiles: Luma) -> float | None:
    """Sharpness in one direction, 0-1, or None where there is too little detail."""
    height = profiles.max(axis=1) - profiles.min(axis=1)
    before, after = profiles[:, :-1], profiles[:, 1:]
    step = (np.maximum(before, after) - np.minimum(before, after)).max(axis=1)
    quiet = int(np.partition(height.ravel(), height.size // 10)[height.size // 10])
    floor = max(MIN_RANGE, NOISE_RANGES * quiet)
    noise = np.float32(NOISE_PART * quiet)
    kept = height >= floor
    if not kept.any():
        return None
    span = height.astype(np.float32)
    slope = (step - noise) / np.where(kept, span - noise, np.float32(1))
    steep = cast("NDArray[np.float32]", np.clip(slope, 0, 1))
    return _sharper_part(_cells(np.where(kept, span, np.float32(-1)), -1.0), _cells(steep, 0.0))


def _cells(values: NDArray[np.float32], blank: float) -> NDArray[np.float32]:
    """The plane of profiles cut into 4 x 4 cells, shape (16, profiles of a cell), the last ones filled with `blank`."""
    rows, columns = -(-values.shape[0] // CELLS) * CELLS, -(-values.shape[1] // CELLS) * CELLS
    full = np.full((rows, columns), blank, np.float32)
    full[: values.shape[0], : values.shape[1]] = values
    cut = full.reshape(CELLS, rows // CELLS, CELLS, columns // CELLS).transpose(0, 2, 1, 3)
    return cut.reshape(CELLS * CELLS, -1)


def _sharper_part(height: NDArray[np.float32], steep: NDArray[np.float32]) -> float | None:
    """Median over the strongest quarter of each cell's kept profiles, then the 70th percentile over cells."""
    kept = (height >= 0).sum(axis=1)
    good = kept >= CELL_MIN_KEPT
    if int(good.sum()) < MIN_CELLS:
        return None
    height, steep, kept = height[good], steep[good], kept[good]
    quarter = -(-kept // 4)
    # whole numbers of 0 to 255: sorting them as such takes a quarter of the time that floats take
    order = np.argsort((-height).astype(np.int16), axis=1, kind="stable")[:, : int(quarter.max())]
    strongest = np.take_along_axis(steep, order, axis=1)
    strongest[np.arange(strongest.shape[1])[None, :] >= quarter[:, None]] = 2  # beyond the quarter: sorts to the end
    strongest.sort(axis=1)
    cell = np.arange(len(kept))
    medians = (strongest[cell, (quarter - 1) // 2] + strongest[cell, quarter // 2]) / 2
    return float(np.percentile(medians, CELL_PERCENTILE))
