"""A whole look as a transcript: the device's bytes in, our requests out, one outcome."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.errors import LookError, Reason, Step, UsageError
from streamwatch.model.look import Depth, Transport
from streamwatch.model.report import Credentials
from streamwatch.wire.ask import MAX_MEDIA_BYTES
from streamwatch.wire.conversation import Ask, Conversation
from tests.wire.camera import URL, Script, encode, frame, packetise, reply, rtp, script, sdp
from tests.wire.test_bitstream import sps

PICTURES = encode(320, 240, pictures=3, slices=2)
PACKETS = packetise(PICTURES, mtu=600)
GOOD = script(PACKETS)
CREDENTIALS = Credentials("admin", "s3cret-Pa55")
DIGEST = 'WWW-Authenticate: Digest realm="r", nonce="n1", qop="auth"'


def talk(
    *pieces: bytes,
    url: str = URL,
    depth: Depth = Depth.STREAM,
    credentials: Credentials | None = None,
    basic: bool = False,
    transport: Transport = Transport.AUTO,
    prefer: Transport = Transport.TCP,
) -> tuple[Conversation, list[str]]:
    """Feeds pieces one after another, 10 ms apart; gives the conversation and every request that it sent.

    Port 5000 is there where it wants one.
    """
    ask = Ask(url, depth, credentials, allow_basic=basic, transport=transport, prefer=prefer)
    talked = Conversation(ask, lambda: "c0ffee")
    sent = talked.start(0.0)
    for index, piece in enumerate(pieces, 1):
        sent += talked.receive(piece, index / 100)
        if talked.wants_ports:
            sent += talked.use_ports(5000)
    return talked, requests(sent)


def requests(sent: bytes) -> list[str]:
    """Our messages, without the empty line."""
    return [text for text in sent.decode("latin-1").split("\r\n\r\n") if text]


def outcome(talked: Conversation) -> tuple[object, ...]:
    """All that a look's shell reads at the end, but for times."""
    return (
        talked.finished,
        talked.failure,
        talked.keyframe,
        talked.step,
        talked.codec,
        talked.width,
        talked.height,
        talked.transport,
        talked.server,
        talked.media_flowed,
        list(talked.timings_ms),
    )


def failed(talked: Conversation) -> tuple[Reason, Step]:
    """Reason and step of a failed look."""
    assert talked.failure is not None and talked.finished and talked.keyframe is None
    return talked.failure.reason, talked.failure.step


def test_a_good_look() -> None:
    """OPTIONS, DESCRIBE, SETUP, PLAY, one keyframe; then TEARDOWN, and its reply."""
    talked, sent = talk(*GOOD.parts)
    assert talked.failure is None and talked.keyframe is not None
    assert (talked.keyframe.codec, talked.keyframe.width, talked.keyframe.height) == ("h264", 320, 240)
    assert (talked.codec, talked.transport, talked.server, talked.media_flowed) == ("h264", "tcp", "test/1", True)
    assert {key: round(value) for key, value in talked.timings_ms.items()} == {
        "options": 10,
        "describe": 10,
        "setup": 10,
        "play": 10,
        "first_keyframe": 10,
    }
    assert [text.split(" RTSP")[0] for text in sent] == [
        f"OPTIONS {URL}",
        f"DESCRIBE {URL}",
        f"SETUP {URL}/track1",
        f"PLAY {URL}",
    ]
    assert all(
        f"\r\nCSeq: {index}\r\n" in text + "\r\n" and "\r\nUser-Agent: streamwatch" in text
        for index, text in enumerate(sent, 1)
    )
    assert "Transport: RTP/AVP/TCP;unicast;interleaved=0-1" in sent[2] and "Session: 12345678" in sent[3]
    assert talked.farewell().startswith(f"TEARDOWN {URL} RTSP/1.0\r\nCSeq: 5\r\n".encode())
    assert not talked.parted
    talked.receive(frame(PACKETS[0]) + reply(5), 1.0)
    assert talked.parted
    assert talked.receive(b"", 2.0) == b"" and talked.failure is None


