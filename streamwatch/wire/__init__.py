"""The protocol alone, sans-IO: bytes in, events out; no sockets, no clock, no threads, no asyncio.

Public are the names of `__all__`; everything else in this package may change at any time. What they promise:

- Nothing here waits, reads the time or opens anything. Whoever calls moves the bytes, and says what time it is
  (seconds of a monotonic clock).
- What a peer sends never raises out of a `Conversation`: it ends in `keyframe`, or in `failure`, which has a reason,
  the step at which it stopped, and a sentence. The parsers by themselves raise `LookError` with the reason, and
  `parse_sps` ValueError. `UsageError` is for an address that cannot be used. Any other exception is a defect here.
- Everything is bounded: lines, headers, bodies, packets, pictures. A peer can cost at most some megabytes.
- Framing does not depend on how the bytes were cut.
- Credentials leave only in an Authorization header to the host they belong to, never by Basic unless that is allowed,
  and are in no `repr`.

From the whole to its parts: `Conversation` (one look at one camera), `RtspParser` (messages and interleaved packets),
`parse_sdp` and `pick_video`, `parse_rtp` and `SequenceTracker`, `DEPACKETISERS` (packets to key pictures), `parse_sps`.
docs/library.md drives a Conversation over a plain socket in thirty lines.
"""

from __future__ import annotations

from streamwatch.errors import LookError, LookFailure, Reason, Step, UsageError
from streamwatch.model.look import Depth, Transport
from streamwatch.model.report import Credentials
from streamwatch.wire.ask import Ask
from streamwatch.wire.auth import Authenticator
from streamwatch.wire.bitstream import Sps, parse_sps, split_annex_b
from streamwatch.wire.conversation import Conversation
from streamwatch.wire.depacketise import (
    DEPACKETISERS,
    H264Depacketiser,
    H265Depacketiser,
    JpegDepacketiser,
    JpegUnit,
    KeyUnit,
)
from streamwatch.wire.media import Keyframe
from streamwatch.wire.redaction import masked_url
from streamwatch.wire.rtp import Order, RtpPacket, SequenceTracker, parse_rtp
from streamwatch.wire.rtsp import Closed, Headers, Interleaved, Request, Response, RtspParser, serialise
from streamwatch.wire.sdp import SessionDescription, VideoTrack, parse_sdp, pick_video
from streamwatch.wire.upkeep import Datagram
from streamwatch.wire.url import Address, Origin, parse_address

__all__ = [
    "DEPACKETISERS",
    "Address",
    "Ask",
    "Authenticator",
    "Closed",
    "Conversation",
    "Credentials",
    "Datagram",
    "Depth",
    "H264Depacketiser",
    "H265Depacketiser",
    "Headers",
    "Interleaved",
    "JpegDepacketiser",
    "JpegUnit",
    "KeyUnit",
    "Keyframe",
    "LookError",
    "LookFailure",
    "Order",
    "Origin",
    "Reason",
    "Request",
    "Response",
    "RtpPacket",
    "RtspParser",
    "SequenceTracker",
    "SessionDescription",
    "Sps",
    "Step",
    "Transport",
    "UsageError",
    "VideoTrack",
    "masked_url",
    "parse_address",
    "parse_rtp",
    "parse_sdp",
    "parse_sps",
    "pick_video",
    "serialise",
    "split_annex_b",
]
