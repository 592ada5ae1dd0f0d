"""A worker's answers as the pool reads them: whole, in pieces, and from one that no longer says what it should."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from streamwatch.decoders.job import LENGTH, DecodeJob, DecodeResult, framed
from streamwatch.decoders.link import MAX_REPLY_BYTES, READ_BYTES, Worker, WorkerLost
from streamwatch.decoders.slot import Slot

JOB = DecodeJob("h264", bytes(range(100)), b"before", 5)
RESULT = DecodeResult(width=640, height=360, fingerprint=bytes(range(256)) * 6, decode_ms=2.5)
LARGE = DecodeResult(width=640, height=360, fingerprint=bytes(3 * READ_BYTES))


@pytest.fixture
async def wire() -> AsyncIterator[tuple[Worker, socket.socket]]:
    """The pool's side of a worker, and the socket that the worker would have."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    ours.settimeout(0)
    worker = Worker(ours, Slot())
    with theirs:
        yield worker, theirs
    worker.close()


def asked(worker: Worker, job: DecodeJob = JOB) -> asyncio.Future[DecodeResult | WorkerLost]:
    """Gives it a job; the future has what the pool would hear."""
    found: asyncio.Future[DecodeResult | WorkerLost] = asyncio.get_running_loop().create_future()
    worker.give(job, found.set_result)
    return found


@pytest.mark.parametrize("result", [RESULT, LARGE])
@pytest.mark.parametrize("cuts", [(), (1,), (3, 4, 5), (4,), (READ_BYTES,)])
async def test_an_answer_may_come_in_pieces(
    wire: tuple[Worker, socket.socket], result: DecodeResult, cuts: tuple[int, ...]
) -> None:
    """However it is cut, it is one result; the next answer is read from its own first byte."""
    worker, theirs = wire
    data = framed(result)
    for _ in range(2):
        answer = asked(worker)
        for begin, end in zip((0, *cuts), (*cuts, len(data)), strict=True):
            theirs.sendall(data[begin:end])
            for _ in range(3):
                await asyncio.sleep(0)  # so that the piece is read before the next one is there
        assert await answer == result


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (framed(RESULT) + b"\x00", "1 bytes more"),
        (framed(RESULT) * 2, "more than its answer"),
        (LENGTH.pack(MAX_REPLY_BYTES + 1), "over the cap"),
        (LENGTH.pack(2**32 - 1) + bytes(100), "over the cap"),
        (LENGTH.pack(0), "not one"),
        (LENGTH.pack(3) + b"\xc1\xc1\xc1", "not one"),
    ],
)
async def test_a_worker_that_says_something_else_is_lost(
    wire: tuple[Worker, socket.socket], said: bytes, why: str
) -> None:
    """Too much, too large, or no result: its job is lost, and nothing of it is taken for a later job's answer."""
    worker, theirs = wire
    theirs.sendall(said)
    lost = await asked(worker)
    assert isinstance(lost, WorkerLost) and why in str(lost) and worker.lost is lost


@pytest.mark.parametrize("said", [b"", b"\x00\x00", LENGTH.pack(10), framed(RESULT)[:-1]])
async def test_a_socket_that_closes_within_an_answer_is_a_lost_worker(
    wire: tuple[Worker, socket.socket], said: bytes
) -> None:
    """Nowhere does half an answer wait for ever."""
    worker, theirs = wire
    theirs.sendall(said)
    theirs.shutdown(socket.SHUT_WR)
    lost = await asked(worker)
    assert isinstance(lost, WorkerLost) and "closed" in str(lost)


async def test_a_worker_that_speaks_without_being_asked_is_lost(wire: tuple[Worker, socket.socket]) -> None:
    """Else it would be taken for the answer to the next job: another camera's."""
    worker, theirs = wire
    theirs.sendall(framed(RESULT))
    assert await asked(worker) == RESULT
    theirs.sendall(framed(RESULT))
    while worker.lost is None:
        await asyncio.sleep(0)
    assert "without being asked" in str(worker.lost)
    late = await asked(worker)
    assert late is worker.lost


async def test_a_snapshot_is_only_read_from_who_was_asked_for_one(wire: tuple[Worker, socket.socket]) -> None:
    """An answer of 100 KB is over the cap without one, and comes in pieces with one."""
    worker, theirs = wire
    large = DecodeResult(width=640, height=360, snapshot=bytes(100_000))
    answer = asked(worker, DecodeJob("h264", b"x", None, 0, snapshot=True))
    theirs.sendall(framed(large))
    assert await answer == large
    answer = asked(worker)
    theirs.sendall(framed(large))
    lost = await answer
    assert isinstance(lost, WorkerLost) and "over the cap" in str(lost)
