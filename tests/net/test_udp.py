"""Pairs of UDP ports, whose datagrams are taken, and what our own kernel threw away."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
import uvloop

from streamwatch.errors import LookError, Reason, Step
from streamwatch.net import udp
from streamwatch.net.udp import RECEIVE_BUFFER, UdpPair, open_pair

TINY = 1  # bytes asked for: the kernel gives its least, room for two datagrams or three


def send(datagrams: list[bytes], port: int, source: str = "127.0.0.1") -> None:
    """All in one go, from another socket."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind((source, 0))
        for one in datagrams:
            sender.sendto(one, ("127.0.0.1", port))


async def collect(pair: UdpPair, count: int, senders: frozenset[str] = frozenset({"127.0.0.1"})) -> list[bytes]:
    """What the pair gives, until there are `count`."""
    taken: list[bytes] = []
    done = asyncio.get_running_loop().create_future()

    def take(data: bytes, _control: bool) -> None:
        taken.append(data)
        if len(taken) >= count and not done.done():
            done.set_result(None)

    pair.listen(senders, take)
    async with asyncio.timeout(5):
        await done
    return taken


async def test_ports_are_a_pair_on_the_address_that_is_asked_for() -> None:
    """RTP even, RTCP the next one, both on 127.0.0.3 and nowhere else; closed twice they are free again."""
    pairs = [open_pair("127.0.0.3") for _ in range(20)]
    for pair in pairs:
        assert pair.port % 2 == 0
        for port in (pair.port, pair.port + 1):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other, pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.3", port))
    for pair in pairs:
        pair.close()
        pair.close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.3", pairs[0].port))


async def test_an_address_that_is_not_ours_is_our_own_limit() -> None:
    """No device is to blame for a port that we cannot open; nothing stays open."""
    with pytest.raises(LookError, match=r"192\.0\.2\.1") as found:
        open_pair("192.0.2.1")

    assert (found.value.reason, found.value.step) == (Reason.OURS_LIMIT, Step.SETUP)


async def test_both_ports_are_read_and_told_apart() -> None:
    """What comes to the odd port is control."""
    pair = open_pair("127.0.0.1")
    taken: list[tuple[bytes, bool]] = []
    try:
        pair.listen(frozenset({"127.0.0.1"}), lambda data, control: taken.append((data, control)))
        send([b"media"], pair.port)
        send([b"report"], pair.port + 1)
        async with asyncio.timeout(5):
            while len(taken) < 2:
                await asyncio.sleep(0.001)
    finally:
        pair.close()

    assert sorted(taken) == [(b"media", False), (b"report", True)]


async def test_datagrams_of_others_are_ignored() -> None:
    """Only the device's own address counts, whatever port it sends from."""
    pair = open_pair("127.0.0.1")
    try:
        send([b"foreign"] * 3, pair.port, "127.0.0.2")
        send([b"ours"], pair.port)
        assert await collect(pair, 1) == [b"ours"]
        assert pair.foreign == 3
        send([b"announced"], pair.port, "127.0.0.2")
        assert await collect(pair, 1, frozenset({"127.0.0.1", "127.0.0.2"})) == [b"announced"]
    finally:
        pair.close()


async def test_who_is_paused_reads_nothing_until_resumed() -> None:
    """Within a batch as well; what came meanwhile waits in the kernel. Closed meanwhile, nothing is resumed."""
    pair = open_pair("127.0.0.1")
    taken: list[bytes] = []

    def take(data: bytes, _control: bool) -> None:
        taken.append(data)
        pair.pause()

    try:
        pair.listen(frozenset({"127.0.0.1"}), take)
        send([b"1", b"2", b"3"], pair.port)
        send([b"report"], pair.port + 1)
        for count in (1, 2, 3, 4):
            pair.resume()
            pair.resume()
            async with asyncio.timeout(5):
                while len(taken) < count:
                    await asyncio.sleep(0.001)
            assert await quiet(taken) and len(taken) == count
        assert set(taken) == {b"1", b"2", b"3", b"report"}
    finally:
        pair.close()
    pair.resume()
    pair.pause()


