"""Two transports within one look: who is asked first, when the other has its turn, what is said when both fail."""

from __future__ import annotations

import random
import re

import pytest

from streamwatch.errors import LookError, Reason, Step
from streamwatch.model.look import Depth, Transport
from streamwatch.model.report import Credentials
from streamwatch.wire.conversation import Ask, Conversation
from streamwatch.wire.rtcp import receiver_report
from tests.wire.camera import URL, encode, frame, packetise, reply, rtp
from tests.wire.test_conversation import GOOD, challenge, failed, requests, shifted, talk

PICTURES = encode(320, 240, pictures=3, slices=2)
PACKETS = packetise(PICTURES, mtu=600)
TCP, UDP = Transport.TCP, Transport.UDP
PORT = 5000
SSRC = "00000007"  # of the test's packets
UDP_SETUP = f"Transport: RTP/AVP;unicast;client_port=5000-5001;server_port=6000-6001;ssrc={SSRC}"


def udp_setup(cseq: int, *headers: str) -> bytes:
    return reply(cseq, "200 OK", "Session: 12345678;timeout=60", *(headers or (UDP_SETUP,)))


def asked_for(sent: list[str]) -> list[str]:
    """The transports of our SETUPs."""
    return [found[1] for text in sent if (found := re.search(r"Transport: RTP/AVP(\S*?);", text))]


def udp_look(*media: bytes, setup: bytes | None = None) -> Conversation:
    """A look by UDP at a device that has accepted PLAY, and then sent `media`."""
    talked, _ = talk(*GOOD.parts[:2], setup or udp_setup(3), reply(4), transport=UDP)
    for packet in media:
        talked.datagram(packet, 1.0)
    return talked


def begun(talked: Conversation, now: float) -> tuple[str, float]:
    """A new connection to the same device, as far as SETUP; gives what SETUP asked for, and the time."""
    sent = talked.start(now)
    for index, part in enumerate(GOOD.parts[:2]):
        sent += talked.receive(part, now + 0.01 * (index + 1))
    if talked.wants_ports:
        sent += talked.use_ports(PORT)
    return asked_for(requests(sent))[-1], now + 0.02


# ---- refusals


@pytest.mark.parametrize("status", ["461 Unsupported Transport", "400 Bad Request"])
@pytest.mark.parametrize("prefer", [TCP, UDP])
def test_a_refused_transport_gives_way_in_the_same_connection(status: str, prefer: Transport) -> None:
    """461, or 400 as some say it: another SETUP at once, the same session of requests, the picture comes."""
    setup = udp_setup(4) if prefer is TCP else shifted(GOOD.parts, 1, 0)[2]
    talked, sent = talk(*GOOD.parts[:2], reply(3, status), setup, reply(5), prefer=prefer)
    assert asked_for(sent) == (["/TCP", ""] if prefer is TCP else ["", "/TCP"])
    assert [text.split()[0] for text in sent] == ["OPTIONS", "DESCRIBE", "SETUP", "SETUP", "PLAY"]
    for packet in PACKETS:
        if prefer is TCP:
            talked.datagram(packet, 1.0)
        else:
            talked.receive(frame(packet), 1.0)
    assert talked.keyframe is not None and talked.failure is None and not talked.redial
    assert talked.transport == ("udp" if prefer is TCP else "tcp")


@pytest.mark.parametrize("transport", [TCP, UDP])
def test_a_pinned_transport_has_no_other(transport: Transport) -> None:
    """461 is rtsp.transport then, and silence media.no_data."""
    talked, sent = talk(*GOOD.parts[:2], reply(3, "461 Unsupported Transport"), transport=transport)
    assert failed(talked) == (Reason.RTSP_TRANSPORT, Step.SETUP) and len(asked_for(sent)) == 1
    silent = Conversation(Ask(URL, Depth.STREAM, transport=transport), lambda: "c", patience_s=2.0)
    setup = GOOD.setup if transport is TCP else udp_setup(3)
    silent.start(0.0)
    for part in (GOOD.options, GOOD.describe, setup, GOOD.play):
        silent.receive(part, 0.0)
        if silent.wants_ports:
            silent.use_ports(PORT)
    silent.tick(5.0)
    assert not silent.redial
    silent.timeout(10.0)
    assert failed(silent) == (Reason.MEDIA_NO_DATA, Step.FIRST_KEYFRAME)


