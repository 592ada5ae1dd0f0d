"""Stage 3, wire: answers to WWW-Authenticate: Digest (RFC 7616, RFC 2617, without qop RFC 2069), Basic where allowed.

Pure: the client nonce comes from the caller. Secrets are bound to one origin; asking for another one raises.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from streamwatch.errors import LookError, Reason, UsageError
from streamwatch.model.report import Credentials
from streamwatch.wire.url import MAX_URL, Origin, parse_address

MAX_TRIES: Final = 2  # refused answers a look: Hikvision locks an account after 5 to 7 of them
MAX_CHALLENGES: Final = 16  # real devices offer at most 3

_HASHES: Final = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}
_STRENGTH: Final = ("MD5", "MD5-SESS", "SHA-256", "SHA-256-SESS")  # weakest first; Basic is weaker than all

_WORD = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
# A quote ends a value only where a comma, a new parameter, or the end follows: realms hold quotes that nobody escaped.
_PARAMETER = re.compile(
    rf'\s*({_WORD})\s*=\s*(?:"((?:\\.|[^"\\]|"(?!\s*(?:$|,\s*(?:$|{_WORD}(?:\s*=|\s|$)))))*)"|([^\s,"]*))\s*(?:,|$)',
    re.DOTALL,
)
_SCHEME = re.compile(rf"\s*,?\s*({_WORD})(?:\s+|\s*,|$)(?!\s*=)")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One offer of a WWW-Authenticate header: scheme in lower case, parameters by their names in lower case."""

    scheme: str
    parameters: dict[str, str]

    @property
    def algorithm(self) -> str:
        """In upper case; MD5 where none is named (RFC 7616 section 3.3)."""
        return self.parameters.get("algorithm", "").strip().upper() or "MD5"

    @property
    def qop(self) -> str | None:
        """The quality of protection that we would use, "" where none is asked for, None where we know none of them."""
        offered = self.parameters.get("qop")
        if offered is None or not offered.strip():
            return ""
        known = [option.strip().lower() for option in offered.split(",")]
        return next((option for option in ("auth", "auth-int") if option in known), None)

    @property
    def stale(self) -> bool:
        """The password was right and only the nonce too old."""
        return self.parameters.get("stale", "").strip().lower() == "true"


def parse_challenges(values: Sequence[str]) -> list[Challenge]:
    """Every offer in one or several WWW-Authenticate headers, in order. Never raises: broken ones are left out."""
    found: list[Challenge] = []
    for value in values:
        at = 0
        while len(found) < MAX_CHALLENGES and (scheme := _SCHEME.match(value, at)):
            at = scheme.end()
            parameters: dict[str, str] = {}
            while parameter := _PARAMETER.match(value, at):
                name, quoted, plain = parameter.groups()
                text = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
                parameters.setdefault(name.lower(), text)
                at = max(parameter.end(), at + 1)
            found.append(Challenge(scheme[1].lower(), parameters))
    return found


def choose(challenges: Sequence[Challenge], *, allow_basic: bool) -> Challenge | None:
    """The strongest offer that we can answer, or None. Basic only where it is allowed, and never before Digest."""
    best: Challenge | None = None
    best_rank = -2
    for challenge in challenges:
        if challenge.scheme == "digest" and challenge.algorithm in _STRENGTH:
            usable = challenge.qop is not None and "nonce" in challenge.parameters and "realm" in challenge.parameters
            rank = _STRENGTH.index(challenge.algorithm) if usable else -2
        else:
            rank = -1 if challenge.scheme == "basic" and allow_basic else -2
        if rank > best_rank:
            best, best_rank = challenge, rank
    return best


