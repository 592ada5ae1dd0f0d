"""The one boundary: what crosses it comes back equal, of one version, and shows no secret."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.errors import Reason, Step
from streamwatch.model.inventory import Camera, Secret
from streamwatch.model.look import Depth, Look, Measurement, StreamKind
from streamwatch.model.report import (
    Canary,
    Credentials,
    Health,
    Report,
    Round,
    Ticket,
    VersionError,
    decode_report,
    decode_round,
    encode,
)

WORD = st.text(max_size=20)
NUMBER = st.integers(0, 2**53)
TICKETS = st.builds(
    Ticket,
    camera=NUMBER,
    url=WORD,
    stream=st.sampled_from(StreamKind),
    offset_ms=st.integers(0, 60_000),
    deadline_ms=st.integers(1, 60_000),
    host=WORD,
    group=st.none() | WORD,
    credentials=st.none() | st.builds(Credentials, WORD, WORD),
    allow_basic=st.booleans(),
    memory=st.none() | st.binary(max_size=64),
)
ROUNDS = st.builds(
    Round,
    v=st.just(1),
    id=WORD,
    village=NUMBER,
    depth=st.sampled_from(Depth),
    due_us=NUMBER,
    window_ms=NUMBER,
    attempt=st.integers(0, 2),
    visit=st.booleans(),
    tickets=st.lists(TICKETS, max_size=4).map(tuple),
)
LOOKS = st.builds(
    Look,
    camera=NUMBER,
    depth=st.sampled_from(Depth),
    stream=st.sampled_from(StreamKind),
    started_us=NUMBER,
    duration_us=NUMBER,
    vantage=WORD,
    reason=st.none() | st.sampled_from(Reason),
    step=st.none() | st.sampled_from(Step),
    detail=WORD,
    timings_ms=st.dictionaries(WORD, st.floats(0, 1e6), max_size=4),
    measures=st.lists(st.builds(Measurement, WORD, st.floats(-1e6, 1e6)), max_size=4).map(tuple),
    reference_us=st.none() | NUMBER,
)
HEALTHS = st.builds(
    Health,
    at_us=NUMBER,
    loop_lag_ms=st.floats(0, 1e6),
    canaries=st.lists(st.builds(Canary, WORD, st.booleans(), NUMBER), max_size=3).map(tuple),
)
REPORTS = st.builds(
    Report,
    v=st.just(1),
    round_id=WORD,
    village=NUMBER,
    depth=st.sampled_from(Depth),
    due_us=NUMBER,
    attempt=st.integers(0, 2),
    part=st.integers(0, 99),
    last=st.booleans(),
    vantage=WORD,
    before=HEALTHS,
    after=HEALTHS,
    looks=st.lists(LOOKS, max_size=3).map(tuple),
)


@given(ROUNDS)
def test_a_round_comes_back_equal(order: Round) -> None:
    """Whatever is in it."""
    assert decode_round(encode(order)) == order


@given(REPORTS)
def test_a_report_comes_back_equal_and_its_bytes_are_the_same_again(report: Report) -> None:
    """A Report that is sent again is the stored bytes."""
    data = encode(report)

    assert decode_report(data) == report
    assert encode(decode_report(data)) == data


@given(ROUNDS.filter(lambda order: order.v == 1))
def test_another_version_is_refused_by_name(order: Round) -> None:
    """A build speaks one version and says which."""
    with pytest.raises(VersionError, match="version 1, not 2"):
        decode_round(encode(msgspec.structs.replace(order, v=2)))


@given(st.binary(max_size=200))
def test_nonsense_is_refused_as_declared(data: bytes) -> None:
    """Only the declared errors come of bytes that are no Report."""
    with pytest.raises((msgspec.MsgspecError, VersionError)):
        decode_report(data)


def test_a_text_that_is_no_utf8_is_refused_as_declared() -> None:
    """A broken looker's report must not end the service that reads it."""
    for decode in (decode_round, decode_report):
        with pytest.raises(msgspec.DecodeError, match="UTF-8"):
            decode(b"\x9c\x01\xa1\xff" + b"\x90" * 10)


def test_no_repr_shows_a_password() -> None:
    """Tickets, rounds and cameras are logged and shown in tracebacks; the passwords in them are not."""
    ticket = Ticket(
        camera=1, url="rtsp://h/", stream=StreamKind.SUB, offset_ms=0, deadline_ms=1, host="h",
        credentials=Credentials("admin", "hunter2"),
    )  # fmt: skip
    order = Round(id="r", village=1, depth=Depth.REACH, due_us=0, window_ms=0, tickets=(ticket,))
    camera = Camera(id=1, code="C", name="", village=1, url="rtsp://h/", password=Secret("hunter2"))

    for said in (repr(order), repr(ticket), str(camera), f"{camera.password}", f"{camera.password!r:>20}"):
        assert "hunter2" not in said
