"""Stage 3, wire: inside a JPEG (ITU-T T.81): the headers that RTP leaves out, made again (RFC 2435 appendices A and B).

Made for one kind of picture, the one that RFC 2435 carries: baseline, three components in one scan, Huffman tables of
T.81 annex K.
"""

from __future__ import annotations

import re
import struct
from typing import Final, NamedTuple

SOI: Final = b"\xff\xd8"  # table B.1
EOI: Final = b"\xff\xd9"
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
    return _segment(0xC0, struct.pack("!BHHB", 8, height, width, 3) + components)


def size_stated(segments: bytes) -> tuple[int, int] | None:
    """Width and height as the first baseline frame header among `segments` says; None where there is none, or a 0."""
    found = _SOF0.search(segments)
    if found is None:
        return None
    width, height = int.from_bytes(found[2]), int.from_bytes(found[1])
    return (width, height) if width and height else None


def headers(width: int, height: int, blocks: int, tables: Tables, restart_interval: int) -> bytes:
    """All that stands before the scan's data; `restart_interval` in blocks of the scan, 0: none."""
    quantisation = b"".join(
        bytes(((0x10 if len(table) > TABLE else 0) | number,)) + table for number, table in enumerate(tables)
    )
    parts = [SOI, _segment(0xDB, quantisation)]
    if restart_interval:
        parts.append(_segment(0xDD, struct.pack("!H", restart_interval)))
    parts.append(frame_header(width, height, blocks))
    parts.append(_segment(0xC4, _HUFFMAN))
    parts.append(_segment(0xDA, bytes((3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0))))
    return b"".join(parts)


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack("!BBH", 0xFF, marker, len(body) + 2) + body
