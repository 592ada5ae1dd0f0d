"""Changes of accounts and API keys: what may be asked, by whoever asks it, and what is refused.

A change is a value: a command or the API makes it, and the one process that may write carries it out. Passwords and
keys never travel in it: the asker hashes a password and draws a key, and only the hashes go on.
"""

from __future__ import annotations

import difflib
import re
from typing import Any, Final

import msgspec

from streamwatch.access.keys import NewKey
from streamwatch.access.principal import Permission, Role
from streamwatch.errors import UsageError
from streamwatch.logs import get_logger
from streamwatch.store.access import (
    account_by_name,
    change_account,
    count_in_force,
    create_account,
    create_key,
    enable_account,
    key_by_id,
    list_accounts,
    list_keys,
    regions_by_code,
    revoke_key,
)
from streamwatch.store.handles import Connection, Writer

MAX_NAME_CHARS: Final = 64  # account.name
MIN_PASSWORD_CHARS: Final = 8  # NIST SP 800-63B section 5.1.1.2
SHOWN: Final = 10  # of what there is, in a message

_HASH: Final = re.compile(r"\$argon2id\$[\x21-\x7e]{20,200}")
_ID: Final = re.compile(r"[0-9a-f]{12}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")

log = get_logger(__name__)


class AddUser(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="user.add"):
    """A new account. `region` is a code: the subtree that the person sees; None: everything."""

    name: str
    password_hash: str
    role: Role
    region: str | None = None


class SetPassword(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="user.password"):
    """Another password. Ends every session of the account."""

    name: str
    password_hash: str


class DisableUser(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="user.disable"):
    """No login and no session any more; everything that the person did stays."""

    name: str


class EnableUser(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="user.enable"):
    """In force again, under a new password: sessions that began before it was disabled stay ended."""

    name: str
    password_hash: str


class AddKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="key.add"):
    """A new API key, drawn by the asker."""

    id: str
    secret_hash: str
    name: str
    scopes: tuple[str, ...]
    region: str | None = None


class RevokeKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="key.revoke"):
    """Ends a key for good."""

    id: str


Change = AddUser | SetPassword | DisableUser | EnableUser | AddKey | RevokeKey


def key_change(key: NewKey, name: str, scopes: tuple[str, ...], region: str | None) -> AddKey:
    """The change that makes `key` good."""
    return AddKey(id=key.id, secret_hash=key.secret_hash, name=name, scopes=scopes, region=region)


def as_args(change: Change, by: str) -> dict[str, Any]:
    """What goes over the control socket; `by` is who asks."""
    return {"by": by, "change": msgspec.to_builtins(change)}


async def carry_out(writer: Writer, args: dict[str, Any], now_us: int) -> dict[str, Any]:
    """Carries out what `as_args` made, and says it in the log; what was changed, as the lists show it.

    Raises UsageError naming what is wrong and what there is; nothing has changed then.
    """
    by = str(args.get("by", "?"))[:MAX_NAME_CHARS]
    try:
        change = msgspec.convert(args.get("change"), Change)
    except msgspec.ValidationError as error:
        raise UsageError(f"no change of accounts or keys: {error}") from None
    async with writer.begin() as conn:
        shown = await _apply(conn, change, now_us)
    told = {key: value for key, value in shown.items() if value is not None and key not in ("created_us", "name")}
    log.info("access.changed", change=change.__struct_config__.tag, who=shown["name"], by=by, **told)
    return shown


