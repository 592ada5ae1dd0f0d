"""`streamwatch user`: who may sign in, as what, and to which part of the tree."""

from __future__ import annotations

import asyncio
import getpass
import os
import secrets
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from cyclopts import App, Parameter

from streamwatch.access.accounts import FIRST_PASSWORD_BYTES, MAX_PASSWORD_CHARS, hash_password
from streamwatch.access.changes import (
    MIN_PASSWORD_CHARS,
    AddUser,
    Change,
    DisableUser,
    EnableUser,
    SetPassword,
    as_args,
    carry_out,
)
from streamwatch.access.principal import Role
from streamwatch.cli.app import Config, Json, await_
from streamwatch.cli.show import print_json, table
from streamwatch.cli.through import asker, change, reading
from streamwatch.clock import SystemClock, rfc3339
from streamwatch.errors import Exit, UsageError
from streamwatch.logs import configure, hide_secrets
from streamwatch.settings import load
from streamwatch.store.access import AccountListed, list_accounts

TRIES: Final = 3  # at typing the same password twice

app = App(
    name="user", help="Who may sign in: accounts with a role and a region.", default_parameter=Parameter(negative="")
)

PasswordStdin = Annotated[
    bool, Parameter(name="--password-stdin", help="Read the password from the first line of stdin.")
]
Generate = Annotated[bool, Parameter(name="--generate", help="Make a password up and print it, once.")]


@app.command
def add(
    name: str,
    /,
    *,
    role: Literal["administrator", "editor", "viewer"],
    region: str | None = None,
    password_stdin: PasswordStdin = False,
    generate: Generate = False,
    config: Config = None,
    json: Json = False,
) -> int:
    """Adds an account. The password is asked on the terminal, unless --password-stdin or --generate says otherwise.

    Parameters
    ----------
    name
        What the person signs in with.
    role
        viewer: sees. editor: also changes the inventory, orders looks and plans maintenance. administrator: everything.
    region
        Code of the region that the person sees with all below it; without it everything.
    """

    async def body() -> int:
        wish = partial(AddUser, name=name, role=Role(role), region=region)
        done, made_up = await _with_password(wish, name, config, stdin=password_stdin, generate=generate)
        return _tell(done, f"{name} is {_article(role)} {role} of {_where(done)} now", made_up, to_json=json)

    return await_(body())


@app.command(name="list")
def list_(*, config: Config = None, json: Json = False) -> int:
    """Lists every account, disabled ones included."""

    async def body() -> int:
        async with reading(load(config, os.environ)) as conn:
            rows = await list_accounts(conn)
        if json:
            print_json([as_json(row) for row in rows])
        else:
            shown = [
                (
                    row.name,
                    row.role,
                    row.region or "everything",
                    row.region_name,
                    "in force" if row.disabled_us is None else f"disabled {rfc3339(row.disabled_us)[:16]}Z",
                    rfc3339(row.created_us)[:10],
                )
                for row in rows
            ]
            table(("name", "role", "region", "region's name", "state", "created"), shown)
        return Exit.OK

    return await_(body())


@app.command
def password(
    name: str,
    /,
    *,
    password_stdin: PasswordStdin = False,
    generate: Generate = False,
    config: Config = None,
    json: Json = False,
) -> int:
    """Gives an account another password. Every session of it ends."""

    async def body() -> int:
        wish = partial(SetPassword, name=name)
        done, made_up = await _with_password(wish, name, config, stdin=password_stdin, generate=generate)
        still = "" if done["disabled_us"] is None else f"; {name} is still disabled"
        return _tell(done, f"{name} has a new password, and every session has ended{still}", made_up, to_json=json)

    return await_(body())


@app.command
def disable(name: str, /, *, config: Config = None, json: Json = False) -> int:
    """Takes an account out of force: its sessions end at once, and nobody signs in with it. Nothing is deleted."""

    async def body() -> int:
        done = await ordered(load(config, os.environ), DisableUser(name=name))
        return _tell(done, f"{name} is disabled since {rfc3339(done['disabled_us'])[:16]}Z", to_json=json)

    return await_(body())


