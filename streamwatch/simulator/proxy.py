"""Beside the path: a bad line. A proxy between a client and a camera that delays, cuts, slices, corrupts and throttles.

Faults are stated for each direction: `up` is what the client says, `down` what the camera says. All chance comes from
one seed and the number of the connection, so that what failed once fails again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import signal
import socket
import sys
from dataclasses import dataclass
from typing import Final

from streamwatch.errors import ConfigError, UsageError
from streamwatch.simulator.bad_line import NO_FAULTS, Faults, flipped, parse_faults, sliced
from streamwatch.simulator.command import serve
from streamwatch.simulator.datagram_proxy import UdpProxy
from streamwatch.simulator.switchboard import RESET_ON_CLOSE

READ: Final = 65_536


class _CutError(Exception):
    """The direction has reached its end."""


@dataclass(slots=True)
class _Direction:
    """One direction of one connection."""

    faults: Faults
    rng: random.Random
    passed: int = 0

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until the sender has ended, which is passed on. Raises _CutError where the line is to be cut."""
        while data := await reader.read(READ):
            await self._pass(data, writer)
        if writer.can_write_eof():
            writer.write_eof()

    async def _pass(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        faults = self.faults
        for piece in sliced(flipped(data, faults.corrupt, self.rng), faults.slice_bytes, self.rng):
            if faults.delay_s or faults.jitter_s:
                await asyncio.sleep(faults.delay_s + self.rng.random() * faults.jitter_s)
            rest = piece
            if faults.stall_after is not None:
                rest = rest[: max(0, faults.stall_after - self.passed)]
            if faults.cut_after is not None:
                rest = rest[: max(0, faults.cut_after - self.passed)]
            if faults.bytes_a_s:
                for one in sliced(rest, 1, self.rng):
                    await self._write(one, writer)
                    await asyncio.sleep(1 / faults.bytes_a_s)
            elif rest:
                await self._write(rest, writer)
                if faults.slice_bytes:
                    await asyncio.sleep(0)  # else the next piece may leave in the same segment
            if faults.cut_after is not None and self.passed >= faults.cut_after:
                raise _CutError
            # past `stall_after` bytes are read and thrown away: to the camera the client seems to listen

    async def _write(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        if writer.is_closing():
            raise _CutError
        writer.write(data)
        await writer.drain()
        self.passed += len(data)


class TcpProxy:
    """Listens on `listen` and passes connections on to `to`. `defects` are errors of our own."""

    def __init__(
        self, to: tuple[str, int], *, up: Faults = NO_FAULTS, down: Faults = NO_FAULTS, seed: int = 1,
        listen: tuple[str, int] = ("127.0.0.1", 0),
    ) -> None:  # fmt: skip
        self._to, self._up, self._down, self._seed, self._listen = to, up, down, seed, listen
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()
        self.connections = 0
        self.defects: list[str] = []
        self.port = 0

    async def __aenter__(self) -> TcpProxy:
        await self.start()
        return self

    async def __aexit__(self, *_what: object) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Listens; `port` says where. Raises ConfigError where it cannot."""
        try:
            self._server = await asyncio.start_server(self._serve, *self._listen)
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {self._listen[0]}:{self._listen[1]} ({error.strerror}): give another, or port 0"
            ) from error
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def aclose(self) -> None:
        """Ends the listener and every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        number = self.connections
        self.connections += 1
        try:
            await self._pass(reader, writer, number)
        except (OSError, asyncio.CancelledError):
            pass  # one of the two is gone, or `aclose` ended this task, for which nobody else waits
        except Exception as error:  # noqa: BLE001 - a proxy that breaks must not look like a fault that it makes
            self.defects.append(f"{type(error).__name__}: {error}")
        finally:
            self._passing.discard(task)
            writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._to)
        up = _Direction(self._up, random.Random(f"{self._seed} {number} up"))
        down = _Direction(self._down, random.Random(f"{self._seed} {number} down"))
        both = {
            asyncio.create_task(up.run(reader, far_writer)): self._up,
            asyncio.create_task(down.run(far_reader, writer)): self._down,
        }
        try:
            done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                error = task.exception()
                if isinstance(error, _CutError):
                    for one in (writer, far_writer):
                        _end(one, both[task].cut)
                elif error is not None:
                    raise error
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            far_writer.close()


def _end(writer: asyncio.StreamWriter, how: str) -> None:
    if how == "rst":
        with contextlib.suppress(OSError):
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        writer.transport.abort()
    else:
        writer.close()


def parse_place(text: str) -> tuple[str, int]:
    """HOST:PORT. Raises UsageError."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 0xFFFF:
        raise UsageError(f"{text} is not HOST:PORT such as 127.0.0.1:8554")
    return host, int(port)


async def _run(given: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    make = UdpProxy if given.udp else TcpProxy
    made = make(
        parse_place(given.to), up=parse_faults(given.up), down=parse_faults(given.down), seed=given.seed,
        listen=parse_place(given.listen),
    )  # fmt: skip
    async with made as proxy:
        sys.stdout.write(f'{{"port": {proxy.port}}}\n')
        sys.stdout.flush()
        await stop.wait()


def main() -> int:
    """`python -m streamwatch.simulator.proxy`. Exit 0, 64 for wrong usage, 78 where it cannot listen."""
    parser = argparse.ArgumentParser(prog="python -m streamwatch.simulator.proxy", description=__doc__)
    parser.add_argument("--to", required=True, metavar="HOST:PORT", help="the camera")
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="(default %(default)s)")
    parser.add_argument(
        "--up", default="", metavar="FAULTS", help="of what the client says, e.g. delay_s=0.1,jitter_s=0.05"
    )
    parser.add_argument("--down", default="", metavar="FAULTS", help="of what the camera says, e.g. slice_bytes=1")
    parser.add_argument("--udp", action="store_true", help="datagrams")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    given = parser.parse_args()
    return serve(lambda: _run(given))


if __name__ == "__main__":
    sys.exit(main())