def test_reach_stops_at_the_first_answer() -> None:
    """Any well-formed answer shows that the device speaks RTSP; no session is opened."""
    for status in ("200 OK", "401 Unauthorized", "404 Not Found", "501 Not Implemented", "301 Moved", "500"):
        talked, sent = talk(reply(1, status), depth=Depth.REACH)
        assert talked.finished and talked.failure is None and len(sent) == 1
        assert list(talked.timings_ms) == ["options"]
        assert talked.farewell() == b"" and talked.parted


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "405 Method Not Allowed", "501 Not Implemented", "551"])
def test_a_refused_options_is_no_failure(status: str) -> None:
    """Some cameras do not know it; DESCRIBE follows whatever they say."""
    talked, _ = talk(reply(1, status), *GOOD.parts[1:])
    assert talked.keyframe is not None


def test_every_cut_gives_the_same_outcome() -> None:
    """The whole conversation cut once at every byte, and into single bytes."""
    whole, _ = talk(GOOD.whole)
    expected = outcome(whole)
    assert whole.keyframe is not None
    data = GOOD.whole
    for cut in range(1, len(data)):
        talked, _ = talk(data[:cut], data[cut:])
        assert outcome(talked) == expected
    single, _ = talk(*(data[at : at + 1] for at in range(len(data))))
    assert outcome(single) == expected


def test_end_of_stream_at_every_byte_is_a_reset() -> None:
    """FIN anywhere before the keyframe: net.reset at the step, never an exception; afterwards it changes nothing."""
    data = GOOD.whole
    steps = set()
    for cut in range(len(data) + 1):
        talked, _ = talk(*([data[:cut]] if cut else []), b"", transport=Transport.TCP)
        assert talked.finished
        if talked.keyframe is None:
            reason, step = failed(talked)
            assert reason is Reason.NET_RESET
            steps.add(step)
        assert talked.farewell() == b"" or talked.keyframe is not None
    assert steps == {Step.OPTIONS, Step.DESCRIBE, Step.SETUP, Step.PLAY, Step.FIRST_KEYFRAME}


def test_silence_at_every_step_is_a_timeout_with_its_name() -> None:
    """Before PLAY is answered net.timeout, afterwards what did not come."""
    found = []
    for count in range(5):
        talked, _ = talk(*GOOD.parts[:count])
        talked.timeout(10.0)
        found.append(failed(talked))
    assert found == [
        (Reason.NET_TIMEOUT, Step.OPTIONS),
        (Reason.NET_TIMEOUT, Step.DESCRIBE),
        (Reason.NET_TIMEOUT, Step.SETUP),
        (Reason.NET_TIMEOUT, Step.PLAY),
        (Reason.MEDIA_NO_DATA, Step.FIRST_KEYFRAME),
    ]


def test_media_without_a_keyframe() -> None:
    """Until the deadline, or until 8 MiB: media.no_keyframe, and that media flowed."""
    inter = packetise(PICTURES[1:])
    talked, _ = talk(*GOOD.parts[:4], *map(frame, inter))
    assert not talked.finished
    talked.timeout(60.0)
    assert failed(talked) == (Reason.MEDIA_NO_KEYFRAME, Step.FIRST_KEYFRAME) and talked.media_flowed
    flood = [frame(rtp(b"\x41" + bytes(60_000), number, number * 3600, marker=True)) for number in range(150)]
    talked, _ = talk(*GOOD.parts[:4], *flood)
    assert failed(talked) == (Reason.MEDIA_NO_KEYFRAME, Step.FIRST_KEYFRAME)
    assert 0 < talked.media_bytes - MAX_MEDIA_BYTES < 61_000


def test_rtcp_and_foreign_payloads_are_no_media() -> None:
    """A device that sends reports only, or another payload type, sends no video."""
    report = b"\x80\xc8\x00\x06" + bytes(24)
    other = rtp(b"\x65\x88", 1, 0, pt=50)
    talked, _ = talk(*GOOD.parts[:4], frame(report, 1), frame(other), frame(b"\x00" * 20), frame(b""))
    talked.timeout(10.0)
    assert failed(talked) == (Reason.MEDIA_NO_DATA, Step.FIRST_KEYFRAME)


def test_geovision_repeats_sequence_number_in_payload_50() -> None:
    """A strange packet after each of ours, with its number: no loss, and no media of ours."""
    media = b"".join(frame(packet) + frame(packet[:1] + b"\x32" + packet[2:4] + bytes(8) + b"??") for packet in PACKETS)
    talked, _ = talk(*GOOD.parts[:4], media)
    assert talked.keyframe is not None and talked._leg.media is not None
    assert talked._leg.media.tracker.lost == talked._leg.media.tracker.dropped == 0


