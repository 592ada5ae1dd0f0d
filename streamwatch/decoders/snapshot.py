"""Stage 4, in the worker: a decoded frame -> a small JPEG in which what nobody may see is black.

Masks are painted over the decoded planes themselves, before anything is scaled: no level from behind a mask enters the
picture that leaves, not even blended into its edge.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Final, cast

import av
import numpy as np
from av.codec.context import CodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation

from streamwatch.decoders.codec import TEN_BIT_FORMATS
from streamwatch.decoders.job import MAX_SNAPSHOT_BYTES
from streamwatch.model.report import Mask

MAX_SIDE: Final = 640  # pixels of the longer side
QUALITIES: Final = (4, 10, 24)  # quantisers of FFmpeg's mjpeg, 2 finest to 31; 4 is about quality 90 of other programs


def snapshot_of(frame: VideoFrame, masks: Sequence[Mask]) -> bytes | None:
    """The picture as a JPEG of at most MAX_SNAPSHOT_BYTES, its longer side at most MAX_SIDE, never enlarged.

    `masks` are rectangles (left, top, right, bottom), 0 to 1 of the picture, rounded outwards. The frame's planes are
    written over. None where FFmpeg will not, or where even the coarsest quality is larger. Raises MemoryError.
    """
    for mask in masks:
        _blacken(frame, mask)
    try:
        small = _shrunk(frame)
        found = (data for quality in QUALITIES if len(data := _encoded(small, quality)) <= MAX_SNAPSHOT_BYTES)
        return next(found, None)
    except MemoryError:  # FFmpeg's is one too
        raise
    except (av.error.FFmpegError, ValueError):
        return None


def _shrunk(frame: VideoFrame) -> VideoFrame:
    shrink = min(1.0, MAX_SIDE / max(frame.width, frame.height))
    small = frame.reformat(
        width=max(2, round(frame.width * shrink)),
        height=max(2, round(frame.height * shrink)),
        format="yuvj420p",  # full range
        interpolation=Interpolation.AREA,
        threads=1,  # the jail lets nobody start another
    )
    small.pts, small.time_base = 0, Fraction(1, 25)
    return small


def _encoded(frame: VideoFrame, quality: int) -> bytes:
    encoder = CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, "yuvj420p"
    encoder.time_base = Fraction(1, 25)
    encoder.thread_count = 1
    encoder.thread_type = "NONE"
    encoder.color_range = ColorRange.JPEG
    encoder.qmin = encoder.qmax = quality
    return b"".join(bytes(packet) for packet in encoder.encode(frame) + encoder.encode(None))


def _blacken(frame: VideoFrame, mask: Mask) -> None:
    """Black in every plane, in whole samples: a chroma sample that the mask's luma touches is black altogether."""
    left, top, right, bottom = mask
    (left, right), (top, bottom) = sorted((left, right)), sorted((top, bottom))  # drawn from any corner
    begin, end = _down(left, frame.width), _up(right, frame.width)
    first, last = _down(top, frame.height), _up(bottom, frame.height)
    deep = frame.format.name in TEN_BIT_FORMATS
    for number, plane in enumerate(frame.planes):
        rows = np.frombuffer(cast("Any", plane), np.uint8).reshape(-1, plane.line_size)
        samples = rows.view("<u2") if deep else rows
        wide = plane.width * (2 if number == 1 and len(frame.planes) == 2 else 1)  # NV12: two samples a pixel
        step = wide // plane.width
        across, down = -(-frame.width // plane.width), -(-frame.height // plane.height)  # luma samples to one of it
        columns = slice(begin // across * step, -(-end // across) * step)
        grey = 512 if deep else 128
        samples[first // down : -(-last // down), columns] = grey if number else 0


def _down(share: float, size: int) -> int:
    return math.floor(min(share, 1.0) * size) if share > 0 else 0  # what is no number hides everything


def _up(share: float, size: int) -> int:
    return math.ceil(max(share, 0.0) * size) if share < 1 else size


def warm_up() -> None:
    """Takes one picture through, so that nothing is opened behind the jail's door."""
    frame = av.VideoFrame(64, 64, "yuv420p")
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    snapshot_of(frame, ((0.0, 0.0, 0.5, 0.5),))
