"""Whole keyframes out of RTP payloads: what an encoder wrote, every way to lose parts of it, and what cameras do."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.errors import Reason
from streamwatch.model.look import Depth
from streamwatch.wire.ask import Ask
from streamwatch.wire.conversation import Conversation
from streamwatch.wire.depacketise import DEPACKETISERS, H264Depacketiser, KeyUnit, pictures
from streamwatch.wire.depacketise.pictures import State
from streamwatch.wire.rtp import parse_rtp
from tests.wire.camera import URL, Picture, encode, fragments, packetise, rtp, script, units_of
from tests.wire.pulling import depacketised
from tests.wire.test_bitstream import Bits, sps
from tests.wire.test_rtsp import go_literals

PICTURES = encode(320, 240, pictures=3)
SLICED = encode(320, 240, pictures=3, slices=3)
SPS, PPS = PICTURES[0][:2]


def vcl(picture: Picture) -> list[bytes]:
    """The slices of a picture."""
    return [unit for unit in picture if unit[0] & 0x1F in {1, 5}]


def run(packets: list[bytes], depacketiser: H264Depacketiser | None = None) -> list[KeyUnit]:
    """Every keyframe that comes out of RTP packets."""
    return depacketised(packets, depacketiser or H264Depacketiser())


def decoded(unit: KeyUnit) -> tuple[int, int, bool]:
    """Width, height and damage as FFmpeg sees them."""
    codec = av.CodecContext.create("h264", "r")
    assert isinstance(codec, av.VideoCodecContext)
    frames = [*codec.decode(av.Packet(unit.data)), *codec.decode(None)]
    assert len(frames) == 1
    return frames[0].width, frames[0].height, frames[0].is_corrupt


@pytest.mark.parametrize("pictures", [PICTURES, SLICED], ids=["one slice", "three slices"])
@pytest.mark.parametrize("mtu", [60, 1400, 60000])
@pytest.mark.parametrize("stap", [False, True])
@pytest.mark.parametrize("marker", [False, True])
def test_the_first_picture_comes_out_whole(pictures: tuple[Picture, ...], mtu: int, stap: bool, marker: bool) -> None:
    """Parameter sets and all slices, in each packetisation, ended by marker bits or by the next timestamp."""
    (unit,) = run(packetise(pictures, mtu=mtu, stap=stap, marker=marker))
    assert list(units_of(unit.data)) == [
        SPS if pictures is PICTURES else pictures[0][0],
        pictures[0][1],
        *vcl(pictures[0]),
    ]
    assert (unit.timestamp, unit.idr) == (0, True)
    assert decoded(unit) == (320, 240, False)


def test_marker_ends_the_picture_at_once_and_the_next_timestamp_ends_it_too() -> None:
    """With the marker nothing more is waited for; without it one packet more."""
    assert len(run(packetise(PICTURES[:1]))) == 1
    assert run(packetise(PICTURES[:1], marker=False)) == []
    assert len(run(packetise(PICTURES[:2], marker=False)[: len(packetise(PICTURES[:1])) + 1])) == 1


def test_joining_in_the_middle_is_no_loss() -> None:
    """What comes before the first whole keyframe is skipped without being counted as broken."""
    again = [*PICTURES, *PICTURES]
    packets = packetise(again, mtu=100)
    whole = len(run(packets))
    assert whole == 2
    idr = next(index for index, packet in enumerate(packets) if packet[12] & 0x1F == 28 and packet[13] & 0x1F == 5)
    for begin in range(1, len(packetise(PICTURES, mtu=100)) + 1):
        depacketiser = H264Depacketiser((SPS, PPS))
        assert len(run(packets[begin:], depacketiser)) == (2 if begin <= idr else 1)
        assert (depacketiser.broken, depacketiser.malformed) == (0, 0)


def test_a_slice_that_is_not_the_first_begins_no_whole_picture() -> None:
    """Joining between two slices of an IDR picture is the middle of it."""
    slices = vcl(SLICED[0])
    packets = packetise([slices[1:], *SLICED[1:], SLICED[0]])
    assert [unit.timestamp for unit in run(packets, H264Depacketiser(SLICED[0][:2]))] == [3 * 3600]


@pytest.mark.parametrize("marker", [False, True])
def test_any_single_loss_gives_the_next_whole_keyframe_and_never_a_damaged_one(marker: bool) -> None:
    """Each packet lost in its turn: what comes out decodes without damage."""
    packets = packetise([*SLICED, *SLICED, *SLICED[:2]], mtu=200, marker=marker)
    expected = {unit.timestamp: unit.data for unit in run(packets)}
    for lost in range(len(packets)):
        units = run([*packets[:lost], *packets[lost + 1 :]], H264Depacketiser(SLICED[0][:2]))
        assert units
        for unit in units:
            assert unit.data == expected[unit.timestamp]


def test_half_of_all_packets_lost_gives_only_whole_pictures() -> None:
    """50 % loss, in many patterns, against the keyframes of the lossless run."""
    packets = packetise([*SLICED, *SLICED, *SLICED, *SLICED], mtu=700)
    expected = {unit.timestamp: unit.data for unit in run(packets)}
    for seed in range(200):
        dice = random.Random(seed)
        kept = [packet for packet in packets if dice.random() < 0.5]
        for unit in run(kept, H264Depacketiser(SLICED[0][:2])):
            assert unit.data == expected[unit.timestamp]


def test_in_band_parameter_sets_win_over_the_description() -> None:
    """sprop of another size, or wrong at all, is forgotten when the stream has its own."""
    other = encode(640, 480, pictures=1)[0]
    (unit,) = run(packetise(PICTURES), H264Depacketiser(other[:2]))
    assert units_of(unit.data)[0] == SPS
    assert decoded(unit) == (320, 240, False)
    (unit,) = run(packetise(PICTURES), H264Depacketiser((b"\x67garbage", b"\x68", b"\x65no set")))
    assert decoded(unit) == (320, 240, False)


def test_sets_of_the_description_leave_room_for_those_in_band() -> None:
    """However many there were, they go when the stream's own come."""
    own = [sps(sps_id=20), Bits().ue(0).ue(20).u(8, 0).nal(0x68), *vcl(PICTURES[0])]
    (unit,) = run(
        packetise([own]), H264Depacketiser([sps(sps_id=number) for number in range(pictures.MAX_PARAMETER_SETS)])
    )
    assert unit.sps == own[0]


