"""Stage 3, wire: the fast path for what most bytes of a look are: fragments in the middle of one large unit.

It takes a run of complete packets that all of the slow path (`rtsp`, `rtp`, `depacketise`) would only append to
the unit that is open. All else is left to it: first and last fragments, gaps, other channels, whatever is odd. Both
give the same outcome for the same bytes, which is tested; without it a look costs twice as much.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import Final

from streamwatch.wire.depacketise.pictures import Pictures
from streamwatch.wire.rtp import SequenceTracker
from streamwatch.wire.rtsp import FRAME_HEADER, RtspParser

MIN_ROWS: Final = 4  # packets of one size in a row, from which on a loop of their own pays
_DOLLAR: Final = 0x2400  # "$", before the channel
_PLAIN: Final = 0x8000  # RTP version 2 and nothing else, before the payload type


@lru_cache(maxsize=256)  # sizes of packets: a camera has one or two
def _row(size: int, head: int) -> Struct:
    """A packet of `size` bytes: all up to its number, time and source, fragment header, picture from `head` on."""
    return Struct(f"!QQ{head - 16}s{size - head}s")


def _take_alike(view: memoryview, head: int, parts: list[bytes | bytearray] | None, rows: int) -> int:
    """Packets that differ from the first one in `view`, which was looked at, in nothing but number and picture."""
    size = len(view) // rows
    each = _row(size, head).iter_unpack(view)
    begin: int
    begin, clock, middle, _ = next(each)
    following = begin
    for first, second, third, picture in each:
        following += 1  # past 65,535 it is another payload type, and the end of the run
        if first != following or second != clock or third != middle:
            return following - begin - 1
        if parts is not None:
            parts.append(picture)
    return following - begin


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
    prefix, header, mask, kind = depacketiser.SHAPE
    unpack, head = prefix.unpack_from, FRAME_HEADER + header
    # Where the limits lie, seen from the safe side: a packet near one of them goes the slow way, which knows exactly.
    stop = min(len(buffer), begin + min(budget, room, places * head))
    at, last = begin, stop - head
    taken = 0
    plain = _PLAIN | payload_type
    marked, source = _DOLLAR | channel, timestamp << 32 | ssrc
    while at <= last:
        found, length, first, sequence, whose, indicator, flags = unpack(buffer, at)
        after = at + FRAME_HEADER + length
        if (
            after > stop
            or sequence != expected
            or first != plain  # without marker, padding and extension
            or flags > 0x3F  # neither start nor end
            or indicator & mask != kind
            or whose != source
            or found != marked
            or length < header
        ):
            break
        if parts is not None:
            parts.append(buffer[at + head : after])
        taken += 1
        expected = (sequence + 1) & 0xFFFF
        rows = (stop - after) // (after - at)
        if rows >= MIN_ROWS and buffer[after + 2] << 8 | buffer[after + 3] == length:
            size = after - at
            more = _take_alike(memoryview(buffer)[at : after + rows * size], head, parts, rows + 1)
            taken += more
            expected = (expected + more) & 0xFFFF
            after += more * size
        at = after
    media = at - begin - taken * FRAME_HEADER
    kept = 0 if parts is None else media - taken * header
    if taken:
        parser.advance(at)
        tracker.advance(taken)
        depacketiser.grown(kept)
    return taken, media
