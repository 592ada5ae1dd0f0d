"""The measures as their definitions say them, plainly and slowly: what the fast ones are compared with.

The thresholds of the default policy were calibrated with these.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamwatch.quality.fingerprint import _MIX, _WEIGHTS

Luma = NDArray[np.uint8]


def scene_of(y: Luma) -> Luma:
    """Without the text bands."""
    height = y.shape[0]
    return y[height // 8 : height - height // 8]


def brightness(y: Luma) -> dict[str, float]:
    """luma_mean, luma_std, dark_share, texture of a plane that is large enough for all of them."""
    stride = max(1, y.shape[1] // 320)
    sample = scene_of(y)[::stride, ::stride].astype(float)
    rows, columns = sample.shape[0] // 8, sample.shape[1] // 8
    means = np.sort(
        [sample[8 * r : 8 * r + 8, 8 * c : 8 * c + 8].mean() for r in range(rows) for c in range(columns)],
    )
    last = means.size - 1
    return {
        "luma_mean": sample.mean(),
        "luma_std": sample.std(),
        "dark_share": (sample < 48).mean(),
        "texture": means[last * 95 // 100] - means[last * 5 // 100],
    }


def tiles(y: Luma) -> NDArray[np.uint8]:
    """The fingerprint's tiles: one at a time."""
    scene, stride = scene_of(y), 1
    while (scene.shape[0] // stride // 16) * (scene.shape[1] // stride // 16) > 1536:
        stride += 1
    rows, columns = scene.shape[0] // stride // 16, scene.shape[1] // stride // 16
    found = np.zeros((rows, columns), np.uint8)
    thin = scene[::stride, ::stride]
    for row in range(rows):
        for column in range(columns):
            tile = np.ascontiguousarray(thin[16 * row : 16 * row + 16, 16 * column : 16 * column + 16])
            words, weights = tile.view("<u8").ravel().tolist(), _WEIGHTS.ravel().tolist()
            mixed = sum(word * weight for word, weight in zip(words, weights, strict=True)) % 2**64
            seven = (mixed ^ (mixed >> 32)) * int(_MIX) % 2**64 >> 57
            found[row, column] = seven | (128 if int(tile.max()) - int(tile.min()) >= 8 else 0)
    return found


def area_reduced(y: Luma, factor: int) -> Luma:
    """Whole means of factor x factor boxes."""
    height, width = y.shape[0] // factor, y.shape[1] // factor
    boxes = y[: height * factor, : width * factor].reshape(height, factor, width, factor).sum(axis=(1, 3))
    means: Luma = (boxes // (factor * factor)).astype(np.uint8)
    return means


def sharpness(y: Luma) -> dict[str, float | None]:
    """`sharpness`, and `sharpness_coarse` where it is below 0.40; None without detail."""
    scene = scene_of(y)
    fine = edge_sharpness(scene)
    if fine is None or fine >= 0.40:
        return {"sharpness": fine}
    factor = max(1, round(scene.shape[1] / 320))
    if factor == 1:
        return {"sharpness": fine, "sharpness_coarse": fine}
    small = area_reduced(scene, factor)
    coarse = edge_sharpness(small) if min(small.shape) >= 64 else None
    return {"sharpness": fine, "sharpness_coarse": None if coarse is None or coarse < fine else coarse}


def edge_sharpness(y: Luma) -> float | None:
    """The lower of both directions, of those with two cells; none where both have fewer than six together."""
    factor = -(-y.shape[1] // 1280)
    width = y.shape[1] / factor
    step = max(2, round(width / 160)) if width <= 800 else 2 * round(width * width / 204_800)
    along_x, along_y = _profiles(y, factor, step), _profiles(y.T, factor, step)
    cells = [_directed(along_x), _directed(along_y)]
    if len(cells[0]) + len(cells[1]) < 6:
        return None
    return min(float(np.percentile(medians, 70)) for medians in cells if len(medians) >= 2)


def _profiles(y: Luma, factor: int, step: int) -> NDArray[np.int64]:
    """Shape (profiles along a line, lines, 16): means of 2 x factor lines and of factor pixels along them."""
    every, deep, length = step * factor, 2 * factor, y.shape[1] // factor // 16
    lines = []
    for top in range(0, y.shape[0] - deep + 1, every):
        sums = y[top : top + deep, : length * 16 * factor].sum(axis=0, dtype=np.int64)
        lines.append(sums.reshape(-1, factor).sum(axis=1) // (deep * factor))
    return np.array(lines).reshape(len(lines), length, 16).transpose(1, 0, 2)


def _directed(profiles: NDArray[np.int64]) -> list[float]:
    height = profiles.max(axis=2) - profiles.min(axis=2)
    step = np.abs(np.diff(profiles, axis=2)).max(axis=2)
    quiet = np.sort(height, axis=None)[height.size // 10]
    rows, columns = -(-height.shape[0] // 4), -(-height.shape[1] // 4)
    medians = []
    for r in range(4):
        for c in range(4):
            cell = (slice(r * rows, (r + 1) * rows), slice(c * columns, (c + 1) * columns))
            kept = height[cell] >= max(16, 3 * quiet)
            if kept.sum() < 5:
                continue
            high, steep = height[cell][kept], step[cell][kept]
            strongest = np.argsort(-high, kind="stable")[: -(-high.size // 4)]
            noise = 0.3 * quiet
            medians.append(np.median(np.clip((steep[strongest] - noise) / (high[strongest] - noise), 0, 1)))
    return medians
