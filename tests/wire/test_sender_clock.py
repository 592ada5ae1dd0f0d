"""A device's clock by its sender reports: offset from ours, drift of its media clock, and what is no date."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.wire.rtcp import SenderReport, sender_reports
from streamwatch.wire.sender_clock import MAX_SOURCES, SenderClock
from tests.wire.camera import frame, packetise, reply
from tests.wire.test_conversation import GOOD, PICTURES, talk
from tests.wire.test_fallback import udp_look

ZERO_US = 1_795_498_690_000_000  # 2026-11-24; our clock when the monotonic one stood at zero
SSRC = 7  # of the test's packets


def ntp(utc_us: int) -> int:
    """RFC 3550 section 4, exactly: since 1900, in 1/2**32 s."""
    seconds = (
        Fraction(utc_us, 1_000_000)
        + (datetime(1970, 1, 1, tzinfo=UTC) - datetime(1900, 1, 1, tzinfo=UTC)).days * 86_400
    )
    return int(seconds * 2**32)


def sender_report(ntp_time: int, rtp_timestamp: int = 0, ssrc: int = SSRC) -> bytes:
    """An SR without blocks."""
    return struct.pack("!BBHIQIII", 0x80, 200, 6, ssrc, ntp_time & 2**64 - 1, rtp_timestamp & 2**32 - 1, 1, 100)


@given(st.integers(-20 * 365 * 86_400_000, 9 * 365 * 86_400_000), st.floats(0, 1e5))
def test_the_offset_is_the_devices_clock_minus_ours(offset_ms: int, now: float) -> None:
    """To the microsecond, whichever it is ahead of."""
    told = SenderClock()
    ours_us = ZERO_US + round(now * 1_000_000)
    told.heard(SenderReport(SSRC, ntp(ours_us + offset_ms * 1000), 0), now)
    assert told.offset_ms(SSRC, ZERO_US) == pytest.approx(offset_ms, abs=0.002)


@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=12), st.integers(-10_000, 10_000))
def test_the_report_that_came_fastest_tells_the_offset(ways_s: list[float], offset_ms: int) -> None:
    """Whichever of all it was: what the others waited on their way, or for us to read them, is no delay of a clock."""
    told = SenderClock()
    for number, way_s in enumerate(ways_s):
        sent_us = ZERO_US + number * 5_000_000
        told.heard(SenderReport(SSRC, ntp(sent_us + offset_ms * 1000), 0), number * 5 + way_s)
    assert told.offset_ms(SSRC, ZERO_US) == pytest.approx(offset_ms - min(ways_s) * 1000, abs=0.002)


@pytest.mark.parametrize(
    "ntp_time",
    [
        0,
        ntp(0),
        12 * 86_400 << 32,  # uptime for a date
        ntp(946_684_799_999_999),
        (2**32 - 1) // 2 << 32,
    ],
)
def test_what_is_no_date_gives_no_offset(ntp_time: int) -> None:
    """Zero, 1970, uptime, all before 2000."""
    told = SenderClock()
    told.heard(SenderReport(SSRC, ntp_time, 0), 1.0)
    assert told.offset_ms(SSRC, ZERO_US) is None


def test_the_report_that_came_faster_counts() -> None:
    """The second was 300 ms longer on its way."""
    told = SenderClock()
    told.heard(SenderReport(SSRC, ntp(ZERO_US + 1_000_000), 0), 1.02)
    told.heard(SenderReport(SSRC, ntp(ZERO_US + 6_000_000), 0), 6.3)
    assert told.offset_ms(SSRC, ZERO_US) == pytest.approx(-20, abs=0.01)


def test_reports_of_others_say_nothing_of_ours() -> None:
    """Before the first packet the only reporter is ours; at most a few are kept."""
    told = SenderClock()
    told.heard(SenderReport(8, ntp(ZERO_US), 0), 0.0)
    assert told.offset_ms(SSRC, ZERO_US) is None and told.offset_ms(None, ZERO_US) == pytest.approx(0)
    for ssrc in range(100, 200):
        told.heard(SenderReport(ssrc, ntp(ZERO_US), 0), 0.0)
    assert told.offset_ms(None, ZERO_US) is None and len(told._told) == MAX_SOURCES


@given(st.integers(-50_000, 50_000), st.integers(0, 2**32 - 1), st.integers(4, 3600))
def test_drift_is_told_by_two_reports(ppm: int, first: int, seconds: int) -> None:
    """Also where the 32 bits of the media clock go round between them, and with uptime for a date."""
    told = SenderClock()
    ticks = round(90_000 * seconds * (1 + ppm / 1e6))
    told.heard(SenderReport(SSRC, 5 << 32, first), 0.0)
    told.heard(SenderReport(SSRC, 5 + seconds << 32, (first + ticks) % 2**32), 1.0)
    assert told.drift_ppm(SSRC, 90_000) == pytest.approx(ppm, abs=3)


def test_too_little_for_a_drift() -> None:
    """One report, two at the same time, or a clock that was set between them."""
    told = SenderClock()
    assert told.drift_ppm(SSRC, 90_000) is None
    told.heard(SenderReport(SSRC, 5 << 32, 0), 0.0)
    assert told.drift_ppm(SSRC, 90_000) is None
    told.heard(SenderReport(SSRC, 8 << 32, 270_000), 3.0)
    assert told.drift_ppm(SSRC, 90_000) is None
    told.heard(SenderReport(SSRC, 3600 << 32, 450_000), 5.0)
    assert told.drift_ppm(SSRC, 90_000) is None


def test_a_look_tells_the_offset_over_both_transports() -> None:
    """A report in the second channel, on RTCP's port, or strayed to that of RTP; before the media or after."""
    late = sender_report(ntp(ZERO_US + 1_000_000 + 2_500_000), 90_000)
    inter = frame(packetise(PICTURES[1:])[0])
    for media in (frame(late, 1) + inter, inter + frame(late, 1), frame(late) + inter):
        talked, _ = talk(*GOOD.parts[:4])
        assert talked.clock_offset_ms(ZERO_US) is None and talked.clock_drift_ppm is None
        talked.receive(media, 1.0)
        assert talked.clock_offset_ms(ZERO_US) == pytest.approx(2500, abs=0.01)
        talked.receive(frame(sender_report(ntp(ZERO_US + 8_500_000), 540_000), 1), 6.0)
        assert talked.clock_drift_ppm == pytest.approx(0, abs=1)
    for control in (True, False):
        by_udp = udp_look()
        by_udp.datagram(late, 1.0, control=control)
        assert by_udp.clock_offset_ms(ZERO_US) == pytest.approx(2500, abs=0.01)
        by_udp.datagram(sender_report(ntp(ZERO_US), ssrc=99), 1.0, control=True)
        by_udp.datagram(packetise(PICTURES)[0], 1.0)
        assert by_udp.clock_offset_ms(ZERO_US) == pytest.approx(2500, abs=0.01)
    assert talk(reply(1))[0].clock_offset_ms(ZERO_US) is None


@given(st.binary(max_size=120))
def test_any_bytes_are_no_report_or_a_whole_one(data: bytes) -> None:
    """A report that is cut short says nothing."""
    for report in sender_reports(data):
        assert struct.pack("!IQI", *report) in data
    assert sender_reports(sender_report(1)[:27]) == []
