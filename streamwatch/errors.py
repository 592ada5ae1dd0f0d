"""Errors that name the blame, the phase and the place, and the stable reason codes of a failed look.

Pure code raises *what* went wrong (`LookError`); the shell that knows the camera adds *where*. Anything that is not a
`LookError` is our own bug and is never booked as a camera's downtime.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Blame(StrEnum):
    """Whose fault a failed look is."""

    CAMERA = "camera"
    RECORDER = "recorder"
    LINE = "line"
    POWER = "power"
    PLATFORM = "platform"
    ACCESS = "access"
    OURS = "ours"


class Step(StrEnum):
    """The steps of one look, in their order; a look that failed names the step at which it stopped."""

    CONNECT = "connect"
    OPTIONS = "options"
    DESCRIBE = "describe"
    SETUP = "setup"
    PLAY = "play"
    FIRST_KEYFRAME = "first_keyframe"
    DECODE = "decode"
    SCORE = "score"


class Reason(StrEnum):
    """Why a look failed: dotted codes that are part of the stable interface."""

    NET_REFUSED = "net.refused"
    NET_UNREACHABLE = "net.unreachable"
    NET_TIMEOUT = "net.timeout"
    NET_RESET = "net.reset"
    NET_NAME = "net.name"
    TLS_UNTRUSTED = "tls.untrusted"
    TLS_FAILED = "tls.failed"
    RTSP_AUTH = "rtsp.auth"
    RTSP_FORBIDDEN = "rtsp.forbidden"
    RTSP_NOT_FOUND = "rtsp.not_found"
    RTSP_BUSY = "rtsp.busy"
    RTSP_REDIRECT = "rtsp.redirect"
    RTSP_TRANSPORT = "rtsp.transport"
    RTSP_PROTOCOL = "rtsp.protocol"
    MEDIA_NO_VIDEO = "media.no_video"
    MEDIA_NO_DATA = "media.no_data"
    MEDIA_UNSUPPORTED_CODEC = "media.unsupported_codec"
    MEDIA_ENCRYPTED = "media.encrypted"
    MEDIA_TOO_LARGE = "media.too_large"
    MEDIA_NO_KEYFRAME = "media.no_keyframe"
    MEDIA_BROKEN = "media.broken"
    OURS_PATH = "ours.path"
    OURS_OVERLOAD = "ours.overload"
    OURS_CLOCK = "ours.clock"
    OURS_WORKER = "ours.worker"
    OURS_MEMORY = "ours.memory"
    OURS_LIMIT = "ours.limit"
    OURS_STORE = "ours.store"


ACCESS_REASONS = frozenset(
    {Reason.RTSP_AUTH, Reason.RTSP_FORBIDDEN, Reason.RTSP_NOT_FOUND, Reason.TLS_UNTRUSTED},
)


class Exit(IntEnum):
    """Exit statuses: monitoring plugins' 0-3, and sysexits for what is wrong with the call itself."""

    OK = 0
    DEGRADED = 1
    DOWN = 2
    UNKNOWN = 3
    USAGE = 64
    HELD = 75
    CONFIG = 78


class StreamwatchError(Exception):
    """Base of every error that we raise on purpose; `str()` is safe to show to a person."""


@dataclass(frozen=True, slots=True)
class LookFailure:
    """Why one look failed, as a value: the reason, the step at which it stopped, and a sentence for a person."""

    reason: Reason
    step: Step
    detail: str


class LookError(StreamwatchError):
    """A look failed for a reason that the interface names. `step` may be added by the shell."""

    def __init__(self, reason: Reason, detail: str, *, step: Step | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.step = step


class ConfigError(StreamwatchError):
    """The configuration is wrong; the message names key, place and remedy. Exit 78."""


class UsageError(StreamwatchError):
    """The call is wrong; the message says what it takes. Exit 64."""


class HeldError(StreamwatchError):
    """Somebody else holds the data directory; the message names the holder. Exit 75."""


class NotFoundError(StreamwatchError):
    """There is no such object, or none in the caller's scope: the two look alike on purpose."""


_OURS_TO_LEARN = frozenset({Reason.MEDIA_UNSUPPORTED_CODEC, Reason.MEDIA_ENCRYPTED, Reason.MEDIA_TOO_LARGE})


def default_blame(reason: Reason) -> Blame:
    """Whose fault a failed look is when nothing else is known: the last column of the booking table."""
    if reason in ACCESS_REASONS:
        return Blame.ACCESS
    if reason is Reason.RTSP_BUSY:
        return Blame.RECORDER
    if reason in _OURS_TO_LEARN or reason.startswith("ours."):
        return Blame.OURS
    return Blame.CAMERA
