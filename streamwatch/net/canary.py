"""Canaries 参照点: targets that are not cameras and tell whether *our* path works."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from streamwatch.clock import Clock
from streamwatch.errors import ConfigError
from streamwatch.model.report import Canary

ANSWER_S: Final = 2.0  # a canary is near, or it is no good as one
ROUTES: Final = Path("/proc/net/route")
NEIGHBOURS: Final = Path("/proc/net/arp")
ARP_COMPLETE: Final = 0x2  # ATF_COM of linux/if_arp.h: the neighbour's hardware address is known
GATEWAY: Final = "gateway"
GATEWAY_PORT: Final = 53  # any port does: a refusal is an answer


def default_gateway(table: str) -> str | None:
    """The IPv4 default gateway in the text of /proc/net/route, or None."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) >= 3 and fields[1] == "00000000" and fields[2] != "00000000":
            with contextlib.suppress(ValueError, struct.error):
                return socket.inet_ntoa(struct.pack("<I", int(fields[2], 16)))
    return None


def is_neighbour(table: str, ip: str) -> bool:
    """Whether the text of /proc/net/arp knows that address's hardware: it answered on the link a moment ago."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) >= 4 and fields[0] == ip:
            with contextlib.suppress(ValueError):
                return int(fields[2], 16) & ARP_COMPLETE != 0
    return False


def canary_targets(texts: tuple[str, ...]) -> tuple[tuple[str, str, int], ...]:
    """(name, host, port) of each configured canary; a gateway that does not exist is left out. Raises ConfigError."""
    targets: list[tuple[str, str, int]] = []
    for text in texts:
        if text == GATEWAY:
            gateway = default_gateway(ROUTES.read_text()) if ROUTES.exists() else None
            if gateway is not None:
                targets.append((GATEWAY, gateway, GATEWAY_PORT))
            continue
        parts = urlsplit(text)
        try:
            port = parts.port
        except ValueError:
            port = None
        if parts.scheme != "tcp" or not parts.hostname or not port:
            raise ConfigError(f"canaries.targets: {text!r} is neither 'gateway' nor tcp://HOST:PORT")
        targets.append((text.removeprefix("tcp://"), parts.hostname, port))
    return tuple(targets)


class Canaries:
    """Asks every canary now and then, and at once when a failed look wants to know."""

    def __init__(self, targets: tuple[tuple[str, str, int], ...], clock: Clock, interval_s: float) -> None:
        self._targets = targets
        self._clock = clock
        self._interval_s = interval_s
        self._latest: tuple[Canary, ...] = ()
        self._latest_at = float("-inf")  # monotonic, when the latest check began
        self._checking: asyncio.Task[None] | None = None

    @property
    def latest(self) -> tuple[Canary, ...]:
        """What each canary did at the latest check; empty without canaries or before the first."""
        return self._latest

    async def run(self) -> None:
        """Asks at the configured rhythm until cancelled."""
        while self._targets:
            await self.fresh(self._clock.monotonic())
            await self._clock.sleep(self._interval_s)

    async def fresh(self, since: float) -> tuple[Canary, ...]:
        """The canaries as of a check that began at or after the monotonic moment `since`; callers share one check."""
        while self._targets and self._latest_at < since:
            if self._checking is None or self._checking.done():
                self._checking = asyncio.create_task(self._check())
            await asyncio.shield(self._checking)
        return self._latest

    async def _check(self) -> None:
        began = self._clock.monotonic()
        answers = await asyncio.gather(*(_answers(name, host, port) for name, host, port in self._targets))
        at_us = self._clock.utc_us()
        self._latest = tuple(Canary(name, up, at_us) for (name, _, _), up in zip(self._targets, answers, strict=True))
        self._latest_at = began


async def _answers(name: str, host: str, port: int) -> bool:
    """Whether anything at all came back: an accepted connection or a refusal; of a gateway also its hardware address.

    Many routers drop what is not meant for them. Such a one would be silent for ever, and every camera's failure ours.
    """
    try:
        async with asyncio.timeout(ANSWER_S):
            _, writer = await asyncio.open_connection(host, port)
    except ConnectionRefusedError:
        return True
    except (TimeoutError, OSError):
        return name == GATEWAY and NEIGHBOURS.exists() and is_neighbour(NEIGHBOURS.read_text(), host)
    writer.close()
    return True
