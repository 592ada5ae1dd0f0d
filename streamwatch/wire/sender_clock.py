"""Stage 3, wire: a device's clock as its RTCP sender reports tell it, against ours and against its own media clock.

Many devices report their uptime, or local time, for NTP: what cannot be a date is none. Both clocks of a report are of
one instant (RFC 3550 section 6.4.1), so two reports tell their drift, also where the date is wrong.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from streamwatch.wire.rtcp import SenderReport

MAX_SOURCES: Final = 4  # whose reports are kept; one session of one track has one, and a stale one may be mixed in
NTP_TO_UNIX_S: Final = 2_208_988_800  # 1900 to 1970
# Before it only clocks that nobody has set, and counters. NTP's 32 bits end in 2036; after that they cannot be told
# from a counter that began at zero, so no offset is believed then.
EARLIEST_UNIX_S: Final = 946_684_800  # 2000-01-01
MIN_DRIFT_S: Final = 4.0  # between two reports: over less, a millisecond of either clock looks like a drift
MAX_DRIFT_PPM: Final = 100_000.0  # more is no drift: one of the clocks was set meanwhile

_ROUND: Final = 2**32
_US: Final = 1_000_000


class Told(NamedTuple):
    """A report, and when it came (seconds, monotonic)."""

    report: SenderReport
    at: float


class SenderClock:
    """The first and the latest report of each source, and the one that came here fastest."""

    __slots__ = ("_told",)

    def __init__(self) -> None:
        self._told: dict[int, tuple[Told, Told, Told]] = {}

    def heard(self, report: SenderReport, now: float) -> None:
        """A report came at `now` (seconds, monotonic)."""
        told = Told(report, now)
        before = self._told.get(report.ssrc)
        if before is not None:
            first, _, fastest = before
            faster = (report.ntp - fastest.report.ntp) / _ROUND > now - fastest.at
            self._told[report.ssrc] = first, told, told if faster else fastest
        elif len(self._told) < MAX_SOURCES:
            self._told[report.ssrc] = told, told, told

    def latest(self, ssrc: int | None) -> Told | None:
        """The latest report of that source; None for a source: of the only one that there is."""
        reports = self._reports(ssrc)
        return None if reports is None else reports[1]

    def offset_ms(self, ssrc: int | None, zero_us: int) -> float | None:
        """The device's clock minus ours; None where it tells no date.

        `zero_us` is what our own clock showed (UTC, microseconds) when the monotonic one stood at zero. The way here
        makes a device look late, and so does our reading only now and then: the report that came fastest counts.
        """
        reports = self._reports(ssrc)
        offset = _offset_us(reports[2], zero_us) if reports is not None else None
        return None if offset is None else offset / 1000

    def drift_ppm(self, ssrc: int | None, clock_rate: int) -> float | None:
        """How much faster its media clock (Hz) runs than its own NTP, in millionths; None where too little is known."""
        reports = self._reports(ssrc)
        if reports is None:
            return None
        first, latest = reports[0].report, reports[1].report
        seconds = (latest.ntp - first.ntp) / _ROUND
        if seconds < MIN_DRIFT_S:
            return None
        ticks = (latest.rtp_timestamp - first.rtp_timestamp) % _ROUND
        found = (ticks / clock_rate / seconds - 1) * 1_000_000
        return found if abs(found) <= MAX_DRIFT_PPM else None

    def _reports(self, ssrc: int | None) -> tuple[Told, Told, Told] | None:
        if ssrc is None and len(self._told) == 1:
            return next(iter(self._told.values()))
        return self._told.get(ssrc) if ssrc is not None else None


def _offset_us(told: Told, zero_us: int) -> int | None:
    seconds, fraction = divmod(told.report.ntp, _ROUND)
    if seconds < EARLIEST_UNIX_S + NTP_TO_UNIX_S:
        return None
    device_us = (seconds - NTP_TO_UNIX_S) * _US + fraction * _US // _ROUND
    return device_us - (zero_us + round(told.at * _US))
