"""Time as an argument: instants are UTC microseconds, durations come from the monotonic clock, tests own both."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol

US = 1_000_000  # microseconds in a second


class Clock(Protocol):
    """What a shell may ask about time."""

    def utc_us(self) -> int:
        """Now, in microseconds since 1970-01-01T00:00:00Z."""
        ...

    def monotonic(self) -> float:
        """Seconds of a clock that never steps; only differences mean anything."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Waits `seconds` of the monotonic clock."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def utc_us(self) -> int:
        """Now, in microseconds since 1970-01-01T00:00:00Z."""
        return time.time_ns() // 1000

    monotonic = staticmethod(time.monotonic)  # asked several times a look: without a call of our own around it

    async def sleep(self, seconds: float) -> None:
        """Waits on the running event loop."""
        await asyncio.sleep(max(0.0, seconds))


def to_datetime(us: int) -> datetime:
    """Microseconds since the epoch as an aware UTC datetime, exactly (no float on the way)."""
    seconds, rest = divmod(us, US)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)


def from_datetime(moment: datetime) -> int:
    """An aware datetime as microseconds since the epoch, exactly. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone: write an offset such as Z or +08:00")
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * US + delta.microseconds


def rfc3339(us: int) -> str:
    """Microseconds since the epoch as RFC 3339 UTC: 2026-11-24T05:38:10.250000Z; whole seconds have no fraction."""
    text = to_datetime(us).isoformat(timespec="auto")
    return text.replace("+00:00", "Z")


def parse_rfc3339(text: str) -> int:
    """RFC 3339 (section 5.6) text as microseconds since the epoch. Raises ValueError naming the text."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an RFC 3339 time such as 2026-11-24T05:38:10Z") from None
    return from_datetime(moment)
