"""Stage 5: has the scene stood still since the look before? `same_textured`, `textured_tiles`, `lone_changes`, and the
fingerprint.

A live sensor never gives the same 256 pixels twice where there is texture; a frozen picture does, even under a running
clock (the text bands are left out). Flat tiles (walls, sky) stay equal after coding in live pictures too: not counted.
A frozen picture sent through an encoder under rate control drifts: two looks cannot tell it from a live still scene.

A coarse quantiser hides the noise of many tiles of a live scene, and a running clock changes many of a frozen one: each
block is predicted from its neighbours. But what the clock changes hangs together with it, and noise begins anywhere.

The fingerprint is what one look leaves for the next: 7 bits of hash and one bit "textured" for each tile. Two different
tiles agree by chance once in 128.
"""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamwatch.model.look import Measurement
from streamwatch.quality.plane import Luma, inner, thinned, tiles
from streamwatch.quality.scratch import Scratch
from streamwatch.quality.table import LONE_CHANGES, SAME_TEXTURED, TEXTURED_TILES

VERSION: Final = 2  # 1 was taken of H.265 behind its loop filters: not one tile of a frozen picture would match it
TILE: Final = 16  # pixels; a macroblock, so that a skipped block is a whole tile
MAX_TILES: Final = 1536  # with the header 1,553 bytes: CameraMemory as a whole has 2 KiB
TEXTURED_RANGE: Final = 8  # grey levels between the darkest and the brightest pixel of a tile
MIN_TEXTURED: Final = 8  # tiles; fewer are a black or blank picture
LONE_FROM: Final = 0.05  # `same_textured` from which lone changes are counted; below it nothing is frozen
MIN_AGE_US: Final = 5_000_000  # some recorders hand out the same stored keyframe for a whole GOP of some seconds

_HEADER: Final = struct.Struct("<BHHHHq")  # version, width, height, tile rows, tile columns, started_us


def _odd_multipliers(count: int) -> list[int]:
    """SplitMix64 (Steele, Lea, Flood 2014) from a fixed seed: fingerprints outlive the process and numpy's versions."""
    state, found = 0x5EED, []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        mixed = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB % 2**64
        found.append((mixed ^ (mixed >> 31)) | 1)
    return found


_WORDS: Final = TILE // 8  # 64-bit words in a row of a tile
_WEIGHTS: Final[NDArray[np.uint64]] = np.array(_odd_multipliers(TILE * _WORDS), np.uint64).reshape(TILE, _WORDS)
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: spreads every bit of the sum into the top ones


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """One look's tiles: `tiles` is uint8, shape (rows, columns), bit 7 textured, bits 0-6 hash."""

    width: int
    height: int
    at_us: int
    tiles: NDArray[np.uint8]

    def pack(self) -> bytes:
        """At most 1,553 bytes."""
        rows, columns = self.tiles.shape
        return _HEADER.pack(VERSION, self.width, self.height, rows, columns, self.at_us) + self.tiles.tobytes()


def unpack(data: bytes | None) -> Fingerprint | None:
    """The fingerprint in `data`, or None where there is none of this version, or its length is wrong."""
    if data is None or len(data) < _HEADER.size:
        return None
    version, width, height, rows, columns, at_us = _HEADER.unpack_from(data)
    if version != VERSION or len(data) != _HEADER.size + rows * columns:
        return None
    tiles = np.frombuffer(data, np.uint8, offset=_HEADER.size).reshape(rows, columns)
    return Fingerprint(width, height, at_us, tiles)


def take(y: Luma, at_us: int, scratch: Scratch | None = None) -> Fingerprint:
    """The fingerprint of a uint8 luma plane seen by the look that began at `at_us`; `y` stays unchanged."""
    scratch, scene = scratch or Scratch(), inner(y)
    stride, shape = tiling(scene)
    return taken(thinned(scene, stride, scratch), shape, y, at_us, scratch)


