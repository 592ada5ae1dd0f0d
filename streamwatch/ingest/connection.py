"""Stage 3: one connection to a camera, and its pair of UDP ports where the conversation wants one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol, cast

from streamwatch.clock import Clock
from streamwatch.errors import LookError, Reason
from streamwatch.net.address import Guard
from streamwatch.net.udp import UdpPair, open_pair
from streamwatch.wire.conversation import Conversation
from streamwatch.wire.leg import Leg

TURN_BYTES: Final = 32 * 1024  # taken in a turn of the loop, for which all others wait: 1 ms of work
AT_ONCE_BYTES: Final = 2**17  # of a connection, in pieces of any size: most looks receive no more; 1 ms of work
FREE_BYTES: Final = 2**19  # more, taken as fast as they come: more than most keyframes
PAUSE_S: Final = 0.008  # after each piece beyond: 32 Mbit/s, twice what cameras of 4K send
PAUSES: Final = 19  # or so many times what the piece took: then a flood has a twentieth of the loop, whatever it sends
MAX_PAUSE_S: Final = 0.25  # a piece that took longer was not the flood's fault alone: our machine was busy
MAX_LATE: Final = 512  # datagrams between the end and `hand_over`, a turn of the loop: 0.7 MB, 0.2 s of 30 Mbit/s
FAREWELL_S: Final = 0.2  # for the answer to TEARDOWN: a round trip of a slow line; then the device knows, or never will


class Tape(Protocol):
    """Takes down what crosses the sockets, when (monotonic seconds), and how it ended: a `transcript.Recorder`."""

    def sent(self, data: bytes, now: float) -> None:
        """Bytes that left."""

    def received(self, data: bytes, now: float) -> None:
        """Bytes that arrived; b"" where the device closed."""

    def datagram_sent(self, data: bytes, now: float, *, control: bool) -> None:
        """A datagram that left, from our RTCP port or from our RTP port."""

    def datagram_received(self, data: bytes, now: float, *, control: bool) -> None:
        """A datagram that arrived."""

    def dialled(self, now: float) -> None:
        """A new connection is being made, by the other transport."""

    def dropped(self, total: int, now: float) -> None:
        """So many datagrams our own machine has thrown away."""

    def timed_out(self, now: float) -> None:
        """A deadline fell."""

    def failed(self, error: LookError, now: float) -> None:
        """Our side of the network failed the look."""

    def remarked(self, remarks: Mapping[Reason, str]) -> None:
        """What is to be said although it ended nothing."""


class Upload(Protocol):
    """Where our bytes go when it is not the connection that they are answered in: a `tunnelling.Upload`."""

    @property
    def refused(self) -> bool:
        """Whether `reopen` is wanted."""

    def send(self, data: bytes) -> None:
        """Bytes for the device."""

    def close(self) -> None:
        """Sends what waits, and closes."""

    async def reopen(self) -> None:
        """Dials again. Raises LookError."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection that nobody parted from. Whoever has it reads, speaks, says farewell and closes from here on.

    `transport` does not read until it is told to; what it read last waits in `leg.parser`. `leg` is what was agreed and
    said: `exchange` (session, CSeq, credentials), `channel` and `control`, `media`, `upkeep`, `play_url`.
    """

    transport: asyncio.Transport
    leg: Leg
    peer: str  # the device's address, where datagrams go
    pair: UdpPair | None = None  # our ports, where media comes by UDP: `listen` to `senders`
    senders: frozenset[str] = frozenset()
    datagrams: tuple[tuple[bytes, bool], ...] = ()  # that came since the end, and whether to the RTCP port
    upload: Upload | None = None  # where what we say goes, in a tunnel

    def send(self, data: bytes) -> None:
        """What we say in it, where it is still open."""
        if data and self.upload is not None:
            self.upload.send(data)
        elif data and not self.transport.is_closing():
            self.transport.write(data)

    def close(self) -> None:
        """Sends what waits, and closes all of it; farewell was said, or is not."""
        if self.pair is not None:
            self.pair.close()
        if self.upload is not None:
            self.upload.close()
        self.transport.close()


class Connection(asyncio.Protocol):
    """Feeds the conversation with what arrives and sends what it answers, until it is over or wants another one.

    `over` then; `defect` where that was one of ours. In a tunnel what is sent goes to `upload`.
    """

    def __init__(
        self,
        conversation: Conversation,
        clock: Clock,
        guard: Guard,
        tape: Tape | None,
        receive_buffer: int,
        *,
        keep: bool = False,
    ) -> None:
        self._keep = keep  # for `hand_over`
        self._late: list[tuple[bytes, bool]] = []
        self._conversation = conversation
        self._clock = clock
        self._guard = guard
        self._tape = tape
        self._receive_buffer = receive_buffer
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._pair: UdpPair | None = None
        self._source: str | None = None
        self._dropped = 0
        self._parting: asyncio.Future[None] | None = None
        self._said_farewell = False
        self.over = False
        self.defect: Exception | None = None
        self.upload: Upload | None = None
        self._begun = False
        self._early = b""
        self._ended_early = False
        self._waiting = b""  # arrived, and left for the loop's next turn
        self._received = 0  # bytes, in pieces of any size
        self._flooded = 0  # bytes that were taken piece by piece
        self._waiter: asyncio.Future[None] | None = None
        self.progressed_at = clock.monotonic()
        self._progress = conversation.progress

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def take_over(self, transport: asyncio.Transport, upload: Upload, early: bytes) -> None:
        """A tunnel is open: from here on `transport`, which does not read, is ours; `early` was read before."""
        self._transport = transport
        self.upload = upload
        self._early = early
        transport.set_protocol(self)

    def begin(self, said_at: float | None = None, early: bytes = b"") -> None:
        """The connection is up: says the first words, which may have been said already, and `early` been read since."""
        self.progressed_at = self._clock.monotonic() if said_at is None else said_at
        words = self._conversation.start(self.progressed_at)
        self._early = early + self._early
        self._carry_on(words if said_at is None else b"", self.progressed_at)
        self._begun = True
        if self._transport is not None and (self.upload is not None or self._early):
            self._transport.resume_reading()
        early, self._early = self._early, b""
        if early:
            self.data_received(early)
        if self._ended_early:
            self._end()

    def data_received(self, data: bytes) -> None:
        if not self._begun:  # who speaks first is heard in its turn: until `begin` this is not the conversation's yet
            self._early += data
            if self._transport is not None:
                self._transport.pause_reading()
            return
        self._received += len(data)
        if len(data) <= TURN_BYTES or self._received <= AT_ONCE_BYTES:
            self._take(data)
        else:
            self._give_way(data)

    def _give_way(self, data: bytes) -> None:
        """Takes a piece, and the next one in the loop's next turn; meanwhile nothing more is read.

        Else who sends as fast as it can is read 32 times of 256 KB before anybody else has a turn, and then again.
        """
        self._flooded += TURN_BYTES
        begun = self._clock.monotonic()
        self._take(data[:TURN_BYTES])
        transport = self._transport
        if self.over or transport is None or transport.is_closing():
            self._leave(data[TURN_BYTES:])
            return
        self._waiting = data[TURN_BYTES:]
        transport.pause_reading()
        pause_s = 0.0
        if self._flooded > FREE_BYTES:
            pause_s = min(MAX_PAUSE_S, max(PAUSE_S, PAUSES * (self._clock.monotonic() - begun)))
        self._loop.call_later(pause_s, self._go_on, transport)

    def _go_on(self, transport: asyncio.Transport) -> None:
        data, self._waiting = self._waiting, b""
        if len(data) > TURN_BYTES:
            self._give_way(data)
            return
        if data:
            self._take(data)
        if transport is self._transport and not transport.is_closing():
            transport.resume_reading()

    def eof_received(self) -> None:
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the interface of asyncio
        self._end()

    def _end(self) -> None:
        if not self._begun:
            self._ended_early = True
            return
        data, self._waiting = self._waiting, b""
        if data:
            self._take(data)
        self._take(b"")

    def _take(self, data: bytes) -> None:
        if self.over:
            self._hear_farewell(data)
            return
        now, tape = self._clock.monotonic(), self._tape
        if tape is not None and data:
            tape.received(data, now)
        try:
            self._carry_on(self._conversation.receive(data, now), now)
        except Exception as error:  # noqa: BLE001
            self._defect(error)
        if tape is not None and not data and not self._conversation.redial:
            tape.received(data, now)

    def _take_datagram(self, data: bytes, control: bool) -> None:  # noqa: FBT001 - called by the pair
        pair = self._pair
        if self.over and self._keep and len(self._late) < MAX_LATE:
            self._late.append((data, control))
        if self.over or pair is None:
            return
        now = self._clock.monotonic()
        self._count_dropped(pair.told_dropped, now)
        if self._tape is not None:
            self._tape.datagram_received(data, now, control=control)
        try:
            self._conversation.datagram(data, now, control=control)
            self._carry_on(b"", now)
        except Exception as error:  # noqa: BLE001
            self._defect(error)

    def tick(self) -> None:
        """Does what is due by now, which may be to give up."""
        self.count_dropped()
        now = self._clock.monotonic()
        try:
            self._carry_on(self._conversation.tick(now), now)
        except Exception as error:  # noqa: BLE001
            self._defect(error)

    def fail(self, error: LookError) -> None:
        """Bad news of our own about the network: the look ends with it, unless it is settled."""
        if self.over:
            return
        now = self._clock.monotonic()
        if self._tape is not None:
            self._tape.failed(error, now)
        self._conversation.abort(error)
        self._carry_on(b"", now)

    def _defect(self, error: Exception) -> None:
        """A defect of ours must end this look only, and be seen as ours."""
        if not self.over:
            self.over, self.defect = True, error
            self.wake()

    async def wait(self, timeout_s: float) -> None:
        """Until it is over, or for that long."""
        loop = self._loop
        waiter = self._waiter = loop.create_future()
        timer = loop.call_later(timeout_s, self.wake)
        try:
            await waiter
        finally:
            timer.cancel()

    def wake(self) -> None:
        """Ends `wait`: something has changed."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _carry_on(self, answer: bytes, now: float) -> None:
        """Does what the conversation wants after it took something."""
        conversation = self._conversation
        if conversation.wants_ports:
            answer += self._open_ports()
        if answer:
            self._send(answer)
        if conversation.progress != self._progress:
            self._progress = conversation.progress
            self.progressed_at = now
        if conversation.hastened:
            conversation.hastened = False
            self.wake()
        if self._pair is not None:
            self._send_datagrams(self._pair)
        if (conversation.finished or conversation.redial) and not self.over:
            self.over = True
            if self._keep and self._transport is not None and not self._transport.is_closing():
                self._transport.pause_reading()
            self.wake()

    # ---- UDP

    def _open_ports(self) -> bytes:
        conversation = self._conversation
        if self._transport is None or self._pair is not None:
            return b""
        try:
            self._pair = open_pair(
                str(self._transport.get_extra_info("sockname")[0]), buffer_bytes=self._receive_buffer
            )
        except LookError as error:
            return conversation.no_ports(error)
        self._pair.listen(frozenset({self._peer()}), self._take_datagram)
        return conversation.use_ports(self._pair.port)

    def _send_datagrams(self, pair: UdpPair) -> None:
        """To nobody but the device's own address, whatever it calls its source."""
        conversation = self._conversation
        if conversation.source != self._source:
            self._source = conversation.source
            pair.listen(frozenset({self._peer()} | self._allowed(self._source)), self._take_datagram)
        for one in conversation.take_datagrams():
            pair.send(one.data, self._peer(), one.port, control=one.control)
            if self._tape is not None:
                self._tape.datagram_sent(one.data, self._clock.monotonic(), control=one.control)

    def _allowed(self, source: str | None) -> set[str]:
        """An address that the device says it sends from. We only listen to it, and nothing is ever sent there: a
        recorder may well send from another address of its own. The guard is asked as for whatever a device says."""
        try:
            self._guard.check(source or "")
        except (LookError, ValueError):  # not allowed, or no address at all
            return set()
        return {source or ""}

    def _peer(self) -> str:
        return str(self._transport.get_extra_info("peername")[0]) if self._transport is not None else ""

    def count_dropped(self) -> None:
        """Asks the kernel what it threw away, before anybody is blamed for what is missing."""
        if self._pair is not None:
            self._count_dropped(self._pair.dropped(), self._clock.monotonic())

    def _count_dropped(self, total: int, now: float) -> None:
        if total > self._dropped:
            self._dropped = total
            self._conversation.dropped(total)
            if self._tape is not None:
                self._tape.dropped(total, now)

    # ---- the end

    def hand_over(self) -> Opened | None:
        """In the place of `part`: another one goes on here (`transport.set_protocol`). None where the device closed."""
        transport, conversation = self._transport, self._conversation
        if transport is None or transport.is_closing() or conversation.failure is not None or conversation.redial:
            return None
        peer, pair = self._peer(), self._pair
        senders = frozenset({peer} | self._allowed(self._source)) if pair is not None else frozenset({peer})
        opened = Opened(transport, conversation.leg, peer, pair, senders, tuple(self._late), self.upload)
        self._transport = self._pair = self.upload = None
        self._said_farewell = True
        return opened

    def _leave(self, data: bytes) -> None:
        """What was read behind the end is for who goes on here."""
        if data and self._keep and self.over and not self._said_farewell:
            self._conversation.leg.parser.receive(data)

    @property
    def parts_at_once(self) -> bool:
        """Whether nothing is waited for after the farewell."""
        conversation = self._conversation
        return conversation.transport != "udp" and not conversation.redial

    async def part(self) -> None:
        """Says farewell, so that no camera keeps a session of ours, and closes.

        Where datagrams may still be under way, or the same camera is dialled again, it is waited for a moment until
        the device has answered: else they come to ports that are closed, or it still holds our session.
        """
        try:
            self._say_farewell()
            if not (self.parts_at_once or self._conversation.parted):
                self._parting = self._loop.create_future()
                await asyncio.wait((self._parting,), timeout=FAREWELL_S)
        finally:
            self.close()

    def close(self) -> None:
        """Says farewell where that was not done, and closes at once."""
        self._say_farewell()
        if self._pair is not None:
            self._pair.close()
        if self.upload is not None:
            self.upload.close()
        if self._transport is not None:
            self._transport.close()

    def _say_farewell(self) -> None:
        if not self._said_farewell and self._transport is not None:
            self._said_farewell = True
            self._send(self._conversation.farewell())

    def _hear_farewell(self, data: bytes) -> None:
        if self._parting is None:
            self._leave(data)
        if self._parting is None or self._parting.done():
            return
        self._send(self._conversation.receive(data, self._clock.monotonic()))
        if self._conversation.parted or not data:
            self._parting.set_result(None)

    def _send(self, data: bytes) -> None:
        if data and self._transport is not None and not self._transport.is_closing():
            if self._tape is not None:
                self._tape.sent(data, self._clock.monotonic())
            if self.upload is not None:
                self.upload.send(data)
            else:
                self._transport.write(data)
