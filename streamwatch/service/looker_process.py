"""A looker as a process, or on the service's own loop: rounds in at one end of a channel, reports out of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from pathlib import Path

import msgspec
import structlog
import uvloop

from streamwatch.clock import Clock, SystemClock
from streamwatch.decoders.jail import die_with_parent
from streamwatch.decoders.pool import DecoderPool, JailMode
from streamwatch.fleet.local import Channel, SocketChannel
from streamwatch.fleet.outbox import Outbox
from streamwatch.health import LoopLag
from streamwatch.heap import prepare_for_looks
from streamwatch.logs import configure, hide_secrets
from streamwatch.looker import Looker
from streamwatch.model.report import Report, Round, VersionError, decode_round, encode
from streamwatch.net.address import Guard, parse_networks
from streamwatch.net.canary import Canaries, canary_targets
from streamwatch.service.policies import looker_policy
from streamwatch.settings import Settings, load

log = structlog.get_logger(__name__)


async def serve(channel: Channel, settings: Settings, vantage: str, clock: Clock) -> None:
    """Works off rounds until the channel ends."""
    look = settings.look
    pool = DecoderPool(
        workers=settings.limits.decodes(),
        jail=JailMode(settings.decoders.jail),
        wall_s=settings.decoders.wall_s,
        max_pixels=look.max_pixels,
    )
    lag = LoopLag(clock)
    canaries = Canaries(canary_targets(settings.canaries.targets), clock, settings.canaries.interval_s)
    looker = Looker(
        vantage,
        pool=pool,
        clock=clock,
        policy=looker_policy(settings),
        guard=Guard(parse_networks(look.allow_networks)),
        canaries=canaries,
        lag=lag,
    )
    await pool.start()
    prepare_for_looks()
    background = [asyncio.create_task(lag.run()), asyncio.create_task(canaries.run())]
    rounds: set[asyncio.Task[None]] = set()
    hidden: set[str] = set()  # the logs know these passwords already

    outbox = Outbox(channel)

    async def work(order: Round) -> None:
        async def emit(report: Report) -> None:
            # what somebody waits for: a look that was asked for or confirms another, and one that failed
            at_once = order.window_ms == 0 or any(look.reason is not None for look in report.looks)
            await outbox.send(encode(report), at_once=at_once)

        try:
            await looker.work(order, emit)
        except ConnectionError:
            log.warning("looker.nobody_listens", round=order.id)
        except Exception:
            log.exception("looker.round_failed", round=order.id)

    try:
        while (data := await channel.receive()) is not None:
            try:
                order = decode_round(data)
            except (msgspec.MsgspecError, VersionError) as error:
                log.error("round.unreadable", error=str(error))
                continue
            hide_secrets(fresh := [word for word in _passwords(order) if word not in hidden])
            hidden.update(fresh)
            task = asyncio.create_task(work(order))
            rounds.add(task)
            task.add_done_callback(rounds.discard)
    finally:
        for task in (*rounds, *background):
            task.cancel()
        await asyncio.gather(*rounds, *background, return_exceptions=True)
        await outbox.aclose()
        looker.close()
        await looker.end_watching()
        await pool.aclose()


def _passwords(order: Round) -> list[str]:
    return [ticket.credentials.password for ticket in order.tickets if ticket.credentials is not None]


def main(config: Path | None, vantage: str, fd: int) -> None:
    """The process: `python -m streamwatch _looker CONFIG VANTAGE FD`."""
    die_with_parent(os.getppid())
    settings = load(config, os.environ)
    configure(settings)

    async def run() -> None:
        channel = await SocketChannel.over(socket.socket(fileno=fd))
        serving = asyncio.create_task(serve(channel, settings, vantage, SystemClock()))
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, serving.cancel)
        loop.add_signal_handler(signal.SIGINT, lambda: None)  # a terminal's Ctrl-C is for the service, which ends us
        with contextlib.suppress(asyncio.CancelledError):
            await serving

    uvloop.run(run())
