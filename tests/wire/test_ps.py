"""Program streams: the video in them, whatever is around it; keyframes of it; and what other people's muxers wrote."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.decoders.job import DecodeJob
from streamwatch.decoders.pool import DecoderPool
from streamwatch.errors import LookError, Reason
from streamwatch.model.look import Depth
from streamwatch.wire.ask import Ask
from streamwatch.wire.conversation import Conversation
from streamwatch.wire.depacketise import DEPACKETISERS, KeyUnit, PsDepacketiser, pictures
from streamwatch.wire.depacketise.pictures import State
from streamwatch.wire.ps import MAX_HELD, ProgramStream
from streamwatch.wire.rtp import Order, RtpPacket, SequenceTracker, parse_rtp
from streamwatch.wire.sdp import parse_sdp, pick_video
from streamwatch.wire.transcript import Recorder, dump, load, replay
from tests.servers import encode_clip, require
from tests.wire import camera, camera_h265
from tests.wire.camera import URL, rtp, script, units_of
from tests.wire.ps_camera import (
    H264,
    H265,
    MPEG4,
    SVAC,
    annex_b,
    pack,
    pack_mpeg1,
    packet,
    packet_mpeg1,
    packetise,
    program,
    program_map,
    sdp,
    sized,
    system_header,
)

PICTURES = camera.encode(320, 240, pictures=3)
SLICED = camera.encode(320, 240, pictures=3, slices=3)
SLICED_H265 = camera_h265.encode(320, 256, pictures=3, slices=3)
OF = {"h264": SLICED, "h265": SLICED_H265}
TYPES = {"h264": H264, "h265": H265}


# ---- the video of a program stream


def video(*pieces: bytes) -> tuple[bytes, list[int | None]]:
    """What a stream in those pieces has as its video, and the times in it."""
    stream = ProgramStream()
    found = [piece for data in pieces for piece in stream.push(data)]
    return b"".join(piece.data for piece in found), [piece.pts for piece in found if piece.pts is not None]


VIDEO = annex_b([b"\x67\x42", b"\x68", b"\x65" + b"\x00\x00\x03\x01picture" * 40, b"\x41\x80"])
AROUND = {
    "a packet alone": packet(VIDEO, 1),
    "packs": pack() + packet(VIDEO, 1) + pack(3),
    "headers and map": pack(7) + system_header() + program_map((H264, 0xE0), (0x90, 0xC0)) + packet(VIDEO, 1),
    "several packets": packet(VIDEO[:5], 1) + packet(VIDEO[5:6]) + pack() + packet(VIDEO[6:]),
    "a start code in two": packet(VIDEO[:2], 1) + packet(VIDEO[2:3]) + packet(VIDEO[3:]),
    "audio, private streams, padding": packet(b"\x00\x00\x01\xe0" * 9, code=0xC0)
    + sized(0xBD, b"\x00\x00\x01\xba" * 9) + packet(VIDEO[:9], 1) + sized(0xBF, VIDEO) + sized(0xBE, b"\xff" * 99)
    + packet(VIDEO[9:]),
    "length 0": packet(VIDEO, 1, length=0) + pack(),
    "a length that is too small": packet(VIDEO, 1, length=len(VIDEO) - 50) + pack(),
    "a length that is too large": packet(VIDEO, 1, length=65_535) + pack(),
    "a second video": packet(VIDEO[:9], 1) + packet(VIDEO, code=0xE1) + packet(VIDEO[9:]),
    "MPEG-1": pack_mpeg1() + packet_mpeg1(VIDEO[:9], 1, stuffing=3, buffer=True) + packet_mpeg1(VIDEO[9:]),
    "its end": packet(VIDEO, 1) + b"\x00\x00\x01\xb9",
    "a map too long to be one": sized(0xBC, b"\x00\x00\x01\xe0" * 300) + packet(VIDEO, 1),
    "from the middle": b"\x12\x00\x00\x01\x41\x00\x00" + packet(VIDEO, 1),
}  # fmt: skip


@pytest.mark.parametrize("stream", AROUND.values(), ids=list(AROUND))
def test_the_video_comes_out_whole_however_the_bytes_were_cut(stream: bytes) -> None:
    """With its time, in one piece, byte by byte, and cut in two at every place; only its very end waits for more."""
    behind = stream + packet(b"next", 2)
    whole, times = video(behind)
    assert whole in {VIDEO + b"next", VIDEO} and times[0] == 1
    assert video(*(bytes((byte,)) for byte in behind)) == (whole, times)
    for cut in range(len(behind)):
        assert video(behind[:cut], behind[cut:]) == (whole, times)


@given(st.integers(0, 2**33 - 1))
def test_times_have_33_bits(pts: int) -> None:
    """Of both kinds of packets."""
    assert video(packet(b"picture", pts))[1] == [pts]
    assert video(pack_mpeg1(), packet_mpeg1(b"a picture of 18 bytes or more", pts))[1] == [pts]


def test_a_map_names_the_first_video_and_chooses_it() -> None:
    """Behind descriptors of any length (Hikvision writes its own), without a look at its CRC."""
    stream = ProgramStream()
    about, each = bytes.fromhex("400e484b0000179d3eb4600000ffffff"), bytes.fromhex("420e00001be0000002d0121c3f001c21")
    given = program_map((0x90, 0xC0), (H265, 0xE1), (H264, 0xE0), about=about, each=each)
    found = stream.push(pack() + given + packet(b"no", code=0xE0) + packet(b"picture", code=0xE1) + pack())
    assert (stream.stream_type, [piece.data for piece in found], stream.malformed) == (H265, [b"picture"], 0)


def test_maps_that_break_off_name_nothing() -> None:
    """A map cut at each byte, lengths that lead out of it, and one longer than any: nobody waits for its end."""
    whole = program_map((0x90, 0xC0), (H264, 0xE0), about=b"about")[6:]
    for body in (*(whole[:cut] for cut in range(len(whole))), b"\xe0\xff\xff\xff\x00\x00", b"\xe0\xff\x00\x00\xff\xff"):
        stream = ProgramStream()
        stream.push(sized(0xBC, body) + packet(VIDEO))
        assert stream.stream_type is None or len(body) >= len(whole) - 4
    stream = ProgramStream()
    stream.push(sized(0xBC, bytes(5000), 60_000))
    assert len(stream._buffer) == 0


def test_what_is_missing_costs_the_rest_of_its_packet() -> None:
    """The next start code of the system layer is where it goes on."""
    stream = ProgramStream()
    assert [piece.data for piece in stream.push(packet(b"one", length=0) + pack())] == [b"one"]
    stream.push(packet(b"audio", code=0xC0, length=40_000))
    stream.lose()
    assert stream.push(pack() + b"\x00\x00\x01") == []
    stream.lose()
    assert stream.push(b"\xe0\x00\x00\x80\x00\x00no packet") == []
    found = stream.push(b"picture's rest\x00\x00\x01\x65" + packet(b"three") + pack())
    assert [piece.data for piece in found] == [b"three"] and stream.malformed == 0


def test_headers_that_make_no_sense_are_counted_and_passed_over() -> None:
    """A pack of no standard, a packet whose header is longer than it, one of neither standard, a length that lies."""
    broken = [
        b"\x00\x00\x01\xba" + b"\xc0" * 20,
        sized(0xE0, b"\x80\x80\x30" + bytes(60), 5),
        sized(0xE0, b"\x13" * 60),
        packet(b"audio", code=0xC0, length=20) + bytes(30),
    ]
    for data in broken:
        stream = ProgramStream()
        found = stream.push(packet(b"one") + data + packet(b"two") + pack())
        assert [piece.data for piece in found] == [b"one", b"two"] and stream.malformed > 0


def test_scrambled_packets_are_kept_back_and_counted() -> None:
    """PES_scrambling_control, as EZVIZ and Hikvision set it where stream encryption is on."""
    stream = ProgramStream()
    found = stream.push(packet(b"secret" * 9, 1, scrambling=2) + packet(b"plain") + pack())
    assert [piece.data for piece in found] == [b"plain"] and (stream.scrambled, stream.malformed) == (1, 0)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.binary(max_size=60) | st.sampled_from([*AROUND.values(), b"\x00\x00\x01", b"\xe0", b"\xbc\x03\xfa"]))
)
def test_any_bytes_are_survived_and_little_is_held(pieces: list[bytes]) -> None:
    """And any cut of them gives the same."""
    stream = ProgramStream()
    found = []
    for piece in pieces:
        found += stream.push(piece)
        assert len(stream._buffer) <= MAX_HELD
    assert b"".join(piece.data for piece in found) == video(b"".join(pieces))[0]


# ---- keyframes


def run(packets: list[bytes], depacketiser: PsDepacketiser | None = None) -> list[KeyUnit]:
    """Every keyframe that comes out of RTP packets."""
    depacketiser = depacketiser or PsDepacketiser()
    tracker = SequenceTracker()
    found = []
    for data in packets:
        taken = parse_rtp(data)
        assert taken is not None
        order = tracker.next(taken)
        if order is not Order.DROP:
            depacketiser.push(taken, after_loss=order is Order.AFTER_LOSS)
            while (unit := depacketiser.pull()) is not None:
                found.append(unit)
    return found


def reason_of(packets: list[bytes]) -> Reason:
    with pytest.raises(LookError) as raised:
        run(packets)
    return raised.value.reason


@pytest.mark.parametrize("codec", OF)
@pytest.mark.parametrize("mtu", [7, 60, 1400, 60_000])
@pytest.mark.parametrize("size", [20, 500, 65_000])
def test_a_keyframe_comes_out_whole(codec: str, mtu: int, size: int) -> None:
    """Parameter sets and all slices, in packets of any size of both layers, with what is between; and when it began."""
    written = OF[codec]
    depacketiser = PsDepacketiser()
    packs = program([*written[:2], *written], TYPES[codec], size=size, audio=b"\x00\x00\x01\xe0" * 20)
    units = run(packetise(packs, mtu=mtu), depacketiser)
    assert [list(units_of(unit.data)) for unit in units] == [list(written[0])] * 2 or codec == "h264"
    assert [[unit for unit in units_of(unit.data) if unit in written[0]] for unit in units] == [
        [unit for unit in written[0] if codec == "h265" or unit[0] & 0x1F != 6]
    ] * 2
    assert all(unit.data == annex_b(units_of(unit.data)) for unit in units)  # no zeros behind any
    assert [unit.timestamp for unit in units] == [0, 2 * 3600]
    assert (depacketiser.codec, depacketiser.broken, depacketiser.malformed) == (codec, 0, 0)
    assert depacketiser.size_of(units[0].sps).width == 320


def test_a_keyframe_is_whole_where_the_next_picture_begins() -> None:
    """Not at the marker, which other devices set at the end of each packet of a picture; its slice's head is enough."""
    packets = packetise(program(PICTURES))
    whole = len(packetise(program(PICTURES[:1])))
    assert run(packets[:whole]) == []
    assert len(run(packets[: whole + 1])) == 1


