"""Stage 8-10's values: closed stretches of time in which one dimension of a camera stayed in one state."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from streamwatch.errors import Blame
from streamwatch.model.look import State


class Origin(StrEnum):
    """Where a segment comes from. `made_up` is the demo's history and is always shown as such."""

    LOOK = "look"
    MADE_UP = "made_up"


class Segment(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Half open [from_us, to_us), UTC microseconds, to_us > from_us. For picture, up is intact and down defective."""

    camera: int
    dimension: str
    from_us: int
    to_us: int
    state: State
    reason: str | None = None  # a reason, or a fault's name
    blame: Blame | None = None
    origin: Origin = Origin.LOOK


class Rate(msgspec.Struct, frozen=True):
    """A rate is never a bare number: what it was made of and how much of it was seen. Sums are microseconds inside."""

    value: float | None  # up / (up + down); None where nothing was seen
    low: float | None  # unknown counted as down
    high: float | None  # unknown counted as up
    up_us: int
    down_us: int
    unknown_us: int
    excluded_us: int
    coverage: float | None  # (up + down) / (up + down + unknown)
    cameras: int
    down_by_blame_us: dict[str, int]
