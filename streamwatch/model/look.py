"""Stages 3-5's values: one look at one camera, at a depth, and what it measured.

A look says what it saw (`reason`, `measures`, timings); it judges nothing: `blame.py` and `verdict.py` do.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from streamwatch.errors import Reason, Step


class Depth(StrEnum):
    """How deep a look goes. Each depth includes the ones before it."""

    REACH = "reach"
    STREAM = "stream"
    PICTURE = "picture"
    RECORD = "record"


class StreamKind(StrEnum):
    """Which address of the camera was looked at."""

    MAIN = "main"
    SUB = "sub"


class Transport(StrEnum):
    """How media is asked for: interleaved in the RTSP connection, as datagrams, or whichever of the two works.

    HTTP is the first of them within an HTTP tunnel, and only where it is asked for.
    """

    AUTO = "auto"
    TCP = "tcp"
    UDP = "udp"
    HTTP = "http"


class State(StrEnum):
    """The three states. In the `picture` dimension up means intact 完好, down means defective."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


class Measurement(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One number about one picture. `valid=False` with a `why` (e.g. no_detail) means: this cannot be judged here."""

    name: str
    value: float
    valid: bool = True
    why: str | None = None


class Look(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """What one look at one camera found. The key (camera, depth, started_us) is given once, when the look begins."""

    camera: int
    depth: Depth
    stream: StreamKind
    started_us: int  # UTC, microseconds
    duration_us: int  # monotonic
    vantage: str
    reason: Reason | None = None  # None: it got all that its depth asks for
    step: Step | None = None  # where it stopped, when it stopped
    detail: str = ""  # a sentence for a person; never holds a secret
    media_flowed: bool = False  # RTP arrived after PLAY
    codec: str | None = None  # h264, h265, mjpeg
    width: int | None = None  # pixels, after cropping
    height: int | None = None
    transport: str | None = None  # tcp, udp, http
    server: str | None = None  # what the device calls itself
    timings_ms: dict[str, float] = {}  # by Step, and "total"
    keyframe_bytes: int | None = None
    measures: tuple[Measurement, ...] = ()
    reference_us: int | None = None  # start of the look whose fingerprint the frozen measure compared with
    order: str | None = None  # id of the round (or visit) that asked for it
    remarks: tuple[Reason, ...] = ()  # what is to be said although it ended nothing: tls.untrusted
    clock_offset_ms: float | None = None  # the device's clock in its RTCP sender reports, minus ours
    media_bytes: int = 0  # RTP packets of its session, what a line's budget is charged with
    waited_out: bool = False  # media flowed whole for as long as this camera may need, and no keyframe came
    warm: bool = False  # it skipped what an earlier look had learnt (OPTIONS, DESCRIBE)
    queued_ms: float = 0.0  # before it began: for its own camera, account, line, recorder or host, while we had room

    def measure(self, name: str) -> Measurement | None:
        """The measurement of that name, or None."""
        return next((found for found in self.measures if found.name == name), None)

    def value(self, name: str) -> float | None:
        """The value of that measurement; None where there is none, or it cannot be judged here."""
        found = self.measure(name)
        return found.value if found is not None and found.valid else None
