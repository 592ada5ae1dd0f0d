"""What makers' devices write into descriptions and headers. Each test says: what they do: what we do about it.

docs/cameras.md is made from these names and docstrings.
"""

from __future__ import annotations

import base64

import pytest

from streamwatch.errors import Reason, Step
from streamwatch.model.look import Transport
from tests.wire import camera_h265
from tests.wire.camera import URL, frame, packetise, reply
from tests.wire.makers import (
    H264,
    PICTURE,
    SETS,
    STATED,
    asked,
    described,
    look,
    media,
    seen,
    sprop,
    video,
)
from tests.wire.test_conversation import failed

SESSION = ("v=0", "o=- 1 1 IN IP4 192.0.2.7", "s=x", "t=0 0")


# ---- what controls are appended to


@pytest.mark.parametrize(
    "base",
    ["rtsp://rtsp://192.0.2.7/live/", "rtsp://::ffff:192.0.2.7/live/", "rtsp://::ffff:192.0.2.7:554/live/"],
)
def test_any_base_with_a_doubled_scheme_or_unbracketed_ipv6(base: str) -> None:
    """Content-Base as rtsp://rtsp://host or with bare IPv6 (go2rtc #208, #1852, WebRTC #395): its path is used."""
    talked, sent = look(describe=video(H264, "a=control:t1", headers=[f"Content-Base: {base}"]))
    seen(talked)
    assert asked(sent).endswith("/live/t1") and "rtsp://rtsp" not in asked(sent)


@pytest.mark.parametrize("base", ["192.168.1.10:554/stream0/", "192.168.1.10/stream0/"])
def test_anjvision_writes_its_base_without_a_scheme(base: str) -> None:
    """Content-Base as `192.168.1.10:554/stream0/`, of an inner network: its path is used, at the host that we know."""
    talked, sent = look(describe=video(H264, "a=control:trackID=1", headers=[f"Content-Base: {base}"]))
    seen(talked)
    assert asked(sent) == "rtsp://192.0.2.7/stream0/trackID=1"


def test_dahua_puts_a_query_before_the_slash_of_its_base() -> None:
    """`…realmonitor?channel=1&subtype=1/` as Content-Base: the control is appended as text, not as RFC 3986 says."""
    base = "rtsp://192.0.2.7:554/cam/realmonitor?channel=1&subtype=1/"
    talked, sent = look(describe=video(H264, "a=control:trackID=0", headers=[f"Content-Base: {base}"]))
    seen(talked)
    assert asked(sent) == f"{base}trackID=0"


def test_gw_base_has_no_slash_at_its_end() -> None:
    """Content-Base without a slash behind it, and a control without one before it: joined by one."""
    for control in ("track1", "/track1"):
        talked, sent = look(
            describe=video(H264, f"a=control:{control}", headers=["Content-Base: rtsp://192.0.2.7/ch01"])
        )
        seen(talked)
        assert asked(sent) == "rtsp://192.0.2.7/ch01/track1"


def test_vstarcam_sends_no_content_base() -> None:
    """No Content-Base, as servers in scripts have none: the address that was asked for takes its place."""
    talked, sent = look(url="rtsp://192.0.2.7/udp/av0_1", describe=video(H264, "a=control:track0"))
    seen(talked)
    assert asked(sent) == "rtsp://192.0.2.7/udp/av0_1/track0"


def test_hikvision_controls_are_absolute_with_a_query() -> None:
    """`rtsp://host:554/…/trackID=1?transportmode=unicast&profile=…` as control: asked for to the letter."""
    control = "rtsp://192.0.2.7:554/Streaming/Channels/101/trackID=1?transportmode=unicast&profile=Profile_1"
    talked, sent = look(
        describe=video(
            H264, f"a=control:{control}", headers=["Content-Base: rtsp://192.0.2.7:554/Streaming/Channels/101/"]
        )
    )
    seen(talked)
    assert asked(sent) == control


def test_dahua_platform_has_signs_and_a_query_in_its_base() -> None:
    """DSS puts `%241` and `?token=…&trackID=0` into Content-Base (gortsplib #121): the control is appended as text."""
    base = "rtsp://192.0.2.7:9100/dss/monitor/param/cameraid=7%241%26substream=1?token=69154&trackID=0"
    talked, sent = look(
        url="rtsp://192.0.2.7:9100/dss",
        describe=video(H264, "a=control:trackID=0", headers=[f"Content-Base: {base}"]),
    )
    seen(talked)
    assert asked(sent) == f"{base}/trackID=0"


