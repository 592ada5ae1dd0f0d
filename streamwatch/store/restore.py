"""Stage 9: a backup in the place of the database.

A restore works on a copy, and the exchange is one rename. What stood there before is kept aside. At whatever moment the
machine stops, the database is the old one or the new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import glob
import os
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from streamwatch.clock import to_datetime
from streamwatch.errors import ConfigError, HeldError, StreamwatchError, UsageError
from streamwatch.store.check import lost_passwords
from streamwatch.store.dbfile import (
    BESIDE,
    COPY_PAGES,
    Held,
    Progress,
    beside,
    code_of,
    discard,
    drafting,
    frozen,
    held_by,
    inspect,
    naming,
    opened,
    require_room,
    require_sound,
    sync,
    told,
)
from streamwatch.store.engine import BUSY_TIMEOUT_MS, url_of
from streamwatch.store.migrate import upgrade

RESTORING: Final = ".restoring"  # behind the database's name while a restore works; what a killed one left is removed


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did. `kept`: where the database of before is, None where there was none."""

    held: Held
    before: str  # the schema of the backup; `held.schema` is what it was brought to
    kept: Path | None
    warnings: tuple[str, ...]


def restore(
    file: Path,
    database: Path,
    data_dir: Path,
    now_us: int,
    *,
    force: bool = False,
    progress: Progress = lambda *_: None,
    reached: Callable[[str], None] = lambda _: None,
) -> Restored:
    """Puts the backup `file` in the place of `database`, at the newest schema. The caller holds the data directory.

    `force`: also where the key file of `data_dir` does not open its passwords; they are in `warnings` then. `reached`
    hears each step behind which a crash is harmless: tests stop there. Raises UsageError for a wrong file, ConfigError
    for a missing key, HeldError while somebody reads the database, StreamwatchError where a disk is full or the backup
    is damaged; the database is as before in every case.
    """
    before = inspect(file)
    if database.exists() and file.samefile(database):
        raise UsageError(f"{file} is the database itself; name a file that streamwatch db backup wrote")
    draft = database.with_name(database.name + RESTORING)
    _clear_up(database, draft)
    with naming(database, "the database is as before"), drafting(draft):
        with contextlib.closing(opened(file)) as source:
            require_room(source, database)
            with contextlib.closing(sqlite3.connect(draft, isolation_level=None)) as copy:
                copy.execute("PRAGMA journal_mode = OFF")
                copy.execute("PRAGMA synchronous = OFF")
                source.backup(copy, pages=COPY_PAGES, progress=told(progress, "copying"))
        reached("copied")
        progress("checking", 0, 0)
        with contextlib.closing(opened(draft)) as copy:
            require_sound(copy, "PRAGMA integrity_check(1)", file)
            if copy.execute("PRAGMA foreign_key_check").fetchone() is not None:
                raise StreamwatchError(f"{file}: rows point to rows that are not there; take another backup")
        reached("checked")
        asyncio.run(upgrade(url_of(draft)))
        if not _fold(draft):
            raise StreamwatchError(f"{draft}: cannot be written; is the disk full? The database is as before")
        reached("upgraded")
        warnings = _lost(draft, data_dir)
        if warnings and not force:
            raise ConfigError("\n".join([*warnings, "or restore nevertheless with --force; the database is as before"]))
        with contextlib.closing(opened(draft)) as copy:
            held = held_by(copy, draft)
        sync(draft)
        reached("prepared")
        kept = _exchange(draft, database, now_us, reached)
    return Restored(held, before.schema, kept, warnings)


def _clear_up(database: Path, draft: Path) -> None:
    """What a restore that was killed left: its draft, and a second name of a database that then stayed."""
    discard(draft)
    for path in database.parent.glob(f"{glob.escape(database.name)}.before-restore-*"):
        if database.exists() and path.samefile(database):
            path.unlink()


def _exchange(draft: Path, database: Path, now_us: int, reached: Callable[[str], None]) -> Path | None:
    """The draft becomes the database in one rename; what was there is kept aside. Gives the name of the latter."""
    kept = None
    if database.exists():
        kept = _aside(database, now_us)
        sound = _fold(database)
        reached("folded")
        _keep(database, kept)
        sync(database.parent)
        reached("kept")
        if not sound:
            # A database too damaged to take in its own WAL: the two are kept together. A crash between these lines
            # leaves it without the WAL in its place, and both aside.
            for suffix in BESIDE:
                with contextlib.suppress(FileNotFoundError):
                    beside(database, suffix).rename(beside(kept, suffix))
    for suffix in BESIDE:  # those of the old database (empty by now) must never be taken for the new one's
        beside(database, suffix).unlink(missing_ok=True)
    sync(database.parent)
    reached("cleared")
    draft.replace(database)
    sync(database.parent)
    reached("exchanged")
    return kept


def _fold(database: Path) -> bool:
    """Takes the WAL into the database, so that one file is all of it; False where it is too damaged for that.

    Raises HeldError while somebody reads it.
    """
    uri = f"file:{quote(str(database.absolute()))}?mode=rw"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_MS / 1000)) as conn:
            (busy, _, _) = conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        if code_of(error) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return False
        busy = 1
    if busy:
        raise HeldError(f"{database} is being read by another process (a backup, a check); wait until that has ended")
    return True


def _keep(database: Path, kept: Path) -> None:
    """A second name for the database; where the file system has none, a copy."""
    try:
        os.link(database, kept)
    except OSError:
        draft = kept.with_name(kept.name + ".part")
        with drafting(draft):
            shutil.copyfile(database, draft)
            sync(draft)
            draft.rename(kept)


def _aside(database: Path, now_us: int) -> Path:
    """A free name for what was there before, with the time in it."""
    name = f"{database.name}.before-restore-{to_datetime(now_us):%Y%m%dT%H%M%SZ}"
    for number in range(1, 1_000):
        path = database.with_name(name if number == 1 else f"{name}-{number}")
        if not path.exists():
            return path
    raise StreamwatchError(f"{database.parent}: a thousand databases of this second are kept; remove some")


def _lost(path: Path, data_dir: Path) -> tuple[str, ...]:
    """What the key file of `data_dir` does not open of the passwords in the database at `path`."""
    with contextlib.closing(frozen(path)) as raw:
        engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
        with engine.connect() as conn:
            return tuple(lost_passwords(conn, data_dir))