def test_parameter_sets_only_in_the_description() -> None:
    """Cameras that never repeat them, in either order."""
    bare = [vcl(picture) for picture in PICTURES]
    for sets in ((SPS, PPS), (PPS, SPS)):
        (unit,) = run(packetise(bare), H264Depacketiser(sets))
        assert decoded(unit) == (320, 240, False)


def test_a_keyframe_without_parameter_sets_is_not_ready() -> None:
    """It is counted, and the next one with sets is taken."""
    depacketiser = H264Depacketiser()
    units = run(packetise([vcl(PICTURES[0]), *PICTURES[1:], *PICTURES]), depacketiser)
    assert ([unit.timestamp for unit in units], depacketiser.unready) == ([3 * 3600], 1)


def test_resolution_that_changes_at_an_idr_takes_its_own_parameter_sets() -> None:
    """Each keyframe carries the sets in force."""
    other = encode(640, 480, pictures=1)
    units = run(packetise([*PICTURES, *other]))
    assert [decoded(unit)[:2] for unit in units] == [(320, 240), (640, 480)]


def test_ivel_marks_sei_and_parameter_sets() -> None:
    """A marker bit on what is no slice ends nothing."""
    packets = [rtp(unit, 1 + index, 0, marker=True) for index, unit in enumerate(PICTURES[0])]
    (unit,) = run(packets)
    assert vcl(units_of(unit.data)) == vcl(PICTURES[0])
    refresh = [b"\x06\x06\x01\xc4\x80", *(unit[:1].replace(b"\x65", b"\x61") + unit[1:] for unit in vcl(PICTURES[0]))]
    packets = [rtp(unit, 1 + index, 0, marker=True) for index, unit in enumerate(refresh)]
    assert [unit.idr for unit in run(packets, H264Depacketiser((SPS, PPS)))] == [False]


