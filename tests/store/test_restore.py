"""A restore brings back exactly what was backed up, keeps what was there, and leaves nothing between the two."""

from __future__ import annotations

import gzip
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import create_engine, insert, update
from sqlalchemy.ext.asyncio import AsyncEngine

from streamwatch.errors import ConfigError, HeldError, StreamwatchError, UsageError
from streamwatch.model.inventory import Secret
from streamwatch.secrets import Sealer
from streamwatch.store import migrate
from streamwatch.store import restore as restoring
from streamwatch.store.backup import backup
from streamwatch.store.dbfile import inspect
from streamwatch.store.engine import FILE_NAME
from streamwatch.store.migrate import known_revisions
from streamwatch.store.restore import restore
from streamwatch.store.tables import camera, recorder
from tests.store.test_backup import ROOT, dump

NOW = 1_700_000_000_000_000
KEPT = f"{FILE_NAME}.before-restore-20231114T221320Z"
FROZEN = "immutable=1"  # leaves nothing beside it
STEPS = ["copied", "checked", "upgraded", "prepared", "folded", "kept", "cleared", "exchanged"]


def change(database: Path, name: str) -> None:
    """One committed change by a process that then dies: it is in the WAL only."""
    code = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('PRAGMA journal_mode = WAL');"
        "c.execute('UPDATE village SET name = ?', [sys.argv[2]]); c.commit(); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(database), name], check=True)


@pytest.fixture
async def database(settled: AsyncEngine, tmp_path: Path) -> Path:
    """With sealed passwords of cameras and a recorder, and the key file that opens them."""
    sealer = Sealer.open(tmp_path)
    async with settled.begin() as conn:
        await conn.execute(
            update(camera).where(camera.c.id == 201).values(password_sealed=sealer.seal("c201", Secret("geheim")))
        )
        await conn.execute(
            insert(recorder).values(
                code="n1", name="", village=20, kind="rtsp", url="", created_us=0,
                password_sealed=sealer.seal("n1", Secret("geheim"), "recorder"),
            )
        )  # fmt: skip
    await settled.dispose()
    return tmp_path / FILE_NAME


@pytest.fixture
def copy(database: Path, tmp_path: Path) -> Path:
    """A backup, and a database that went on after it: its last commit is in the WAL only."""
    target = tmp_path / "out" / "copy.db"
    target.parent.mkdir()
    backup(database, target)
    change(database, "later")
    assert database.with_name(FILE_NAME + "-wal").stat().st_size > 0
    return target


def names(folder: Path) -> set[str]:
    """What lies in a folder, without what has nothing to do with it."""
    return {path.name for path in folder.iterdir()} - {"out", "secret.key"}


def test_a_restore_brings_back_exactly(database: Path, copy: Path) -> None:
    """Every row of the backup; what was there is kept aside with its last commit; the backup is untouched."""
    wanted, later, bytes_ = dump(copy), dump(database), copy.read_bytes()

    done = restore(copy, database, database.parent, NOW)

    assert dump(database) == wanted != later
    assert done.kept == database.with_name(KEPT)
    assert names(database.parent) - {FILE_NAME + "-shm", FILE_NAME + "-wal"} == {FILE_NAME, KEPT}
    assert dump(done.kept, FROZEN) == later
    assert database.stat().st_mode & 0o777 == 0o600
    assert copy.read_bytes() == bytes_
    assert (done.before, done.held.cameras, done.warnings) == (known_revisions()[0], 6, ())
    assert names(copy.parent) == {"copy.db"}
    assert restore(copy, database, database.parent, NOW).kept == database.with_name(KEPT + "-2")


def test_a_restore_where_nothing_was(database: Path, copy: Path, tmp_path: Path) -> None:
    """On a new machine, with the key file brought along."""
    there = tmp_path / "out" / "new"
    there.mkdir()
    shutil.copy(tmp_path / "secret.key", there)

    done = restore(copy, there / FILE_NAME, there, NOW)

    assert done.kept is None
    assert dump(there / FILE_NAME) == dump(copy)


