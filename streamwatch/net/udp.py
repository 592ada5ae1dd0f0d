"""UDP to devices: a pair of ports for one session's RTP and RTCP (RFC 3550 section 11), and what our kernel dropped.

One keyframe is a burst of hundreds of datagrams. While our loop is busy elsewhere they wait in the socket's buffer, and
what does not fit there is lost by us, not by the camera: that is counted, and asked for before anybody is blamed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import struct
from collections.abc import Callable
from typing import Final

from streamwatch.errors import LookError, Reason, Step
from streamwatch.net.tcp import failure_of
from streamwatch.wire.url import unmapped

RECEIVE_BUFFER: Final = 2 * 2**20  # bytes: a 260 KB keyframe is 190 datagrams, each booked with about 2.3 KB: 428 KB
BATCH: Final = 64  # datagrams read in one turn of the loop: under 1 ms, then others have theirs
MAX_DATAGRAM: Final = 65_535  # bytes
PORT_TRIES: Final = 32  # for an even port whose successor is free as well: every second port is even

_SO_RCVBUFFORCE: Final = getattr(socket, "SO_RCVBUFFORCE", 33)  # Linux; needs CAP_NET_ADMIN
_SO_RXQ_OVFL: Final = 40  # Linux: each datagram tells how many were dropped before it
_SO_MEMINFO: Final = 55  # Linux 4.12: the same count at any time, also where no datagram follows
_MEMINFO: Final = struct.Struct("9I")
_MEMINFO_DROPS: Final = 8  # place of SK_MEMINFO_DROPS
_COUNT: Final = struct.Struct("I")

Take = Callable[[bytes, bool], None]  # a datagram, and whether it came to the RTCP port


class UdpPair:
    """Two bound sockets. Nothing is read before `listen`; `close` may be called more than once.

    `buffer_bytes` is what the kernel granted for RTP, as it counts: about 2.3 KB for a datagram of 1,400 bytes.
    """

    def __init__(self, rtp: socket.socket, rtcp: socket.socket) -> None:
        self._rtp = rtp
        self._rtcp = rtcp
        self.port = int(rtp.getsockname()[1])
        self.buffer_bytes = rtp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._take: Take | None = None
        self._senders: frozenset[str] = frozenset()
        self._other: Callable[[int], None] | None = None
        self.is_paused = False
        self._scratch = bytearray(MAX_DATAGRAM)
        self.told_dropped = 0  # by the datagrams that were read: may be behind `dropped`
        self.foreign = 0  # datagrams of others, ignored

    def listen(self, senders: frozenset[str], take: Take, other: Callable[[int], None] | None = None) -> None:
        """Gives what comes from those addresses, from whatever port: some devices do not send from `server_port`.

        `other` is told how many bytes each datagram of anybody else had.
        """
        self._senders = frozenset(map(_plain_ip, senders))
        self._take, self._other = take, other
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._add_readers(self._loop)

    def pause(self) -> None:
        """Reads nothing until `resume`: what comes waits in the kernel, as much as there is room for."""
        self.is_paused = True
        self._remove_readers()

    def resume(self) -> None:
        """Reads again, unless it is closed."""
        if self.is_paused and self._take is not None and self._loop is not None:
            self.is_paused = False
            self._add_readers(self._loop)

    def send(self, data: bytes, ip: str, port: int, *, control: bool) -> None:
        """Sends one datagram. What cannot be sent is lost, as datagrams are."""
        sender = self._rtcp if control else self._rtp
        with contextlib.suppress(OSError):
            sender.sendto(data, (ip, port))

    def dropped(self) -> int:
        """Datagrams that our kernel threw away because we did not read them in time. 0 where it does not say."""
        with contextlib.suppress(OSError, struct.error):
            told = self._rtp.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
            self.told_dropped = max(self.told_dropped, _MEMINFO.unpack(told)[_MEMINFO_DROPS])
        return self.told_dropped

    def close(self) -> None:
        """Closes both; what waits in them is let go."""
        self._remove_readers()
        for one in (self._rtp, self._rtcp):
            one.close()
        self._take = None

    def _add_readers(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.add_reader(self._rtp, self._read, self._rtp, False)  # noqa: FBT003 - add_reader has no keywords
        loop.add_reader(self._rtcp, self._read, self._rtcp, True)  # noqa: FBT003

    def _remove_readers(self) -> None:
        for one in (self._rtp, self._rtcp):
            if self._loop is not None and one.fileno() >= 0:
                self._loop.remove_reader(one)

    def _read(self, waiting: socket.socket, control: bool) -> None:  # noqa: FBT001 - called by the loop
        scratch = self._scratch
        view = memoryview(scratch)
        for _ in range(BATCH):
            if self._take is None or self.is_paused:  # by what was just taken
                return
            try:
                size, told, _, sender = waiting.recvmsg_into((scratch,), socket.CMSG_SPACE(_COUNT.size))
            except OSError:  # nothing more, or an ICMP error of something we sent
                return
            for level, kind, value in told:
                if level == socket.SOL_SOCKET and kind == _SO_RXQ_OVFL and not control:
                    self.told_dropped = max(self.told_dropped, _COUNT.unpack_from(value)[0])
            if _plain_ip(sender[0]) in self._senders:
                self._take(bytes(view[:size]), control)
            else:
                self.foreign += 1
                if self._other is not None:
                    self._other(size)


def open_pair(local_ip: str, *, buffer_bytes: int = RECEIVE_BUFFER) -> UdpPair:
    """An even port for RTP and the next one for RTCP, on the address that our connection to the device has.

    Raises LookError(ours.*): that it is not possible is never the device's fault.
    """
    ip, _, zone = local_ip.partition("%")
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    refused: OSError | None = None
    for _ in range(PORT_TRIES):
        try:
            rtp, rtcp = _bound_pair(family, local_ip if zone else ip)
        except OSError as error:
            refused = error
            continue
        _enlarge(rtp, buffer_bytes)
        with contextlib.suppress(OSError):
            rtp.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
        return UdpPair(rtp, rtcp)
    why = failure_of(refused, Step.SETUP).detail if refused is not None else "no two ports in a row are free"
    raise LookError(Reason.OURS_LIMIT, f"no pair of UDP ports on {ip}: {why}", step=Step.SETUP)


def _bound_pair(family: socket.AddressFamily, ip: str) -> tuple[socket.socket, socket.socket]:
    """One try. Raises OSError where the neighbour of the port that we were given is taken."""
    with contextlib.ExitStack() as opened:
        first = opened.enter_context(_socket(family))
        first.bind((ip, 0))
        port = int(first.getsockname()[1])
        second = opened.enter_context(_socket(family))
        second.bind((ip, port ^ 1))  # the other one of the pair whose first is even
        opened.pop_all()
    return (first, second) if port % 2 == 0 else (second, first)


def _socket(family: socket.AddressFamily) -> socket.socket:
    return socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)


def _enlarge(rtp: socket.socket, buffer_bytes: int) -> None:
    """Asks for the buffer; without privileges the kernel gives at most net.core.rmem_max, and says nothing."""
    try:
        rtp.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, buffer_bytes)
    except OSError:
        rtp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)


def _plain_ip(ip: str) -> str:
    """An address without zone, and IPv4 as such where a socket shows it mapped."""
    bare = ip.partition("%")[0]
    if ":" not in bare:
        return bare
    try:
        address = ipaddress.IPv6Address(bare)
    except ValueError:
        return bare
    return str(unmapped(address))
