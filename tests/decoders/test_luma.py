"""Any pixel format becomes luma with the levels that it had, and a thumbnail that fits its cell."""

from __future__ import annotations

import av
import numpy as np
import pytest

from streamwatch.decoders.luma import luma_of, thumbnail_of
from tests.decoders.media import colours
from tests.decoders.streams import street

RGB = colours(street(321, 183))
# One thread: swscale makes mistakes where the slices of several meet in rows that it dithers.
LIMITED = av.VideoFrame.from_ndarray(RGB, "rgb24").reformat(format="yuv444p", threads=1)


def plane_of(frame: av.VideoFrame) -> np.ndarray:
    """Plane 0 as it stands."""
    part = frame.planes[0]
    return np.frombuffer(part, np.uint8).reshape(-1, part.line_size)[: frame.height, : frame.width]


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p", "yuv440p", "yuv411p", "yuva420p", "nv12", "nv21"])
def test_eight_bit_luma_is_taken_as_it_is(pix_fmt: str) -> None:
    """Not one level moves, whatever the range: as for a camera's keyframe. It is a copy."""
    frame = LIMITED.reformat(format=pix_fmt, threads=1)
    luma = luma_of(frame)

    assert np.array_equal(luma, plane_of(LIMITED))
    assert luma.flags.owndata and luma.shape == (183, 321)


@pytest.mark.parametrize(
    "pix_fmt", ["yuv420p10le", "yuv422p10le", "yuv444p12le", "yuv420p16be", "p010le", "uyvy422", "yuyv422"]
)
def test_deeper_and_packed_yuv_keeps_its_levels(pix_fmt: str) -> None:
    """Ten bits become eight by their top ones: black stays 16 and is not stretched to 0."""
    luma = luma_of(LIMITED.reformat(format=pix_fmt, threads=1))

    assert np.abs(luma[:, :320].astype(int) - plane_of(LIMITED)[:, :320]).max() <= 1


@pytest.mark.parametrize("pix_fmt", ["rgb24", "bgr24", "rgba", "bgra", "gbrp", "gray", "gray16le", "rgb48le"])
def test_colours_become_full_range_grey(pix_fmt: str) -> None:
    """0 is black and 255 white, as a JPEG of the same picture has it."""
    luma = luma_of(av.VideoFrame.from_ndarray(RGB, "rgb24").reformat(format=pix_fmt, threads=1))

    assert np.abs(luma.astype(int) - RGB[:, :, 0]).max() <= 1


def test_colours_weigh_as_eyes_see_them() -> None:
    """Green is brighter than red, red than blue (ITU-R BT.601: 0.299, 0.587, 0.114)."""
    for levels, expected in (((255, 0, 0), 76), ((0, 255, 0), 150), ((0, 0, 255), 29)):
        frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), levels, np.uint8), "rgb24")
        assert abs(int(luma_of(frame)[32, 32]) - expected) <= 1


@pytest.mark.parametrize(
    ("width", "height", "shown"),
    [(1920, 1080, (320, 180)), (720, 1280, (101, 180)), (64, 48, (64, 48)), (3000, 2, (320, 1)), (2, 3000, (1, 180))],
)
def test_thumbnails_fit_and_are_never_enlarged(width: int, height: int, shown: tuple[int, int]) -> None:
    """Within 320 x 180, in the picture's shape, three bytes a pixel."""
    found = thumbnail_of(av.VideoFrame.from_ndarray(np.full((height, width, 3), (200, 10, 60), np.uint8), "rgb24"))

    assert (found.width, found.height) == shown
    assert len(found.rgb) == 3 * found.width * found.height
    assert found.rgb[:3] == bytes((200, 10, 60))
