"""Whole H.265 keyframes out of RTP payloads: what an encoder wrote, every way to lose parts of it, and odd senders."""

from __future__ import annotations

import random
import struct

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.errors import LookError, Reason, Step
from streamwatch.model.look import Depth
from streamwatch.wire import media as media_module
from streamwatch.wire.conversation import Ask, Conversation
from streamwatch.wire.depacketise import DEPACKETISERS, H265Depacketiser, KeyUnit, pictures
from streamwatch.wire.depacketise.pictures import State
from streamwatch.wire.fragments import take_run
from streamwatch.wire.rtp import parse_rtp
from streamwatch.wire.sdp import parse_sdp, pick_video
from streamwatch.wire.transcript import Recorder, dump, load, replay
from tests.wire.camera import URL, Picture, frame, reply, rtp, script, units_of
from tests.wire.camera_h265 import aggregate, encode, fragments, kind, numbered, packetise, sdp, vcl
from tests.wire.pulling import depacketised
from tests.wire.test_bitstream import Bits
from tests.wire.test_bitstream_h265 import sps
from tests.wire.test_conversation import failed, outcome

PICTURES = encode(320, 256)
SLICED = encode(320, 256, slices=3)
SETS = PICTURES[0][:3]
VPS, SPS, PPS = SETS
(IDR,) = vcl(PICTURES[0])


def run(packets: list[bytes], depacketiser: H265Depacketiser | None = None) -> list[KeyUnit]:
    """Every keyframe that comes out of RTP packets."""
    return depacketised(packets, depacketiser or H265Depacketiser())


def decoded(unit: KeyUnit) -> tuple[int, int]:
    """Width and height as FFmpeg sees them."""
    codec = av.CodecContext.create("hevc", "r")
    assert isinstance(codec, av.VideoCodecContext)
    (picture,) = [*codec.decode(av.Packet(unit.data)), *codec.decode(None)]
    return picture.width, picture.height


def retyped(picture: Picture, number: int) -> Picture:
    """Its slices as another kind of picture."""
    return tuple(bytes((number << 1,)) + unit[1:] if kind(unit) < 32 else unit for unit in picture)


def test_the_encoder_wrote_what_the_tests_need() -> None:
    """An IDR picture first, three slices where they were asked for."""
    assert [kind(unit) for unit in SETS] == [32, 33, 34]
    assert [kind(unit) for unit in vcl(SLICED[0])] == [20, 20, 20]
    assert [kind(unit) for unit in vcl(SLICED[1])] == [1, 1, 1]


@pytest.mark.parametrize("found", [PICTURES, SLICED], ids=["one slice", "three slices"])
@pytest.mark.parametrize("mtu", [60, 1400, 60000])
@pytest.mark.parametrize("aggregated", [False, True])
@pytest.mark.parametrize("marker", [False, True])
@pytest.mark.parametrize("don", [False, True])
def test_the_first_picture_comes_out_whole(
    found: tuple[Picture, ...], mtu: int, aggregated: bool, marker: bool, don: bool
) -> None:
    """Parameter sets and all slices, in each packetisation, with decoding order numbers and without."""
    packets = packetise(found, mtu=mtu, aggregated=aggregated, marker=marker, don=don)
    (unit,) = run(packets, H265Depacketiser.of((), {"sprop-max-don-diff": "2"} if don else {}))
    assert list(units_of(unit.data)) == [*found[0][:3], *vcl(found[0])]
    assert (unit.timestamp, unit.idr) == (0, True)
    assert decoded(unit) == (320, 256)


def test_marker_ends_the_picture_at_once_and_the_next_timestamp_ends_it_too() -> None:
    """With the marker nothing more is waited for; without it one packet more."""
    assert len(run(packetise(PICTURES[:1]))) == 1
    assert run(packetise(PICTURES[:1], marker=False)) == []
    assert len(run(packetise(PICTURES[:2], marker=False)[: len(packetise(PICTURES[:1])) + 1])) == 1


def test_joining_in_the_middle_is_no_loss() -> None:
    """What comes before the first whole keyframe is skipped without being counted as broken."""
    packets = packetise([*PICTURES, *PICTURES], mtu=100)
    assert len(run(packets)) == 2
    idr = next(index for index, packet in enumerate(packets) if packet[12] == 49 << 1 and packet[14] & 0x3F == 20)
    for begin in range(1, len(packetise(PICTURES, mtu=100)) + 1):
        depacketiser = H265Depacketiser(SETS)
        assert len(run(packets[begin:], depacketiser)) == (2 if begin <= idr else 1)
        assert (depacketiser.broken, depacketiser.malformed) == (0, 0)