def test_markers_and_timestamps_say_nothing() -> None:
    """One a packet, and each its own timestamp."""
    stream = b"".join(program([*SLICED, *SLICED], size=300))
    packets = [rtp(stream[at : at + 700], at // 700, at, marker=True) for at in range(0, len(stream), 700)]
    assert len(run(packets)) == 2


@pytest.mark.parametrize("codec", OF)
@pytest.mark.parametrize("kind", ["never", "once", "wrong"])
def test_the_parameter_sets_tell_the_codec(codec: str, kind: str) -> None:
    """No map (FFmpeg), one that was sent before we came (GStreamer), and one that names the other codec."""
    types = {"never": None, "once": TYPES[codec], "wrong": H264 + H265 - TYPES[codec]}
    packs = program([*OF[codec], *OF[codec]], types[kind], once=kind == "once")
    depacketiser = PsDepacketiser()
    assert len(run(packetise(packs[kind == "once" :]), depacketiser)) == (1 if kind == "once" else 2)
    assert depacketiser.codec == codec


def test_a_codec_that_changes_is_followed() -> None:
    """Set anew at the device, in mid-stream; what was counted stays."""
    depacketiser = PsDepacketiser()
    packets = packetise(program([*SLICED[:2], *SLICED_H265[:2]], None))
    found = run([*packets[:2], *packets[3:]], depacketiser)
    assert len(found) == 1 and (depacketiser.codec, depacketiser.broken) == ("h265", 1)


@pytest.mark.parametrize("codec", OF)
def test_any_single_loss_gives_the_next_whole_keyframe_and_never_a_damaged_one(codec: str) -> None:
    """Each packet lost in its turn, joined at each packet in its turn."""
    written = OF[codec]
    packets = packetise(program([*written, *written, *written[:2]], TYPES[codec], size=900), mtu=400)
    expected = {unit.timestamp: unit.data for unit in run(packets)}
    assert len(expected) == 3
    for lost in range(len(packets)):
        for kept in ([*packets[:lost], *packets[lost + 1 :]], packets[lost:]):
            found = run(kept)
            assert found or lost > len(packets) // 2
            assert all(unit.data == expected[unit.timestamp] for unit in found)


@pytest.mark.parametrize("codec", OF)
def test_a_loss_within_the_head_of_a_unit_costs_the_unit(codec: str) -> None:
    """What comes behind it is not its rest."""
    packets = packetise(program([*OF[codec], *OF[codec][:2]], TYPES[codec]), mtu=9)
    expected = {unit.timestamp: unit.data for unit in run(packets)}
    for lost in range(40):
        for unit in run([*packets[:lost], *packets[lost + 1 :]]):
            assert unit.data == expected[unit.timestamp]


@pytest.mark.parametrize("codec", OF)
def test_half_of_all_packets_lost_gives_only_whole_pictures(codec: str) -> None:
    """In many patterns, against the keyframes of the lossless run."""
    packets = packetise(program([*OF[codec]] * 4, TYPES[codec], size=1500), mtu=700)
    expected = {unit.timestamp: unit.data for unit in run(packets)}
    for seed in range(100):
        dice = random.Random(seed)
        for unit in run([data for data in packets if dice.random() < 0.5]):
            assert unit.data == expected[unit.timestamp]


@pytest.mark.parametrize(
    ("stream", "reason", "name"),
    [
        (program_map((SVAC, 0xE0)), Reason.MEDIA_UNSUPPORTED_CODEC, "SVAC"),
        (program_map((MPEG4, 0xE0)), Reason.MEDIA_UNSUPPORTED_CODEC, "MPEG-4"),
        (packet(b"\x00\x00\x01\xb0\x01" * 20), Reason.MEDIA_UNSUPPORTED_CODEC, "MPEG-4"),
        (packet(b"\x00\x00\x01\xb3" + b"\x16\x01" * 20), Reason.MEDIA_UNSUPPORTED_CODEC, "MPEG-2"),
        (program_map((0xDB, 0xE0)), Reason.MEDIA_ENCRYPTED, "encryption"),
        (2 * packet(VIDEO, 1, scrambling=1), Reason.MEDIA_ENCRYPTED, "encryption"),
    ],
)
def test_what_nobody_here_reads_is_named(stream: bytes, reason: Reason, name: str) -> None:
    """By the map, by its own units, by its packets."""
    with pytest.raises(LookError, match=name) as raised:
        run(packetise([pack() + stream + pack()]))
    assert raised.value.reason is reason


def test_one_scrambled_packet_is_not_believed() -> None:
    """It may be made of what was lost."""
    packs = program([*SLICED, *SLICED])
    assert run(packetise([*packs[:1], packet(VIDEO, scrambling=3), *packs[1:]]))


def test_a_picture_above_the_cap_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that never ends."""
    monkeypatch.setattr(pictures, "MAX_ACCESS_UNIT", 6000)
    endless = [rtp(b"\x55" * 1400, 101 + index, 0) for index in range(50)]
    depacketiser = PsDepacketiser()
    begun = pack() + packet(annex_b([*SLICED[0][:2], b"\x65\x88" + b"\x55" * 800]), length=0)
    assert run([rtp(begun, 100, 0), *endless], depacketiser) == []
    assert depacketiser.broken == 1 and depacketiser._inner is not None
    assert depacketiser._inner._size == 0 and depacketiser.state is State.SKIPPING


PIECES = st.sampled_from(
    [
        *AROUND.values(), *program(SLICED), *program(SLICED_H265, H265), b"\x00\x00\x01", b"\x00\x00", b"\x40\x01",
        program_map((H264, 0xE0)), program_map((H265, 0xE0)), annex_b(SLICED[0]), annex_b(SLICED_H265[0]),
    ]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(PIECES | st.binary(max_size=40), st.integers(0, 2), st.booleans(), st.integers(0, 60))))
def test_any_payloads_are_survived(packets: list[tuple[bytes, int, bool, int]]) -> None:
    """Only the two reasons; what comes out has a size."""
    depacketiser = DEPACKETISERS["ps"].of((), {})
    assert isinstance(depacketiser, PsDepacketiser)
    reasons = set()
    for number, (data, timestamp, lost, begin) in enumerate(packets):
        try:
            depacketiser.push(RtpPacket(lost, 96, number, timestamp, 1, data[begin:]), after_loss=lost)
        except LookError as error:
            reasons.add(error.reason)
        while (unit := depacketiser.pull()) is not None:
            assert depacketiser.size_of(unit.sps).width > 0
    assert reasons <= {Reason.MEDIA_UNSUPPORTED_CODEC, Reason.MEDIA_ENCRYPTED}


# ---- whole looks


def talk(packets: list[bytes], description: bytes | None = None) -> Conversation:
    """A look at a camera that sends them."""
    talked = Conversation(Ask(URL, Depth.STREAM), lambda: "c")
    talked.start(0.0)
    for part in script(packets, description or sdp()).parts:
        talked.receive(part, 1.0)
    return talked


@pytest.mark.parametrize("name", ["PS", "MP2P", "ps"])
@pytest.mark.parametrize("codec", OF)
def test_a_look_has_the_codec_of_the_video_within(codec: str, name: str) -> None:
    """Both names of the format."""
    assert pick_video(parse_sdp(sdp(name))).codec == "ps"
    talked = talk(packetise(program(OF[codec], TYPES[codec])), sdp(name))
    assert talked.failure is None and talked.keyframe is not None
    assert (talked.codec, talked.keyframe.codec) == (codec, codec)
    assert (talked.width, talked.height) == (320, 240 if codec == "h264" else 256)


def test_a_look_at_what_is_not_decoded_fails_by_name() -> None:
    """Not as a defect of ours."""
    talked = talk(packetise([pack() + program_map((SVAC, 0xE0)) + packet(annex_b([b"\x5c\x10" * 20, b"\x48"]))]))
    assert talked.failure is not None and talked.failure.reason is Reason.MEDIA_UNSUPPORTED_CODEC
    assert "SVAC" in talked.failure.detail


@pytest.mark.parametrize("codec", OF)
@pytest.mark.parametrize("mtu", [300, 1400])
@pytest.mark.parametrize("with_picture", [False, True])
def test_a_recording_replays_and_shows_no_picture(codec: str, mtu: int, with_picture: bool) -> None:
    """The same outcome without the picture, the same bytes with it."""
    packets = packetise(program([*OF[codec], *OF[codec]], TYPES[codec], size=5000), mtu=mtu)
    recorder = Recorder(Ask(URL, Depth.STREAM), 1_790_000_000_000_000, 0.0)
    talked = Conversation(Ask(URL, Depth.STREAM), lambda: "c")
    recorder.sent(talked.start(0.0), 0.0)
    for part in script(packets, sdp()).parts:
        recorder.received(part, 1.0)
        recorder.sent(talked.receive(part, 1.0), 1.0)
    again = replay(load(dump(recorder, with_picture=with_picture)))
    assert talked.keyframe is not None and again.keyframe is not None
    assert (again.codec, again.width, again.height) == (talked.codec, talked.width, talked.height)
    assert (again.keyframe.data == talked.keyframe.data) is with_picture
    if not with_picture:
        slices = [unit for unit in units_of(again.keyframe.data) if len(unit) > 300]
        assert slices
        for unit in slices:
            shown = len(unit[24:].replace(b"\xff", b""))
            assert shown <= (len(unit) // mtu + len(unit) // 5000 + 2) * 32  # at the cuts of both layers


# ---- other people's muxers


@pytest.fixture(scope="module")
def clips(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, tuple[int, int]]]:
    """A street scene, three keyframes of it."""
    folder = tmp_path_factory.mktemp("clips")
    made = {}
    for codec in OF:
        path = folder / f"{codec}.mp4"
        made[codec] = path, encode_clip(shared_data / "media" / "vtest.avi", path, 3.0, codec)
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[DecoderPool]:
    made = DecoderPool(workers=1)
    await made.start()
    yield made
    await made.aclose()


def muxed(muxer: str, codec: str, clip: Path) -> bytes:
    """The program stream that FFmpeg or GStreamer makes of a clip."""
    target = clip.with_suffix(f".{muxer}")
    if muxer == "mpegpsmux":
        require(shutil.which("gst-launch-1.0") is not None, "gst-launch-1.0", "apt-get install gstreamer1.0-tools")
        command = f"gst-launch-1.0 -q filesrc location={clip} ! qtdemux ! {codec}parse config-interval=-1"
        command += f" ! video/x-{codec},stream-format=byte-stream ! mpegpsmux ! filesink location={target}"
    else:
        require(shutil.which("ffmpeg") is not None, "ffmpeg", "apt-get install ffmpeg")
        bsf = {"h264": "h264_mp4toannexb", "h265": "hevc_mp4toannexb"}[codec]
        command = f"ffmpeg -v fatal -y -i {clip} -c copy -bsf:v {bsf} -f {muxer} {target}"
    subprocess.run(command.split(), check=True, timeout=60, capture_output=True)
    return target.read_bytes()


@pytest.mark.parametrize(
    ("muxer", "codec"),
    [("vob", "h264"), ("vob", "h265"), ("mpeg", "h264"), ("mpeg", "h265"), ("mpegpsmux", "h264")],
)  # GStreamer's muxer takes no H.265 (1.22)
@pytest.mark.asyncio(loop_scope="module")
async def test_streams_of_real_muxers_are_up_and_their_pictures_are_scored(
    clips: dict[str, tuple[Path, tuple[int, int]]], pool: DecoderPool, muxer: str, codec: str
) -> None:
    """Joined at the start and in the middle of the first keyframe, in payloads of 1,400 bytes cut anywhere."""
    clip, size = clips[codec]
    stream = muxed(muxer, codec, clip)
    for begin in (0, 20_011):
        pieces = [stream[at : at + 1400] for at in range(begin, len(stream), 1400)]
        talked = talk([rtp(piece, 7 + index, index // 20 * 9000) for index, piece in enumerate(pieces)])
        assert talked.failure is None and talked.keyframe is not None
        assert (talked.codec, talked.width, talked.height) == (codec, *size)
        result = await pool.score(DecodeJob(talked.keyframe.codec, talked.keyframe.data, None, 0))
        assert (result.failure, result.width, result.height) == (None, *size)
        assert result.measures
