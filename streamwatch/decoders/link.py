"""Stage 4: one worker as the pool sees it: its socket, its slot, and what it may take.

Messages are short, so a socket takes one at once and gives one in one read: a job is a call and a call back, without a
task of its own. A worker speaks when it is asked, one message for one; whoever does not keep to that is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from streamwatch.decoders.job import (
    LENGTH,
    MAX_CHUNK_BYTES,
    MAX_FRAMES,
    MAX_MASKS,
    MAX_SNAPSHOT_BYTES,
    MAX_TOLD_BYTES,
    DecodeJob,
    DecodeResult,
    FileDone,
    FileJob,
    Frame,
    SlotJob,
    decode_hello,
    decode_result,
    decode_told,
    framed,
)
from streamwatch.decoders.slot import Slot
from streamwatch.decoders.source import Source
from streamwatch.errors import StreamwatchError

MAX_REPLY_BYTES: Final = 64 * 2**10  # a result: 1.6 KiB of fingerprint and some dozen numbers; a jailed worker may lie
READ_BYTES: Final = 8192  # a whole result, or a piece of a larger one
PAGE_BYTES: Final = resource.getpagesize()
LAST_WORD_S: Final = 2.0  # a zygote that lives tells of an end in a millisecond; under load it may take longer
_CPUCLOCK_SCHED: Final = 2  # linux/posix-timers.h: the clock of a process is ~pid << 3 with this


class WorkerLost(StreamwatchError):  # noqa: N818 - it is what happened, not a mistake
    """A worker, or the zygote that should make one, is gone; the text says how, as far as is known."""


class Worker:
    """One worker: at most one message is on its way at any time. Kills, by a handle, exactly its own process."""

    def __init__(self, sock: socket.socket, slot: Slot) -> None:
        """From here on both are its own, to be closed with it; `sock` does not block."""
        self._sock = sock
        self._slot = slot
        self._loop = asyncio.get_running_loop()
        self._handle: int | None = None
        self._statm: int | None = None
        self._got = bytearray()  # the beginning of an answer that comes in pieces
        self._missing = 0  # bytes of it that are still to come
        self._limit = 0
        self._decode: Callable[[memoryview], Any] = decode_hello
        self._answered: Callable[[Any], None] | None = None  # who waits for its answer
        self.pid = 0
        self.jobs = 0
        self.busy_s = 0.0  # by its own word
        self.born_bytes = 0
        self.jailed = False
        self.detail = ""
        self.lost: WorkerLost | None = None
        self.on_lost: Callable[[], None] | None = None
        self.gone = asyncio.Event()
        self.status: int | None = None  # as of waitpid, once it ended and the zygote lived to tell
        self._greeting = self._expected(MAX_REPLY_BYTES, decode_hello)  # it says so without being asked
        self._loop.add_reader(sock.fileno(), self.poll)

    def born(self, pid: int, handle: int | None) -> None:
        """The zygote forked it."""
        self.pid, self._handle = pid, handle
        self._slot.passed()

    async def hello(self) -> None:
        """Waits until it is locked in. Raises WorkerLost."""
        found = await self._greeting
        if isinstance(found, WorkerLost):
            raise found
        self.jailed, self.detail = found.jailed, found.detail
        if sys.platform == "linux":
            with contextlib.suppress(OSError):  # where /proc is hidden, nobody sees what it takes
                self._statm = os.open(f"/proc/{self.pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
            self.born_bytes = self.resident_bytes()

    def give(self, job: DecodeJob, answered: Callable[[DecodeResult | WorkerLost], None]) -> None:
        """Puts a keyframe of at most MAX_KEYFRAME_BYTES into its slot and tells it so; `answered` is called once.

        Only for a worker that answered all that it was given before.
        """
        self._slot.put(job.data)
        snapshot = job.snapshot and len(job.masks) <= MAX_MASKS  # no picture rather than one with something unmasked
        masks = job.masks if snapshot else ()
        told = SlotJob(job.codec, len(job.data), job.previous, job.at_us, snapshot, masks)
        limit = MAX_REPLY_BYTES + MAX_SNAPSHOT_BYTES if snapshot else MAX_REPLY_BYTES
        self._ask(framed(told), limit, decode_result, answered)

    async def exchange_file(self, job: FileJob, source: Source) -> tuple[tuple[Frame, ...], FileDone]:
        """Gives it a file to score, and reads that file for it. Raises WorkerLost, and FileError where reading fails.

        Each thing that it says is answered by one message, the bytes it wanted or nothing, until it is done.
        """
        frames: list[Frame] = []
        message = framed(job)
        while True:
            told = await self._said(message, MAX_TOLD_BYTES, decode_told)
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

    def poll(self) -> None:
        """Takes what it said meanwhile, if anything. The loop calls this; so may who is about to give it up."""
        try:
            more = self._sock.recv(max(READ_BYTES, self._missing))
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.lose(f"its socket broke ({error.strerror})")
            return
        if not more:
            self.lose("it closed its socket")
        elif self._answered is None:
            self.lose(f"it said {len(more)} bytes without being asked")
        elif self._got:
            self._got += more
            self._heard(bytes(self._got))
        else:
            self._heard(more)

    def lose(self, why: str) -> None:
        """It is of no use any more: it is killed, and who waits for its answer hears why. Once."""
        if self.lost is None:
            self.lost = WorkerLost(why)
            self._loop.remove_reader(self._sock.fileno())
            self.kill()
            self._settle(self.lost)
            if self.on_lost is not None:
                self.on_lost()

    def ended(self, status: int | None) -> None:
        """Its process is gone, and left `status`, as far as the zygote lived to tell."""
        self.status = status
        self.gone.set()
        if self.lost is None:
            self.poll()  # its last word may have come first
            self.lose("its process ended")

    def kill(self) -> None:
        """Ends it now, whatever it does. Harmless where it is gone already."""
        with contextlib.suppress(ProcessLookupError):
            if self._handle is not None:
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            elif self.pid and not self.gone.is_set():
                os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Lets go of it: an idle worker ends by itself when its socket closes. Twice does no harm."""
        if self._sock.fileno() < 0:
            return
        if self.lost is None:
            self.lost = WorkerLost("the decoders are being closed")
            self._loop.remove_reader(self._sock.fileno())
            self._settle(self.lost)
        self._sock.close()
        self._slot.close()
        for descriptor in (self._handle, self._statm):
            if descriptor is not None:
                os.close(descriptor)
        self._handle = self._statm = None

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

    def resident_bytes(self) -> int:
        """Memory that it has now; 0 where the system does not tell."""
        try:
            return int(os.pread(self._statm, 64, 0).split()[1]) * PAGE_BYTES if self._statm is not None else 0
        except OSError:  # it is gone
            return 0

    def cpu_s(self) -> float:
        """Seconds that it has computed for in its life; by its own word where the system does not tell."""
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                return time.clock_gettime(~self.pid << 3 | _CPUCLOCK_SCHED)
        return self.busy_s

    def may_take(self, seconds: float) -> None:
        """The kernel ends it (SIGXCPU) when it has computed so long from now, also where we cannot watch.

        Set from here and not by the worker: then its jail needs no call for it, and who takes it over cannot either.
        """
        if sys.platform == "linux" and self.lost is None and self._handle is not None:
            with contextlib.suppress(OSError, ValueError):  # it is gone, or this machine does not let us
                signal.pidfd_send_signal(self._handle, 0)  # still there, so the number is its own
                most = resource.prlimit(self.pid, resource.RLIMIT_CPU)[1]
                wanted = math.ceil(self.cpu_s() + seconds)
                soft = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
                resource.prlimit(self.pid, resource.RLIMIT_CPU, (soft, most))

    def _ask(
        self, message: bytes, limit: int, decode: Callable[[memoryview], Any], answered: Callable[[Any], None]
    ) -> None:
        """Sends a short message, or none; `answered` gets what `decode` makes of the answer, or the WorkerLost."""
        self._limit, self._decode, self._answered = limit, decode, answered
        if self.lost is not None:
            self._settle(self.lost)
        elif message:
            try:
                sent = self._sock.send(message)
            except OSError as error:
                self.lose(f"it stopped listening ({error.strerror})")
                return
            if sent < len(message):
                self.lose("it stopped listening")

    def _expected(self, limit: int, decode: Callable[[memoryview], Any]) -> asyncio.Future[Any]:
        """Its next word, or the WorkerLost."""
        future: asyncio.Future[Any] = self._loop.create_future()

        def answered(found: Any) -> None:
            if not future.done():
                future.set_result(found)

        self._ask(b"", limit, decode, answered)
        return future

    async def _said(self, message: bytes, limit: int, decode: Callable[[memoryview], Any]) -> Any:
        """The answer to a message of any length. Raises WorkerLost."""
        future = self._expected(limit, decode)
        if self.lost is None:
            try:
                await self._loop.sock_sendall(self._sock, message)
            except OSError as error:
                self.lose(f"it stopped listening ({error.strerror})")
        found = await future
        if isinstance(found, WorkerLost):
            raise found
        return found

    def _heard(self, said: bytes) -> None:
        """All that came since it was asked: an answer, or the beginning of one."""
        length = LENGTH.unpack_from(said)[0] if len(said) >= LENGTH.size else 0
        end = LENGTH.size + length
        if length > self._limit:
            self.lose(f"it answered with {length} bytes, over the cap of {self._limit}")
        elif len(said) > end:
            self.lose(f"it said {len(said) - end} bytes more than its answer")
        elif len(said) < end:
            self._got = self._got or bytearray(said)
            self._missing = end - len(said)
        else:
            self._got.clear()
            self._missing = 0
            try:
                found = self._decode(memoryview(said)[LENGTH.size :])
            except msgspec.MsgspecError as error:
                self.lose(f"its answer is not one ({error})")
            else:
                self._settle(found)

    def _settle(self, found: Any) -> None:
        answered, self._answered = self._answered, None
        if answered is not None:
            answered(found)
