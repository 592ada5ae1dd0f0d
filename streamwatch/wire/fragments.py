"""Stage 3, wire: the fast path for what most bytes of a look are: fragments in the middle of one large H.264 unit.

It takes a run of complete packets that all of the slow path (`rtsp`, `rtp`, `depacketise.h264`) would only append to
the unit that is open. All else is left to it: first and last fragments, gaps, other channels, whatever is odd. Both
give the same outcome for the same bytes, which is tested; without it a look costs twice as much.
"""

from __future__ import annotations

import struct
from typing import Final

from streamwatch.wire.depacketise.h264 import FU_A, H264Depacketiser
from streamwatch.wire.rtp import SequenceTracker
from streamwatch.wire.rtsp import FRAME_HEADER, RtspParser

_PREFIX: Final = struct.Struct("!BBHBBHIIBB")  # "$", channel, length; RTP's fixed header; FU indicator, FU header
_HEAD: Final = FRAME_HEADER + 14  # bytes of it: what follows is picture
_PLAIN: Final = 0x80  # RTP version 2 and nothing else


def take_run(
    parser: RtspParser,
    tracker: SequenceTracker,
    depacketiser: H264Depacketiser,
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
    unpack = _PREFIX.unpack_from
    while at + _HEAD <= end and taken < places:
        dollar, found, length, first, second, sequence, clock, source, indicator, flags = unpack(buffer, at)
        after = at + FRAME_HEADER + length
        if (
            after > end
            or sequence != expected
            or second != payload_type  # without marker
            or flags > 0x3F  # neither start nor end
            or indicator & 0x9F != FU_A  # and no forbidden bit
            or clock != timestamp
            or source != ssrc
            or first != _PLAIN
            or found != channel
            or dollar != 0x24
            or length < 14
            or media + length > budget
            or kept + length - 14 > room
        ):
            break
        if parts is not None:
            parts.append(buffer[at + _HEAD : after])
            kept += length - 14
        taken += 1
        media += length
        expected = (sequence + 1) & 0xFFFF
        at = after
    if taken:
        parser.advance(at)
        tracker.advance(taken)
        depacketiser.grown(kept)
    return taken, media
