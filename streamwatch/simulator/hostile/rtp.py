"""Hostile in RTP: packets that break their header, a stream that jumps, and fragments that never end."""

from __future__ import annotations

import itertools
import random
import struct
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final

from streamwatch.errors import Reason, Step
from streamwatch.simulator.hostile.stage import (
    FRAME_S,
    Hostility,
    Script,
    Stream,
    Talk,
    camera,
    framed,
    hostility,
    pictures,
)

NO_KEYFRAME: Final = Reason.MEDIA_NO_KEYFRAME
NO_DATA: Final = Reason.MEDIA_NO_DATA
AT: Final = Step.FIRST_KEYFRAME
FU_A, START, END, RESERVED = 28, 0x80, 0x40, 0x20  # RFC 6184 section 5.8
EAGER_S: Final = 0.02  # between pieces of a camera that must show many before the look's end

Alter = Callable[[Talk, list[bytes]], Iterable[bytes]]


def altered(alter: Alter, *, make: Callable[[], Stream] = Stream, pace_s: float = FRAME_S) -> Script:
    """The good film whose packets, a picture at a time, go through `alter`."""

    def media(talk: Talk) -> Iterator[bytes]:
        stream = make()
        for _, parts in pictures(talk.props):
            yield framed(alter(talk, stream.picture(parts)), talk.channel)

    return camera(media=media, pace_s=pace_s)


def _first(*packets: bytes) -> Script:
    """A few odd packets, then the good film."""

    def media(talk: Talk) -> Iterator[bytes]:
        yield framed(packets, talk.channel)
        stream = Stream()
        for _, parts in pictures(talk.props):
            yield framed(stream.picture(parts), talk.channel)

    return camera(media=media)


def _only(make: Callable[[Stream, int], bytes], pace_s: float = FRAME_S) -> Script:
    """Nothing but such packets; the number counts them."""

    def media(talk: Talk) -> Iterator[bytes]:
        stream = Stream()
        for number in itertools.count():
            yield framed([make(stream, number)], talk.channel)

    return camera(media=media, pace_s=pace_s)


def _same(payload: bytes, stream: Stream, _number: int) -> bytes:
    return stream.packet(payload)


def _headers() -> Iterator[Hostility]:
    stream = Stream(sequence=900)
    unit = b"\x41\x9a" + bytes(50)
    odd = {
        "short": ("fewer than 12 bytes", [b"\x80\x60", b"\x80", b"", bytes(11)]),
        "version_0": ("version 0", [stream.packet(unit, first=0x00)]),
        "version_3": ("version 3", [stream.packet(unit, first=0xC0)]),
        "csrc_past_end": ("15 sources and no room for them", [stream.packet(bytes(8), first=0x8F)]),
        "extension_past_end": (
            "a header extension longer than the packet",
            [stream.packet(b"", first=0x90, before=b"\xbe\xde\xff\xff")],
        ),
        "extension_cut": ("a header extension of two bytes", [stream.packet(b"", first=0x90, before=b"\xbe\xde")]),
        "padding_255": ("255 bytes of padding in 60", [stream.packet(unit + b"\xff", first=0xA0)]),
        "padding_0": ("0 bytes of padding", [stream.packet(unit + b"\0", first=0xA0)]),
        "random": ("random packets", [random.Random(3).randbytes(size) for size in range(0, 400, 7)]),
    }
    for name, (does, packets) in odd.items():
        yield hostility(f"rtp_{name}", does, _first(*packets))
    yield hostility(
        "rtp_short_only", "nothing but packets of fewer than 12 bytes", _only(lambda _s, _n: bytes(11)), NO_DATA, at=AT
    )
    yield hostility(
        "rtp_version_0_only", "nothing but version 0", _only(lambda s, _n: s.packet(unit, first=0)), NO_DATA, at=AT
    )

    def wrapped(head: int, before: bytes, behind: bytes = b"") -> Alter:
        def alter(_talk: Talk, packets: list[bytes]) -> list[bytes]:
            return [bytes((head, *one[1:12])) + before + one[12:] + behind for one in packets]

        return alter

    yield hostility("rtp_csrc_15", "15 contributing sources in every packet", altered(wrapped(0x8F, bytes(60))))
    yield hostility(
        "rtp_extension", "a header extension in every packet", altered(wrapped(0x90, b"\xbe\xde\0\x01abcd"))
    )
    yield hostility("rtp_padding", "padding in every packet", altered(wrapped(0xA0, b"", b"\0\0\0\4")))


