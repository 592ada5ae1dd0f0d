"""Stage 1's rows: regions, villages and cameras, read whole for the service and by page for the API.

Lists are ordered by code and paged by the last code seen (keyset), so that a page costs the same anywhere. Nothing
that the API reads here holds a password.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, Select, bindparam, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from streamwatch.errors import NotFoundError, UsageError
from streamwatch.model.inventory import DEFAULT_INTERVAL_S, Camera, Inventory, Region, Secret, Village
from streamwatch.model.scope import Scope
from streamwatch.secrets import Sealer
from streamwatch.store.scoped import visible_regions, within
from streamwatch.store.tables import camera, recorder, region, village
from streamwatch.store.tables import line as line_table

PAGE: Final = 2_000  # cameras read at once at start: about 10 ms, so that the loop breathes between pages
MAX_LIMIT: Final = 501  # the API's 500 and one more, which tells whether there is a next page
MAX_IDS: Final = 20_000  # of one question: 140 KB of SQL


@dataclass(frozen=True, slots=True)
class RegionRow:
    """A region with its parent's code."""

    id: int
    code: str
    name: str
    parent: str | None


@dataclass(frozen=True, slots=True)
class VillageRow:
    """A village with its region."""

    id: int
    code: str
    name: str
    region: str
    region_name: str
    households: int | None
    population: int | None
    police_station: str | None
    unit: str | None
    unit_phone: str | None
    monitor_centre: bool | None
    joined_on: str | None
    created_us: int
    removed_us: int | None


@dataclass(frozen=True, slots=True)
class CameraRow:
    """A camera with its village and region; without its password. `interval_s` None: the schedule's own."""

    id: int
    code: str
    name: str
    village_id: int
    village: str
    village_name: str
    region: str
    region_name: str
    url: str
    sub_url: str | None
    vendor: str | None
    channel: str | None
    username: str | None
    recorder: str | None
    recorder_channel: str | None
    line: str | None
    interval_s: int | None
    retention_days: int | None
    longitude: float | None
    latitude: float | None
    datum: str | None
    position_type: str | None
    key_point: bool | None
    installed_on: str | None
    installed_us: int
    created_us: int
    removed_us: int | None


_Query = Select[*tuple[Any, ...]]

_parent = region.alias("parent")
_REGIONS = select(region.c.id, region.c.code, region.c.name, _parent.c.code).select_from(
    region.outerjoin(_parent, region.c.parent == _parent.c.id)
)
_VILLAGES: _Query = select(
    village.c.id,
    village.c.code,
    village.c.name,
    region.c.code,
    region.c.name,
    village.c.households,
    village.c.population,
    village.c.police_station,
    village.c.unit,
    village.c.unit_phone,
    village.c.monitor_centre,
    village.c.joined_on,
    village.c.created_us,
    village.c.removed_us,
).select_from(village.join(region, village.c.region == region.c.id))
_CAMERAS: _Query = select(
    camera.c.id,
    camera.c.code,
    camera.c.name,
    village.c.id,
    village.c.code,
    village.c.name,
    region.c.code,
    region.c.name,
    camera.c.url,
    camera.c.sub_url,
    camera.c.vendor,
    camera.c.channel,
    camera.c.username,
    camera.c.recorder,
    camera.c.recorder_channel,
    camera.c.line,
    camera.c.interval_s,
    camera.c.retention_days,
    camera.c.longitude,
    camera.c.latitude,
    camera.c.datum,
    camera.c.position_type,
    camera.c.key_point,
    camera.c.installed_on,
    camera.c.installed_us,
    camera.c.created_us,
    camera.c.removed_us,
).select_from(
    camera.join(village, camera.c.village == village.c.id).join(region, village.c.region == region.c.id),
)

_village_code = village.c.code  # list_cameras has an argument called village