@pytest.mark.parametrize("prefer", [TCP, UDP])
def test_both_refused_is_rtsp_transport_and_both_are_named(prefer: Transport) -> None:
    """Neither is tried twice."""
    talked, sent = talk(*GOOD.parts[:2], reply(3, "461 No"), reply(4, "400 Bad Request"), prefer=prefer)
    assert failed(talked) == (Reason.RTSP_TRANSPORT, Step.SETUP) and len(asked_for(sent)) == 2
    first, second = ("TCP", "UDP") if prefer is TCP else ("UDP", "TCP")
    assert talked.failure is not None
    assert talked.failure.detail == (
        f"over {first}: SETUP was answered with 461 No; over {second}: SETUP was answered with 400 Bad Request"
    )


def test_a_device_that_hangs_up_with_its_refusal_is_dialled_again() -> None:
    """Some end the connection after 461: the other transport in a new one, and only once."""
    talked, _ = talk(*GOOD.parts[:2], reply(3, "461 No"), b"")
    assert talked.redial and not talked.finished and talked.farewell() == b""
    transport, now = begun(talked, 1.0)
    assert transport == ""
    talked.receive(udp_setup(3) + reply(4), now)
    for packet in PACKETS:
        talked.datagram(packet, now)
    assert talked.keyframe is not None and talked.failure is None
    again, _ = talk(*GOOD.parts[:2], reply(3, "461 No"), b"")
    begun(again, 1.0)
    again.receive(b"", 2.0)
    assert failed(again) == (Reason.NET_RESET, Step.SETUP) and not again.redial


def test_other_refusals_are_no_matter_of_transport() -> None:
    """453, 404 and a failed login end the look as before."""
    for status in ("453 Not Enough Bandwidth", "404 Not Found", "500 Oops"):
        talked, sent = talk(*GOOD.parts[:2], reply(3, status))
        assert talked.finished and len(asked_for(sent)) == 1


def test_the_second_transport_may_fail_in_its_own_way() -> None:
    """TCP refused, then the device is busy: that is why there is no picture."""
    talked, _ = talk(*GOOD.parts[:2], reply(3, "461 No"), reply(4, "453 Busy"))
    assert failed(talked) == (Reason.RTSP_BUSY, Step.SETUP)
    assert talked.failure is not None and "461 No" in talked.failure.detail


def test_the_digest_answer_goes_with_the_second_setup() -> None:
    """It has a count of its own, and the password is not tried more often for it."""
    parts = [GOOD.options, challenge(2), *shifted(GOOD.parts, 1, 0)[1:2]]
    talked, sent = talk(*parts, reply(4, "461 No"), udp_setup(5), reply(6), credentials=Credentials("a", "s3cret"))
    assert talked.step is Step.FIRST_KEYFRAME
    assert [re.findall(r"nc=(\d+)", text)[0] for text in sent[2:]] == [f"{count:08d}" for count in (1, 2, 3, 4)]


# ---- silence


def silent_after_play(prefer: Transport = TCP, ends: float = 20.0) -> Conversation:
    """Accepted, and then nothing; PLAY was answered at 0.04 s."""
    talked = Conversation(Ask(URL, Depth.STREAM, prefer=prefer), lambda: "c0ffee", 6.0, ends)
    talked.start(0.0)
    for index, part in enumerate(
        (GOOD.options, GOOD.describe, GOOD.setup if prefer is TCP else udp_setup(3), GOOD.play)
    ):
        talked.receive(part, (index + 1) / 100)
        if talked.wants_ports:
            talked.use_ports(PORT)
    return talked


@pytest.mark.parametrize("prefer", [TCP, UDP])
def test_silence_gives_way_in_a_new_connection(prefer: Transport) -> None:
    """After its patience: TEARDOWN, a new connection with a whole conversation, the other transport."""
    talked = silent_after_play(prefer)
    assert talked.due == pytest.approx(5.04 if prefer is UDP else 6.04)  # UDP: a report
    assert talked.tick(6.0) == b"" and not talked.redial
    assert talked.tick(6.05) == b"" and talked.redial and talked.due is None
    assert talked.farewell().startswith(b"TEARDOWN ")
    talked.receive(frame(b"late") + reply(5), 6.06)
    assert talked.parted and not talked.finished
    transport, now = begun(talked, 6.1)
    assert transport == ("" if prefer is TCP else "/TCP")
    talked.receive((udp_setup(3) if prefer is TCP else GOOD.setup) + GOOD.play, now)
    for packet in PACKETS:
        if prefer is TCP:
            talked.datagram(packet, now + 1)
        else:
            talked.receive(frame(packet), now + 1)
    assert talked.keyframe is not None and talked.transport == ("udp" if prefer is TCP else "tcp")
    assert talked.timings_ms["first_keyframe"] == pytest.approx(1000)
    assert set(talked.timings_ms) == {"options", "describe", "setup", "play", "first_keyframe"}


