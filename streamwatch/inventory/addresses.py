"""Stage 1: a camera's address, taken apart. Credentials leave the address and go where they are sealed."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from streamwatch.redaction import Redactor

MAX_URL: Final = 1_000  # characters; the longest of recorded devices has 190
DEFAULT_PORT: Final = 554  # RFC 2326 section 3.2

_HOST_NAME = re.compile(
    r"(?=.{1,253}\.?$)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\.?"
)
_NETLOC = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\[\]@]+))(?::(?P<port>[0-9]{0,5}))?")
_STARTS_WITH_IP = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}(?:[:/?#]|$)|\[")
_NUMERIC = re.compile(r"[0-9]+\.?")
_PRINTABLE = re.compile(r"[!-~]*")


_patterns: Final = Redactor()  # knows no secret by value; its patterns find ?password=


class AddressError(ValueError):
    """An address that cannot be used; the text is the remedy and never repeats the address."""


@dataclass(frozen=True, slots=True)
class Address:
    """`url` without credentials, in one spelling; `origin` is what a password is bound to."""

    url: str
    host: str
    port: int
    username: str | None = None
    password: str | None = None

    @property
    def origin(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port

    def __repr__(self) -> str:
        return f"Address({self.url})"


def split_address(text: str) -> Address:
    """An rtsp address as it stands in lists: with or without user:password@, also unescaped. Raises AddressError."""
    if len(text) > MAX_URL:
        raise AddressError(f"give at most {MAX_URL} characters")
    scheme, separator, rest = text.partition("://")
    if not separator or scheme.lower() != "rtsp":
        raise AddressError("give an address such as rtsp://192.0.2.7:554/live")
    userinfo, netloc, path = _split(rest)
    found = _NETLOC.fullmatch(netloc)
    if found is None:
        raise AddressError("write the host after rtsp://, and percent-encode @ : / ? # in user and password")
    host = _host(found)
    port = int(found["port"] or DEFAULT_PORT)
    if not 0 < port <= 0xFFFF:
        raise AddressError("give a port from 1 to 65535")
    if not _PRINTABLE.fullmatch(path):
        raise AddressError("percent-encode spaces and characters outside ASCII in the path")
    shown = f"[{host}]" if found["six"] else host
    port_text = f":{port}" if found["port"] else ""
    username, password = _credentials(userinfo)
    return Address(f"rtsp://{shown}{port_text}{path}", host, port, username, password)


def mask_address(text: str) -> str:
    """Any text that should be an address, fit to be shown: whatever stands before its last @ is hidden."""
    scheme, separator, rest = text.partition("://") if "://" in text else ("", "", text)
    _, at, after = rest.rpartition("@")
    return _patterns.redact(f"{scheme}{separator}***@{after}" if at else text)


def _split(rest: str) -> tuple[str | None, str, str]:
    """userinfo, host with port, the rest. Passwords with a bare / or ? are found by what cannot be a host."""
    end = next((at for at, character in enumerate(rest) if character in "/?#"), len(rest))
    head = rest[:end]
    if "@" in head:
        userinfo, _, netloc = head.rpartition("@")
        return userinfo, netloc, rest[end:]
    userinfo, at, after = rest.rpartition("@")
    if at and ":" in head and (_NETLOC.fullmatch(head) is None or _is_number_of(head, after)):
        stop = next((at for at, character in enumerate(after) if character in "/?#"), len(after))
        return userinfo, after[:stop], after[stop:]
    return None, head, rest[end:]


def _is_number_of(head: str, after: str) -> bool:
    """In admin:123/45@192.0.2.7 the part before the slash looks like host:port; but no dot, and an IP after the @."""
    return "." not in head and _STARTS_WITH_IP.match(after) is not None


def _host(found: re.Match[str]) -> str:
    try:
        if found["six"] is not None:
            return str(ipaddress.IPv6Address(found["six"]))
        host = found["host"].lower()
        if _NUMERIC.fullmatch(host.rstrip(".").rpartition(".")[2]):  # no top-level domain is a number
            return str(ipaddress.IPv4Address(host))
    except ipaddress.AddressValueError:
        raise AddressError("the IP address is not one; correct it") from None
    if not _HOST_NAME.fullmatch(host):
        raise AddressError("the host is neither an IP address nor a name; correct it")
    return host


def _credentials(userinfo: str | None) -> tuple[str | None, str | None]:
    if not userinfo:
        return None, None
    username, colon, password = userinfo.partition(":")
    return _plain(username) or None, (_plain(password) or None) if colon else None


def _plain(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:  # a bare % that happens to precede hexadecimal digits
        return text
