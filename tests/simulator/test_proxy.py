"""The bad line does to bytes what is asked of it, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.errors import UsageError
from streamwatch.simulator.bad_line import NO_FAULTS, Faults, flipped, parse_faults, sliced
from streamwatch.simulator.datagram_proxy import UdpProxy
from streamwatch.simulator.proxy import TcpProxy, parse_place
from tests.simulator.conftest import PATIENCE_S, ROOT

TEXT = bytes(range(256)) * 40


@contextlib.asynccontextmanager
async def echo() -> AsyncIterator[tuple[str, int]]:
    """A server that says what it hears."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(4096):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield "127.0.0.1", server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def through(up: Faults = NO_FAULTS, down: Faults = NO_FAULTS, *, seed: int = 1) -> tuple[bytes, list[int], bool]:
    """TEXT through the proxy and back: what came, in which pieces, and whether it ended by RST."""
    async with echo() as to, TcpProxy(to, up=up, down=down, seed=seed) as proxy, asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        out, pieces, reset = b"", [], False
        try:
            writer.write(TEXT)
            writer.write_eof()
            while data := await reader.read(4096):
                out += data
                pieces.append(len(data))
        except ConnectionResetError:
            reset = True
        writer.close()
        assert proxy.defects == []
        return out, pieces, reset


async def test_a_good_line_changes_nothing() -> None:
    """All bytes come through, and the end of one direction is passed on while the other still speaks."""
    assert (await through())[0] == TEXT


async def test_slices_change_no_byte() -> None:
    """In single bytes everything arrives, in more pieces than it was said in."""
    whole, pieces, _ = await through(down=Faults(slice_bytes=1))

    assert whole == TEXT
    assert len(pieces) > 10


@pytest.mark.parametrize(("how", "reset"), [("fin", False), ("rst", True)])
@pytest.mark.parametrize("after", [0, 1, 777])
async def test_a_cut_lets_so_many_bytes_pass(how: str, after: int, *, reset: bool) -> None:
    """Of either direction; by FIN exactly so many arrive, by RST at most."""
    out, _, was_reset = await through(down=Faults(cut_after=after, cut=how))

    assert out == TEXT[: len(out)]
    assert len(out) == after or (reset and len(out) < after)
    assert was_reset is reset
    out, _, _ = await through(up=Faults(cut_after=after, cut=how))
    assert len(out) <= after


async def test_a_stall_is_silence_and_no_end() -> None:
    """So many bytes pass, then none, while the connection stays."""
    async with echo() as to, TcpProxy(to, down=Faults(stall_after=100)) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(TEXT)
        assert await reader.readexactly(100) == TEXT[:100]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await reader.read(1)
        writer.close()


async def test_throttle_and_delay_let_nothing_through_at_once() -> None:
    """A byte every so often; nothing before the delay."""
    for faults, most in ((Faults(bytes_a_s=20), 10), (Faults(delay_s=5.0), 0)):
        async with echo() as to, TcpProxy(to, down=faults) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(TEXT)
            came = b""
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.3):
                    while True:
                        came += await reader.read(4096)
            assert len(came) <= most
            writer.close()


async def test_what_fails_once_fails_again() -> None:
    """The same seed corrupts the same bytes of the same connection, another one others."""
    faults = Faults(corrupt=1e-3)
    first, again, other = [(await through(down=faults, seed=seed))[0] for seed in (1, 1, 2)]

    assert first != TEXT
    assert len(first) == len(TEXT)
    # how the bytes are cut into reads may differ, and with it where chance begins anew; most of the time it does not
    assert first == again or sum(a != b for a, b in zip(first, again, strict=True)) < 200
    assert first != other


@given(st.binary(max_size=3000), st.integers(0, 50), st.integers(0, 2**32))
def test_slices_join_to_what_they_were(data: bytes, most: int, seed: int) -> None:
    """Pieces are 1 to `most` bytes, and together the same."""
    pieces = list(sliced(data, most, random.Random(seed)))

    assert b"".join(pieces) == data
    assert all(1 <= len(piece) <= (most or len(data)) for piece in pieces)


def test_bits_turn_at_the_rate_that_is_asked_for() -> None:
    """Within 10 % over 8 million bits; at 0 none, and lengths never change."""
    data = bytes(1_000_000)
    for rate in (1e-4, 1e-2):
        out = flipped(data, rate, random.Random(5))
        turned = sum(byte.bit_count() for byte in out)
        assert len(out) == len(data)
        assert 0.9 < turned / (8_000_000 * rate) < 1.1
    assert flipped(data, 0, random.Random(5)) == data


class _Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)  # not one by inheritance, before Python 3.12

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(data, addr)


async def datagrams(down: Faults, count: int = 200) -> list[int]:
    """Numbers that came back, of so many that were sent."""
    loop = asyncio.get_running_loop()
    far, _ = await loop.create_datagram_endpoint(_Echo, local_addr=("127.0.0.1", 0))
    came: list[int] = []
    async with UdpProxy(far.get_extra_info("sockname"), down=down) as proxy:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(0)
            client.connect(("127.0.0.1", proxy.port))
            for number in range(count):
                client.send(number.to_bytes(2, "big"))
                await asyncio.sleep(0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.3):
                    while True:
                        came.append(int.from_bytes(await loop.sock_recv(client, 100), "big"))
    far.close()
    return came


async def test_datagrams_are_lost_doubled_and_swapped() -> None:
    """Each at its share; without faults all come back in their order."""
    assert await datagrams(NO_FAULTS) == list(range(200))
    assert 60 < len(await datagrams(Faults(lose=0.5))) < 140
    assert 260 < len(await datagrams(Faults(double=0.5))) < 340
    swapped = await datagrams(Faults(swap=0.3))
    assert swapped != sorted(swapped)
    assert set(range(199)) <= set(swapped)


def test_faults_are_written_by_name() -> None:
    """NAME=NUMBER, several with commas; anything else is told what it may be."""
    assert parse_faults("") == NO_FAULTS
    assert parse_faults("slice_bytes=1,delay_s=0.5,cut=rst") == Faults(slice_bytes=1, delay_s=0.5, cut="rst")
    for wrong in ("slow=1", "delay_s=x", "delay_s", "cut=now", "delay_s=-1"):
        with pytest.raises(UsageError):
            parse_faults(wrong)
    assert parse_place("127.0.0.1:554") == ("127.0.0.1", 554)
    with pytest.raises(UsageError):
        parse_place("camera")


def test_the_command_says_where_it_listens() -> None:
    """One JSON line, then it serves until SIGTERM; wrong usage is 64."""
    command = [sys.executable, "-m", "streamwatch.simulator.proxy"]
    with socket.create_server(("127.0.0.1", 0)) as far:
        place = f"127.0.0.1:{far.getsockname()[1]}"
        process = subprocess.Popen(
            [*command, "--to", place, "--down", "slice_bytes=1"], stdout=subprocess.PIPE, cwd=ROOT
        )
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S):
            far.settimeout(PATIENCE_S)
            far.accept()[0].close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
        process.stdout.close()
    wrong = subprocess.run([*command, "--to", "x:1", "--up", "slow"], capture_output=True, check=False, cwd=ROOT)
    assert wrong.returncode == 64
