"""What comes out of a depacketiser, for the tests of all codecs."""

from __future__ import annotations

from typing import Any

from streamwatch.wire.rtp import Order, SequenceTracker, parse_rtp


def depacketised(packets: list[bytes], depacketiser: Any) -> list[Any]:
    """Every picture that a depacketiser of any codec gives for RTP packets, in order, as a look feeds it."""
    tracker = SequenceTracker()
    found = []
    for data in packets:
        packet = parse_rtp(data)
        assert packet is not None
        order = tracker.next(packet)
        if order is Order.DROP:
            continue
        depacketiser.push(packet, after_loss=order is Order.AFTER_LOSS)
        while (unit := depacketiser.pull()) is not None:
            found.append(unit)
    return found
