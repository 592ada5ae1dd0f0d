"""Stage 3, wire: RTP packets (RFC 3550) of one stream over TCP: parse, and tell loss, repetition and restart apart."""

from __future__ import annotations

import struct
from enum import Enum
from typing import Final, NamedTuple

FIXED_HEADER: Final = 12  # bytes, section 5.1
SEQUENCE_HALF: Final = 0x8000  # RFC 1982 section 3.2: a forward gap above half of 16 bits is a packet from the past
FOREIGN_PATIENCE: Final = (
    16  # packets of another SSRC in a row until it is believed: a stale live555 session sends bursts
)

_HEADER = struct.Struct("!BBHII")


class RtpPacket(NamedTuple):
    """One packet. A tuple, not a dataclass: one is made for every 1,400 bytes of media."""

    marker: bool
    payload_type: int
    sequence: int
    timestamp: int  # of the stream's own clock, 32 bits
    ssrc: int
    payload: bytes
    extension: bytes = b""  # of the header, section 5.3.1, from its profile on; ONVIF says a JPEG's size in one


def parse_rtp(data: bytes) -> RtpPacket | None:
    """One packet, or None where lengths do not fit or the version is not 2."""
    size = len(data)
    if size < FIXED_HEADER:
        return None
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
    at = FIXED_HEADER
    end = size
    extension = b""
    if first != 0x80:  # not the plain case: version 2, no padding, no extension, no CSRC
        if first >> 6 != 2:
            return None
        at += (first & 0x0F) * 4
        if first & 0x10:  # extension, section 5.3.1: profile, length in words
            if at + 4 > size:
                return None
            begin, at = at, at + 4 + (data[at + 2] << 8 | data[at + 3]) * 4
            extension = data[begin:at]
        if first & 0x20:  # padding: the last byte counts itself
            if not data[-1]:
                return None
            end -= data[-1]
        if at > end:
            return None
    return RtpPacket(second > 0x7F, second & 0x7F, sequence, timestamp, ssrc, data[at:end], extension)


class Order(Enum):
    """What the numbering says about a packet."""

    NEXT = "next"
    AFTER_LOSS = "after_loss"  # use it, but something before it is missing
    DROP = "drop"  # repeated, from the past, or another stream's


class SequenceTracker:
    """Follows the sequence numbers of one stream whose packets arrive in the order they were sent (TCP).

    A jump backwards is believed when its successor arrives too (RFC 3550 appendix A.1: a restarted source). Another
    SSRC is believed at once where the numbering goes on (cameras that change it), else after FOREIGN_PATIENCE packets.
    """

    __slots__ = ("_foreign", "_foreign_ssrc", "_last", "_past", "_ssrc", "dropped", "lost")

    def __init__(self) -> None:
        self._last: int | None = None
        self._past: int | None = None  # where a restarted numbering would go on
        self._ssrc = 0
        self._foreign = 0
        self._foreign_ssrc = 0
        self.lost = 0  # packets
        self.dropped = 0  # packets

    def next(self, packet: RtpPacket) -> Order:
        """Takes the next packet as it arrived."""
        sequence = packet.sequence
        last = self._last
        if last is not None and sequence == (last + 1) & 0xFFFF:
            self._last = sequence
            self._ssrc = packet.ssrc
            self._foreign = 0
            return Order.NEXT
        if last is None:
            return self._restart(packet, Order.NEXT)
        if packet.ssrc != self._ssrc:
            self._foreign = self._foreign + 1 if packet.ssrc == self._foreign_ssrc else 1
            self._foreign_ssrc = packet.ssrc
            if self._foreign > FOREIGN_PATIENCE:
                return self._restart(packet, Order.AFTER_LOSS)
            self.dropped += 1
            return Order.DROP
        self._foreign = 0
        ahead = (sequence - last) & 0xFFFF
        if 0 < ahead < SEQUENCE_HALF:
            self.lost += ahead - 1
            return self._restart(packet, Order.AFTER_LOSS)
        if ahead and sequence == self._past:
            return self._restart(packet, Order.AFTER_LOSS)
        self._past = (sequence + 1) & 0xFFFF if ahead else self._past
        self.dropped += 1
        return Order.DROP

    def pass_over(self, packet: RtpPacket) -> None:
        """A packet that is not of our payload type: it may use up a number of ours, and says nothing else.

        GeoVision's payload type 50 repeats the number of the packet before; RTCP on our channel has none.
        """
        if self._last is not None and packet.ssrc == self._ssrc and packet.sequence == (self._last + 1) & 0xFFFF:
            self._last = packet.sequence

    def position(self) -> tuple[int, int]:
        """The number that would be NEXT (-1 before the first packet), and the SSRC, for the fast path."""
        return (-1 if self._last is None else (self._last + 1) & 0xFFFF), self._ssrc

    def advance(self, count: int) -> None:
        """The fast path took that many packets, each NEXT."""
        if self._last is not None:
            self._last = (self._last + count) & 0xFFFF
            self._foreign = 0

    def _restart(self, packet: RtpPacket, order: Order) -> Order:
        self._last, self._ssrc, self._past, self._foreign = packet.sequence, packet.ssrc, None, 0
        return order
