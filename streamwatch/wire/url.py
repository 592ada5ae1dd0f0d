"""Stage 3, wire: RTSP addresses: whose they are (scheme, host, port), without the credentials written into them."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from streamwatch.errors import UsageError
from streamwatch.model.report import Credentials

IP = ipaddress.IPv4Address | ipaddress.IPv6Address

DEFAULT_PORTS: Final = {"rtsp": 554, "rtsps": 322}  # RFC 2326 section 3.2, RFC 7826 section 4.2
MAX_URL: Final = 2048  # bytes; gortsplib's limit, and longer than any start line that we accept

_ABSOLUTE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_BLANK = re.compile(r"[\x00-\x20\x7f]")
_DIGITS = re.compile(r"[0-9]{1,5}")


class Origin(NamedTuple):
    """What a secret is bound to. `host` is in lower case, without brackets; IPv4 in IPv6 clothes is IPv4."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """Host and port as they are written in an address; a default port is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if DEFAULT_PORTS.get(self.scheme) == self.port else f"{host}:{self.port}"


class Address(NamedTuple):
    """An address, taken apart. `path` is all after host and port, query included; `url` has no credentials."""

    origin: Origin
    path: str
    credentials: Credentials | None
    url: str


def is_absolute(text: str) -> bool:
    """Does the text begin with a scheme?"""
    return _ABSOLUTE.match(text) is not None


def parse_address(url: str) -> Address:
    """An rtsp or rtsps address. Raises UsageError that names what is wrong and never repeats a password.

    Passwords with `@ : / # %` that nobody percent-encoded are understood where that can be told.
    """
    return _parsed(url) if "@" in url else _parsed_before(url)


@lru_cache(maxsize=32_768)  # 500 bytes each: three of 10,000 cameras, in turn. Those with an @ may hold a password
def _parsed_before(url: str) -> Address:
    return _parsed(url)


def _parsed(url: str) -> Address:
    found = _ABSOLUTE.match(url)
    scheme = found[1].lower() if found else ""
    if found is None or scheme not in DEFAULT_PORTS:
        raise UsageError(f"an address begins with rtsp:// or rtsps://, not {scheme or 'nothing'}://")
    if len(url) > MAX_URL or _BLANK.search(url):
        raise UsageError(f"an address has at most {MAX_URL} characters, no blanks and no control characters")
    userinfo, rest = split_userinfo(url[found.end() :])
    # "u@h:/x@other": without its credentials it would be another host's
    if userinfo is not None and split_userinfo(rest)[0] is not None:
        raise UsageError("an address names one host: write %40 for an @ in its path, and no colon without a port")
    cut = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    authority, path = rest[:cut], _latin(rest[cut:])
    if not authority.isascii():
        raise UsageError("the host of an address is written in ASCII: 摄像头.cn as xn--o1q97ryrj.cn")
    origin = Origin(scheme, *_host_and_port(scheme, authority))
    return Address(origin, path, _credentials(userinfo), f"{found[0]}{authority}{path}")


def _latin(path: str) -> str:
    """With %E9%80%9A for what has no byte of its own on the wire (RFC 3987 section 3.1): 通."""
    if path.isascii():
        return path
    return "".join(char if char < "\u0100" else quote(char, errors="replace") for char in path)


def split_userinfo(rest: str) -> tuple[str | None, str]:
    """What follows a scheme, as userinfo (None where there is none) and the rest."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    at = authority.rfind("@")
    if at == len(authority) - 1 and at >= 0:  # "u:p@/ss@host": no host there, so the password goes on
        at = rest.rfind("@")
    if at < 0 and "@" in rest and _DIGITS.fullmatch(authority.rpartition(":")[2]) is None and ":" in authority:
        at = rest.rfind("@")  # "admin:pa/ss@host": what looks like a port is none, so the password goes on
        if authority.startswith("["):
            at = -1
    if at < 0:
        return None, rest
    return rest[:at], rest[at + 1 :]


def _credentials(userinfo: str | None) -> Credentials | None:
    if not userinfo:
        return None
    username, _, password = userinfo.partition(":")
    return Credentials(*(unquote_to_bytes(part).decode("utf-8", "replace") for part in (username, password)))


def _host_and_port(scheme: str, authority: str) -> tuple[str, int]:
    if authority.startswith("["):
        host, closed, rest = authority[1:].partition("]")
        port = rest.removeprefix(":")
        if not closed or (rest and not rest.startswith(":")):
            raise UsageError("the IPv6 host of an address stands in brackets: rtsp://[2001:db8::1]:554/…")
    elif authority.count(":") > 1:  # go2rtc #208: unbracketed IPv6, which leaves no room for a port
        host, port = authority, ""
    else:
        host, _, port = authority.partition(":")
    if not host:
        raise UsageError("an address names a host: rtsp://HOST/…")
    if port and (_DIGITS.fullmatch(port) is None or not 0 < int(port) < 65536):
        raise UsageError(f"the port of an address is a number from 1 to 65535 (host {host})")
    canonical = _canonical(host)
    if not canonical:  # "." and "..": some resolvers take no name at all for this machine
        raise UsageError("an address names a host: rtsp://HOST/…")
    return canonical, int(port) if port else DEFAULT_PORTS[scheme]


@lru_cache(maxsize=32_768)  # hosts only, no secrets; a looker meets each of its own again and again
def _canonical(host: str) -> str:
    host = host.lower().rstrip(".")  # first: "::ffff:127.0.0.1." is one of those, too
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        return host
    return str(unmapped(literal))


def unmapped(address: IP) -> IP:
    """IPv4 in IPv6 clothes is IPv4, as the kernel connects to that."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address if mapped is None else mapped
