"""The farm's own RTP packetiser for H.264 (RFC 6184) over RTSP's TCP framing (RFC 2326 section 10.12).

A frame is packetised once for all sessions; a session copies the bytes and writes its own channel, sequence number,
timestamp and SSRC over them. Framed, one frame is one `write`; datagrams are the same packets without their framing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from streamwatch.simulator.profile import FPS
from streamwatch.simulator.render import Clip

PAYLOAD_TYPE = 96  # the first dynamic one
CLOCK_RATE = 90_000  # RFC 6184 section 8.2.1
TICKS_A_FRAME = CLOCK_RATE // FPS
MAX_PAYLOAD = 1400  # bytes; with RTP, TCP and IP headers below an Ethernet MTU of 1500
STAP_A = 24  # RFC 6184 section 5.7.1
FU_A = 28  # RFC 6184 section 5.8
START, END = 0x80, 0x40  # bits of the FU header
MARKER = 0x80

_FRAMED = struct.Struct(">cBHBBHII")  # '$', channel, length; then RTP: V P X CC, M PT, sequence, timestamp, SSRC
_PATCH = struct.Struct(">HII")
_PATCH_AT = 6  # where the sequence number lies behind the '$'
_RTP_BYTES = 12


@dataclass(frozen=True, slots=True)
class Frame:
    """An access unit as framed RTP packets, channel, sequence, timestamp and SSRC zero; `starts` are the '$'s."""

    template: bytes
    starts: tuple[int, ...]

    def stamped(self, channel: int, sequence: int, timestamp: int, ssrc: int) -> bytearray:
        """The bytes of one session; the first packet has `sequence`, each next one more (modulo 2^16)."""
        out = bytearray(self.template)
        patch = _PATCH.pack_into
        for number, start in enumerate(self.starts, sequence):
            patch(out, start + _PATCH_AT, number & 0xFFFF, timestamp, ssrc)
        if channel:
            for start in self.starts:
                out[start + 1] = channel
        return out

    def pieces(self, stamped: bytearray) -> Iterator[memoryview]:
        """What `stamped` gave, packet by packet, each with its four bytes of framing before it."""
        view = memoryview(stamped)
        for index, start in enumerate(self.starts, 1):
            yield view[start : self.starts[index] if index < len(self.starts) else len(stamped)]


@dataclass(frozen=True, slots=True, eq=False)  # there is one of each, and its pictures are many
class Reel:
    """A clip ready to send: `gops[g][f]` is a frame, the first of each group a key frame with its parameter sets."""

    width: int
    height: int
    sps: bytes
    pps: bytes
    gops: tuple[tuple[Frame, ...], ...]
    fps: int = FPS

    @property
    def ticks(self) -> int:
        """From one frame's timestamp to the next one's."""
        return CLOCK_RATE // self.fps


def payloads(units: Sequence[bytes]) -> list[bytes]:
    """RTP payloads of NAL units: one each, or FU-A fragments of those above `MAX_PAYLOAD` bytes."""
    out = []
    for unit in units:
        if len(unit) <= MAX_PAYLOAD:
            out.append(unit)
            continue
        indicator, kind = unit[0] & 0xE0 | FU_A, unit[0] & 0x1F
        room = MAX_PAYLOAD - 2
        last = (len(unit) - 2) // room  # index of the last fragment of unit[1:]
        for index in range(last + 1):
            flags = (START if index == 0 else 0) | (END if index == last else 0)
            out.append(bytes((indicator, flags | kind)) + unit[1 + index * room : 1 + (index + 1) * room])
    return out


def aggregate(units: Sequence[bytes]) -> bytes:
    """One STAP-A payload of small NAL units; its NRI is the greatest of theirs (RFC 6184 section 5.7.1)."""
    nri = max(unit[0] & 0x60 for unit in units)
    return bytes((nri | STAP_A,)) + b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)


def frame(parts: Sequence[bytes]) -> Frame:
    """RTP payloads of one access unit, framed; the last one carries the marker bit (RFC 6184 section 5.1)."""
    out = bytearray()
    starts = []
    for index, part in enumerate(parts):
        starts.append(len(out))
        marker = MARKER if index == len(parts) - 1 else 0
        out += _FRAMED.pack(b"$", 0, _RTP_BYTES + len(part), 0x80, marker | PAYLOAD_TYPE, 0, 0, 0)
        out += part
    return Frame(bytes(out), tuple(starts))


def packetise(clip: Clip, *, stap: bool) -> Reel:
    """The whole clip; parameter sets lie before each key frame, in one STAP-A where `stap`, else in two packets."""
    sets = [clip.sps, clip.pps]
    head = [aggregate(sets)] if stap else sets
    gops = tuple(
        tuple(frame((head if index == 0 else []) + payloads(units)) for index, units in enumerate(gop))
        for gop in clip.gops
    )
    return Reel(clip.width, clip.height, clip.sps, clip.pps, gops, clip.fps)
