"""The media of one session: its camera's loop of pictures, a frame at its time, or what a fault leaves of it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Protocol

from streamwatch.simulator.carriers import Carrier
from streamwatch.simulator.faults import Fault
from streamwatch.simulator.packets import CLOCK_RATE, Frame, Reel
from streamwatch.simulator.profile import FPS

MAX_LATE_S = 1.0  # behind by more, the pace starts anew instead of catching up in a burst
LOSS_SHARE = 0.1  # of all packets, and one more of every key frame


class Footage(Protocol):
    """What playing asks of its camera."""

    fault: Fault | None

    def showing(self, stream: str) -> Reel | None:
        """What the camera shows now; None while that is still being rendered."""
        ...

    def next_start(self, stream: str) -> int:
        """The group of pictures that the next PLAY begins with."""
        ...

    def turn(self, now: float) -> int | None:
        """Which turn of its key frames it is: one comes when that changes; None where every group has its own."""
        ...


class Playback:
    """From SETUP to the session's end; the fault is obeyed at every frame, its picture at every group of pictures.

    Owns `carrier`. `cut` ends a peer that does not read.
    """

    def __init__(self, footage: Footage, stream: str, carrier: Carrier, ssrc: int, cut: Callable[[], None]) -> None:
        self.carrier = carrier
        self.sequence, self.timestamp = random.getrandbits(16), random.getrandbits(32)
        self._footage, self._stream, self._ssrc, self._cut = footage, stream, ssrc, cut
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._reel: Reel | None = None
        self._gop = self._index = 0
        self._due = 0.0
        self._turn: int | None = None

    @property
    def playing(self) -> bool:
        """Whether frames leave."""
        return self._timer is not None

    def start(self) -> None:
        """The first frame leaves at once; again while it plays changes nothing."""
        if self._timer is None:
            self._gop = self._footage.next_start(self._stream)
            self._due = self._loop.time()
            self._turn = self._footage.turn(self._due)
            self._tick()

    def close(self) -> None:
        """No frame leaves any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.carrier.close()

    def _tick(self) -> None:
        """Sends the frame that is due and arms the timer for the next one."""
        self._find_place()
        key = self._index == 0
        due = self._next_frame()
        if due is not None:
            lost = _lost(len(due.starts), key=key) if self._footage.fault is Fault.LOSS else ()
            if not self.carrier.send(due, self.sequence, self.timestamp, self._ssrc, lost):
                self._cut()
                return
            self.sequence = (self.sequence + len(due.starts)) & 0xFFFF
        fps = FPS if self._reel is None else self._reel.fps
        self.timestamp = (self.timestamp + CLOCK_RATE // fps) & 0xFFFFFFFF
        self._due += 1 / fps
        now = self._loop.time()
        if self._due < now - MAX_LATE_S:
            self._due = now
        self._timer = self._loop.call_at(self._due, self._tick)

    def _find_place(self) -> None:
        """Goes to a key frame whose turn has come, and past one that comes too early; every group shows the present."""
        turn = self._footage.turn(self._due)
        came, self._turn = turn != self._turn, turn
        if came and self._index > 0:
            self._index, self._gop = 0, self._gop + 1
        if self._index == 0:
            self._reel = self._footage.showing(self._stream) or self._reel
            if turn is not None and not came and self._reel is not None:
                self._index = 1

    def _next_frame(self) -> Frame | None:
        """The next frame of the loop, or None where the camera's fault leaves it out."""
        if self._reel is None:
            return None
        gop = self._reel.gops[self._gop % len(self._reel.gops)]
        index = self._index
        self._index += 1
        if self._index == len(gop):
            self._index, self._gop = 0, self._gop + 1
        fault = self._footage.fault
        if fault in (Fault.NO_DATA, Fault.SILENT) or (fault is Fault.NO_KEYFRAME and index == 0):
            return None
        if fault is Fault.UDP_LOST and self.carrier.datagrams:
            return None
        return gop[index]


def _lost(packets: int, *, key: bool) -> frozenset[int]:
    """Which packets of a frame never arrive: of a key frame at least one behind its parameter sets.

    These are two packets at most, and at least one more follows, so the later half has none of them.
    """
    lost = {index for index in range(packets) if random.random() < LOSS_SHARE}
    if key:
        lost.add(random.randrange((packets + 1) // 2, packets))
    return frozenset(lost)
