"""The contact sheet of `score --sheet`: the pictures side by side, under each its number, name, faults and measures.

Names that ASCII cannot write show as question marks: the number leads to the legend that `score` prints.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamwatch.cli.letters import ADVANCE, HEIGHT, written
from streamwatch.decoders.job import THUMBNAIL_HEIGHT, THUMBNAIL_WIDTH, Thumbnail
from streamwatch.errors import UsageError

MAX_CELLS: Final = 120  # at 338 x 258 pixels each, 6 a row: 2,028 x 5,160, 31 MB before it is packed
COLUMNS: Final = 6
SCALE: Final = 2  # pixels a dot
GAP: Final = 6
BORDER: Final = 3
LINE: Final = HEIGHT * SCALE + GAP
LINES: Final = 3
WIDTH: Final = THUMBNAIL_WIDTH + 2 * (BORDER + GAP)
TALL: Final = THUMBNAIL_HEIGHT + 2 * (BORDER + GAP) + LINES * LINE
LETTERS_A_LINE: Final = THUMBNAIL_WIDTH // (ADVANCE * SCALE)

GROUND: Final = (24, 26, 30)
INK: Final = (226, 228, 232)
NORMAL: Final = (70, 150, 90)
WARNING: Final = (214, 160, 40)
FAULT: Final = (208, 60, 52)
UNREAD: Final = (120, 120, 126)


@dataclass(frozen=True, slots=True)
class Cell:
    """One picture of the sheet, or the place of one that could not be read."""

    number: int
    name: str
    lines: tuple[str, ...]
    colour: tuple[int, int, int]
    thumbnail: Thumbnail | None = None


def write_sheet(path: Path, cells: Sequence[Cell]) -> None:
    """Writes a PNG. At most MAX_CELLS are drawn. Raises UsageError where the file cannot be written."""
    cells = cells[:MAX_CELLS]
    columns = max(1, min(COLUMNS, len(cells)))
    rows = max(1, -(-len(cells) // columns))
    sheet = np.empty((rows * TALL, columns * WIDTH, 3), np.uint8)
    sheet[:] = GROUND
    for at, cell in enumerate(cells):
        top, left = at // columns * TALL, at % columns * WIDTH
        _draw(sheet[top : top + TALL, left : left + WIDTH], cell)
    try:
        path.write_bytes(png(sheet))
    except OSError as error:
        raise UsageError(f"--sheet {path}: cannot be written: {error.strerror}") from error


def png(rgb: NDArray[np.uint8]) -> bytes:
    """A PNG (ISO/IEC 15948) of an array of shape (height, width, 3)."""
    height, width, _ = rgb.shape
    rows = np.zeros((height, 1 + width * 3), np.uint8)  # a filter byte in front of each row: 0, none (section 9.2)
    rows[:, 1:] = rgb.reshape(height, width * 3)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, RGB, not interlaced (section 11.2.2)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _draw(place: NDArray[np.uint8], cell: Cell) -> None:
    inset = GAP // 2
    framed = place[inset : -inset - LINES * LINE, inset:-inset]
    framed[:] = cell.colour
    framed[BORDER:-BORDER, BORDER:-BORDER] = GROUND
    if cell.thumbnail is not None:
        small = cell.thumbnail
        picture = np.frombuffer(small.rgb, np.uint8).reshape(small.height, small.width, 3)
        top = (framed.shape[0] - small.height) // 2
        left = (framed.shape[1] - small.width) // 2
        framed[top : top + small.height, left : left + small.width] = picture
    first = TALL - LINES * LINE
    for at, text in enumerate((f"{cell.number} {cell.name}", *cell.lines)[:LINES]):
        _write(place[first + at * LINE :], shortened(text, LETTERS_A_LINE), cell.colour if at == 1 else INK)


def shortened(text: str, letters: int) -> str:
    """At most so many letters: the middle goes, because names differ at their ends."""
    if len(text) <= letters:
        return text
    kept = letters - 1
    return text[: kept - kept // 2] + "~" + text[len(text) - kept // 2 :]


def _write(place: NDArray[np.uint8], text: str, ink: tuple[int, int, int]) -> None:
    dots = written(text).repeat(SCALE, 0).repeat(SCALE, 1)
    left = BORDER + GAP
    place[: dots.shape[0], left : left + dots.shape[1]][dots] = ink
