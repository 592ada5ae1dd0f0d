"""A test's own program stream: packs and packets of ISO/IEC 13818-1, sharing no code with what it tests."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from tests.wire.camera import rtp

H264, H265, MPEG4, SVAC = 0x1B, 0x24, 0x10, 0x80


def annex_b(units: Iterable[bytes], code: bytes = b"\x00\x00\x00\x01") -> bytes:
    """Units behind start codes."""
    return b"".join(code + unit for unit in units)


def clock(value: int, marker: int = 0b0010) -> bytes:
    """33 bits as PTS fields have them."""
    bits = f"{marker:04b}{value >> 30 & 7:03b}1{value >> 15 & 0x7FFF:015b}1{value & 0x7FFF:015b}1"
    return int(bits, 2).to_bytes(5, "big")


def pack(stuffing: int = 0) -> bytes:
    """A pack header of MPEG-2."""
    return b"\x00\x00\x01\xba" + bytes.fromhex("44000400040100000b") + bytes((0xF8 | stuffing,)) + b"\xff" * stuffing


def pack_mpeg1() -> bytes:
    """One of MPEG-1."""
    return b"\x00\x00\x01\xba" + bytes.fromhex("2100010001800001")


def sized(code: int, body: bytes, length: int | None = None) -> bytes:
    """What follows a start code with a length."""
    return b"\x00\x00\x01" + bytes((code,)) + struct.pack("!H", len(body) if length is None else length) + body


def system_header() -> bytes:
    return sized(0xBB, bytes.fromhex("80000104e17fe0e080c0c008"))


def program_map(*streams: tuple[int, int], about: bytes = b"", each: bytes = b"", crc: int = 0) -> bytes:
    """A map: stream types with their ids, descriptors of the program and of each stream."""
    listed = b"".join(struct.pack("!BBH", kind, stream, len(each)) + each for kind, stream in streams)
    body = struct.pack("!BBH", 0xE0, 0xFF, len(about)) + about + struct.pack("!H", len(listed)) + listed
    return sized(0xBC, body + struct.pack("!I", crc))


def packet(
    data: bytes, pts: int | None = None, *, code: int = 0xE0, length: int | None = None, scrambling: int = 0
) -> bytes:
    """A PES packet."""
    fields = b"" if pts is None else clock(pts)
    header = bytes((0x80 | scrambling << 4, 0x80 if fields else 0, len(fields))) + fields
    return sized(code, header + data, length)


def packet_mpeg1(data: bytes, pts: int | None = None, *, stuffing: int = 0, buffer: bool = False) -> bytes:
    """One of an MPEG-1 system stream."""
    head = b"\xff" * stuffing + (b"\x60\x2e" if buffer else b"")
    return sized(0xE0, head + (b"\x0f" if pts is None else clock(pts)) + data)


def program(
    pictures: Iterable[Iterable[bytes]],
    kind: int | None = H264,
    *,
    size: int = 65_000,
    once: bool = False,
    audio: bytes = b"",
) -> list[bytes]:
    """A pack a picture, as GB/T 28181 devices: with system header and map where a set is in it, or `once`, or never."""
    packs = []
    for index, picture in enumerate(pictures):
        units = tuple(picture)
        parts = [pack(index % 8)]
        if len(units) > 1 and kind is not None and (index == 0 or not once):
            parts += [system_header(), program_map((kind, 0xE0), (0x90, 0xC0))]
        stream = annex_b(units)
        for at in range(0, len(stream), size):
            parts.append(packet(stream[at : at + size], index * 3600 if at == 0 else None))
        if audio:
            parts += [packet(audio, index * 3600, code=0xC0)]
        packs.append(b"".join(parts))
    return packs


def packetise(packs: Iterable[bytes], *, mtu: int = 1400, first: int = 100, step: int = 3600) -> list[bytes]:
    """RTP packets: none with two packs in it, a marker at each one's end."""
    packets: list[bytes] = []
    for index, whole in enumerate(packs):
        for at in range(0, len(whole), mtu):
            last = at + mtu >= len(whole)
            packets.append(rtp(whole[at : at + mtu], first + len(packets), index * step, marker=last))
    return packets


def sdp(name: str = "PS") -> bytes:
    """A description with one video track."""
    head = "v=0\r\ns=Play\r\nt=0 0\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\n"
    return f"{head}a=rtpmap:96 {name}/90000\r\na=control:track1\r\n".encode()
