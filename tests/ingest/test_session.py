"""The shell around a conversation: deadlines, endings, and that a device costs only its own look."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import uvloop

from streamwatch.clock import SystemClock
from streamwatch.errors import Reason, Step
from streamwatch.ingest.connection import AT_ONCE_BYTES, FREE_BYTES, TURN_BYTES, Connection
from streamwatch.ingest.session import Heard, Limits, converse
from streamwatch.model.look import Depth
from streamwatch.net.address import Guard, parse_networks
from streamwatch.wire.conversation import Ask

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def device(script: Script) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await script(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"rtsp://127.0.0.1:{server.sockets[0].getsockname()[1]}/live"
    finally:
        server.close()


async def hear(url: str, depth: Depth = Depth.STREAM, **limits: float) -> Heard:
    given = Limits(**{"connect_s": 2.0, "step_s": 1.0, "total_s": 3.0} | limits)
    async with asyncio.timeout(30):
        return await converse(Ask(url, depth), given, clock=SystemClock(), guard=Guard())


async def test_a_closed_port_is_refused_at_connect() -> None:
    """net.refused, with the time it took."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    heard = await hear(f"rtsp://127.0.0.1:{port}/x")

    assert heard.failure is not None
    assert (heard.failure.reason, heard.failure.step) == (Reason.NET_REFUSED, Step.CONNECT)
    assert set(heard.timings_ms) == {"total"}


async def test_silence_ends_at_the_silent_steps_limit() -> None:
    """Accepts and says nothing: net.timeout at OPTIONS after the step's second, not the total's three."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with device(silent) as url:
        heard = await hear(url)

    assert heard.failure is not None
    assert (heard.failure.reason, heard.failure.step) == (Reason.NET_TIMEOUT, Step.OPTIONS)
    assert 1000 <= heard.timings_ms["total"] < 2500


async def test_r16_a_byte_now_and_then_is_silence() -> None:
    """Setup: a device that answers one byte every 50 ms. Fault: it never completes a message. Bound: the silent step's
    limit, not a limit per read."""

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            for byte in b"RTSP/1.0 200 OK\r\nX-Filler: " + b"a" * 400:
                writer.write(bytes((byte,)))
                await writer.drain()
                await asyncio.sleep(0.05)

    async with device(trickle) as url:
        heard = await hear(url)

    assert heard.failure is not None
    assert (heard.failure.reason, heard.failure.step) == (Reason.NET_TIMEOUT, Step.OPTIONS)
    assert heard.timings_ms["total"] < 2500


async def test_r16_steps_that_each_hurry_end_at_the_total_deadline() -> None:
    """Setup: a device that sends a useless message every half second. Fault: it never answers what was asked.
    Bound: one total deadline over all steps."""

    async def busybody(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in range(1000):
            writer.write(b"OPTIONS rtsp://you/ RTSP/1.0\r\nCSeq: %d\r\n\r\n" % number)
            await writer.drain()
            await asyncio.sleep(0.5)

    async with device(busybody) as url:
        heard = await hear(url)

    assert heard.failure is not None
    assert heard.failure.reason is Reason.NET_TIMEOUT
    assert 3000 <= heard.timings_ms["total"] < 4500


@pytest.mark.parametrize("goodbye", ["fin", "rst"])
async def test_a_device_that_hangs_up_is_a_reset(goodbye: str) -> None:
    """FIN or RST in the middle: net.reset, at once."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if goodbye == "rst":
            writer.transport.abort()

    async with device(hang_up) as url:
        heard = await hear(url)

    assert heard.failure is not None
    assert (heard.failure.reason, heard.failure.step) == (Reason.NET_RESET, Step.OPTIONS)
    assert heard.timings_ms["total"] < 900


