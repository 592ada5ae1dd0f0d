"""Stage 5: how bright the picture is and whether anything shows: luma_mean, luma_std, dark_share, texture.

Together they tell a black picture (covered, dead sensor, dead light) from a dark one. They cannot tell a lens cap from
a night without any supplementary light: both are black, and both mean that nothing can be seen.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamwatch.model.look import Measurement
from streamwatch.quality.plane import Luma, inner, thinned, tiles
from streamwatch.quality.scratch import Scratch
from streamwatch.quality.table import DARK_SHARE, LUMA_MEAN, LUMA_STD, TEXTURE

DARK_BELOW: Final = np.uint8(48)  # levels; video black is 16 (ITU-R BT.601); a covered lens with gain reads 16-35
SAMPLE_WIDTH: Final = 320  # pixels taken per row: brightness needs no more, and costs 0.03 ms instead of 0.3 ms
TILE: Final = 8  # pixels of the sampled plane: the mean of 64 brings sensor noise of 4 down to 0.5 grey levels
MIN_PIXELS: Final = 1024  # fewer say nothing about a picture


def exposure(y: Luma, scratch: Scratch | None = None) -> tuple[Measurement, ...]:
    """luma_mean (0-255), luma_std (0-127.5), dark_share (0-1) and texture (0-255) of the rows between the text bands.

    `y` is a uint8 luma plane, shape (height, width), and stays unchanged. All are invalid, why="too_small", below
    1,024 pixels. Pixels are sampled at whole strides down to about 320 a row: brightness does not mind aliasing.
    """
    scratch, scene = scratch or Scratch(), inner(y)
    return exposed(thinned(scene, exposure_stride(scene), scratch), scratch)


def exposure_stride(scene: Luma) -> int:
    """How far apart the pixels are that `exposed` wants of a scene."""
    width: int = scene.shape[1]
    return max(1, width // SAMPLE_WIDTH)


def exposed(sample: Luma, scratch: Scratch) -> tuple[Measurement, ...]:
    """`exposure` of a plane that is without text bands, thinned and contiguous already."""
    if sample.size < MIN_PIXELS:
        names = (LUMA_MEAN, LUMA_STD, DARK_SHARE, TEXTURE)
        return tuple(Measurement(name, 0.0, valid=False, why="too_small") for name in names)
    tiled = sample.shape[0] // TILE * TILE
    levels = scratch.array(sample.shape, np.uint16)
    np.copyto(levels, sample)
    sums = np.add.reduce(levels[:tiled].reshape(-1, TILE, sample.shape[1]), axis=1, dtype=np.uint16)  # 8 * 255 < 2**16
    total = int(np.add.reduce(sums, axis=None)) + int(np.add.reduce(levels[tiled:], axis=None))
    levels *= levels  # 255 * 255 < 2**16, and a row of them < 2**32
    squares = int(np.add.reduce(np.add.reduce(levels, axis=1, dtype=np.uint32)))
    dark = np.less(sample, DARK_BELOW, out=scratch.array(sample.shape, np.bool_))
    mean = total / sample.size
    variance = squares / sample.size - mean * mean
    return (
        Measurement(LUMA_MEAN, mean),
        Measurement(LUMA_STD, max(0.0, variance) ** 0.5),
        Measurement(DARK_SHARE, int(np.count_nonzero(dark)) / sample.size),
        _texture(sums),
    )


def _texture(sums: NDArray[np.uint16]) -> Measurement:
    """Spread of tile means: noise averages out of it, and a few bright text pixels do not reach the percentiles."""
    rows, columns = sums.shape[0], sums.shape[1] // TILE
    if rows < 2 or columns < 2:
        return Measurement(TEXTURE, 0.0, valid=False, why="too_small")
    last = rows * columns - 1
    low, high = last * 5 // 100, last * 95 // 100
    ordered = np.partition(tiles(np.add, sums[:, : columns * TILE].reshape(-1), TILE), (low, high))  # 64 * 255 < 2**16
    return Measurement(TEXTURE, (int(ordered[high]) - int(ordered[low])) / (TILE * TILE))
