"""A test's own camera: encodes real H.264 with PyAV, packetises it, and writes the replies of a conversation as bytes.

It shares no code with what it tests, so that a shared mistake cannot cancel out.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import av
import numpy as np

PAYLOAD_TYPE = 96
URL = "rtsp://192.0.2.7/live"

Unit = bytes
Picture = tuple[Unit, ...]


@lru_cache(maxsize=32)
def encode(
    width: int, height: int, *, pictures: int = 3, slices: int = 1, interlaced: bool = False, extra: str = ""
) -> tuple[Picture, ...]:
    """Access units, each a tuple of NAL units without start codes; the first is an IDR picture with SPS and PPS."""
    codec = av.CodecContext.create("libx264", "w")
    assert isinstance(codec, av.VideoCodecContext)
    codec.width, codec.height, codec.pix_fmt, codec.time_base = width, height, "yuv420p", Fraction(1, 25)
    parameters = f"slices={slices}:keyint=250:bframes=0:repeat-headers=1:annexb=1:threads=1"
    parameters += ":interlaced=1" if interlaced else ""
    codec.options = {"preset": "ultrafast", "crf": "35", "x264-params": f"{parameters}:{extra}".rstrip(":")}
    noise = np.random.default_rng(7)
    packets: list[bytes] = []
    for index in range(pictures):
        plane = np.tile(np.linspace(30, 200, width), (height * 3 // 2, 1)) + noise.integers(
            0, 20, (height * 3 // 2, width)
        )
        frame = av.VideoFrame.from_ndarray(plane.astype(np.uint8), format="yuv420p")
        frame.pts = index
        packets += [bytes(packet) for packet in codec.encode(frame)]
    packets += [bytes(packet) for packet in codec.encode(None)]
    return tuple(units_of(packet) for packet in packets)


def units_of(stream: bytes) -> Picture:
    """NAL units of Annex B, byte by byte: slow and obvious."""
    units: list[bytes] = []
    begin = None
    at = 0
    while at < len(stream):
        if stream[at : at + 3] == b"\x00\x00\x01":
            if begin is not None:
                units.append(stream[begin:at].rstrip(b"\x00"))
            begin = at + 3
            at += 3
        else:
            at += 1
    if begin is not None:
        units.append(stream[begin:].rstrip(b"\x00"))
    return tuple(unit for unit in units if unit)


def rtp(
    payload: bytes, sequence: int, timestamp: int, *, marker: bool = False, pt: int = PAYLOAD_TYPE, ssrc: int = 7
) -> bytes:
    """One RTP packet."""
    return struct.pack("!BBHII", 0x80, pt | (0x80 if marker else 0), sequence & 0xFFFF, timestamp, ssrc) + payload


def fragments(unit: bytes, size: int) -> list[bytes]:
    """FU-A payloads of one unit."""
    pieces = [unit[1:][at : at + size] for at in range(0, len(unit) - 1, size)]
    out = []
    for index, piece in enumerate(pieces):
        flags = (0x80 if index == 0 else 0) | (0x40 if index == len(pieces) - 1 else 0) | unit[0] & 0x1F
        out.append(bytes((unit[0] & 0x60 | 28, flags)) + piece)
    return out


def packetise(
    pictures: Iterable[Iterable[bytes]],
    *,
    mtu: int = 1400,
    first: int = 100,
    stap: bool = False,
    marker: bool = True,
    step: int = 3600,
) -> list[bytes]:
    """RTP packets of pictures. `stap` joins neighbouring small units, `step` is the clock between pictures."""
    packets: list[bytes] = []
    for index, picture in enumerate(pictures):
        payloads: list[bytes] = []
        small: list[bytes] = []
        for unit in picture:
            if stap and len(unit) < 200:
                small.append(unit)
                continue
            if small:
                payloads.append(b"\x78" + b"".join(struct.pack("!H", len(u)) + u for u in small))
                small = []
            payloads += [unit] if len(unit) <= mtu else fragments(unit, mtu)
        if small:
            payloads.append(b"\x78" + b"".join(struct.pack("!H", len(u)) + u for u in small))
        for place, payload in enumerate(payloads):
            last = marker and place == len(payloads) - 1
            packets.append(rtp(payload, first + len(packets), index * step, marker=last))
    return packets


def frame(packet: bytes, channel: int = 0) -> bytes:
    """An interleaved packet."""
    return b"$" + struct.pack("!BH", channel, len(packet)) + packet


def sdp(units: Iterable[bytes] = (), *, control: str = "track1", rtpmap: str = "H264/90000") -> bytes:
    """A description with one video track."""
    sprop = ",".join(base64.b64encode(unit).decode() for unit in units)
    fmtp = f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={sprop}\r\n" if sprop else ""
    head = "v=0\r\ns=x\r\nt=0 0\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\n"
    return f"{head}a=rtpmap:96 {rtpmap}\r\n{fmtp}a=control:{control}\r\n".encode()


def reply(cseq: int | None, status: str = "200 OK", *headers: str, body: bytes = b"") -> bytes:
    """An RTSP reply."""
    lines = [f"RTSP/1.0 {status}"]
    lines += [] if cseq is None else [f"CSeq: {cseq}"]
    lines += headers
    lines += [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


@dataclass(frozen=True)
class Script:
    """The device's side of one good conversation, a step a field; `whole` is all that it sends."""

    options: bytes
    describe: bytes
    setup: bytes
    play: bytes
    media: bytes

    @property
    def parts(self) -> list[bytes]:
        return [self.options, self.describe, self.setup, self.play, self.media]

    @property
    def whole(self) -> bytes:
        return b"".join(self.parts)


def script(packets: Iterable[bytes], description: bytes | None = None, **changed: bytes) -> Script:
    """A good conversation with a camera that sends `packets`; single steps may be `changed`."""
    steps = {
        "options": reply(1, "200 OK", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN", "Server: test/1"),
        "describe": reply(
            2, "200 OK", "Content-Type: application/sdp", body=sdp() if description is None else description
        ),
        "setup": reply(3, "200 OK", "Session: 12345678;timeout=60", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"),
        "play": reply(4, "200 OK", "Session: 12345678", "RTP-Info: url=rtsp://192.0.2.7/live/track1;seq=100;rtptime=0"),
        "media": b"".join(frame(packet) for packet in packets),
    }
    return Script(**(steps | changed))
