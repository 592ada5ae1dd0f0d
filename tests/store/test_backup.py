"""A backup is one instant of the database, whole or not at all, and only its owner can read it."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from streamwatch.errors import ConfigError, StreamwatchError, UsageError
from streamwatch.store import dbfile
from streamwatch.store.backup import backup
from streamwatch.store.engine import FILE_NAME, open_writer
from streamwatch.store.migrate import known_revisions
from streamwatch.store.tables import camera, region, village
from tests.store.crasher import CAMERAS

ROOT = Path(__file__).resolve().parents[2]


def dump(path: Path, how: str = "mode=ro") -> list[str]:
    """Everything in a database, as the statements that would make it."""
    conn = sqlite3.connect(f"file:{path}?{how}", uri=True)
    try:
        return list(conn.iterdump())
    finally:
        conn.close()


@pytest.fixture
async def database(settled: AsyncEngine, tmp_path: Path) -> Path:
    """Closed, with two villages of three cameras."""
    await settled.dispose()
    return tmp_path / FILE_NAME


def test_a_backup_is_the_same_database(database: Path, tmp_path: Path) -> None:
    """Every row; nothing else lies beside it; it can be read from a medium that nobody can write."""
    target = tmp_path / "out" / "a b%?.db"
    target.parent.mkdir()
    told: list[tuple[str, int, int]] = []

    held = backup(database, target, progress=lambda *args: told.append(args))

    frozen = sqlite3.connect(f"file:{target.parent}/a b%25%3f.db?mode=ro&immutable=1", uri=True)
    assert list(frozen.iterdump()) == dump(database)
    assert target.read_bytes()[18:20] == b"\1\1"  # no WAL: sqlite.org/fileformat.html section 1.3.3
    frozen.close()
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert target.stat().st_mode & 0o777 == 0o600
    assert held == dbfile.Held(known_revisions()[0], target.stat().st_size, 6, 0, ())
    assert dbfile.inspect(target) == held
    assert [what for what, done, total in told if done == total] == ["copying", "checking"]


async def test_a_backup_under_write_load_is_one_instant(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process commits all the while: the copy has whole commits only, and none that came after it began."""
    monkeypatch.setattr("streamwatch.store.backup.COPY_PAGES", 1)
    setup = open_writer(url)
    async with setup.begin() as conn:
        await conn.execute(insert(region).values(id=1, code="r", name="r"))
        await conn.execute(insert(village).values(id=1, code="v", name="v", region=1, created_us=0))
        await conn.execute(
            insert(camera),
            [
                {"id": n, "code": f"c{n}", "name": "", "village": 1, "url": "", "installed_us": 0, "created_us": 0}
                for n in CAMERAS
            ],
        )
    await setup.dispose()
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.store.crasher", url, "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    try:
        before = [int(child.stdout.readline()) for _ in range(10)][-1]
        during = []

        def page(_what: str, done: int, total: int) -> None:
            if child.stdout is not None and done < total and len(during) < 30:
                during.append(int(child.stdout.readline()))  # a commit between two pages

        backup(tmp_path / FILE_NAME, tmp_path / "copy", progress=page)
    finally:
        child.kill()
        child.communicate()

    copy = sqlite3.connect(tmp_path / "copy")
    assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert copy.execute("PRAGMA foreign_key_check").fetchall() == []
    counts = copy.execute("SELECT count(*) FROM segment GROUP BY camera").fetchall()
    ((number,),) = set(counts)
    copy.close()
    assert len(counts) == len(CAMERAS)
    assert before < number < during[-1]
    assert len(during) == 30


def test_nothing_is_overwritten_unasked(database: Path, tmp_path: Path) -> None:
    """Without force a name that is taken is refused; with it only an earlier backup gives way."""
    target = tmp_path / "copy"
    target.write_bytes(b"a letter")
    with pytest.raises(UsageError, match=r"copy exists; .*--force"):
        backup(database, target)
    with pytest.raises(UsageError, match="no database: --force overwrites only an earlier backup"):
        backup(database, target, force=True)
    assert target.read_bytes() == b"a letter"

    target.unlink()
    backup(database, target)
    conn = sqlite3.connect(database)
    conn.execute("UPDATE village SET name = 'other'")
    conn.commit()
    conn.close()
    with pytest.raises(UsageError, match="exists"):
        backup(database, target)
    backup(database, target, force=True)
    assert dump(target) == dump(database)


def test_a_file_that_appears_meanwhile_stays(database: Path, tmp_path: Path) -> None:
    """The name is taken without a moment between looking and taking."""
    target = tmp_path / "copy"

    def meddle(what: str, _done: int, _total: int) -> None:
        if what == "checking":
            target.write_bytes(b"a letter")

    with pytest.raises(UsageError, match="exists"):
        backup(database, target, progress=meddle)
    assert target.read_bytes() == b"a letter"
    assert not list(tmp_path.glob(".copy*"))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("missing/copy", r"there is no folder .*missing; make it"),
        (".", "is a folder; name a file in it"),
        (FILE_NAME, "data directory itself"),
        (f"{FILE_NAME}-wal", "data directory itself"),
        ("fifo", "no regular file"),
    ],
)
def test_a_place_that_cannot_be_is_refused(database: Path, tmp_path: Path, name: str, says: str) -> None:
    """Each with what to do."""
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UsageError, match=says):
        backup(database, tmp_path / name, force=True)


def test_a_full_disk_leaves_nothing(database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it is seen before, or in the midst of writing: the message names the disk, and no file is left."""
    target = tmp_path / "copy"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, before[1]))
    try:
        with pytest.raises(StreamwatchError, match=r"copy: .*is the disk full.*no copy was made"):
            backup(database, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 65_536))
    with pytest.raises(StreamwatchError, match="are needed and 65,536 are free; make room"):
        backup(database, target)
    assert not [path for path in tmp_path.iterdir() if "copy" in path.name]


def test_a_damaged_database_gives_no_backup(database: Path, tmp_path: Path) -> None:
    """A copy of it would look like a backup until the day it is needed."""
    with database.open("r+b") as file:
        file.seek(4_096 * 10)
        file.write(b"\xff" * 4_096 * 3)
    with pytest.raises(StreamwatchError, match=r"streamwatch\.db is damaged"):
        backup(database, tmp_path / "copy")
    assert not [path for path in tmp_path.iterdir() if "copy" in path.name]


def test_a_foreign_database_gives_no_backup(tmp_path: Path) -> None:
    """The data directory is probably another one."""
    sqlite3.connect(tmp_path / FILE_NAME).execute("CREATE TABLE t (a)")
    with pytest.raises(ConfigError, match="no tables of streamwatch; is STREAMWATCH_DATA_DIR"):
        backup(tmp_path / FILE_NAME, tmp_path / "copy")


def test_a_file_system_without_links_gets_a_backup_too(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as that of a USB stick."""

    def no_link(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", no_link)
    backup(database, tmp_path / "copy")
    assert dump(tmp_path / "copy") == dump(database)
    assert not list(tmp_path.glob(".copy*"))
