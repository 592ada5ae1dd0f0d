"""A looker as a process, or on the service's own loop: rounds in at one end of a channel, reports out of it."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import signal
import socket
from typing import Final

import msgspec
import structlog

from streamwatch.clock import Clock, SystemClock
from streamwatch.decoders.pool import DecoderPool, JailMode
from streamwatch.fleet.local import Channel, SocketChannel
from streamwatch.health import LoopLag
from streamwatch.looker import Looker, LookerPolicy
from streamwatch.model.report import Report, Round, VersionError, decode_round, encode
from streamwatch.net.address import Guard, parse_networks
from streamwatch.net.canary import Canaries, canary_targets

PR_SET_PDEATHSIG: Final = 1  # prctl(2): the kernel ends us when the service dies, however it dies

log = structlog.get_logger(__name__)


class LookerPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a looker is told at its start; no secrets, since it stands on a command line."""

    vantage: str
    policy: LookerPolicy
    workers: int
    jail: JailMode
    wall_s: float
    networks: tuple[str, ...]
    canaries: tuple[str, ...]
    canary_interval_s: float
    log_format: str = "auto"
    log_level: str = "info"


def encode_plan(plan: LookerPlan) -> str:
    """The plan as the text of one argument."""
    return msgspec.json.encode(plan).decode()


def decode_plan(text: str) -> LookerPlan:
    """The text of one argument as a plan."""
    return msgspec.json.decode(text, type=LookerPlan)


async def serve(channel: Channel, plan: LookerPlan, clock: Clock) -> None:
    """Works off rounds until the channel ends."""
    pool = DecoderPool(workers=plan.workers, jail=plan.jail, wall_s=plan.wall_s, max_pixels=plan.policy.max_pixels)
    lag = LoopLag(clock)
    canaries = Canaries(canary_targets(plan.canaries), clock, plan.canary_interval_s)
    looker = Looker(
        plan.vantage,
        pool=pool,
        clock=clock,
        policy=plan.policy,
        guard=Guard(parse_networks(plan.networks)),
        canaries=canaries,
        lag=lag,
    )
    await pool.start()
    background = [asyncio.create_task(lag.run()), asyncio.create_task(canaries.run())]
    rounds: set[asyncio.Task[None]] = set()

    async def emit(report: Report) -> None:
        await channel.send(encode(report))

    async def work(order: Round) -> None:
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
            task = asyncio.create_task(work(order))
            rounds.add(task)
            task.add_done_callback(rounds.discard)
    finally:
        for task in (*rounds, *background):
            task.cancel()
        await asyncio.gather(*rounds, *background, return_exceptions=True)
        await pool.aclose()


def die_with_parent() -> None:
    """Asks the kernel to end this process when its parent ends."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def main(plan_text: str, fd: int) -> None:
    """The process: `python -m streamwatch _looker PLAN FD`."""
    import uvloop

    from streamwatch.logs import configure_plain

    die_with_parent()
    plan = decode_plan(plan_text)
    configure_plain(plan.log_format, plan.log_level)

    async def run() -> None:
        channel = await SocketChannel.over(socket.socket(fileno=fd))
        stopping = asyncio.create_task(serve(channel, plan, SystemClock()))
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stopping.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await stopping

    uvloop.run(run())
