"""Beside the path: a bad line for datagrams, which are delayed, lost, doubled, swapped and corrupted."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from streamwatch.simulator.bad_line import NO_FAULTS, Faults, flipped

DATAGRAM_IDLE_S: Final = 60.0  # after which a client's port is forgotten
MAX_CLIENTS: Final = 1024  # more are not served


class _Far(asyncio.DatagramProtocol):
    """The camera's side of one client."""

    def __init__(self, proxy: UdpProxy, client: tuple[str, int]) -> None:
        self._proxy, self._client = proxy, client

    def datagram_received(self, data: bytes, _addr: tuple[str, int]) -> None:
        self._proxy.down(data, self._client)


class _Near(asyncio.DatagramProtocol):
    """The clients' side."""

    def __init__(self, proxy: UdpProxy) -> None:
        self._proxy = proxy

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._proxy.up(data, addr)


@dataclass(slots=True)
class _Client:
    far: asyncio.DatagramTransport | None = None
    waiting: list[bytes] = field(default_factory=list)  # until `far` is there
    used_at: float = 0.0


class UdpProxy:
    """The same for datagrams: each client has a port of its own towards `to`."""

    def __init__(
        self, to: tuple[str, int], *, up: Faults = NO_FAULTS, down: Faults = NO_FAULTS, seed: int = 1,
        listen: tuple[str, int] = ("127.0.0.1", 0),
    ) -> None:  # fmt: skip
        self._to, self._faults, self._listen = to, {"up": up, "down": down}, listen
        self._rng = random.Random(seed)
        self._held: dict[str, bytes | None] = {"up": None, "down": None}  # one that the next is to overtake
        self._clients: dict[tuple[str, int], _Client] = {}
        self._near: asyncio.DatagramTransport | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> UdpProxy:
        loop = asyncio.get_running_loop()
        near, _ = await loop.create_datagram_endpoint(lambda: _Near(self), local_addr=self._listen)
        self._near = near
        self.port = int(near.get_extra_info("sockname")[1])
        return self

    async def __aexit__(self, *_what: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for client in self._clients.values():
            if client.far is not None:
                client.far.close()
        if self._near is not None:
            self._near.close()

    def up(self, data: bytes, client: tuple[str, int]) -> None:
        """A client has sent this."""
        now = asyncio.get_running_loop().time()
        known = self._clients.get(client)
        if known is None:
            for address in [key for key, one in self._clients.items() if now - one.used_at > DATAGRAM_IDLE_S]:
                gone = self._clients.pop(address)
                if gone.far is not None:
                    gone.far.close()
            if len(self._clients) >= MAX_CLIENTS:
                return
            known = self._clients[client] = _Client()
            self._spawn(self._open(client, known))
        known.used_at = now
        for one in self._altered("up", data):
            if known.far is None:
                known.waiting.append(one)
            else:
                self._later("up", known.far, one, None)

    def down(self, data: bytes, client: tuple[str, int]) -> None:
        """The camera has sent this to a client."""
        for one in self._altered("down", data):
            if self._near is not None:
                self._later("down", self._near, one, client)

    async def _open(self, client: tuple[str, int], known: _Client) -> None:
        loop = asyncio.get_running_loop()
        far, _ = await loop.create_datagram_endpoint(lambda: _Far(self, client), remote_addr=self._to)
        known.far = far
        for one in known.waiting:
            self._later("up", known.far, one, None)
        known.waiting.clear()

    def _altered(self, direction: str, data: bytes) -> list[bytes]:
        """What leaves now for what came: nothing, it, it twice, and one that was held back before."""
        faults, rng = self._faults[direction], self._rng
        out = [] if rng.random() < faults.lose else [flipped(data, faults.corrupt, rng)]
        if out and rng.random() < faults.double:
            out *= 2
        held, self._held[direction] = self._held[direction], None
        if held is not None:
            return [*out, held]
        if out and rng.random() < faults.swap:
            self._held[direction] = out.pop()
        return out

    def _later(
        self, direction: str, through: asyncio.DatagramTransport, data: bytes, to: tuple[str, int] | None
    ) -> None:
        faults = self._faults[direction]
        delay_s = faults.delay_s + self._rng.random() * faults.jitter_s
        if delay_s:
            asyncio.get_running_loop().call_later(delay_s, _sendto, through, data, to)
        else:
            _sendto(through, data, to)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _sendto(through: asyncio.DatagramTransport, data: bytes, to: tuple[str, int] | None) -> None:
    if not through.is_closing():
        through.sendto(data, to)
