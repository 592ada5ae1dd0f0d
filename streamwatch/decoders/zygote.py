"""Stage 4: the zygote: a single-threaded process that has av and numpy loaded and forks decode workers on request.

Started by the pool as `python -m streamwatch.decoders.zygote FD ...`, where FD is its end of a socket pair. The pool
sends a worker's socket and its slot as descriptors (SCM_RIGHTS) with a ticket; the zygote forks, and answers with the
worker's pid and a pidfd, so that the pool can never kill a stranger who got the same pid. It also tells which worker
ended, and how. It ends when the pool closes the socket, and the kernel kills it when its parent dies; its workers die
with it.
"""

from __future__ import annotations

import argparse
import gc
import os
import select
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import Final

from streamwatch.decoders import allocator, file_worker, jail, worker

REQUEST: Final = struct.Struct("!I")  # ticket; two descriptors beside it: socket, slot
NOTICE: Final = struct.Struct("!BIii")  # kind, ticket, pid, detail
READY: Final = 0  # pid of the zygote, detail: its threads
STARTED: Final = 1  # ticket, pid of the worker and a pidfd beside it; pid 0 where fork failed, detail: errno
ENDED: Final = 2  # pid of the worker, detail: its status as waitpid gives it


def main(arguments: list[str]) -> int:
    """Serves until the control socket closes; exit status 0."""
    parser = argparse.ArgumentParser(prog="streamwatch decoder zygote")
    parser.add_argument("control", type=int)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--max-pixels", type=int, required=True)
    parser.add_argument("--headroom", type=int, default=worker.HEADROOM_BYTES)
    parser.add_argument("--jail-required", action="store_true")
    options = parser.parse_args(arguments)
    jail.die_with_parent(options.parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service; it closes the socket when it is done
    allocator.keep_memory()
    worker.warm_up()
    file_worker.warm_up()  # here only: a worker for keyframes need not wait for it, and forks have what it loaded
    gc.collect()
    gc.freeze()  # forked workers share these pages for good
    with socket.socket(fileno=options.control) as control:
        Zygote(control, options.max_pixels, options.headroom, jail_required=options.jail_required).run()
    return 0


class Zygote:
    """The loop: requests from the control socket, ends of children through a pipe that SIGCHLD writes to."""

    def __init__(self, control: socket.socket, max_pixels: int, headroom_bytes: int, *, jail_required: bool) -> None:
        self._control = control
        self._max_pixels = max_pixels
        self._headroom_bytes = headroom_bytes
        self._jail_required = jail_required

    def run(self) -> None:
        """Returns when the pool has closed its end."""
        wake_in, wake_out = os.pipe()
        os.set_blocking(wake_in, False)
        os.set_blocking(wake_out, False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(wake_out, warn_on_full_buffer=False)
        self._control.sendall(NOTICE.pack(READY, 0, os.getpid(), _threads()))
        while True:
            readable, _, _ = select.select([self._control.fileno(), wake_in], [], [])
            if wake_in in readable:
                os.read(wake_in, 4096)
                self._reap()
            if self._control.fileno() in readable and not self._fork_one():
                return

    def _fork_one(self) -> bool:
        """Forks one worker; False where the pool is gone."""
        try:
            message, descriptors, _flags, _address = socket.recv_fds(self._control, REQUEST.size, 2)
        except ConnectionResetError:  # it went without reading what it was told last
            return False
        if len(message) < REQUEST.size or len(descriptors) < 2:
            return False
        (ticket,) = REQUEST.unpack(message)
        own = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:  # no processes or no memory left: the pool asks again later
            _close(descriptors)
            self._control.sendall(NOTICE.pack(STARTED, ticket, 0, error.errno or 0))
            return True
        if pid == 0:
            self._become_worker(descriptors[0], descriptors[1], own)
        _close(descriptors)
        notice = NOTICE.pack(STARTED, ticket, pid, 0)
        if sys.platform == "linux":
            handle = os.pidfd_open(pid)  # before reaping: it is surely this child
            socket.send_fds(self._control, [notice], [handle])
            os.close(handle)
        else:
            self._control.sendall(notice)
        return True

    def _become_worker(self, fd: int, slot_fd: int, parent: int) -> None:
        """In the child: never returns."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            jail.die_with_parent(parent)
            worker.serve(
                fd,
                slot_fd,
                max_pixels=self._max_pixels,
                headroom_bytes=self._headroom_bytes,
                jail_required=self._jail_required,
            )
            status = 0
        except (BrokenPipeError, ConnectionResetError):  # the pool let go of it: nobody waits for its word
            status = 0
        except BaseException as error:  # noqa: BLE001 - this is the top of the child: whatever it is, it ends here
            os.write(2, f"streamwatch decoder {os.getpid()}: {type(error).__name__}: {error}\n".encode()[:512])
        finally:
            os._exit(status)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._control.sendall(NOTICE.pack(ENDED, 0, pid, status))


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _threads() -> int:
    """Threads of this process; forking with more than one would be unsafe, and the pool says so in its status."""
    try:
        return len(list(Path("/proc/self/task").iterdir()))
    except OSError:
        return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
