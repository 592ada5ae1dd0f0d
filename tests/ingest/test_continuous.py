"""The shell of watched sessions: every way to a camera, both loops, servers that others wrote, and hostile ones."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import pytest

from streamwatch.clock import SystemClock
from streamwatch.errors import LookError, Reason
from streamwatch.ingest import continuous
from streamwatch.ingest.continuous import Watcher, watch
from streamwatch.ingest.session import Limits
from streamwatch.ingest.sweeping import READ_BYTES, Sweep
from streamwatch.model.look import Depth, Transport
from streamwatch.net.address import Guard
from streamwatch.net.udp import UdpPair
from streamwatch.wire.ask import Ask
from streamwatch.wire.media import Keyframe
from tests.certificates import certificate
from tests.ingest.tls_camera import LOOPS, peer, serving
from tests.ingest.tunnel_camera import Front, fronted
from tests.ingest.udp_camera import Plan, large_keyframe, udp_camera
from tests.servers import Running, encode_clip, gstreamer
from tests.wire.camera import encode, frame, packetise, reply, rtp, script

PICTURES = encode(320, 240, pictures=3)
PER_ROUND: Final = len(packetise(PICTURES, mtu=600))
GOOD = script([])


class Device:
    """Says the words of a good conversation, plays without end, and notes how it was told farewell."""

    def __init__(self, then: Callable[[asyncio.StreamWriter], Coroutine[Any, Any, None]] | None = None) -> None:
        self.farewell = b""
        self.rounds = 0
        self._then = then

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in (GOOD.options, GOOD.describe, GOOD.setup, GOOD.play):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(part)
        playing = asyncio.create_task(self._play(writer))
        try:
            while b"TEARDOWN" not in (asked := await reader.readuntil(b"\r\n\r\n")):
                pass
            self.farewell = asked
            number = int(asked.split(b"CSeq: ")[1].split(b"\r\n")[0])
            writer.write(reply(number))
            await writer.drain()
        finally:
            playing.cancel()

    async def _play(self, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            for self.rounds in range(1_000):
                packets = packetise(PICTURES, mtu=600, first=self.rounds * PER_ROUND)
                later = [packet[:4] + (self.rounds * 10_800).to_bytes(4) + packet[8:] for packet in packets]
                writer.write(b"".join(map(frame, later if self.rounds % 2 else packets)))
                await writer.drain()
                if self._then is not None and self.rounds == 1:
                    await self._then(writer)
                await asyncio.sleep(0.02)


class Opened:
    """What came of `watch`."""

    def __init__(self, sweep: Sweep | None = None) -> None:
        self.sweep = sweep
        self.keyframes: list[Keyframe] = []
        self.ended: list[LookError] = []

    @contextlib.asynccontextmanager
    async def watching(
        self, url: str, transport: Transport = Transport.AUTO, every_s: float = 0.05
    ) -> AsyncIterator[Watcher]:
        ask = Ask(url, Depth.STREAM, transport=transport)
        heard, watcher = await watch(
            ask, Limits(), clock=SystemClock(), guard=Guard(), every_s=every_s,
            keyframe=lambda found, _: self.keyframes.append(found), ended=self.ended.append, sweep=self.sweep,
        )  # fmt: skip
        assert heard.failure is None and watcher is not None
        try:
            yield watcher
        finally:
            watcher.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


def run(loop: str, work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(work)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("swept", [False, True], ids=["as it comes", "swept"])
@pytest.mark.parametrize("way", ["plain", "tls", "tunnel"])
def test_every_way_to_a_camera_can_be_watched(loop: str, way: str, swept: bool, tmp_path: Path) -> None:
    """Packets without loss, keyframes again and again, and a farewell that names the session and is waited for."""

    async def work() -> None:
        device, seen = Device(), Opened(Sweep() if swept else None)
        async with contextlib.AsyncExitStack() as stack:
            context = serving(certificate(), tmp_path) if way == "tls" else None
            found = await stack.enter_async_context(peer(device, context))
            url = found.url if way == "tls" else found.url.replace("rtsps", "rtsp")
            if way == "tunnel":
                url = await stack.enter_async_context(fronted(Front(found.port)))
            transport = Transport.HTTP if way == "tunnel" else Transport.AUTO
            watcher = await stack.enter_async_context(seen.watching(url, transport))
            await until(lambda: len(seen.keyframes) >= 2)
            came = watcher.take()
            assert came.packets > PER_ROUND and came.lost == 0 and came.keyframes >= 2
            await watcher.part()
            assert watcher.over
            await until(lambda: b"Session: 12345678" in device.farewell)
        assert not seen.ended

    run(loop, work())


async def test_a_device_that_ends_the_session_is_told_of_once() -> None:
    """net.reset, and nothing is sent to it any more."""

    async def hangs_up(writer: asyncio.StreamWriter) -> None:
        writer.close()

    seen = Opened()
    async with peer(Device(hangs_up)) as found, seen.watching(found.url.replace("rtsps", "rtsp")) as watcher:
        await until(lambda: watcher.over)

    assert [error.reason for error in seen.ended] == [Reason.NET_RESET]


async def test_pictures_that_stop_end_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection lives, and is of no use."""
    monkeypatch.setattr(continuous, "STALL_S", 0.2)
    monkeypatch.setattr(continuous, "CHECK_S", 0.05)

    async def stops(_: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    device, seen = Device(stops), Opened()
    async with peer(device) as found, seen.watching(found.url.replace("rtsps", "rtsp")) as watcher:
        await until(lambda: watcher.over)
        await until(lambda: device.farewell != b"")

    assert [error.reason for error in seen.ended] == [Reason.MEDIA_NO_DATA]


FLOODS = {
    "large packets": frame(rtp(b"\x41" + bytes(60_000), 1, 1)) * 64,
    "empty packets": frame(rtp(b"", 1, 1)) * 65_536,
    "odd packets": frame(b"\x90" + rtp(b"\x41", 1, 1)[1:] + bytes(8)) * 32_768,
    "answers to nothing": b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n" * 32_768,
}


@pytest.mark.parametrize("swept", [False, True], ids=["as it comes", "swept"])
@pytest.mark.parametrize("flood", FLOODS)
async def test_a_flood_gives_way_to_others(flood: str, swept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sends as fast as it can is not read any more for a while, and what is kept of it stays below a packet."""
    monkeypatch.setattr(continuous, "BURST", 2**18)
    monkeypatch.setattr(continuous, "RATE", 2**20)
    pauses = 0
    charge = Watcher._charge

    def counted(watcher: Watcher, now: float) -> None:
        nonlocal pauses
        charge(watcher, now)
        pauses += not watcher._opened.transport.is_reading()

    async def floods(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(FLOODS[flood])
            await writer.drain()
            await asyncio.sleep(0)

    monkeypatch.setattr(Watcher, "_charge", counted)
    seen = Opened(Sweep() if swept else None)
    async with peer(Device(floods)) as found, seen.watching(found.url.replace("rtsps", "rtsp")) as watcher:
        await until(lambda: pauses >= 2 or watcher.over)
        parser = watcher._watching._parser
        assert parser is None or len(parser._buffer) <= 2**16 + READ_BYTES
    assert pauses >= 2 or flood == "answers to nothing"


@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.9"])
async def test_a_flood_of_datagrams_gives_way_to_others(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The camera's own, and those of anybody else: its ports are not read for a while, then again."""
    monkeypatch.setattr(continuous, "BURST", 2**15)
    monkeypatch.setattr(continuous, "RATE", 2**19)
    seen, pauses = Opened(), 0
    pause = UdpPair.pause

    def counted(pair: UdpPair) -> None:
        nonlocal pauses
        pauses += 1
        pause(pair)

    monkeypatch.setattr(UdpPair, "pause", counted)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, udp_camera(Plan(large_keyframe(20_000))) as camera:
        sender.bind((source, 0))
        async with seen.watching(camera.url, Transport.UDP) as watcher:
            pair = watcher._opened.pair
            assert pair is not None
            async with asyncio.timeout(20):
                while pauses < 2:
                    for number in range(20):
                        sender.sendto(rtp(b"\x41", number, 1), ("127.0.0.1", pair.port))
                    await asyncio.sleep(0.001)
            assert pair.is_paused
            before = watcher._watching.cost + pair.foreign
            await until(lambda: not pair.is_paused)
            sender.sendto(rtp(b"\x41", 30_000, 2), ("127.0.0.1", pair.port))
            await until(lambda: watcher._watching.cost + pair.foreign > before)
            assert not watcher.over


@pytest.fixture(scope="module", params=["TCP", "UDP"])
def server(request: pytest.FixtureRequest, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("clips") / "vtest.mp4"
    size = encode_clip(shared_data / "media" / "vtest.avi", path)
    with gstreamer(path, size, protocols=request.param) as running:
        yield running, request.param.lower()


async def test_gstreamer_is_watched_by_either_transport(server: tuple[Running, str]) -> None:
    """Its pictures, keyframes and clock; nothing is lost."""
    running, transport = server
    seen = Opened()
    async with seen.watching(running.url, every_s=0.2) as watcher:
        await until(lambda: len(seen.keyframes) >= 2 and watcher.clock_offset_ms() is not None)
        came = watcher.take()
        assert watcher.transport_name == transport
        assert came.lost == 0 and came.pictures > came.keyframes >= 2
        assert {(found.codec, found.width, found.height) for found in seen.keyframes} == {
            ("h264", running.width, running.height)
        }
        await watcher.part()
    assert not seen.ended