def tiling(scene: Luma) -> tuple[int, tuple[int, int]]:
    """How far apart the pixels of a scene's tiles are, as near as MAX_TILES lets them be; rows and columns of tiles."""
    stride, (height, width) = 1, scene.shape
    while (height // stride // TILE) * (width // stride // TILE) > MAX_TILES:
        stride += 1
    return stride, (height // stride // TILE, width // stride // TILE)


def taken(thin: Luma, shape: tuple[int, int], y: Luma, at_us: int, scratch: Scratch) -> Fingerprint:
    """`take` of a plane `y` whose scene is thinned as `tiling` says, and contiguous, already."""
    height, width = y.shape[0] & 0xFFFF, y.shape[1] & 0xFFFF
    rows, columns = shape
    if rows == 0 or columns == 0:
        return Fingerprint(width, height, at_us, np.zeros((0, 0), np.uint8))
    lines = np.ascontiguousarray(thin[: rows * TILE, : columns * TILE]).reshape(rows, TILE, columns * TILE)
    sums = np.einsum("rkw,kw->rw", lines.view("<u8"), _weights(columns))
    sums = sums[:, ::2] + sums[:, 1::2]
    hashes = ((sums ^ (sums >> np.uint64(32))) * _MIX >> np.uint64(57)).astype(np.uint8)
    ends = scratch.array((2, rows, columns * TILE), np.uint8)
    np.maximum.reduce(lines, axis=1, out=ends[0])
    np.invert(np.minimum.reduce(lines, axis=1, out=ends[1]), out=ends[1])  # 255 less the darkest: a maximum as well
    brightest, darkest = tiles(np.maximum, ends.reshape(-1), TILE).reshape(2, rows, columns)
    textured = (brightest - np.invert(darkest) >= TEXTURED_RANGE).view(np.uint8)
    return Fingerprint(width, height, at_us, hashes | textured << np.uint8(7))


@functools.lru_cache(maxsize=16)  # widths of one's cameras; 16 of up to 48 KiB (192 columns of tiles)
def _weights(columns: int) -> NDArray[np.uint64]:
    """The weights of a tile beside each other for a row of tiles, shape (16, 2 columns)."""
    return np.ascontiguousarray(np.tile(_WEIGHTS, columns))


def stillness(now: Fingerprint, before: Fingerprint | None) -> tuple[Measurement, ...]:
    """`same_textured` (0-1) against the look before, `textured_tiles` (0-1536) of this picture, and `lone_changes`
    (0-1536) where the first is 0.05 or more.

    `same_textured` is invalid, why="no_detail", for a picture with fewer than 8 textured tiles; why="no_reference"
    without a fingerprint of the same size; why="too_soon" where the look before began less than 5 s earlier.
    """
    textured = now.tiles >= 0x80
    count = int(np.count_nonzero(textured))
    tiles = Measurement(TEXTURED_TILES, float(count))
    why = _cannot(now, before, count)
    if why is not None or before is None:
        return Measurement(SAME_TEXTURED, 0.0, valid=False, why=why), tiles
    equal = now.tiles == before.tiles
    share = int(np.count_nonzero(textured & equal)) / count
    same = Measurement(SAME_TEXTURED, share)
    return (same, tiles) if share < LONE_FROM else (same, tiles, Measurement(LONE_CHANGES, float(_lone(~equal))))


def _lone(changed: NDArray[np.bool_]) -> int:
    """The changed tiles that no change in a tile before them explains.

    Blocks are predicted from those to the left, above and, in H.265, below to the left (ITU-T H.264 8.3, H.265
    8.4.4.2.2): one that changes though none of these did was given other pixels. Above the first row lies the text.
    """
    rows, columns = changed.shape
    around = np.zeros((rows + 2, columns + 2), np.bool_)
    around[0] = True
    around[1:-1, 1:-1] = changed
    left = around[:-2, :-2] | around[1:-1, :-2] | around[2:, :-2]
    explained = left | around[:-2, 1:-1] | around[:-2, 2:]
    return int(np.count_nonzero(changed & ~explained))


def _cannot(now: Fingerprint, before: Fingerprint | None, textured: int) -> str | None:
    if textured < MIN_TEXTURED:
        return "no_detail"
    if before is None or (before.width, before.height, before.tiles.shape) != (now.width, now.height, now.tiles.shape):
        return "no_reference"
    if now.at_us < before.at_us:
        return "no_reference"  # a clock was set back: which came first?
    return "too_soon" if now.at_us - before.at_us < MIN_AGE_US else None
