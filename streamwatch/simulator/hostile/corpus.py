"""The table of all hostilities, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from streamwatch.simulator.hostile import auth, codecs, redirects, rtp, rtsp, sdp, sessions, tls, transport, units
from streamwatch.simulator.hostile.stage import Hostility

THEMES: Final = (transport, rtsp, sessions, redirects, auth, tls, sdp, rtp, codecs, units)
CORPUS: Final[Mapping[str, Hostility]] = MappingProxyType(
    {one.name: one for theme in THEMES for one in theme.HOSTILITIES}
)
PLAIN: Final = tuple(
    one for one in CORPUS.values() if one.scheme == "rtsp"
)  # what a camera with an rtsp:// address can do
