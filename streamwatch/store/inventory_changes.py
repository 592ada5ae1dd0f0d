"""What an import asks of the store and writes into it: whole rows as mappings of column names, <= 1,000 at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Select, Table, bindparam, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from streamwatch.model.inventory import Region
from streamwatch.model.scope import Scope
from streamwatch.store.scoped import visible_regions, within
from streamwatch.store.tables import camera, facility, line, point, recorder, region, village

BATCH: Final = 1_000  # rows of one statement: about 10 ms of the loop

Row = dict[str, Any]

_TABLES: Final = {table.name: table for table in (village, line, recorder, camera, point, facility)}
_REGIONS = select(region.c.id, region.c.code, region.c.name, region.c.parent)
_BY_CODE: Final = {
    name: select(table).where(table.c.code.in_(bindparam("codes", expanding=True))) for name, table in _TABLES.items()
}
_INSERT: Final = {name: insert(table) for name, table in _TABLES.items()}


def _update(table: Table) -> Any:
    changed: dict[str, Any] = {
        column.name: bindparam(column.name) for column in table.columns if column.name not in ("id", "code")
    }
    return update(table).where(table.c.id == bindparam("at_id")).values(changed)


_UPDATE: Final = {name: _update(table) for name, table in _TABLES.items()}


@dataclass(frozen=True, slots=True)
class Named:
    """What a list may name by its code, as far as a reference needs it. `village` None: it is in none (lines)."""

    village: int | None
    kind: str | None = None  # of a recorder
    url: str | None = None  # of a recorder


def _named(table: Table) -> Select[tuple[Any, ...]]:
    none = literal(None)
    columns = [table.c.get(name, none) for name in ("village", "kind", "url")]
    found = select(table.c.code, *columns)
    return found.where(table.c.code.in_(bindparam("codes", expanding=True)), table.c.removed_us.is_(None))


_NAMED: Final = {table.name: _named(table) for table in (line, recorder, camera)}
_PARENTS = select(line.c.code, line.c.parent).where(line.c.removed_us.is_(None), line.c.parent.is_not(None))
_FILLED = select(point.c.code, point.c.camera).where(point.c.removed_us.is_(None), point.c.camera.is_not(None))


async def all_regions(conn: AsyncConnection) -> list[Region]:
    """Every region: some hundreds."""
    return [Region(*row) for row in await conn.execute(_REGIONS)]


async def regions_within(conn: AsyncConnection, scope: Scope) -> set[int]:
    """The ids of the regions of the scope."""
    return {row.id for row in await conn.execute(visible_regions(scope))}


async def villages_within(conn: AsyncConnection, scope: Scope) -> list[tuple[int, str, str, bool]]:
    """Id, code, name and whether it is there still, of every village of the scope: some thousands."""
    query = select(village.c.id, village.c.code, village.c.name, village.c.removed_us).where(within(scope))
    return [(id_, code, name, removed is None) for id_, code, name, removed in await conn.execute(query)]


async def rows_by_code(conn: AsyncConnection, table: str, codes: Sequence[str]) -> dict[str, Row]:
    """The whole rows of `table` with these codes (at most BATCH), removed ones included."""
    found = await conn.execute(_BY_CODE[table], {"codes": list(codes)})
    return {row["code"]: dict(row) for row in found.mappings()}


async def named_by_code(conn: AsyncConnection, table: str, codes: Sequence[str]) -> dict[str, Named]:
    """What these codes (at most BATCH) name in `line`, `recorder` or `camera`; removed ones are not there."""
    found = await conn.execute(_NAMED[table], {"codes": list(codes)})
    return {code: Named(in_, kind, url) for code, in_, kind, url in found}


async def line_parents(conn: AsyncConnection) -> dict[str, str]:
    """The parent of every line that has one: some thousands."""
    return {str(code): str(parent) for code, parent in await conn.execute(_PARENTS)}


async def filled_points(conn: AsyncConnection) -> dict[str, str]:
    """The camera of every point that has one, by the point's code: a city's are about 10 MB."""
    return {str(code): str(filled_by) for code, filled_by in await conn.execute(_FILLED)}


async def insert_region(conn: AsyncConnection, code: str, name: str, parent: int | None) -> int:
    """A new region's id."""
    result = await conn.execute(insert(region).values(code=code, name=name, parent=parent))
    assert result.inserted_primary_key is not None
    return int(result.inserted_primary_key[0])


async def insert_rows(conn: AsyncConnection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """New rows of `table`; columns that a row does not have are none."""
    for at in range(0, len(rows), BATCH):
        await conn.execute(_INSERT[table], _alike(rows[at : at + BATCH]))


def _alike(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Rows with the same columns, as a statement needs them; which they mostly have: lists speak of all alike."""
    said = set().union(*rows)
    blank = dict.fromkeys(said)
    return [row if len(row) == len(said) else {**blank, **row} for row in rows]


async def update_rows(conn: AsyncConnection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows of `table` as they are from now on, whole; id and code say which and stay."""
    for at in range(0, len(rows), BATCH):
        await conn.execute(_UPDATE[table], [{**row, "at_id": row["id"]} for row in rows[at : at + BATCH]])


async def remove_row(conn: AsyncConnection, table: str, code: str, now_us: int) -> bool:
    """Ends the time in service of what has that code in `table`; False where nothing (any more) has it."""
    place = _TABLES[table]
    ended = update(place).where(place.c.code == code, place.c.removed_us.is_(None)).values(removed_us=now_us)
    return bool((await conn.execute(ended)).rowcount)
