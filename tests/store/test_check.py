"""The checks of a database: silent where it is sound, one sentence a finding where it is not, and never a change."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncEngine

from streamwatch.errors import StreamwatchError
from streamwatch.model.inventory import Secret
from streamwatch.secrets import Sealer
from streamwatch.store.check import CHECKS, MAX_FINDINGS, check_database
from streamwatch.store.engine import FILE_NAME, open_writer
from streamwatch.store.tables import account, camera
from streamwatch.store.timeline import write_batch
from tests.store.crasher import CAMERAS, batch


@pytest.fixture
async def database(settled: AsyncEngine, tmp_path: Path) -> Path:
    """As the service writes it: timelines, an administrator, sealed passwords with their key."""
    sealer = Sealer.open(tmp_path)
    async with settled.begin() as conn:
        rows = [
            {"id": n, "code": f"x{n}", "name": "", "village": 20, "url": "", "installed_us": 0, "created_us": 0}
            for n in CAMERAS
        ]
        await conn.execute(insert(camera), rows)
        await conn.exec_driver_sql("INSERT INTO village (id, code, name, region, created_us) VALUES (1, 'v', '', 2, 0)")
        for number in range(3):
            await write_batch(conn, batch(number))
        person = {"name": "a", "password_hash": "", "role": "administrator", "created_us": 0}
        await conn.execute(insert(account).values(person))
        for id_ in (201, 202):
            sealed = sealer.seal(f"c{id_}", Secret("geheim"))
            await conn.execute(update(camera).where(camera.c.id == id_).values(password_sealed=sealed))
    await settled.dispose()
    return tmp_path / FILE_NAME


def found(database: Path) -> dict[str, tuple[str, ...]]:
    """What is wrong, by check."""
    return {one.name: one.findings for one in check_database(database, database.parent) if one.findings}


def test_a_sound_database_has_no_findings(database: Path) -> None:
    """Every check ran, each was announced, and no byte of the file changed."""
    before, begun = database.read_bytes(), []

    checks = check_database(database, database.parent, begun=begun.append)

    assert [one.name for one in checks] == begun == list(CHECKS)
    assert [one.findings for one in checks] == [()] * len(CHECKS)
    assert database.read_bytes() == before


async def test_a_running_writer_is_not_disturbed(url: str, database: Path) -> None:
    """What is committed but not yet in the file itself is seen; a transaction under way is not."""
    writer = open_writer(url)
    async with writer.begin() as conn:
        await conn.exec_driver_sql("UPDATE account SET disabled_us = 1")
    async with writer.begin() as conn:
        await conn.exec_driver_sql("UPDATE region SET parent = 1 WHERE id = 1")
        assert list(found(database)) == ["accounts"]
    assert list(found(database)) == ["regions", "accounts"]
    await writer.dispose()


@pytest.mark.parametrize(
    ("statement", "check", "says"),
    [
        (
            "UPDATE camera SET village = 99 WHERE id = 201",
            "references",
            "row 201 of camera belongs to a row of vil",
        ),
        ("DELETE FROM camera WHERE id = 1", "references", "a row of standing belongs to a row of camera"),
        ("DROP INDEX ix_camera_village", "schema", "ix_camera_village is missing"),
        ("CREATE INDEX mine ON camera (name)", "schema", "mine is none of streamwatch's"),
        ("ALTER TABLE camera ADD COLUMN colour TEXT", "schema", "camera is defined otherwise"),
        ("UPDATE alembic_version SET version_num = 'r0001'", "schema", "run: streamwatch db upgrade"),
        ("UPDATE alembic_version SET version_num = 'r9999'", "schema", "not known to this version"),
        (
            "UPDATE segment SET to_us = to_us + 1 WHERE camera = 7 AND from_us = 0",
            "timelines",
            "camera 7, stream: the",
        ),
        ("UPDATE segment SET to_us = from_us WHERE camera = 7 AND from_us = 0", "timelines", "is empty or overlaps"),
        ("UPDATE standing SET since_us = since_us - 1 WHERE camera = 7", "timelines", "camera 7, stream: stands since"),
        ("UPDATE standing SET since_us = last_us + 1 WHERE camera = 7", "timelines", "camera 7, stream: stands since"),
        ("INSERT INTO camera_stay VALUES (7, 0, 10, 20), (7, 9, 20, 30)", "timelines", "camera 7: the stay from"),
        ("INSERT INTO camera_stay VALUES (7, 10, 10, 20)", "timelines", "camera 7: the stay from"),
        ("UPDATE region SET parent = 3 WHERE id = 1", "regions", "region r1 (1) is its own ancestor"),
        ("UPDATE account SET role = 'viewer'", "accounts", "no administrator who sees everything"),
        ("UPDATE account SET region = 2", "accounts", "no administrator who sees everything"),
        (
            "UPDATE camera SET code = 'other' WHERE id = 201",
            "passwords",
            "camera other was changed or belongs",
        ),
        ("UPDATE camera SET password_sealed = x'00' WHERE id = 201", "passwords", "damaged or of a newer version"),
    ],
)
def test_each_finding_is_named(database: Path, statement: str, check: str, says: str) -> None:
    """By the check whose it is, with rows and remedy."""
    conn = sqlite3.connect(database)
    conn.execute(statement)
    conn.commit()
    conn.close()

    wrong = found(database)

    assert list(wrong) == [check]
    assert says in wrong[check][0]


def test_a_missing_key_file_is_named_and_not_made(database: Path) -> None:
    """Both sealed passwords are lost with it; where nothing is sealed none is missed."""
    key = database.parent / "secret.key"
    key.unlink()
    assert "no key file, and 2 passwords are sealed" in found(database)["passwords"][0]
    assert not key.exists()
    key.write_text("nonsense")
    assert list(found(database)) == ["passwords"]
    key.unlink()
    conn = sqlite3.connect(database)
    conn.execute("UPDATE camera SET password_sealed = NULL")
    conn.commit()
    conn.close()
    assert found(database) == {}


def test_damaged_pages_are_found_and_the_rest_is_checked_all_the_same(database: Path) -> None:
    """A check that stumbles over them says so instead of ending all of them."""
    conn = sqlite3.connect(database)
    ((page,),) = conn.execute("SELECT rootpage FROM sqlite_master WHERE name = 'segment'").fetchall()
    conn.close()
    with database.open("r+b") as file:
        file.seek(4_096 * (page - 1))
        file.write(b"\xff" * 4_096)

    wrong = found(database)

    assert wrong["pages"]
    assert "cannot be checked: database disk image is malformed" in wrong["timelines"]
    assert "accounts" not in wrong


def test_findings_are_capped(database: Path) -> None:
    """A hundred show that more than a line is wrong."""
    conn = sqlite3.connect(database)
    conn.execute("PRAGMA foreign_keys = OFF")
    conn.execute("DELETE FROM camera")
    conn.commit()
    conn.close()
    assert len(found(database)["references"]) == MAX_FINDINGS


@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough to be one" * 100, b"SQLite format 3\0" + b"\xff" * 5_000]
)
def test_what_is_no_database_cannot_be_checked(tmp_path: Path, content: bytes) -> None:
    """The message names the file and the way back."""
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(StreamwatchError, match=r"streamwatch\.db: cannot be read as a database.*db restore FILE"):
        check_database(tmp_path / FILE_NAME, tmp_path)


def test_all_checks_see_one_instant(database: Path) -> None:
    """A commit between two of them is in neither."""

    def meddle(name: str) -> None:
        if name == "accounts":
            conn = sqlite3.connect(database)
            conn.execute("UPDATE account SET disabled_us = 1")
            conn.commit()
            conn.close()

    conn = sqlite3.connect(database)
    conn.execute("PRAGMA journal_mode = WAL")
    assert [one for one in check_database(database, None, begun=meddle) if one.findings] == []
    assert list(found(database)) == ["accounts"]
    conn.close()
