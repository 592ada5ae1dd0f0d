"""Stage 3, wire: the packets of a session that is watched, counted and not decoded: loss, bits, pictures, keyframes.

`hop` is the fast way: over the bytes of an interleaved connection from packet to packet, of which it reads headers, and
of the first ones of each picture the first bytes. It takes what is plain: the next number of the same source. All else
it leaves to `packet`, the slow way, which takes one packet as the other parsers do. Both come to the same counts.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from streamwatch.wire import bitstream, bitstream_h265, ps
from streamwatch.wire.depacketise.h264 import DON as DON_H264
from streamwatch.wire.depacketise.h264 import FU_A, FU_B, STAP_A, STAP_B
from streamwatch.wire.depacketise.h265 import AGGREGATION, DON, DON_DIFFERENCE, FRAGMENTATION, is_numbered
from streamwatch.wire.rtp import FIXED_HEADER, Order, SequenceTracker, parse_rtp
from streamwatch.wire.rtsp import FRAME_HEADER
from streamwatch.wire.sdp import VideoTrack

HEAD: Final = 64  # bytes of a payload that are looked into: a delimiter and the parameter sets of real cameras
MAX_LATE: Final = 64  # packets behind the latest: a datagram that comes so late was under way, and is not lost

_HEADERS: Final = FRAME_HEADER + FIXED_HEADER
_WORDS: Final = struct.Struct("!QQ")  # "$", channel, length, RTP's first 4 bytes; timestamp and source
_PLAIN: Final = 0x80 << 24  # RTP version 2 and nothing else
_MARKER: Final = 0x80 << 16
_MAX_LENGTH: Final = 0xFFFF
_FAR_FROM_ROUND: Final = 0xE000  # a sequence number behind which one read's packets cannot go round: 64 KB of 16 bytes


# What the first bytes of a packet tell of its picture. Plain numbers: it is asked for every packet of some pictures.
NOTHING: Final = 0  # the next packet may
OTHER: Final = 1  # it is no keyframe
KEY: Final = 2

_Look = Callable[[bytes | bytearray, int, int], int]  # a buffer, and from where to where in it a payload's head is


@dataclass(frozen=True, slots=True)
class Seen:
    """What came in a stretch of time. `lost` was on the way to us, and not thrown away by our own machine."""

    seconds: float = 0.0  # that a session was open
    bytes: int = 0  # of RTP
    packets: int = 0
    lost: int = 0
    pictures: int = 0
    keyframes: int = 0
    keyframe_gaps: int = 0  # from one keyframe to the next
    keyframe_gaps_s: float = 0.0  # all of them
    longest_gap_s: float = 0.0  # from one picture to the next, also where that has not come yet

    def __add__(self, later: Seen) -> Seen:
        """Of two stretches."""
        return Seen(
            self.seconds + later.seconds,
            self.bytes + later.bytes,
            self.packets + later.packets,
            self.lost + later.lost,
            self.pictures + later.pictures,
            self.keyframes + later.keyframes,
            self.keyframe_gaps + later.keyframe_gaps,
            self.keyframe_gaps_s + later.keyframe_gaps_s,
            max(self.longest_gap_s, later.longest_gap_s),
        )


class Tally:
    """One session's counts from `now` on (seconds, monotonic). `tracker` follows its sequence numbers.

    A picture is a timestamp of its own. A keyframe is a picture with a parameter set of its sequence, or with a slice
    that needs no other picture.
    """

    __slots__ = (
        "_base",
        "_begun",
        "_decided",
        "_from",
        "_gap",
        "_gaps",
        "_gaps_s",
        "_keyframe_at",
        "_look",
        "_payload_type",
        "_timestamp",
        "bytes",
        "keyframes",
        "packets",
        "picture_at",
        "pictures",
        "tracker",
    )

    def __init__(self, track: VideoTrack, tracker: SequenceTracker, now: float, channel: int = 0) -> None:
        self.tracker = tracker
        self.bytes = self.packets = self.pictures = self.keyframes = 0
        self.picture_at = now  # when the latest began
        self._look = _look_of(track)
        self._payload_type = track.payload_type
        self._base = 0x24 << 24 | channel << 16
        self._timestamp = -1
        self._decided = True  # whether the present picture is a keyframe; of the first one we saw no begin
        self._keyframe_at: float | None = None
        self._gaps = 0
        self._gaps_s = 0.0
        self._gap = 0.0
        self._begun = now
        self._from = (0, 0, tracker.lost, 0, 0)

    def packet(self, data: bytes, now: float, *, in_order: bool = True) -> int:
        """One packet of ours: what it tells of its picture. Not `in_order`: datagrams, in any order."""
        self.bytes += len(data)
        packet = parse_rtp(data)
        if packet is None:
            return NOTHING
        tracker = self.tracker
        if packet.payload_type != self._payload_type:
            tracker.pass_over(packet)
            return NOTHING
        if tracker.next(packet) is Order.DROP:
            if not in_order:
                self._late(packet.sequence, packet.ssrc)
            return NOTHING
        self.packets += 1
        if packet.timestamp != self._timestamp:
            self._picture(packet.timestamp, now)
        if self._decided:
            return OTHER
        sight = self._look(packet.payload, 0, min(HEAD, len(packet.payload)))
        if sight == KEY:
            self._keyframe(now)
        self._decided = sight != NOTHING
        return sight

    def hop(self, buffer: bytes | bytearray, at: int, end: int, now: float, wanted: bool = False) -> int:  # noqa: FBT001, FBT002
        """Takes packets of our channel from `at` on, where one begins; gives where the first begins that is left.

        That may lie behind `end`: of a packet whose first bytes are there the rest says nothing. A packet that begins
        a keyframe is left where one is `wanted`.
        """
        expected, source = self.tracker.position()
        if expected < 0:
            return at
        unpack, base, number = _WORDS.unpack_from, self._base, _PLAIN | self._payload_type << 16
        same, decided = self._timestamp << 32 | source, self._decided
        begin, last, taken = at, end - _HEADERS, 0
        stride = 0
        run = following = -1  # the first words of the next packet, if it is like the one before
        while at <= last:
            front, clock = unpack(buffer, at)
            if front == following and clock == same:
                following += 1
                at += stride
                continue
            taken += following - run
            run = following = -1
            length = (front >> 32) - base
            numbered = number | (expected + taken & 0xFFFF)
            if (
                (front | _MARKER) & 0xFFFFFFFF != numbered | _MARKER
                or not FIXED_HEADER <= length <= _MAX_LENGTH
                or clock & 0xFFFFFFFF != source
            ):
                break
            if clock != same or not decided:
                stop = at + FRAME_HEADER + (length if length < FIXED_HEADER + HEAD else FIXED_HEADER + HEAD)
                if stop > end:
                    break
                sight = self._look(buffer, at + _HEADERS, stop)
                if sight == KEY and wanted:
                    break
                if clock != same:
                    same = clock
                    self._picture(clock >> 32, now)
                if sight == KEY:
                    self._keyframe(now)
                self._decided = decided = sight != NOTHING
            stride = length + FRAME_HEADER
            at += stride
            taken += 1
            if decided and numbered & 0xFFFF < _FAR_FROM_ROUND:
                run = following = front + 1
        taken += following - run
        if taken:
            self.tracker.advance(taken)
            self.packets += taken
            self.bytes += at - begin - taken * FRAME_HEADER
        return at

    def take(self, now: float, dropped: int = 0) -> Seen:
        """What came since it was last asked; our own machine has thrown `dropped` of it away."""
        counts = (self.bytes, self.packets, self.tracker.lost, self.pictures, self.keyframes)
        size, packets, lost, pictures, keyframes = (
            value - before for value, before in zip(counts, self._from, strict=True)
        )
        seen = Seen(
            seconds=now - self._begun,
            bytes=size,
            packets=packets,
            lost=max(0, lost - dropped),
            pictures=pictures,
            keyframes=keyframes,
            keyframe_gaps=self._gaps,
            keyframe_gaps_s=self._gaps_s,
            longest_gap_s=max(self._gap, now - self.picture_at),
        )
        self._from, self._begun = counts, now
        self._gaps, self._gaps_s, self._gap = 0, 0.0, 0.0
        return seen

    def _picture(self, timestamp: int, now: float) -> None:
        gap = now - self.picture_at
        if gap > self._gap:
            self._gap = gap
        self.picture_at = now
        self._timestamp = timestamp
        self._decided = False
        self.pictures += 1

    def _keyframe(self, now: float) -> None:
        self.keyframes += 1
        if self._keyframe_at is not None:
            self._gaps += 1
            self._gaps_s += now - self._keyframe_at
        self._keyframe_at = now

    def _late(self, sequence: int, source: int) -> None:
        expected, known = self.tracker.position()
        if source == known and 1 < (expected - sequence) & 0xFFFF <= MAX_LATE and self.tracker.lost:
            self.tracker.lost -= 1
            self.packets += 1


# ---- what the first bytes of a payload tell, a function a codec

_H264: Final = tuple(  # by nal_unit_type
    KEY if kind in {bitstream.SPS, bitstream.SLICE_IDR} else OTHER if 0 < kind < bitstream.SLICE_IDR else NOTHING
    for kind in range(32)
)
_H265_SETS: Final = frozenset({bitstream_h265.VPS, bitstream_h265.SPS})
_H265: Final = tuple(
    KEY
    if kind in _H265_SETS or bitstream_h265.BLA_W_LP <= kind <= bitstream_h265.CRA
    else OTHER
    if kind <= bitstream_h265.LAST_SLICE
    else NOTHING
    for kind in range(64)
)


def _h264(data: bytes | bytearray, at: int, end: int) -> int:
    if at >= end:
        return NOTHING
    kind = data[at] & 0x1F
    if kind in (FU_A, FU_B):
        return _H264[data[at + 1] & 0x1F] if at + 1 < end else NOTHING
    if kind in (STAP_A, STAP_B):
        at += 1 if kind == STAP_A else 1 + DON_H264
        while at + 2 < end:
            if sight := _H264[data[at + 2] & 0x1F]:
                return sight
            at += 2 + (data[at] << 8 | data[at + 1])
        return NOTHING
    return _H264[kind]


def _h265(data: bytes | bytearray, at: int, end: int, further: int = 0) -> int:
    """`further` bytes stand before each unit of an aggregate but the first."""
    if at + bitstream_h265.HEADER >= end:
        return NOTHING
    kind = data[at] >> 1 & 0x3F
    if kind == FRAGMENTATION:
        return _H265[data[at + bitstream_h265.HEADER] & 0x3F]
    if kind == AGGREGATION:
        at += bitstream_h265.HEADER + (DON if further else 0)
        while at + 2 < end:
            if sight := _H265[data[at + 2] >> 1 & 0x3F]:
                return sight
            at += 2 + (data[at] << 8 | data[at + 1]) + further
        return NOTHING
    return _H265[kind]


def _h265_numbered(data: bytes | bytearray, at: int, end: int) -> int:
    return _h265(data, at, end, DON_DIFFERENCE)


def _program_stream(data: bytes | bytearray, at: int, end: int) -> int:
    """A pack that begins with a system header, or with a map, is a keyframe's (GB/T 28181 annex C)."""
    head = bytes(data[at:end])
    if len(head) < _PACK_HEADER or not head.startswith(_PACK):
        return NOTHING
    at = _PACK_HEADER + (head[_PACK_HEADER - 1] & 0x07)  # clause 2.5.3.3: stuffing
    following = head[at : at + ps.CODE]
    if len(following) < ps.CODE or not following.startswith(bitstream.START_CODE[1:]):
        return NOTHING
    return KEY if following[-1] in (_SYSTEM_HEADER, ps.MAP) else OTHER


def _jpeg(data: bytes | bytearray, at: int, end: int) -> int:  # noqa: ARG001
    """Every picture is one."""
    return KEY if at < end else NOTHING


def _unknown(data: bytes | bytearray, at: int, end: int) -> int:  # noqa: ARG001
    return NOTHING


_PACK: Final = bitstream.START_CODE[1:] + bytes((ps.PACK,))
_PACK_HEADER: Final = 14  # bytes, clause 2.5.3.3 of ISO/IEC 13818-1
_SYSTEM_HEADER: Final = 0xBB
_LOOKS: Final[dict[str, _Look]] = {"h264": _h264, "h265": _h265, "mjpeg": _jpeg, "ps": _program_stream}


def _look_of(track: VideoTrack) -> _Look:
    if track.codec == "h265" and is_numbered(track.fmtp):
        return _h265_numbered
    return _LOOKS.get(track.codec, _unknown)