def test_patience_leaves_half_of_what_is_left() -> None:
    """A device that needed 16 of 20 s until PLAY: the other transport gets its chance all the same."""
    talked = silent_after_play(ends=4.04)
    assert talked.due == pytest.approx(2.04)


def test_media_ends_the_patience() -> None:
    """Also without a keyframe yet: a smart codec's may come 40 s later. Reports and strange payloads are no media."""
    talked = silent_after_play()
    talked.receive(frame(receiver_report(7), 1) + frame(rtp(b"x", 1, 0, pt=50)), 1.0)
    assert talked.due == pytest.approx(6.04)
    talked.receive(frame(packetise(PICTURES[1:])[0]), 1.0)
    talked.tick(7.0)
    assert not talked.redial and talked.due == pytest.approx(30.04)


@pytest.mark.parametrize("how", ["silent", "refused", "dial", "options", "busy", "closed"])
def test_silence_by_both_is_silence(how: str) -> None:
    """A device that accepted TCP and stayed silent is silent, however far the second attempt comes; both are named."""
    talked = silent_after_play()
    talked.tick(6.05)
    if how == "dial":
        talked.abort(LookError(Reason.NET_REFUSED, "connection refused", step=Step.CONNECT))
    elif how == "options":
        talked.start(7.0)
        talked.timeout(20.0)
    else:
        begun(talked, 7.0)
        if how == "silent":
            talked.receive(udp_setup(3) + reply(4), 8.0)
            talked.timeout(20.0)
        elif how == "closed":
            talked.receive(b"", 8.0)
        else:
            talked.receive(reply(3, "461 No" if how == "refused" else "453 Busy"), 8.0)
    assert failed(talked) == (Reason.MEDIA_NO_DATA, Step.FIRST_KEYFRAME) and not talked.redial
    assert talked.failure is not None
    assert talked.failure.detail.startswith(
        "over TCP: PLAY was accepted, and then no video packet came for 6.0 s; over UDP: "
    )


def test_our_own_limit_in_the_second_attempt_is_ours() -> None:
    """We could not try: nothing is known about the camera."""
    talked = silent_after_play()
    talked.tick(6.05)
    talked.abort(LookError(Reason.OURS_LIMIT, "too many open files", step=Step.CONNECT))
    assert failed(talked) == (Reason.OURS_LIMIT, Step.CONNECT)


def test_silence_is_forgotten_where_the_keyframe_fails_later() -> None:
    """What the second transport showed counts: a picture too large is that."""
    talked = Conversation(Ask(URL, Depth.STREAM, max_pixels=100), lambda: "c", 6.0)
    talked.start(0.0)
    for part in GOOD.parts[:4]:
        talked.receive(part, 0.0)
    talked.tick(7.0)
    begun(talked, 7.0)
    talked.receive(udp_setup(3) + reply(4), 8.0)
    for packet in PACKETS:
        talked.datagram(packet, 9.0)
    assert failed(talked) == (Reason.MEDIA_TOO_LARGE, Step.FIRST_KEYFRAME)


# ---- what the device agrees to


def test_a_device_that_answers_udp_with_tcp_is_taken_at_its_word() -> None:
    """Its channels hold; where UDP is pinned it is a refusal."""
    agreed = reply(3, "200 OK", "Session: 1", "Transport: RTP/AVP/TCP;unicast;interleaved=4-5")
    talked, _ = talk(*GOOD.parts[:2], agreed, reply(4), *(frame(packet, 4) for packet in PACKETS), prefer=UDP)
    assert talked.keyframe is not None and talked.transport == "tcp"
    pinned, _ = talk(*GOOD.parts[:2], agreed, transport=UDP)
    assert failed(pinned) == (Reason.RTSP_TRANSPORT, Step.SETUP)


