"""The media of one session: its camera's loop of pictures, a frame at its time, or what a fault leaves of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from typing import Protocol

from streamwatch.simulator.carriers import Carrier
from streamwatch.simulator.faults import Fault
from streamwatch.simulator.packets import TICKS_A_FRAME, Frame, Reel
from streamwatch.simulator.profile import FPS
from streamwatch.simulator.switchboard import Switchboard

MAX_LATE_S = 1.0  # behind by more, the pace starts anew instead of catching up in a burst
LOSS_SHARE = 0.1  # of all packets, and one more of every key frame


class Footage(Protocol):
    """What playing asks of its camera."""

    fault: Fault | None
    loss: float  # the share of its packets that never arrive
    smart_s: float | None  # between two key frames, where they are rare

    def showing(self, stream: str) -> Reel | None:
        """What the camera shows now; None while that is still being rendered."""
        ...

    def next_start(self, stream: str) -> tuple[int, int]:
        """The group of pictures that the next PLAY begins with, and the picture in it; both modulo their number."""
        ...

    def turn(self, now: float) -> int | None:
        """Which turn of its key frames it is: one comes when that changes; None where every group has its own."""
        ...


class Playback:
    """From SETUP to the session's end; the fault is obeyed at every frame, its picture at every group of pictures.

    Owns `carrier`. `cut` ends a peer that does not read. `sequence` and `timestamp` are those of the next packet.
    """

    __slots__ = (
        "_cut", "_due", "_footage", "_gop", "_index", "_reel", "_ssrc", "_stream", "_turn", "_watch", "carrier",
        "playing", "sequence", "timestamp",
    )  # fmt: skip

    def __init__(
        self, footage: Footage, watch: Switchboard, stream: str, carrier: Carrier, ssrc: int, cut: Callable[[], None]
    ) -> None:
        self.carrier = carrier
        self.sequence, self.timestamp = random.getrandbits(16), random.getrandbits(32)
        self.playing = False  # whether frames leave
        self._footage, self._watch, self._stream, self._ssrc, self._cut = footage, watch, stream, ssrc, cut
        self._reel: Reel | None = None
        self._gop = self._index = 0
        self._due = 0.0
        self._turn: int | None = None

    def aim(self) -> None:
        """Chooses where `start` begins, if it does not play: media of a connection with the numbers of that place, as
        all others that begin there; datagrams with their own, by which a late one of an old session is known."""
        if self.playing:
            return
        self._gop, self._index = self._footage.next_start(self._stream)
        self._reel = self._footage.showing(self._stream) or self._reel
        if self._reel is not None and not self.carrier.datagrams:
            self.sequence, self.timestamp = self._reel.place(self._gop, self._index)

    def start(self) -> None:
        """The first frame leaves at once; again while it plays changes nothing."""
        if not self.playing:
            self.playing = True
            self._due = self._watch.time()
            self._turn = self._footage.turn(self._due)
            self._tick()

    def close(self) -> None:
        """No frame leaves any more."""
        self.playing = False
        self.carrier.close()

    def _tick(self) -> None:
        """Sends the frame that is due and asks to be called for the next one."""
        if not self.playing:
            return
        footage = self._footage
        if self._index == 0 or self._reel is None or footage.smart_s is not None:
            self._find_place()
        key = self._index == 0
        due = self._next_frame()
        if due is not None:
            packets = len(due.starts)
            lost = self._lost(packets, key=key) if footage.loss > 0 or footage.fault is not None else ()
            if not self.carrier.send(due, self.sequence, self.timestamp, self._ssrc, lost):
                self._cut()
                return
            self.sequence = (self.sequence + packets) & 0xFFFF
        reel = self._reel
        self.timestamp = (self.timestamp + (TICKS_A_FRAME if reel is None else reel.ticks)) & 0xFFFFFFFF
        self._due += 1 / FPS if reel is None else reel.period_s
        now = self._watch.time()
        if self._due < now - MAX_LATE_S:
            self._due = now
        self._watch.at(self._due, self._tick)

    def _lost(self, packets: int, *, key: bool) -> Collection[int]:
        """The packets of a frame that never arrive."""
        if self._footage.fault is Fault.LOSS:
            return _lost(packets, key=key)
        loss = self._footage.loss
        return [index for index in range(packets) if random.random() < loss] if loss > 0 else ()

    def _find_place(self) -> None:
        """Goes to a key frame whose turn has come, and past one that comes too early; every group shows the present."""
        turn = self._footage.turn(self._due)
        came, self._turn = turn != self._turn, turn
        if came and self._index > 0:
            self._index, self._gop = 0, self._gop + 1
        if self._index == 0 or self._reel is None:
            self._reel = self._footage.showing(self._stream) or self._reel
            if turn is not None and not came and self._reel is not None:
                self._index = 1

    def _next_frame(self) -> Frame | None:
        """The next frame of the loop, or None where the camera's fault leaves it out."""
        if self._reel is None:
            return None
        gop = self._reel.gops[self._gop % len(self._reel.gops)]
        index = self._index % len(gop)
        self._index = index + 1
        if self._index == len(gop):
            self._index, self._gop = 0, self._gop + 1
        fault = self._footage.fault
        if fault is not None:
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
