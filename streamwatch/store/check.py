"""Stage 9: whether a database is sound: SQLite's own checks, the schema, and what the code never writes otherwise.

Every check reads only, in one snapshot, and may run beside the service. What a check may not say is "broken" where it
is merely unusual: each names rows that no release has ever meant to write.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import NullPool

from streamwatch.clock import rfc3339
from streamwatch.errors import ConfigError, StreamwatchError
from streamwatch.secrets import KEY_FILE, Owner, Sealer
from streamwatch.store.engine import BUSY_TIMEOUT_MS
from streamwatch.store.migrate import known_revisions, schema, schema_of_tables

MAX_FINDINGS: Final = 100  # of one check: then it is plain that more than a line is wrong


@dataclass(frozen=True, slots=True)
class Check:
    """One check and what it found, at most MAX_FINDINGS sentences; none: it is sound."""

    name: str
    findings: tuple[str, ...]


def check_database(
    path: Path, data_dir: Path | None, *, begun: Callable[[str], None] = lambda _: None
) -> tuple[Check, ...]:
    """Runs every check of CHECKS on the database at `path`; `begun` hears each name before it runs.

    `data_dir` is where the key of its passwords is; None: they are not checked. A check that cannot be carried out has
    that as its finding. Raises StreamwatchError where the file cannot be read as a database at all.
    """
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None),
        poolclass=NullPool,
    )
    try:
        with engine.connect() as conn:
            conn.exec_driver_sql("PRAGMA query_only = ON")
            conn.exec_driver_sql("BEGIN")
            conn.exec_driver_sql("SELECT count(*) FROM sqlite_master")  # the snapshot of all that follows
            return tuple(_run(name, conn, data_dir, begun) for name in CHECKS)
    except DatabaseError as error:
        raise StreamwatchError(
            f"{path}: cannot be read as a database: {error.orig}; put a backup in its place with: "
            "streamwatch db restore FILE"
        ) from None
    finally:
        engine.dispose()


def _run(name: str, conn: Connection, data_dir: Path | None, begun: Callable[[str], None]) -> Check:
    begun(name)
    found = []
    try:
        for finding in CHECKS[name](conn, data_dir):
            found.append(finding)
            if len(found) == MAX_FINDINGS:
                break
    except DatabaseError as error:
        found.append(f"cannot be checked: {error.orig}")
    return Check(name, tuple(found))


def _pages(conn: Connection, _: Path | None) -> Iterator[str]:
    """SQLite's own: pages, indexes, NOT NULL, UNIQUE."""
    for (line,) in conn.exec_driver_sql(f"PRAGMA integrity_check({MAX_FINDINGS})"):
        if line != "ok":
            yield str(line)


def _references(conn: Connection, _: Path | None) -> Iterator[str]:
    """Rows that point to rows which are not there."""
    for table, row, parent, _number in conn.exec_driver_sql("PRAGMA foreign_key_check"):
        which = "a row" if row is None else f"row {row}"
        yield f"{which} of {table} belongs to a row of {parent} that does not exist"


def _schema(conn: Connection, _: Path | None) -> Iterator[str]:
    """The tables are those that this version is written against."""
    known = known_revisions()
    current = MigrationContext.configure(conn).get_current_revision()
    if current not in known:
        yield f"the schema {current} is not known to this version; run the version that wrote it, or a newer one"
        return
    if current != known[0]:
        yield f"the schema is {current}, and this version works with {known[0]}; run: streamwatch db upgrade"
        return
    wanted, actual = schema_of_tables(), schema(conn)
    for name in sorted(wanted.keys() - actual.keys()):
        yield f"{name} is missing"
    for name in sorted(actual.keys() - wanted.keys()):
        yield f"{name} is none of streamwatch's; somebody added it by hand"
    for name in sorted(wanted.keys() & actual.keys()):
        if wanted[name] != actual[name]:
            yield f"{name} is defined otherwise than streamwatch defines it"


