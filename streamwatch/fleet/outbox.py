"""What a looker hands over within a moment leaves in one write: a city's rounds report 140 times a second, and each
write would wake the service by itself."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from streamwatch.fleet.local import Channel

JOIN_S: Final = 0.25  # nobody notices the delay; what must not wait is told so
LAST_S: Final = 1.0  # who ends waits no longer for the other end, which may have ended before, or wait for a store
MAX_JOINED_BYTES: Final = 2**20  # of the encoded values that wait; past it they leave at once, and `send` waits


class Outbox:
    """One end's way out over `channel`, in the order in which values came. All lookers of a machine send at the same
    moments of the monotonic clock, so that the service has their Reports together."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._sending = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._gone: ConnectionError | None = None

    async def send(self, data: bytes, *, at_once: bool = False) -> None:
        """Hands over one encoded value, which leaves at once or with others within JOIN_S.

        Raises ConnectionError once the other end is gone: maybe with a later value than the one that was lost.
        """
        if self._gone is not None:
            raise ConnectionError("the other end is gone") from self._gone
        self._waiting.append(data)
        self._bytes += len(data)
        if at_once or self._bytes > MAX_JOINED_BYTES:
            await self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(JOIN_S - self._loop.time() % JOIN_S, self._due)

    async def flush(self) -> None:
        """Sends all that waits; waits while the other end is behind. Raises ConnectionError once it is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        async with self._sending:
            waiting, self._waiting, self._bytes = self._waiting, [], 0
            if not waiting:
                return
            try:
                await self._channel.send(*waiting)
            except ConnectionError as error:
                self._gone = error
                raise

    async def aclose(self) -> None:
        """Sends all that waits, if the other end takes it within LAST_S; what it does not take is lost."""
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(LAST_S):
                await self.flush()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _due(self) -> None:
        self._timer = None
        if self._task is None or self._task.done():  # else it goes on with what came while the other end was behind
            self._task = self._loop.create_task(self._flushed())

    async def _flushed(self) -> None:
        with contextlib.suppress(ConnectionError):  # the next `send` tells it
            while self._waiting:
                await self.flush()