async def test_reach_needs_one_answer_and_says_nothing_more() -> None:
    """Any well-formed answer shows that the device is there, also a refusal."""
    asked: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\n\r\n")
        asked.append(await reader.read())

    async with device(refuse) as url:
        heard = await hear(url, Depth.REACH)
        await asyncio.sleep(0.05)

    assert heard.failure is None
    assert len(asked) == 2
    assert asked[0].startswith(b"OPTIONS ")
    assert asked[1] == b""


async def test_an_address_outside_the_guard_is_never_connected_to() -> None:
    """The listener sees nobody, and the failure is ours."""
    visitors: list[int] = []

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visitors.append(1)

    async with device(count) as url:
        guard = Guard(parse_networks(("10.0.0.0/8",)))
        heard = await converse(Ask(url, Depth.REACH), Limits(), clock=SystemClock(), guard=guard)
        await asyncio.sleep(0.1)

    assert heard.failure is not None
    assert heard.failure.reason is Reason.OURS_LIMIT
    assert visitors == []


async def test_a_cancelled_look_closes_its_socket() -> None:
    """Nothing of a look outlives it."""
    gone = asyncio.Event()

    async def watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            pass
        gone.set()

    async with device(watch) as url:
        task = asyncio.create_task(hear(url))
        await asyncio.sleep(0.2)
        task.cancel()
        async with asyncio.timeout(5):
            await gone.wait()


def test_a_flood_is_taken_a_piece_a_turn() -> None:
    """Of who sends as fast as it can a piece is taken in a turn of the loop, and every other look has its turn between;
    nothing is lost or taken twice."""
    heard, taken = uvloop.run(_flooded())  # the service's own loop, which reads 256 KB 32 times in a turn

    assert heard.failure is not None
    assert heard.failure.reason is Reason.RTSP_PROTOCOL
    assert sum(size for _, size in taken) >= 2**20
    received = list(itertools.accumulate(size for _, size in taken))
    later = [piece for piece, so_far in zip(taken, received, strict=True) if so_far > AT_ONCE_BYTES]
    assert max(size for _, size in later) <= TURN_BYTES
    turns = Counter(turn for turn, size in later if size)
    assert max(turns.values()) <= 2  # the last one of what was read, and the first one of what is read then


async def _flooded() -> tuple[Heard, list[tuple[int, int]]]:
    """What became of the look, and what was taken in which turn of the loop: bytes."""

    async def flooding(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n" + (b"$\x07\xff\xff" + bytes(65_535)) * 96)
        await writer.drain()

    turns, pieces = [0], list[tuple[int, int]]()
    take = Connection._take

    def counted(self: Connection, data: bytes) -> None:
        pieces.append((turns[0], len(data)))
        take(self, data)

    async def turn() -> None:
        while True:
            turns[0] += 1
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "_take", counted)
        async with device(flooding) as url:
            heard = await hear(url)
    turning.cancel()
    return heard, pieces


class SlowClock(SystemClock):
    """Of a machine on which whatever is taken from a device takes 5 ms."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces = 0

    def monotonic(self) -> float:
        """Seconds, 5 ms more each time."""
        self._pieces += 1
        return super().monotonic() + self._pieces * 0.005


async def test_a_flood_has_a_small_share_of_the_loop() -> None:
    """Who floods waits 19 times as long as its last piece took, so that ten of them leave others half of the loop."""

    async def flooding(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n" + (b"$\x07\xff\xff" + bytes(65_535)) * 96)
        await writer.drain()

    taken = list[int]()
    take = Connection._take

    def counted(self: Connection, data: bytes) -> None:
        taken.append(len(data))
        take(self, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "_take", counted)
        async with device(flooding) as url:
            limits = Limits(connect_s=2.0, step_s=1.0, total_s=1.0)
            await converse(Ask(url, Depth.STREAM), limits, clock=SlowClock(), guard=Guard())

    later = sum(taken) - AT_ONCE_BYTES - FREE_BYTES
    assert 0 < later <= 1.0 / (20 * 0.005) * TURN_BYTES
