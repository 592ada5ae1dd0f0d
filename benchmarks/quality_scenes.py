"""The pictures that `quality` is measured on: natural clips and photographs of a folder, or the simulator's scenes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from benchmarks.measure import BenchmarkError
from streamwatch.errors import UsageError
from streamwatch.simulator.render import Variant, frames
from streamwatch.simulator.scenes import SCENES, paint_scene

CLIPS = {".avi", ".mp4", ".mkv"}
PHOTOGRAPHS = {".jpg", ".jpeg", ".png"}
CIF = (352, 288)
SEED = 7  # of the simulator's scenes
SIMULATED = 24  # frames of a simulated scene that are taken at most: two of its groups of pictures
MIN_STEP_S = 1.0  # between two shots of a clip, where it is long enough: its keyframes are no nearer

# What is seen out of focus in clips that people filmed, by eye: seconds of them, neither healthy nor a camera's defect.
OUT_OF_FOCUS = {"bikes": (1.3, 5.6)}

Plane = NDArray[np.uint8]


class Kind(StrEnum):
    """What is known of a scene's pictures."""

    CLIP = "clip"  # healthy, from one place
    SHARP = "sharp"  # a healthy photograph
    BLURRED = "blurred"  # a photograph really out of focus or moved


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture as I420: uint8 planes, `u` and `v` half as wide and high as `y`, whose sides are even."""

    y: Plane
    u: Plane
    v: Plane

    @property
    def i420(self) -> Plane:
        """Shape (height * 3 / 2, width), as PyAV takes it."""
        height, width = self.y.shape
        flat = np.concatenate([plane.reshape(-1) for plane in (self.y, self.u, self.v)])
        return flat.reshape(height * 3 // 2, width)


@dataclass(frozen=True, slots=True)
class Scene:
    """Where pictures come from. `file` None: painted by the simulator under that name."""

    name: str
    kind: Kind
    file: Path | None

    def key(self) -> str:
        """Names its content for the cache."""
        if self.file is None:
            return f"simulated-{self.name}"
        facts = self.file.stat()
        return f"{self.file.name}-{facts.st_size}-{facts.st_mtime_ns}"


def natural(folder: Path) -> list[Scene]:
    """The scenes of a folder laid out as `media/` (clips) and `images/` (photographs).

    A photograph is blurred where the folder that it is in is named `blur`, or its name ends with _F (out of focus) or
    _M (moved); sharp where that is `noblur` or _S; others are not known and left out. Raises UsageError where the
    folder has neither clips nor photographs.
    """
    if not folder.is_dir():
        raise UsageError(f"--data {folder} is no folder: name one with media/ (clips) or images/ in it")
    clips = sorted(file for file in (folder / "media").glob("*") if file.suffix.lower() in CLIPS)
    scenes = [Scene(file.stem, Kind.CLIP, file) for file in clips]
    for file in sorted((folder / "images").rglob("*")):
        kind = _kind(file)
        if kind is not None and file.suffix.lower() in PHOTOGRAPHS:
            scenes.append(Scene(file.stem, kind, file))
    if not any(scene.kind is not Kind.BLURRED for scene in scenes):
        raise UsageError(
            f"--data {folder} holds no healthy pictures: clips ({', '.join(sorted(CLIPS))}) belong into media/ in it, "
            "photographs into images/noblur (sharp) and images/blur (blurred)"
        )
    return scenes


def width_of(scene: Scene) -> int:
    """How wide its pictures are by nature."""
    if scene.file is None:
        return 640
    with _opened(scene.file) as container:
        return container.streams.video[0].width


@contextmanager
def _opened(file: Path) -> Iterator[InputContainer]:
    """Raises BenchmarkError where it is no clip and no picture, or breaks off while it is read."""
    try:
        with av.open(str(file)) as container:
            yield container
    except (av.error.FFmpegError, IndexError, OSError) as error:
        raise BenchmarkError(f"{file} cannot be read ({error}): take it out of the folder") from error


def _kind(file: Path) -> Kind | None:
    if file.parent.name == "blur" or file.stem.endswith(("_F", "_M")):
        return Kind.BLURRED
    return Kind.SHARP if file.parent.name == "noblur" or file.stem.endswith("_S") else None


def simulated() -> list[Scene]:
    """The simulator's scenes, for want of natural ones."""
    return [Scene(name, Kind.CLIP, None) for name in SCENES]


