"""The farm's own check of Digest answers (RFC 2617 section 3.2.2), MD5 with and without qop=auth."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import md5
from hmac import compare_digest

_FIELD = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,]+))')


@dataclass(frozen=True, slots=True)
class Proof:
    """What a right answer has to show: whose, in which realm, H(A1), and whether with qop=auth."""

    username: str
    realm: str
    secret: str
    qop: bool


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


def proof(username: str, realm: str, password: str, *, qop: bool) -> Proof:
    """The proof of a password; H(A1) is computed once, for it changes only with them."""
    return Proof(username, realm, _hex(f"{username}:{realm}:{password}"), qop)


def answers(given: dict[str, str], *, method: str, proof: Proof, nonce: str) -> bool:
    """Whether `given` (from `fields`) proves the password for this nonce.

    The header's own uri is taken, as cameras do. Where qop was offered it must be used; where it was not it may not.
    """
    if given.get("username") != proof.username or given.get("realm") != proof.realm or given.get("nonce") != nonce:
        return False
    if proof.qop != (given.get("qop") == "auth"):
        return False
    request = _hex(f"{method}:{given.get('uri', '')}")
    middle = f"{nonce}:{given.get('nc', '')}:{given.get('cnonce', '')}:auth" if proof.qop else nonce
    return compare_digest(_hex(f"{proof.secret}:{middle}:{request}").encode(), given.get("response", "").encode())
