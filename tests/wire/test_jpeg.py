"""Whole pictures out of JPEG over RTP: what an encoder wrote, every way to lose parts of it, and what cameras do."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.errors import LookError, Reason, Step
from streamwatch.wire import jpeg
from streamwatch.wire.depacketise import DEPACKETISERS
from streamwatch.wire.depacketise import jpeg as depacketise_jpeg
from streamwatch.wire.depacketise.h264 import State
from streamwatch.wire.depacketise.jpeg import JpegDepacketiser, JpegUnit
from streamwatch.wire.reduction import without_picture
from streamwatch.wire.rtp import parse_rtp
from streamwatch.wire.sdp import parse_sdp, pick_video
from streamwatch.wire.transcript import dump, load, replay
from tests.wire.camera import frame, reply, rtp
from tests.wire.jpeg_camera import Apart, encode_jpeg, head_of, jpeg_packets, jpeg_payloads, take_apart
from tests.wire.pulling import depacketised
from tests.wire.test_conversation import GOOD, failed, talk
from tests.wire.test_rtsp import go_literals
from tests.wire.test_transcript import record, same

FILE = encode_jpeg(320, 240)
APART = take_apart(FILE)
OTHER = take_apart(encode_jpeg(320, 240, seed=1))
PAYLOADS = jpeg_payloads(APART)
PLAIN = APART._replace(tables=(APART.tables[0],) * 2)


def run(packets: list[bytes], depacketiser: JpegDepacketiser | None = None) -> list[JpegUnit]:
    """Every picture that comes out of RTP packets."""
    return depacketised(packets, depacketiser or JpegDepacketiser())


def luma(data: bytes) -> np.ndarray:
    """The luma of a JPEG file as FFmpeg sees it, which refuses what is damaged."""
    codec = av.CodecContext.create("mjpeg", "r")
    assert isinstance(codec, av.VideoCodecContext)
    codec.options = {"err_detect": "explode"}
    (found,) = [*codec.decode(av.Packet(data)), *codec.decode(None)]
    part = found.planes[0]
    return np.frombuffer(part, np.uint8).reshape(-1, part.line_size)[: found.height, : found.width]


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("mtu", [200, 1400, 60000])
@pytest.mark.parametrize("end", [False, True])
@pytest.mark.parametrize("interval", [False, True])
def test_the_picture_comes_out_as_it_was_encoded(kind: int, mtu: int, end: bool, interval: bool) -> None:
    """Both types, with restart header and without, with the end marker and without: every level as in the file."""
    file = encode_jpeg(320, 240, kind, restarts=interval)
    apart = take_apart(file)
    assert apart.kind == kind and bool(apart.interval) is interval is (b"\xff\xd0" in apart.scan)
    (unit,) = run(jpeg_packets([jpeg_payloads(apart, mtu=mtu, end=end)]))
    assert (unit.size.width, unit.size.height, unit.timestamp) == (320, 240, 0)
    assert take_apart(unit.data)[:3] == apart[:3] and take_apart(unit.data).scan == apart.scan
    assert np.array_equal(luma(unit.data), luma(file))


@pytest.mark.parametrize("quality", [1, 2, 10, 49, 50, 51, 75, 90, 99])
def test_computed_tables_are_those_of_the_independent_jpeg_group(quality: int) -> None:
    """RFC 2435 appendix A takes its formula from their library, which encoded this."""
    assert tuple(jpeg.tables_of(quality)) == take_apart(encode_jpeg(64, 64, quality=quality)).tables


@pytest.mark.parametrize("quality", [1, 50, 99])
def test_a_quality_below_100_needs_no_tables(quality: int) -> None:
    """They are computed, and the picture's data begin behind the main header."""
    file = encode_jpeg(320, 240, quality=quality)
    (unit,) = run(jpeg_packets([jpeg_payloads(take_apart(file), quality=quality)]))
    assert np.array_equal(luma(unit.data), luma(file))


@pytest.mark.parametrize("quality", [0, 100, 127])
def test_reserved_qualities_are_refused(quality: int) -> None:
    """RFC 2435 section 4.2: nobody knows what they mean."""
    depacketiser = JpegDepacketiser()
    assert run(jpeg_packets([jpeg_payloads(APART, quality=quality)]), depacketiser) == []
    assert (depacketiser.malformed, depacketiser.broken) == (1, 1)