@app.command
def enable(
    name: str,
    /,
    *,
    password_stdin: PasswordStdin = False,
    generate: Generate = False,
    config: Config = None,
    json: Json = False,
) -> int:
    """Puts an account in force again, under a new password, so that no session from before comes back to life."""

    async def body() -> int:
        wish = partial(EnableUser, name=name)
        done, made_up = await _with_password(wish, name, config, stdin=password_stdin, generate=generate)
        return _tell(done, f"{name} is in force again, with a new password", made_up, to_json=json)

    return await_(body())


async def _with_password(
    wish: Callable[..., Change], name: str, config: Path | None, *, stdin: bool, generate: bool
) -> tuple[dict[str, Any], str | None]:
    """A change that gives `name` a password: what was changed, and the password where it was made up."""
    settings = load(config, os.environ)
    password = await _password(name, stdin=stdin, generate=generate)
    done = await ordered(settings, wish(password_hash=await _hashed(password)))
    return done, password if generate else None


async def ordered(settings: Any, wish: Change) -> dict[str, Any]:
    """The change, by whoever may write; what was changed."""
    configure(settings)
    args = as_args(wish, asker())
    done: dict[str, Any] = await change(
        settings, "access", args, lambda writer: carry_out(writer, args, SystemClock().utc_us())
    )
    return done


def as_json(row: AccountListed) -> dict[str, Any]:
    """One account, for programs."""
    return {
        "name": row.name,
        "role": row.role,
        "region": row.region,
        "created_at": rfc3339(row.created_us),
        "disabled_at": None if row.disabled_us is None else rfc3339(row.disabled_us),
    }


def _tell(done: dict[str, Any], words: str, made_up: str | None = None, *, to_json: bool) -> int:
    """Says what was done, and a password that was made up, once."""
    if to_json:
        print_json(as_json(AccountListed(**done)) | ({} if made_up is None else {"password": made_up}))
    else:
        print(words)
        if made_up is not None:
            print(f"password, shown once: {made_up}")
    return Exit.OK


async def _password(name: str, /, *, stdin: bool, generate: bool) -> str:
    """The new password of `name`. Raises UsageError where it cannot be asked for, or cannot be one."""
    if stdin and generate:
        raise UsageError("--password-stdin and --generate exclude each other")
    if generate:
        return secrets.token_urlsafe(FIRST_PASSWORD_BYTES)
    if stdin:
        line = sys.stdin.readline(MAX_PASSWORD_CHARS + 2)
        if not line:
            raise UsageError("--password-stdin: nothing came on stdin; e.g. streamwatch user … --password-stdin < FILE")
        return _good(line.rstrip("\r\n"))
    if not sys.stdin.isatty():
        raise UsageError(
            "no terminal to ask for the password on: give --password-stdin, or --generate to have one made"
        )
    for _ in range(TRIES):
        first = _good(await asyncio.to_thread(getpass.getpass, f"password for {name}: "))
        if first == await asyncio.to_thread(getpass.getpass, "again: "):
            return first
        print("these two differ; once more", file=sys.stderr)
    raise UsageError(f"the password was not typed twice alike in {TRIES} tries; nothing was changed")


def _good(text: str) -> str:
    if not MIN_PASSWORD_CHARS <= len(text) <= MAX_PASSWORD_CHARS:
        raise UsageError(
            f"a password has {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters, and this one {len(text)}"
        )
    return text


async def _hashed(text: str) -> str:
    hide_secrets((text,))
    return await asyncio.to_thread(hash_password, text)


def _article(role: str) -> str:
    return "a" if role == Role.VIEWER else "an"


def _where(done: dict[str, Any]) -> str:
    return "everything" if done["region"] is None else f"{done['region']} {done['region_name']}"
