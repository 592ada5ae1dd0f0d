"""Stage 3, wire: RTCP packets (RFC 3550 section 6, RFC 4585, RFC 5104): those that a look reads, and those it writes.

Nothing here raises for what a peer sends: a packet that is cut short, or claims more than it holds, says nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

REPORT_INTERVAL_S: Final = 5.0  # section 6.2: the recommended minimum

_FIRST_TYPE: Final = 192  # RFC 5761 section 4: what lies from here to 223 in the second byte is RTCP, not RTP
_LAST_TYPE: Final = 223
_SENDER_REPORT: Final = 200
_RECEIVER_REPORT: Final = 201
_DESCRIPTION: Final = 202
_BYE: Final = 203
_PAYLOAD_FEEDBACK: Final = 206  # RFC 4585 section 6.1
_PICTURE_LOSS: Final = 1  # RFC 4585 section 6.3.1
_FULL_INTRA: Final = 4  # RFC 5104 section 4.3.1
_CNAME: Final = 1
_MAX_PARTS: Final = 32  # packets of one compound; real ones have two or three
_MAX_LOST: Final = 0x7FFFFF  # 24 bits with a sign

_SENDER = struct.Struct("!IQI")  # source, NTP, RTP timestamp: section 6.4.1
_BLOCK = struct.Struct("!IIIIII")


class SenderReport(NamedTuple):
    """What a source says of its own clocks: `ntp` is 32.32 bits of seconds since 1900, or what it takes for it."""

    ssrc: int
    ntp: int
    rtp_timestamp: int


class ReportBlock(NamedTuple):
    """What we say of a source's packets, section 6.4.1. `jitter` is left out: 0."""

    ssrc: int
    fraction_lost: int  # of 256, since the report before
    lost: int  # packets, in all
    highest: int  # sequence number, with the count of its rounds in the upper 16 bits
    last_report: int  # the middle 32 bits of its latest NTP time, 0 for none
    delay: int  # since that came, in 1/65536 s


def is_rtcp(data: bytes) -> bool:
    """Whether a packet is RTCP, whichever port or channel it came by."""
    return len(data) >= 4 and data[0] >> 6 == 2 and _FIRST_TYPE <= data[1] <= _LAST_TYPE


def receiver_report(ssrc: int, block: ReportBlock | None = None) -> bytes:
    """A report (section 6.4.2), about nobody where there is no `block`, and a name (6.5.1) that tells nothing of us."""
    name = f"{ssrc:08x}".encode()
    item = bytes((_CNAME, len(name))) + name
    item += bytes(4 - len(item) % 4)  # one to four zeros end the items of a chunk
    description = struct.pack("!BBHI", 0x81, _DESCRIPTION, (4 + len(item)) // 4, ssrc) + item
    if block is None:
        return struct.pack("!BBHI", 0x80, _RECEIVER_REPORT, 1, ssrc) + description
    lost = block.fraction_lost << 24 | min(block.lost, _MAX_LOST)
    said = _BLOCK.pack(block.ssrc, lost, block.highest, 0, block.last_report, block.delay)
    return struct.pack("!BBHI", 0x81, _RECEIVER_REPORT, 7, ssrc) + said + description


def picture_loss(ssrc: int, media_ssrc: int) -> bytes:
    """RFC 4585 section 6.3.1: a picture is missing, so a keyframe would do good."""
    return struct.pack("!BBHII", 0x80 | _PICTURE_LOSS, _PAYLOAD_FEEDBACK, 2, ssrc, media_ssrc)


def full_intra_request(ssrc: int, media_ssrc: int, number: int) -> bytes:
    """RFC 5104 section 4.3.1: a keyframe, please; a new `number` (of 256) makes it a new request."""
    return struct.pack("!BBHIIII", 0x80 | _FULL_INTRA, _PAYLOAD_FEEDBACK, 4, ssrc, 0, media_ssrc, (number & 0xFF) << 24)


def sender_reports(data: bytes) -> list[SenderReport]:
    """Those in a compound packet, in their order."""
    return [
        SenderReport(*_SENDER.unpack_from(body))
        for kind, _, body in _parts(data)
        if kind == _SENDER_REPORT and len(body) >= 24
    ]


def says_bye(data: bytes, ssrc: int | None) -> bool:
    """Whether a compound packet ends the stream of that source (section 6.6); of another one it means nothing."""
    return ssrc is not None and any(
        ssrc in struct.unpack_from(f"!{min(count, len(body) // 4)}I", body)
        for kind, count, body in _parts(data)
        if kind == _BYE
    )


def _parts(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, count and what follows the first word, of each whole packet of a compound."""
    at = 0
    for _ in range(_MAX_PARTS):
        if at + 4 > len(data) or not is_rtcp(data[at : at + 4]):
            return
        end = at + 4 + int.from_bytes(data[at + 2 : at + 4], "big") * 4
        if end > len(data):
            return
        yield data[at + 1], data[at] & 0x1F, data[at + 4 : end]
        at = end
