"""A worker that has a file to read, as the pool hears it: what it may ask for and tell, and where it is given up."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from streamwatch.decoders.job import (
    LENGTH,
    MAX_CHUNK_BYTES,
    MAX_FRAMES,
    MAX_TOLD_BYTES,
    FileDone,
    FileJob,
    Frame,
    Thumbnail,
    Want,
    framed,
)
from streamwatch.decoders.link import Worker, WorkerLost
from streamwatch.decoders.recognise import Known
from streamwatch.decoders.slot import Slot
from streamwatch.decoders.source import Source

DATA = bytes(range(256)) * 40
JOB = FileJob("mjpeg", True, len(DATA))


class Held(Source):
    """A file in memory."""

    def __init__(self) -> None:
        super().__init__(-1, len(DATA), Known("mjpeg", "JPEG", still=True))

    def read(self, offset: int, size: int) -> bytes:
        return DATA[offset : offset + size]


@pytest.fixture
async def wire() -> AsyncIterator[tuple[Worker, socket.socket]]:
    """The pool's side of a worker, and the socket that the worker would have."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    ours.settimeout(0)
    theirs.settimeout(0)
    worker = Worker(ours, Slot())
    with theirs:
        yield worker, theirs
    worker.close()


async def heard(theirs: socket.socket) -> bytes:
    """The next message that the pool sent."""
    loop = asyncio.get_running_loop()
    data = b""
    while len(data) < 4 or len(data) < 4 + LENGTH.unpack_from(data)[0]:
        data += await loop.sock_recv(theirs, 65_536)
    return data[4:]


async def test_it_gets_the_ranges_that_it_wants_and_its_frames_are_kept(wire: tuple[Worker, socket.socket]) -> None:
    """Ranges in any order, nothing behind the end; each Frame is answered by nothing; then it is done."""
    worker, theirs = wire
    asked = asyncio.create_task(worker.exchange_file(JOB, Held()))
    await heard(theirs)
    picture = Frame(index=0, at_us=0, thumbnail=Thumbnail(320, 180, bytes(320 * 180 * 3)))
    for said, answer in (
        (Want(0, 5), DATA[:5]),
        (Want(len(DATA) - 3, 100), DATA[-3:]),
        (Want(len(DATA), 1), b""),
        (picture, b""),
    ):
        await asyncio.get_running_loop().sock_sendall(theirs, framed(said))
        assert await heard(theirs) == answer
    theirs.send(framed(FileDone(keyframes=1)))

    assert await asked == ((picture,), FileDone(keyframes=1))


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (framed(Want(-1, 5)), "asked for"),
        (framed(Want(len(DATA) + 1, 5)), "asked for"),
        (framed(Want(0, MAX_CHUNK_BYTES + 1)), "asked for"),
        (framed(Want(0, -1)), "asked for"),
        (framed(Want(0, 1)) * 2, "more than its answer"),
        (LENGTH.pack(MAX_TOLD_BYTES + 1), "over the cap"),
        (LENGTH.pack(3) + b"\xc1\xc1\xc1", "not one"),
        (b"", "stopped listening"),
    ],
)
async def test_a_worker_that_says_something_else_is_lost(
    wire: tuple[Worker, socket.socket], said: bytes, why: str
) -> None:
    """Ranges outside of the file or too long, more than one word at a time, too large, no message: it is given up."""
    worker, theirs = wire
    theirs.send(said) if said else theirs.close()
    with pytest.raises(WorkerLost, match=why):
        async with asyncio.timeout(10):
            await worker.exchange_file(JOB, Held())


async def test_a_worker_that_never_stops_telling_is_lost(wire: tuple[Worker, socket.socket]) -> None:
    """More frames than any clip is scored for."""
    worker, theirs = wire
    asked = asyncio.create_task(worker.exchange_file(JOB, Held()))
    await heard(theirs)
    for _ in range(MAX_FRAMES):
        await asyncio.get_running_loop().sock_sendall(theirs, framed(Frame(index=0, at_us=0)))
        await heard(theirs)
    theirs.send(framed(Frame(index=0, at_us=0)))
    with pytest.raises(WorkerLost, match="more than"):
        async with asyncio.timeout(10):
            await asked
