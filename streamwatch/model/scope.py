"""What a caller may see: a required argument of every query. Foreign objects look like absent ones."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scope:
    """`region` is the root of the subtree that the caller may see; None means everything."""

    region: int | None


EVERYTHING = Scope(region=None)
