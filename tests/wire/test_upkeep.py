"""What an open session hears from us: keepalives, receiver reports, and the way back through NAT."""

from __future__ import annotations

import pytest

from streamwatch.errors import Step
from streamwatch.model.report import Credentials
from streamwatch.wire.rtcp import receiver_report
from tests.wire.camera import URL, frame, packetise, reply, rtp
from tests.wire.test_conversation import GOOD, challenge, shifted, talk
from tests.wire.test_fallback import PACKETS, PICTURES, udp_look, udp_setup


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
    for _ in range(3):
        now = talked.due or 0.0
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
    talked, _ = talk(options, GOOD.describe, setup, reply(4))
    assert talked.due == pytest.approx(0.04 + timeout / 2)
    talked.receive(frame(packetise(PICTURES[1:])[0]), 0.05)
    while (talked.due or 99.0) < timeout / 2:  # reports
        assert talked.tick(talked.due or 0.0).startswith(b"$\x01")
    assert talked.tick(timeout / 2) == b""
    before = talked.progress
    sent = talked.tick(0.05 + timeout / 2).decode("latin-1")
    assert sent.startswith(f"{method} {URL} RTSP/1.0\r\nCSeq: 5\r\n") and "Session: 77" in sent
    talked.receive(reply(5), 0.06 + timeout / 2)
    assert talked.progress == before and talked.step is Step.FIRST_KEYFRAME and not talked.finished
    while (talked.due or 99.0) < timeout:
        talked.tick(talked.due or 0.0)
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
    assert not any(b"RTSP" in talked.tick(now) for now in (62.0, 93.0)) and not talked.finished
    gone, _ = talk(*parts, frame(packetise(PICTURES[1:])[0]), credentials=Credentials("a", "s3cret"))
    gone.timeout(20.0)
    gone.farewell()
    again = gone.receive(challenge(6, new), 20.0)
    assert again.startswith(b"TEARDOWN") and b'nonce="n2"' in again and not gone.parted
    assert gone.receive(reply(7), 20.0) == b"" and gone.parted
