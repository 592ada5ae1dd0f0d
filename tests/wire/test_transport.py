"""Session and Transport headers of SETUP replies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.wire.transport import Session, parse_channels, parse_session


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1", Session("1", 60)),
        ("8jN-2y.6~Aj8_RiA;timeout=30", Session("8jN-2y.6~Aj8_RiA", 30)),
        ("       708345999;timeout=60", Session("708345999", 60)),
        ("1; timeout=120", Session("1", 120)),
        ("1;timeout=0", Session("1", 5)),
        ("1;timeout=-1", Session("1", 5)),
        ("1;timeout=5", Session("1", 5)),
        ("1;timeout=3600", Session("1", 3600)),
        ("1;timeout=99999999", Session("1", 3600)),
        ("1;timeout=" + "9" * 400, Session("1", 60)),
        ("1;timeout=x;foo", Session("1", 60)),
        ("x" * 512, Session("x" * 512, 60)),
        ("x" * 513, None),
        ("a b", None),
        ("", None),
        (None, None),
    ],
)
def test_sessions(value: str | None, expected: Session | None) -> None:
    """The id as it came, and a timeout of 5 to 3600 s."""
    assert parse_session(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("RTP/AVP/TCP;unicast;interleaved=0-1", (0, 1)),
        ("RTP/AVP/TCP;unicast;interleaved=8", (8, 9)),
        ("x;INTERLEAVED = 2 - 3 ;y", (2, 3)),
        ("interleaved=0-0", (0, 0)),
        ("interleaved=255-256", (255, None)),
        ("interleaved=255", (255, None)),
        ("interleaved=256-257", (0, 1)),
        ("interleaved=-1", (0, 1)),
        ("interleaved=", (0, 1)),
        ("RTP/AVP;unicast;client_port=1-2", (0, 1)),
        (None, (0, 1)),
    ],
)
def test_channels(value: str | None, expected: tuple[int, int | None]) -> None:
    """What the device chose; what we asked for where it says nothing that fits a byte."""
    assert parse_channels(value) == expected


@given(st.text(max_size=60))
def test_any_text_is_survived(text: str) -> None:
    """Channels fit a byte, timeouts are clamped."""
    rtp, rtcp = parse_channels(f"interleaved={text}")
    assert 0 <= rtp <= 255 and (rtcp is None or 0 <= rtcp <= 255)
    session = parse_session(text)
    assert session is None or 5 <= session.timeout_s <= 3600
