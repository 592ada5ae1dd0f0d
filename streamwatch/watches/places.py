"""The places of sessions that stay open: at hosts and recorders, which looks want as well."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from streamwatch.gates import Gate
from streamwatch.model.report import Ticket

Taken = tuple[tuple[Gate, str], ...]  # places in these gates, by key
log = structlog.get_logger(__name__)


class Places:
    """Half of each gate's places at most: the others are left to looks. One loop owns it.

    `shared` are gates, their limits, and the key of a ticket: None where there is nothing to wait for.
    """

    def __init__(self, shared: tuple[tuple[Gate, int, Callable[[Ticket], str | None]], ...]) -> None:
        self._shared = shared
        self.held: dict[tuple[int, str], int] = {}  # by gate and key

    def take(self, ticket: Ticket) -> Taken | None:
        """One in each gate; None, and nothing is taken, where one has none to give."""
        taken: list[tuple[Gate, str]] = []
        for gate, limit, key_of in self._shared:
            key = key_of(ticket)
            if key is None:
                continue
            if self.held.get((id(gate), key), 0) >= limit // 2 or not gate.enter(key):
                self.leave(tuple(taken))
                log.info("watch.no_place", camera=ticket.camera, at=key, limit=limit)
                return None
            self._count(gate, key, 1)
            taken.append((gate, key))
        return tuple(taken)

    def leave(self, taken: Taken) -> None:
        """Gives them back."""
        for gate, key in taken:
            gate.leave(key)
            self._count(gate, key, -1)

    def at(self, ticket: Ticket) -> int:
        """How many are taken in one gate by the ticket's key: the most of all gates."""
        keys = [(id(gate), key_of(ticket)) for gate, _, key_of in self._shared]
        return max((self.held.get((gate, key), 0) for gate, key in keys if key is not None), default=0)

    def _count(self, gate: Gate, key: str, by: int) -> None:
        place = id(gate), key
        self.held[place] = self.held.get(place, 0) + by
        if not self.held[place]:
            del self.held[place]
