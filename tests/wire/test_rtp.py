"""RTP: packets against aiortc as the oracle, and what the numbering tells."""

from __future__ import annotations

import struct

import pytest
from aiortc.rtp import RtpPacket as Oracle
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.wire.rtp import FOREIGN_PATIENCE, Order, RtpPacket, SequenceTracker, parse_rtp

PLAIN = struct.pack("!BBHII", 0x80, 96, 1, 2, 3) + b"payload"


def oracle(data: bytes) -> tuple[int, ...] | None:
    """What aiortc makes of it; None where it refuses."""
    try:
        found = Oracle.parse(data)
    except (ValueError, struct.error, IndexError):
        return None
    return (found.marker, found.payload_type, found.sequence_number, found.timestamp, found.ssrc, found.payload)


@given(
    st.integers(0, 3),
    st.integers(0, 4),
    st.one_of(st.none(), st.integers(0, 6)),
    st.binary(max_size=40),
    st.integers(0, 255),
    st.integers(0, 30),
)
def test_packets_against_aiortc(
    csrc: int, padding: int, words: int | None, rest: bytes, second: int, missing: int
) -> None:
    """Same fields and same payload, whole and cut short; refused where aiortc refuses."""
    first = 0x80 | (0x20 if padding else 0) | (0x10 if words is not None else 0) | csrc
    extension = b"" if words is None else struct.pack("!HH", 0, words) + b"e" * words * 4
    whole = struct.pack("!BBHII", first, second, 7, 8, 9) + b"c" * csrc * 4 + extension + rest
    whole += bytes(max(0, padding - 1)) + (bytes((padding,)) if padding else b"")
    data = whole[: max(12, len(whole) - missing)]
    if padding and data[-1] == 0:
        return  # RFC 3550 section 5.1 counts the last byte itself: aiortc lets 0 pass for its own reasons
    parsed = parse_rtp(data)
    assert (None if parsed is None else parsed[:6]) == oracle(data)
    assert parsed is None or parsed.extension == extension
    if not missing:
        found = parse_rtp(data)
        assert found is not None and found.payload == rest


@given(st.binary(max_size=120))
def test_any_bytes_are_a_packet_or_none(data: bytes) -> None:
    """Never an exception; the payload is a part of the packet."""
    found = parse_rtp(data)
    assert found is None or found.payload in data


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(PLAIN[:11], id="under 12 bytes"),
        pytest.param(b"\x00" + PLAIN[1:], id="version 0"),
        pytest.param(b"\x40" + PLAIN[1:], id="version 1"),
        pytest.param(b"\x8f" + PLAIN[1:], id="15 CSRCs that are not there"),
        pytest.param(b"\x90" + PLAIN[1:12] + b"\x00\x00\xff\xff" + PLAIN, id="extension longer than the packet"),
        pytest.param(b"\xa0" + PLAIN[1:] + b"\xff", id="padding 255"),
        pytest.param(b"\xa0" + PLAIN[1:] + b"\x00", id="padding 0"),
    ],
)
def test_packets_that_do_not_fit(data: bytes) -> None:
    """None, and the session goes on."""
    assert parse_rtp(data) is None


def orders(*packets: tuple[int, int]) -> list[Order]:
    """What the tracker says of (sequence, ssrc) pairs."""
    tracker = SequenceTracker()
    return [tracker.next(RtpPacket(False, 96, sequence, 0, ssrc, b"")) for sequence, ssrc in packets]


def test_numbering_wraps_without_loss() -> None:
    """65535 is followed by 0."""
    assert orders((65534, 1), (65535, 1), (0, 1), (1, 1)) == [Order.NEXT] * 4


def test_a_gap_is_loss_and_counted() -> None:
    """Also across the wrap."""
    tracker = SequenceTracker()
    for sequence in (65533, 2, 3):
        last = tracker.next(RtpPacket(False, 96, sequence, 0, 1, b""))
    assert (tracker.lost, last) == (4, Order.NEXT)
    assert orders((1, 1), (3, 1)) == [Order.NEXT, Order.AFTER_LOSS]


def test_geovision_repeats_are_dropped() -> None:
    """A repeated packet, and one from the past, change nothing."""
    assert orders((5, 1), (5, 1), (4, 1), (6, 1)) == [Order.NEXT, Order.DROP, Order.DROP, Order.NEXT]


def test_a_restarted_numbering_is_believed_at_its_second_packet() -> None:
    """A camera that rebooted jumps back: the first packet may be a straggler, the next proves it."""
    assert orders((40000, 1), (20000, 1), (20001, 1), (20002, 1)) == [
        Order.NEXT,
        Order.DROP,
        Order.AFTER_LOSS,
        Order.NEXT,
    ]


def test_changing_ssrc_with_continuing_numbers_is_the_same_stream() -> None:
    """Cameras that change their SSRC at will."""
    assert orders((1, 1), (2, 9), (3, 4)) == [Order.NEXT] * 3


def test_live555_stale_session_on_our_channel_is_dropped() -> None:
    """Another stream's packets in between cost nothing; one that stays alone is believed in the end."""
    assert orders((1, 1), (500, 9), (501, 9), (2, 1), (502, 9), (3, 1)) == [
        Order.NEXT,
        Order.DROP,
        Order.DROP,
        Order.NEXT,
        Order.DROP,
        Order.NEXT,
    ]
    alone = orders((1, 1), *((500 + index, 9) for index in range(FOREIGN_PATIENCE + 2)))
    assert alone == [Order.NEXT, *[Order.DROP] * FOREIGN_PATIENCE, Order.AFTER_LOSS, Order.NEXT]


@given(st.lists(st.integers(1, 300), max_size=60), st.integers(0, 65535))
def test_lost_packets_against_counting(steps: list[int], first: int) -> None:
    """The sum of gaps, however often the 16 bits wrap."""
    tracker = SequenceTracker()
    number = first
    tracker.next(RtpPacket(False, 96, number, 0, 1, b""))
    for step in steps:
        number += step
        order = tracker.next(RtpPacket(False, 96, number & 0xFFFF, 0, 1, b""))
        assert order is (Order.NEXT if step == 1 else Order.AFTER_LOSS)
    assert tracker.lost == sum(step - 1 for step in steps)
