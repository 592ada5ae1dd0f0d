"""Stage 9: database files as files: which kind they are, what they hold, drafts that become whole or nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from streamwatch.errors import StreamwatchError, UsageError
from streamwatch.store.engine import BUSY_TIMEOUT_MS
from streamwatch.store.migrate import known_revisions

COPY_PAGES: Final = 2_560  # x 4 KiB = 10 MiB between two looks at the clock and the keyboard
HEADER: Final = b"SQLite format 3\0"  # sqlite.org/fileformat.html section 1.3
TABLES: Final = frozenset({"alembic_version", "account", "camera", "segment", "standing", "village"})
BESIDE: Final = ("-wal", "-shm", "-journal")  # what SQLite keeps beside a database
KINDS: Final = {  # how other files begin, and what to do about them
    b"\x1f\x8b": "is compressed by gzip: gunzip it first",
    b"(\xb5/\xfd": "is compressed by zstd: unzstd it first",
    b"\xfd7zXZ\0": "is compressed by xz: unxz it first",
    b"PK\x03\x04": "is a zip archive or a workbook: unpack it first",
    b"BZh": "is compressed by bzip2: bunzip2 it first",
}

Progress = Callable[[str, int, int], None]  # what is done, how many pages of it, of how many


@dataclass(frozen=True, slots=True)
class Held:
    """What a database file holds."""

    schema: str
    bytes: int
    cameras: int
    accounts: int
    keys: tuple[str, ...]  # ids of the keys that sealed its passwords


def inspect(file: Path) -> Held:
    """What a backup holds. Raises UsageError, naming what the file is instead, where it is none of streamwatch's."""
    try:
        mode = file.stat().st_mode
        if stat.S_ISDIR(mode):
            raise UsageError(f"{file} is a folder; name the backup file in it")
        if not stat.S_ISREG(mode):
            raise UsageError(f"{file} is no regular file; name a file that streamwatch db backup wrote")
        with file.open("rb") as content:
            head = content.read(100)
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from None
    if not head.startswith(HEADER):
        raise UsageError(f"{file} {_kind(head)}; name a file that streamwatch db backup wrote")
    with naming(file, "it is damaged; take another backup"), contextlib.closing(opened(file)) as conn:
        names = {name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not names >= TABLES:
            raise UsageError(f"{file} is an SQLite database, but not one of streamwatch's")
        held = held_by(conn, file)
    if held.schema not in known_revisions():
        raise UsageError(
            f"{file} has the schema {held.schema}, which this version of streamwatch does not know; "
            "restore it with the version that wrote it, or a newer one"
        )
    return held


def opened(path: Path) -> sqlite3.Connection:
    """Read only. Where nothing lies beside it, as a file that nobody changes, so that nothing is made beside it."""
    return connect(path, "mode=ro") if any(beside(path, suffix).exists() for suffix in BESIDE) else frozen(path)


def frozen(path: Path) -> sqlite3.Connection:
    """Read only, without locks and without files beside it: for a file that nobody writes."""
    return connect(path, "mode=ro&immutable=1")


def connect(path: Path, how: str) -> sqlite3.Connection:
    """A connection by the options of an SQLite URI; transactions are stated by us."""
    uri = f"file:{quote(str(path.absolute()))}?{how}"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None)


def held_by(conn: sqlite3.Connection, path: Path) -> Held:
    """What an open database of streamwatch's holds, of whatever schema."""
    found = conn.execute("SELECT version_num FROM alembic_version").fetchone()
    names = {name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    keys: set[str] = set()
    for table in sorted({"camera", "recorder"} & names):
        # Bytes 2 to 5 of a sealed password name its key (secrets.Sealed).
        query = f"SELECT DISTINCT substr(password_sealed, 2, 4) FROM {table} WHERE password_sealed IS NOT NULL"  # noqa: S608
        keys |= {key.hex() for (key,) in conn.execute(query)}
    return Held(
        schema="none" if found is None else str(found[0]),
        bytes=path.stat().st_size,
        cameras=_number(conn, "SELECT count(*) FROM camera WHERE removed_us IS NULL"),
        accounts=_number(conn, "SELECT count(*) FROM account"),
        keys=tuple(sorted(keys)),
    )


def require_room(source: sqlite3.Connection, target: Path) -> None:
    """Raises StreamwatchError where a copy of `source` does not fit onto the disk of `target`."""
    needed = _number(source, "PRAGMA page_count") * _number(source, "PRAGMA page_size")
    free = shutil.disk_usage(target.parent).free
    if needed > free:
        raise StreamwatchError(
            f"{target.parent}: {needed:,} bytes are needed and {free:,} are free; make room, or choose another disk"
        )


def require_sound(conn: sqlite3.Connection, pragma: str, origin: Path) -> None:
    """Raises StreamwatchError, naming `origin`, where SQLite's own check says anything but ok."""
    (verdict,) = conn.execute(pragma).fetchone()
    if verdict != "ok":
        raise StreamwatchError(f"{origin} is damaged ({verdict}); see: streamwatch db check, or take another backup")


def told(progress: Progress, what: str) -> Callable[[int, int, int], None]:
    """What SQLite's backup interface calls, as a Progress."""
    return lambda _status, remaining, total: progress(what, total - remaining, total)


def beside(path: Path, suffix: str) -> Path:
    """The file that SQLite keeps beside a database; `suffix` is one of BESIDE."""
    return path.with_name(path.name + suffix)


@contextlib.contextmanager
def drafting(draft: Path) -> Iterator[None]:
    """An empty file for its owner only, which is gone when the block has failed."""
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        yield
    except BaseException:
        discard(draft)
        raise


def discard(draft: Path) -> None:
    """Removes a draft and what lies beside it."""
    for suffix in ("", *BESIDE):
        beside(draft, suffix).unlink(missing_ok=True)


@contextlib.contextmanager
def naming(path: Path, remedy: str) -> Iterator[None]:
    """Errors of the disk and of SQLite, as sentences that name the file and what to do."""
    try:
        yield
    except sqlite3.Error as error:
        full = code_of(error) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
        why = f"{error}; is the disk full, or a quota reached?" if full else str(error)
        raise StreamwatchError(f"{path}: {why}; {remedy}") from None
    except OSError as error:
        raise StreamwatchError(f"{error.filename or path}: {error.strerror}; {remedy}") from None


def code_of(error: sqlite3.Error) -> int:
    """SQLite's primary result code; -1 where Python itself complains."""
    return int(getattr(error, "sqlite_errorcode", -1)) & 0xFF


def sync(path: Path) -> None:
    """On the disk, also after a power cut: a file's content, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _number(conn: sqlite3.Connection, query: str) -> int:
    return int(conn.execute(query).fetchone()[0])


def _kind(head: bytes) -> str:
    if not head:
        return "is empty"
    for begins, what in KINDS.items():
        if head.startswith(begins):
            return what
    try:
        head.decode()
    except UnicodeDecodeError:
        return "is no SQLite database"
    return "is a text file, no SQLite database"
