"""Sessions that are read together: when each is read, by either loop, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, cast

import pytest

from streamwatch.ingest import sweeping
from streamwatch.ingest.sweeping import BUFFER, EARLY_BYTES, GROUP, Seat, Sweep
from tests.ingest.tls_camera import LOOPS

NEVER_S = 3600.0


class Session(asyncio.BufferedProtocol):
    """What a session took, and in how many readings; how it ended."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.seat: Seat | None = None
        self.taken = b""
        self.readings = 0
        self.lost = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> bytearray:
        return BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        self.taken += BUFFER[:nbytes]
        self.readings += 1

    def end(self) -> None:
        if self.seat is not None:
            self.seat.leave()
            self.seat = None
        self.lost += 1

    def eof_received(self) -> None:
        self.end()

    def connection_lost(self, exc: Exception | None) -> None:
        self.end()


@contextlib.asynccontextmanager
async def session(sweep: Sweep | None) -> AsyncIterator[tuple[Session, socket.socket]]:
    """One that is read in turns, and the device's end of it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        _, found = await asyncio.get_running_loop().create_connection(Session, *listening.getsockname())
        device, _ = listening.accept()
    with device:
        if sweep is not None:
            found.seat = sweep.join(found.transport, found.buffer_updated, found.end)
            assert found.seat is not None
        yield found, device
        if found.seat is not None:
            found.seat.leave()
            found.seat = None
        found.transport.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.005)


async def turns() -> None:
    """The loop finds whatever wakes it."""
    for _ in range(5):
        await asyncio.sleep(0.002)


def run(loop: str, work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(work)


@pytest.mark.parametrize("loop", LOOPS)
def test_many_packets_are_read_at_once_and_all_of_them(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer readings than there were packets; the same bytes."""
    monkeypatch.setattr(sweeping, "PERIOD_S", 0.05)

    async def work() -> None:
        sent = b""
        async with session(Sweep()) as (found, device):
            for number in range(60):
                sent += (packet := struct.pack("!I", number) * 25)
                device.sendall(packet)
                await asyncio.sleep(0.004)
            await until(lambda: len(found.taken) == len(sent))
            assert found.taken == sent and 2 <= found.readings <= 30

    run(loop, work())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_burst_is_read_before_its_turn(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is little waits, what is much does not, so that no camera is slowed down."""
    monkeypatch.setattr(sweeping, "PERIOD_S", NEVER_S)

    async def work() -> None:
        async with session(Sweep()) as (found, device):
            device.sendall(bytes(1000))
            await turns()
            assert not found.taken
            device.setblocking(True)
            await asyncio.to_thread(device.sendall, bytes(1_000_000))
            await until(lambda: len(found.taken) > 1_001_000 - EARLY_BYTES)

    run(loop, work())


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("how", ["closes", "resets"])
def test_the_end_is_known_before_its_turn(loop: str, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that closes, with what it said before, and one that breaks off."""
    monkeypatch.setattr(sweeping, "PERIOD_S", NEVER_S)

    async def work() -> None:
        async with session(Sweep()) as (found, device):
            device.sendall(b"last words")
            if how == "resets":
                device.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            device.close()
            await until(lambda: bool(found.lost))
            assert found.taken == b"last words" or how == "resets"

    run(loop, work())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_connection_that_broke_is_told_of_in_its_turn(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the reading itself meets the error, while its transport does not look."""
    monkeypatch.setattr(sweeping, "PERIOD_S", 0.02)

    async def work() -> None:
        async with session(Sweep()) as (found, device):
            found.transport.pause_reading()
            device.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            device.close()
            await until(lambda: bool(found.lost))

    run(loop, work())


@pytest.mark.parametrize("loop", LOOPS)
def test_who_left_is_read_at_each_packet(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer to a farewell is short, and waited for."""
    monkeypatch.setattr(sweeping, "PERIOD_S", NEVER_S)

    async def work() -> None:
        async with session(sweep := Sweep()) as (found, device):
            assert found.seat is not None
            found.seat.leave()
            found.seat = None
            device.sendall(b"RTSP/1.0 200 OK")
            await until(lambda: found.taken == b"RTSP/1.0 200 OK")
            assert not sweep._groups

    run(loop, work())


async def test_who_is_paused_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood waits, and others of its group are read meanwhile."""
    monkeypatch.setattr(sweeping, "PERIOD_S", 0.01)
    sweep = Sweep()
    async with session(sweep) as (found, device), session(sweep) as (other, other_device):
        assert found.seat is not None
        found.seat.paused = True
        device.sendall(b"more")
        other_device.sendall(b"one")
        await until(lambda: other.taken == b"one")
        other_device.sendall(b"two")
        await until(lambda: other.taken == b"onetwo")
        assert not found.taken
        found.seat.paused = False
        await until(lambda: found.taken == b"more")


async def test_a_file_that_is_closed_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number may be another connection's by then."""
    monkeypatch.setattr(sweeping, "PERIOD_S", 0.01)
    sweep = Sweep()
    async with session(None) as (found, _), session(None) as (other, other_device):
        seat = sweep.join(found.transport, found.buffer_updated, found.end)
        assert seat is not None
        other.transport.pause_reading()
        seat.fd = other.transport.get_extra_info("socket").fileno()
        found.transport.close()
        other_device.sendall(b"for another")
        await asyncio.sleep(0.1)
        assert not found.taken
        other.transport.resume_reading()
        await until(lambda: other.taken == b"for another")
        seat.leave()


async def test_sessions_are_read_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more than a group holds makes two; a place that is left is taken again; nothing is left of the last one."""
    monkeypatch.setattr(sweeping, "PERIOD_S", 0.01)
    sweep = Sweep()
    async with contextlib.AsyncExitStack() as stack:
        many = [await stack.enter_async_context(session(sweep)) for _ in range(GROUP + 1)]
        assert [len(group.seats) for group in sweep._groups] == [GROUP, 1]
        first = many[0][0]
        assert first.seat is not None
        first.seat.leave()
        first.seat = None
        await stack.enter_async_context(session(sweep))
        assert [len(group.seats) for group in sweep._groups] == [GROUP, 1]
        for found, device in many[1:]:
            device.sendall(b"x")
            await until(lambda found=found: found.taken == b"x")  # type: ignore[misc]
    assert not sweep._groups


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("how", ["reads", "loses"])
def test_a_defect_of_ours_ends_its_own_session_and_no_turn(
    loop: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where its transport reads: the loop is told, the connection ends, and who sits behind it is read."""
    monkeypatch.setattr(sweeping, "PERIOD_S", 0.01)
    told: list[str] = []

    def breaks(*_: int) -> None:
        raise RuntimeError("a mistake")

    async def work() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, said: told.append(repr(said.get("exception"))))
        sweep = Sweep()
        async with session(None) as (found, device), session(None) as (other, other_device):
            found.seat = sweep.join(found.transport, breaks, breaks)
            other.seat = sweep.join(other.transport, other.buffer_updated, other.end)
            if how == "reads":
                device.sendall(b"odd")
            else:
                found.transport.pause_reading()
                device.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                device.close()
            await until(lambda: bool(told))
            other_device.sendall(b"more")
            await until(lambda: other.taken == b"more" and bool(found.lost))
        assert told == ["RuntimeError('a mistake')"]
        assert not sweep._groups

    run(loop, work())
