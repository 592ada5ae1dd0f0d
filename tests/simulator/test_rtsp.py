"""The farm's request reader."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamwatch.simulator.dialects import Dialect
from streamwatch.simulator.rtsp import MAX_BODY, MAX_HEAD, Request, RequestError, RequestReader, quick, wanted
from streamwatch.simulator.session import reply

STREAM = (
    b"OPTIONS rtsp://h/a RTSP/1.0\r\nCSeq: 1\r\n\r\n"
    b"$\x01\x00\x08\r\n\r\nRTCP"
    b"\r\nGET_PARAMETER rtsp://h/a RTSP/1.0\r\ncseq:2\r\nContent-Length: 4\r\n\r\nabcd"
    b"TEARDOWN rtsp://h/a RTSP/1.0\r\nCSeq: 3\r\n\r\n"
)


def read(*chunks: bytes) -> list[Request]:
    """All requests, in order."""
    reader, out = RequestReader(), []
    for chunk in chunks:
        reader.feed(chunk)
        while (request := reader.next()) is not None:
            out.append(request)
    return out


@pytest.mark.parametrize("cut", range(1, len(STREAM)))
def test_requests_do_not_depend_on_where_the_bytes_are_cut(cut: int) -> None:
    """A stream with a body, an interleaved packet and stray line ends reads the same in two pieces."""
    whole = read(STREAM[:cut], STREAM[cut:])

    assert [(r.method, r.headers["cseq"], r.body) for r in whole] == [
        ("OPTIONS", "1", b""),
        ("GET_PARAMETER", "2", b"abcd"),
        ("TEARDOWN", "3", b""),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"OPTIONS\r\n\r\n",
        b"OPTIONS * RTSP/1.0\r\nno colon\r\n\r\n",
        b"OPTIONS * RTSP/1.0\r\nContent-Length: -1\r\n\r\n",
        b"OPTIONS * RTSP/1.0\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1),
        "OPTIONS * RTSP/1.0\r\nContent-Length: ²\r\n\r\n".encode(),
        b"A" * (MAX_HEAD + 1),
    ],
)
def test_what_is_no_request_is_refused(data: bytes) -> None:
    """Other protocols, broken headers and sizes beyond the caps raise RequestError."""
    with pytest.raises(RequestError):
        read(data)


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_any_bytes_give_requests_or_a_request_error(chunks: list[bytes]) -> None:
    """No other error escapes, whatever arrives."""
    with contextlib.suppress(RequestError):
        read(*chunks)


NAMES = st.sampled_from(["CSeq", "cseq", "Session", "Authorization", "User-Agent", "X-Other", "Content-Length", ""])
LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "User-Agent: a b ",
                "Accept: *",
                "Range: npt=0-",
                "Session: 1",
                "Session: 1;timeout=60",
                "Transport: a;b",
                'Authorization: Digest username="u", realm="", nonce="n", uri="*", response="0a"',
                'Authorization: Digest username="u", realm="r", nonce="n", uri="", response="0a", algorithm="MD5"',
                "Authorization: Basic dTpw",
            ]
        ),
        st.builds(
            "{}{}{}".format,
            NAMES,
            st.sampled_from([": ", ":", " : ", ""]),
            st.sampled_from(["1", " 2", "a: b", "é", ""]),
        ),
    ),
    max_size=4,
)
FIRSTS = st.sampled_from(
    ["OPTIONS * RTSP/1.0", "GET_PARAMETER rtsp://h/a RTSP/1.0", "PLAY  a RTSP/1.0", "A b RTSP/2.0", "", "$ a RTSP/1.0"]
)
LOOKED_AT = ("cseq", "session", "transport", "authorization", "content-length")


@example("OPTIONS * RTSP/1.0", ["CSeq:  2 "], b"")
@example("OPTIONS * RTSP/1.0", ["CSeq: 1", "Session: 2 ", "Transport: a; b "], b"")
@example("OPTIONS * RTSP/1.0", ["CSeq: 1", "Session: 2 "], b"")
@example("OPTIONS * RTSP/1.0", ["CSeq: 1", "Transport: 2 "], b"")
@example("OPTIONS * RTSP/1.0", ["CSeq: 1", "CSeq: 2"], b"")
@example("OPTIONS * RTSP/1.0", ["CSeq: 1", "Content-Length: 4"], b"body")
@given(FIRSTS, st.builds(lambda lines: ["CSeq: 1", *lines], LINES) | LINES, st.sampled_from([b"", b"\r\n", b"body"]))
def test_what_is_read_quickly_is_what_the_reader_reads(first: str, lines: list[str], more: bytes) -> None:
    """One whole request alone, with usual headers, or nothing is said about it; of its headers those that matter."""
    data = "\r\n".join([first, *lines, "", ""]).encode() + more
    found = quick(data)

    if found is not None:
        (whole,) = read(data)
        headers = {name: value for name, value in whole.headers.items() if name in LOOKED_AT}
        assert found._replace(login=None) == whole._replace(headers=headers)
        assert (found.login is None) == ("authorization" not in headers)
        assert more == b""


def test_an_ordinary_request_is_read_quickly() -> None:
    """As clients write them, with an answer or without one."""
    ordinary = b"SETUP rtsp://h/a RTSP/1.0\r\nCSeq: 3\r\n%bSession: 1\r\nTransport: RTP/AVP/TCP\r\n\r\n"
    answer = b'Authorization: Digest username="u", realm="r", nonce="n", uri="rtsp://h/a", response="0a"%b\r\n'
    more = b', algorithm=MD5, qop=auth, nc=00000001, cnonce="c"'

    assert quick(ordinary % b"") == read(ordinary % b"")[0]
    assert quick((ordinary % b"")[:-1]) is None
    for told, last in ((b"", ("", "", "")), (more, ("MD5", "00000001", "c"))):
        found = quick(ordinary % (answer % told))
        assert found is not None
        assert found.login == ('username="u", realm="r", nonce="n", uri="', "rtsp://h/a", "0a", *last)


def test_a_reply_states_the_length_of_its_body() -> None:
    """Content-Length counts bytes and is absent without a body."""
    one = Dialect("S/1", "/m", "/s", "/f", cseq="Cseq")

    assert reply(one, 200, "7") == b"RTSP/1.0 200 OK\r\nCseq: 7\r\nServer: S/1\r\n\r\n"
    assert reply(one, 404, "7", "A: b\r\n", "村".encode()).endswith(b"A: b\r\nContent-Length: 3\r\n\r\n\xe6\x9d\x91")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("RTP/AVP/TCP;unicast;interleaved=0-1", [("RTP/AVP/TCP", False, (0, 1))]),
        ("RTP/AVP/TCP; unicast; Interleaved = 6", [("RTP/AVP/TCP", False, (6, 7))]),
        ("rtp/avp/tcp", [("rtp/avp/tcp", False, (0, 1))]),
        ("RTP/AVP;unicast;client_port=5000-5001", [("RTP/AVP", True, (5000, 5001))]),
        ("RTP/AVP/UDP;unicast;client_port=5000;mode=play", [("RTP/AVP/UDP", True, (5000, 5001))]),
        (
            "RTP/AVP;unicast;client_port=5000-5001, RTP/AVP/TCP;interleaved=2-3",
            [("RTP/AVP", True, (5000, 5001)), ("RTP/AVP/TCP", False, (2, 3))],
        ),
        ("RTP/AVP;unicast", []),
        ("RTP/AVP;unicast;client_port=0-1", []),
        ("RTP/AVP;unicast;client_port=65535", []),
        ("RTP/AVP;multicast;client_port=5000-5001", []),
        ("RTP/SAVP;unicast;client_port=5000-5001", []),
        ("RTP/AVP/TCP;interleaved=255-256", []),
        ("", []),
    ],
)
def test_a_transport_header_says_what_is_wanted(header: str, expected: list[tuple[str, bool, tuple[int, int]]]) -> None:
    """Choices in the client's order; what makes no sense here is left out."""
    assert [(one.profile, one.datagrams, one.pair) for one in wanted(header)] == expected


@given(st.text(max_size=200))
def test_no_transport_header_raises(header: str) -> None:
    """Whatever a peer writes, numbers that come out fit their field."""
    for one in wanted(header):
        assert 0 <= min(one.pair) <= max(one.pair) <= (65_535 if one.datagrams else 255)
