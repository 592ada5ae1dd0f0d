"""The memory that keyframes cross in: written once, read in place, and nothing a reader can do to its owner."""

from __future__ import annotations

import fcntl
import mmap
import os
import platform
import sys

import pytest

from streamwatch.decoders.job import MAX_KEYFRAME_BYTES, PADDING
from streamwatch.decoders.slot import SLOT_BYTES, Slot, read_only

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there are seals on Linux only")


def test_what_is_put_is_read_with_its_padding_behind_it() -> None:
    """Also a shorter keyframe over a longer one, and the longest that may be."""
    slot = Slot()
    seen = read_only(slot.fd)
    for data in (b"\xff" * 5000, b"\xee" * 70, b"", b"\xdd" * MAX_KEYFRAME_BYTES):
        slot.put(data)
        assert seen[: len(data)] == data
        assert seen[len(data) : len(data) + len(PADDING)] == bytes(64)
    slot.close()
    slot.close()
    assert seen[:4] == b"\xdd" * 4  # the reader's mapping is its own


def test_the_readers_memory_is_read_only() -> None:
    """Python says so; the processor would too."""
    slot = Slot()
    with pytest.raises(TypeError, match="read-only"):
        read_only(slot.fd)[0] = 1
    slot.close()


@pytest.mark.skipif(tuple(map(int, platform.release().split(".")[:2])) < (5, 1), reason="F_SEAL_FUTURE_WRITE: 5.1")
def test_r19_a_slot_cannot_be_resized_written_or_unsealed_by_who_has_its_descriptor() -> None:
    """Setup: the descriptor that a worker gets. Fault: it shrinks, grows, writes, maps for writing, or changes the
    seals. Bound: EPERM each; the pool still writes, and never meets SIGBUS."""
    slot = Slot()
    for attempt in (
        lambda: os.ftruncate(slot.fd, 0),
        lambda: os.ftruncate(slot.fd, SLOT_BYTES + 4096),
        lambda: os.write(slot.fd, b"x"),
        lambda: os.pwrite(slot.fd, b"x", SLOT_BYTES),
        lambda: mmap.mmap(slot.fd, SLOT_BYTES),
        lambda: os.posix_fallocate(slot.fd, 0, SLOT_BYTES + 4096),
        lambda: fcntl.fcntl(slot.fd, fcntl.F_ADD_SEALS, 0),
    ):
        with pytest.raises(PermissionError):
            attempt()
    slot.put(b"still ours")
    assert read_only(slot.fd)[:10] == b"still ours"
    slot.close()


def test_every_worker_has_a_slot_of_its_own() -> None:
    """Nothing that one is shown can be seen by another."""
    one, other = Slot(), Slot()
    one.put(b"one camera")
    assert read_only(other.fd)[:10] == bytes(10)
    assert os.fstat(one.fd).st_ino != os.fstat(other.fd).st_ino
    one.close()
    other.close()
