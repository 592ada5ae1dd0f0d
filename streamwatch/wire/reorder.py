"""Stage 3, wire: datagrams of one RTP stream back into the order in which they were sent.

UDP overtakes, repeats and loses; what comes out of here is for a `SequenceTracker`, which still sees what is missing.
"""

from __future__ import annotations

from bisect import insort
from typing import Final

from streamwatch.wire.rtp import FOREIGN_PATIENCE, SEQUENCE_HALF, RtpPacket

HELD_S: Final = 0.1  # how long a gap is waited for: overtaking takes milliseconds, and a lost packet never comes
HELD_PACKETS: Final = 256  # 0.1 s of 30 Mbit/s in packets of 1,400 bytes is 268
HELD_BYTES: Final = 512 * 1024  # the same 0.1 s is 375 KB; x 256 looks at once = 128 MiB at the very worst
MAX_DROPOUT: Final = 3000  # RFC 3550 appendix A.1: further ahead it is a restarted numbering
MAX_MISORDER: Final = 100  # the same: so far back it is late or repeated; further back a restarted numbering


class Reorder:
    """Gives each packet once, in order. `ssrc` is the source that the device announced, or None.

    Packets of another source are let go, as a device may still be sending an old session to a port that is ours now;
    but announcements are wrong too, so FOREIGN_PATIENCE of them in a row are believed, and none of those is lost.
    `dropped` counts late and repeated packets and those of other sources.
    """

    __slots__ = ("_expected", "_held", "_order", "_past", "_size", "_ssrc", "_strangers", "dropped")

    def __init__(self, ssrc: int | None = None) -> None:
        self._ssrc = ssrc
        self._expected: int | None = None  # a number that goes on past 65,535: its lower 16 bits are the packet's
        self._past: int | None = None  # where a restarted numbering would go on
        self._held: dict[int, tuple[RtpPacket, float]] = {}  # by such a number, in order of arrival
        self._order: list[int] = []  # the same numbers, lowest first
        self._size = 0
        self._strangers: list[RtpPacket] = []  # of one other source, in a row
        self.dropped = 0

    @property
    def ssrc(self) -> int | None:
        """Whose packets are taken; None before the first where none was announced."""
        return self._ssrc

    def push(self, packet: RtpPacket, now: float) -> list[RtpPacket]:
        """Takes a packet as it arrived at `now` (seconds, monotonic); gives those whose turn it is."""
        if packet.ssrc != self._ssrc:
            if self._ssrc is not None and (self._expected is None or packet.sequence != self._expected & 0xFFFF):
                return self._strange(packet, now)
            self._ssrc = packet.ssrc  # the first, or a camera that changes it and goes on counting
        if self._strangers:
            self.dropped += len(self._strangers)
            self._strangers = []
        return self._place(packet, now)

    def flush(self) -> list[RtpPacket]:
        """All that is held, in order; what is missing between is not waited for any more."""
        ready: list[RtpPacket] = []
        while self._held:
            self._skip_gap(ready)
        return ready

    def _place(self, packet: RtpPacket, now: float) -> list[RtpPacket]:
        sequence, expected = packet.sequence, self._expected
        ahead = 0 if expected is None else (sequence - expected) & 0xFFFF
        if ahead == 0:
            ready = [packet]
            self._expected = (sequence if expected is None else expected) + 1
            if self._held:
                self._take_run(ready)
        elif ahead >= SEQUENCE_HALF:
            return self._from_the_past(packet, 0x10000 - ahead)
        elif ahead > MAX_DROPOUT:
            return self._restart(packet)
        else:
            number = (expected or 0) + ahead
            if number in self._held:
                self.dropped += 1
                return []
            ready = []
            self._held[number] = packet, now
            insort(self._order, number)
            self._size += len(packet.payload)
        while self._held and self._is_late(now):
            self._skip_gap(ready)
        return ready

    def _is_late(self, now: float) -> bool:
        _, arrived = next(iter(self._held.values()))
        return now - arrived > HELD_S or len(self._held) > HELD_PACKETS or self._size > HELD_BYTES

    def _take_run(self, ready: list[RtpPacket]) -> None:
        begun = len(ready)
        number = self._expected or 0
        while number in self._held:
            packet, _ = self._held.pop(number)
            self._size -= len(packet.payload)
            ready.append(packet)
            number += 1
        del self._order[: len(ready) - begun]  # nothing that is held is before what is expected
        self._expected = number

    def _skip_gap(self, ready: list[RtpPacket]) -> None:
        self._expected = self._order[0]
        self._take_run(ready)

    def _from_the_past(self, packet: RtpPacket, behind: int) -> list[RtpPacket]:
        if behind > MAX_MISORDER:
            if packet.sequence == self._past:  # two in a row: RFC 3550 appendix A.1
                return self._restart(packet)
            self._past = (packet.sequence + 1) & 0xFFFF
        self.dropped += 1
        return []

    def _restart(self, packet: RtpPacket) -> list[RtpPacket]:
        ready = self.flush()
        ready.append(packet)
        self._expected, self._past = packet.sequence + 1, None
        return ready

    def _strange(self, packet: RtpPacket, now: float) -> list[RtpPacket]:
        if self._strangers and self._strangers[0].ssrc != packet.ssrc:
            self.dropped += len(self._strangers)
            self._strangers = []
        self._strangers.append(packet)
        if len(self._strangers) < FOREIGN_PATIENCE:
            return []
        strangers, self._strangers = self._strangers, []
        ready = self.flush()
        self._ssrc, self._expected, self._past = packet.ssrc, None, None
        for stranger in sorted(
            strangers, key=lambda one: (one.sequence - strangers[0].sequence + SEQUENCE_HALF) & 0xFFFF
        ):
            ready += self._place(stranger, now)
        return ready
