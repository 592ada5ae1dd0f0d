"""The API over a real, migrated database file and a live view made by hand."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from streamwatch.api.app import create_app
from streamwatch.live.view import View
from streamwatch.store.engine import database_path, default_url, open_reader, open_writer
from streamwatch.store.migrate import upgrade
from tests.api.world import INTERVAL_S, SESSION_KEY, SESSION_S, STOOD, Service, StillClock, World, live, populate


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A database as the service left it, and its keys: made once, copied for each test."""
    url = default_url(tmp_path_factory.mktemp("template"))

    async def make() -> dict[str, str]:
        await upgrade(url)
        writer = open_writer(url)
        async with writer.begin() as conn:
            keys = await populate(conn)
        await writer.dispose()  # closing the last connection puts the whole WAL into the file
        return keys

    keys = asyncio.run(make())
    return database_path(url), keys


@pytest.fixture
async def world(tmp_path: Path, template: tuple[Path, dict[str, str]]) -> AsyncIterator[World]:
    """The world as the service left it a minute ago."""
    url = default_url(tmp_path)
    shutil.copyfile(template[0], database_path(url))
    writer, reader = open_writer(url), open_reader(url)
    view, clock, service = View(), StillClock(), Service()
    app = create_app(
        reader=reader,
        view=view,
        caller=service,
        clock=clock,
        session_key=SESSION_KEY,
        session_s=SESSION_S,
        default_interval_s=INTERVAL_S,
    )
    made = World(app=app, view=view, clock=clock, service=service, writer=writer, reader=reader, keys=dict(template[1]))
    made.tell(*live(*STOOD))
    yield made
    await reader.dispose()
    await writer.dispose()