def test_other_payload_types_that_use_up_numbers_are_no_loss() -> None:
    """Metadata within the same numbering; RTCP on the same channel has no number at all."""
    report = b"\x80\xc8\x00\x06" + bytes(24)
    numbers = iter(range(100, 10_000))
    mixed = []
    for packet in PACKETS:
        for one in (packet, packet[:1] + b"\x6b" + packet[2:12] + b"<xml/>"):
            mixed.append(one[:2] + next(numbers).to_bytes(2, "big") + one[4:])
        mixed.append(report)
    talked, _ = talk(*GOOD.parts[:4], b"".join(map(frame, [report, *mixed])))
    assert talked.keyframe is not None and talked.keyframe.rtp_timestamp == 0
    assert talked._leg.media is not None and talked._leg.media.tracker.lost == 0


@pytest.mark.parametrize(
    ("status", "step", "reason"),
    [
        ("403 Forbidden", Step.DESCRIBE, Reason.RTSP_FORBIDDEN),
        ("404 Not Found", Step.DESCRIBE, Reason.RTSP_NOT_FOUND),
        ("404 Stream Not Found", Step.SETUP, Reason.RTSP_NOT_FOUND),
        ("410 Gone", Step.DESCRIBE, Reason.RTSP_NOT_FOUND),
        ("453 Not Enough Bandwidth", Step.SETUP, Reason.RTSP_BUSY),
        ("453 Not Enough Bandwidth", Step.PLAY, Reason.RTSP_BUSY),
        ("454 Session Not Found", Step.SETUP, Reason.RTSP_PROTOCOL),
        ("459 Aggregate Operation Not Allowed", Step.PLAY, Reason.RTSP_PROTOCOL),
        ("461 Unsupported Transport", Step.SETUP, Reason.RTSP_TRANSPORT),
        ("400 Bad Request", Step.SETUP, Reason.RTSP_TRANSPORT),
        ("400 Bad Request", Step.DESCRIBE, Reason.RTSP_PROTOCOL),
        ("500 Internal Server Error", Step.PLAY, Reason.RTSP_PROTOCOL),
        ("503 Too Many Clients", Step.DESCRIBE, Reason.RTSP_BUSY),
        ("503", Step.SETUP, Reason.RTSP_BUSY),
        ("301 Moved", Step.DESCRIBE, Reason.RTSP_REDIRECT),
        ("302 Found", Step.PLAY, Reason.RTSP_REDIRECT),
    ],
)
def test_refusals(status: str, step: Step, reason: Reason) -> None:
    """Each refusal at its step has one reason."""
    place = {Step.DESCRIBE: 1, Step.SETUP: 2, Step.PLAY: 3}[step]
    talked, _ = talk(*GOOD.parts[:place], reply(place + 1, status), transport=Transport.TCP)
    assert failed(talked) == (reason, step)
    assert (talked.farewell() != b"") is (step is Step.PLAY)


def challenge(cseq: int, header: str = DIGEST) -> bytes:
    """A 401."""
    return reply(cseq, "401 Unauthorized", header)


def shifted(parts: list[bytes], by: int, first: int) -> list[bytes]:
    """The same replies with other CSeq."""
    return [
        re.sub(rb"CSeq: (\d+)", lambda found: b"CSeq: %d" % (int(found[1]) + by), part) if index >= first else part
        for index, part in enumerate(parts)
    ]


def test_digest_is_answered_once_and_then_sent_unasked() -> None:
    """One 401 on DESCRIBE; SETUP, PLAY and TEARDOWN carry an answer of their own with a growing count."""
    talked, sent = talk(GOOD.options, challenge(2), *shifted(GOOD.parts, 1, 0)[1:], credentials=CREDENTIALS)
    assert talked.keyframe is not None
    assert ["Authorization" in text for text in sent] == [False, False, True, True, True]
    assert [re.findall(r"nc=(\d+)", text) for text in sent[2:]] == [["00000001"], ["00000002"], ["00000003"]]
    assert b"nc=00000004" in talked.farewell()


