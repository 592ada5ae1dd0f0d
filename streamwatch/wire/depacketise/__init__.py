"""Stage 3, wire: RTP payloads -> whole keyframes, one file a codec. A codec that is not in the table is not decoded."""

from __future__ import annotations

from typing import Final

from streamwatch.wire.depacketise.h264 import H264Depacketiser, KeyUnit
from streamwatch.wire.depacketise.jpeg import JpegDepacketiser, JpegUnit

DEPACKETISERS: Final[dict[str, type[H264Depacketiser] | type[JpegDepacketiser]]] = {
    "h264": H264Depacketiser,
    "mjpeg": JpegDepacketiser,
}

__all__ = ["DEPACKETISERS", "H264Depacketiser", "JpegDepacketiser", "JpegUnit", "KeyUnit"]
