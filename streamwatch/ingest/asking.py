"""Stage 3's short way: whether a camera answers, asked in a connection of its own: connect, OPTIONS, answer, close.

Most answers are short and come whole, and one costs little more than its system calls: there is no task, no timer and
no transport of its own. Whatever is not as plain (a refusal, silence, an answer in pieces, an odd one, a device that
asks back) is `Begun`, and `session.converse` goes on with it where it stands, in the same connection. So there is one
set of rules for what a look comes to, and it is that one's.

All questions of a loop wait in one epoll: a loop of libuv makes and closes a handle for each socket that it watches,
which costs as much as the question.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import socket
from socket import SocketType  # without the layer in Python, which costs 3 us a connection
from typing import Final

from streamwatch.clock import Clock
from streamwatch.errors import LookError, Step
from streamwatch.ingest.session import Begun
from streamwatch.net.address import Address
from streamwatch.net.tcp import failure_of, unanswered
from streamwatch.wire.idle import MAX_PASSING, plain_answer, server_of

AT_ONCE: Final = 64  # questions that go on in one turn of the loop, 2 ms of work; the others in the next
GRAIN_S: Final = 0.001  # of the loop's timers: one may be so early
_READS, _FAILED = select.EPOLLIN, select.EPOLLERR | select.EPOLLHUP
_READS_OR_FAILED = _READS | _FAILED
_CHANGES = select.EPOLLIN | select.EPOLLOUT | select.EPOLLET
_TCP = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
_IN_PROGRESS: Final = errno.EINPROGRESS


class Question:
    """One question. Whoever asks makes his own of it, and hears of it once, by `answered`, `goes_on` or `broke`.

    `begun_at` and `asked_at` (0.0: there is no connection yet) are monotonic seconds.
    """

    __slots__ = ("_address", "_asking", "_socket", "_words", "asked_at", "begun_at")

    def __init__(self, address: Address, words: bytes, begun_at: float) -> None:
        self.begun_at = begun_at
        self.asked_at = 0.0
        self._address = address
        self._words = words
        self._socket: SocketType | None = None
        self._asking: Asking | None = None

    def answered(self, server: str | None, now: float) -> None:
        """It was answered; `server` is what the device calls itself."""
        raise NotImplementedError

    def goes_on(self, begun: Begun) -> None:
        """There is more to it: what `converse` has to go on with, the caller's to close."""
        raise NotImplementedError

    def broke(self, error: Exception) -> None:
        """A defect of ours ended it; its socket is closed. Raised by `answered` or `goes_on`, they were told before."""
        raise NotImplementedError

    def cancel(self) -> None:
        """Closes it; nobody is told."""
        one = self._end()
        if one is not None:
            one.close()

    # ---- for `Asking`

    def begin(self, asking: Asking) -> int:
        """Connects; the descriptor. Raises OSError where there is no socket to be had, or nowhere to go."""
        address = self._address
        one = self._socket = SocketType(address.family, _TCP)
        error = one.connect_ex((address.ip, address.port))
        if error and error != _IN_PROGRESS:
            raise OSError(error, os.strerror(error))
        self._asking = asking
        return one.fileno()

    def ready(self, events: int, asking: Asking) -> None:
        """Its socket is connected, has something to read, or failed."""
        one = self._socket
        if one is None:
            return
        if not self.asked_at:
            if events & _FAILED and (error := one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
                self.fail(failure_of(OSError(error, os.strerror(error)), Step.CONNECT))
                return
            self.asked_at = asking.monotonic()
            try:
                one.send(self._words)
            except OSError:  # whoever goes on finds the same
                self.go_on()
                return
        if not events & _READS_OR_FAILED:
            return
        data, server = b"", None
        try:
            data = one.recv(MAX_PASSING)
            plain = plain_answer(data, 1)
            if plain:
                server = server_of(data)
        except (OSError, ValueError):
            plain = False
        if not plain:
            self.go_on(data)
            return
        now = asking.monotonic()
        self._socket = None
        asking.forget(one.fileno())
        one.close()
        self.answered(server, now)

    def fail(self, error: LookError) -> None:
        """There is no connection."""
        self.cancel()
        self.goes_on(Begun(self.begun_at, error=error))

    def late(self, waited_s: float) -> None:
        """So long nothing came. A connection that is up is gone on with in the ordinary way."""
        if self._socket is None:
            return
        if self.asked_at:
            self.go_on()
        else:
            self.fail(unanswered(self._address.ip, self._address.port, waited_s))

    def go_on(self, data: bytes = b"") -> None:
        """In the ordinary way from here; `data` was read."""
        asking, one = self._asking, self._end()
        assert asking is not None
        assert one is not None
        asking.let_go(one.fileno())
        self.goes_on(Begun(self.begun_at, self.asked_at, socket.socket(fileno=one.detach()), data))

    def _end(self) -> SocketType | None:
        one, self._socket = self._socket, None
        if one is not None and self._asking is not None:
            self._asking.forget(one.fileno())
        return one


class Asking:
    """The questions of one loop that have no answer yet, each waiting `within_s` at most. `close` it."""

    def __init__(self, clock: Clock, within_s: float) -> None:
        self.monotonic = clock.monotonic
        self._within_s = within_s
        self._epoll: select.epoll | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._open: dict[int, Question] = {}  # by descriptor, those that began first in front
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._open)

    @property
    def open(self) -> tuple[Question, ...]:
        """Those that were told nothing yet."""
        return tuple(self._open.values())

    def ask(self, question: Question) -> None:
        """Asks, and gives up to wait in this way after `within_s`. Where nothing can be asked, it has heard of it."""
        epoll = self._epoll
        try:
            if epoll is None:
                epoll = self._start()
            fd = question.begin(self)
            epoll.register(fd, _CHANGES)
        except OSError as error:
            try:
                question.fail(failure_of(error, Step.CONNECT))
            except Exception as defect:  # noqa: BLE001 - it is told
                self._break(question, defect)
            return
        self._open[fd] = question
        if self._timer is None:
            self._wake_at(question.begun_at)

    def close(self) -> None:
        """Closes all; nobody is told."""
        for question in self.open:
            question.cancel()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._epoll is not None and self._loop is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None

    # ---- for its questions

    def forget(self, fd: int) -> None:
        """It hears no more; a socket that is closed is out of the epoll by itself."""
        self._open.pop(fd, None)

    def let_go(self, fd: int) -> None:
        """Its socket is somebody else's from now on."""
        if self._epoll is not None:
            self._epoll.unregister(fd)

    def _start(self) -> select.epoll:
        epoll = self._epoll = select.epoll()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(epoll.fileno(), self._ready)
        return epoll

    def _ready(self, most: int = AT_ONCE) -> None:
        if self._epoll is None:
            return
        for fd, events in self._epoll.poll(0, most):
            question = self._open.get(fd)
            if question is None:
                continue
            try:
                question.ready(events, self)
            except Exception as error:  # noqa: BLE001 - it is told
                self._break(question, error)

    @staticmethod
    def _break(question: Question, error: Exception) -> None:
        question.cancel()
        question.broke(error)

    def _wake_at(self, begun_at: float) -> None:
        assert self._loop is not None
        if self._timer is not None:  # of one that was asked by who was just told
            self._timer.cancel()
        left_s = begun_at + self._within_s - self.monotonic()
        self._timer = self._loop.call_later(max(GRAIN_S, left_s), self._wake)

    def _wake(self) -> None:
        """Gives up those that waited long enough; one timer is for all. What came is read before: we may be late."""
        self._timer = None
        self._ready(max(AT_ONCE, len(self._open)))  # by itself epoll tells of 1,023
        now = self.monotonic()
        for question in self.open:
            if now < question.begun_at + self._within_s:
                self._wake_at(question.begun_at)
                return
            try:
                question.late(self._within_s)
            except Exception as error:  # noqa: BLE001 - it is told
                self._break(question, error)
