"""What a farm takes of this machine: addresses, a port that is free on them, open files."""

from __future__ import annotations

import contextlib
import ipaddress
import resource
import socket

from streamwatch.errors import ConfigError, UsageError

FILES_A_DEVICE = 2  # its listener, and a session or the filler of a dead one
FILES_A_PAIR = 2  # ports of RTP and RTCP, while a session has its media as datagrams
WIDE_BACKLOG = 4096
FILES_BESIDE = 256  # the program's own, the control port, the cache


class Addresses:
    """The addresses of a network, by number. Raises UsageError where it is none."""

    def __init__(self, bind: str) -> None:
        try:
            network = ipaddress.IPv4Network(bind)
        except ValueError as error:
            raise UsageError(f"--bind {bind} is no IPv4 network such as 127.1.0.0/16: {error}") from None
        edges = 1 if network.prefixlen < 31 else 0  # the network's own address and the broadcast one (RFC 3021)
        self._first = int(network.network_address) + edges
        self._count = network.num_addresses - 2 * edges
        self.loopback = network.is_loopback

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> str:
        value = self._first + index
        return f"{value >> 24}.{value >> 16 & 255}.{value >> 8 & 255}.{value & 255}"

    def find(self, address: str) -> int:
        """Which one it is; out of range where it is none of them."""
        return int.from_bytes(socket.inet_aton(address), "big") - self._first


def free_port(address: str) -> int:
    """A port that nobody has on that address now. Raises ConfigError where the address is not ours."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            raise ConfigError(
                f"cannot bind {address} ({error.strerror}): Linux has all of 127.0.0.0/8, elsewhere add the addresses "
                "to an interface and name them by --bind"
            ) from error
        return int(probe.getsockname()[1])


def listens_wide(devices: int) -> bool:
    """Whether so many listeners would take more than half of the files that this process may open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return hard != resource.RLIM_INFINITY and devices * FILES_A_DEVICE + FILES_BESIDE > hard // 2


def wide_listener(port: int, *, loopback: bool) -> socket.socket:
    """A listener at all addresses, beside which one may have its own. Raises OSError where the port is taken."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as alone:
        alone.bind(("0.0.0.0", port))  # noqa: S104 - else nobody would say that others listen there already
        port = alone.getsockname()[1]
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.settimeout(0)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # its connections inherit it
        if loopback:
            with contextlib.suppress(OSError):  # a kernel before 5.7: the cameras are there for the whole network
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        listener.bind(("0.0.0.0", port))  # noqa: S104 - connections to addresses that are no camera's are closed
        listener.listen(WIDE_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def raise_file_limit(cameras: int, recorders: int, datagram_cameras: int, *, wide: bool) -> None:
    """Raises the soft limit of open files to what a farm needs; a wide one takes what it can get. Raises ConfigError
    where the hard one is below it."""
    need = (cameras + recorders) * FILES_A_DEVICE + datagram_cameras * FILES_A_PAIR + FILES_BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if wide and hard != resource.RLIM_INFINITY:
        need = min(need, hard)
    if soft == resource.RLIM_INFINITY or soft >= need:
        return
    if hard != resource.RLIM_INFINITY and hard < need:
        possible = max(0, int(cameras * (hard - FILES_BESIDE) / (need - FILES_BESIDE)))
        raise ConfigError(
            f"{cameras} cameras need {need} open files, the hard limit here is {hard}: raise it (ulimit -Hn, "
            f"LimitNOFILE=), simulate at most {possible} cameras, or let them share a listener (--wide)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))
