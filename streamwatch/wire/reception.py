"""Stage 3, wire: what our receiver reports say of a device's packets (RFC 3550 section 6.4.1 and appendix A.3)."""

from __future__ import annotations

from typing import Final

from streamwatch.wire.rtcp import ReportBlock
from streamwatch.wire.sender_clock import Told

_DELAY_UNITS: Final = 65_536  # a second
_MAX_32: Final = 2**32 - 1


class Reception:
    """Counts between one report and the next; reports come so often that numbers cannot go round twice meanwhile."""

    def __init__(self) -> None:
        self._highest = -1  # with rounds
        self._lost = 0

    def block(self, ssrc: int, sequence: int, lost: int, told: Told | None, now: float) -> ReportBlock:
        """A report at `now` (seconds, monotonic): the latest number taken, how many were lost so far, its own report.

        The first one has no fraction: with which number the device began is not known.
        """
        before = self._highest
        self._highest = sequence if before < 0 else before + ((sequence - before) & 0xFFFF)
        expected, missing = self._highest - before, lost - self._lost
        self._lost = lost
        fraction = min(255, missing * 256 // expected) if before >= 0 and expected > 0 and missing > 0 else 0
        last, delay = 0, 0
        if told is not None:
            last = told.report.ntp >> 16 & _MAX_32
            delay = min(_MAX_32, max(0, round((now - told.at) * _DELAY_UNITS)))
        return ReportBlock(ssrc, fraction, lost, self._highest & _MAX_32, last, delay)
