"""What a caller may see, as SQL: the one helper of every query. A foreign object looks like an absent one."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Select, or_, select, true

from streamwatch.model.scope import Scope
from streamwatch.store.tables import camera, camera_stay, region, village

_stayed = camera_stay.alias("stayed")
_stayed_in = village.alias("stayed_in")  # the outer `village` is where the camera is now


def visible_regions(scope: Scope) -> Select[tuple[int]]:
    """The ids of the regions of `scope`: its root and all below it; every region where the scope is everything."""
    if scope.region is None:
        return select(region.c.id)
    # Without a name of ours: a statement may hold two scopes, the caller's and the one that is asked about.
    root = select(region.c.id).where(region.c.id == scope.region).cte(recursive=True)
    # UNION, not UNION ALL: it ends also where somebody made a region its own ancestor.
    tree = root.union(select(region.c.id).join(root, region.c.parent == root.c.id))
    return select(tree.c.id)


def within(scope: Scope) -> ColumnElement[bool]:
    """A condition on `village`, which the statement selects from or joins: it lies in the scope."""
    if scope.region is None:
        return true()
    return village.c.region.in_(visible_regions(scope))


def visited(scope: Scope) -> ColumnElement[bool]:
    """A condition on `camera` joined with its `village`: it is in the scope, or was before it was moved.

    For what figures are made of; the camera as an object belongs to where it is now: `within`.
    """
    if scope.region is None:
        return true()
    was = _stayed.c.village == _stayed_in.c.id
    left = select(_stayed.c.camera).join(_stayed_in, was).where(_stayed_in.c.region.in_(visible_regions(scope)))
    return or_(within(scope), camera.c.id.in_(left))
