"""The decoders: real keyframes give their luma, damaged ones give a reason and never a picture."""

from __future__ import annotations

import contextlib

import av
import numpy as np
import pytest

from streamwatch.decoders.codec import Codecs
from streamwatch.decoders.luma import luma_of
from streamwatch.decoders.still import decode_still
from streamwatch.errors import LookError, Reason, Step
from streamwatch.quality.sharpness import sharpness
from tests.decoders.streams import START, blurred, bomb, first_slice, keyframe, keyframe_h265, noisy, plane, street
from tests.wire import camera_h265
from tests.wire.jpeg_camera import encode_jpeg

MAX_PIXELS = 8_900_000


@pytest.fixture
def codecs() -> Codecs:
    return Codecs(max_pixels=MAX_PIXELS)


def reason_of(codecs: Codecs, data: bytes, codec: str = "h264") -> Reason:
    with pytest.raises(LookError) as caught:
        codecs.decode(codec, data)
    assert caught.value.step is Step.DECODE
    return caught.value.reason


@pytest.mark.parametrize(("width", "height"), [(640, 360), (176, 144), (1920, 1080), (362, 250)])
def test_keyframe_gives_the_luma_that_was_encoded(codecs: Codecs, width: int, height: int) -> None:
    """The plane has the cropped size and, at a fine quantiser, the levels of the picture, row by row."""
    y = street(width, height)
    picture = codecs.decode("h264", keyframe(y, qp=8))
    assert picture.luma.shape == (height, width)
    assert np.abs(picture.luma.astype(int) - plane(y)).mean() < 1.5


@pytest.mark.parametrize("pix_fmt", ["yuv422p", "yuv444p", "yuvj420p"])
def test_other_eight_bit_layouts_give_luma_too(codecs: Codecs, pix_fmt: str) -> None:
    """Chroma is not looked at."""
    assert codecs.decode("h264", keyframe(street(), pix_fmt=pix_fmt)).luma.shape == (360, 640)


@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "yuv422p10le"])
@pytest.mark.parametrize(("width", "height"), [(640, 360), (362, 250)])
def test_ten_bits_give_the_luma_that_was_encoded(
    codecs: Codecs, codec: str, pix_fmt: str, width: int, height: int
) -> None:
    """By their top eight: Main 10, which some makers' H.265 is, and High 10; as from a file of the same."""
    y = street(width, height)
    data = keyframe(y, qp=8, pix_fmt=pix_fmt) if codec == "h264" else keyframe_h265(y, qp=8, pix_fmt=pix_fmt)
    picture = codecs.decode(codec, data)
    assert picture.luma.shape == (height, width) and picture.luma.dtype == np.uint8
    assert picture.frame.format.name == pix_fmt
    assert np.abs(picture.luma.astype(int) - plane(y)).mean() < 1.5
    assert np.abs(picture.luma.astype(int) - luma_of(picture.frame)).max() <= 1


def test_what_is_neither_eight_nor_ten_bits_of_that_kind_is_unsupported_not_broken(codecs: Codecs) -> None:
    """A healthy picture that we cannot read is not the camera's fault."""
    assert reason_of(codecs, keyframe(street(), pix_fmt="yuv444p10le")) is Reason.MEDIA_UNSUPPORTED_CODEC


def test_codec_outside_the_allow_list_is_unsupported(codecs: Codecs) -> None:
    """FFmpeg has some hundred decoders; av1, gif and mpeg4 are not even opened."""
    for name in ("av1", "gif", "mpeg4", ""):
        assert reason_of(codecs, keyframe(street()), name) is Reason.MEDIA_UNSUPPORTED_CODEC


@pytest.mark.parametrize("kind", [0, 1])
def test_a_jpeg_gives_the_luma_that_a_file_of_it_has(codecs: Codecs, kind: int) -> None:
    """Level by level, one after another in different sizes, and with tables of its own each time."""
    for size, quality in (((640, 360), 90), ((176, 144), 30), ((1280, 720), 75), ((640, 360), 90)):
        file = encode_jpeg(*size, kind, quality=quality)
        assert np.array_equal(codecs.decode("mjpeg", file).luma, luma_of(decode_still("mjpeg", file, MAX_PIXELS)))


