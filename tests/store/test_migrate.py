"""The migrations lead exactly to the schema that the code is written against."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.ext.asyncio import AsyncEngine

from streamwatch.errors import ConfigError
from streamwatch.store.migrate import upgrade
from streamwatch.store.tables import metadata

SCHEMA = text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name != 'alembic_version' ORDER BY name")


def schema(connection: Connection) -> dict[str, list[str]]:
    """What defines each table and index: the sorted words of its statement, since clause order does not matter."""
    return {name: sorted(sql.replace(",", " ").split()) for name, sql in connection.execute(SCHEMA)}


async def test_upgrade_gives_the_schema_of_the_tables(writer: AsyncEngine) -> None:
    """Nothing is missing, superfluous or different, down to WITHOUT ROWID and the names of constraints."""
    memory = create_engine("sqlite://")
    with memory.connect() as connection:
        metadata.create_all(connection)
        expected = schema(connection)
    memory.dispose()
    async with writer.connect() as connection:
        actual = await connection.run_sync(schema)
        differences = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync), metadata),
        )

    assert expected == actual
    assert differences == []


async def test_upgrade_twice_changes_nothing(url: str, writer: AsyncEngine) -> None:
    """A start on a current database keeps what is in it."""
    async with writer.begin() as connection:
        await connection.execute(text("INSERT INTO region (code, name) VALUES ('1', 'a county')"))
    await writer.dispose()
    await upgrade(url)
    async with writer.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM region"))).scalar_one() == 1


async def test_database_of_a_newer_version_is_refused(url: str, writer: AsyncEngine, tmp_path: Path) -> None:
    """An unknown revision is named together with the file and what to do."""
    async with writer.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = 'r9999'"))
    await writer.dispose()
    with pytest.raises(ConfigError, match=r"streamwatch\.db has the schema r9999.*newer"):
        await upgrade(url)