@pytest.mark.parametrize(
    "header",
    [
        "RTP/AVP;unicast;client_port=9-10;server_port=6000-6001",
        "RTP/AVP/TCP;multicast;destination=239.1.1.1;interleaved=0-1",
    ],
)
def test_what_was_not_asked_for_is_a_refusal(header: str) -> None:
    """UDP to ports that are not ours, or multicast: there is a session now, so the other one gets a new connection."""
    talked, sent = talk(*GOOD.parts[:2], reply(3, "200 OK", "Session: 1", f"Transport: {header}"))
    assert talked.redial and len(sent) == 3
    assert talked.farewell().startswith(b"TEARDOWN ")
    assert begun(talked, 1.0)[0] == ""
    pinned, _ = talk(*GOOD.parts[:2], reply(3, "200 OK", "Session: 1", f"Transport: {header}"), transport=TCP)
    assert failed(pinned) == (Reason.RTSP_TRANSPORT, Step.SETUP)


def test_ports_that_cannot_be_opened() -> None:
    """The other transport where it was not tried; else it is our failure, whatever the device said before."""
    error = LookError(Reason.OURS_LIMIT, "no pair of UDP ports", step=Step.SETUP)
    first = Conversation(Ask(URL, Depth.STREAM, prefer=UDP), lambda: "c")
    first.start(0.0)
    first.receive(GOOD.options + GOOD.describe, 1.0)
    assert first.wants_ports
    assert b"RTP/AVP/TCP" in first.no_ports(error) and not first.wants_ports
    second = Conversation(Ask(URL, Depth.STREAM), lambda: "c")
    second.start(0.0)
    second.receive(GOOD.options + GOOD.describe + reply(3, "461 No"), 1.0)
    assert second.wants_ports and second.no_ports(error) == b""
    assert failed(second) == (Reason.OURS_LIMIT, Step.SETUP)
    assert second.failure is not None and "461 No" in second.failure.detail


# ---- datagrams


@pytest.mark.parametrize("seed", range(5))
def test_overtaken_and_repeated_datagrams_are_no_loss(seed: int) -> None:
    """The first keyframe comes whole, the same as over TCP."""
    chance = random.Random(seed)
    shuffled = sorted(PACKETS[1:] + PACKETS[5:9], key=lambda packet: packet[3] + chance.uniform(0, 6))
    expected, _ = talk(*GOOD.parts)
    talked = udp_look(PACKETS[0], *shuffled)
    assert talked.keyframe == expected.keyframe and talked.keyframe is not None


def test_a_lost_datagram_costs_its_picture_only() -> None:
    """The next keyframe is waited for; without one it is media.no_keyframe, and the loss is named."""
    twice = packetise([*PICTURES, *PICTURES], mtu=600)
    talked = udp_look(*twice[:3], *twice[4:])
    for packet in packetise(PICTURES, first=100 + len(twice), mtu=600):
        talked.datagram(packet, 2.0)
    assert talked.keyframe is not None
    short = udp_look(*PACKETS[:3], *PACKETS[4:])
    for number in range(50):  # later pictures, so that the gap is given up
        short.datagram(rtp(b"\x41\x9a", 100 + len(PACKETS) + number, 90_000, marker=True), 3.0 + number)
    short.timeout(20.0)
    assert failed(short) == (Reason.MEDIA_NO_KEYFRAME, Step.FIRST_KEYFRAME)
    assert short.failure is not None and "1 packets were lost" in short.failure.detail


@pytest.mark.parametrize(("media", "reason"), [(3, Reason.MEDIA_NO_KEYFRAME), (0, Reason.MEDIA_NO_DATA)])
def test_what_our_kernel_dropped_is_ours(media: int, reason: Reason) -> None:
    """The same look with and without drops of our own; a keyframe that came whole is none the worse for them."""
    for dropped in (0, 12):
        talked = udp_look(*PACKETS[:media])
        talked.dropped(dropped)
        talked.timeout(20.0)
        assert failed(talked) == (Reason.OURS_OVERLOAD if dropped else reason, Step.FIRST_KEYFRAME)
    assert talked.failure is not None and "12 datagrams" in talked.failure.detail
    whole = udp_look()
    whole.dropped(12)
    for packet in PACKETS:
        whole.datagram(packet, 1.0)
    assert whole.keyframe is not None and whole.failure is None


