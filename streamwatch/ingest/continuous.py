"""Stage 3: sessions that stay open: opened by an ordinary conversation, then watched by `wire.watching`.

All of them read into one buffer: nothing is kept of a read but what `wire.watching` keeps, which is less than one
packet, or one keyframe while it is put together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from streamwatch.clock import US, Clock
from streamwatch.errors import LookError, Reason
from streamwatch.ingest.connection import FAREWELL_S, Opened
from streamwatch.ingest.session import Heard, Limits, open_session
from streamwatch.ingest.sweeping import BUFFER, READ_BYTES, Seat, Sweep
from streamwatch.net.address import Guard
from streamwatch.net.tls import Trust
from streamwatch.net.udp import RECEIVE_BUFFER
from streamwatch.wire.ask import Ask
from streamwatch.wire.media import Keyframe
from streamwatch.wire.tally import Seen
from streamwatch.wire.watching import Watching

FOREIGN_COST: Final = 256  # bytes that a datagram of somebody else counts as at least: it is only thrown away
RATE: Final = 4 * 2**20  # bytes and `Watching.cost` a second of one session: 32 Mbit/s, twice what cameras of 4K send
BURST: Final = 4 * 2**20  # at once: the largest keyframe that is taken
MAX_PAUSE_S: Final = 1.0  # of reading, where it was too much; media that stops so long is no stall yet
STALL_S: Final = 10.0  # without a picture: the session is given up, as looks give up after so much silence
CHECK_S: Final = 2.5  # a stall is noticed so late


class Watcher(asyncio.BufferedProtocol):
    """One session that is open and watched. `keyframe` is called with each keyframe, at most one in `every_s` seconds
    (None: none is put together) and the moment (monotonic) at which it was whole; `ended` once it is over by itself;
    `spent` is told how many bytes of media came since it was last told, every few seconds and at the end.

    It is read in the turns of `sweep`, where there is one and its bytes are neither encrypted nor datagrams, else as
    they come. Says farewell and ends with `part` or `close`.
    """

    def __init__(
        self,
        opened: Opened,
        clock: Clock,
        *,
        every_s: float | None,
        max_pixels: int,
        max_bytes: int,
        keyframe: Callable[[Keyframe, float], None],
        ended: Callable[[LookError], None],
        sweep: Sweep | None = None,
        spent: Callable[[int], None] | None = None,
    ) -> None:
        now = clock.monotonic()
        self.transport_name = "http" if opened.upload is not None else "tcp" if opened.pair is None else "udp"
        self._opened = replace(opened, datagrams=())
        self._clock = clock
        self._every_s = every_s
        self._keyframe_at = now + every_s if every_s is not None else None
        self._watching = Watching(opened.leg, now, max_pixels=max_pixels, max_bytes=max_bytes)
        self._keyframe = keyframe
        self._ended = ended
        self._spent = spent
        self._told = 0  # bytes, to `spent`
        self._loop = asyncio.get_running_loop()
        self._parting: asyncio.Future[None] | None = None
        self._room = float(BURST)
        self._room_at = now
        self._cost = 0
        self._taken = 0  # bytes
        self._monotonic = clock.monotonic
        self._receive = self._watching.receive
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._seat: Seat | None = None
        opened.transport.set_protocol(self)
        if opened.pair is not None:
            opened.pair.listen(opened.senders, self._take_datagram, self._drop_datagram)
            for data, control in opened.datagrams:
                self._take_datagram(data, control)
        self._send(self._watching.go_on(now))
        self._after(now)
        if not self._closed:
            opened.transport.resume_reading()
            if sweep is not None and opened.pair is None:
                self._seat = sweep.join(opened.transport, self.buffer_updated, self._lost)
            self._tick()

    @property
    def over(self) -> bool:
        """Whether it has ended, by itself or not."""
        return self._closed

    @property
    def picture_at(self) -> float:
        """When the latest picture began to come (seconds, monotonic)."""
        return self._watching.picture_at

    def want_keyframe(self) -> None:
        """The next one, whenever it comes."""
        self._watching.wanted = True

    def take(self) -> Seen:
        """What came since this was last asked."""
        dropped = self._opened.pair.dropped() if self._opened.pair is not None else 0
        return self._watching.take(self._clock.monotonic(), dropped)

    def clock_offset_ms(self) -> float | None:
        """The device's clock minus ours, by its reports since this was last asked; None where it told no date."""
        return self._watching.clock_offset_ms(self._clock.utc_us() - round(self._clock.monotonic() * US))

    # ---- the interface of asyncio

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002
        return BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        now = self._monotonic()
        out = self._receive(BUFFER, 0, nbytes, now)
        if out is not None:
            self._send(out)
            self._after(now)
        self._taken += nbytes
        if self._taken > READ_BYTES:
            self._charge(now)

    def eof_received(self) -> None:
        self._lost()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._lost()

    def _lost(self) -> None:
        if self._parting is not None and not self._parting.done():
            self._parting.set_result(None)
        if not self._closed:
            self._watching.closed(self._clock.monotonic())
            self._after(self._clock.monotonic())

    # ---- what came

    def _take_datagram(self, data: bytes, control: bool) -> None:  # noqa: FBT001 - called by the pair
        if self._closed:
            return
        now = self._clock.monotonic()
        self._watching.datagram(data, now, control=control)
        if self._watching.keyframe is not None or self._watching.over is not None:
            self._after(now)
        if self._taken + self._watching.cost - self._cost > READ_BYTES:
            self._charge(now)

    def _drop_datagram(self, size: int) -> None:
        self._taken += max(size, FOREIGN_COST)
        if self._taken > READ_BYTES and not self._closed:
            self._charge(self._clock.monotonic())

    def _after(self, now: float) -> None:
        watching = self._watching
        if (found := watching.keyframe) is not None:
            watching.keyframe = None
            if not self._closed:
                self._keyframe(found, now)
        if self._parting is not None and watching.parted and not self._parting.done():
            self._parting.set_result(None)
        if watching.over is not None and not self._closed:
            self.close()
            self._ended(watching.over)

    def _charge(self, now: float) -> None:
        """Who sends more than any camera does waits, and others have their turn meanwhile."""
        taken = self._taken + self._watching.cost - self._cost
        room = min(BURST, self._room + (now - self._room_at) * RATE) - taken
        self._room, self._room_at, self._cost, self._taken = room, now, self._watching.cost, 0
        self._tell_spent()
        if room < 0 and not self._opened.transport.is_closing():
            self._opened.transport.pause_reading()
            if self._seat is not None:
                self._seat.paused = True
            if self._opened.pair is not None:
                self._opened.pair.pause()
            self._loop.call_later(min(MAX_PAUSE_S, -room / RATE), self._read_on)

    def _tell_spent(self) -> None:
        if self._spent is not None:
            came, self._told = self._watching.received_bytes - self._told, self._watching.received_bytes
            self._spent(came)

    def _read_on(self) -> None:
        if self._seat is not None:
            self._seat.paused = False
        if self._opened.pair is not None:
            self._opened.pair.resume()
        if not self._opened.transport.is_closing():
            self._opened.transport.resume_reading()

    # ---- what time brings

    def _tick(self) -> None:
        if self._closed:
            return
        now = self._clock.monotonic()
        watching = self._watching
        self._tell_spent()
        self._send(watching.tick(now))
        if self._keyframe_at is not None and self._every_s is not None and now >= self._keyframe_at:
            watching.wanted = True
            self._keyframe_at = now + self._every_s
        if now - watching.picture_at > STALL_S and watching.over is None:
            watching.over = LookError(Reason.MEDIA_NO_DATA, f"no picture came for {now - watching.picture_at:.1f} s")
        self._after(now)
        if not self._closed:
            wait_s = min(CHECK_S, watching.due - now)
            if self._keyframe_at is not None:
                wait_s = min(wait_s, self._keyframe_at - now)
            self._timer = self._loop.call_later(max(0.0, wait_s), self._tick)

    # ---- what we say

    def _send(self, data: bytes) -> None:
        opened = self._opened
        opened.send(data)
        if opened.pair is not None:
            for one in self._watching.take_datagrams():
                opened.pair.send(one.data, opened.peer, one.port, control=one.control)

    async def part(self) -> None:
        """Says farewell, waits a moment for the answer, so that the device's place is free again, and closes."""
        if self._closed:
            return
        self._end()
        try:
            self._parting = self._loop.create_future()
            self._send(self._watching.farewell())
            if not self._watching.parted:
                await asyncio.wait((self._parting,), timeout=FAREWELL_S)
        finally:
            self._tell_spent()
            self._opened.close()

    def close(self) -> None:
        """Says farewell and closes at once."""
        if not self._closed:
            self._end()
            self._send(self._watching.farewell())
            self._opened.close()

    def _end(self) -> None:
        self._closed = True
        self._tell_spent()
        if self._timer is not None:
            self._timer.cancel()
        if self._seat is not None:
            self._seat.leave()
            self._seat = None