@pytest.mark.parametrize(
    "control",
    [
        "rtsp://192.0.2.7/media/video1/video",  # the port left out
        "rtsp://192.0.2.7:554/media/video1/video",
        "rtsp://10.1.2.3:554/media/video1/video",  # the name of Content-Base
    ],
)
def test_uniview_controls_name_no_port_or_the_inner_address(control: str) -> None:
    """Absolute controls without the port that was forwarded (go2rtc #1663, mediamtx #5008): we ask where we are."""
    talked, sent = look(
        url="rtsp://192.0.2.7:10554/media/video1",
        describe=video(H264, f"a=control:{control}", headers=["Content-Base: rtsp://10.1.2.3/media/video1/"]),
    )
    seen(talked)
    assert asked(sent) == "rtsp://192.0.2.7:10554/media/video1/video"


def test_any_control_to_a_stranger_is_refused() -> None:
    """A control that names a host which is neither ours nor what the device calls itself: rtsp.redirect, not asked."""
    talked, sent = look(
        describe=video(H264, "a=control:rtsp://10.9.9.9/t", headers=["Content-Base: rtsp://10.1.2.3/live/"])
    )
    assert failed(talked) == (Reason.RTSP_REDIRECT, Step.DESCRIBE)
    assert not any("10.9.9.9" in text for text in sent)


@pytest.mark.parametrize("named", ["rtsp://192.0.2.7/live/t", "rtsp://10.1.2.3/live/t"])
def test_any_device_behind_tls_writes_rtsp_into_its_controls(named: str) -> None:
    """A server asked by rtsps writes rtsp:// into controls: the track is asked for within the same TLS connection."""
    talked, sent = look(
        url="rtsps://192.0.2.7/live",
        describe=video(H264, f"a=control:{named}", headers=["Content-Base: rtsp://10.1.2.3/live/"]),
    )
    seen(talked)
    assert asked(sent) == "rtsps://192.0.2.7/live/t"


def test_reolink_controls_are_relative() -> None:
    """`trackID=1` alone as control: appended to the address behind a slash."""
    talked, sent = look(describe=video(H264, "a=control:trackID=1"))
    seen(talked)
    assert asked(sent) == f"{URL}/trackID=1"


def test_any_track_without_control() -> None:
    """No a=control at all (go2rtc TestMissedControl): the stream's own address is set up."""
    talked, sent = look(describe=video(H264))
    seen(talked)
    assert asked(sent) == URL


@pytest.mark.parametrize("place", [0, 1, 2])
def test_any_order_of_control_and_rtpmap(place: int) -> None:
    """The control before, between or behind the other lines of its track: found wherever it stands."""
    lines = [H264, "a=recvonly"]
    lines.insert(place, "a=control:t1")
    talked, sent = look(describe=video(*lines))
    seen(talked)
    assert asked(sent) == f"{URL}/t1"


# ---- lines that are missing or broken


def test_macrovideo_sends_no_origin() -> None:
    """No o= line, and profile-level-id in base64 (retina #52): neither is needed."""
    fmtp = sprop(*SETS).replace("packetization-mode=1", "profile-level-id=TeAo;packetization-mode=1")
    talked, _ = look(
        describe=described("v=0", "s=streamed", "t=0 0", "c=IN IP4 0.0.0.0", "m=video 0 RTP/AVP 96", H264, fmtp),
        media=media(bare=True),
    )
    seen(talked, STATED)


@pytest.mark.parametrize("origin", ["o=- 1 1 IN IP4 192.168.233.233", "o=- 1 1 IN IP4 x.y.z.w"])
def test_foscam_origin_is_of_another_network(origin: str) -> None:
    """o= names an address of some other network, or none (anjvision): it is ignored."""
    talked, sent = look(describe=described("v=0", origin, "s=x", "t=0 0", "m=video 0 RTP/AVP 96", H264))
    seen(talked)
    assert not any("233" in text or "x.y" in text for text in sent)


