"""Stage 3: connections of one look to its camera, by TCP, and by TLS where the address says rtsps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from streamwatch.clock import Clock
from streamwatch.errors import LookError, Reason, Step
from streamwatch.net.address import Guard, target_of
from streamwatch.net.tcp import dial
from streamwatch.net.tls import Trust, dial_tls

P = TypeVar("P", bound=asyncio.BaseProtocol)


class Dialler:
    """Dials for one look, each time within `connect_s` and before `ends` (seconds, monotonic).

    `remarks` is what was found meanwhile and ended nothing: the reason, and a sentence for a person.
    """

    def __init__(self, guard: Guard, trust: Trust, clock: Clock, connect_s: float, ends: float) -> None:
        self.remarks: dict[Reason, str] = {}
        self._guard = guard
        self._trust = trust
        self._clock = clock
        self._connect_s = connect_s
        self._ends = ends

    def within(self) -> float:
        """Until when what is begun now must be connected. Raises LookError where the look's deadline has fallen."""
        now = self._clock.monotonic()
        if now >= self._ends:
            raise LookError(Reason.NET_TIMEOUT, "the deadline fell before it could be tried", step=Step.CONNECT)
        return min(now + self._connect_s, self._ends)

    def left(self, until: float) -> float:
        """Seconds until then. Raises LookError where there are none."""
        left_s = until - self._clock.monotonic()
        if left_s <= 0:
            raise LookError(Reason.NET_TIMEOUT, "the connection was not ready in time", step=Step.CONNECT)
        return left_s

    async def dial(self, url: str, factory: Callable[[], P], until: float) -> P:
        """A connected protocol at the host of `url` before `until`. Raises LookError with step connect."""
        target, left_s = target_of(url), self.left(until)
        if not target.tls:
            return await dial(target, factory, guard=self._guard, timeout_s=left_s)
        protocol, why = await dial_tls(target, factory, guard=self._guard, timeout_s=left_s, trust=self._trust)
        if why is not None:
            self.remarks[Reason.TLS_UNTRUSTED] = why
        return protocol