def _orders() -> Iterator[Hostility]:
    def ssrc_by_picture(_talk: Talk, packets: list[bytes]) -> list[bytes]:
        return [one[:8] + one[4:8] + one[12:] for one in packets]  # the timestamp's own bytes

    def ssrc_by_packet(_talk: Talk, packets: list[bytes]) -> list[bytes]:
        return [one[:8] + one[:4] + one[12:] for one in packets]

    def half(talk: Talk, packets: list[bytes]) -> list[bytes]:
        kept = [one for one in packets if talk.rng.random() < 0.5]
        return kept[:-1] if len(kept) == len(packets) else kept  # one at least

    def swapped(_talk: Talk, packets: list[bytes]) -> list[bytes]:
        return [one for pair in itertools.zip_longest(packets[1::2], packets[::2]) for one in pair if one is not None]

    def twice(_talk: Talk, packets: list[bytes]) -> list[bytes]:
        return [one for one in packets for _ in range(2)]

    def field(at: int, value: bytes) -> Alter:
        return lambda _talk, packets: [one[:at] + value + one[at + len(value) :] for one in packets]

    def unmarked(_talk: Talk, packets: list[bytes]) -> list[bytes]:
        return [one[:1] + bytes((one[1] & 0x7F,)) + one[2:] for one in packets]

    def marked(_talk: Talk, packets: list[bytes]) -> list[bytes]:
        return [one[:1] + bytes((one[1] | 0x80,)) + one[2:] for one in packets]

    yield hostility("rtp_ssrc_by_picture", "another source with every picture", altered(ssrc_by_picture))
    yield hostility("rtp_ssrc_by_packet", "another source with every packet", altered(ssrc_by_packet))
    yield hostility("rtp_loss", "every other packet is lost", altered(half), NO_KEYFRAME, at=AT)
    yield hostility("rtp_swapped", "packets in pairs the wrong way round", altered(swapped), None, NO_KEYFRAME, at=AT)
    yield hostility("rtp_twice", "every packet twice", altered(twice))
    yield hostility(
        "rtp_sequence_wrap",
        "sequence numbers wrap in the first picture",
        altered(lambda _t, p: p, make=lambda: Stream(sequence=65_530)),
    )
    yield hostility(
        "rtp_timestamp_wrap", "timestamps wrap", altered(lambda _t, p: p, make=lambda: Stream(timestamp=2**32 - 1))
    )
    yield hostility("rtp_timestamp_still", "a clock that stands still", altered(field(4, b"\0\0\0\1"), pace_s=EAGER_S))
    yield hostility("rtp_sequence_still", "one number for all packets", altered(field(2, b"\0\1")), NO_KEYFRAME, at=AT)
    yield hostility(
        "rtp_other_type",
        "nothing but a payload type that was not agreed on",
        altered(field(1, b"\x32")),
        NO_DATA,
        at=AT,
    )
    yield hostility("rtp_unmarked", "never a marker", altered(unmarked, pace_s=EAGER_S))
    yield hostility("rtp_marked", "a marker on every packet", altered(marked), None, NO_KEYFRAME, at=AT)

    def geovision(talk: Talk) -> Iterator[bytes]:
        stream = Stream()
        for _, parts in pictures(talk.props):
            packets = stream.picture(parts)
            echoed = [packets[0][:1] + bytes((50,)) + packets[0][2:12] + b"x" * 20]
            yield framed([packets[0], *echoed, *packets[1:]], talk.channel)

    yield hostility("rtp_type_50", "an unknown payload type that repeats a number", camera(media=geovision))


