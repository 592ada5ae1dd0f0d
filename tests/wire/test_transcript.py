"""Recordings: the same verdict again without a network, and no secret and no picture in the file."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.errors import LookError, Reason, Step, UsageError
from streamwatch.model.look import Depth, Transport
from streamwatch.model.report import Credentials
from streamwatch.wire.conversation import Ask, Conversation
from streamwatch.wire.redaction import Redactor, masked_url
from streamwatch.wire.reduction import without_picture
from streamwatch.wire.rtp import parse_rtp
from streamwatch.wire.transcript import Recorder, dump, load, replay
from tests.wire.camera import URL, encode, frame, packetise, reply, rtp, script, sdp
from tests.wire.test_conversation import DIGEST, GOOD, PACKETS, challenge, outcome, shifted

AT_US = 1_795_498_690_000_000
SECRET = Credentials("admin", "s3cret/Pa55+wörd")


def record(*pieces: bytes, ask: Ask | None = None, end: str | None = None) -> tuple[Conversation, Recorder]:
    """A look whose bytes are recorded as a shell would, 10 ms apart."""
    ask = ask or Ask(URL, Depth.STREAM)
    talked, recorder = Conversation(ask, lambda: "c0ffee"), Recorder(ask, AT_US, 100.0)
    now = 100.0
    recorder.sent(talked.start(now), now)
    for piece in pieces:
        now += 0.01
        recorder.received(piece, now)
        recorder.sent(talked.receive(piece, now), now)
        if talked.wants_ports:
            recorder.sent(talked.use_ports(5000), now)
        if talked.finished:
            break
    if end == "timeout" and not talked.finished:
        talked.timeout(now + 10)
        recorder.timed_out(now + 10)
    return talked, recorder


def same(one: Conversation, other: Conversation, *, picture: bool) -> None:
    """Equal outcomes, times to the microsecond, and the keyframe's bytes where it was kept."""
    left, right = outcome(one), outcome(other)
    assert [part for index, part in enumerate(left) if index != 2] == [
        part for index, part in enumerate(right) if index != 2
    ]
    assert other.timings_ms == pytest.approx(one.timings_ms, abs=0.01)
    assert one.media_bytes == other.media_bytes
    if one.keyframe is None or other.keyframe is None:
        assert one.keyframe is other.keyframe
    elif picture:
        assert one.keyframe == other.keyframe
    else:
        assert len(one.keyframe.data) == len(other.keyframe.data) and one.keyframe.data != other.keyframe.data


CASES = {
    "good": GOOD.parts,
    "one piece": [GOOD.whole],
    "small pieces": [GOOD.whole[at : at + 100] for at in range(0, len(GOOD.whole), 100)],
    "closed at options": [GOOD.options[:20], b""],
    "closed in the body": [GOOD.options, GOOD.describe[:-3], b""],
    "closed in a packet": [*GOOD.parts[:4], GOOD.media[:700], b""],
    "not rtsp": [b"HTTP/1.1 200 OK\r\n\r\n<html>"],
    "garbage": [*GOOD.parts[:4], b"\x80" * 5000 + GOOD.media],
    "little garbage": [*GOOD.parts[:4], b"\x80x\x00" + GOOD.media],
    "foreign channel": [*GOOD.parts[:4], b"".join(frame(packet, 9) + frame(packet) for packet in PACKETS)],
    "redirect": [GOOD.options, reply(2, "302 Found", "Location: rtsp://u:p@198.51.100.1/")],
    "bare line feeds": [GOOD.options.replace(b"\r\n", b"\n"), *GOOD.parts[1:]],
    "h265": [GOOD.options, reply(2, body=sdp(rtpmap="H265/90000"))],
    "loss": [*GOOD.parts[:4], *map(frame, [*PACKETS[:4], *PACKETS[5:]])],
    "stap and no marker": script(packetise(encode(320, 240), stap=True, marker=False)).parts,
    "annex b": [
        *GOOD.parts[:4],
        frame(rtp(b"".join(b"\x00\x00\x00\x01" + unit for unit in encode(320, 240)[0]), 1, 0, marker=True)),
    ],
    "sprop": script(packetise([picture[3:] for picture in encode(320, 240)]), sdp(encode(320, 240)[0][:2])).parts,
}


