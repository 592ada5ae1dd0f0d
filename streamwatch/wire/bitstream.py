"""Stage 3, wire: inside a NAL unit: start codes, emulation prevention, the H.264 SPS, PPS and the head of a slice.

Reads only what a look needs: sizes before any decoder sees a byte, and which pictures are whole. Clauses are H.264's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

from streamwatch.errors import LookError, Reason

START_CODE: Final = b"\x00\x00\x00\x01"  # annex B
MAX_PIXELS: Final = 8_900_000  # 4096x2160 is 8.85 million: the largest camera of the market's main range
MAX_SIDE: Final = 8192  # pixels
MIN_SIDE: Final = 16  # pixels: one macroblock
MAX_PARAMETER_SET: Final = 1024  # bytes; real ones have 10 to 100, and one with all scaling lists about 700
MAX_ZEROS: Final = 32  # clause 9.1: no ue(v) of the standard has more leading zeros

SLICE: Final = 1  # table 7-1
SLICE_IDR: Final = 5
SEI: Final = 6
SPS: Final = 7
PPS: Final = 8
SEI_RECOVERY_POINT: Final = 6  # clause D.1.1, and H.265's D.2.1
SEI_HEAD: Final = 256  # bytes of a unit that are looked into: a recovery point comes before long user data
I_SLICES: Final = frozenset({2, 4, 7, 9})  # table 7-6: I and SI, alone or in a picture of their kind only

_HIGH_PROFILES: Final = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})  # clause 7.3.2.1.1


def split_annex_b(data: bytes) -> list[bytes]:
    """The NAL units between start codes, without trailing zeros; data without a start code is one unit."""
    return [unit for part in data.split(b"\x00\x00\x01") if (unit := part.rstrip(b"\x00"))]


def unescape(data: bytes) -> bytes:
    """Without emulation prevention (clause 7.4.1.1): 00 00 03 becomes 00 00."""
    return data.replace(b"\x00\x00\x03", b"\x00\x00")


class BitReader:
    """Big-endian bits of a short string. Raises ValueError past the end."""

    __slots__ = ("_left", "_value")

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = len(data) * 8

    def bits(self, count: int) -> int:
        """An unsigned number of `count` bits."""
        self._left -= count
        if self._left < 0:
            raise ValueError("ends too early")
        return self._value >> self._left & ((1 << count) - 1)

    def flag(self) -> bool:
        """One bit."""
        return self.bits(1) == 1

    def ue(self) -> int:
        """Exp-Golomb, clause 9.1."""
        zeros = 0
        while not self.bits(1):
            zeros += 1
            if zeros > MAX_ZEROS:
                raise ValueError(f"an Exp-Golomb number with more than {MAX_ZEROS} leading zeros")
        return (1 << zeros) - 1 + self.bits(zeros)

    def se(self) -> int:
        """Signed Exp-Golomb, clause 9.1.1."""
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)


class PictureSize(Protocol):
    """Of a sequence parameter set of H.264 or H.265: pixels as coded, and after cropping."""

    @property
    def coded_width(self) -> int: ...
    @property
    def coded_height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Sps:
    """What a look needs of a sequence parameter set. `width` and `height` are pixels after cropping."""

    id: int
    profile: int
    level: int
    chroma_format: int  # 0 grey, 1 4:2:0, 2 4:2:2, 3 4:4:4
    bit_depth: int  # of luma
    reference_frames: int
    frame_mbs_only: bool  # False: fields may be coded, i.e. interlaced
    frame_num_bits: int  # of slice headers
    separate_planes: bool
    coded_width: int
    coded_height: int
    width: int
    height: int


@lru_cache(maxsize=1024)  # a looker sees the same few hundred sets for ever: 1,024 x about 400 bytes
def parse_sps(nal: bytes) -> Sps:
    """A sequence parameter set with its NAL header (clause 7.3.2.1.1). What follows the cropping is not read.

    Raises ValueError naming what is wrong with it.
    """
    if len(nal) < 4 or nal[0] & 0x1F != SPS:
        raise ValueError("not a sequence parameter set")
    if len(nal) > MAX_PARAMETER_SET:
        raise ValueError(f"a sequence parameter set of {len(nal)} bytes; {MAX_PARAMETER_SET} are the most")
    read = BitReader(unescape(nal[1:]))
    profile, _, level = read.bits(8), read.bits(8), read.bits(8)
    sps_id = at_most(read.ue(), 31, "seq_parameter_set_id")
    chroma, separate_planes, bit_depth = 1, False, 8
    if profile in _HIGH_PROFILES:
        chroma = at_most(read.ue(), 3, "chroma_format_idc")
        separate_planes = read.flag() if chroma == 3 else False
        bit_depth = 8 + at_most(read.ue(), 6, "bit_depth_luma_minus8")
        at_most(read.ue(), 6, "bit_depth_chroma_minus8")
        read.bits(1)  # qpprime_y_zero_transform_bypass_flag
        if read.flag():
            _skip_scaling_lists(read, 12 if chroma == 3 else 8)
    frame_num_bits = 4 + at_most(read.ue(), 12, "log2_max_frame_num_minus4")
    _skip_picture_order_count(read)
    reference_frames = at_most(read.ue(), 16, "max_num_ref_frames")
    read.bits(1)  # gaps_in_frame_num_value_allowed_flag
    across, down = read.ue() + 1, read.ue() + 1
    frame_mbs_only = read.flag()
    if not frame_mbs_only:
        read.bits(1)  # mb_adaptive_frame_field_flag
        down *= 2  # map units are of field macroblocks then
    read.bits(1)  # direct_8x8_inference_flag
    crop = [read.ue() for _ in range(4)] if read.flag() else [0, 0, 0, 0]  # left, right, top, bottom
    array_type = 0 if separate_planes else chroma
    unit_x = 2 if array_type in {1, 2} else 1  # equations 7-19 to 7-22
    unit_y = (2 if array_type == 1 else 1) * (1 if frame_mbs_only else 2)
    width = across * 16 - unit_x * (crop[0] + crop[1])
    height = down * 16 - unit_y * (crop[2] + crop[3])
    if width <= 0 or height <= 0:
        raise ValueError("cropping that is larger than the picture")
    return Sps(
        id=sps_id,
        profile=profile,
        level=level,
        chroma_format=chroma,
        bit_depth=bit_depth,
        reference_frames=reference_frames,
        frame_mbs_only=frame_mbs_only,
        frame_num_bits=frame_num_bits,
        separate_planes=separate_planes,
        coded_width=across * 16,
        coded_height=down * 16,
        width=width,
        height=height,
    )


def at_most(value: int, most: int, name: str) -> int:
    """`value`. Raises ValueError where it is above `most`."""
    if value > most:
        raise ValueError(f"{name} {value} is above {most}")
    return value


def _skip_scaling_lists(read: BitReader, count: int) -> None:
    for index in range(count):
        if not read.flag():
            continue
        last = following = 8
        for _ in range(16 if index < 6 else 64):  # clause 7.3.2.1.1.1
            if following:
                following = (last + read.se()) % 256
            last = following or last


def _skip_picture_order_count(read: BitReader) -> None:
    kind = at_most(read.ue(), 2, "pic_order_cnt_type")
    if kind == 0:
        at_most(read.ue(), 12, "log2_max_pic_order_cnt_lsb_minus4")
    elif kind == 1:
        read.bits(1)  # delta_pic_order_always_zero_flag
        read.se()
        read.se()
        for _ in range(at_most(read.ue(), 255, "num_ref_frames_in_pic_order_cnt_cycle")):
            read.se()


@lru_cache(maxsize=1024)
def parse_pps_ids(nal: bytes) -> tuple[int, int]:
    """(picture parameter set's id, its sequence parameter set's id), clause 7.3.2.2. Raises ValueError."""
    if len(nal) < 2 or nal[0] & 0x1F != PPS:
        raise ValueError("not a picture parameter set")
    if len(nal) > MAX_PARAMETER_SET:
        raise ValueError(f"a picture parameter set of {len(nal)} bytes; {MAX_PARAMETER_SET} are the most")
    read = BitReader(unescape(nal[1:16]))
    return at_most(read.ue(), 255, "pic_parameter_set_id"), at_most(read.ue(), 31, "seq_parameter_set_id")


@dataclass(frozen=True, slots=True)
class SliceHead:
    """The first three fields of a slice header, clause 7.3.3."""

    first_macroblock: int
    kind: int  # slice_type, table 7-6
    pps: int


def peek_slice(nal: bytes) -> SliceHead:
    """The head of a slice from the first bytes of its NAL unit, header included. Raises ValueError."""
    try:
        return _peeked(nal[1:5])  # where most have all of it
    except ValueError:
        return _peeked.__wrapped__(nal[1:24])


@lru_cache(maxsize=1024)
def _peeked(data: bytes) -> SliceHead:
    read = BitReader(unescape(data))
    first = read.ue()
    return SliceHead(first, at_most(read.ue(), 9, "slice_type"), at_most(read.ue(), 255, "pic_parameter_set_id"))


@dataclass(frozen=True, slots=True)
class Field:
    """One of a frame's two: of frames that are coded field by field (PAFF), each is a picture of its own."""

    frame: int  # frame_num
    bottom: bool


