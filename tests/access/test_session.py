"""Sessions: forged, expired, ended, and of an account that changed, are all nobody."""

from __future__ import annotations

import base64

import msgspec
import pytest

from streamwatch.access.principal import Permission, Role
from streamwatch.access.session import DEFAULT_LIFETIME_S, Sessions
from streamwatch.clock import US
from streamwatch.store.access import account_by_name, change_account, create_account
from streamwatch.store.handles import Connection

NOW = 1_700_000_000 * US
KEY = bytes(range(32))


@pytest.fixture
async def cookie(conn: Connection) -> str:
    """A viewer's fresh session."""
    await create_account(conn, name="ann", password_hash="h1", role=Role.VIEWER, region=None, now_us=NOW)
    account = await account_by_name(conn, "ann")
    assert account is not None
    return Sessions(KEY).begin(account, NOW).cookie


async def test_session_is_its_account(conn: Connection, cookie: str) -> None:
    """A good cookie gives name, role, permissions and the CSRF token; another process with the key agrees."""
    found = await Sessions(KEY).principal(conn, cookie, NOW + 1)

    assert found is not None
    assert (found.name, found.role, found.permissions) == ("ann", Role.VIEWER, {Permission.READ})
    assert found.csrf
    assert found.csrf not in cookie


async def test_session_expires_at_its_microsecond(conn: Connection, cookie: str) -> None:
    """The window is half open."""
    end = NOW + DEFAULT_LIFETIME_S * US

    assert await Sessions(KEY).principal(conn, cookie, end - 1) is not None
    assert await Sessions(KEY).principal(conn, cookie, end) is None


async def test_session_lasts_as_long_as_it_was_begun_for(conn: Connection, cookie: str) -> None:
    """A lifetime given holds for sessions that begin under it; one that began before keeps its own end."""
    account = await account_by_name(conn, "ann")
    assert account is not None
    short = Sessions(KEY, lifetime_s=60)
    begun = short.begin(account, NOW)

    assert begun.expires_us == NOW + 60 * US
    assert await short.principal(conn, begun.cookie, NOW + 60 * US - 1) is not None
    assert await short.principal(conn, begun.cookie, NOW + 60 * US) is None
    assert await short.principal(conn, cookie, NOW + 60 * US) is not None
    with pytest.raises(ValueError, match="at least 1"):
        Sessions(KEY, lifetime_s=0)


async def test_changed_password_role_or_disabled_account_counts_at_once(conn: Connection, cookie: str) -> None:
    """A role change counts in the same session; a changed password or a disabled account ends it."""
    sessions = Sessions(KEY)
    await change_account(conn, "ann", role=Role.EDITOR)
    found = await sessions.principal(conn, cookie, NOW)
    assert found is not None
    assert found.may(Permission.WRITE)

    await change_account(conn, "ann", password_hash="h2")
    assert await sessions.principal(conn, cookie, NOW) is None

    await change_account(conn, "ann", password_hash="h1")
    assert await sessions.principal(conn, cookie, NOW) is not None
    await change_account(conn, "ann", disabled_us=NOW)
    assert await sessions.principal(conn, cookie, NOW) is None


async def test_every_changed_character_is_a_forgery(conn: Connection, cookie: str) -> None:
    """No single character of a cookie can be another one."""
    sessions = Sessions(KEY)
    for at, char in enumerate(cookie):
        forged = cookie[:at] + ("A" if char != "A" else "B") + cookie[at + 1 :]
        assert await sessions.principal(conn, forged, NOW) is None, at


@pytest.mark.parametrize("junk", ["", ".", "a.b", "é.é", "x" * 100_000, "a" * 10, "\x00.\x00"])
async def test_junk_is_nobody(conn: Connection, junk: str) -> None:
    """What a browser or an attacker may send never raises."""
    assert await Sessions(KEY).principal(conn, junk, NOW) is None
    Sessions(KEY).end(junk, NOW)


async def test_another_key_and_a_signed_non_session_are_nobody(conn: Connection, cookie: str) -> None:
    """A cookie of another installation fails; a body that is signed but no session fails too."""
    other = Sessions(bytes(32))
    body = base64.urlsafe_b64encode(msgspec.json.encode({"account": 1})).decode()

    assert await other.principal(conn, cookie, NOW) is None
    assert await other.principal(conn, f"{body}.{other._mac('cookie', body)}", NOW) is None


async def test_logout_ends_one_session_and_is_forgotten_with_it(conn: Connection, cookie: str) -> None:
    """After logout a copied cookie is worth nothing; another session of the account goes on."""
    sessions = Sessions(KEY, limit=2)
    account = await account_by_name(conn, "ann")
    assert account is not None
    other = sessions.begin(account, NOW).cookie

    sessions.end(cookie, NOW)

    assert await sessions.principal(conn, cookie, NOW) is None
    assert await sessions.principal(conn, other, NOW) is not None
    for number in range(5):
        sessions.end(sessions.begin(account, NOW + number).cookie, NOW + number)
    assert len(sessions._ended) == 2


def test_short_signing_key_is_refused() -> None:
    """A key below 256 bits is a mistake of the installation, said at start."""
    with pytest.raises(ValueError, match="at least 32"):
        Sessions(bytes(31))
