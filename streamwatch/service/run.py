"""`run`: everything together, from the lock on the data directory to a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import secrets
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

import streamwatch
from streamwatch.access.accounts import ensure_administrator
from streamwatch.clock import Clock, SystemClock
from streamwatch.datadir import DataDir
from streamwatch.errors import ConfigError
from streamwatch.health import LoopLag
from streamwatch.heap import prepare_for_reports
from streamwatch.live.server import LiveServer
from streamwatch.logs import hide_secrets
from streamwatch.secrets import Sealer
from streamwatch.service import looker_process, web_process
from streamwatch.service.children import Child, spawn
from streamwatch.service.commands import Commands
from streamwatch.service.commit import Committer
from streamwatch.service.core import Service
from streamwatch.service.policies import schedule_policy, verdict_policy
from streamwatch.service.status import Doctor
from streamwatch.service.supervisor import notify
from streamwatch.settings import Settings, load
from streamwatch.settings.kinds import split_host_port
from streamwatch.store.engine import default_url, open_writer
from streamwatch.store.handles import StoreError
from streamwatch.store.migrate import upgrade
from streamwatch.store.timeline import load_standings

PULSE_S: Final = 1.0
READY_POLL_S: Final = 0.1
LAST_WRITE_S: Final = 3.0  # of the 15 s that an end may take

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Login:
    """The first account and key, shown once. Blind in repr."""

    name: str
    password: str
    key: str

    def __repr__(self) -> str:
        return "Login(***)"


@dataclass(frozen=True, slots=True)
class Started:
    """What a person is told when it runs."""

    url: str
    login: Login | None


def listen(text: str) -> socket.socket:
    """The listening socket of the API and pages; it outlives a web process that has to be replaced."""
    host, port = split_host_port(text)
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=512
        )
    except OSError as error:
        raise ConfigError(
            f"listen: {text} cannot be listened on: {error.strerror}; "
            "stop what holds it, or set STREAMWATCH_LISTEN to another address (port 0 takes a free one)"
        ) from None


async def run(
    settings: Settings,
    *,
    config: Path | None,
    environ: Mapping[str, str],
    in_one_process: bool = False,
    ready_fd: int | None = None,
    started: Callable[[Started], None] = lambda _: None,
    stop: asyncio.Event | None = None,
) -> None:
    """Runs until SIGTERM, SIGINT or `stop`. Raises HeldError and ConfigError before anything has begun."""
    clock = SystemClock()
    data_dir = DataDir(settings.data_dir)
    stop = stop or asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(data_dir.lock("run", clock.utc_us()))
        listener = stack.enter_context(contextlib.closing(listen(settings.listen)))
        sealer = Sealer.open(data_dir.path)
        url = settings.database_url or default_url(data_dir.path)
        await upgrade(url)
        writer = open_writer(url)
        stack.push_async_callback(writer.dispose)
        async with writer.begin() as conn:
            first = await ensure_administrator(conn, clock.utc_us())
        login = None if first is None else Login(*first)
        if login is not None:
            hide_secrets((login.password, login.key))
            data_dir.write_private(data_dir.admin_key, login.key.encode())
        async with writer.connect() as conn:
            standings = await load_standings(conn)
        committer = Committer(writer)
        service = Service(
            clock=clock,
            policy=verdict_policy(settings),
            schedule=schedule_policy(settings),
            committer=committer,
            rng=random.Random(secrets.randbits(64)),  # noqa: S311 - jitter, guards nothing
        )
        stack.push_async_callback(_write_held, committer, clock)  # after the loops and the lookers have ended
        commands = Commands(service, writer, sealer, settings.schedule.interval_s)
        service.restore(standings)
        await commands.load()
        prepare_for_reports()
        lag = LoopLag(clock)
        children: list[Child] = []
        doctor = Doctor(service, lag, children, committer)
        server = LiveServer(data_dir.live_sock(), commands, doctor.status)
        await server.start(tuple(service.live.values()))
        stack.push_async_callback(server.aclose)
        service.server = server
        stack.push_async_callback(service.lookers.aclose)
        tasks = [
            asyncio.create_task(work)
            for work in (
                lag.run(),
                service.absorb_forever(),
                service.plan_forever(),
                committer.write_held_forever(clock),
                _pulse(server, environ),
            )
        ]
        stack.push_async_callback(_cancel, tasks)
        _start_lookers(service, settings, config, environ, in_one_process=in_one_process)
        host, port = listener.getsockname()[:2]
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        if in_one_process:
            web_stop = asyncio.Event()
            web = asyncio.create_task(web_process.serve(settings, listener, clock, web_stop))
            stack.push_async_callback(_end_web, web, web_stop)
        else:
            fd = listener.fileno()
            os.set_inheritable(fd, True)  # noqa: FBT003 - the system's own interface

            async def start_web() -> asyncio.subprocess.Process:
                return await spawn(["_web", str(config or "-"), str(fd)], environ=environ, pass_fds=(fd,))

            child = Child("web", start_web)
            children.append(child)
            stack.push_async_callback(child.stop)
            tasks.append(asyncio.create_task(child.run()))
        note = {"url": address, "pid": os.getpid(), "version": streamwatch.__version__}
        data_dir.write_private(data_dir.endpoint, json.dumps(note).encode())
        stack.callback(data_dir.endpoint.unlink, missing_ok=True)
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stop.set)
            stack.callback(loop.remove_signal_handler, name)
        reloaded = asyncio.Event()
        loop.add_signal_handler(signal.SIGHUP, reloaded.set)
        stack.callback(loop.remove_signal_handler, signal.SIGHUP)
        tasks.append(asyncio.create_task(_reload_forever(reloaded, service, commands, children, config, environ)))
        tasks.append(asyncio.create_task(_tell_ready(host, port, service, ready_fd, environ)))
        started(Started(address, login))
        log.info("service.started", url=address, cameras=len(service.inventory.cameras))
        await _until(stop, tasks)
        log.info("service.stopping")
        notify(environ, "STOPPING=1")


def _start_lookers(
    service: Service, settings: Settings, config: Path | None, environ: Mapping[str, str], *, in_one_process: bool
) -> None:
    vantage = socket.gethostname()
    if in_one_process:
        service.lookers.add_here(
            vantage, lambda channel: looker_process.serve(channel, settings, vantage, service.clock)
        )
        return
    for number in range(settings.lookers.processes()):
        name = f"{vantage}/{number}"
        service.lookers.add_process(name, ["_looker", str(config or "-"), name], environ)


async def _until(stop: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
    """Waits for the end that was asked for; a loop of ours that fails ends the service with its error."""
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((stopping, *tasks), return_when=asyncio.FIRST_COMPLETED)
    while not stopping.done():
        for task in tasks:
            if task.done():
                task.result()
        tasks = [task for task in tasks if not task.done()]
        await asyncio.wait((stopping, *tasks), return_when=asyncio.FIRST_COMPLETED)


async def _pulse(server: LiveServer, environ: Mapping[str, str]) -> None:
    while True:
        server.pulse()
        notify(environ, "WATCHDOG=1")
        await asyncio.sleep(PULSE_S)


async def _reload_forever(
    asked: asyncio.Event,
    service: Service,
    commands: Commands,
    children: list[Child],
    config: Path | None,
    environ: Mapping[str, str],
) -> None:
    """On SIGHUP: all of the new configuration, or none of it. Address, data directory and database need a restart."""
    while True:
        await asked.wait()
        asked.clear()
        try:
            settings = load(config, environ)
            await commands.load(settings.schedule.interval_s)
        except (ConfigError, StoreError) as error:
            service.config_reloaded = False
            log.error("config.refused", error=str(error), remedy="the old configuration stays in force")
            continue
        service.reconfigure(verdict_policy(settings), schedule_policy(settings))
        for child in (*service.lookers.children, *children):
            child.renew()
        service.config_reloaded = True
        log.info("config.reloaded")


async def _tell_ready(host: str, port: int, service: Service, ready_fd: int | None, environ: Mapping[str, str]) -> None:
    """Tells a supervisor once /readyz answers 200: one byte to a descriptor, and systemd in its own words."""
    while True:
        with contextlib.suppress(OSError):
            if await _readyz(host, port):
                break
        await asyncio.sleep(READY_POLL_S)
    log.info("service.ready", cameras=len(service.inventory.cameras))
    notify(environ, "READY=1", f"STATUS=watching {len(service.inventory.cameras)} cameras")
    if ready_fd is not None:
        with contextlib.suppress(OSError):
            os.write(ready_fd, b"\n")


async def _readyz(host: str, port: int) -> bool:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
        return b" 200 " in await reader.readline()
    finally:
        writer.close()


async def _write_held(committer: Committer, clock: Clock) -> None:
    """What rounds that were under way had seen as before; a store that cannot write now does not hold up the end."""
    with contextlib.suppress(TimeoutError, StoreError):
        async with asyncio.timeout(LAST_WRITE_S):
            await committer.write_held(clock.utc_us(), everything=True)


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _end_web(web: asyncio.Task[None], stop: asyncio.Event) -> None:
    stop.set()
    await asyncio.gather(web, return_exceptions=True)
