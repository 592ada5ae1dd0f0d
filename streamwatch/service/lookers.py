"""The service's side of the boundary: a looker for each village, rounds out, reports in, the dead replaced."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

import msgspec
import structlog

from streamwatch.fleet.local import Channel, SocketChannel, queue_pair
from streamwatch.model.report import Report, Round, VersionError, decode_report, encode
from streamwatch.service.children import Child, spawn

SEND_WAIT_S: Final = 5.0  # a looker that takes no round for this long is behind: the round is dropped and counted

log = structlog.get_logger(__name__)


class Link:
    """One looker, wherever it runs. `channel` is None while it is being replaced."""

    def __init__(self, name: str, inbox: asyncio.Queue[Report]) -> None:
        self.name = name
        self.channel: Channel | None = None
        self.latest: Report | None = None
        self._inbox = inbox

    async def send(self, order: Round) -> bool:
        """Hands the round over. False: nobody is there to take it, and its cameras stay unlooked at this time."""
        channel = self.channel
        if channel is None:
            return False
        try:
            async with asyncio.timeout(SEND_WAIT_S):
                await channel.send(encode(order))
        except (TimeoutError, OSError):
            return False
        return True

    async def follow(self, channel: Channel) -> None:
        """Takes in its reports until it is gone."""
        self.channel = channel
        try:
            while (data := await channel.receive()) is not None:
                try:
                    report = decode_report(data)
                except (msgspec.MsgspecError, VersionError) as error:
                    log.error("report.unreadable", looker=self.name, error=str(error))
                    continue
                self.latest = report
                await self._inbox.put(report)
        finally:
            if self.channel is channel:
                self.channel = None


class Lookers:
    """All lookers of this machine."""

    def __init__(self, inbox: asyncio.Queue[Report], lost: Callable[[], None]) -> None:
        self._inbox = inbox
        self._lost = lost
        self.links: list[Link] = []
        self.children: list[Child] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def link_for(self, village: int) -> Link:
        """Rendezvous hashing (Thaler and Ravishankar, 1998): a village keeps its looker when others come or go."""
        return max(self.links, key=lambda link: hashlib.blake2b(f"{village}|{link.name}".encode()).digest())

    def add_process(self, name: str, arguments: list[str], environ: Mapping[str, str]) -> None:
        """A looker in a process of its own; `arguments` begin its command line, the socket's number ends it."""
        link = Link(name, self._inbox)
        follower: list[asyncio.Task[None]] = []

        async def start() -> asyncio.subprocess.Process:
            ours, theirs = socket.socketpair()
            with theirs:
                process = await spawn([*arguments, str(theirs.fileno())], environ=environ, pass_fds=(theirs.fileno(),))
            channel = await SocketChannel.over(ours)
            follower.append(self._task(link.follow(channel)))
            return process

        async def lost() -> None:
            while follower:
                task = follower.pop()
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait((task,), timeout=1.0)
                task.cancel()
            self._lost()

        child = Child(name, start, lost)
        self.links.append(link)
        self.children.append(child)
        self._task(child.run())

    def add_here(self, name: str, serve: Callable[[Channel], Coroutine[Any, Any, None]]) -> None:
        """A looker on this loop, over the same bytes."""
        link = Link(name, self._inbox)
        ours, theirs = queue_pair()
        self.links.append(link)
        self._task(serve(theirs))
        self._task(link.follow(ours))

    async def aclose(self) -> None:
        """Ends all lookers."""
        await asyncio.gather(*(child.stop() for child in self.children))
        for link in self.links:
            if link.channel is not None:
                await link.channel.aclose()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("lookers.task_failed", exc_info=error)
