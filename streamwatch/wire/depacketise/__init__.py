"""Stage 3, wire: RTP payloads -> whole keyframes, one file a codec. A codec that is not in the table is not decoded."""

from __future__ import annotations

from typing import Final

from streamwatch.wire.depacketise.h264 import H264Depacketiser
from streamwatch.wire.depacketise.h265 import H265Depacketiser
from streamwatch.wire.depacketise.jpeg import JpegDepacketiser, JpegUnit
from streamwatch.wire.depacketise.pictures import KeyUnit, Pictures
from streamwatch.wire.depacketise.ps import PsDepacketiser

DEPACKETISERS: Final[dict[str, type[Pictures] | type[JpegDepacketiser] | type[PsDepacketiser]]] = {
    "h264": H264Depacketiser,
    "h265": H265Depacketiser,
    "mjpeg": JpegDepacketiser,
    "ps": PsDepacketiser,
}

__all__ = [
    "DEPACKETISERS",
    "H264Depacketiser",
    "H265Depacketiser",
    "JpegDepacketiser",
    "JpegUnit",
    "KeyUnit",
    "Pictures",
    "PsDepacketiser",
]
