"""What people mistype, forget and run out of: each answer names the thing, the place and the remedy."""

from __future__ import annotations

import os
import resource
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App

from streamwatch.cli import app as commands
from streamwatch.cli.call import call
from tests.cli.conftest import Shell

UNKNOWN, USAGE, HELD, CONFIG = 3, 64, 75, 78

# The words of the call, the status, and what the answer says: thing or place first, then the remedy.
MISTAKES: list[tuple[str, int, str, str]] = [
    ("prob", USAGE, "'prob'", "did you mean probe?"),
    ("user ad ann", USAGE, '"ad"', 'Did you mean "add"?'),
    ("--verbose", USAGE, "--verbose", "See: streamwatch --help"),
    ("db restore", USAGE, "FILE", "See: streamwatch db restore --help"),
    ("import cameras", USAGE, "--file", "See: streamwatch import --help"),
    ("import camera list.csv", USAGE, '"camera"', "Choose from: "),
    ("import cameras missing.csv", USAGE, "missing.csv", "name a readable file"),
    ("import cameras folder", USAGE, "folder: cannot be read", "name a readable file"),
    ("import cameras empty", USAGE, "empty: is empty", "first line must hold the headings"),
    ("probe", USAGE, "which camera?", "streamwatch probe rtsp://HOST/PATH"),
    ("probe http://192.0.2.1/", USAGE, "http://", "begins with rtsp://"),
    ("probe rtsp://192.0.2.1:99999/", USAGE, "port", "1 to 65535"),
    ("probe rtsp://192.0.2.1/ --deep", USAGE, "--deep", "Did you mean --depth?"),
    ("probe rtsp://192.0.2.1/ --timeout soon", USAGE, "--timeout", "See: streamwatch probe --help"),
    ("probe rtsp://192.0.2.1/ --timeout 0", USAGE, "--timeout 0", "more than 0 and at most 60"),
    ("probe rtsp://192.0.2.1/ --concurrency 0", USAGE, "--concurrency 0", "from 1"),
    ("probe --replay missing", USAGE, "missing: cannot be read", "probe --record"),
    ("probe --replay folder", USAGE, "folder: cannot be read", "probe --record"),
    ("probe --replay text", USAGE, "text: line 1", "not a JSON object"),
    ("probe --replay empty", USAGE, "empty: the recording is empty", "probe --record FILE"),
    ("simulate --cameras many", USAGE, "--cameras", "See: streamwatch simulate --help"),
    ("simulate --cameras 0", USAGE, "cameras is 0", "give 1 to"),
    ("simulate --bind home", USAGE, "--bind home", "such as 127.1.0.0/16"),
    ("simulate --bind 127.0.0.1/32", USAGE, "--bind 127.0.0.1/32", "give a wider network"),
    ("simulate --port 99999", USAGE, "port is 99999", "65535"),
    ("simulate --cameras 2 --villages 1 --log none/log", USAGE, "none/log: No such file", "check the name"),
    ("demo --cameras 0", USAGE, "cameras is 0", "give 1 to"),
    ("demo --interval 1", USAGE, "--interval 1", "at least 5 seconds"),
    ("run --ready-fd 777", USAGE, "--ready-fd 777", "3>FILE"),
    ("run --cameras missing.csv", USAGE, "missing.csv", "name a readable file"),
    ("run --config missing.toml", CONFIG, "missing.toml", "name a file that this user may read"),
    ("run --config text", CONFIG, "text: not TOML", "see toml.io"),
    ("check-settings --config folder", CONFIG, "folder: cannot be read", "name a file that this user may read"),
    ("db check", CONFIG, "data/streamwatch.db: there is no database", "STREAMWATCH_DATA_DIR"),
    ("db backup copy", CONFIG, "data/streamwatch.db: there is no database", "STREAMWATCH_DATA_DIR"),
    ("db restore missing", USAGE, "missing: cannot be read", "No such file"),
    ("db restore folder", USAGE, "folder is a folder", "name the backup file in it"),
    ("db restore text", USAGE, "text is a text file", "db backup"),
    ("user list", CONFIG, "data/streamwatch.db: there is no database", "streamwatch run"),
    ("user add ann", USAGE, "--role", "See: streamwatch user add --help"),
    ("user add ann --role king", USAGE, '"king"', '"administrator", "editor", "viewer"'),
    ("user add ann --role viewer", USAGE, "no terminal", "--password-stdin, or --generate"),
    ("user add ann --role viewer --password-stdin", USAGE, "nothing came on stdin", "< FILE"),
    ("user add ann --role viewer --password-stdin --generate", USAGE, "--password-stdin and --generate", "exclude"),
    ("user add ann --role viewer --generate --region 33", USAGE, "code '33'", "there are none yet"),
    ("user disable ann", USAGE, "no account 'ann'", "there are none yet"),
    ("key list", CONFIG, "data/streamwatch.db: there is no database", "streamwatch run"),
    ("key add g", USAGE, "--scopes", "See: streamwatch key add --help"),
    ("key add g --scopes reed", USAGE, "unknown scope reed", "read, write, probe, metrics"),
    ("key revoke 123", USAGE, "no API key '123'", "in force there are none"),
    ("completion tcsh", USAGE, '"tcsh"', '"bash", "zsh", "fish"'),
    ("score", USAGE, "which files?", "streamwatch score"),
]


