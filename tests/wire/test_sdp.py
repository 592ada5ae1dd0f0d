"""Descriptions of real devices and of hostile ones: the video track, and where SETUP goes."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.errors import LookError, Reason
from streamwatch.wire.sdp import MAX_MEDIA, VideoTrack, base_url, control_url, parse_sdp, pick_video
from streamwatch.wire.url import Origin

CAMERA = Origin("rtsp", "192.0.2.7", 554)
URL = "rtsp://192.0.2.7/live"


def video(*lines: str) -> VideoTrack:
    """The track of a description of these lines."""
    return pick_video(parse_sdp("\r\n".join(["v=0", *lines, ""]).encode("latin-1")))


H264 = "a=rtpmap:96 H264/90000"


@pytest.mark.parametrize(
    "line",
    [
        "a=rtpmap:96 H264/90000 ",
        "a=rtpmap:96 h264/90000\t",
        "a=rtpmap:96  H264",
        "a=rtpmap: 96 H264/0",
        "a=rtpmap:96 H264/1000000000000",
    ],
)
def test_h264dvr_blanks_and_wrong_rates(line: str) -> None:
    """Blanks at the ends, letters of either case, and rates that cannot be: 90 kHz."""
    assert (video("m=video 0 RTP/AVP 96", line).codec, video("m=video 0 RTP/AVP 96", line).clock_rate) == (
        "h264",
        90_000,
    )


def test_tplink_unknown_media_beside_the_video() -> None:
    """A section whose formats are no numbers is passed over, and so is an o= with seven fields."""
    track = video(
        "o=- 14 31 1 IN IP4 192.0.2.9",
        "m=application/X 0 RTP/AVP smart/1/90000",
        "m=video",
        "m=video 0 RTP/AVP 96",
        H264,
    )
    assert track.codec == "h264"


def test_ubiquiti_video_is_the_third_and_shares_its_payload_type() -> None:
    """Its own section's rtpmap counts."""
    audio = ["m=audio 0 RTP/AVP 96", "a=rtpmap:96 mpeg4-generic/48000", "a=control:a"]
    track = video(*audio, *audio, "m=video 0 RTP/AVP 96", H264, "a=fmtp:96", "a=control:v")
    assert (track.codec, track.control, track.parameter_sets) == ("h264", "v", ())


def test_go2rtc_rtpmap_and_fmtp_in_the_audio_section() -> None:
    """Where the video's own section has none."""
    sets = base64.b64encode(b"\x67\x42\x00\x1e").decode()
    track = video("m=video 0 RTP/AVP 96", "m=audio 0 RTP/AVP 0", H264, f"a=fmtp:96 sprop-parameter-sets={sets}")
    assert (track.codec, track.parameter_sets) == ("h264", (b"\x67\x42\x00\x1e",))


def test_gw_parameter_sets_with_start_codes_and_zeros() -> None:
    """Annex B inside, trailing zeros, wrong base64, missing padding: what can be read is."""
    annex_b = base64.b64encode(b"\x00\x00\x00\x01\x67\x42\x00\x1e\x00\x00\x00\x01\x68\xce\x00\x00").decode()
    bare = base64.b64encode(b"\x68\xce\x3c\x80").decode().rstrip("=")
    track = video(
        "m=video 0 RTP/AVP 96", H264, f"a=fmtp:96 profile-level-id=4D0; sprop-parameter-sets={annex_b},?a,{bare},"
    )
    assert track.parameter_sets == (b"\x67\x42\x00\x1e", b"\x68\xce", b"\x68\xce\x3c\x80")


def test_parameter_sets_have_a_cap() -> None:
    """100 KiB of sets are cut at 64 KiB."""
    track = video("m=video 0 RTP/AVP 96", H264, "a=fmtp:96 sprop-parameter-sets=" + "aAAB," * 20_000)
    assert len(track.parameter_sets) <= 64 * 1024 // 5 + 1


def test_static_jpeg_needs_no_rtpmap() -> None:
    """RFC 3551: payload type 26."""
    assert video("m=video 0 RTP/AVP 26").codec == "mjpeg"


def test_the_first_track_of_a_known_codec_is_taken() -> None:
    """An unknown one is named only where there is no other."""
    odd = ["m=video 0 RTP/AVP 97", "a=rtpmap:97 AV1/90000"]
    assert video(*odd, "m=video 0 RTP/AVP 96", H264).codec == "h264"
    assert video(*odd).codec == "av1"
    assert video("m=video 0 RTP/AVP 98 96", "a=rtpmap:98 VND.X/90000", H264).payload_type == 96


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x00" * 131072, id="128 KiB of zeros"),
        pytest.param(b"m=audio 0 RTP/AVP 0\r\n" * 1000, id="1,000 sections"),
        pytest.param(
            b"m=audio 0 RTP/AVP 0\r\n" * MAX_MEDIA + b"m=video 0 RTP/AVP 26\r\n", id="video after 16 sections"
        ),
        pytest.param(b"v=0\r\nm=video 0 RTP/AVP 96\r\n", id="video of no known kind"),
        pytest.param("摄像机".encode("gbk"), id="gbk"),
    ],
)
def test_no_video(body: bytes) -> None:
    """media.no_video, whatever else is there."""
    with pytest.raises(LookError) as raised:
        pick_video(parse_sdp(body))
    assert raised.value.reason is Reason.MEDIA_NO_VIDEO


def test_sixteen_sections_are_read() -> None:
    """The limit itself."""
    body = b"m=audio 0 RTP/AVP 0\r\n" * (MAX_MEDIA - 1) + b"m=video 0 RTP/AVP 26\r\n"
    assert pick_video(parse_sdp(body)).codec == "mjpeg"


