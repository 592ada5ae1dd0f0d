"""How commands reach the data: a change by the running service, or under the lock by this process; reading by nobody's
leave. There is one writer at any time, and whoever cannot become it asks it or says who it is."""

from __future__ import annotations

import os
import pwd
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from streamwatch.clock import SystemClock
from streamwatch.datadir import DataDir, command_line
from streamwatch.errors import ConfigError, HeldError, UsageError
from streamwatch.live.client import CallError, call
from streamwatch.settings import Settings
from streamwatch.store.engine import database_path, default_url, open_reader, open_writer
from streamwatch.store.handles import Connection, Writer
from streamwatch.store.migrate import require_current, upgrade

ANSWER_S: Final = 60.0  # a change waits for the commit that is under way, on a loaded machine


async def change(
    settings: Settings,
    op: str,
    args: dict[str, Any] | Callable[[], dict[str, Any]],
    alone: Callable[[Writer], Awaitable[Any]],
    *,
    timeout_s: float = ANSWER_S,
) -> Any:
    """Has `op` done by the running service; where nobody holds the data directory, does it by `alone` under the lock.

    `args` may be a function that makes them: a city's list is 25 MB, which only the service needs. Raises HeldError
    where another command holds it, UsageError where the change was refused, CallError where the service did not answer
    in time: whether it was done is not known then.
    """
    data = DataDir(settings.data_dir)
    try:
        lock = data.lock(command_line(), SystemClock().utc_us())
    except HeldError as held:
        return await _by_service(data, op, args() if callable(args) else args, held, timeout_s)
    with lock:
        url = database_url(settings)
        await upgrade(url)
        engine = open_writer(url)
        try:
            return await alone(engine)
        finally:
            await engine.dispose()


async def _by_service(data: DataDir, op: str, args: dict[str, Any], held: HeldError, timeout_s: float) -> Any:
    try:
        return await call(data.live_sock(), op, args, timeout_s=timeout_s)
    except CallError as error:
        if error.code == "unavailable":
            raise held from error  # a command, or a service that begins or ends
        if error.code == "refused":
            raise UsageError(str(error)) from None  # as this process would have been told by itself
        raise


@asynccontextmanager
async def reading(settings: Settings) -> AsyncIterator[Connection]:
    """One snapshot of the database, also while the service runs; nothing can be written.

    Raises ConfigError where there is no database, or one that this version does not work with.
    """
    path = existing_database(settings)
    engine = open_reader(database_url(settings))
    try:
        async with engine.begin() as conn:
            await conn.run_sync(require_current, path)
            yield conn
    finally:
        await engine.dispose()


def database_url(settings: Settings) -> str:
    """The database that the settings mean."""
    return settings.database_url or default_url(settings.data_dir)


def existing_database(settings: Settings) -> Path:
    """Its file. Raises ConfigError where there is none: a typing mistake must not make one."""
    path = database_path(database_url(settings))
    if not path.is_file():
        raise ConfigError(
            f"{path}: there is no database; set STREAMWATCH_DATA_DIR to the data directory of the service, "
            "or make one with: streamwatch run"
        )
    return path


def asker() -> str:
    """Who types this command, for the log: the user of the operating system, and who became it by sudo."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    before = os.environ.get("SUDO_USER")
    return f"{name} (sudo: {before})" if before else name
