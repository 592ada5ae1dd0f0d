"""Stage 3's shortest look, depth reach: one question and its answer, where most looks of a patrol need no more.

It is asked in the connection that is held to the camera, or in one of its own; neither has a task. What is not that
plain is an ordinary look, or becomes one: in its own connection from where it stands, within its deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

import structlog
from msgspec.structs import replace

from streamwatch.clock import US, Clock
from streamwatch.errors import LookError, Reason, Step, UsageError
from streamwatch.gates import EVERYBODY, Gates
from streamwatch.inbox import Inbox
from streamwatch.ingest.asking import Asking, Question
from streamwatch.ingest.held import Held, HeldConnections
from streamwatch.ingest.session import Begun
from streamwatch.model.look import Depth, Look, Transport
from streamwatch.model.report import Round, Ticket
from streamwatch.net.address import Address, Guard, Target
from streamwatch.wire.idle import question
from streamwatch.wire.url import parse_address

MAX_ADDRESSES: Final = 32_768  # 400 bytes each: three of 10,000 cameras, in turn
_REACH: Final = Depth.REACH
log = structlog.get_logger(__name__)


class Began(NamedTuple):
    """What an ordinary look goes on with."""

    started_us: int  # UTC
    begun: Begun
    dropped: bool  # a connection to the camera was closed for it


Ordinary = Callable[[Round, Ticket], Coroutine[Any, Any, Look]]
GoOn = Callable[[Round, Ticket, Began], Awaitable[Look]]


class Reaching:
    """Begins looks of depth reach. One loop owns it; `close` it.

    `ordinary` is a whole look in its turn; `go_on` ends one that has its places, and closes what has begun.
    `elsewhere` says of a camera that its look is not only a question: its session is open, or its connection is to
    stay. A defect of ours ends its own look, and is booked as ours.
    """

    def __init__(
        self,
        vantage: str,
        *,
        clock: Clock,
        guard: Guard,
        gates: Gates,
        held: HeldConnections,
        connect_s: float,
        user_agent: str,
        elsewhere: Callable[[Ticket], bool],
        ordinary: Ordinary,
        go_on: GoOn,
    ) -> None:
        self.gates = gates
        self._vantage = vantage
        self._clock = clock
        self._guard = guard
        self._held = held
        self._connect_s = connect_s
        self._user_agent = user_agent
        self._elsewhere = elsewhere
        self._ordinary = ordinary
        self._go_on = go_on
        self._asking = Asking(clock, connect_s)
        self._between: dict[Passing, Begun] = {}  # their tasks have not begun
        self._address = lru_cache(MAX_ADDRESSES)(self._address_of)

    def __len__(self) -> int:
        """Connections of its own."""
        return len(self._asking)

    def close(self) -> None:
        """Closes all that is being asked in connections of its own; nobody is told."""
        self._asking.close()

    def begin(self, order: Round, ticket: Ticket, inbox: Inbox) -> bool:
        """Begins a look that comes to `inbox`; False, and nothing begins, where it is not plain or has to wait."""
        if self._held.most == 0:
            return self._ask(order, ticket, inbox)
        cameras, clock = self.gates.cameras, self._clock
        if not cameras.enter(ticket.camera):
            return False
        started_us, begun = clock.utc_us(), clock.monotonic()
        if self._held.ask(ticket, partial(self._held_told, order, ticket, inbox, started_us, begun), begun):
            inbox.expect()
            return True
        cameras.leave(ticket.camera)
        return self._ask(order, ticket, inbox)

    async def look(self, order: Round, ticket: Ticket) -> Look | None:
        """A look that has its places; None, and nothing has begun, where it is not as plain."""
        address = self._plain(ticket)
        if address is None:
            return None
        asked = Waiting(self, order, ticket, address)
        self._asking.ask(asked)
        return await asked.look()

    def cancel(self, inbox: Inbox) -> None:
        """Ends those that would come to it; nobody is told."""
        for one in self._asking.open:
            if isinstance(one, Passing) and one.inbox is inbox:
                one.cancel()
                one.leave()
        for one, begun in tuple(self._between.items()):
            if one.inbox is inbox:
                del self._between[one]
                begun.close()
                one.leave()

    # ---- in the connection that is held

    def _held_told(
        self,
        order: Round,
        ticket: Ticket,
        inbox: Inbox,
        started_us: int,
        begun: float,
        held: Held,
        error: LookError | None,
    ) -> None:
        """Where it brought no answer an ordinary look begins, with what is left of the deadline."""
        self.gates.cameras.leave(ticket.camera)
        try:
            took_s = self._clock.monotonic() - begun
            if error is None:
                took_ms = int(took_s * US + 0.5) / 1000
                timings = {"options": took_ms, "total": took_ms}
                look = self.found(order, ticket, started_us, took_s, held.server, timings)
            else:
                # the exchange takes a third of it; beyond a half it is our own loop that was late
                left_ms = max(ticket.deadline_ms // 2, ticket.deadline_ms - int(took_s * 1000))
                inbox.start(self._ordinary(order, replace(ticket, deadline_ms=left_ms)))
                inbox.unexpect()
                return
        except Exception as defect:  # noqa: BLE001 - it is told
            look = self.defect(order, ticket, started_us, begun, defect)
        inbox.put(look)

    # ---- in one of its own

    def _ask(self, order: Round, ticket: Ticket, inbox: Inbox) -> bool:
        gates = self.gates
        if ticket.line_kbps is not None and ticket.line is not None:  # its line's turn comes first
            return False
        address = self._plain(ticket)
        if address is None or not gates.cameras.enter(ticket.camera):
            return False
        lane = gates.lane if order.attempt else gates.all
        if gates.enter_device(ticket.host, ticket.group):
            if lane.enter(EVERYBODY):
                inbox.expect()
                self._asking.ask(Passing(self, order, ticket, address, inbox))
                return True
            gates.leave_device(ticket.host, ticket.group)
        gates.cameras.leave(ticket.camera)
        return False

    def _plain(self, ticket: Ticket) -> Address | None:
        """Where to ask a camera whether it is there; None where the look has more to do than that."""
        if (
            ticket.watch
            or ticket.transport is Transport.HTTP
            or ticket.deadline_ms < self._connect_s * 1000
            or self._elsewhere(ticket)
        ):
            return None
        return self._address(ticket.url)

    def _address_of(self, url: str) -> Address | None:
        """Of plain RTSP to an address in figures that looks may go to. Names, and what is refused, go the long way."""
        try:
            origin = parse_address(url).origin
        except UsageError:
            return None
        return self._guard.known(Target(origin.host, origin.port)) if origin.scheme == "rtsp" else None

    # ---- for its questions

    def words(self, ticket: Ticket) -> bytes:
        """The question."""
        return question(parse_address(ticket.url).url, self._user_agent)

    def now(self) -> tuple[int, float]:
        """UTC microseconds and monotonic seconds."""
        return self._clock.utc_us(), self._clock.monotonic()

    def drop(self, ticket: Ticket) -> bool:
        """A camera has one session: what is held of it is closed."""
        return self._held.most > 0 and self._held.drop(ticket.camera)

    def found(
        self,
        order: Round,
        ticket: Ticket,
        started_us: int,
        took_s: float,
        server: str | None,
        timings: dict[str, float],
    ) -> Look:
        """A look that was answered."""
        return Look(
            camera=ticket.camera,
            depth=_REACH,
            stream=ticket.stream,
            started_us=started_us,
            duration_us=int(took_s * US),
            vantage=self._vantage,
            server=server,
            timings_ms=timings,
            order=order.id,
        )

    def defect(self, order: Round, ticket: Ticket, started_us: int, begun: float, error: Exception) -> Look:
        """A look that a mistake of ours ended."""
        return Look(
            camera=ticket.camera,
            depth=_REACH,
            stream=ticket.stream,
            started_us=started_us,
            duration_us=int((self._clock.monotonic() - begun) * US),
            vantage=self._vantage,
            order=order.id,
            **found_defect(ticket, error),
        )

    def go_on(self, one: Passing, begun: Begun) -> None:
        """It becomes an ordinary look, in the places that it has."""
        self._between[one] = begun
        one.inbox.start(self._rest(one, begun))
        one.inbox.unexpect()

    async def _rest(self, one: Passing, begun: Begun) -> Look:
        del self._between[one]
        try:
            return await self._go_on(one.order, one.ticket, Began(one.started_us, begun, one.dropped))
        finally:
            one.leave()

    async def rest(self, one: Waiting, begun: Begun) -> Look:
        """The rest of a look, in the ordinary way."""
        return await self._go_on(one.order, one.ticket, Began(one.started_us, begun, one.dropped))


def found_defect(ticket: Ticket, error: Exception) -> dict[str, Any]:
    """What a Look has of a mistake of ours that ended it, which is logged: the fields by name."""
    log.error("look.defect", camera=ticket.camera, exc_info=error)
    detail = f"a defect of streamwatch: {type(error).__name__}"
    return {"reason": Reason.OURS_WORKER, "step": Step.CONNECT, "detail": detail}


class _Asked(Question):
    """The question of a look."""

    __slots__ = ("dropped", "order", "reaching", "started_us", "ticket")

    def __init__(self, reaching: Reaching, order: Round, ticket: Ticket, address: Address) -> None:
        self.reaching = reaching
        self.order = order
        self.ticket = ticket
        self.dropped = reaching.drop(ticket)
        self.started_us, begun_at = reaching.now()
        super().__init__(address, reaching.words(ticket), begun_at)

    def found(self, server: str | None, now: float) -> Look:
        begun_at, asked_at = self.begun_at, self.asked_at
        timings = {
            "connect": int((asked_at - begun_at) * US + 0.5) / 1000,
            "options": (now - asked_at) * 1000,
            "total": int((now - begun_at) * US + 0.5) / 1000,
        }
        return self.reaching.found(self.order, self.ticket, self.started_us, now - begun_at, server, timings)

    def defect(self, error: Exception) -> Look:
        return self.reaching.defect(self.order, self.ticket, self.started_us, self.begun_at, error)


class Passing(_Asked):
    """One that has no task: its look comes to `inbox`. It holds all places of a look until `leave`."""

    __slots__ = ("_left", "inbox")

    def __init__(self, reaching: Reaching, order: Round, ticket: Ticket, address: Address, inbox: Inbox) -> None:
        super().__init__(reaching, order, ticket, address)
        self.inbox = inbox
        self._left = False

    def answered(self, server: str | None, now: float) -> None:
        """Its look is done."""
        look = self.found(server, now)
        self.leave()
        self.inbox.put(look)

    def goes_on(self, begun: Begun) -> None:
        """A task takes it from here."""
        self.reaching.go_on(self, begun)

    def broke(self, error: Exception) -> None:
        """Booked as ours."""
        self.leave()
        self.inbox.put(self.defect(error))

    def leave(self) -> None:
        """Gives its places back, once."""
        if self._left:
            return
        self._left = True
        gates, ticket = self.reaching.gates, self.ticket
        (gates.lane if self.order.attempt else gates.all).leave(EVERYBODY)
        gates.leave_device(ticket.host, ticket.group)
        gates.cameras.leave(ticket.camera)


class Waiting(_Asked):
    """One that a task waits for, which has its places."""

    __slots__ = ("_told",)

    def __init__(self, reaching: Reaching, order: Round, ticket: Ticket, address: Address) -> None:
        super().__init__(reaching, order, ticket, address)
        self._told: asyncio.Future[Look | Begun] = asyncio.get_running_loop().create_future()

    async def look(self) -> Look:
        """What it comes to."""
        try:
            told = await self._told
        except BaseException:
            self.cancel()
            if self._told.done() and not self._told.cancelled() and isinstance(told := self._told.result(), Begun):
                told.close()
            raise
        return await self.reaching.rest(self, told) if isinstance(told, Begun) else told

    def answered(self, server: str | None, now: float) -> None:
        """Its look is done."""
        self._tell(self.found(server, now))

    def goes_on(self, begun: Begun) -> None:
        """Its task goes on with it."""
        self._tell(begun)

    def broke(self, error: Exception) -> None:
        """Booked as ours."""
        self._tell(self.defect(error))

    def _tell(self, told: Look | Begun) -> None:
        if not self._told.done():
            self._told.set_result(told)
        elif isinstance(told, Begun):
            told.close()