@pytest.mark.parametrize("case", sorted(CASES))
@pytest.mark.parametrize("picture", [False, True])
def test_a_replay_gives_the_same_verdict(case: str, picture: bool) -> None:
    """Reason, step, size, times and media bytes, whether the picture was kept or not."""
    talked, recorder = record(*CASES[case], end="timeout")
    recording = load(dump(recorder, with_picture=picture))
    assert (recording.with_picture, recording.depth, recording.at_us) == (picture, Depth.STREAM, AT_US)
    same(talked, replay(recording), picture=picture)


@pytest.mark.parametrize("answers", [1, 2])
def test_a_replay_of_digest(answers: int) -> None:
    """With credentials masked, the same number of tries and the same end."""
    ask = Ask(f"rtsp://admin:{quote(SECRET.password, safe='')}@192.0.2.7/live", Depth.PICTURE)
    parts = [GOOD.options, *(challenge(2 + index) for index in range(answers)), *shifted(GOOD.parts, 1, 0)[1:]]
    talked, recorder = record(*parts, ask=ask)
    assert (talked.failure is None) is (answers == 1)
    same(talked, replay(load(dump(recorder))), picture=False)


def test_a_failure_of_the_network_is_replayed() -> None:
    """Refused before a byte was sent."""
    recorder = Recorder(Ask(URL, Depth.REACH), AT_US, 5.0)
    recorder.failed(LookError(Reason.NET_REFUSED, "connection refused", step=Step.CONNECT), 5.002)
    text = dump(recorder)
    assert json.loads(text.splitlines()[1]) == {
        "t_ms": 2.0,
        "dir": "in",
        "end": "failed",
        "reason": "net.refused",
        "step": "connect",
        "detail": "connection refused",
    }
    again = replay(load(text))
    assert again.failure is not None and (again.failure.reason, again.failure.step) == (
        Reason.NET_REFUSED,
        Step.CONNECT,
    )


def test_no_secret_is_in_a_recording() -> None:
    """Address, Authorization, and whatever the device echoes in any form; serial numbers and MAC addresses too."""
    encoded = quote(SECRET.password, safe="")
    pair = base64.b64encode(f"admin:{SECRET.password}".encode()).decode()
    ask = Ask(f"rtsp://admin:{encoded}@192.0.2.7/live?password={encoded}", Depth.STREAM)
    echo = f"a=x-echo:{SECRET.password} {encoded} {pair} {json.dumps(SECRET.password)}\r\n"
    names = "a=x-serial-number:4C0ABCDEF01234\r\na=mac:00:1A:2B:3C:4D:5E\r\n"
    body = sdp() + (echo + names).encode("utf-8")
    realm = 'WWW-Authenticate: Digest realm="Login to 4C0ABCDEF01234", nonce="n1"'
    parts = [
        reply(1, "200 OK", "X-Device: DS-2CD2032-I20140101AAWR123456789"),
        challenge(2, realm),
        reply(
            3,
            "200 OK",
            f"X-Debug: admin:{SECRET.password}",
            f"Content-Base: rtsp://admin:{encoded}@192.0.2.7/live/",
            body=body,
        ),
        *shifted(GOOD.parts, 1, 0)[2:],
    ]
    talked, recorder = record(*parts, ask=ask)
    assert talked.keyframe is not None
    text = dump(recorder)
    for needle in (
        SECRET.password,
        SECRET.password.encode().decode("latin-1"),
        encoded,
        pair,
        "response=",
        "4C0ABCDEF01234",
        "00:1A:2B",
        "AAWR123456789",
        "s3cret",
    ):
        assert needle not in text and json.dumps(needle)[1:-1] not in text, needle
    assert "Authorization: ***" in text and "rtsp://***@192.0.2.7/live?password=***" in text
    same(talked, replay(load(text)), picture=False)


def test_no_picture_is_in_a_recording_unless_asked_for() -> None:
    """Of each slice at most its first bytes stay; sizes stay all."""
    _, recorder = record(*GOOD.parts)
    reduced, whole = dump(recorder), dump(recorder, with_picture=True)
    assert len(reduced) < len(whole) / 2
    media = [json.loads(line)["media"] for line in reduced.splitlines() if '"media"' in line]
    assert sum(part["bytes"] for part in media) == sum(map(len, PACKETS[: len(media)]))
    slices = [base64.b64decode(part["b64"]) for part in media if part["bytes"] > 200]
    sei = {28: lambda data: data[13] & 0x1F == 6, 6: lambda data: True}
    assert all(len(data) <= 12 + 2 + 24 for data in slices if not sei.get(data[12] & 0x1F, lambda _: False)(data))


