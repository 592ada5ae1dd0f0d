"""The farm's packetiser, against aiortc's depacketiser."""

from __future__ import annotations

import struct

from aiortc.codecs.h264 import H264PayloadDescriptor
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.simulator.packets import MAX_PAYLOAD, Frame, aggregate, frame, packetise, payloads
from streamwatch.simulator.render import Clip


def nal(kind: int, size: int) -> bytes:
    """A NAL unit whose bytes tell their place."""
    return bytes([kind]) + bytes(i * 7 & 0xFF for i in range(size))


NALS = st.lists(
    st.builds(nal, st.sampled_from([0x65, 0x41, 0x67, 0x68]), st.integers(1, 5000)),
    min_size=1,
    max_size=5,
)


def unpack(data: bytes) -> list[tuple[int, bytes]]:
    """(channel, RTP packet) of each interleaved frame."""
    out, at = [], 0
    while at < len(data):
        assert data[at] == 0x24
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        out.append((data[at + 1], data[at + 4 : at + 4 + size]))
        at += 4 + size
    return out


@given(NALS)
def test_nal_units_come_back_whole(nals: list[bytes]) -> None:
    """What aiortc puts together again is what went in, and no payload is above the limit."""
    parts = payloads(nals)

    joined = b"".join(H264PayloadDescriptor.parse(part)[1] for part in parts)
    assert joined == b"".join(b"\x00\x00\x00\x01" + unit for unit in nals)
    assert max(map(len, parts)) <= MAX_PAYLOAD


def test_fragments_say_where_a_unit_begins_and_ends() -> None:
    """The first FU-A has S, the last E, those between neither; a unit that just fits is not cut."""
    flags = [part[1] & 0xE0 for part in payloads([nal(0x65, 3 * MAX_PAYLOAD)])]

    assert flags == [0x80, 0, 0, 0x40]
    assert [len(part) for part in payloads([nal(0x65, MAX_PAYLOAD - 1)])] == [MAX_PAYLOAD]


def test_a_stap_holds_the_parameter_sets() -> None:
    """aiortc reads both from one STAP-A, whose NRI is the greater one."""
    payload = aggregate([b"\x27abc", b"\x68de"])

    assert H264PayloadDescriptor.parse(payload)[1] == b"\x00\x00\x00\x01\x27abc\x00\x00\x00\x01\x68de"
    assert payload[0] == 0x60 | 24


STAMPS = st.tuples(st.integers(0, 254), st.integers(0, 0xFFFF), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))


@given(NALS, st.lists(STAMPS, min_size=1, max_size=3).map(lambda some: [*some, *some]))
def test_a_stamp_is_written_over_every_packet(nals: list[bytes], stamps: list[tuple[int, int, int, int]]) -> None:
    """Sequence numbers run on modulo 2^16, marker on the last only, whatever it was stamped with before; and what was
    given out stays as it was."""
    unit: Frame = frame(payloads(nals))
    kept = [(unit.stamped(*stamp), unit.pieces(*stamp), stamp) for stamp in stamps]

    for stamped, pieces, (channel, sequence, timestamp, ssrc) in kept:
        packets = unpack(bytes(stamped))
        assert [bytes(piece)[4:] for piece in pieces] == [packet for _, packet in packets]
        for index, (got, packet) in enumerate(packets):
            first, second, number, ticks, source = struct.unpack_from(">BBHII", packet)
            assert (got, first, number, ticks, source) == (channel, 0x80, (sequence + index) & 0xFFFF, timestamp, ssrc)
            assert second == 96 | (0x80 if index == len(packets) - 1 else 0)
        assert b"".join(packet[12:] for _, packet in packets) == b"".join(payloads(nals))


def test_what_was_stamped_is_made_once() -> None:
    """The same numbers give the same bytes, not others like them."""
    unit = frame(payloads([nal(0x65, 5000)]))

    once = unit.stamped(0, 1, 2, 3)
    assert unit.stamped(0, 1, 2, 3) is once
    assert unit.pieces(0, 1, 2, 3) is unit.pieces(0, 1, 2, 3)
    assert unit.stamped(0, 1, 2, 4) is not once


def test_places_of_a_clip_are_as_one_who_plays_it_counts() -> None:
    """Each frame's place is the one before and its packets, modulo the sizes of the fields; groups and frames modulo
    their number."""
    groups = [[[nal(0x65, 5000)], [nal(0x41, 100)], [nal(0x41, 3000)]], [[nal(0x65, 3000)], [nal(0x41, 100)]]] * 9000
    clip = packetise(Clip(64, 64, b"\x67s", b"\x68p", groups), stap=True)
    sequence, timestamp = clip.place(0, 0)
    for number in (0, 1, 8_000, 17_999):
        before = [frame for group in clip.gops[:number] for frame in group]
        for index, unit in enumerate(clip.gops[number]):
            assert clip.place(number, index) == (
                (sequence + sum(len(frame.starts) for frame in before)) & 0xFFFF,
                (timestamp + len(before) * clip.ticks) & 0xFFFFFFFF,
            )
            before.append(unit)
    assert clip.place(18_000, 3) == clip.place(0, 0)


def test_only_key_frames_carry_parameter_sets() -> None:
    """One STAP-A or two packets before the IDR slice, nothing before the others."""
    clip = Clip(64, 64, b"\x67s", b"\x68p", [[[b"\x65idr"], [b"\x41p1"]]])

    key, other = packetise(clip, stap=True).gops[0]
    assert [packet[12:] for _, packet in unpack(bytes(key.stamped(0, 0, 0, 0)))] == [
        b"\x78\x00\x02\x67s\x00\x02\x68p",
        b"\x65idr",
    ]
    assert [packet[12:] for _, packet in unpack(bytes(other.stamped(0, 0, 0, 0)))] == [b"\x41p1"]
    key, _ = packetise(clip, stap=False).gops[0]
    assert [packet[12:] for _, packet in unpack(bytes(key.stamped(0, 0, 0, 0)))] == [b"\x67s", b"\x68p", b"\x65idr"]
