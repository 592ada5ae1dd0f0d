"""Targets: program streams, packets without their picture, and what is inside of a unit."""

from __future__ import annotations

import struct
from contextlib import suppress

from streamwatch.errors import LookError
from streamwatch.wire import bitstream, bitstream_h265, jpeg, ps
from streamwatch.wire.depacketise import (
    PsDepacketiser,
)
from streamwatch.wire.reduction import without_picture
from streamwatch.wire.sdp import VideoTrack
from tests.fuzz.media_targets import (
    TICK,
    UNITS,
    _media,
    h264_seeds,
    h264_traps,
    h265_seeds,
    jpeg_seeds,
    packets_of,
)
from tests.fuzz.target import SIZE, Reader, Target, chance, filled, pieces, records
from tests.wire import camera_h265, jpeg_camera, ps_camera

# ---- program streams


def video_of(parts: list[bytes]) -> tuple[object, ...]:
    """All that a program stream holds of its video."""
    stream = ps.ProgramStream()
    found = [piece for part in parts for piece in stream.push(part)]
    times = [piece.pts for piece in found if piece.pts is not None]
    return b"".join(piece.data for piece in found), times, stream.stream_type, stream.scrambled, stream.malformed


def parse_program(data: bytes) -> None:
    stream = ps.ProgramStream()
    for at in range(0, len(data), 1400):
        stream.push(data[at : at + 1400])


def check_program(data: bytes) -> None:
    """The same video for every cutting, none of it made up, and little is held back."""
    whole = video_of([data])
    assert video_of(pieces(data, chance(data))) == whole, "the video depends on how the bytes arrived"
    video = whole[0]
    assert isinstance(video, bytes) and len(video) <= len(data)
    stream = ps.ProgramStream()
    for at in range(0, len(data), 100):
        stream.push(data[at : at + 100])
        assert len(stream._buffer) <= ps.MAX_HELD + 100


def program_seeds() -> list[bytes]:
    h265 = camera_h265.encode(64, 64, pictures=2)
    programs = [ps_camera.program(UNITS), ps_camera.program(h265, ps_camera.H265, size=200)]
    return [b"".join(program) for program in programs]


def program_packets() -> list[bytes]:
    return [
        _media(ps_camera.packetise(ps_camera.program(UNITS), mtu=200)),
        _media(ps_camera.packetise(ps_camera.program(camera_h265.encode(64, 64, pictures=2), ps_camera.H265))),
    ]


def program_traps() -> dict[str, bytes]:
    head = ps_camera.pack()
    return {
        "start codes": filled(b"\x00\x00\x01"),
        "packs": filled(head),
        "packets of nothing": filled(ps_camera.packet(b"")),
        "packets without length": filled(ps_camera.packet(b"\x00\x00\x01\x65\x88", length=0)),
        "maps": filled(ps_camera.program_map((0x1B, 0xE0))),
        "ends": filled(b"\x00\x00\x01\xb9"),
        "zeros": filled(b"\x00", head + ps_camera.packet(b"", length=0)),
        "paddings": filled(b"\x00\x00\x01\xbe\x00\x00"),
        "codes and nothing": filled(b"\x00\x00\x01\xe0"),
        "stuffing": filled(b"\xff", b"\x00\x00\x01\xe0\xff\xff"),
    }


def recorded(data: bytes) -> bytes:
    """A trap in packets."""
    return records([(0, data[at : at + 1397]) for at in range(0, len(data), 1400)])[:SIZE]


def pull_program(data: bytes) -> None:
    made = PsDepacketiser()
    with suppress(LookError):
        for packet, lost in packets_of(data):
            made.push(packet, after_loss=lost)
            made.pull()


def check_pictures_of_program(data: bytes) -> None:
    """Whole and sized what it gives; refused by name what it cannot read."""
    made = PsDepacketiser()
    with suppress(LookError):
        for packet, lost in packets_of(data):
            made.push(packet, after_loss=lost)
            unit = made.pull()
            if unit is not None:
                size = made.size_of(unit.sps)
                assert size.width > 0 and size.height > 0 and made.codec in {"h264", "h265"}
                assert unit.data.startswith(bitstream.START_CODE) and unit.sps in unit.data


# ---- a recording without its picture


TRACKS = {
    "h264": VideoTrack("h264", 96, 90_000, None),
    "h265": VideoTrack("h265", 96, 90_000, None),
    "mjpeg": VideoTrack("mjpeg", 96, 90_000, None),
}


def parse_reduced(data: bytes) -> None:
    for flags, part in Reader(data).sized():
        without_picture(part, TRACKS[("h264", "h265", "mjpeg")[flags % 3]])


def check_reduced(data: bytes) -> None:
    """A packet without its picture has its length and its header, and nothing more can be taken out of it."""
    for track in TRACKS.values():
        for number, (flags, part) in enumerate(Reader(data).sized()):
            raw = struct.pack("!BBHII", 0x80, 96 | flags & 0x80, number & 0xFFFF, flags & TICK, 7) + part
            for packet in (raw, part):
                sent = without_picture(packet, track)
                assert len(sent) == len(packet), "a packet without its picture has another length"
                assert sent[:12] == packet[:12], "a packet without its picture is another packet"
                assert without_picture(sent, track) == sent, "something was left in a packet without its picture"


