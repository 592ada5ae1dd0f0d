"""Stage 9: bringing a database to the schema of `tables.py`, from nothing or an older version, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, create_engine, event, text
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from streamwatch.errors import ConfigError
from streamwatch.store.engine import BUSY_TIMEOUT_MS, DRIVER, database_path, refuse_network_file_system
from streamwatch.store.tables import metadata

SCRIPTS: Final = Path(__file__).parent / "migrations"  # beside this file, so that an installed wheel has them


_SCHEMA: Final = text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name != 'alembic_version'")


@dataclass(frozen=True, slots=True)
class Upgraded:
    """The schemas before and after; `before` None: there was no database, or an empty one."""

    before: str | None
    after: str


async def upgrade(url: str) -> Upgraded:
    """Creates the database where there is none and applies what it lacks: all of it, or nothing.

    For the process that holds the data directory, before `open_writer`. Foreign keys are not enforced meanwhile,
    because SQLite changes a table by copying it. Raises ConfigError where the database comes from a newer version.
    """
    path = database_path(url)
    refuse_network_file_system(path)
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path}: is no file, but stands where the database is to be; remove it, or rename it")
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
            return await connection.run_sync(_upgrade, path)
    finally:
        await engine.dispose()


def known_revisions() -> tuple[str, ...]:
    """Every schema that this version knows, the newest first: that one it works with."""
    return tuple(revision.revision for revision in ScriptDirectory.from_config(_config()).walk_revisions())


def require_current(connection: Connection, path: Path) -> None:
    """Raises ConfigError, naming the remedy, where the database at `path` has not the schema of this version."""
    current = MigrationContext.configure(connection).get_current_revision()
    known = known_revisions()
    if current == known[0]:
        return
    if current in known:
        raise ConfigError(
            f"{path} has the schema {current}, and this version works with {known[0]}; run: streamwatch db upgrade"
        )
    _refuse(current, path)


def schema(connection: Connection) -> dict[str, list[str]]:
    """What defines each table and index: the sorted words of its statement, since clause order does not matter."""
    return {name: sorted(sql.replace(",", " ").replace('"', "").split()) for name, sql in connection.execute(_SCHEMA)}


def schema_of_tables() -> dict[str, list[str]]:
    """The same of a fresh database made from `tables.py`."""
    memory = create_engine("sqlite://")
    try:
        with memory.connect() as connection:
            metadata.create_all(connection)
            return schema(connection)
    finally:
        memory.dispose()


def _config() -> Config:
    config = Config()
    # Alembic reads options through ConfigParser, to which % is special.
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    return config


def _upgrade(connection: Connection, path: Path) -> Upgraded:
    current = MigrationContext.configure(connection).get_current_revision()
    known = known_revisions()
    if current is not None and current not in known:
        _refuse(current, path)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    return Upgraded(current, known[0])


def _refuse(current: str | None, path: Path) -> NoReturn:
    if current is None:
        raise ConfigError(f"{path} holds no tables of streamwatch; is STREAMWATCH_DATA_DIR the right folder?")
    raise ConfigError(
        f"{path} has the schema {current}, which this version of streamwatch does not know; "
        "run the version that wrote it, or a newer one",
    )
