"""Stage 3, wire: what is asked of one camera in one look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from streamwatch.model.look import Depth, Transport
from streamwatch.model.report import Credentials
from streamwatch.wire import bitstream

if TYPE_CHECKING:
    from streamwatch.wire.warm import Warm

KEYFRAME_S: Final = 10.0  # for a camera that nothing is known of: four keyframe intervals of most
MAX_MEDIA_BYTES: Final = 8 * 2**20  # without a keyframe: 20 s of 3 Mbit/s, longer than most intervals of keyframes


class Ask(msgspec.Struct, frozen=True):
    """What is asked of one camera. Credentials within `url` serve where `credentials` is None; requests have none.

    `transport` tcp or udp is the only one that is tried; with auto `prefer` comes first, and then the other.
    `keyframe_s` from the answer to PLAY on, and `max_media_bytes`, are how long and how much media may flow without a
    keyframe: the camera's own, as smart codecs send one in 10 to 40 s. `withheld` credentials are known to be refused,
    and are not sent: a device that asks for them ends the look. `warm` is what an earlier look at the same address, as
    the same user, learnt (`Heard.warm`): this one begins with SETUP then, and anew with OPTIONS where that fails.
    """

    url: str
    depth: Depth
    credentials: Credentials | None = None
    allow_basic: bool = False
    max_pixels: int = bitstream.MAX_PIXELS
    user_agent: str = "streamwatch"
    transport: Transport = Transport.AUTO
    prefer: Transport = Transport.TCP
    keyframe_s: float = KEYFRAME_S
    max_media_bytes: int = MAX_MEDIA_BYTES
    withheld: bool = False
    warm: Warm | None = None
    refused: int = 0  # answers to challenges that this look has seen refused before, in another conversation
