"""One simulated camera: its sessions, its fault, and its listener, where it has one of its own to be refused alone."""

from __future__ import annotations

import asyncio
import errno
import random
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from streamwatch.simulator.carriage import Carriage
from streamwatch.simulator.dialects import Dialect
from streamwatch.simulator.digest import Proof, proof
from streamwatch.simulator.faults import HOSTILE, SHOWN, Fault, Line
from streamwatch.simulator.hostile.props import Props
from streamwatch.simulator.hostile.stage import Account, Hostility, Talk, perform
from streamwatch.simulator.library import Library
from streamwatch.simulator.packets import Reel
from streamwatch.simulator.render import Variant
from streamwatch.simulator.session import Session
from streamwatch.simulator.switchboard import Switchboard

BACKLOG = 64
MAX_SESSIONS = 16  # of one camera; real ones take 4-20
IDLE_S = 130.0  # twice the advertised 60 s and a little: who is neither playing nor asking is cut
NO_FILES_S = 1.0  # without a free descriptor new connections wait this long
# Steps through the loop from PLAY to PLAY: coprime to the number of its groups, so no start returns before all the
# others were used.
# Groups between what two visits see first. Of 13 groups and a stride of 11, five visits and a group that the last one
# waited for do not come back to where they began: what was not frozen would look so.
STRIDE = {"sub": 11, "main": 3, "full": 3}


@dataclass(frozen=True, slots=True)
class House:
    """What all devices of a farm share. `wide`: one listener takes the connections of all. `random_start`: who begins
    to watch begins within a group of pictures of so many; 0: at a key frame. `ssrc`: that of all media
    within connections."""

    board: Switchboard
    library: Library
    props: Callable[[], Awaitable[Props]]
    streams: tuple[str, ...]
    paced: bool
    wide: bool
    random_start: int
    ssrc: int = field(default_factory=lambda: random.getrandbits(32))


