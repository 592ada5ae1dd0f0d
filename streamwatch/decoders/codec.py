"""Stage 4: one access unit -> one luma plane. The one module that knows how PyAV 18 and 19 want to be asked.

FFmpeg's decoders are chosen from an allow-list and never see a container, an address or a file. A decoder that lost
data paints over it and still returns a frame: a frame that is marked corrupt is no picture.
"""

from __future__ import annotations

import contextlib
import mmap
from dataclasses import dataclass
from typing import Any, Final, cast

import av
import numpy as np
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from streamwatch.decoders.job import PADDING
from streamwatch.decoders.refusal import said, too_large
from streamwatch.decoders.still import is_whole, size_of
from streamwatch.errors import LookError, Reason, Step
from streamwatch.wire import bitstream, bitstream_h265

DECODERS: Final = {
    "h264": "h264",
    "h265": "hevc",
    "mjpeg": "mjpeg",
}  # our name -> FFmpeg's; no other is opened
# What ships is what the thresholds of pictures are calibrated with. Without the loop filter the edges of blocks stay:
# H.264's, 4 x 4 in every intra picture, make a blurred one at a high quantiser look sharp; H.265's, 8 x 8 and softer,
# do not (docs/quality.md), and its two filters are 5 to 18 % of decoding. One thread each: there is a process a core.
UNFILTERED: Final = {"skip_loop_filter": "all"}
OPTIONS: Final[dict[str, dict[str, str]]] = {
    "h264": {},
    "h265": UNFILTERED,
    "mjpeg": {"err_detect": "explode"},  # FFmpeg paints over a damaged JPEG otherwise, and does not say so
}
KEYFRAMES: Final = frozenset({"h264", "h265", "mjpeg"})  # what a look brings; more is the caller's decision

