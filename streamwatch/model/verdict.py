"""Stages 6-7's values: a look with its blame, and what is said of each dimension of the camera because of it."""

from __future__ import annotations

import msgspec

from streamwatch.errors import Blame, Reason
from streamwatch.model.look import Look, State


class Attributed(msgspec.Struct, frozen=True, gc=False):
    """A look and whose fault its failure is. `void` (an ours.* reason) means: it says nothing about the camera."""

    look: Look
    blame: Blame | None = None
    void: Reason | None = None


class Opinion(msgspec.Struct, frozen=True, gc=False):
    """What one look says of one dimension."""

    dimension: str  # reach, stream, picture, fault.NAME
    state: State
    reason: str | None = None  # a reason, or the fault's name
    blame: Blame | None = None
    confirmations: int = 0  # how many further looks must repeat it before it is booked
    since_us: int | None = None  # earlier than the look itself where the evidence reaches back (frozen)


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """All opinions of one look. A dimension that is not named was not asked."""

    camera: int
    at_us: int
    opinions: tuple[Opinion, ...] = ()
    void: Reason | None = None
