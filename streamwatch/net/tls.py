"""Stage 3: TLS to devices, and whether their certificates are trusted.

Cameras come with certificates that they signed themselves, and keep them when they have expired. Which of three things
that means is the operator's choice: the end of the look (strict), a remark (warn), or nothing (off).

OpenSSL's verdict is the only one, and it ends the handshake. So with `warn` a device is dialled again without a check
when its certificate is not trusted, and remembered by the certificate: the next looks dial once, and a certificate
that changed is checked anew. Plain RTSP is never tried instead.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
from collections import OrderedDict
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Final, Generic, NamedTuple, TypeVar

from streamwatch.clock import Clock, SystemClock
from streamwatch.errors import ConfigError, LookError, Reason, Step
from streamwatch.net.address import Address, Guard, Target, resolve
from streamwatch.net.tcp import failure_of

P = TypeVar("P", bound=asyncio.BaseProtocol)

MAX_KNOWN: Final = 200_000  # devices with untrusted certificates; 400 bytes each: as many as one looker has cameras
KNOWN_S: Final = 3_600.0  # until one is checked again: a second handshake in one look of twelve, and no old verdict
PARTING_S: Final = 0.5  # for the device's close_notify: most never send one, and the socket is held meanwhile
AGAIN_S: Final = 0.5  # until a device that takes one connection at a time has seen that ours is gone
MAX_CA_FILE: Final = 2**20  # bytes: 500 certificates

# Certificates of old cameras have RSA keys of 1024 bits, which Debian's level 2 refuses and level 1 takes. It makes
# nobody trusted: that is asked of the chain. With `strict` the level is the system's.
_OLD_DEVICES: Final = "DEFAULT:@SECLEVEL=1"
_OP_LEGACY_SERVER_CONNECT: Final = 0x4  # of openssl/ssl.h: peers without RFC 5746; we never renegotiate

_WHY: Final[dict[int, str]] = {  # X509_V_ERR_* of openssl/x509_vfy.h
    9: "it is not valid yet, by our clock",
    10: "it has expired",
    18: "it is self-signed",
    19: "its chain ends in a self-signed certificate that we do not know",
    20: "its issuer is not known to us",
    21: "its issuer is not known to us",
}
_TOO_OLD: Final = frozenset({"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "VERSION_TOO_LOW"})
_NOT_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"})


class Verify(StrEnum):
    """What a certificate that is not trusted does: it ends the look, is remarked, or is not even asked for."""

    STRICT = "strict"
    WARN = "warn"
    OFF = "off"


class _Known(NamedTuple):
    """A certificate that was not trusted: its SHA-256, why, and when that was found (monotonic)."""

    fingerprint: bytes
    why: str
    at: float


class Trust:
    """Whose certificates are trusted, and who was found not to be. One for all looks of a process; bounded.

    `ca_file` (PEM) is added to what the system trusts; it is read at the first use. A copy of the device's own
    certificate in there makes that one trusted as well.
    """

    def __init__(self, verify: Verify = Verify.WARN, ca_file: Path | None = None, clock: Clock | None = None) -> None:
        self.verify = verify
        self._ca_file = ca_file
        self._clock = clock or SystemClock()
        self._contexts: dict[bool, ssl.SSLContext] = {}
        self._known: OrderedDict[tuple[str, int], _Known] = OrderedDict()

    def context(self, *, checked: bool) -> ssl.SSLContext:
        """For a handshake that checks the certificate, or takes any. Raises LookError(ours.limit) without `ca_file`."""
        if checked not in self._contexts:
            try:
                self._contexts[checked] = self._made(checked=checked)
            except ConfigError as error:
                raise LookError(Reason.OURS_LIMIT, str(error), step=Step.CONNECT) from None
        return self._contexts[checked]

    def known(self, target: Target) -> _Known | None:
        """What is remembered of an untrusted device."""
        found = self._known.get((target.host, target.port))
        return found if found is not None and self._clock.monotonic() - found.at < KNOWN_S else None

    def remember(self, target: Target, fingerprint: bytes, why: str) -> None:
        """That device's certificate is not trusted."""
        key = target.host, target.port
        self._known[key] = _Known(fingerprint, why, self._clock.monotonic())
        self._known.move_to_end(key)
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

    def forget(self, target: Target) -> None:
        """That device has another certificate now."""
        self._known.pop((target.host, target.port), None)

    def _made(self, *, checked: bool) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.verify is not Verify.STRICT:
            context.set_ciphers(_OLD_DEVICES)
            context.options |= _OP_LEGACY_SERVER_CONNECT
        if not checked:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            return context
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # what `ca_file` has need not be a root
        context.load_default_certs()
        if self._ca_file is not None:
            load_authorities(context, self._ca_file)
        return context


def load_authorities(context: ssl.SSLContext, path: Path) -> None:
    """Adds the certificates of a PEM file. Raises ConfigError naming the file and what is wrong with it."""
    try:
        if path.stat().st_size > MAX_CA_FILE:
            raise ConfigError(f"tls.ca_file: {path} is larger than {MAX_CA_FILE} bytes: give the authorities only")
        context.load_verify_locations(cafile=path)
    except ssl.SSLError:
        raise ConfigError(f"tls.ca_file: {path} holds no certificate in PEM (-----BEGIN CERTIFICATE-----)") from None
    except OSError as error:
        raise ConfigError(f"tls.ca_file: {path} cannot be read: {error.strerror}") from None


