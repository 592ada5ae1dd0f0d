"""What a caller may see, as SQL: the one helper of every query. A foreign object looks like an absent one."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Select, select, true

from streamwatch.model.scope import Scope
from streamwatch.store.tables import region, village


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
