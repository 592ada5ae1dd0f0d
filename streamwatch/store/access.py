"""Who may ask: accounts and API keys as rows. Only hashes are stored; what they mean is `streamwatch/access`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, bindparam, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from streamwatch.errors import NotFoundError
from streamwatch.store.tables import account, api_key, region


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


@dataclass(frozen=True, slots=True)
class AccountListed:
    """One person as administrators see it: without the hash, the region with code and name."""

    name: str
    role: str
    region: str | None
    region_name: str | None
    created_us: int
    disabled_us: int | None


@dataclass(frozen=True, slots=True)
class KeyListed:
    """One API key as administrators see it: without the hash, the region with code and name."""

    id: str
    name: str
    scopes: str
    region: str | None
    region_name: str | None
    created_us: int
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
_IN_FORCE = (
    select(func.count())
    .select_from(account)
    .where(account.c.role == bindparam("role"), account.c.region.is_(None), account.c.disabled_us.is_(None))
)
_ACCOUNTS: Select[*tuple[Any, ...]] = (
    select(account.c.name, account.c.role, region.c.code, region.c.name, account.c.created_us, account.c.disabled_us)
    .select_from(account.outerjoin(region, account.c.region == region.c.id))
    .order_by(account.c.name)
)
_KEYS: Select[*tuple[Any, ...]] = (
    select(
        api_key.c.id,
        api_key.c.name,
        api_key.c.scopes,
        region.c.code,
        region.c.name,
        api_key.c.created_us,
        api_key.c.revoked_us,
    )
    .select_from(api_key.outerjoin(region, api_key.c.region == region.c.id))
    .order_by(api_key.c.name, api_key.c.id)
)
_REGIONS = select(region.c.id, region.c.code, region.c.name).order_by(region.c.name)
_KEY_BY_ID = select(*_KEY_COLUMNS).where(api_key.c.id == bindparam("id"))


async def count_accounts(conn: AsyncConnection) -> int:
    """How many accounts there are, disabled ones included."""
    return int((await conn.execute(_COUNT_ACCOUNTS)).scalar_one())


async def count_in_force(conn: AsyncConnection, role: str) -> int:
    """How many accounts of that role are not disabled and see everything."""
    return int((await conn.execute(_IN_FORCE, {"role": role})).scalar_one())


async def list_accounts(conn: AsyncConnection) -> list[AccountListed]:
    """Every account by name, disabled ones included."""
    return [AccountListed(*row) for row in await conn.execute(_ACCOUNTS)]


async def list_keys(conn: AsyncConnection) -> list[KeyListed]:
    """Every API key by name, revoked ones included."""
    return [KeyListed(*row) for row in await conn.execute(_KEYS)]


async def regions_by_code(conn: AsyncConnection) -> dict[str, tuple[int, str]]:
    """Every region's id and name by its code, ordered by name; a city has some hundreds."""
    return {code: (id_, name) for id_, code, name in await conn.execute(_REGIONS)}


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


async def enable_account(conn: AsyncConnection, name: str, password_hash: str) -> None:
    """Puts an account in force again, under a new password. Raises NotFoundError where there is no such account."""
    done = await conn.execute(
        update(account).where(account.c.name == name).values(disabled_us=None, password_hash=password_hash)
    )
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