class Authenticator:
    """Answers for one look: which challenge holds, how often it was refused, how often its nonce was used."""

    __slots__ = ("_allow_basic", "_challenge", "_cnonce", "_credentials", "_origin", "_prefix", "_uses", "refusals")

    def __init__(
        self, credentials: Credentials | None, origin: Origin, cnonce: Callable[[], str], *, allow_basic: bool = False
    ) -> None:
        self._credentials = credentials
        self._origin = origin
        self._prefix = f"{origin.scheme}://{origin.authority}/"
        self._cnonce = cnonce
        self._allow_basic = allow_basic
        self._challenge: Challenge | None = None
        self._uses = 0
        self.refusals = 0

    def challenged(self, values: Sequence[str], *, answered: bool) -> None:
        """A 401 came; `answered` where the request had our answer in it. Returns where it is worth to send it (again).

        Raises LookError(rtsp.auth) where it is not: nothing to answer with, wrong password, or tried often enough.
        """
        if self._credentials is None:
            raise _refused("the device asks for a user name and a password, and none are known for it")
        challenges = parse_challenges(values)
        challenge = choose(challenges, allow_basic=self._allow_basic)
        if challenge is None:
            raise _refused(_why_unusable(challenges))
        if answered:
            self.refusals += 1
            old = self._challenge
            # a new nonce in each 401: longse, and every server that ties a nonce to a request
            renewed = old is None or challenge.parameters.get("nonce") != old.parameters.get("nonce")
            if self.refusals >= MAX_TRIES or not (challenge.stale or (renewed and challenge.scheme == "digest")):
                raise _refused("the device refuses the user name or the password")
        self._challenge = challenge
        self._uses = 0

    def renew(self) -> None:
        """A new connection: many devices take a nonce only in the one that they gave it in. Refusals go on counting."""
        self._challenge = None
        self._uses = 0

    def authorization(self, method: str, url: str, body: bytes = b"") -> str | None:
        """The Authorization value for a request, or None where nobody asked for one yet.

        Raises LookError(rtsp.redirect) where `url` is not of the origin that the secret belongs to, or cannot be read.
        """
        challenge, credentials = self._challenge, self._credentials
        if challenge is None or credentials is None:
            return None
        if not self._is_ours(url):
            raise LookError(Reason.RTSP_REDIRECT, f"a password of {self._origin.host} is not sent elsewhere")
        if challenge.scheme == "basic":
            pair = f"{credentials.username}:{credentials.password}".encode()
            return "Basic " + base64.b64encode(pair).decode("ascii")
        self._uses += 1
        return digest_answer(challenge, credentials, method, url, body, self._cnonce(), self._uses)

    def _is_ours(self, url: str) -> bool:
        """Whether an address is of our origin: by its text where that leaves no doubt, else taken apart."""
        plain = len(url) <= MAX_URL and "@" not in url and " " not in url and url.isprintable()
        if plain and url.startswith(self._prefix):
            return True
        try:
            return parse_address(url).origin == self._origin
        except UsageError:
            return False


def digest_answer(
    challenge: Challenge, credentials: Credentials, method: str, uri: str, body: bytes, cnonce: str, count: int
) -> str:
    """RFC 7616 section 3.4. `count` is how often this nonce was used, from 1. The result is Latin-1 text.

    `challenge` is one that `choose` gave.
    """
    given = challenge.parameters
    realm, nonce, qop = given["realm"], given["nonce"], challenge.qop
    algorithm = challenge.algorithm
    make = _HASHES[algorithm.removesuffix("-SESS")]

    def digest(text: str) -> str:
        return make(text.encode("latin-1", "replace"), usedforsecurity=False).hexdigest()

    # RFC 7616 section 4: UTF-8, here as Latin-1 text of the same bytes, like everything else
    username, password = (text.encode().decode("latin-1") for text in (credentials.username, credentials.password))
    ha1 = digest(f"{username}:{realm}:{password}")
    if algorithm.endswith("-SESS"):
        ha1 = digest(f"{ha1}:{nonce}:{cnonce}")
    ha2 = digest(f"{method}:{uri}:{digest(body.decode('latin-1'))}" if qop == "auth-int" else f"{method}:{uri}")
    nc = f"{count:08x}"
    response = digest(f"{ha1}:{nonce}:{nc}:{cnonce}:{qop}:{ha2}" if qop else f"{ha1}:{nonce}:{ha2}")
    fields = [
        f'username="{_quoted(username)}"',
        f'realm="{_quoted(realm)}"',
        f'nonce="{_quoted(nonce)}"',
        f'uri="{uri}"',
        f'response="{response}"',
    ]
    if "algorithm" in given:
        fields.append(f"algorithm={given['algorithm'].strip()}")
    if "opaque" in given:
        fields.append(f'opaque="{_quoted(given["opaque"])}"')
    if qop:
        fields += [f"qop={qop}", f"nc={nc}"]
    if qop or algorithm.endswith("-SESS"):
        fields.append(f'cnonce="{cnonce}"')
    return "Digest " + ", ".join(fields)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _why_unusable(challenges: Sequence[Challenge]) -> str:
    if any(challenge.scheme == "basic" for challenge in challenges):
        return "the device takes only Basic, which shows the password: allow that for this camera, or set it to Digest"
    offered = ", ".join(sorted({f"{c.scheme} {c.algorithm}" for c in challenges})) or "nothing that can be read"
    shown = "".join(char for char in offered[:80] if " " <= char <= "~")
    return f"the device offers {shown}, and we know Digest with MD5 or SHA-256"


def _refused(detail: str) -> LookError:
    return LookError(Reason.RTSP_AUTH, detail)
