"""The rules that are in use today, on the same decoded pictures: a value, a fixed threshold, and what it calls a fault.

FFmpeg's filters are asked themselves, through PyAV's filter graph; where this build has one not, a note says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import av.filter
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from benchmarks.quality_scenes import Plane

SPACING = 60_000  # ms between two pictures, as between two looks
FILTERS = ("blurdetect", "blackdetect", "freezedetect")
ALONE = ("blurdetect", "blackdetect")  # those that judge a picture by itself


@dataclass(frozen=True, slots=True)
class Called:
    """What a rule says of one picture. `badness`: the higher, the worse; None where it cannot tell. `fault`: what it
    decides by its own threshold, None where it has none."""

    badness: float | None
    fault: bool | None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of one luma plane: `value` against `threshold`; a fault below it, or above where `above`."""

    name: str
    fault: str
    value: Callable[[Plane], float]
    threshold: float
    above: bool = False

    def call(self, y: Plane) -> Called:
        """What it says of this picture."""
        value = self.value(y)
        bad = value > self.threshold if self.above else value < self.threshold
        return Called(value if self.above else -value, bad)


def laplacian_variance(y: Plane) -> float:
    """Variance of the four-neighbour Laplacian (Pech-Pacheco 2000), as OpenCV's examples take it."""
    plane = y.astype(np.int16)
    centre = plane[1:-1, 1:-1]
    found = plane[:-2, 1:-1] + plane[2:, 1:-1] + plane[1:-1, :-2] + plane[1:-1, 2:] - 4 * centre
    return float(found.var(dtype=np.float64))


def _mean(y: Plane) -> float:
    return float(y.mean())


def black_share(y: Plane) -> float:
    """What `blackdetect` counts: the share of pixels within 10 % of video black, 16 + 0.1 * 219 = 37 of 255."""
    return float(np.count_nonzero(y <= 37)) / y.size


RULES: tuple[Rule, ...] = (
    Rule("laplacian", "blur", laplacian_variance, 100.0),  # the threshold of most examples that people copy
    Rule("mean_luma", "blackout", _mean, 40.0),
    Rule("mean_luma", "underexposed", _mean, 60.0),
    Rule("mean_luma", "overexposed", _mean, 200.0, above=True),
)


class Filters:
    """FFmpeg's three filters over the pictures of one place, one after the other, all of one size."""

    def __init__(self, width: int, height: int, names: tuple[str, ...] = FILTERS) -> None:
        graph = av.filter.Graph()
        last = graph.add_buffer(width=width, height=height, format="yuv420p", time_base=Fraction(1, 1000))
        self._source = last
        options = {"blackdetect": "d=0", "freezedetect": "d=0.001"}  # a look is a picture: no time to wait for
        for name in names:
            if name in av.filter.filters_available:
                step = graph.add(name, options.get(name, ""))
                last.link_to(step)
                last = step
        sink = graph.add("buffersink")
        last.link_to(sink)
        graph.configure()
        self._graph, self._names = graph, [name for name in names if name in av.filter.filters_available]
        self._at = 0
        self._black = self._frozen = False
        self._before: NDArray[np.uint8] | None = None

    def call(self, i420: NDArray[np.uint8], height: int) -> dict[tuple[str, str], Called]:
        """By fault and filter, what they say of this picture; `freezedetect` from the second one on."""
        frame = VideoFrame.from_ndarray(i420, format="yuv420p")
        frame.pts, frame.time_base = self._at * SPACING, Fraction(1, 1000)
        self._at += 1
        self._source.push(frame)
        said = self._graph.pull().metadata
        found: dict[tuple[str, str], Called] = {}
        if "blurdetect" in self._names:
            width = float(said.get("lavfi.blur", "nan"))
            found["blur", "blurdetect"] = Called(None if math.isnan(width) else width, None)
        if "blackdetect" in self._names:
            self._black = (self._black or "lavfi.black_start" in said) and "lavfi.black_end" not in said
            found["blackout", "blackdetect"] = Called(black_share(i420[:height]), self._black)
        if "freezedetect" in self._names:
            begun = self._frozen or "lavfi.freezedetect.freeze_start" in said
            self._frozen = begun and "lavfi.freezedetect.freeze_end" not in said
            if self._before is not None:
                found["frozen", "freezedetect"] = Called(-difference(i420, self._before), self._frozen)
            self._before = i420
        return found


def difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """What `freezedetect` compares with 0.001: the mean absolute difference of all samples, over 256."""
    wider = np.maximum(a, b) - np.minimum(a, b)
    return float(wider.mean()) / 256


def missing() -> list[str]:
    """A note for each filter that this build of FFmpeg has not."""
    return [
        f"{name}: this PyAV's FFmpeg has no such filter, so that peer is left out"
        for name in FILTERS if name not in av.filter.filters_available
    ]  # fmt: skip