def _fragments() -> Iterator[Hostility]:
    def fragment(one: bytes) -> bool:
        return one[12] & 0x1F == FU_A

    def without(flag: int) -> Alter:
        return lambda _t, packets: [one for one in packets if not (fragment(one) and one[13] & flag)]

    def flags(change: Callable[[int], int]) -> Alter:
        return lambda _t, packets: [
            one[:13] + bytes((change(one[13]),)) + one[14:] if fragment(one) else one for one in packets
        ]

    def indicator(_talk: Talk, packets: list[bytes]) -> list[bytes]:
        return [one[:12] + bytes((one[12] | 0x80,)) + one[13:] for one in packets]

    def empty(_talk: Talk, packets: list[bytes]) -> list[bytes]:
        """Renumbered, so that nothing is missing."""
        start = struct.unpack_from(">H", packets[0], 2)[0] * 2
        spread = [part for one in packets for part in (one[:1] + bytes((one[1] & 0x7F,)) + one[2:12], one)]
        return [one[:2] + ((start + index) & 0xFFFF).to_bytes(2, "big") + one[4:] for index, one in enumerate(spread)]

    no, at = NO_KEYFRAME, AT
    yield hostility(
        "fu_without_start", "the first fragment of everything is missing", altered(without(START)), no, at=at
    )
    yield hostility("fu_without_end", "the last fragment of everything is missing", altered(without(END)), no, at=at)
    yield hostility(
        "fu_unstarted", "no fragment says that it is the first", altered(flags(lambda f: f & ~START)), no, at=at
    )
    yield hostility(
        "fu_unended", "no fragment says that it is the last", altered(flags(lambda f: f & ~END)), None, no, at=at
    )
    yield hostility(
        "fu_all_start",
        "every fragment says that it is the first",
        altered(flags(lambda f: f | START)),
        no,
        Reason.MEDIA_BROKEN,
        at=(at, Step.DECODE),
    )
    yield hostility("fu_reserved", "the reserved bit of fragments is set", altered(flags(lambda f: f | RESERVED)))
    yield hostility("nal_forbidden", "the forbidden bit of everything is set", altered(indicator), no, at=at)
    yield hostility("nal_empty", "empty payloads between all others", altered(empty))

    def endless(stream: Stream, number: int) -> bytes:
        head = (START if number == 0 else 0) | 5
        return stream.packet(bytes((0x60 | FU_A, head)) + b"\x88" + bytes(1400))

    def no_start(stream: Stream, _number: int) -> bytes:
        return stream.packet(bytes((0x60 | FU_A, 5)) + bytes(1400))

    yield hostility("fu_endless", "a keyframe's fragments without end, at full rate", _only(endless, 0), no, at=at)
    yield hostility("fu_endless_slow", "a keyframe's fragments without end", _only(endless), no, at=at)
    yield hostility("fu_never_begun", "middle fragments at full rate", _only(no_start, 0), no, at=at)
    for kind, payload in {
        "past_end": b"\x78\xff\xff\x67",
        "empty": b"\x78",
        "zero_units": b"\x78" + bytes(1000),
        "nested": b"\x78\0\3\x78\0\1\x67",
        "undefined": b"\x7e" + bytes(60),
        "fu_b": b"\x7d\x85\0\0abc",
        "mtap": b"\x7a\0\0\0\0\0",
    }.items():
        odd = Stream(sequence=900).packet(payload)
        yield hostility(
            f"nal_{'stap_' if payload[0] == 0x78 else ''}{kind}",
            f"a payload of {payload[:3].hex()}, then the good film",
            _first(odd),
        )
        yield hostility(
            f"nal_{'stap_' if payload[0] == 0x78 else ''}{kind}_only",
            f"nothing but payloads of {payload[:3].hex()}",
            _only(partial(_same, payload)),
            no,
            at=at,
        )

    def no_keys(talk: Talk) -> Iterator[bytes]:
        stream = Stream()
        for key, parts in pictures(talk.props):
            if not key:
                yield framed(stream.picture(parts), talk.channel)

    yield hostility("no_keyframe", "never a keyframe", camera(media=no_keys), no, at=at)
    yield hostility(
        "no_keyframe_full_rate", "never a keyframe, as fast as it is taken", camera(media=no_keys, pace_s=0), no, at=at
    )


def _control() -> Iterator[Hostility]:
    bye = b"\x81\xcb\0\1\0\0\0\x07"
    report = b"\x80\xc8\0\6" + (0x5EED).to_bytes(4, "big") + bytes(8) + (90_000).to_bytes(4, "big") + bytes(8)
    odd = {
        "bye_foreign": ("BYE of a source that nobody knows", [bye]),
        "bye": ("BYE of the stream's own source, and then it goes on", [b"\x81\xcb\0\1" + (0x5EED).to_bytes(4, "big")]),
        "short": ("cut RTCP", [b"\x80", b"\x80\xc8", b"\x80\xc8\0\6\0"]),
        "report_ntp_0": ("a sender report at NTP 0", [report]),
        "length": ("RTCP longer than its packet", [b"\x80\xc8\xff\xff" + bytes(20)]),
    }

    def with_rtcp(packets: list[bytes]) -> Script:
        def media(talk: Talk) -> Iterator[bytes]:
            yield framed(packets, talk.channel + 1)
            stream = Stream()
            for _, parts in pictures(talk.props):
                yield framed(stream.picture(parts), talk.channel) + framed(packets, talk.channel + 1)

        return camera(media=media)

    for kind, (does, packets) in odd.items():
        yield hostility(f"rtcp_{kind}", does, with_rtcp(packets))

    def only(talk: Talk) -> Iterator[bytes]:
        yield from itertools.repeat(framed([report], talk.channel + 1))

    yield hostility("rtcp_only", "sender reports, and never any media", camera(media=only), NO_DATA, at=AT)


HOSTILITIES: Final = (*_headers(), *_orders(), *_fragments(), *_control())
