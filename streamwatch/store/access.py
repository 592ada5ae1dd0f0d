"""Who may ask: accounts and API keys as rows. Only hashes are stored; what they mean is `streamwatch/access`."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from streamwatch.errors import NotFoundError
from streamwatch.store.tables import account, api_key


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One person. `region` is the root of the subtree that the person sees; None: everything."""

    id: int
    name: str
    password_hash: str
    role: str
    region: int | None
    disabled_us: int | None


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One API key. `scopes` are separated by spaces."""

    id: str
    secret_hash: str
    name: str
    scopes: str
    region: int | None
    revoked_us: int | None


_ACCOUNT_COLUMNS = (
    account.c.id,
    account.c.name,
    account.c.password_hash,
    account.c.role,
    account.c.region,
    account.c.disabled_us,
)
_KEY_COLUMNS = (
    api_key.c.id,
    api_key.c.secret_hash,
    api_key.c.name,
    api_key.c.scopes,
    api_key.c.region,
    api_key.c.revoked_us,
)
_ACCOUNT_BY_NAME = select(*_ACCOUNT_COLUMNS).where(account.c.name == bindparam("name"))
_ACCOUNT_BY_ID = select(*_ACCOUNT_COLUMNS).where(account.c.id == bindparam("id"))
_COUNT_ACCOUNTS = select(func.count()).select_from(account)
_KEY_BY_ID = select(*_KEY_COLUMNS).where(api_key.c.id == bindparam("id"))


async def count_accounts(conn: AsyncConnection) -> int:
    """How many accounts there are, disabled ones included."""
    return int((await conn.execute(_COUNT_ACCOUNTS)).scalar_one())


async def account_by_name(conn: AsyncConnection, name: str) -> AccountRow | None:
    """The account of that name, also where it is disabled: the caller must look."""
    row = (await conn.execute(_ACCOUNT_BY_NAME, {"name": name})).one_or_none()
    return None if row is None else AccountRow(*row)


async def account_by_id(conn: AsyncConnection, account_id: int) -> AccountRow | None:
    """The account with that id, also where it is disabled: the caller must look."""
    row = (await conn.execute(_ACCOUNT_BY_ID, {"id": account_id})).one_or_none()
    return None if row is None else AccountRow(*row)


async def create_account(
    conn: AsyncConnection, *, name: str, password_hash: str, role: str, region: int | None, now_us: int
) -> int:
    """A new account's id. Raises sqlalchemy.exc.IntegrityError where the name is taken."""
    row = {"name": name, "password_hash": password_hash, "role": role, "region": region, "created_us": now_us}
    return int((await conn.execute(insert(account).values(row).returning(account.c.id))).scalar_one())


async def change_account(
    conn: AsyncConnection,
    name: str,
    *,
    password_hash: str | None = None,
    role: str | None = None,
    disabled_us: int | None = None,
) -> None:
    """Sets what is given. Raises NotFoundError where there is no such account."""
    given = {"password_hash": password_hash, "role": role, "disabled_us": disabled_us}
    values = {key: value for key, value in given.items() if value is not None}
    if not values:
        return
    done = await conn.execute(update(account).where(account.c.name == name).values(values))
    if done.rowcount == 0:
        raise NotFoundError(f"there is no account {name!r}")


async def key_by_id(conn: AsyncConnection, key_id: str) -> KeyRow | None:
    """The key with that id, also where it is revoked: the caller must look."""
    row = (await conn.execute(_KEY_BY_ID, {"id": key_id})).one_or_none()
    return None if row is None else KeyRow(*row)


async def create_key(
    conn: AsyncConnection,
    *,
    key_id: str,
    secret_hash: str,
    name: str,
    scopes: str,
    region: int | None,
    now_us: int,
) -> None:
    """Stores a new key's hash. Raises sqlalchemy.exc.IntegrityError where the id is taken."""
    await conn.execute(
        insert(api_key).values(
            id=key_id, secret_hash=secret_hash, name=name, scopes=scopes, region=region, created_us=now_us
        )
    )


async def revoke_key(conn: AsyncConnection, key_id: str, now_us: int) -> None:
    """Ends a key for good. Raises NotFoundError where there is no such key, or it has been revoked before."""
    done = await conn.execute(
        update(api_key).where(api_key.c.id == key_id, api_key.c.revoked_us.is_(None)).values(revoked_us=now_us)
    )
    if done.rowcount == 0:
        raise NotFoundError(f"there is no API key {key_id!r} in force")
