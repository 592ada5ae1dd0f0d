"""Targets: RTP and RTCP, what puts packets in order, depacketisers, and what is inside of a unit."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from math import isfinite

from streamwatch.errors import LookError
from streamwatch.wire import bitstream, jpeg, rtcp
from streamwatch.wire.depacketise import (
    H264Depacketiser,
    H265Depacketiser,
    JpegDepacketiser,
    JpegUnit,
)
from streamwatch.wire.depacketise.pictures import MAX_ACCESS_UNIT, MAX_PARAMETER_SETS
from streamwatch.wire.reorder import HELD_BYTES, HELD_PACKETS, Reorder
from streamwatch.wire.rtp import FOREIGN_PATIENCE, Order, RtpPacket, SequenceTracker, parse_rtp
from streamwatch.wire.sender_clock import MAX_DRIFT_PPM, MAX_SOURCES, SenderClock
from tests.fuzz.target import SIZE, Reader, Target, filled, records
from tests.wire import camera, camera_h265, jpeg_camera

UNITS = camera.encode(64, 64, pictures=2, slices=2)
PACKETS = camera.packetise(UNITS, mtu=100)
MARKER, LOST, TICK = 0x80, 0x40, 0x20  # flags of a record: the packet's marker, loss before it, a new timestamp


# ---- RTP


def order_all(data: bytes) -> None:
    tracker, reorder = SequenceTracker(), Reorder()
    now = 0.0
    for flags, part in Reader(data).sized():
        now += (flags & 0x3F) / 1000
        packet = parse_rtp(part)
        if packet is not None:
            for ready in reorder.push(packet, now):
                tracker.next(ready)


def check_rtp(data: bytes) -> None:
    """A packet's parts lie in it; ordering gives every packet once or counts it, and holds no more than it may."""
    tracker, reorder = SequenceTracker(), Reorder()
    now, pushed, given = 0.0, 0, 0
    for flags, part in Reader(data).sized():
        now += (flags & 0x3F) / 1000
        packet = parse_rtp(part)
        if packet is None:
            continue
        padding = part[-1] if part[0] & 0x20 else 0
        assert part[: len(part) - padding].endswith(packet.payload) and len(packet.payload) <= len(part) - 12
        assert 0 <= packet.payload_type < 128 and packet.extension in part
        pushed += 1
        ready = reorder.push(packet, now)
        given += len(ready)
        for one in ready:
            order = tracker.next(one)
            assert tracker.position()[0] == (one.sequence + 1) & 0xFFFF or order is Order.DROP
        assert len(reorder._held) <= HELD_PACKETS and reorder._size <= HELD_BYTES
        assert len(reorder._strangers) < FOREIGN_PATIENCE
        assert reorder._size == sum(len(held.payload) for held, _ in reorder._held.values())
        assert given + reorder.dropped + len(reorder._held) + len(reorder._strangers) == pushed, "a packet was lost"
    rest = reorder.flush()
    assert not reorder._held and reorder._size == 0
    assert given + len(rest) + reorder.dropped + len(reorder._strangers) == pushed
    assert tracker.lost >= 0 and tracker.dropped >= 0


def rtp_seeds() -> list[bytes]:
    swapped = [PACKETS[1], PACKETS[0], *PACKETS[2:5], PACKETS[4]]
    strangers = [camera.rtp(b"x", number, 0, ssrc=9) for number in range(20)]
    odd = b"\xb1\x60" + PACKETS[0][2:12] + bytes(4) + b"\xbe\xde\x00\x01abcd" + b"payload" + b"\x00\x00\x03"
    restart = [camera.rtp(b"x", number, 0) for number in (65_535, 0, 30_000, 30_001, 2, 3)]
    return [
        records([(index * 7, packet) for index, packet in enumerate(some)])
        for some in (PACKETS[:6], swapped, [*PACKETS[:2], *strangers], [odd, PACKETS[1]], restart)
    ]


