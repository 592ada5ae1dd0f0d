"""Which transports a simulated camera serves, and how a farm deals them out."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

UNSUPPORTED = 461  # RFC 2326 section 11.3.14, and what VLC says to an interleaved SETUP
BAD_REQUEST = 400  # what other servers say instead


class Serves(StrEnum):
    """How media may be asked for."""

    TCP = "tcp"  # interleaved in the RTSP connection only
    BOTH = "both"
    UDP = "udp"  # datagrams only


@dataclass(frozen=True, slots=True)
class Carriage:
    """What a camera serves; `refusal` is its status for the transport that it does not."""

    serves: Serves = Serves.TCP
    refusal: int = UNSUPPORTED

    @property
    def tcp(self) -> bool:
        """Whether it serves interleaved media."""
        return self.serves is not Serves.UDP

    @property
    def udp(self) -> bool:
        """Whether it serves datagrams."""
        return self.serves is not Serves.TCP


def deal(count: int, udp: float, both: float, rng: random.Random) -> list[Carriage]:
    """One carriage for each of `count` cameras: these shares of them, rounded down, serve UDP only, or both.

    The first cameras, those of one village, are among the UDP-only ones; every other of these refuses TCP with 400.
    """
    out = [Carriage()] * count
    udp_only, either = int(count * udp), int(count * both)
    order = [*range(min(2, udp_only)), *rng.sample(range(min(2, udp_only), count), count - min(2, udp_only))]
    for turn, index in enumerate(order[:udp_only]):
        out[index] = Carriage(Serves.UDP, BAD_REQUEST if turn % 2 else UNSUPPORTED)
    for index in order[udp_only : udp_only + either]:
        out[index] = Carriage(Serves.BOTH)
    return out
