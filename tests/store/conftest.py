"""A database of its own for each test, empty or with two villages of three cameras."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from streamwatch.store.engine import default_url, open_reader, open_writer
from streamwatch.store.migrate import upgrade
from streamwatch.store.tables import camera, region, village


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


@pytest.fixture
async def settled(writer: AsyncEngine) -> AsyncEngine:
    """Region 1 over 2 and 3; village 20 in region 2 with cameras 201-203, village 30 in region 3 with 301-303."""
    async with writer.begin() as connection:
        for id_, parent in ((1, None), (2, 1), (3, 1)):
            await connection.execute(insert(region).values(id=id_, code=f"r{id_}", name=f"{id_}", parent=parent))
        for id_ in (2, 3):
            await connection.execute(
                insert(village).values(id=id_ * 10, code=f"v{id_}", name=f"{id_}", region=id_, created_us=0)
            )
            rows = [
                {
                    "id": n,
                    "code": f"c{n}",
                    "name": "",
                    "village": id_ * 10,
                    "url": "",
                    "installed_us": 0,
                    "created_us": 0,
                }
                for n in range(id_ * 100 + 1, id_ * 100 + 4)
            ]
            await connection.execute(insert(camera), rows)
    return writer