def test_no_picture_is_in_the_datagrams_of_a_recording() -> None:
    """Both directions are there, with their ports; sizes stay, slices go; a replay takes the same keyframe's size."""
    ask = Ask(URL, Depth.STREAM, transport=Transport.UDP)
    talked, recorder = Conversation(ask, lambda: "c0ffee"), Recorder(ask, AT_US, 100.0)
    recorder.sent(talked.start(100.0), 100.0)
    setup = reply(3, "200 OK", "Session: 1", "Transport: RTP/AVP;server_port=6000-6001")
    for piece in (GOOD.options, GOOD.describe, setup, GOOD.play):
        recorder.received(piece, 100.0)
        recorder.sent(talked.receive(piece, 100.0), 100.0)
        if talked.wants_ports:
            recorder.sent(talked.use_ports(5000), 100.0)
        for one in talked.take_datagrams():
            recorder.datagram_sent(one.data, 100.0, control=one.control)
    report = b"\x80\xc8\x00\x06" + bytes(24)
    recorder.datagram_received(report, 101.0, control=True)
    for packet in PACKETS:
        recorder.datagram_received(packet, 102.0, control=False)
        talked.datagram(packet, 102.0)
    reduced, whole = dump(recorder), dump(recorder, with_picture=True)
    assert len(reduced) < len(whole) / 2
    lines = [json.loads(line) for line in reduced.splitlines() if '"via"' in line]
    assert [(line["dir"], line["via"]) for line in lines[:5]] == [
        *[("out", "rtp"), ("out", "rtcp")] * 2,
        ("in", "rtcp"),
    ]
    assert [line["media"]["bytes"] for line in lines[5:]] == [len(packet) for packet in PACKETS]
    same(talked, replay(load(reduced)), picture=False)
    same(talked, replay(load(whole)), picture=True)


def test_a_second_connection_begins_with_a_clean_page() -> None:
    """A packet that the first one never completed does not swallow what the second one says."""
    ask = Ask(URL, Depth.STREAM)
    talked, recorder = Conversation(ask, lambda: "c0ffee", 6.0), Recorder(ask, AT_US, 100.0)
    recorder.sent(talked.start(100.0), 100.0)
    for piece in (*GOOD.parts[:4], b"$\x00\xff\xff" + bytes(100)):
        recorder.received(piece, 101.0)
        recorder.sent(talked.receive(piece, 101.0), 101.0)
    talked.tick(110.0)
    assert talked.redial
    recorder.sent(talked.farewell(), 110.0)
    recorder.dialled(110.0)
    recorder.sent(talked.start(110.0), 110.0)
    for piece in (GOOD.options, GOOD.describe, reply(3, "200 OK", "Transport: RTP/AVP;server_port=6000"), GOOD.play):
        recorder.received(piece, 111.0)
        recorder.sent(talked.receive(piece, 111.0), 111.0)
        if talked.wants_ports:
            recorder.sent(talked.use_ports(5000), 111.0)
    for packet in PACKETS:
        recorder.datagram_received(packet, 112.0, control=False)
        talked.datagram(packet, 112.0)
    assert talked.keyframe is not None
    same(talked, replay(load(dump(recorder))), picture=False)


def test_recordings_of_before_there_was_udp_are_of_tcp() -> None:
    """A header without transport: 461 is the end of it, as it was then."""
    recording = load(GOOD_HEADER)
    assert (recording.ask().transport, recording.ask().prefer) == (Transport.TCP, Transport.TCP)


@given(st.binary(max_size=200))
def test_reducing_any_packet_keeps_its_length_and_its_head(packet: bytes) -> None:
    """Never an exception, same length, same RTP header, and doing it twice changes nothing more."""
    reduced = without_picture(packet)
    assert len(reduced) == len(packet) and reduced[:12] == packet[:12]
    assert without_picture(reduced) == reduced
    before, after = parse_rtp(packet), parse_rtp(reduced)
    assert (before is None) is (after is None)


PIECE = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(GOOD.parts),
    st.sampled_from(PACKETS).map(frame),
    st.sampled_from([challenge(2), DIGEST.encode()]),
)