@pytest.mark.parametrize(
    "origin",
    ["o=", "o=- 14 31 1 IN IP4 192.0.2.9", "o=- -8959 1 IN IP4 x", "o=- 1.5 1 IN IPV4 x", "o=[-22 22 IN IP4 x]", "o"],
)
def test_any_origin_that_breaks_the_rules(origin: str) -> None:
    """Seven fields, fractions, negative numbers, brackets (mediamtx #231, #2128, #2555, #2708): it is ignored."""
    talked, _ = look(describe=described("v=0", origin, "s=x", "t=0 0", "m=video 0 RTP/AVP 96", H264))
    seen(talked)


def test_any_session_name_twice_and_within_the_track() -> None:
    """s= and i= again below m= (go2rtc WebRTC #417): passed over."""
    talked, sent = look(
        describe=described(*SESSION, "s=again", "m=video 0 RTP/AVP 96", "s=x", "i=live", "a=control:t0", H264)
    )
    seen(talked)
    assert asked(sent) == f"{URL}/t0"


@pytest.mark.parametrize("line", ["c=IN ", "c=IN", "c=", "c=IN 192.0.2.27", "c=IN IP4"])
def test_uniview_breaks_its_connection_line(line: str) -> None:
    """`c=IN ` and `o=- 1001 1 IN ` without an address (mediamtx #4660, #5033, go2rtc #1426): ignored."""
    talked, _ = look(
        describe=described("v=0", "o=- 1001 1 IN ", "s=VCP IPC", "m=video 0 RTP/AVP 105", line,
                           "a=rtpmap:105 H264/90000", "a=recvonly"),
        media=media(payload_type=105),
    )  # fmt: skip
    seen(talked, STATED)


def test_tuya_sends_a_negative_port_and_garbage() -> None:
    """m=video with port -1353744643 and a c= of random bytes (go2rtc #2316): the port is not used over TCP or UDP."""
    talked, _ = look(describe=described(*SESSION, "m=video -1353744643 RTP/AVP 96", "c=IN IP4 '&\xff\xfe\x00", H264))
    seen(talked)


def test_any_description_that_begins_with_its_track() -> None:
    """Three lines, m=, rtpmap and control, and nothing else (go2rtc #679, #2245): enough."""
    talked, sent = look(describe=described("m=video 0 RTP/AVP 96", H264, "a=control:trackID=0"))
    seen(talked)
    assert asked(sent) == f"{URL}/trackID=0"


@pytest.mark.parametrize("end", ["", "\n", "\r", "\r\n\r\n"])
def test_any_end_of_the_last_line(end: str) -> None:
    """No line end after the last line, or one too many (anjvision, thingino): the line counts."""
    talked, sent = look(describe=video(H264, "a=control:t9", end=end))
    seen(talked)
    assert asked(sent) == f"{URL}/t9"


def test_any_description_without_content_type() -> None:
    """No Content-Type (retina missing_content_type), or another one: the body is read as a description."""
    body = video(H264).partition(b"\r\n\r\n")[2]
    for headers in ([], ["Content-Type: text/plain"]):
        seen(look(describe=reply(2, "200 OK", *headers, body=body))[0])


# ---- which track


@pytest.mark.parametrize("maker", ["TP-LINK", "MERCURY"])
@pytest.mark.parametrize("first", [False, True])
def test_tplink_and_mercury_send_a_media_of_their_own(maker: str, first: bool) -> None:
    """`m=application/TP-LINK 0 RTP/AVP smart/1/90000`, Mercury 水星 too (go2rtc #336, #708): skipped."""
    own = [f"m=application/{maker} 0 RTP/AVP smart/1/90000", f"a=rtpmap:95 {maker}/90000", "a=control:track3"]
    track = ["m=video 0 RTP/AVP 96", "a=control:track1", H264]
    talked, sent = look(describe=described(*SESSION, *([*own, *track] if first else [*track, *own])))
    seen(talked)
    assert asked(sent) == f"{URL}/track1"


def test_dahua_offers_a_backchannel_of_twenty_formats() -> None:
    """An audio section of 20 payload types, up to 116 (gortsplib #479): passed over; the video is set up alone."""
    types = "116 115 114 113 112 111 110 109 108 97 107 106 105 104 0 103 102 101 100 8"
    maps = [f"a=rtpmap:{number} MPEG4-GENERIC/8000" for number in types.split()]
    talked, sent = look(
        describe=described(*SESSION, f"m=audio 0 RTP/AVP {types}", "a=control:trackID=5", *maps,
                           "m=video 0 RTP/AVP 96", "a=control:trackID=0", H264)
    )  # fmt: skip
    seen(talked)
    assert asked(sent) == f"{URL}/trackID=0" and sum(text.startswith("SETUP") for text in sent) == 1


