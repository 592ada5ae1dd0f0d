"""Texts with a grammar of their own among the settings: addresses, networks, targets. Each check returns the text or
raises ValueError, and `Says` states in words what the key takes, for messages and for the documentation."""

from __future__ import annotations

import ipaddress
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

MAX_TEXT = 2_000  # characters of one value: a database URL with options is a tenth of it
MAX_CA_FILE = 2**20  # bytes: 500 certificates
MAX_ITEMS = 1_000  # entries of one list: networks, canaries, villages

_HOST_PORT = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]{1,253})):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Says:
    """What a key takes, in words, as the end of the sentence "give …"."""

    words: str


def split_host_port(text: str) -> tuple[str, int]:
    """`host:port` or `[v6]:port` as host without brackets and port 0-65535. Raises ValueError."""
    found = _HOST_PORT.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not host:port")
    port = int(found["port"])
    if port > 0xFFFF:
        raise ValueError(f"port {port} is above 65535")
    if found["six"] is not None:
        return str(ipaddress.IPv6Address(found["six"])), port
    return found["host"], port


def _listen(text: str) -> str:
    split_host_port(text)
    return text


def _database(text: str) -> str:
    if not text.startswith("sqlite+aiosqlite:///"):
        raise ValueError("another database or driver")  # PostgreSQL is not in this version
    return text


def _network(text: str) -> str:
    return str(ipaddress.ip_network(text, strict=True))


def _canary(text: str) -> str:
    if text == "gateway":
        return text
    if not text.startswith("tcp://"):
        raise ValueError("neither gateway nor tcp://host:port")
    _, port = split_host_port(text.removeprefix("tcp://"))
    if port == 0:
        raise ValueError("port 0 cannot be called")
    return text


def _ca_file(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("not an absolute path")
    if path.stat().st_size > MAX_CA_FILE:
        raise ValueError(f"larger than {MAX_CA_FILE} bytes")
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)  # an SSLError is an OSError
    return path


def _authorities(path: Path) -> Path:
    try:
        return _ca_file(path)
    except OSError as error:
        raise ValueError(error.strerror or "no certificate in it") from None


def _user_agent(text: str) -> str:
    if not text or not all(" " <= character <= "~" for character in text):
        raise ValueError("not printable ASCII")  # RFC 7826 section 20.2: a header ends at CR LF
    return text


_text = Field(max_length=MAX_TEXT)

Listen = Annotated[
    str, _text, AfterValidator(_listen), Says("host:port such as 127.0.0.1:8080 or [::1]:8080; port 0 picks a free one")
]
DatabaseUrl = Annotated[
    str,
    _text,
    AfterValidator(_database),
    Says("sqlite+aiosqlite:////absolute/path/streamwatch.db, the only database of this version"),
]
NetworkText = Annotated[str, _text, AfterValidator(_network), Says("a network such as 10.0.0.0/8")]
CanaryText = Annotated[str, _text, AfterValidator(_canary), Says("gateway or tcp://HOST:PORT")]
CaFile = Annotated[
    Path,
    AfterValidator(_authorities),
    Says("the absolute path of a file with certificates in PEM (-----BEGIN CERTIFICATE-----)"),
]
UserAgent = Annotated[
    str, Field(max_length=64), AfterValidator(_user_agent), Says("1 to 64 printable ASCII characters")
]
CameraCode = Annotated[str, Field(min_length=1, max_length=64), Says("a camera code")]
VillageCode = Annotated[str, Field(min_length=1, max_length=64), Says("a village code")]