def test_tables_of_sixteen_bits() -> None:
    """Each entry two bytes, told by the precision, for each table of its own."""
    wide = b"".join(struct.pack("!H", entry) for entry in APART.tables[0])
    for tables in ((wide, wide), (wide, APART.tables[0]), (APART.tables[0], wide)):
        (unit,) = run(jpeg_packets([jpeg_payloads(APART._replace(tables=tables))]))
        assert take_apart(unit.data).tables == tables
        assert np.array_equal(luma(unit.data), luma(FILE))


def test_tables_are_remembered_by_their_quality_except_255() -> None:
    """A length of 0 means those of before; a picture before them waits, and 255's may change with every picture."""
    first, later = jpeg_payloads(PLAIN, quality=200), jpeg_payloads(OTHER, quality=200, in_band=False)
    assert [take_apart(unit.data).tables for unit in run(jpeg_packets([first, later]))] == [PLAIN.tables] * 2
    depacketiser = JpegDepacketiser()
    found = run(jpeg_packets([later, first, later]), depacketiser)
    assert len(found) == 2 and depacketiser.unready == 1
    assert len(run(jpeg_packets([first, jpeg_payloads(OTHER, quality=201, in_band=False)]))) == 1
    assert len(run(jpeg_packets([jpeg_payloads(PLAIN), jpeg_payloads(OTHER, in_band=False)]))) == 1


@pytest.mark.parametrize("length", [1, 63, 65, 127, 65_535])
def test_tables_of_an_impossible_length_give_no_picture(length: int) -> None:
    """Neither too short for their precision nor longer than the packet."""
    payload = struct.pack("!I", 0) + bytes((1, 255, 40, 30)) + struct.pack("!BBH", 0, 0, length) + b"\x01" * 500
    depacketiser = JpegDepacketiser()
    assert run([rtp(payload, 1, 0, marker=True)], depacketiser) == []
    assert depacketiser.malformed == 1


def test_more_than_two_tables_are_passed_over_and_one_serves_for_all() -> None:
    """Types 0 and 1 use the first two."""
    three = APART._replace(tables=(APART.tables[0], bytes(range(1, 65)), b"\x07" * 64))
    (unit,) = run(jpeg_packets([jpeg_payloads(three)]))
    assert take_apart(unit.data).tables == three.tables[:2] and take_apart(unit.data).scan == APART.scan
    one = APART._replace(tables=APART.tables[:1])
    (unit,) = run(jpeg_packets([jpeg_payloads(one)]))
    assert take_apart(unit.data).tables == APART.tables[:1] * 2 and take_apart(unit.data).scan == APART.scan


def test_no_lost_packet_ever_leaves_a_picture() -> None:
    """Whichever one goes, or any two neighbours: that picture does not come out, and the next whole one does."""
    small = [jpeg_payloads(apart, mtu=500) for apart in (APART, OTHER)]
    packets = jpeg_packets([*small, small[0]])
    count = len(small[0])
    assert count > 20
    for at in range(count):
        for missing in (1, 2):
            found = run(packets[:at] + packets[at + missing :])
            expected = [9000, 18000] if at + missing <= count else [18000]
            assert [unit.timestamp for unit in found] == expected, (at, missing)
            assert [take_apart(unit.data).scan for unit in found] == [
                {9000: OTHER.scan, 18000: APART.scan}[time] for time in expected
            ]


def test_without_marker_a_picture_ends_where_the_next_begins_if_it_has_its_own_end() -> None:
    """Data that stop short of their end marker are no picture."""
    with_end, without = jpeg_payloads(APART), jpeg_payloads(APART, end=False)
    assert [unit.timestamp for unit in run(jpeg_packets([with_end, with_end], marker=False))] == [0]
    depacketiser = JpegDepacketiser()
    assert run(jpeg_packets([without, without], marker=False), depacketiser) == []
    assert depacketiser.broken == 1
    assert run(jpeg_packets([with_end, with_end], marker=False)[len(with_end) - 1 :]) == []


