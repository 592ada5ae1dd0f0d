"""The small picture that leaves a decoder: within its bounds, and without a trace of what is behind a mask."""

from __future__ import annotations

import math

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamwatch.decoders import snapshot
from streamwatch.decoders.codec import Codecs
from streamwatch.decoders.job import MAX_SNAPSHOT_BYTES
from streamwatch.decoders.snapshot import MAX_SIDE, snapshot_of
from streamwatch.decoders.still import decode_still
from tests.decoders.streams import keyframe, noisy, street

WHITE = 235  # video levels


def white(width: int, height: int, pix_fmt: str = "yuv420p") -> av.VideoFrame:
    """A white picture: whatever is grey or black in what comes of it is our doing."""
    frame = av.VideoFrame(width, height, pix_fmt)
    deep = pix_fmt.endswith("10le")
    for number, plane in enumerate(frame.planes):
        level = (WHITE if number == 0 else 128) * (4 if deep else 1)
        plane.update(np.full(plane.buffer_size // (2 if deep else 1), level, "<u2" if deep else np.uint8).tobytes())
    return frame


def levels(jpeg: bytes | None) -> NDArray[np.uint8]:
    """The grey levels of a JPEG, shape (height, width)."""
    assert jpeg is not None and len(jpeg) <= MAX_SNAPSHOT_BYTES
    return decode_still("mjpeg", jpeg, 10**7).to_ndarray(format="gray")


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1280, 720), (360, 640)), ((720, 1280), (640, 360)), ((352, 288), (288, 352)), ((3840, 2160), (360, 640))],
)
def test_it_fits_and_is_never_enlarged(size: tuple[int, int], expected: tuple[int, int]) -> None:
    """The longer side has at most 640 pixels, the shape is kept."""
    assert levels(snapshot_of(white(*size), ())).shape == expected
    assert max(expected) <= MAX_SIDE


def test_it_shows_what_was_decoded() -> None:
    """Level by level, within what a JPEG takes."""
    y = street(640, 360)
    frame = Codecs(max_pixels=10**6).decode("h264", keyframe(y, qp=10)).frame
    expected = np.clip((y - 16) * 255 / 219, 0, 255)
    assert np.abs(levels(snapshot_of(frame, ())) - expected).mean() < 4


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj420p", "yuv422p", "yuv444p", "gray", "nv12", "yuv420p10le"])
def test_what_is_masked_is_black_in_every_format(pix_fmt: str) -> None:
    """And the rest is as white as it was."""
    found = levels(snapshot_of(white(640, 360, pix_fmt), ((0.25, 0.5, 0.5, 1.0),)))
    assert found[185:, 165:315].max() < 8
    assert found[:170].min() > 225 and found[:, :150].min() > 225 and found[:, 330:].min() > 225


@given(
    st.tuples(*[st.floats(0, 1)] * 4).map(
        lambda m: (min(m[0], m[2]), min(m[1], m[3]), max(m[0], m[2]), max(m[1], m[3]))
    ),
    st.sampled_from(["yuv420p", "nv12", "yuv422p"]),
)
@settings(max_examples=40, deadline=None)
def test_not_one_sample_under_a_mask_is_left(mask: tuple[float, float, float, float], pix_fmt: str) -> None:
    """The planes themselves are written over before anything is scaled, rounded outwards: an oracle asks each pixel."""
    frame = white(46, 34, pix_fmt)
    snapshot_of(frame, (mask,))
    rows = np.frombuffer(frame.planes[0], np.uint8).reshape(34, -1)[:, :46]
    left, top, right, bottom = mask
    for y in range(34):
        for x in range(46):
            touched = left * 46 < x + 1 and x < right * 46 and top * 34 < y + 1 and y < bottom * 34
            assert rows[y, x] == (0 if touched else WHITE), (x, y)


@pytest.mark.parametrize(
    "mask", [(math.nan, 0.0, 1.0, 1.0), (-math.inf, -5.0, math.inf, 7.0), (0.0, math.nan, 1.0, 1.0)]
)
def test_a_mask_that_is_no_rectangle_hides_more_not_less(mask: tuple[float, float, float, float]) -> None:
    """What cannot be meant is taken for everything."""
    assert levels(snapshot_of(white(64, 64), (mask,))).max() < 8


def test_noise_is_taken_coarser_until_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """And where nothing helps there is none."""
    noise = keyframe(noisy(np.full((640, 640), 128.0), 60, 1), qp=10)
    codecs = Codecs(max_pixels=10**6)
    finest = snapshot_of(codecs.decode("h264", noise).frame, ())
    assert levels(finest).shape == (640, 640) and finest is not None
    monkeypatch.setattr(snapshot, "MAX_SNAPSHOT_BYTES", len(finest) - 1)
    coarser = snapshot_of(codecs.decode("h264", noise).frame, ())
    assert coarser is not None and len(coarser) < len(finest)
    monkeypatch.setattr(snapshot, "MAX_SNAPSHOT_BYTES", 100)
    assert snapshot_of(codecs.decode("h264", noise).frame, ()) is None


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "nv12", "yuv422p"])
def test_no_colour_is_left_of_a_masked_sample_of_an_odd_picture(pix_fmt: str) -> None:
    """47x35, masked from each column and row on: the chroma of each masked luma sample is grey."""
    for first in range(47):
        frame = white(47, 35, pix_fmt)
        for plane in frame.planes[1:]:
            plane.update(np.full(plane.buffer_size, 200, np.uint8).tobytes())
        edge = (first + 0.99) / 47
        snapshot_of(frame, ((edge, edge, 1.0, 1.0),))
        plane = frame.planes[1]
        wide = 2 if pix_fmt == "nv12" else 1
        chroma = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:, : plane.width * wide : wide]
        down = -(-35 // plane.height)
        assert (chroma[math.floor(edge * 35) // down :, first // 2 :] == 128).all(), first


def test_a_mask_may_be_drawn_from_any_corner() -> None:
    """Right before left hides the same as left before right."""
    found = levels(snapshot_of(white(64, 64), ((0.75, 0.75, 0.25, 0.25),)))
    assert found[20:44, 20:44].max() < 8
