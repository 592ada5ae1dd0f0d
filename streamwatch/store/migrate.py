"""Stage 9: bringing a database to the schema of `tables.py`, from nothing or an older version, in one transaction."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, event
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from streamwatch.errors import ConfigError
from streamwatch.store.engine import BUSY_TIMEOUT_MS, DRIVER, database_path, refuse_network_file_system

SCRIPTS: Final = Path(__file__).parent / "migrations"  # beside this file, so that an installed wheel has them


async def upgrade(url: str) -> None:
    """Creates the database where there is none and applies what it lacks: all of it, or nothing.

    For the process that holds the data directory, before `open_writer`. Foreign keys are not enforced meanwhile,
    because SQLite changes a table by copying it. Raises ConfigError where the database comes from a newer version.
    """
    path = database_path(url)
    refuse_network_file_system(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_async_engine(URL.create(DRIVER, database=str(path)), poolclass=NullPool)

    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection, _record) -> None:  # type: ignore[no-untyped-def]
        connection.isolation_level = None  # see engine.py
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begun(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    try:
        async with engine.begin() as connection:
            await connection.run_sync(_upgrade, path)
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, path: Path) -> None:
    config = Config()
    # Alembic reads options through ConfigParser, to which % is special.
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    known = {revision.revision for revision in scripts.walk_revisions()}
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in known:
        raise ConfigError(
            f"{path} has the schema {current}, which this version of streamwatch does not know; "
            "run the version that wrote it, or a newer one",
        )
    command.upgrade(config, "head")
