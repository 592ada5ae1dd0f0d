"""Picture and clip files that the tests make themselves, in every container that `score` reads."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from tests.decoders.streams import noisy, plane, street

PICTURES = {"jpg": ("mjpeg", "yuvj420p"), "png": ("png", "rgb24"), "webp": ("libwebp", "yuv420p")} | {
    "bmp": ("bmp", "bgr24"),
    "gif": ("gif", "gray"),
    "tiff": ("tiff", "rgb24"),
}
CLIPS = {"mp4": "mp4", "mkv": "matroska", "avi": "avi", "ts": "mpegts", "ps": "vob", "flv": "flv", "h264": "h264"}


def colours(y: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Grey levels as RGB."""
    return np.repeat(plane(y)[:, :, None], 3, axis=2)


def picture(y: NDArray[np.float64], kind: str = "jpg") -> bytes:
    """One picture file."""
    codec, pix_fmt = PICTURES[kind]
    encoder = av.CodecContext.create(codec, "w")
    encoder.height, encoder.width = y.shape
    encoder.pix_fmt = pix_fmt
    encoder.time_base = Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(colours(y), "rgb24").reformat(format=pix_fmt, threads=1)
    data = b"".join(bytes(packet) for packet in encoder.encode(frame) + encoder.encode(None))
    if kind != "gif":
        return data
    return data + b"\x3b" if not data.endswith(b"\x3b") else data


def clip(
    pictures: Sequence[NDArray[np.float64]],
    kind: str = "mp4",
    *,
    codec: str = "libx264",
    gap_s: float = 2.0,
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
) -> bytes:
    """A clip with a keyframe of each picture, `gap_s` seconds apart, and two frames of the same between them."""
    held = io.BytesIO()
    with av.open(held, "w", format=CLIPS[kind]) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = pictures[0].shape
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.options = options or {"preset": "veryfast", "tune": "zerolatency", "qp": "26", "g": "250"}
        for number, levels in enumerate(pictures):
            for part in range(3):
                frame = av.VideoFrame.from_ndarray(colours(levels), "rgb24").reformat(format=pix_fmt, threads=1)
                frame.time_base = Fraction(1, 1000)
                frame.pts = int((number + part / 3) * gap_s * 1000)
                frame.pict_type = av.video.frame.PictureType.I if part == 0 else av.video.frame.PictureType.NONE
                container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return held.getvalue()


def live(count: int, first: int = 0, **size: int) -> list[NDArray[np.float64]]:
    """What a camera sees: a car that moves, and sensor noise that is never the same."""
    return [noisy(street(at=number * 2.0, **size), 2.0, seed=number) for number in range(first, first + count)]


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises a picture of that size and brings a thousand bytes of it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
