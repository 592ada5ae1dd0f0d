"""A test's own MJPEG camera: encodes real JPEG with OpenCV, takes it apart and packetises it as RFC 2435 says.

It shares no code with what it tests, so that a shared mistake cannot cancel out.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from tests.decoders.streams import noisy, plane, street
from tests.wire.camera import rtp


def head_of(data: bytes) -> bytes:
    """All segments of a JPEG file between its first marker and its scan's data."""
    at = data.index(b"\xff\xda")
    return data[2 : at + 2 + int.from_bytes(data[at + 2 : at + 4])]


SAMPLING = {0: 0x211111, 1: 0x221111}  # by RFC 2435's type: 4:2:2, 4:2:0


@lru_cache(maxsize=32)
def encode_jpeg(
    width: int, height: int, kind: int = 1, *, quality: int = 90, seed: int = 0, restarts: bool = False
) -> bytes:
    """A JPEG file of a street by libjpeg-turbo, with the Huffman tables of T.81 annex K, as RFC 2435 wants it.

    `restarts`: with a restart marker after every ten blocks of the scan.
    """
    grey = plane(noisy(street(width, height), 3.0, seed))
    how = {
        cv2.IMWRITE_JPEG_QUALITY: quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR: SAMPLING[kind],
        cv2.IMWRITE_JPEG_RST_INTERVAL: 10 if restarts else 0,
    }
    done, data = cv2.imencode(
        ".jpg", np.repeat(grey[:, :, None], 3, axis=2), [part for pair in how.items() for part in pair]
    )
    assert done
    return data.tobytes()


class Apart(NamedTuple):
    """What of a JPEG file RFC 2435 sends."""

    width: int
    height: int
    kind: int  # 0 or 1
    tables: tuple[bytes, ...]  # by number
    interval: int
    scan: bytes  # without the end marker


def take_apart(data: bytes) -> Apart:
    """Segment by segment, T.81 section B.2."""
    held = io.BytesIO(data)
    assert held.read(2) == b"\xff\xd8"
    tables: dict[int, bytes] = {}
    width = height = kind = interval = 0
    huffman = b""
    while True:
        marker, length = struct.unpack("!HH", held.read(4))
        body = held.read(length - 2)
        if marker == 0xFFDB:
            while body:
                size = 128 if body[0] >> 4 else 64
                tables[body[0] & 15] = body[1 : 1 + size]
                body = body[1 + size :]
        elif marker == 0xFFC0:
            height, width = struct.unpack("!HH", body[1:5])
            kind = {0x21: 0, 0x22: 1}[body[7]]
        elif marker == 0xFFC4:
            huffman += body
        elif marker == 0xFFDD:
            (interval,) = struct.unpack("!H", body)
        elif marker == 0xFFDA:
            scan = held.read()
            assert scan.endswith(b"\xff\xd9")
            assert len(huffman) == 2 * (17 + 12) + 2 * (17 + 162)
            return Apart(width, height, kind, tuple(tables[number] for number in sorted(tables)), interval, scan[:-2])


def jpeg_payloads(
    apart: Apart,
    *,
    mtu: int = 1400,
    quality: int = 255,
    in_band: bool = True,
    end: bool = True,
    sides: tuple[int, int] | None = None,
) -> list[bytes]:
    """RTP payloads of one picture. `sides` in steps of 8 pixels; `in_band`: with the tables, for a quality from 128."""
    sides = (-(-apart.width // 8), -(-apart.height // 8)) if sides is None else sides
    scan = apart.scan + (b"\xff\xd9" if end else b"")
    payloads = []
    at = 0
    while at < len(scan):
        kind = apart.kind + (64 if apart.interval else 0)
        head = struct.pack("!I", at) + bytes((kind, quality, *sides))
        if apart.interval:
            head += struct.pack("!HH", apart.interval, 0xFFFF)
        if at == 0 and quality >= 128:
            joined = b"".join(apart.tables) if in_band else b""
            precision = sum((len(table) == 128) << number for number, table in enumerate(apart.tables))
            head += struct.pack("!BBH", 0, precision, len(joined)) + joined
        room = max(1, mtu - len(head))
        payloads.append(head + scan[at : at + room])
        at += room
    return payloads


def jpeg_packets(
    pictures: Iterable[list[bytes]], *, first: int = 100, step: int = 9000, pt: int = 26, marker: bool = True
) -> list[bytes]:
    """RTP packets of pictures, each given as its payloads."""
    packets: list[bytes] = []
    for index, payloads in enumerate(pictures):
        for place, payload in enumerate(payloads):
            last = marker and place == len(payloads) - 1
            packets.append(rtp(payload, first + len(packets), index * step, marker=last, pt=pt))
    return packets
