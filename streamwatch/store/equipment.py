"""Stage 1's other rows: lines, recorders, planned points and facilities, by page for the API. None holds a password.

Lists are ordered by code and paged by the last code seen, as those of cameras. A line lies in no region: whoever sees
only some regions sees the lines on which something of theirs hangs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, Table, select, true, union
from sqlalchemy.ext.asyncio import AsyncConnection

from streamwatch.errors import NotFoundError
from streamwatch.model.scope import EVERYTHING, Scope
from streamwatch.store.inventory import contains, inside, page
from streamwatch.store.scoped import within
from streamwatch.store.tables import camera, facility, line, point, recorder, region, village


@dataclass(frozen=True, slots=True)
class LineRow:
    """A line; `parent` is the code of the one that it hangs on."""

    id: int
    code: str
    name: str
    parent: str | None
    kbps: int | None
    provider: str | None
    circuit: str | None
    fault_phone: str | None


@dataclass(frozen=True, slots=True)
class RecorderRow:
    """A recorder with its village and region; without its password. `line` is a code."""

    id: int
    code: str
    name: str
    village: str
    village_name: str
    region: str
    kind: str
    url: str
    username: str | None
    line: str | None


@dataclass(frozen=True, slots=True)
class PointRow:
    """A planned point; `camera` is the code of the one that fills it."""

    id: int
    code: str
    name: str
    village: str
    village_name: str
    region: str
    kind: str
    longitude: float | None
    latitude: float | None
    key_point: bool | None
    camera: str | None


@dataclass(frozen=True, slots=True)
class FacilityRow:
    """A facility; `kind` is a key of FACILITY_KINDS, days are ISO dates."""

    id: int
    code: str
    name: str | None
    village: str
    village_name: str
    region: str
    kind: str
    households: int | None
    installed_on: str | None
    tested_on: str | None
    test_passed: bool | None


@dataclass(frozen=True, slots=True)
class Asked:
    """Which part of a list: at most `limit` (1 to 501) by code, from the one behind `after`; None: no matter.

    `village` and `region` are codes, `text` is a part of the name or the code.
    """

    limit: int
    after: str | None = None
    village: str | None = None
    region: str | None = None
    text: str | None = None


_Query = Select[*tuple[Any, ...]]


def _placed(table: Table, *columns: str) -> _Query:
    place = (village.c.code, village.c.name, region.c.code)
    found = select(table.c.id, table.c.code, table.c.name, *place, *(table.c[name] for name in columns))
    joined = table.join(village, table.c.village == village.c.id).join(region, village.c.region == region.c.id)
    return found.select_from(joined).where(table.c.removed_us.is_(None))


_LINES: Final[_Query] = select(*(column for column in line.columns if not column.name.endswith("_us"))).where(
    line.c.removed_us.is_(None)
)
_RECORDERS: Final = _placed(recorder, "kind", "url", "username", "line")
_POINTS: Final = _placed(point, "kind", "longitude", "latitude", "key_point", "camera")
_FACILITIES: Final = _placed(facility, "kind", "households", "installed_on", "tested_on", "test_passed")


async def list_lines(conn: AsyncConnection, scope: Scope, asked: Asked) -> list[LineRow]:
    """Lines by code. Of a village or region: those on which something there hangs. Removed ones are left out."""
    where = await _where(conn, scope, asked)
    query = page(_LINES.where(_used(scope, where)), line.c.code, asked.after, asked.limit)
    if asked.text:
        query = query.where(contains(asked.text, line.c.name, line.c.code))
    return [LineRow(*row) for row in await conn.execute(query)]


async def list_recorders(conn: AsyncConnection, scope: Scope, asked: Asked) -> list[RecorderRow]:
    """Recorders of the scope by code, as `list_lines`."""
    return [RecorderRow(*row) for row in await _listed(conn, scope, _RECORDERS, recorder, asked)]


async def list_points(conn: AsyncConnection, scope: Scope, asked: Asked) -> list[PointRow]:
    """Planned points of the scope by code, as `list_lines`."""
    return [PointRow(*row) for row in await _listed(conn, scope, _POINTS, point, asked)]


async def list_facilities(conn: AsyncConnection, scope: Scope, asked: Asked) -> list[FacilityRow]:
    """Facilities of the scope by code, as `list_lines`."""
    return [FacilityRow(*row) for row in await _listed(conn, scope, _FACILITIES, facility, asked)]


async def get_line(conn: AsyncConnection, scope: Scope, code: str) -> LineRow:
    """The line of that code. Raises NotFoundError, also where nothing of the scope hangs on it."""
    query = _LINES.where(line.c.code == code, _used(scope, true()))
    return LineRow(*await _one(conn, query, "line", code))


async def get_recorder(conn: AsyncConnection, scope: Scope, code: str) -> RecorderRow:
    """The recorder of that code. Raises NotFoundError, also where it lies outside the scope."""
    return RecorderRow(*await _one(conn, _RECORDERS.where(recorder.c.code == code, within(scope)), "recorder", code))


async def get_point(conn: AsyncConnection, scope: Scope, code: str) -> PointRow:
    """The planned point of that code. Raises NotFoundError, also where it lies outside the scope."""
    return PointRow(*await _one(conn, _POINTS.where(point.c.code == code, within(scope)), "point", code))


async def get_facility(conn: AsyncConnection, scope: Scope, code: str) -> FacilityRow:
    """The facility of that code. Raises NotFoundError, also where it lies outside the scope."""
    return FacilityRow(*await _one(conn, _FACILITIES.where(facility.c.code == code, within(scope)), "facility", code))


async def _listed(conn: AsyncConnection, scope: Scope, query: _Query, table: Table, asked: Asked) -> Any:
    query = page(query.where(within(scope)), table.c.code, asked.after, asked.limit)
    query = query.where(await _where(conn, scope, asked))
    if asked.text:
        query = query.where(contains(asked.text, table.c.name, table.c.code))
    return await conn.execute(query)


async def _where(conn: AsyncConnection, scope: Scope, asked: Asked) -> ColumnElement[bool]:
    """A condition on `village`: it is the one asked for, and in the region asked for."""
    where: ColumnElement[bool] = true()
    if asked.village is not None:
        where &= village.c.code == asked.village
    if asked.region is not None:
        where &= await inside(conn, scope, asked.region)
    return where


def _used(scope: Scope, where: ColumnElement[bool]) -> ColumnElement[bool]:
    """A condition on `line`: a camera or recorder of the scope that satisfies `where` hangs on it."""
    if scope == EVERYTHING and where.compare(true()):
        return true()
    hanging = [
        select(table.c.line)
        .join(village, table.c.village == village.c.id)
        .where(table.c.removed_us.is_(None), table.c.line.is_not(None), within(scope), where)
        for table in (camera, recorder)
    ]
    return line.c.code.in_(union(*hanging))


async def _one(conn: AsyncConnection, query: _Query, word: str, code: str) -> Any:
    row = (await conn.execute(query)).one_or_none()
    if row is None:
        raise NotFoundError(f"no {word} {code!r}")
    return row
