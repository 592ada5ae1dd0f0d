"""Stage 4: which streams cost decoders their lives, and until when they get no other one. Pure.

A crash may have had any reason; the second in a row by the same stream, on another worker, is the stream's doing. It is
then left alone for a while, longer each time, so that it cannot take decoders from all others at every look. What is
not decoded meanwhile is `ours.worker`: unknown, never down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

CRASHES: Final = 2  # in a row before a stream is left alone
FIRST_S: Final = 60.0  # a confirming look 10 or 30 s later is refused, the next of the patrol is tried
LONGEST_S: Final = 3600.0  # a picture is decoded at least once an hour, or at least tried
MAX_STREAMS: Final = 4096  # remembered; 250 bytes each: 1 MiB. The one that crashed longest ago is forgotten first


@dataclass(frozen=True, slots=True)
class _Record:
    crashes: int
    until: float


class Quarantine:
    """Crashes in a row by stream. `now` is monotonic seconds; a stream is any number that the caller knows it by."""

    def __init__(self) -> None:
        self._records: dict[int, _Record] = {}

    def left_s(self, stream: int | None, now: float) -> float:
        """Seconds for which this stream gets no decoder; 0: it gets one."""
        record = self._records.get(stream) if stream is not None else None
        return 0.0 if record is None else max(0.0, record.until - now)

    def crashed(self, stream: int | None, now: float) -> None:
        """Its job cost a worker."""
        if stream is None:
            return
        known = self._records.pop(stream, None)
        crashes = 1 if known is None else known.crashes + 1
        pause_s = min(FIRST_S * 2.0 ** min(crashes - CRASHES, 16), LONGEST_S) if crashes >= CRASHES else 0.0
        if len(self._records) >= MAX_STREAMS:
            del self._records[next(iter(self._records))]
        self._records[stream] = _Record(crashes, now + pause_s)

    def survived(self, stream: int | None) -> None:
        """Its job cost no worker: whatever it was, it is over."""
        if self._records and stream is not None:
            self._records.pop(stream, None)
