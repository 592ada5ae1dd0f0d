"""One simulated camera: its listener, its sessions, its fault. It has an address of its own, to be refused alone."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

from streamwatch.simulator.carriage import Carriage
from streamwatch.simulator.dialects import Dialect
from streamwatch.simulator.digest import proof
from streamwatch.simulator.faults import HOSTILE, SHOWN, Fault
from streamwatch.simulator.hostile.props import Props
from streamwatch.simulator.hostile.stage import Account, Hostility, Talk, perform
from streamwatch.simulator.library import Library
from streamwatch.simulator.packets import Reel
from streamwatch.simulator.render import GOPS, Variant
from streamwatch.simulator.session import Session

BACKLOG = 64
MAX_SESSIONS = 16  # of one camera; real ones take 4-20
ACCEPTS_A_TURN = 16  # connections taken before the loop may do something else
IDLE_S = 130.0  # twice the advertised 60 s and a little: who is neither playing nor asking is cut
NO_FILES_S = 1.0  # without a free descriptor new connections wait this long
# Steps through the loop from PLAY to PLAY: coprime to GOPS, so no start returns before all the others were used.
STRIDE = {"sub": 5, "main": 3, "full": 3}


class Camera:
    """A camera that listens on (address, port). `fault` is what is wrong with it now; change it by `apply`."""

    def __init__(
        self, *, code: str, name: str, village: str, scene: str, address: str, port: int, dialect: Dialect,
        username: str, password: str, start: int, library: Library, carriage: Carriage, smart_s: float | None = None,
        props: Callable[[], Awaitable[Props]], streams: tuple[str, ...] = ("sub", "main"),
    ) -> None:  # fmt: skip
        self.code, self.name, self.village, self.scene = code, name, village, scene
        self.address, self.port, self.dialect, self.carriage = address, port, dialect, carriage
        self.username, self.password = username, password
        self.smart_s = smart_s  # between two key frames of a codec that saves them; its encoder runs, whoever watches
        self.proof = proof(username, dialect.realm, password, qop=dialect.qop, sha256=dialect.sha256)
        self.fault: Fault | None = None
        self.hostility: Hostility | None = None  # in place of a fault
        self._library = library
        self._props = props
        self._hostile: set[asyncio.Task[None]] = set()
        self._turns = 0
        self.streams = streams
        self._starts = dict.fromkeys(GOPS, start)
        self._sessions: set[Session] = set()
        self._joining: set[asyncio.Task[tuple[asyncio.Transport, Session]]] = set()
        self._listener: socket.socket | None = None
        self._filler: socket.socket | None = None

    @property
    def url(self) -> str:
        """The main stream, without credentials."""
        return f"rtsp://{self.address}:{self.port}{self.dialect.main}"

    @property
    def sub_url(self) -> str:
        """The sub stream, without credentials."""
        return f"rtsp://{self.address}:{self.port}{self.dialect.sub}"

    def url_of(self, stream: str) -> str:
        """`sub`, `main` or `full`, without credentials."""
        return f"rtsp://{self.address}:{self.port}{self.dialect.path(stream)}"

    @property
    def sessions(self) -> int:
        """How many connections it has now."""
        return len(self._sessions) + len(self._hostile)

    @property
    def fault_name(self) -> str | None:
        """What is wrong with it, as the control port names it."""
        return f"{HOSTILE}{self.hostility.name}" if self.hostility is not None else self.fault

    def open(self) -> None:
        """Binds and listens. Raises OSError where the address or the port cannot be had."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.settimeout(0)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.address, self.port))
        except OSError:
            listener.close()
            raise
        self._listener = listener
        self._listen()

    def close(self) -> None:
        """Ends the listener and all sessions."""
        self._empty()
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = None
        self.cut()

    def cut(self) -> None:
        """Resets all sessions, and ends hostile ones."""
        for session in list(self._sessions):
            session.cut()
        for task in self._hostile:
            task.cancel()

    def sweep(self, now: float) -> None:
        """Cuts sessions that neither play nor ask; `now` is the loop's time."""
        for session in list(self._sessions):
            if session.abandoned(now, IDLE_S):
                session.cut()

    def apply(self, fault: Fault | Hostility | None) -> None:
        """Becomes faulty in this way, or healthy; takes effect before this returns (pictures: at the next group).

        Raises OSError, and changes nothing, where a camera cannot play dead for want of a file descriptor.
        """
        before, was_hostile = self.fault, self.hostility
        if fault is (was_hostile or before):
            return
        filler = socket.socket(socket.AF_INET, socket.SOCK_STREAM) if fault is Fault.DEAD else None
        self.hostility = fault if isinstance(fault, Hostility) else None
        self.fault = None if isinstance(fault, Hostility) else fault
        self._empty()
        if self.hostility is not None or was_hostile is not None:
            self.cut()  # nobody is half a hostile camera
        if filler is not None:
            self._play_dead(filler)
        elif fault is Fault.REFUSED:
            self._refuse()
        elif before in (Fault.DEAD, Fault.REFUSED):
            self._listen()

    def _listen(self) -> None:
        assert self._listener is not None
        self._drain()
        self._listener.listen(BACKLOG)
        asyncio.get_running_loop().add_reader(self._listener.fileno(), self._accept)

    def _play_dead(self, filler: socket.socket) -> None:
        """Keeps listening with a queue that is full: the kernel drops every SYN, as where nothing is plugged in.

        A backlog of 0 holds one connection that nobody accepts: `filler`.
        """
        listener = self._listener
        assert listener is not None
        asyncio.get_running_loop().remove_reader(listener.fileno())
        listener.listen(0)
        self._drain()
        self.cut()
        filler.settimeout(0)
        with suppress(BlockingIOError):
            filler.connect((self.address, self.port))
        self._filler = filler

    def _empty(self) -> None:
        if self._filler is not None:
            self._filler.close()
            self._filler = None

    def _refuse(self) -> None:
        """Stops listening but keeps the port, so that nobody takes it meanwhile."""
        assert self._listener is not None
        asyncio.get_running_loop().remove_reader(self._listener.fileno())
        self._drain()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self.cut()

    def _drain(self) -> None:
        """Closes connections that the kernel completed and nobody took."""
        assert self._listener is not None
        with suppress(OSError):
            while True:
                self._listener.accept()[0].close()

    def _accept(self) -> None:
        assert self._listener is not None
        loop = asyncio.get_running_loop()
        for _ in range(ACCEPTS_A_TURN):
            try:
                connection, _ = self._listener.accept()
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):  # the loop would call again at once, for ever
                    loop.remove_reader(self._listener.fileno())
                    loop.call_later(NO_FILES_S, self._resume)
                return
            connection.settimeout(0)
            if self.hostility is not None:
                self._play(self.hostility, connection)
                continue
            task = loop.create_task(loop.connect_accepted_socket(self._session, connection))
            self._joining.add(task)
            task.add_done_callback(self._joined)

    def _resume(self) -> None:
        if self._listener is not None and self.fault not in (Fault.DEAD, Fault.REFUSED):
            asyncio.get_running_loop().add_reader(self._listener.fileno(), self._accept)

    def _joined(self, task: asyncio.Task[tuple[asyncio.Transport, Session]]) -> None:
        self._joining.discard(task)
        if not task.cancelled():
            task.exception()  # a peer that is gone already is nobody's fault

    def _play(self, what: Hostility, connection: socket.socket) -> None:
        if self.sessions >= MAX_SESSIONS:
            connection.close()
            return
        task = asyncio.get_running_loop().create_task(self._perform(what, connection))
        self._hostile.add(task)
        task.add_done_callback(self._performed)

    async def _perform(self, what: Hostility, connection: socket.socket) -> None:
        self._turns += 1
        turn = self._turns - 1
        try:
            props = await self._props()
            reader, writer = await asyncio.open_connection(sock=connection)
        except BaseException:
            connection.close()
            raise
        await perform(what, Talk(reader, writer, props, Account(self.username, self.password), turn))

    def _performed(self, task: asyncio.Task[None]) -> None:
        self._hostile.discard(task)
        if not task.cancelled():
            task.exception()  # a peer that is gone already is nobody's fault

    def _session(self) -> Session:
        return Session(self)

    def joined(self, session: Session) -> bool:
        """A connection came; False where there are too many, or the camera went away meanwhile."""
        if self._listener is None or len(self._sessions) >= MAX_SESSIONS or self.fault in (Fault.DEAD, Fault.REFUSED):
            return False
        self._sessions.add(session)
        return True

    def left(self, session: Session) -> None:
        """A connection is gone."""
        self._sessions.discard(session)

    def _variant(self) -> Variant:
        return SHOWN.get(self.fault, Variant.HEALTHY) if self.fault is not None else Variant.HEALTHY

    def showing(self, stream: str) -> Reel | None:
        """What the camera shows now; None, and the renderer is set to work, where it is not rendered yet."""
        reel = self._library.ready(self.scene, self._variant(), stream, stap=self.dialect.stap)
        if reel is None:
            self._library.request(self.scene, self._variant(), stream)
        return reel

    async def shown(self, stream: str) -> Reel:
        """The same, waiting for the renderer."""
        return await self._library.get(self.scene, self._variant(), stream, stap=self.dialect.stap)

    def next_start(self, stream: str) -> int:
        """The group that the next PLAY of `stream` begins with, modulo their number: none of those before, but one."""
        start = self._starts[stream]
        self._starts[stream] = start + STRIDE[stream]
        return start

    def turn(self, now: float) -> int | None:
        """Which turn of its key frames it is at `now` (the loop's time); None where every group has its own."""
        return None if self.smart_s is None else int(now / self.smart_s)