@pytest.mark.parametrize("number", range(16, 22))
def test_every_picture_that_needs_no_other_is_a_keyframe(number: int) -> None:
    """IDR, CRA and BLA; only IDR says so."""
    (unit,) = run(packetise([retyped(PICTURES[0], number)]))
    assert unit.idr is (number in {19, 20})


def test_a_stream_without_idr_after_its_first_picture_is_joined_at_a_cra() -> None:
    """An open group of pictures: the leading pictures behind it are not looked at."""
    found = encode(320, 256, pictures=24, extra="keyint=8:min-keyint=8:open-gop=1:bframes=2:b-adapt=0:scenecut=0")
    at = next(index for index, picture in enumerate(found) if any(kind(unit) == 21 for unit in picture))
    assert {kind(unit) for unit in vcl(found[at + 1])} <= {6, 7, 8, 9}
    (unit, *_) = run(packetise(found[at - 1 :]), H265Depacketiser(found[0][:3]))
    assert not unit.idr and vcl(units_of(unit.data)) == vcl(found[at])
    assert decoded(unit) == (320, 256)


@pytest.mark.parametrize("number", [0, 1, 8, 9, 15, 22, 23, 31])
def test_other_pictures_are_none(number: int) -> None:
    """Trailing, leading and reserved ones, however intra they are."""
    depacketiser = H265Depacketiser()
    assert run(packetise([retyped(PICTURES[0], number), PICTURES[1]]), depacketiser) == []
    assert (depacketiser.broken, depacketiser.malformed, depacketiser.unready) == (0, 0, 0)


def test_slices_of_two_kinds_are_no_picture() -> None:
    """Clause 7.4.2.2: an IRAP picture has one kind of slices."""
    first, *rest = vcl(SLICED[0])
    mixed = [*SLICED[0][:3], first, *(bytes((1 << 1,)) + unit[1:] for unit in rest)]
    depacketiser = H265Depacketiser()
    assert run(packetise([mixed, SLICED[1]]), depacketiser) == []
    assert depacketiser.broken == 1


def test_a_slice_that_is_not_the_first_begins_no_whole_picture() -> None:
    """Joining between two slices of an IDR picture is the middle of it."""
    packets = packetise([vcl(SLICED[0])[1:], *SLICED[1:], SLICED[0]])
    assert [unit.timestamp for unit in run(packets, H265Depacketiser(SLICED[0][:3]))] == [3 * 3600]


@pytest.mark.parametrize("marker", [False, True])
def test_any_single_loss_gives_the_next_whole_keyframe_and_never_a_damaged_one(marker: bool) -> None:
    """Each packet lost in its turn: what comes out is what was sent."""
    packets = packetise([*SLICED, *SLICED, *SLICED[:2]], mtu=200, marker=marker)
    expected = {unit.timestamp: unit.data for unit in run(packets)}
    for lost in range(len(packets)):
        units = run([*packets[:lost], *packets[lost + 1 :]], H265Depacketiser(SLICED[0][:3]))
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
        for unit in run(kept, H265Depacketiser(SLICED[0][:3])):
            assert unit.data == expected[unit.timestamp]


def test_in_band_parameter_sets_win_over_the_description() -> None:
    """Sets of another size, or wrong at all, are forgotten when the stream has its own."""
    other = encode(640, 480, pictures=1)[0]
    for stated in (other[:3], (b"\x40\x01", b"\x42\x01garbage", b"\x44", b"")):
        (unit,) = run(packetise(PICTURES), H265Depacketiser(stated))
        assert units_of(unit.data)[1] == SPS
        assert decoded(unit) == (320, 256)


def test_parameter_sets_only_in_the_description_in_any_order() -> None:
    """Cameras that never repeat them."""
    for sets in ((VPS, SPS, PPS), (PPS, VPS, SPS)):
        (unit,) = run(packetise([vcl(picture) for picture in PICTURES]), H265Depacketiser(sets))
        assert list(units_of(unit.data)) == [VPS, SPS, PPS, IDR]


