"""Stage 3: many open sessions read together, a few times a second, instead of one by one at each packet.

A camera sends a picture every 40 ms, and a paced one a packet every few milliseconds. To be woken and to ask the kernel
for so little costs more than to count it. So bytes wait in the kernel, and all sessions of a group are read in one
turn of the loop. The kernel wakes us earlier where `EARLY_BYTES` wait (SO_RCVLOWAT), where its buffer runs full, and
where the device closes, so that no camera is slowed down by our not reading.

What is read came within the last `PERIOD_S`: times of arrival are known as exactly as that.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from typing import Final

READ_BYTES: Final = 64 * 1024  # of one read: a 4K camera's keyframe comes in ten
# One loop reads from one connection at a time, and what was read is taken before the next read.
BUFFER: Final = bytearray(READ_BYTES)

PERIOD_S: Final = 0.1  # between two readings of a session: 25 KB of 2 Mbit/s
# A burst wakes us when so much of it waits. Half of the window that Linux opens first (64 KB of tcp_rmem's 128 KB): a
# camera that sends a keyframe at 100 Mbit/s fills the other half in 2.6 ms.
EARLY_BYTES: Final = 32 * 1024
GROUP: Final = 16  # sessions that are read in one turn of the loop: 25 us each at 2 Mbit/s, then others have theirs
_AT_ONCE: Final = 1  # SO_RCVLOWAT as it is by default


class Seat:
    """One session's place in a group: it is read until it leaves, but where it is `paused`."""

    __slots__ = ("_group", "_socket", "fd", "lost", "paused", "take", "transport")

    def __init__(
        self,
        group: _Group,
        transport: asyncio.Transport,
        socket_: socket.socket,
        take: Callable[[int], None],
        lost: Callable[[], None],
    ) -> None:
        self._group = group
        self._socket = socket_
        self.transport = transport
        self.fd = socket_.fileno()
        self.take = take
        self.lost = lost
        self.paused = False

    def leave(self) -> None:
        """From here on it is read at each packet again, by its transport."""
        self._group.remove(self)
        if not self.transport.is_closing():
            _wake_at(self._socket, _AT_ONCE)


class Sweep:
    """The groups of one loop."""

    def __init__(self) -> None:
        self._groups: list[_Group] = []

    def join(self, transport: asyncio.Transport, take: Callable[[int], None], lost: Callable[[], None]) -> Seat | None:
        """Reads that connection from now on, beside its transport, which goes on reading where much waits.

        `take` is told how many bytes were read into `BUFFER`; `lost` that the connection is broken. None where it
        cannot be read so: what is encrypted is its transport's.
        """
        found = transport.get_extra_info("socket")
        if found is None or transport.get_extra_info("sslcontext") is not None or sys.platform != "linux":
            return None
        if not _wake_at(found, EARLY_BYTES):
            return None
        group = next((one for one in self._groups if len(one.seats) < GROUP), None)
        if group is None:
            group = _Group(self._groups.remove)
            self._groups.append(group)
        seat = Seat(group, transport, found, take, lost)
        group.seats.append(seat)
        return seat


class _Group:
    """Sessions that are read in the same turn, for as long as there are any."""

    __slots__ = ("_gone", "_loop", "_timer", "seats")

    def __init__(self, gone: Callable[[_Group], None]) -> None:
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self.seats: list[Seat] = []
        self._timer = self._loop.call_later(PERIOD_S, self._turn)

    def remove(self, seat: Seat) -> None:
        self.seats.remove(seat)
        if not self.seats:
            self._timer.cancel()
            self._gone(self)

    def _turn(self) -> None:
        self._timer = self._loop.call_later(PERIOD_S, self._turn)
        readv, buffers = os.readv, (BUFFER,)
        for seat in tuple(self.seats):
            if seat.paused or seat.transport.is_closing():  # whose file is closed, and may be another's soon
                continue
            try:
                try:
                    size = readv(seat.fd, buffers)
                except BlockingIOError:
                    continue
                except OSError:
                    seat.lost()
                    continue
                if size:  # else the device has closed, which the transport tells
                    seat.take(size)
            except Exception as error:  # noqa: BLE001 - told, and as where its transport reads it ends that session only
                told = {"message": "a session that is read in turns", "exception": error, "transport": seat.transport}
                self._loop.call_exception_handler(told)
                seat.transport.abort()


def _wake_at(of: socket.socket, size: int) -> bool:
    try:
        of.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)
    except OSError:
        return False
    return True
