"""Small peers that speak TLS, or only seem to, for tests of the shell."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from streamwatch.clock import SystemClock
from streamwatch.ingest.session import Heard, Limits, converse
from streamwatch.model.look import Depth, Transport
from streamwatch.net.address import Guard
from streamwatch.net.tls import Trust
from streamwatch.wire.conversation import Ask
from tests.certificates import Made

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
PUBLIC = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n\r\n"

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Peer:
    """Where it listens, and how many connections were made."""

    port: int = 0
    connections: int = 0

    @property
    def url(self) -> str:
        return f"rtsps://127.0.0.1:{self.port}/live"


def serving(made: Made, folder: Path) -> ssl.SSLContext:
    """A server's side with that certificate, however weak its key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_cert_chain(made.saved(folder))
    return context


async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers OPTIONS, which is all that depth reach asks."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(PUBLIC)
    await reader.read()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes the hello and says nothing."""
    await reader.read()


@contextlib.asynccontextmanager
async def peer(script: Script = answers, context: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    """Listens on 127.0.0.1; every connection runs the script, then it is closed."""
    found = Peer()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await script(reader, writer)
        writer.close()

    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # of the peer's own handshakes that fail
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()


@contextlib.contextmanager
def rude(context: ssl.SSLContext) -> Iterator[int]:
    """Listens, answers OPTIONS by TLS, and then neither reads nor closes: no end of ours is ever answered."""
    held: list[ssl.SSLSocket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:

        def serve() -> None:
            while True:
                try:
                    one = context.wrap_socket(listener.accept()[0], server_side=True)
                    one.recv(65_536)
                    one.sendall(PUBLIC)
                    held.append(one)
                except ssl.SSLError:  # it did not trust us
                    continue
                except OSError:
                    return

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
    server.join(5)
    for one in held:
        one.close()


def reset(writer: asyncio.StreamWriter) -> None:
    """Ends the connection by RST."""
    one: socket.socket = writer.get_extra_info("socket")
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def hear(
    url: str,
    trust: Trust | None = None,
    *,
    depth: Depth = Depth.REACH,
    transport: Transport = Transport.AUTO,
    connect_s: float = 5.0,
) -> Heard:
    """One look."""
    async with asyncio.timeout(30):
        return await converse(
            Ask(url, depth, transport=transport),
            Limits(connect_s, 5.0, 10.0),
            clock=SystemClock(),
            guard=Guard(),
            trust=trust,
        )


def run(work: Coroutine[Any, Any, None], loop: str) -> None:
    """Runs on that loop: the service has uvloop, a library's caller any."""
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(work)


def left(*ports: int) -> tuple[int, int]:
    """Sockets of this process that were dialled to those ports, and tasks that are not the peers' own."""
    inodes = set()
    for one in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            inodes.add(str(one.readlink()).removeprefix("socket:[").removesuffix("]"))
    rows = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    dialled = sum(row[9] in inodes and int(row[2].rpartition(":")[2], 16) in ports for row in rows)
    theirs = ("peer.", "fronted.", "Front.")
    names = [getattr(one.get_coro(), "__qualname__", "") for one in asyncio.all_tasks()]
    tasks = sum(not name.startswith(theirs) for name in names)
    return dialled, tasks


async def settled(*ports: int, seconds: float = 5.0) -> tuple[int, int]:
    """`left` once nothing is but the test itself, or after so many seconds."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    while (now := left(*ports)) != (0, 1) and loop.time() < ends:
        await asyncio.sleep(0.05)
    return now
