"""Gives each hostile camera an address of its own, and writes the list that `import` takes."""

from __future__ import annotations

import asyncio
import csv
import errno
import logging
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streamwatch.errors import ConfigError, UsageError
from streamwatch.simulator.hostile.props import Props
from streamwatch.simulator.hostile.stage import Account, Hostility, Talk, perform
from streamwatch.simulator.hostile.tls import context
from streamwatch.simulator.machine import Addresses, free_port

BACKLOG: Final = 64
PORT_TRIES: Final = 20
LIMIT: Final = 2**18  # bytes that wait to be read; every request is below 4 KiB

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HostileCamera:
    """One that is served: `url` without credentials."""

    code: str
    what: Hostility
    address: str
    port: int

    @property
    def url(self) -> str:
        """Where it is hostile."""
        return f"{self.what.scheme}://{self.address}:{self.port}/{self.what.name}"


class HostileServer:
    """Serves one camera a given hostility, each at the next address of `bind`, all at one port. `defects` are errors of
    our own in a script: there should be none."""

    def __init__(self, whats: Sequence[Hostility], props: Props, *, bind: str, port: int = 0) -> None:
        self._whats, self._props, self._bind, self._port = list(whats), props, bind, port
        self._servers: list[asyncio.Server] = []
        self._playing: set[asyncio.Task[None]] = set()
        self._turns: dict[str, int] = {}
        self.account = Account()
        self.cameras: list[HostileCamera] = []
        self.defects: list[str] = []

    async def start(self) -> None:
        """Listens. Raises UsageError where `bind` is no network or too narrow, ConfigError where it cannot be had."""
        network = Addresses(self._bind)
        places = [network[index] for index in range(min(len(network), len(self._whats)))]
        if len(places) < len(self._whats):
            raise UsageError(f"--bind {self._bind} has fewer addresses than {len(self._whats)} cameras: widen it")
        for attempt in range(PORT_TRIES):
            port = self._port or free_port(places[0])
            try:
                for number, (what, place) in enumerate(zip(self._whats, places, strict=True), 1):
                    await self._listen(what, place, port)
                    self.cameras.append(HostileCamera(f"H{number:05d}", what, place, port))
            except OSError as error:
                await self.aclose()
                if error.errno == errno.EADDRINUSE and self._port == 0 and attempt + 1 < PORT_TRIES:
                    continue
                raise ConfigError(
                    f"cannot listen on {place}:{port} ({error.strerror}): every camera needs an address of its own; "
                    "Linux has all of 127.0.0.0/8, elsewhere add some to an interface and name them by --bind"
                ) from error
            return

    async def aclose(self) -> None:
        """Ends the listeners and every connection."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        self.cameras.clear()
        for task in self._playing:
            task.cancel()
        await asyncio.gather(*self._playing, return_exceptions=True)

    async def _listen(self, what: Hostility, place: str, port: int) -> None:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((place, port))

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await self._serve(what, reader, writer)

            made = await asyncio.start_server(
                serve, sock=listener, backlog=BACKLOG, limit=LIMIT, ssl=context(what.secure) if what.secure else None
            )
        except BaseException:
            listener.close()
            raise
        self._servers.append(made)

    async def _serve(self, what: Hostility, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._playing.add(task)
        turn = self._turns.get(what.name, 0)
        self._turns[what.name] = turn + 1
        try:
            await perform(what, Talk(reader, writer, self._props, self.account, turn))
        except asyncio.CancelledError:
            pass  # by `aclose`; this task is over, and what waits for it would call that an error
        except Exception as error:
            self.defects.append(f"{what.name}: {type(error).__name__}: {error}")
            log.exception("the script of %s broke", what.name)
        finally:
            self._playing.discard(task)


def write_inventory(server: HostileServer, path: Path) -> None:
    """The cameras as a CSV that `import` and `run --cameras` take; their names say what they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("code", "name", "village", "url", "username", "password"))
        for camera in server.cameras:
            account = server.account
            row = (camera.code, camera.what.name, "Hostile", camera.url, account.username, account.password)
            writer.writerow(row)
