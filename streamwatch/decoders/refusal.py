"""Stage 4, in the worker: what is told in the same words wherever a decoder refuses."""

from __future__ import annotations

from typing import Final

from streamwatch.errors import LookError, Reason, Step

MAX_SAID: Final = 120  # characters of what FFmpeg says


def too_large(width: int, height: int, max_pixels: int, advice: str = "") -> LookError:
    """A picture over the limit; `advice` follows it."""
    detail = f"{width}x{height} is over the limit of {max_pixels} pixels{advice}"
    return LookError(Reason.MEDIA_TOO_LARGE, detail, step=Step.DECODE)


def said(error: Exception) -> str:
    """FFmpeg's own words, without the place in its code."""
    return str(getattr(error, "strerror", None) or error)[:MAX_SAID]
