"""RTCP of one session: reports with a block, keyframe requests, BYE; over UDP and in the channel beside the media."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.errors import Reason, Step
from streamwatch.model.look import Depth, Transport
from streamwatch.wire.conversation import Ask, Conversation
from streamwatch.wire.keyframe_request import EVERY_S, FIRST_AFTER_S, MAX_REQUESTS, KeyframeRequests
from streamwatch.wire.reception import Reception
from streamwatch.wire.rtcp import SenderReport, receiver_report
from streamwatch.wire.sender_clock import Told
from streamwatch.wire.transcript import Recorder, dump, load, replay
from tests.wire.camera import URL, frame, packetise, reply, rtp, sdp
from tests.wire.test_conversation import GOOD, PACKETS, PICTURES, failed, talk
from tests.wire.test_fallback import begun, udp_look, udp_setup
from tests.wire.test_sender_clock import sender_report

BYE = struct.pack("!BBHI", 0x81, 203, 1, 7)
INTER = packetise(PICTURES[1:] * 40, mtu=600)
FEEDBACK = "a=rtcp-fb:96 nack pli\r\na=rtcp-fb:* ccm fir\r\n"


def offering(lines: str = FEEDBACK, profile: str = "RTP/AVP") -> bytes:
    """A description with feedback."""
    return sdp().replace(b"RTP/AVP", profile.encode()) + lines.encode()


def playing(description: bytes | None = None, by: Transport = Transport.TCP) -> Conversation:
    """Accepted PLAY at 0.04 s, and the first packets at 0.1 s; none of a keyframe."""
    describe = reply(2, body=sdp() if description is None else description)
    setup = GOOD.setup if by is Transport.TCP else udp_setup(3)
    talked, _ = talk(GOOD.options, describe, setup, reply(4), transport=by)
    talked.take_datagrams()
    flow(talked, INTER[:3], 0.1)
    return talked


def flow(talked: Conversation, packets: list[bytes], now: float) -> None:
    """Media, by whatever the session has."""
    for packet in packets:
        if talked.transport == "tcp":
            talked.receive(frame(packet), now)
        else:
            talked.datagram(packet, now)


def said(talked: Conversation, until: float, packets: list[bytes] | None = None) -> list[tuple[float, bytes]]:
    """All RTCP that is sent until then, in time; media goes on, a packet at each turn."""
    found, rest = [], iter(packets or [])
    while (due := talked.due) is not None and due <= until:
        out = talked.tick(due)
        if out:
            assert out[:2] == b"$\x01" and int.from_bytes(out[2:4], "big") == len(out) - 4
            found.append((round(due, 3), out[4:]))
        found += [(round(due, 3), one.data) for one in talked.take_datagrams() if one.control]
        flow(talked, [packet for packet in [next(rest, None)] if packet], due)
    return found


def parts(compound: bytes) -> list[tuple[int, int, bytes]]:
    """Type, count, body of each; all of it whole."""
    found, at = [], 0
    while at < len(compound):
        first, kind, words = struct.unpack_from("!BBH", compound, at)
        assert first >> 6 == 2
        found.append((kind, first & 31, compound[at + 4 : at + 4 + words * 4]))
        at += 4 + words * 4
    assert at == len(compound)
    return found


# ---- receiver reports


@pytest.mark.parametrize("by", [Transport.TCP, Transport.UDP])
def test_reports_say_what_was_received(by: Transport) -> None:
    """Every five seconds: the source, the highest number, what was lost, and which of its reports we have."""
    talked = playing(by=by)
    first = INTER[0]
    flow(talked, INTER[5:7], 0.2)
    flow(talked, INTER[7:20], 0.5)  # over UDP the gap is given up by now
    report = sender_report(0x1234_5678_9ABC_DEF0)
    if by is Transport.TCP:
        talked.receive(frame(report, 1), 3.0)
    else:
        talked.datagram(report, 3.0, control=True)
    (at, compound), *_ = said(talked, 5.5)
    (kind, count, body), (name, _, _) = parts(compound)
    assert (kind, count, name) == (201, 1, 202)
    ssrc, source, lost, highest, jitter, last, delay = struct.unpack("!IIIIIII", body)
    assert source == 7 and ssrc != 7
    assert lost == 2  # no fraction in the first
    assert highest == int.from_bytes(first[2:4], "big") + 19 and jitter == 0
    assert last == 0x5678_9ABC and delay == round((at - 3.0) * 65_536)


def test_no_reports_over_tcp_before_media_or_without_a_channel() -> None:
    """Nothing to say, or nowhere to say it."""
    silent, _ = talk(*GOOD.parts[:4])
    assert said(silent, 29.0) == []
    setup = reply(3, "200 OK", "Session: 1", "Transport: RTP/AVP/TCP;interleaved=255-256")
    nowhere, _ = talk(*GOOD.parts[:2], setup, reply(4), frame(INTER[0], 255))
    assert nowhere.media_flowed and said(nowhere, 29.0) == []


@given(
    st.lists(st.tuples(st.integers(1, 30_000), st.integers(0, 1000)), min_size=1, max_size=8), st.integers(0, 65_535)
)
def test_counts_between_reports(steps: list[tuple[int, int]], begin: int) -> None:
    """Against numbers that are never cut to 16 bits: rounds are counted, fractions are of the time between."""
    reception = Reception()
    highest, lost = begin, 0
    for index, (ahead, missing) in enumerate(steps):
        missing = min(missing, ahead)
        highest, lost = highest + ahead * (index > 0), lost + missing
        block = reception.block(7, highest & 0xFFFF, lost, None, 1.0)
        assert (block.highest, block.lost) == (highest, lost)
        assert block.fraction_lost == (min(255, missing * 256 // ahead) if index else 0)
        assert (block.last_report, block.delay) == (0, 0)


def test_a_report_block_fits_its_fields() -> None:
    """More than 24 bits of loss, and a report from before the look, are cut to what can be said."""
    block = Reception().block(7, 1, 2**30, Told(SenderReport(7, 2**64 - 1, 0), 9.0), 1.0)
    (_, _, body), _ = parts(receiver_report(1, block))
    assert struct.unpack("!IIIIIII", body)[2:] == (0x7FFFFF, 1, 0, 2**32 - 1, 0)


# ---- keyframe requests


@pytest.mark.parametrize("by", [Transport.TCP, Transport.UDP])
def test_a_keyframe_is_asked_for_where_that_is_offered(by: Transport) -> None:
    """A second after the media began, then every three; PLI and FIR take turns; each behind a report."""
    talked = playing(offering(), by)
    assert talked.hastened
    asked = [(at, parts(compound)) for at, compound in said(talked, 8.0, INTER[3:]) if len(parts(compound)) == 3]
    assert [at for at, _ in asked] == pytest.approx([1.1, 4.1, 7.1])
    assert all(found[0][0] == 201 and found[1][0] == 202 for _, found in asked)
    ours = struct.unpack("!I", asked[0][1][0][2][:4])[0]
    assert asked[0][1][2] == (206, 1, struct.pack("!II", ours, 7))  # RFC 4585 section 6.3.1
    assert asked[1][1][2] == (206, 4, struct.pack("!IIIB3x", ours, 0, 7, 2))  # RFC 5104 section 4.3.1
    assert asked[2][1][2] == (206, 1, struct.pack("!II", ours, 7))
    flow(talked, packetise(PICTURES, first=5000), 8.0)
    assert talked.finished or by is Transport.UDP


@pytest.mark.parametrize(
    ("lines", "profile", "expected"),
    [
        (FEEDBACK, "RTP/AVP", [1, 4]),
        ("a=rtcp-fb:96 nack pli\r\n", "RTP/AVP", [1, 1]),
        ("a=rtcp-fb:* ccm fir\r\n", "RTP/AVP", [4, 4]),
        ("a=rtcp-fb:96 NACK  PLI\r\n", "RTP/AVP", [1, 1]),
        ("a=rtcp-fb:97 nack pli\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 ccm tmmbr\r\n", "RTP/AVP", []),
        ("", "RTP/AVP", []),
        ("", "RTP/AVPF", [1, 1]),
        ("a=rtcp-fb:96 ccm fir\r\n", "RTP/AVPF", [1, 4]),
    ],
)
def test_what_a_description_offers(lines: str, profile: str, expected: list[int]) -> None:
    """By payload type or for all; a section with the feedback profile knows PLI; SETUP asks for that profile."""
    body = offering(lines, profile)
    talked, sent = talk(GOOD.options, reply(2, body=body), GOOD.setup, reply(4), transport=Transport.TCP)
    assert f"Transport: {profile}/TCP;unicast;interleaved=0-1" in sent[2]
    flow(talked, INTER[:3], 0.1)
    found = [parts(compound)[2][1] for _, compound in said(talked, 4.5) if len(parts(compound)) == 3]
    assert found == expected and talked.hastened is bool(expected)


def test_requests_are_bounded_and_wait_for_a_keyframe_that_has_begun() -> None:
    """Ten, then none; none while a keyframe is coming; none before there is a source."""
    requests = KeyframeRequests(["nack pli"])
    assert requests.take(1, 7, 99.0, begun=False) is None
    requests.flowing(0.0)
    assert requests.due == FIRST_AFTER_S and requests.take(1, 7, 0.9, begun=False) is None
    assert requests.take(1, 7, 1.0, begun=True) is None and requests.due == 1.0 + EVERY_S
    assert requests.take(1, None, 4.0, begun=False) is None
    count, now = 0, 7.0
    while requests.due is not None and count < 50:
        count += requests.take(1, 7, now, begun=False) is not None
        now += EVERY_S
    assert count == MAX_REQUESTS
    requests.flowing(now)
    assert requests.due is None
    large = packetise([PICTURES[0]], mtu=60)
    talked = playing(offering())
    flow(talked, [rtp(p[12:], 200 + i, 9, marker=p[1] > 127) for i, p in enumerate(large[:-3])], 0.5)
    assert not any(len(parts(compound)) == 3 for _, compound in said(talked, 3.9))


def test_a_device_that_sends_us_on_while_it_plays_is_waited_for_anew() -> None:
    """Reports, requests for a keyframe, and the patience for a transport begin with the media of the new session."""
    talked = Conversation(Ask(URL, Depth.STREAM), lambda: "c0ffee", patience_s=6.0, ends=40.0)
    parts = [GOOD.options, reply(2, body=offering()), GOOD.setup, reply(4)]
    talked.start(0.0)
    for part in parts:
        talked.receive(part, 0.04)
    flow(talked, INTER[:3], 0.1)
    talked.receive(b"REDIRECT * RTSP/1.0\r\nCSeq: 1\r\nLocation: rtsp://192.0.2.7/other\r\n\r\n", 0.2)
    assert talked.redial and talked.media_flowed
    talked.start(10.0)
    for part in parts:
        talked.receive(part, 10.0)
    assert not talked.media_flowed and talked.keyframe_until > 40.0
    assert talked.due == pytest.approx(16.0)
    flow(talked, INTER[:3], 10.1)
    assert talked.due == pytest.approx(10.1 + FIRST_AFTER_S) and talked.tick(11.1).startswith(b"$\x01")


# ---- BYE


@pytest.mark.parametrize("by", [Transport.TCP, Transport.UDP])
def test_bye_ends_a_look_that_waits_for_a_keyframe(by: Transport) -> None:
    """A second after the last packet; of another source, or cut short, it says nothing."""
    talked = playing(by=by)
    for nothing in (BYE[:4] + b"\0\0\0\x08", BYE[:6], b"\x81\xcb", b""):
        talked.receive(frame(nothing, 1), 0.3)
        talked.datagram(nothing, 0.3, control=True)
    assert not talked.hastened and (talked.due or 0) > 5
    talked.receive(frame(BYE, 1), 0.3)
    talked.datagram(BYE, 0.3, control=True)
    assert talked.hastened and talked.due == pytest.approx(1.3)
    flow(talked, INTER[3:5], 0.4)  # was still under way
    talked.tick(1.3)
    assert not talked.finished and talked.due == pytest.approx(2.3)
    talked.tick(2.3)
    assert failed(talked) == (Reason.MEDIA_NO_KEYFRAME, Step.FIRST_KEYFRAME)
    assert talked.failure is not None and "BYE" in talked.failure.detail
    assert talked.farewell().startswith(b"TEARDOWN ")


def test_bye_of_a_source_that_is_replaced_ends_nothing() -> None:
    """The stream goes on under another number, and brings its keyframe."""
    talked = playing()
    talked.receive(frame(BYE, 1), 0.3)
    fresh = [packet[:8] + b"\0\0\0\x09" + packet[12:] for packet in packetise(PICTURES * 3, mtu=600, first=9000)]
    for index, packet in enumerate(INTER[3:6] + fresh):
        if talked.due is not None and talked.due <= 0.4 + index / 10:
            talked.tick(0.4 + index / 10)
        flow(talked, [packet], 0.4 + index / 10)
    assert talked.keyframe is not None


def test_bye_without_media_is_media_no_data() -> None:
    """The announced source ends before it began: the other transport, and without one the end."""
    setup = reply(3, "200 OK", "Session: 1", "Transport: RTP/AVP/TCP;interleaved=0-1;ssrc=0000000A")
    bye = BYE[:4] + b"\0\0\0\x0a"
    pinned, _ = talk(*GOOD.parts[:2], setup, reply(4), frame(bye, 1), transport=Transport.TCP)
    pinned.tick(1.05)
    assert failed(pinned) == (Reason.MEDIA_NO_DATA, Step.FIRST_KEYFRAME)
    assert pinned.failure is not None and "BYE" in pinned.failure.detail
    free, _ = talk(*GOOD.parts[:2], setup, reply(4), frame(bye, 1))
    free.tick(1.05)
    assert free.redial and begun(free, 2.0)[0] == ""
    by_udp = udp_look()
    by_udp.datagram(BYE, 1.0, control=True)
    by_udp.tick(2.0)
    assert failed(by_udp)[0] is Reason.MEDIA_NO_DATA


# ---- recordings


def recorded(talked: Conversation, recorder: Recorder, *steps: tuple[float, bytes | None]) -> None:
    """What a shell does and writes down: bytes that come, None for a tick, b"dial" for another connection."""
    for now, data in steps:
        if data == b"dial":
            recorder.sent(talked.farewell(), now)
            recorder.dialled(now)
            recorder.sent(talked.start(now), now)
        elif data is None:
            recorder.sent(talked.tick(now), now)
        else:
            recorder.received(data, now)
            recorder.sent(talked.receive(data, now), now)


def test_redirects_lost_sessions_reports_and_bye_replay() -> None:
    """The same end from the recording, with and without what was said by RTCP; no packet of ours is taken for text."""
    ask = Ask(URL, Depth.STREAM, transport=Transport.TCP, max_media_bytes=5_000_000)
    talked, recorder = Conversation(ask, lambda: "c0ffee"), Recorder(ask, 1_795_498_690_000_000, 0.0)
    recorder.sent(talked.start(0.0), 0.0)
    recorded(
        talked,
        recorder,
        (0.1, GOOD.options),
        (0.2, reply(2, "302 Found", "Location: rtsp://u:s3cret@192.0.2.7:8554/other")),
        (0.3, b"dial"),
        (0.4, GOOD.options),
        (0.5, reply(2, body=offering())),
        (0.6, GOOD.setup),
        (0.7, reply(4, "454 Session Not Found")),
        (0.8, reply(5, "200 OK", "Session: fresh", "Transport: RTP/AVP/TCP;interleaved=0-1")),
        (0.9, reply(6)),
        (1.0, b"".join(map(frame, INTER[:4])) + frame(sender_report(0xEE_AB_BE_EF << 32), 1)),
        (2.0, None),
        (2.1, frame(BYE, 1)),
        (3.1, None),
    )
    assert failed(talked) == (Reason.MEDIA_NO_KEYFRAME, Step.FIRST_KEYFRAME)
    recorder.sent(talked.farewell(), 3.1)
    text = dump(recorder)
    assert "s3cret" not in text
    recording = load(text)
    assert recording.ask().max_media_bytes == 5_000_000
    again = replay(recording)
    assert again.failure == talked.failure and again.url == talked.url == "rtsp://192.0.2.7:8554/other"
    assert again.timings_ms == pytest.approx(talked.timings_ms)
    offset = talked.clock_offset_ms(recording.at_us)
    assert offset is not None and again.clock_offset_ms(recording.at_us) == pytest.approx(offset)


def test_hanging_up_at_setup_replays() -> None:
    """The second connection by UDP, from a `dial` line."""
    ask = Ask(URL, Depth.STREAM)
    talked, recorder = Conversation(ask, lambda: "c0ffee"), Recorder(ask, 1_795_498_690_000_000, 0.0)
    recorder.sent(talked.start(0.0), 0.0)
    recorded(talked, recorder, (0.1, GOOD.options), (0.2, GOOD.describe))
    talked.receive(b"", 0.3)
    assert talked.redial
    recorded(talked, recorder, (0.4, b"dial"), (0.5, GOOD.options), (0.6, GOOD.describe))
    recorder.sent(talked.use_ports(5000), 0.6)
    recorded(talked, recorder, (0.7, udp_setup(3)), (0.8, reply(4)))
    for packet in PACKETS:
        recorder.datagram_received(packet, 0.9, control=False)
        talked.datagram(packet, 0.9)
    again = replay(load(dump(recorder)))
    assert talked.keyframe is not None and again.keyframe is not None and again.failure is None
    assert again.timings_ms == pytest.approx(talked.timings_ms) and again.transport == "udp"
