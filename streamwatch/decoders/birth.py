"""Stage 4: the pool's side of the zygote: starts it, asks it for workers, and hears which of them ended."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

import streamwatch
from streamwatch.decoders.link import Worker, WorkerLost
from streamwatch.decoders.slot import Slot
from streamwatch.decoders.zygote import ENDED, NOTICE, READY, REQUEST, STARTED

READY_S: Final = 30.0  # loading av and numpy takes 0.3 s on an idle machine
HELLO_S: Final = 10.0  # forking and locking in takes 5 ms on an idle machine
KEPT_ENVIRONMENT: Final = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR")  # no secret of ours reaches a decoder


class Zygote:
    """A running zygote process. `open` starts it; `worker` makes a worker; `lost` is set when it is gone."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self._process = process
        self._control = control
        self._tickets = itertools.count(1)
        self._births: dict[int, tuple[Worker, asyncio.Future[None]]] = {}
        self._workers: dict[int, Worker] = {}
        self._ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.lost = asyncio.Event()
        self.threads = 1

    @classmethod
    async def open(cls, *, max_pixels: int, headroom_bytes: int, jail_required: bool) -> Zygote:
        """Starts one and waits until it has loaded everything. Raises WorkerLost."""
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        except OSError as error:
            raise WorkerLost(f"there is no socket for the decoder zygote ({error.strerror})") from error
        with theirs:
            try:
                process = _start(theirs.fileno(), max_pixels, headroom_bytes, jail_required=jail_required)
            except OSError as error:
                ours.close()
                raise WorkerLost(f"the decoder zygote cannot be started ({error.strerror})") from error
        ours.settimeout(0)
        found = cls(process, ours)
        asyncio.get_running_loop().add_reader(ours.fileno(), found._readable)
        try:
            async with asyncio.timeout(READY_S):
                found.threads = await asyncio.shield(found._ready)
        except BaseException as error:
            found.close()
            if isinstance(error, TimeoutError):
                raise WorkerLost(f"the decoder zygote was not ready within {READY_S:g} s") from error
            raise
        return found

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def worker(self) -> Worker:
        """A new worker, locked in or saying what is missing. Raises WorkerLost."""
        try:
            slot = Slot()
        except OSError as error:
            raise WorkerLost(f"there is no memory for its keyframes ({error.strerror})") from error
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        except OSError as error:
            slot.close()
            raise WorkerLost(f"there is no socket for it ({error.strerror})") from error
        ours.settimeout(0)
        worker = Worker(ours, slot)
        ticket = next(self._tickets)
        born: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            with theirs:
                self._births[ticket] = (worker, born)
                socket.send_fds(self._control, [REQUEST.pack(ticket)], [theirs.fileno(), slot.fd])
            async with asyncio.timeout(HELLO_S):
                await born
                await worker.hello()
        except BaseException as error:
            self._births.pop(ticket, None)
            worker.kill()
            worker.close()
            if isinstance(error, TimeoutError):
                raise WorkerLost(f"a new decoder was not ready within {HELLO_S:g} s") from error
            if isinstance(error, OSError):
                raise WorkerLost(f"the decoder zygote took no request ({error.strerror})") from error
            raise
        return worker

    def close(self) -> None:
        """Ends it, and with it every worker. It holds no state: killing loses nothing."""
        if self._control.fileno() < 0:
            return
        asyncio.get_running_loop().remove_reader(self._control.fileno())
        self._control.close()
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)  # a killed process is gone in microseconds; the wait only collects it
        self._lose()

    def _readable(self) -> None:
        while True:
            try:
                message, handles, _flags, _address = socket.recv_fds(self._control, NOTICE.size, 1)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                message, handles = b"", []
            if len(message) < NOTICE.size:
                self.close()
                return
            self._noticed(NOTICE.unpack(message), handles[0] if handles else None)

    def _noticed(self, notice: tuple[int, int, int, int], handle: int | None) -> None:
        kind, ticket, pid, detail = notice
        if kind == READY and not self._ready.done():
            self._ready.set_result(detail)
        elif kind == STARTED:
            self._started(ticket, pid, handle, detail)
        elif kind == ENDED:
            ended = self._workers.pop(pid, None)
            if ended is not None:
                ended.ended(detail)

    def _started(self, ticket: int, pid: int, handle: int | None, errno: int) -> None:
        worker, born = self._births.pop(ticket, (None, None))
        if worker is None or born is None or born.done():  # given up meanwhile: its socket is closed, it ends itself
            if handle is not None:
                os.close(handle)
        elif pid == 0:
            born.set_exception(WorkerLost(f"no process could be forked ({os.strerror(errno)})"))
        else:
            worker.born(pid, handle)
            self._workers[pid] = worker
            born.set_result(None)

    def _lose(self) -> None:
        """Everything that waits for it hears that it is gone; its workers are dead: the kernel killed them with it."""
        self.lost.set()
        gone = WorkerLost("the decoder zygote ended")
        for _worker, born in self._births.values():
            if not born.done():
                born.set_exception(gone)
        self._births.clear()
        workers, self._workers = self._workers, {}
        for worker in workers.values():
            worker.ended(None)
        if not self._ready.done():
            self._ready.set_exception(gone)
            self._ready.exception()  # whoever opened it may have given up: nobody need hear of it then


def _start(control: int, max_pixels: int, headroom_bytes: int, *, jail_required: bool) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", "streamwatch.decoders.zygote", str(control)]
    command += ["--parent", str(os.getpid()), "--max-pixels", str(max_pixels), "--headroom", str(headroom_bytes)]
    if jail_required:
        command.append("--jail-required")
    environment = {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
    environment["PYTHONPATH"] = str(Path(streamwatch.__file__).resolve().parents[1])
    environment["OPENBLAS_NUM_THREADS"] = environment["OMP_NUM_THREADS"] = "1"  # a zygote that forks has one thread
    return subprocess.Popen(  # noqa: S603 - no shell, no foreign argument
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=environment,
        pass_fds=(control,),
        start_new_session=True,  # a terminal's Ctrl-C is not for it, not even while it still imports
    )