@settings(max_examples=150)
@given(st.lists(PIECE, max_size=12), st.booleans())
def test_any_conversation_is_replayed_to_the_same_end(pieces: list[bytes], picture: bool) -> None:
    """Whatever a device sends, in whatever order."""
    pieces = [piece for piece in pieces if piece]
    talked, recorder = record(*pieces, b"")
    again = replay(load(dump(recorder, with_picture=picture)))
    assert (talked.failure is None, talked.step) == (again.failure is None, again.step)
    assert talked.failure is None or again.failure is None or talked.failure.reason is again.failure.reason


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://192.0.2.7/live", "rtsp://192.0.2.7/live"),
        ("rtsp://u:p@192.0.2.7/live", "rtsp://***@192.0.2.7/live"),
        ("rtsp://u:p@ss/word@192.0.2.7/live", "rtsp://***@192.0.2.7/live"),
        ("rtsp://192.0.2.7/x?user=a&password=b&channel=1", "rtsp://192.0.2.7/x?user=***&password=***&channel=1"),
        ("http://u:p@h/", "http://***@h/"),
        ("no address", "no address"),
        ("", ""),
    ],
)
def test_masked_addresses(url: str, shown: str) -> None:
    """What people see of an address."""
    assert masked_url(url) == shown


def test_short_passwords_do_not_tear_the_protocol() -> None:
    """A password of 1 or 1234 is masked by place, and by value only where it can be nothing else."""
    for password in ("1", "1234", "RTSP", "200 "):
        redactor = Redactor(Credentials("u", password))
        raw = b"RTSP/1.0 200 OK\r\nCSeq: 1234\r\nContent-Length: 4\r\n\r\nv=0\n"
        assert redactor.message(raw, 4) == raw
    assert "1234" not in Redactor(Credentials("u", "1234")).message(b"RTSP/1.0 200 OK\r\nX: 1234\r\n\r\n", 0).decode()
    assert repr(Redactor(SECRET)) == "Redactor(***)"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "x",
        '{"streamwatch_recording": 2}',
        '{"streamwatch_recording": 1}',
        '{"streamwatch_recording": 1, "url": "rtsp://h/", "depth": "reach", "at": "2026-11-24T05:38:10Z"}\n{}',
        '{"streamwatch_recording": 1, "url": "rtsp://h/", "depth": "deep", "at": "2026-11-24T05:38:10Z"}',
    ],
)
def test_what_is_no_recording(text: str) -> None:
    """UsageError names the line."""
    with pytest.raises(UsageError, match=r"line \d|empty"):
        load(text)


GOOD_HEADER = '{"streamwatch_recording": 1, "url": "rtsp://h/", "depth": "stream", "at": "2026-11-24T05:38:10Z"}\n'


@pytest.mark.parametrize(
    "line",
    [
        '{"t_ms": 1, "dir": "up", "data": ""}',
        '{"t_ms": "x", "dir": "in", "data": ""}',
        '{"t_ms": 1, "dir": "in", "b64": "?"}',
        '{"t_ms": 1, "dir": "in", "data": "汉"}',
        '{"t_ms": 1, "dir": "in", "media": {"channel": 256, "bytes": 1, "b64": ""}}',
        '{"t_ms": 1, "dir": "in", "media": {"channel": 0, "bytes": 65536, "b64": ""}}',
        '{"t_ms": 1, "dir": "in", "end": "boom"}',
        '{"t_ms": 1, "dir": "in", "end": "failed", "reason": "no.such", "step": "connect"}',
        '{"t_ms": 1, "dir": "in", "media": 5}',
        '{"t_ms": 1, "dir": "in", "via": "sctp", "media": {"bytes": 1, "b64": ""}}',
        '{"t_ms": 1, "dir": "in", "via": "rtp", "media": {"bytes": 65536, "b64": ""}}',
        '{"t_ms": 1, "dir": "in", "via": "rtp", "data": "x"}',
        '{"t_ms": 1, "dir": "in", "kernel_dropped": "many"}',
    ],
)
def test_broken_lines_are_named(line: str) -> None:
    """The second line is the one that is wrong."""
    with pytest.raises(UsageError, match="line 2"):
        load(GOOD_HEADER + line)


def test_recordings_have_a_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after it is not kept, and the recorder says so."""
    from streamwatch.wire import transcript

    monkeypatch.setattr(transcript, "MAX_RECORDED", 100)
    recorder = Recorder(Ask(URL, Depth.REACH), AT_US, 0.0)
    recorder.received(bytes(60), 1.0)
    recorder.received(bytes(60), 1.0)
    assert recorder.full and len(recorder.chunks) == 1