def test_formats_and_attributes_of_a_section_have_a_cap() -> None:
    """16 payload types and 256 attributes are kept, and the video is found among them."""
    formats = " ".join(str(number) for number in range(96, 96 + 17))
    body = f"m=video 0 RTP/AVP {formats}\r\n{H264}\r\n" + "a=x:y\r\n" * 256
    (media,) = parse_sdp(body.encode()).media
    assert media.payload_types == tuple(range(96, 96 + 16)) and len(media.attributes) == 256
    assert pick_video(parse_sdp(body.encode())).payload_type == 96


def test_unknown_attributes_and_bare_line_ends_are_kept() -> None:
    """Nothing that a device says is lost, and the last line may lack its end."""
    (media,) = parse_sdp(b"v=0\na=x:1\nm=video 0 RTP/AVP 96\na=framerate:0S\na=framerate:25\na=control:t").media
    assert media.attributes == (("framerate", "0S"), ("framerate", "25"), ("control", "t"))


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=30),
            st.sampled_from(
                [b"m=video 0 RTP/AVP 96", b"a=rtpmap:96 H264/90000", b"a=fmtp:96 sprop-parameter-sets=", b"a=control:"]
            ),
        ),
        max_size=12,
    )
)
def test_any_description_is_a_track_or_no_video(lines: list[bytes]) -> None:
    """Only the declared outcomes."""
    try:
        pick_video(parse_sdp(b"\n".join(lines)))
    except LookError as error:
        reason = error.reason
    else:
        reason = Reason.MEDIA_NO_VIDEO
    assert reason is Reason.MEDIA_NO_VIDEO


@pytest.mark.parametrize(
    ("base", "location", "expected"),
    [
        (None, None, URL),
        ("rtsp://192.0.2.7:554/live/", None, "rtsp://192.0.2.7:554/live/"),
        (" rtsp://192.0.2.7/live/ ", None, "rtsp://192.0.2.7/live/"),
        (None, "rtsp://192.0.2.7/other/", "rtsp://192.0.2.7/other/"),
        ("", "rtsp://192.0.2.7/other/", "rtsp://192.0.2.7/other/"),
        ("192.168.1.10:554/stream0/", None, "rtsp://192.0.2.7/stream0/"),  # anjvision: no scheme
        ("rtsp://rtsp://192.168.1.10/stream0/", None, "rtsp://192.0.2.7/stream0/"),  # doubled
        ("rtsp://::ffff:192.0.2.7/stream0/", None, "rtsp://::ffff:192.0.2.7/stream0/"),  # go2rtc #208
        ("rtsp://10.0.0.5:554/stream0/", None, "rtsp://192.0.2.7/stream0/"),  # behind a router
        ("http://10.0.0.5/a b", None, URL),
        ("rtsp://10.0.0.5", None, "rtsp://192.0.2.7"),
        ("rtsp://u:p@192.0.2.7/live/", None, "rtsp://192.0.2.7/live/"),
        ("/stream0/", None, "rtsp://192.0.2.7/stream0/"),
    ],
)
def test_what_controls_are_relative_to(base: str | None, location: str | None, expected: str) -> None:
    """Content-Base, then Content-Location, then the request; no other host, no credentials."""
    assert base_url(CAMERA, URL, base, location) == expected


@pytest.mark.parametrize(
    ("base", "control", "expected"),
    [
        (URL, None, URL),
        (URL, "*", URL),
        (URL, "", URL),
        (URL, "trackID=1", "rtsp://192.0.2.7/live/trackID=1"),
        (f"{URL}/", "trackID=1", "rtsp://192.0.2.7/live/trackID=1"),
        (f"{URL}/", "/trackID=1", "rtsp://192.0.2.7/live/trackID=1"),
        (f"{URL}?a=b/", "trackID=0", "rtsp://192.0.2.7/live?a=b/trackID=0"),  # Dahua: text, not RFC 3986
        (f"{URL}?a=b", "trackID=0", "rtsp://192.0.2.7/live?a=b/trackID=0"),
        (URL, "rtsp://192.0.2.7:554/live/trackID=1?t=u", "rtsp://192.0.2.7:554/live/trackID=1?t=u"),  # Hikvision
        (URL, "../..", "rtsp://192.0.2.7/live/../.."),
        (URL, "rtsp://u:p@192.0.2.7/t", "rtsp://192.0.2.7/t"),
    ],
)
def test_controls(base: str, control: str | None, expected: str) -> None:
    """Appended as text, or an address of the same host and port."""
    assert control_url(CAMERA, base, control) == expected


@pytest.mark.parametrize(
    "control",
    [
        "rtsp://192.0.2.8/t",
        "rtsp://192.0.2.7:555/t",
        "rtsps://192.0.2.7/t",
        "http://192.0.2.7/t",
        "rtsp://u@evil@192.0.2.8/t",
        "file:///etc/passwd",
        "rtsp://192.0.2.7.evil/t",
    ],
)
def test_controls_that_lead_elsewhere(control: str) -> None:
    """rtsp.redirect, and the detail names no credentials."""
    with pytest.raises(LookError) as raised:
        control_url(CAMERA, URL, control)
    assert raised.value.reason is Reason.RTSP_REDIRECT
    assert "evil@" not in raised.value.detail


def test_a_control_with_a_line_end_smuggles_nothing() -> None:
    """It would become a header of our request."""
    with pytest.raises(LookError):
        control_url(CAMERA, URL, "x\x0bRTSP/1.0")
