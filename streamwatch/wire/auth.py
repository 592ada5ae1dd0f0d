"""Stage 3, wire: answers to WWW-Authenticate: Digest (RFC 7616, RFC 2617, without qop RFC 2069), Basic where allowed.

Pure: the client nonce comes from the caller. Secrets are bound to one origin; asking for another one raises.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec

from streamwatch.errors import LookError, Reason, UsageError
from streamwatch.model.report import Credentials
from streamwatch.wire.url import MAX_URL, Origin, parse_address

MAX_TRIES: Final = 2  # refused answers a look: Hikvision locks an account after 5 to 7 of them
MAX_PLAIN: Final = 512  # characters of an offer that is read in one go
MAX_CHALLENGES: Final = 16  # real devices offer at most 3

_WITHHELD: Final = (
    "the device refused the same user name and password for another camera; they are not sent again until that camera "
    "is let in, as the device would lock the account"
)

_HASHES: Final[dict[str, Callable[..., Any]]] = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}  # weakest first
if "sha512_256" in hashlib.algorithms_available:  # of OpenSSL, where it was not built without
    _HASHES["SHA-512-256"] = partial(hashlib.new, "sha512_256")
_STRENGTH: Final = tuple(f"{name}{kind}" for name in _HASHES for kind in ("", "-SESS"))  # Basic is weaker than all

_WORD = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
# A quote ends a value only where a comma, a new parameter, or the end follows: realms hold quotes that nobody escaped.
_PARAMETER = re.compile(
    rf'\s*({_WORD})\s*=\s*(?:"((?:\\.|[^"\\]|"(?!\s*(?:$|,\s*(?:$|{_WORD}(?:\s*=|\s|$)))))*)"|([^\s,"]*))\s*(?:,|$)',
    re.DOTALL,
)
_SCHEME = re.compile(rf"\s*+(?:,\s*+)?({_WORD})(?:\s++|\s*+,|$)(?!\s*+=)")  # possessive: blanks are counted once

# Most offers by far: one of Digest, whose values hold no quote and no backslash.
_PLAIN = re.compile(r'Digest ((?:[A-Za-z]+=(?:"[^"\\]*"|[A-Za-z0-9-]+)(?:, ?(?=[A-Za-z])|$))+)')
_PAIR = re.compile(r'([A-Za-z]+)=(?:"([^"]*)"|([A-Za-z0-9-]+))')


class Challenge(msgspec.Struct, frozen=True, gc=False):
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
        if offered == "auth":
            return "auth"
        if offered is None or not offered.strip():
            return ""
        known = [option.strip().lower() for option in offered.split(",")]
        return next((option for option in ("auth", "auth-int") if option in known), None)

    @property
    def stale(self) -> bool | None:
        """The password was right and only the nonce too old; False where it says that the password was wrong.

        None where it says nothing.
        """
        return {"true": True, "false": False}.get(self.parameters.get("stale", "").strip().lower())


def parse_challenges(values: Sequence[str]) -> list[Challenge]:
    """Every offer in one or several WWW-Authenticate headers, in order. Never raises: broken ones are left out."""
    found: list[Challenge] = []
    for value in values:
        at = 0
        if len(value) <= MAX_PLAIN and (whole := _PLAIN.fullmatch(value)) is not None and len(found) < MAX_CHALLENGES:
            pairs = reversed(_PAIR.findall(whole[1]))  # the first of a name counts
            found.append(Challenge("digest", {name.lower(): within or bare for name, within, bare in pairs}))
            continue
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
            usable = challenge.qop is not None and "nonce" in challenge.parameters
            rank = _STRENGTH.index(challenge.algorithm) if usable else -2
        else:
            rank = -1 if challenge.scheme == "basic" and allow_basic else -2
        if rank > best_rank:
            best, best_rank = challenge, rank
    return best


class Authenticator:
    """Answers for one look: which challenge holds, how often it was refused, how often its nonce was used."""

    __slots__ = (
        "_allow_basic",
        "_challenge",
        "_cnonce",
        "_credentials",
        "_met_digest",
        "_origin",
        "_prefix",
        "_quick",
        "_uses",
        "_withheld",
        "refusals",
    )

    def __init__(
        self,
        credentials: Credentials | None,
        origin: Origin,
        cnonce: Callable[[], str],
        *,
        allow_basic: bool = False,
        withheld: bool = False,
    ) -> None:
        self._credentials = credentials
        self._origin = origin
        self._prefix = f"{origin.scheme}://{origin.authority}/"
        self._cnonce = cnonce
        self._allow_basic = allow_basic
        self._met_digest = False
        self._withheld = withheld
        self._challenge: Challenge | None = None
        self._uses = 0
        self._quick: _Quick | None = None  # of the present challenge
        self.refusals = 0

    def challenged(self, values: Sequence[str], *, answered: bool) -> None:
        """A 401 came; `answered` where the request had our answer in it. Returns where it is worth to send it (again).

        Raises LookError(rtsp.auth) where it is not: nothing to answer with, wrong password, or tried often enough.
        """
        if self._credentials is None:
            raise _refused("the device asks for a user name and a password, and none are known for it")
        if self._withheld:
            raise _refused(_WITHHELD)
        challenges = parse_challenges(values)
        # who spoke Digest once speaks it still: a Basic of later is somebody else's, or a way to the plain password
        challenge = choose(challenges, allow_basic=self._allow_basic and not self._met_digest)
        self.refusals += answered
        if self.refusals >= MAX_TRIES:
            raise _refused(_why_refused(challenge))
        if challenge is None:
            raise _refused(_why_unusable(challenges))
        if answered and not self._is_worth_another(challenge):
            raise _refused(_why_refused(challenge))
        self._met_digest = self._met_digest or challenge.scheme == "digest"
        self._challenge = challenge
        self._uses = 0
        self._quick = None if challenge.scheme == "basic" else _prepared(challenge, self._credentials, self._cnonce())

    def _is_worth_another(self, challenge: Challenge) -> bool:
        """Whether our answer may have been refused for its nonce, and not for its password.

        A new nonce comes in each 401 of longse, and of every server that ties a nonce to a request. Where it comes with
        stale=FALSE (Hikvision) the password is wrong (RFC 7616 section 3.3) and its account is about to be locked; only
        if an answer to the old nonce was taken before, the password was right.
        """
        old = self._challenge
        renewed = old is None or challenge.parameters.get("nonce") != old.parameters.get("nonce")
        if challenge.scheme != "digest" or not (renewed or challenge.stale):
            return False
        return challenge.stale is not False or self._uses > 1

    @property
    def answered(self) -> bool:
        """Whether an answer to the present challenge was sent."""
        return self._uses > 0

    def renew(self) -> None:
        """A new connection: many devices take a nonce only in the one that they gave it in. Refusals go on counting."""
        self._challenge = self._quick = None
        self._uses = 0

    def authorization(self, method: str, url: str, body: bytes = b"", *, uri: str | None = None) -> str | None:
        """The Authorization value for a request; None where nobody asked for one yet, or too many were refused.

        `uri` is what the request line says, where that is not `url` itself: HTTP's path.

        Raises LookError(rtsp.redirect) where `url` is not of the origin that the secret belongs to, or cannot be read.
        """
        challenge, credentials = self._challenge, self._credentials
        if challenge is None or credentials is None or self.refusals >= MAX_TRIES:
            return None
        if not self._is_ours(url):
            raise LookError(Reason.RTSP_REDIRECT, f"a password of {self._origin.host} is not sent elsewhere")
        if challenge.scheme == "basic":
            pair = f"{credentials.username}:{credentials.password}".encode()
            return "Basic " + base64.b64encode(pair).decode("ascii")
        self._uses += 1
        quick = self._quick
        if quick is not None:
            return quick.answer(method, uri or url, self._uses)
        return digest_answer(challenge, credentials, method, uri or url, body, self._cnonce(), self._uses)

    def _is_ours(self, url: str) -> bool:
        """Whether an address is of our origin: by its text where that leaves no doubt, else taken apart."""
        plain = len(url) <= MAX_URL and "@" not in url and " " not in url and url.isprintable()
        if plain and url.startswith(self._prefix):
            return True
        try:
            return parse_address(url).origin == self._origin
        except UsageError:
            return False


class _Quick(NamedTuple):
    """What all answers to one plain challenge have in common: no auth-int, no session. `digest_answer` is the rule."""

    make: Callable[..., Any]
    before: bytes  # of what is hashed, up to the count
    after: str  # behind the count, up to the second hash; without qop empty, and there is no count
    head: str  # of the header, up to the address
    tail: str  # behind the hash, up to the count
    end: str  # behind the count

    def answer(self, method: str, uri: str, count: int) -> str:
        """As `digest_answer`."""
        make = self.make
        ha2 = make(f"{method}:{uri}".encode("latin-1", "replace"), usedforsecurity=False).hexdigest()
        if not self.after:
            response = make(self.before + ha2.encode(), usedforsecurity=False).hexdigest()
            return f'{self.head}{uri}", response="{response}"{self.tail}'
        nc = f"{count:08x}"
        told = self.before + f"{nc}{self.after}{ha2}".encode("latin-1", "replace")
        response = make(told, usedforsecurity=False).hexdigest()
        return f'{self.head}{uri}", response="{response}"{self.tail}{nc}{self.end}'


def _prepared(challenge: Challenge, credentials: Credentials, cnonce: str) -> _Quick | None:
    """None where an answer has more in it than method, address and count."""
    given = challenge.parameters
    realm, nonce, qop, algorithm = given.get("realm", ""), given["nonce"], challenge.qop, challenge.algorithm
    if algorithm.endswith("-SESS") or qop == "auth-int":
        return None
    make = _HASHES[algorithm]
    username, password = (text.encode().decode("latin-1") for text in (credentials.username, credentials.password))
    known = f"{username}:{realm}:{password}".encode("latin-1", "replace")
    before = f"{make(known, usedforsecurity=False).hexdigest()}:{nonce}:".encode("latin-1", "replace")
    head = f'Digest username="{_quoted(username)}", realm="{_quoted(realm)}", nonce="{_quoted(nonce)}", uri="'
    tail = f", algorithm={given['algorithm'].strip()}" if "algorithm" in given else ""
    tail += f', opaque="{_quoted(given["opaque"])}"' if "opaque" in given else ""
    if not qop:
        return _Quick(make, before, "", head, tail, "")
    return _Quick(make, before, f":{cnonce}:{qop}:", head, f"{tail}, qop={qop}, nc=", f', cnonce="{cnonce}"')


def digest_answer(
    challenge: Challenge, credentials: Credentials, method: str, uri: str, body: bytes, cnonce: str, count: int
) -> str:
    """RFC 7616 section 3.4. `count` is how often this nonce was used, from 1. The result is Latin-1 text.

    `challenge` is one that `choose` gave.
    """
    given = challenge.parameters
    # RFC 7616 wants a realm; curl and FFmpeg take a missing one for an empty one, and so do devices
    realm, nonce, qop = given.get("realm", ""), given["nonce"], challenge.qop
    algorithm = challenge.algorithm
    make = _HASHES[algorithm.removesuffix("-SESS")]

    def digest(text: str) -> str:
        return str(make(text.encode("latin-1", "replace"), usedforsecurity=False).hexdigest())

    # RFC 7616 section 4: UTF-8, here as Latin-1 text of the same bytes, like everything else. Where that was refused,
    # GBK is not tried: it would double the answers of every wrong password, and accounts are locked after five.
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


def _why_refused(challenge: Challenge | None) -> str:
    if challenge is not None and challenge.stale:
        return "the device calls every answer to its own nonce stale"
    return "the device refuses the user name or the password"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"') if '"' in text or "\\" in text else text


def _why_unusable(challenges: Sequence[Challenge]) -> str:
    if any(challenge.scheme == "basic" for challenge in challenges):
        return "the device takes only Basic, which shows the password: allow that for this camera, or set it to Digest"
    offered = ", ".join(sorted({f"{c.scheme} {c.algorithm}" for c in challenges})) or "nothing that can be read"
    shown = "".join(char for char in offered[:80] if " " <= char <= "~")
    return f"the device offers {shown}, and we know Digest with {' or '.join(_HASHES)}"


def _refused(detail: str) -> LookError:
    return LookError(Reason.RTSP_AUTH, detail)
