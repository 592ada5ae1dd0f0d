"""What hostile cameras show: one real film in H.264 from the simulator's own library, and one real JPEG."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext

from streamwatch.simulator.library import Library
from streamwatch.simulator.render import Clip, Variant

SCENE: Final = "gate"
JPEG_WIDTH, JPEG_HEIGHT = 320, 240


@dataclass(frozen=True, slots=True)
class Jpeg:
    """A baseline 4:2:0 picture, taken apart as RFC 2435 carries it: two tables of 64 entries, and the scan's data."""

    width: int
    height: int
    tables: bytes
    scan: bytes


@dataclass(frozen=True, slots=True)
class Props:
    """All that they show."""

    clip: Clip
    jpeg: Jpeg


async def made_by(library: Library) -> Props:
    """Renders the film, or takes it from the cache."""
    return Props(await library.clip(SCENE, Variant.HEALTHY, "sub"), encode_jpeg())


async def fetch(seed: int, cache_dir: Path | None) -> Props:
    """The same, for who has no library."""
    library = Library(seed, cache_dir)
    try:
        return await made_by(library)
    finally:
        await library.aclose()


def encode_jpeg() -> Jpeg:
    """A picture with an edge in it, by FFmpeg's encoder with the Huffman tables that RFC 2435 takes for granted."""
    encoder = av.CodecContext.create("mjpeg", "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = JPEG_WIDTH, JPEG_HEIGHT, "yuvj420p"
    encoder.time_base = Fraction(1, 25)
    encoder.options = {"huffman": "default"}
    encoder.thread_count = 1  # with more of them it writes restart markers, which are another type of RFC 2435
    encoder.thread_type = "NONE"
    luma = np.random.default_rng(1).integers(40, 90, (JPEG_HEIGHT * 3 // 2, JPEG_WIDTH), np.uint8)
    luma[: JPEG_HEIGHT // 2, : JPEG_WIDTH // 2] += 100
    frame = av.VideoFrame.from_ndarray(luma, format="yuvj420p")
    frame.pts = 0
    data = b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])
    return _taken_apart(data)


def _taken_apart(data: bytes) -> Jpeg:
    """ITU-T T.81 annex B: segments up to the scan."""
    tables: dict[int, bytes] = {}
    at = 2
    while data[at + 1] != 0xDA:
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + 2 + size]
        if data[at + 1] == 0xDB:
            for start in range(0, len(body), 65):
                tables[body[start] & 0xF] = body[start + 1 : start + 65]
        at += 2 + size
    at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    luma = tables[0]
    return Jpeg(JPEG_WIDTH, JPEG_HEIGHT, luma + tables.get(1, luma), data[at:].removesuffix(b"\xff\xd9"))
