"""Hostile about who may look: challenges that never end, that nobody can answer, or that ask for the bare password."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from secrets import token_hex
from typing import Final

from streamwatch.errors import Reason, Step
from streamwatch.simulator.digest import challenges, fields
from streamwatch.simulator.hostile.stage import (
    REALM,
    Reply,
    Script,
    Talk,
    camera,
    hostility,
    proves,
    unauthorized,
)
from streamwatch.simulator.rtsp import Request

METHODS: Final = ("DESCRIBE", "SETUP", "PLAY")
Proves = Callable[[Talk, Request], bool]
BASIC: Final = f'Basic realm="{REALM}"'


def _always(*values: str, method: str = "DESCRIBE") -> Script:
    """401 to everything from `method` on, in these words; `{nonce}` is a new one each time."""

    def refuse(talk: Talk, request: Request, _reply: Reply) -> bytes:
        fresh = [value.replace("{nonce}", token_hex(8)) for value in values]
        return Reply(
            401, [*unauthorized(talk, request).headers[:1], *(("WWW-Authenticate", one) for one in fresh)]
        ).encode()

    return camera({method: refuse})


def _proven(
    *offers: str,
    realm: str = REALM,
    sha256: bool = False,
    methods: tuple[str, ...] = METHODS,
    proof: Proves | None = None,
) -> Script:
    """A camera whose `methods` want a Digest answer; who shows the bare password instead gets 403."""

    def ask(talk: Talk, request: Request, reply: Reply) -> bytes:
        if request.headers.get("authorization", "").lower().startswith("basic"):
            return Reply(403, [("CSeq", request.headers.get("cseq", "0"))]).encode()
        right = proof(talk, request) if proof else proves(talk, request, realm=realm, sha256=sha256)
        if right:
            return reply.encode()
        asked = [one.replace("{nonce}", talk.nonce) for one in offers] or challenges(realm, talk.nonce, qop=True)
        return unauthorized(talk, request, *asked).encode()

    return camera(dict.fromkeys(methods, ask))


def _any_digest(_talk: Talk, request: Request) -> bool:
    """For realms whose bytes are no UTF-8: what they hash to is the peer's affair."""
    return "response" in fields(request.headers.get("authorization", ""))


