"""The migrations lead exactly to the schema that the code is written against."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from streamwatch.errors import ConfigError
from streamwatch.store.engine import default_url
from streamwatch.store.migrate import Upgraded, known_revisions, require_current, schema, schema_of_tables, upgrade
from streamwatch.store.tables import metadata


async def test_upgrade_gives_the_schema_of_the_tables(writer: AsyncEngine) -> None:
    """Nothing is missing, superfluous or different, down to WITHOUT ROWID and the names of constraints."""
    async with writer.connect() as connection:
        actual = await connection.run_sync(schema)
        differences = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync), metadata),
        )

    assert schema_of_tables() == actual
    assert len(actual) > 20
    assert differences == []


async def test_upgrade_twice_changes_nothing(url: str, writer: AsyncEngine) -> None:
    """A start on a current database keeps what is in it."""
    async with writer.begin() as connection:
        await connection.execute(text("INSERT INTO region (code, name) VALUES ('1', 'a county')"))
    await writer.dispose()
    newest = known_revisions()[0]
    assert await upgrade(url) == Upgraded(newest, newest)
    async with writer.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM region"))).scalar_one() == 1


async def test_upgrade_tells_from_and_to(tmp_path: Path) -> None:
    """None where there was nothing."""
    newest, *_, oldest = known_revisions()
    assert (newest > oldest, oldest) == (True, "r0001")
    assert await upgrade(default_url(tmp_path)) == Upgraded(None, newest)


@pytest.mark.parametrize(
    ("revision", "says"),
    [("r0001", "run: streamwatch db upgrade"), ("r9999", "does not know"), (None, "no tables of streamwatch")],
)
async def test_a_schema_that_cannot_be_worked_with_is_named(
    writer: AsyncEngine, revision: str | None, says: str, tmp_path: Path
) -> None:
    """Older, newer and foreign, each with its remedy; the current one passes."""
    async with writer.connect() as connection:
        await connection.run_sync(require_current, tmp_path)
        await connection.execute(text("DELETE FROM alembic_version"))
        if revision is not None:
            await connection.execute(text("INSERT INTO alembic_version VALUES (:r)"), {"r": revision})
        with pytest.raises(ConfigError, match=says):
            await connection.run_sync(require_current, tmp_path)


async def test_database_of_a_newer_version_is_refused(url: str, writer: AsyncEngine, tmp_path: Path) -> None:
    """An unknown revision is named together with the file and what to do."""
    async with writer.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = 'r9999'"))
    await writer.dispose()
    with pytest.raises(ConfigError, match=r"streamwatch\.db has the schema r9999.*newer"):
        await upgrade(url)
