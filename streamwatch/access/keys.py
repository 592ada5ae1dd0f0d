"""API keys `sw_<id>_<secret>`: a 256-bit secret of which only the SHA-256 is stored, shown once when it is made."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Final

from streamwatch.access.principal import Permission, Principal, parse_permissions
from streamwatch.model.scope import Scope
from streamwatch.store.access import KeyRow, create_key, key_by_id
from streamwatch.store.handles import Connection

SECRET_BYTES: Final = 32  # 256 bits: beyond guessing, so a plain hash is enough to store
ID_BYTES: Final = 6  # 12 hex digits; the id is no secret, it finds the row
_KEY: Final = re.compile(r"sw_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NOBODY: Final = hashlib.sha256(b"").hexdigest()  # compared with where there is no row, so that both ways cost the same


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key at its birth: `text` is shown once, `secret_hash` is stored."""

    id: str
    text: str
    secret_hash: str

    def __repr__(self) -> str:
        return f"NewKey({self.id!r}, ***)"


def new_key() -> NewKey:
    """A fresh key of the machine's own randomness."""
    key_id = secrets.token_hex(ID_BYTES)
    secret = secrets.token_urlsafe(SECRET_BYTES)
    return NewKey(key_id, f"sw_{key_id}_{secret}", _digest(secret))


async def add_key(
    conn: Connection, *, name: str, permissions: frozenset[Permission], region: int | None, now_us: int
) -> NewKey:
    """Makes and stores a key; its `text` exists only in the answer."""
    key = new_key()
    await create_key(
        conn,
        key_id=key.id,
        secret_hash=key.secret_hash,
        name=name,
        scopes=" ".join(sorted(permissions)),
        region=region,
        now_us=now_us,
    )
    return key


async def principal_of_key(conn: Connection, text: str) -> Principal | None:
    """Whose key that is, or None: malformed, unknown, wrong or revoked, told apart to nobody."""
    matched = _KEY.fullmatch(text)
    if matched is None:
        return None
    row = await key_by_id(conn, matched[1])
    good = hmac.compare_digest(_digest(matched[2]), _NOBODY if row is None else row.secret_hash)
    return _principal(row) if row is not None and good and row.revoked_us is None else None


def _principal(row: KeyRow) -> Principal:
    return Principal(name=f"key:{row.name}", permissions=parse_permissions(row.scopes), scope=Scope(row.region))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
