"""Stage 5: all measures of one picture, in one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from streamwatch.model.look import Measurement
from streamwatch.quality import fingerprint
from streamwatch.quality.exposure import exposed, exposure_stride
from streamwatch.quality.plane import Luma, inner, thinned
from streamwatch.quality.scratch import Scratch
from streamwatch.quality.sharpness import sharpness

MAX_KEPT: Final = 2  # of 4 MiB; a decode worker scores one picture at a time, threads each take one or make one
MAX_ROWS: Final = 65_535  # what H.264, H.265 and JPEG can say at most is 16 bits
_SCRATCH: Final[list[Scratch]] = []
_UINT8: Final = np.dtype(np.uint8)


@dataclass(frozen=True, slots=True)
class Scored:
    """What one picture gave. `reference_us` is the start of the look that `same_textured` compared with, if it did."""

    measures: tuple[Measurement, ...]
    fingerprint: bytes
    reference_us: int | None


def score(y: Luma, previous: bytes | None, at_us: int) -> Scored:
    """Measures a uint8 luma plane, shape (height, width), rows possibly padded; `y` stays unchanged.

    `previous` is the fingerprint that the look before returned (None, or of another size or version: no_reference);
    it is returned again where this look came too soon after it to be compared.
    `at_us` is the start of this look. Deterministic. Raises ValueError for anything but a two-dimensional uint8 array
    of at most 65,535 rows.
    """
    if y.ndim != 2 or y.dtype != _UINT8:
        raise ValueError(f"a luma plane is two-dimensional uint8, not {y.ndim}-dimensional {y.dtype.name}")
    if len(y) > MAX_ROWS:
        raise ValueError(f"a luma plane has at most {MAX_ROWS} rows, not {len(y)}")
    scratch = _SCRATCH.pop() if _SCRATCH else Scratch()
    scratch.used = 0
    edges = sharpness(y, scratch)  # first: it reads all rows in order, which brings them into the cache for the others
    scratch.used = 0
    scene = inner(y)
    (stride, shape), wide = fingerprint.tiling(scene), exposure_stride(scene)
    thin = thinned(scene, stride, scratch)
    now = fingerprint.taken(thin, shape, y, at_us, scratch)
    # Of the sizes of most cameras the thin plane has all pixels that are wanted here, in a quarter of the memory.
    sample = thinned(thin, wide // stride, scratch) if wide % stride == 0 else thinned(scene, wide, scratch)
    levels = exposed(sample, scratch)
    if len(_SCRATCH) < MAX_KEPT:
        _SCRATCH.append(scratch)
    before = fingerprint.unpack(previous)
    still = fingerprint.stillness(now, before)
    same = still[0]
    reference_us = before.at_us if before is not None and same.valid else None
    # A confirming look a second later must not take the place of the picture that the next one is to be compared with.
    kept = previous if same.why == "too_soon" and previous is not None else now.pack()
    return Scored((*levels, *edges, *still), kept, reference_us)
