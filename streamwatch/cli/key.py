"""`streamwatch key`: API keys for programs, each with scopes and a region."""

from __future__ import annotations

import os
from typing import Any

from cyclopts import App, Parameter

from streamwatch.access.changes import RevokeKey, key_change
from streamwatch.access.keys import new_key
from streamwatch.cli.app import Config, Json, await_
from streamwatch.cli.show import print_json, table
from streamwatch.cli.through import reading
from streamwatch.cli.user import ordered
from streamwatch.clock import rfc3339
from streamwatch.errors import Exit
from streamwatch.logs import hide_secrets
from streamwatch.settings import load
from streamwatch.store.access import KeyListed, list_keys

app = App(name="key", help="API keys for programs.", default_parameter=Parameter(negative=""))


@app.command
def add(name: str, /, *, scopes: str, region: str | None = None, config: Config = None, json: Json = False) -> int:
    """Makes a key and prints it, once: only its hash is kept.

    Parameters
    ----------
    name
        What it is for, e.g. grafana.
    scopes
        What it may do, separated by blanks: read, write, probe, metrics.
    region
        Code of the region that it sees with all below it; without it everything.
    """

    async def body() -> int:
        settings = load(config, os.environ)
        key = new_key()
        hide_secrets((key.text,))
        words = tuple(dict.fromkeys(scopes.replace(",", " ").split()))
        done = await ordered(settings, key_change(key, name, words, region))
        if json:
            print_json(as_json(KeyListed(**done)) | {"key": key.text})
        else:
            print(f"key {key.id} for {name} ({done['scopes']}), shown once:\n{key.text}")
        return Exit.OK

    return await_(body())


@app.command(name="list")
def list_(*, config: Config = None, json: Json = False) -> int:
    """Lists every key, revoked ones included."""

    async def body() -> int:
        async with reading(load(config, os.environ)) as conn:
            rows = await list_keys(conn)
        if json:
            print_json([as_json(row) for row in rows])
        else:
            shown = [
                (
                    row.id,
                    row.name,
                    row.scopes,
                    row.region or "everything",
                    "in force" if row.revoked_us is None else f"revoked {rfc3339(row.revoked_us)[:16]}Z",
                    rfc3339(row.created_us)[:10],
                )
                for row in rows
            ]
            table(("id", "name", "scopes", "region", "state", "created"), shown)
        return Exit.OK

    return await_(body())


@app.command
def revoke(id: str, /, *, config: Config = None, json: Json = False) -> int:  # noqa: A002 - what users call it
    """Ends a key for good, at once.

    Parameters
    ----------
    id
        The twelve digits that `key list` shows.
    """

    async def body() -> int:
        done = KeyListed(**await ordered(load(config, os.environ), RevokeKey(id=id)))
        if json:
            print_json(as_json(done))
        else:
            print(f"key {done.id} ({done.name}) opens nothing any more")
        return Exit.OK

    return await_(body())


def as_json(row: KeyListed) -> dict[str, Any]:
    """One key, for programs."""
    return {
        "id": row.id,
        "name": row.name,
        "scopes": row.scopes.split(),
        "region": row.region,
        "created_at": rfc3339(row.created_us),
        "revoked_at": None if row.revoked_us is None else rfc3339(row.revoked_us),
    }
