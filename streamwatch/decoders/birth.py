"""Stage 4: the pool's side of the zygote: starts it, asks it for workers, and hears which of them ended."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec

import streamwatch
from streamwatch.decoders.job import (
    LENGTH,
    MAX_CHUNK_BYTES,
    MAX_FRAMES,
    MAX_TOLD_BYTES,
    DecodeResult,
    FileDone,
    FileJob,
    Frame,
    decode_hello,
    decode_result,
    decode_told,
    framed,
)
from streamwatch.decoders.source import Source
from streamwatch.decoders.zygote import ENDED, NOTICE, READY, REQUEST, STARTED
from streamwatch.errors import StreamwatchError

MAX_REPLY_BYTES: Final = 64 * 2**10  # a result: 1.6 KiB of fingerprint and some dozen numbers; a jailed worker may lie
READ_BYTES: Final = 4096  # a whole result, or a piece of a larger one
READY_S: Final = 30.0  # loading av and numpy takes 0.3 s on an idle machine
HELLO_S: Final = 10.0  # forking and locking in takes 5 ms on an idle machine
LAST_WORD_S: Final = 2.0  # a zygote that lives tells of an end in a millisecond; under load it may take longer
KEPT_ENVIRONMENT: Final = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR")  # no secret of ours reaches a decoder


class WorkerLost(StreamwatchError):  # noqa: N818 - it is what happened, not a mistake
    """A worker, or the zygote that should make one, is gone; the text says how, as far as is known."""


class Worker:
    """One worker as the pool sees it: its socket, and a handle that can only kill exactly this process."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._handle: int | None = None
        self.pid = 0
        self.jobs = 0
        self.busy_s = 0.0
        self.jailed = False
        self.detail = ""
        self.gone = asyncio.Event()
        self.status: int | None = None  # as of waitpid, once it ended and the zygote lived to tell

    def born(self, pid: int, handle: int | None) -> None:
        """The zygote forked it."""
        self.pid, self._handle = pid, handle

    async def hello(self) -> None:
        """Waits until it is locked in. Raises WorkerLost."""
        try:
            found = decode_hello(await self._message())
        except msgspec.MsgspecError as error:
            raise WorkerLost(f"its first word is not one ({error})") from error
        self.jailed, self.detail = found.jailed, found.detail

    async def exchange(self, message: bytes) -> DecodeResult:
        """Sends one framed job and waits for its result. Raises WorkerLost."""
        try:
            await asyncio.get_running_loop().sock_sendall(self._sock, message)
        except OSError as error:
            raise WorkerLost(f"it stopped listening ({error.strerror})") from error
        try:
            return decode_result(await self._message())
        except msgspec.MsgspecError as error:
            raise WorkerLost(f"its answer is not one ({error})") from error

    async def exchange_file(self, job: FileJob, source: Source) -> tuple[tuple[Frame, ...], FileDone]:
        """Gives it a file to score, and reads that file for it. Raises WorkerLost, and FileError where reading fails.

        Each thing that it says is answered by one message, the bytes it wanted or nothing, until it is done.
        """
        frames: list[Frame] = []
        message = framed(job)
        while True:
            try:
                await asyncio.get_running_loop().sock_sendall(self._sock, message)
                told = decode_told(await self._message(MAX_TOLD_BYTES))
            except OSError as error:
                raise WorkerLost(f"it stopped listening ({error.strerror})") from error
            except msgspec.MsgspecError as error:
                raise WorkerLost(f"its answer is not one ({error})") from error
            data = b""
            if isinstance(told, FileDone):
                return tuple(frames), told
            if isinstance(told, Frame):
                frames.append(told)
                if len(frames) > MAX_FRAMES:
                    raise WorkerLost(f"it told of more than {MAX_FRAMES} pictures")
            elif 0 <= told.offset <= source.size and 0 <= told.size <= MAX_CHUNK_BYTES:
                data = await asyncio.to_thread(source.read, told.offset, told.size)
            else:
                raise WorkerLost(f"it asked for {told.size} bytes at {told.offset} of a file of {source.size}")
            message = LENGTH.pack(len(data)) + data

    def kill(self) -> None:
        """Ends it now, whatever it does. Harmless where it is gone already."""
        with contextlib.suppress(ProcessLookupError):
            if self._handle is not None:
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            elif self.pid and not self.gone.is_set():
                os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Lets go of it: an idle worker ends by itself when its socket closes."""
        self._sock.close()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    async def how_it_ended(self) -> str:
        """A phrase for a person; waits a moment for the zygote's word."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORD_S):  # not wait_for: Python 3.11's swallows a cancellation
                await self.gone.wait()
        if self.status is None:
            return "it ended"
        if os.WIFSIGNALED(self.status):
            return f"it was ended by signal {os.WTERMSIG(self.status)}"
        return f"it ended with exit status {os.WEXITSTATUS(self.status)}"

    async def _message(self, limit: int = MAX_REPLY_BYTES) -> bytearray:
        """Its next message, as a rule in one read. It speaks only when asked: what follows a message is no answer."""
        loop, got, end = asyncio.get_running_loop(), bytearray(), LENGTH.size
        while len(got) < end:
            try:
                more = await loop.sock_recv(self._sock, max(READ_BYTES, end - len(got)))
            except OSError as error:
                raise WorkerLost(f"its socket broke ({error.strerror})") from error
            if not more:
                raise WorkerLost("it closed its socket")
            got += more
            if len(got) >= LENGTH.size:
                (length,) = LENGTH.unpack_from(got)
                if length > limit:
                    raise WorkerLost(f"it answered with {length} bytes, over the cap of {limit}")
                end = LENGTH.size + length
        if len(got) > end:
            raise WorkerLost(f"it said {len(got) - end} bytes more than its answer")
        del got[: LENGTH.size]
        return got


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
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            process = _start(theirs.fileno(), max_pixels, headroom_bytes, jail_required=jail_required)
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
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.settimeout(0)
        worker = Worker(ours)
        ticket = next(self._tickets)
        born: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            with theirs:
                self._births[ticket] = (worker, born)
                socket.send_fds(self._control, [REQUEST.pack(ticket)], [theirs.fileno()])
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
                ended.status = detail
                ended.gone.set()

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
        for worker in self._workers.values():
            worker.gone.set()
        self._workers.clear()
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
