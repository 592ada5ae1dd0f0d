"""Stage 3, wire: the fast path for what most bytes of a look are: fragments in the middle of one large unit.

It takes a run of complete packets that all of the slow path (`rtsp`, `rtp`, `depacketise`) would only append to
the unit that is open. All else is left to it: first and last fragments, gaps, other channels, whatever is odd. Both
give the same outcome for the same bytes, which is tested; without it a look costs twice as much.
"""

from __future__ import annotations

from typing import Final

from streamwatch.wire.depacketise.pictures import Pictures
from streamwatch.wire.rtp import SequenceTracker
from streamwatch.wire.rtsp import FRAME_HEADER, RtspParser

_PLAIN: Final = 0x80  # RTP version 2 and nothing else


def take_run(
    parser: RtspParser,
    tracker: SequenceTracker,
    depacketiser: Pictures,
    channel: int,
    payload_type: int,
    budget: int,
) -> tuple[int, int]:
    """Takes what it can; gives packets and bytes of RTP taken, at most `budget` bytes."""
    window, unit = parser.window(), depacketiser.open_unit()
    if window is None or unit is None:
        return 0, 0
    buffer, begin = window
    parts, timestamp, room, places = unit
    expected, ssrc = tracker.position()
    at, end = begin, len(buffer)
    taken = media = kept = 0
    prefix, header, mask, kind = depacketiser.SHAPE
    unpack, head = prefix.unpack_from, FRAME_HEADER + header
    while at + head <= end and taken < places:
        dollar, found, length, first, second, sequence, clock, source, indicator, flags = unpack(buffer, at)
        after = at + FRAME_HEADER + length
        if (
            after > end
            or sequence != expected
            or second != payload_type  # without marker
            or flags > 0x3F  # neither start nor end
            or indicator & mask != kind
            or clock != timestamp
            or source != ssrc
            or first != _PLAIN
            or found != channel
            or dollar != 0x24
            or length < header
            or media + length > budget
            or kept + length - header > room
        ):
            break
        if parts is not None:
            parts.append(buffer[at + head : after])
            kept += length - header
        taken += 1
        media += length
        expected = (sequence + 1) & 0xFFFF
        at = after
    if taken:
        parser.advance(at)
        tracker.advance(taken)
        depacketiser.grown(kept)
    return taken, media
