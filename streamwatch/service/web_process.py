"""The web as a process, or on the service's own loop: reads the database, follows the live view, serves the API."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import uvicorn
import uvloop

from streamwatch.api.app import create_app
from streamwatch.clock import Clock, SystemClock
from streamwatch.datadir import DataDir
from streamwatch.decoders.jail import die_with_parent
from streamwatch.live.client import LiveClient
from streamwatch.live.view import View
from streamwatch.logs import configure
from streamwatch.settings import Settings, load
from streamwatch.store.engine import default_url, open_reader
from streamwatch.web.pages import install_pages


class _Server(uvicorn.Server):
    """Leaves signals to its owner: on the service's own loop it must not take them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: Settings, listener: socket.socket, clock: Clock, stop: asyncio.Event) -> None:
    """Serves until `stop` is set."""
    data_dir = DataDir(settings.data_dir)
    view = View()
    client = LiveClient(data_dir.live_sock(), view)
    reader = open_reader(settings.database_url or default_url(data_dir.path))
    app = create_app(
        reader=reader,
        view=view,
        caller=client,
        clock=clock,
        session_key=data_dir.session_key(),
        session_s=settings.web.session_s(),
        default_interval_s=settings.schedule.interval_s,
    )
    install_pages(app)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", server_header=False, timeout_graceful_shutdown=3
    )
    server = _Server(config)
    following = asyncio.create_task(client.run())
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((serving, stopped), return_when=asyncio.FIRST_COMPLETED)
    finally:
        server.should_exit = True
        following.cancel()
        stopped.cancel()
        await asyncio.gather(serving, following, stopped, return_exceptions=True)
        await reader.dispose()


def main(config: Path | None, fd: int) -> None:
    """The process: `python -m streamwatch _web CONFIG FD`."""
    die_with_parent(os.getppid())
    settings = load(config, os.environ)
    configure(settings)

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        loop.add_signal_handler(signal.SIGINT, lambda: None)  # a terminal's Ctrl-C is for the service, which ends us
        with contextlib.closing(socket.socket(fileno=fd)) as listener:
            await serve(settings, listener, SystemClock(), stop)

    uvloop.run(run())