async def dial_tls(
    target: Target, factory: Callable[[], P], *, guard: Guard, timeout_s: float, trust: Trust
) -> tuple[P, str | None]:
    """A protocol connected by TLS within `timeout_s`, name look-up included, and why its certificate is not trusted.

    None where it is, or where nobody asks (`off`). Raises LookError with step connect: net.* where not even TCP came
    about, tls.untrusted (`strict`), tls.failed.
    """
    dial = _Dial(target, factory, trust)
    try:
        async with asyncio.timeout(timeout_s):
            dial.address = await resolve(target, guard)
            return await dial.secure()
    except TimeoutError:
        raise dial.timed_out(timeout_s) from None
    except ssl.SSLCertVerificationError as error:
        raise LookError(Reason.TLS_UNTRUSTED, why_untrusted(error), step=Step.CONNECT) from None
    except ssl.SSLError as error:  # an OSError whose errno is none
        raise LookError(Reason.TLS_FAILED, why_failed(error), step=Step.CONNECT) from None
    except OSError as error:
        if dial.connected:
            detail = "the device ended the connection in the TLS handshake"
            raise LookError(Reason.TLS_FAILED, detail, step=Step.CONNECT) from None
        raise failure_of(error, Step.CONNECT) from None


class _Dial(Generic[P]):
    """One call of `dial_tls`, which may need up to three connections."""

    def __init__(self, target: Target, factory: Callable[[], P], trust: Trust) -> None:
        self.address: Address | None = None
        self.connected = False  # TCP, of the latest connection
        self._target = target
        self._factory = factory
        self._trust = trust
        self._loop = asyncio.get_running_loop()

    async def secure(self) -> tuple[P, str | None]:
        """The address is known: connects by TLS as the trust demands."""
        trust = self._trust
        if trust.verify is Verify.OFF:
            return (await self._shake(checked=False))[1], None
        known = trust.known(self._target) if trust.verify is Verify.WARN else None
        if known is not None:
            transport, protocol = await self._shake(checked=False)
            if _fingerprint(transport) == known.fingerprint:
                return protocol, known.why
            _abandon(transport)
            trust.forget(self._target)
        try:
            return (await self._shake(checked=True))[1], None
        except ssl.SSLCertVerificationError as error:
            if trust.verify is Verify.STRICT:
                raise
            why = why_untrusted(error)
        transport, protocol = await self._patiently()
        trust.remember(self._target, _fingerprint(transport), why)
        return protocol, why

    async def _patiently(self) -> tuple[asyncio.Transport, P]:
        """Without a check, after the device has lost a connection of ours: it may not have noticed yet."""
        try:
            return await self._shake(checked=False)
        except OSError:
            await asyncio.sleep(AGAIN_S)
            return await self._shake(checked=False)

    async def _shake(self, *, checked: bool) -> tuple[asyncio.Transport, P]:
        """One connection and its handshake."""
        context = self._trust.context(checked=checked)
        self.connected = False
        connected = await self._connect()
        self.connected = True
        transport, protocol = await self._loop.create_connection(
            self._factory,
            sock=connected,  # closed by the transport from here on, whatever happens
            ssl=context,
            server_hostname=self._target.host,
            ssl_shutdown_timeout=PARTING_S,
        )
        return transport, protocol

    async def _connect(self) -> socket.socket:
        address = self.address
        assert address is not None
        one = socket.socket(address.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.sock_connect(one, (address.ip, address.port))
        except BaseException:
            one.close()
            raise
        return one

    def timed_out(self, timeout_s: float) -> LookError:
        """What did not come about in time."""
        host, port = self._target.host, self._target.port
        if self.address is None:
            reason, detail = Reason.NET_NAME, f"the name {host!r} was not resolved within {timeout_s:.3g} s"
        elif not self.connected:
            reason, detail = Reason.NET_TIMEOUT, f"{host}:{port} did not answer a connection within {timeout_s:.3g} s"
        else:
            reason = Reason.TLS_FAILED
            detail = f"no answer to the TLS handshake within {timeout_s:.3g} s: is this its port for plain RTSP?"
        return LookError(reason, detail, step=Step.CONNECT)


def why_untrusted(error: ssl.SSLCertVerificationError) -> str:
    """OpenSSL's verdict as a sentence."""
    why = _WHY.get(error.verify_code) or str(error.verify_message).rstrip(".")
    return f"the device's certificate is not trusted: {why}"


def why_failed(error: ssl.SSLError) -> str:
    """Why there was no handshake, as a sentence."""
    code = str(error.reason or "")
    if code in _TOO_OLD:
        return "the device knows no TLS 1.2, and older ones are not safe"
    if code in _NOT_TLS:
        return "the device does not answer with TLS: is this its port for plain RTSP?"
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "the device ended the connection in the TLS handshake"
    return f"the TLS handshake failed: {code.replace('_', ' ').lower() or 'without a reason'}"


def _fingerprint(transport: asyncio.Transport) -> bytes:
    shaken = transport.get_extra_info("ssl_object")
    certificate = shaken.getpeercert(binary_form=True) if shaken is not None else None
    return hashlib.sha256(certificate or b"").digest()


def _abandon(transport: asyncio.Transport) -> None:
    """Closes a connection whose protocol must not hear of it."""
    transport.set_protocol(asyncio.Protocol())
    transport.abort()