def test_constant_timestamp_without_marker_ends_at_what_begins_a_picture() -> None:
    """Cameras that neither count time nor mark: the next first slice, SPS or delimiter ends the picture."""
    (unit,) = run(packetise(SLICED, marker=False, step=0))
    assert vcl(units_of(unit.data)) == vcl(SLICED[0])
    again = [*vcl(SLICED[0]), b"\x09\xf0", *vcl(SLICED[1])]
    assert len(run([rtp(unit, 1 + index, 0) for index, unit in enumerate(again)], H264Depacketiser(SLICED[0][:2]))) == 1


@pytest.mark.parametrize("marker", [False, True])
@pytest.mark.parametrize("between", [SLICED[0][:2], (b"\x06\x05\x01x\x80",), (*SLICED[0][:2], b"\x06\x06\x01\xc4\x80")])
def test_gstreamer_repeats_parameter_sets_before_every_slice(marker: bool, between: Picture) -> None:
    """rtph264pay with config-interval=-1: sets and SEI between the slices of one keyframe do not end it."""
    repeated = [*SLICED[0][:2], *(unit for piece in vcl(SLICED[0]) for unit in (*between, piece))]
    packets = packetise([repeated, *SLICED[1:]], mtu=300, marker=marker)
    (unit,) = run(packets)
    assert vcl(units_of(unit.data)) == vcl(SLICED[0])
    assert decoded(unit) == (320, 240, False)
    for lost in range(len(packets)):
        for found in run([*packets[:lost], *packets[lost + 1 :]]):
            assert vcl(units_of(found.data)) == vcl(SLICED[0])


def test_sets_after_a_picture_belong_to_the_next_one() -> None:
    """New parameter sets behind the last slice, without marker and with a constant clock."""
    other = encode(640, 480, pictures=2)
    units = run(packetise([SLICED[0], *other], marker=False, step=0))
    assert [decoded(unit)[:2] for unit in units] == [(320, 240), (640, 480)]


def test_tiandy_changes_the_type_within_fragments() -> None:
    """The first fragment's type holds."""
    (idr,) = vcl(PICTURES[0])
    pieces = [
        piece if index == 0 else piece[:1] + bytes((piece[1] & 0xE0 | 1,)) + piece[2:]
        for index, piece in enumerate(fragments(idr, 500))
    ]
    packets = [rtp(piece, 1 + index, 0) for index, piece in enumerate([SPS, PPS, *pieces])]
    packets[-1] = rtp(pieces[-1], len(packets), 0, marker=True)
    (unit,) = run(packets)
    assert units_of(unit.data)[-1] == idr


def test_empty_fragments_and_empty_payloads_mean_nothing() -> None:
    """Also a last fragment that is empty."""
    (idr,) = vcl(PICTURES[0])
    pieces = fragments(idr, 500)
    last = pieces[-1]
    pieces[-1] = last[:1] + bytes((last[1] & ~0x40,)) + last[2:]
    pieces.insert(1, pieces[1][:2])
    pieces.append(last[:2])
    payloads = [SPS, b"", PPS, *pieces]
    packets = [rtp(piece, 1 + index, 0, marker=index == len(payloads) - 1) for index, piece in enumerate(payloads)]
    (unit,) = run(packets)
    assert units_of(unit.data)[-1] == idr


@pytest.mark.parametrize("zeros", [2, 3, 6])
def test_v380_sends_annex_b_within_a_payload(zeros: int) -> None:
    """Start codes of any length inside a single payload, inside fragments, and before the first unit."""
    code = bytes(zeros) + b"\x01"
    stream = b"".join(code + unit for unit in PICTURES[0])
    for payloads in ([stream], [stream[len(code) :]], fragments(stream[len(code) :], 500)):
        packets = [rtp(piece, 1 + index, 0, marker=index == len(payloads) - 1) for index, piece in enumerate(payloads)]
        (unit,) = run(packets)
        assert vcl(units_of(unit.data)) == vcl(PICTURES[0])