async def _apply(conn: Connection, change: Change, now_us: int) -> dict[str, Any]:
    match change:
        case AddUser():
            _good_name(change.name, "an account")
            _good_hash(change.password_hash)
            if await account_by_name(conn, change.name) is not None:
                raise UsageError(
                    f"there is an account {change.name!r} already: choose another name, or give it a new password "
                    f"with: streamwatch user password {change.name}"
                )
            region = await _region(conn, change.region)
            await create_account(
                conn,
                name=change.name,
                password_hash=change.password_hash,
                role=change.role,
                region=region,
                now_us=now_us,
            )
            return await _account(conn, change.name)
        case SetPassword():
            await _known(conn, change.name)
            _good_hash(change.password_hash)
            await change_account(conn, change.name, password_hash=change.password_hash)
            return await _account(conn, change.name)
        case DisableUser():
            found = await _known(conn, change.name)
            if found["disabled_us"] is not None:
                return found  # since then; asked twice it changes nothing
            everywhere = found["role"] == Role.ADMINISTRATOR and found["region"] is None
            if everywhere and await count_in_force(conn, Role.ADMINISTRATOR) < 2:
                raise UsageError(
                    f"{change.name!r} is the last administrator who sees everything; add another one first: "
                    "streamwatch user add NAME --role administrator"
                )
            await change_account(conn, change.name, disabled_us=now_us)
            return await _account(conn, change.name)
        case EnableUser():
            await _known(conn, change.name)
            _good_hash(change.password_hash)
            await enable_account(conn, change.name, change.password_hash)
            return await _account(conn, change.name)
        case AddKey():
            _good_name(change.name, "a key")
            if _ID.fullmatch(change.id) is None or _DIGEST.fullmatch(change.secret_hash) is None:
                raise UsageError("a key has an id of 12 and a SHA-256 of 64 hexadecimal digits")
            if await key_by_id(conn, change.id) is not None:
                raise UsageError(f"there is a key {change.id} already; draw another one")
            region = await _region(conn, change.region)
            scopes = " ".join(sorted(_permissions(change.scopes)))
            await create_key(
                conn,
                key_id=change.id,
                secret_hash=change.secret_hash,
                name=change.name,
                scopes=scopes,
                region=region,
                now_us=now_us,
            )
            return await _key(conn, change.id)
        case RevokeKey():
            row = await key_by_id(conn, change.id)
            if row is None:
                listed = await list_keys(conn)
                names = [f"{key.id} ({key.name})" for key in listed if key.revoked_us is None]
                raise UsageError(f"there is no API key {change.id!r}; in force {_there_are(names)}")
            if row.revoked_us is None:
                await revoke_key(conn, change.id, now_us)
            return await _key(conn, change.id)


async def _account(conn: Connection, name: str) -> dict[str, Any]:
    return next(msgspec.to_builtins(row) for row in await list_accounts(conn) if row.name == name)


async def _key(conn: Connection, key_id: str) -> dict[str, Any]:
    return next(msgspec.to_builtins(row) for row in await list_keys(conn) if row.id == key_id)


async def _known(conn: Connection, name: str) -> dict[str, Any]:
    """The account. Raises UsageError with the names that there are."""
    listed = {row.name: row for row in await list_accounts(conn)}
    if name not in listed:
        raise UsageError(f"there is no account {name!r}; {_there_are(list(listed), near=name)}")
    found: dict[str, Any] = msgspec.to_builtins(listed[name])
    return found


async def _region(conn: Connection, code: str | None) -> int | None:
    """The region's id. Raises UsageError with the regions that there are."""
    if code is None:
        return None
    regions = await regions_by_code(conn)
    if code not in regions:
        named = [known for known, (_, name) in regions.items() if code in (name, name.rpartition("/")[2])]
        if named:
            raise UsageError(f"{code!r} is a region's name; give its code: {_listed(named)}")
        shown = [f"{known} ({name})" for known, (_, name) in regions.items()]
        raise UsageError(f"there is no region with the code {code!r}; {_there_are(shown, near=code)}")
    return regions[code][0]


def _permissions(words: tuple[str, ...]) -> frozenset[Permission]:
    known = {str(permission) for permission in Permission}
    wrong = [word for word in words if word not in known]
    if wrong or not words:
        what = f"unknown scope {_listed(wrong)}" if wrong else "a key without a scope opens nothing"
        raise UsageError(f"{what}; there are {', '.join(Permission)}, e.g. --scopes 'read metrics'")
    return frozenset(Permission(word) for word in words)


def _good_name(name: str, whose: str) -> None:
    if not 1 <= len(name) <= MAX_NAME_CHARS or not name.isprintable() or name != name.strip():
        raise UsageError(
            f"{name[:80]!r} cannot be the name of {whose}: write 1 to {MAX_NAME_CHARS} visible characters, "
            "without a blank at either end"
        )


def _good_hash(text: str) -> None:
    if _HASH.fullmatch(text) is None:
        raise UsageError("a password is stored as its argon2id hash and nothing else")


def _there_are(names: list[str], near: str | None = None) -> str:
    close = [] if near is None else difflib.get_close_matches(near, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]}?"
    return f"there are {_listed(names)}" if names else "there are none yet"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
