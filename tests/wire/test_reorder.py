"""Datagrams back into order, against sorting."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.wire import reorder as module
from streamwatch.wire.reorder import HELD_PACKETS, HELD_S, MAX_DROPOUT, MAX_MISORDER, Reorder
from streamwatch.wire.rtp import FOREIGN_PATIENCE, RtpPacket


def packet(number: int, ssrc: int = 7, size: int = 1) -> RtpPacket:
    """A packet that knows where it belongs, also past the turn of the 16 bits."""
    return RtpPacket(False, 96, number & 0xFFFF, number, ssrc, bytes(size))


def numbers(packets: list[RtpPacket]) -> list[int]:
    return [one.timestamp for one in packets]


def through(order: list[int], *, now: float = 0.0, flush: bool = True) -> list[int]:
    buffer = Reorder()
    out = [one for number in order for one in buffer.push(packet(number), now)]
    return numbers(out + (buffer.flush() if flush else []))


@given(st.integers(0, 0xFFFF), st.integers(2, 400), st.integers(0, 60), st.randoms(use_true_random=False))
def test_any_shuffle_within_bounds_equals_sorting(first: int, count: int, far: int, chance: random.Random) -> None:
    """Each packet late by up to `far` places, some lost, some twice: what comes out is what came in, sorted, once."""
    sent = [number for number in range(first + 1, first + count) if chance.random() > 0.1]
    sent += [number for number in sent if chance.random() < 0.1]
    arrived = [first, *sorted(sent, key=lambda number: number + chance.uniform(0, far))]

    assert through(arrived) == sorted(set(arrived))


@given(st.lists(st.integers(0, 70_000), max_size=60), st.lists(st.floats(0, 0.5), min_size=60, max_size=60))
def test_any_numbers_at_any_time_come_out_at_most_once(order: list[int], waits: list[float]) -> None:
    """Jumps, repetitions, pauses: never an exception, never more held than allowed, nothing twice in a row."""
    buffer = Reorder()
    now = 0.0
    out: list[RtpPacket] = []
    for number, wait in zip(order, waits, strict=False):
        now += wait
        out += buffer.push(packet(number), now)
        assert len(buffer._held) <= HELD_PACKETS
        assert buffer._size == sum(len(one.payload) for one, _ in buffer._held.values())
    out += buffer.flush()

    assert len(out) + buffer.dropped == len(order)


def test_packets_in_order_are_never_held() -> None:
    """The usual case costs nothing."""
    assert through(list(range(65_500, 65_700)), flush=False) == list(range(65_500, 65_700))


def test_a_gap_is_waited_for_a_while_and_then_given_up() -> None:
    """What was overtaken comes within 0.1 s, or not at all; then it is too late."""
    buffer = Reorder()
    assert numbers(buffer.push(packet(1), 0.0)) == [1]
    assert numbers(buffer.push(packet(3), 1.0)) == []
    assert numbers(buffer.push(packet(4), 1.0 + HELD_S / 2)) == []
    assert numbers(buffer.push(packet(5), 1.0 + HELD_S + 0.001)) == [3, 4, 5]
    assert numbers(buffer.push(packet(2), 1.2)) == []
    assert buffer.dropped == 1


def test_the_gap_ends_when_its_packet_comes() -> None:
    """All that waited for it follows at once."""
    assert through([1, 3, 4, 2], flush=False) == [1, 2, 3, 4]


@pytest.mark.parametrize(("size", "most"), [(1, HELD_PACKETS), (60_000, module.HELD_BYTES // 60_000)])
def test_what_is_held_is_bounded(size: int, most: int) -> None:
    """By packets and by bytes: one more, and the gap is given up."""
    buffer = Reorder()
    buffer.push(packet(0, size=size), 0.0)
    for number in range(2, most + 2):
        assert buffer.push(packet(number, size=size), 0.0) == []
    assert numbers(buffer.push(packet(most + 2, size=size), 0.0)) == list(range(2, most + 3))


def test_repeated_packets_are_dropped() -> None:
    """Held or given already."""
    assert through([1, 1, 3, 3, 2, 2, 3], flush=False) == [1, 2, 3]


def test_a_restarted_numbering_is_believed_at_its_second_packet() -> None:
    """Far back twice in a row, or far ahead at once; a single stray packet from the past is not."""
    assert through([1000, 1001, 100, 101, 102], flush=False) == [1000, 1001, 101, 102]
    assert through([1000, 100, 1001, 1002], flush=False) == [1000, 1001, 1002]
    assert through([5, 6, 6 + MAX_DROPOUT + 2, 6 + MAX_DROPOUT + 3], flush=False) == [
        5, 6, 6 + MAX_DROPOUT + 2, 6 + MAX_DROPOUT + 3,
    ]  # fmt: skip


def test_late_packets_in_a_row_are_no_restart() -> None:
    """Overtaken ones often come in a row, too late."""
    late = [1000 - MAX_MISORDER + 1, 1000 - MAX_MISORDER + 2, 1000 - MAX_MISORDER + 3]
    assert through([1000, *late, 1001], flush=False) == [1000, 1001]


def test_packets_of_another_source_are_dropped() -> None:
    """An old session of the device still sends to a port that is ours now."""
    buffer = Reorder()
    out = []
    for number in range(60):
        out += buffer.push(packet(number), 0.0)
        out += buffer.push(packet(number + 30_000, ssrc=8), 0.0)
    assert numbers(out) == list(range(60))
    assert buffer.dropped >= 59


def test_a_burst_of_another_source_is_not_believed_yet() -> None:
    """One packet fewer than it takes, again and again; nor are two other sources that take turns."""
    buffer = Reorder()
    out = []
    for number in range(20):
        out += buffer.push(packet(number), 0.0)
        for stranger in range(FOREIGN_PATIENCE - 1):
            out += buffer.push(packet(30_000 + 100 * number + stranger, ssrc=8), 0.0)
    assert numbers(out) == list(range(20))
    buffer.push(packet(20), 0.0)
    for number in range(2 * FOREIGN_PATIENCE):
        assert buffer.push(packet(40_000 + number, ssrc=8 + number % 2), 0.0) == []


def test_an_announced_source_wins_over_what_comes_first() -> None:
    """The first packet of all may be a stranger's."""
    buffer = Reorder(7)
    assert buffer.push(packet(30_000, ssrc=8), 0.0) == []
    assert numbers(buffer.push(packet(1), 0.0)) == [1]
    assert buffer.ssrc == 7


def test_a_false_announcement_is_seen_through_and_costs_nothing() -> None:
    """After a few packets in a row from one other source they are believed, all of them, in order."""
    buffer = Reorder(99)
    order = [3, 2, *range(4, 3 + FOREIGN_PATIENCE)]
    out = [one for number in order for one in buffer.push(packet(number), 0.0)]
    assert numbers(out) == sorted(order)
    assert buffer.ssrc == 7


def test_a_camera_that_changes_its_ssrc_and_goes_on_counting() -> None:
    """Nothing is lost."""
    buffer = Reorder()
    out = [one for number in range(10) for one in buffer.push(packet(number, ssrc=number), 0.0)]
    assert numbers(out) == list(range(10))
