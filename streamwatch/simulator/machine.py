"""What a farm takes of this machine: addresses, a port that is free on them, open files."""

from __future__ import annotations

import contextlib
import ipaddress
import resource
import socket
from collections.abc import Iterator

from streamwatch.errors import ConfigError, UsageError

FILES_A_DEVICE = 2  # its listener, and a session or the filler of a dead one
FILES_A_PAIR = 2  # ports of RTP and RTCP, while a session has its media as datagrams
FILES_BESIDE = 256  # the program's own, the control port, the cache


def addresses(bind: str) -> Iterator[ipaddress.IPv4Address]:
    """The addresses of a network. Raises UsageError where it is none."""
    try:
        network = ipaddress.IPv4Network(bind)
    except ValueError as error:
        raise UsageError(f"--bind {bind} is no IPv4 network such as 127.1.0.0/16: {error}") from None
    return iter(network.hosts())


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


def raise_file_limit(cameras: int, recorders: int, datagram_cameras: int) -> None:
    """Raises the soft limit of open files to what a farm needs. Raises ConfigError where the hard one is below it."""
    need = (cameras + recorders) * FILES_A_DEVICE + datagram_cameras * FILES_A_PAIR + FILES_BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= need:
        return
    if hard != resource.RLIM_INFINITY and hard < need:
        possible = max(0, int(cameras * (hard - FILES_BESIDE) / (need - FILES_BESIDE)))
        raise ConfigError(
            f"{cameras} cameras need {need} open files, the hard limit here is {hard}: raise it (ulimit -Hn, "
            f"LimitNOFILE=) or simulate at most {possible} cameras"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))