@pytest.mark.parametrize("restarts", [False, True])
def test_every_truncation_of_a_jpeg_is_broken_never_a_picture(codecs: Codecs, restarts: bool) -> None:
    """Also where an end marker was set behind what came; the next whole one decodes."""
    file = encode_jpeg(320, 240, restarts=restarts)
    scan = file.index(b"\xff\xda")
    for cut in [*range(scan, len(file) - 60, (len(file) - scan) // 40), len(file) - 60]:
        assert reason_of(codecs, file[:cut] + b"\xff\xd9", "mjpeg") is Reason.MEDIA_BROKEN, cut
    assert codecs.decode("mjpeg", file).luma.shape == (240, 320)


def test_a_jpeg_that_claims_a_giant_is_too_large(codecs: Codecs) -> None:
    """By its own header, or by one that hides behind the scan of a small one."""
    file = encode_jpeg(320, 240)
    at = file.index(b"\xff\xc0") + 5
    giant = file[:at] + b"\xff\xdc\xff\xdc" + file[at + 4 :]
    assert reason_of(codecs, giant, "mjpeg") is Reason.MEDIA_TOO_LARGE
    assert reason_of(codecs, file[:-2] + giant[2:], "mjpeg") in {Reason.MEDIA_TOO_LARGE, Reason.MEDIA_BROKEN}
    assert codecs.decode("mjpeg", file).luma.shape == (240, 320)


@pytest.mark.parametrize("slices", [1, 4])
def test_every_truncation_is_broken_never_a_picture(codecs: Codecs, slices: int) -> None:
    """The decoder conceals what is missing; a concealed picture is none. The next whole keyframe decodes."""
    data = keyframe(street(), slices=slices)
    assert data.count(START[1:] + b"\x65") == slices
    idr = first_slice(data)
    for cut in [*range(idr + 4, len(data) - 8, max(1, (len(data) - idr) // 40)), len(data) - 8]:
        assert reason_of(codecs, data[:cut]) is Reason.MEDIA_BROKEN, cut
    assert codecs.decode("h264", data).luma.shape == (360, 640)


def test_missing_slice_is_broken(codecs: Codecs) -> None:
    """A packet lost on the way takes a whole slice along; the others decode, the picture is none."""
    data = keyframe(street(), slices=4)
    starts = [at for at in range(len(data)) if data[at : at + 4] == START[1:] + b"\x65"] + [len(data)]
    for lost in range(4):
        assert reason_of(codecs, data[: starts[lost]] + data[starts[lost + 1] :]) is Reason.MEDIA_BROKEN, lost


def test_slice_of_random_bytes_is_broken(codecs: Codecs) -> None:
    """Noise behind honest parameter sets."""
    data = keyframe(street())
    head = data[: first_slice(data) + 4]
    for seed in range(20):
        junk = np.random.default_rng(seed).bytes(5000)
        assert reason_of(codecs, head + junk) is Reason.MEDIA_BROKEN, seed


def test_random_bytes_give_a_reason_only(codecs: Codecs) -> None:
    """Whatever the bytes, the answer is a media reason."""
    for seed in range(100):
        junk = START + b"\x67" + np.random.default_rng(seed).bytes(seed * 7)
        assert reason_of(codecs, junk + START + b"\x68\xce" + START + b"\x65\x88") in {
            Reason.MEDIA_BROKEN,
            Reason.MEDIA_TOO_LARGE,
        }


def test_concealment_only_is_broken(codecs: Codecs) -> None:
    """A slice head without macroblocks makes the decoder paint grey: no picture."""
    assert reason_of(codecs, bomb(640, 352)) is Reason.MEDIA_BROKEN


def test_picture_over_max_pixels_is_too_large_and_costs_no_memory(codecs: Codecs) -> None:
    """Refused by size before a buffer is allocated; the size is named."""
    with pytest.raises(LookError, match="16000x16000") as caught:
        codecs.decode("h264", bomb())
    assert caught.value.reason is Reason.MEDIA_TOO_LARGE
    exact = Codecs(max_pixels=640 * 360 + 640 * 8)  # FFmpeg counts the coded size: 640x368
    assert exact.decode("h264", keyframe(street())).luma.shape == (360, 640)
    assert reason_of(Codecs(max_pixels=640 * 359), keyframe(street())) is Reason.MEDIA_TOO_LARGE


def test_keyframe_without_parameter_sets_never_borrows_those_of_another_camera(codecs: Codecs) -> None:
    """The reused context still holds the last camera's parameter sets; a bare slice must not decode with them."""
    data = keyframe(street())
    codecs.decode("h264", data)
    bare = data[first_slice(data) :]
    assert reason_of(codecs, bare) is Reason.MEDIA_BROKEN


def test_cameras_of_different_size_share_one_context(codecs: Codecs) -> None:
    """A change of resolution from keyframe to keyframe is the normal case here."""
    small, large = keyframe(street(176, 144)), keyframe(street(1280, 720))
    for _ in range(3):
        assert codecs.decode("h264", small).luma.shape == (144, 176)
        assert codecs.decode("h264", large).luma.shape == (720, 1280)


def h265(width: int, height: int, **options: int) -> bytes:
    """An H.265 keyframe with its parameter sets."""
    return b"".join(START + unit for unit in camera_h265.encode(width, height, pictures=1, **options)[0])


@pytest.mark.parametrize(("width", "height"), [(640, 360), (176, 144), (1920, 1080), (362, 250)])
def test_h265_keyframe_gives_its_luma(codecs: Codecs, width: int, height: int) -> None:
    """The cropped size, and the ramp that was encoded; H.264 pictures between change nothing."""
    for _ in range(2):
        luma = codecs.decode("h265", h265(width, height)).luma
        assert luma.shape == (height, width)
        assert np.abs(luma.mean(axis=0) - (np.linspace(30, 200, width) + 9.5)).max() < 8
        assert codecs.decode("h264", keyframe(street())).luma.shape == (360, 640)


def test_h265_over_max_pixels_is_too_large() -> None:
    """Refused by size; the decoder is asked for no more than it may."""
    assert reason_of(Codecs(max_pixels=640 * 359), h265(640, 360), "h265") is Reason.MEDIA_TOO_LARGE


def test_h265_keyframe_without_one_of_its_sets_never_borrows_it(codecs: Codecs) -> None:
    """The reused context still holds the last camera's VPS, SPS and PPS."""
    units = camera_h265.encode(320, 256, pictures=1)[0]
    codecs.decode("h265", b"".join(START + unit for unit in units))
    for missing in range(3):
        bare = b"".join(START + unit for number, unit in enumerate(units) if number != missing)
        assert reason_of(codecs, bare, "h265") is Reason.MEDIA_BROKEN


def test_h265_of_random_bytes_gives_a_picture_or_a_reason(codecs: Codecs) -> None:
    """Whatever the bytes: nothing but LookError, and the next keyframe decodes."""
    data = h265(320, 256)
    for seed in range(100):
        junk = bytearray(data)
        for at in np.random.default_rng(seed).integers(0, len(data), 5):
            junk[at] ^= 0x55
        with contextlib.suppress(LookError):
            assert codecs.decode("h265", bytes(junk)).luma.size > 0
    assert codecs.decode("h265", data).luma.shape == (256, 320)


def plain(codec: str, data: bytes) -> np.ndarray:
    """The luma as the standard has it: FFmpeg's defaults."""
    context = av.CodecContext.create({"h265": "hevc"}.get(codec, codec), "r")
    (frame,) = context.decode(av.Packet(data)) + context.decode(None)
    return luma_of(frame)


def test_h265_is_measured_without_its_loop_filters_and_shown_with_them(codecs: Codecs) -> None:
    """As the thresholds are calibrated, and as the standard has it; the next one is measured as the one before."""
    data = keyframe_h265(noisy(street(), 3, 1), qp=40)
    measured = codecs.decode("h265", data)
    before = measured.luma.copy()
    shown = luma_of(codecs.shown("h265", data, measured))
    assert np.array_equal(shown, plain("h265", data)) and not np.array_equal(before, shown)
    assert np.abs(before.astype(int) - shown).mean() < 2
    assert np.array_equal(codecs.decode("h265", data).luma, before)


def test_h264_is_measured_as_it_is_shown(codecs: Codecs) -> None:
    """Without its filter the blocks of a blurred picture would look sharp."""
    data = keyframe(noisy(street(), 3, 1), qp=40)
    measured = codecs.decode("h264", data)
    assert np.array_equal(measured.luma, plain("h264", data))
    assert codecs.shown("h264", data, measured) is measured.frame


def test_a_blurred_picture_is_blurred_however_coarsely_it_was_coded(codecs: Codecs) -> None:
    """H.264 up to a quantiser of 44, H.265 up to 46: the blocks do not pass for edges."""
    y = blurred(street(640, 360), 4)
    for codec, data in (
        *(("h264", keyframe(y, qp=qp)) for qp in (28, 36, 44)),
        *(("h265", keyframe_h265(y, qp=qp)) for qp in (28, 38, 46)),
    ):
        found = {measure.name: measure.value for measure in sharpness(codecs.decode(codec, data).luma)}
        assert found["sharpness"] < 0.30 and found["sharpness_coarse"] < 0.28, codec
