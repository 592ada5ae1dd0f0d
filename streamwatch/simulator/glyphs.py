"""The on-screen text of a simulated camera: a 5 x 7 bitmap font of our own, stamped into a luma plane."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

GLYPH_ROWS = 7
GLYPH_COLUMNS = 5
ADVANCE = GLYPH_COLUMNS + 1  # columns from one glyph to the next
INK = 235  # BT.601 video range: white
EDGE = 16  # and black, the outline that keeps text legible on a bright sky

# One string a glyph: 7 rows of 5, from the top, as 7 two-digit hexadecimal rows (bit 4 is the left column).
_FONT = {
    " ": "00000000000000",
    "-": "0000001f000000",
    ":": "00040400040400",
    "0": "0e11131519110e",
    "1": "040c040404040e",
    "2": "0e11010204081f",
    "3": "1f02040201110e",
    "4": "02060a121f0202",
    "5": "1f101e0101110e",
    "6": "0608101e11110e",
    "7": "1f010204080808",
    "8": "0e11110e11110e",
    "9": "0e11110f01020c",
    "A": "0e11111f111111",
    "B": "1e11111e11111e",
    "C": "0e11101010110e",
    "D": "1c12111111121c",
    "E": "1f10101e10101f",
    "F": "1f10101e101010",
    "G": "0e11101711110f",
    "H": "1111111f111111",
    "I": "0e04040404040e",
    "J": "0702020202120c",
    "K": "11121418141211",
    "L": "1010101010101f",
    "M": "111b1515111111",
    "N": "11191915131311",
    "O": "0e11111111110e",
    "P": "1e11111e101010",
    "Q": "0e11111115120d",
    "R": "1e11111e141211",
    "S": "0f10100e01011e",
    "T": "1f040404040404",
    "U": "1111111111110e",
    "V": "111111110a0a04",
    "W": "11111115151b11",
    "X": "11110a040a1111",
    "Y": "11110a04040404",
    "Z": "1f01020408101f",
}


@lru_cache(maxsize=256)  # 39 glyphs x a few scales
def _glyph(character: str, scale: int) -> NDArray[np.bool_]:
    rows = bytes.fromhex(_FONT[character])
    bits = np.unpackbits(np.frombuffer(rows, np.uint8)[:, None], axis=1)[:, 8 - GLYPH_COLUMNS :].astype(np.bool_)
    return bits.repeat(scale, axis=0).repeat(scale, axis=1)


def text_width(text: str, scale: int) -> int:
    """Columns that `text` takes at `scale` pixels a dot."""
    return (len(text) * ADVANCE - 1) * scale


def stamp(luma: NDArray[np.uint8], text: str, *, top: int, left: int, scale: int) -> None:
    """Writes `text` (capitals, digits, space, '-' and ':') into `luma` in place, white with a dark outline.

    The text takes rows [top - 1, top + 7 * scale + 1). It must lie inside the plane. Raises KeyError for a glyph that
    the font does not have.
    """
    height, width = GLYPH_ROWS * scale, text_width(text, scale)
    ink = np.zeros((height + 2, width + 2), np.bool_)
    for index, character in enumerate(text):
        x = 1 + index * ADVANCE * scale
        ink[1 : 1 + height, x : x + GLYPH_COLUMNS * scale] = _glyph(character, scale)
    edge = ink.copy()
    edge[1:] |= ink[:-1]
    edge[:-1] |= ink[1:]
    edge[:, 1:] |= ink[:, :-1]
    edge[:, :-1] |= ink[:, 1:]
    box = luma[top - 1 : top + height + 1, left - 1 : left + width + 1]
    box[edge] = EDGE
    box[ink] = INK
