"""Sent on: two hops at the most, to the same host, never without TLS after TLS, and the password stays at home."""

from __future__ import annotations

import pytest

from streamwatch.errors import LookError, Reason, Step
from streamwatch.model.look import Depth, Transport
from streamwatch.model.report import Credentials
from streamwatch.wire.conversation import Ask, Conversation
from streamwatch.wire.redirect import Route
from streamwatch.wire.url import parse_address
from tests.wire.camera import URL, frame, packetise, reply
from tests.wire.test_conversation import DIGEST, GOOD, PICTURES, challenge, failed, requests, shifted, talk

SECRET = Credentials("admin", "s3cret-Pa55")
OTHER = "rtsp://192.0.2.7:8554/other"


def moved(cseq: int, location: str = OTHER, status: str = "302 Moved Temporarily") -> bytes:
    """A redirect."""
    return reply(cseq, status, f"Location: {location}")


def again(talked: Conversation, *pieces: bytes, now: float = 10.0) -> list[str]:
    """The shell dials `url`, and the device there says `pieces`; gives what was sent to it."""
    assert talked.redial and not talked.finished
    sent = talked.start(now)
    for index, piece in enumerate(pieces, 1):
        sent += talked.receive(piece, now + index / 100)
    return requests(sent)


def parts_of(url: str) -> list[bytes]:
    """The good conversation; its controls are relative, so that it holds anywhere."""
    return [part.replace(URL.encode(), url.encode()) for part in GOOD.parts]


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 x", "308", "300 Multiple Choices"])
@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_a_redirect_at_any_step_is_followed(place: int, status: str) -> None:
    """OPTIONS, DESCRIBE, SETUP, PLAY: a new connection to the other address, and all steps there."""
    talked, _ = talk(*GOOD.parts[:place], moved(place + 1, status=status))
    assert talked.url == OTHER and (talked.farewell() != b"") is (place == 3)
    sent = again(talked, *parts_of(OTHER))
    assert talked.keyframe is not None and talked.failure is None and talked.url == OTHER
    assert [text.split(" RTSP")[0] for text in sent] == [
        f"OPTIONS {OTHER}",
        f"DESCRIBE {OTHER}",
        f"SETUP {OTHER}/track1",
        f"PLAY {OTHER}",
    ]
    assert talked.timings_ms == pytest.approx(dict.fromkeys(talked.timings_ms, 10.0))  # the latest connection's


def test_reach_does_not_follow() -> None:
    """That it answers was all that was asked."""
    talked, sent = talk(moved(1), depth=Depth.REACH)
    assert talked.finished and talked.failure is None and not talked.redial and len(sent) == 1


def test_a_device_may_send_us_on_in_the_middle() -> None:
    """REDIRECT, RFC 2326 section 10.10: answered, TEARDOWN, and on; one without a Location is only answered."""
    asks = b"REDIRECT rtsp://192.0.2.7/live RTSP/1.0\r\nCSeq: 732\r\nLocation: " + OTHER.encode() + b"\r\n\r\n"
    inter = frame(packetise(PICTURES[1:])[0])
    talked, sent = talk(*GOOD.parts[:4], inter + asks + inter)
    assert sent[-1] == "RTSP/1.0 200 OK\r\nCSeq: 732" and talked.redial
    assert talked.farewell().startswith(b"TEARDOWN rtsp://192.0.2.7/live ")
    talked.receive(reply(5), 1.0)
    assert talked.parted
    again(talked, *parts_of(OTHER))
    assert talked.keyframe is not None
    bare = b"REDIRECT rtsp://198.51.100.1/ RTSP/1.0\r\nCSeq: 1\r\n\r\n"
    stays, sent = talk(*GOOD.parts[:4], bare, GOOD.media)
    assert stays.keyframe is not None and sent[-1].startswith("RTSP/1.0 501 ")


def test_redirect_requests_elsewhere_end_the_look() -> None:
    """Another host: rtsp.redirect, wherever it stands; nothing is dialled."""
    asks = b"REDIRECT x RTSP/1.0\r\nLocation: rtsp://198.51.100.1/\r\n\r\n"
    for place in range(5):
        talked, _ = talk(*GOOD.parts[:place], asks)
        assert failed(talked)[0] is Reason.RTSP_REDIRECT and talked.url == URL and not talked.redial


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("rtsp://u:s3cret@198.51.100.1:99/x?token=s3cret", "rtsp://198.51.100.1:99"),
        ("rtsp://127.0.0.1/live", "rtsp://127.0.0.1"),
        ("rtsp://192.0.2.7.example.com/live", "rtsp://192.0.2.7.example.com"),
        ("rtsp://192.0.2.7@198.51.100.1/live", "rtsp://198.51.100.1"),
        ("//198.51.100.1/live", "host"),
        ("file:///etc/passwd", "file://"),
        ("file:/etc/passwd", "file"),
        ("http://192.0.2.7/", "http://192.0.2.7"),
        ("rtsp://" + "x" * 2000, "rtsp://xxx"),
        ("/" + "x" * 2040, "cannot be used"),
        ("rtsp://192.0.2.7:0/live", "rtsp://192.0.2.7:0"),
        ("rtsp://192.0.2.7:99999/live", "rtsp://192.0.2.7"),
        ("rtsp://192.0.2.7/a b", "rtsp://192.0.2.7"),
        ("rtsp:///live", "rtsp://"),
        (URL, "in a circle"),
        ("rtsp://admin:x@192.0.2.7:554/live", "in a circle"),
        ("/live", "in a circle"),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 3])
