"""Painting of backgrounds and moving things as YUV planes, with numpy only: noise of octaves, polygons, blur."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.floating[Any]]  # float32 throughout; numpy's types widen a float32 by a Python float
Mask = NDArray[np.bool_]
Colour = tuple[float, float, float]  # Y 16..235, U and V 16..240 with 128 as grey (BT.601 video range)
Point = tuple[float, float]  # x to the right, y down, in pixels of the canvas


def octaves(rng: np.random.Generator, height: int, width: int, *, cell: int = 96, count: int = 6) -> Plane:
    """Noise of `count` octaves from `cell` pixels downwards, each of 0.7 the strength; about [-1, 1], mean near 0."""
    total = np.zeros((height, width), np.float32)
    strength, norm = 1.0, 0.0
    for _ in range(count):
        rows, columns = height // cell + 2, width // cell + 2
        grid = rng.uniform(-1.0, 1.0, (rows, columns)).astype(np.float32)
        total += np.float32(strength) * _bilinear(grid, height, width, cell)
        norm += strength
        strength *= 0.7
        cell = max(1, cell // 2)
    return total * np.float32(2.0 / norm)


def _bilinear(grid: Plane, height: int, width: int, cell: int) -> Plane:
    """`grid` enlarged by `cell`, cut to (height, width): rows first, then columns."""
    y = np.arange(height, dtype=np.float32) / cell
    x = np.arange(width, dtype=np.float32) / cell
    row, column = y.astype(np.intp), x.astype(np.intp)
    along_y = (y - row)[:, None]
    along_x = (x - column)[None, :]
    tall = grid[row] * (1 - along_y) + grid[row + 1] * along_y
    return tall[:, column] * (1 - along_x) + tall[:, column + 1] * along_x


def blur(plane: Plane, sigma: float) -> Plane:
    """Gaussian blur, separable, edges repeated. `sigma` in pixels."""
    radius = int(3 * sigma + 0.5)
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2).astype(np.float32)
    taps /= taps.sum()
    for axis in (0, 1):
        pad = [(0, 0), (0, 0)]
        pad[axis] = (radius, radius)
        wide = np.pad(plane, pad, mode="edge")
        size = plane.shape[axis]
        out = np.zeros_like(plane)
        for offset, tap in enumerate(taps):
            out += tap * (wide[offset : offset + size] if axis == 0 else wide[:, offset : offset + size])
        plane = out
    return plane


def shrink(plane: Plane, factor: int) -> Plane:
    """`plane` reduced by `factor` in both directions by area mean; both sides must be multiples of it."""
    if factor == 1:
        return plane
    height, width = plane.shape
    small: Plane = plane.reshape(height // factor, factor, width // factor, factor).mean(axis=(1, 3), dtype=np.float32)
    return small


def enlarge(plane: Plane, factor: float) -> Plane:
    """`plane` enlarged by `factor`, bilinear, edges repeated; sides are rounded."""
    for axis in (0, 1):
        size = plane.shape[axis]
        at = np.clip((np.arange(round(size * factor), dtype=np.float32) + 0.5) / factor - 0.5, 0, size - 1)
        low = at.astype(np.intp)
        along = (at - low).astype(np.float32)
        if axis == 0:
            along = along[:, None]
        low_plane, high_plane = plane.take(low, axis), plane.take(np.minimum(low + 1, size - 1), axis)
        plane = low_plane + (high_plane - low_plane) * along
    return plane


@dataclass(frozen=True, slots=True)
class Picture:
    """Four planes of one size: Y, U, V and how opaque each pixel is, 0..1. A background is opaque everywhere."""

    y: Plane
    u: Plane
    v: Plane
    alpha: Plane

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.y.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.y.shape[1])

    def polygon(self, points: Sequence[Point], colour: Colour, *, grain: Plane | None = None) -> None:
        """Fills a convex polygon in place, hard edged; `grain` (luma levels, plane sized) is added to its luma."""
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        left, right = max(0, int(min(xs))), min(self.width, int(max(xs)) + 1)
        top, bottom = max(0, int(min(ys))), min(self.height, int(max(ys)) + 1)
        if left >= right or top >= bottom:
            return
        x = np.arange(left, right, dtype=np.float32)[None, :] + 0.5
        y = np.arange(top, bottom, dtype=np.float32)[:, None] + 0.5
        positive = np.ones((bottom - top, right - left), np.bool_)
        negative = positive.copy()
        for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
            side = (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)
            positive &= side >= 0
            negative &= side <= 0
        self.fill(positive | negative, colour, top=top, left=left, grain=grain)

    def box(
        self, left: float, top: float, width: float, height: float, colour: Colour, *, grain: Plane | None = None
    ) -> None:
        """Fills an upright rectangle."""
        right, bottom = left + width, top + height
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], colour, grain=grain)

    def ellipse(
        self, x: float, y: float, across: float, down: float, colour: Colour, *, grain: Plane | None = None
    ) -> None:
        """Fills an ellipse about (x, y) with the half axes `across` and `down`."""
        left, top = max(0, int(x - across)), max(0, int(y - down))
        right, bottom = min(self.width, int(x + across) + 1), min(self.height, int(y + down) + 1)
        if left >= right or top >= bottom:
            return
        dx = (np.arange(left, right, dtype=np.float32) + 0.5 - x) / across
        dy = (np.arange(top, bottom, dtype=np.float32) + 0.5 - y) / down
        self.fill(dx[None, :] ** 2 + dy[:, None] ** 2 <= 1, colour, top=top, left=left, grain=grain)

    def fill(self, mask: Mask, colour: Colour, *, top: int, left: int, grain: Plane | None = None) -> None:
        """Paints `colour` where `mask`, whose corner lies at (left, top), is set."""
        where = (slice(top, top + mask.shape[0]), slice(left, left + mask.shape[1]))
        luma: Plane | np.float32 = np.float32(colour[0]) if grain is None else colour[0] + grain[where][mask]
        self.y[where][mask] = luma
        self.u[where][mask] = colour[1]
        self.v[where][mask] = colour[2]
        self.alpha[where][mask] = 1.0

    def blurred(self, sigma: float) -> Picture:
        """Out of focus: colours are weighted by opacity, so that a thing's rim spreads into what is behind it."""
        if self.alpha.min() >= 1.0:
            return Picture(blur(self.y, sigma), blur(self.u, sigma), blur(self.v, sigma), self.alpha)
        margin = 2 * (int(3 * sigma + 1.5) // 2)
        y, u, v, alpha = (np.pad(plane, margin) for plane in (self.y, self.u, self.v, self.alpha))
        soft = blur(alpha, sigma)
        weight = np.maximum(soft, np.float32(1e-3))  # below a thousandth nothing of it is seen
        return Picture(
            blur(y * alpha, sigma) / weight, blur(u * alpha, sigma) / weight, blur(v * alpha, sigma) / weight, soft
        )

    def enlarged(self, factor: float) -> Picture:
        """Enlarged by `factor`, bilinear; a lens of that many more pixels would show finer things, noise does that."""
        return Picture(*(enlarge(plane, factor) for plane in (self.y, self.u, self.v, self.alpha)))

    def shrunk(self, factor: int) -> Picture:
        """Reduced by `factor`, padded with transparency to a multiple of it; luma is weighted by opacity."""
        if factor == 1:
            return self
        pad = [(0, -self.height % factor), (0, -self.width % factor)]
        y, u, v, alpha = (np.pad(plane, pad) for plane in (self.y, self.u, self.v, self.alpha))
        small = shrink(alpha, factor)
        weight = np.maximum(small, np.float32(1e-3))
        return Picture(
            shrink(y * alpha, factor) / weight,
            shrink(u * alpha, factor) / weight,
            shrink(v * alpha, factor) / weight,
            small,
        )


def blank(width: int, height: int, colour: Colour | None = None) -> Picture:
    """A picture of one colour, or a wholly transparent one."""
    y, u, v = colour if colour is not None else (16.0, 128.0, 128.0)
    shape = (height, width)
    full = np.float32
    return Picture(
        np.full(shape, y, full),
        np.full(shape, u, full),
        np.full(shape, v, full),
        np.full(shape, 0.0 if colour is None else 1.0, full),
    )