_OVERLAPS: Final = text(
    "SELECT camera, dimension, from_us, to_us FROM (SELECT camera, dimension, from_us, to_us,"
    " lag(to_us) OVER (PARTITION BY camera, dimension ORDER BY from_us) AS before FROM segment)"
    " WHERE from_us < before OR to_us <= from_us"
)
_BEYOND: Final = text(
    "SELECT standing.camera, standing.dimension, since_us FROM standing WHERE since_us > last_us OR since_us <"
    " (SELECT to_us FROM segment WHERE segment.camera = standing.camera"
    " AND segment.dimension = standing.dimension ORDER BY from_us DESC LIMIT 1)"
)
_STAYS: Final = text(
    "SELECT camera, from_us, to_us FROM (SELECT camera, from_us, to_us,"
    " lag(to_us) OVER (PARTITION BY camera ORDER BY from_us) AS before FROM camera_stay)"
    " WHERE from_us < before OR to_us <= from_us"
)


def _timelines(conn: Connection, _: Path | None) -> Iterator[str]:
    """No time is booked twice: segments and stays are disjoint, and a standing begins behind its last segment."""
    for camera, dimension, from_us, to_us in conn.execute(_OVERLAPS):
        yield (
            f"camera {camera}, {dimension}: the segment from {rfc3339(from_us)} to {rfc3339(to_us)} is empty or "
            "overlaps the one before it"
        )
    for camera, dimension, since_us in conn.execute(_BEYOND):
        yield f"camera {camera}, {dimension}: stands since {rfc3339(since_us)}, within time that is booked already"
    for camera, from_us, to_us in conn.execute(_STAYS):
        yield (
            f"camera {camera}: the stay from {rfc3339(from_us)} to {rfc3339(to_us)} is empty or overlaps the one "
            "before it"
        )


_ROOTED: Final = text(
    "WITH RECURSIVE rooted(id) AS (SELECT id FROM region WHERE parent IS NULL"
    " UNION SELECT region.id FROM region JOIN rooted ON region.parent = rooted.id)"
    " SELECT code, name FROM region WHERE id NOT IN (SELECT id FROM rooted)"
)


def _regions(conn: Connection, _: Path | None) -> Iterator[str]:
    """Every region hangs on the tree."""
    for code, name in conn.execute(_ROOTED):
        yield f"region {code} ({name}) is its own ancestor: nobody above it sees its villages"


_ACCOUNTS: Final = text(
    "SELECT count(*), coalesce(sum(role = 'administrator' AND region IS NULL AND disabled_us IS NULL), 0) FROM account"
)


def _accounts(conn: Connection, _: Path | None) -> Iterator[str]:
    """Somebody can administer; a database without accounts gets an administrator when the service starts."""
    for accounts, administrators in conn.execute(_ACCOUNTS):
        if accounts and not administrators:
            yield (
                "no administrator who sees everything is in force; add one with: "
                "streamwatch user add NAME --role administrator"
            )


def _passwords(conn: Connection, data_dir: Path | None) -> Iterator[str]:
    """Each key that sealed passwords is in the key file: one password a key is opened."""
    if data_dir is not None:
        yield from lost_passwords(conn, data_dir)


def lost_passwords(conn: Connection, data_dir: Path) -> Iterator[str]:
    """What the key file of `data_dir` does not open, with the remedy. Never makes a key file."""
    samples: list[tuple[Owner, str, bytes, int]] = []
    for owner in ("camera", "recorder"):
        # Bytes 2 to 5 of a sealed password name its key (secrets.Sealed); a bare column is one row's of the group.
        rows = conn.exec_driver_sql(
            f"SELECT code, password_sealed, count(*) FROM {owner} WHERE password_sealed IS NOT NULL"  # noqa: S608
            " GROUP BY substr(password_sealed, 1, 5)"
        )
        samples += [(owner, code, blob, number) for code, blob, number in rows]
    if not samples:
        return
    path = data_dir / KEY_FILE
    if not path.exists():
        lost = sum(number for *_, number in samples)
        yield (
            f"{path}: there is no key file, and {lost} passwords are sealed; put the {KEY_FILE} that belongs to this "
            "database there (chmod 600), or import the cameras and recorders again"
        )
        return
    try:
        sealer = Sealer.open(data_dir)
    except ConfigError as error:
        yield str(error)
        return
    for owner, code, blob, number in samples:
        try:
            sealer.unseal(code, blob, owner)
        except ConfigError as error:
            more = f"; {number} passwords are sealed with the same key" if number > 1 else ""
            yield f"{error}{more}"


CHECKS: Final[dict[str, Callable[[Connection, Path | None], Iterator[str]]]] = {
    "pages": _pages,
    "references": _references,
    "schema": _schema,
    "timelines": _timelines,
    "regions": _regions,
    "accounts": _accounts,
    "passwords": _passwords,
}
