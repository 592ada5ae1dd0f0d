"""Stage 5: a luma plane -> short profiles across its edges, along x and along y, in one array.

A profile is 16 neighbouring samples of a line; a line is the mean of two neighbouring rows (or columns) of the plane
brought down to at most 1280 wide. Sums of bytes are taken two bytes at a time: 256 a + b less 255 a is a + b.
"""

from __future__ import annotations

import functools
import math
import sys
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streamwatch.quality.plane import WORDS, Luma
from streamwatch.quality.scratch import Scratch

PROFILE: Final = 16  # samples of one profile across an edge
MAX_WIDTH: Final = 1280  # pixels; wider planes are averaged down: blur that matters is wider there
LINES: Final = 160  # across a picture of up to DENSE_WIDTH samples: one pair in 4 at 640 wide
# Wider ones give as many profiles as one of 640: of 1,316 pictures from 960 wide on, sharp, blurred and noisy, coded
# finely and coarsely, none was judged otherwise with twice as many. At 768 a bare road has no edge to spare.
DENSE_WIDTH: Final = 800
ENOUGH_WIDTH: Final = 640
MAX_FACTOR: Final = 11  # a sample is the mean of 2 * 11 * 11 pixels: 242 * 255 < 2**16
MAX_BOX: Final = 16  # 16 * 16 * 255 < 2**16
CELLS: Final = 4  # 4 x 4 parts of the picture

_EIGHT: Final = np.uint16(8)
_SIXTEEN: Final = np.uint32(16)
_255: Final = np.uint16(255)


