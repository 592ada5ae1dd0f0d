"""The RTSP parser: events from bytes in any pieces, limits, and what it forgives."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.errors import LookError, Reason
from streamwatch.wire import rtsp
from streamwatch.wire.rtsp import Closed, Event, Headers, Interleaved, Request, Response, RtspParser, serialise

OK = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"
FRAME = b"$\x00\x00\x04abcd"


def events_of(*pieces: bytes, channels: frozenset[int] = frozenset({0, 1}), eof: bool = False) -> list[Event | Reason]:
    """Everything the parser says, an error last as its reason."""
    parser = RtspParser()
    parser.channels = channels
    found: list[Event | Reason] = []
    try:
        for piece in [*pieces, b""] if eof else pieces:
            parser.receive(piece)
            while (event := parser.next_event()) is not None:
                found.append(event)
                if isinstance(event, Closed):
                    return found
    except LookError as error:
        found.append(error.reason)
    return found


def response(data: bytes) -> Response:
    """The one reply in `data`."""
    (event,) = events_of(data)
    assert isinstance(event, Response)
    return event


CONVERSATION = (
    b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"
    b"\r\n$\x00\x00\x03abc$\x09\x00\x02zz$\x01\x00\x00"
    b"OPTIONS rtsp://192.0.2.7/ RTSP/1.0\nCSeq: 9\nX-Folded: a\n b\n\n"
    b"\x80garbage $\x07 and $\x00\x00\x02okRTSP/1.0 404 Not Found\r\n\r\n"
)


def test_every_cut_of_a_conversation_gives_the_same_events() -> None:
    """Framing does not depend on how the bytes were cut."""
    whole = events_of(CONVERSATION)
    assert len(whole) == 6
    for cut in range(1, len(CONVERSATION)):
        assert events_of(CONVERSATION[:cut], CONVERSATION[cut:]) == whole
    assert events_of(*(CONVERSATION[at : at + 1] for at in range(len(CONVERSATION)))) == whole


def test_end_of_stream_at_every_byte_is_closed_or_a_declared_error() -> None:
    """FIN anywhere ends in Closed, clean only between messages."""
    for cut in range(len(CONVERSATION)):
        last = events_of(CONVERSATION[:cut], eof=True)[-1]
        assert isinstance(last, Closed)
    assert events_of(OK, eof=True)[-1] == Closed(clean=True)
    assert events_of(OK[:-1], eof=True)[-1] == Closed(clean=False)


@pytest.mark.parametrize("name", ["bunny", "dahua", "foscam", "h264dvr", "hikvision", "reolink"])
def test_real_replies_parse_whole(shared_data: Path, name: str) -> None:
    """Each recorded reply is one event, and writing it parses equal."""
    files = sorted((shared_data / "rtsp" / "retina").glob(f"{name}_*.txt"))
    assert files
    for file in files:
        data = file.read_bytes()
        if not data.startswith(b"RTSP/1.0"):
            continue
        (event,) = events_of(data)
        assert isinstance(event, Response)
        assert event.status == 200
        assert events_of(serialise(event)) == [event]


def test_hikvision_pads_its_session() -> None:
    """Blanks before a value are no part of it."""
    assert response(b"RTSP/1.0 200 OK\r\nSession:        708345999\r\n\r\n").headers.get("session") == "708345999"


def test_longse_ends_cseq_with_a_blank() -> None:
    """Nor are blanks after it."""
    assert response(b"RTSP/1.0 200 OK\r\nCSeq: 1 \r\n\r\n").headers.get("CSeq") == "1"


def test_h264dvr_spells_cseq_its_own_way() -> None:
    """Header names compare without case."""
    assert response(b"RTSP/1.0 200 OK\r\nCseq: 3\r\n\r\n").headers.get("CSeq") == "3"


def test_reason_phrase_may_be_missing_or_gbk() -> None:
    """The reason is text for people, in whatever bytes."""
    assert response(b"RTSP/1.0 200\r\n\r\n").reason == ""
    reason = "未授权".encode("gbk")
    assert response(b"RTSP/1.0 401 " + reason + b"\r\n\r\n").reason.encode("latin-1") == reason


def test_bare_line_feeds_end_lines() -> None:
    """Servers written in scripts leave the carriage return out."""
    assert response(b"RTSP/1.0 200 OK\nCSeq: 1\n\n") == response(OK)


def test_retina_stray_crlf_before_a_packet() -> None:
    """Line ends between messages and packets mean nothing."""
    assert events_of(b"\r\n" + FRAME + b"\r\n\n" + FRAME) == [Interleaved(0, b"abcd")] * 2


def test_live555_foreign_channels_are_skipped_up_to_a_limit() -> None:
    """Packets of a session that is not ours are ignored, and counted; a flood of them ends the conversation."""
    foreign = b"$\x07\xff\xff" + bytes(0xFFFF)
    few = foreign * 15
    assert events_of(few, FRAME) == [Interleaved(0, b"abcd")]
    assert events_of(few, FRAME, few, FRAME) == [Interleaved(0, b"abcd")] * 2
    assert events_of(foreign * 17) == [Reason.RTSP_PROTOCOL]
    assert events_of(b"\xff" * rtsp.MAX_SKIPPED, FRAME) == [Interleaved(0, b"abcd")]
    assert events_of(b"\xff" * (rtsp.MAX_SKIPPED + 8)) == [Reason.RTSP_PROTOCOL]


def test_packets_of_no_bytes_and_of_the_most() -> None:
    """Both ends of the 16-bit length."""
    assert events_of(b"$\x00\x00\x00$\x01\xff\xff" + bytes(0xFFFF)) == [
        Interleaved(0, b""),
        Interleaved(1, bytes(0xFFFF)),
    ]


def header(name: str, value: str) -> bytes:
    """A reply with one header of interest."""
    return f"RTSP/1.0 200 OK\r\n{name}: {value}\r\n\r\n".encode("latin-1")


@pytest.mark.parametrize(
    ("data", "fits"),
    [
        pytest.param(b"RTSP/1.0 200 OK\r\n" + b"A: b\r\n" * 255 + b"\r\n", True, id="255 headers"),
        pytest.param(b"RTSP/1.0 200 OK\r\n" + b"A: b\r\n" * 256 + b"\r\n", False, id="256 headers"),
        pytest.param(header("N" * 512, "v"), True, id="name 512"),
        pytest.param(header("N" * 513, "v"), False, id="name 513"),
        pytest.param(header("N" * 65536, "v"), False, id="name 64 KiB"),
        pytest.param(header("N", "v" * 2048), True, id="value 2048"),
        pytest.param(header("N", "v" * 2049), False, id="value 2049"),
        pytest.param(header("N", " " * (rtsp.MAX_HEADER_LINE - 4) + "v"), True, id="longest line, of blanks"),
        pytest.param(header("N", " " * (rtsp.MAX_HEADER_LINE - 3) + "v"), False, id="a longer line, of blanks"),
        pytest.param(header("N", "v" * 1000 + "\r\n " + "v" * 1047), True, id="folded 2048"),
        pytest.param(header("N", "v" * 1000 + "\r\n " + "v" * 1048), False, id="folded 2049"),
        pytest.param(header("N", "v" + "\r\n " * 255), True, id="255 folds of nothing"),
        pytest.param(header("N", "v" + "\r\n " * 256), False, id="256 folds of nothing"),
        pytest.param(header("Content-Length", str(128 * 1024)) + bytes(128 * 1024), True, id="body 128 KiB"),
        pytest.param(header("Content-Length", str(128 * 1024 + 1)), False, id="body 128 KiB + 1"),
        pytest.param(header("Content-Length", "4\r\nContent-Length: 4") + b"abcd", True, id="same length twice"),
    ],
)
def test_limits_at_and_past_the_edge(data: bytes, fits: bool) -> None:
    """What fits is an event, one more is rtsp.protocol, before any of it is kept."""
    found = events_of(data)
    assert (len(found) == 1 and isinstance(found[0], Response)) if fits else found == [Reason.RTSP_PROTOCOL]


def test_a_header_line_without_end_is_cut_off() -> None:
    """The error comes while the line still grows."""
    assert events_of(b"RTSP/1.0 200 OK\r\nA: ", *([b"x"] * 3000)) == [Reason.RTSP_PROTOCOL]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "-1",
        "+5",
        "0x10",
        "5, 6",
        "5\r\nContent-Length: 6",
        str(2**31),
        str(2**63),
        str(10**30),
        "5 6",
        "٥".encode().decode("latin-1"),
    ],
)
def test_content_length_is_one_plain_number(value: str) -> None:
    """Anything else could smuggle a reply into the next one."""
    assert events_of(header("Content-Length", value) + b"RTSP/1.0 200 OK\r\n\r\n") == [Reason.RTSP_PROTOCOL]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", id="http"),
        pytest.param(b"RTSP/2.0 200 OK\r\n\r\n", id="rtsp 2"),
        pytest.param(b"RTSP/1.0 000 OK\r\n\r\n", id="status 000"),
        pytest.param(b"RTSP/1.0 99999 OK\r\n\r\n", id="status 99999"),
        pytest.param(b"RTSP/1.0 200 OK\r\nA: \x00\r\n\r\n", id="nul"),
        pytest.param(b"RTSP/1.0 200 OK\r\nA: b\rC: d\r\r", id="carriage returns only"),
        pytest.param(b"RTSP/1.0 200 OK\r\n: no name here\r\n\r\n", id="no name"),
        pytest.param(b"RTSP/1.0 200 OK\r\n" + b"no colon here\r\n" * 256 + b"\r\n", id="no colons"),
        pytest.param(b"RTSP/1.0 200 OK\r\n folded\r\n\r\n", id="fold before a header"),
    ],
)
def test_what_is_not_rtsp_is_refused(data: bytes) -> None:
    """The reason is rtsp.protocol, and stays so."""
    assert events_of(data) == [Reason.RTSP_PROTOCOL]
    parser = RtspParser()
    parser.receive(data)
    for _ in range(2):
        with pytest.raises(LookError):
            parser.next_event()


def test_go_fuzz_inputs_of_requests_and_bodies(shared_data: Path) -> None:
    """Inputs that once crashed another parser lead to declared outcomes here."""
    files = sorted((shared_data / "rtsp" / "gortsplib-fuzz").glob("base__*"))
    assert files
    for file in files:
        for piece in go_literals(file):
            events_of(piece, eof=True)
            events_of(b"RTSP/1.0 200 OK\r\nContent-Length: " + piece + b"\r\n\r\n", eof=True)


def go_literals(file: Path) -> list[bytes]:
    """The byte strings of a Go fuzz corpus file."""
    found = []
    for line in file.read_text("utf-8").splitlines()[1:]:
        if line.startswith(("[]byte(", "string(")):
            literal = line[line.index('"') + 1 : line.rindex('"')]
            found.append(literal.encode("latin-1", "replace").decode("unicode_escape").encode("latin-1"))
    return found


WORDS = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters=":\x7f\xa0\x85\xad"),
    min_size=1,
    max_size=12,
)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=40).map(lambda text: text.strip(" \t"))
HEADERS = st.lists(st.tuples(WORDS.filter(lambda word: word.lower() != "content-length"), VALUES), max_size=5).map(
    Headers
)
RESPONSES = st.builds(Response, st.integers(100, 699), VALUES, HEADERS, st.just(b""))
REQUESTS = st.builds(Request, st.sampled_from(["OPTIONS", "GET_PARAMETER"]), st.just("rtsp://192.0.2.7/x"), HEADERS)
MESSAGES = st.one_of(RESPONSES, REQUESTS)


@given(MESSAGES, st.binary(max_size=300))
def test_serialise_and_parse_are_inverse(message: Response | Request, body: bytes) -> None:
    """parse(serialise(x)) is x, with the Content-Length that the body asked for."""
    sized = type(message)(*_parts(message)[:2], Headers([*message.headers, ("Content-Length", str(len(body)))]), body)
    assert events_of(serialise(message)) == [message]
    assert events_of(serialise(sized)) == [sized]


def _parts(message: Response | Request) -> tuple[object, ...]:
    return (message.status, message.reason) if isinstance(message, Response) else (message.method, message.url)


PIECES = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from(
            [
                OK,
                FRAME,
                b"$",
                b"$\x00",
                b"RTSP/1.0 ",
                b"RTSP/1.",
                b"\r\n",
                b"\n",
                b"Content-Length: 3\r\n",
                b"\x00",
                b"A: b\r\n ",
            ]
        ),
        MESSAGES.map(serialise),
    ),
    max_size=12,
).map(b"".join)


@settings(max_examples=400)
@given(PIECES, st.lists(st.integers(0, 400), max_size=6), st.booleans())
def test_any_bytes_in_any_pieces_give_the_same_declared_outcome(data: bytes, cuts: list[int], eof: bool) -> None:
    """Only events and rtsp.protocol, and the same ones however the bytes arrive."""
    places = sorted({cut for cut in cuts if 0 < cut < len(data)})
    pieces = [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True) if a < b]
    assert events_of(*pieces, eof=eof) == events_of(*([data] if data else []), eof=eof)


def test_line_ends_without_end_are_passed_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """One by one, a device that sends nothing else would take the loop of all sessions that are watched."""
    steps: list[int] = []
    monkeypatch.setattr(RtspParser, "_skip", lambda _, count: steps.append(count))
    assert events_of(b"\r\n" * 5_000 + FRAME) == [Interleaved(0, b"abcd")]
    assert steps == [10_000]


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n" * 4, FRAME, OK]), max_size=12).map(b"".join))
def test_where_line_ends_are_too_many_does_not_depend_on_reads(data: bytes) -> None:
    """The same events, error and count in one go and byte by byte."""
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rtsp, "MAX_SKIPPED", 9)
        for size in (1, 1_000):
            parser = RtspParser()
            parser.channels = frozenset({0})
            told: list[object] = []
            try:
                for at in range(0, len(data), size):
                    parser.receive(data[at : at + size])
                    while (event := parser.next_event()) is not None:
                        told.append(event)
            except LookError as error:
                told.append(str(error))
            found.append((told, parser.skipped_bytes))
    assert found[0] == found[1]
