"""`db`: its words, its JSON and its statuses, alone and beside a running service."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from streamwatch.access.changes import as_args, key_change
from streamwatch.access.keys import new_key
from streamwatch.datadir import DataDir
from streamwatch.live.client import call as live_call
from streamwatch.store.backup import backup
from streamwatch.store.migrate import known_revisions
from tests.cli.conftest import Shell

NEWEST = known_revisions()[0]


def told(text: str) -> Any:
    """The JSON of one command, which is all that it printed."""
    (line,) = text.splitlines()
    return json.loads(line)


@pytest.fixture
def settled(alone: Shell, tmp_path: Path) -> Shell:
    """With a village and a camera whose password is sealed."""
    villages, cameras = tmp_path / "villages.csv", tmp_path / "cameras.csv"
    villages.write_text("code,name,region\nV1,青石村,青河县/双河镇\n", encoding="utf-8")
    cameras.write_text("code,name,village,url\nC1,村口,V1,rtsp://u:geheim@10.0.0.1/a\n", encoding="utf-8")
    assert alone("import", "villages", str(villages)).status == 0
    assert alone("import", "cameras", str(cameras)).status == 0
    return alone


def test_upgrade_tells_from_and_to(alone: Shell) -> None:
    """Made, there already, and as JSON."""
    database = alone.data_dir / "streamwatch.db"
    assert alone("db", "upgrade").out == f"{database} was made and has the schema {NEWEST}\n"
    assert alone("db", "upgrade").out == f"{database} has the schema {NEWEST} already\n"
    assert told(alone("db", "upgrade", "--json").out) == {"database": str(database), "from": NEWEST, "to": NEWEST}


def test_check_names_what_it_found(settled: Shell) -> None:
    """0 and every check sound; 1 and the finding; 3 where nothing can be read."""
    assert settled("db", "check").out.splitlines()[-1] == f"{settled.data_dir / 'streamwatch.db'}: sound"
    (settled.data_dir / "secret.key").unlink()
    checked = settled("db", "check", "--json")
    assert checked.status == 1
    assert [one["check"] for one in told(checked.out)["checks"] if not one["sound"]] == ["passwords"]
    words = settled("db", "check")
    assert (words.status, "secret.key" in words.out, "not sound" in words.out) == (1, True, True)
    (settled.data_dir / "streamwatch.db").write_bytes(b"x" * 5_000)
    assert settled("db", "check").status == 3


def test_backup_and_restore_go_round(settled: Shell, tmp_path: Path) -> None:
    """What is said: that the key is not in it and where it is, what was kept, and what must be done again."""
    target = tmp_path / "copy.db"
    made = settled("db", "backup", str(target))
    assert made.status == 0
    assert made.out.startswith(f"{target}: 1 cameras, ")
    assert f"{settled.data_dir / 'secret.key'} (key " in made.out
    assert settled("key", "add", "late", "--scopes", "read").status == 0

    back = settled("db", "restore", str(target))
    assert back.status == 0
    assert "The database of before is " in back.out
    assert "revoke again" in back.out
    assert told(settled("key", "list", "--json").out) == []
    assert DataDir(settled.data_dir).holder() is None
    assert settled("db", "check").status == 0


def test_backup_and_restore_as_json(settled: Shell, tmp_path: Path) -> None:
    """One object each, every key."""
    target = tmp_path / "copy.db"
    made = told(settled("db", "backup", str(target), "--json").out)
    assert set(made) == {"file", "schema", "bytes", "cameras", "accounts", "keys", "key_file", "took_s"}
    assert (made["cameras"], len(made["keys"])) == (1, 1)
    (settled.data_dir / "secret.key").unlink()
    refused = settled("db", "restore", str(target), "--json")
    assert (refused.status, refused.out) == (78, "")
    back = told(settled("db", "restore", str(target), "--force", "--json").out)
    assert set(back) == {"file", "database", "from", "to", "cameras", "kept", "warnings"}
    assert (back["from"], back["to"], len(back["warnings"])) == (NEWEST, NEWEST, 1)


def test_beside_a_running_service(beside: Shell, tmp_path: Path) -> None:
    """check and backup work; upgrade and restore name who holds the data directory, with 75."""
    assert beside.running is not None
    assert beside("db", "check").status == 0
    target = tmp_path / "copy.db"
    assert beside("db", "backup", str(target)).status == 0
    conn = sqlite3.connect(target)
    assert conn.execute("SELECT code FROM village").fetchall() == [("V1",)]
    conn.close()
    for words in (["upgrade"], ["restore", str(target)]):
        refused = beside("db", *words)
        assert refused.status == 75
        assert f"process {beside.running.process.pid} (run)" in refused.err


def test_a_bar_follows_a_copy_on_a_terminal(settled: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows how many pages there are."""
    seen: list[tuple[int | None, int]] = []
    from streamwatch.cli import show

    advance = show.Bar.advance

    def noticed(bar: show.Bar, n: int = 1) -> None:
        advance(bar, n)
        seen.append((bar.total, bar.done))

    monkeypatch.setattr(show.Bar, "advance", noticed)
    assert settled("db", "backup", str(tmp_path / "copy.db")).status == 0
    total, done = seen[-1]
    assert total == done
    assert (done or 0) > 10


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_disk_that_is_full_is_named(settled: Shell, tmp_path: Path) -> None:
    """3; the disk is named, and no draft stays on it."""
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(small)], check=False).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    try:
        refused = settled("db", "backup", str(small / "copy.db"))
        assert refused.status == 3
        assert f"{small}: " in refused.err
        assert "make room" in refused.err
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_what_another_version_left_is_named(settled: Shell, tmp_path: Path) -> None:
    """Older: upgrade; newer: the version that wrote it. 78, for reading commands as for writing ones."""
    shutil.copy(settled.data_dir / "streamwatch.db", tmp_path / "kept.db")
    for revision, says, writes in (("r0001", "db upgrade", 0), ("r9999", "a newer one", 78)):
        conn = sqlite3.connect(settled.data_dir / "streamwatch.db")
        conn.execute("UPDATE alembic_version SET version_num = ?", [revision])
        conn.commit()
        conn.close()
        read = settled("user", "list")
        assert (read.status, says in read.err) == (78, True)
        if writes:
            assert settled("db", "upgrade").status == writes


def test_a_backup_while_the_service_writes_is_one_instant(beside: Shell, tmp_path: Path) -> None:
    """Keys are added one after the other: each copy has the first so many of them, and no gap."""
    ended = threading.Event()
    written: list[int] = []

    async def order(number: int) -> None:
        args = as_args(key_change(new_key(), f"load{number}", ("read",), None), "test")
        await live_call(DataDir(beside.data_dir).live_sock(), "access", args)

    def write() -> None:
        while not ended.is_set():
            asyncio.run(order(len(written)))
            written.append(len(written))

    writing = threading.Thread(target=write)
    writing.start()
    try:
        copies = []
        for number in range(4):
            least = len(written)
            while len(written) < least + 3:
                ended.wait(0.01)
            before = len(written)
            path = tmp_path / f"{number}.db"
            backup(beside.data_dir / "streamwatch.db", path)
            copies.append((before, path, len(written)))
    finally:
        ended.set()
        writing.join()

    for before, path, after in copies:
        conn = sqlite3.connect(path)
        assert conn.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        found = {int(name[4:]) for (name,) in conn.execute("SELECT name FROM api_key WHERE name LIKE 'load%'")}
        conn.close()
        assert found == set(range(len(found)))
        assert before <= len(found) <= after + 1