def test_reolink_bytes_after_the_parameter_sets() -> None:
    """Trailing zeros, and more, after an SPS do not hide its size."""
    packets = packetise([[SPS + b"\x00\x00", PPS + b"\x00", *vcl(PICTURES[0])]])
    (unit,) = run(packets)
    assert decoded(unit) == (320, 240, False)


def test_a_recovery_point_of_intra_slices_is_a_keyframe() -> None:
    """Streams without IDR: SEI recovery point, then a picture of I slices."""
    intra = [
        unit
        for unit in encode(320, 240, pictures=2, extra="keyint=1:min-keyint=1:open-gop=1")[0]
        if unit[0] & 0x1F == 5
    ]
    assert intra
    refresh = encode(320, 240, pictures=60, extra="keyint=20:min-keyint=20:scenecut=0:open-gop=1:bframes=2:b-adapt=0")
    point = b"\x06\x06\x01\xc4\x80"
    later = [
        picture
        for picture in refresh[1:]
        if any(unit[0] & 0x1F == 6 for unit in picture) and all(unit[0] & 0x1F != 5 for unit in picture)
    ]
    assert later, "the encoder wrote no recovery point"
    units = run(packetise([[point, *vcl(later[0])], *PICTURES[1:]]), H264Depacketiser(refresh[0][:2]))
    assert [unit.idr for unit in units] == [False]
    inter = run(packetise([[point, *vcl(PICTURES[1])], *PICTURES[1:]]), H264Depacketiser(PICTURES[0][:2]))
    assert inter == []


(IDR,) = vcl(PICTURES[0])


def test_v380_sends_annex_b_within_aggregates() -> None:
    """One unit of a STAP-A that is several, with start codes of three and four bytes, and zeros behind."""
    sets = SPS + b"\x00\x00\x00\x01" + PPS + b"\x00\x00\x01\x06\x05\x01x\x80\x00\x00"
    (unit,) = run([rtp(b"\x78" + struct.pack("!H", len(sets)) + sets, 1, 0), rtp(IDR, 2, 0, marker=True)])
    assert list(units_of(unit.data)) == [SPS, PPS, IDR]


def test_v380_sends_annex_b_within_fragments_of_no_unit() -> None:
    """The start code itself is what is fragmented: its first byte is taken for a header, of type 0."""
    stream = b"".join(b"\x00\x00\x00\x01" + unit for unit in PICTURES[0])
    pieces = fragments(stream, 700)
    (unit,) = run([rtp(piece, 1 + index, 0, marker=piece is pieces[-1]) for index, piece in enumerate(pieces)])
    assert vcl(units_of(unit.data)) == [IDR]


def test_a_fragment_may_be_the_whole_unit() -> None:
    """Start and end both set, which section 5.8 forbids."""
    (unit,) = run([rtp(SPS, 1, 0), rtp(PPS, 2, 0), rtp(fragments(IDR, len(IDR))[0], 3, 0, marker=True)])
    assert units_of(unit.data)[-1] == IDR


@pytest.mark.parametrize("marker", [False, True])
@pytest.mark.parametrize(
    "between", [b"\x09\xf0", b"\x06\x05\x01x\x80", b"\x0c\xff\xff\x80", b"\x0a", b"\x0b", b"\x0e\x40"]
)
def test_what_stands_between_slices_does_not_end_the_picture(marker: bool, between: bytes) -> None:
    """Delimiter, SEI, filler data, ends of sequence and stream, prefix: the next slice tells."""
    units = [*SLICED[0][:2], *(unit for piece in vcl(SLICED[0]) for unit in (between, piece)), between]
    (unit,) = run(packetise([units, *SLICED[1:]], mtu=300, marker=marker))
    assert vcl(units_of(unit.data)) == vcl(SLICED[0])
    assert decoded(unit) == (320, 240, False)


def aggregate(units: list[bytes], number: int | None = None) -> bytes:
    """STAP-A, or STAP-B where there is a decoding order number."""
    head = b"\x78" if number is None else b"\x79" + struct.pack("!H", number)
    return head + b"".join(struct.pack("!H", len(unit)) + unit for unit in units)


