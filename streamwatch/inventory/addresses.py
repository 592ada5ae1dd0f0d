"""Stage 1: the address of a camera or recorder, taken apart. Credentials leave it and go where they are sealed."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from streamwatch.redaction import Redactor

MAX_URL: Final = 1_000  # characters; the longest of recorded devices has 190
DEFAULT_PORT: Final = 554  # RFC 2326 section 3.2
CAMERA_SCHEMES: Final = ("rtsp", "rtsps")
# How recorders of each kind are reached: ISAPI, Dahua's CGI, LAPI and ONVIF over HTTP.
RECORDER_SCHEMES: Final[Mapping[str, tuple[str, ...]]] = {
    "onvif": ("http", "https"),
    "isapi": ("http", "https"),
    "dahua": ("http", "https"),
    "uniview": ("http", "https"),
    "gb28181": ("sip",),
    "rtsp": ("rtsp", "rtsps"),
}
ALL_SCHEMES: Final = ("rtsp", "rtsps", "http", "https", "sip")
DEFAULT_PORTS: Final[Mapping[str, int]] = {
    "rtsp": DEFAULT_PORT,
    "rtsps": 322,  # RFC 7826 section 4.2
    "http": 80,
    "https": 443,
    "sip": 5060,  # RFC 3261 section 19.1.2
}
_EXAMPLES: Final[Mapping[str, str]] = {
    "rtsp": "rtsp://192.0.2.7:554/live",
    "rtsps": "rtsps://192.0.2.7:322/live",
    "http": "http://192.0.2.7:80",
    "https": "https://192.0.2.7:443",
    "sip": "sip:34020000001180000001@192.0.2.7:5060",
}

_HOST_NAME = re.compile(
    r"(?=.{1,253}\.?$)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\.?"
)
_NETLOC = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\[\]@]+))(?::(?P<port>[0-9]{0,5}))?")
_STARTS_WITH_IP = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}(?:[:/?#]|$)|\[")
_NUMERIC = re.compile(r"[0-9]+\.?")
_SIP_USER = re.compile(r"[A-Za-z0-9._-]{1,64}")
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


def split_address(text: str, schemes: tuple[str, ...] = CAMERA_SCHEMES) -> Address:
    """An address as it stands in lists: with or without user:password@, also unescaped. Raises AddressError.

    `schemes` are those that may be: RECORDER_SCHEMES of a kind, or ALL_SCHEMES for what the store has. The user of a
    sip address is the device's code: it stays in `url`, and only a password leaves it.
    """
    if len(text) > MAX_URL:
        raise AddressError(f"give at most {MAX_URL} characters")
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if not separator and text[:4].lower() == "sip:":
        scheme, rest = "sip", text[4:]
    if scheme not in schemes or not (separator or scheme == "sip"):
        raise AddressError(f"give an address such as {_EXAMPLES[schemes[0]]}")
    userinfo, netloc, path = _split(rest)
    found = _NETLOC.fullmatch(netloc)
    if found is None:
        raise AddressError(_why_no_host(scheme, netloc))
    host = _host(found)
    port = int(found["port"] or DEFAULT_PORTS[scheme])
    if not 0 < port <= 0xFFFF:
        raise AddressError("give a port from 1 to 65535")
    if not _PRINTABLE.fullmatch(path):
        raise AddressError("percent-encode spaces and characters outside ASCII in the path")
    shown = f"[{host}]" if found["six"] else host
    port_text = f":{port}" if found["port"] else ""
    username, password = _credentials(userinfo)
    if scheme == "sip":
        if username is None or not _SIP_USER.fullmatch(username):
            raise AddressError(f"give the device's code before the @, as in {_EXAMPLES['sip']}")
        return Address(f"sip:{username}@{shown}{port_text}{path}", host, port, None, password)
    return Address(f"{scheme}://{shown}{port_text}{path}", host, port, username, password)


def join_address(host: str, port: int | None, path: str) -> str:
    """The rtsp address of a path at a bare host (IPv4, IPv6 without brackets, or a name). Raises AddressError."""
    shown = f"[{host}]" if ":" in host else host
    return split_address(f"rtsp://{shown}{'' if port is None else f':{port}'}{path}").url


def split_host(text: str) -> tuple[str, int | None] | None:
    """Host and port of a text that is a bare host (192.0.2.7, 192.0.2.7:554, [2001:db8::7], a name with a dot).

    None where it is something else. Raises AddressError where it looks like one and is none.
    """
    if any(character in "/?#@" for character in text):
        return None
    found = _NETLOC.fullmatch(text)
    if found is None and ":" in text:
        found = _NETLOC.fullmatch(f"[{text}]")  # IPv6 as it stands in its column
    if found is None or (found["host"] is not None and "." not in found["host"]):
        return None
    port = int(found["port"]) if found["port"] else None
    if port is not None and not 0 < port <= 0xFFFF:
        raise AddressError("give a port from 1 to 65535")
    return _host(found), port


def mask_address(text: str) -> str:
    """Any text that should be an address, fit to be shown: whatever stands before its last @ is hidden."""
    scheme, separator, rest = text.partition("://") if "://" in text else ("", "", text)
    _, at, after = rest.rpartition("@")
    return _patterns.redact(f"{scheme}{separator}***@{after}" if at else text)


def _why_no_host(scheme: str, netloc: str) -> str:
    if any(character.isspace() for character in netloc):
        return "remove the spaces inside the host"
    number = netloc.rpartition(":")[2]
    if len(number) > 5 and number.isdecimal():
        return "give a port from 1 to 65535"
    return f"write the host after {scheme}://, and percent-encode @ : / ? # in user and password"


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
        if len(host.split()) != 1 or host != host.strip():
            raise AddressError("remove the spaces inside the host")
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
