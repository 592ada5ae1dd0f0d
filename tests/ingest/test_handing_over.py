"""A session that goes on after its first keyframe, and an idle connection that is asked again."""

from __future__ import annotations

import asyncio
from typing import cast

from streamwatch.clock import SystemClock
from streamwatch.ingest.connection import Opened
from streamwatch.ingest.session import Limits, open_session
from streamwatch.model.look import Depth
from streamwatch.net.address import Guard
from streamwatch.wire.conversation import Ask
from streamwatch.wire.idle import Idle
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
