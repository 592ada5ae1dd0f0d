"""Stage 3, wire: what is asked of one camera in one look."""

from __future__ import annotations

from dataclasses import dataclass

from streamwatch.model.look import Depth, Transport
from streamwatch.model.report import Credentials
from streamwatch.wire import bitstream


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked of one camera. Credentials within `url` serve where `credentials` is None; requests have none.

    `transport` tcp or udp is the only one that is tried; with auto `prefer` comes first, and then the other.
    """

    url: str
    depth: Depth
    credentials: Credentials | None = None
    allow_basic: bool = False
    max_pixels: int = bitstream.MAX_PIXELS
    user_agent: str = "streamwatch"
    transport: Transport = Transport.AUTO
    prefer: Transport = Transport.TCP