def multi_time(units: list[tuple[int, int, bytes]], number: int, width: int) -> bytes:
    """MTAP16 or MTAP24 of (number above `number`, time above the packet's, unit)."""
    parts = [struct.pack("!HB", len(unit), above) + later.to_bytes(width, "big") + unit for above, later, unit in units]
    return bytes((0x78 + width,)) + struct.pack("!H", number) + b"".join(parts)


def numbered(unit: bytes, size: int, number: int) -> list[bytes]:
    """FU-B, then FU-A."""
    first, *others = fragments(unit, size)
    return [bytes((first[0] + 1, first[1])) + struct.pack("!H", number) + first[2:], *others]


@pytest.mark.parametrize("first", [0, 65_533])
def test_the_interleaved_mode_is_read_where_nobody_interleaves(first: int) -> None:
    """STAP-B, and FU-B with the FU-A behind it; numbers go round after 65,535."""
    slices = vcl(SLICED[0])
    payloads = [
        aggregate([*SLICED[0][:2], slices[0]], first % 65_536),
        *numbered(slices[1], 400, (first + 3) % 65_536),
        *numbered(slices[2], 400, (first + 4) % 65_536),
    ]
    packets = [rtp(piece, 1 + index, 0, marker=piece is payloads[-1]) for index, piece in enumerate(payloads)]
    (unit,) = run(packets)
    assert vcl(units_of(unit.data)) == slices and decoded(unit) == (320, 240, False)
    for lost in range(len(packets)):
        assert run([*packets[:lost], *packets[lost + 1 :]], H264Depacketiser(SLICED[0][:2])) == []


@pytest.mark.parametrize("width", [2, 3])
def test_packets_of_several_times_hold_units_of_several_pictures(width: int) -> None:
    """MTAP16 and MTAP24: by their numbers, and each with a time of its own."""
    first, second = vcl(SLICED[0]), vcl(SLICED[1])
    units = [(2, 0, first[0]), (0, 0, SLICED[0][0]), (1, 0, SLICED[0][1])]
    early = multi_time(units, 7, width)
    late = multi_time(
        [(0, 0, first[1]), (1, 0, first[2]), *((2 + at, 3600, unit) for at, unit in enumerate(first))], 10, width
    )
    units = run([rtp(early, 1, 900), rtp(late, 2, 900), rtp(second[0], 3, 8100)])
    assert [(vcl(units_of(unit.data)), unit.timestamp) for unit in units] == [(first, 900), (first, 4500)]


def test_interleaved_units_cost_their_picture() -> None:
    """Numbers that go back: what would have to be put in order is not."""
    slices = vcl(SLICED[0])
    payloads = [aggregate([*SLICED[0][:2], slices[0]], 10), aggregate([slices[2]], 14), aggregate([slices[1]], 13)]
    depacketiser = H264Depacketiser()
    packets = [rtp(piece, 1 + index, 0, marker=index == 2) for index, piece in enumerate(payloads)]
    assert run(packets, depacketiser) == [] and depacketiser.malformed == 1
    run([rtp(b"\x7d\x45\x00\x20" + IDR, 4, 1)], depacketiser)  # a number, and not the first fragment
    assert depacketiser.malformed == 2


def test_a_gradual_refresh_is_seen_to_be_one() -> None:
    """x264's intra refresh has an IDR picture at the very beginning only; then points that need many pictures."""
    written = encode(320, 240, pictures=30, extra="intra-refresh=1:keyint=10")
    depacketiser = H264Depacketiser(written[0][:2])
    assert run(packetise(written[1:]), depacketiser) == []
    assert depacketiser.gradual >= 2 and depacketiser.broken == 0


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("why", ["gradual", "parameter sets", ""])
def test_a_look_says_why_no_keyframe_came(why: str, limited: bool) -> None:
    """Where its packets tell, by the deadline or at the limit of bytes."""
    written = {
        "gradual": encode(320, 240, pictures=30, extra="intra-refresh=1:keyint=10")[1:],
        "parameter sets": [vcl(picture) for picture in PICTURES],
        "": PICTURES[1:],
    }[why]
    packets = packetise(written)
    limit = sum(map(len, packets)) - (1 if limited else 0)
    talked = Conversation(Ask(URL, Depth.STREAM, max_media_bytes=limit), lambda: "c")
    talked.start(0.0)
    talked.receive(script(packets).whole, 1.0)
    talked.timeout(31.0)
    assert talked.failure is not None and talked.failure.reason is Reason.MEDIA_NO_KEYFRAME
    assert why in talked.failure.detail and (";" in talked.failure.detail) is (why != "")


