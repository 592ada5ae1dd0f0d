"""`streamwatch db`: the database's schema, its soundness, copies of it and a copy back."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from streamwatch.cli.app import Config, Json, await_
from streamwatch.cli.show import print_json, progress, table
from streamwatch.cli.through import database_url, existing_database
from streamwatch.clock import SystemClock
from streamwatch.datadir import DataDir, command_line
from streamwatch.errors import Exit
from streamwatch.secrets import KEY_FILE
from streamwatch.settings import load
from streamwatch.store.backup import backup as copy_database
from streamwatch.store.check import CHECKS, check_database
from streamwatch.store.dbfile import Progress
from streamwatch.store.engine import database_path
from streamwatch.store.migrate import upgrade as migrate
from streamwatch.store.restore import restore as put_back

app = App(name="db", help="The database: schema, soundness, backups.", default_parameter=Parameter(negative=""))

AGAIN: Final = (
    "accounts, passwords and API keys are those of the backup: disable and revoke again what was ended since then"
)


@app.command
def upgrade(*, config: Config = None, json: Json = False) -> int:
    """Brings the database to the schema of this version, all of it or nothing. `run` does the same at its start."""
    settings = load(config, os.environ)
    path = database_path(database_url(settings))
    existed = path.exists()
    with DataDir(settings.data_dir).lock(command_line(), SystemClock().utc_us()):
        done = await_(migrate(database_url(settings)))
    if json:
        print_json({"database": str(path), "from": done.before, "to": done.after})
    elif done.before == done.after:
        print(f"{path} has the schema {done.after} already")
    elif done.before is None:
        print(f"{path} {'was empty and' if existed else 'was made and'} has the schema {done.after}")
    else:
        print(f"{path} was brought from the schema {done.before} to {done.after}")
    return Exit.OK


@app.command
def check(*, config: Config = None, json: Json = False) -> int:
    """Checks whether the database is sound; it only reads, also beside a running service.

    Exit: 0 sound, 1 something was found, 3 it cannot be read.
    """
    settings = load(config, os.environ)
    path = existing_database(settings)
    with progress(f"checking {path.name}", len(CHECKS), unit="checks") as bar:
        seen: list[str] = []

        def begun(name: str) -> None:
            if seen:
                bar.advance()
            seen.append(name)

        found = check_database(path, settings.data_dir.absolute(), begun=begun)
    sound = not any(one.findings for one in found)
    if json:
        checks = [{"check": one.name, "sound": not one.findings, "findings": list(one.findings)} for one in found]
        print_json({"database": str(path), "sound": sound, "checks": checks})
    else:
        table(
            ("check", "result"),
            [(one.name, finding) for one in found for finding in one.findings or ("sound",)],
        )
        print(f"{path}: {'sound' if sound else 'not sound'}")
    return Exit.OK if sound else Exit.DEGRADED


@app.command
def backup(
    file: Path,
    /,
    *,
    force: Annotated[bool, Parameter(help="Overwrite an earlier backup of that name.")] = False,
    config: Config = None,
    json: Json = False,
) -> int:
    """Writes a copy of the database as of now, also while the service runs: checked, and readable by you only.

    The key that opens camera passwords (secret.key) is not in it: whoever finds the backup alone finds no password.
    Keep a copy of that file somewhere else.

    Parameters
    ----------
    file
        Where to: best on another disk. It appears whole or not at all.
    """
    settings = load(config, os.environ)
    path = existing_database(settings)
    begun = time.monotonic()
    with _pages("copying") as pages:
        held = copy_database(path, file, force=force, progress=pages)
    key_file = settings.data_dir.absolute() / KEY_FILE
    if json:
        print_json(
            {"file": str(file), **asdict(held), "key_file": str(key_file), "took_s": round(time.monotonic() - begun, 3)}
        )
        return Exit.OK
    print(f"{file}: {held.cameras:,} cameras, {held.bytes:,} bytes, schema {held.schema}, checked")
    if held.keys:
        print(
            f"Camera passwords in it open only with {key_file} (key {', '.join(held.keys)}), which is not in the "
            "backup: keep a copy of it, in another place."
        )
    return Exit.OK


@app.command
def restore(
    file: Path,
    /,
    *,
    force: Annotated[
        bool, Parameter(help="Also where secret.key does not open the passwords: cameras are imported again then.")
    ] = False,
    config: Config = None,
    json: Json = False,
) -> int:
    """Puts a backup in the place of the database, which is kept aside. The service must not run meanwhile.

    An older schema is brought to this version's. At whatever moment the machine stops, the database is the old one or
    the new one.

    Parameters
    ----------
    file
        What `db backup` wrote.
    """
    settings = load(config, os.environ)
    now_us = SystemClock().utc_us()
    path = database_path(database_url(settings))
    with DataDir(settings.data_dir).lock(command_line(), now_us), _pages("copying") as pages:
        done = put_back(file, path, settings.data_dir.absolute(), now_us, force=force, progress=pages)
    if json:
        print_json(
            {
                "file": str(file),
                "database": str(path),
                "from": done.before,
                "to": done.held.schema,
                "cameras": done.held.cameras,
                "kept": None if done.kept is None else str(done.kept),
                "warnings": list(done.warnings),
            }
        )
        return Exit.OK
    upgraded = "" if done.before == done.held.schema else f", brought from the schema {done.before}"
    print(f"{path} is {file} now: {done.held.cameras:,} cameras, schema {done.held.schema}{upgraded}")
    if done.kept is not None:
        print(f"The database of before is {done.kept}; remove it when it is no longer needed.")
    print(f"Mind: {AGAIN}.")
    for warning in done.warnings:
        print(f"Mind: {warning}.")
    return Exit.OK


@contextmanager
def _pages(what: str) -> Iterator[Progress]:
    """A bar that follows a copy."""
    with progress(what, None, unit="pages") as bar:

        def told(_doing: str, done: int, total: int) -> None:
            if total:
                bar.expect(total)
                bar.advance(done - bar.done)

        yield told