def test_states() -> None:
    """Joined in the middle, building, complete, pulled; skipping after loss."""
    depacketiser = JpegDepacketiser()
    packets = [parse_rtp(data) for data in jpeg_packets([jpeg_payloads(APART, mtu=3000)] * 2)]
    half = len(packets) // 2
    seen = []
    for index, packet in enumerate(packets[1:], 1):
        assert packet is not None
        depacketiser.push(packet, after_loss=False)
        seen.append(depacketiser.state)
        if index >= half:
            break
    assert seen == [State.JOINED] * (half - 1) + [State.BUILDING] and depacketiser.broken == 0
    last = packets[half + 2]
    assert last is not None
    depacketiser.push(last, after_loss=True)
    assert (depacketiser.state, depacketiser.broken) == (State.SKIPPING, 1)
    assert run(jpeg_packets([PAYLOADS]), depacketiser) and depacketiser.state is State.JOINED


@pytest.mark.parametrize("change", ["timestamp", "offset", "type", "quality", "width"])
def test_a_fragment_of_another_picture_breaks_this_one(change: str) -> None:
    """Numbered in sequence and yet not its continuation: a sender that mixes pictures up."""
    payloads = jpeg_payloads(APART, mtu=3000)
    head = bytearray(payloads[2])
    places = {"offset": 3, "type": 4, "quality": 5, "width": 6}
    if change in places:
        head[places[change]] ^= 1
    packets = jpeg_packets([[*payloads[:2], bytes(head), *payloads[3:]]])
    if change == "timestamp":
        packets[2] = rtp(payloads[2], 102, 5, pt=26)
    depacketiser = JpegDepacketiser()
    assert run(packets, depacketiser) == [] and depacketiser.broken == 1


def test_loss_breaks_a_picture_even_where_the_offsets_fit() -> None:
    """What was lost may have been this picture's end and the next one's beginning."""
    depacketiser = JpegDepacketiser()
    packets = [parse_rtp(data) for data in jpeg_packets([jpeg_payloads(APART, mtu=3000)])]
    for index, packet in enumerate(packets):
        assert packet is not None
        depacketiser.push(packet, after_loss=index == 1)
    assert depacketiser.pull() is None and depacketiser.broken == 1


def test_a_picture_without_data_is_none() -> None:
    """Headers alone, with a marker."""
    assert run(jpeg_packets([[PAYLOADS[0][: 8 + 4 + 128]]])) == []


@pytest.mark.parametrize("kind", [2, 5, 63, 66, 127, 128, 255])
def test_types_that_only_an_agreement_explains_are_unsupported(kind: int) -> None:
    """media.unsupported_codec, with the type."""
    with pytest.raises(LookError, match=f"type {kind},") as caught:
        run([rtp(struct.pack("!I", 0) + bytes((kind, 50, 40, 30)) + b"x" * 100, 1, 0)])
    assert caught.value.reason is Reason.MEDIA_UNSUPPORTED_CODEC