FIELDS_SPS = (
    Bits().u(8, 77).u(8, 0).u(8, 30).ue(0).ue(0).ue(2).ue(1).u(1, 0).ue(1).ue(0)  # 32x32, frame numbers of 4 bits
    .u(1, 0).u(1, 0).u(1, 1).u(1, 0).u(1, 0).nal(0x67)
)  # fmt: skip
FIELDS_PPS = Bits().ue(0).ue(0).u(2, 0).ue(0).ue(0).ue(0).u(3, 0).ue(0).ue(0).ue(0).u(3, 0b100).nal(0x68)


def field(level: int | None, *, bottom: bool, idr: bool, frame: int = 0) -> bytes:
    """One slice that is a field of 32x16 pixels of that level; None: a copy of the other field."""
    bits = Bits().ue(0).ue(5 if level is None else 7).ue(0).u(4, frame).u(1, 1).u(1, bottom)
    if idr:
        bits = bits.ue(0)
    if level is None:
        bits = bits.u(2, 0)  # its own number of references, their order
    bits = bits.u(2 if idr else 1, 0).ue(0).ue(1)  # marking, quantiser, no deblocking
    if level is None:
        return bits.ue(2).nal(0x61)  # both macroblocks are skipped
    for _ in range(2):
        bits = bits.ue(25)  # I_PCM
        bits.text += "0" * (-len(bits.text) % 8)
        for sample in [level] * 256 + [128] * 128:
            bits = bits.u(8, sample)
    return bits.nal(0x65 if idr else 0x61)


TOP = field(40, bottom=False, idr=True)
POINT = b"\x06\x06\x01\xc4\x80"


@pytest.mark.parametrize("later", [0, 1800])
@pytest.mark.parametrize("marker", [False, True])
@pytest.mark.parametrize(
    ("second", "level"), [(field(200, bottom=True, idr=False), 200), (field(None, bottom=True, idr=False), 40)]
)
@pytest.mark.parametrize("between", [(), (b"\x09\xf0",), (FIELDS_SPS, FIELDS_PPS), (b"\x06\x05\x01x\x80",)])
def test_a_frame_of_two_fields_is_one_keyframe(
    second: bytes, level: int, between: Picture, marker: bool, later: int
) -> None:
    """PAFF: an IDR field, and one of its own or that refers to it; at one time or two, with or without markers."""
    units = [(FIELDS_SPS, 0), (FIELDS_PPS, 0), (TOP, 0), *((unit, later) for unit in between), (second, later)]
    units += [(field(40, bottom=False, idr=False, frame=1), 3600)]
    packets = [rtp(unit, 1 + at, time, marker=marker and len(unit) > 20) for at, (unit, time) in enumerate(units)]
    (unit,) = run(packets)
    assert vcl(units_of(unit.data)) == [TOP, second] and unit.idr
    codec = av.CodecContext.create("h264", "r")
    assert isinstance(codec, av.VideoCodecContext)
    (frame,) = [*codec.decode(av.Packet(unit.data)), *codec.decode(None)]
    rows = frame.to_ndarray()[:32, 0].tolist()  # of luma
    assert (frame.width, frame.height, rows) == (32, 32, [40, level] * 16)


