"""The encoded pictures of one scene: as they came, with every defect, with weather; rendered once, and kept."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.quality_damage import DAMAGES, VERSION
from benchmarks.quality_figures import FILM_FOCUS, HEALTHY
from benchmarks.quality_looks import STREAM_DAMAGES, Encoder, concealed, visibly_wrong
from benchmarks.quality_scenes import OUT_OF_FOCUS, Kind, Scene, Shot, shots
from benchmarks.quality_weather import WEATHER


class Kept(msgspec.Struct, array_like=True, frozen=True):
    """An encoded picture in the cache. `series` is its place among pictures of one stream; alone where it is None."""

    grade: str
    fault: str
    held: bool
    qp: int
    series: int | None
    unit: bytes


@dataclass(frozen=True, slots=True)
class Task:
    """The pictures of one scene at one width: `healthy` as they came, `damaged` of them in every grade, or none."""

    scene: Scene
    width: int
    cache: Path
    healthy: int
    qps: tuple[int, ...]
    damaged: int
    damaged_qps: tuple[int, ...]


def rendered(task: Task) -> list[Kept]:
    """From the cache, or rendered and kept there."""
    scene = task.scene
    facts = (
        scene.key(), task.width, task.healthy, task.qps, task.damaged, task.damaged_qps, _grades(),
        list(STREAM_DAMAGES),
    )  # fmt: skip
    file = task.cache / f"quality-{VERSION}" / f"{hashlib.sha256(repr(facts).encode()).hexdigest()[:24]}.msgpack"
    try:
        return msgspec.msgpack.decode(file.read_bytes(), type=list[Kept])
    except (OSError, msgspec.DecodeError):
        found = list(_render(task))
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(f".{os.getpid()}")
    fresh.write_bytes(msgspec.msgpack.encode(found))
    fresh.replace(file)
    return found


def _grades() -> list[tuple[str, str, bool]]:
    return [(one.name, one.fault, one.held) for one in (*DAMAGES, *WEATHER)]


def _render(task: Task) -> Iterator[Kept]:
    scene = task.scene
    pictures = shots(scene, task.healthy, width=task.width)
    fault = "blur" if scene.kind is Kind.BLURRED else ""
    for qp in task.qps:
        height, width = pictures[0].y.shape
        encoder = Encoder(width, height, qp)
        for number, shot in enumerate(pictures):
            yield Kept(HEALTHY, fault, True, qp, number, encoder.keyframe(shot.i420))
    for shot in shots(scene, task.healthy, soft=True) if scene.name in OUT_OF_FOCUS else ():
        for qp in task.qps:
            height, width = shot.y.shape
            yield Kept(FILM_FOCUS, "", False, qp, None, Encoder(width, height, qp).keyframe(shot.i420))
    if not task.damaged:
        return
    some = pictures[:: max(1, len(pictures) // task.damaged)][: task.damaged]
    for qp in task.damaged_qps:
        encoder = Encoder(width, height, qp)
        for number, shot in enumerate(some):
            for damage in (*DAMAGES, *WEATHER):
                picture = damage.render(shot, _rng(scene, number, damage.name)).i420
                yield Kept(damage.name, damage.fault, damage.held, qp, None, encoder.keyframe(picture))
            yield from _broken(scene, number, shot, qp, encoder)


def _rng(scene: Scene, number: int, grade: str) -> np.random.Generator:
    return np.random.default_rng(list(hashlib.sha256(f"{scene.name} {number} {grade}".encode()).digest()[:8]))


def _broken(scene: Scene, number: int, shot: Shot, qp: int, encoder: Encoder) -> Iterator[Kept]:
    """A keyframe damaged on its way, where a viewer would see it; and what a recorder makes of it that decodes such a
    picture, paints over what is missing and encodes it anew: nothing in that stream is wrong but the picture."""
    unit = encoder.keyframe(shot.i420)
    for name, damage in STREAM_DAMAGES.items():
        damaged = damage(unit, _rng(scene, number, name))
        shown = concealed(damaged)
        if not visibly_wrong(shown, shot):
            continue
        yield Kept(name, "picture_broken", True, qp, None, damaged)
        if shown is not None and shown.shape[1] == shot.y.shape[1] and len(shown) * 2 == len(shot.y) * 3:
            yield Kept(f"{name}_again", "picture_broken", True, qp, None, encoder.keyframe(shown))
