"""Stage 3, wire: where a device sends us on to (RFC 2326 sections 10.10 and 11.3), and whether we go there.

Only to the host whose address was asked for, at most MAX_HOPS times, never in a circle, and never from TLS to none:
whoever can answer in a camera's name could else have us knock at any door, or read what TLS was to hide.
"""

from __future__ import annotations

import re
from typing import Final

from streamwatch.errors import LookError, Reason, UsageError
from streamwatch.wire.url import Address, Origin, is_absolute, parse_address, split_userinfo
from streamwatch.wire.words import plain

MAX_HOPS: Final = 2  # of one look: a recorder sends to its channel's server, and that one to TLS
MAX_SHOWN: Final = 100  # characters of a host in a sentence

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class Route:
    """Whom one look talks to: the address asked for, and those that it was sent on to."""

    __slots__ = ("_home", "_seen", "address")

    def __init__(self, address: Address) -> None:
        self.address = address
        self._home = address.origin
        self._seen = [(address.origin, address.path)]

    @property
    def away(self) -> bool:
        """Whether we are with somebody whom no password of ours belongs to: another port, or another scheme."""
        return self.address.origin != self._home

    @property
    def told(self) -> str:
        """How a sentence about what happens here begins: with where we were sent, if we were."""
        return f"sent on to {_place(self.address.origin)}: " if len(self._seen) > 1 else ""

    def follow(self, location: str | None, who: str) -> None:
        """`who` ("DESCRIBE") was sent on to `location`: from now on `address` is that.

        An address without scheme and host is one of the host that said so, as in HTTP (RFC 7231 section 7.1.2).
        Raises LookError(rtsp.redirect), which names where it leads and what to do, where we do not go there.
        """
        text = (location or "").strip()
        if not text:
            raise _refused(f"{who} was sent on to nowhere: the answer has no Location")
        shown = _shown(text)
        try:
            address = parse_address(self._absolute(text))
        except UsageError as error:
            raise _refused(f"{who} was sent on to {shown}, which cannot be used: {error}") from None
        origin, home = address.origin, self._home
        if origin.host != home.host:
            raise _refused(
                f"{who} was sent on to {shown}, and this camera's host is {home.host[:MAX_SHOWN]}: "
                "register that address if it is the camera's"
            )
        if (origin, address.path) in self._seen:
            raise _refused(f"{who} was sent on to {shown}, from where it came: the device sends us in a circle")
        if origin.scheme != "rtsps" and "rtsps" in (home.scheme, self.address.origin.scheme):
            raise _refused(
                f"{who} was sent on from TLS to {shown}, which has none: register that address if that is meant"
            )
        if len(self._seen) > MAX_HOPS:
            raise _refused(f"{who} was sent on to {shown}, once more after {MAX_HOPS} times: register where it ends")
        self._seen.append((origin, address.path))
        self.address = Address(origin, address.path, None, address.url)  # a device has no password to give us

    def locked(self) -> LookError:
        """The place that we were sent to asks for a password."""
        place, home = self.address.origin, self._home
        return _refused(
            f"the device sent us on to {_place(place)}, which asks for a password, and ours belongs to "
            f"{_place(home)}: register the new address if it is the camera's"
        )

    def _absolute(self, text: str) -> str:
        if is_absolute(text):
            return text
        origin, path = self.address.origin, self.address.path
        if text.startswith("//"):
            return f"{origin.scheme}:{text}"
        if _SCHEME.match(text):
            return text  # "file:/etc/passwd": parse_address refuses it by its name
        if not text.startswith("/"):
            text = re.split(r"[?#]", path, maxsplit=1)[0].rpartition("/")[0] + "/" + text
        return f"{origin.scheme}://{origin.authority}{text}"


def _place(origin: Origin) -> str:
    return f"{origin.scheme}://{plain(origin.host)[:MAX_SHOWN]}:{origin.port}"


def _shown(location: str) -> str:
    """Where it leads, without path and credentials."""
    scheme, found, rest = location.partition("://")
    if not found:
        return "another place on the same host" if not _SCHEME.match(location) else plain(location.partition(":")[0])
    host = re.split(r"[/?#]", split_userinfo(rest)[1], maxsplit=1)[0]
    return f"{plain(scheme)[:16]}://{plain(host)[:MAX_SHOWN]}"


def _refused(detail: str) -> LookError:
    return LookError(Reason.RTSP_REDIRECT, detail)
