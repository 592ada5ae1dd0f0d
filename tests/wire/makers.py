"""What the tests of makers' habits share: a good look with one reply changed, and what it must come to."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from streamwatch.wire.conversation import Conversation
from tests.wire.camera import encode, frame, packetise, reply
from tests.wire.test_conversation import GOOD, talk

SIZE = (320, 240)  # of the look in test_conversation
STATED = (352, 232)  # of the pictures here, other than that one's
PICTURE = encode(*STATED)
SETS = tuple(unit for unit in PICTURE[0] if unit[0] & 0x1F in {7, 8})
BARE = [tuple(unit for unit in picture if unit[0] & 0x1F in {1, 5}) for picture in PICTURE]
H264 = "a=rtpmap:96 H264/90000"


def described(*lines: str, headers: Iterable[str] = (), end: str = "\r\n", cseq: int = 2) -> bytes:
    """The reply to DESCRIBE with these lines as its whole body, and Content-Type and Content-Length."""
    body = "\r\n".join(lines).encode("latin-1") + end.encode()
    return reply(cseq, "200 OK", "Content-Type: application/sdp", *headers, body=body)


def video(*lines: str, headers: Iterable[str] = (), end: str = "\r\n") -> bytes:
    """The same with a session of one video track."""
    head = ("v=0", "o=- 1 1 IN IP4 192.0.2.7", "s=x", "t=0 0", "m=video 0 RTP/AVP 96")
    return described(*head, *lines, headers=headers, end=end)


def sprop(*units: bytes) -> str:
    """An fmtp line with parameter sets."""
    return (
        f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={','.join(base64.b64encode(u).decode() for u in units)}"
    )


def media(*, payload_type: int = 96, channel: int = 0, bare: bool = False) -> bytes:
    """Keyframe and more of STATED size; bare: without parameter sets, so that the description's are used."""
    packets = packetise(BARE if bare else PICTURE)
    return b"".join(
        frame(packet[:1] + bytes((packet[1] & 0x80 | payload_type,)) + packet[2:], channel) for packet in packets
    )


def look(
    *,
    options: bytes = GOOD.options,
    describe: bytes = GOOD.describe,
    setup: bytes = GOOD.setup,
    play: bytes = GOOD.play,
    media: bytes = GOOD.media,
    **how: Any,
) -> tuple[Conversation, list[str]]:
    """A good look, but for what is given; `media` may be empty."""
    return talk(*filter(None, (options, describe, setup, play, media)), **how)


def seen(talked: Conversation, size: tuple[int, int] = SIZE) -> None:
    """The look ended with a whole keyframe of that size."""
    assert talked.failure is None
    assert talked.keyframe is not None and (talked.width, talked.height) == size


def asked(sent: list[str]) -> str:
    """What our SETUP asked for."""
    return next(text.split()[1] for text in sent if text.startswith("SETUP "))
