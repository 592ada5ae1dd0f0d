"""What a commit that fails costs: never what another round has seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from streamwatch.inventory.apply import run_import
from streamwatch.inventory.lists import parse_file
from streamwatch.model.look import Depth, State
from streamwatch.model.standing import REACH, Standing
from streamwatch.secrets import Sealer
from streamwatch.service.absorb import Absorbed
from streamwatch.service.commit import Committer
from streamwatch.service.holding import HOLD_S, RoundKey
from streamwatch.store.batch import RoundLook
from streamwatch.store.engine import default_url, open_writer
from streamwatch.store.handles import StoreError, Writer
from streamwatch.store.migrate import upgrade
from streamwatch.store.rounds import Mark, PackedHour
from streamwatch.store.timeline import load_standings

US = 1_000_000
DUE = 1_800_000_000 * US
LATER = DUE + int(HOLD_S * US)
NOWHERE = 999  # a village that there is not
LISTS = {
    "villages": b"code,name,region\nV1,one,A\nV2,two,A\n",
    "cameras": b"code,name,village,url\nC1,one,V1,rtsp://127.0.0.1/1\nC2,two,V2,rtsp://127.0.0.1/2\n",
}


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[Writer]:
    """A store with a camera in each of two villages."""
    await upgrade(default_url(tmp_path))
    engine = open_writer(default_url(tmp_path))
    async with engine.begin() as conn:
        for kind, rows in LISTS.items():
            await run_import(
                conn, Sealer.open(tmp_path), kind, parse_file(rows, kind), now_us=1, dry_run=False, on_error="stop"
            )
    yield engine
    await engine.dispose()


def seen(village: int) -> Absorbed:
    """A round of that village that goes on: its camera was seen as before."""
    line = RoundLook(village, Depth.STREAM, "v", DUE, 0, village, DUE + US, 40.0, Mark.AS_BEFORE)
    return Absorbed(lines=[line])


def changed(camera: int) -> Absorbed:
    """A round that ended, and found that camera's reach to stand otherwise."""
    found = seen(camera)
    found.standings[camera, REACH] = Standing(camera, REACH, State.DOWN, "net.refused", None, DUE, DUE)
    found.ended.append(RoundKey(camera, "stream", "v"))
    return found


async def packed(writer: Writer) -> dict[int, PackedHour | bytes]:
    async with writer.connect() as conn:
        rows = await conn.exec_driver_sql("SELECT village, body FROM round_hour")
        return {village: PackedHour.decode(body) for village, body in rows if body != b"damaged"}


async def standings(writer: Writer) -> list[int]:
    async with writer.connect() as conn:
        return [camera for (camera,) in await conn.exec_driver_sql("SELECT camera FROM standing")]


async def test_held_lines_that_are_refused_cost_no_report(writer: Writer) -> None:
    """Beside a line that has no place in the store, what a Report changed and what others saw is written."""
    committer = Committer(writer)
    await committer.commit(seen(NOWHERE), DUE)
    await committer.commit(seen(2), DUE)
    with capture_logs() as logs:
        await committer.commit(changed(1), LATER)

    assert await standings(writer) == [1]
    assert (await packed(writer)).keys() == {2}
    await committer.write_held(LATER, everything=True)
    assert (await packed(writer)).keys() == {1, 2}
    assert [entry["village"] for entry in logs if entry["event"] == "store.lines_refused"] == [NOWHERE]


async def test_a_report_that_is_refused_takes_no_held_lines_with_it(writer: Writer) -> None:
    """What waited for its round's end is written, although the commit that it came to failed."""
    committer = Committer(writer)
    await committer.commit(seen(2), DUE)
    with pytest.raises(StoreError):
        await committer.commit(changed(NOWHERE), LATER)
    await committer.write_held(LATER, everything=True)

    assert (await packed(writer)).keys() == {2}
    assert await standings(writer) == []


async def test_a_damaged_row_of_rounds_does_not_end_the_writing_of_others(writer: Writer) -> None:
    """A row that cannot be read costs the lines that belong into it, and neither the service nor other villages."""
    committer = Committer(writer)
    async with writer.begin() as conn:
        await conn.exec_driver_sql(
            f"INSERT INTO round_hour VALUES (1, 'stream', 'v', {DUE // 3600 // US * 3600 * US}, 'damaged')"
        )
        await conn.exec_driver_sql("UPDATE round_hour SET body = CAST(body AS BLOB)")
    await committer.commit(seen(1), DUE)
    await committer.commit(seen(2), DUE)
    await committer.write_held(LATER)

    assert (await packed(writer)).keys() == {2}


async def test_a_commit_that_is_broken_off_leaves_its_lines_for_the_last_one(writer: Writer) -> None:
    """The service ends while a commit waits for the store: what was held is written at the end."""
    committer = Committer(writer)
    await committer.commit(seen(2), DUE)
    async with writer.begin():
        writing = asyncio.create_task(committer.write_held(LATER))
        await asyncio.sleep(0.05)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    await committer.write_held(LATER, everything=True)

    assert (await packed(writer)).keys() == {2}


async def test_no_line_is_written_before_what_its_report_changed(writer: Writer) -> None:
    """A camera came back, and was seen so again; the commit of both is broken off. Its lines, on disk without it, would
    have the camera down until the second look, which found it up: the last look known is the one that was committed."""
    committer = Committer(writer)
    await committer.commit(changed(1), DUE)
    back = seen(1)
    back.standings[1, REACH] = Standing(1, REACH, State.UP, None, None, DUE + US, DUE + 2 * US)
    back.lines = [back.lines[0]._replace(started_us=DUE + 2 * US)]
    async with writer.begin():
        writing = asyncio.create_task(committer.commit(back, DUE + 2 * US))
        held = asyncio.create_task(committer.write_held(LATER, everything=True))
        await asyncio.sleep(0.05)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    await held
    await committer.write_held(LATER, everything=True)

    async with writer.connect() as conn:
        (found,) = await load_standings(conn)
    assert (found.state, found.last_us) == (State.DOWN, DUE + US)
