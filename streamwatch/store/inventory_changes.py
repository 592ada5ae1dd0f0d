"""What an import asks of the store and writes into it: whole rows as mappings of column names, <= 1,000 at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Table, bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from streamwatch.model.inventory import Region
from streamwatch.store.tables import camera, region, village

BATCH: Final = 1_000  # rows of one statement: about 10 ms of the loop

Row = dict[str, Any]

_REGIONS = select(region.c.id, region.c.code, region.c.name, region.c.parent)
_NAMES = select(village.c.id, village.c.code, village.c.name).where(village.c.removed_us.is_(None))
_BY_CODE: Final = {
    table.name: select(table).where(table.c.code.in_(bindparam("codes", expanding=True))) for table in (village, camera)
}
_INSERT: Final = {table.name: insert(table) for table in (village, camera)}


def _update(table: Table) -> Any:
    changed: dict[str, Any] = {
        column.name: bindparam(column.name) for column in table.columns if column.name not in ("id", "code")
    }
    return update(table).where(table.c.id == bindparam("at_id")).values(changed)


_UPDATE: Final = {table.name: _update(table) for table in (village, camera)}


async def all_regions(conn: AsyncConnection) -> list[Region]:
    """Every region: some hundreds."""
    return [Region(*row) for row in await conn.execute(_REGIONS)]


async def village_names(conn: AsyncConnection) -> list[tuple[int, str, str]]:
    """Id, code and name of every village that is not removed: some thousands."""
    return [(id_, code, name) for id_, code, name in await conn.execute(_NAMES)]


async def rows_by_code(conn: AsyncConnection, table: str, codes: Sequence[str]) -> dict[str, Row]:
    """The whole rows of `village` or `camera` with these codes (at most BATCH), removed ones included."""
    found = await conn.execute(_BY_CODE[table], {"codes": list(codes)})
    return {row["code"]: dict(row) for row in found.mappings()}


async def insert_region(conn: AsyncConnection, code: str, name: str, parent: int | None) -> int:
    """A new region's id."""
    result = await conn.execute(insert(region).values(code=code, name=name, parent=parent))
    assert result.inserted_primary_key is not None
    return int(result.inserted_primary_key[0])


async def insert_rows(conn: AsyncConnection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """New rows of `village` or `camera`, each with the same columns."""
    for at in range(0, len(rows), BATCH):
        await conn.execute(_INSERT[table], list(rows[at : at + BATCH]))


async def update_rows(conn: AsyncConnection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows of `village` or `camera` as they are from now on, whole; id and code say which and stay."""
    for at in range(0, len(rows), BATCH):
        await conn.execute(_UPDATE[table], [{**row, "at_id": row["id"]} for row in rows[at : at + BATCH]])
