"""Inside H.265 NAL units: sizes as an encoder really wrote them, and every way to lie about them."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.errors import LookError, Reason
from streamwatch.wire.bitstream import check_size
from streamwatch.wire.bitstream_h265 import begins_picture, parse_pps_ids, parse_sps, parse_vps_id, slice_pps
from tests.wire.camera_h265 import encode, vcl
from tests.wire.test_bitstream import Bits


def sps(
    width: int = 320,
    height: int = 240,
    *,
    window: tuple[int, ...] = (),
    chroma: int = 1,
    sub_layers: int = 0,
    present: tuple[int, int] = (1, 1),
    sps_id: int = 0,
    vps: int = 0,
    depth: int = 0,
) -> bytes:
    """A sequence parameter set made by hand. `present`: whether each sub-layer has its profile and its level."""
    bits = Bits().u(8, 1).u(4, vps).u(3, sub_layers).u(1, 1).u(8, 1).u(32, 0x60000000).u(48, 0).u(8, 93)
    for _ in range(sub_layers):
        bits.u(1, present[0]).u(1, present[1])
    for _ in range(sub_layers, 8 if sub_layers else 0):
        bits.u(2, 0)
    for _ in range(sub_layers):
        bits.u(88, 2**88 - 1) if present[0] else None
        bits.u(8, 255) if present[1] else None
    bits.ue(sps_id).ue(chroma)
    bits.u(1, 0) if chroma == 3 else None
    bits.ue(width).ue(height).u(1, 1 if window else 0)
    for side in window:
        bits.ue(side)
    return bits.ue(depth).ue(depth).ue(4).nal(0x42)


@pytest.mark.parametrize(
    ("width", "height"), [(352, 232), (1920, 1080), (720, 1280), (130, 98), (640, 362), (3840, 2160)]
)
def test_sizes_that_an_encoder_wrote(width: int, height: int) -> None:
    """Width and height after the conformance window, for sizes that are no multiple of a coding block too."""
    vps, unit, pps = encode(width, height, pictures=1)[0][:3]
    found = parse_sps(unit)
    assert (found.width, found.height, found.id, found.vps) == (width, height, 0, 0)
    assert found.coded_width % 8 == found.coded_height % 8 == 0
    assert (found.chroma_format, found.bit_depth) == (1, 8)
    assert (parse_vps_id(vps), parse_pps_ids(pps)) == (0, (0, 0))
    check_size(found)


def test_parameter_set_of_a_real_camera() -> None:
    """The example of a maker's SDP: 1920x1080 of 1088 lines."""
    found = parse_sps(base64.b64decode("QgEBAWAAAAMAsAAAAwAAAwB7oAPAgBDljb5JMvTcBAQEAg=="))
    assert (found.width, found.height) == (1920, 1080)


@pytest.mark.parametrize("present", [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("sub_layers", range(7))
def test_sub_layers_are_read_past(sub_layers: int, present: tuple[int, int]) -> None:
    """However many there are, with and without profile and level."""
    found = parse_sps(sps(640, 368, window=(0, 0, 0, 4), sub_layers=sub_layers, present=present, sps_id=15, vps=15))
    assert (found.width, found.height, found.coded_height, found.id, found.vps) == (640, 360, 368, 15, 15)


@pytest.mark.parametrize(("chroma", "size"), [(0, (310, 233)), (1, (300, 226)), (2, (300, 233)), (3, (310, 233))])
def test_the_window_counts_in_units_of_chroma(chroma: int, size: tuple[int, int]) -> None:
    """Table 6-1."""
    found = parse_sps(sps(320, 240, window=(4, 6, 3, 4), chroma=chroma))
    assert (found.width, found.height) == size


@pytest.mark.parametrize(
    "unit",
    [
        pytest.param(sps(16_000, 16_000), id="16000x16000"),
        pytest.param(sps(16, 16, window=(0, 7, 0, 7)), id="2x2"),
        pytest.param(sps(8200, 16), id="8200 wide"),
        pytest.param(sps(16, 8200), id="8200 high"),
        pytest.param(sps(8192, 4096), id="8192x4096"),
        pytest.param(sps(2**32 - 2, 2**32 - 2), id="2^32 a side"),
    ],
)
def test_sizes_that_no_decoder_is_asked_to_make_room_for(unit: bytes) -> None:
    """media.too_large, from a few bytes, before any decoder sees them."""
    with pytest.raises(LookError) as raised:
        check_size(parse_sps(unit))
    assert raised.value.reason is Reason.MEDIA_TOO_LARGE


@pytest.mark.parametrize(
    "unit",
    [
        pytest.param(sps(window=(0, 160, 0, 0)), id="window larger than the picture"),
        pytest.param(sps(0, 240), id="no width"),
        pytest.param(sps(sps_id=16), id="id 16"),
        pytest.param(sps(chroma=4), id="chroma 4"),
        pytest.param(sps(depth=9), id="17 bits"),
        pytest.param(sps(sub_layers=7), id="8 sub-layers"),
        pytest.param(sps()[:16], id="cut"),
        pytest.param(b"\x42\x01" + bytes(40), id="zeros without end"),
        pytest.param(b"\x44" + sps()[1:], id="another kind"),
        pytest.param(sps() + b"\xff" * 1024, id="too long"),
        pytest.param(b"\x42\x01", id="header alone"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_sets_that_cannot_be_read(unit: bytes) -> None:
    """ValueError names what is wrong."""
    with pytest.raises(ValueError, match=r"\w"):
        parse_sps(unit)


def test_every_cut_of_a_set_is_refused_or_has_the_size() -> None:
    """What is missing is never guessed."""
    unit = encode(352, 232, pictures=1)[0][1]
    for end in range(len(unit)):
        try:
            assert (parse_sps(unit[:end]).width, parse_sps(unit[:end]).height) == (352, 232)
        except ValueError:
            continue


def test_picture_parameter_set_ids() -> None:
    """Both ids, up to the standard's limits."""
    assert parse_pps_ids(Bits().u(8, 1).ue(63).ue(15).u(8, 0).nal(0x44)) == (63, 15)
    over = [Bits().u(8, 1).ue(64).ue(0).u(8, 0).nal(0x44), Bits().u(8, 1).ue(0).ue(16).u(8, 0).nal(0x44)]
    for broken in (*over, b"\x44\x01", b"\x42\x01\xff"):
        with pytest.raises(ValueError, match=r"\w"):
            parse_pps_ids(broken)


def test_slice_heads() -> None:
    """Of a real stream, and by hand: a slice of an IRAP picture has one bit more before its PPS."""
    first, second, *_ = encode(320, 256, slices=2)
    assert [begins_picture(unit) for unit in vcl(first)] == [True, False]
    assert {slice_pps(unit) for unit in (*vcl(first), *vcl(second))} == {0}
    assert slice_pps(Bits().u(8, 1).u(1, 1).u(1, 0).ue(63).nal(0x26)) == 63
    assert slice_pps(Bits().u(8, 1).u(1, 1).ue(5).nal(0x02)) == 5
    with pytest.raises(ValueError, match="64"):
        slice_pps(Bits().u(8, 1).u(1, 1).u(1, 0).ue(64).nal(0x26))
    assert not begins_picture(b"\x26\x01")


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_raise_value_error(data: bytes) -> None:
    """Any parameter set and slice: a value or ValueError."""
    for parse, header in (
        (parse_sps, b"\x42"),
        (parse_pps_ids, b"\x44"),
        (parse_vps_id, b"\x40"),
        (slice_pps, b"\x26"),
    ):
        try:
            parse(header + data)
        except ValueError:
            continue
    begins_picture(data)
