"""What each maker's devices do, by our own transcripts: `pytest -k hikvision` says what we do for Hikvision."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from streamwatch.errors import Reason, Step
from streamwatch.wire.transcript import dump, load, replay
from tests.wire.camera import encode, frame, packetise, reply
from tests.wire.test_conversation import GOOD, failed, talk
from tests.wire.test_transcript import record

DATA = Path(__file__).resolve().parents[1] / "data"
BARE = [tuple(unit for unit in picture if unit[0] & 0x1F in {1, 5}) for picture in encode(352, 232)]
URL = "rtsp://192.0.2.7/live"


def recorded(name: str, cseq: int) -> bytes:
    """A transcript's bytes, under our CSeq."""
    return re.sub(rb"(?i)cseq: *\d+", b"CSeq: %d" % cseq, (DATA / f"{name}.txt").read_bytes(), count=1)


def media(payload_type: int, channel: int, *, bare: bool) -> bytes:
    """A keyframe of 352x232; bare: without parameter sets, so that the description's are used."""
    packets = packetise(BARE if bare else encode(352, 232))
    return b"".join(
        frame(packet[:1] + bytes((packet[1] & 0x80 | payload_type,)) + packet[2:], channel) for packet in packets
    )


@pytest.mark.parametrize(
    ("maker", "url", "payload_type", "track"),
    [
        ("anjvision", "rtsp://192.0.2.7/stream0", 96, "rtsp://192.0.2.7/stream0/trackID=1"),
        ("dahua", URL, 96, "rtsp://192.0.2.7:554/cam/realmonitor?channel=1&subtype=1&unicast=true/trackID=0"),
        ("geovision", URL, 105, "rtsp://192.0.2.7/media/video1/video"),
        ("gw", URL, 96, "rtsp://192.0.2.7/ch01/track1"),
        ("h264dvr", URL, 96, "rtsp://192.0.2.7:554/camera/trackID=3"),
        ("hikvision", URL, 96, "rtsp://192.0.2.7:554/Streaming/Channels/102/trackID=1?transportmode=unicast"),
        ("tplink", URL, 96, "rtsp://192.0.2.7/live/track1"),
        ("ubiquiti", URL, 96, "rtsp://192.0.2.7/s0/trackID=2"),
        ("vstarcam", "rtsp://192.0.2.7/udp/av0_1?x=y", 96, "rtsp://192.0.2.7/udp/av0_1?x=y/track0"),
    ],
)
def test_descriptions(maker: str, url: str, payload_type: int, track: str) -> None:
    """The look finds its track, asks for it where the device expects that, and takes the keyframe."""
    setup = reply(3, "200 OK", "Session: 1", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
    talked, sent = talk(
        GOOD.options, recorded(f"{maker}_describe", 2), setup, GOOD.play, media(payload_type, 0, bare=False), url=url
    )
    assert talked.keyframe is not None and (talked.width, talked.height) == (352, 232)
    assert sent[2].startswith(f"SETUP {track} RTSP/1.0\r\n")


@pytest.mark.parametrize(
    ("maker", "size"),
    [
        ("anjvision", (704, 576)),
        ("dahua", (704, 576)),
        ("geovision", (1920, 1080)),
        ("gw", (640, 360)),
        ("h264dvr", (352, 232)),
        ("hikvision", (640, 360)),
    ],
)
def test_parameter_sets_of_descriptions(maker: str, size: tuple[int, int]) -> None:
    """Where the stream has none of its own, the description's are the keyframe's, cleaned."""
    payload_type = 105 if maker == "geovision" else 96
    talked, _ = talk(
        GOOD.options, recorded(f"{maker}_describe", 2), GOOD.setup, GOOD.play, media(payload_type, 0, bare=True)
    )
    assert talked.keyframe is not None and (talked.width, talked.height) == size


@pytest.mark.parametrize(
    ("name", "channel", "session"),
    [
        ("hikvision_setup", 0, "41"),
        ("h264dvr_setup", 0, "77"),
        ("luckfox_setup", 2, "12"),
        ("gstreamer_setup", 0, "8jN-2y.6~Aj8_RiA"),
    ],
)
def test_setups(name: str, channel: int, session: str) -> None:
    """Session and channels as the device wrote them."""
    talked, sent = talk(GOOD.options, GOOD.describe, recorded(name, 3), GOOD.play, media(96, channel, bare=False))
    assert talked.keyframe is not None and f"Session: {session}" in sent[3]


@pytest.mark.parametrize(
    ("name", "reason", "step", "flowed"),
    [
        ("hikvision_digest", None, Step.FIRST_KEYFRAME, True),
        ("hikvision_wrong_password", Reason.RTSP_AUTH, Step.DESCRIBE, False),
        ("live555_stale_session", None, Step.FIRST_KEYFRAME, True),
        ("recorder_busy", Reason.RTSP_BUSY, Step.SETUP, False),
        ("reolink_nothing_flows", Reason.MEDIA_NO_DATA, Step.FIRST_KEYFRAME, False),
        ("v4l2rtspserver_media_before_play", None, Step.FIRST_KEYFRAME, True),
        ("vlc_tcp_refused", Reason.RTSP_TRANSPORT, Step.SETUP, False),
    ],
)
def test_looks(name: str, reason: Reason | None, step: Step, flowed: bool) -> None:
    """A recorded look gives its verdict again."""
    recording = load((DATA / f"{name}.jsonl").read_text("utf-8"))
    talked = replay(recording)
    assert talked.media_flowed is flowed
    if reason is None:
        assert talked.keyframe is not None and talked.failure is None
        assert (talked.step, talked.width, talked.height) == (step, 640, 360)
    else:
        assert failed(talked) == (reason, step)


@pytest.mark.parametrize("name", ["gstreamer_mjpeg_large"])
def test_large_mjpeg(name: str) -> None:
    """Its size is what the description says, as its packets have no room for it."""
    talked = replay(load((DATA / f"{name}.jsonl").read_text("utf-8")))
    assert talked.keyframe is not None and talked.failure is None
    assert (talked.codec, talked.width, talked.height) == ("mjpeg", 2560, 1440)


def test_tplink_describes_h265_and_the_look_goes_on() -> None:
    """The recording ends there; we would set up its track."""
    name = "tplink_h265"
    talked = replay(load((DATA / f"{name}.jsonl").read_text("utf-8")))
    assert (talked.failure, talked.finished, talked.codec, talked.step) == (None, False, "h265", Step.SETUP)


def test_every_transcript_is_listed_and_used() -> None:
    """SOURCES.md names each file, and no file lies about unused."""
    listed = (DATA / "SOURCES.md").read_text("utf-8")
    source = Path(__file__).read_text("utf-8")
    files = [path.name for path in DATA.iterdir() if path.suffix in {".txt", ".jsonl"}]
    assert len(files) > 15
    for name in files:
        assert f"`{name}`" in listed
        stem = name.rsplit(".", 1)[0]
        assert f'"{stem}"' in source or f'"{stem.removesuffix("_describe")}"' in source


def test_a_recording_keeps_every_byte_that_was_asked_for() -> None:
    """With the picture, what comes out of a file is what came from the device."""
    _, recorder = record(*GOOD.parts)
    kept = b"".join(chunk.data for chunk in load(dump(recorder, with_picture=True)).chunks if chunk.direction == "in")
    assert kept == GOOD.whole
