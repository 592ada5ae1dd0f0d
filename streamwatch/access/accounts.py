"""Accounts: argon2id passwords, and the first administrator of a fresh installation."""

from __future__ import annotations

import asyncio
import secrets
from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from streamwatch.access.keys import add_key
from streamwatch.access.principal import Permission, Role
from streamwatch.store.access import count_accounts, create_account
from streamwatch.store.handles import Connection

FIRST_NAME: Final = "admin"
FIRST_PASSWORD_BYTES: Final = 12  # 96 bits, 16 characters
MAX_PASSWORD_CHARS: Final = 256  # argon2 reads any length; nobody types more
MEMORY_KIB: Final = 64 * 1024  # RFC 9106 section 4, second recommended option: 64 MiB, 3 passes, 4 lanes
PASSES: Final = 3
LANES: Final = 4

_hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)


def hash_password(password: str) -> str:
    """What is stored. Takes about 50 ms and 64 MiB on purpose: call it in a thread. ValueError past the longest."""
    if not 1 <= len(password) <= MAX_PASSWORD_CHARS:
        raise ValueError(f"a password has 1 to {MAX_PASSWORD_CHARS} characters")
    return _hasher.hash(password)


def password_matches(stored: str | None, password: str) -> bool:
    """Whether `password` is the stored one. None (no such account) costs the same time and is always False."""
    try:
        good = _hasher.verify(_nobody() if stored is None else stored, password[: MAX_PASSWORD_CHARS + 1])
    except (VerificationError, InvalidHashError):
        return False
    return good and stored is not None


async def ensure_administrator(conn: Connection, now_us: int) -> tuple[str, str, str] | None:
    """Where no account exists: an administrator and an API key, as (name, password, key), told this once; else None."""
    if await count_accounts(conn):
        return None
    password = secrets.token_urlsafe(FIRST_PASSWORD_BYTES)
    await create_account(
        conn,
        name=FIRST_NAME,
        password_hash=await asyncio.to_thread(hash_password, password),
        role=Role.ADMINISTRATOR,
        region=None,
        now_us=now_us,
    )
    key = await add_key(conn, name=FIRST_NAME, permissions=frozenset(Permission), region=None, now_us=now_us)
    return FIRST_NAME, password, key.text


@cache
def _nobody() -> str:
    return _hasher.hash(secrets.token_urlsafe(FIRST_PASSWORD_BYTES))
