"""Inside NAL units: sizes as an encoder really wrote them, and every way to lie about them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.errors import LookError, Reason
from streamwatch.wire import bitstream
from streamwatch.wire.bitstream import BitReader, check_size, parse_pps_ids, parse_sps, peek_slice, unescape
from tests.wire.camera import encode, units_of


class Bits:
    """Writes an SPS bit by bit."""

    def __init__(self) -> None:
        self.text = ""

    def u(self, count: int, value: int) -> Bits:
        self.text += format(value, f"0{count}b")
        return self

    def ue(self, value: int) -> Bits:
        binary = format(value + 1, "b")
        self.text += "0" * (len(binary) - 1) + binary
        return self

    def nal(self, header: int) -> bytes:
        text = self.text + "1"
        text += "0" * (-len(text) % 8)
        raw = bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8))
        return bytes((header,)) + escape(raw)


def escape(data: bytes) -> bytes:
    """Emulation prevention, byte by byte."""
    out = bytearray()
    for byte in data:
        if len(out) >= 2 and out[-1] == out[-2] == 0 and byte <= 3:
            out.append(3)
        out.append(byte)
    return bytes(out)


def sps(
    width_mbs: int = 20,
    height_mbs: int = 15,
    *,
    crop: tuple[int, ...] = (),
    profile: int = 66,
    refs: int = 1,
    sps_id: int = 0,
    field: bool = False,
) -> bytes:
    """A sequence parameter set made by hand."""
    bits = Bits().u(8, profile).u(8, 0).u(8, 30).ue(sps_id)
    if profile == 244:
        bits.ue(3).u(1, 0).ue(6).ue(6).u(1, 0).u(1, 0)  # 4:4:4 of 14 bits
    bits.ue(0).ue(2).ue(refs).u(1, 0).ue(width_mbs - 1).ue(height_mbs - 1).u(1, 0 if field else 1)
    bits.u(1, 0) if field else None
    bits.u(1, 1).u(1, 1 if crop else 0)
    for side in crop:
        bits.ue(side)
    return bits.u(1, 0).nal(0x67)


@pytest.mark.parametrize(
    ("width", "height", "interlaced"),
    [
        (352, 232, False),
        (1920, 1080, False),
        (720, 1280, False),
        (704, 576, True),
        (1920, 1080, True),
        (128, 98, False),
        (640, 362, False),
    ],
)
def test_sizes_that_an_encoder_wrote(width: int, height: int, interlaced: bool) -> None:
    """Width and height after cropping, for odd sizes, 1088 coded lines, and fields."""
    unit = encode(width, height, pictures=1, interlaced=interlaced)[0][0]
    found = parse_sps(unit)
    assert (found.width, found.height) == (width, height)
    assert found.coded_width % 16 == found.coded_height % (16 if not interlaced else 32) == 0
    assert found.frame_mbs_only is not interlaced
    check_size(found)


def test_high_profiles_with_scaling_lists() -> None:
    """Chroma format, bit depth and scaling matrices are read past."""
    unit = encode(352, 288, pictures=1, extra="8x8dct=1:cqm=jvt")[0][0]
    assert (parse_sps(unit).profile, parse_sps(unit).width, parse_sps(unit).height) == (100, 352, 288)
    lists = Bits().u(8, 100).u(8, 0).u(8, 30).ue(0).ue(1).ue(0).ue(0).u(1, 0).u(1, 1)
    for index in range(8):  # lists of 16 and of 64 numbers, one that ends early, the last not there
        lists.u(1, 0 if index == 7 else 1)
        if index == 3:
            lists.ue(16)  # delta -8: the rest are as the one before
        elif index < 7:
            for _ in range(16 if index < 6 else 64):
                lists.ue(1)
    lists.ue(0).ue(2).ue(1).u(1, 0).ue(21).ue(17).u(1, 1).u(1, 1).u(1, 0).u(1, 0)
    assert (parse_sps(lists.nal(0x67)).width, parse_sps(lists.nal(0x67)).height) == (352, 288)
    deep = parse_sps(sps(profile=244))
    assert (deep.chroma_format, deep.bit_depth, deep.width) == (3, 14, 320)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("Z0LAHtkDxWhAAAADAEAAAAwDxYuS", (240, 160)),  # Wowza
        ("Z2QAHqwsaoLA9puCgIKgAAADACAAAAMD0IAA", (704, 480)),  # Dahua, with a trailing zero
        ("Z00AKZpkA8ARPyzUBAQFAAADA+gAAOpgBA==", (1920, 1080)),  # Hikvision
        ("Z2QAM6zoAoALWQ==", (2560, 1440)),  # Reolink
    ],
)
def test_parameter_sets_of_real_cameras(text: str, size: tuple[int, int]) -> None:
    """Sizes as the makers' own SDP gives them."""
    import base64

    found = parse_sps(base64.b64decode(text).rstrip(b"\x00"))
    assert (found.width, found.height) == size


