"""Two transports within one look: who is asked first, when the other has its turn, what is said when both fail."""

from __future__ import annotations

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


def test_a_nonce_is_not_carried_into_a_new_connection() -> None:
    """Many devices take one only where they gave it; the password is not tried in vain for that."""
    talked = Conversation(Ask(URL, Depth.STREAM, Credentials("a", "s3cret")), lambda: "c", 6.0)
    talked.start(0.0)
    for part in (GOOD.options, challenge(2), *shifted(GOOD.parts[:4], 1, 0)[1:]):
        talked.receive(part, 0.0)
    talked.tick(7.0)
    again = [talked.start(8.0), talked.receive(GOOD.options, 8.0), talked.receive(challenge(2), 8.0)]
    assert [b"Authorization" in sent for sent in again] == [False, False, True]


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
    assert talked.take_datagrams() == []  # none of the old session's
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
    while not talked.redial and (talked.due or 99.0) < 30.0:
        assert talked.tick(talked.due or 0.0).startswith(b"$\x01")  # reports
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


def test_datagrams_we_dropped_are_not_missing_by_tcp() -> None:
    """What came by TCP was whole: that no keyframe was in it is the camera's."""
    talked = silent_after_play(UDP)
    talked.dropped(5)
    talked.tick(6.05)
    assert begun(talked, 7.0)[0] == "/TCP"
    talked.receive(GOOD.setup + GOOD.play + frame(packetise(PICTURES[1:])[0]), 8.0)
    talked.timeout(20.0)
    assert failed(talked) == (Reason.MEDIA_NO_KEYFRAME, Step.FIRST_KEYFRAME)
    assert talked.failure is not None and "our own kernel dropped 5" in talked.failure.detail


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


@pytest.mark.parametrize("failure", ["461 No", "400 Bad Request"])
def test_ports_that_could_not_be_opened_stay_ours_where_the_device_refuses_the_other(failure: str) -> None:
    """A camera that plays by UDP only did nothing wrong; one that then plays badly by TCP did."""
    error = LookError(Reason.OURS_LIMIT, "no pair of UDP ports", step=Step.SETUP)
    talked = Conversation(Ask(URL, Depth.STREAM, prefer=UDP), lambda: "c")
    talked.start(0.0)
    talked.receive(GOOD.options + GOOD.describe, 1.0)
    talked.no_ports(error)
    talked.receive(reply(3, failure), 1.0)
    assert failed(talked) == (Reason.OURS_LIMIT, Step.SETUP)
    assert talked.failure is not None and failure in talked.failure.detail
    further = Conversation(Ask(URL, Depth.STREAM, prefer=UDP), lambda: "c")
    further.start(0.0)
    further.receive(GOOD.options + GOOD.describe, 1.0)
    further.no_ports(error)
    further.receive(GOOD.setup + GOOD.play, 1.0)
    further.timeout(20.0)
    assert failed(further) == (Reason.MEDIA_NO_DATA, Step.FIRST_KEYFRAME)
