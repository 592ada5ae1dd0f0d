"""Where is the floor? Keyframes through libavcodec alone, in one thread; and what our measures cost on top."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import av
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext

from benchmarks.cameras import CAMERA, SIZES, farm, keyframes
from benchmarks.measure import Result
from streamwatch.decoders.codec import DECODERS, Codecs
from streamwatch.quality import score
from streamwatch.wire.conversation import Keyframe

MAX_PIXELS = 8_900_000  # as the looker's
GROUPS = 7  # of pictures, at most, in the farm's streams: so many looks at a camera see all of its keyframes


@dataclass(frozen=True, slots=True)
class Plan:
    """A sample is every keyframe of every camera `rounds` times."""

    cameras: int = 24
    villages: int = 1  # the fewer, the more scenes
    runs: int = 5
    rounds: int = 2
    sizes: tuple[str, ...] = SIZES
    full: bool = True


FULL = Plan()
QUICK = Plan(cameras=8, villages=2, runs=3, rounds=1, full=False)


def run(plan: Plan, cache: Path) -> Result:
    """Runs are interleaved: every run takes one sample of everything."""
    return asyncio.run(_run(plan, cache))


async def _run(plan: Plan, cache: Path) -> Result:
    fixture = {
        "cameras": plan.cameras, "villages": plan.villages, "runs": plan.runs, "rounds": plan.rounds, "full": plan.full,
    }  # fmt: skip
    result = Result("floor", fixture, notes=list(NOTES))
    async with farm(plan.cameras, cache, plan.villages, pictures=CAMERA) as running:
        frames = {size: await keyframes(running.cameras, size, GROUPS) * plan.rounds for size in plan.sizes}
    for _ in range(plan.runs):
        for size in plan.sizes:
            sample(result, size, frames[size])
    for size in plan.sizes:
        result.ratio(f"score_over_decode_{size}", f"score_{size}.cpu_ms", f"floor.decode_{size}.cpu_ms")
        result.ratio(f"plain_over_decode_{size}", f"floor.plain_{size}.cpu_ms", f"floor.decode_{size}.cpu_ms")
    return result


def sample(result: Result, size: str, frames: Sequence[Keyframe]) -> None:
    """One sample of all that is to be known of these keyframes."""
    add = result.samples.add
    add(f"keyframe_{size}_bytes", statistics.fmean(len(frame.data) for frame in frames))
    add(f"floor.decode_{size}.cpu_ms", decode_ms(frames))
    add(f"floor.plain_{size}.cpu_ms", plain_ms(frames))
    add(f"score_{size}.cpu_ms", score_ms(frames))


def decode_ms(keyframes: Sequence[Keyframe]) -> float:
    """CPU milliseconds a keyframe with the product's decoder: its options, its context kept from picture to picture."""
    codecs = Codecs(max_pixels=MAX_PIXELS)
    return _mean_ms(keyframes, lambda keyframe: codecs.decode(keyframe.codec, keyframe.data))


def plain_ms(keyframes: Sequence[Keyframe]) -> float:
    """The same with the library's defaults (its own choice of threads), the context kept as well."""
    context = cast("VideoCodecContext", CodecContext.create(DECODERS[keyframes[0].codec], "r"))

    def decode(keyframe: Keyframe) -> None:
        frames = context.decode(av.Packet(keyframe.data)) + context.decode(None)
        context.flush_buffers()
        assert frames, "the decoder made no picture"

    return _mean_ms(keyframes, decode)


def score_ms(keyframes: Sequence[Keyframe]) -> float:
    """CPU milliseconds to score a picture against the one before it, without decoding."""
    codecs = Codecs(max_pixels=MAX_PIXELS)
    spent, previous = 0.0, None
    for index, keyframe in enumerate(keyframes):
        picture = codecs.decode(keyframe.codec, keyframe.data)
        begun = time.process_time()
        previous = score(picture.luma, previous, index * 60_000_000).fingerprint
        spent += time.process_time() - begun
    return spent / len(keyframes) * 1000


def _mean_ms(keyframes: Sequence[Keyframe], decode: Callable[[Keyframe], object]) -> float:
    decode(keyframes[0])  # the context is opened once in a worker's life
    begun = time.process_time()
    for keyframe in keyframes:
        decode(keyframe)
    return (time.process_time() - begun) / len(keyframes) * 1000


NOTES = [
    "CPU of one thread. decode: the product's decoder, its options, its context kept from picture to picture; plain: "
    "the library's defaults, its own choice of threads; score: our measures of a decoded picture, without decoding.",
    "The keyframes are those that a look at the simulated farm receives, each group of pictures of every camera.",
]
