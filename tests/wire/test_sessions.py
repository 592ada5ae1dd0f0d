"""Sessions that change, that get lost, and devices that hang up instead of answering SETUP."""

from __future__ import annotations

import pytest

from streamwatch.errors import Reason, Step
from streamwatch.model.look import Transport
from tests.wire.camera import frame, packetise, reply
from tests.wire.test_conversation import GOOD, PACKETS, PICTURES, failed, outcome, requests, shifted, talk
from tests.wire.test_fallback import begun, udp_setup

LOST = "454 Session Not Found"


def test_a_session_of_before_setup_is_used() -> None:
    """Some name it in DESCRIBE's answer: SETUP says it, and TEARDOWN."""
    describe = GOOD.describe.replace(b"\r\n", b"\r\nSession: early;timeout=30\r\n", 1)
    talked, sent = talk(GOOD.options, describe, reply(3), reply(4), GOOD.media)
    assert talked.keyframe is not None
    assert ["Session: early" in text for text in sent] == [False, False, True, True]
    assert b"Session: early\r\n" in talked.farewell()


def test_the_latest_session_holds_also_of_a_keepalive() -> None:
    """Retina issue: ids that change between replies; those of a refusal are none."""
    inter = frame(packetise(PICTURES[1:])[0])
    talked, _ = talk(*GOOD.parts[:3], reply(4, "200 OK", "Session: second"), inter)
    assert b"Session: second\r\n" in talked.tick(30.1)
    talked.receive(reply(5, "200 OK", "Session: third"), 30.2)
    assert b"Session: third\r\n" in talked.tick(60.3)
    talked.receive(reply(6, "405 No", "Session: fourth"), 60.4)
    assert b"Session: third\r\n" in talked.farewell()


def test_a_timeout_holds_where_later_replies_leave_it_out() -> None:
    """20 s from SETUP, PLAY names only the id: a keepalive after 10 s, not 30."""
    setup = reply(3, "200 OK", "Session: 7;timeout=20", "Transport: RTP/AVP/TCP;interleaved=0-1")
    assert talk(*GOOD.parts[:2], setup, reply(4, "200 OK", "Session: 7"))[0].due == pytest.approx(10.04)
    assert talk(*GOOD.parts[:2], setup, reply(4, "200 OK", "Session: 7;timeout=40"))[0].due == pytest.approx(20.04)


@pytest.mark.parametrize("by", [Transport.TCP, Transport.UDP])
def test_a_session_lost_at_play_is_set_up_once_more(by: Transport) -> None:
    """454: a fresh SETUP without the old id; the picture comes, and the second 454 ends it."""
    setup = GOOD.setup if by is Transport.TCP else udp_setup(3)
    fresh = (shifted([setup], 2, 0)[0]).replace(b"12345678", b"fresh")
    talked, sent = talk(*GOOD.parts[:2], setup, reply(4, LOST), fresh, reply(6), transport=by)
    assert [text.split()[0] for text in sent] == ["OPTIONS", "DESCRIBE", "SETUP", "PLAY", "SETUP", "PLAY"]
    assert ["Session" in text for text in sent] == [False, False, False, True, False, True]
    for packet in PACKETS:
        if by is Transport.TCP:
            talked.receive(frame(packet), 1.0)
        else:
            talked.datagram(packet, 1.0)
    assert talked.keyframe is not None and b"Session: fresh" in talked.farewell()
    ended, _ = talk(*GOOD.parts[:2], setup, reply(4, LOST), fresh, reply(6, LOST), transport=by)
    assert failed(ended) == (Reason.RTSP_PROTOCOL, Step.PLAY)
    assert ended.failure is not None and "454" in ended.failure.detail


def test_a_session_of_before_setup_that_setup_does_not_know() -> None:
    """454 to SETUP with the id of DESCRIBE's answer: once more without."""
    describe = GOOD.describe.replace(b"\r\n", b"\r\nSession: early\r\n", 1)
    parts = [GOOD.options, describe, reply(3, LOST), *shifted(GOOD.parts, 1, 0)[2:]]
    talked, sent = talk(*parts)
    assert talked.keyframe is not None
    assert ["Session" in text for text in sent] == [False, False, True, False, True]


