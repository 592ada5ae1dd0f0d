"""How a farm's streams are encoded, and which of them it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

FPS: Final = 5
GOP_FRAMES: Final = 10  # 2 s
QP: Final = 29  # of P frames; libx264's default ip ratio makes that about 26 for key frames
SIZES: Final[Mapping[str, str]] = MappingProxyType({"360p": "sub", "720p": "main", "1080p": "full"})
DEFAULT_SIZES: Final = ("360p", "720p")
MIN_QP, MAX_QP = 10, 51  # below that a key frame of 1080 lines is larger than any camera's
MAX_FPS, MAX_GOP_FRAMES = 60, 600
MIN_KBPS, MAX_KBPS = 100, 40_000
# Of the rate of `main`: what makers set for these sizes.
_SHARE: Final[Mapping[str, float]] = MappingProxyType({"sub": 0.25, "main": 1.0, "full": 2.0})


@dataclass(frozen=True, slots=True)
class Profile:
    """`fps` pictures a second, a key frame every `gop_frames` of them. With one quantiser `qp` for all pictures, or,
    where `kbps` is given, at about that rate (of the 720p stream; a quarter of it at 360p, twice at 1080p)."""

    fps: int = FPS
    gop_frames: int = GOP_FRAMES
    qp: int = QP
    kbps: int | None = None

    @property
    def tag(self) -> str:
        """What tells its clips from those of others in the cache; nothing for the ordinary profile."""
        if self == ORDINARY:
            return ""
        return f"-f{self.fps}g{self.gop_frames}" + (f"q{self.qp}" if self.kbps is None else f"k{self.kbps}")

    @property
    def lengthy(self) -> bool:
        """Whether a loop has so many pictures that it is made shorter, and only rendered where it is asked for."""
        return self.gop_frames > 2 * GOP_FRAMES

    def kbps_of(self, stream: str) -> int | None:
        """The rate of one of the streams."""
        return None if self.kbps is None else round(self.kbps * _SHARE[stream])


ORDINARY: Final = Profile()
