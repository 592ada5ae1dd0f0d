"""All connections of a farm: one epoll for them, one timer for what they have to say later, a send a packet.

asyncio's own transports cost more for a look than the look itself: a task, a transport and several handles a
connection, a timer a frame, and small writes that are joined where each was to leave alone. The loop sees the
switchboard as one file that is readable.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import os
import select
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final, Protocol

READ: Final = 4096  # bytes; a request has some hundreds, and what is left is read in the next turn
EVENTS: Final = 512  # taken from the kernel at a time
ROUNDS: Final = 4  # of that before the loop does something else
RUN: Final = 64  # packets of a connection in a row, each a write: a key frame of 90 KB, or about 0.1 ms
SLOT_S: Final = 0.005  # what is due within the same slot is done together: 200 wakes a second, however many sessions
GONE: Final = select.EPOLLHUP | select.EPOLLERR  # reset, or closed both ways
RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # struct linger: on, for no time
Bytes = bytes | bytearray | memoryview


class Peer(Protocol):
    """Who speaks at a connection."""

    def received(self, data: bytes) -> None:
        """Bytes came."""
        ...

    def lost(self) -> None:
        """The connection is gone; called once."""
        ...


class _Plug(Protocol):
    def ready(self, events: int) -> None: ...


class Connection:
    """A connection that was accepted. What is written leaves at once, or when the peer takes it: words first and in
    their order, then packets in theirs. No packet is ever cut in two by a word.

    It is a bare file: a socket object for each cost a look more than its requests.
    """

    __slots__ = ("_board", "_closing", "_file", "_held", "_pacing", "_packets", "_words", "peer", "unsent")

    def __init__(self, board: Switchboard, file: int) -> None:
        self._board = board
        self._file = file
        self._held: bytes | None = None  # words that leave with the next that is written
        self._words: deque[Bytes] | None = None  # while the kernel takes no more: the first may have begun to leave
        self._packets: deque[Bytes] | None = None
        self._pacing = False  # its turn comes round by itself
        self._closing = False
        self.peer: Peer | None = None
        self.unsent = 0  # bytes

    @property
    def open(self) -> bool:
        """Whether it may still be written to."""
        return self._file >= 0 and not self._closing

    def address(self) -> str:
        """The peer's IP address. Raises OSError where it is gone."""
        with _borrowed(self._file) as own:
            return str(own.getpeername()[0])

    def hold(self, words: bytes) -> None:
        """Words that need not leave alone: they go with what is written next, at the latest with `release`."""
        self.release()
        self._held = words

    def release(self) -> None:
        """Sends words that were held, if nothing has taken them along."""
        words, self._held = self._held, None
        if words is not None:
            self.write(words)

    def write(self, data: Bytes) -> None:
        """Sends it: words, or packets that are to leave at once."""
        if self._words is not None:
            if self._held is not None:
                self.release()
            self._words.append(data)
            self.unsent += len(data)
        elif self._file >= 0:
            if self._held is not None:
                self._send_both(data)
            else:
                self._send(data)

    def write_each(self, packets: Iterable[Bytes]) -> None:
        """Sends each packet by a write of its own: the first RUN at once, behind them other connections taking their
        turns between."""
        if self._held is not None:
            self.release()
        coming = iter(packets)
        if not self._packets and self._words is None:
            for packet in islice(coming, RUN):
                if self._file < 0 or not self._send(packet):
                    break
        if self._file < 0:
            return
        for packet in coming:
            if self._packets is None:
                self._packets = deque()
            self._packets.append(packet)
            self.unsent += len(packet)
        self._pace()

    def forget(self) -> None:
        """Takes back the packets that wait, but for one that has begun to leave."""
        if self._packets is not None:
            self.unsent -= sum(map(len, self._packets))
            self._packets = None

    def step(self) -> bool:
        """Sends one packet; whether more wait that the kernel might take now. For the switchboard."""
        packets = self._packets
        if packets and self._words is None:
            packet = packets.popleft()
            self.unsent -= len(packet)
            self._send(packet)
            if packets and self._words is None and self._file >= 0:
                return True
        self._pacing = False
        if self._closing and not self._packets and self._words is None:
            self._end()
        return False

    def close(self) -> None:
        """FIN, behind what waits."""
        self.release()
        self._closing = True
        if not self._packets and self._words is None:
            self._end()

    def cut(self) -> None:
        """RST, and what waits is lost: as from a device that has lost its memory."""
        if self._file >= 0:
            with contextlib.suppress(OSError), _borrowed(self._file) as own:
                own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            self._end()

    def ready(self, events: int) -> None:
        """What epoll said. For the switchboard."""
        if events == select.EPOLLIN:
            self._read()
        elif events & GONE:
            self._end()  # whatever it has said before, nobody is there to be answered
        else:
            if events & select.EPOLLOUT:
                self._go_on()
            if events & select.EPOLLIN:
                self._read()

    def _read(self) -> None:
        if self._file < 0:
            return
        try:
            data = os.read(self._file, READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end()
        elif self.peer is not None and not self._closing:
            self.peer.received(data)

    def _send(self, data: Bytes) -> bool:
        """Whether all of it left: keeps what the kernel does not take, ends the connection where the peer is gone."""
        try:
            sent = os.write(self._file, data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._end()
            return False
        if sent == len(data):
            return True
        self._keep_rest(data, sent)
        return False

    def _send_both(self, data: Bytes) -> None:
        """What was held and this, by one write."""
        held, self._held = self._held, None
        assert held is not None
        try:
            sent = os.writev(self._file, (held, data))
        except BlockingIOError:
            sent = 0
        except OSError:
            self._end()
            return
        if sent < len(held) + len(data):
            self._keep_rest(held + data, sent)

    def _keep_rest(self, data: Bytes, sent: int) -> None:
        self._words = deque((memoryview(data)[sent:],))
        self.unsent += len(data) - sent
        self._board.watch(self._file, select.EPOLLIN | select.EPOLLOUT)

    def _keep(self, words: Iterable[Bytes]) -> None:
        if self._words is not None:
            self._words.extend(words)

    def _go_on(self) -> None:
        """The kernel takes more."""
        words, self._words = self._words, None
        while words:
            data = words.popleft()
            self.unsent -= len(data)
            if not self._send(data):
                self._keep(words)
                return
        self._board.watch(self._file, select.EPOLLIN)
        self._pace()
        if self._closing and not self._packets:
            self._end()

    def _pace(self) -> None:
        if self._packets and self._words is None and not self._pacing:
            self._pacing = True
            self._board.pace(self)

    def _end(self) -> None:
        if self._file < 0:
            return
        self._board.forget(self._file)
        file, self._file = self._file, -1
        os.close(file)
        self._words = self._packets = self._held = None
        self.unsent = 0
        peer, self.peer = self.peer, None  # they hold each other: let no collector have to find out
        if peer is not None:
            peer.lost()


@contextlib.contextmanager
def _borrowed(file: int) -> Iterator[socket.socket]:
    """A socket object of that file, which stays open. Raises OSError where it is none, or none any more."""
    own = socket.socket(fileno=file)
    try:
        yield own
    finally:
        own.detach()


class _Listener:
    """A socket that listens, and who takes its connections."""

    __slots__ = ("_accept",)

    def __init__(self, accept: Callable[[], None]) -> None:
        self._accept = accept

    def ready(self, _events: int) -> None:
        self._accept()


class Switchboard:
    """Belongs to the running loop; `aclose` ends what is left on it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._epoll = select.epoll()
        self._plugs: dict[int, _Plug] = {}
        self._pacing: deque[Connection] = deque()
        self._slots: dict[int, list[Callable[[], None]]] = {}
        self._order: list[int] = []  # heap of the slots that there are
        self._timer: asyncio.TimerHandle | None = None
        self._pace_asked = False
        self._loop.add_reader(self._epoll.fileno(), self._turn)

    def time(self) -> float:
        """The loop's time, in seconds."""
        return self._loop.time()

    def listen(self, listener: socket.socket, accept: Callable[[], None]) -> None:
        """Calls `accept` while connections wait at a listening socket."""
        self._plugs[listener.fileno()] = _Listener(accept)
        self._epoll.register(listener.fileno(), select.EPOLLIN)

    def ignore(self, listener: socket.socket) -> None:
        """No more of its connections; it may not have been listened to at all."""
        if self._plugs.pop(listener.fileno(), None) is not None:
            self._epoll.unregister(listener.fileno())

    def connect(self, file: int) -> Connection:
        """Takes over a connection, the file of a socket; its `peer` is to be set before the loop goes on."""
        os.set_blocking(file, False)
        connection = self._plugs[file] = Connection(self, file)
        self._epoll.register(file, select.EPOLLIN)
        return connection

    def at(self, when: float, call: Callable[[], None]) -> None:
        """Calls when the loop's time is `when`, give or take SLOT_S; who does not want it any more ignores it."""
        slot = int(when / SLOT_S) + 1
        waiting = self._slots.get(slot)
        if waiting is not None:
            waiting.append(call)
            return
        self._slots[slot] = [call]
        heapq.heappush(self._order, slot)
        if self._order[0] == slot:
            self._arm()

    def pace(self, connection: Connection) -> None:
        """Lets a connection send a piece a turn until it has none."""
        self._pacing.append(connection)
        if not self._pace_asked:
            self._pace_asked = True
            self._loop.call_soon(self._pace)

    def watch(self, file: int, events: int) -> None:
        """What to look for at a connection."""
        self._epoll.modify(file, events)

    def forget(self, file: int) -> None:
        """A connection is about to be closed, which takes it out of epoll too."""
        self._plugs.pop(file, None)

    def close(self) -> None:
        """Cuts what is connected and takes no more; may be called twice."""
        if self._epoll.closed:
            return
        for plug in list(self._plugs.values()):
            if isinstance(plug, Connection):
                plug.cut()
        if self._timer is not None:
            self._timer.cancel()
        self._slots.clear()
        self._order.clear()
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _turn(self) -> None:
        plugs = self._plugs
        for _ in range(ROUNDS):
            found = self._epoll.poll(0, EVENTS)
            for file, events in found:
                plug = plugs.get(file)  # none where something earlier in this turn has closed it
                if plug is not None:
                    plug.ready(events)
            if not found or self._epoll.closed:
                break

    def _pace(self) -> None:
        """One piece of every connection that has some."""
        pacing = self._pacing
        for _ in range(len(pacing)):
            connection = pacing.popleft()
            if connection.step():
                pacing.append(connection)
        self._pace_asked = bool(pacing)
        if pacing:
            self._loop.call_soon(self._pace)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._order[0] * SLOT_S, self._tick)

    def _tick(self) -> None:
        self._timer = None
        present = int(self._loop.time() / SLOT_S + 0.5)  # a timer may fire a little early, as uvloop's does
        while self._order and self._order[0] <= present:
            for call in self._slots.pop(heapq.heappop(self._order)):
                call()
        if self._order and self._timer is None:
            self._arm()