def test_our_drops_are_no_excuse_for_a_refusal() -> None:
    """Silence that we caused, and then 461 to the other: still ours."""
    talked = silent_after_play(UDP)
    talked.dropped(3)
    talked.tick(6.05)
    begun(talked, 7.0)
    talked.receive(reply(3, "461 No"), 8.0)
    assert failed(talked) == (Reason.OURS_OVERLOAD, Step.FIRST_KEYFRAME)


def test_datagrams_of_another_source_are_ignored() -> None:
    """The announced SSRC holds; the device's old session to our port is not mixed in."""
    foreign = packetise(PICTURES, mtu=600, first=100)
    mixed = [
        one
        for ours, theirs in zip(PACKETS, foreign, strict=True)
        for one in (theirs[:8] + b"\0\0\0\x08" + theirs[12:], ours)
    ]
    talked = udp_look(*mixed)
    assert talked.keyframe is not None
    alone = udp_look(*(packet[:8] + b"\0\0\0\x08" + packet[12:] for packet in PACKETS[:10]))
    assert not alone.media_flowed


def test_datagrams_count_only_within_a_session_by_udp() -> None:
    """Before SETUP, over TCP, and after the end they change nothing; what is no RTP never does."""
    talked = Conversation(Ask(URL, Depth.STREAM, prefer=UDP), lambda: "c")
    talked.start(0.0)
    talked.datagram(PACKETS[0], 0.0)
    talked.receive(GOOD.options + GOOD.describe, 0.0)
    talked.datagram(PACKETS[0], 0.0)
    tcp, _ = talk(*GOOD.parts[:4])
    tcp.datagram(PACKETS[0], 1.0)
    assert talked.media_bytes == tcp.media_bytes == 0 and not tcp.media_flowed
    odd = udp_look(b"", b"x", b"\x00" * 40, PACKETS[0][:11], receiver_report(7))
    assert not odd.media_flowed and odd.failure is None
    done = udp_look(*PACKETS)
    before = done.media_bytes
    done.datagram(PACKETS[0], 2.0)
    assert done.media_bytes == before


def test_media_by_udp_before_the_play_reply() -> None:
    """It overtakes the reply: it counts, and the look ends when the reply is there."""
    talked, _ = talk(*GOOD.parts[:2], udp_setup(3), transport=UDP)
    for packet in PACKETS:
        talked.datagram(packet, 1.0)
    assert not talked.finished
    talked.receive(reply(4), 2.0)
    assert talked.finished and talked.keyframe is not None


def test_a_flood_by_udp_without_a_keyframe_ends() -> None:
    """8 MiB are enough."""
    talked = udp_look(*(rtp(b"\x41" + bytes(60_000), number, number * 3600, marker=True) for number in range(150)))
    assert failed(talked) == (Reason.MEDIA_NO_KEYFRAME, Step.FIRST_KEYFRAME)


def test_bye_is_told() -> None:
    """The device ended the stream itself; from another source it says nothing."""
    talked = udp_look(PACKETS[0])
    talked.datagram(b"\x81\xcb\x00\x01\x00\x00\x00\x08", 1.0, control=True)
    talked.datagram(b"\x81\xcb\x00\x01\x00\x00\x00\x07", 1.0, control=True)
    talked.timeout(20.0)
    assert talked.failure is not None and "BYE" in talked.failure.detail
    foreign = udp_look(PACKETS[0])
    foreign.datagram(b"\x81\xcb\x00\x01\x00\x00\x00\x08", 1.0, control=True)
    foreign.timeout(20.0)
    assert foreign.failure is not None and "BYE" not in foreign.failure.detail


# ---- what an open session hears from us


def test_the_way_back_is_opened_after_setup_and_after_play() -> None:
    """A header without media from the one port, an empty report from the other; nothing where no port is named."""
    talked = udp_look()
    sent = talked.take_datagrams()
    assert [(one.port, one.control) for one in sent] == [(6000, False), (6001, True)] * 2
    assert len(sent[0].data) == 12 and sent[1].data == receiver_report(int.from_bytes(sent[0].data[8:], "big"))
    assert talked.take_datagrams() == []
    assert udp_look(setup=udp_setup(3, "Transport: RTP/AVP;unicast;server_port=53-54")).take_datagrams() == []
    assert talk(*GOOD.parts[:4])[0].take_datagrams() == []


