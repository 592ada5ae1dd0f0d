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


@given(NALS, st.integers(0, 0xFFFF), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 254))
def test_a_stamp_is_written_over_every_packet(
    nals: list[bytes], sequence: int, timestamp: int, ssrc: int, channel: int
) -> None:
    """Sequence numbers run on modulo 2^16, marker on the last only, the template stays as it was."""
    unit: Frame = frame(payloads(nals))
    before = unit.template

    packets = unpack(bytes(unit.stamped(channel, sequence, timestamp, ssrc)))

    assert unit.template == before
    for index, (got, packet) in enumerate(packets):
        first, second, number, ticks, source = struct.unpack_from(">BBHII", packet)
        assert (got, first, number, ticks, source) == (channel, 0x80, (sequence + index) & 0xFFFF, timestamp, ssrc)
        assert second == 96 | (0x80 if index == len(packets) - 1 else 0)


def test_only_key_frames_carry_parameter_sets() -> None:
    """One STAP-A or two packets before the IDR slice, nothing before the others."""
    clip = Clip(64, 64, b"\x67s", b"\x68p", [[[b"\x65idr"], [b"\x41p1"]]])

    key, other = packetise(clip, stap=True).gops[0]
    assert [packet[12:] for _, packet in unpack(key.template)] == [b"\x78\x00\x02\x67s\x00\x02\x68p", b"\x65idr"]
    assert [packet[12:] for _, packet in unpack(other.template)] == [b"\x41p1"]
    key, _ = packetise(clip, stap=False).gops[0]
    assert [packet[12:] for _, packet in unpack(key.template)] == [b"\x67s", b"\x68p", b"\x65idr"]