@dataclass(frozen=True, slots=True)
class Grid:
    """One direction: `profiles` in each of `lines`, made up to whole cells of `rows` x `columns` by flat profiles.

    `size` counts the profiles with the flat ones.
    """

    profiles: int
    lines: int
    rows: int
    columns: int
    size: int

    def cut(self, profiles: NDArray[Any]) -> NDArray[Any]:
        """One value a profile, as (cell row, cell column, profile, line): a view."""
        return profiles.reshape(CELLS, self.rows, CELLS, self.columns).transpose(0, 2, 1, 3)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the profiles of a plane lie: the mean of `factor` pixels is a sample, a line begins at each `every`th."""

    factor: int
    every: int
    along_x: Grid
    along_y: Grid


@functools.lru_cache(maxsize=64)  # the sizes of one's cameras, twice: fine and coarse
def _layout(height: int, width: int) -> Layout:
    factor = -(-width // MAX_WIDTH)
    every = factor * _every(width / factor)
    return Layout(factor, every, _grid(width, height, factor, every), _grid(height, width, factor, every))


def _every(width: float) -> int:
    """How many samples apart the lines are: 4 at 640 wide, 8 at 960, 16 at 1280."""
    if width <= DENSE_WIDTH:
        return max(2, round(width / LINES))
    return 2 * round(width * width / (2 * ENOUGH_WIDTH * LINES))


def _grid(length: int, across: int, factor: int, every: int) -> Grid:
    """`length` pixels along the profiles, `across` pixels across them."""
    profiles, lines = length // factor // PROFILE, (across - 2 * factor) // every + 1
    rows, columns = -(-profiles // CELLS), -(-lines // CELLS)
    return Grid(profiles, lines, rows, columns, CELLS * CELLS * rows * columns)


def profiles_of(y: Luma, scratch: Scratch) -> tuple[Luma, tuple[Grid, Grid]]:
    """Sample k of all profiles in row k, shape (16, profiles): first those along x, then those along y.

    `y` has contiguous rows of 1 to 14,080 pixels (`MAX_WIDTH * MAX_FACTOR`).
    """
    layout = _layout(*y.shape)
    factor, every, along_x, along_y = layout.factor, layout.every, layout.along_x, layout.along_y
    samples = scratch.array((PROFILE, along_x.size + along_y.size), np.uint8)
    used = scratch.used
    columns = _columns(y[: along_y.profiles * PROFILE * factor], factor, every, along_y.lines, scratch)
    _fill(samples[:, along_x.size :], along_y, columns)
    scratch.used = used
    rows = _rows(y[:, : along_x.profiles * PROFILE * factor], factor, every, along_x.lines, scratch)
    _fill(samples[:, : along_x.size], along_x, rows.T)
    scratch.used = used
    return samples, (along_x, along_y)


def _fill(samples: Luma, grid: Grid, lines: NDArray[Any]) -> None:
    """`lines` has the shape (16 x profiles, lines)."""
    into = samples.reshape(PROFILE, CELLS * grid.rows, CELLS * grid.columns)
    cut = lines.reshape(grid.profiles, PROFILE, grid.lines).transpose(1, 0, 2)
    np.copyto(into[:, : grid.profiles, : grid.lines], cut, casting="unsafe")
    if grid.profiles % CELLS:
        into[:, grid.profiles :] = 0
    if grid.lines % CELLS:
        into[:, :, grid.lines :] = 0


def _rows(y: Luma, factor: int, every: int, count: int, scratch: Scratch) -> NDArray[Any]:
    """Means of 2 x `factor` rows from each multiple of `every` on and of `factor` columns, shape (count, columns)."""
    lines = [y[k::every][:count] for k in range(2 * factor)]
    if factor == 1:  # (a + b) // 2 without a ninth bit
        half: Luma = np.bitwise_xor(lines[0], lines[1], out=scratch.array(lines[0].shape, np.uint8))
        half >>= 1
        half += np.bitwise_and(lines[0], lines[1], out=scratch.array(lines[0].shape, np.uint8))
        return half
    total = scratch.array(lines[0].shape, np.uint16)
    np.copyto(total, lines[0])
    for line in lines[1:]:
        total += line
    return _mean(_folded_columns(total, factor, scratch), 2 * factor * factor)


def _columns(y: Luma, factor: int, every: int, count: int, scratch: Scratch) -> NDArray[np.uint16]:
    """Means of 2 x `factor` columns from each multiple of `every` on and of `factor` rows, shape (rows, count)."""
    deep = 2 * factor
    if every % 2:  # no pair begins at each line
        total = scratch.array((len(y), count), np.uint16)
        np.copyto(total, y[:, ::every][:, :count])
        for k in range(1, deep):
            total += y[:, k::every][:, :count]
        return _mean(_folded_rows(total, factor, scratch), deep * factor)
    size = 4 if factor % 2 == 0 and every % 4 == 0 else 2
    wide = math.gcd(every, y.shape[1], 8) if size == deep else 0  # to narrow words beats to pick out their beginnings
    wide = max(wide, size)
    words = y[:, : y.shape[1] // wide * wide].view(WORDS[wide])
    total = scratch.array((len(y) // factor, count * size // 2), np.uint16)
    for k in range(deep // size):
        used = scratch.used
        picked = scratch.array((len(y), count), WORDS[size])
        np.copyto(picked, words[:, k :: every // wide][:, :count], casting="unsafe")
        pairs = picked.view(WORDS[2])
        high = np.right_shift(pairs, _EIGHT, out=scratch.array(pairs.shape, np.uint16))
        high *= _255
        pairs -= high
        if k:
            total += _folded_rows(pairs, factor, scratch)
        elif factor > 1:
            np.copyto(total, _folded_rows(pairs, factor, scratch))
        else:
            return _mean(pairs, deep)
        scratch.used = used
    return _mean(_folded_columns(total, size // 2, scratch), deep * factor)


def _folded_rows(total: NDArray[np.uint16], factor: int, scratch: Scratch) -> NDArray[np.uint16]:
    """Sums of every `factor` rows."""
    if factor == 1:
        return total
    shape = (len(total) // factor, total.shape[1])
    found: NDArray[np.uint16] = np.add(total[::factor], total[1::factor], out=scratch.array(shape, np.uint16))
    for k in range(2, factor):
        found += total[k::factor]
    return found


def _folded_columns(total: NDArray[np.uint16], factor: int, scratch: Scratch) -> NDArray[np.uint16]:
    """Sums (below 2**16) of every `factor` columns of a contiguous array, whose values may be lost."""
    width = total.shape[1] // factor * factor
    if factor % 2 or total.shape[1] % 2 or sys.byteorder == "big":
        parts = [total[:, k:width:factor] for k in range(factor)]
    else:  # of a pair of columns the left one becomes their sum
        pairs = total.view(np.uint32)
        pairs += np.right_shift(pairs, _SIXTEEN, out=scratch.array(pairs.shape, np.uint32))
        parts = [total[:, k:width:factor] for k in range(0, factor, 2)]
    found = scratch.array(parts[0].shape, np.uint16)
    np.copyto(found, parts[0])
    for part in parts[1:]:
        found += part
    return found


def _mean(total: NDArray[np.uint16], pixels: int) -> NDArray[np.uint16]:
    if pixels & (pixels - 1):
        total //= np.uint16(pixels)
    else:
        total >>= np.uint16(pixels.bit_length() - 1)
    return total


def area_reduced(y: Luma, factor: int, scratch: Scratch) -> Luma:
    """The plane averaged over factor x factor boxes, shape (height // factor, width // factor); 1 gives `y` itself."""
    if factor <= 1:
        return y
    height = y.shape[0] // factor
    total = scratch.array((height, y.shape[1]), np.uint16)
    np.copyto(total, y[: height * factor : factor])
    for k in range(1, factor):
        total += y[k : height * factor : factor]
    if factor <= MAX_BOX:
        boxes = _folded_columns(total, factor, scratch)
        boxes //= np.uint16(factor * factor)
        return boxes.astype(np.uint8)
    width = y.shape[1] // factor
    wide: NDArray[np.uint32] = np.add.reduce(
        total[:, : width * factor].reshape(height, width, factor), axis=2, dtype=np.uint32
    )
    wide //= np.uint32(factor * factor)
    return wide.astype(np.uint8)
