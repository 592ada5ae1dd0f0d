"""Stage 9: a copy of the database while the service runs.

A backup is one snapshot: a connection that can only read opens a transaction and copies page by page through SQLite's
backup interface, while the writer goes on. The copy becomes a file whole or not at all, and only after it was checked.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from pathlib import Path

from streamwatch.errors import ConfigError, UsageError
from streamwatch.store.dbfile import (
    COPY_PAGES,
    HEADER,
    TABLES,
    Held,
    Progress,
    connect,
    drafting,
    frozen,
    held_by,
    naming,
    require_room,
    require_sound,
    sync,
    told,
)


def backup(database: Path, target: Path, *, force: bool = False, progress: Progress = lambda *_: None) -> Held:
    """Copies the database to `target` (0600) as of one instant, checks the copy, and only then gives it its name.

    May run beside the service. Raises UsageError where `target` cannot be the file, StreamwatchError where the disk is
    full or the copy is not sound; nothing is left behind then.
    """
    with naming(target, "no copy was made"):
        _good_target(database, target, force=force)
    draft = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    with naming(target, "no copy was made"), drafting(draft):
        with contextlib.closing(snapshot(database)) as source:
            _require_ours(source, database)
            require_room(source, target)
            with contextlib.closing(sqlite3.connect(draft, isolation_level=None)) as copy:
                copy.execute("PRAGMA journal_mode = OFF")  # the draft needs no way back,
                copy.execute("PRAGMA synchronous = OFF")  # and is synchronised as a whole below
                source.backup(copy, pages=COPY_PAGES, progress=told(progress, "copying"))
                copy.execute("PRAGMA journal_mode = DELETE")  # one file is all of it, readable from a disc as well
        sync(draft)
        progress("checking", 0, 0)
        with contextlib.closing(frozen(draft)) as copy:
            require_sound(copy, "PRAGMA quick_check(1)", database)
            held = held_by(copy, draft)
        _publish(draft, target, force=force)
    return held


def _good_target(database: Path, target: Path, *, force: bool) -> None:
    folder = target.parent
    if not folder.is_dir():
        raise UsageError(f"{target}: there is no folder {folder}; make it first")
    if target.is_dir():
        raise UsageError(f"{target} is a folder; name a file in it, e.g. {target / 'streamwatch-backup.db'}")
    if database.parent.exists() and folder.samefile(database.parent) and target.name.startswith(database.name):
        raise UsageError(f"{target} is a file of the data directory itself; choose another place, best another disk")
    if target.exists():
        if not target.is_file():
            raise UsageError(f"{target} is no regular file; name one")
        if not force:
            raise UsageError(f"{target} exists; choose another name, or overwrite it with --force")
        with target.open("rb") as opened:
            head = opened.read(len(HEADER))
        if head and head != HEADER:
            raise UsageError(f"{target} exists and is no database: --force overwrites only an earlier backup")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{target}: this user may not write in {folder}; choose another place")


def _publish(draft: Path, target: Path, *, force: bool) -> None:
    """Gives the copy its name; a file that appeared there meanwhile stays unless `force`."""
    if force:
        draft.replace(target)
    else:
        try:
            os.link(draft, target)  # unlike a rename it never replaces anything
        except FileExistsError:
            raise UsageError(f"{target} exists; choose another name, or overwrite it with --force") from None
        except OSError:  # a file system without links, such as that of a USB stick
            if target.exists():
                raise UsageError(f"{target} exists; choose another name, or overwrite it with --force") from None
            draft.rename(target)
        draft.unlink(missing_ok=True)
    sync(target.parent)


def snapshot(database: Path) -> sqlite3.Connection:
    """A connection that cannot write, in a transaction that sees one instant. Somebody else may write meanwhile."""
    conn = connect(database, "mode=ro")
    conn.execute("PRAGMA query_only = ON")
    conn.execute("BEGIN")
    conn.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return conn


def _require_ours(conn: sqlite3.Connection, database: Path) -> None:
    names = {name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not names >= TABLES:
        raise ConfigError(f"{database} holds no tables of streamwatch; is STREAMWATCH_DATA_DIR the right folder?")
