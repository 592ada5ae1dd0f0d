"""What the measures of a look cost beside the decoding of the same keyframe, and whether size changes what they say."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.measure import Result
from benchmarks.quality_damage import DAMAGES
from benchmarks.quality_looks import MAX_PIXELS, SPACING_US, Encoder, Eye, Seen
from benchmarks.quality_scenes import Kind, Scene, Shot, shots, width_of
from streamwatch.decoders.codec import Codecs
from streamwatch.quality import exposure, fingerprint, score, sharpness
from streamwatch.quality.plane import Luma
from streamwatch.quality.scratch import Scratch

SIZE = (1280, 720)
QP = 29
ROUNDS = 5  # of all pictures make a sample
WIDTHS = (352, 640, 1920)  # of one photograph: what it says ought not to depend on them
BLURS = tuple(damage for damage in DAMAGES if damage.name in ("gaussian_2.5", "gaussian_4"))

Stage = Callable[[Luma, Scratch], object]
STAGES: dict[str, Stage] = {
    "sharpness": sharpness.sharpness,
    "exposure": exposure.exposure,
    "fingerprint": lambda luma, scratch: fingerprint.take(luma, 0, scratch),
}
"""A row a measure, as `quality.score` takes them."""


def cost(result: Result, scenes: Sequence[Scene], runs: int) -> None:
    """CPU microseconds a keyframe at 720p: decoding, each stage alone, and all measures of a look together."""
    encoder = Encoder(*SIZE, QP)
    large = [scene for scene in scenes if width_of(scene) >= SIZE[0]] or scenes  # what is enlarged decodes sooner
    units = [encoder.keyframe(shots(scene, 1, SIZE)[0].i420) for scene in large]
    result.samples.add("keyframe_720p_bytes", sum(map(len, units)) / len(units))
    codecs = Codecs(max_pixels=MAX_PIXELS)
    planes = [np.array(codecs.decode("h264", unit).luma) for unit in units]
    memory = score(planes[0], None, 0).fingerprint
    scratch = Scratch()

    def cleared(stage: Stage) -> Callable[[Luma], object]:
        def once(luma: Luma) -> object:
            scratch.used = 0
            return stage(luma, scratch)

        return once

    measured: dict[str, Callable[[Luma], object]] = {name: cleared(stage) for name, stage in STAGES.items()}
    measured["score"] = lambda luma: score(luma, memory, SPACING_US)
    for _ in range(runs):
        result.samples.add("cost_us_720p.decode", _mean_us(units, lambda unit: codecs.decode("h264", unit)))
        for name, measure in measured.items():
            result.samples.add(f"cost_us_720p.{name}", _mean_us(planes, measure))
    result.ratio("score_over_decode_720p", "cost_us_720p.score", "cost_us_720p.decode")
    result.ratio("cost_share_of_decode_720p", "cost_us_720p.score", "cost_us_720p.decode")


def _mean_us(of: Sequence[Any], call: Callable[[Any], object]) -> float:
    call(of[0])
    begun = time.process_time()
    for _ in range(ROUNDS):
        for one in of:
            call(one)
    return (time.process_time() - begun) / ROUNDS / len(of) * 1e6


def sizes(scene: Scene) -> dict[str, float]:
    """By fault, how far its score (0-100) differs between the sizes of one photograph, sharp and evenly blurred; and
    for how many of those pictures the faults do."""
    found: dict[str, float] = {}
    eye = Eye()
    variants: dict[str, list[Seen]] = {}
    for width in WIDTHS:
        shot = shots(scene, 1, width=width)[0]
        pictures: dict[str, Shot] = {"as_it_is": shot}
        if scene.kind is Kind.SHARP:
            rng = np.random.default_rng(1)
            pictures |= {blur.name: blur.render(shot, rng) for blur in BLURS}
        height, wide = shot.y.shape
        encoder = Encoder(wide, height, QP)
        for name, picture in pictures.items():
            variants.setdefault(name, []).append(eye.look(encoder.keyframe(picture.i420), whole=False))
    found["size_changes_faults"] = float(sum(len({one.faults for one in seen}) > 1 for seen in variants.values()))
    for seen in variants.values():
        scores = [one.scores for one in seen]
        for fault in sorted(set.intersection(*(set(one) for one in scores))):
            values = [one[fault] for one in scores]
            name = f"size_spread.{fault}"
            found[name] = max(found.get(name, 0.0), float(max(values) - min(values)))
    return found