def test_ubiquiti_puts_two_audio_tracks_before_the_video() -> None:
    """Audio, audio, video, the first and the last of one type, and an empty `a=fmtp:96`: told apart by section."""
    first = ("m=audio 0 RTP/AVP 96", "a=rtpmap:96 mpeg4-generic/48000", "a=control:trackID=0")
    second = ("m=audio 0 RTP/AVP 97", "a=rtpmap:97 opus/48000", "a=control:trackID=1")
    track = ("m=video 0 RTP/AVP 96", H264, "a=fmtp:96", "a=control:trackID=2")
    talked, sent = look(describe=described(*SESSION, *first, *second, *track))
    seen(talked)
    assert asked(sent) == f"{URL}/trackID=2"


def test_bosch_numbers_its_video_35() -> None:
    """Payload type 35, below those free to use, controls as `/?inst=2&stream=video` (gortsplib #632): taken."""
    control = "rtsp://192.0.2.7:554/?inst=2&h26x=4&stream=video"
    talked, sent = look(
        url="rtsp://192.0.2.7/?inst=2&h26x=4",
        describe=described(
            *SESSION, "m=video 0 RTP/AVP 35", "a=rtpmap:35 H264/90000", f"a=control:{control}", "a=recvonly"
        ),
        media=media(payload_type=35),
    )
    seen(talked, STATED)
    assert asked(sent) == control


def test_mobotix_describes_jpeg_without_rtpmap() -> None:
    """Payload type 26 without rtpmap, and `framesize:96` for it: JPEG by its number (media-stream-library #725)."""
    lines = (
        "m=video 0 RTP/AVP 26",
        "b=AS:22500",
        "a=control:track1",
        "a=framesize:96 800-600",
        "a=x-dimensions:800,600",
    )
    talked, sent = look(describe=described(*SESSION, *lines), setup=b"", play=b"", media=b"")
    assert (talked.failure, talked.codec, talked.step) == (None, "mjpeg", Step.SETUP)
    assert asked(sent) == f"{URL}/track1"


def test_huawei_platform_sends_on_by_302() -> None:
    """DESCRIBE answered with 302 to another port of the same host (go2rtc #1881): followed in a new connection."""
    location = "rtsp://192.0.2.7:1554/00000000011320485570"
    moved = reply(2, "302 Moved Temporarily", "Public: OPTIONS, DESCRIBE", f"Location: {location}")
    talked, _ = look(describe=moved, setup=b"", play=b"", media=b"")
    assert (talked.redial, talked.failure, talked.url) == (True, None, location)


@pytest.mark.parametrize("more", [b"a=range:npt=0-\r\n", b"\r\n", b"\x00", b"m=audio 0 RTP/AVP 8\r\na=control:$\r\n"])
def test_any_body_longer_than_its_content_length(more: bytes) -> None:
    """More bytes behind the description than Content-Length says: skipped, the next reply is found."""
    seen(look(describe=video(H264, "a=control:t1") + more)[0])


def test_geovision_numbers_its_video_105() -> None:
    """Payload type 105 in description and packets, beside metadata of 107: the description's number counts."""
    more = (
        "m=application 0 RTP/AVP 107",
        "a=rtpmap:107 vnd.onvif.metadata/90000",
        "a=fmtp:107 DecoderTag=h3c-v3 RTCP=0",
    )
    talked, _ = look(
        describe=described(*SESSION, "m=video 0 RTP/AVP 105", "a=rtpmap:105 H264/90000", *more),
        media=media(payload_type=105),
    )
    seen(talked, STATED)


@pytest.mark.parametrize("stray", [H264, f"{H264} "])
def test_any_video_lines_under_the_audio(stray: str) -> None:
    """rtpmap or fmtp of the video in the audio's section (go2rtc WebRTC #419): found there."""
    lines = ["m=video 0 RTP/AVP 96", "a=control:track0", "m=audio 0 RTP/AVP 8", "a=rtpmap:0 pcma/8000/1"]
    talked, _ = look(describe=described(*SESSION, *lines, stray, sprop(*SETS)), media=media(bare=True))
    seen(talked, STATED)