_RECORDERS: _Query = select(recorder.c.code, recorder.c.url, recorder.c.username, recorder.c.password_sealed).where(
    recorder.c.removed_us.is_(None), recorder.c.username.is_not(None)
)
_RECORDER_LINES: _Query = select(recorder.c.code, recorder.c.line).where(
    recorder.c.removed_us.is_(None), recorder.c.line.is_not(None)
)
_LINE_KBPS: _Query = select(line_table.c.code, line_table.c.kbps).where(
    line_table.c.removed_us.is_(None), line_table.c.kbps.is_not(None)
)
_ALL_REGIONS = select(region.c.id, region.c.code, region.c.name, region.c.parent)
_ALL_VILLAGES: _Query = select(village.c.id, village.c.code, village.c.name, village.c.region)
_WATCHED: _Query = (
    select(
        camera.c.id,
        camera.c.code,
        camera.c.name,
        camera.c.village,
        camera.c.url,
        camera.c.sub_url,
        camera.c.username,
        camera.c.password_sealed,
        camera.c.allow_basic,
        camera.c.recorder,
        camera.c.recorder_channel,
        camera.c.line,
        camera.c.interval_s,
        camera.c.installed_us,
        camera.c.removed_us,
    )
    .where(camera.c.id > bindparam("after"))
    .order_by(camera.c.id)
    .limit(PAGE)
)


async def load_inventory(
    conn: AsyncConnection, sealer: Sealer, default_interval_s: int = DEFAULT_INTERVAL_S, *, version: int = 0
) -> Inventory:
    """All that is watched, removed objects included (their time in service still counts), passwords opened.

    A camera without a user name of its own, at the host of its recorder, has the recorder's login; one without a line
    of its own has the recorder's. Raises ConfigError where a password does not open: looks without it would be booked
    as the camera's refusal.
    """
    regions = {id_: Region(id_, code, name, parent) for id_, code, name, parent in await conn.execute(_ALL_REGIONS)}
    villages = {id_: Village(id_, code, name, in_) for id_, code, name, in_ in await conn.execute(_ALL_VILLAGES)}
    logins = await _recorder_logins(conn, sealer)
    lines = {code: line for code, line in await conn.execute(_RECORDER_LINES)}  # noqa: C416 - rows, not pairs
    line_kbps = {code: kbps for code, kbps in await conn.execute(_LINE_KBPS)}  # noqa: C416
    cameras: dict[int, Camera] = {}
    after = -1
    while rows := (await conn.execute(_WATCHED, {"after": after})).all():
        for (
            id_, code, name, in_, url, sub, user, sealed, basic, recorder_code, channel, line, every, installed, removed
        ) in rows:  # fmt: skip
            password = None if sealed is None else sealer.unseal(code, sealed)
            lent = logins.get(recorder_code) if user is None and password is None else None
            if lent is not None and lent.host == _host(url) and (sub is None or lent.host == _host(sub)):
                user, password = lent.username, lent.password
            cameras[id_] = Camera(
                id=id_,
                code=code,
                name=name,
                village=in_,
                url=url,
                sub_url=sub,
                username=user,
                password=password,
                allow_basic=bool(basic),
                recorder=recorder_code,
                recorder_channel=channel,
                line=line or lines.get(recorder_code),
                interval_s=default_interval_s if every is None else every,
                installed_us=installed,
                removed_us=removed,
            )
        after = rows[-1][0]
    return Inventory(version, regions, villages, cameras, line_kbps)


@dataclass(frozen=True, slots=True)
class _Login:
    host: str
    username: str
    password: Secret | None


async def _recorder_logins(conn: AsyncConnection, sealer: Sealer) -> dict[str, _Login]:
    """The logins of recorders by code: some thousands."""
    return {
        code: _Login(_host(url), user, None if sealed is None else sealer.unseal(code, sealed, "recorder"))
        for code, url, user, sealed in await conn.execute(_RECORDERS)
    }


def _host(url: str) -> str:
    """The host of a stored address, which is in one spelling; sip addresses have no `//`."""
    return urlsplit(url if "://" in url else url.replace(":", "://", 1)).hostname or ""


async def list_regions(conn: AsyncConnection, scope: Scope, *, text: str | None = None) -> list[RegionRow]:
    """The regions of the scope by name, which is their path; a city has some hundreds."""
    query = _REGIONS.where(region.c.id.in_(visible_regions(scope)))
    if text:
        query = query.where(contains(text, region.c.name, region.c.code))
    return [RegionRow(*row) for row in await conn.execute(query.order_by(region.c.name, region.c.id))]


async def get_region(conn: AsyncConnection, scope: Scope, code: str) -> RegionRow:
    """The region of that code. Raises NotFoundError, also where it lies outside the scope."""
    query = _REGIONS.where(region.c.code == code, region.c.id.in_(visible_regions(scope)))
    row = (await conn.execute(query)).one_or_none()
    if row is None:
        raise NotFoundError(f"no region {code!r}")
    return RegionRow(*row)


