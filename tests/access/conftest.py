"""A real, migrated database file with one connection that writes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from streamwatch.store.engine import default_url, open_writer
from streamwatch.store.handles import Connection
from streamwatch.store.migrate import upgrade


@pytest.fixture
async def conn(tmp_path: Path) -> AsyncIterator[Connection]:
    """A transaction on a fresh database; committed at the end like the service's."""
    url = default_url(tmp_path)
    await upgrade(url)
    writer = open_writer(url)
    async with writer.begin() as connection:
        yield connection
    await writer.dispose()