@pytest.mark.parametrize("rtpmap", ["a=rtpmap:8 PCMU/8000", "a=rtpmap:96 PCMU/8000"])
def test_gw_audio_has_the_wrong_name(rtpmap: str) -> None:
    """Payload type 8 named PCMU, or audio with the video's number: the video's own section counts."""
    talked, _ = look(describe=described(*SESSION, "m=audio 0 RTP/AVP 8", rtpmap, "m=video 0 RTP/AVP 96", H264))
    seen(talked)


def test_vstarcam_ends_lines_with_blanks_and_tabs() -> None:
    """`RTP/AVP 8\\t ` and `H264/90000 ` (H264DVR): blanks at line ends mean nothing."""
    talked, _ = look(describe=described(*SESSION, "m=audio 0 RTP/AVP 8\t ", "m=video 0 RTP/AVP 96\t ", f"{H264} \t"))
    seen(talked)


def test_h264dvr_states_its_frame_rate_twice() -> None:
    """`a=framerate:0S`, and then 25: neither is used."""
    talked, _ = look(describe=video(H264, "a=framerate:0S", "a=framerate:25"))
    seen(talked)


def test_any_video_that_is_marked_sendonly() -> None:
    """a=sendonly, a=recvonly or an empty a= on the video (go2rtc #771): what is marked is not believed."""
    for direction in ("a=sendonly", "a=recvonly", "a=", "a"):
        seen(look(describe=video(H264, direction))[0])


# ---- parameter sets of the description


@pytest.mark.parametrize("level", ["4D0028A", "TeAo", "", "xyz"])
def test_gw_profile_level_id_is_no_such_number(level: str) -> None:
    """profile-level-id of seven digits, in base64 or empty: not used, the SPS tells the size."""
    fmtp = sprop(*SETS).replace("packetization-mode=1", f"profile-level-id={level}")
    seen(look(describe=video(H264, fmtp), media=media(bare=True))[0], STATED)


@pytest.mark.parametrize(
    "text",
    [
        ",".join(base64.b64encode(b"\x00\x00\x00\x01" + unit).decode() for unit in SETS),
        base64.b64encode(b"".join(b"\x00\x00\x00\x01" + unit for unit in SETS)).decode(),
        ",".join(base64.b64encode(unit + b"\x00\x00").decode() for unit in SETS),
        ",".join(base64.b64encode(unit).decode().rstrip("=") for unit in SETS),
        ", ".join(base64.b64encode(unit).decode() for unit in (*SETS, b"\xe9\x00")) + ",",
    ],
    ids=["start codes", "both in one", "trailing zeros", "no padding", "one more, a comma, blanks"],
)
def test_v380_and_gw_wrap_their_parameter_sets(text: str) -> None:
    """Annex B start codes, trailing zeros, missing padding in sprop-parameter-sets: cleaned, then used."""
    fmtp = f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={text}"
    seen(look(describe=video(H264, fmtp), media=media(bare=True))[0], STATED)


@pytest.mark.parametrize("text", ["6QAA,aM4=", "!!!!", "", "Z0IAH5WoPASaEAAAcIAAFfkIQA=="])
def test_vstarcam_parameter_sets_are_wrong(text: str) -> None:
    """sprop-parameter-sets that are no parameter sets, or another camera's (retina #42): those in the stream win."""
    talked, _ = look(describe=video(H264, f"a=fmtp:96 sprop-parameter-sets={text}"), media=media())
    seen(talked, STATED)


def test_hikvision_leaves_the_pps_out() -> None:
    """`sprop-parameter-sets=Z0IA…,` with an SPS only (restreamer #3): the PPS comes in the stream."""
    whole = [(*SETS[1:], *PICTURE[0][len(SETS) :]), *PICTURE[1:]]
    fmtp = sprop(SETS[0]) + ","
    talked, _ = look(describe=video(H264, fmtp), media=b"".join(frame(packet) for packet in packetise(whole)))
    seen(talked, STATED)