async def test_datagrams_of_others_can_be_told() -> None:
    """How many bytes each had: they cost their time, whoever they are of."""
    pair = open_pair("127.0.0.1")
    foreign: list[int] = []
    try:
        pair.listen(frozenset({"127.0.0.1"}), lambda _data, _control: None, foreign.append)
        send([b"x" * 100, b""], pair.port, source="127.0.0.2")
        async with asyncio.timeout(5):
            while len(foreign) < 2:
                await asyncio.sleep(0.001)
        assert foreign == [100, 0] and pair.foreign == 2
    finally:
        pair.close()


async def quiet(taken: list[bytes]) -> bool:
    """Whether nothing more came for a moment."""
    before = len(taken)
    await asyncio.sleep(0.02)
    return len(taken) == before


async def burst(count: int, buffer_bytes: int) -> tuple[int, int]:
    """So many datagrams of 1,400 bytes while nobody reads, and one later: how many came, how many were dropped."""
    pair = open_pair("127.0.0.1", buffer_bytes=buffer_bytes)
    taken: list[bytes] = []
    try:
        pair.listen(frozenset({"127.0.0.1"}), lambda data, _: taken.append(data))
        send([bytes(1400)] * count, pair.port)
        async with asyncio.timeout(5):
            while not taken or taken[-1] != bytes(1400) or not await quiet(taken):
                await asyncio.sleep(0.001)
            send([b"later"], pair.port)
            while taken[-1] != b"later":
                await asyncio.sleep(0.001)
        told = pair.told_dropped
        assert pair.dropped() == told
        return len(taken) - 1, told
    finally:
        pair.close()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_what_our_kernel_dropped_is_counted(run: object) -> None:
    """With a tiny buffer most of a burst is lost, and every single one is counted, by either event loop."""
    came, dropped = run(burst(190, TINY))  # type: ignore[operator]

    assert came + dropped == 190
    assert dropped > 100


async def test_drops_are_known_without_a_later_datagram() -> None:
    """Those after the last datagram that fitted are told by no other one."""
    pair = open_pair("127.0.0.1", buffer_bytes=TINY)
    try:
        send([bytes(1400)] * 50, pair.port)
        assert pair.told_dropped == 0
        assert pair.dropped() > 20
    finally:
        pair.close()


def test_the_buffer_is_as_large_as_the_kernel_allows() -> None:
    """What is asked for, or net.core.rmem_max where that is less and we may not exceed it."""
    pair = open_pair("127.0.0.1")
    granted = pair.buffer_bytes
    pair.close()

    assert granted >= min(RECEIVE_BUFFER, int(Path("/proc/sys/net/core/rmem_max").read_text()))


def test_a_keyframe_of_260_kb_fits_the_buffer() -> None:
    """190 datagrams while nobody reads: none is lost, where the kernel grants the buffer."""
    pair = open_pair("127.0.0.1")
    granted = pair.buffer_bytes
    pair.close()
    if granted < RECEIVE_BUFFER:
        pytest.skip(f"the kernel grants {granted} bytes here: sysctl -w net.core.rmem_max={RECEIVE_BUFFER}")

    assert asyncio.run(burst(190, RECEIVE_BUFFER)) == (190, 0)


async def test_one_turn_of_the_loop_reads_a_batch_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood does not keep the loop from its other work, and nothing of it is lost for that."""
    monkeypatch.setattr(udp, "BATCH", 10)
    pair = open_pair("127.0.0.1")
    turns: list[int] = []
    taken: list[bytes] = []
    try:
        send([b"x"] * 35, pair.port)
        pair.listen(frozenset({"127.0.0.1"}), lambda data, _: taken.append(data))
        async with asyncio.timeout(5):
            while len(taken) < 35:
                await asyncio.sleep(0)
                turns.append(len(taken))
    finally:
        pair.close()

    assert max(after - before for before, after in zip([0, *turns], turns, strict=False)) == 10


async def test_ipv6_pairs_know_their_sender() -> None:
    """An address without zone is compared as it is."""
    pair = open_pair("::1")
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"six", ("::1", pair.port))
        assert await collect(pair, 1, frozenset({"0:0:0:0:0:0:0:1"})) == [b"six"]
    finally:
        pair.close()