def extended(packet: bytes, extension: bytes, profile: int = 0xFFD8) -> bytes:
    """A packet with a header extension."""
    padded = extension + b"\xff" * (-len(extension) % 4)
    return (
        bytes((packet[0] | 0x10,)) + packet[1:12] + struct.pack("!HH", profile, len(padded) // 4) + padded + packet[12:]
    )


def test_a_size_that_the_header_cannot_tell() -> None:
    """Of ONVIF's header extension, else of the SDP; where nobody tells it, that is said."""
    packets = jpeg_packets([jpeg_payloads(APART, sides=(0, 0))])
    header = jpeg.frame_header(2560, 1440)
    onvif = [extended(packets[0], header), *packets[1:]]
    assert run(onvif)[0].size == (2560, 1440, 2560, 1440)
    assert run(onvif, JpegDepacketiser([jpeg.frame_header(2048, 1536)]))[0].size[:2] == (2560, 1440)
    assert run(packets, JpegDepacketiser([jpeg.frame_header(2048, 1532)]))[0].size == (2048, 1532, 2048, 1536)
    half = jpeg_packets([jpeg_payloads(APART, sides=(0, 135))])
    assert run(half, JpegDepacketiser([header]))[0].size[:2] == (2560, 1440)
    for silent in (packets, [extended(packets[0], header, 0xABAC), *packets[1:]]):
        with pytest.raises(LookError, match="2040") as caught:
            run(silent)
        assert caught.value.reason is Reason.MEDIA_UNSUPPORTED_CODEC


def scan_of(file: bytes) -> bytes:
    """The data of a file's one scan, without the end marker."""
    return file[2 + len(head_of(file)) : -2]


GREY = np.asarray(luma(FILE))
COLOUR = np.repeat(GREY[:, :, None], 3, axis=2)


@pytest.mark.parametrize(
    ("levels", "how"),
    [
        (COLOUR, [cv2.IMWRITE_JPEG_OPTIMIZE, 1]),
        (COLOUR, [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]),
        (COLOUR, [cv2.IMWRITE_JPEG_RST_INTERVAL, 7]),
        (GREY, []),
    ],
    ids=["other Huffman tables", "4:4:4", "restarts", "grey"],
)
def test_a_picture_that_rfc_2435_has_no_words_for(levels: np.ndarray, how: list[int]) -> None:
    """ONVIF's header extension has its headers, with a scan header and without, with tables there or in RFC 2435's."""
    done, encoded = cv2.imencode(".jpg", levels, how)
    assert done
    file = encoded.tobytes()
    whole = head_of(file)
    short = whole[: whole.index(b"\xff\xda")]
    for head in (whole, short):
        for quality in (0, 255):
            apart = APART._replace(scan=scan_of(file))
            packets = jpeg_packets([jpeg_payloads(apart, quality=quality)])
            (unit,) = run([extended(packets[0], head), *packets[1:]])
            assert unit.size[:2] == (320, 240) and np.array_equal(luma(unit.data), luma(file))


def test_what_a_device_states_takes_the_place_of_what_would_be_made() -> None:
    """One restart interval, one scan header: its own."""
    own = {jpeg.SOS: b"\xff\xda\x00\x08\x01\x01\x11\x00\x3f\x00", jpeg.DRI: b"\xff\xdd\x00\x04\x00\x09"}
    made = jpeg.headers(64, 64, jpeg.BLOCKS_420, jpeg.tables_of(50), 7, own)
    assert made.endswith(own[jpeg.SOS]) and made.count(b"\xff\xda") == 1
    assert own[jpeg.DRI] in made and made.count(b"\xff\xdd") == 1


def test_a_header_extension_counts_towards_the_cap() -> None:
    """The whole file is at most MAX_ACCESS_UNIT."""
    packets = jpeg_packets([jpeg_payloads(APART, end=False)])
    (unit,) = run(packets)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(depacketise_jpeg, "MAX_ACCESS_UNIT", len(unit.data))
        assert run(packets) == [unit]
        assert run([extended(packets[0], b"\xff\xdb\x00\x43\x02" + b"\x01" * 64), *packets[1:]]) == []
        patch.setattr(depacketise_jpeg, "MAX_ACCESS_UNIT", len(unit.data) - 1)
        assert run(packets) == []


def test_frames_that_are_not_baseline_are_unsupported() -> None:
    """A progressive one, one of twelve bits, one of four components, one without a height."""
    good = jpeg.frame_header(320, 240)
    packets = jpeg_packets([PAYLOADS])
    for odd in (
        b"\xff\xc2" + good[2:],
        good[:4] + b"\x0c" + good[5:],
        b"\xff\xc0\x00\x14" + good[4:9] + b"\x04" + good[10:] + b"\x04\x11\x01",
        good[:5] + b"\x00\x00" + good[7:],
    ):
        with pytest.raises(LookError, match="frame header") as caught:
            run([extended(packets[0], odd), *packets[1:]])
        assert caught.value.reason is Reason.MEDIA_UNSUPPORTED_CODEC


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=20),
            st.sampled_from([*b"\xff\xd8", jpeg.frame_header(32, 32)]).map(
                lambda part: bytes((part,)) if isinstance(part, int) else part
            ),
            st.just(head_of(FILE)),
        )
    ),
    st.sampled_from([0, 50, 255]),
)
def test_any_header_extension_raises_nothing_but_look_errors(parts: list[bytes], quality: int) -> None:
    """Whatever stands in it, and however it is cut."""
    first = parse_rtp(rtp(jpeg_payloads(APART, quality=quality, mtu=60_000)[0], 1, 0, marker=True))
    assert first is not None
    depacketiser = JpegDepacketiser()
    with contextlib.suppress(LookError):
        depacketiser.push(first._replace(extension=b"\xff\xd8\x00\x00" + b"".join(parts)))
    unit = depacketiser.pull()
    assert unit is None or (unit.data.startswith(jpeg.SOI) and min(unit.size) > 0)