def test_receiver_reports_every_five_seconds() -> None:
    """As long as the look lasts, by UDP only."""
    talked = udp_look(PACKETS[0])
    talked.take_datagrams()
    times = []
    now = 0.04
    while (due := talked.due) is not None and due < 20:
        now = due
        talked.tick(now)
        times += [now] * len(talked.take_datagrams())
    assert times == pytest.approx([5.04, 10.04, 15.04])


@pytest.mark.parametrize(
    ("public", "method"),
    [
        ("OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER", "GET_PARAMETER"),
        ("OPTIONS,get_parameter,SET_PARAMETER", "GET_PARAMETER"),
        ("OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, SET_PARAMETER", "OPTIONS"),
        ("GET_PARAMETER_X", "OPTIONS"),
        (None, "OPTIONS"),
    ],
)
@pytest.mark.parametrize("timeout", [60, 20])
def test_keepalives(public: str | None, method: str, timeout: int) -> None:
    """At half of the session's timeout, by what the device says that it knows; answers are no progress."""
    options = reply(1, "200 OK", *([f"Public: {public}"] if public else []))
    setup = reply(3, "200 OK", f"Session: 77;timeout={timeout}", "Transport: RTP/AVP/TCP;interleaved=0-1")
    talked, _ = talk(options, GOOD.describe, setup, reply(4), frame(packetise(PICTURES[1:])[0]))
    assert talked.due == pytest.approx(0.04 + timeout / 2)
    assert talked.tick(timeout / 2) == b""
    before = talked.progress
    sent = talked.tick(0.05 + timeout / 2).decode()
    assert sent.startswith(f"{method} {URL} RTSP/1.0\r\nCSeq: 5\r\n") and "Session: 77" in sent
    talked.receive(reply(5), 0.06 + timeout / 2)
    assert talked.progress == before and talked.step is Step.FIRST_KEYFRAME and not talked.finished
    assert talked.due == pytest.approx(0.05 + timeout)
    for packet in PACKETS:
        talked.receive(
            frame(rtp(packet[12:], int.from_bytes(packet[2:4], "big") + 5000, 9, marker=packet[1] > 127)), 40.0
        )
    assert talked.keyframe is not None and set(talked.timings_ms) >= {"options", "first_keyframe"}
    assert talked.timings_ms["options"] == pytest.approx(10)


def test_a_device_that_does_not_know_the_keepalive_it_lists() -> None:
    """OPTIONS from then on; the look goes on."""
    options = reply(1, "200 OK", "Public: GET_PARAMETER")
    talked, _ = talk(options, *GOOD.parts[1:4], frame(packetise(PICTURES[1:])[0]))
    assert talked.tick(31.0).startswith(b"GET_PARAMETER")
    talked.receive(reply(5, "405 Method Not Allowed"), 31.0)
    assert talked.tick(62.0).startswith(b"OPTIONS") and talked.failure is None


def test_keepalive_and_farewell_may_be_challenged_again() -> None:
    """A nonce that ran out within the session: answered once with the new one; no look fails for it, none loops."""
    parts = [GOOD.options, challenge(2), *shifted(GOOD.parts[:4], 1, 0)[1:]]
    talked, _ = talk(*parts, frame(packetise(PICTURES[1:])[0]), credentials=Credentials("a", "s3cret"))
    assert b'nonce="n1"' in talked.tick(31.0)
    new = 'WWW-Authenticate: Digest realm="r", nonce="n2", qop="auth", stale=true'
    assert b'nonce="n2"' in talked.receive(challenge(6, new), 31.0)
    assert talked.receive(challenge(7, new.replace("n2", "n3")), 31.0) == b""
    assert talked.tick(62.0) == b"" and talked.tick(93.0) == b"" and not talked.finished
    gone, _ = talk(*parts, frame(packetise(PICTURES[1:])[0]), credentials=Credentials("a", "s3cret"))
    gone.timeout(20.0)
    gone.farewell()
    again = gone.receive(challenge(6, new), 20.0)
    assert again.startswith(b"TEARDOWN") and b'nonce="n2"' in again and not gone.parted
    assert gone.receive(reply(7), 20.0) == b"" and gone.parted