class Camera:
    """A camera at (address, port). `fault` is what is wrong with it now; change it by `apply`."""

    __slots__ = (
        "_filler", "_hostile", "_house", "_listener", "_open", "_own", "_proof", "_sessions", "_start", "_turns",
        "address", "board", "carriage", "code", "dialect", "fault", "hostility", "latency_s", "line", "loss", "name",
        "paced", "password", "port", "scene", "smart_s", "ssrc", "streams", "username", "village",
    )  # fmt: skip

    def __init__(
        self, house: House, *, code: str, name: str, village: str, scene: str, address: str, port: int,
        dialect: Dialect, username: str, password: str, start: int, carriage: Carriage, smart_s: float | None = None,
        latency_s: float = 0.0, loss: float = 0.0,
    ) -> None:  # fmt: skip
        self.code, self.name, self.village, self.scene = code, name, village, scene
        self.address, self.port, self.dialect, self.carriage = address, port, dialect, carriage
        self.username, self.password = username, password
        self.smart_s = smart_s  # between two key frames of a codec that saves them; its encoder runs, whoever watches
        self._own = self.latency_s, self.loss = latency_s, loss
        self.board, self.streams, self.paced, self.ssrc = house.board, house.streams, house.paced, house.ssrc
        self.fault: Fault | None = None
        self.hostility: Hostility | None = None  # in place of a fault
        self.line: Line | None = None  # so too
        self._house = house
        self._proof: Proof | None = None
        self._hostile: list[asyncio.Task[None]] = []
        self._turns = 0
        self._start = start
        self._sessions: list[Session] = []
        self._open = True
        self._listener: socket.socket | None = None
        self._filler: socket.socket | None = None

    @property
    def proof(self) -> Proof:
        """What a right Digest answer shows."""
        if self._proof is None:
            dialect = self.dialect
            self._proof = proof(self.username, dialect.realm, self.password, qop=dialect.qop, sha256=dialect.sha256)
        return self._proof

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
        if self.hostility is not None:
            return f"{HOSTILE}{self.hostility.name}"
        return self.line.name if self.line is not None else self.fault

    @property
    def idle(self) -> bool:
        """Whether it is as one that nobody has looked at."""
        return not self._sessions and not self._hostile and self.fault_name is None

    def open(self) -> None:
        """Binds and listens, where it has a listener of its own. Raises OSError where that cannot be had."""
        if not self._house.wide:
            self._listener = listening(self.address, self.port)
            self._listen()

    def close(self) -> None:
        """Ends the listener and all sessions."""
        self._open = False
        self._empty()
        self._hang_up()
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

    def apply(self, fault: Fault | Hostility | Line | None) -> None:
        """Becomes faulty in this way, or healthy; takes effect before this returns (pictures: at the next group).

        Raises OSError, and changes nothing, where a camera cannot play dead for want of a file descriptor.
        """
        before, was_hostile = self.fault, self.hostility
        if fault == (was_hostile or self.line or before):
            return
        filler = self._filling() if fault is Fault.DEAD else None
        self.hostility = fault if isinstance(fault, Hostility) else None
        self.line = fault if isinstance(fault, Line) else None
        self.fault = fault if isinstance(fault, Fault) else None
        self.latency_s, self.loss = self._own
        if self.line is not None:
            self.latency_s = self.latency_s if self.line.latency_s is None else self.line.latency_s
            self.loss = self.loss if self.line.loss is None else self.line.loss
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
        """Takes connections again: by its own listener, or by leaving them to the farm's."""
        if self._house.wide:
            self._hang_up()
            return
        assert self._listener is not None
        self._drain()
        self._listener.listen(BACKLOG)
        self.board.listen(self._listener, self._accept)

    def _hang_up(self) -> None:
        if self._listener is not None:
            self.board.ignore(self._listener)
            self._listener.close()
            self._listener = None

    def _filling(self) -> socket.socket:
        """What playing dead takes: a socket, and a listener of its own, which precedes the farm's. Raises OSError."""
        filler = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if self._listener is None:
            try:
                self._listener = listening(self.address, self.port, shared=True)
            except OSError:
                filler.close()
                raise
        return filler

    def _play_dead(self, filler: socket.socket) -> None:
        """Keeps listening with a queue that is full: the kernel drops every SYN, as where nothing is plugged in.

        A backlog of 0 holds one connection that nobody accepts: `filler`.
        """
        listener = self._listener
        assert listener is not None
        self.board.ignore(listener)
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
        self.board.ignore(self._listener)
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
        if not accept_from(self._listener, self.take, 1):  # the loop would call again at once, for ever
            self.board.ignore(self._listener)
            self.board.at(self.board.time() + NO_FILES_S, self._resume)

    def _resume(self) -> None:
        if self._listener is not None and self.fault not in (Fault.DEAD, Fault.REFUSED):
            self.board.listen(self._listener, self._accept)

    def take(self, file: int) -> None:
        """A connection to this camera, by its file."""
        if self.hostility is not None:
            self._play(self.hostility, socket.socket(fileno=file))
        else:
            Session(self, self.board.connect(file))

    def _play(self, what: Hostility, connection: socket.socket) -> None:
        if self.sessions >= MAX_SESSIONS:
            connection.close()
            return
        connection.settimeout(0)
        task = asyncio.get_running_loop().create_task(self._perform(what, connection))
        self._hostile.append(task)
        task.add_done_callback(self._performed)

    async def _perform(self, what: Hostility, connection: socket.socket) -> None:
        self._turns += 1
        turn = self._turns - 1
        try:
            props = await self._house.props()
            reader, writer = await asyncio.open_connection(sock=connection)
        except BaseException:
            connection.close()
            raise
        await perform(what, Talk(reader, writer, props, Account(self.username, self.password), turn))

    def _performed(self, task: asyncio.Task[None]) -> None:
        self._hostile.remove(task)
        if not task.cancelled():
            task.exception()  # a peer that is gone already is nobody's fault

    def joined(self, session: Session) -> bool:
        """A connection came; False where there are too many, or the camera went away meanwhile."""
        if not self._open or len(self._sessions) >= MAX_SESSIONS or self.fault in (Fault.DEAD, Fault.REFUSED):
            return False
        self._sessions.append(session)
        return True

    def left(self, session: Session) -> None:
        """A connection is gone."""
        if session in self._sessions:
            self._sessions.remove(session)

    def _variant(self) -> Variant:
        return SHOWN.get(self.fault, Variant.HEALTHY) if self.fault is not None else Variant.HEALTHY

    def showing(self, stream: str) -> Reel | None:
        """What the camera shows now; None, and the renderer is set to work, where it is not rendered yet."""
        reel = self._house.library.ready(self.scene, self._variant(), stream, stap=self.dialect.stap)
        if reel is None:
            self._house.library.request(self.scene, self._variant(), stream)
        return reel

    async def shown(self, stream: str) -> Reel:
        """The same, waiting for the renderer."""
        return await self._house.library.get(self.scene, self._variant(), stream, stap=self.dialect.stap)

    def next_start(self, stream: str) -> tuple[int, int]:
        """The group that the next PLAY of `stream` begins with, modulo their number, and the picture in it."""
        start = self._start
        self._start = start + 1
        within = random.randrange(self._house.random_start) if self._house.random_start else 0
        return start * STRIDE[stream], within

    def turn(self, now: float) -> int | None:
        """Which turn of its key frames it is at `now` (the loop's time); None where every group has its own."""
        return None if self.smart_s is None else int(now / self.smart_s)


def listening(address: str, port: int, *, shared: bool = False) -> socket.socket:
    """A socket that may listen there: alone, or beside a wider one. Raises OSError."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.settimeout(0)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # its connections inherit it
        listener.bind((address, port))
    except OSError:
        listener.close()
        raise
    return listener


def accept_from(listener: socket.socket, take: Callable[[int], None], most: int) -> bool:
    """Takes so many of the connections that wait, by their files. False without a free descriptor for the next one."""
    for _ in range(most):
        try:
            file, _ = listener._accept()  # type: ignore[attr-defined]  # accept() without a socket object
        except OSError as error:
            return error.errno not in (errno.EMFILE, errno.ENFILE)
        take(file)
    return True
