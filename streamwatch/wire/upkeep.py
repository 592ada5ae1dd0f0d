"""Stage 3, wire: what an open session wants to hear from us, and when: keepalives, and over UDP receiver reports.

A session ends without them at its own timeout, 60 s where none is given (RFC 2326 section 12.37).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple
from zlib import crc32

from streamwatch.wire import rtcp

KEEPALIVE: Final = "GET_PARAMETER"
KEEPALIVE_PLAIN: Final = "OPTIONS"  # known to every device; old rtsp-simple-server closes on methods it does not know
HALF: Final = 0.5  # of the session's timeout: a lost keepalive leaves time for another


class Datagram(NamedTuple):
    """One to send to the device's own address."""

    port: int
    data: bytes
    control: bool = False  # from our RTCP port, else from our RTP port


class Upkeep:
    """Times in seconds, monotonic. `public` are the methods that the device knows; `name` gives a random text."""

    __slots__ = ("_keepalive_at", "_name", "_ports", "_public", "_refused", "_report_at", "_ssrc", "_timeout_s")

    def __init__(self, public: list[str], name: Callable[[], str]) -> None:
        self._public = public
        self._refused = False
        self._name = name
        self._ssrc = 0  # ours, once there is somebody to report to
        self._timeout_s = 0.0
        self._ports: tuple[int, int] | None = None
        self._keepalive_at: float | None = None
        self._report_at: float | None = None

    @property
    def method(self) -> str:
        """The keepalive: what the device's Public says that it knows."""
        known = {method.strip().upper() for methods in self._public for method in methods.split(",")}
        return KEEPALIVE if KEEPALIVE in known and not self._refused else KEEPALIVE_PLAIN

    @property
    def due(self) -> float | None:
        """When something is to be sent next."""
        keepalive, report = self._keepalive_at, self._report_at
        if keepalive is None or report is None:
            return keepalive if report is None else report
        return min(keepalive, report)

    def opened(self, ports: tuple[int, int] | None) -> list[Datagram]:
        """A session over UDP is set up. What goes out now opens the way back through NAT and firewalls.

        A header without media, and a report without receptions: what no server can take for anything else.
        """
        self._ports = ports
        if ports is None:
            return []
        self._ssrc = self._ssrc or crc32(self._name().encode())
        hole = b"\x80\x00" + bytes(6) + self._ssrc.to_bytes(4, "big")
        return [Datagram(ports[0], hole), Datagram(ports[1], rtcp.receiver_report(self._ssrc), control=True)]

    def playing(self, timeout_s: float, now: float) -> list[Datagram]:
        """PLAY is answered. The way is opened once more, as datagrams get lost."""
        self._timeout_s = timeout_s
        self.heard_from_us(now)
        if self._ports is not None:
            self._report_at = now + rtcp.REPORT_INTERVAL_S
        return self.opened(self._ports)

    def heard_from_us(self, now: float) -> None:
        """A request left."""
        self._keepalive_at = now + self._timeout_s * HALF

    def keepalive_due(self, now: float) -> bool:
        """Whether it is time to send `method`."""
        return self._keepalive_at is not None and now >= self._keepalive_at

    def reports(self, now: float) -> list[Datagram]:
        """The report that is due, if one is."""
        if self._report_at is None or self._ports is None or now < self._report_at:
            return []
        self._report_at = now + rtcp.REPORT_INTERVAL_S
        return [Datagram(self._ports[1], rtcp.receiver_report(self._ssrc), control=True)]

    def refused(self) -> None:
        """The device does not know `method`."""
        self._refused = True

    def stop(self) -> None:
        """No more keepalives: the device answers them with a challenge that we cannot meet."""
        self._keepalive_at = None
        self._timeout_s = float("inf")
