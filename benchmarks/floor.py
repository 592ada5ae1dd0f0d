"""Where the floor is: the same keyframes through libavcodec and nothing else, in this thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import cast

import av
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext

from streamwatch.decoders.codec import DECODERS, Codecs
from streamwatch.quality import score
from streamwatch.wire.conversation import Keyframe

MAX_PIXELS = 8_900_000  # as the looker's


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
