"""Stage 4: locks the calling process in: limits, no new privileges, and an allow-list of system calls.

A decoder eats bytes that strangers wrote. Whatever they make of it afterwards, it can compute, use the memory it is
given, and read and write the descriptors it already has: no sockets, no files, no processes, no signals, no new
executable memory. Everything that is not on the list answers EPERM, so that a library that asks for more than it needs
fails instead of dying. The filter is classic BPF as in seccomp(2) and linux/filter.h, built here.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import socket
import struct
import sys
from dataclasses import dataclass
from typing import Final

from streamwatch.errors import ConfigError

# prctl(2), from linux/prctl.h and linux/seccomp.h
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_SECCOMP: Final = 22
_PR_SET_NO_NEW_PRIVS: Final = 38
_SECCOMP_MODE_FILTER: Final = 2
_RET_KILL_PROCESS: Final = 0x8000_0000
_RET_ERRNO: Final = 0x0005_0000
_RET_ALLOW: Final = 0x7FFF_0000
_EPERM: Final = 1

# struct seccomp_data: int nr; __u32 arch; __u64 instruction_pointer; __u64 args[6]
_OFFSET_NR: Final = 0
_OFFSET_ARCH: Final = 4
_OFFSET_PROT: Final = 16 + 2 * 8  # low half of args[2] on a little-endian machine: prot of mmap and mprotect
_PROT_EXEC: Final = 4

# linux/bpf_common.h
_LD_W_ABS: Final = 0x20
_JEQ_K: Final = 0x15
_JSET_K: Final = 0x45
_RET_K: Final = 0x06

CPU_SECONDS: Final = 600  # in a worker's life; the pool replaces it long before, and each job has a wall deadline
OPEN_FILES: Final = 16  # it has four: 0-2 and its socket

# name -> numbers of x86_64 (asm/unistd_64.h) and of the generic table that aarch64 uses (asm-generic/unistd.h).
ALLOWED: Final[dict[str, tuple[int | None, int | None]]] = {
    "read": (0, 63),
    "readv": (19, 65),
    "write": (1, 64),
    "writev": (20, 66),
    "close": (3, 57),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "brk": (12, 214),
    "madvise": (28, 233),
    "futex": (202, 98),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "getrandom": (318, 278),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getrusage": (98, 165),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
ALLOWED_NOT_EXECUTABLE: Final[dict[str, tuple[int, int]]] = {"mmap": (9, 222), "mprotect": (10, 226)}

_COLUMN: Final = {"x86_64": 0, "aarch64": 1}
_AUDIT_ARCH: Final = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}  # linux/audit.h


class JailError(ConfigError):
    """The jail cannot be complete on this machine and the configuration demands it."""


@dataclass(frozen=True, slots=True)
class Locked:
    """How the locking in went. `missing` names what this machine would not give; empty means complete."""

    missing: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Nothing is missing."""
        return not self.missing


class _Program(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""

    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def die_with_parent(parent: int) -> None:
    """The kernel kills this process when its parent ends; ends at once where the parent `parent` is gone already."""
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def filter_program(machine: str) -> bytes:
    """The BPF program for `machine` (x86_64 or aarch64), 8 bytes an instruction. Raises KeyError for another one."""
    column = _COLUMN[machine]
    free = sorted(numbers[column] for numbers in ALLOWED.values() if numbers[column] is not None)  # type: ignore[type-var]
    checked = sorted(numbers[column] for numbers in ALLOWED_NOT_EXECUTABLE.values())
    # Layout: arch check (3), load nr (1), free (n), checked (m), deny, prot check (3), allow. Jumps are relative.
    deny = 4 + len(free) + len(checked)
    prot, allow = deny + 1, deny + 4
    code = [
        _op(_LD_W_ABS, _OFFSET_ARCH),
        _op(_JEQ_K, _AUDIT_ARCH[machine], 1, 0),
        _op(_RET_K, _RET_KILL_PROCESS),  # numbers of another architecture mean other calls
        _op(_LD_W_ABS, _OFFSET_NR),
    ]
    code += [_op(_JEQ_K, number or 0, allow - len(code) - k - 1, 0) for k, number in enumerate(free)]
    code += [_op(_JEQ_K, number, prot - len(code) - k - 1, 0) for k, number in enumerate(checked)]
    code += [
        _op(_RET_K, _RET_ERRNO | _EPERM),
        _op(_LD_W_ABS, _OFFSET_PROT),
        _op(_JSET_K, _PROT_EXEC, 0, 1),
        _op(_RET_K, _RET_ERRNO | _EPERM),
        _op(_RET_K, _RET_ALLOW),
    ]
    return b"".join(code)


def limit(headroom_bytes: int) -> tuple[str, ...]:
    """Sets the limits of this process, `headroom_bytes` of address space above what it has now; names what failed."""
    wanted = [
        ("RLIMIT_CORE", resource.RLIMIT_CORE, 0),
        ("RLIMIT_CPU", resource.RLIMIT_CPU, CPU_SECONDS),
        ("RLIMIT_NOFILE", resource.RLIMIT_NOFILE, OPEN_FILES),
    ]
    missing = []
    size = _address_space_bytes()
    if size is None:
        missing.append("RLIMIT_AS (no /proc/self/statm)")
    else:
        wanted.append(("RLIMIT_AS", resource.RLIMIT_AS, size + headroom_bytes))
    for name, kind, value in wanted:
        try:
            hard = resource.getrlimit(kind)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (value, value))
        except (OSError, ValueError) as error:
            missing.append(f"{name} ({error})")
    return tuple(missing)


def lock_in(headroom_bytes: int) -> Locked:
    """Locks this process in for good: limits, then system calls. Never raises: what is missing is named.

    To be called with everything imported and every descriptor open that the process will ever need.
    """
    missing = list(limit(headroom_bytes))
    machine = platform.machine()
    if sys.platform != "linux":
        missing.append(f"seccomp (there is none on {sys.platform})")
    elif machine not in _COLUMN:
        missing.append(f"seccomp (no table of system calls for {machine})")
    else:
        missing += _filter(machine)
    return Locked(tuple(missing))


def _filter(machine: str) -> list[str]:
    try:
        _prctl(_PR_SET_DUMPABLE, 0)  # no other process of this user may look into it
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        program = filter_program(machine)
        buffer = ctypes.create_string_buffer(program, len(program))
        wanted = _Program(len(program) // 8, ctypes.addressof(buffer))
        _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(wanted))
    except OSError as error:
        return [f"seccomp ({error})"]
    return [] if _denied() else ["seccomp (set, but sockets are still allowed)"]


def _denied() -> bool:
    """Asks for a socket: the filter has to refuse, whatever the kernel answered when it was set."""
    try:
        socket.socket(socket.AF_UNIX).close()
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def _op(code: int, k: int, jump_true: int = 0, jump_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, jump_true, jump_false, k)


def _prctl(option: int, *arguments: int) -> None:
    """prctl(2); raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    padded = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    if libc.prctl(ctypes.c_int(option), *padded) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _address_space_bytes() -> int | None:
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - pathlib would be imported for this alone
            return int(file.read().split()[0]) * resource.getpagesize()
    except (OSError, ValueError):
        return None
