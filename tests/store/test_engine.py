"""Opening the database: one connection writes, others read snapshots, and nothing else is accepted."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from streamwatch.errors import ConfigError
from streamwatch.store.engine import default_url, open_reader, open_writer, refuse_network_file_system
from streamwatch.store.migrate import upgrade

ADD = text("INSERT INTO region (code, name) VALUES (:code, 'a county')")
COUNT = text("SELECT count(*) FROM region")


async def one(connection: AsyncConnection, statement: str) -> object:
    """The only value that `statement` gives."""
    return (await connection.execute(text(statement))).scalar_one()


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("wal_autocheckpoint", 1000)],
)
async def test_writer_is_durable_and_checks_references(writer: AsyncEngine, pragma: str, value: object) -> None:
    """Each commit is synced to the disk before it is acknowledged, and the writer alone checkpoints."""
    async with writer.connect() as connection:
        assert await one(connection, f"PRAGMA {pragma}") == value


async def test_reader_cannot_write_or_checkpoint(writer: AsyncEngine, reader: AsyncEngine) -> None:
    """A reader refuses every write, so that no second connection ever checkpoints."""
    async with reader.connect() as connection:
        assert await one(connection, "PRAGMA query_only") == 1
        assert await one(connection, "PRAGMA wal_autocheckpoint") == 0
        with pytest.raises(OperationalError, match="readonly"):
            await connection.execute(ADD, {"code": "1"})


async def test_reader_does_not_create_a_database(tmp_path: Path) -> None:
    """Reading where nothing was ever written fails and leaves no file."""
    engine = open_reader(default_url(tmp_path))
    with pytest.raises(OperationalError):
        async with engine.connect() as connection:
            await connection.execute(COUNT)
    await engine.dispose()
    assert list(tmp_path.iterdir()) == []


async def test_one_request_sees_one_snapshot(writer: AsyncEngine, reader: AsyncEngine) -> None:
    """What is committed meanwhile appears in the reader's next transaction, not in the one under way."""
    async with reader.connect() as connection:
        async with connection.begin():
            before = (await connection.execute(COUNT)).scalar_one()
            async with writer.begin() as other:
                await other.execute(ADD, {"code": "1"})
            assert (await connection.execute(COUNT)).scalar_one() == before == 0
        assert (await connection.execute(COUNT)).scalar_one() == 1


async def test_writer_holds_the_lock_from_its_first_statement(url: str, writer: AsyncEngine) -> None:
    """BEGIN IMMEDIATE is ours: a transaction that has only read so far already keeps every other writer out."""
    rival = open_writer(url)
    async with writer.begin() as connection:
        await connection.execute(COUNT)
        async with rival.connect() as other:
            driver = (await other.get_raw_connection()).driver_connection
            assert driver is not None
            await driver.execute("PRAGMA busy_timeout = 0")
            with pytest.raises(OperationalError, match="locked"):
                await other.execute(COUNT)
    await rival.dispose()


async def test_second_transaction_waits_for_the_first(writer: AsyncEngine) -> None:
    """Two tasks share the one connection in turn, never one transaction, and no second connection is opened."""
    entered = asyncio.Event()
    opened: list[object] = []
    event.listen(writer.sync_engine, "connect", lambda connection, _record: opened.append(connection))

    async def second() -> int:
        async with writer.begin() as connection:
            entered.set()
            return int((await connection.execute(COUNT)).scalar_one())

    async with writer.begin() as connection:
        await connection.execute(ADD, {"code": "1"})
        task = asyncio.create_task(second())
        for _ in range(10):
            await asyncio.sleep(0)
        assert not entered.is_set()
    assert await task == 1
    assert len(opened) == 1


async def test_failed_transaction_leaves_nothing(writer: AsyncEngine) -> None:
    """An exception rolls everything back, also rows and tables that were written before it."""

    async def failing() -> None:
        async with writer.begin() as connection:
            await connection.execute(text("CREATE TABLE stray (id INTEGER)"))
            await connection.execute(ADD, {"code": "1"})
            await connection.execute(ADD, {"code": "1"})

    with pytest.raises(IntegrityError):
        await failing()
    async with writer.connect() as connection:
        assert (await connection.execute(COUNT)).scalar_one() == 0
        assert await one(connection, "SELECT count(*) FROM sqlite_master WHERE name = 'stray'") == 0


async def test_cancelled_transaction_leaves_nothing_and_the_writer_goes_on(writer: AsyncEngine) -> None:
    """A cancelled task neither commits nor keeps the one connection."""
    ready = asyncio.Event()

    async def doomed() -> None:
        async with writer.begin() as connection:
            await connection.execute(ADD, {"code": "1"})
            ready.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(doomed())
    await ready.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with writer.begin() as connection:
        assert (await connection.execute(COUNT)).scalar_one() == 0
        await connection.execute(ADD, {"code": "2"})


async def test_unusual_directory_names_open(tmp_path: Path) -> None:
    """A data directory may be called anything, also what a URL would take for a query or a percent sign."""
    directory = tmp_path / "数据 100%?#&@x"
    url = default_url(directory)
    await upgrade(url)
    assert (directory / "streamwatch.db").exists()
    engine = open_reader(url)
    async with engine.connect() as connection:
        assert (await connection.execute(COUNT)).scalar_one() == 0
    await engine.dispose()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql+asyncpg://u:hidden@h/d", "postgresql"),
        ("sqlite:////tmp/x.db", "sqlite"),
        ("sqlite+aiosqlite://", "must name a file"),
        ("sqlite+aiosqlite:///:memory:", "must name a file"),
        ("sqlite+aiosqlite:////tmp/x.db?mode=rw", "must name a file"),
        ("hidden nonsense", "cannot be read"),
    ],
)
def test_other_databases_are_refused_with_the_remedy(url: str, words: str) -> None:
    """A URL that cannot work is refused before anything opens, and its password is not repeated."""
    for opening in (open_writer, open_reader):
        with pytest.raises(ConfigError, match=words) as caught:
            opening(url)
        assert "sqlite+aiosqlite:///" in str(caught.value)
        assert "hidden" not in str(caught.value)


def test_network_file_system_is_refused_by_name(tmp_path: Path) -> None:
    """A data directory on NFS is refused; a local one, or one that cannot be told, is not."""
    device = tmp_path.stat().st_dev
    number = f"{device >> 8 & 0xFFF}:{device & 0xFF | device >> 12 & ~0xFF}"
    mounts = tmp_path / "mountinfo"
    line = f"36 35 {number} / /mnt rw,noatime master:1 - %s server:/export rw\n"
    target = tmp_path / "not" / "there" / "yet.db"

    mounts.write_text("garbage\n" + line % "nfs4")
    with pytest.raises(ConfigError, match="nfs4"):
        refuse_network_file_system(target, mounts)
    mounts.write_text(line % "ext4")
    refuse_network_file_system(target, mounts)
    refuse_network_file_system(target, tmp_path / "absent")