@pytest.mark.parametrize("missing", range(3))
def test_a_keyframe_without_one_of_its_sets_is_not_ready(missing: int) -> None:
    """It is counted, and the next one with sets is taken."""
    bare = [*SETS[:missing], *SETS[missing + 1 :], IDR]
    depacketiser = H265Depacketiser()
    units = run(packetise([bare, *PICTURES[1:], *PICTURES]), depacketiser)
    assert ([unit.timestamp for unit in units], depacketiser.unready) == ([3 * 3600], 1)


def test_only_the_sets_in_force_are_sent_along() -> None:
    """Those of another sequence stay behind."""
    other = [sps(sps_id=3, vps=2), Bits().u(8, 1).ue(7).ue(3).u(8, 0).nal(0x44)]
    (unit,) = run(packetise([[*other, *PICTURES[0]]]))
    assert list(units_of(unit.data)) == [*SETS, IDR]


def test_resolution_that_changes_takes_its_own_parameter_sets() -> None:
    """Also where neither marker nor clock tells where a picture ends."""
    other = encode(640, 480, pictures=2)
    for options in ({}, {"marker": False, "step": 0}):
        units = run(packetise([SLICED[0], *other], **options))  # type: ignore[arg-type]
        assert [decoded(unit) for unit in units] == [(320, 256), (640, 480)]


@pytest.mark.parametrize("end", [b"\x48\x01", b"\x4a\x01"], ids=["sequence", "stream"])
def test_constant_timestamp_without_marker_ends_at_what_ends_a_picture(end: bytes) -> None:
    """The end of a sequence or stream."""
    units = [*SLICED[0], end]
    assert len(run([rtp(unit, 1 + index, 0) for index, unit in enumerate(units)])) == 1
    assert run([rtp(unit, 1 + index, 0) for index, unit in enumerate(units[:-1])]) == []


@pytest.mark.parametrize("marker", [False, True])
def test_parameter_sets_and_messages_between_slices_do_not_end_the_picture(marker: bool) -> None:
    """Repeated before every slice, with a delimiter, and SEI before and behind; filler data too."""
    between = (
        b"\x46\x01\x50", *SLICED[0][:3], b"\x4e\x01\x05\x01x\x80", b"\x50\x01\x84\x01x\x80", b"\x4c\x01\xff\x80"
    )  # fmt: skip
    repeated = [*SLICED[0][:3], *(unit for piece in vcl(SLICED[0]) for unit in (*between, piece))]
    (unit,) = run(packetise([repeated, *SLICED[1:]], mtu=300, marker=marker))
    assert vcl(units_of(unit.data)) == vcl(SLICED[0])


def test_other_layers_are_passed_over() -> None:
    """Slices and sets that refine the picture are no part of it."""
    layered = [unit[:1] + b"\x09" + unit[2:] for unit in PICTURES[0]]
    high = [bytes((unit[0] | 1,)) + unit[1:] for unit in PICTURES[0]]
    (unit,) = run(packetise([[*SETS, *layered, *high, IDR, *layered]]))
    assert list(units_of(unit.data)) == [*SETS, IDR]


@pytest.mark.parametrize("zeros", [2, 3, 6])
def test_annex_b_within_a_payload(zeros: int) -> None:
    """Start codes of any length inside a single payload, inside fragments, and before the first unit."""
    code = bytes(zeros) + b"\x01"
    stream = b"".join(code + unit for unit in PICTURES[0])
    for payloads in ([stream], [stream[len(code) :]], fragments(stream[len(code) :], 500)):
        packets = [rtp(piece, 1 + index, 0, marker=index == len(payloads) - 1) for index, piece in enumerate(payloads)]
        (unit,) = run(packets)
        assert vcl(units_of(unit.data)) == [IDR]


def test_annex_b_within_aggregates() -> None:
    """One unit that is several."""
    sets = b"\x00\x00\x01".join(SETS) + b"\x00\x00"
    (unit,) = run([rtp(aggregate([sets]), 1, 0), rtp(IDR, 2, 0, marker=True)])
    assert list(units_of(unit.data)) == [*SETS, IDR]


@pytest.mark.parametrize("don", [False, True])
@pytest.mark.parametrize("skipped", [0, 3, 31])
def test_extensions_before_a_payload_are_passed_over(don: bool, skipped: int) -> None:
    """PACI around single units, aggregates and fragments."""
    packets = []
    for data in packetise(SLICED, mtu=400, aggregated=True, don=don):
        payload = data[12:]
        fields = struct.pack("!H", (payload[0] & 0x80) << 8 | kind(payload) << 9 | skipped << 4)
        wrapped = bytes((payload[0] & 0x01 | 50 << 1, payload[1])) + fields + bytes(skipped) + payload[2:]
        packets.append(data[:12] + wrapped)
    (unit,) = run(packets, H265Depacketiser(numbered=don))
    assert list(units_of(unit.data)) == [*SLICED[0][:3], *vcl(SLICED[0])]