def peek_field(nal: bytes, sps: Sps) -> Field | None:
    """Which field a slice is of, from its first bytes; None: of a whole frame (clause 7.3.3). Raises ValueError."""
    if sps.frame_mbs_only:
        return None
    read = BitReader(unescape(nal[1:24]))
    for _ in range(3):
        read.ue()
    if sps.separate_planes:
        read.bits(2)  # colour_plane_id
    frame = read.bits(sps.frame_num_bits)
    return Field(frame, read.flag()) if read.flag() else None


def recovery_point(nal: bytes, header: int = 1) -> bool | None:
    """Whether an SEI unit says that the very next picture is whole although it is no IDR (clause D.2.8, count 0).

    False: that a later one will be, which refreshes gradually; None: nothing of the kind. `header`: bytes, 2 in H.265.
    """
    data = unescape(nal[header:SEI_HEAD])
    at = 0
    while at + 2 < len(data):
        kind = data[at]  # types and sizes of 255 and more are written in several bytes; the one we look for is not
        size = data[at + 1]
        if kind == SEI_RECOVERY_POINT:
            return data[at + 2] & 0x80 != 0 if size else None  # ue(v), se(v) of H.265: 0 is a single 1
        if kind == 0xFF or size == 0xFF:
            return None
        at += 2 + size
    return None


def check_size(sps: PictureSize, max_pixels: int = MAX_PIXELS) -> None:
    """Raises LookError(media.too_large) where a decoder must not be asked to make room for such a picture."""
    sides = (sps.width, sps.height, sps.coded_width, sps.coded_height)
    if min(sides) < MIN_SIDE or max(sides) > MAX_SIDE or sps.coded_width * sps.coded_height > max_pixels:
        raise LookError(
            Reason.MEDIA_TOO_LARGE,
            f"a picture of {sps.width}x{sps.height} pixels; "
            f"sides of {MIN_SIDE} to {MAX_SIDE} and at most {max_pixels} pixels are decoded",
        )
