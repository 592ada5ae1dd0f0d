"""The farm's connections: what is written arrives, whole, in order and each packet alone; what is due is done."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable

import pytest

from streamwatch.simulator.switchboard import SLOT_S, Connection, Switchboard

LARGE = bytes(range(256)) * 4_000  # 1 MB: more than the buffers of a pair of sockets hold


class Peer:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.data = b""
        self.losses = 0

    def received(self, data: bytes) -> None:
        self.data += data

    def lost(self) -> None:
        self.losses += 1


@pytest.fixture
async def board() -> AsyncIterator[Switchboard]:
    """A switchboard of this test's loop."""
    made = Switchboard()
    yield made
    made.close()
    made.close()


def pair(board: Switchboard) -> tuple[Connection, Peer, socket.socket]:
    """A connection, who speaks at it, and its far end, which does not block."""
    near, far = socket.socketpair()
    for one in (near, far):
        one.setblocking(False)
    connection, peer = board.connect(near.detach()), Peer()
    connection.peer = peer
    return connection, peer, far


async def until(true: Callable[[], bool]) -> None:
    """Lets the loop run until that is so, for five seconds."""
    for _ in range(5000):
        if true():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it did not become so")


async def read(far: socket.socket, size: int, slow: int = 1 << 20) -> bytes:
    """So many bytes of the far end, `slow` at a time."""
    out = bytearray()
    while len(out) < size:
        try:
            out += far.recv(slow)
        except BlockingIOError:
            await asyncio.sleep(0.0005)
    return bytes(out)


async def test_bytes_go_both_ways_and_an_end_is_told_once(board: Switchboard) -> None:
    """The peer hears what came and, when the far end is closed, that it is gone."""
    connection, peer, far = pair(board)
    far.send(b"question")
    await until(lambda: peer.data == b"question")
    connection.write(b"answer")
    assert await read(far, 6) == b"answer"
    far.close()
    await until(lambda: peer.losses == 1)
    connection.write(b"late")
    connection.write_each([b"later"])
    connection.cut()

    assert peer.losses == 1
    assert not connection.open
    assert connection.unsent == 0


async def test_what_the_kernel_does_not_take_is_kept_in_order(board: Switchboard) -> None:
    """Words and packets of more than the buffers arrive whole: words in their order before packets in theirs."""
    connection, _, far = pair(board)
    connection.write(LARGE)
    connection.write_each([b"packet one", b"packet two"])
    connection.write(b"a word")
    assert connection.unsent > 0
    tail = b"a word" + b"packet one" + b"packet two"

    assert await read(far, len(LARGE) + len(tail)) == LARGE + tail
    await until(lambda: connection.unsent == 0)
    far.close()


