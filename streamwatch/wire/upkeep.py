"""Stage 3, wire: what an open session wants to hear from us, and when: keepalives, and over UDP the way back.

A session ends without them at its own timeout, 60 s where none is given (RFC 2326 section 12.37).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from streamwatch.wire import rtcp
from streamwatch.wire.feedback import Feedback

KEEPALIVE: Final = "GET_PARAMETER"
KEEPALIVE_PLAIN: Final = "OPTIONS"  # known to every device; old rtsp-simple-server closes on methods it does not know
HALF: Final = 0.5  # of the session's timeout: a lost keepalive leaves time for another


class Datagram(NamedTuple):
    """One to send to the device's own address."""

    port: int
    data: bytes
    control: bool = False  # from our RTCP port, else from our RTP port


class Upkeep:
    """Times in seconds, monotonic. `public` are the methods that the device knows."""

    __slots__ = ("_keepalive_at", "_public", "_refused", "_timeout_s", "ports")

    def __init__(self, public: list[str]) -> None:
        self.ports: tuple[int, int] | None = None  # the device's for RTP and RTCP, over UDP
        self._public = public
        self._refused = False
        self._timeout_s = 0.0
        self._keepalive_at: float | None = None

    @property
    def method(self) -> str:
        """The keepalive: what the device's Public says that it knows."""
        known = {method.strip().upper() for methods in self._public for method in methods.split(",")}
        return KEEPALIVE if KEEPALIVE in known and not self._refused else KEEPALIVE_PLAIN

    @property
    def due(self) -> float | None:
        """When a keepalive is to be sent next."""
        return self._keepalive_at

    def opened(self, ports: tuple[int, int] | None, feedback: Feedback) -> list[Datagram]:
        """A session over UDP is set up. What goes out now opens the way back through NAT and firewalls.

        A header without media, and a report without receptions: what no server can take for anything else.
        """
        self.ports = ports
        if ports is None:
            return []
        hole = b"\x80\x00" + bytes(6) + feedback.ssrc.to_bytes(4, "big")
        return [Datagram(ports[0], hole), Datagram(ports[1], rtcp.receiver_report(feedback.ssrc), control=True)]

    def playing(self, timeout_s: float, now: float, feedback: Feedback) -> list[Datagram]:
        """PLAY is answered. The way is opened once more, as datagrams get lost."""
        self._timeout_s = timeout_s
        self.heard_from_us(now)
        return self.opened(self.ports, feedback)

    def heard_from_us(self, now: float) -> None:
        """A request left."""
        self._keepalive_at = now + self._timeout_s * HALF

    def keepalive_due(self, now: float) -> bool:
        """Whether it is time to send `method`."""
        return self._keepalive_at is not None and now >= self._keepalive_at

    def refused(self) -> None:
        """The device does not know `method`."""
        self._refused = True

    def stop(self) -> None:
        """No more keepalives: the device answers them with a challenge that we cannot meet."""
        self._keepalive_at = None
        self._timeout_s = float("inf")