def test_the_exact_size_is_taken_where_the_header_rounds_it() -> None:
    """402x302 is sent as 408x304; a statement of quite another size is not believed."""
    file = encode_jpeg(402, 302)
    packets = jpeg_packets([jpeg_payloads(take_apart(file))])
    (unit,) = run(packets)
    assert unit.size[:2] == (408, 304) and np.array_equal(luma(unit.data)[:302, :402], luma(file))
    (unit,) = run(packets, JpegDepacketiser([jpeg.frame_header(402, 302)]))
    assert unit.size[:2] == (402, 302) and np.array_equal(luma(unit.data), luma(file))
    assert run(packets, JpegDepacketiser([jpeg.frame_header(640, 480)]))[0].size[:2] == (408, 304)


SDP = "v=0\r\ns=x\r\nt=0 0\r\na=control:*\r\nm=video 0 RTP/AVP {pt}\r\n{lines}a=control:track1\r\n"


def description(*lines: str, pt: int = 26) -> bytes:
    """A description of one JPEG track."""
    return SDP.format(pt=pt, lines="".join(f"a={line}\r\n" for line in lines)).encode()


@pytest.mark.parametrize(
    ("lines", "size"),
    [
        (("x-dimensions:2560,1440",), (2560, 1440)),
        (("x-dimensions: 2560 , 1440 ",), (2560, 1440)),
        (("framesize:26 2592-1944",), (2592, 1944)),
        (("framesize:96 640-480", "framesize:26 2592-1944"), (2592, 1944)),
        (("x-dimensions:0,1440",), None),
        (("x-dimensions:99999,1440",), None),
        (("x-dimensions:2560x1440",), None),
        ((), None),
    ],
)
def test_the_size_that_a_description_states(lines: tuple[str, ...], size: tuple[int, int] | None) -> None:
    """GStreamer's x-dimensions, 3GPP's framesize; what makes no sense is passed over."""
    track = pick_video(parse_sdp(description(*lines)))
    assert (track.codec, track.payload_type, track.clock_rate) == ("mjpeg", 26, 90_000)
    assert jpeg.size_stated(b"".join(track.parameter_sets)) == size


def look(packets: list[bytes], body: bytes, *, at: bytes = b"") -> list[bytes]:
    """A whole conversation with a camera that sends `packets`."""
    return [GOOD.options, reply(2, body=body), GOOD.setup, GOOD.play, at + b"".join(map(frame, packets))]


@pytest.mark.parametrize(
    ("pt", "lines"),
    [(26, ()), (26, ("rtpmap:26 JPEG/90000",)), (96, ("rtpmap:96 JPEG/90000",)), (98, ("rtpmap:98 jpeg",))],
)
def test_a_look_ends_with_the_first_whole_picture(pt: int, lines: tuple[str, ...]) -> None:
    """Payload type 26 without a word of it, or any other by name."""
    packets = jpeg_packets([PAYLOADS, PAYLOADS], pt=pt)
    talked, _ = talk(*look(packets, description(*lines, pt=pt)))
    assert talked.failure is None and talked.keyframe is not None
    assert (talked.codec, talked.width, talked.height) == ("mjpeg", 320, 240)
    assert talked.keyframe.codec == "mjpeg" and np.array_equal(luma(talked.keyframe.data), luma(FILE))
    assert talked.media_bytes == sum(map(len, packets[: len(PAYLOADS)]))


def test_too_large_a_picture_never_comes_out() -> None:
    """Its size is checked before any decoder sees it."""
    packets = jpeg_packets([jpeg_payloads(APART, sides=(0, 0))])
    talked, _ = talk(*look(packets, description("x-dimensions:4096,3072")))
    assert failed(talked) == (Reason.MEDIA_TOO_LARGE, Step.FIRST_KEYFRAME)
    assert (talked.width, talked.height) == (4096, 3072)


def test_a_size_that_nobody_tells_ends_the_look_by_name() -> None:
    """media.unsupported_codec at first_keyframe."""
    talked, _ = talk(*look(jpeg_packets([jpeg_payloads(APART, sides=(0, 0))]), description()))
    assert failed(talked) == (Reason.MEDIA_UNSUPPORTED_CODEC, Step.FIRST_KEYFRAME)


