"""Where one dimension of one camera stands: the open segment, its last look, and a bad look not yet confirmed."""

from __future__ import annotations

import msgspec

from streamwatch.errors import Blame
from streamwatch.model.look import State

REACH = "reach"
STREAM = "stream"
PICTURE = "picture"
FAULT_PREFIX = "fault."


class Pending(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A change for the worse that its confirming looks have not repeated often enough yet."""

    state: State
    reason: str | None
    blame: Blame | None
    first_us: int  # the look that showed it first: a confirmed change begins here
    last_us: int  # the latest look that showed it
    count: int  # looks that showed it


class Standing(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The open segment of one dimension: `state` since `since_us`, last seen so at `last_us`."""

    camera: int
    dimension: str  # reach, stream, picture, fault.NAME
    state: State
    reason: str | None
    blame: Blame | None
    since_us: int
    last_us: int
    pending: Pending | None = None

    @property
    def seen_us(self) -> int:
        """The last look of any outcome that counts."""
        return self.last_us if self.pending is None else max(self.last_us, self.pending.last_us)
