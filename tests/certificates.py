"""Certificates of devices, made when a test wants them and never kept."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Made:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> str:
        """Both, as servers want it."""
        return self.certificate_pem + self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode("ascii")

    @property
    def certificate_pem(self) -> str:
        """The certificate alone."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")

    def saved(self, folder: Path, name: str = "device.pem") -> Path:
        """Both, in a file."""
        path = folder / name
        path.write_text(self.pem, encoding="ascii")
        return path


def certificate(
    issuer: Made | None = None,
    *,
    host: str = "127.0.0.1",
    days: tuple[int, int] = (-1, 30),
    authority: bool = False,
    rsa_bits: int | None = None,
) -> Made:
    """Self-signed, or of `issuer`; good for `host` from and until so many days from now."""
    key: Key = rsa.generate_private_key(65537, rsa_bits) if rsa_bits else ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, f"authority {x509.random_serial_number()}" if authority else host)]
    )
    try:
        known_as: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        known_as = x509.DNSName(host)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.certificate.subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + days[0] * DAY)
        .not_valid_after(now + days[1] * DAY)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([known_as]), critical=False)
    )
    return Made(built.sign(issuer.key if issuer else key, hashes.SHA256()), key)