def test_refused_redirects_are_named_without_credentials(location: str, shown: str, place: int) -> None:
    """Another host, another protocol, what cannot be read, and a circle: rtsp.redirect; nothing is dialled."""
    talked, sent = talk(*GOOD.parts[:place], moved(place + 1, location), transport=Transport.TCP)
    assert failed(talked) == (Reason.RTSP_REDIRECT, [Step.OPTIONS, Step.DESCRIBE, Step.SETUP, Step.PLAY][place])
    assert talked.failure is not None and shown in talked.failure.detail and "s3cret" not in talked.failure.detail
    assert len(talked.failure.detail) < 400 and len(sent) == place + 1
    assert not talked.redial and talked.url == URL


def test_another_host_comes_with_the_remedy() -> None:
    """What an operator has to do, where the other address is the camera's."""
    talked, _ = talk(GOOD.options, moved(2, "rtsp://198.51.100.1/live"))
    assert talked.failure is not None and "register that address" in talked.failure.detail


def test_a_location_without_host_is_the_hosts_own() -> None:
    """An absolute path, and a relative one, as in HTTP."""
    for location, url in (
        ("/other", "rtsp://192.0.2.7/other"),
        ("other?x=1", "rtsp://192.0.2.7/other?x=1"),
        ("//192.0.2.7/other", "rtsp://192.0.2.7/other"),
        ("RTSP://192.0.2.7:554/other", "RTSP://192.0.2.7:554/other"),
        ("rtsp://[::ffff:192.0.2.7]/other", "rtsp://[::ffff:192.0.2.7]/other"),
    ):
        talked, _ = talk(GOOD.options, moved(2, location))
        assert talked.redial and talked.url == url


def test_two_hops_are_the_most() -> None:
    """The third is refused; so is a circle over two."""
    talked, _ = talk(GOOD.options, moved(2, "/a"))
    again(talked, GOOD.options, moved(2, "/b"))
    again(talked, GOOD.options, moved(2, "/c"))
    assert failed(talked) == (Reason.RTSP_REDIRECT, Step.DESCRIBE) and talked.url.endswith("/b")
    talked, _ = talk(GOOD.options, moved(2, "/a"))
    again(talked, GOOD.options, moved(2, URL))
    assert talked.failure is not None and "in a circle" in talked.failure.detail


def test_tls_is_never_left() -> None:
    """rtsps to rtsp is refused, also after a hop from rtsp to rtsps; the way up is free."""
    talked, _ = talk(GOOD.options, moved(2, "rtsp://192.0.2.7/x"), url="rtsps://192.0.2.7/live")
    assert failed(talked) == (Reason.RTSP_REDIRECT, Step.DESCRIBE)
    talked, _ = talk(GOOD.options, moved(2, "rtsps://192.0.2.7/x"))
    assert talked.url == "rtsps://192.0.2.7/x"
    again(talked, GOOD.options, moved(2, "rtsp://192.0.2.7/y"))
    assert failed(talked) == (Reason.RTSP_REDIRECT, Step.DESCRIBE)
    assert talked.failure is not None and "TLS" in talked.failure.detail


@pytest.mark.parametrize("target", [OTHER, "rtsps://192.0.2.7/live"])
@pytest.mark.parametrize("basic", [False, True])
@pytest.mark.parametrize("where", ["before", "after"])
def test_a_password_stays_with_its_origin(target: str, basic: bool, where: str) -> None:
    """Another port, or TLS: no Authorization there; where one is wanted it is rtsp.redirect with the remedy."""
    ask = Ask(URL, Depth.STREAM, SECRET, allow_basic=basic)
    talked = Conversation(ask, lambda: "c0ffee")
    talked.start(0.0)
    if where == "before":
        talked.receive(GOOD.options + moved(2, target), 0.0)
    else:
        assert b"Authorization" in talked.receive(GOOD.options + challenge(2), 0.0)
        talked.receive(moved(3, target), 0.0)
    wanted = [reply(1, "401 Unauthorized", DIGEST, 'WWW-Authenticate: Basic realm="r"')]
    sent = again(talked, *wanted, challenge(2))
    assert [text.split()[0] for text in sent] == ["OPTIONS", "DESCRIBE"]
    assert not any("Authorization" in text for text in sent)
    assert failed(talked) == (Reason.RTSP_REDIRECT, Step.DESCRIBE)
    assert talked.failure is not None
    assert "rtsp://192.0.2.7:554" in talked.failure.detail and "register" in talked.failure.detail
    assert SECRET.password not in talked.failure.detail


