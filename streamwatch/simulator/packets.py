"""The farm's own RTP packetiser for H.264 (RFC 6184) over RTSP's TCP framing (RFC 2326 section 10.12).

A frame is packetised once for all sessions, and stamped with channel, sequence number, timestamp and SSRC once for
all that have the same ones. Framed, one frame is one `write`; datagrams are the same packets without their framing.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence

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
Bytes = bytes | bytearray


class Frame:
    """An access unit as framed RTP packets; `starts` are the places of their '$'s.

    It keeps what it was last stamped with: sessions that began at a place of the clip (`Reel.place`) are all sent the
    same bytes, so that most find them made.
    """

    __slots__ = ("_pieces", "_stamp", "_stamped", "starts")

    def __init__(self, packets: bytes, starts: tuple[int, ...]) -> None:
        """`packets` with any channel, sequence number, timestamp and SSRC."""
        self.starts = starts
        self._stamp: tuple[int, int, int, int] | None = None
        self._stamped: Bytes = packets
        self._pieces: tuple[memoryview, ...] | None = None

    def stamped(self, channel: int, sequence: int, timestamp: int, ssrc: int) -> Bytes:
        """The bytes of one session, which nobody may change; the first packet has `sequence`, each next one more
        (modulo 2^16)."""
        stamp = (channel, sequence, timestamp, ssrc)
        if stamp != self._stamp:
            out = bytearray(self._stamped)  # a new one: who was sent the last may not have taken all of it
            patch = _PATCH.pack_into
            for number, start in enumerate(self.starts, sequence):
                out[start + 1] = channel
                patch(out, start + _PATCH_AT, number & 0xFFFF, timestamp, ssrc)
            self._stamp, self._stamped, self._pieces = stamp, out, None
        return self._stamped

    def pieces(self, channel: int, sequence: int, timestamp: int, ssrc: int) -> tuple[memoryview, ...]:
        """The same, packet by packet, each with its four bytes of framing before it."""
        stamped = self.stamped(channel, sequence, timestamp, ssrc)
        if self._pieces is None:
            view, ends = memoryview(stamped), (*self.starts[1:], len(stamped))
            self._pieces = tuple(view[start:end] for start, end in zip(self.starts, ends, strict=True))
        return self._pieces


class Reel:
    """A clip ready to send: `gops[g][f]` is a frame, the first of each group a key frame with its parameter sets.
    `ticks` and `period_s`: from one frame to the next one."""

    __slots__ = ("_firsts", "fps", "gops", "height", "period_s", "pps", "sps", "ticks", "width")

    def __init__(
        self, width: int, height: int, sps: bytes, pps: bytes, gops: tuple[tuple[Frame, ...], ...], fps: int = FPS
    ) -> None:
        self.width, self.height, self.sps, self.pps, self.gops, self.fps = width, height, sps, pps, gops, fps
        self.ticks, self.period_s = CLOCK_RATE // fps, 1 / fps
        sequence, timestamp = random.getrandbits(16), random.getrandbits(32)
        self._firsts = []  # what each group begins with
        for gop in gops:
            self._firsts.append((sequence, timestamp))
            sequence += sum(len(frame.starts) for frame in gop)
            timestamp += len(gop) * self.ticks

    def place(self, gop: int, index: int) -> tuple[int, int]:
        """The sequence number and the timestamp of a frame, both modulo their number, for who begins there: in the
        first round of the clip everybody has the same ones."""
        gop %= len(self.gops)
        frames = self.gops[gop]
        index %= len(frames)
        sequence, timestamp = self._firsts[gop]
        sequence += sum(len(frame.starts) for frame in frames[:index])
        return sequence & 0xFFFF, (timestamp + index * self.ticks) & 0xFFFFFFFF


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
