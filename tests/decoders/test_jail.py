"""The jail: what it forbids inside, and that the filter program says what its table says, on both architectures."""

from __future__ import annotations

import json
import platform
import struct
import subprocess
import sys

import pytest

from streamwatch.decoders import jail

# Run behind the door, with libc called directly so that no Python code stands between. Numbers are x86_64's.
INSIDE = """
import ctypes, json, os, resource, signal, sys
from streamwatch.decoders import jail, slot, worker
keyframes = slot.Slot()
worker.warm_up()
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
pair = __import__("socket").socketpair()
parent = os.getppid()
locked = jail.lock_in(worker.HEADROOM_BYTES)
found = {"missing": list(locked.missing)}
def attempt(name, call, *arguments):
    ctypes.set_errno(0)
    result = call(*arguments)
    found[name] = [result, ctypes.get_errno()]
def system(name, number, *arguments):
    attempt(name, libc.syscall, ctypes.c_long(number), *[ctypes.c_long(a) for a in arguments])
address = ctypes.create_string_buffer(b"\\x02\\x00\\x00\\x50\\x7f\\x00\\x00\\x01" + bytes(8))
path = ctypes.create_string_buffer(b"/bin/true")
system("socket", 41, 2, 1, 0)
system("connect", 42, pair[0].fileno(), ctypes.addressof(address), 16)
system("sendmsg", 46, pair[0].fileno(), 0, 0)
system("open", 2, ctypes.addressof(path), 0)
system("openat", 257, -100, ctypes.addressof(path), 0)
system("execve", 59, ctypes.addressof(path), 0, 0)
system("fork", 57)
system("vfork_by_clone3", 435, 0, 0)
system("clone", 56, 17, 0, 0, 0, 0)
system("kill_parent", 62, parent, 0)
system("kill_self", 62, os.getpid(), 0)
system("tgkill", 234, os.getpid(), os.getpid(), 0)
system("ptrace", 101, 16, parent, 0, 0)
system("prctl", 157, 38, 1, 0, 0, 0)
system("prlimit64", 302, 0, 0, 0, 0)
system("io_uring_setup", 425, 1, 0)
system("memfd_create", 319, ctypes.addressof(path), 0)
system("dup", 32, 1)
system("unlink", 87, ctypes.addressof(path))
system("mmap_exec", 9, 0, 4096, 7, 0x22, -1, 0)
system("mprotect_exec", 10, ctypes.addressof(path) & ~4095, 4096, 5)
size = slot.SLOT_BYTES
system("ftruncate_slot", 77, keyframes.fd, 0)
system("unseal_slot", 72, keyframes.fd, 1033, 0)
system("pwrite_slot", 18, keyframes.fd, ctypes.addressof(path), 4, 0)
system("write_slot", 1, keyframes.fd, ctypes.addressof(path), 4)
system("mmap_slot_to_write", 9, 0, size, 3, 1, keyframes.fd, 0)
found["limits"] = LIMITS
found["memory"] = "allowed"
try:
    bytearray(worker.HEADROOM_BYTES + 2**20)
except MemoryError:
    found["memory"] = "denied"
text = json.dumps(found).encode()
os.write(1, text)
os._exit(0)
"""
INSIDE = INSIDE.replace(
    "locked = jail.lock_in(worker.HEADROOM_BYTES)",
    "jail.limit(worker.HEADROOM_BYTES)\n"
    "LIMITS = {n: resource.getrlimit(getattr(resource, n)) for n in"
    " ('RLIMIT_AS', 'RLIMIT_CPU', 'RLIMIT_NOFILE', 'RLIMIT_CORE')}\n"
    "locked = jail.lock_in(worker.HEADROOM_BYTES)",
)

linux_x86 = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64",
    reason="system call numbers of this test are those of Linux on x86_64",
)


@pytest.fixture(scope="module")
def inside() -> dict[str, object]:
    """What a process saw that locked itself in as a worker does."""
    done = subprocess.run([sys.executable, "-c", INSIDE], capture_output=True, check=True, timeout=60)
    return json.loads(done.stdout)


