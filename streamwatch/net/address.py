"""From a URL to the one address we connect to: resolved once, checked after resolution, connected by that address.

Whom a look may go to is known before it starts: the host that an editor registered. So the guard of a look lets
through nobody else, and nothing that a device says makes it ask the resolver again.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterator
from typing import Final

import msgspec

from streamwatch.errors import LookError, Reason, Step
from streamwatch.wire.url import IP, parse_address, unmapped

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """CIDR texts as networks. Raises ValueError naming the text."""
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


# No setting opens these: nobody has such an address. 0.0.0.0 is this machine to Linux (RFC 1122 section 3.2.1.3).
_NOBODY: Final = parse_networks(("0.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32", "::/128", "ff00::/8"))
# Where a request of ours tells secrets or gives orders, and no camera is: only look.allow_networks opens them.
_METADATA: Final = parse_networks(("169.254.169.254/32", "100.100.100.200/32", "fd00:ec2::254/128"))
_LINK_LOCAL: Final = parse_networks(("169.254.0.0/16", "fe80::/10"))
_LOOPBACK: Final = parse_networks(("127.0.0.0/8", "::1/128"))

# IPv6 prefixes whose last 32 bits are an IPv4 address: IPv4-compatible (RFC 4291 section 2.5.5.1), translated (RFC 2765
# section 2.1), NAT64 (RFC 6052 section 2.1, RFC 8215).
_ENDING_IN_IPV4: Final = parse_networks(("::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48"))
# First octets of IPv4 that need a second look; all others are a camera's, where look.allow_networks says nothing else.
_SPECIAL: Final = frozenset(
    octet
    for network in (*_NOBODY, *_METADATA, *_LINK_LOCAL)
    if network.version == 4
    for octet in range(int(network[0]) >> 24, (int(network[-1]) >> 24) + 1)
)
_ISATAP: Final = (0x00005EFE, 0x02005EFE)  # RFC 5214 section 6.1: these 32 bits and an IPv4 address


class Target(msgspec.Struct, frozen=True, gc=False):
    """Whom a URL names."""

    host: str
    port: int
    tls: bool = False


class Address(msgspec.Struct, frozen=True, gc=False):
    """A resolved target: an IP literal that passed the guard."""

    ip: str
    port: int
    family: socket.AddressFamily


class Guard(msgspec.Struct, frozen=True):
    """Where looks may go. `networks`, where there are any, hold for everybody (look.allow_networks).

    An address in figures is registered, and by itself allowed: an editor wrote it. A name says what its owner wants,
    and so does a device: neither leads to this machine, nor to addresses that only the link or a cloud knows, unless a
    network within that range is in `networks`. 0.0.0.0/0 opens none of them.

    `typed`: the address comes from the person at this machine's own command line, whose name may mean this machine.
    """

    networks: tuple[Network, ...] = ()
    typed: bool = False

    def check(self, ip: str, *, registered: bool = False) -> None:
        """Raises LookError(ours.limit) for an address that no look may go to, ValueError where it is no address.

        `registered` where the address itself stands in the inventory; else it is what a name or a device says.
        """
        if why := self._why_not(unmapped(ipaddress.ip_address(ip)), registered=registered):
            raise _refused(f"{ip} {why}")

    def known(self, target: Target) -> Address | None:
        """What `resolve` gives, where that is an ordinary IPv4 address in figures, as of most cameras; else None."""
        try:
            packed = socket.inet_pton(socket.AF_INET, target.host)
        except (OSError, ValueError):
            return None
        if packed[0] in _SPECIAL:
            return None
        if self.networks:
            literal = ipaddress.IPv4Address(packed)
            if not any(literal in network for network in self.networks):
                return None
        return Address(target.host, target.port, socket.AF_INET)

    async def resolve(self, target: Target) -> Address:
        """The first address of `target` that may be connected to. Raises LookError(net.name or ours.limit).

        Only what `ipaddress` takes for an address is one in figures. All other spellings (0x7f000001, 2130706433,
        0177.0.0.1, 127.1, full-width digits) are names: what the resolver makes of them is checked.
        """
        try:
            literal = ipaddress.ip_address(target.host)
        except ValueError:
            return await self._resolve_name(target)
        self.check(str(literal), registered=True)
        family = socket.AF_INET if literal.version == 4 else socket.AF_INET6
        return Address(str(literal), target.port, family)

    async def _resolve_name(self, target: Target) -> Address:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise _nameless(f"the name {target.host!r} has no address: {reason}") from None
        refused: LookError | None = None
        for family, _, _, _, sockaddr in found:
            ip = str(sockaddr[0])
            why = self._why_not(unmapped(ipaddress.ip_address(ip)), registered=self.typed)
            if why is None:
                return Address(ip, target.port, family)
            refused = refused or _refused(f"the name {target.host!r} leads to {ip}, which {why}")
        raise refused or _nameless(f"the name {target.host!r} has no address")

    def for_look(self, url: str) -> Guard:
        """The guard of one look at the camera of `url`. Raises UsageError where that is no address."""
        return _LookGuard(self.networks, self.typed, parse_address(url).origin.host)

    def _why_not(self, address: IP, *, registered: bool) -> str | None:
        """What is against it, as the end of a sentence."""
        if _within(address, _NOBODY):
            return "is not an address that a camera can have"
        naming = [network for network in self.networks if address in network]
        for ranges, what in ((_METADATA, "is a cloud's metadata service"), (_LINK_LOCAL, "is a link-local address")):
            if (special := _within(address, ranges)) and not _named(special, naming):
                return f"{what}: looks go there only where look.allow_networks has {special} or a part of it"
        if (special := _within(address, _LOOPBACK)) and not registered and not _named(special, naming):
            return (
                "is this machine itself: register a camera that is here by that address, or name "
                f"{special} in look.allow_networks, together with the networks of all other cameras"
            )
        for inner in _inside(address):
            if _within(inner, (*_NOBODY, *_METADATA, *_LINK_LOCAL, *_LOOPBACK)):
                return f"is {inner} in other clothes"
        if self.networks and not naming:
            return "is outside look.allow_networks: add its network there if the camera is yours"
        return None


class _LookGuard(Guard, frozen=True, eq=False):
    """For one look: nobody but the registered host, and that by the very address that it had at the first dial.

    A name that changes its address within a look (DNS rebinding), a redirect, and a second dial by another transport
    all come to the same machine.
    """

    host: str = ""
    _first: list[Address] = msgspec.field(default_factory=list)

    def known(self, target: Target) -> Address | None:
        if target.host != self.host:
            return None
        if self._first:
            first = self._first[0]
            return first if first.port == target.port else Address(first.ip, target.port, first.family)
        found = Guard.known(self, target)
        if found is not None:
            self._first.append(found)
        return found

    async def resolve(self, target: Target) -> Address:
        if target.host != self.host:
            raise LookError(
                Reason.RTSP_REDIRECT, f"a look at {self.host} does not go on to {target.host}", step=Step.CONNECT
            )
        if not self._first:
            self._first.append(await Guard.resolve(self, target))
        return msgspec.structs.replace(self._first[0], port=target.port)


def target_of(url: str) -> Target:
    """Whom an rtsp:// or rtsps:// URL names. Raises UsageError that says what is wrong, never showing credentials."""
    origin = parse_address(url).origin
    return Target(origin.host, origin.port, tls=origin.scheme == "rtsps")


async def resolve(target: Target, guard: Guard) -> Address:
    """The address of `target` that the guard lets through. Raises LookError(net.name or ours.limit)."""
    return await guard.resolve(target)


def _inside(address: IP) -> Iterator[ipaddress.IPv4Address]:
    """IPv4 addresses that a gateway would take out of an IPv6 address."""
    if address.version == 4:
        return
    number = int(address)
    if number > 1 and _within(address, _ENDING_IN_IPV4):
        yield ipaddress.IPv4Address(number & 0xFFFFFFFF)
    if number >> 32 & 0xFFFFFFFF in _ISATAP:
        yield ipaddress.IPv4Address(number & 0xFFFFFFFF)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo


def _within(address: IP, ranges: tuple[Network, ...]) -> Network | None:
    return next((network for network in ranges if address in network), None)


def _named(special: Network, networks: list[Network]) -> bool:
    """Whether one of these networks, which all hold the address, means that range and no larger one."""
    return any(network.prefixlen >= special.prefixlen for network in networks)


def _refused(detail: str) -> LookError:
    return LookError(Reason.OURS_LIMIT, detail, step=Step.CONNECT)


def _nameless(detail: str) -> LookError:
    return LookError(Reason.NET_NAME, detail, step=Step.CONNECT)
