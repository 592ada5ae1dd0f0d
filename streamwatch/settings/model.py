"""The settings themselves: every key with its type, range, default and meaning. `describe.py` makes the documentation
from this file and `load.py` the messages, so a key is written down once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from streamwatch.model.look import Depth, StreamKind
from streamwatch.schedule import CONFIRMATIONS
from streamwatch.settings.kinds import (
    MAX_ITEMS,
    CaFile,
    CameraCode,
    CanaryText,
    DatabaseUrl,
    Listen,
    NetworkText,
    UserAgent,
    VillageCode,
    split_host_port,
)

MIN_INTERVAL_S: Final = 5  # a warm look takes under a second; below this the patrol would be continuous watching
MAX_INTERVAL_S: Final = 86_400  # a day: grace is 1.5 intervals, and longer ones make every hour unknown
WITHOUT_EFFECT: Final = frozenset({"booking.access_grace_h", "metrics.per_camera"})
"""Keys that nothing reads in this version: their names are kept for what will, and giving one is refused."""


def cores() -> int:
    """CPU cores that this process may use (a container's share, not the machine's)."""
    return max(1, len(os.sched_getaffinity(0)))


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)


class Limits(_Section):
    """How much at once."""

    per_host: int = Field(default=4, ge=1, le=1_000, description="Sessions at the same time to one address.")
    per_recorder: int = Field(
        default=8, ge=1, le=1_000, description="Sessions at the same time to the cameras of one recorder."
    )
    per_line_kbps: int | None = Field(
        default=None,
        ge=1,
        le=100_000_000,
        description="Kilobits a second that the looks of one looker may use of one line, at most what the line has; "
        "not set: no limit.",
    )
    looks_in_flight: int = Field(
        default=256,
        ge=1,
        le=100_000,
        description="Looks at the same time in one looker, and an eighth as many more that confirm.",
    )
    decodes_in_flight: int | None = Field(
        default=None,
        ge=1,
        le=1_024,
        description="Decoder processes, and so pictures decoded at the same time; not set: one a core.",
    )

    def decodes(self) -> int:
        """`decodes_in_flight`, or the number of cores."""
        return self.decodes_in_flight or cores()


class Schedule(_Section):
    """When cameras are looked at, how deep, and how a bad look is confirmed."""

    interval_s: int = Field(
        default=300,
        ge=MIN_INTERVAL_S,
        le=MAX_INTERVAL_S,
        description="Seconds between two looks at a camera that has no own interval.",
    )
    window_s: float | None = Field(
        default=None,
        gt=0,
        le=3_600,
        description="Seconds over which a village's round is spread; not set: a quarter of the interval, at most 60.",
    )
    reach_s: float | None = Field(
        default=None,
        ge=MIN_INTERVAL_S,
        le=MAX_INTERVAL_S,
        description="Seconds between looks that only ask whether the camera answers, between those of the interval. "
        "They notice an outage sooner and say nothing of the stream; not set: none.",
    )
    confirm_looks: int = Field(
        default=2,
        ge=0,
        le=len(CONFIRMATIONS),
        description="Further looks that must repeat a bad one before it is booked.",
    )
    confirm_after_s: tuple[Annotated[float, Field(gt=0, le=MAX_INTERVAL_S)], ...] | None = Field(
        default=None,
        max_length=len(CONFIRMATIONS),
        description="Seconds after the bad look of each confirming one; not set: 10, 30, less for short intervals.",
    )
    depth: Literal[Depth.REACH, Depth.STREAM, Depth.PICTURE] = Field(
        default=Depth.PICTURE, description="How deep the patrol looks."
    )
    stream: StreamKind = Field(
        default=StreamKind.SUB,
        description="Which stream the patrol takes; cameras without a sub address give the main one.",
    )
    access_tries: int = Field(
        default=2,
        ge=1,
        le=10,
        description="Looks in a row with a refused password before the camera is left alone: it may lock us out.",
    )
    access_backoff_max_s: int = Field(
        default=1_800,
        ge=1,
        le=86_400,
        description="Longest wait in seconds between looks at a camera that refuses the password.",
    )


class LookRules(_Section):
    """What one look may take."""

    connect_s: float = Field(default=5.0, gt=0, le=60, description="Seconds for the TCP connection.")
    step_s: float = Field(default=10.0, gt=0, le=60, description="Seconds for each answer of the camera.")
    deadline_s: float = Field(
        default=20.0, gt=0, le=60, description="Seconds for the whole look; up to 60 where keyframes are rare."
    )
    max_pixels: int = Field(
        default=16_777_216,
        ge=65_536,
        le=67_108_864,
        description="Largest picture that is decoded; larger ones are media.too_large.",
    )
    user_agent: UserAgent = Field(default="streamwatch", description="What we call ourselves to cameras.")
    allow_networks: tuple[NetworkText, ...] = Field(
        default=(),
        max_length=MAX_ITEMS,
        description="Networks that looks may connect to. Empty: any, but names lead neither to this machine nor to "
        "link-local or metadata addresses.",
    )


class Tls(_Section):
    """RTSP over TLS (`rtsps://`)."""

    verify: Literal["strict", "warn", "off"] = Field(
        default="warn",
        description="What a certificate does that is not trusted (self-signed, expired, for another name, of an "
        "unknown authority). strict: the look ends as tls.untrusted; warn: it goes on, with that remark; off: nothing.",
    )
    ca_file: CaFile | None = Field(
        default=None,
        description="Certificates of authorities, or of devices, that are trusted besides the system's; not set: none.",
    )


class Lookers(_Section):
    """Processes that hold the conversations with cameras."""

    count: int | None = Field(
        default=None, ge=1, le=256, description="Looker processes; not set: one less than cores, at least 1."
    )

    def processes(self) -> int:
        """`count`, or max(1, cores - 1)."""
        return self.count or max(1, cores() - 1)


class Held(_Section):
    """Connections that stay open between looks, so that a look of depth reach is one question and its answer."""

    connections: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="Connections that one looker may hold; 0: none. Each takes one of the few that a device allows, "
        "and counts for limits.per_host and limits.per_recorder, which looks go before. For plain RTSP over TCP only. "
        "At most what the limit of open files leaves.",
    )


class Decoders(_Section):
    """Jailed processes that decode pictures."""

    jail: Literal["required", "best_effort"] = Field(
        default="required",
        description="required: no decoding without a complete jail; best_effort: with what the kernel offers.",
    )
    wall_s: float = Field(
        default=2.0,
        gt=0,
        le=60,
        description="Seconds for decoding and scoring one picture; then the process is killed.",
    )


class Canaries(_Section):
    """Targets that are not cameras and tell whether our own path works."""

    targets: tuple[CanaryText, ...] = Field(
        default=("gateway",),
        max_length=16,
        description="What is asked. gateway: the default router. Empty: our path is never doubted.",
    )
    interval_s: float = Field(default=10.0, ge=1, le=300, description="Seconds between two questions.")


class Watch(_Section):
    """Cameras whose sessions stay open: loss, bit rate and stalls are measured all the time."""

    cameras: tuple[CameraCode, ...] = Field(
        default=(),
        max_length=MAX_ITEMS,
        description="Codes of cameras that are watched between their looks. Each takes its bit rate of its line all "
        "the time: per_line_kbps does not limit it, and looks have what it leaves.",
    )
    keyframe_s: float = Field(
        default=10.0, ge=1, le=3_600, description="Seconds between two keyframes of one camera that are decoded."
    )
    most: int = Field(
        default=200,
        ge=0,
        le=MAX_ITEMS,
        description="Sessions that one looker keeps open so; 200 of 2 Mbit/s are 400 Mbit/s and a fifth of a core. "
        "Others are looked at as if they were not named.",
    )


class Booking(_Section):
    """How looks become time."""

    access_grace_h: float = Field(
        default=72.0,
        ge=0,
        le=8_760,
        description="Hours after the notice to the responsible unit before a wrong password counts as down.",
    )


class Quality(_Section):
    """Thresholds of the picture, where an operator must differ from the measured ones. Not set: the built-in value."""

    blackout_luma: float | None = Field(
        default=None, ge=0, le=255, description="Mean luma below which a picture is black."
    )
    blur_raise: float | None = Field(
        default=None, ge=0, le=1, description="Edge sharpness below which a picture is blurred."
    )
    blur_clear: float | None = Field(
        default=None, ge=0, le=1, description="Edge sharpness above which it is sharp again; at least blur_raise."
    )
    frozen_share: float | None = Field(
        default=None, ge=0, le=1, description="Share of unchanged blocks from which two looks show a frozen picture."
    )


class Metrics(_Section):
    """What /metrics shows."""

    per_camera: tuple[VillageCode, ...] = Field(
        default=(),
        max_length=MAX_ITEMS,
        description="Codes of villages that get a series a camera; others get one a village.",
    )


class Web(_Section):
    """Pages and the API."""

    session_h: float = Field(
        default=12.0, gt=0, le=720, description="Hours until a login ends; a change holds for logins after it."
    )

    def session_s(self) -> int:
        """`session_h` in whole seconds, as cookies count; at least 1, because 0 deletes a cookie."""
        return max(1, round(self.session_h * 3_600))


class Settings(_Section):
    """All of it. Frozen: a reload makes a new one."""

    listen: Listen = Field(default="127.0.0.1:8080", description="Address of the API and pages.")
    data_dir: Path = Field(description="Folder of everything that is kept: database, keys, sockets, lock.")
    database_url: DatabaseUrl | None = Field(
        default=None, repr=False, description="Database; not set: SQLite in the data directory."
    )
    nats_url: None = Field(
        default=None, description="Broker for lookers on other machines. Not in this version: leave it out."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="auto: console on a terminal, JSON lines elsewhere."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least that is logged."
    )

    limits: Limits = Limits()
    schedule: Schedule = Schedule()
    look: LookRules = LookRules()
    tls: Tls = Tls()
    lookers: Lookers = Lookers()
    held: Held = Held()
    decoders: Decoders = Decoders()
    canaries: Canaries = Canaries()
    watch: Watch = Watch()
    booking: Booking = Booking()
    quality: Quality = Quality()
    metrics: Metrics = Metrics()
    web: Web = Web()

    def bind(self) -> tuple[str, int]:
        """Host and port of `listen`."""
        return split_host_port(self.listen)


def sections() -> dict[str, type[_Section]]:
    """The sections by name, in the order of the model."""
    return {
        name: info.annotation
        for name, info in Settings.model_fields.items()
        if isinstance(info.annotation, type) and issubclass(info.annotation, _Section)
    }