@pytest.mark.parametrize("tail", [b"\x00\x00", b"\xff\xee\xdd", b"\x80\x00\x00\x03\x00"])
def test_reolink_sends_bytes_behind_the_sps(tail: bytes) -> None:
    """More bytes after the end of the SPS, in the description too: the size is read all the same."""
    talked, _ = look(describe=video(H264, sprop(SETS[0] + tail, SETS[1])), media=media(bare=True))
    seen(talked, STATED)


H265 = camera_h265.encode(352, 288)
H265_SETS = [unit for unit in H265[0] if camera_h265.kind(unit) in {32, 33, 34}]


def h265_look(description: bytes, *, bare: bool) -> None:
    pictures = [camera_h265.vcl(picture) for picture in H265] if bare else H265
    packets = camera_h265.packetise(pictures)
    talked, _ = look(
        describe=reply(2, "200 OK", "Content-Type: application/sdp", body=description),
        media=b"".join(frame(packet) for packet in packets),
    )
    seen(talked, (352, 288))
    assert talked.codec == "h265"


@pytest.mark.parametrize("count", [0, 1, 2])
def test_any_h265_without_all_of_its_parameter_sets(count: int) -> None:
    """fmtp without all of sprop-vps, -sps and -pps (go2rtc PR 1588): those of the stream are waited for."""
    h265_look(camera_h265.sdp(H265_SETS[:count]), bare=False)


def test_tplink_h265_has_a_long_fmtp() -> None:
    """profile-space, tier-flag and interop-constraints before sprop-vps, -sps, -pps: the sets alone are enough."""
    more = ";profile-space=0;tier-flag=0;level-id=150;interop-constraints=000000000000"
    h265_look(camera_h265.sdp(H265_SETS, fmtp=more), bare=True)


def test_any_h265_in_several_streams() -> None:
    """tx-mode=MRST or MRMT in the fmtp, which no camera is known for: refused by name; SRST is read as ever."""
    h265_look(camera_h265.sdp(H265_SETS, fmtp=";tx-mode=SRST"), bare=False)
    for mode in ("MRST", "MRMT"):
        body = camera_h265.sdp(H265_SETS, fmtp=f";tx-mode={mode}")
        talked, _ = look(describe=reply(2, "200 OK", "Content-Type: application/sdp", body=body))
        assert failed(talked) == (Reason.MEDIA_UNSUPPORTED_CODEC, Step.DESCRIBE)


# ---- headers


@pytest.mark.parametrize("spelling", ["Cseq", "cseq", "CSEQ", "CSeq "])
def test_h264dvr_and_vlc_spell_cseq_their_way(spelling: str) -> None:
    """`Cseq`, also in capitals or with a blank before the colon: header names have no case."""
    described_again = video(H264).replace(b"CSeq", spelling.encode())
    seen(look(describe=described_again)[0])


@pytest.mark.parametrize("value", ["2 ", "  2", "2\t", "02"])
def test_longse_writes_blanks_around_cseq(value: str) -> None:
    """`CSeq: 2 ` with a blank behind (gortsplib #437): taken for 2."""
    seen(look(describe=video(H264).replace(b"CSeq: 2", f"CSeq: {value}".encode()))[0])


def test_foscam_answers_with_cseq_0() -> None:
    """HiSilicon's server writes `Cseq: 0` where CSeq is our first header: the reply that is due is taken."""
    zero = [part.replace(b"CSeq: %d" % index, b"Cseq: 0") for index, part in enumerate(
        (reply(1, "200 OK", "Public: OPTIONS"), video(H264)), 1)]  # fmt: skip
    seen(look(options=zero[0], describe=zero[1])[0])


def test_hipcam_spells_content_length_its_way() -> None:
    """`Content-length` (yellowstone #17): header names have no case."""
    seen(look(describe=video(H264).replace(b"Content-Length", b"Content-length"))[0])


@pytest.mark.parametrize("empty", ["RTP-Info:", "RTP-Info: ", "x-Accept-Retransmit:"])
def test_dahua_sends_empty_headers(empty: str) -> None:
    """A header without a value (mediamtx #34, #368): no fault."""
    seen(look(describe=video(H264, headers=[empty]), play=reply(4, "200 OK", empty))[0])


@pytest.mark.parametrize("date", ["Wed, May 05 2021 21:51:17 GMT", "Sat, 8 May 2021 04:35:51 UTC", "never", ""])
def test_hikvision_dates_are_no_dates(date: str) -> None:
    """`Date:  Wed, May 05 2021` is not what HTTP calls a date: not read."""
    seen(look(describe=video(H264, headers=[f"Date:  {date}"]))[0])