def test_elsewhere_without_a_password_it_is_open_or_not() -> None:
    """A place that asks for none shows its picture; where we have none at all the reason is rtsp.auth."""
    talked, _ = talk(GOOD.options, moved(2), credentials=SECRET)
    assert not any("Authorization" in text for text in again(talked, *parts_of(OTHER)))
    assert talked.keyframe is not None
    talked, _ = talk(GOOD.options, moved(2))
    again(talked, GOOD.options, challenge(2))
    assert failed(talked) == (Reason.RTSP_AUTH, Step.DESCRIBE)


def test_the_same_origin_gets_the_password_by_a_nonce_of_its_own() -> None:
    """Another path of the same place; tries go on counting."""
    talked, _ = talk(GOOD.options, moved(2, "/other"), credentials=SECRET)
    sent = again(talked, GOOD.options, challenge(2), *shifted(GOOD.parts, 1, 0)[1:])
    assert talked.keyframe is not None
    assert ["Authorization" in text for text in sent] == [False, False, True, True, True]
    wrong, _ = talk(challenge(1), challenge(2, DIGEST.replace("n1", "n2")), moved(3, "/other"), credentials=SECRET)
    sent = again(wrong, GOOD.options, challenge(2), challenge(3, DIGEST.replace("n1", "n3")))
    assert failed(wrong)[0] is Reason.RTSP_AUTH
    assert sum("Authorization" in text for text in sent) == 1  # one was refused before


def test_what_fails_after_a_hop_says_where() -> None:
    """Its failure is of the other address."""
    talked, _ = talk(GOOD.options, moved(2))
    again(talked, GOOD.options, reply(2, "404 Not Found"))
    assert failed(talked) == (Reason.RTSP_NOT_FOUND, Step.DESCRIBE)
    assert talked.failure is not None and talked.failure.detail.startswith("sent on to rtsp://192.0.2.7:8554: ")
    refused, _ = talk(GOOD.options, moved(2))
    refused.abort(LookError(Reason.NET_REFUSED, "nobody listens", step=Step.CONNECT))
    assert failed(refused) == (Reason.NET_REFUSED, Step.CONNECT)
    assert refused.failure is not None and "8554" in refused.failure.detail


def test_a_transport_given_up_stays_so_after_a_hop() -> None:
    """UDP because TCP was refused, also at the other address."""
    talked, _ = talk(*GOOD.parts[:2], reply(3, "461 No"), moved(4))
    again(talked, *parts_of(OTHER)[:2])
    assert talked.wants_ports and not talked.finished


@pytest.mark.parametrize("prefer", [Transport.TCP, Transport.UDP])
def test_behind_tls_no_picture_comes_in_the_clear(prefer: Transport) -> None:
    """Sent on to rtsps: interleaved, and nothing else, whatever was preferred; where UDP was asked for it stays so."""
    talked, _ = talk(GOOD.options, moved(2, "rtsps://192.0.2.7/x"), prefer=prefer)
    sent = again(talked, *GOOD.parts[:2], reply(3, "461 No"))
    assert "RTP/AVP/TCP" in sent[2] and failed(talked) == (Reason.RTSP_TRANSPORT, Step.SETUP)
    pinned, _ = talk(GOOD.options, moved(2, "rtsps://192.0.2.7/x"), transport=Transport.UDP)
    again(pinned, *GOOD.parts[:2])
    assert pinned.wants_ports


def test_a_redirect_without_location_is_refused() -> None:
    """But OPTIONS may be answered with anything."""
    for place in (1, 2, 3):
        talked, _ = talk(*GOOD.parts[:place], reply(place + 1, "302 Found"))
        assert failed(talked)[0] is Reason.RTSP_REDIRECT
    assert talk(reply(1, "302 Found"), *GOOD.parts[1:])[0].keyframe is not None


def test_a_route_knows_its_home() -> None:
    """`away` is another scheme or port, not another path."""
    route = Route(parse_address(URL))
    route.follow("/x", "DESCRIBE")
    assert not route.away
    route.follow(OTHER, "DESCRIBE")
    assert route.away and route.address.credentials is None