@pytest.fixture
def there(alone: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """In a folder with a folder, an empty file and a text; the data directory does not exist yet."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("hello, this is no list\n")
    monkeypatch.chdir(tmp_path)
    return alone


@pytest.mark.parametrize(("words", "status", "names", "remedy"), MISTAKES, ids=[words for words, *_ in MISTAKES])
def test_a_mistake_is_answered(there: Shell, words: str, status: int, names: str, remedy: str) -> None:
    """One complaint on stderr, nothing on stdout, no traceback."""
    ran = there(*words.split())

    assert (ran.status, ran.out) == (status, "")
    assert ran.err.startswith("streamwatch: ") or status == CONFIG
    assert names in ran.err
    assert remedy in ran.err
    assert "Traceback" not in ran.err


def test_a_short_password_is_refused(there: Shell) -> None:
    """And not shown again."""
    ran = there("user", "add", "ann", "--role", "viewer", "--password-stdin", stdin="hunter2\n")
    assert (ran.status, "8 to 256 characters" in ran.err, "hunter2" in ran.err) == (USAGE, True, False)


def test_settings_that_are_wrong_are_named_by_every_command_that_reads_them(there: Shell) -> None:
    """The variable, what it takes, and 78."""
    for words in (["run"], ["check-settings"], ["db", "upgrade"], ["user", "list"], ["import", "cameras", "text"]):
        ran = there(*words, LIMITS__PER_HOST="0")
        assert (ran.status, "STREAMWATCH_LIMITS__PER_HOST" in ran.err) == (CONFIG, True), words


@pytest.mark.parametrize("words", [["db", "upgrade"], ["run"], ["key", "add", "g", "--scopes", "read"]])
def test_a_data_directory_that_cannot_be_is_named(there: Shell, words: list[str]) -> None:
    """Where it was to be, and the variable that says so."""
    ran = there(*words, DATA_DIR=str(Path("text").absolute() / "x"))
    assert (ran.status, "text/x: the data directory cannot be made" in ran.err) == (CONFIG, True)
    assert "STREAMWATCH_DATA_DIR" in ran.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_data_directory_of_somebody_else_is_named(there: Shell) -> None:
    """Its owner must be changed, or the place."""
    there.data_dir.mkdir(mode=0o500)
    ran = there("db", "upgrade")
    assert (ran.status, "may not write in the data directory" in ran.err) == (CONFIG, True)


def test_an_address_that_is_taken_is_named(there: Shell) -> None:
    """With the way to another one."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        ran = there("run", LISTEN=listen)
    assert (ran.status, listen in ran.err, "port 0 takes a free one" in ran.err) == (CONFIG, True, True)


def put_folder(path: Path) -> None:
    path.mkdir()


def put_text(path: Path) -> None:
    path.write_bytes(b"no database, but long enough " * 100)


def put_foreign(path: Path) -> None:
    conn = sqlite3.connect(path)
    conn.execute("CREATE TABLE t (a)")
    conn.close()


@pytest.mark.parametrize(
    ("put", "words", "status", "says"),
    [
        (put_folder, ["db", "upgrade"], CONFIG, "remove it, or rename it"),
        (put_folder, ["run"], CONFIG, "remove it, or rename it"),
        (put_text, ["db", "upgrade"], UNKNOWN, "file is not a database; put a backup in its place"),
        (put_text, ["run"], UNKNOWN, "file is not a database; put a backup in its place"),
        (put_text, ["user", "list"], UNKNOWN, "file is not a database; put a backup in its place"),
        (put_text, ["db", "check"], UNKNOWN, "put a backup in its place with: streamwatch db restore FILE"),
        (put_text, ["db", "backup", "copy"], UNKNOWN, "file is not a database"),
        (put_foreign, ["user", "list"], CONFIG, "is STREAMWATCH_DATA_DIR the right folder?"),
        (put_foreign, ["db", "backup", "copy"], CONFIG, "is STREAMWATCH_DATA_DIR the right folder?"),
    ],
)
def test_what_stands_in_the_place_of_the_database_is_named(
    there: Shell, put: Callable[[Path], None], words: list[str], status: int, says: str
) -> None:
    """Its path, what is wrong with it, and the way out."""
    there.data_dir.mkdir()
    put(there.data_dir / "streamwatch.db")
    ran = there(*words)

    assert (ran.status, ran.out) == (status, "")
    assert f"{there.data_dir / 'streamwatch.db'}" in ran.err or "copy: " in ran.err
    assert says in ran.err
    assert "Traceback" not in ran.err


def test_a_disk_that_runs_full_is_named(there: Shell) -> None:
    """While the database is written: its place, and what to do; 3."""
    assert there("db", "upgrade").status == 0
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, limit[1]))
    try:
        ran = there("key", "add", "g", "--scopes", "read")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert (ran.status, ran.out) == (UNKNOWN, "")
    assert str(there.data_dir / "streamwatch.db") in ran.err
    assert "make room on that disk" in ran.err


