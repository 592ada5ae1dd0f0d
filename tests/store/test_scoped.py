"""A scope is a subtree of regions, and nothing outside it can be selected."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from streamwatch.model.scope import EVERYTHING, Scope
from streamwatch.store.scoped import visible_regions, within
from streamwatch.store.tables import region, village

#   1 city ─┬─ 2 county ─┬─ 4 town
#           │            └─ 5 town
#           └─ 3 county ─── 6 town
PARENTS = {1: None, 2: 1, 3: 1, 4: 2, 5: 2, 6: 3}


@pytest.fixture
async def tree(writer: AsyncEngine) -> AsyncEngine:
    """Six regions, each with one village whose id is ten times its region's."""
    async with writer.begin() as connection:
        for id_, parent in PARENTS.items():
            await connection.execute(insert(region).values(id=id_, code=f"r{id_}", name=f"{id_}", parent=parent))
            await connection.execute(
                insert(village).values(id=id_ * 10, code=f"v{id_}", name=f"{id_}", region=id_, created_us=0),
            )
    return writer


@pytest.mark.parametrize(
    ("scope", "ids"),
    [
        (EVERYTHING, {1, 2, 3, 4, 5, 6}),
        (Scope(1), {1, 2, 3, 4, 5, 6}),
        (Scope(2), {2, 4, 5}),
        (Scope(6), {6}),
        (Scope(99), set()),
    ],
)
async def test_scope_is_a_region_and_all_below_it(tree: AsyncEngine, scope: Scope, ids: set[int]) -> None:
    """Neither a parent, nor a sibling, nor a sibling's child is visible; an absent root shows nothing."""
    async with tree.connect() as connection:
        regions = set((await connection.execute(visible_regions(scope))).scalars())
        villages = set((await connection.execute(select(village.c.id).where(within(scope)))).scalars())

    assert ids == regions
    assert {id_ * 10 for id_ in ids} == villages


async def test_circle_of_regions_ends(tree: AsyncEngine) -> None:
    """A tree that somebody bent into a circle is walked once, not for ever."""
    async with tree.begin() as connection:
        await connection.execute(update(region).where(region.c.id == 2).values(parent=4))
        found = set((await connection.execute(visible_regions(Scope(2)))).scalars())

    assert found == {2, 4, 5}