@linux_x86
def test_r19_jail_is_complete(inside: dict[str, object]) -> None:
    """Nothing is missing on this machine."""
    assert inside["missing"] == []


@linux_x86
@pytest.mark.parametrize(
    "attempt",
    [
        *("socket", "connect", "sendmsg", "open", "openat", "execve", "fork", "vfork_by_clone3", "clone"),
        *("kill_parent", "kill_self", "tgkill", "ptrace", "prctl", "prlimit64", "io_uring_setup", "memfd_create"),
        *("dup", "unlink", "mmap_exec", "mprotect_exec"),
        *("ftruncate_slot", "unseal_slot", "pwrite_slot", "write_slot", "mmap_slot_to_write"),
    ],
)
def test_r19_system_call_is_denied_with_eperm(inside: dict[str, object], attempt: str) -> None:
    """Each answers -1 and EPERM, by number and without libc's help: what is outside, and the slot's size and bytes."""
    assert inside[attempt] == [-1, 1]


@linux_x86
def test_r19_limits_are_set(inside: dict[str, object]) -> None:
    """Address space, CPU, descriptors and core, soft equal to hard; memory beyond the headroom is refused."""
    limits = inside["limits"]
    assert isinstance(limits, dict)
    assert limits["RLIMIT_CPU"] == [jail.CPU_SECONDS] * 2
    assert limits["RLIMIT_NOFILE"] == [jail.OPEN_FILES] * 2
    assert limits["RLIMIT_CORE"] == [0, 0]
    assert limits["RLIMIT_AS"][0] == limits["RLIMIT_AS"][1] > 0
    assert inside["memory"] == "denied"


def run(program: bytes, arch: int, number: int, prot: int = 0) -> int:
    """A slow, obvious interpreter of the five instructions that the filter uses."""
    data = struct.pack("<IIQQQQQQQ", number, arch, 0, 0, 0, prot, 0, 0, 0)
    at = accumulator = 0
    while True:
        code, yes, no, k = struct.unpack_from("<HBBI", program, at * 8)
        at += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, k)
        elif code == 0x15:
            at += yes if accumulator == k else no
        elif code == 0x45:
            at += yes if accumulator & k else no
        elif code == 0x06:
            return k
        else:
            raise AssertionError(f"instruction {code:#x}")


ALLOW, EPERM, KILL = 0x7FFF_0000, 0x0005_0001, 0x8000_0000


@pytest.mark.parametrize(("machine", "arch", "column"), [("x86_64", 0xC000003E, 0), ("aarch64", 0xC00000B7, 1)])
def test_filter_allows_exactly_its_table(machine: str, arch: int, column: int) -> None:
    """Every number from 0 to 1,000 and the x32 twins of x86_64: allowed if and only if the table has it."""
    program = jail.filter_program(machine)
    free = {numbers[column] for numbers in jail.ALLOWED.values()}
    checked = {numbers[column] for numbers in jail.ALLOWED_NOT_EXECUTABLE.values()}
    for number in [*range(1001), *(0x4000_0000 + n for n in range(600))]:
        expected = ALLOW if number in free | checked else EPERM
        assert run(program, arch, number) == expected, number
        executable = EPERM if number in checked else expected
        assert run(program, arch, number, prot=5) == executable, number
    assert run(program, 0x4000_0003, 1) == KILL  # i386: its number 1 is exit, but 11 is execve where munmap is


def test_no_name_in_the_table_opens_anything() -> None:
    """The list stays free of what the jail exists to forbid."""
    names = set(jail.ALLOWED) | set(jail.ALLOWED_NOT_EXECUTABLE)
    forbidden = (
        "open",
        "socket",
        "connect",
        "exec",
        "fork",
        "clone",
        "kill",
        "ptrace",
        "prctl",
        "send",
        "recv",
        "ioctl",
    )
    assert not [name for name in names for word in forbidden if word in name]