# Eight bits a sample, luma in plane 0 without anything between.
LUMA_FORMATS: Final = frozenset(
    {"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "gray", "nv12", "nv16"},
)
# The same with ten bits (Main 10, High 10): the top eight are taken. What is neither is unsupported, not broken.
TEN_BIT_FORMATS: Final = frozenset({"yuv420p10le", "yuv422p10le", "gray10le"})
_PARAMETER_SETS: Final = {  # kinds of units, shift and mask of nal_unit_type in the header's first byte, names
    "h264": ({7, 8}, 0, 0x1F, "SPS, PPS"),  # H.264 clause 7.3.1, table 7-1
    "h265": ({32, 33, 34}, 1, 0x3F, "VPS, SPS, PPS"),  # H.265 clause 7.3.1.2, table 7-1
}
_SPS: Final = {"h264": 7, "h265": bitstream_h265.SPS}
BYTES_PER_PIXEL: Final = 6  # what decoding takes: two pictures of 1.5 bytes a pixel, motion and error tables;
# one of ten bits takes 10, and its luma 3 more


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture: `luma`, shape (height, width) after cropping, may be a view of `frame`, which is held."""

    luma: NDArray[np.uint8]
    frame: VideoFrame


class Codecs:
    """One decoder context a codec, reused from keyframe to keyframe and thrown away after any failure."""

    def __init__(self, *, max_pixels: int, allowed: frozenset[str] = KEYFRAMES) -> None:
        self._max_pixels = max_pixels
        self._allowed = allowed
        self._contexts: dict[str, VideoCodecContext] = {}

    def shown(self, codec: str, data: bytes | memoryview, measured: Picture) -> VideoFrame:
        """The same access unit as a person is to see it, with all of the codec's filters. `measured` is what `decode`
        made of it, and is that picture where the codec has none that are left out for measuring. Raises LookError.
        """
        if OPTIONS[codec] is not UNFILTERED:
            return measured.frame
        self._contexts.pop(codec, None)  # its memory is needed: a worker may take one large picture, not two
        return self._decoded(opened(codec, self._max_pixels, filtered=True), data).frame

    def decode(self, codec: str, data: bytes | memoryview) -> Picture:
        """The picture in one access unit (Annex B with its parameter sets, or one JPEG), as measures are taken of it.

        A memoryview is decoded where it is: PADDING has to stand behind it, and nothing of it may change meanwhile.
        Raises LookError: media.unsupported_codec, media.too_large (`max_pixels`), media.broken (damaged, or concealed
        only), ours.memory.
        """
        if codec not in DECODERS or codec not in self._allowed:
            known = ", ".join(sorted(self._allowed))
            detail = f"{codec} is not decoded here, only {known}"
            raise LookError(Reason.MEDIA_UNSUPPORTED_CODEC, detail, step=Step.DECODE)
        if codec in _PARAMETER_SETS:
            self._check_size(codec, _own_parameter_sets(codec, data))
        if codec == "mjpeg":
            self._check_jpeg(bytes(data))
        context = self._contexts.pop(codec, None) or opened(codec, self._max_pixels)
        picture = self._decoded(context, data)
        self._contexts[codec] = context
        return picture

    def _decoded(self, context: VideoCodecContext, data: bytes | memoryview) -> Picture:
        try:
            frames = context.decode(_packet(data))
            frames += context.decode(None)
            context.flush_buffers()
        except (MemoryError, av.error.MemoryError) as error:
            if context.width * context.height > self._max_pixels:  # FFmpeg's H.265 decoder says "no memory" to that
                raise self._explained(context, error) from error
            detail = "the decoder ran out of the memory it may use"
            raise LookError(Reason.OURS_MEMORY, detail, step=Step.DECODE) from error
        except (av.error.FFmpegError, ValueError) as error:
            raise self._explained(context, error) from error
        picture = _first_whole(frames, context)
        if picture is None:
            raise self._explained(context, "parts of it are missing" if frames else "no picture came of it")
        return picture

    def _check_size(self, codec: str, unit: bytes) -> None:
        """FFmpeg makes its tables first, 100 MB for an H.265 picture of 16000x16000, and looks at the limit then."""
        parse = bitstream_h265.parse_sps if codec == "h265" else bitstream.parse_sps
        with contextlib.suppress(ValueError):  # whatever it is, FFmpeg will say so
            sps = parse(unit)
            if sps.coded_width * sps.coded_height > self._max_pixels:
                raise too_large(sps.coded_width, sps.coded_height, self._max_pixels)

    def _check_jpeg(self, data: bytes) -> None:
        """FFmpeg gives a picture of whatever memory holds for a JPEG without a scan, and no size with a refusal."""
        size = size_of("mjpeg", data)
        if size is not None and size[0] * size[1] > self._max_pixels:
            raise too_large(*size, self._max_pixels)
        if size is None or not is_whole("mjpeg", data):
            raise LookError(Reason.MEDIA_BROKEN, "the JPEG has no frame header, no scan or no end", step=Step.DECODE)

    def _explained(self, context: VideoCodecContext, why: Exception | str) -> LookError:
        """Why there is no picture: FFmpeg says "invalid data" to one over the limit and to a failed allocation too, or
        says nothing and paints over what it had no memory for."""
        width, height = context.width, context.height
        if width * height > self._max_pixels:
            return too_large(width, height, self._max_pixels)
        if not _memory_left(max(width * height, 2**16) * BYTES_PER_PIXEL):
            return LookError(Reason.OURS_MEMORY, f"no memory left to decode {width}x{height}", step=Step.DECODE)
        if isinstance(why, str):
            return LookError(Reason.MEDIA_BROKEN, f"the keyframe is damaged: {why}", step=Step.DECODE)
        return LookError(Reason.MEDIA_BROKEN, f"the decoder refused the keyframe: {said(why)}", step=Step.DECODE)


def opened(codec: str, max_pixels: int, *, filtered: bool = False) -> VideoCodecContext:
    """A new context for `codec` (a key of DECODERS) with the options that ship; `filtered`: and every loop filter."""
    context = cast("VideoCodecContext", CodecContext.create(DECODERS[codec], "r"))
    context.thread_count = 1
    context.thread_type = "NONE"
    chosen = {} if filtered and OPTIONS[codec] is UNFILTERED else OPTIONS[codec]
    context.options = {"max_pixels": str(max_pixels), **chosen}
    return context


def _packet(data: bytes | memoryview) -> av.Packet[Any]:
    """PyAV copies nothing: it points to these bytes, and takes any buffer, which its stubs do not say."""
    return av.Packet(cast("Any", data if isinstance(data, memoryview) else memoryview(data + PADDING)[: len(data)]))


def _first_whole(frames: list[VideoFrame], context: VideoCodecContext) -> Picture | None:
    for frame in frames:
        if frame.is_corrupt:
            continue
        plane = frame.planes[0]
        rows = np.frombuffer(cast("Any", plane), np.uint8)  # a buffer; the stubs of PyAV 18 do not say so
        rows = rows.reshape(-1, plane.line_size)[: frame.height]
        if frame.format.name in TEN_BIT_FORMATS:
            deep = rows.view("<u2")[:, : frame.width]
            return Picture((deep >> 2).astype(np.uint8), frame)
        if frame.format.name not in LUMA_FORMATS:
            raise LookError(
                Reason.MEDIA_UNSUPPORTED_CODEC,
                f"{context.name} with pixel format {frame.format.name} is not read here",
                step=Step.DECODE,
            )
        return Picture(rows[:, : frame.width], frame)
    return None


def _own_parameter_sets(codec: str, data: bytes | memoryview) -> bytes:
    """The keyframe's SPS. Raises LookError: media.broken, where it does not bring all its parameter sets.

    A context keeps those of the camera before: the keyframe would be read with them.
    """
    wanted, shift, mask, names = _PARAMETER_SETS[codec]
    for size in (1024, 65_536):  # they come first; 64 KiB is the cap of sprop-parameter-sets
        head, kinds, sps = bytes(data[:size]), set(), b""
        at = head.find(b"\x00\x00\x01")
        while at >= 0 and at + 3 < len(head):
            kind = head[at + 3] >> shift & mask
            kinds.add(kind)
            begin, at = at + 3, head.find(b"\x00\x00\x01", at + 3)
            if kind == _SPS[codec]:
                sps = head[begin:at].rstrip(b"\x00") if at >= 0 else head[begin:]
            if kinds >= wanted:
                return sps
    raise LookError(
        Reason.MEDIA_BROKEN,
        f"the keyframe came without its parameter sets ({names}), in band or in the SDP",
        step=Step.DECODE,
    )


def _memory_left(size: int) -> bool:
    try:
        mmap.mmap(-1, size).close()
    except (OSError, MemoryError):
        return False
    return True


def versions() -> dict[str, str]:
    """PyAV's version and FFmpeg's, as `--version` names them."""
    return {"av": av.__version__, "ffmpeg": av.ffmpeg_version_info}
