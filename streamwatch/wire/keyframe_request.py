"""Stage 3, wire: when a device that can is asked for a keyframe: RTCP PLI (RFC 4585), or FIR (RFC 5104).

A viewer that joins waits for the next one, 10 to 40 s with a "smart codec"; a look has better things to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from streamwatch.wire import rtcp

PICTURE_LOSS: Final = "nack pli"
FULL_INTRA: Final = "ccm fir"
FIRST_AFTER_S: Final = 1.0  # of media: by then most devices' own keyframe has begun
EVERY_S: Final = 3.0  # a request, and its answer, get lost; encoders that obey each one must not be hurried
MAX_REQUESTS: Final = 10  # 30 s of those: whoever did not hear them by then will not


class KeyframeRequests:
    """`offered` are the kinds that the description has. `due` (seconds, monotonic) is when the next one is."""

    __slots__ = ("_count", "_kinds", "due")

    def __init__(self, offered: Iterable[str]) -> None:
        known = frozenset(offered)
        self._kinds = [kind for kind in (PICTURE_LOSS, FULL_INTRA) if kind in known]
        self._count = 0
        self.due: float | None = None

    def flowing(self, now: float) -> None:
        """Media began to flow."""
        if self._kinds and self._count == 0:
            self.due = now + FIRST_AFTER_S

    def take(self, ours: int, ssrc: int | None, now: float, *, begun: bool) -> bytes | None:
        """The request that is due at `now`, from us to that source; none where a keyframe has `begun` to come.

        Where both kinds are known they take turns.
        """
        if self.due is None or now < self.due:
            return None
        self.due = now + EVERY_S
        if begun or ssrc is None:
            return None
        kind = self._kinds[self._count % len(self._kinds)]
        self._count += 1
        if self._count >= MAX_REQUESTS:
            self.due = None
        if kind == FULL_INTRA:
            return rtcp.full_intra_request(ours, ssrc, self._count)
        return rtcp.picture_loss(ours, ssrc)
