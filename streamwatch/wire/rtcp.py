"""Stage 3, wire: the little of RTCP (RFC 3550 section 6) that a short look over UDP needs.

Receiver reports tell a camera that somebody still listens (some stop without), and BYE tells that it has stopped.
"""

from __future__ import annotations

import struct
from typing import Final

REPORT_INTERVAL_S: Final = 5.0  # section 6.2: the recommended minimum

_FIRST_TYPE: Final = 192  # RFC 5761 section 4: what lies from here to 223 in the second byte is RTCP, not RTP
_LAST_TYPE: Final = 223
_RECEIVER_REPORT: Final = 201
_DESCRIPTION: Final = 202
_BYE: Final = 203
_CNAME: Final = 1
_MAX_PARTS: Final = 32  # packets of one compound; real ones have two or three


def is_rtcp(data: bytes) -> bool:
    """Whether a packet is RTCP, whichever port or channel it came by."""
    return len(data) >= 4 and data[0] >> 6 == 2 and _FIRST_TYPE <= data[1] <= _LAST_TYPE


def receiver_report(ssrc: int) -> bytes:
    """The least that is valid: a report about nobody (section 6.4.2), and a name (6.5.1) that tells nothing of us."""
    name = f"{ssrc:08x}".encode()
    item = bytes((_CNAME, len(name))) + name
    item += bytes(4 - len(item) % 4)  # one to four zeros end the items of a chunk
    description = struct.pack("!BBHI", 0x81, _DESCRIPTION, (4 + len(item)) // 4, ssrc) + item
    return struct.pack("!BBHI", 0x80, _RECEIVER_REPORT, 1, ssrc) + description


def says_bye(data: bytes, ssrc: int | None) -> bool:
    """Whether a compound packet ends the stream of that source (section 6.6); of another one it means nothing."""
    at = 0
    for _ in range(_MAX_PARTS):
        if at + 4 > len(data) or not is_rtcp(data[at : at + 4]):
            return False
        count, kind, words = data[at] & 0x1F, data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        end = at + 4 + words * 4
        if kind == _BYE and end <= len(data):
            named = struct.unpack_from(f"!{min(count, words)}I", data, at + 4)
            return ssrc is not None and ssrc in named
        at = end
    return False
