"""Stage 5: how bright the picture is and whether anything shows: luma_mean, luma_std, dark_share, texture.

Together they tell a black picture (covered, dead sensor, dead light) from a dark one. They cannot tell a lens cap from
a night without any supplementary light: both are black, and both mean that nothing can be seen.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from streamwatch.model.look import Measurement
from streamwatch.quality.plane import Luma, inner
from streamwatch.quality.table import DARK_SHARE, LUMA_MEAN, LUMA_STD, TEXTURE

DARK_BELOW: Final = 48  # grey levels; video black is 16 (ITU-R BT.601); a covered lens with gain and noise reads 16-35
SAMPLE_WIDTH: Final = 320  # pixels taken per row: a histogram needs no more, and costs 0.07 ms instead of 0.3 ms
TILE: Final = 8  # pixels of the sampled plane: the mean of 64 brings sensor noise of 4 down to 0.5 grey levels
MIN_PIXELS: Final = 1024  # fewer say nothing about a picture


def exposure(y: Luma) -> tuple[Measurement, ...]:
    """luma_mean (0-255), luma_std (0-127.5), dark_share (0-1) and texture (0-255) of the rows between the text bands.

    `y` is a uint8 luma plane, shape (height, width), and stays unchanged. All are invalid, why="too_small", below
    1,024 pixels. Pixels are sampled at whole strides down to about 320 a row: a histogram does not mind aliasing.
    """
    stride = max(1, y.shape[1] // SAMPLE_WIDTH)
    sample = inner(y)[::stride, ::stride]
    if sample.size < MIN_PIXELS:
        names = (LUMA_MEAN, LUMA_STD, DARK_SHARE, TEXTURE)
        return tuple(Measurement(name, 0.0, valid=False, why="too_small") for name in names)
    histogram = np.bincount(sample.ravel(), minlength=256)
    levels = np.arange(256)
    mean = float(histogram @ levels) / sample.size
    variance = float(histogram @ (levels * levels)) / sample.size - mean * mean
    dark = float(histogram[:DARK_BELOW].sum()) / sample.size
    return (
        Measurement(LUMA_MEAN, mean),
        Measurement(LUMA_STD, max(0.0, variance) ** 0.5),
        Measurement(DARK_SHARE, dark),
        _texture(sample),
    )


def _texture(sample: Luma) -> Measurement:
    """Spread of tile means: noise averages out of it, and a few bright text pixels do not reach the percentiles."""
    rows, columns = sample.shape[0] // TILE, sample.shape[1] // TILE
    if rows < 2 or columns < 2:
        return Measurement(TEXTURE, 0.0, valid=False, why="too_small")
    tiles = sample[: rows * TILE, : columns * TILE].reshape(rows, TILE, columns * TILE)
    sums = np.add.reduce(tiles, axis=1, dtype=np.uint16).reshape(rows, columns, TILE)
    means = np.sort(np.add.reduce(sums, axis=2, dtype=np.uint32).ravel()) / (TILE * TILE)
    last = means.size - 1
    return Measurement(TEXTURE, float(means[last * 95 // 100] - means[last * 5 // 100]))
