"""What is normal in a village's pictures and looks wrong, rendered over pictures by day: all faults found are false."""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.quality_damage import SENSOR, WIDTH, Damage, clipped, flattened, gained, noisy
from benchmarks.quality_scenes import Shot


def _night(shot: Shot, rng: np.random.Generator) -> Shot:
    """A twelfth of the light, and a lamp."""
    dark = gained(1 / 12, shot, rng)
    height, width = dark.y.shape
    x, y = np.arange(width, dtype=np.float32)[None, :], np.arange(height, dtype=np.float32)[:, None]
    far = np.hypot(x - width * rng.uniform(0.2, 0.8), y - height * 0.3) / (width * 0.06)
    return noisy(Shot(clipped(dark.y + 200 * np.exp(-far)), dark.u, dark.v), rng, 3.0)


def _infrared(shot: Shot, rng: np.random.Generator) -> Shot:
    """Grey, and lit from the camera: bright in the middle."""
    height, width = shot.y.shape
    x, y = np.linspace(-1, 1, width, dtype=np.float32)[None, :], np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    light = 0.25 + 0.9 * np.exp(-(x * x + y * y) / 0.6)
    lit = 16 + (shot.y.astype(np.float32) - 16) * light * 0.8
    return noisy(Shot(clipped(lit), np.full_like(shot.u, 128), np.full_like(shot.v, 128)), rng, 3.0)


def _rain(shot: Shot, rng: np.random.Generator) -> Shot:
    """Light streaks, and less contrast."""
    grey = flattened(0.75, 120, shot, rng)
    y = grey.y.astype(np.float32)
    height, width = y.shape
    length = max(6, height // 12)
    for _ in range(width // 3):
        top, left = int(rng.integers(0, height - length)), int(rng.integers(2, width - 2))
        y[top : top + length, left] += 25
    return Shot(clipped(y), grey.u, grey.v)


def _snowfall(shot: Shot, rng: np.random.Generator) -> Shot:
    """Flakes of one to three pixels."""
    grey = flattened(0.8, 150, shot, rng)
    y = grey.y.copy()
    height, width = y.shape
    for _ in range(width * height // 1500):
        size = int(rng.integers(1, max(2, round(3 * width / WIDTH)) + 1))
        top, left = int(rng.integers(0, height - size)), int(rng.integers(0, width - size))
        y[top : top + size, left : left + size] = 225
    return Shot(y, grey.u, grey.v)


def _flare(shot: Shot, rng: np.random.Generator) -> Shot:
    """A low sun in the picture."""
    height, width = shot.y.shape
    x, y = np.arange(width, dtype=np.float32)[None, :], np.arange(height, dtype=np.float32)[:, None]
    far = np.hypot(x - width * rng.uniform(0.2, 0.8), y - height * 0.25) / width
    light = 230 * np.exp(-far / 0.12) + 25
    return noisy(Shot(clipped(np.minimum(shot.y + light, 235)), shot.u, shot.v), rng, SENSOR)


def _web(shot: Shot, rng: np.random.Generator) -> Shot:
    """A few threads of a spider close to the lens: wide, soft and bright."""
    height, width = shot.y.shape
    x, y = np.arange(width, dtype=np.float32)[None, :], np.arange(height, dtype=np.float32)[:, None]
    light = np.zeros((height, width), np.float32)
    for angle in rng.uniform(0, np.pi, 5):
        away = (x - width * 0.7) * np.cos(angle) + (y - height * 0.2) * np.sin(angle)
        light += 35 * np.exp(-((away / (5 * width / WIDTH)) ** 2))
    return noisy(Shot(clipped(np.minimum(shot.y + light, 235)), shot.u, shot.v), rng, SENSOR)


WEATHER: tuple[Damage, ...] = (
    Damage("night", "", _night),
    Damage("infrared", "", _infrared),
    Damage("fog", "", partial(flattened, 0.45, 165)),
    Damage("rain", "", _rain),
    Damage("snowfall", "", _snowfall),
    Damage("flare", "", _flare),
    Damage("web", "", _web),
)