def test_a_challenge_to_options_saves_a_round_trip() -> None:
    """DESCRIBE is answered at once."""
    talked, sent = talk(challenge(1), *GOOD.parts[1:], credentials=CREDENTIALS)
    assert talked.keyframe is not None and len(sent) == 4 and "Authorization" in sent[1]


def test_sha_256_is_taken_before_md5_and_holds_for_the_whole_look() -> None:
    """Two offers, the weaker first: DESCRIBE to TEARDOWN carry SHA-256, also after its nonce ran out in between."""
    both = (DIGEST, 'WWW-Authenticate: Digest realm="r", nonce="n256", qop="auth", algorithm=SHA-256')
    again = tuple(offer.replace('nonce="', 'stale=true, nonce="x') for offer in both)
    parts = [GOOD.options, reply(2, "401 Unauthorized", *both), shifted(GOOD.parts, 1, 0)[1]]
    parts += [reply(4, "401 Unauthorized", *again), *shifted(GOOD.parts, 2, 0)[2:]]
    talked, sent = talk(*parts, credentials=CREDENTIALS)
    assert talked.keyframe is not None
    answered = [text for text in [*sent, talked.farewell().decode()] if "Authorization" in text]
    assert [text.split()[0] for text in answered] == ["DESCRIBE", "SETUP", "SETUP", "PLAY", "TEARDOWN"]
    for text in answered:
        method, url = text.split()[:2]
        nonce, nc = re.findall(r' nonce="(.*?)"', text)[0], re.findall(r"nc=(\w+)", text)[0]
        first = hashlib.sha256(f"admin:r:{CREDENTIALS.password}".encode()).hexdigest()
        second = hashlib.sha256(f"{method}:{url}".encode()).hexdigest()
        expected = hashlib.sha256(f"{first}:{nonce}:{nc}:c0ffee:auth:{second}".encode()).hexdigest()
        assert f'response="{expected}"' in text and "algorithm=SHA-256" in text
    assert re.findall(r' nonce="(.*?)"', "".join(answered)) == ["n256"] * 2 + ["xn256"] * 3


@pytest.mark.parametrize("again", ["n1", "n2"])
def test_wrong_password_is_tried_at_most_twice(again: str) -> None:
    """401 for ever, with the same nonce or a new one each time: rtsp.auth, two tries at the most."""
    header = f'WWW-Authenticate: Digest realm="r", nonce="{again}"'
    talked, sent = talk(
        GOOD.options, challenge(2), *(challenge(number, header) for number in range(3, 9)), credentials=CREDENTIALS
    )
    assert failed(talked) == (Reason.RTSP_AUTH, Step.DESCRIBE)
    assert sum("Authorization" in text for text in sent) <= 2


def test_stale_for_ever_ends_too() -> None:
    """A nonce that is always too old is rtsp.auth after two tries."""
    stale = [
        challenge(number, f'WWW-Authenticate: Digest realm="r", nonce="x{number}", stale=true')
        for number in range(3, 9)
    ]
    talked, sent = talk(GOOD.options, challenge(2), *stale, credentials=CREDENTIALS)
    assert failed(talked) == (Reason.RTSP_AUTH, Step.DESCRIBE)
    assert sum("Authorization" in text for text in sent) == 2


@pytest.mark.parametrize("place", [2, 3])
def test_re_authentication_at_setup_or_play(place: int) -> None:
    """A nonce that ran out within the session: once more with the new one."""
    parts = shifted(GOOD.parts, 1, 0)[1:]
    parts = [
        *parts[: place - 1],
        challenge(place + 2, 'WWW-Authenticate: Digest realm="r", nonce="n2"'),
        *shifted(parts[place - 1 :], 1, 0),
    ]
    talked, sent = talk(GOOD.options, challenge(2), *parts, credentials=CREDENTIALS)
    assert talked.keyframe is not None
    assert 'nonce="n2"' in sent[-1]


@pytest.mark.parametrize("place", [2, 3])
def test_401_at_setup_or_play_only(place: int) -> None:
    """Devices that protect no earlier step."""
    parts = [*GOOD.parts[:place], challenge(place + 1), *shifted(GOOD.parts, 1, 0)[place:]]
    talked, _ = talk(*parts, credentials=CREDENTIALS)
    assert talked.keyframe is not None


