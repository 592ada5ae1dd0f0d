"""From a URL to the one address we connect to: resolved once, checked after resolution, connected by that address."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass

from streamwatch.errors import LookError, Reason, Step, UsageError
from streamwatch.wire.url import parse_address

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a URL names."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Address:
    """A resolved target: an IP literal that passed the guard."""

    ip: str
    port: int
    family: socket.AddressFamily


@dataclass(frozen=True, slots=True)
class Guard:
    """Where looks may go at all. Empty `networks` allows every unicast address but the cloud's metadata service."""

    networks: tuple[Network, ...] = ()

    def check(self, ip: str) -> None:
        """Raises LookError(ours.limit) for an address that no look may be sent to."""
        address = ipaddress.ip_address(ip)
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if address.is_multicast or address.is_unspecified or address.is_link_local:
            raise LookError(Reason.OURS_LIMIT, f"{address} is not an address that a camera can have", step=Step.CONNECT)
        if self.networks and not any(address in network for network in self.networks):
            raise LookError(
                Reason.OURS_LIMIT,
                f"{address} is outside look.allow_networks: add its network there if the camera is yours",
                step=Step.CONNECT,
            )


def parse_networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """CIDR texts as networks. Raises ValueError naming the text."""
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def target_of(url: str) -> Target:
    """Host and port of an rtsp:// URL. Raises UsageError that says what is wrong with it, never showing credentials."""
    origin = parse_address(url).origin
    if origin.scheme != "rtsp":
        raise UsageError(f"the scheme is {origin.scheme}: this version speaks rtsp:// over TCP")
    return Target(origin.host, origin.port)


async def resolve(target: Target, guard: Guard) -> Address:
    """The first address of `target` that the guard lets through. Raises LookError(net.name or ours.limit)."""
    try:
        literal = ipaddress.ip_address(target.host)
    except ValueError:
        literal = None
    if literal is not None:
        guard.check(str(literal))
        family = socket.AF_INET if literal.version == 4 else socket.AF_INET6
        return Address(str(literal), target.port, family)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LookError(
            Reason.NET_NAME, f"the name {target.host!r} has no address: {reason}", step=Step.CONNECT
        ) from None
    refused: LookError | None = None
    for family, _, _, _, sockaddr in found:
        ip = str(sockaddr[0])
        try:
            guard.check(ip)
        except LookError as error:
            refused = error
            continue
        return Address(ip, target.port, family)
    raise refused or LookError(Reason.NET_NAME, f"the name {target.host!r} has no address", step=Step.CONNECT)