@pytest.mark.parametrize("mode", ["MRST", "mrmt"])
def test_video_in_several_streams_is_refused_by_name(mode: str) -> None:
    """tx-mode: of one of them alone no picture may come; SRST is the usual way, said."""
    with pytest.raises(LookError, match=mode.upper()) as raised:
        H265Depacketiser.of((), {"tx-mode": mode})
    assert raised.value.reason is Reason.MEDIA_UNSUPPORTED_CODEC
    assert isinstance(H265Depacketiser.of((), {"tx-mode": "SRST"}), H265Depacketiser)
    talked, _ = talk(b"", sdp(fmtp=f";tx-mode={mode}"), [])
    assert failed(talked) == (Reason.MEDIA_UNSUPPORTED_CODEC, Step.DESCRIBE)


def test_a_gradual_refresh_is_seen_to_be_one() -> None:
    """x265's intra refresh: an IRAP picture at the very beginning only; the recovery points that it leaves out."""
    written = encode(320, 256, pictures=12, extra="intra-refresh=1:keyint=5")
    points = [(b"\x4e\x01\x06\x02\x14\x80\x80", *picture) for picture in written[1:] if len(picture) > 1]
    depacketiser = H265Depacketiser(SETS)
    assert run(packetise(points), depacketiser) == []
    assert depacketiser.gradual == len(points) > 0


PIECES = fragments(IDR, 500)


@pytest.mark.parametrize(
    "payloads",
    [
        pytest.param(PIECES[1:], id="fragment without start"),
        pytest.param(PIECES[:-1], id="fragment without end"),
        pytest.param([PIECES[0], *PIECES], id="start twice, then whole"),
        pytest.param([*PIECES[:-1], b"\x02\x01\x9a"], id="another unit before the end"),
        pytest.param([b"\x60\x01\x00\xff" + IDR[:20]], id="aggregate past its end"),
        pytest.param([b"\x60\x01\x00"], id="aggregate with half a length"),
        pytest.param([b"\x60"], id="aggregate of one byte"),
        pytest.param([b"\x62\x01"], id="fragment of two bytes"),
        pytest.param([bytes((IDR[0] | 0x80,)) + IDR[1:]], id="forbidden bit"),
        pytest.param([b"\x28\x01\x80\x00\x00\x00\x00\x00"], id="slice head of zeros"),
        pytest.param([b"\x28\x01"], id="slice of a header"),
        pytest.param([b"\x28"], id="unit of one byte"),
        pytest.param([b"\x64\x01" + IDR, b"\x66\x01", b"\x7e\x01" + IDR], id="PACI and unspecified types"),
        pytest.param([b"\x64\x01", b"\x64\x01\x64\x00\x02", b"\x64\x01\x29\xf0\x01"], id="PACI of nothing"),
        pytest.param([b"\x64\x01" + b"\x64\x00" * 30_000], id="PACI of PACI"),
    ],
)
def test_broken_payloads_cost_their_picture_only(payloads: list[bytes]) -> None:
    """Nothing comes out of them but whole pictures, and the next keyframe is found."""
    bad = [rtp(payload, 1 + index, 0) for index, payload in enumerate(payloads)]
    good = packetise(PICTURES, first=1 + len(bad))
    good = [
        packet[:4] + struct.pack("!I", 90_000 + struct.unpack("!I", packet[4:8])[0]) + packet[8:] for packet in good
    ]
    units = run([*bad, *good], H265Depacketiser(SETS))
    assert units[-1].timestamp == 90_000
    assert [unit for unit in units if not unit.data.endswith(IDR)] == []


