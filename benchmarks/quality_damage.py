"""What can be wrong with a picture, rendered in grades: pure numpy, on I420 planes.

Lengths are in pixels of a picture 640 wide and grow with it. What the lens, the sensor's exposure or a thing before the
lens does lies under fresh sensor noise, as in a camera; what its electronics do lies over it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality_scenes import Plane, Shot
from streamwatch.simulator.glyphs import stamp, text_width

WIDTH = 640  # pixels that lengths are given for
SENSOR = 1.5  # grey levels of sensor noise over an optical defect
VERSION = 3  # part of the cache's key: raise it with every change of what is rendered

Float = NDArray[np.float32]
Render = Callable[[Shot, np.random.Generator], Shot]


@dataclass(frozen=True, slots=True)
class Damage:
    """One grade of one defect. `fault`: what it ought to be called, "" for none. With `held` the bars of `auc.<fault>`
    hold for it; others are milder, and shown apart."""

    name: str
    fault: str
    render: Render
    held: bool = True


def clipped(plane: NDArray[np.floating]) -> Plane:
    """Rounded, within a byte."""
    return np.clip(np.rint(plane), 0, 255).astype(np.uint8)


def noisy(shot: Shot, rng: np.random.Generator, sigma: float) -> Shot:
    """Normal noise of `sigma` grey levels on luma, half of that on chroma."""

    def on(plane: Plane, strength: float) -> Plane:
        return clipped(plane + rng.standard_normal(plane.shape, dtype=np.float32) * np.float32(strength))

    return Shot(on(shot.y, sigma), on(shot.u, sigma / 2), on(shot.v, sigma / 2))


# Lenses


def convolved(plane: Plane, kernel: Float) -> Plane:
    """The plane under a kernel of odd sides and sum 1, its edges mirrored."""
    rows, columns = kernel.shape[0] // 2, kernel.shape[1] // 2
    padded = np.pad(plane.astype(np.float32), ((rows, rows), (columns, columns)), mode="symmetric")
    shape = (_smooth(padded.shape[0]), _smooth(padded.shape[1]))
    product = np.fft.rfft2(padded, s=shape) * np.fft.rfft2(kernel, s=shape)
    found = np.fft.irfft2(product, s=shape)
    return clipped(found[2 * rows :, 2 * columns :][: plane.shape[0], : plane.shape[1]])


@lru_cache(maxsize=64)
def _smooth(size: int) -> int:
    """The next even number without prime factors above 5, which transforms several times faster than a prime."""
    while True:
        rest = size
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1 and size % 2 == 0:
            return size
        size += 1


@lru_cache(maxsize=64)
def gaussian_kernel(sigma: float) -> Float:
    """Out to three sigmas."""
    x = np.arange(-max(1, round(3 * sigma)), max(1, round(3 * sigma)) + 1)
    line = np.exp(-(x**2) / (2 * sigma * sigma))
    kernel = np.outer(line, line)
    return (kernel / kernel.sum()).astype(np.float32)


@lru_cache(maxsize=64)
def disk_kernel(radius: float) -> Float:
    """A lens out of focus: the share of each pixel within the circle, by 8 x 8 points in it."""
    reach = int(np.ceil(radius))
    fine = (np.arange((2 * reach + 1) * 8) + 0.5) / 8 - reach - 0.5
    inside = (fine[:, None] ** 2 + fine[None, :] ** 2 <= radius * radius).astype(np.float32)
    kernel = inside.reshape(2 * reach + 1, 8, 2 * reach + 1, 8).mean(axis=(1, 3))
    return (kernel / kernel.sum()).astype(np.float32)


@lru_cache(maxsize=64)
def motion_kernel(length: float, degrees: int) -> Float:
    """A straight move of `length` pixels while the shutter was open."""
    reach = int(np.ceil(length / 2))
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    for at in np.linspace(-(length - 1) / 2, (length - 1) / 2, 16 * int(np.ceil(length))):
        x, y = at * np.cos(np.radians(degrees)) + reach, at * np.sin(np.radians(degrees)) + reach
        left, top = int(x), int(y)
        for row, high in ((top, 1 - (y - top)), (top + 1, y - top)):
            for column, wide in ((left, 1 - (x - left)), (left + 1, x - left)):
                if row < len(kernel) and column < len(kernel):
                    kernel[row, column] += high * wide
    return kernel / kernel.sum()


def _through(kernel_of: Callable[[float], Float], shot: Shot, rng: np.random.Generator) -> Shot:
    scale = shot.y.shape[1] / WIDTH
    whole, half = kernel_of(scale), kernel_of(scale / 2)
    return noisy(Shot(convolved(shot.y, whole), convolved(shot.u, half), convolved(shot.v, half)), rng, SENSOR)


def _gaussian(sigma: float, shot: Shot, rng: np.random.Generator) -> Shot:
    return _through(lambda scale: gaussian_kernel(sigma * scale), shot, rng)


def _disk(radius: float, shot: Shot, rng: np.random.Generator) -> Shot:
    return _through(lambda scale: disk_kernel(radius * scale), shot, rng)


def _motion(length: float, degrees: int, shot: Shot, rng: np.random.Generator) -> Shot:
    return _through(lambda scale: motion_kernel(max(1.0, length * scale), degrees), shot, rng)


# Light


def _grey(shot: Shot, level: float) -> Shot:
    y = np.full_like(shot.y, round(level))
    return Shot(y, np.full_like(shot.u, 128), np.full_like(shot.v, 128))


def _black(level: float, sigma: float, shot: Shot, rng: np.random.Generator) -> Shot:
    return noisy(_grey(shot, level), rng, sigma)


def _black_leak(shot: Shot, rng: np.random.Generator) -> Shot:
    """A covered lens with a little light from one side."""
    height, width = shot.y.shape
    light = np.linspace(0, 3, width, dtype=np.float32)[None, :] + np.zeros((height, 1), np.float32)
    return noisy(Shot(clipped(18 + light), np.full_like(shot.u, 128), np.full_like(shot.v, 128)), rng, 1.0)


def gained(gain: float, shot: Shot, rng: np.random.Generator) -> Shot:
    """What a sensor gives at `gain` times the light: light is linear, grey levels are its power of 1 / 2.2."""
    y = 16 + (np.clip(shot.y.astype(np.float32) - 16, 0, 219) / 219) * 219 * np.float32(gain ** (1 / 2.2))
    share = np.float32(min(1.0, gain ** (1 / 2.2)) if gain < 1 else max(0.0, 1 - gain / 20))
    u, v = (128 + (plane.astype(np.float32) - 128) * share for plane in (shot.u, shot.v))
    return noisy(Shot(clipped(np.minimum(y, 235)), clipped(u), clipped(v)), rng, SENSOR)


def flattened(share: float, level: float, shot: Shot, rng: np.random.Generator) -> Shot:
    """Grey levels brought together around `level`, to `share` of their distance from it."""
    y = level + (shot.y.astype(np.float32) - level) * np.float32(share)
    u, v = (128 + (plane.astype(np.float32) - 128) * np.float32(share) for plane in (shot.u, shot.v))
    return noisy(Shot(clipped(y), clipped(u), clipped(v)), rng, SENSOR)


# Before the lens


def _board(share: float, level: float, shot: Shot, rng: np.random.Generator) -> Shot:
    """A grey thing, softly shaded and out of focus, over `share` of the picture from one of its sides."""
    height, width = shot.y.shape
    side = int(rng.integers(4))
    across = np.linspace(0, 1, width if side < 2 else height, dtype=np.float32)
    edge = np.clip((share - across) * (width if side < 2 else height) / (12 * width / WIDTH) + 0.5, 0, 1)
    if share >= 1:
        edge = np.ones_like(edge)
    edge = edge[::-1] if side % 2 else edge
    alpha = np.broadcast_to(edge[None, :] if side < 2 else edge[:, None], (height, width))
    shade = level + 12 * np.sin(np.linspace(0, 2, height, dtype=np.float32))[:, None]
    y = shot.y * (1 - alpha) + shade * alpha
    small = alpha[::2, ::2]
    u, v = (plane * (1 - small) + 128 * small for plane in (shot.u, shot.v))
    return noisy(Shot(clipped(y), clipped(u), clipped(v)), rng, 2.0)


# Electronics


def _stripes(height: float, period: float, degrees: int, shot: Shot, rng: np.random.Generator) -> Shot:
    rows, columns = shot.y.shape
    scale = columns / WIDTH
    x, y = np.arange(columns, dtype=np.float32)[None, :], np.arange(rows, dtype=np.float32)[:, None]
    along = x * np.cos(np.radians(degrees)) + y * np.sin(np.radians(degrees))
    wave = np.sin(2 * np.pi * along / (period * scale) + rng.uniform(0, 2 * np.pi))
    return Shot(clipped(shot.y + np.float32(height) * wave), shot.u, shot.v)


def _cast(u: float, v: float, shot: Shot, _: np.random.Generator) -> Shot:
    return Shot(shot.y, clipped(shot.u + np.float32(u)), clipped(shot.v + np.float32(v)))


def _noise(sigma: float, shot: Shot, rng: np.random.Generator) -> Shot:
    return noisy(shot, rng, sigma)


def _text(y: Plane, text: str) -> None:
    scale = max(1, y.shape[1] // 160)
    stamp(y, text, top=y.shape[0] // 2 - 4 * scale, left=(y.shape[1] - text_width(text, scale)) // 2, scale=scale)


def _card(colour: tuple[int, int, int], text: str, shot: Shot, _: np.random.Generator) -> Shot:
    """One colour (Y, Cb, Cr), and a word in the middle."""
    y, u, v = (np.full_like(plane, level) for plane, level in zip((shot.y, shot.u, shot.v), colour, strict=True))
    if text:
        _text(y, text)
    return Shot(y, u, v)


# 75 % bars of ITU-R BT.471 in BT.601 levels: white, yellow, cyan, green, magenta, red, blue, black.
BARS = (
    (180, 128, 128), (162, 44, 142), (131, 156, 44), (112, 72, 58),
    (84, 184, 198), (65, 100, 212), (35, 212, 114), (16, 128, 128),
)  # fmt: skip


def _bars(shot: Shot, _: np.random.Generator) -> Shot:
    def plane(like: Plane, channel: int) -> Plane:
        at = np.arange(like.shape[1]) * len(BARS) // like.shape[1]
        line = np.array([bar[channel] for bar in BARS], np.uint8)[at]
        return np.ascontiguousarray(np.broadcast_to(line, like.shape))

    return Shot(plane(shot.y, 0), plane(shot.u, 1), plane(shot.v, 2))


def _snow_signal(shot: Shot, rng: np.random.Generator) -> Shot:
    """What an analogue input without a signal shows."""
    y = rng.integers(16, 236, shot.y.shape, dtype=np.uint8)
    return Shot(y, np.full_like(shot.u, 128), np.full_like(shot.v, 128))


DAMAGES: tuple[Damage, ...] = (
    *(Damage(f"gaussian_{sigma:g}", "blur", partial(_gaussian, sigma), sigma >= 2.5) for sigma in (1, 1.5, 2.5, 4, 6)),
    *(
        Damage(f"motion_{length}_{turn}", "blur", partial(_motion, length, turn))
        for length in (9, 15) for turn in (0, 45, 90, 135)
    ),
    *(Damage(f"defocus_{radius}", "blur", partial(_disk, radius)) for radius in (3, 5)),
    Damage("black", "blackout", partial(_black, 17, 0.5)),
    Damage("black_grain", "blackout", partial(_black, 28, 4.0)),
    Damage("black_leak", "blackout", _black_leak),
    *(Damage(f"over_{gain}", "overexposed", partial(gained, gain), gain >= 12) for gain in (6, 12, 40)),
    *(Damage(f"under_{part}", "underexposed", partial(gained, 1 / part), part >= 12) for part in (4, 12, 40)),
    *(
        Damage(f"covered_{share}", "occluded", partial(_board, share / 100, 95), share >= 60)
        for share in (30, 45, 60, 75, 90, 100)
    ),
    *(
        Damage(f"stripes_{height}_{turn}", "stripes", partial(_stripes, height, 16, turn), height >= 12)
        for height in (6, 12, 25) for turn in (0, 70, 90)
    ),
    *(
        Damage(f"cast_{name}_{shift}", "colour_cast", partial(_cast, u * shift, v * shift), shift >= 20)
        for shift in (10, 20, 40) for name, u, v in (("green", -0.7, -0.7), ("pink", 0.3, 1), ("blue", 1, -0.3))
    ),
    Damage("blue", "signal_loss", partial(_card, (41, 240, 110), "")),
    Damage("blue_no_signal", "signal_loss", partial(_card, (41, 240, 110), "NO SIGNAL")),
    Damage("black_no_signal", "signal_loss", partial(_card, (16, 128, 128), "NO SIGNAL")),
    Damage("bars", "signal_loss", _bars),
    Damage("static", "signal_loss", _snow_signal),
    *(Damage(f"noise_{sigma}", "noise", partial(_noise, sigma), sigma >= 12) for sigma in (4, 8, 12, 18, 25)),
    *(
        Damage(f"contrast_{part}", "low_contrast", partial(flattened, part / 100, 128), part <= 15)
        for part in (30, 15, 8)
    ),
)  # fmt: skip
"""A grade a row. To measure a new fault, add its grades here and its row in `quality_table.ROWS`."""
