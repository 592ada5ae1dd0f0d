"""A database of its own for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from streamwatch.store.engine import default_url, open_reader, open_writer
from streamwatch.store.migrate import upgrade


@pytest.fixture
async def url(tmp_path: Path) -> str:
    """An empty database at the newest schema."""
    found = default_url(tmp_path)
    await upgrade(found)
    return found


@pytest.fixture
async def writer(url: str) -> AsyncIterator[AsyncEngine]:
    """The engine that writes to it."""
    engine = open_writer(url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def reader(url: str) -> AsyncIterator[AsyncEngine]:
    """An engine that reads it."""
    engine = open_reader(url)
    yield engine
    await engine.dispose()
