"""Stage 5: what all measures share about a luma plane: its text bands, and how it is brought down in size."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Luma = NDArray[np.uint8]

TEXT_BAND: Final = 8  # cameras burn clock and name into the top and bottom 1/8: sharper than any scene, and never still
MIN_SIDE: Final = 64  # pixels; below this a plane holds too few 16-sample profiles in 4x4 cells to say anything


def inner(y: Luma) -> Luma:
    """The rows between the text bands at top and bottom: a view, shape (about 3/4 height, width)."""
    height = y.shape[0]
    return y[height // TEXT_BAND : height - height // TEXT_BAND]


def area_reduced(y: Luma, factor: int) -> Luma:
    """The plane averaged over factor x factor boxes, shape (height // factor, width // factor); 1 gives `y` itself."""
    if factor <= 1:
        return y
    height, width = y.shape[0] // factor, y.shape[1] // factor
    rows = np.zeros((height, y.shape[1]), np.uint16)  # factor <= 64 boxes: 64 * 255 < 2**16
    for k in range(factor):
        rows += y[k : height * factor : factor]
    boxes = np.zeros((height, width), np.uint32)
    for k in range(factor):
        boxes += rows[:, k : width * factor : factor]
    return (boxes // (factor * factor)).astype(np.uint8)