def _proves_int(talk: Talk, request: Request) -> bool:
    """RFC 7616 section 3.4.3: the body, here empty, is part of what is hashed."""
    given = fields(request.headers.get("authorization", ""))
    if given.get("qop") != "auth-int" or given.get("nonce") != talk.nonce:
        return False
    secret = _md5(f"{talk.account.username}:{REALM}:{talk.account.password}")
    asked = _md5(f"{request.method}:{given.get('uri', '')}:{_md5('')}")
    middle = f"{talk.nonce}:{given.get('nc', '')}:{given.get('cnonce', '')}:auth-int"
    return given.get("response") == _md5(f"{secret}:{middle}:{asked}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _basic_later(talk: Talk, request: Request, reply: Reply) -> bytes:
    """Digest for DESCRIBE, and then only Basic will do."""
    if request.method == "DESCRIBE":
        return (reply if proves(talk, request) else unauthorized(talk, request)).encode()
    return unauthorized(talk, request, BASIC).encode()


def _digest(*, realm: str = REALM, nonce: str = "{nonce}", more: str = ', algorithm=MD5, qop="auth"') -> str:
    quoted = realm.replace("\\", "\\\\").replace('"', '\\"')
    return f'Digest realm="{quoted}", nonce="{nonce}"{more}'


_REFUSED: Final = Reason.RTSP_AUTH
_ODD_REALMS: Final = {
    "quotes": 'Login to "DS-2CD" 1',
    "commas": "IP Camera, qop=auth, nonce=x",
    "gbk": "摄像机".encode("gbk").decode("latin-1"),
    "long": "r" * 1500,
}

HOSTILITIES: Final = (
    hostility(
        "auth_for_ever",
        "401 for ever, the same nonce",
        _always(_digest(nonce="0123456789abcdef")),
        _REFUSED,
        at=Step.DESCRIBE,
    ),
    hostility(
        "auth_new_nonce_for_ever", "401 for ever, a new nonce each time", _always(_digest()), _REFUSED, at=Step.DESCRIBE
    ),
    hostility(
        "auth_stale_for_ever",
        "stale=true for ever",
        _always(_digest(more=", stale=true, algorithm=MD5")),
        _REFUSED,
        at=Step.DESCRIBE,
    ),
    hostility(
        "auth_setup_for_ever", "401 to SETUP for ever", _always(_digest(), method="SETUP"), _REFUSED, at=Step.SETUP
    ),
    hostility("auth_play_for_ever", "401 to PLAY for ever", _always(_digest(), method="PLAY"), _REFUSED, at=Step.PLAY),
    hostility(
        "auth_unknown_algorithm",
        "Digest by SM3 only",
        _always(_digest(more=', algorithm=SM3, qop="auth"')),
        _REFUSED,
        at=Step.DESCRIBE,
    ),
    hostility(
        "auth_unknown_qop",
        "a qop that nobody knows",
        _always(_digest(more=', qop="auth-conf"')),
        _REFUSED,
        at=Step.DESCRIBE,
    ),
    hostility("auth_unknown_scheme", "Negotiate only", _always("Negotiate"), _REFUSED, at=Step.DESCRIBE),
    hostility(
        "auth_without_nonce", "Digest without a nonce", _always(f'Digest realm="{REALM}"'), _REFUSED, at=Step.DESCRIBE
    ),
    hostility("auth_without_challenge", "401 and no challenge", _always(), _REFUSED, at=Step.DESCRIBE),
    hostility("auth_empty_challenge", "401 and an empty challenge", _always(""), _REFUSED, at=Step.DESCRIBE),
    hostility(
        "auth_many_challenges",
        "200 challenges",
        _always(*["Negotiate x" for _ in range(200)]),
        _REFUSED,
        at=Step.DESCRIBE,
    ),
    hostility("auth_basic_only", "asks for the bare password", _always(BASIC), _REFUSED, at=Step.DESCRIBE),
    hostility(
        "auth_basic_later",
        "Digest first, and in mid-session the bare password",
        camera({"DESCRIBE": _basic_later, "SETUP": _basic_later}),
        _REFUSED,
        at=Step.SETUP,
    ),
    hostility("auth_int", "qop auth-int only", _proven(_digest(more=', qop="auth-int"'), proof=_proves_int)),
    hostility(
        "auth_sha256", "SHA-256 beside MD5", _proven(*challenges(REALM, "{nonce}", qop=True, sha256=True), sha256=True)
    ),
    hostility("auth_basic_digest", "Basic before Digest, two headers", _proven(BASIC, _digest())),
    hostility("auth_digest_basic", "Digest before Basic, two headers", _proven(_digest(), BASIC)),
    hostility("auth_basic_digest_one_header", "Basic before Digest in one header", _proven(f"{BASIC}, {_digest()}")),
    hostility("auth_digest_basic_one_header", "Digest before Basic in one header", _proven(f"{_digest()}, {BASIC}")),
    *(
        hostility(f"auth_{m.lower()}_only", f"asks at {m} only", _proven(methods=(m,)))
        for m in ("OPTIONS", *METHODS, "TEARDOWN")
    ),
    *(
        hostility(
            f"auth_realm_{kind}",
            f"a realm with {kind}",
            _proven(_digest(realm=realm), realm=realm, proof=_any_digest if kind == "gbk" else None),
        )
        for kind, realm in _ODD_REALMS.items()
        if kind != "quotes"
    ),
    hostility(
        "auth_realm_quotes",
        "a realm with quotes that nobody escaped",
        _always(f'Digest realm="{_ODD_REALMS["quotes"]}", nonce="{{nonce}}"'),
        _REFUSED,
        at=Step.DESCRIBE,
    ),
)
