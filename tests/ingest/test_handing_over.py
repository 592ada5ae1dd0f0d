"""A session that goes on after its first keyframe, and an idle connection that is asked again."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from streamwatch.clock import SystemClock
from streamwatch.errors import LookError
from streamwatch.ingest.connection import Opened
from streamwatch.ingest.session import Limits, open_session
from streamwatch.model.look import Depth
from streamwatch.net.address import Guard
from streamwatch.wire.conversation import Ask
from streamwatch.wire.exchange import MAX_SERVER_REQUESTS, MAX_STRAY_REPLIES
from streamwatch.wire.idle import MAX_BETWEEN, Idle
from streamwatch.wire.rtsp import Closed, Event, Interleaved, Response
from tests.ingest.test_session import device
from tests.wire.camera import encode, packetise, reply, script

PACKETS = packetise(encode(320, 240, pictures=3, slices=2) * 4, mtu=600)
GOOD = script(PACKETS)


class Taker(asyncio.Protocol):
    """Who goes on: everything that the parser gives."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.seen: list[Event] = []

    def data_received(self, data: bytes) -> None:
        self.opened.leg.parser.receive(data)
        self.read()

    def eof_received(self) -> None:
        self.opened.leg.parser.receive(b"")
        self.read()

    def read(self) -> None:
        while (event := self.opened.leg.parser.next_event()) is not None:
            self.seen.append(event)
            if isinstance(event, Closed):
                break


