"""Session and Transport headers of SETUP replies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.model.look import Transport
from streamwatch.wire.transport import Agreed, Session, asked, parse_channels, parse_session, parse_transport


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


TCP, UDP = Transport.TCP, Transport.UDP


@pytest.mark.parametrize(
    ("value", "asked_for", "expected"),
    [
        (
            "RTP/AVP;unicast;client_port=5000-5001;server_port=6000-6001;ssrc=DEADBEEF",
            UDP,
            Agreed(UDP, server_ports=(6000, 6001), ssrc=0xDEADBEEF),
        ),
        ("RTP/AVP/UDP; unicast; Server_Port = 6000", UDP, Agreed(UDP, server_ports=(6000, 6001))),
        (
            "RTP/AVP;unicast;source=192.0.2.9;server_port=6000-6009",
            UDP,
            Agreed(UDP, source="192.0.2.9", server_ports=(6000, 6009)),
        ),
        ("RTP/AVP;server_port=161-162", UDP, Agreed(UDP)),
        ("RTP/AVP;server_port=6000-65536", UDP, Agreed(UDP)),
        ("RTP/AVP;server_port=65535", UDP, Agreed(UDP)),
        ("RTP/AVP;server_port=x;ssrc=123456789", UDP, Agreed(UDP)),
        ("RTP/AVP;ssrc= d6d6627", UDP, Agreed(UDP, ssrc=0xD6D6627)),
        ("RTP/AVP;ssrc=0", UDP, Agreed(UDP)),
        ("RTP/AVP/TCP;unicast;interleaved=2-3", UDP, Agreed(TCP, channels=(2, 3))),
        ("RTP/AVP;interleaved=0-1", UDP, Agreed(TCP)),
        ("RTP/AVP;unicast;client_port=5000-5001", TCP, Agreed(UDP)),
        ("RTP/AVP;unicast", TCP, Agreed(TCP)),
        ("RTP/AVP;multicast;destination=239.1.1.1;port=5000-5001", UDP, Agreed(UDP, multicast=True)),
        ("ssrc=1234; interleaved = 6-7", TCP, Agreed(TCP, channels=(6, 7), ssrc=0x1234)),
        ("", UDP, Agreed(UDP)),
        (None, TCP, Agreed(TCP)),
    ],
)  # fmt: skip
def test_what_is_agreed(value: str | None, asked_for: Transport, expected: Agreed) -> None:
    """The transport that the device names, else the one asked for; no port below 1024 is ever sent to."""
    assert parse_transport(value, asked_for) == expected


def test_what_is_asked() -> None:
    """Our ports for UDP, channels for TCP."""
    assert asked(UDP, 5000) == "RTP/AVP;unicast;client_port=5000-5001"
    assert asked(TCP, None) == asked(TCP, 5000) == "RTP/AVP/TCP;unicast;interleaved=0-1"


@given(st.text(max_size=60))
def test_any_text_is_survived(text: str) -> None:
    """Channels fit a byte, timeouts are clamped."""
    rtp, rtcp = parse_channels(f"interleaved={text}")
    assert 0 <= rtp <= 255 and (rtcp is None or 0 <= rtcp <= 255)
    agreed = parse_transport(f"RTP/AVP;server_port={text};ssrc={text};source={text}", UDP)
    assert agreed.server_ports is None or all(1024 <= port <= 65_535 for port in agreed.server_ports)
    assert agreed.ssrc is None or 0 < agreed.ssrc < 2**32
    session = parse_session(text)
    assert session is None or 5 <= session.timeout_s <= 3600