def shots(
    scene: Scene, count: int, size: tuple[int, int] | None = None, width: int = 640, *, soft: bool = False
) -> list[Shot]:
    """Up to `count` pictures of a scene, evenly over its length; one of a photograph.

    They are brought down to `width` by averaging, never enlarged; with `size` they are cut to its shape around the
    middle and brought to it exactly. What is known to be out of focus is left out; with `soft`, all else is.
    """
    if scene.file is None:
        every = max(1, SIMULATED // count)
        found = itertools.islice(_painted(scene.name), 0, SIMULATED, every)
        return [_sized(frame, size, width) for frame in itertools.islice(found, count)]
    if scene.kind is Kind.CLIP:
        return [_sized(frame, size, width) for frame in _spread(scene.file, scene.name, count, soft)]
    with _opened(scene.file) as container:
        return [_sized(frame, size, width) for frame in itertools.islice(container.decode(video=0), 1)]


def _painted(name: str) -> Iterator[VideoFrame]:
    for picture in frames(paint_scene(name, SEED), Variant.HEALTHY, "sub", SEED):
        yield VideoFrame.from_ndarray(picture, format="yuv420p")


def _spread(file: Path, name: str, count: int, soft: bool) -> Iterator[VideoFrame]:
    with _opened(file) as container:  # what the file says of its length is not always so
        total = sum(1 for packet in container.demux(video=0) if packet.size)
    with _opened(file) as container:
        rate = float(container.streams.video[0].average_rate or 25)
        step = max(total / count, min(rate * MIN_STEP_S, total / 2))
        begin, end = OUT_OF_FOCUS.get(name, (0.0, 0.0))
        due = step / 2
        for index, frame in enumerate(container.decode(video=0)):
            if index < int(due) or (begin <= index / rate < end) != soft:
                continue
            due += step
            yield frame


def _sized(frame: VideoFrame, size: tuple[int, int] | None, width: int) -> Shot:
    if size is not None:
        frame = _cut(frame, size)
        goal = size
    else:
        share = min(1.0, width / frame.width)
        goal = (round(frame.width * share) // 2 * 2, round(frame.height * share) // 2 * 2)
    scaled = frame.reformat(*goal, format="yuv420p", interpolation="AREA")
    return shot_of(scaled.to_ndarray(), goal[1])


def _cut(frame: VideoFrame, size: tuple[int, int]) -> VideoFrame:
    """The middle of the frame in the shape of `size`."""
    width, height = size
    high, wide = frame.height // 2 * 2, frame.width // 2 * 2
    if wide * height > high * width:
        wide = high * width // height // 2 * 2
    else:
        high = wide * height // width // 2 * 2
    left, top = (frame.width - wide) // 4 * 2, (frame.height - high) // 4 * 2
    whole = shot_of(frame.reformat(frame.width // 2 * 2, frame.height // 2 * 2, format="yuv420p").to_ndarray())
    part = Shot(
        whole.y[top : top + high, left : left + wide],
        *(plane[top // 2 : (top + high) // 2, left // 2 : (left + wide) // 2] for plane in (whole.u, whole.v)),
    )
    return VideoFrame.from_ndarray(np.ascontiguousarray(part.i420), format="yuv420p")


def shot_of(i420: Plane, height: int | None = None) -> Shot:
    """The planes of an I420 array of shape (height * 3 / 2, width)."""
    width = i420.shape[1]
    height = height or i420.shape[0] * 2 // 3
    flat, quarter = i420.reshape(-1), height * width // 4
    u = flat[height * width : height * width + quarter].reshape(height // 2, width // 2)
    v = flat[height * width + quarter : height * width + 2 * quarter].reshape(height // 2, width // 2)
    return Shot(i420[:height], u, v)
