"""Stage 3, wire: an RTP packet without its picture: same length, zeros for what shows something.

What decides a look stays. Of H.264 and H.265: RTP header, kinds of units, parameter sets, the head of each slice. Of
JPEG: RTP header, the headers of RFC 2435 with their tables, and the marker of its end. Of a program stream, where ones
stand for zeros: the map, the headers of packets, and of its video the same as of H.264 and H.265.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from streamwatch.wire import bitstream, bitstream_h265, jpeg, ps
from streamwatch.wire.depacketise.h264 import DON as DON_H264
from streamwatch.wire.depacketise.h264 import FU_A, FU_B, STAP_A, STAP_B
from streamwatch.wire.depacketise.h265 import AGGREGATION, DON, DON_DIFFERENCE, FRAGMENTATION, is_numbered
from streamwatch.wire.depacketise.jpeg import MAIN_HEADER, OWN_TABLES, RESTART_HEADER, RESTARTS, TABLES_HEADER
from streamwatch.wire.rtp import parse_rtp
from streamwatch.wire.sdp import STATIC_JPEG, VideoTrack

SLICE_HEAD: Final = 24  # bytes: header, and the first fields of the slice header with their emulation prevention
OTHER_HEAD: Final = 64  # bytes of what is no RTP: RTCP reports are shorter, and hold no picture

MAX_TABLES: Final = 4 * 128  # bytes of quantisation tables, RFC 2435 section 3.1.8

_PES_HEAD: Final = 32  # bytes behind a start code of a program stream; packets' headers have 15
_SETS: Final = frozenset({0x07, 0x27, 0x47, 0x67, 0x28, 0x48, 0x68})  # first bytes of SPS and PPS of H.264,
_SETS_H265: Final = frozenset({b"\x40\x01", b"\x42\x01", b"\x44\x01"})  # and two of VPS, SPS and PPS of H.265
_SLICES: Final = frozenset({1, 2, 3, 4, 5})  # table 7-1, with data partitions


def without_picture(packet: bytes, track: VideoTrack | None = None) -> bytes:
    """A packet of the same length that leads to the same outcome and shows nothing. None: taken as H.264, or JPEG."""
    parsed = parse_rtp(packet)
    if parsed is None or 192 <= packet[1] <= 223:  # RTCP, RFC 5761 section 4
        return packet[:OTHER_HEAD] + bytes(max(0, len(packet) - OTHER_HEAD))
    payload = parsed.payload
    padding = packet[-1] if packet[0] & 0x20 else 0
    header = packet[: len(packet) - padding - len(payload)]
    jpeg_type = track.payload_type if track is not None and track.codec == "mjpeg" else STATIC_JPEG
    if parsed.payload_type == jpeg_type:
        reduced = _jpeg(payload)
    elif track is not None and track.codec == "h265":
        reduced = _payload_h265(payload, numbered=is_numbered(track.fmtp))
    elif track is not None and track.codec == "ps":
        reduced = _program_stream(payload)
    else:
        reduced = _payload(payload)
    return header + reduced + packet[len(packet) - padding :]


def _payload(payload: bytes) -> bytes:
    if not payload:
        return payload
    kind = payload[0] & 0x1F
    if kind in {FU_A, FU_B} and len(payload) >= 2:
        if payload[1] & 0x1F not in _SLICES:
            return payload
        number = DON_H264 if kind == FU_B else 0
        return _head(payload, 2 + number + SLICE_HEAD if payload[1] & 0x80 else 2)
    if kind in {STAP_A, STAP_B}:
        return _aggregate(payload, 1 if kind == STAP_A else 1 + DON_H264, _unit)
    if bitstream.START_CODE[1:] in payload:
        return bitstream.START_CODE[1:].join(map(_delimited, payload.split(bitstream.START_CODE[1:])))
    return _unit(payload)


def _jpeg(payload: bytes) -> bytes:
    if len(payload) < MAIN_HEADER:
        return payload
    head = MAIN_HEADER + (RESTART_HEADER if payload[4] >= RESTARTS else 0)
    if payload[1:4] == b"\x00\x00\x00" and payload[5] >= OWN_TABLES:  # the first fragment
        length = int.from_bytes(payload[head + 2 : head + TABLES_HEADER])
        head += TABLES_HEADER + min(length, MAX_TABLES)
    reduced = _head(payload, head)
    return reduced[:-2] + jpeg.EOI if payload.endswith(jpeg.EOI) else reduced


def _unit(unit: bytes) -> bytes:
    if unit and unit[0] & 0x1F not in _SLICES and 0 < unit[0] & 0x1F < STAP_A:
        return unit
    return _head(unit, SLICE_HEAD)


def _delimited(unit: bytes) -> bytes:
    """A unit between start codes: its end is told by its last byte, behind which a zero may belong to the next code."""
    reduced = _unit(unit)
    return reduced[:-2] + unit[-2:]


def _aggregate(payload: bytes, at: int, reduced: Callable[[bytes], bytes], first: int = 0, further: int = 0) -> bytes:
    """Units from `at` on, each behind its size of two bytes; before that, bytes that stay."""
    parts = [payload[:at]]
    number = first
    while at + number + 2 <= len(payload):
        parts.append(payload[at : at + number])
        at += number
        number = further
        size = payload[at] << 8 | payload[at + 1]
        parts += (payload[at : at + 2], reduced(payload[at + 2 : at + 2 + size]))
        at += 2 + size
    parts.append(payload[at:])
    return b"".join(parts)


def _head(unit: bytes, size: int) -> bytes:
    return unit[:size] + bytes(max(0, len(unit) - size))


def _payload_h265(payload: bytes, *, numbered: bool) -> bytes:
    kind = bitstream_h265.kind_of(payload) if payload else 0
    if kind == FRAGMENTATION and len(payload) >= 3:
        if payload[2] & 0x3F > bitstream_h265.LAST_SLICE:
            return payload
        return _head(payload, 1 + SLICE_HEAD if payload[2] & 0x80 else 3)  # 3 bytes of header stand for 2
    if kind == AGGREGATION:
        numbers = (DON, DON_DIFFERENCE) if numbered else (0, 0)
        return _aggregate(payload, bitstream_h265.HEADER, _unit_h265, *numbers)
    if bitstream.START_CODE[1:] in payload:
        parts = payload.split(bitstream.START_CODE[1:])
        return bitstream.START_CODE[1:].join(_unit_h265(unit)[:-2] + unit[-2:] for unit in parts)
    return _unit_h265(payload)


def _unit_h265(unit: bytes) -> bytes:
    if unit and bitstream_h265.LAST_SLICE < bitstream_h265.kind_of(unit) < AGGREGATION:
        return unit
    return _head(unit, SLICE_HEAD)


def _program_stream(payload: bytes) -> bytes:
    """It may begin and end anywhere in a stream: its first and last bytes can be the rest and the begin of a header."""
    code = bitstream.START_CODE[1:]
    first, *parts = payload.split(code)
    reduced = code.join([_overwritten(first, SLICE_HEAD), *map(_coded, parts)])
    return reduced[: max(0, len(payload) - len(code))] + payload[-len(code) :]


def _coded(part: bytes) -> bytes:
    """What stands behind one start code, up to the next."""
    if not part or part[0] >= ps.FIRST_SYSTEM_CODE:
        return _overwritten(part, ps.MAX_HELD if part[:1] == bytes((ps.MAP,)) else _PES_HEAD)
    head = part[: bitstream_h265.HEADER]
    is_set = head in _SETS_H265 or (head[0] in _SETS and head != b"\x28\x01")  # that is an IDR picture of H.265
    return _overwritten(part, bitstream.MAX_PARAMETER_SET if is_set else SLICE_HEAD)


def _overwritten(data: bytes, head: int) -> bytes:
    return data[:head] + b"\xff" * (len(data) - head)
