"""What each maker's devices do, as whole looks: every recording in tests/data, and what it must come to again."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from streamwatch.errors import Reason, Step
from streamwatch.model.report import Credentials
from streamwatch.wire.conversation import Conversation
from streamwatch.wire.transcript import DIAL, REPLAY_PORT, RTCP, RTSP, Recording, dump, load, replay
from tests.wire.test_conversation import GOOD, failed
from tests.wire.test_transcript import record

DATA = Path(__file__).resolve().parents[1] / "data"
LIVE = "rtsp://192.0.2.7/live"
CHANNEL = "rtsp://192.0.2.7:554/Streaming/Channels/102"


class Look(NamedTuple):
    """How a recorded look ends: a keyframe of that size, or a reason and a step; and which track it asked for."""

    track: str
    size: tuple[int, int] | None = None
    codec: str = "h264"
    reason: Reason | None = None
    step: Step = Step.FIRST_KEYFRAME
    flowed: bool = True


LOOKS = {
    "anjvision_base_without_scheme": Look("rtsp://192.0.2.7/stream0/trackID=1", (704, 576)),
    "dahua_query_in_base": Look(
        "rtsp://192.0.2.7:554/cam/realmonitor?channel=1&subtype=1&unicast=true/trackID=0", (704, 576)
    ),
    "foscam_cseq_0": Look("rtsp://192.0.2.7:554/videoMain/track1", (352, 232)),
    "geovision_payload_type_50": Look("rtsp://192.0.2.7/media/video1/video", (1920, 1080)),
    "gstreamer_mjpeg_large": Look("", (2560, 1440), "mjpeg"),
    "gstreamer_session_id": Look(f"{LIVE}/stream=0", (352, 232)),
    "gw_annex_b_in_description": Look("rtsp://192.0.2.7/ch01/track1", (640, 360)),
    "h264dvr_no_channels": Look("rtsp://192.0.2.7:554/camera/trackID=3", (352, 232)),
    "h264dvr_udp_ssrc_0": Look("rtsp://192.0.2.7:554/camera/trackID=3", (352, 232)),
    "hikvision_digest": Look(f"{CHANNEL}/trackID=1?transportmode=unicast", (640, 360)),
    "hikvision_padded_session": Look(f"{CHANNEL}/trackID=1?transportmode=unicast", (640, 360)),
    "hikvision_wrong_password": Look("", reason=Reason.RTSP_AUTH, step=Step.DESCRIBE, flowed=False),
    "live555_stale_session": Look("", (640, 360)),
    "luckfox_other_channels": Look(f"{LIVE}/track1", (352, 232)),
    "macrovideo_no_origin": Look(f"{LIVE}/track1", (352, 232)),
    "recorder_busy": Look("", reason=Reason.RTSP_BUSY, step=Step.SETUP, flowed=False),
    "reolink_nothing_flows": Look("", reason=Reason.MEDIA_NO_DATA, flowed=False),
    "reolink_relative_controls": Look("rtsp://192.0.2.7/preview_01_main/trackID=1", (352, 232)),
    "tapo_refuses_its_keepalive": Look(f"{LIVE}/track1", (352, 232)),
    "tplink_h265": Look("", None, "h265", step=Step.SETUP, flowed=False),
    "tplink_h265_sets_described": Look("rtsp://192.0.2.7/stream1/track1", (352, 288), "h265"),
    "tplink_media_of_its_own": Look("rtsp://192.0.2.7/stream1/track1", (352, 232)),
    "tuya_negative_port": Look(f"{LIVE}/track1", (352, 232)),
    "ubiquiti_video_is_third": Look("rtsp://192.0.2.7/s0/trackID=2", (352, 232)),
    "uniview_port_left_out": Look("rtsp://192.0.2.7:10554/media/video1/video", (352, 232)),
    "v4l2rtspserver_media_before_play": Look("", (640, 360)),
    "vlc_tcp_refused": Look("", reason=Reason.RTSP_TRANSPORT, step=Step.SETUP, flowed=False),
    "vlc_udp_one_type_twice": Look("rtsp://192.0.2.7:8554/trackID=1", (352, 232)),
    "vstarcam_no_base": Look("rtsp://192.0.2.7/udp/av0_1?x=y/track0", (352, 232)),
    "wowza_session_in_describe": Look("rtsp://192.0.2.7/vod/mp4:clip.mov/trackID=2", (352, 232)),
}


def recorded(name: str) -> Recording:
    """One of our own recordings."""
    return load((DATA / f"{name}.jsonl").read_text("utf-8"))


@pytest.mark.parametrize("name", LOOKS)
def test_every_recording_gives_its_verdict_again(name: str) -> None:
    """A keyframe of the right size, or the reason and the step that its maker's fault deserves."""
    expected = LOOKS[name]
    talked = replay(recorded(name))
    assert (talked.media_flowed, talked.step) == (expected.flowed, expected.step)
    if expected.reason is not None:
        assert failed(talked) == (expected.reason, expected.step)
        return
    assert talked.failure is None and talked.codec == expected.codec
    assert (talked.keyframe is not None, talked.finished) == (expected.size is not None, expected.size is not None)
    if expected.size is not None:
        assert (talked.width, talked.height) == expected.size


