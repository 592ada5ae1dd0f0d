"""Stage 2's care for accounts: cameras that refuse our credentials are asked ever more rarely, lest they lock us out.
Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from streamwatch.errors import ACCESS_REASONS, Reason
from streamwatch.model.inventory import Camera
from streamwatch.schedule.policy import BACKOFF_INTERVALS, JITTER, US, Policy


@dataclass(slots=True)
class _Refused:
    failures: int = 0
    not_before_us: int = 0


class Backoff:
    """Who refuses us, how often in a row, and until when it is left alone. One entry a camera of the inventory."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._refused: dict[int, _Refused] = {}

    def __bool__(self) -> bool:
        return bool(self._refused)

    def record(self, camera: int, reason: Reason | None, at_us: int, policy: Policy, interval_s: int) -> None:
        """Learns one outcome."""
        if reason not in ACCESS_REASONS:
            self._refused.pop(camera, None)
            return
        state = self._refused.setdefault(camera, _Refused())
        state.failures += 1
        over = state.failures - policy.access_tries
        if over >= 0:
            cap_s = min(policy.access_backoff_max_s, float(BACKOFF_INTERVALS * interval_s))
            pause_s = min(cap_s, interval_s * 2.0 ** min(1 + over, 16)) * self._rng.uniform(1 - JITTER, 1.0)
            state.not_before_us = at_us + int(pause_s * US)

    def waits_us(self, camera: int) -> int:
        """Until when that camera is left alone; 0 where it is not."""
        state = self._refused.get(camera)
        return 0 if state is None else state.not_before_us

    def at_most(self, until_us: int) -> None:
        """Leaves nobody alone for longer: another policy may be more impatient."""
        for state in self._refused.values():
            state.not_before_us = min(state.not_before_us, until_us)

    def compare(self, camera: Camera, before: Camera | None) -> None:
        """Forgives a camera that is asked otherwise than before; another interval alone mends nothing."""
        if camera.id in self._refused and (before is None or replace(before, interval_s=camera.interval_s) != camera):
            del self._refused[camera.id]

    def forget(self, camera: int) -> None:
        """That camera is gone."""
        self._refused.pop(camera, None)
