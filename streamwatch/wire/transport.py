"""Stage 3, wire: the Session and Transport headers of a SETUP reply (RFC 2326 sections 12.37 and 12.39)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

ASKED: Final = "RTP/AVP/TCP;unicast;interleaved=0-1"
ASKED_CHANNELS: Final = (0, 1)
DEFAULT_TIMEOUT_S: Final = 60  # RFC 2326 section 12.37
MIN_TIMEOUT_S: Final = 5  # "timeout=0" is seen; below this a keepalive would be a storm
MAX_TIMEOUT_S: Final = 3600

_CHANNELS = re.compile(r"\s*([0-9]{1,3})\s*(?:-\s*([0-9]{1,3}))?\s*")
_SESSION_ID = re.compile(r"[!-:<-~]{1,512}")  # RFC: 8 or more of a few characters; GStreamer's hold . - ~ _


class Session(NamedTuple):
    """A session id and for how long it lives without a word from us."""

    id: str
    timeout_s: int


def parse_session(value: str | None) -> Session | None:
    """A Session header, or None where there is none that can be repeated."""
    head, _, rest = (value or "").partition(";")
    if _SESSION_ID.fullmatch(head.strip()) is None:
        return None
    timeout = DEFAULT_TIMEOUT_S
    for parameter in rest.split(";"):
        name, _, text = parameter.partition("=")
        if name.strip().lower() == "timeout" and re.fullmatch(r"-?[0-9]{1,12}", text.strip()):
            timeout = int(text)
    return Session(head.strip(), min(max(timeout, MIN_TIMEOUT_S), MAX_TIMEOUT_S))


def parse_channels(value: str | None) -> tuple[int, int | None]:
    """The channels of RTP and RTCP in a Transport header; those that we asked for where it names none (h264dvr)."""
    for parameter in (value or "").split(";"):
        name, _, text = parameter.partition("=")
        found = _CHANNELS.fullmatch(text) if name.strip().lower() == "interleaved" else None
        if found and int(found[1]) <= 255:
            control = int(found[2]) if found[2] else int(found[1]) + 1
            return int(found[1]), control if control <= 255 else None
    return ASKED_CHANNELS