def reduced_seeds() -> list[bytes]:
    return [h264_seeds()[0], h264_seeds()[1], h265_seeds()[0], jpeg_seeds()[0]]


# ---- inside a unit


def parse_h264_bits(data: bytes) -> None:
    for unit in [data, *bitstream.split_annex_b(data)[:8]]:
        bitstream.recovery_point(unit)
        for read in (bitstream.parse_sps, bitstream.parse_pps_ids, bitstream.peek_slice):
            with suppress(ValueError):
                read(unit)


def check_h264_bits(data: bytes) -> None:
    """Sizes are positive and cropping makes none larger; the pieces of Annex B lie in it in their order."""
    parse_h264_bits(data)
    at = 0
    for unit in bitstream.split_annex_b(data):
        assert unit and not unit.endswith(b"\x00") and b"\x00\x00\x01" not in unit
        at = data.index(unit, at) + len(unit)
    with suppress(ValueError):
        found = bitstream.parse_sps(data)
        assert 0 < found.width <= found.coded_width and 0 < found.height <= found.coded_height
        assert found.coded_width % 16 == 0 and found.bit_depth <= 14 and found.id <= 31
        with suppress(LookError):
            bitstream.check_size(found)
            assert found.coded_width * found.coded_height <= bitstream.MAX_PIXELS


def parse_h265_bits(data: bytes) -> None:
    for unit in [data, *bitstream.split_annex_b(data)[:8]]:
        if not unit:
            continue
        bitstream_h265.kind_of(unit)
        bitstream_h265.begins_picture(unit)
        reads = (bitstream_h265.parse_sps, bitstream_h265.parse_pps_ids, bitstream_h265.parse_vps_id)
        for read in (*reads, bitstream_h265.slice_pps):
            with suppress(ValueError):
                read(unit)


def check_h265_bits(data: bytes) -> None:
    """Sizes are positive and the conformance window makes none larger."""
    parse_h265_bits(data)
    with suppress(ValueError):
        found = bitstream_h265.parse_sps(data)
        assert 0 < found.width <= found.coded_width and 0 < found.height <= found.coded_height
        assert found.id <= 15 and found.bit_depth <= 16


def check_jpeg_bits(data: bytes) -> None:
    """Segments lie in the data; a stated size has two sides."""
    for marker, segment in jpeg.segments_of(data).items():
        assert segment[:2] == bytes((0xFF, marker)) and len(segment) <= len(data)
    size = jpeg.size_stated(data)
    assert size is None or (0 < size[0] <= jpeg.MAX_SIDE and 0 < size[1] <= jpeg.MAX_SIDE)


def bit_traps() -> dict[str, bytes]:
    return {
        name: filled(pattern, head)
        for name, (head, pattern) in {
            "start codes": (b"", b"\x00\x00\x01"),
            "zeros": (b"\x00\x00\x01\x67", b"\x00"),
            "emulation": (b"\x67\x64\x00\x0a", b"\x00\x00\x03"),
            "ones": (b"\x67\x64\x00\x0a", b"\xff"),
            "h265 ones": (b"\x42\x01", b"\xff"),
            "fill bytes": (b"", b"\xff"),
            "segments": (b"", b"\xff\xdb\x00\x02"),
            "other segments": (b"", b"\xff\xe0\x00\x02"),
            "pictures": (b"", b"\xff\xd8"),
            "frames": (b"", b"\xff\xc0\x00"),
            "messages": (b"\x06", b"\x01\x00"),
        }.items()
    }


TARGETS = [
    Target(
        "ps",
        parse_program,
        check_program,
        program_seeds,
        program_traps,
        words=(b"\x00\x00\x01\xba", b"\x00\x00\x01\xe0", b"\x00\x00\x01\xbc", b"\x00\x00\x01"),
    ),
    Target(
        "ps_pictures",
        pull_program,
        check_pictures_of_program,
        program_packets,
        lambda: {name: recorded(trap) for name, trap in program_traps().items()},
    ),
    Target("reduction", parse_reduced, check_reduced, reduced_seeds, h264_traps),
    Target(
        "bits_h264",
        parse_h264_bits,
        check_h264_bits,
        lambda: [*UNITS[0], bitstream.START_CODE.join((b"", *UNITS[0]))],
        bit_traps,
        words=(b"\x00\x00\x01", b"\x00\x00\x03"),
    ),
    Target(
        "bits_h265",
        parse_h265_bits,
        check_h265_bits,
        lambda: list(camera_h265.encode(64, 64, pictures=2)[0]),
        bit_traps,
        words=(b"\x00\x00\x03",),
    ),
    Target(
        "bits_jpeg",
        lambda data: (jpeg.segments_of(data), jpeg.size_stated(data)),
        check_jpeg_bits,
        lambda: [jpeg_camera.encode_jpeg(64, 48)[:700], jpeg.frame_header(2560, 1440)],
        bit_traps,
        words=(b"\xff\xc0\x00\x11\x08", b"\xff\xda"),
    ),
]