def test_no_credentials_and_only_basic() -> None:
    """Both are rtsp.auth; Basic goes out only where it is allowed."""
    talked, _ = talk(GOOD.options, challenge(2))
    assert failed(talked) == (Reason.RTSP_AUTH, Step.DESCRIBE)
    basic = 'WWW-Authenticate: Basic realm="r"'
    talked, sent = talk(GOOD.options, challenge(2, basic), credentials=CREDENTIALS)
    assert failed(talked) == (Reason.RTSP_AUTH, Step.DESCRIBE) and not any("Authorization" in text for text in sent)
    talked, sent = talk(
        GOOD.options, challenge(2, basic), *shifted(GOOD.parts, 1, 0)[1:], credentials=CREDENTIALS, basic=True
    )
    assert talked.keyframe is not None and "Authorization: Basic " in sent[2]


def test_basic_in_mid_session_is_refused_after_digest() -> None:
    """No downgrade: SETUP asks for Basic where DESCRIBE took Digest."""
    parts = [
        GOOD.options,
        challenge(2),
        shifted(GOOD.parts, 1, 0)[1],
        challenge(4, 'WWW-Authenticate: Basic realm="r"'),
    ]
    talked, sent = talk(*parts, credentials=CREDENTIALS)
    assert failed(talked) == (Reason.RTSP_AUTH, Step.SETUP)
    assert not any("Basic" in text for text in sent)


def test_credentials_in_the_address_are_used_and_never_sent() -> None:
    """No request holds them; nor do failures."""
    talked, sent = talk(challenge(1), *GOOD.parts[1:], url="rtsp://admin:p%40ss/word@192.0.2.7/live")
    assert talked.keyframe is not None
    assert not any("p@ss" in text or "p%40ss" in text or "admin:" in text for text in sent)
    assert 'username="admin"' in sent[1]


def test_a_secret_does_not_follow_a_control_address() -> None:
    """SDP that sends SETUP to another host or port: rtsp.redirect, and no Authorization left."""
    for target in ("rtsp://198.51.100.1/t", "rtsp://192.0.2.7:8554/t"):
        body = sdp(control=target)
        talked, sent = talk(challenge(1), reply(2, body=body), credentials=CREDENTIALS)
        assert failed(talked) == (Reason.RTSP_REDIRECT, Step.DESCRIBE)
        assert not any(target in text for text in sent)


@pytest.mark.parametrize("credentials", [None, CREDENTIALS])
@pytest.mark.parametrize("control", ["t" * 2048, "t@" * 1024])
def test_a_control_too_long_to_ask_for_is_a_failure(control: str, credentials: Credentials | None) -> None:
    """rtsp.protocol, with and without a password at hand; nothing of it is sent."""
    first = GOOD.options if credentials is None else challenge(1)
    talked, sent = talk(first, reply(2, body=sdp(control=control)), credentials=credentials)
    assert failed(talked) == (Reason.RTSP_PROTOCOL, Step.DESCRIBE)
    assert not any(control in text for text in sent)


@pytest.mark.parametrize(("rtpmap", "codec"), [("AV1/90000", "av1")])
def test_codecs_that_are_not_decoded_are_named(rtpmap: str, codec: str) -> None:
    """media.unsupported_codec, before a session is opened."""
    talked, _ = talk(GOOD.options, reply(2, body=sdp(rtpmap=rtpmap)))
    assert failed(talked) == (Reason.MEDIA_UNSUPPORTED_CODEC, Step.DESCRIBE)
    assert talked.codec == codec and talked.failure is not None and codec in talked.failure.detail
    assert talked.farewell() == b""


def test_no_video() -> None:
    """An empty description, and one with sound only."""
    for body in (b"", b"v=0\r\nm=audio 0 RTP/AVP 0\r\n"):
        talked, _ = talk(GOOD.options, reply(2, body=body))
        assert failed(talked) == (Reason.MEDIA_NO_VIDEO, Step.DESCRIBE)


def test_a_picture_too_large_never_comes_out() -> None:
    """The stream's own SPS decides; a description that lies small does not help."""
    huge = [(sps(1000, 1000), PICTURES[0][1], *[unit for unit in PICTURES[0] if unit[0] & 0x1F == 5])]
    talked, _ = talk(*script(packetise(huge), sdp(PICTURES[0][:2])).parts)
    assert failed(talked) == (Reason.MEDIA_TOO_LARGE, Step.FIRST_KEYFRAME)
    assert (talked.width, talked.height) == (16000, 16000)
    small = Conversation(Ask(URL, Depth.STREAM, max_pixels=320 * 240 - 1), lambda: "c")
    small.start(0.0)
    small.receive(GOOD.whole, 1.0)
    assert failed(small)[0] is Reason.MEDIA_TOO_LARGE


