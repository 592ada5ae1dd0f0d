"""A healthy camera, seen by FFmpeg and by a plain socket."""

from __future__ import annotations

import struct

import av
import pytest

from tests.simulator.conftest import CAMERAS, Running, Talk


def url(camera: dict[str, str], stream: str) -> str:
    """The stream's URL with the camera's credentials."""
    return camera[stream].replace("rtsp://", f"rtsp://{camera['username']}:{camera['password']}@")


@pytest.mark.parametrize("index", range(CAMERAS))
def test_ffmpeg_decodes_every_camera(farm: Running, index: int) -> None:
    """FFmpeg answers the challenge, finds the track in every dialect and decodes a key frame of the right size."""
    options = {"rtsp_transport": "tcp", "analyzeduration": "0", "probesize": "32"}

    with av.open(url(farm.cameras[index], "sub_url"), options=options, timeout=10) as container:
        video = container.streams.video[0]
        picture = next(container.decode(video))

    assert (video.codec_context.name, picture.width, picture.height, picture.key_frame) == ("h264", 640, 360, True)


def test_ffmpeg_decodes_a_main_stream(farm: Running) -> None:
    """The main stream is rendered when it is first asked for."""
    with av.open(url(farm.cameras[0], "url"), options={"rtsp_transport": "tcp"}, timeout=20) as container:
        picture = next(container.decode(container.streams.video[0]))

    assert (picture.width, picture.height) == (1280, 720)


def test_the_farm_speaks_several_dialects(farm: Running) -> None:
    """Server names, the spelling of CSeq, qop and Content-Base differ between cameras."""
    seen = set()
    for camera in farm.cameras:
        with Talk(camera) as talk:
            described = talk.ask("DESCRIBE")
            seen.add((described.headers["server"], "qop" in talk.authorization, "content-base" in described.headers))

    assert len({server for server, _, _ in seen}) >= 4
    assert {qop for _, qop, _ in seen} == {True, False}
    assert {base for _, _, base in seen} == {True, False}


def test_rtp_numbers_are_those_of_the_play_reply_and_run_on(farm: Running) -> None:
    """Sequence numbers rise by one a packet, timestamps by 18,000 a frame, on the channel that was asked for."""
    for camera in farm.cameras:
        with Talk(camera) as talk:
            assert "interleaved=6-7" in talk.setup("RTP/AVP/TCP;unicast;interleaved=6-7").headers["transport"]
            if "rtp-info" not in (played := talk.ask("PLAY")).headers:
                continue
            channel, packet = talk.packet()
            packets = [packet, *talk.frame(), *talk.frame()]
        break

    numbers = [struct.unpack_from(">xxHII", packet) for packet in packets]
    assert channel == 6
    assert f"seq={numbers[0][0]};rtptime={numbers[0][1]}" in played.headers["rtp-info"]
    assert [sequence for sequence, _, _ in numbers] == [(numbers[0][0] + i) & 0xFFFF for i in range(len(numbers))]
    assert (numbers[-1][1] - numbers[0][1]) % 2**32 == 18_000
    assert len({ssrc for _, _, ssrc in numbers}) == 1


def test_plays_in_a_row_never_begin_with_the_same_key_frame(farm: Running) -> None:
    """A live camera never repeats itself: of any four looks in a row all first key frames differ."""
    first = []
    for _ in range(8):
        with Talk(farm.cameras[2]) as talk:
            talk.play()
            first.append(b"".join(packet[12:] for packet in talk.frame()))
            talk.ask("TEARDOWN")

    for index in range(len(first) - 3):
        assert len(set(first[index : index + 4])) == 4


def test_frames_keep_coming_after_the_first(farm: Running) -> None:
    """A key frame at once, then P frames at their pace, and nothing after TEARDOWN's reply."""
    with Talk(farm.cameras[3]) as talk:
        talk.play()
        kinds = [talk.frame()[-1][12] & 31 for _ in range(3)]
        talk.send("TEARDOWN", talk.url)
        while talk.file.peek(1)[:1] == b"$":
            talk.packet()
        assert talk.reply().status == 200
        talk.socket.settimeout(0.7)
        with pytest.raises(TimeoutError):
            talk.file.read(1)

    assert kinds[0] in (5, 28)
    assert set(kinds[1:]) <= {1, 28}


def test_a_keepalive_is_answered_before_play(farm: Running) -> None:
    """OPTIONS needs no password; where GET_PARAMETER is offered it succeeds with and without a session."""
    with Talk(next(iter(offering(farm, "GET_PARAMETER")))) as talk:
        assert talk.ask("GET_PARAMETER").status == 200
        talk.setup()
        assert talk.ask("GET_PARAMETER").status == 200


