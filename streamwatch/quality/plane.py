"""Stage 5: what all measures share about a luma plane: its text bands, and how it is brought down in size.

numpy walks long contiguous rows at 20 to 60 GB/s and everything else an element at a time; the functions here keep the
measures on long rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streamwatch.quality.scratch import Scratch

Luma = NDArray[np.uint8]

TEXT_BAND: Final = 8  # cameras burn clock and name into the top and bottom 1/8: sharper than any scene, and never still
MIN_SIDE: Final = 64  # pixels; below this a plane holds too few 16-sample profiles in 4x4 cells to say anything
WORDS: Final[dict[int, Any]] = {2: "<u2", 4: "<u4", 8: "<u8"}  # bytes -> dtype whose low byte is the first one


def inner(y: Luma) -> Luma:
    """The rows between the text bands at top and bottom, shape (about 3/4 height, width): a view, rows contiguous."""
    height = y.shape[0]
    scene = y[height // TEXT_BAND : height - height // TEXT_BAND]
    return scene if scene.strides[1] == 1 else np.ascontiguousarray(scene)


def thinned(y: Luma, stride: int, scratch: Scratch) -> Luma:
    """`y[::stride, ::stride]`, contiguous. Whole words are narrowed to their first bytes 3 to 6 x faster than bytes are
    picked out."""
    picked: NDArray[Any] = y[::stride, ::stride]
    if stride == 1:
        return np.ascontiguousarray(picked)
    found: Luma = scratch.array(picked.shape, np.uint8)
    if stride in WORDS and y.shape[1] % stride == 0:
        picked = y[::stride].view(WORDS[stride])
    np.copyto(found, picked, casting="unsafe")
    return found


def tiles(fold: Callable[..., NDArray[Any]], values: NDArray[Any], size: int) -> NDArray[Any]:
    """Folds each run of `size` (a power of two) neighbours of a row of values to one."""
    reach = size
    while reach > 1:
        reach //= 2
        values = fold(values[:-reach], values[reach:])  # value i is now that of the size / reach from i on
    return values[::size]