async def list_villages(
    conn: AsyncConnection,
    scope: Scope,
    *,
    limit: int,
    after: str | None = None,
    text: str | None = None,
    region: str | None = None,
) -> list[VillageRow]:
    """Villages by code, from the one behind `after`. `region` is a code: its whole subtree. Removed ones are left out.

    `limit` is 1 to 501: one more than a page tells whether there is a next one. An unknown region gives an empty list.
    """
    query = page(_VILLAGES.where(village.c.removed_us.is_(None), within(scope)), village.c.code, after, limit)
    if text:
        query = query.where(contains(text, village.c.name, village.c.code))
    if region is not None:
        query = query.where(await inside(conn, scope, region))
    return [VillageRow(*row) for row in await conn.execute(query)]


async def get_village(conn: AsyncConnection, scope: Scope, code: str) -> VillageRow:
    """The village of that code. Raises NotFoundError, also where it lies outside the scope."""
    row = (await conn.execute(_VILLAGES.where(village.c.code == code, within(scope)))).one_or_none()
    if row is None:
        raise NotFoundError(f"no village {code!r}")
    return VillageRow(*row)


async def list_cameras(
    conn: AsyncConnection,
    scope: Scope,
    *,
    limit: int,
    after: str | None = None,
    village: str | None = None,
    region: str | None = None,
    text: str | None = None,
    ids: Sequence[int] | None = None,
) -> list[CameraRow]:
    """Cameras by code, from the one behind `after`. `village` and `region` are codes, `ids` internal ones (<= 20,000).

    Removed ones are left out. `limit` is 1 to 501. An unknown village or region gives an empty list. Raises UsageError
    where there are too many ids.
    """
    query = page(_CAMERAS.where(camera.c.removed_us.is_(None), within(scope)), camera.c.code, after, limit)
    if village is not None:
        query = query.where(_village_code == village)
    if region is not None:
        query = query.where(await inside(conn, scope, region))
    if text:
        query = query.where(contains(text, camera.c.name, camera.c.code))
    if ids is not None:
        if len(ids) > MAX_IDS:
            raise UsageError(f"{len(ids)} cameras are too many for one question; ask for at most {MAX_IDS}")
        query = query.where(camera.c.id.in_(bindparam("ids", list(ids), expanding=True, literal_execute=True)))
    return [CameraRow(*row) for row in await conn.execute(query)]


async def get_camera(conn: AsyncConnection, scope: Scope, code: str) -> CameraRow:
    """The camera of that code, also a removed one. Raises NotFoundError, also where it lies outside the scope."""
    row = (await conn.execute(_CAMERAS.where(camera.c.code == code, within(scope)))).one_or_none()
    if row is None:
        raise NotFoundError(f"no camera {code!r}")
    return CameraRow(*row)


async def count_watched(conn: AsyncConnection, scope: Scope) -> tuple[int, int]:
    """How many cameras of the scope are not removed, and in how many villages they are."""
    counts = select(func.count(), func.count(camera.c.village.distinct()))
    query = counts.select_from(camera.join(village, camera.c.village == village.c.id))
    cameras, villages = (await conn.execute(query.where(camera.c.removed_us.is_(None), within(scope)))).one()
    return cameras, villages


def page(query: _Query, code: ColumnElement[str], after: str | None, limit: int) -> _Query:
    """A query's rows by code, at most `limit` from the one behind `after`. Raises UsageError for an odd limit."""
    if not 1 <= limit <= MAX_LIMIT:
        raise UsageError(f"limit {limit} is not from 1 to {MAX_LIMIT}")
    if after is not None:
        query = query.where(code > after)
    return query.order_by(code).limit(limit)


async def inside(conn: AsyncConnection, scope: Scope, code: str) -> ColumnElement[bool]:
    """A condition: the village lies in the subtree of that region. Outside the scope a region is like none."""
    found = (
        await conn.execute(
            select(region.c.id).where(region.c.code == code, region.c.id.in_(visible_regions(scope))),
        )
    ).scalar_one_or_none()
    return within(Scope(region=-1 if found is None else found))


def contains(text: str, *columns: ColumnElement[str]) -> ColumnElement[bool]:
    """A condition: one of the columns holds the text, in any case of letters."""
    return or_(*(column.icontains(text, autoescape=True) for column in columns))
