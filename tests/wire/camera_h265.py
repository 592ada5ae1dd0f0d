"""A test's own H.265 camera: encodes with PyAV and packetises by RFC 7798, sharing no code with what it tests."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache

import av
import numpy as np

from tests.wire.camera import Picture, rtp, units_of


@lru_cache(maxsize=32)
def encode(width: int, height: int, *, pictures: int = 3, slices: int = 1, extra: str = "") -> tuple[Picture, ...]:
    """Access units, each a tuple of NAL units without start codes; the first is an IDR picture with VPS, SPS, PPS."""
    codec = av.CodecContext.create("libx265", "w")
    assert isinstance(codec, av.VideoCodecContext)
    codec.width, codec.height, codec.pix_fmt, codec.time_base = width, height, "yuv420p", Fraction(1, 25)
    parameters = "keyint=250:bframes=0:repeat-headers=1:annexb=1:info=0:frame-threads=1:pools=2:log-level=none"
    parameters += f":wpp=1:slices={slices}" if slices > 1 else ""
    codec.options = {"preset": "ultrafast", "crf": "16", "x265-params": f"{parameters}:{extra}".rstrip(":")}
    noise = np.random.default_rng(7)
    packets: list[bytes] = []
    for index in range(pictures):
        plane = np.tile(np.linspace(30, 200, width), (height * 3 // 2, 1))
        plane += noise.integers(0, 20, (height * 3 // 2, width))
        frame = av.VideoFrame.from_ndarray(plane.astype(np.uint8), format="yuv420p")
        frame.pts = index
        packets += [bytes(packet) for packet in codec.encode(frame)]
    packets += [bytes(packet) for packet in codec.encode(None)]
    return tuple(units_of(packet) for packet in packets)


def kind(unit: bytes) -> int:
    """nal_unit_type."""
    return unit[0] // 2 % 64


def vcl(picture: Iterable[bytes]) -> list[bytes]:
    """The slices of a picture."""
    return [unit for unit in picture if kind(unit) < 32]


def numbered(unit: bytes) -> bytes:
    """A single NAL unit packet with a DONL that looks like a start code."""
    return unit[:2] + b"\x00\x00" + unit[2:]


def fragments(unit: bytes, size: int, *, don: bool = False) -> list[bytes]:
    """FU payloads of one unit."""
    pieces = [unit[2:][at : at + size] for at in range(0, len(unit) - 2, size)]
    out = []
    for index, piece in enumerate(pieces):
        flags = (0x80 if index == 0 else 0) | (0x40 if index == len(pieces) - 1 else 0) | kind(unit)
        number = b"\x00\x01" if don and index == 0 else b""
        out.append(bytes((unit[0] & 0x81 | 49 << 1, unit[1], flags)) + number + piece)
    return out


def aggregate(units: list[bytes], *, don: bool = False) -> bytes:
    """An aggregation packet."""
    parts = [b"\x60\x01"]
    for index, unit in enumerate(units):
        parts.append((b"\x00" if index else b"\x00\x02") if don else b"")
        parts.append(struct.pack("!H", len(unit)) + unit)
    return b"".join(parts)


def packetise(
    pictures: Iterable[Iterable[bytes]],
    *,
    mtu: int = 1400,
    first: int = 100,
    aggregated: bool = False,
    marker: bool = True,
    step: int = 3600,
    don: bool = False,
) -> list[bytes]:
    """RTP packets of pictures. `aggregated` joins neighbouring small units, `don` numbers them."""
    packets: list[bytes] = []
    for index, picture in enumerate(pictures):
        payloads: list[bytes] = []
        small: list[bytes] = []
        for unit in picture:
            if aggregated and len(unit) < 200:
                small.append(unit)
                continue
            if small:
                payloads.append(aggregate(small, don=don))
                small = []
            if len(unit) > mtu:
                payloads += fragments(unit, mtu, don=don)
            else:
                payloads.append(numbered(unit) if don else unit)
        if small:
            payloads.append(aggregate(small, don=don))
        for place, payload in enumerate(payloads):
            last = marker and place == len(payloads) - 1
            packets.append(rtp(payload, first + len(packets), index * step, marker=last))
    return packets


def sdp(units: Iterable[bytes] = (), *, name: str = "H265", fmtp: str = "") -> bytes:
    """A description with one video track and the sets given."""
    names = {32: "sprop-vps", 33: "sprop-sps", 34: "sprop-pps"}
    stated = "".join(f";{names[kind(unit)]}={base64.b64encode(unit).decode()}" for unit in units)
    head = "v=0\r\ns=x\r\nt=0 0\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\n"
    return f"{head}a=rtpmap:96 {name}/90000\r\na=fmtp:96 profile-id=1{stated}{fmtp}\r\na=control:track1\r\n".encode()
