"""Changes of accounts and keys: what they do, what they refuse, and what they say of it in the log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import insert

from streamwatch.access.accounts import hash_password, password_matches
from streamwatch.access.changes import (
    AddKey,
    AddUser,
    Change,
    DisableUser,
    EnableUser,
    RevokeKey,
    SetPassword,
    as_args,
    carry_out,
    key_change,
)
from streamwatch.access.keys import new_key, principal_of_key
from streamwatch.access.principal import Permission, Role
from streamwatch.access.session import Sessions
from streamwatch.errors import UsageError
from streamwatch.store.access import account_by_name
from streamwatch.store.engine import default_url, open_writer
from streamwatch.store.handles import Writer
from streamwatch.store.migrate import upgrade
from streamwatch.store.tables import region

NOW = 1_700_000_000_000_000
HASH = hash_password("a password of old")
OTHER = hash_password("a password of now")


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[Writer]:
    """A database with two regions and an administrator."""
    url = default_url(tmp_path)
    await upgrade(url)
    engine = open_writer(url)
    async with engine.begin() as conn:
        await conn.execute(insert(region).values(id=1, code="331102", name="青河县"))
        await conn.execute(insert(region).values(id=2, code="331102001", name="青河县/双河镇", parent=1))
    await order(engine, AddUser(name="root", password_hash=HASH, role=Role.ADMINISTRATOR))
    yield engine
    await engine.dispose()


async def order(writer: Writer, change: Change, now_us: int = NOW) -> dict[str, Any]:
    """As a command does it."""
    return await carry_out(writer, as_args(change, "ann"), now_us)


async def test_an_account_is_added_with_role_and_region(writer: Writer) -> None:
    """The answer is what the list shows; the region is asked for by its code."""
    done = await order(writer, AddUser(name="bob", password_hash=HASH, role=Role.EDITOR, region="331102001"))

    assert done == {
        "name": "bob", "role": "editor", "region": "331102001", "region_name": "青河县/双河镇",
        "created_us": NOW, "disabled_us": None,
    }  # fmt: skip
    async with writer.begin() as conn:
        row = await account_by_name(conn, "bob")
    assert row is not None
    assert (row.region, row.password_hash) == (2, HASH)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (AddUser(name="root", password_hash=HASH, role=Role.VIEWER), "user password root"),
        (AddUser(name="bob", password_hash=HASH, role=Role.VIEWER, region="331102002"), "did you mean|331102 "),
        (AddUser(name="bob", password_hash=HASH, role=Role.VIEWER, region="双河镇"), "give its code: 331102001"),
        (AddUser(name=" bob", password_hash=HASH, role=Role.VIEWER), "without a blank"),
        (AddUser(name="b" * 65, password_hash=HASH, role=Role.VIEWER), "1 to 64"),
        (AddUser(name="b\x1b[2J", password_hash=HASH, role=Role.VIEWER), "visible characters"),
        (AddUser(name="bob", password_hash="secret12", role=Role.VIEWER), "argon2id"),
        (SetPassword(name="rot", password_hash=HASH), "did you mean root"),
        (SetPassword(name="root", password_hash=""), "argon2id"),
        (DisableUser(name="xyz"), "there are root"),
        (DisableUser(name="root"), "last administrator"),
        (EnableUser(name="xyz", password_hash=HASH), "there are root"),
        (EnableUser(name="root", password_hash="x"), "argon2id"),
        (key_change(new_key(), "g", ("reed",), None), "unknown scope reed; there are read, write, probe, metrics"),
        (key_change(new_key(), "g", (), None), "without a scope"),
        (key_change(new_key(), "", ("read",), None), "1 to 64"),
        (key_change(new_key(), "g", ("read",), "9"), "no region with the code '9'; there are 331102 "),
        (AddKey(id="x", secret_hash="0" * 64, name="g", scopes=("read",)), "12"),
        (RevokeKey(id="0" * 12), "in force there are none"),
    ],
)
async def test_what_cannot_be_meant_is_refused_with_what_there_is(writer: Writer, change: Change, says: str) -> None:
    """The message says what it takes or what there is, and nothing changed."""
    with pytest.raises(UsageError, match=says):
        await order(writer, change)
    async with writer.begin() as conn:
        assert await account_by_name(conn, "bob") is None
        row = await account_by_name(conn, "root")
    assert row is not None
    assert (row.password_hash, row.disabled_us) == (HASH, None)


@pytest.mark.parametrize("args", [{}, {"change": {"type": "user.add"}}, {"change": {"type": "drop"}}, {"change": 5}])
async def test_what_is_no_change_is_refused(writer: Writer, args: dict[str, Any]) -> None:
    """Whatever comes over the socket."""
    with pytest.raises(UsageError, match="no change of accounts"):
        await carry_out(writer, args, NOW)


async def test_disabling_ends_sessions_and_enabling_revives_none(writer: Writer) -> None:
    """A cookie from before is worth nothing while disabled, and stays so when the account comes back."""
    sessions = Sessions(bytes(range(32)))
    await order(writer, AddUser(name="bob", password_hash=HASH, role=Role.VIEWER))
    async with writer.begin() as conn:
        row = await account_by_name(conn, "bob")
        assert row is not None
        cookie = sessions.begin(row, NOW).cookie
        assert await sessions.principal(conn, cookie, NOW) is not None

    assert (await order(writer, DisableUser(name="bob"), NOW + 1))["disabled_us"] == NOW + 1
    assert (await order(writer, DisableUser(name="bob"), NOW + 2))["disabled_us"] == NOW + 1
    async with writer.begin() as conn:
        assert await sessions.principal(conn, cookie, NOW) is None

    assert (await order(writer, EnableUser(name="bob", password_hash=OTHER)))["disabled_us"] is None
    async with writer.begin() as conn:
        assert await sessions.principal(conn, cookie, NOW) is None
        row = await account_by_name(conn, "bob")
    assert row is not None
    assert password_matches(row.password_hash, "a password of now")


async def test_an_administrator_goes_when_another_stays(writer: Writer) -> None:
    """One of a region, or a disabled one, does not count: neither could bring the others back."""
    await order(writer, AddUser(name="here", password_hash=HASH, role=Role.ADMINISTRATOR, region="331102"))
    await order(writer, AddUser(name="gone", password_hash=HASH, role=Role.ADMINISTRATOR))
    await order(writer, DisableUser(name="gone"))
    with pytest.raises(UsageError, match="last administrator"):
        await order(writer, DisableUser(name="root"))

    await order(writer, DisableUser(name="here"))
    await order(writer, AddUser(name="next", password_hash=HASH, role=Role.ADMINISTRATOR))
    assert (await order(writer, DisableUser(name="root"), 7))["disabled_us"] == 7


async def test_a_key_opens_until_it_is_revoked(writer: Writer) -> None:
    """Its scopes are stored once each; revoked twice keeps the first time."""
    key = new_key()
    done = await order(writer, key_change(key, "grafana", ("read", "metrics"), "331102"))
    assert (done["scopes"], done["region"]) == ("metrics read", "331102")
    async with writer.begin() as conn:
        found = await principal_of_key(conn, key.text)
    assert found is not None
    assert found.permissions == {Permission.READ, Permission.METRICS}

    with pytest.raises(UsageError, match="draw another"):
        await order(writer, key_change(key, "again", ("read",), None))
    with pytest.raises(UsageError, match=rf"in force there are {key.id} \(grafana\)"):
        await order(writer, RevokeKey(id="0" * 12))
    assert (await order(writer, RevokeKey(id=key.id), 8))["revoked_us"] == 8
    assert (await order(writer, RevokeKey(id=key.id), 9))["revoked_us"] == 8
    async with writer.begin() as conn:
        assert await principal_of_key(conn, key.text) is None


async def test_each_change_is_in_the_log_and_no_hash(writer: Writer) -> None:
    """What, of whom, by whom; neither passwords' hashes nor keys'."""
    key = new_key()
    with structlog.testing.capture_logs() as events:
        await order(writer, AddUser(name="bob", password_hash=HASH, role=Role.VIEWER, region="331102"))
        await order(writer, key_change(key, "g", ("read",), None))
        with pytest.raises(UsageError):
            await order(writer, DisableUser(name="root"))

    assert [(one["event"], one["change"], one["who"], one["by"]) for one in events] == [
        ("access.changed", "user.add", "bob", "ann"),
        ("access.changed", "key.add", "g", "ann"),
    ]
    assert (events[0]["role"], events[0]["region"]) == ("viewer", "331102")
    assert HASH not in str(events)
    assert key.secret_hash not in str(events)
