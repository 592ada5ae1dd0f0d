"""Hostile before RTSP begins: certificates that prove nothing, TLS that is too old, none where it is due."""

from __future__ import annotations

import ssl
import tempfile
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from streamwatch.errors import Reason, Step
from streamwatch.simulator.hostile.stage import Hostility, Reply, Talk, camera, hostility
from streamwatch.simulator.rtsp import Request

UNTRUSTED: Final = Reason.TLS_UNTRUSTED
SERVER_HELLO: Final = (  # RFC 5246 section 7.4.1.3: TLS 1.2, ECDHE-RSA-AES128-GCM-SHA256
    b"\x16\x03\x03\x00\x2a\x02\x00\x00\x26\x03\x03" + bytes(range(32)) + b"\x00\xc0\x2f\x00"
)


async def _hello_then_silence(talk: Talk) -> None:
    await talk.send(SERVER_HELLO)
    await talk.stay()


async def _silence(talk: Talk) -> None:
    await talk.stay()


async def _plain(talk: Talk) -> None:
    """Answers the handshake in plain RTSP."""
    await talk.send(b"RTSP/1.0 400 Bad Request\r\n\r\n")
    await talk.stay()


async def _alert(talk: Talk) -> None:
    await talk.send(b"\x15\x03\x01\x00\x02\x02\x28")  # fatal, handshake_failure
    await talk.stay()


def _downwards(talk: Talk, request: Request, _reply: Reply) -> bytes:
    place = f"rtsp://{talk.authority}/live"
    return Reply(302, [("CSeq", request.headers.get("cseq", "0")), ("Location", place)]).encode()


async def _garbage(talk: Talk) -> None:
    await talk.send(b"\x16\x03\x03\xff\xff" + talk.rng.randbytes(65_535))
    await talk.stay()


@cache
def context(kind: str) -> ssl.SSLContext:
    """A server's context: `self_signed`, `expired`, `wrong_name`, or `old`, which speaks TLS 1.0 only."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, "elsewhere.invalid" if kind == "wrong_name" else "camera")]
    )
    until = datetime.now(UTC) + timedelta(days=-1 if kind == "expired" else 365)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(until - timedelta(days=730))
        .not_valid_after(until)
        .sign(key, hashes.SHA256())
    )
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        text = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        Path(file.name).write_bytes(text + made.public_bytes(serialization.Encoding.PEM))
        serving.load_cert_chain(file.name)
    if kind == "old":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that it is old is the point
            serving.minimum_version = serving.maximum_version = ssl.TLSVersion.TLSv1
        serving.set_ciphers("ALL:@SECLEVEL=0")
    return serving


def _all() -> Iterator[Hostility]:
    failed, timeout, connect = Reason.TLS_FAILED, Reason.NET_TIMEOUT, (Step.CONNECT, Step.OPTIONS)
    for kind, does in {
        "self_signed": "a certificate that it signed itself",
        "expired": "a certificate that has run out",
        "wrong_name": "a certificate of somebody else",
    }.items():
        yield hostility(f"tls_{kind}", does, camera(), None, UNTRUSTED, at=connect, scheme="rtsps", secure=kind)
    yield hostility(
        "tls_redirect_down",
        "302 from TLS to plain RTSP on the same device",
        camera({"DESCRIBE": _downwards}),
        Reason.RTSP_REDIRECT,
        UNTRUSTED,
        at=(Step.DESCRIBE, *connect),
        scheme="rtsps",
        secure="self_signed",
    )
    yield hostility("tls_old", "TLS 1.0 only", camera(), failed, at=connect, scheme="rtsps", secure="old")
    yield hostility(
        "tls_silence", "takes the ClientHello and says nothing", _silence, failed, timeout, at=connect, scheme="rtsps"
    )
    yield hostility(
        "tls_hello_then_silence",
        "a ServerHello, and then nothing",
        _hello_then_silence,
        failed,
        timeout,
        at=connect,
        scheme="rtsps",
    )
    yield hostility("tls_plain_text", "answers the handshake in plain RTSP", _plain, failed, at=connect, scheme="rtsps")
    yield hostility("tls_alert", "refuses the handshake", _alert, failed, at=connect, scheme="rtsps")
    yield hostility("tls_garbage", "garbage instead of a handshake", _garbage, failed, at=connect, scheme="rtsps")


HOSTILITIES: Final = tuple(_all())