def test_endless_and_tiny_fragments_stop_at_their_caps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The access unit's caps drop the picture, and what was kept with it; the cap itself is allowed."""
    size = 4 + len(IDR)
    monkeypatch.setattr(pictures, "MAX_ACCESS_UNIT", size)
    assert len(run(packetise(PICTURES))) == 1
    monkeypatch.setattr(pictures, "MAX_ACCESS_UNIT", size - 1)
    assert run(packetise(PICTURES)) == []
    endless = [rtp(piece, 1 + index, 0) for index, piece in enumerate([PIECES[0], *[PIECES[1]] * 200])]
    depacketiser = H265Depacketiser(SETS)
    assert run(endless, depacketiser) == []
    assert (depacketiser.broken, depacketiser.state) == (1, State.SKIPPING)
    monkeypatch.setattr(pictures, "MAX_PARTS", 100)
    depacketiser = H265Depacketiser(SETS)
    run([rtp(piece, 1 + index, 0) for index, piece in enumerate(fragments(IDR, 1)[:300])], depacketiser)
    assert (depacketiser.broken, depacketiser.state) == (1, State.SKIPPING)


def test_a_flood_of_parameter_sets_is_bounded() -> None:
    """No more than the standard has ids, or MAX_PARAMETER_SETS of a kind."""
    depacketiser = H265Depacketiser()
    flood = [Bits().u(8, 1).ue(number).ue(0).u(8, 0).nal(0x44) for number in range(64)]
    flood += [sps(sps_id=number) for number in range(16)]
    run([rtp(unit, 1 + index, 0) for index, unit in enumerate(flood)], depacketiser)
    assert len(depacketiser._pps) == len(depacketiser._sps) == pictures.MAX_PARAMETER_SETS


PAYLOADS = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [*SETS, IDR, *PIECES, aggregate(list(SETS)), numbered(IDR), b"\x46\x01\x50", b"\x4a\x01", *vcl(PICTURES[1])]
    ),
    st.builds(
        lambda head, rest: bytes(head) + rest,
        st.tuples(st.sampled_from([0x62, 0x60, 0x28, 0x02, 0x42]), st.integers(0, 255), st.integers(0, 255)),
        st.binary(max_size=30),
    ),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(PAYLOADS, st.integers(0, 2), st.booleans(), st.booleans()), max_size=40), st.booleans())
def test_any_payloads_are_survived_and_memory_is_bounded(
    packets: list[tuple[bytes, int, bool, bool]], don: bool
) -> None:
    """No exception; what comes out begins with its parameter sets; nothing is kept where nothing is built."""
    depacketiser = DEPACKETISERS["h265"].of((), {"sprop-max-don-diff": "1" if don else "0"})
    for index, (payload, timestamp, marker, lost) in enumerate(packets):
        packet = parse_rtp(rtp(payload, index, timestamp, marker=marker))
        assert packet is not None
        depacketiser.push(packet, after_loss=lost)
        unit = depacketiser.pull()
        if unit is not None:
            assert [kind(part) for part in units_of(unit.data)[:3]] == [32, 33, 34]
            assert depacketiser.size_of(unit.sps).width > 0
        if depacketiser.state is State.SKIPPING:
            assert depacketiser._parts == []
        assert depacketiser._size <= pictures.MAX_ACCESS_UNIT


# ---- a whole look


@pytest.mark.parametrize("name", ["H265", "h265", "HEVC"])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_descriptions_name_codec_and_sets(name: str, order: tuple[int, ...]) -> None:
    """sprop-vps, -sps and -pps, in any order."""
    track = pick_video(parse_sdp(sdp([SETS[number] for number in order], name=name)))
    assert (track.codec, track.parameter_sets) == ("h265", SETS)


def talk(media: bytes, description: bytes, cuts: list[int], *, slow: bool = False) -> tuple[Conversation, int]:
    """A look at `media`, cut in pieces; and how many packets went the fast way."""
    taken = 0

    def counted(*arguments: object) -> tuple[int, int]:
        nonlocal taken
        found = (0, 0) if slow else take_run(*arguments)  # type: ignore[arg-type]
        taken += found[0]
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(media_module, "take_run", counted)
        talked = Conversation(Ask(URL, Depth.STREAM), lambda: "c")
        talked.start(0.0)
        talked.receive(b"".join(script([], description).parts[:4]), 1.0)
        places = sorted({cut for cut in cuts if 0 < cut < len(media)})
        for begin, end in zip([0, *places], [*places, len(media)], strict=True):
            talked.receive(media[begin:end], 2.0)
    return talked, taken


MEDIA = b"".join(map(frame, packetise(SLICED, mtu=40)))


