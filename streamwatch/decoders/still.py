"""Stage 4, for files, in the worker: the bytes of one picture file -> a decoded frame.

The whole file is one packet for the decoder that `recognise` named: no demuxer, nothing that could look elsewhere.
"""

from __future__ import annotations

import struct
from typing import Final, cast

import av
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from streamwatch.decoders.refusal import said, too_large
from streamwatch.errors import LookError, Reason, Step

DECODERS: Final = frozenset({"mjpeg", "png", "bmp", "gif", "tiff", "webp"})

_NO_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xD9)})  # T.81 table B.1: TEM, RST0-7 and SOI stand alone
_SOF: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # start of frame; not DHT, JPG, DAC
_SOS: Final = 0xDA
_GIF_END: Final = b"\x3b"
_HARMLESSLY_ODD: Final = frozenset({"tiff"})  # FFmpeg's own TIFF files are refused under err_detect
_EOI: Final = b"\xff\xd9"


def decode_still(name: str, data: bytes, max_pixels: int) -> VideoFrame:
    """The first picture in `data`. Raises LookError: media.too_large, media.broken (also when cut short), ours.memory.

    The size is read from the header by us: FFmpeg calls a picture over the limit invalid and does not say why.
    """
    if name not in DECODERS:
        raise LookError(Reason.MEDIA_UNSUPPORTED_CODEC, f"{name} pictures are not decoded here", step=Step.DECODE)
    size = size_of(name, data)
    if size is not None and size[0] * size[1] > max_pixels:
        raise too_large(*size, max_pixels, ": save the picture smaller")
    if not is_whole(name, data):
        raise LookError(Reason.MEDIA_BROKEN, "the file ends in the middle of its picture", step=Step.DECODE)
    context = cast("VideoCodecContext", CodecContext.create(name, "r"))
    context.thread_count = 1
    context.thread_type = "NONE"
    context.options = {"max_pixels": str(max_pixels)}
    if name not in _HARMLESSLY_ODD:
        context.options["err_detect"] = "explode"  # FFmpeg paints over what is damaged otherwise, and says nothing
    try:
        frames = context.decode(av.Packet(data))
        frames += context.decode(None)
    except (MemoryError, av.error.MemoryError) as error:
        detail = "the decoder ran out of the memory it may use"
        raise LookError(Reason.OURS_MEMORY, detail, step=Step.DECODE) from error
    except (av.error.FFmpegError, ValueError, EOFError) as error:
        detail = f"the decoder refused the picture: {said(error)}"
        raise LookError(Reason.MEDIA_BROKEN, detail, step=Step.DECODE) from error
    if not frames or frames[0].is_corrupt:
        raise LookError(Reason.MEDIA_BROKEN, "the picture is damaged: parts of it are missing", step=Step.DECODE)
    return frames[0]


def size_of(name: str, data: bytes) -> tuple[int, int] | None:
    """Width and height as the header says, or None where it does not say them at a known place."""
    try:
        match name:
            case "png":
                return struct.unpack_from(">II", data, 16)  # ISO/IEC 15948 section 11.2.2: IHDR is first
            case "gif":
                return struct.unpack_from("<HH", data, 6)
            case "bmp":
                width, height = struct.unpack_from("<ii", data, 18)
                return abs(width), abs(height)  # negative: the rows stand top down
            case "mjpeg":
                return _jpeg_size(data)
    except struct.error:
        return None
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    for marker, at in _segments(data):
        if marker in _SOF:
            height, width = struct.unpack_from(">HH", data, at + 3)  # T.81 section B.2.2: behind length and precision
            return width, height
    return None


def is_whole(name: str, data: bytes) -> bool:
    """Not cut short, where the format tells its end and FFmpeg does not look. A JPEG's end marker stands behind the
    scan: that of a preview in the header does not count."""
    if name == "gif":
        return data.rstrip(b"\x00").endswith(_GIF_END)
    if name != "mjpeg":
        return True
    scan = next((at for marker, at in _segments(data) if marker == _SOS), None)
    return scan is not None and data.find(_EOI, scan) >= 0


def _segments(data: bytes) -> list[tuple[int, int]]:
    """Marker and place behind it of each segment up to the first scan."""
    found = []
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte, T.81 section B.1.1.2
            at += 1
            continue
        found.append((marker, at + 2))
        if marker == _SOS:
            break
        at += 2 if marker in _NO_LENGTH else 2 + int.from_bytes(data[at + 2 : at + 4])
    return found
