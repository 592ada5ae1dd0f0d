"""Media by UDP: what is overtaken, lost, ours or foreign, and what that says about the camera."""

from __future__ import annotations

import random

import pytest

from streamwatch.errors import Reason, Step
from streamwatch.model.look import Depth
from streamwatch.wire.conversation import Ask, Conversation
from streamwatch.wire.rtcp import receiver_report
from tests.wire.camera import URL, packetise, reply, rtp
from tests.wire.test_conversation import GOOD, failed, talk
from tests.wire.test_fallback import PACKETS, PICTURES, UDP, begun, silent_after_play, udp_look, udp_setup


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
    progress = odd.progress
    odd.datagram(b"\x80\xc8\x00\x06" + bytes(24), 1.0)  # a report to the wrong port
    assert odd.progress == progress
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
