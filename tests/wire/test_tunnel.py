"""RTSP through HTTP: heads of answers in any pieces, what opens a tunnel, and who is told a password."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.errors import LookError, Reason, Step
from streamwatch.model.look import Depth, Transport
from streamwatch.model.report import Credentials
from streamwatch.wire.auth import Authenticator
from streamwatch.wire.conversation import Ask, Conversation
from streamwatch.wire.tunnel import GET, MAX_HEAD, MAX_LINES, POST, Answer, AnswerHead, Tunnel, encoded
from streamwatch.wire.url import parse_address

# The words of each server; what they have in common is the status line and the empty line.
GSTREAMER = (
    b"HTTP/1.0 200 OK\r\nServer: GStreamer RTSP server\r\nConnection: close\r\nCache-Control: no-store\r\n"
    b"Pragma: no-cache\r\nContent-Type: application/x-rtsp-tunnelled\r\n\r\n"
)
LIVE555 = (
    b"HTTP/1.0 200 OK\r\nDate: Thu, 19 Aug 1982 18:30:00 GMT\r\nCache-Control: no-cache\r\nPragma: no-cache\r\n"
    b"Content-Type: application/x-rtsp-tunnelled\r\n\r\n"
)
BARE = b"\r\nHTTP/1.1 100 Continue\n\nHTTP/1.1 200\n\n"
AFTER = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"


def auth_for(url: str, password: str | None = "s3cret") -> Authenticator:
    credentials = None if password is None else Credentials("admin", password)
    return Authenticator(credentials, parse_address(url).origin, lambda: "c0ffee")


def tunnel(url: str = "rtsp://192.0.2.7:80/live?ch=1", auth: Authenticator | None = None) -> Tunnel:
    return Tunnel(url, auth or auth_for(url), "c00k1e", "streamwatch")


def fields(head: bytes) -> tuple[str, dict[str, str]]:
    """The first line, and the headers."""
    text, end, after = head.decode().partition("\r\n\r\n")
    assert (end, after) == ("\r\n\r\n", "")
    first, *lines = text.split("\r\n")
    return first, {name: value for name, _, value in (line.partition(": ") for line in lines)}


def test_both_heads_say_what_devices_look_for() -> None:
    """The path with its query, one cookie for both, the type, and a length that is never reached."""
    words = tunnel()
    first, get = fields(words.head(GET))
    second, post = fields(words.head(POST))

    assert (first, second) == ("GET /live?ch=1 HTTP/1.0", "POST /live?ch=1 HTTP/1.0")
    assert get["x-sessioncookie"] == post["x-sessioncookie"] == "c00k1e"
    assert get["Accept"] == post["Content-Type"] == "application/x-rtsp-tunnelled"
    assert post["Content-Length"] == "32767"
    assert get["Host"] == "192.0.2.7:80"
    assert "Authorization" not in get


@pytest.mark.parametrize(
    ("url", "path"), [("rtsp://h", "/"), ("rtsp://h?a=1", "/?a=1"), ("rtsp://u:p@h/a#b", "/a"), ("rtsps://h/", "/")]
)
def test_there_is_always_a_path(url: str, path: str) -> None:
    """And never credentials or a fragment."""
    assert fields(tunnel(url).head(GET))[0] == f"GET {path} HTTP/1.0"


@pytest.mark.parametrize("answer", [GSTREAMER, LIVE555, BARE], ids=["gstreamer", "live555", "bare"])
def test_every_cut_gives_the_same(answer: bytes) -> None:
    """Head and what follows, however the bytes arrive."""
    whole = answer + AFTER
    for cut in range(len(whole) + 1):
        head = AnswerHead()
        head.receive(whole[:cut])
        found = head.receive(whole[cut:])
        assert found is not None
        assert (found.status, head.take_rest(), head.take_rest()) == (200, AFTER, b"")
    head = AnswerHead()
    for at in range(len(whole)):
        head.receive(whole[at : at + 1])
    assert head.answer == found
    assert head.take_rest() == AFTER


@given(st.lists(st.binary(max_size=40), max_size=8), st.sampled_from([b"", b"HTTP/1.1 ", b"HTTP/1.0 200 OK\r\n"]))
def test_garbage_is_an_answer_or_refused(pieces: list[bytes], start: bytes) -> None:
    """Nothing but LookError(rtsp.transport); as many bytes are kept as a head may have; cuts change nothing."""

    def outcome(parts: list[bytes]) -> object:
        head = AnswerHead()
        try:
            for part in parts:
                head.receive(part)
        except LookError as error:
            return error.reason
        return head.answer, head.take_rest()

    found = outcome([start, *pieces])
    assert found == outcome([start + b"".join(pieces)])
    assert isinstance(found, tuple) or found is Reason.RTSP_TRANSPORT


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"RTSP/1.0 405 Method Not Allowed\r\n\r\n", "'RTSP/1.0 405 Method Not Allowed', which is not HTTP"),
        (b"\x15\x03\x01\x00\x02", "which is not HTTP"),
        (b"SSH-2.0-dropbear\r\n", "'SSH-2.0-dropbear', which is not HTTP"),
        (b"HTTP/1.1 OK\r\n\r\n", "which is not HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * (MAX_LINES + 1) + b"\r\n", "header lines"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"a" * MAX_HEAD, "more than 16384 bytes"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, "more than 16384 bytes"),
        (b"\r\n" * MAX_HEAD, "more than 16384 bytes"),
    ],
)
def test_what_is_no_answer_is_no_tunnel(data: bytes, says: str) -> None:
    """rtsp.transport at connect, with what came."""
    with pytest.raises(LookError) as caught:
        AnswerHead().receive(data)
    assert (caught.value.reason, caught.value.step) == (Reason.RTSP_TRANSPORT, Step.CONNECT)
    assert says in str(caught.value)


def answer(data: bytes) -> Answer:
    found = AnswerHead().receive(data)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("data", "reason", "says"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n", Reason.RTSP_TRANSPORT, "GET /live?ch=1 was answered with 404 Not Found"),
        (b"HTTP/1.1 405 No\r\n\r\n", Reason.RTSP_TRANSPORT, "was answered with 405 No"),
        (b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n", Reason.RTSP_TRANSPORT, "was answered with 302 Found"),
        (b"HTTP/1.1 503 Busy\r\n\r\n", Reason.RTSP_BUSY, "503"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=x\r\n\r\n", Reason.RTSP_TRANSPORT, "a page (text/html"),
    ],
)
def test_other_answers_open_no_tunnel(data: bytes, reason: Reason, says: str) -> None:
    """Each with what was answered."""
    with pytest.raises(LookError) as caught:
        tunnel().opened_by(GET, answer(data))
    assert (caught.value.reason, caught.value.step) == (reason, Step.CONNECT)
    assert says in str(caught.value)


def challenge(nonce: str, scheme: str = "Digest", more: str = "") -> Answer:
    text = f'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {scheme} realm="cam", nonce="{nonce}"{more}\r\n\r\n'
    return answer(text.encode())


def test_a_challenge_is_answered_for_the_path_and_by_post_as_well() -> None:
    """Digest over the path, as HTTP has it; then RTSP begins without an answer, as it asks by itself."""
    auth = auth_for("rtsp://192.0.2.7:80/live")
    words = tunnel("rtsp://192.0.2.7:80/live", auth)
    assert not words.opened_by(GET, challenge("n1"))
    get = fields(words.head(GET))[1]["Authorization"]
    assert 'uri="/live"' in get
    assert 'nonce="n1"' in get
    assert words.opened_by(GET, answer(GSTREAMER))
    assert 'uri="/live"' in fields(words.head(POST))[1]["Authorization"]
    assert auth.authorization("OPTIONS", "rtsp://192.0.2.7:80/live") is None


def test_r21_a_tunnel_answers_at_most_twice() -> None:
    """Setup: a tunnel whose GET is challenged. Fault: a new nonce each time, for ever. Bound: two answers, which count
    for the RTSP within; with the same nonce one."""
    auth = auth_for("rtsp://192.0.2.7:80/live")
    words = tunnel("rtsp://192.0.2.7:80/live", auth)
    answered = []
    for number in range(2):
        answered.append("Authorization" in fields(words.head(GET))[1])
        assert not words.opened_by(GET, challenge(f"n{number}"))
    answered.append("Authorization" in fields(words.head(GET))[1])
    with pytest.raises(LookError) as caught:
        words.opened_by(GET, challenge("n3"))
    assert (caught.value.reason, caught.value.step, answered) == (Reason.RTSP_AUTH, Step.CONNECT, [False, True, True])
    assert auth.refusals == 2

    words = tunnel()
    words.opened_by(GET, challenge("n"))
    words.head(GET)
    with pytest.raises(LookError):
        words.opened_by(GET, challenge("n"))


def test_no_password_goes_out_by_basic_or_where_none_is_known() -> None:
    """rtsp.auth that says so."""
    for words, offer in (
        (tunnel(), challenge("n", "Basic")),
        (tunnel(auth=auth_for("rtsp://h", None)), challenge("n")),
    ):
        with pytest.raises(LookError) as caught:
            words.opened_by(GET, offer)
        assert caught.value.reason is Reason.RTSP_AUTH


@given(st.binary(max_size=300))
def test_what_we_say_is_base64_without_line_ends(data: bytes) -> None:
    """Each message by itself."""
    assert base64.b64decode(encoded(data), validate=True) == data


SDP = b"v=0\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:v\r\n"


@pytest.mark.parametrize(
    ("url", "transport", "asked", "told"),
    [
        ("rtsps://192.0.2.7/live", Transport.AUTO, "RTP/AVP/TCP", "tcp"),
        ("rtsps://192.0.2.7/live", Transport.HTTP, "RTP/AVP/TCP", "http"),
        ("rtsp://192.0.2.7/live", Transport.HTTP, "RTP/AVP/TCP", "http"),
    ],
)
def test_a_tunnel_and_tls_carry_media_themselves(url: str, transport: Transport, asked: str, told: str) -> None:
    """Interleaved, also where UDP was remembered; and where that is refused, UDP is not tried in the clear."""
    for status, transports in (("200 OK", "Transport: RTP/AVP/TCP;interleaved=0-1\r\n"), ("461 No", "")):
        conversation = Conversation(Ask(url, Depth.STREAM, transport=transport, prefer=Transport.UDP), lambda: "c")
        conversation.start(0.0)
        conversation.receive(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n", 0.0)
        reply = f"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Length: {len(SDP)}\r\n\r\n".encode() + SDP
        said = conversation.receive(reply, 0.0).decode()
        assert said.startswith("SETUP ")
        assert asked in said
        conversation.receive(f"RTSP/1.0 {status}\r\nCSeq: 3\r\nSession: 1\r\n{transports}\r\n".encode(), 0.0)
        if transports:
            assert conversation.transport == told
        else:
            assert conversation.failure is not None
            assert (conversation.failure.reason, conversation.wants_ports) == (Reason.RTSP_TRANSPORT, False)
