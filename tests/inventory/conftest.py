"""A database and keys of its own for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from streamwatch.secrets import Sealer
from streamwatch.store.engine import default_url, open_writer
from streamwatch.store.migrate import upgrade


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """The engine that writes to an empty database at the newest schema."""
    await upgrade(default_url(tmp_path))
    found = open_writer(default_url(tmp_path))
    yield found
    await found.dispose()


@pytest.fixture
async def conn(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One transaction of it."""
    async with engine.begin() as found:
        yield found


@pytest.fixture
def sealer(tmp_path: Path) -> Sealer:
    """Keys of that data directory."""
    return Sealer.open(tmp_path)