@pytest.mark.parametrize(
    "following",
    [field(9, bottom=False, idr=False), field(9, bottom=True, idr=False, frame=1), vcl(PICTURES[1])[0], TOP],
    ids=["the same", "of the next frame", "a frame", "another keyframe"],
)
def test_a_field_without_its_other_one_is_no_keyframe(following: bytes) -> None:
    """Whatever comes behind it; and what is lost is not made up for by the next frame's."""
    depacketiser = H264Depacketiser((FIELDS_SPS, FIELDS_PPS))
    assert run([rtp(unit, 1 + at, at) for at, unit in enumerate([TOP, following, following])], depacketiser) == []
    assert depacketiser.broken >= 1
    other = field(9, bottom=True, idr=False)
    assert run([rtp(TOP, 1, 1, marker=True), rtp(other, 3, 2, marker=True)], depacketiser) == []
    assert len(run([rtp(TOP, 1, 1, marker=True), rtp(other, 2, 2, marker=True)], depacketiser)) == 1


def test_fields_at_a_recovery_point_are_both_intra() -> None:
    """The second could refer to what we have not seen."""
    top, own = field(40, bottom=False, idr=False, frame=5), field(200, bottom=True, idr=False, frame=5)
    copy = field(None, bottom=True, idr=False, frame=5)
    for second, count in ((own, 1), (copy, 0)):
        packets = [rtp(unit, 1 + at, 0) for at, unit in enumerate([FIELDS_SPS, FIELDS_PPS, POINT, top, second])]
        found = run([*packets, rtp(field(9, bottom=False, idr=False, frame=6), 6, 9)])
        assert [unit.idr for unit in found] == [False] * count


PIECES = fragments(IDR, 500)
ENDLESS = [PIECES[0], *[PIECES[1]] * 200]


@pytest.mark.parametrize(
    "payloads",
    [
        pytest.param(PIECES[1:], id="fragment without start"),
        pytest.param(PIECES[:-1], id="fragment without end"),
        pytest.param([PIECES[0], *PIECES], id="start twice, then whole"),
        pytest.param([*PIECES[:-1], b"\x41\x9a"], id="another unit before the end"),
        pytest.param([b"\x78\x00\xff" + IDR[:20]], id="aggregate past its end"),
        pytest.param([b"\x78\x00"], id="aggregate with half a length"),
        pytest.param([b"\x7c"], id="fragment of one byte"),
        pytest.param([b"\xe5" + IDR[1:]], id="forbidden bit"),
        pytest.param([b"\x65\x00\x00\x00\x00\x00"], id="slice head of zeros"),
        pytest.param([b"\x65"], id="slice of one byte"),
        pytest.param([b"\x79" + IDR, b"\x7d" + IDR, b"\x7e", b"\x7f\x00"], id="interleaved mode and undefined types"),
        pytest.param([b"\x79\x00", b"\x7a\x00\x01\x00", b"\x7b\x00\x01\x00\x09\x00\x00"], id="cut interleaved ones"),
        pytest.param([b"\x7d\x45\x00\x01" + IDR], id="a numbered fragment that is not the first"),
    ],
)
def test_broken_payloads_cost_their_picture_only(payloads: list[bytes]) -> None:
    """Nothing comes out of them but whole pictures, and the next keyframe is found."""
    bad = [rtp(payload, 1 + index, 0) for index, payload in enumerate(payloads)]
    good = packetise(PICTURES, first=1 + len(bad))
    good = [
        packet[:4] + struct.pack("!I", 90_000 + struct.unpack("!I", packet[4:8])[0]) + packet[8:] for packet in good
    ]
    units = run([*bad, *good], H264Depacketiser((SPS, PPS)))
    assert units[-1].timestamp == 90_000
    assert [unit for unit in units if not unit.data.endswith(IDR)] == []


def test_endless_fragments_stop_at_the_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The access unit's cap drops the picture, and what was kept with it."""
    monkeypatch.setattr(pictures, "MAX_ACCESS_UNIT", 5000)
    depacketiser = H264Depacketiser((SPS, PPS))
    assert run([rtp(piece, 1 + index, 0) for index, piece in enumerate(ENDLESS)], depacketiser) == []
    assert (depacketiser.broken, depacketiser.state) == (1, State.SKIPPING)