def test_our_own_mistake_is_3_and_called_ours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A traceback must not end with 1, which says that a camera has a fault."""

    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr("streamwatch.cli.check_settings.check_settings", broken)
    assert call(["check-settings"]) == UNKNOWN
    said = capsys.readouterr().err
    assert "ZeroDivisionError" in said
    assert "a mistake of streamwatch" in said


# Commands that print no findings, and what a program reads instead.
WITHOUT_JSON = {
    "run": "endpoint.json, --ready-fd and admin.key",
    "demo": "endpoint.json, --ready-fd and admin.key",
    "simulate": "its one line, which is JSON in any case",
    "completion": "the script for the shell",
}


def walk(app: App, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], App]]:
    """Every command with its words."""
    found = []
    for name in app:
        if not name.startswith("-"):
            inner = app[name]
            found += walk(inner, (*path, name)) or [((*path, name), inner)]
    return found


def test_every_command_that_prints_findings_has_json() -> None:
    """New commands too."""
    without = [
        " ".join(path)
        for path, command in walk(commands.app)
        if not any("--json" in argument.names for argument in command.assemble_argument_collection())
    ]
    assert sorted(without) == sorted(WITHOUT_JSON)


def test_every_command_explains_itself(there: Shell) -> None:
    """--help works for each, also for families that are imported late."""
    for path, _ in walk(commands.app):
        ran = there(*path, "--help")
        assert ran.status == 0
        assert f"Usage: streamwatch {' '.join(path)}" in ran.out
