"""How a session's RTP leaves: framed within its RTSP connection, or as datagrams from the camera's own address."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Protocol

from streamwatch.simulator.packets import Frame
from streamwatch.simulator.switchboard import Connection

MAX_UNSENT = 1 << 20  # bytes; 4 to 20 key frames: who reads no faster is cut, as a camera with little memory does
PAIR_TRIES = 8  # for an even port whose odd neighbour is free too (RFC 3550 section 11)
# Linux charges a datagram of ours with 2.3 KiB of the receiver's buffer, 208 KiB by default: about 90 of them. A reader
# that is 20 ms late finds 64 at this pace, which is still 36 Mbit/s.
BURST = 16
BURST_EVERY_S = 0.005
MAX_QUEUED = 2048  # datagrams, 2.9 MB: more than any frame here has; what comes beyond is lost, as in a full switch


class Carrier(Protocol):
    """A way out for one session's media."""

    datagrams: bool
    reply: str  # the Transport header of the reply to SETUP

    def send(self, frame: Frame, sequence: int, timestamp: int, ssrc: int, lost: Collection[int] = ()) -> bool:
        """Sends a frame without the packets of these indices. False: the peer must be cut."""
        ...

    def heard(self) -> bool:
        """Whether the peer has sent RTCP since this was last asked."""
        ...

    def close(self) -> None:
        """Sends no more and gives back what it holds."""
        ...


class Interleaved:
    """RFC 2326 section 10.12. One packet is one write, or one frame is where not `paced`."""

    datagrams = False

    def __init__(self, connection: Connection, channel: int, ssrc: int, *, paced: bool) -> None:
        self._connection = connection
        self._channel = channel
        self._paced = paced
        self.reply = f"RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1};ssrc={ssrc:08X}"

    def send(self, frame: Frame, sequence: int, timestamp: int, ssrc: int, lost: Collection[int] = ()) -> bool:
        """False where more than MAX_UNSENT bytes wait for a peer that does not read."""
        if self._connection.unsent > MAX_UNSENT:
            return False
        if not self._paced and not lost:
            self._connection.write(frame.stamped(self._channel, sequence, timestamp, ssrc))
            return True
        pieces: Sequence[memoryview] = frame.pieces(self._channel, sequence, timestamp, ssrc)
        if lost:
            pieces = [piece for index, piece in enumerate(pieces) if index not in lost]
        if self._paced:
            self._connection.write_each(pieces)
        else:
            self._connection.write(b"".join(pieces))
        return True

    def heard(self) -> bool:
        """RTCP comes within the connection, where the session hears it."""
        return False

    def close(self) -> None:
        """The connection is the session's; packets that wait are forgotten."""
        self._connection.forget()


class Datagrams:
    """RTP over UDP: a pair of ports of the camera's address, held from SETUP to the session's end; paced in bursts."""

    datagrams = True

    def __init__(self, address: str, peer: str, ports: tuple[int, int], profile: str, ssrc: int) -> None:
        """Raises OSError where no pair of ports, or no file descriptor, can be had."""
        self._rtp, self._rtcp = _pair(address)
        try:
            self._rtp.connect((peer, ports[0]))
        except OSError:
            self.close()
            raise
        self._queue: deque[memoryview | bytes] = deque()
        self._timer: asyncio.TimerHandle | None = None
        own = self._rtp.getsockname()[1]
        self.reply = f"{profile};unicast;client_port={ports[0]}-{ports[1]};server_port={own}-{own + 1};ssrc={ssrc:08X}"

    def send(self, frame: Frame, sequence: int, timestamp: int, ssrc: int, lost: Collection[int] = ()) -> bool:
        """The first burst leaves at once. Nobody knows whether a datagram arrives, so the peer is never cut."""
        if len(self._queue) + len(frame.starts) > MAX_QUEUED:
            return True
        for index, piece in enumerate(frame.pieces(0, sequence, timestamp, ssrc)):
            if index not in lost:
                self._queue.append(piece[4:])  # without the frame of TCP
        if self._timer is None:
            self._burst()
        return True

    def heard(self) -> bool:
        """Empties the RTCP port; what is in the reports is of no interest here."""
        heard = False
        with suppress(OSError):
            while self._rtcp.recv(1):
                heard = True
        return heard

    def close(self) -> None:
        """Closes both ports."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._rtp.close()
        self._rtcp.close()

    def _burst(self) -> None:
        queue = self._queue
        for _ in range(min(BURST, len(queue))):
            with suppress(OSError):  # a full buffer loses it, as a network does; a port that is closed answers by ICMP
                self._rtp.send(queue.popleft())
        self._timer = asyncio.get_running_loop().call_later(BURST_EVERY_S, self._burst) if queue else None


def _pair(address: str) -> tuple[socket.socket, socket.socket]:
    """Sockets for RTP and RTCP, the former's port even and the latter's the next. Raises OSError."""
    for attempt in range(PAIR_TRIES):
        found: list[socket.socket] = []
        try:
            for port in (0, None):
                one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
                found.append(one)
                one.bind((address, found[0].getsockname()[1] ^ 1 if port is None else port))
        except OSError:
            for one in found:
                one.close()
            if attempt + 1 == PAIR_TRIES or len(found) < 2:
                raise
            continue
        found.sort(key=lambda one: int(one.getsockname()[1]))
        return found[0], found[1]
    raise AssertionError("the loop returns or raises")
