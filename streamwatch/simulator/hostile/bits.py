"""Writes the parameter sets that no encoder would: bits, Exp-Golomb, and an SPS with every field free."""

from __future__ import annotations

from typing import Final

EMULATION: Final = b"\x00\x00\x03"  # ITU-T H.264 clause 7.4.1.1


class Bits:
    """Big-endian bits in the order in which they are written."""

    def __init__(self) -> None:
        self._text = ""

    def u(self, value: int, count: int) -> Bits:
        """An unsigned number of `count` bits."""
        self._text += format(value, f"0{count}b")
        return self

    def ue(self, value: int) -> Bits:
        """Exp-Golomb, clause 9.1."""
        text = format(value + 1, "b")
        self._text += "0" * (len(text) - 1) + text
        return self

    def zeros(self, count: int) -> Bits:
        """The beginning of a number that no standard has."""
        self._text += "0" * count
        return self

    def unit(self, *head: int) -> bytes:
        """A NAL unit with this header: stop bit, padding, and emulation prevention."""
        text = self._text + "1"
        text += "0" * (-len(text) % 8)
        return bytes(head) + _escaped(int(text, 2).to_bytes(len(text) // 8, "big"))


def _escaped(data: bytes) -> bytes:
    out = bytearray()
    zeros = 0
    for value in data:
        if zeros >= 2 and value <= 3:
            out.append(3)
            zeros = 0
        out.append(value)
        zeros = zeros + 1 if value == 0 else 0
    return bytes(out)


def sps(
    width: int,
    height: int,
    *,
    crop: tuple[int, int, int, int] = (0, 0, 0, 0),
    references: int = 1,
    number: int = 0,
    high: tuple[int, int] | None = None,
) -> bytes:
    """An H.264 SPS (clause 7.3.2.1.1) of whole macroblocks at least this large, cropped by `crop` units at left, right,
    top and bottom. `high`: chroma format and bit depth, in the High 4:4:4 profile."""
    bits = Bits().u(244 if high else 77, 8).u(0, 8).u(51, 8).ue(number)
    if high:
        bits.ue(high[0])
        if high[0] == 3:
            bits.u(0, 1)
        bits.ue(high[1] - 8).ue(high[1] - 8).u(0, 2)
    bits.ue(0).ue(2).ue(references).u(0, 1)
    bits.ue(-(-width // 16) - 1).ue(-(-height // 16) - 1).u(1, 1).u(1, 1)
    bits.u(int(any(crop)), 1)
    if any(crop):
        for units in crop:
            bits.ue(units)
    return bits.u(0, 1).unit(0x67)


def pps(number: int = 0, of: int = 0) -> bytes:
    """An H.264 PPS (clause 7.3.2.2) without anything special."""
    bits = Bits().ue(number).ue(of).u(0, 2).ue(0).ue(0).ue(0).u(0, 3).ue(0).ue(0).ue(0)
    return bits.u(0, 3).unit(0x68)


def _profile_tier_level(bits: Bits) -> None:
    bits.u(1, 8).u(0x6000_0000, 32).u(0, 48).u(186, 8)  # ITU-T H.265 clause 7.3.3: Main


def vps_h265() -> bytes:
    """An H.265 VPS (clause 7.3.2.1)."""
    bits = Bits().u(0, 4).u(3, 2).u(0, 6).u(0, 3).u(1, 1).u(0xFFFF, 16)
    _profile_tier_level(bits)
    return bits.u(1, 1).ue(4).ue(0).ue(0).u(0, 6).ue(0).u(0, 2).unit(0x40, 1)


def sps_h265(width: int, height: int) -> bytes:
    """An H.265 SPS (clause 7.3.2.2) of this size."""
    bits = Bits().u(0, 4).u(0, 3).u(1, 1)
    _profile_tier_level(bits)
    bits.ue(0).ue(1).ue(width).ue(height).u(0, 1).ue(0).ue(0).ue(4).u(1, 1).ue(4).ue(0).ue(0)
    bits.ue(0).ue(3).ue(0).ue(3).ue(0).ue(0).u(0, 4).ue(0).u(0, 4)
    return bits.unit(0x42, 1)


def pps_h265() -> bytes:
    """An H.265 PPS (clause 7.3.2.3)."""
    return Bits().ue(0).ue(0).u(0, 7).ue(0).ue(0).ue(0).u(0, 3).ue(0).ue(0).u(0, 12).ue(0).u(0, 2).unit(0x44, 1)