def test_hanging_up_instead_of_answering_setup_is_a_refusal() -> None:
    """FIN or RST: the other transport in a new connection, once; where one is pinned it is net.reset."""
    for prefer, setup in ((Transport.TCP, ""), (Transport.UDP, "/TCP")):
        talked, _ = talk(*GOOD.parts[:2], b"", prefer=prefer)
        assert talked.redial and not talked.finished and talked.farewell() == b""
        transport, now = begun(talked, 1.0)
        assert transport == setup
        talked.receive(b"", now)
        assert failed(talked) == (Reason.NET_RESET, Step.SETUP) and not talked.redial
        assert talked.failure is not None
        assert talked.failure.detail.count("the peer closed the connection") == 2
        pinned, _ = talk(*GOOD.parts[:2], b"", transport=prefer)
        assert failed(pinned) == (Reason.NET_RESET, Step.SETUP)
    part, _ = talk(*GOOD.parts[:2], GOOD.setup[:9], b"")  # it had begun to answer
    assert failed(part) == (Reason.NET_RESET, Step.SETUP)


def test_the_end_of_the_connection_at_every_byte_with_all_that_may_happen() -> None:
    """A redirect, a lost session, reports and BYE in between: no exception, and a second connection that ends, ends."""
    odd = frame(b"\x80\xc8\x00\x06\x00\x00\x00\x07" + bytes(20), 1) + frame(b"\x81\xcb\x00\x01\x00\x00\x00\x07", 1)
    data = b"".join([*GOOD.parts[:3], reply(4, LOST), *shifted(GOOD.parts[2:4], 2, 0), odd])
    data += b"REDIRECT x RTSP/1.0\r\nLocation: /other\r\n\r\n" + GOOD.media[:3000]
    ends = set()
    for cut in range(len(data) + 1):
        talked, _ = talk(*([data[:cut]] if cut else []), b"")
        if talked.redial:
            talked.farewell()
            talked.start(1.0)
            talked.receive(b"", 1.1)
        assert talked.finished and talked.failure is not None
        ends.add(talked.failure.reason)
    assert ends == {Reason.NET_RESET}


def test_requests_of_the_device_in_mid_stream_are_no_replies() -> None:
    """OPTIONS and an empty GET_PARAMETER get 200, ANNOUNCE and SET_PARAMETER 501; the look goes on as without."""
    asks = [
        b"OPTIONS * RTSP/1.0\r\nCSeq: 5\r\n\r\n",
        b"GET_PARAMETER * RTSP/1.0\r\nCSeq: 6\r\n\r\n",
        b"SET_PARAMETER * RTSP/1.0\r\nCSeq: 7\r\nContent-Length: 2\r\n\r\na:",
        b"ANNOUNCE * RTSP/1.0\r\nCSeq: 8\r\n\r\n",
    ]
    calm, _ = talk(*GOOD.parts)
    for place in range(1, 5):
        talked, sent = talk(*GOOD.parts[:place], b"".join(asks) + b"".join(GOOD.parts[place:]))
        answers = [text for text in sent if text.startswith("RTSP/1.0 ")]
        assert [text.split("\r\n")[0] for text in answers] == [
            "RTSP/1.0 200 OK",
            "RTSP/1.0 200 OK",
            "RTSP/1.0 501 Not Implemented",
            "RTSP/1.0 501 Not Implemented",
        ]
        assert outcome(talked)[:3] == outcome(calm)[:3]


def test_media_beyond_the_cameras_own_budget_ends_there() -> None:
    """`max_media_bytes` of what is asked, by either transport."""
    from streamwatch.model.look import Depth
    from streamwatch.wire.conversation import Ask, Conversation
    from tests.wire.camera import URL, rtp

    talked = Conversation(Ask(URL, Depth.STREAM, max_media_bytes=10_000), lambda: "c")
    sent = talked.start(0.0)
    sent += talked.receive(b"".join(GOOD.parts[:4]), 0.1)
    for number in range(12):
        talked.receive(frame(rtp(b"\x41" + bytes(988), number, number, marker=True)), 0.2)
    assert failed(talked) == (Reason.MEDIA_NO_KEYFRAME, Step.FIRST_KEYFRAME)
    assert 10_000 < talked.media_bytes <= 11_001 and len(requests(sent)) == 4
