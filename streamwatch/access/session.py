"""Sessions: a signed cookie that carries who and until when; nothing of it is stored.

The cookie is bound to the account's password hash, so that a changed password ends every session. Each request reads
the account again: a disabled account or another role counts at once. A logout is remembered in memory until the cookie
would have expired anyway; a restart of the web process forgets it, one more reason to keep lifetimes short.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Final

import msgspec

from streamwatch.access.principal import Principal, Role, role_permissions
from streamwatch.clock import US
from streamwatch.model.scope import Scope
from streamwatch.store.access import AccountRow, account_by_id
from streamwatch.store.handles import Connection

COOKIE: Final = "streamwatch_session"
CSRF_HEADER: Final = "X-CSRF-Token"
DEFAULT_LIFETIME_S: Final = 12 * 3_600  # a working day; then the person signs in again
MIN_KEY_BYTES: Final = 32
MAX_COOKIE_CHARS: Final = 512  # ours have about 160
MAX_ENDED: Final = 10_000  # logouts remembered, x about 150 bytes; the one that expires first is forgotten first


class _Claims(msgspec.Struct, frozen=True, array_like=True):
    account: int
    session: str
    expires_us: int
    password: str  # fingerprint of the password hash


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session at its birth: the cookie's value, and the CSRF token of the page."""

    cookie: str
    csrf: str
    expires_us: int

    def __repr__(self) -> str:
        return "NewSession(***)"


class Sessions:
    """Makes and reads session cookies with one signing key, at least 32 bytes, from the data directory.

    `lifetime_s`: seconds until a session that begins now ends, at least 1. One that began before keeps its own end.
    """

    def __init__(self, key: bytes, *, lifetime_s: int = DEFAULT_LIFETIME_S, limit: int = MAX_ENDED) -> None:
        if len(key) < MIN_KEY_BYTES:
            raise ValueError(f"the session key has {len(key)} bytes; it needs at least {MIN_KEY_BYTES}")
        if lifetime_s < 1:
            raise ValueError(f"a session of {lifetime_s} s is none; it needs at least 1")
        self.lifetime_s = lifetime_s
        self._key = key
        self._ended: dict[str, int] = {}
        self._limit = limit

    def begin(self, account: AccountRow, now_us: int) -> NewSession:
        """A session for an account whose password was just found good."""
        session = secrets.token_urlsafe(16)
        expires_us = now_us + self.lifetime_s * US
        claims = _Claims(account.id, session, expires_us, self._fingerprint(account))
        body = base64.urlsafe_b64encode(msgspec.json.encode(claims)).decode()
        return NewSession(f"{body}.{self._mac('cookie', body)}", self._mac("csrf", session), expires_us)

    async def principal(self, conn: Connection, cookie: str, now_us: int) -> Principal | None:
        """Whose session that is, or None: forged, expired, ended, or of an account that changed since."""
        claims = self._read(cookie)
        if claims is None or now_us >= claims.expires_us or claims.session in self._ended:
            return None
        account = await account_by_id(conn, claims.account)
        if account is None or account.disabled_us is not None:
            return None
        if not hmac.compare_digest(self._fingerprint(account), claims.password):
            return None
        return Principal(
            name=account.name,
            permissions=role_permissions(account.role),
            scope=Scope(account.region),
            role=Role(account.role) if account.role in set(Role) else None,
            session=claims.session,
            csrf=self._mac("csrf", claims.session),
        )

    def end(self, cookie: str, now_us: int) -> None:
        """Logout: the cookie is worth nothing from now on. One that is not ours changes nothing."""
        claims = self._read(cookie)
        if claims is None or now_us >= claims.expires_us:
            return
        self._ended = {session: until for session, until in self._ended.items() if until > now_us}
        self._ended[claims.session] = claims.expires_us
        while len(self._ended) > self._limit:
            del self._ended[min(self._ended, key=self._ended.__getitem__)]

    def _read(self, cookie: str) -> _Claims | None:
        body, dot, mac = cookie.partition(".")
        if not dot or len(cookie) > MAX_COOKIE_CHARS or not cookie.isascii():
            return None
        if not hmac.compare_digest(mac, self._mac("cookie", body)):
            return None
        try:
            return msgspec.json.decode(base64.urlsafe_b64decode(body), type=_Claims)
        except (binascii.Error, ValueError, msgspec.MsgspecError):
            return None

    def _fingerprint(self, account: AccountRow) -> str:
        return self._mac("password", f"{account.id}:{account.password_hash}")[:22]

    def _mac(self, purpose: str, text: str) -> str:
        digest = hmac.digest(self._key, f"{purpose}:{text}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")
