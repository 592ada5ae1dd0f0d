"""Stage 3, wire: RTP payloads -> whole keyframes, one file a codec. A codec that is not in the table is not decoded."""

from __future__ import annotations

from typing import Final

from streamwatch.wire.depacketise.h264 import H264Depacketiser, KeyUnit

DEPACKETISERS: Final = {"h264": H264Depacketiser}

__all__ = ["DEPACKETISERS", "H264Depacketiser", "KeyUnit"]
