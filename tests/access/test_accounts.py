"""Passwords are argon2id; a fresh installation gets its first administrator once."""

from __future__ import annotations

import pytest

from streamwatch.access.accounts import (
    MAX_PASSWORD_CHARS,
    ensure_administrator,
    hash_password,
    password_matches,
)
from streamwatch.access.keys import principal_of_key
from streamwatch.access.principal import ROLE_PERMISSIONS, Permission, Role, role_permissions
from streamwatch.store.access import account_by_name, count_accounts
from streamwatch.store.handles import Connection


def test_password_is_argon2id_and_matches_only_itself() -> None:
    """The stored form names argon2id; another password, nobody's and a damaged hash do not match."""
    stored = hash_password("青河 correct horse")

    assert stored.startswith("$argon2id$")
    assert password_matches(stored, "青河 correct horse")
    assert not password_matches(stored, "青河 correct horsf")
    assert not password_matches(None, "青河 correct horse")
    assert not password_matches("damaged", "青河 correct horse")


@pytest.mark.parametrize("length", [0, MAX_PASSWORD_CHARS + 1])
def test_password_length_is_bounded(length: int) -> None:
    """An empty password and one beyond the longest are refused when set."""
    with pytest.raises(ValueError, match="1 to 256"):
        hash_password("x" * length)


def test_overlong_try_is_not_cut_to_a_match() -> None:
    """A try longer than the longest password never matches its own beginning."""
    longest = "x" * MAX_PASSWORD_CHARS

    assert password_matches(hash_password(longest), longest)
    assert not password_matches(hash_password(longest), longest + "x")


async def test_first_administrator_is_made_once(conn: Connection) -> None:
    """The first call makes an account and a key that work; the next ones make nothing."""
    made = await ensure_administrator(conn, 5)
    again = await ensure_administrator(conn, 6)

    assert made is not None
    assert again is None
    name, password, key = made
    account = await account_by_name(conn, name)
    assert account is not None
    assert (account.role, account.region, account.disabled_us) == (Role.ADMINISTRATOR, None, None)
    assert password_matches(account.password_hash, password)
    principal = await principal_of_key(conn, key)
    assert principal is not None
    assert principal.permissions == set(Permission)
    assert await count_accounts(conn) == 1


def test_roles_only_grow() -> None:
    """A viewer reads, an editor also writes and looks, an administrator may all; an unknown role may nothing."""
    assert ROLE_PERMISSIONS[Role.VIEWER] < ROLE_PERMISSIONS[Role.EDITOR] < ROLE_PERMISSIONS[Role.ADMINISTRATOR]
    assert role_permissions("emperor") == frozenset()
