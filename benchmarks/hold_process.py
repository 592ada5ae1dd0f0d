"""One way to ask cameras whether they are there, in a process of its own, so that its memory is its own too.

`python -m benchmarks.hold_process KIND hold|forget`; the first line in is `[["rtsp://…", "user", "password"], …]`, each
later one an order, answered by a line: `know` (what is to be known of the cameras before connections may stay), `reach`
(OPTIONS to every camera: in a new connection, which stays or is closed, or in the one that stays). An answer says
`{"asked": N, "held": N, "cpu_us": …, "rss_kb": …}`: how many answered, how many connections stay, CPU of the process
for it, and its memory after it.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar, cast
from urllib.parse import urlsplit

import uvloop

AT_ONCE = 64  # connections that are being made, or asked, at the same time
END = b"\r\n\r\n"
FILES_BESIDE = 256  # descriptors of a process beside its connections
PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024

Camera = tuple[str, str, str]  # url, user name, password
H = TypeVar("H")


class Way(Protocol):
    """A way to ask."""

    @property
    def held(self) -> int:
        """How many connections stay."""
        ...

    async def know(self) -> int:
        """Whatever is to be known of the cameras before connections may stay; how many answered."""
        ...

    async def reach(self) -> int:
        """Whether they are there; how many answered."""
        ...


def _options(url: str, number: int) -> bytes:
    return f"OPTIONS {url} RTSP/1.0\r\nCSeq: {number}\r\nUser-Agent: bench\r\n\r\n".encode()


def place_of(url: str) -> tuple[str, int]:
    """Host and port."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 554


class _Asking(asyncio.Protocol):
    """The least that asks: a question written, an answer that ends with an empty line, nothing read in it."""

    __slots__ = ("_answered", "_question", "transport")

    def __init__(self, question: bytes, answered: asyncio.Future[None]) -> None:
        self._question = question
        self._answered = answered
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._question)

    def ask(self, answered: asyncio.Future[None]) -> None:
        self._answered = answered
        assert self.transport is not None
        self.transport.write(self._question)

    def data_received(self, data: bytes) -> None:
        if data.endswith(END) and not self._answered.done():
            self._answered.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if not self._answered.done():
            self._answered.set_exception(ConnectionResetError("the camera closed"))


class Plain(Generic[H]):
    """What needs to know nothing of a camera, and keeps a list of what it holds."""

    def __init__(self, cameras: Sequence[Camera], *, hold: bool) -> None:
        self._cameras = [(*place_of(url), _options(url, 1)) for url, _, _ in cameras]
        self._hold = hold
        self._held: list[H] = []

    @property
    def held(self) -> int:
        return len(self._held)

    async def know(self) -> int:
        return len(self._cameras)


class Bare(Plain[_Asking]):
    """asyncio's own protocol and uvloop: nothing is checked, nothing has a deadline."""

    def __init__(self, cameras: Sequence[Camera], *, hold: bool) -> None:
        super().__init__(cameras, hold=hold)
        self._loop = asyncio.get_running_loop()

    async def reach(self) -> int:
        return await (self._ask() if self._held else _in_turn(self._cameras, self._connect))

    async def _connect(self, host: str, port: int, question: bytes) -> None:
        answered: asyncio.Future[None] = self._loop.create_future()
        _, asking = await self._loop.create_connection(lambda: _Asking(question, answered), host, port)
        await answered
        if self._hold:
            self._held.append(asking)
        else:
            assert asking.transport is not None
            asking.transport.close()

    async def _ask(self) -> int:
        for start in range(0, len(self._held), AT_ONCE):
            waiting = []
            for asking in self._held[start : start + AT_ONCE]:
                answered: asyncio.Future[None] = self._loop.create_future()
                asking.ask(answered)
                waiting.append(answered)
            for answered in waiting:
                await answered
        return len(self._held)


class Streams(Plain[tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]]):
    """asyncio's streams, as a user would write it."""

    async def reach(self) -> int:
        return await (_in_turn(self._held, self._ask) if self._held else _in_turn(self._cameras, self._connect))

    async def _connect(self, host: str, port: int, question: bytes) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        await self._ask(reader, writer, question)
        if self._hold:
            self._held.append((reader, writer, question))
        else:
            writer.close()
            await writer.wait_closed()

    @staticmethod
    async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, question: bytes) -> None:
        writer.write(question)
        await reader.readuntil(END)


async def _in_turn(what: Sequence[tuple[object, ...]], act: Callable[..., object]) -> int:
    """`act` on each, AT_ONCE at a time."""
    waiting = iter(what)

    async def work() -> None:
        for one in waiting:
            await act(*one)  # type: ignore[misc]

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return len(what)


def _made(kind: str, cameras: Sequence[Camera], *, hold: bool) -> Way:
    if kind == "us":  # imported where it is wanted: nobody else needs the looker in memory
        made: Way = importlib.import_module("benchmarks.hold_ours").Ours(cameras, hold=hold)
        return made
    return Bare(cameras, hold=hold) if kind == "bare" else Streams(cameras, hold=hold)


def rss_kb() -> int:
    """What this process has in memory now."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_KB


def raise_file_limit(need: int) -> None:
    """Ends the process where the hard limit is below it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < need:
        sys.exit(f"{need} open files are needed, and the hard limit here is {hard}")
    if soft != resource.RLIM_INFINITY and soft < need:
        resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))


async def _serve(kind: str, *, hold: bool) -> None:
    loop = asyncio.get_running_loop()
    cameras = json.loads(sys.stdin.readline())
    raise_file_limit(len(cameras) + FILES_BESIDE)
    way = _made(kind, cameras, hold=hold)
    print(json.dumps({"rss_kb": rss_kb()}), flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        act = {"know": way.know, "reach": way.reach}[line.strip()]
        begun = time.process_time()
        asked = await act()
        cpu_us = (time.process_time() - begun) * 1e6
        print(json.dumps({"asked": asked, "held": way.held, "cpu_us": cpu_us, "rss_kb": rss_kb()}), flush=True)


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], hold=sys.argv[2] == "hold"))