@pytest.mark.parametrize(
    "unit",
    [
        pytest.param(sps(1000, 1000), id="16000x16000"),
        pytest.param(sps(1, 1, crop=(0, 7, 0, 7)), id="2x2"),
        pytest.param(sps(512, 1, crop=(0, 0, 0, 7)), id="8192x2"),
        pytest.param(sps(513, 10), id="8208 wide"),
        pytest.param(sps(10, 513), id="8208 high"),
        pytest.param(sps(512, 256), id="8192x4096"),
        pytest.param(sps(2**30, 2**30), id="2^34 a side"),
    ],
)
def test_sizes_that_no_decoder_is_asked_to_make_room_for(unit: bytes) -> None:
    """media.too_large, from a few bytes, before any decoder sees them."""
    with pytest.raises(LookError) as raised:
        check_size(parse_sps(unit))
    assert raised.value.reason is Reason.MEDIA_TOO_LARGE


def test_size_limits_at_the_edge() -> None:
    """16x16 and 8192 are allowed, and the caller's own number of pixels counts."""
    check_size(parse_sps(sps(1, 1)))
    check_size(parse_sps(sps(512, 10)))
    exactly = parse_sps(sps(20, 15))
    check_size(exactly, 320 * 240)
    with pytest.raises(LookError):
        check_size(exactly, 320 * 240 - 1)


@pytest.mark.parametrize(
    "unit",
    [
        pytest.param(sps(crop=(0, 200, 0, 0)), id="cropping larger than the picture"),
        pytest.param(sps(refs=17), id="17 reference frames"),
        pytest.param(sps(sps_id=32), id="id 32"),
        pytest.param(b"\x67\x42\x00\x1e" + bytes(40), id="zeros without end"),
        pytest.param(b"\x67\x42\x00\x1e" + bytes(4) + b"\x00\x80" * 3, id="33 leading zeros"),
        pytest.param(b"\x67\x42\x00", id="ends too early"),
        pytest.param(sps()[:6], id="cut"),
        pytest.param(b"\x68" + sps()[1:], id="another kind"),
        pytest.param(sps() + b"\xff" * 1024, id="too long"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_sets_that_cannot_be_read(unit: bytes) -> None:
    """ValueError names what is wrong."""
    with pytest.raises(ValueError, match=r"\w"):
        parse_sps(unit)


def test_sixteen_reference_frames_are_allowed() -> None:
    """The standard's own maximum."""
    assert parse_sps(sps(refs=16)).reference_frames == 16


def test_picture_parameter_set_ids() -> None:
    """Both ids, up to the standard's limits."""
    assert parse_pps_ids(Bits().ue(255).ue(31).u(8, 0).nal(0x68)) == (255, 31)
    for broken in (Bits().ue(256).ue(0).u(8, 0).nal(0x68), Bits().ue(0).ue(32).u(8, 0).nal(0x68), b"\x68", b"\x67\xff"):
        with pytest.raises(ValueError, match=r"\w"):
            parse_pps_ids(broken)


def test_slice_heads_of_a_real_stream() -> None:
    """The first slice begins at macroblock 0, the second does not; IDR slices are I, later ones P."""
    first, second, *_ = encode(320, 240, slices=2)
    heads = [peek_slice(unit) for unit in first if unit[0] & 0x1F == bitstream.SLICE_IDR]
    assert [head.first_macroblock == 0 for head in heads] == [True, False]
    assert all(head.kind in bitstream.I_SLICES and head.pps == 0 for head in heads)
    assert all(peek_slice(unit).kind not in bitstream.I_SLICES for unit in second if unit[0] & 0x1F == bitstream.SLICE)


@given(st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 4, 255]), max_size=60).map(bytes))
def test_unescape_is_the_inverse_of_escape(data: bytes) -> None:
    """Against emulation prevention written byte by byte."""
    assert unescape(escape(data)) == data


@given(st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 103]), max_size=60).map(bytes))
def test_splitting_against_a_slow_oracle(data: bytes) -> None:
    """NAL units between start codes, as a byte-by-byte reading gives them."""
    assert bitstream.split_annex_b(b"\x00\x00\x01" + data) == list(units_of(b"\x00\x00\x01" + data))


@given(st.integers(0, 2**32 - 2), st.integers(-(2**20), 2**20))
def test_exp_golomb_numbers(unsigned: int, signed: int) -> None:
    """What was written is read."""
    raw = Bits().ue(unsigned).ue(2 * signed - 1 if signed > 0 else -2 * signed).nal(0)[1:]
    read = BitReader(unescape(raw))
    assert (read.ue(), read.se()) == (unsigned, signed)


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_raise_value_error(data: bytes) -> None:
    """Any parameter set and slice: a value or ValueError."""
    for parse, header in ((parse_sps, b"\x67"), (parse_pps_ids, b"\x68"), (peek_slice, b"\x65")):
        try:
            parse(header + data)
        except ValueError:
            continue
    bitstream.recovery_point(b"\x06" + data)


def test_recovery_points() -> None:
    """At the very picture, some pictures later, or none; also behind another message, and of H.265."""
    assert bitstream.recovery_point(b"\x06\x06\x01\xc4\x80") is True
    assert bitstream.recovery_point(b"\x06\x05\x02ab\x06\x01\xc4\x80") is True
    assert bitstream.recovery_point(b"\x06\x06\x01\x64\x80") is False
    assert bitstream.recovery_point(b"\x06\x05\x04abcd\x80") is None
    assert bitstream.recovery_point(b"\x06\x06\x00\x80\x80") is None
    assert bitstream.recovery_point(b"\x06") is None
    assert bitstream.recovery_point(b"\x4e\x01\x06\x02\x14\x80\x80", 2) is False