def test_any_order_of_headers() -> None:
    """Content-Length first and CSeq last: any order will do."""
    body = video(H264).partition(b"\r\n\r\n")[2]
    head = b"RTSP/1.0 200 OK\r\nContent-Length: %d\r\nServer: x\r\nCSeq: 2\r\n\r\n" % len(body)
    seen(look(describe=head + body)[0])


def test_any_body_of_a_refusal() -> None:
    """A body and Content-Length on replies that need none: read past, the next reply is found."""
    seen(look(options=reply(1, "501 Not Implemented", "Content-Type: text/html", body=b"<html>no</html>"))[0])


# ---- Transport and Session


def test_hikvision_pads_its_session_with_blanks() -> None:
    """`Session:        708345999`: the blanks are no part of it."""
    setup = reply(3, "200 OK", "Session:        708345999;timeout=60", "Transport: RTP/AVP/TCP;interleaved=0-1")
    talked, sent = look(setup=setup, play=reply(4, "200 OK", "Session:        708345999"))
    seen(talked)
    assert "Session: 708345999" in sent[3] and b"Session: 708345999\r\n" in talked.farewell()


def test_hikvision_writes_a_short_ssrc_behind_a_blank() -> None:
    """`ssrc= d6d6627`, seven digits behind a blank: read as a number; over TCP not needed."""
    setup = reply(3, "200 OK", "Session:        41;timeout=60",
                  'Transport: RTP/AVP/TCP;unicast;interleaved=0-1;ssrc= d6d6627;mode="play"')  # fmt: skip
    talked, sent = look(setup=setup)
    seen(talked)
    assert "Session: 41\r\n" in sent[3] + "\r\n"


@pytest.mark.parametrize(
    "transport",
    [
        "RTP/AVP;unicast;destination=192.0.2.1;source=192.0.2.7;interleaved=0-1",  # Escam Q6
        "RTP/AVP/TCP;interleaved=0-1;unicast",  # Vivotek
        "RTP/AVP/TCP;ssrc=22345682;interleaved=0-1",
        "RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=     D93FF",  # Dahua
        "RTP/AVP/TCP;unicast;interleaved=0",
        "RTP/AVP;unicast;mode=PLAY;source=192.0.2.7;ssrc=0",  # H264DVR: no channels
        "RTP/AVP/TCP;unicast",  # gortsplib #142
    ],
)
def test_escam_vivotek_and_others_write_transport_their_way(transport: str) -> None:
    """Interleaved without TCP (Escam), before unicast (Vivotek), without RTCP's channel or none: the media is found."""
    seen(look(setup=reply(3, "200 OK", "Session: 7", f"Transport: {transport}"))[0])


@pytest.mark.parametrize("channels", ["1-2", "4-5", "8-9", "10-11", "2"])
def test_any_other_channels_than_asked_for(channels: str) -> None:
    """Channels 8-9, or odd ones, though 0-1 were asked for (gortsplib #72, mediamtx #1762): theirs are read."""
    setup = reply(3, "200 OK", "Session: 7", f"Transport: RTP/AVP/TCP;unicast;interleaved={channels}")
    seen(look(setup=setup, media=media(channel=int(channels.split("-")[0])))[0], STATED)


def test_any_setup_reply_without_transport() -> None:
    """SETUP answered without a Transport header (gortsplib #456): as it was asked for."""
    seen(look(setup=reply(3, "200 OK", "Session: 7"))[0])


def test_h264dvr_udp_says_ssrc_0() -> None:
    """`mode=PLAY` and `ssrc=0` where the packets have another: not believed."""
    setup = reply(3, "200 OK", "Session: 77;timeout=60",
                  "Transport: RTP/AVP;mode=PLAY;client_port=5000-5001;server_port=40004-40005;ssrc=0")  # fmt: skip
    talked, _ = look(setup=setup, media=b"", transport=Transport.UDP)
    for packet in packetise(PICTURE):
        talked.datagram(packet, 1.0)
    seen(talked, STATED)