def test_missing_cseq_and_stale_ones() -> None:
    """No CSeq is taken for ours; up to 16 replies to earlier requests, and provisional ones, are passed over."""
    bare = [re.sub(rb"CSeq: \d+\r\n", b"", part) for part in GOOD.parts[:4]]
    assert talk(*bare, GOOD.media)[0].keyframe is not None
    old = reply(1, "404 Not Found")
    assert talk(GOOD.options, old * 16, *GOOD.parts[1:])[0].keyframe is not None
    assert failed(talk(GOOD.options, old * 17)[0]) == (Reason.RTSP_PROTOCOL, Step.DESCRIBE)
    assert talk(GOOD.options, reply(2, "100 Continue") * 16, *GOOD.parts[1:])[0].keyframe is not None
    assert failed(talk(GOOD.options, reply(2, "100 Continue") * 17)[0]) == (Reason.RTSP_PROTOCOL, Step.DESCRIBE)
    for wrong in ("9", "x", "-1", "1" * 400):
        assert failed(talk(f"RTSP/1.0 200 OK\r\nCSeq: {wrong}\r\n\r\n".encode())[0]) == (
            Reason.RTSP_PROTOCOL,
            Step.OPTIONS,
        )


def test_requests_of_the_server_are_answered_and_are_no_replies() -> None:
    """OPTIONS gets 200, others 501, at every step; a storm of them ends."""
    asks = (
        b"OPTIONS rtsp://192.0.2.7/ RTSP/1.0\r\nCSeq: 77\r\n\r\nREDIRECT rtsp://198.51.100.1/ RTSP/1.0\r\n\r\n"
        b"ANNOUNCE x RTSP/1.0\r\nCSeq: 3\r\nContent-Length: 3\r\n\r\nabc"
    )
    pieces = [piece for part in GOOD.parts for piece in (asks, part)]
    talked, sent = talk(*pieces)
    assert talked.keyframe is not None
    assert sent.count("RTSP/1.0 200 OK\r\nCSeq: 77\r\nPublic: OPTIONS") == 5
    assert sent.count("RTSP/1.0 501 Not Implemented") == 5 and not any("198.51.100.1" in text for text in sent)
    assert failed(talk(asks * 30)[0]) == (Reason.RTSP_PROTOCOL, Step.OPTIONS)


def test_v4l2rtspserver_sends_media_before_the_play_reply() -> None:
    """It counts; the look ends when the reply is there."""
    talked, _ = talk(*GOOD.parts[:3], GOOD.media)
    assert not talked.finished and talked.media_flowed
    talked.receive(GOOD.play, 1.0)
    assert talked.finished and talked.keyframe is not None
    silent, _ = talk(*GOOD.parts[:3], GOOD.media)
    silent.timeout(9.0)
    assert failed(silent) == (Reason.NET_TIMEOUT, Step.PLAY)


@pytest.mark.parametrize(
    ("header", "channel"),
    [
        ("RTP/AVP/TCP;unicast;interleaved=2-3", 2),
        ("RTP/AVP/TCP;interleaved=0-0", 0),
        ("RTP/AVP/TCP;interleaved=255-256", 255),
        ("RTP/AVP/TCP;interleaved=300-301", 0),
        ("RTP/AVP/TCP;interleaved=4", 4),
        ("RTP/AVP/TCP;unicast;interleaved=x", 0),
        ("RTP/AVP/TCP;unicast;mode=PLAY;ssrc=0", 0),
        ('RTP/AVP/TCP;unicast;interleaved=0-1;ssrc= d6d6627;mode="play"', 0),
        ("ssrc=1234; interleaved = 6-7", 6),
    ],
)
def test_channels_that_the_device_chose(header: str, channel: int) -> None:
    """Other channels than asked, none named, or out of range; packets of others are ignored."""
    setup = reply(3, "200 OK", "Session: 1", f"Transport: {header}")
    media = b"".join(frame(packet, channel ^ 8) + frame(packet, channel) for packet in PACKETS)
    assert talk(GOOD.options, GOOD.describe, setup, GOOD.play, media)[0].keyframe is not None


