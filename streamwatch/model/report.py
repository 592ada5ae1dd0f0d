"""The one boundary: Round in, Report out, as versioned msgpack. The same bytes cross a queue, a socket or a broker."""

from __future__ import annotations

from typing import Final

import msgspec

from streamwatch.model.look import Depth, Look, StreamKind, Transport

WIRE_VERSION: Final = 1
MAX_FRAME_BYTES: Final = 64 * 2**20  # 64 MiB: a round of 4,000 tickets with 2 KiB of memory each is 8 MiB


Mask = tuple[float, float, float, float]
"""A rectangle of the picture that nobody may see: left, top, right, bottom, each from 0 (left, top) to 1."""


class Credentials(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A camera's user name and password, on their way to the looker only. Blind in repr; never logged."""

    username: str
    password: str

    def __repr__(self) -> str:
        return "Credentials(***)"


class Ticket(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """One camera to look at, within a round."""

    camera: int
    url: str  # without credentials
    stream: StreamKind
    offset_ms: int  # when to begin, after the round's due time
    deadline_ms: int  # one total deadline over all steps
    host: str  # what the per-host limit counts by
    group: str | None = None  # what the per-recorder limit counts by
    credentials: Credentials | None = None
    allow_basic: bool = False
    memory: bytes | None = None  # CameraMemory, where this looker may not have it
    transport: Transport = Transport.AUTO
    patience_ms: int = 0  # up to which the deadline grows for a camera whose keyframes are known to be rare; 0: not
    line: str | None = None  # what the bit budget counts by
    line_kbps: int | None = None  # how much of that line all looks together may take; None: as much as comes
    watch: bool = False  # its session stays open and is watched between the looks (settings: watch.cameras)
    snapshot: bool = False  # a picture look is to bring the picture itself, small and masked, as JPEG
    masks: tuple[Mask, ...] = ()  # blackened in it before it leaves the decoder


class Round(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """A village's cameras, due together at a depth. `attempt` 0 is the patrol's; 1, 2 … confirm a bad look."""

    v: int = WIRE_VERSION
    id: str
    village: int
    depth: Depth
    due_us: int
    window_ms: int
    attempt: int = 0
    visit: bool = False  # a person asked for it now
    tickets: tuple[Ticket, ...] = ()


class Canary(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Whether a target that is not a camera answered: does *our* path work?"""

    name: str
    up: bool
    at_us: int


class Health(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """How the looker itself was doing, at one end of a round."""

    at_us: int
    loop_lag_ms: float  # worst since the last snapshot
    canaries: tuple[Canary, ...] = ()
    decoders: int = 0  # workers alive
    jailed: bool = True  # the decoders' jail is complete
    open_sessions: int = 0


class Report(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """What a looker found, in parts: `part` counts from 0 within the round, `last` closes it."""

    v: int = WIRE_VERSION
    round_id: str
    village: int
    depth: Depth
    due_us: int
    attempt: int
    part: int
    last: bool
    vantage: str
    before: Health
    after: Health
    looks: tuple[Look, ...] = ()


class VersionError(ValueError):
    """A Round or Report of a version that this build does not speak."""


_encoder = msgspec.msgpack.Encoder()
_round_decoder = msgspec.msgpack.Decoder(Round)
_report_decoder = msgspec.msgpack.Decoder(Report)


def encode(value: Round | Report) -> bytes:
    """The bytes that cross the boundary."""
    return _encoder.encode(value)


def decode_round(data: bytes) -> Round:
    """Bytes as a Round. Raises msgspec.DecodeError or VersionError."""
    try:
        value = _round_decoder.decode(data)
    except UnicodeDecodeError as error:  # msgspec lets it through
        raise msgspec.DecodeError(f"a text that is not UTF-8: {error}") from None
    if value.v != WIRE_VERSION:
        raise VersionError(f"this build speaks Round version {WIRE_VERSION}, not {value.v}")
    return value


def decode_report(data: bytes) -> Report:
    """Bytes as a Report. Raises msgspec.DecodeError or VersionError."""
    try:
        value = _report_decoder.decode(data)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(f"a text that is not UTF-8: {error}") from None
    if value.v != WIRE_VERSION:
        raise VersionError(f"this build speaks Report version {WIRE_VERSION}, not {value.v}")
    return value
