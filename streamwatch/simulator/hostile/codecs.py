"""Hostile in the pictures: bombs for a decoder, keyframes that are none, and JPEG that does not fit together."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Final

from streamwatch.errors import Reason, Step
from streamwatch.simulator.hostile.bits import Bits, pps, pps_h265, sps, sps_h265, vps_h265
from streamwatch.simulator.hostile.props import Jpeg, Props
from streamwatch.simulator.hostile.stage import (
    FRAME_S,
    Hostility,
    Script,
    Stream,
    Talk,
    camera,
    description,
    framed,
    hostility,
)
from streamwatch.simulator.packets import payloads

AT: Final = Step.FIRST_KEYFRAME
TOO_LARGE, BROKEN, NO_KEYFRAME = Reason.MEDIA_TOO_LARGE, Reason.MEDIA_BROKEN, Reason.MEDIA_NO_KEYFRAME
DECODED: Final = (Step.FIRST_KEYFRAME, Step.DECODE)
JPEG_PIECE: Final = 1200  # bytes of scan a packet

Units = Callable[[Props], list[bytes]]


def _repeated(units: Units, sdp: Callable[[Talk], bytes] | None = None, pace_s: float = FRAME_S) -> Script:
    """One access unit of these NAL units, for ever."""

    def media(talk: Talk) -> Iterator[bytes]:
        stream = Stream()
        parts = payloads(units(talk.props))
        while True:
            yield framed(stream.picture(parts), talk.channel)

    return camera(media=media, sdp=sdp, pace_s=pace_s)


def _idr(props: Props) -> list[bytes]:
    return props.clip.gops[0][0]


def _with(*sets: bytes) -> Units:
    """A real keyframe behind other parameter sets."""
    return lambda props: [*sets, *_idr(props)]


def _h265(width: int, height: int) -> Script:
    idr = bytes((19 << 1, 1, 0xA0)) + bytes(range(1, 200))  # the first slice, of PPS 0
    body = description("m=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\na=control:trackID=1\r\n")
    return _repeated(lambda _props: [vps_h265(), sps_h265(width, height), pps_h265(), idr], sdp=lambda _talk: body)


def _bombs() -> Iterator[Hostility]:
    for kind, one in {
        "16000x16000": sps(16_000, 16_000),
        "8192x1": sps(8192, 16, crop=(0, 0, 0, 7)),
        "1x1": sps(16, 16, crop=(0, 7, 0, 7)),
        "65536x65536": sps(65_536, 65_536),
        "2e31": sps(2**31, 16),
        "8200x100": sps(8200, 100),
    }.items():
        yield hostility(f"sps_{kind}", f"a picture of {kind}", _repeated(_with(one, pps())), TOO_LARGE, at=AT)
    yield hostility("h265_16000x16000", "H.265 of 16,000 x 16,000", _h265(16_000, 16_000), TOO_LARGE, at=AT)
    yield hostility("h265_1x1", "H.265 of 1 x 1", _h265(1, 1), TOO_LARGE, at=AT)
    unread = {
        "crop": ("cropping larger than the picture", sps(640, 360, crop=(400, 400, 400, 400))),
        "golomb": (
            "an Exp-Golomb number of 60 zeros",
            Bits().u(77, 8).u(0, 8).u(51, 8).zeros(60).u(1, 1).zeros(60).unit(0x67),
        ),
        "cut": ("an SPS of three bytes", b"\x67\x4d\x40"),
        "long": ("an SPS of 60 KiB", sps(640, 360) + b"\xff" * 60_000),
        "id": ("SPS number 4,000", sps(640, 360, number=4000)),
    }
    for kind, (does, one) in unread.items():
        yield hostility(f"sps_{kind}", does, _repeated(_with(one, pps())), NO_KEYFRAME, at=AT)
    odd = (BROKEN, Reason.MEDIA_UNSUPPORTED_CODEC)
    yield hostility(
        "sps_444_14bit", "4:4:4 with 14 bits", _repeated(_with(sps(640, 368, high=(3, 14)), pps())), *odd, at=DECODED
    )
    yield hostility(
        "sps_422_10bit",
        "an SPS of 4:2:2 with 10 bits, its slices 4:2:0",
        _repeated(_with(sps(640, 368, high=(2, 10)), pps())),
        *odd,
        at=DECODED,
    )
    yield hostility(
        "sps_references_16",
        "16 reference frames",
        _repeated(lambda p: [sps(640, 360, crop=(0, 0, 0, 4), references=16), p.clip.pps, *_idr(p)]),
        None,
        BROKEN,
        at=DECODED,
    )
    yield hostility(
        "sps_references_17",
        "17 reference frames",
        _repeated(_with(sps(640, 368, references=17), pps())),
        NO_KEYFRAME,
        at=AT,
    )
    yield hostility(
        "pps_id_255", "PPS 255 beside the right one", _repeated(lambda p: [p.clip.sps, pps(255), p.clip.pps, *_idr(p)])
    )
    yield hostility(
        "pps_id_256", "PPS 256 and no other", _repeated(lambda p: [p.clip.sps, pps(256), *_idr(p)]), NO_KEYFRAME, at=AT
    )
    yield hostility(
        "pps_of_no_sps",
        "a PPS of an SPS that never comes",
        _repeated(lambda p: [p.clip.sps, pps(0, 9), *_idr(p)]),
        NO_KEYFRAME,
        at=AT,
    )
    yield hostility(
        "sps_many",
        "32 SPS and 255 PPS beside the right ones",
        _repeated(
            lambda p: [
                *(sps(640, 360, number=n) for n in range(1, 32)),
                *(pps(n, 1) for n in range(1, 256)),
                p.clip.sps,
                p.clip.pps,
                *_idr(p),
            ]
        ),
        None,
        NO_KEYFRAME,
        at=AT,
    )
    yield hostility("sps_missing", "keyframes, and never a parameter set", _repeated(_idr), NO_KEYFRAME, at=AT)


def _sizes(talk: Talk) -> Iterator[bytes]:
    """Another size with every keyframe, none of which is that of its slices, but the first."""
    stream = Stream()
    for number in itertools.count():
        head = [talk.props.clip.sps, talk.props.clip.pps] if number == 0 else [sps(640 + 16 * number, 360), pps()]
        yield framed(stream.picture(payloads([*head, *_idr(talk.props)])), talk.channel)


def _keyframes() -> Iterator[Hostility]:
    def sets(props: Props) -> list[bytes]:
        return [props.clip.sps, props.clip.pps]

    def cut(props: Props, share: float) -> list[bytes]:
        unit = _idr(props)[0]
        return [*sets(props), unit[: int(len(unit) * share)]]

    def noise(props: Props) -> list[bytes]:
        unit = _idr(props)[0]
        scrambled = bytes((value * 167 + index * 13 + 7) & 0xFF or 1 for index, value in enumerate(unit[12:]))
        return [*sets(props), unit[:12] + scrambled]

    def random_unit(props: Props) -> list[bytes]:
        return [*sets(props), b"\x65\x88" + bytes((index * 73 + 5) & 0xFF or 1 for index in range(4000))]

    broken, headless = (BROKEN,), (BROKEN, NO_KEYFRAME)  # without a head that can be read it is no keyframe at all
    yield hostility(
        "idr_half",
        "keyframes of which the lower half is missing",
        _repeated(lambda p: cut(p, 0.5)),
        *broken,
        at=DECODED,
    )
    yield hostility(
        "idr_scrap",
        "keyframes of which a twentieth is there: the rest is concealed",
        _repeated(lambda p: cut(p, 0.05)),
        *broken,
        at=DECODED,
    )
    yield hostility(
        "idr_scrambled", "keyframes with a true head and scrambled slices", _repeated(noise), *broken, at=DECODED
    )
    yield hostility("idr_random", "keyframes of random bytes", _repeated(random_unit), *headless, at=DECODED)
    yield hostility(
        "idr_header_only", "keyframes of two bytes", _repeated(lambda p: [*sets(p), b"\x65\x88"]), *headless, at=DECODED
    )
    yield hostility(
        "idr_5_mib",
        "a keyframe of 5 MiB",
        _repeated(lambda p: [*sets(p), _idr(p)[0] + b"\xff" * (5 << 20)], pace_s=0),
        NO_KEYFRAME,
        at=AT,
    )
    yield hostility(
        "idr_frozen", "one keyframe for ever, while the clock runs", _repeated(lambda p: [*sets(p), *_idr(p)])
    )
    yield hostility("sps_changes", "another size with every keyframe", camera(media=_sizes))


def _jpeg(
    *,
    at: int = 0,
    width: int | None = None,
    q: int = 255,
    length: int = 128,
    gap: int = 0,
    sdp: str = "",
    kind: int = 1,
) -> Script:
    """JPEG by RFC 2435: `at` moves the first offset, `gap` all others; `q` and `length` are of the tables' header."""

    def pieces(picture: Jpeg) -> Iterator[bytes]:
        side = picture.width if width is None else width
        tables = (b"\0\0" + length.to_bytes(2, "big") + picture.tables[: min(length, 128)]) if q >= 128 else b""
        for start in range(0, len(picture.scan), JPEG_PIECE):
            offset = start + (at if start == 0 else gap)
            main = (
                b"\0"
                + offset.to_bytes(3, "big")
                + bytes((kind, q, side // 8, 0 if width == 0 else picture.height // 8))
            )
            yield main + (tables if start == 0 else b"") + picture.scan[start : start + JPEG_PIECE]

    def media(talk: Talk) -> Iterator[bytes]:
        stream = Stream(payload_type=26)
        parts = list(pieces(talk.props.jpeg))
        while True:
            yield framed(stream.picture(parts), talk.channel)

    body = description(f"m=video 0 RTP/AVP 26\r\n{sdp}a=control:trackID=1\r\n")
    return camera(media=media, sdp=lambda _talk: body)


def _jpegs() -> Iterator[Hostility]:
    unsupported = Reason.MEDIA_UNSUPPORTED_CODEC
    yield hostility("jpeg_good", "JPEG as it should be", _jpeg())
    yield hostility("jpeg_gap", "offsets with a gap", _jpeg(gap=100), NO_KEYFRAME, at=AT)
    yield hostility("jpeg_offset", "pictures that begin at byte 2^24-1", _jpeg(at=2**24 - 1), NO_KEYFRAME, at=AT)
    yield hostility("jpeg_tables_empty", "tables of length 0 that never came", _jpeg(length=0), NO_KEYFRAME, at=AT)
    yield hostility(
        "jpeg_tables_65535", "tables of 65,535 bytes", _jpeg(length=65_535), NO_KEYFRAME, BROKEN, at=DECODED
    )
    yield hostility("jpeg_tables_odd", "tables of 70 bytes", _jpeg(length=70), NO_KEYFRAME, at=AT)
    yield hostility("jpeg_q_0", "Q of 0, which is reserved", _jpeg(q=0), NO_KEYFRAME, at=AT)
    yield hostility(
        "jpeg_size_0",
        "a size that RTP has no room for, and nothing else states",
        _jpeg(width=0),
        NO_KEYFRAME,
        unsupported,
        at=AT,
    )
    yield hostility(
        "jpeg_65000",
        "65,000 x 65,000, as the description has it",
        _jpeg(width=0, sdp="a=x-dimensions:65000,65000\r\n"),
        TOO_LARGE,
        at=AT,
    )
    yield hostility(
        "jpeg_type_200", "a type that only an agreement explains", _jpeg(kind=200), NO_KEYFRAME, unsupported, at=AT
    )
    yield hostility("jpeg_narrow", "a width that is not that of the data", _jpeg(width=2040), BROKEN, at=DECODED)


HOSTILITIES: Final = (*_bombs(), *_keyframes(), *_jpegs())
