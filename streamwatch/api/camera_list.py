"""Lists of cameras: by code from the database, the worst first from the present; both by page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from streamwatch.api.context import Context
from streamwatch.api.cursors import read_cursor, write_cursor
from streamwatch.api.present import Now, Stand, now_of, present_of
from streamwatch.api.schemas import CameraOut, Page, PictureOut
from streamwatch.clock import rfc3339
from streamwatch.model.look import State
from streamwatch.model.scope import Scope
from streamwatch.store.handles import Connection
from streamwatch.store.inventory import CameraRow, list_cameras
from streamwatch.store.timeline import maintenance_for

CHUNK: Final = 500  # rows of one query
MAX_CHUNKS: Final = 40  # x 500 = 20,000 cameras looked through for one page; the cursor goes on from there

Rank = tuple[int, int, int]  # severity, since, camera


@dataclass(frozen=True, slots=True)
class Filters:
    """What is asked for; None: no matter."""

    states: frozenset[State] | None = None
    fault: str | None = None
    village: str | None = None
    region: str | None = None
    text: str | None = None

    def match(self, now: Now) -> bool:
        """Whether a camera's present is asked for."""
        if self.states is not None and now.state not in self.states:
            return False
        return self.fault is None or self.fault in now.faults


async def by_code(context: Context, scope: Scope, filters: Filters, limit: int, cursor: str | None) -> Page[CameraOut]:
    """A page in the order of codes. A page may be short and have a next one where few cameras match."""
    after = read_cursor(cursor, str)
    now_us = context.clock.utc_us()
    picked: list[CameraRow] = []
    for _ in range(MAX_CHUNKS):
        async with context.reader.begin() as conn:
            rows = await _rows(conn, scope, filters, after=after)
        for place, row in enumerate(rows):
            after = row.code
            if filters.match(_now(context, row, now_us)):
                picked.append(row)
            if len(picked) == limit:
                more = place + 1 < len(rows) or len(rows) == CHUNK
                return Page(items=await shown(context, scope, picked), next=write_cursor(after) if more else None)
        if len(rows) < CHUNK:
            return Page(items=await shown(context, scope, picked), next=None)
    return Page(items=await shown(context, scope, picked), next=write_cursor(after))


async def by_rank(context: Context, scope: Scope, filters: Filters, limit: int, cursor: str | None) -> Page[CameraOut]:
    """A page of cameras with something wrong, the worst first: down, defective, unknown, each the longest first."""
    after = read_cursor(cursor, tuple[int, int, int])
    ranked = await _ranked(context, scope, filters, after)
    picked: list[CameraRow] = []
    last: Rank | None = None
    looked = 0
    for chunk in _chunks(ranked):
        async with context.reader.begin() as conn:
            rows = await _rows(conn, scope, filters, ids=[camera for _, _, camera in chunk])
        found = {row.id: row for row in rows}
        for rank in chunk:
            last = rank
            looked += 1
            if rank[2] in found:
                picked.append(found[rank[2]])
            if len(picked) == limit:
                more = looked < len(ranked)
                return Page(items=await shown(context, scope, picked), next=write_cursor(last) if more else None)
    more = looked < len(ranked)
    return Page(items=await shown(context, scope, picked), next=write_cursor(last) if more else None)


async def shown(context: Context, scope: Scope, rows: Sequence[CameraRow]) -> list[CameraOut]:
    """Those cameras in their shape, as they are now."""
    now_us = context.clock.utc_us()
    async with context.reader.begin() as conn:
        maintained = await maintenance_for(conn, scope, [row.id for row in rows], now_us, now_us + 1)
    return [_out(context, row, _now(context, row, now_us), maintained=bool(maintained.get(row.id))) for row in rows]


async def _ranked(context: Context, scope: Scope, filters: Filters, after: Rank | None) -> list[Rank]:
    """Every camera of the scope with something wrong that matches, behind `after`, in order."""
    now_us = context.clock.utc_us()
    census = await context.census(scope)
    ranks: list[Rank] = []
    serving = (camera for village in census.current() for camera in census.serving(village.id, now_us))
    for camera, now in present_of(serving, context.view.cameras, now_us, context.grace):
        rank = None if now is None else now.rank()
        if rank is not None and now is not None and filters.match(now):
            ranks.append((*rank, camera.id))
    ranks.sort()
    return ranks if after is None else [rank for rank in ranks if rank > after]


def _chunks(ranked: Sequence[Rank]) -> Iterator[Sequence[Rank]]:
    for begin in range(0, min(len(ranked), CHUNK * MAX_CHUNKS), CHUNK):
        yield ranked[begin : begin + CHUNK]


async def _rows(
    conn: Connection, scope: Scope, filters: Filters, *, after: str | None = None, ids: Sequence[int] | None = None
) -> list[CameraRow]:
    return await list_cameras(
        conn,
        scope,
        limit=CHUNK,
        after=after,
        village=filters.village,
        region=filters.region,
        text=filters.text,
        ids=ids,
    )


def _now(context: Context, row: CameraRow, now_us: int) -> Now:
    return now_of(context.view.cameras.get(row.id), now_us, context.grace(row.interval_s))


def _out(context: Context, row: CameraRow, now: Now, *, maintained: bool) -> CameraOut:
    live = context.view.cameras.get(row.id)
    stream = now.stream
    return CameraOut(
        id=row.code,
        name=row.name,
        village=row.village,
        village_name=row.village_name,
        region=row.region,
        url=masked(row.url, credentials=row.username is not None),
        recorder=row.recorder,
        line=row.line,
        state=now.state,
        state_since=None if stream is None else rfc3339(stream.since_us),
        reason=None if stream is None else stream.reason,
        blame=None if stream is None else stream.blame,
        picture=_picture(now.picture),
        faults=list(now.faults),
        pending=now.pending,
        void=None if live is None else live.void,
        last_look_at=_instant(None if live is None else live.last_look_us),
        last_up_at=_instant(None if live is None else live.last_up_us),
        interval_s=row.interval_s or context.default_interval_s,
        maintenance=maintained,
    )


def masked(url: str, *, credentials: bool) -> str:
    """The address with `***` in the place of user and password where the camera has them; the store's has neither."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}://***@{rest}" if separator and credentials else url


def _picture(stand: Stand | None) -> PictureOut | None:
    if stand is None:
        return None
    return PictureOut(state=stand.state, reason=stand.reason, blame=stand.blame, since=rfc3339(stand.since_us))


def _instant(us: int | None) -> str | None:
    return None if us is None else rfc3339(us)
