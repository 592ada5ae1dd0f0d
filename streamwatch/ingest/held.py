"""Stage 3: connections that stay open between looks: whether a camera still answers is then one exchange.

After a look that went well the session is ended, as after every look, and the connection stays. Nothing waits in a task
or has a timer of its own, and all are read into the loop's one buffer: a connection is held by some 2 KiB.

A held connection never fails a look. Where it does not answer it is closed, and the look begins anew in another one.
A device that closes it before it was of any use is not asked to hold one again for a day.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from streamwatch.clock import Clock
from streamwatch.errors import LookError, Reason
from streamwatch.ingest.connection import Opened
from streamwatch.model.report import Ticket
from streamwatch.wire.idle import Idle
from streamwatch.wire.leg import Leg
from streamwatch.wire.rtsp import Closed, Response, protocol_error
from streamwatch.wire.url import parse_address
from streamwatch.wire.warm import key_of

ANSWER_S: Final = 3.0  # to OPTIONS: what is lost on the way was sent again four times by then
ANSWER_SHARE: Final = 1 / 3  # or so much of the look's deadline, where that is less: the rest is for a new connection
SWEEP_S: Final = 0.25  # one that does not answer is seen so late
REST_S: Final = 86_400.0  # of a device that closes what nobody uses: a firmware or a setting may have changed by then
MAX_LET_GO: Final = 64  # messages before the answer to our farewell: media is none, and keepalives are few
MAX_RESTING: Final = 200_000  # cameras, 100 bytes each: as many as one looker has

Told = Callable[["Held", LookError | None], None]  # None: it answered


class Held(asyncio.Protocol):
    """One connection in which nothing plays; `HeldConnections` has it."""

    __slots__ = (
        "_idle", "_leg", "_let_go", "_owner", "_told", "_transport",
        "answers", "asked_until", "camera", "group", "host", "key", "server", "url",
    )  # fmt: skip

    def __init__(self, owner: HeldConnections, ticket: Ticket, opened: Opened, server: str | None) -> None:
        self.camera, self.host, self.group = ticket.camera, ticket.host, ticket.group
        self.key = key_of(ticket)
        self.url = opened.leg.address.url
        self.server = server
        self.answers = 0
        self.asked_until = 0.0
        self._owner = owner
        self._transport = opened.transport
        self._told: Told | None = None
        self._leg: Leg | None = opened.leg  # until the device has answered our farewell
        self._idle: Idle | None = None
        self._let_go = 0

    def begin(self) -> None:
        """Ends the session, if there is one."""
        leg = self._leg
        assert leg is not None
        self._transport.set_protocol(self)
        leg.parser.channels = frozenset()  # what still comes of them is let go
        if leg.set_up:
            words = leg.farewell()
            if not words:  # it cannot be ended but by closing
                self.eof_received()
                return
            self._transport.write(words)
            self._read(leg)
        else:
            self._settle(leg)
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def answer(self, error: LookError | None) -> None:
        """Tells whoever asked."""
        told, self._told = self._told, None
        if told is not None:
            told(self, error)

    @property
    def is_idle(self) -> bool:
        """Whether the last session is over, and no question is open."""
        return self._idle is not None and self._told is None and not self._transport.is_closing()

    def hand_over(self) -> asyncio.Transport:
        """Another protocol goes on in it."""
        self._idle = None
        return self._transport

    def close(self) -> None:
        """Closes; nobody is told."""
        self._leg = self._idle = None
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        idle, leg = self._idle, self._leg
        if idle is None:
            if leg is not None:
                leg.parser.receive(data)
                self._read(leg)
            return
        try:
            answered, out = idle.receive(data)
        except LookError as error:
            self._owner.lost(self, error)
            return
        if out:
            self._transport.write(out)
        if answered:
            self.answers += 1
            if self._owner.asked.pop(self, self) is None and (told := self._told) is not None:
                self._told = None
                told(self, None)

    def eof_received(self) -> None:
        self._owner.lost(self, LookError(Reason.NET_RESET, "the peer closed the connection"))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the interface of asyncio
        self._owner.lost(self, LookError(Reason.NET_RESET, "the peer closed the connection"))

    def _read(self, leg: Leg) -> None:
        """Lets go what comes before the answer to our farewell."""
        try:
            while (event := leg.parser.next_event()) is not None:
                if isinstance(event, Closed):
                    self.eof_received()
                    return
                self._let_go += 1
                if self._let_go > MAX_LET_GO:
                    raise protocol_error(f"more than {MAX_LET_GO} messages before the answer to TEARDOWN")
                if isinstance(event, Response) and leg.exchange.answers_farewell(event) is not None:
                    if event.status == 401 or not leg.parser.is_empty:
                        self.eof_received()  # a session that goes on is ended by closing
                    else:
                        self._settle(leg)
                    return
        except LookError as error:
            self._owner.lost(self, error)

    def _settle(self, leg: Leg) -> None:
        self._idle = Idle(self.url, self._owner.user_agent, leg.exchange.sequence)
        self._leg = None


class HeldConnections:
    """At most `most`; beyond, that which was not used for the longest time is closed. One loop owns it.

    `place` takes a session's places at its host and recorder, where they are free, and `free` gives them back.
    """

    def __init__(
        self,
        most: int,
        clock: Clock,
        user_agent: str,
        place: Callable[[str, str | None], bool],
        free: Callable[[str, str | None], None],
    ) -> None:
        self.most = most
        self.user_agent = user_agent
        self._clock = clock
        self._place = place
        self._free = free
        self._held: OrderedDict[int, Held] = OrderedDict()  # by camera, the longest unused first
        self._at: dict[tuple[str, str], list[Held]] = {}  # by what looks wait for: a host, a recorder
        self._resting: OrderedDict[int, float] = OrderedDict()  # cameras, until when
        self.asked: dict[Held, None] = {}  # in the order of the questions; who is answered goes out of it
        self._sweep_at: float | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._held)

    def may_hold(self, ticket: Ticket) -> bool:
        """Whether a connection to that camera would be of use: plain RTSP, and the device is not known to close it."""
        if self.most <= 0 or self._closed or parse_address(ticket.url).origin.scheme != "rtsp":
            return False
        until = self._resting.get(ticket.camera)
        return until is None or self._clock.monotonic() >= until

    def keep(self, ticket: Ticket, opened: Opened, server: str | None) -> bool:
        """Takes over what a look has opened: holds it, or parts from it and says no."""
        leg = opened.leg
        plain = opened.upload is None and opened.pair is None and leg.address.url == parse_address(ticket.url).url
        self.drop(ticket.camera)
        if self._closed or not plain or not self._place(ticket.host, ticket.group):
            opened.send(opened.leg.farewell() if opened.leg.set_up else b"")
            opened.close()
            return False
        while len(self._held) >= self.most:
            self._remove(next(iter(self._held.values()))).close()
        held = self._held[ticket.camera] = Held(self, ticket, opened, server)
        for place in _places(held):
            self._at.setdefault(place, []).append(held)
        held.begin()
        return ticket.camera in self._held

    def ask(self, ticket: Ticket, told: Told, now: float) -> bool:
        """Asks that camera `now` whether it is there; False, and nothing is asked, where no connection to it is idle.

        `told` hears which one it was, and None or why that is of no use any more.
        """
        held = self._held.get(ticket.camera)
        if held is None or held._idle is None or held._told is not None or held.key != key_of(ticket):
            return False
        self._held.move_to_end(ticket.camera)
        held._told = told
        share_s = ticket.deadline_ms / 1000 * ANSWER_SHARE
        held.asked_until = now + (ANSWER_S if share_s > ANSWER_S else share_s)
        held._transport.write(held._idle.ask())
        self.asked[held] = None
        if self._sweep_at is None:
            self._sweep_later(now)
        return True

    def drop(self, camera: int) -> bool:
        """Closes what is held of that camera, if anything is: it has one session, ever, and another one begins."""
        held = self._held.get(camera)
        if held is None:
            return False
        self._remove(held).close()
        held.answer(LookError(Reason.NET_RESET, "another look took its place"))
        return True

    def take(self, ticket: Ticket) -> asyncio.Transport | None:
        """The connection itself, for a look in it, where it is idle; whoever takes it closes it."""
        held = self._held.get(ticket.camera)
        if held is None or not held.is_idle or held.key != key_of(ticket):
            return None
        return self._remove(held).hand_over()

    def give_way(self, what: str, key: str | None) -> bool:
        """Closes one connection to that `host` or `recorder`, so that a look has its place; False where none is."""
        waiting = self._at.get((what, key or ""))
        if not waiting:
            return False
        self.drop(waiting[0].camera)
        return True

    def too_many(self, ticket: Ticket, *, dropped: bool = False) -> int:
        """The device has no room for a look: how many connections it was holding for us, which are closed for a day.

        `dropped`: that camera's own as well, which was closed just before the look.
        """
        found = {held.camera for place in _places(ticket) for held in self._at.get(place, ())}
        if dropped:
            found.add(ticket.camera)
        for camera in found:
            self._rest(camera)
            self.drop(camera)
        return len(found)

    def close(self) -> None:
        """Closes all, for good. Who asked in one of them hears nothing: the process ends."""
        self._closed = True
        for held in list(self._held.values()):
            self._remove(held).close()

    # ---- what happens to them

    def lost(self, held: Held, error: LookError) -> None:
        """It is of no use any more."""
        if self._held.get(held.camera) is not held:
            return  # we closed it ourselves
        self._remove(held).close()
        if not held.answers:
            self._rest(held.camera)
        held.answer(error)

    def _remove(self, held: Held) -> Held:
        del self._held[held.camera]
        self.asked.pop(held, None)
        for place in _places(held):
            there = self._at[place]
            there.remove(held)
            if not there:
                del self._at[place]
        self._free(held.host, held.group)
        return held

    def _rest(self, camera: int) -> None:
        self._resting[camera] = self._clock.monotonic() + REST_S
        self._resting.move_to_end(camera)
        while len(self._resting) > MAX_RESTING:
            self._resting.popitem(last=False)

    def _sweep_later(self, now: float) -> None:
        self._sweep_at = now + SWEEP_S
        asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        """Gives up those that do not answer; not while our own loop was late: their answers may wait to be read."""
        now = self._clock.monotonic()
        late = self._sweep_at is not None and now > self._sweep_at + SWEEP_S
        self._sweep_at = None
        if not late:
            for held in list(self.asked):
                if now >= held.asked_until:
                    self.lost(held, LookError(Reason.NET_TIMEOUT, "no answer in the connection that was held"))
        if self.asked:
            self._sweep_later(now)


def _places(one: Held | Ticket) -> tuple[tuple[str, str], ...]:
    host = ("host", one.host)
    return (host,) if one.group is None else (host, ("recorder", one.group))
