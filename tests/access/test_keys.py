"""API keys: 256 random bits, only a hash at rest, every wrong one refused alike."""

from __future__ import annotations

import base64
import hashlib

import pytest
from sqlalchemy import select

from streamwatch.access.keys import add_key, new_key, principal_of_key
from streamwatch.access.principal import Permission
from streamwatch.errors import NotFoundError
from streamwatch.model.scope import EVERYTHING, Scope
from streamwatch.store.access import revoke_key
from streamwatch.store.handles import Connection
from streamwatch.store.tables import api_key, region


def test_key_has_256_bits_and_shows_itself_only_as_text() -> None:
    """The secret is 32 random bytes; printing the value by accident shows nothing of it."""
    key = new_key()
    prefix, key_id, secret = key.text.split("_", 2)

    assert (prefix, key_id) == ("sw", key.id)
    assert len(base64.urlsafe_b64decode(secret + "=")) == 32
    assert secret not in repr(key)
    assert key.secret_hash == hashlib.sha256(secret.encode()).hexdigest()
    assert new_key().text != key.text


async def test_key_opens_what_it_was_made_for(conn: Connection) -> None:
    """A stored key gives its scopes and its region, and the database holds no usable secret."""
    await conn.execute(region.insert().values(id=7, code="331100", name="青河县"))
    key = await add_key(conn, name="grafana", permissions=frozenset({Permission.METRICS}), region=7, now_us=1)

    found = await principal_of_key(conn, key.text)

    assert found is not None
    assert (found.name, found.permissions, found.scope) == ("key:grafana", {Permission.METRICS}, Scope(7))
    assert found.may(Permission.METRICS)
    assert not found.may(Permission.READ)
    stored = "|".join(str(value) for value in (await conn.execute(select(api_key))).one())
    assert key.text.split("_", 2)[2] not in stored


@pytest.mark.parametrize("damage", ["last", "id", "short", "prefix", "empty", "unicode", "spaces"])
async def test_wrong_key_is_nobody(conn: Connection, damage: str) -> None:
    """Malformed, unknown and wrong keys look the same: nobody."""
    key = await add_key(conn, name="a", permissions=frozenset(Permission), region=None, now_us=1)
    text = key.text
    wrong = {
        "last": text[:-1] + ("A" if text[-1] != "A" else "B"),
        "id": text.replace(key.id, "0" * 12),
        "short": text[:-1],
        "prefix": text[1:],
        "empty": "",
        "unicode": text[:-1] + "é",
        "spaces": text + "\n",
    }[damage]

    assert (await principal_of_key(conn, text)) is not None
    assert (await principal_of_key(conn, wrong)) is None


async def test_revoked_key_is_nobody(conn: Connection) -> None:
    """Revoking ends a key at once and can be done once."""
    key = await add_key(conn, name="a", permissions=frozenset({Permission.READ}), region=None, now_us=1)
    found = await principal_of_key(conn, key.text)
    assert found is not None
    assert found.scope == EVERYTHING

    await revoke_key(conn, key.id, 2)

    assert await principal_of_key(conn, key.text) is None
    with pytest.raises(NotFoundError, match=key.id):
        await revoke_key(conn, key.id, 3)


async def test_unknown_scope_of_a_later_version_grants_nothing(conn: Connection) -> None:
    """A key written by a newer version gives this one only what it knows."""
    key = await add_key(conn, name="a", permissions=frozenset({Permission.READ}), region=None, now_us=1)
    await conn.execute(api_key.update().values(scopes="read launch"))

    found = await principal_of_key(conn, key.text)

    assert found is not None
    assert found.permissions == {Permission.READ}