@pytest.mark.parametrize("step", STEPS)
def test_a_restore_that_is_killed_leaves_the_old_or_the_new(database: Path, copy: Path, step: str) -> None:
    """At every step: sound, and all of the one or all of the other; the next restore clears up and succeeds."""
    old, new = dump(database), dump(copy)
    command_line = [sys.executable, "-m", "tests.store.restorer", str(copy), str(database), step]
    killed = subprocess.run(command_line, cwd=ROOT, capture_output=True, text=True, check=False)

    assert killed.returncode == -9, killed.stderr
    assert killed.stdout.split() == STEPS[: STEPS.index(step) + 1]
    now = dump(database)  # as whoever starts next reads it, with whatever WAL is there
    assert now == (new if step == "exchanged" else old)
    if step in ("cleared", "exchanged"):
        assert dump(database.with_name(KEPT), FROZEN) == old

    done = restore(copy, database, database.parent, NOW + 1_000_000)
    assert dump(database) == new
    assert done.kept is not None
    assert dump(done.kept, FROZEN) == now
    left = {name.removesuffix("-wal").removesuffix("-shm") for name in names(database.parent)}
    assert left == {FILE_NAME, done.kept.name} | ({KEPT} if step == "exchanged" else set())
    assert len({path.stat().st_ino for path in database.parent.glob(f"{FILE_NAME}*e-*Z")}) == len(left) - 1


def test_an_older_backup_is_brought_to_the_newest_schema(database: Path, tmp_path: Path) -> None:
    """It tells from and to; its rows are there."""
    old = tmp_path / "out" / "old.db"
    old.parent.mkdir()
    config = migrate._config()
    engine = create_engine(f"sqlite:///{old}")
    with engine.begin() as conn:
        config.attributes["connection"] = conn
        command.upgrade(config, "r0001")
        conn.exec_driver_sql("INSERT INTO region (code, name) VALUES ('331102', '青河县')")
    engine.dispose()
    assert inspect(old).schema == "r0001"

    done = restore(old, database, database.parent, NOW)

    assert (done.before, done.held.schema) == ("r0001", known_revisions()[0])
    conn_ = sqlite3.connect(database)
    assert conn_.execute("SELECT name FROM region").fetchall() == [("青河县",)]
    assert conn_.execute("SELECT count(*) FROM facility").fetchone() == (0,)
    conn_.close()
    assert inspect(old).schema == "r0001"


def make(path: Path, *statements: str) -> None:
    conn = sqlite3.connect(path)
    for statement in statements:
        conn.execute(statement)
    conn.commit()
    conn.close()


def damage(path: Path, copy: Path) -> None:
    whole = copy.read_bytes()
    path.write_bytes(whole[: 4_096 * 10] + b"\xff" * 4_096 * 3 + whole[4_096 * 13 :])


