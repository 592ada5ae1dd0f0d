"""Stage 3, wire: inside a NAL unit of H.265: VPS, SPS, PPS and the head of a slice. Clauses are H.265's (v4, 12/2016).

Start codes, emulation prevention and Exp-Golomb numbers are as in H.264: `bitstream`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from streamwatch.wire.bitstream import MAX_PARAMETER_SET, BitReader, at_most, unescape

HEADER: Final = 2  # bytes of a NAL unit's header, clause 7.3.1.2

BLA_W_LP: Final = 16  # table 7-1: the first kind of IRAP picture, which needs no other picture
IDR_W_RADL: Final = 19
IDR_N_LP: Final = 20
CRA: Final = 21
RESERVED_IRAP: Final = 23  # the last kind whose slice heads are written as an IRAP picture's
LAST_SLICE: Final = 31  # 22 to 31 are reserved for slices
VPS: Final = 32
SPS: Final = 33
PPS: Final = 34
END_OF_SEQUENCE: Final = 36
END_OF_STREAM: Final = 37
PREFIX_SEI: Final = 39

_PROFILE_BITS: Final = 88  # general_profile_space to general_reserved_zero_bit, clause 7.3.3
_SET_HEAD: Final = 16  # bytes of a VPS or PPS that hold its ids


def kind_of(unit: bytes) -> int:
    """nal_unit_type of a unit of at least one byte."""
    return unit[0] >> 1 & 0x3F


@dataclass(frozen=True, slots=True)
class Sps:
    """What a look needs of a sequence parameter set. `width` and `height` are pixels after the conformance window."""

    id: int
    vps: int
    chroma_format: int  # 0 grey, 1 4:2:0, 2 4:2:2, 3 4:4:4
    bit_depth: int  # of luma
    coded_width: int
    coded_height: int
    width: int
    height: int


@lru_cache(maxsize=1024)  # as bitstream.parse_sps
def parse_sps(nal: bytes) -> Sps:
    """A sequence parameter set with its NAL header (clause 7.3.2.2.1). What follows the bit depth is not read.

    Raises ValueError naming what is wrong with it.
    """
    _require(nal, SPS, "sequence")
    read = BitReader(unescape(nal[HEADER:]))
    vps = read.bits(4)
    sub_layers = at_most(read.bits(3), 6, "sps_max_sub_layers_minus1")
    read.bits(1)  # sps_temporal_id_nesting_flag
    _skip_profile_tier_level(read, sub_layers)
    sps_id = at_most(read.ue(), 15, "sps_seq_parameter_set_id")
    chroma = at_most(read.ue(), 3, "chroma_format_idc")
    if chroma == 3:
        read.bits(1)  # separate_colour_plane_flag
    across, down = read.ue(), read.ue()
    window = [read.ue() for _ in range(4)] if read.flag() else [0, 0, 0, 0]  # left, right, top, bottom
    unit_x = 2 if chroma in {1, 2} else 1  # table 6-1
    unit_y = 2 if chroma == 1 else 1
    width = across - unit_x * (window[0] + window[1])
    height = down - unit_y * (window[2] + window[3])
    if width <= 0 or height <= 0:
        raise ValueError("a conformance window that is larger than the picture")
    bit_depth = 8 + at_most(read.ue(), 8, "bit_depth_luma_minus8")
    return Sps(
        id=sps_id,
        vps=vps,
        chroma_format=chroma,
        bit_depth=bit_depth,
        coded_width=across,
        coded_height=down,
        width=width,
        height=height,
    )


def _skip_profile_tier_level(read: BitReader, sub_layers: int) -> None:
    read.bits(_PROFILE_BITS + 8)  # and general_level_idc
    present = [(read.flag(), read.flag()) for _ in range(sub_layers)]
    if sub_layers:
        read.bits(2 * (8 - sub_layers))  # reserved_zero_2bits
    for profile, level in present:
        read.bits((_PROFILE_BITS if profile else 0) + (8 if level else 0))


@lru_cache(maxsize=1024)
def parse_pps_ids(nal: bytes) -> tuple[int, int]:
    """(picture parameter set's id, its sequence parameter set's id), clause 7.3.2.3.1. Raises ValueError."""
    _require(nal, PPS, "picture")
    read = BitReader(unescape(nal[HEADER:_SET_HEAD]))
    return at_most(read.ue(), 63, "pps_pic_parameter_set_id"), at_most(read.ue(), 15, "pps_seq_parameter_set_id")


def parse_vps_id(nal: bytes) -> int:
    """A video parameter set's id, clause 7.3.2.1. Raises ValueError."""
    _require(nal, VPS, "video")
    return nal[HEADER] >> 4


def _require(nal: bytes, kind: int, name: str) -> None:
    if len(nal) <= HEADER or kind_of(nal) != kind:
        raise ValueError(f"not a {name} parameter set")
    if len(nal) > MAX_PARAMETER_SET:
        raise ValueError(f"a {name} parameter set of {len(nal)} bytes; {MAX_PARAMETER_SET} are the most")


def begins_picture(head: bytes) -> bool:
    """first_slice_segment_in_pic_flag of a slice, clause 7.3.6.1; False where there is none to read."""
    return len(head) > HEADER and head[HEADER] & 0x80 != 0


def slice_pps(head: bytes) -> int:
    """slice_pic_parameter_set_id from the first bytes of a slice, NAL header included (7.3.6.1). Raises ValueError."""
    read = BitReader(unescape(head[HEADER:24]))
    read.bits(1)  # first_slice_segment_in_pic_flag
    if BLA_W_LP <= kind_of(head) <= RESERVED_IRAP:
        read.bits(1)  # no_output_of_prior_pics_flag
    return at_most(read.ue(), 63, "slice_pic_parameter_set_id")
