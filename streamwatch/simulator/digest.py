"""The farm's own check of Digest answers (RFC 2617 section 3.2.2), MD5 with and without qop=auth."""

from __future__ import annotations

import re
from hashlib import md5
from hmac import compare_digest

_FIELD = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,]+))')


def _hex(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()


def challenge(realm: str, nonce: str, *, qop: bool, stale: bool = False) -> str:
    """The value of WWW-Authenticate."""
    text = f'Digest realm="{realm}", nonce="{nonce}"'
    if qop:
        text += ', algorithm=MD5, qop="auth"'
    return text + (", stale=true" if stale else "")


def fields(authorization: str) -> dict[str, str]:
    """The named values of a Digest Authorization header; empty for any other scheme."""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() != "digest":
        return {}
    return {name.lower(): quoted or bare for name, quoted, bare in _FIELD.findall(rest)}


def answers(
    given: dict[str, str], *, method: str, username: str, password: str, realm: str, nonce: str, qop: bool
) -> bool:
    """Whether `given` (from `fields`) proves the password for this realm and nonce.

    The header's own uri is taken, as cameras do. Where `qop` was offered it must be used; where it was not it may not.
    """
    if given.get("username") != username or given.get("realm") != realm or given.get("nonce") != nonce:
        return False
    if qop != (given.get("qop") == "auth"):
        return False
    secret, request = _hex(f"{username}:{realm}:{password}"), _hex(f"{method}:{given.get('uri', '')}")
    middle = f"{nonce}:{given.get('nc', '')}:{given.get('cnonce', '')}:auth" if qop else nonce
    return compare_digest(_hex(f"{secret}:{middle}:{request}"), given.get("response", ""))