def zipped(path: Path, copy: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(copy)


WRONG: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "missing": (lambda path, copy: None, "cannot be read: No such file"),
    "folder": (lambda path, copy: path.mkdir(), "is a folder; name the backup file in it"),
    "fifo": (lambda path, copy: os.mkfifo(path), "no regular file"),
    "empty": (lambda path, copy: path.touch(), "is empty"),
    "gzip": (lambda path, copy: path.write_bytes(gzip.compress(copy.read_bytes())), "gunzip it first"),
    "zip": (zipped, "unpack it first"),
    "text": (lambda path, copy: path.write_text("code,name,village\n名,x,y\n"), "is a text file"),
    "noise": (lambda path, copy: path.write_bytes(b"\xff\xfe" * 100), "is no SQLite database"),
    "header": (lambda path, copy: path.write_bytes(copy.read_bytes()[:100]), "damaged|malformed"),
    "foreign": (lambda path, copy: make(path, "CREATE TABLE t (a)"), "not one of streamwatch's"),
    "damaged": (damage, r"wrong is damaged \("),
    "cut": (lambda path, copy: path.write_bytes(copy.read_bytes()[:90_000]), "damaged|malformed"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_backup_is_named(database: Path, copy: Path, kind: str) -> None:
    """What the file is instead, and what to do; the database is as before."""
    make_wrong, says = WRONG[kind]
    path = copy.with_name("wrong")
    make_wrong(path, copy)
    before = dump(database)

    with pytest.raises(StreamwatchError, match=says) as caught:
        restore(path, database, database.parent, NOW)

    assert str(path) in str(caught.value)
    assert dump(database) == before
    assert not [name for name in names(database.parent) if "restor" in name]


def test_a_newer_backup_is_refused(database: Path, copy: Path) -> None:
    """With the version that wrote it, or a newer one."""
    make(copy, "UPDATE alembic_version SET version_num = 'r9999'")
    with pytest.raises(UsageError, match="schema r9999, which this version of streamwatch does not know"):
        restore(copy, database, database.parent, NOW)


def test_rows_that_hang_in_the_air_are_refused(database: Path, copy: Path) -> None:
    """A file that somebody edited."""
    make(copy, "PRAGMA foreign_keys = OFF", "DELETE FROM village WHERE id = 20")
    with pytest.raises(StreamwatchError, match="not there"):
        restore(copy, database, database.parent, NOW)


def test_the_database_is_no_backup_of_itself(database: Path, copy: Path) -> None:
    """Nor by another name."""
    with pytest.raises(UsageError, match="the database itself"):
        restore(database, database, database.parent, NOW)
    link = copy.with_name("link.db")
    link.symlink_to(database)
    with pytest.raises(UsageError, match="the database itself"):
        restore(link, database, database.parent, NOW)


def test_passwords_that_would_not_open_are_named_first(database: Path, copy: Path) -> None:
    """Without its key file, or with another one, a backup is refused; with force it is a warning; no key is made."""
    key = database.parent / "secret.key"
    own = key.read_bytes()
    before = dump(database)
    key.unlink()
    with pytest.raises(ConfigError, match=r"there is no key file, and 2 passwords are sealed(.|\n)*--force"):
        restore(copy, database, database.parent, NOW)
    assert not key.exists()
    Sealer.open(database.parent)
    with pytest.raises(ConfigError, match=r"(?s)lacks key .* camera c201.*lacks key .* recorder n1.*--force"):
        restore(copy, database, database.parent, NOW)
    assert dump(database) == before

    done = restore(copy, database, database.parent, NOW, force=True)
    assert len(done.warnings) == 2
    assert dump(database) == dump(copy)
    key.write_bytes(own)
    assert restore(copy, database, database.parent, NOW).warnings == ()


def test_somebody_who_reads_is_waited_for_and_then_named(
    database: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its WAL cannot be taken in while a backup of it runs: 75, and the database is as before."""
    monkeypatch.setattr(restoring, "BUSY_TIMEOUT_MS", 50)
    before = dump(database)
    reader = sqlite3.connect(f"file:{database}?mode=ro", uri=True, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM village").fetchone()
    change(database, "much later")
    with pytest.raises(HeldError, match="being read by another process"):
        restore(copy, database, database.parent, NOW)
    assert dump(database) != before
    assert not [name for name in names(database.parent) if "restor" in name]
    reader.execute("COMMIT")

    assert restore(copy, database, database.parent, NOW).kept is not None
    assert not [name for name in names(database.parent) if name in (f"{FILE_NAME}-wal", f"{FILE_NAME}-shm")]
    assert dump(database) == dump(copy)
    assert reader.execute("SELECT name FROM village").fetchall() == [("much later",)] * 2
    reader.close()


def test_a_database_beyond_repair_gives_way(database: Path, copy: Path) -> None:
    """What cannot even take in its own WAL is kept aside together with it."""
    database.write_bytes(b"\xff" * 50_000)
    wal = database.with_name(FILE_NAME + "-wal").read_bytes()

    done = restore(copy, database, database.parent, NOW)

    assert dump(database) == dump(copy)
    assert done.kept is not None
    assert done.kept.read_bytes() == b"\xff" * 50_000
    assert done.kept.with_name(done.kept.name + "-wal").read_bytes() == wal


def test_a_full_disk_leaves_the_database_as_it_was(database: Path, copy: Path) -> None:
    """And no draft."""
    before = dump(database)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, limit[1]))
    try:
        with pytest.raises(StreamwatchError, match=r"is the disk full.*the database is as before"):
            restore(copy, database, database.parent, NOW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert dump(database) == before
    assert not [name for name in names(database.parent) if "restor" in name]


def test_a_file_system_without_links_keeps_a_copy(database: Path, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old database stays in its place until the new one takes it."""
    later = dump(database)

    def no_link(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", no_link)
    done = restore(copy, database, database.parent, NOW)
    assert done.kept is not None
    assert dump(done.kept, FROZEN) == later
    assert dump(database) == dump(copy)


def test_the_database_of_another_service_can_be_taken(database: Path, copy: Path, tmp_path: Path) -> None:
    """What is in its WAL only is taken too."""
    there = tmp_path / "out" / "other"
    there.mkdir()
    shutil.copy(database, there)
    shutil.copy(database.with_name(FILE_NAME + "-wal"), there)
    restore(there / FILE_NAME, database, database.parent, NOW)
    conn = sqlite3.connect(database)
    assert conn.execute("SELECT DISTINCT name FROM village").fetchall() == [("later",)]
    conn.close()