async def test_each_packet_is_a_write_and_connections_take_turns(
    board: Switchboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen by one who gets every write of two connections by itself, in the order in which they were made: a run of
    each at once, then one of each in turn."""
    monkeypatch.setattr("streamwatch.simulator.switchboard.RUN", 2)
    far = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    far.bind("")  # Linux gives it a name
    far.setblocking(False)
    for name in (b"a", b"b"):
        near = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        near.connect(far.getsockname())
        near.setblocking(False)
        board.connect(near.detach()).write_each([name + b"%d" % number for number in range(4)])
    await asyncio.sleep(0.01)

    seen = [far.recv(100) for _ in range(8)]
    far.close()
    assert seen == [b"a0", b"a1", b"b0", b"b1", b"a2", b"b2", b"a3", b"b3"]


async def test_a_word_goes_before_packets_that_wait_and_cuts_none(board: Switchboard) -> None:
    """A reply need not wait for a key frame; a packet that has begun to leave ends first."""
    connection, _, far = pair(board)
    connection.write_each([LARGE, b"packet two"])
    await until(lambda: connection.unsent < len(LARGE))
    connection.write(b"a word")

    assert await read(far, len(LARGE) + 16) == LARGE + b"a word" + b"packet two"
    far.close()


async def test_what_waits_can_be_forgotten_but_not_cut_in_two(board: Switchboard) -> None:
    """After TEARDOWN no packet follows but the rest of the one that had begun."""
    connection, _, far = pair(board)
    connection.write_each([LARGE, b"packet two"])
    await until(lambda: connection.unsent < len(LARGE))
    connection.forget()
    connection.write(b"bye")
    connection.close()

    assert await read(far, len(LARGE) + 3) == LARGE + b"bye"
    await asyncio.sleep(0.01)
    assert far.recv(1) == b""
    far.close()


async def test_close_waits_for_packets_and_words(board: Switchboard) -> None:
    """FIN comes behind everything that was written."""
    connection, peer, far = pair(board)
    connection.write_each([LARGE, b"two", b"three"])
    connection.close()
    assert not connection.open

    assert await read(far, len(LARGE) + 8) == LARGE + b"twothree"
    await until(lambda: peer.losses == 1)
    assert far.recv(1) == b""
    far.close()


async def test_what_is_due_is_done_in_its_order(board: Switchboard) -> None:
    """Whatever the order it was asked in, and nothing much too early; what was asked for meanwhile as well."""
    done: list[tuple[int, float]] = []
    start = board.time()
    wanted = {7: 0.04, 1: 0.0, 5: 0.02, 3: 0.01}
    for name, after in wanted.items():
        board.at(start + after, lambda name=name: done.append((name, board.time() - start)))
    board.at(start + 0.02, lambda: board.at(board.time(), lambda: done.append((6, board.time() - start))))
    await until(lambda: len(done) == 5)

    assert [name for name, _ in done] == [1, 3, 5, 6, 7]
    assert all(at >= wanted.get(name, 0.02) - SLOT_S for name, at in done)


async def test_a_peer_that_is_gone_while_it_is_written_to_ends_nothing_else(board: Switchboard) -> None:
    """Its packets are dropped, its loss is told, and another connection goes on."""
    broken, lost, gone = pair(board)
    other, _, far = pair(board)
    gone.close()
    broken.write_each([b"one", b"two"])
    other.write_each([b"one", b"two"])

    assert await read(far, 6) == b"onetwo"
    await until(lambda: lost.losses == 1)
    assert broken.unsent == 0
    far.close()


async def test_words_that_are_held_leave_with_the_next_bytes(board: Switchboard) -> None:
    """By one write, in their order; by themselves when nothing comes, or packets that each leave alone."""
    far = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    far.bind("")
    far.setblocking(False)
    near = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    near.connect(far.getsockname())
    connection = board.connect(near.detach())
    connection.hold(b"reply ")
    connection.write(b"frame")
    connection.release()
    connection.hold(b"alone")
    connection.release()
    connection.hold(b"first")
    connection.write_each([b"one", b"two"])
    connection.hold(b"last")
    connection.close()

    assert [far.recv(100) for _ in range(6)] == [b"reply frame", b"alone", b"first", b"one", b"two", b"last"]
    far.close()


async def test_held_words_keep_their_place_where_the_kernel_takes_no_more(board: Switchboard) -> None:
    """Before what they were held for, and behind what waits already; a write that ends within either goes on."""
    connection, _, far = pair(board)
    connection.hold(b"a" * 1000)
    connection.write(LARGE)
    connection.hold(b"b" * 1000)
    connection.write(b"c" * 1000)
    connection.hold(b"d" * 1000)
    connection.release()
    whole = b"a" * 1000 + LARGE + b"b" * 1000 + b"c" * 1000 + b"d" * 1000
    assert connection.unsent > 0

    assert await read(far, len(whole)) == whole
    await until(lambda: connection.unsent == 0)
    far.close()


async def test_a_peer_that_resets_is_not_read_any_more(board: Switchboard) -> None:
    """What it said before is not answered."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        far = socket.create_connection(listener.getsockname())
        near, _ = listener.accept()
    connection, peer = board.connect(near.detach()), Peer()
    connection.peer = peer
    far.send(b"last words")
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    far.close()
    await until(lambda: peer.losses == 1)

    assert peer.data == b""
    assert not connection.open
