"""Round lines wait for their round to end, and a moment for others that end: a village's row is written once a round,
not once a Report, and many of them in one transaction. Pure.

Only the lines wait. What a look changed (standings, segments, its own row) is in the commit of its Report, and a line
is held from that commit on: "as before" on disk without the change before it would move the wrong state on. A crash so
forgets that a camera was seen as before for the last HOLD_S at most; an orderly end writes them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from streamwatch.store.batch import RoundLook
from streamwatch.store.rounds import half_s_of

US: Final = 1_000_000
COMPANY_S: Final = 2.0  # a round that ended waits for others: in a city a dozen end each second, and a commit is a sync
HOLD_S: Final = 20.0  # of a round that goes on for a minute a third is written at a time
MAX_HELD: Final = 50_000  # looks, 200 bytes each; 20 s of a city are 8,400. Past it all are written


class RoundKey(NamedTuple):
    """A round of one looker."""

    village: int
    depth: str
    vantage: str


def check(lines: Iterable[RoundLook]) -> None:
    """Raises ValueError for a line that no row can hold: it would spoil the commits of other rounds later."""
    for line in lines:
        half_s_of(line.due_us, line.camera, line.started_us)


def key_of(line: RoundLook) -> RoundKey:
    """Which round that line is of."""
    return RoundKey(line.village, line.depth.value, line.vantage)


class Holding:
    """Lines by village, depth and looker, in the order in which they came."""

    def __init__(self) -> None:
        self._held: dict[RoundKey, list[RoundLook]] = {}
        self._since_us: dict[RoundKey, int] = {}
        self._ended_us: dict[RoundKey, int] = {}
        self._looks = 0

    def __len__(self) -> int:
        return self._looks

    def add(self, lines: Iterable[RoundLook], ended: Iterable[RoundKey], now_us: int) -> None:
        """Takes in lines that `check` let pass, of Reports that are committed; `ended` are rounds that brought their
        last one."""
        self.take_back(lines, now_us)
        for key in ended:
            if key in self._held:
                self._ended_us.setdefault(key, now_us)

    def take_back(self, lines: Iterable[RoundLook], now_us: int) -> None:
        """Holds lines that came out of `ripe` and are not written."""
        for line in lines:
            key = key_of(line)
            held = self._held.get(key)
            if held is None:
                held = self._held[key] = []
                self._since_us[key] = now_us
            held.append(line)
            self._looks += 1

    def ripe(self, now_us: int, *, everything: bool = False) -> list[RoundLook]:
        """Lines that are to be written now; they are held no longer."""
        if everything or self._looks > MAX_HELD:
            keys = [*self._held]
        else:
            late_us = now_us - int(HOLD_S * US)
            # held since a moment that is still to come: the clock was set back, and would be waited for
            keys = [key for key, since_us in self._since_us.items() if not late_us < since_us <= now_us]
            if keys or (self._ended_us and min(self._ended_us.values()) <= now_us - int(COMPANY_S * US)):
                keys += [key for key in self._ended_us if late_us < self._since_us[key] <= now_us]
        found: list[RoundLook] = []
        for key in keys:
            found += self._held.pop(key)
            del self._since_us[key]
            self._ended_us.pop(key, None)
        self._looks -= len(found)
        return found
