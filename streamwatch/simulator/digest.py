"""The farm's own check of Digest answers: RFC 2617 section 3.2.2 with MD5, RFC 7616 section 3.4 with SHA-256."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hmac import compare_digest

from streamwatch.simulator.rtsp import Login

MD5, SHA256 = "MD5", "SHA-256"
_FIELD = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,]+))')


@dataclass(frozen=True, slots=True)
class Proof:
    """What a right answer has to show: whose, in which realm, H(A1) by algorithm, and whether with qop=auth."""

    username: str
    realm: str
    secrets: Mapping[str, str]
    qop: bool


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


_HASHES: Mapping[str, Callable[[str], str]] = {SHA256: _sha256, MD5: _md5}  # the stronger first (RFC 7616 section 3.7)


def challenges(realm: str, nonce: str, *, qop: bool, sha256: bool = False, stale: bool = False) -> tuple[str, ...]:
    """The values of WWW-Authenticate, one header each. RFC 7616 has no Digest without qop, so SHA-256 asks for it."""
    head, tail = f'Digest realm="{realm}", nonce="{nonce}"', ", stale=true" if stale else ""
    if not qop:
        return (head + tail,)
    algorithms = (SHA256, MD5) if sha256 else (MD5,)
    return tuple(f'{head}, algorithm={algorithm}, qop="auth"{tail}' for algorithm in algorithms)


def fields(authorization: str) -> dict[str, str]:
    """The named values of a Digest Authorization header; empty for any other scheme."""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() != "digest":
        return {}
    return {name.lower(): quoted or bare for name, quoted, bare in _FIELD.findall(rest)}


def proof(username: str, realm: str, password: str, *, qop: bool, sha256: bool = False) -> Proof:
    """The proof of a password; H(A1) is computed once, for it changes only with them."""
    text = f"{username}:{realm}:{password}"
    secrets = {algorithm: digest(text) for algorithm, digest in _HASHES.items() if sha256 or algorithm == MD5}
    return Proof(username, realm, secrets, qop)


def opening(proof: Proof, nonce: str) -> str:
    """How a right answer begins, as most clients write it: up to the quote before its uri."""
    return f'username="{proof.username}", realm="{proof.realm}", nonce="{nonce}", uri="'


def proves(login: Login, method: str, proof: Proof, nonce: str) -> bool:
    """Whether an answer of that usual form, for this nonce by its `opening`, proves the password. False also where
    that is for `answers` to judge."""
    digest, secret = _HASHES.get(login.algorithm or MD5), proof.secrets.get(login.algorithm or MD5)
    if digest is None or secret is None or (login.nc and not proof.qop):
        return False
    request = digest(f"{method}:{login.uri}")
    middle = f"{nonce}:{login.nc}:{login.cnonce}:auth" if login.nc else nonce
    return digest(f"{secret}:{middle}:{request}") == login.response


def answers(given: Mapping[str, str], *, method: str, proof: Proof, nonce: str) -> bool:
    """Whether `given` (from `fields`) proves the password for this nonce.

    The header's own uri is taken, as cameras do. qop may be left out where it was offered (RFC 2617 section 3.2.2, and
    GStreamer does), but not used where it was not. An algorithm that is not named is MD5 (the same section); one that
    was not offered proves nothing.
    """
    if given.get("username") != proof.username or given.get("realm") != proof.realm or given.get("nonce") != nonce:
        return False
    algorithm = given.get("algorithm", MD5).upper()
    secret = proof.secrets.get(algorithm)
    qop = given.get("qop")
    if secret is None or (qop is not None and not (proof.qop and qop == "auth")):
        return False
    digest = _HASHES[algorithm]
    request = digest(f"{method}:{given.get('uri', '')}")
    middle = f"{nonce}:{given.get('nc', '')}:{given.get('cnonce', '')}:auth" if qop is not None else nonce
    return compare_digest(digest(f"{secret}:{middle}:{request}").encode(), given.get("response", "").encode())