def test_no_transport_and_no_session_in_the_reply() -> None:
    """Both are done without; TEARDOWN is sent all the same."""
    talked, sent = talk(GOOD.options, GOOD.describe, reply(3), reply(4), GOOD.media)
    assert talked.keyframe is not None and "Session" not in sent[3]
    assert talked.farewell().startswith(b"TEARDOWN ")


@pytest.mark.parametrize(
    "value",
    [
        "8jN-2y.6xAj8ZRiA",
        "       708345999;timeout=60",
        "1; timeout=0",
        "1;timeout=-1",
        "1;timeout=99999999",
        "1;timeout=x;foo",
    ],
)
def test_session_ids_are_repeated_as_they_came(value: str) -> None:
    """GStreamer's odd letters, padding, and timeouts that make no sense."""
    talked, sent = talk(GOOD.options, GOOD.describe, reply(3, "200 OK", f"Session: {value}"), GOOD.play, GOOD.media)
    assert talked.keyframe is not None
    assert sent[3].split("Session: ")[1].split("\r\n")[0] == value.strip().split(";")[0]


def test_retina_session_that_changes_between_replies() -> None:
    """The latest one is used."""
    talked, _ = talk(*GOOD.parts[:3], reply(4, "200 OK", "Session: other"), GOOD.media)
    assert b"Session: other\r\n" in talked.farewell()
    talked, _ = talk(*GOOD.parts[:3], reply(4), GOOD.media)
    assert b"Session: 12345678\r\n" in talked.farewell()


def test_damaged_pictures_are_waited_out() -> None:
    """Loss within the first keyframe: the look takes the next one."""
    twice = packetise([*PICTURES, *PICTURES], mtu=600)
    talked, _ = talk(*script([*twice[:3], *twice[4:]]).parts)
    assert talked.keyframe is not None and talked.keyframe.rtp_timestamp == 3 * 3600


def test_progress_tells_trickling_from_work() -> None:
    """Bytes of an unfinished reply, reports and strange channels are none; messages and packets are."""
    talked, _ = talk(GOOD.options[:-1])
    assert talked.progress == 0
    talked.receive(GOOD.options[-1:], 1.0)
    assert talked.progress == 1
    for part in GOOD.parts[1:4]:
        talked.receive(part, 2.0)
    assert talked.progress == 4
    talked.receive(frame(b"\x80\xc8\x00\x00", 1) + frame(PACKETS[0], 9) + frame(PACKETS[0])[:-1], 3.0)
    assert talked.progress == 4
    talked.receive(frame(PACKETS[0])[-1:], 4.0)
    assert talked.progress == 5


def test_addresses_that_cannot_be_used() -> None:
    """Our side's mistake is no failure of the camera."""
    with pytest.raises(UsageError):
        Conversation(Ask("http://192.0.2.7/", Depth.REACH), lambda: "c")


def test_the_shell_brings_bad_news() -> None:
    """A refused or reset connection ends the look with the shell's reason; a settled look stays as it is."""
    talked, _ = talk()
    talked.abort(LookError(Reason.NET_REFUSED, "refused", step=Step.CONNECT))
    assert failed(talked) == (Reason.NET_REFUSED, Step.CONNECT)
    done, _ = talk(*GOOD.parts)
    done.abort(LookError(Reason.NET_RESET, "reset"))
    assert done.failure is None and done.keyframe is not None


MAKERS = {
    "dahua": (
        "dahua_options",
        "dahua_describe_h264_aac_onvif",
        "dahua_setup",
        "dahua_play",
        "rtsp://192.168.5.111:554/cam/realmonitor?channel=1&subtype=1&unicast=true&proto=Onvif",
        96,
    ),
    "hikvision": (
        None,
        "hikvision_describe",
        "hikvision_setup",
        "hikvision_play",
        "rtsp://192.168.5.106/Streaming/Channels/101",
        96,
    ),
    "reolink": (
        None,
        "reolink_describe",
        "reolink_setup",
        "reolink_play",
        "rtsp://192.168.5.206/h264Preview_01_main",
        96,
    ),
    "bunny": (
        None,
        "bunny_describe",
        "bunny_setup",
        "bunny_play",
        "rtsp://wowzaec2demo.streamlock.net/vod/mp4:BigBuckBunny_115k.mov",
        97,
    ),
    "h264dvr": (None, "h264dvr_describe", "h264dvr_setup_video", "h264dvr_play", "rtsp://127.0.0.1/camera", 96),
    "foscam": (None, "foscam_describe", None, None, "rtsp://192.168.5.107:65534/videoMain", 96),
}