def test_tiny_fragments_stop_at_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million one-byte fragments would cost more for their objects than for their bytes."""
    monkeypatch.setattr(pictures, "MAX_PARTS", 100)
    depacketiser = H264Depacketiser((SPS, PPS))
    run([rtp(piece, 1 + index, 0) for index, piece in enumerate(fragments(IDR, 1)[:300])], depacketiser)
    assert (depacketiser.broken, depacketiser.state) == (1, State.SKIPPING)


def test_the_cap_itself_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture of exactly the cap passes, one byte more does not."""
    size = sum(4 + len(unit) for unit in vcl(PICTURES[0]))
    monkeypatch.setattr(pictures, "MAX_ACCESS_UNIT", size)
    assert len(run(packetise(PICTURES))) == 1
    monkeypatch.setattr(pictures, "MAX_ACCESS_UNIT", size - 1)
    assert run(packetise(PICTURES)) == []


def test_a_flood_of_parameter_sets_is_bounded() -> None:
    """At most MAX_PARAMETER_SETS of a kind are remembered."""
    depacketiser = H264Depacketiser()
    flood = [sps(sps_id=number) for number in range(32)]
    run([rtp(unit, 1 + index, 0) for index, unit in enumerate(flood)], depacketiser)
    assert len(depacketiser._sps) == pictures.MAX_PARAMETER_SETS


def test_the_state_has_four_names() -> None:
    """JOINED, BUILDING, COMPLETE, and SKIPPING after a loss."""
    depacketiser = H264Depacketiser((SPS, PPS))
    packets = [parse_rtp(packet) for packet in packetise([vcl(PICTURES[0])], mtu=500)]
    assert depacketiser.state is State.JOINED
    for packet in packets:
        assert packet is not None
        depacketiser.push(packet)
        assert depacketiser.state is (State.COMPLETE if packet.marker else State.BUILDING)
    assert depacketiser.pull() is not None
    assert depacketiser.pull() is None
    assert depacketiser.state is State.JOINED
    assert packets[0] is not None and packets[2] is not None
    depacketiser.push(packets[0])
    depacketiser.push(packets[2], after_loss=True)
    assert depacketiser.state is State.SKIPPING


def test_go_fuzz_inputs(shared_data: Path) -> None:
    """Inputs that once crashed another depacketiser."""
    files = sorted((shared_data / "rtsp" / "gortsplib-fuzz").glob("*rtph264*"))
    assert files
    for file in files:
        for literal in go_literals(file):
            payloads = [literal, *(literal[at:] for at in range(1, len(literal), 7))]
            run([rtp(payload, 1 + index, index // 3) for index, payload in enumerate(payloads)])
            packet = parse_rtp(literal)
            if packet is not None:
                H264Depacketiser().push(packet)


PAYLOADS = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            SPS,
            PPS,
            IDR,
            *PIECES,
            b"\x78" + struct.pack("!H", len(SPS)) + SPS,
            b"\x06\x06\x01\xc4\x80",
            b"\x09\xf0",
            *vcl(PICTURES[1]),
        ]
    ),
    st.builds(
        lambda head, rest: bytes(head) + rest,
        st.tuples(st.sampled_from([0x7C, 0x78, 0x65, 0x41, 0x67]), st.integers(0, 255)),
        st.binary(max_size=30),
    ),
)


@settings(max_examples=300)
@given(st.lists(st.tuples(PAYLOADS, st.integers(0, 2), st.booleans(), st.booleans()), max_size=40))
def test_any_payloads_are_survived_and_memory_is_bounded(packets: list[tuple[bytes, int, bool, bool]]) -> None:
    """No exception; what comes out begins with its parameter sets; nothing is kept where nothing is built."""
    depacketiser = DEPACKETISERS["h264"]()
    for index, (payload, timestamp, marker, lost) in enumerate(packets):
        packet = parse_rtp(rtp(payload, index, timestamp, marker=marker))
        assert packet is not None
        depacketiser.push(packet, after_loss=lost)
        unit = depacketiser.pull()
        if unit is not None:
            assert unit.data.startswith(b"\x00\x00\x00\x01" + unit.sps + b"\x00\x00\x00\x01")
        if depacketiser.state is State.SKIPPING:
            assert depacketiser._parts == []
        assert depacketiser._size <= pictures.MAX_ACCESS_UNIT
