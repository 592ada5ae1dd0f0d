"""The API over a real, migrated database file and a live view made by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from streamwatch.api.app import create_app
from streamwatch.live.view import View
from streamwatch.store.engine import default_url, open_reader, open_writer
from streamwatch.store.migrate import upgrade
from tests.api.world import INTERVAL_S, SESSION_KEY, STOOD, Service, StillClock, World, live, populate


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """The world as the service left it a minute ago."""
    url = default_url(tmp_path)
    await upgrade(url)
    writer, reader = open_writer(url), open_reader(url)
    view, clock, service = View(), StillClock(), Service()
    app = create_app(
        reader=reader,
        view=view,
        caller=service,
        clock=clock,
        session_key=SESSION_KEY,
        default_interval_s=INTERVAL_S,
    )
    made = World(app=app, view=view, clock=clock, service=service, writer=writer, reader=reader)
    async with writer.begin() as conn:
        made.keys = await populate(conn)
    made.tell(*live(*STOOD))
    yield made
    await reader.dispose()
    await writer.dispose()