def test_a_look_ends_in_a_keyframe_and_most_packets_go_the_fast_way() -> None:
    """Codec and size of the stream's own SPS."""
    talked, taken = talk(MEDIA, sdp(), [])
    assert talked.keyframe is not None and talked.failure is None
    assert (talked.codec, talked.width, talked.height) == ("h265", 320, 256)
    assert talked.keyframe.codec == "h265"
    assert taken > len(packetise(SLICED[:1], mtu=40)) * 0.8


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 12_000), max_size=8),
    st.sets(st.integers(0, 200), max_size=2),
    st.dictionaries(st.integers(0, 250), st.tuples(st.integers(0, 16), st.integers(1, 255)), max_size=4),
)
def test_any_pieces_losses_and_flips_give_the_same_fast_and_slow(
    cuts: list[int], lost: set[int], flips: dict[int, tuple[int, int]]
) -> None:
    """The same outcome, whole and in pieces, on both ways."""
    frames = []
    for index, packet in enumerate(packetise([*SLICED, *SLICED], mtu=40)):
        if index in flips:
            at, bits = flips[index]
            changed = bytearray(packet)
            changed[min(at, len(packet) - 1)] ^= bits
            packet = bytes(changed)
        if index not in lost:
            frames.append(frame(packet))
    media = b"".join(frames)
    quick, _ = talk(media, sdp(), cuts)
    slow, taken = talk(media, sdp(), [], slow=True)
    assert taken == 0
    assert (*outcome(quick), quick.media_bytes, quick.progress) == (*outcome(slow), slow.media_bytes, slow.progress)


def test_every_split_gives_the_same_keyframe() -> None:
    """In one piece, and cut at every byte in its turn."""
    media = b"".join(map(frame, packetise(PICTURES[:1], mtu=1400)))
    whole, _ = talk(media, sdp(), [])
    assert whole.keyframe is not None
    for cut in range(1, min(len(media), 3000)):
        talked, _ = talk(media, sdp(), [cut])
        assert talked.keyframe == whole.keyframe


def test_a_picture_too_large_never_comes_out() -> None:
    """Before any decoder sees it."""
    talked, _ = talk(b"".join(map(frame, packetise([[VPS, sps(16_000, 16_000), PPS, IDR]]))), sdp(SETS), [])
    assert failed(talked) == (Reason.MEDIA_TOO_LARGE, Step.FIRST_KEYFRAME)


@pytest.mark.parametrize("options", [{}, {"aggregated": True}, {"mtu": 60}, {"aggregated": True, "don": True}])
@pytest.mark.parametrize("with_picture", [False, True])
def test_a_recording_replays_and_shows_no_picture(options: dict[str, object], with_picture: bool) -> None:
    """Same size and length without the picture, the same bytes with it."""
    media = b"".join(map(frame, packetise(SLICED, **options)))  # type: ignore[arg-type]
    description = sdp(fmtp=";sprop-max-don-diff=1" if "don" in options else "")
    recorder = Recorder(Ask(URL, Depth.STREAM), 1_790_000_000_000_000, 0.0)
    talked = Conversation(Ask(URL, Depth.STREAM), lambda: "c")
    recorder.sent(talked.start(0.0), 0.0)
    for part in script([], description).parts[:4]:
        recorder.received(part, 1.0)
        recorder.sent(talked.receive(part, 1.0), 1.0)
    recorder.received(media, 2.0)
    talked.receive(media, 2.0)
    again = replay(load(dump(recorder, with_picture=with_picture)))
    assert talked.keyframe is not None and again.keyframe is not None
    assert (again.width, again.height, len(again.keyframe.data)) == (320, 256, len(talked.keyframe.data))
    assert (again.keyframe.data == talked.keyframe.data) is with_picture
    if not with_picture:
        for unit in vcl(units_of(again.keyframe.data)):
            assert unit[24:].strip(b"\x00") == b""


def test_a_look_with_sets_in_the_description_only() -> None:
    """As cameras that never repeat them."""
    bare = b"".join(map(frame, packetise([vcl(picture) for picture in SLICED])))
    talked, _ = talk(bare, sdp(SLICED[0][:3]), [])
    assert talked.keyframe is not None and (talked.width, talked.height) == (320, 256)
    silent, _ = talk(bare, sdp(), [])
    assert silent.keyframe is None and not silent.finished


def test_replies_are_not_media() -> None:
    """A reply between packets changes nothing."""
    frames = list(map(frame, packetise(SLICED, mtu=200)))
    talked, _ = talk(b"".join([*frames[:5], reply(77), *frames[5:]]), sdp(), [])
    assert talked.keyframe is not None