def test_every_piece_size_gives_the_same() -> None:
    """The way of H.264's fragments is not taken for JPEG, whatever its bytes look like."""
    packets = jpeg_packets([PAYLOADS])
    whole, _ = talk(*look(packets, description()))
    media = b"".join(map(frame, packets))
    for size in (1, 7, 1000):
        pieces = [media[at : at + size] for at in range(0, len(media), size)]
        cut, _ = talk(*look([], description())[:4], *pieces)
        assert cut.keyframe == whole.keyframe


@pytest.mark.parametrize("pt", [26, 97])
def test_a_recording_of_jpeg_shows_nothing_and_replays(pt: int) -> None:
    """Same verdict, size and bytes counted; of the scan's data nothing is left."""
    talked, recorder = record(*look(jpeg_packets([PAYLOADS], pt=pt), description(f"rtpmap:{pt} JPEG/90000", pt=pt)))
    assert talked.keyframe is not None
    again = replay(load(dump(recorder)))
    same(talked, again, picture=False)
    assert again.keyframe is not None
    apart = take_apart(again.keyframe.data)
    assert apart.tables == APART.tables and not apart.scan.strip(b"\x00")
    same(talked, replay(load(dump(recorder, with_picture=True))), picture=True)


@given(st.binary(max_size=60), st.booleans())
def test_reducing_any_jpeg_packet_keeps_length_and_outcome(payload: bytes, marker: bool) -> None:
    """Twice is as once, and headers stay."""
    packet = rtp(payload, 1, 0, marker=marker, pt=26)
    reduced = without_picture(packet)
    assert len(reduced) == len(packet) and reduced[:20] == packet[:20] and without_picture(reduced) == reduced


def test_inputs_that_once_crashed_another_depacketiser(shared_data: Path) -> None:
    """LookError or nothing."""
    files = sorted((shared_data / "rtsp" / "gortsplib-fuzz").glob("*rtpmjpeg*"))
    assert files
    for file in files:
        for literal in go_literals(file):
            payloads = [literal, *(literal[at:] for at in range(1, len(literal), 7))]
            for payload in payloads:
                with contextlib.suppress(LookError):
                    run([rtp(payload, 1, 0), rtp(payload, 2, 0, marker=True)])


HEADS = st.builds(
    lambda offset, kind, quality, sides: struct.pack("!I", offset) + bytes((kind, quality, *sides)),
    st.sampled_from([0, 0, 4, 20, 2**24 - 1]),
    st.sampled_from([0, 1, 64, 65, 2, 200]),
    st.sampled_from([0, 1, 99, 100, 128, 200, 255]),
    st.tuples(st.integers(0, 255), st.integers(0, 255)),
)
TABLES = st.sampled_from([b"", b"\x00\x00\x00\x00", b"\x00\x00\x00\x80" + b"\x01" * 128, b"\x00\x03\xff\xff"])
RANDOM = st.one_of(
    st.binary(max_size=40),
    st.builds(lambda *parts: b"".join(parts), HEADS, TABLES, st.binary(max_size=20)),
    st.sampled_from(PAYLOADS),
)


@settings(max_examples=400)
@given(st.lists(st.tuples(RANDOM, st.booleans(), st.booleans(), st.integers(0, 1)), max_size=20))
def test_any_payloads_raise_nothing_but_look_errors(pushed: list[tuple[bytes, bool, bool, int]]) -> None:
    """And what comes out has all its headers, one scan, and one end."""
    depacketiser = DEPACKETISERS["mjpeg"]()
    assert isinstance(depacketiser, JpegDepacketiser)
    for number, (payload, marker, lost, time) in enumerate(pushed):
        packet = parse_rtp(rtp(payload, number, time, marker=marker))
        assert packet is not None
        with contextlib.suppress(LookError):
            depacketiser.push(packet, after_loss=lost)
        unit = depacketiser.pull()
        if unit is not None:
            apart: Apart = take_apart(unit.data)
            assert (apart.width, apart.height) == unit.size[:2] and len(apart.tables) == 2


def test_a_picture_without_end_is_bounded() -> None:
    """Given up above the cap in bytes and in fragments."""
    for name, cap in (("MAX_ACCESS_UNIT", 10_000), ("MAX_PARTS", 5)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(depacketise_jpeg, name, cap)
            depacketiser = JpegDepacketiser()
            assert run(jpeg_packets([PAYLOADS]), depacketiser) == [] and depacketiser.broken == 1
