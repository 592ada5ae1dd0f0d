"""Stage 3, wire: inside a JPEG (ITU-T T.81): the headers that RTP leaves out, made again (RFC 2435 appendices A and B).

Made for the kind of picture that RFC 2435 carries: baseline, three components in one scan, Huffman tables of T.81
annex K. What a device states beside it, by ONVIF's header extension, takes the place of what would be made.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

SOI: Final = b"\xff\xd8"  # table B.1
EOI: Final = b"\xff\xd9"
SOF0: Final = 0xC0  # the second bytes of markers
DHT: Final = 0xC4
SOS: Final = 0xDA
DQT: Final = 0xDB
DRI: Final = 0xDD
MAX_SIDE: Final = 65_535  # pixels, section B.2.2
TABLE: Final = 64  # entries of a quantisation table
BLOCKS_422: Final = 0x21  # sampling factors of luma: 2 blocks across, 1 down; RFC 2435 section 4.1, type 0
BLOCKS_420: Final = 0x22  # type 1

# T.81 tables K.1 and K.2 in zigzag order, as RFC 2435 appendix A has them
_LUMA: Final = bytes.fromhex(
    "100b0c0e0c0a100e0d0e1211101318281a181616183123251d283a333d3c3933"
    "383740485c4e404457453738506d51575f626768673e4d71797064785c656763"
)
_CHROMA: Final = bytes.fromhex("1112121815182f1a1a2f634238426363" + "63" * 48)

# T.81 annex K.3: class and destination, how many codes of each length, their values
_DC_VALUES: Final = bytes(range(12))
_AC_LUMA: Final = bytes.fromhex(
    "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a3435363738"
    "393a434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2a3a4a5"
    "a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"
)
_AC_CHROMA: Final = bytes.fromhex(
    "000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a162434e125f11718191a262728292a353637"
    "38393a434445464748494a535455565758595a636465666768696a737475767778797a82838485868788898a92939495969798999aa2a3"
    "a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa"
)
_HUFFMAN: Final = b"".join(
    (
        b"\x00" + bytes.fromhex("00010501010101010100000000000000") + _DC_VALUES,
        b"\x10" + bytes.fromhex("0002010303020403050504040000017d") + _AC_LUMA,
        b"\x01" + bytes.fromhex("00030101010101010101010000000000") + _DC_VALUES,
        b"\x11" + bytes.fromhex("00020102040403040705040400010277") + _AC_CHROMA,
    )
)

_SOF0: Final = re.compile(rb"\xff\xc0\x00[\x0b\x11]\x08(..)(..)", re.DOTALL)  # section B.2.2: grey or three components


class PictureSize(NamedTuple):
    """Pixels; coded: in whole blocks, which is what a decoder makes room for."""

    width: int
    height: int
    coded_width: int
    coded_height: int


class Tables(NamedTuple):
    """Two quantisation tables, each 64 entries in zigzag order, of 8 or of 16 bits."""

    luma: bytes
    chroma: bytes


@lru_cache(maxsize=99)  # every picture of a stream without tables of its own asks for the same
def tables_of(quality: int) -> Tables:
    """The tables of a Q of 1 to 99, RFC 2435 appendix A."""
    factor = 5000 // quality if quality < 50 else 200 - quality * 2

    def scaled(table: bytes) -> bytes:
        return bytes(min(255, max(1, (entry * factor + 50) // 100)) for entry in table)

    return Tables(scaled(_LUMA), scaled(_CHROMA))


def size_in(width: int, height: int) -> PictureSize:
    """A size, with the room that 4:2:0 takes; 4:2:2 takes no more."""
    return PictureSize(width, height, -(-width // 16) * 16, -(-height // 16) * 16)


def frame_header(width: int, height: int, blocks: int = BLOCKS_420) -> bytes:
    """The segment that says size and sampling, T.81 section B.2.2. Sides of 1 to MAX_SIDE."""
    components = bytes((1, blocks, 0, 2, 0x11, 1, 3, 0x11, 1))  # identifier, sampling, quantisation table
    return _segment(SOF0, struct.pack("!BHHB", 8, height, width, 3) + components)


def size_stated(segments: bytes) -> tuple[int, int] | None:
    """Width and height as the first baseline frame header among `segments` says; None where there is none, or a 0."""
    found = _SOF0.search(segments)
    if found is None:
        return None
    width, height = int.from_bytes(found[2]), int.from_bytes(found[1])
    return (width, height) if width and height else None


def segments_of(data: bytes) -> dict[int, bytes]:
    """The whole segments up to the first scan, by marker; several tables one after the other, else the last."""
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in {0xFF, 0xD8}:  # fill bytes, section B.1.1.2, and SOI
            at += 1 if marker == 0xFF else 2
            continue
        end = at + 2 + max(2, int.from_bytes(data[at + 2 : at + 4]))
        if end > len(data):
            break
        found[marker] = (found.get(marker, b"") if marker in {DHT, DQT} else b"") + data[at:end]
        if marker == SOS:
            break
        at = end
    return found


def headers(
    width: int,
    height: int,
    blocks: int,
    tables: Tables | None,
    restart_interval: int,
    stated: Mapping[int, bytes] | None = None,
) -> bytes:
    """All that stands before the scan's data; `restart_interval` in blocks of the scan, 0: none.

    `stated` are segments of the device's own, by marker: its tables override those made, its other segments replace
    them. Without `tables` it must have DQT. A SOF0 among them must be one that `size_stated` reads.
    """
    stated = stated or {}
    frame = stated.get(SOF0) or frame_header(width, height, blocks)
    parts = [SOI]
    if tables is not None:
        parts.append(_quantisation(tables))
    if restart_interval and DRI not in stated:
        parts.append(_segment(DRI, struct.pack("!H", restart_interval)))
    parts += [stated.get(DQT, b""), stated.get(DRI, b""), frame, _segment(DHT, _HUFFMAN), stated.get(DHT, b"")]
    parts.append(stated.get(SOS) or _scan_header(frame))
    return b"".join(parts)


def _quantisation(tables: Tables) -> bytes:
    numbered = [bytes(((0x10 if len(table) > TABLE else 0) | number,)) + table for number, table in enumerate(tables)]
    return _segment(DQT, b"".join(numbered))


def _scan_header(frame: bytes) -> bytes:
    """Of the components that a frame header lists: the first with the tables of luma, the others with chroma's."""
    names = frame[10::3]
    components = b"".join(bytes((name, 0x11 if index else 0x00)) for index, name in enumerate(names))
    return _segment(SOS, bytes((len(names),)) + components + bytes((0, 63, 0)))


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack("!BBH", 0xFF, marker, len(body) + 2) + body
