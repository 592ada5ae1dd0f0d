"""Stage 3, wire: what it means that no media came, or no keyframe, and whose doing that is."""

from __future__ import annotations

from typing import Final

from streamwatch.errors import LookError, Reason
from streamwatch.wire.media import Media

_LOST_TO_US: Final = frozenset({Reason.MEDIA_NO_DATA, Reason.MEDIA_NO_KEYFRAME})
_BYE: Final = "; the device said that the stream is over (RTCP BYE)"


def no_data(how_long: str, *, bye: bool) -> LookError:
    """PLAY was accepted, and that was all; `how_long` ("for 6.0 s") may be empty."""
    detail = f"PLAY was accepted, and then no video packet came {how_long}".rstrip()
    return LookError(Reason.MEDIA_NO_DATA, detail + (_BYE if bye else ""))


def no_keyframe(media: Media, waited_s: float, *, bye: bool) -> LookError:
    """Media flowed for that long (seconds)."""
    detail = f"video packets came, but no whole keyframe within {waited_s:.1f} s"
    lost = media.tracker.lost
    detail += f"; {lost} packets were lost on the way" if lost else ""
    return LookError(Reason.MEDIA_NO_KEYFRAME, detail + media.hint + (_BYE if bye else ""))


def blamed(error: LookError, kernel_dropped: int) -> LookError:
    """What our own machine threw away, so many datagrams, is never missing at the camera."""
    if not kernel_dropped or error.reason not in _LOST_TO_US:
        return error
    detail = f"our own kernel dropped {kernel_dropped} datagrams before we read them; {error.detail}"
    return LookError(Reason.OURS_OVERLOAD, detail, step=error.step)