@pytest.mark.parametrize("ssrc", ["1449463210", "4317f", "", "xyz", "FFFFFFFF"])
def test_any_announced_ssrc_that_is_wrong(ssrc: str) -> None:
    """Ten decimal digits, an empty or simply false ssrc: after 16 packets of another one that is believed."""
    setup = reply(3, "200 OK", "Session: 7",
                  f"Transport: RTP/AVP;unicast;client_port=5000;server_port=8052;source=;ssrc={ssrc}")  # fmt: skip
    talked, _ = look(setup=setup, media=b"", transport=Transport.UDP)
    for packet in packetise([*PICTURE] * 9, mtu=600):
        talked.datagram(packet, 1.0)
    seen(talked, STATED)


def test_dahua_changes_its_session_between_replies() -> None:
    """One session id in SETUP and another in PLAY (retina 0.4.6): the latest is used."""
    talked, sent = look(
        setup=reply(3, "200 OK", "Session: 634214675641;timeout=60", "Transport: RTP/AVP/TCP;interleaved=0-1"),
        play=reply(4, "200 OK", "Session: 634214684047"),
    )
    seen(talked)
    assert "Session: 634214675641" in sent[3]
    assert b"Session: 634214684047\r\n" in talked.farewell()


def test_any_session_id_already_in_the_description() -> None:
    """A Session in the replies to OPTIONS and DESCRIBE (Dahua, Wowza): the one of SETUP is used."""
    talked, sent = look(options=reply(1, "200 OK", "Session: 11"), describe=video(H264, headers=["Session: 12"]))
    seen(talked)
    assert "Session: 12345678" in sent[3]


def test_gw_changes_its_timeout_from_setup_to_play() -> None:
    """60 s in SETUP, 120 s in PLAY: the later one sets the pace of keepalives."""
    first = look(play=reply(4, "200 OK", "Session: 12345678;timeout=120"), media=b"")[0]
    assert first.due is not None and 60 <= first.due <= 60.1


def test_luckfox_names_its_ssrc_first() -> None:
    """`ssrc=1A2B3C;RTP/AVP/TCP;unicast;interleaved=2-3` as Transport: read in any order, on its channels."""
    setup = reply(3, "200 OK", "Session: 12", "Transport: ssrc=1A2B3C;RTP/AVP/TCP;unicast;interleaved=2-3")
    seen(look(setup=setup, media=media(channel=2))[0], STATED)


def test_luckfox_writes_a_blank_before_timeout() -> None:
    """`Session: 12; timeout=30`: read as 30 s."""
    talked, _ = look(
        setup=reply(3, "200 OK", "Session: 12; timeout=30", "Transport: RTP/AVP/TCP;interleaved=0-1"),
        play=reply(4), media=b"",
    )  # fmt: skip
    assert talked.due is not None and 15 <= talked.due <= 15.1


# ---- RTP-Info


@pytest.mark.parametrize(
    "info",
    [
        "url=trackID=1;seq=16852;rtptime=107;ssrc=dcc4a0d8,url=trackID=2;seq=39409;rtptime=307",  # Reolink, Dahua
        "url=rtsp://192.0.2.7/live/t1;seq=5;rtptime=1;",  # Laureii
        "url=rtsp://192.0.2.7/live/t1;seq=1;rtptime=-1",
        "url=x;seq=;rtptime=",
        "",
    ],
)
def test_laureii_and_others_write_rtp_info_their_way(info: str) -> None:
    """A relative URL, a `;` at the end, `rtptime=-1`, or nothing: it is not needed."""
    seen(look(play=reply(4, "200 OK", f"RTP-Info: {info}"))[0])


@pytest.mark.parametrize("maker", ["hikvision DS-2CD2032-I", "tapo C320WS"])
@pytest.mark.parametrize("seq", [0, 1])
def test_hikvision_and_tapo_name_a_false_first_packet(maker: str, seq: int) -> None:
    """`seq=0` or `seq=1` where the first packet is another (DS-2CD2032-I, Tapo C320WS): it is never waited for."""
    play = reply(4, "200 OK", f"Server: {maker}", f"RTP-Info: url={URL}/track1;seq={seq};rtptime=0")
    seen(look(play=play)[0])


def test_vstarcam_sends_no_rtp_info() -> None:
    """PLAY answered without RTP-Info (retina #10): the media alone counts."""
    seen(look(play=reply(4, "200 OK", "Session: 12345678"))[0])