async def part(opened: Opened, clock: Clock) -> None:
    """Says farewell in a session that nobody watches, and closes it."""
    if opened.leg.media is None:
        opened.close()
        return
    unheard = Watcher(
        opened, clock, every_s=None, max_pixels=0, max_bytes=0, keyframe=lambda _frame, _at: None, ended=lambda _: None
    )
    await unheard.part()


async def watch(
    ask: Ask,
    limits: Limits,
    *,
    clock: Clock,
    guard: Guard,
    trust: Trust | None = None,
    receive_buffer: int = RECEIVE_BUFFER,
    every_s: float | None = None,
    keyframe: Callable[[Keyframe, float], None] = lambda _frame, _at: None,
    ended: Callable[[LookError], None] = lambda _error: None,
    sweep: Sweep | None = None,
) -> tuple[Heard, Watcher | None]:
    """Opens a session by an ordinary conversation (`ask` of depth stream) and watches it from its keyframe on.

    None where the conversation failed, which `Heard` tells. The rest is as in `converse` and `Watcher`.
    """
    heard, opened = await open_session(
        ask, limits, clock=clock, guard=guard, trust=trust, receive_buffer=receive_buffer
    )
    if opened is None:
        return heard, None
    if opened.leg.media is None:  # of depth reach
        await part(opened, clock)
        return heard, None
    watcher = Watcher(
        opened,
        clock,
        every_s=every_s,
        max_pixels=ask.max_pixels,
        max_bytes=ask.max_media_bytes,
        keyframe=keyframe,
        ended=ended,
        sweep=sweep,
    )
    return heard, watcher
