"""Both local channels, by one suite: they carry the same bytes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
import uvloop

from streamwatch.fleet.local import Channel, SocketChannel, queue_pair


@pytest.fixture(params=["queue", "socket"])
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Channel, Channel]]:
    ends: tuple[Channel, Channel]
    if request.param == "queue":
        ends = queue_pair()
    else:
        here, there = socket.socketpair()
        ends = (await SocketChannel.over(here), await SocketChannel.over(there))
    yield ends
    for end in ends:
        await end.aclose()


async def test_values_arrive_whole_and_in_order_both_ways(pair: tuple[Channel, Channel]) -> None:
    """A hundred values of very different sizes cross in each direction."""
    here, there = pair
    values = [bytes([number % 256]) * (number**3 % 70_000) for number in range(100)]

    async def send(end: Channel) -> None:
        for value in values:
            await end.send(value)

    async def receive(end: Channel) -> list[bytes | None]:
        return [await end.receive() for _ in values]

    async with asyncio.timeout(20):
        _, _, left, right = await asyncio.gather(send(here), send(there), receive(here), receive(there))

    assert left == right == values


async def test_the_end_of_one_is_seen_by_the_other(pair: tuple[Channel, Channel]) -> None:
    """A closed end reads as None on the other side."""
    here, there = pair
    await here.send(b"last")
    await here.aclose()

    async with asyncio.timeout(5):
        assert await there.receive() == b"last"
        assert await there.receive() is None


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_every_value_for_one_that_is_gone_is_refused_alike(run: Callable[[Coroutine[Any, Any, None]], None]) -> None:
    """A looker that died, and whose last Reports still wait to be taken in: the planner hands it rounds meanwhile."""

    async def hand_over() -> None:
        ours, theirs = socket.socketpair()
        channel = await SocketChannel.over(ours)
        theirs.close()
        for _ in range(3):
            with pytest.raises(ConnectionError):
                await channel.send(b"round" * 1000)
            await asyncio.sleep(0.01)
        await channel.aclose()

    run(hand_over())
