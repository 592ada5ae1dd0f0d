"""The data directory: made for its owner, one writer at a time, a socket path that fits."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from streamwatch.clock import parse_rfc3339
from streamwatch.datadir import MAX_SOCKET_PATH, DataDir, Holder
from streamwatch.errors import ConfigError, HeldError

NOW = parse_rfc3339("2026-11-24T05:38:10Z")


def test_it_is_made_for_its_owner_only(tmp_path: Path) -> None:
    """0700, and the parents too are made."""
    data = DataDir(tmp_path / "a/b")

    assert data.path.stat().st_mode & 0o777 == 0o700
    assert data.db == tmp_path / "a/b/streamwatch.db"


def test_a_place_that_cannot_be_is_named(tmp_path: Path) -> None:
    """The message names path, cause and remedy."""
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match=r"file/x: the data directory cannot be made: Not a directory; .*DATA_DIR"):
        DataDir(tmp_path / "file/x")


def test_the_second_writer_is_told_who_holds_it(tmp_path: Path) -> None:
    """Exit 75 names process, command and since when; after the release the next one gets it."""
    data = DataDir(tmp_path)
    with data.lock("streamwatch run", NOW):
        with pytest.raises(HeldError, match=rf"process {os.getpid()} \(streamwatch run\) since 2026-11-24T05:38"):
            DataDir(tmp_path).lock("streamwatch import", NOW)
        assert data.holder() == Holder(os.getpid(), "streamwatch run", "2026-11-24T05:38:10Z")
        assert data.lock_file.stat().st_mode & 0o777 == 0o600
    assert data.holder() is None
    with data.lock("streamwatch import", NOW):
        pass


def test_a_release_twice_does_not_release_the_next_one(tmp_path: Path) -> None:
    """The handle's number may be someone else's file by then."""
    data = DataDir(tmp_path)
    first = data.lock("one", NOW)
    first.release()
    with data.lock("two", NOW):
        first.release()
        assert data.holder() == Holder(os.getpid(), "two", "2026-11-24T05:38:10Z")


def test_a_garbled_note_still_refuses(tmp_path: Path) -> None:
    """Between taking the lock and signing it there is a moment."""
    data = DataDir(tmp_path)
    with data.lock("one", NOW):
        data.lock_file.write_bytes(b"{")
        with pytest.raises(HeldError, match="another process holds"):
            data.lock("two", NOW)
        assert data.holder() == Holder(0, "", "")


def test_a_killed_holder_leaves_nothing_behind(tmp_path: Path) -> None:
    """kill -9, with a forked child that lives on: the lock is free at once all the same."""
    code = (
        "import os, sys, time; from pathlib import Path; from streamwatch.datadir import DataDir\n"
        f"lock = DataDir(Path({str(tmp_path)!r})).lock('holder', 0)\n"
        "child = os.fork()\n"
        "if child == 0: time.sleep(60); os._exit(0)\n"
        "print(child, flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    try:
        time.sleep(0.05)  # the child closes its handle right after the fork
        found = DataDir(tmp_path).holder()
        assert found is not None
        assert found.pid == holder.pid
        holder.kill()
        holder.wait()
        with DataDir(tmp_path).lock("next", NOW):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        holder.kill()
        holder.stdout.close()


def test_private_files_are_whole_and_private(tmp_path: Path) -> None:
    """0600 from the first byte on, replaced at once, no drafts left."""
    data = DataDir(tmp_path)
    data.write_private(data.endpoint, b"{}")
    data.write_private(data.endpoint, json.dumps({"url": "http://127.0.0.1:1"}).encode())

    assert data.endpoint.stat().st_mode & 0o777 == 0o600
    assert json.loads(data.endpoint.read_bytes()) == {"url": "http://127.0.0.1:1"}
    assert [file.name for file in tmp_path.iterdir()] == ["endpoint.json"]


def test_a_short_path_holds_its_socket(tmp_path: Path) -> None:
    """The usual case: the socket lies in the directory."""
    data = DataDir(Path("/tmp") / f"sw-{os.getpid()}")
    try:
        assert data.live_sock() == data.path / "live.sock"
    finally:
        data.path.rmdir()


def test_a_long_path_has_its_socket_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket can be bound there, in a folder of its owner only, and the next process finds the same one."""
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    data = DataDir(tmp_path / ("d" * MAX_SOCKET_PATH))
    path = data.live_sock()
    try:
        assert len(os.fsencode(path)) <= MAX_SOCKET_PATH
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert DataDir(data.path).live_sock() == path
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
        path.unlink()
        path.parent.chmod(0o755)  # somebody opened it: not used any more
        other = data.live_sock()
        assert other != path
        other.parent.rmdir()
    finally:
        path.parent.rmdir()
