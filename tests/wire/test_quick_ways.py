"""Fast paths against the slow ones that are their rule: replies, challenges, answers, sessions, transports, fragments,
and an idle connection's answers."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.errors import LookError
from streamwatch.model.look import Transport
from streamwatch.model.report import Credentials
from streamwatch.wire import auth, idle, transport
from streamwatch.wire.auth import Authenticator, digest_answer, parse_challenges
from streamwatch.wire.depacketise import H264Depacketiser, H265Depacketiser
from streamwatch.wire.fragments import take_run
from streamwatch.wire.idle import Idle
from streamwatch.wire.rtp import SequenceTracker, parse_rtp
from streamwatch.wire.rtsp import Closed, Interleaved, RtspParser
from streamwatch.wire.url import parse_address
from tests.wire import camera, camera_h265

NOTHING = re.compile(r"(?!)")  # matches no text
PIECES = [
    b"RTSP/1.0 200 OK", b"RTSP/1.0 401", b"RTSP/1.0 0 ", b"RTSP/1.0 700 x", b"RTSP/1.0 200\tOK", b"RTSP/1.0 \xb200 x",
    b"HTTP/1.1 200 OK", b"GET x RTSP/1.0", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\r\nCSeq: 7", b"\r\nCSeq:7 ",
    b"\r\ncseq: 7", b"\r\nCSeq: 6", b"\r\nA:", b"\r\nA: \t b c \t", b"\r\n: x", b"\r\n folded", b"\r\nno colon",
    b"\r\nB : x", b"\r\nC:\xe4\xa0", b"\r\nD:a\x00b", b"\r\nE:\x7f", b"\r\nContent-Length: 3", b"\r\ncontent-length: 3",
    b"\r\nContent-Length: 03", b"\r\nContent-Length: x", b"\r\nContent-Length: 0", b"abc", b"$\x00\x00\x02ab",
    b"\r\nCONTENT-LENGTH: 1", b"\r\nX-Content-Length: 9",
    b"\r\nF: a\rb", b"\r\n" + b"N" * 70 + b": x", b" ",
]  # fmt: skip
REPLIES = st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join)
LIKELY = st.tuples(st.sampled_from(PIECES[:3]), st.lists(st.sampled_from(PIECES[12:]), max_size=6).map(b"".join)).map(
    lambda parts: parts[0] + parts[1] + b"\r\n\r\n"
)


def events(data: bytes) -> list[object]:
    """All that a parser says of it, to the end or to its error."""
    parser = RtspParser()
    parser.channels = frozenset({0})
    parser.receive(data)
    parser.receive(b"")
    found: list[object] = []
    try:
        while (event := parser.next_event()) is not None:
            found.append((event, parser.position))
            if isinstance(event, Closed):
                break
    except LookError as error:
        found.append(str(error))
    return [*found, parser.skipped_bytes]


@given(REPLIES | LIKELY | st.tuples(LIKELY, LIKELY).map(b"".join))
def test_replies_are_read_alike_in_one_go_and_line_by_line(data: bytes) -> None:
    """Events, places and errors."""
    with pytest.MonkeyPatch.context() as patch:
        quick = events(data)
        patch.setattr(RtspParser, "_quick", lambda self: None)
        assert quick == events(data)


@pytest.mark.parametrize(
    "data",
    [
        b"RTSP/1.0 461 Unsupported\rTransport\nCSeq: 3\r\n\r\n",  # a carriage return that ends no line
        b"RTSP/1.0 200 OK\r\nCSeq: 3\r\nConTent-LenGth: 3\r\n\r\nv=0",
        b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\nContent-Length: 3\r\n\r\nv=0",
    ],
)
def test_what_fuzzing_found_is_read_alike(data: bytes) -> None:
    """Odd line ends, spellings and lengths make no difference to how a reply is read."""
    with pytest.MonkeyPatch.context() as patch:
        quick = events(data)
        patch.setattr(RtspParser, "_quick", lambda self: None)
        assert quick == events(data)


def test_a_usual_reply_is_read_in_one_go() -> None:
    """Else there would be no point in it."""
    parser = RtspParser()
    parser.receive(camera.reply(3, "200 OK", "Session: 1;timeout=60", "Content-Type: application/sdp", body=b"v=0"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RtspParser, "_begin_message", lambda self: pytest.fail("line by line"))
        assert parser.next_event() is not None


NAMES = st.sampled_from(["realm", "nonce", "qop", "algorithm", "opaque", "stale", "Realm", "domain"])
VALUES = st.sampled_from(
    [
        '"x"',
        '""',
        '"a b"',
        '"a, b=c"',
        '"auth,auth-int"',
        '"q\\"x"',
        '"a"b"',
        "MD5",
        "SHA-256",
        "true",
        '"auth"',
        "",
        "a.b",
    ]
)
OFFERS = st.tuples(
    st.sampled_from(["Digest ", "digest ", "Digest", "Basic ", " Digest "]),
    st.lists(st.tuples(NAMES, VALUES).map("=".join), max_size=6),
    st.sampled_from([", ", ",", " , ", ",  ", "; "]),
    st.sampled_from(["", ",", " ", ', Basic realm="b"']),
).map(lambda parts: parts[0] + parts[2].join(parts[1]) + parts[3])


@given(st.lists(OFFERS, max_size=3))
def test_challenges_are_read_alike(values: list[str]) -> None:
    """In one go and parameter by parameter."""
    with pytest.MonkeyPatch.context() as patch:
        quick = parse_challenges(values)
        patch.setattr(auth, "MAX_PLAIN", -1)
        assert quick == parse_challenges(values)


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=8)


@given(
    st.sampled_from(["MD5", "SHA-256", "MD5-sess", None]),
    st.sampled_from(["auth", "auth-int", "auth,auth-int", None]),
    st.dictionaries(st.sampled_from(["realm", "opaque"]), st.sampled_from(["", "r", 'a"b', "\\", "\xe4\xa0"])),
    TEXTS,
    TEXTS,
    st.integers(1, 3),
)
def test_answers_are_the_same_from_what_they_share(
    algorithm: str | None, qop: str | None, given_: dict[str, str], username: str, password: str, count: int
) -> None:
    """The header that `digest_answer` gives, for each use of a nonce."""
    parameters = {"nonce": "n1"} | given_
    if algorithm is not None:
        parameters["algorithm"] = algorithm
    if qop is not None:
        parameters["qop"] = qop
    challenge, credentials = auth.Challenge("digest", parameters), Credentials(username, password)
    quick = auth._prepared(challenge, credentials, "c")
    if quick is None:
        assert (algorithm or "").endswith("sess") or challenge.qop == "auth-int"
        return
    expected = digest_answer(challenge, credentials, "SETUP", camera.URL, b"", "c", count)
    assert quick.answer("SETUP", camera.URL, count) == expected


def test_one_client_nonce_serves_a_challenge() -> None:
    """Its counts tell the requests apart; another challenge gets another one."""
    drawn = iter(["c1", "c2"])
    answering = Authenticator(Credentials("u", "p"), parse_address(camera.URL).origin, lambda: next(drawn))
    found = []
    for nonce in ("a", "b"):
        answering.challenged([f'Digest realm="r", nonce="{nonce}", qop="auth"'], answered=False)
        found += [answering.authorization("PLAY", camera.URL) or "" for _ in range(2)]
    assert ['cnonce="c1"' in one for one in found] == [True, True, False, False]
    assert ["nc=00000001" in one for one in found] == [True, False, True, False]


@given(
    st.sampled_from(["12", "a b", "", " 7", "1;x=2", "é", "7;timeout=60", "7;timeout=0", "7; timeout=9", "7;timeout=x"])
    | st.text("7;=timeou 609-", max_size=14)
)
def test_sessions_are_read_alike(value: str) -> None:
    """In one go and parameter by parameter."""
    with pytest.MonkeyPatch.context() as patch:
        quick = transport.parse_session(value)
        patch.setattr(transport, "_PLAIN_SESSION", NOTHING)
        assert quick == transport.parse_session(value)


TRANSPORTS = st.lists(
    st.sampled_from(
        [
            "RTP/AVP/TCP", "RTP/AVPF/TCP", "RTP/AVP", "unicast", "multicast", "interleaved=0-1", "interleaved=254-255",
            "interleaved=300-301", "interleaved=4", "ssrc=0", "ssrc=E7FD59B7", "ssrc= 1", "mode=PLAY", 'mode="play"',
            "mode=x",
        ]
    ),
    max_size=6,
).map(";".join)  # fmt: skip


@given(TRANSPORTS, st.sampled_from([Transport.TCP, Transport.UDP]))
def test_transports_are_read_alike(value: str, wanted: Transport) -> None:
    """In one go and parameter by parameter."""
    with pytest.MonkeyPatch.context() as patch:
        quick = transport.parse_transport(value, wanted)
        patch.setattr(transport, "_PLAIN_TCP", NOTHING)
        assert quick == transport.parse_transport(value, wanted)


@pytest.mark.parametrize(("codec", "made"), [(camera, H264Depacketiser), (camera_h265, H265Depacketiser)])
@given(
    sizes=st.lists(st.integers(20, 90), min_size=1, max_size=4),
    first=st.integers(65_480, 65_540),
    lost=st.integers(1, 80),
)
def test_runs_of_packets_of_one_size_are_taken_whole(
    codec: object, made: type[H264Depacketiser | H265Depacketiser], sizes: list[int], first: int, lost: int
) -> None:
    """Of either codec, over the end of the numbers, and up to a gap: the same parts as packet by packet."""
    unit = (b"\x65\x88" if made is H264Depacketiser else b"\x26\x01\x88") + bytes(3000)
    payloads = codec.fragments(unit, 40)  # type: ignore[attr-defined]
    cut = [payload[: sizes[at % len(sizes)]] if at % 7 == 3 else payload for at, payload in enumerate(payloads)]
    packets = [camera.rtp(payload, first + at + (at >= lost), 0) for at, payload in enumerate(cut)]

    def taken(least: int) -> tuple[object, ...]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("streamwatch.wire.fragments.MIN_ROWS", least)
            depacketiser, tracker, parser = made(), SequenceTracker(), RtspParser()
            begin = parse_rtp(packets[0])
            assert begin is not None
            tracker.next(begin)
            depacketiser.push(begin)
            parser.channels = frozenset({0})
            parser.receive(b"".join(map(camera.frame, packets[1:])))
            found = take_run(parser, tracker, depacketiser, 0, camera.PAYLOAD_TYPE, 2**20)
            return found, parser.position, tracker.position(), depacketiser.open_unit()

    assert taken(4) == taken(10_000)


IDLE = st.lists(
    st.sampled_from(
        [*PIECES, b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: OPTIONS\r\n\r\n", b"OPTIONS x RTSP/1.0\r\nCSeq: 4\r\n\r\n"]
    ),
    max_size=6,
).map(b"".join)


@given(IDLE)
def test_answers_in_an_idle_connection_are_read_alike(data: bytes) -> None:
    """In passing and by the parser: answered or not, what is said back, and the error."""

    def heard() -> object:
        asking = Idle(camera.URL, "streamwatch")
        asking.ask()
        try:
            return asking.receive(data) if data else None
        except LookError as error:
            return str(error)

    with pytest.MonkeyPatch.context() as patch:
        quick = heard()
        patch.setattr(idle, "MAX_PASSING", -1)
        assert quick == heard()


@given(st.lists(st.tuples(IDLE, st.integers(-1, 1)), max_size=4))
def test_what_a_device_said_before_changes_nothing(answers: list[tuple[bytes, int]]) -> None:
    """Its later answers, numbered right or wrong, are read alike by likeness to earlier ones and by the parser."""

    def heard() -> list[object]:
        asking = Idle(camera.URL, "streamwatch")
        found: list[object] = []
        for data, off in answers:
            asking.ask()
            try:
                found.append(asking.receive(data.replace(b"CSeq: 1", b"CSeq: %d" % (asking.sequence + off)) or b"\r\n"))
            except LookError as error:
                return [*found, str(error)]
        return found

    with pytest.MonkeyPatch.context() as patch:
        quick = heard()
        patch.setattr(idle, "MAX_PASSING", -1)
        assert quick == heard()


def test_an_idle_connection_is_asked_again_and_again() -> None:
    """Each question has its number; media that is left over is let go; a close is a reset."""
    asking = Idle(camera.URL, "streamwatch", 4, session="77")
    assert asking.ask() == (
        f"OPTIONS {camera.URL} RTSP/1.0\r\nCSeq: 5\r\nUser-Agent: streamwatch\r\nSession: 77\r\n\r\n".encode()
    )
    assert asking.receive(camera.frame(b"late") + camera.reply(4)) == (False, b"")
    whole = camera.reply(5, "200 OK", "Public: OPTIONS")
    assert [asking.receive(whole[at : at + 1])[0] for at in range(len(whole))] == [False] * (len(whole) - 1) + [True]
    for number in (6, 7, 8, 9, 10, 11):  # the same again, and then another one
        asking.ask()
        said = camera.reply(number, "200 OK", f"Date: {number}") if number > 8 else camera.reply(number)
        assert asking.receive(said) == (True, b"")
        assert asking.receive(said) == (False, b"")
    asking.ask()
    assert asking.receive(camera.reply(11, "200 OK", "Date: 11")) == (False, b"")
    assert asking.receive(camera.reply(6)) == (False, b"")
    assert b"CSeq: 9" in asking.receive(b"OPTIONS * RTSP/1.0\r\nCSeq: 9\r\n\r\n")[1]
    with pytest.raises(LookError, match=r"net\.reset"):
        asking.receive(b"")


def test_a_packet_is_the_same_from_bytes_and_from_what_waited() -> None:
    """What is read without a copy, and what was put together of two reads."""
    data = b"".join(camera.frame(bytes((number,)) * 20) for number in range(4))
    for cut in range(1, len(data)):
        parser = RtspParser()
        parser.channels = frozenset({0})
        found = []
        for piece in (data[:cut], data[cut:]):
            parser.receive(piece)
            while (event := parser.next_event()) is not None:
                assert isinstance(event, Interleaved) and type(event.payload) is bytes
                found.append(event.payload)
        assert found == [bytes((number,)) * 20 for number in range(4)]
        assert parser.position == len(data)
