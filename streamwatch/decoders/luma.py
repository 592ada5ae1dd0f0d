"""Stage 4: a decoded frame of any pixel format -> its luma plane, and a small colour picture of it for a person."""

from __future__ import annotations

from typing import Any, Final, cast

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation
from numpy.typing import NDArray

from streamwatch.decoders.codec import LUMA_FORMATS
from streamwatch.decoders.job import THUMBNAIL_HEIGHT, THUMBNAIL_WIDTH, Thumbnail

# Eight bits a sample, luma in plane 0, as LUMA_FORMATS; what photographs and old clips bring besides.
_MORE_LUMA_FORMATS: Final = frozenset(
    {"yuv410p", "yuv411p", "yuvj411p", "yuv440p", "yuvj440p", "yuva420p", "yuva422p", "yuva444p", "nv21", "nv24"}
)
_YUV: Final = ("yuv", "yuyv", "p0", "p2", "p4", "nv", "uyvy", "yvyu", "y2", "xv", "ayuv", "vuy")


def luma_of(frame: VideoFrame) -> NDArray[np.uint8]:
    """A copy, shape (height, width). Luma of 8 bits is taken as it is, as a camera's is; deeper or packed YUV becomes
    8 bits with its levels kept; colours that are not YUV become full-range grey (ITU-R BT.601 weights)."""
    name = frame.format.name
    if name not in LUMA_FORMATS and name not in _MORE_LUMA_FORMATS:
        # One thread each: the jail lets nobody start another, and swscale would ask for one a core.
        if name.startswith(_YUV):
            same = ColorRange.MPEG  # from this range to this range: no level moves
            frame = frame.reformat(format="yuv444p", src_color_range=same, dst_color_range=same, threads=1)
        else:
            frame = frame.reformat(format="gray", threads=1)
    plane = frame.planes[0]
    rows = np.frombuffer(cast("Any", plane), np.uint8)  # a buffer; the stubs of PyAV 18 do not say so
    return rows.reshape(-1, plane.line_size)[: frame.height, : frame.width].copy()


def thumbnail_of(frame: VideoFrame) -> Thumbnail:
    """The picture within 320 x 180, its shape kept, never enlarged."""
    shrink = min(1.0, THUMBNAIL_WIDTH / frame.width, THUMBNAIL_HEIGHT / frame.height)
    width, height = max(1, int(frame.width * shrink)), max(1, int(frame.height * shrink))
    small = frame.reformat(width=width, height=height, format="rgb24", interpolation=Interpolation.AREA, threads=1)
    plane = small.planes[0]
    rows = np.frombuffer(cast("Any", plane), np.uint8).reshape(-1, plane.line_size)[:height, : width * 3]
    return Thumbnail(width, height, rows.tobytes())
