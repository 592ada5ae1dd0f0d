"""Child processes that must be there: started, watched, and started again with a growing pause when they die."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import structlog

FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 30.0
STEADY_S: Final = 60.0  # a child that lived this long starts afresh with the first pause
KILL_AFTER_S: Final = 8.0  # of the fifteen seconds that SIGTERM may take in all

log = structlog.get_logger(__name__)


async def spawn(
    arguments: Sequence[str], *, environ: Mapping[str, str], pass_fds: Sequence[int] = ()
) -> asyncio.subprocess.Process:
    """Another process of this program: `python -m streamwatch ARGUMENTS…`, with the settings of `environ`."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "streamwatch",
        *arguments,
        env=dict(environ),
        pass_fds=tuple(pass_fds),
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # a terminal's Ctrl-C is for the service, which ends them; also while they still import
    )


class Child:
    """One child that is kept alive. `start` begins it and returns its process; `lost` is told when it died."""

    def __init__(
        self,
        name: str,
        start: Callable[[], Awaitable[asyncio.subprocess.Process]],
        lost: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.name = name
        self.restarts = 0
        self.process: asyncio.subprocess.Process | None = None
        self._start = start
        self._lost = lost
        self._stopping = False

    @property
    def alive(self) -> bool:
        """Whether it runs now."""
        return self.process is not None and self.process.returncode is None

    async def run(self) -> None:
        """Keeps it alive until `stop`."""
        pause = FIRST_PAUSE_S
        loop = asyncio.get_running_loop()
        while not self._ended():
            begun = loop.time()
            try:
                self.process = await self._start()
                status = await self.process.wait()
            except OSError as error:
                status = -1
                log.error("child.not_started", child=self.name, error=str(error))
            if self._lost is not None:
                await self._lost()
            if self._ended():
                return
            if loop.time() - begun > STEADY_S:
                pause = FIRST_PAUSE_S
            self.restarts += 1
            log.warning("child.died", child=self.name, status=status, again_in_s=round(pause, 1))
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - spreads restarts, guards nothing
            pause = min(pause * 2, LONGEST_PAUSE_S)

    def renew(self) -> None:
        """Asks it to end; another one takes its place with the configuration as it is then."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGTERM)

    def _ended(self) -> bool:
        return self._stopping

    async def stop(self) -> None:
        """Asks it to end, and ends it when it does not."""
        self._stopping = True
        process = self.process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(KILL_AFTER_S):
                await process.wait()
        except TimeoutError:
            log.warning("child.killed", child=self.name)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