def rtp_traps() -> dict[str, bytes]:
    held = b"".join(records([(0, camera.rtp(b"x", number * 2, 0))]) for number in range(SIZE // 16))
    backwards = b"".join(records([(0, camera.rtp(b"x", 60_000 - number, 0))]) for number in range(SIZE // 16))
    flipping = b"".join(records([(0, camera.rtp(b"x", number, 0, ssrc=number % 2))]) for number in range(SIZE // 16))
    return {
        "every other packet": held[:SIZE],
        "backwards": backwards[:SIZE],
        "two sources": flipping[:SIZE],
        "empty records": filled(b"\x00\x00\x00"),
        "packets of nothing": filled(records([(0, camera.rtp(b"", 1, 0))])),
        "extensions": filled(records([(0, b"\x9f" + bytes(11) + b"\xff" * 70)])),
    }


# ---- RTCP


def parse_rtcp(data: bytes) -> object:
    clock = SenderClock()
    for number, report in enumerate(rtcp.sender_reports(data)):
        clock.heard(report, number * 5.0)
    return [rtcp.is_rtcp(data), rtcp.says_bye(data, 7), rtcp.says_bye(data, None), clock.offset_ms(7, 0)]


def check_rtcp(data: bytes) -> None:
    """A BYE names its source; what we send ourselves is RTCP and no BYE."""
    parse_rtcp(data)
    source = int.from_bytes(data[-4:].rjust(4, b"\x00"), "big")
    if rtcp.says_bye(data, source):
        assert rtcp.is_rtcp(data) and source.to_bytes(4, "big") in data
    report = rtcp.receiver_report(source)
    block = rtcp.ReportBlock(source, data[0] if data else 0, source, source, source, source)
    ours = (report, rtcp.receiver_report(7, block), rtcp.picture_loss(7, source))
    for sent in (*ours, rtcp.full_intra_request(7, source, len(data))):
        assert rtcp.is_rtcp(sent) and not rtcp.says_bye(sent, source) and len(sent) % 4 == 0
        assert not rtcp.sender_reports(sent)
    clock = SenderClock()
    for number, told in enumerate(rtcp.sender_reports(data)):
        clock.heard(told, number * 2.5)
        offset, drift = clock.offset_ms(told.ssrc, 10**15), clock.drift_ppm(told.ssrc, 90_000)
        assert offset is None or isfinite(offset)
        assert drift is None or abs(drift) <= MAX_DRIFT_PPM
    assert len(clock._told) <= MAX_SOURCES


def rtcp_seeds() -> list[bytes]:
    sender = struct.pack("!BBHIIIIII", 0x80, 200, 6, 7, 3_900_000_000, 1, 90_000, 10, 1000)
    bye = struct.pack("!BBHI", 0x81, 203, 1, 7)
    return [sender, sender + bye, rtcp.receiver_report(7) + bye, struct.pack("!BBHII", 0x82, 203, 2, 1, 7)]


def rtcp_traps() -> dict[str, bytes]:
    return {
        "empty packets": filled(b"\x80\xc9\x00\x00"),
        "byes": filled(b"\x9f\xcb\x00\x00"),
        "one long bye": filled(b"\x00", b"\x9f\xcb\x3f\xff"),
        "sender reports": filled(rtcp_seeds()[0]),
    }


# ---- depacketisers

Depacketiser = H264Depacketiser | H265Depacketiser | JpegDepacketiser
FMTP_NUMBERED = {"sprop-max-don-diff": "1"}


def packets_of(data: bytes) -> Iterator[tuple[RtpPacket, bool]]:
    """The packets that an input describes, and whether something before each is missing."""
    time = 0
    for number, (flags, part) in enumerate(Reader(data).sized()):
        time += 3600 if flags & TICK else 0
        packet = RtpPacket(flags & MARKER != 0, 96, number & 0xFFFF, time & 0xFFFFFFFF, 7, part)
        yield packet, flags & LOST != 0


def pull_all(made: Depacketiser, data: bytes) -> None:
    with suppress(LookError):
        for packet, lost in packets_of(data):
            made.push(packet, after_loss=lost)
            made.pull()


def checked(make: Callable[[bytes], Depacketiser]) -> Callable[[bytes], None]:
    """A depacketiser's laws: bounded while it builds, whole and sized what it gives."""

    def check(data: bytes) -> None:
        made = make(data)
        with suppress(LookError):
            for packet, lost in packets_of(data):
                made.push(packet, after_loss=lost)
                assert made._size <= MAX_ACCESS_UNIT
                unit = made.pull()
                assert made.pull() is None
                if isinstance(unit, JpegUnit):
                    assert unit.data.startswith(jpeg.SOI) and unit.data.endswith(jpeg.EOI)
                    assert unit.size.width and unit.size.height and len(unit.data) <= MAX_ACCESS_UNIT
                elif unit is not None and not isinstance(made, JpegDepacketiser):
                    size = made.size_of(unit.sps)
                    assert size.width > 0 and size.height > 0
                    assert unit.data.startswith(bitstream.START_CODE) and unit.sps in unit.data
                    assert len(unit.data) <= MAX_ACCESS_UNIT + 3 * MAX_PARAMETER_SETS * 1100
        assert min(made.broken, made.malformed, made.unready) >= 0

    return check


def _media(packets: list[bytes]) -> bytes:
    """Records of RTP packets that a camera made."""
    out, time = [], 0
    for packet in packets:
        _, second, _, stamp, _ = struct.unpack_from("!BBHII", packet)
        out.append(((MARKER if second & 0x80 else 0) | (TICK if stamp != time else 0), packet[12:]))
        time = stamp
    return records(out)


def _h264(data: bytes) -> H264Depacketiser:
    return H264Depacketiser(UNITS[0][:2] if data[:1] == b"\x1f" else ())


def _h265(data: bytes) -> H265Depacketiser:
    return H265Depacketiser(numbered=data[:1] in {b"\x1f", b"\x9f"})


def _jpeg(data: bytes) -> JpegDepacketiser:
    return JpegDepacketiser([jpeg.frame_header(2560, 1440)] if data[:1] == b"\x1f" else ())


def h264_seeds() -> list[bytes]:
    stap = camera.packetise(UNITS, stap=True, mtu=300)
    annex_b = [camera.rtp(b"\x00\x00\x00\x01".join((b"", *UNITS[0])), 1, 0, marker=True)]
    return [_media(PACKETS), _media(stap), _media(annex_b), _media(PACKETS[3:])]


def h265_seeds() -> list[bytes]:
    return [_media(packets) for packets in h265_packets()]


def h265_packets() -> list[list[bytes]]:
    pictures = camera_h265.encode(64, 64, pictures=2)
    return [camera_h265.packetise(pictures, mtu=100), camera_h265.packetise(pictures, mtu=1400)]


def picture_traps(units: list[bytes], start: bytes, middle: bytes) -> dict[str, bytes]:
    """Traps of both codecs: `start` and `middle` are headers of a slice's fragments, `units` small whole units."""
    out = {
        "empty records": filled(b"\x00\x00\x00"),
        "fragments without end": filled(records([(0, middle + b"x")]), records([(0, start + b"\x88")])),
        "fragments without start": filled(records([(0, middle + b"x")])),
        "starts": filled(records([(0, start + b"\x88")])),
        "start codes": filled(b"\x00\x00\x01", records([(0, b"")])[:1] + b"\xff\xff"),
        "start codes and bytes": filled(b"\x00\x00\x01\x65", b"\x00\xff\xff"),
        "zeros": filled(b"\x00", b"\x00\xff\xff\x65"),
    }
    for number, unit in enumerate(units):
        out[f"units {number}"] = filled(records([(0, unit)]))
        out[f"units {number}, marked"] = filled(records([(MARKER | TICK, unit)]))
    return out


def h264_traps() -> dict[str, bytes]:
    more = {
        "aggregates": filled(b"\x00\x01\x67", b"\x00\xff\xff\x78"),
        "empty aggregates": filled(b"\x00\x00", b"\x00\xff\xff\x78"),
        "aggregates of slices": filled(b"\x00\x03\x65\x88\x84", b"\x00\xff\xff\x78"),
        "new sets": b"".join(
            records([(0, b"\x68" + struct.pack("!H", 0x8000 | number << 1))]) for number in range(SIZE // 6)
        )[:SIZE],
    }
    return more | picture_traps(
        [*UNITS[0][:2], b"\x65\x88\x84", b"\x06\x06\x01\xc4", b"\x67\xff\xff"], b"\x7c\x85", b"\x7c\x05"
    )


def h265_traps() -> dict[str, bytes]:
    sets = list(camera_h265.encode(64, 64, pictures=2)[0][:3])
    return {"aggregates": filled(b"\x00\x02\x42\x01", b"\x00\xff\xff\x60\x01")} | picture_traps(
        [*sets, b"\x26\x01\xaf", b"\x4e\x01\x06"], b"\x62\x01\x93", b"\x62\x01\x13"
    )


def jpeg_packets() -> list[list[bytes]]:
    plain, restarting = (jpeg_camera.take_apart(jpeg_camera.encode_jpeg(64, 48, restarts=way)) for way in (False, True))
    own = jpeg_camera.jpeg_payloads(plain, mtu=200)
    return [
        jpeg_camera.jpeg_packets([own, jpeg_camera.jpeg_payloads(plain, quality=50)]),
        jpeg_camera.jpeg_packets([jpeg_camera.jpeg_payloads(restarting, mtu=400, quality=200), own[1:], own]),
    ]


def jpeg_seeds() -> list[bytes]:
    return [_media(packets) for packets in jpeg_packets()]


def jpeg_traps() -> dict[str, bytes]:
    def first(kind: int, quality: int) -> bytes:
        return bytes((0, 0, 0, 0, kind, quality, 8, 8))

    middle = b"".join(
        records([(0, b"\x00" + number.to_bytes(3, "big") + b"\x01\x32\x08\x08x")]) for number in range(1, SIZE // 12)
    )
    return {
        "beginnings": filled(records([(0, first(1, 50) + b"x")])),
        "marked beginnings": filled(records([(MARKER, first(1, 50) + b"x")])),
        "qualities": b"".join(records([(MARKER, first(1, 1 + number % 99) + b"x")]) for number in range(SIZE // 12)),
        "tables": filled(records([(0, first(1, 200) + b"\x00\x00\x00\x80" + bytes(128))])),
        "empty tables": filled(records([(0, first(1, 128) + bytes(4))])),
        "restarts": filled(records([(MARKER, first(65, 50) + bytes(4) + b"x")])),
        "fragments": (records([(0, first(1, 50) + b"x")]) + middle)[:SIZE],
        "short": filled(records([(MARKER, b"\x00")])),
    }


TARGETS = [
    Target("rtp", order_all, check_rtp, rtp_seeds, rtp_traps),
    Target("rtcp", parse_rtcp, check_rtcp, rtcp_seeds, rtcp_traps, words=(b"\x81\xcb\x00\x01", b"\x80\xc8\x00\x06")),
    Target(
        "h264",
        lambda data: pull_all(_h264(data), data),
        checked(_h264),
        h264_seeds,
        h264_traps,
        words=(b"\x00\x00\x01", *UNITS[0][:2], b"\x7c\x85", b"\x7c\x45"),
        gortsplib=("format__rtph264",),
    ),
    Target("h265", lambda data: pull_all(_h265(data), data), checked(_h265), h265_seeds, h265_traps),
    Target(
        "mjpeg",
        lambda data: pull_all(_jpeg(data), data),
        checked(_jpeg),
        jpeg_seeds,
        jpeg_traps,
        gortsplib=("format__rtpmjpeg",),
    ),
]