async def camera(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """All the media at once, so that most of it comes in one read with the keyframe; then it answers a farewell."""
    for part in (GOOD.options, GOOD.describe, GOOD.setup, GOOD.play + GOOD.media):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(part)
    asked = await reader.readuntil(b"\r\n\r\n")
    number = int(asked.split(b"CSeq: ")[1].split(b"\r\n")[0])
    writer.write(reply(number, "200 OK", "X-Asked: " + asked.split(b" ")[0].decode()))
    await writer.drain()


async def test_no_packet_is_lost_on_the_way_to_who_goes_on() -> None:
    """Each packet behind the keyframe is there once and in order; session, numbers and channels are known."""
    async with device(camera) as url, asyncio.timeout(10):
        heard, opened = await open_session(Ask(url, Depth.STREAM), Limits(), clock=SystemClock(), guard=Guard())
        assert heard.keyframe is not None and opened is not None
        leg = opened.leg
        assert leg.exchange.session is not None and leg.exchange.session.id == "12345678"
        assert (leg.channel, leg.control, opened.peer) == (0, 1, "127.0.0.1")
        taker = Taker(opened)
        opened.transport.set_protocol(taker)
        taker.read()
        opened.transport.resume_reading()
        opened.transport.write(leg.farewell())
        while not (taker.seen and isinstance(taker.seen[-1], Closed)):
            await asyncio.sleep(0.01)
        opened.transport.close()

    packets = [event.payload for event in taker.seen if isinstance(event, Interleaved)]
    assert 0 < len(packets) < len(PACKETS)
    assert packets == PACKETS[-len(packets) :]
    answer = taker.seen[-2]
    assert isinstance(answer, Response) and answer.headers.get("X-Asked") == "TEARDOWN"


async def test_a_reach_look_leaves_a_connection_to_ask_again_in() -> None:
    """OPTIONS once more in the same connection, with the next number."""
    asked = []

    async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in (1, 2):
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(reply(number))

    class Asking(asyncio.Protocol):
        def __init__(self, idle: Idle) -> None:
            self.idle = idle
            self.answered = asyncio.get_running_loop().create_future()

        def data_received(self, data: bytes) -> None:
            self.answered.set_result(self.idle.receive(data))

    async with device(twice) as url, asyncio.timeout(10):
        heard, opened = await open_session(Ask(url, Depth.REACH), Limits(), clock=SystemClock(), guard=Guard())
        assert heard.failure is None and opened is not None
        idle = Idle(url, "streamwatch", opened.leg.exchange.sequence)
        asking = Asking(idle)
        opened.transport.set_protocol(asking)
        opened.transport.resume_reading()
        opened.transport.write(idle.ask())
        answered, said = cast("tuple[bool, bytes]", await asking.answered)
        opened.transport.close()

    assert (answered, said) == (True, b"")
    assert b"CSeq: 2\r\n" in asked[1]


async def test_what_failed_is_not_handed_over() -> None:
    """There is nothing to go on with."""

    async def refusing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in (1, 2):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(reply(number, "404 Not Found"))
        await reader.read()

    async with device(refusing) as url:
        heard, opened = await open_session(Ask(url, Depth.STREAM), Limits(), clock=SystemClock(), guard=Guard())

    assert heard.failure is not None and opened is None


async def test_no_packet_is_lost_behind_a_keyframe_in_a_large_read() -> None:
    """A flood is taken piece by piece: what was read behind the piece that ended the look goes on, too."""
    keyframe = packetise(encode(320, 240, pictures=1), mtu=600)
    junk = [packet[:12] + b"\x0c" + bytes(1100) for packet in rtps(200)]  # filler: 220 KB that end nothing
    packets = [*junk, *renumbered(keyframe, 200), *renumbered(junk, 200 + len(keyframe))]
    told = script(packets)

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in (told.options, told.describe, told.setup, told.play + told.media):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(part)
        await reader.read()

    async with device(flood) as url, asyncio.timeout(10):
        heard, opened = await open_session(Ask(url, Depth.STREAM), Limits(), clock=SystemClock(), guard=Guard())
        assert heard.keyframe is not None and opened is not None
        taker = Taker(opened)
        opened.transport.set_protocol(taker)
        taker.read()
        opened.transport.resume_reading()
        while not taker.seen or number(taker.seen[-1]) != number(packets[-1]):
            await asyncio.sleep(0.01)
        opened.transport.close()

    numbers = [number(event) for event in taker.seen]
    assert numbers == list(range(numbers[0], len(packets)))


def rtps(count: int) -> list[bytes]:
    """Headers of so many packets."""
    return renumbered([PACKETS[0]] * count, 0)


def renumbered(packets: list[bytes], first: int) -> list[bytes]:
    """The same packets with numbers in a row."""
    return [packet[:2] + (first + at).to_bytes(2) + packet[4:] for at, packet in enumerate(packets)]


def number(what: Event | bytes) -> int:
    """A packet's."""
    data = what.payload if isinstance(what, Interleaved) else what
    assert isinstance(data, bytes)
    return int.from_bytes(data[2:4])


def test_answers_to_nothing_end_an_idle_connection() -> None:
    """Sixteen between two questions; a device that sends more is one that nobody asks any more."""
    idle = Idle("rtsp://h/a", "streamwatch")
    for _ in range(3):
        sequence = idle.sequence + 1
        idle.ask()
        assert idle.receive(reply(sequence)) == (True, b"")
        for _ in range(MAX_STRAY_REPLIES):
            assert idle.receive(reply(sequence)) == (False, b"")
    with pytest.raises(LookError, match="replies to nothing"):
        idle.receive(reply(sequence))


def test_a_device_may_ask_in_an_idle_connection_for_days() -> None:
    """Its requests are bounded between two questions, not in all."""
    idle = Idle("rtsp://h/a", "streamwatch")
    asks = b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"
    for _ in range(3):
        idle.ask()
        for _ in range(MAX_SERVER_REQUESTS):
            assert idle.receive(asks)[1].startswith(b"RTSP/1.0 200")
    with pytest.raises(LookError, match="requests from the device"):
        idle.receive(asks)


@pytest.mark.parametrize("what", [b"\r\n" * 512, b"$\x05\x04\x00" + bytes(1024)])
def test_who_sends_on_and_on_in_an_idle_connection_is_not_listened_to(what: bytes) -> None:
    """Line ends and packets of no channel are no message: nothing else counted them, and each was read to its end."""
    idle = Idle("rtsp://h/a", "streamwatch")
    for _ in range(3):
        idle.ask()
        for _ in range(MAX_BETWEEN // len(what)):
            assert idle.receive(what) == (False, b"")
    with pytest.raises(LookError, match="nobody asked for"):
        idle.receive(what)


def test_an_answer_behind_a_little_else_is_one() -> None:
    """What is read the long way counts since the latest question only."""
    idle = Idle("rtsp://h/a", "streamwatch")
    for _ in range(2_000):
        idle.ask()
        assert idle.receive(b"\r\n" * 50 + reply(idle.sequence)) == (True, b"")