def test_the_quick_answer_to_a_keepalive_is_the_slow_one(farm: Running) -> None:
    """However OPTIONS is written, the reply has the same bytes; what is not quite OPTIONS gets what it deserves."""
    for camera in farm.cameras:
        with Talk(camera) as talk:
            answers = []
            for head in (
                "CSeq: 7",
                "CSeq: 7\r\nUser-Agent: a b\r\nSession: 1",
                "cseq: 7",
                "CSeq:7",
                "Range: x\r\nCSeq: 7",
            ):
                talk.socket.sendall(f"OPTIONS {talk.url} RTSP/1.0\r\n{head}\r\n\r\n".encode())
                answers.append((answer := talk.reply()).status)
                assert (answer.headers["cseq"], answer.headers["public"][:9]) == ("7", "OPTIONS, ")
                answers.append(tuple(answer.headers.items()))
            assert answers == answers[:2] * 5
            talk.socket.sendall(b"OPTIONS * RTSP/1.0\r\nCSeq: 8\r\n\r\n" * 2)
            assert [talk.reply().headers["cseq"] for _ in range(2)] == ["8", "8"]


def offering(farm: Running, method: str, *, offered: bool = True) -> list[dict[str, str]]:
    """The cameras that have this method in Public, or have it not."""
    found = []
    for camera in farm.cameras:
        with Talk(camera) as talk:
            if (method in talk.ask("OPTIONS").headers["public"]) == offered:
                found.append(camera)
    return found


def test_a_camera_that_does_not_offer_get_parameter_ends_the_connection_over_it(farm: Running) -> None:
    """Some firmware knows OPTIONS as the only keepalive: anything that it does not know closes the connection."""
    strict = offering(farm, "GET_PARAMETER", offered=False)
    assert len(strict) >= 2
    for camera in strict:
        with Talk(camera) as talk:
            talk.setup()
            assert talk.ask("OPTIONS").status == 200
            talk.send("GET_PARAMETER", talk.url)
            assert talk.file.read() == b""


def test_some_cameras_offer_sha_256_before_md5_and_take_either(farm: Running) -> None:
    """Two challenges, the stronger first (RFC 7616); each gets in, FFmpeg by MD5; elsewhere SHA-256 does not."""
    both, alone = [], []
    for camera in farm.cameras:
        with Talk(camera) as talk:
            talk.send("DESCRIBE", talk.url)
            (both if "algorithm=SHA-256" in (asked := talk.reply().headers["www-authenticate"]) else alone).append(
                camera
            )
        assert asked.find("SHA-256") < max(0, asked.find("MD5")) or camera in alone
    assert both
    assert alone
    for camera in both:
        with Talk(camera, algorithm="SHA-256") as talk:
            assert talk.play().status == 200
        with Talk(camera) as talk:
            assert talk.play().status == 200
        with av.open(
            url(camera, "sub_url"), options={"rtsp_transport": "tcp", "probesize": "32"}, timeout=10
        ) as opened:
            assert (opened.streams.video[0].codec_context.name, opened.streams.video[0].width) == ("h264", 640)
    with Talk(alone[0], algorithm="SHA-256") as talk:
        assert talk.ask("DESCRIBE").status == 401


def test_wrong_requests_get_their_own_status(farm: Running) -> None:
    """UDP 461, unknown path 404, PLAY before SETUP 455, foreign session 454, unknown method 405, garbage 400."""
    with Talk(offering(farm, "GET_PARAMETER")[0]) as talk:
        assert talk.ask("PLAY").status == 455
        assert talk.ask("DESCRIBE", talk.url.rpartition("/")[0] + "/nowhere").status == 404
        assert talk.setup("RTP/AVP;unicast;client_port=40000-40001").status == 461
        talk.session = "0BAD"
        assert talk.ask("PLAY").status == 454
        talk.session = ""
        assert talk.ask("RECORD").status == 405
        talk.socket.sendall(b"nonsense\r\n\r\n")
        assert talk.reply().status == 400
        assert talk.file.read() == b""


def test_a_wrong_password_is_asked_again_with_the_same_nonce(farm: Running) -> None:
    """401 again, not stale: a client that retries for ever is to blame itself."""
    camera = farm.cameras[6]
    with Talk(camera, password="wrong") as talk:
        refused = talk.ask("DESCRIBE")

    assert refused.status == 401
    assert "stale" not in refused.headers["www-authenticate"]
    assert talk.authorization["nonce"] in refused.headers["www-authenticate"]


def test_a_nonce_of_another_connection_is_stale(farm: Running) -> None:
    """The right password with an old nonce gets 401 with stale=true and a new one."""
    camera = farm.cameras[7]
    with Talk(camera) as old:
        assert old.ask("DESCRIBE").status == 200
    with Talk(camera, authorization=old.authorization) as talk:
        refused = talk.ask("DESCRIBE")

    assert refused.status == 401
    assert "stale=true" in refused.headers["www-authenticate"]
