"""Frozen or still? Scenes in which nothing moves but the sensor's noise, and pictures that hang: before the encoder, in
it, under a running clock or without one; a look a minute."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from benchmarks.quality_figures import STILL, STILL_RATED, Observation
from benchmarks.quality_looks import POLICY, Encoder, Eye, Seen
from benchmarks.quality_peers import Filters
from benchmarks.quality_scenes import Plane, Shot
from streamwatch.model.look import State
from streamwatch.model.standing import FAULT_PREFIX
from streamwatch.model.verdict import Attributed, Opinion
from streamwatch.simulator.glyphs import stamp
from streamwatch.verdict import judge

SIGMAS = (0.5, 1.0, 2.0)  # grey levels of a sensor's noise: a good one by day, an ordinary one, one at dusk
QPS = (24, 29, 34, 38)
POOL = 1 << 22  # samples of noise; each picture reads a random stretch of them
GOP = 12  # pictures of an encoder under rate control
SETTLED = 4  # groups in which it finds its level
START = datetime.datetime(2026, 3, 1, 8, 0, 0)  # noqa: DTZ001 - painted digits, not an instant

# How a picture hangs. Held to the bar are those that two looks can tell; what rate control drifts is shown apart.
HANGS = {
    "repeated": True,  # the encoder gives the same bytes again
    "held": True,  # the encoder is given the same picture, its clock runs
    "held_no_clock": True,
    "crf_28": False,  # the same under rate control, its clock runs
    "abr_300": False,
    "abr_100": False,
}
RATES = {"crf_28": "crf=28", "abr_300": "bitrate=300", "abr_100": "bitrate=100"}


@dataclass(frozen=True, slots=True)
class Stream:
    """What is looked at `looks` times. `hang` None: it lives."""

    scene: str
    shot: Shot
    looks: int
    sigma: float
    qp: int
    hang: str | None = None
    live_rate: str | None = None  # of RATES: a living one under rate control
    every: int = 1  # groups of pictures from look to look, under rate control
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Watched:
    """`said` and `confirmed` count looks that suspect it frozen and those that its followers confirm."""

    observations: tuple[Observation, ...]
    said: int
    confirmed: int


def watch(stream: Stream) -> Watched:
    """Every look but the first, which has nothing to compare with."""
    eye, filters = Eye(), Filters(stream.shot.y.shape[1], stream.shot.y.shape[0], ("freezedetect",))
    memory: bytes | None = None
    found, opinions = [], []
    for number, unit in enumerate(_units(stream)):
        seen = eye.look(unit, memory, number)
        memory = seen.memory
        assert seen.i420 is not None
        peers = filters.call(seen.i420, stream.shot.y.shape[0])
        if number:
            grade = stream.hang or (STILL if stream.live_rate is None else STILL_RATED)
            held = stream.hang is not None and HANGS[stream.hang]
            fault = "frozen" if stream.hang else ""
            scene = stream.scene
            found.append(
                Observation(scene, grade, fault, held, seen.faults, seen.scores, seen.measures, peers, second=True)
            )
            opinions.append(_opinion(seen))
    confirmed = sum(_confirmed(opinions, at) for at in range(len(opinions)))
    return Watched(tuple(found), sum(one is not None for one in opinions), confirmed)


def _opinion(seen: Seen) -> Opinion | None:
    """What the look says of frozen, if it says it is."""
    for one in judge(Attributed(seen.look), POLICY).opinions:
        if one.dimension == FAULT_PREFIX + "frozen" and one.state is State.DOWN:
            return one
    return None


def _confirmed(opinions: list[Opinion | None], at: int) -> bool:
    opinion = opinions[at]
    if opinion is None:
        return False
    following = opinions[at + 1 : at + 1 + opinion.confirmations]
    return len(following) == opinion.confirmations and None not in following


def _units(stream: Stream) -> Iterator[bytes]:
    """The keyframe of each look."""
    rate = stream.live_rate or (stream.hang if stream.hang in RATES else None)
    pictures = _pictures(stream, 1.0 if rate is None else 1.0 / GOP / stream.every)
    height, width = stream.shot.y.shape
    if rate is not None:
        yield from _under_rate_control(pictures, width, height, RATES[rate], stream)
        return
    encoder = Encoder(width, height, stream.qp)
    unit = b""
    for number, picture in zip(range(stream.looks), pictures, strict=False):
        if number == 0 or stream.hang != "repeated":
            unit = encoder.keyframe(picture)
        yield unit


@lru_cache(maxsize=len(SIGMAS))
def _noise(sigma: float) -> NDArray[np.int16]:
    rng = np.random.default_rng(1)
    return np.rint(rng.standard_normal(POOL, dtype=np.float32) * np.float32(sigma)).astype(np.int16)


def _pictures(stream: Stream, minutes: float) -> Iterator[Plane]:
    """Without end: the still scene with noise and a clock, `minutes` apart; held from the first on, if it is."""
    rng = np.random.default_rng(stream.seed)
    pool = _noise(stream.sigma)
    base, height = stream.shot.i420, stream.shot.y.shape[0]
    held: Plane | None = None
    number = 0
    while True:
        if stream.hang is None or held is None:
            start = int(rng.integers(0, POOL - height * base.shape[1]))
            noise = pool[start : start + height * base.shape[1]].reshape(height, -1)
            picture = base.copy()
            picture[:height] = np.clip(base[:height] + noise, 0, 255)
            held = picture if stream.hang is not None else None
        picture = (held if held is not None else picture).copy()
        if stream.hang != "held_no_clock":
            moment = START + datetime.timedelta(minutes=number * minutes)
            stamp(picture[:height], f"{moment:%Y-%m-%d %H:%M:%S}", top=4, left=8, scale=1)
        number += 1
        yield picture


def _under_rate_control(
    pictures: Iterator[Plane], width: int, height: int, rate: str, stream: Stream
) -> Iterator[bytes]:
    """Every so many keyframes of one long stream, once its encoder has found its level."""
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.framerate, context.time_base = Fraction(12), Fraction(1, 12)
    gop = f"{rate}:keyint={GOP}:min-keyint={GOP}:scenecut=0:bframes=0:slices=1:threads=1:repeat-headers=1"
    context.options = {"preset": "veryfast", "tune": "zerolatency", "x264-params": gop}
    groups, given = 0, 0
    for number, picture in enumerate(pictures):
        frame = VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts = number
        for packet in context.encode(frame):
            if not packet.is_keyframe:
                continue
            groups += 1
            if groups > SETTLED and (groups - SETTLED - 1) % stream.every == 0:
                yield bytes(packet)
                given += 1
                if given == stream.looks:
                    return
