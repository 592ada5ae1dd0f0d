"""What leaves a looker together: nothing lost, nothing twice, nothing out of order, and nobody waits for nothing."""

from __future__ import annotations

import asyncio
import socket

import pytest

from streamwatch.fleet import outbox as outbox_module
from streamwatch.fleet.local import QueueChannel, SocketChannel, queue_pair
from streamwatch.fleet.outbox import Outbox


class Counted:
    """A channel that counts what it is given at a time; `gone` once its other end is."""

    def __init__(self) -> None:
        self.given: list[tuple[bytes, ...]] = []
        self.gone = False

    async def send(self, *data: bytes) -> None:
        await asyncio.sleep(0)
        if self.gone:
            raise ConnectionResetError("gone")
        self.given.append(data)

    async def receive(self) -> bytes | None:
        return None

    async def aclose(self) -> None:
        self.gone = True


async def until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_what_comes_within_a_moment_leaves_in_one_write() -> None:
    """A hundred values by many senders: one write, in their order, without anybody asking for it."""
    channel = Counted()
    out = Outbox(channel)
    for number in range(100):
        await out.send(b"%d" % number)
    assert channel.given == []
    await until(lambda: channel.given)

    assert [value for write in channel.given for value in write] == [b"%d" % number for number in range(100)]
    assert len(channel.given) == 1


async def test_what_must_not_wait_takes_the_others_along() -> None:
    """Order is kept: what waited leaves before it, in the same write."""
    channel = Counted()
    out = Outbox(channel)
    await out.send(b"a")
    await out.send(b"b", at_once=True)
    assert channel.given == [(b"a", b"b")]

    await out.send(b"c")
    await out.flush()
    await out.flush()
    assert channel.given[1:] == [(b"c",)]


async def test_no_more_waits_than_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the cap it leaves, and the sender waits as long as the other end is behind."""
    monkeypatch.setattr(outbox_module, "MAX_JOINED_BYTES", 10)
    channel = Counted()
    out = Outbox(channel)
    await out.send(b"x" * 10)
    assert channel.given == []
    await out.send(b"y")

    assert channel.given == [(b"x" * 10, b"y")]


async def test_who_sends_is_told_that_nobody_listens() -> None:
    """At once, or with the next value where it was noticed in between."""
    for at_once in (True, False):
        channel = Counted()
        out = Outbox(channel)
        await channel.aclose()
        if at_once:
            with pytest.raises(ConnectionError):
                await out.send(b"a", at_once=True)
        else:
            await out.send(b"a")
            await until(lambda out=out: out._gone is not None)
        with pytest.raises(ConnectionError):
            await out.send(b"b")


async def test_values_are_whole_at_the_other_end_of_a_socket_and_of_a_queue() -> None:
    """Joined or not, large or empty: the same values come out one by one."""
    values = [b"a", b"", b"x" * 300_000, *(b"%d" % number for number in range(50))]
    ours, theirs = socket.socketpair()
    over: list[tuple[SocketChannel | QueueChannel, SocketChannel | QueueChannel]] = [
        (await SocketChannel.over(ours), await SocketChannel.over(theirs)), queue_pair(),
    ]  # fmt: skip
    for near, far in over:
        out = Outbox(near)
        sending = asyncio.gather(*(out.send(value) for value in values))
        assert [await far.receive() for _ in values] == values
        await sending
        await near.aclose()


async def test_an_end_does_not_wait_for_one_that_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service reads no more, its queue is full, a write is under way: the looker and its task end all the same."""
    monkeypatch.setattr(outbox_module, "LAST_S", 0.05)
    full: asyncio.Queue[bytes | None] = asyncio.Queue(1)
    full.put_nowait(b"before")
    out = Outbox(QueueChannel(full, asyncio.Queue()))
    others = asyncio.all_tasks()
    await out.send(b"a")
    await until(lambda: asyncio.all_tasks() - others)
    await out.send(b"b")
    async with asyncio.timeout(10):
        await out.aclose()

    assert asyncio.all_tasks() == others


async def test_an_end_tells_what_waited() -> None:
    """The other end still takes it: nothing is lost by ending within the moment for which values wait."""
    channel = Counted()
    out = Outbox(channel)
    await out.send(b"a")
    await out.aclose()

    assert channel.given == [(b"a",)]


async def test_what_comes_while_the_other_end_is_behind_leaves_when_it_goes_on() -> None:
    """Values that came during a write that waited follow it, in order, without another `send`."""
    full: asyncio.Queue[bytes | None] = asyncio.Queue(1)
    full.put_nowait(b"before")
    out = Outbox(QueueChannel(full, asyncio.Queue()))
    others = asyncio.all_tasks()
    await out.send(b"a")
    await until(lambda: asyncio.all_tasks() - others)
    for value in (b"b", b"c"):
        await out.send(value)
        await asyncio.sleep(2 * outbox_module.JOIN_S)
    assert len(asyncio.all_tasks() - others) == 1

    async with asyncio.timeout(10):
        assert [await full.get() for _ in range(4)] == [b"before", b"a", b"b", b"c"]
