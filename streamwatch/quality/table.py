"""Stage 5: the table of measures: what each is called, its unit, its range, what it says, where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Measure:
    """One row: `low` and `high` bound every valid value, inclusive."""

    name: str
    unit: str
    low: float
    high: float
    says: str
    source: str


LUMA_MEAN: Final = "luma_mean"
LUMA_STD: Final = "luma_std"
DARK_SHARE: Final = "dark_share"
TEXTURE: Final = "texture"
SHARPNESS: Final = "sharpness"
SHARPNESS_COARSE: Final = "sharpness_coarse"
SAME_TEXTURED: Final = "same_textured"
TEXTURED_TILES: Final = "textured_tiles"
LONE_CHANGES: Final = "lone_changes"

_OWN = "our own; calibrated on natural pictures"

MEASURES: Final[dict[str, Measure]] = {
    row.name: row
    for row in (
        Measure(LUMA_MEAN, "grey levels", 0, 255, "mean luma outside the text bands", _OWN),
        Measure(LUMA_STD, "grey levels", 0, 127.5, "standard deviation of luma outside the text bands", _OWN),
        Measure(DARK_SHARE, "share", 0, 1, "share of pixels darker than 48, outside the text bands", _OWN),
        Measure(TEXTURE, "grey levels", 0, 255, "spread (5th to 95th percentile) of the means of small tiles", _OWN),
        Measure(
            SHARPNESS,
            "share of an ideal step",
            0,
            1,
            "steepest step over range of the strongest edges; Gaussian blur of s pixels reads about 0.4/s",
            "edge profiles after the idea of edge width (Marziliano 2002), by steepest step instead of width",
        ),
        Measure(
            SHARPNESS_COARSE,
            "share of an ideal step",
            0,
            1,
            "the same on the picture brought down to about 320 wide; taken only where the fine one is low",
            "tells a lens out of focus from a small picture that was enlarged",
        ),
        Measure(SAME_TEXTURED, "share", 0, 1, "textured tiles exactly equal to those of the look before", _OWN),
        Measure(TEXTURED_TILES, "tiles", 0, 1536, "16x16 tiles with a range of 8 grey levels or more", _OWN),
        Measure(
            LONE_CHANGES,
            "tiles",
            0,
            1536,
            "tiles that changed since the look before though none that they are predicted from did: noise, not a clock",
            "order of intra prediction, ITU-T H.264 8.3",
        ),
    )
}