@pytest.mark.parametrize("maker", sorted(MAKERS))
def test_replies_of_real_devices_in_a_row(shared_data: Path, maker: str) -> None:
    """A maker's recorded replies, with CSeq as ours, and a picture: a good look, and SETUP goes where it should."""
    options, describe, setup, play, url, payload_type = MAKERS[maker]

    def recorded(name: str | None, cseq: int) -> bytes:
        if name is None:
            return reply(cseq, "200 OK", "Session: 5")
        data = (shared_data / "rtsp" / "retina" / f"{name}.txt").read_bytes()
        return re.sub(rb"(?i)cseq: *\d+", b"CSeq: %d" % cseq, data, count=1)

    packets = [packet[:1] + bytes((packet[1] & 0x80 | payload_type,)) + packet[2:] for packet in PACKETS]
    replies = [recorded(options, 1), recorded(describe, 2), recorded(setup, 3), recorded(play, 4)]
    if maker == "h264dvr":  # its reply is to a SETUP over UDP
        talked, sent = talk(*replies, url=url, transport=Transport.UDP)
        assert [(one.port, one.control) for one in talked.take_datagrams()] == [(40004, False), (40005, True)] * 2
        for packet in packets:
            talked.datagram(packet, 1.0)
    else:
        data = b"".join([*replies, *map(frame, packets)])
        talked, sent = talk(data, url=url)
        for cut in range(1, len(data), 7):
            assert outcome(talk(data[:cut], data[cut:], url=url)[0]) == outcome(talked)
    assert talked.failure is None and talked.keyframe is not None
    expected = {
        "dahua": f"{url}/trackID=0",
        "hikvision": "rtsp://192.168.5.106:554/Streaming/Channels/101/trackID=1?transportmode=unicast&profile=Profile_1",
        "reolink": f"{url}/trackID=1",
        "bunny": f"{url}/trackID=2",
        "h264dvr": "rtsp://127.0.0.1:554/camera/trackID=3",
        "foscam": f"{url}/track1",
    }
    assert sent[2].startswith(f"SETUP {expected[maker]} RTSP/1.0\r\n")


MESSAGES = st.sampled_from(
    [
        *GOOD.parts[:4],
        challenge(2),
        challenge(1),
        reply(3, "301 Moved", "Location: rtsp://x/"),
        reply(2, body=sdp(control="rtsp://x/")),
        b"OPTIONS * RTSP/1.0\r\n\r\n",
        b"RTSP/1.0 ",
        b"\r\n",
    ]
)
PIECE = st.one_of(
    MESSAGES, st.binary(max_size=50), st.sampled_from(PACKETS).map(frame), st.binary(max_size=30).map(frame)
)


@settings(max_examples=300)
@given(st.lists(PIECE, max_size=25), st.lists(st.integers(0, 3000), max_size=5), st.booleans())
def test_any_sequence_in_any_pieces_has_one_declared_outcome(pieces: list[bytes], cuts: list[int], early: bool) -> None:
    """Messages in any order, with anything between them: no exception, and cuts do not matter."""
    data = b"".join([*(GOOD.parts[:3] if early else []), *pieces])
    places = sorted({cut for cut in cuts if 0 < cut < len(data)})
    cut_up = [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True) if a < b]
    one, sent_one = talk(*([data] if data else []), b"", credentials=CREDENTIALS)
    many, sent_many = talk(*cut_up, b"", credentials=CREDENTIALS)
    assert outcome(one) == outcome(many)
    assert sent_one == sent_many
    assert one.redial or (one.finished and (one.failure is not None or one.keyframe is not None))
    assert not any(CREDENTIALS.password in text for text in sent_one)
    one.farewell()
    one.receive(b"more", 99.0)


def test_two_scripts_are_the_same_device() -> None:
    """The test's own camera tells the truth about its parts."""
    assert isinstance(GOOD, Script) and GOOD.whole == b"".join(GOOD.parts)
