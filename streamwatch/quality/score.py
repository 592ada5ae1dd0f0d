"""Stage 5: all measures of one picture, in one call."""

from __future__ import annotations

from dataclasses import dataclass

from streamwatch.model.look import Measurement
from streamwatch.quality import fingerprint
from streamwatch.quality.exposure import exposure
from streamwatch.quality.plane import Luma
from streamwatch.quality.sharpness import sharpness
from streamwatch.quality.table import SAME_TEXTURED


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
    `at_us` is the start of this look. Deterministic. Raises ValueError for anything but a two-dimensional uint8 array.
    """
    if y.ndim != 2 or y.dtype.name != "uint8":
        raise ValueError(f"a luma plane is two-dimensional uint8, not {y.ndim}-dimensional {y.dtype.name}")
    now = fingerprint.take(y, at_us)
    before = fingerprint.unpack(previous)
    still = fingerprint.stillness(now, before)
    compared = before is not None and any(found.name == SAME_TEXTURED and found.valid for found in still)
    reference_us = before.at_us if compared and before is not None else None
    # A confirming look a second later must not take the place of the picture that the next one is to be compared with.
    too_soon = any(found.why == "too_soon" for found in still)
    kept = previous if too_soon and previous is not None else now.pack()
    return Scored((*exposure(y), *sharpness(y), *still), kept, reference_us)