def requests(recording: Recording) -> list[str]:
    """What we would send today to what the device sent then."""
    ask = recording.ask()
    talked = Conversation(ask, lambda: "0" * 16)
    sent = talked.start(0.0)
    for chunk in recording.chunks:
        if chunk.direction == "in" and chunk.via == RTSP and not talked.finished:
            sent += talked.receive(chunk.data, chunk.t_ms / 1000)
        elif chunk.direction == "in" and chunk.via not in {RTSP, DIAL}:
            talked.datagram(chunk.data, chunk.t_ms / 1000, control=chunk.via == RTCP)
        if talked.wants_ports:
            sent += talked.use_ports(REPLAY_PORT)
    return [text for text in (sent + talked.farewell()).decode("latin-1").split("\r\n\r\n") if text]


@pytest.mark.parametrize("name", [name for name, expected in LOOKS.items() if expected.track])
def test_every_recording_has_its_track_asked_for(name: str) -> None:
    """SETUP goes where the device expects it, and only for the video."""
    setups = [text.split()[1] for text in requests(recorded(name)) if text.startswith("SETUP ")]
    assert setups == [LOOKS[name].track]


@pytest.mark.parametrize(
    ("name", "session"),
    [
        ("dahua_query_in_base", "634214684047"),
        ("gstreamer_session_id", "8jN-2y.6~Aj8_RiA"),
        ("h264dvr_no_channels", "77"),
        ("hikvision_padded_session", "41"),
        ("luckfox_other_channels", "12"),
        ("wowza_session_in_describe", "551"),
    ],
)
def test_every_session_is_ended_by_its_own_name(name: str, session: str) -> None:
    """TEARDOWN has the session's latest id, as the device wrote it."""
    last = requests(recorded(name))[-1]
    assert last.startswith("TEARDOWN ") and f"\r\nSession: {session}" in last


def test_every_transcript_is_listed_and_used() -> None:
    """SOURCES.md has a row for each file and for nothing else, and so has the table here."""
    listed = [line.split("`")[1] for line in (DATA / "SOURCES.md").read_text("utf-8").splitlines() if line[:3] == "| `"]
    files = sorted(path.name for path in DATA.iterdir() if path.is_file() and path.name != "SOURCES.md")
    assert sorted(listed) == files
    assert files == sorted(f"{name}.jsonl" for name in LOOKS)


def test_recordings_hold_no_address_but_those_for_documentation() -> None:
    """RFC 5737 in every file, and no password."""
    for name in LOOKS:
        recording = recorded(name)
        assert "192.0.2.7" in recording.url or "127.0.0.1" in recording.url
        assert recording.ask().credentials in {None, Credentials("***", "***")}
        assert not recording.with_picture


def test_a_recording_keeps_every_byte_that_was_asked_for() -> None:
    """With the picture, what comes out of a file is what came from the device."""
    _, recorder = record(*GOOD.parts)
    kept = b"".join(chunk.data for chunk in load(dump(recorder, with_picture=True)).chunks if chunk.direction == "in")
    assert kept == GOOD.whole
