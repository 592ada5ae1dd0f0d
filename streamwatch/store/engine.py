"""Stage 9: opening the database. One connection writes and checkpoints; every other one can only read.

SQLite before 3.51.3 can lose commits when two connections write or checkpoint a WAL database (reliability, finding 4),
and Python 3.11 links older ones. Therefore the writer's pool holds one connection, and readers open the file `mode=ro`
with `query_only`: they cannot write, and a connection that cannot write does not checkpoint either.

Transactions are stated by us. In its default mode the sqlite3 module of Python opens a deferred transaction by itself
before INSERT, UPDATE and DELETE, but not before SELECT or DDL; its `autocommit` attribute, which ends that, exists
only from 3.12. So each new connection gets `isolation_level = None` (the module never begins anything), and
SQLAlchemy's `begin` event sends the statement: `BEGIN IMMEDIATE` on the writer, which takes the write lock at once
instead of failing half way, and `BEGIN` on readers, whose first SELECT then fixes the snapshot for the whole
transaction. Commit and rollback are SQLAlchemy's own: the module's `commit()` acts on whatever transaction is open.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import URL, event, make_url
from sqlalchemy.engine import Connection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from streamwatch.errors import ConfigError

DRIVER: Final = "sqlite+aiosqlite"
FILE_NAME: Final = "streamwatch.db"

BUSY_TIMEOUT_MS: Final = 5_000  # the only rival is a backup or a migration; the service commits in milliseconds
CHECKPOINT_PAGES: Final = 1_000  # x 4 KiB = 4 MiB of WAL, then the writer copies it into the database
WAL_KEEP_BYTES: Final = 64 * 2**20  # what a WAL that a long reader let grow is cut down to afterwards
CACHE_KIB: Final = 32 * 2**10  # 32 MiB a connection; a page cache, so it fills only as far as pages are touched
READERS: Final = 4  # x 32 MiB = 128 MiB worst case; a fifth request waits
POOL_WAIT_S: Final = 30.0  # for a connection, then sqlalchemy.exc.TimeoutError

# File systems of /proc/self/mountinfo whose locks or shared mappings SQLite's WAL cannot rely on (sqlite.org/wal.html).
NETWORK_FILE_SYSTEMS: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "fuse.sshfs", "fuse.rclone", "fuse.glusterfs"},
)
MOUNTS: Final = Path("/proc/self/mountinfo")

_WRITER_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # a commit is on the disk before it is acknowledged, also through a power cut
    "PRAGMA foreign_keys = ON",
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}",
    f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}",
    f"PRAGMA journal_size_limit = {WAL_KEEP_BYTES}",
    f"PRAGMA cache_size = -{CACHE_KIB}",
)
_READER_PRAGMAS: Final = (
    "PRAGMA query_only = ON",
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}",
    "PRAGMA wal_autocheckpoint = 0",
    f"PRAGMA cache_size = -{CACHE_KIB}",
)


def default_url(data_dir: Path) -> str:
    """The database of a data directory, where nothing else is configured."""
    return url_of(data_dir / FILE_NAME)


def url_of(path: Path) -> str:
    """The URL that means the database file at `path`."""
    return URL.create(DRIVER, database=str(path.absolute())).render_as_string(hide_password=False)


def open_writer(url: str) -> AsyncEngine:
    """The one engine that writes: a pool of exactly one connection, so that a second transaction waits for the first.

    `async with engine.begin() as conn` is BEGIN IMMEDIATE … COMMIT, durable when it returns. The caller holds the lock
    on the data directory. The schema must be there (`migrate.upgrade`). Raises ConfigError for a URL or a file system
    that cannot work; opens nothing yet.
    """
    path = database_path(url)
    refuse_network_file_system(path)
    engine = create_async_engine(
        URL.create(DRIVER, database=str(path)),
        pool_size=1,
        max_overflow=0,
        pool_timeout=POOL_WAIT_S,
    )
    _prepare(engine, _WRITER_PRAGMAS, begin="BEGIN IMMEDIATE")
    return engine


def open_reader(url: str) -> AsyncEngine:
    """An engine that can only read: `READERS` connections, each transaction one snapshot from its first SELECT on.

    Opens nothing yet; the first connection fails where there is no database. Raises ConfigError as `open_writer` does.
    """
    path = database_path(url)
    refuse_network_file_system(path)
    engine = create_async_engine(
        URL.create(DRIVER, database=f"file:{quote(str(path))}", query={"mode": "ro", "uri": "true"}),
        pool_size=READERS,
        max_overflow=0,
        pool_timeout=POOL_WAIT_S,
    )
    _prepare(engine, _READER_PRAGMAS, begin="BEGIN")
    return engine


def database_path(url: str) -> Path:
    """The file that `url` names. Raises ConfigError where it is no SQLite file."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        # The text may hold a password: it is not repeated.
        raise ConfigError(
            f"database_url cannot be read as a URL; write {DRIVER}:////absolute/path/{FILE_NAME}"
        ) from None
    if parsed.drivername != DRIVER:
        raise ConfigError(
            f"database_url names {parsed.drivername}, which this version cannot use; "
            f"write {DRIVER}:////absolute/path/{FILE_NAME}",
        )
    if not parsed.database or parsed.database == ":memory:" or parsed.database.startswith("file:") or parsed.query:
        raise ConfigError(
            f"database_url must name a file and nothing else, e.g. {DRIVER}:////var/lib/streamwatch/{FILE_NAME}; "
            "a database in memory cannot be shared by two processes",
        )
    return Path(parsed.database)


def refuse_network_file_system(path: Path, mounts: Path = MOUNTS) -> None:
    """Raises ConfigError where `path` (which need not exist) lies on a file system of another machine.

    Silent where this cannot be told: no /proc, or a mount that it does not list.
    """
    here = path.absolute()
    while not here.exists() and here != here.parent:
        here = here.parent
    device = here.stat().st_dev
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    kind = _file_system(lines, f"{os.major(device)}:{os.minor(device)}")
    if kind in NETWORK_FILE_SYSTEMS:
        raise ConfigError(
            f"{path} lies on a network file system ({kind}), whose locks SQLite cannot rely on; "
            "choose a data directory on a local disk",
        )


def _file_system(mountinfo: list[str], device: str) -> str | None:
    """The type of the file system `device` (major:minor) in lines of mountinfo, proc(5): the field after " - "."""
    for line in mountinfo:
        mount, dash, rest = line.partition(" - ")
        fields = mount.split()
        if dash and len(fields) > 2 and fields[2] == device:
            return rest.split(maxsplit=1)[0]
    return None


def _prepare(engine: AsyncEngine, pragmas: tuple[str, ...], *, begin: str) -> None:
    """Sends `pragmas` to each new connection, and `begin` at the start of each transaction."""

    def connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(pragma)
        cursor.close()

    def begun(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine.sync_engine, "connect", connected)
    event.listen(engine.sync_engine, "begin", begun)
