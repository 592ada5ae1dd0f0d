"""Hostile in H.265's payloads and in program streams: units and packets that nest, overrun, and never end."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Final

from streamwatch.errors import Reason, Step
from streamwatch.simulator.hostile.stage import FRAME_S, Hostility, Script, Stream, Talk, camera, description, framed
from streamwatch.simulator.hostile.stage import hostility as row

AGGREGATION, FRAGMENT, PACI, IDR = 48, 49, 50, 19  # RFC 7798 section 4.4, and a keyframe's slices
START: Final = 0x80  # of a fragment's header
PACK: Final = b"\0\0\1\xba\x44\0\4\0\4\1\0\1\3\xf8"  # ISO/IEC 13818-1 section 2.5.3.3, without stuffing
VIDEO: Final = b"\0\0\1\xe0"  # section 2.5.3.1: a packet of the first video
MAP: Final = b"\0\0\1\xbc"


def _head(kind: int) -> bytes:
    """Layer 0, temporal id 1."""
    return bytes((kind << 1, 1))


def _only(mapped: str, payload: Callable[[int], bytes], *, pace_s: float = FRAME_S) -> Script:
    """Such packets and no others; the number counts them. `mapped` is the codec's line and what follows it."""

    def media(talk: Talk) -> Iterator[bytes]:
        stream = Stream()
        for number in itertools.count():
            yield framed([stream.packet(payload(number))], talk.channel)

    body = description(f"m=video 0 RTP/AVP 96\r\na=rtpmap:96 {mapped}\r\na=control:trackID=1\r\n")
    return camera(media=media, sdp=lambda _talk: body, pace_s=pace_s)


def _rows() -> Iterator[Hostility]:
    no, at = Reason.MEDIA_NO_KEYFRAME, Step.FIRST_KEYFRAME
    plain, ordered = "H265/90000", "H265/90000\r\na=fmtp:96 sprop-max-don-diff=2"
    program = "PS/90000"
    for name, does, mapped, payload, pace_s in (
        (
            "h265_fu_endless",
            "H.265: a keyframe's fragments without end, at full rate",
            plain,
            lambda n: _head(FRAGMENT) + bytes(((START if n == 0 else 0) | IDR,)) + bytes(1400),
            0.0,
        ),
        (
            "h265_fu_never_begun",
            "H.265: middle fragments only",
            plain,
            lambda _n: _head(FRAGMENT) + bytes((IDR,)) + bytes(1400),
            FRAME_S,
        ),
        ("h265_fu_cut", "H.265: fragments without their header", plain, lambda _n: _head(FRAGMENT), FRAME_S),
        (
            "h265_ap_past_end",
            "H.265: an aggregation longer than its packet",
            plain,
            lambda _n: _head(AGGREGATION) + b"\xff\xff" + _head(IDR),
            FRAME_S,
        ),
        (
            "h265_ap_zero_units",
            "H.265: an aggregation of 500 units of 0 bytes",
            plain,
            lambda _n: _head(AGGREGATION) + bytes(1000),
            FRAME_S,
        ),
        (
            "h265_ap_nested",
            "H.265: an aggregation of aggregations",
            plain,
            lambda _n: _head(AGGREGATION) + b"\0\6" + _head(AGGREGATION) + b"\0\2" + _head(IDR),
            FRAME_S,
        ),
        (
            "h265_don_cut",
            "H.265: order numbers are said to be there, and are not",
            ordered,
            lambda _n: _head(AGGREGATION) + b"\0",
            FRAME_S,
        ),
        ("h265_paci", "H.265: nothing but PACI packets", plain, lambda _n: _head(PACI) + bytes(60), FRAME_S),
        ("h265_header_cut", "H.265: units of one byte", plain, lambda _n: b"\x26", FRAME_S),
        ("ps_heads", "a program stream of nothing but pack headers", program, lambda _n: PACK * 90, 0.0),
        (
            "ps_pes_endless",
            "a program stream's packet of video of a length that never ends, at full rate",
            program,
            lambda n: (PACK + VIDEO + b"\0\0\x80\0\0" if n == 0 else b"") + b"\0\0\1\x65" + b"\x88" * 1300,
            0.0,
        ),
        (
            "ps_map_overrun",
            "a map of a program stream that says more than it has",
            program,
            lambda _n: PACK + MAP + b"\0\x10\xe0\xff\xff\xff\xff\xff\x1b\xe0\xff\xff" + bytes(10),
            FRAME_S,
        ),
        ("ps_zeros", "zeros where a program stream was said to be, at full rate", program, lambda _n: bytes(1400), 0.0),
    ):
        yield row(name, does, _only(mapped, payload, pace_s=pace_s), no, at=at)


HOSTILITIES: Final = tuple(_rows())
