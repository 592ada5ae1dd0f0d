"""The service's loops, with a real store and without lookers or web."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from streamwatch.clock import SystemClock
from streamwatch.errors import Reason
from streamwatch.health import LoopLag
from streamwatch.inventory.apply import run_import
from streamwatch.inventory.lists import parse_file
from streamwatch.model.look import Depth, Look, State, StreamKind
from streamwatch.model.report import Health, Report, Ticket
from streamwatch.model.standing import PICTURE, Pending, Standing
from streamwatch.schedule import Policy as SchedulePolicy
from streamwatch.schedule.capacity import WHOLE
from streamwatch.secrets import Sealer
from streamwatch.service.commands import Commands
from streamwatch.service.commit import Committer
from streamwatch.service.core import Service, _longest_s
from streamwatch.service.status import Doctor
from streamwatch.store.engine import default_url, open_writer
from streamwatch.store.handles import Writer
from streamwatch.store.migrate import upgrade
from streamwatch.store.timeline import load_standings
from streamwatch.verdict import Policy

VILLAGES = b"code,name,region\nV1,\xe9\x9d\x92\xe7\x9f\xb3\xe6\x9d\x91,A\n"
CAMERAS = b"code,name,village,url\nC1,one,V1,rtsp://127.0.0.1/1\nC2,two,V1,rtsp://127.0.0.1/2\n"


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[Writer]:
    url = default_url(tmp_path)
    await upgrade(url)
    engine = open_writer(url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def service(writer: Writer, tmp_path: Path) -> Service:
    sealer = Sealer.open(tmp_path)
    async with writer.begin() as conn:
        for kind, rows in (("villages", VILLAGES), ("cameras", CAMERAS)):
            await run_import(conn, sealer, kind, parse_file(rows, kind), now_us=1, dry_run=False, on_error="stop")
    made = Service(
        clock=SystemClock(),
        policy=Policy(),
        schedule=SchedulePolicy(),
        committer=Committer(writer),
        rng=random.Random(1),
    )
    await Commands(made, writer, sealer, 300).load()
    return made


def report(*looks: Look) -> Report:
    health = Health(at_us=0, loop_lag_ms=0)
    return Report(
        round_id="r", village=1, depth=Depth.STREAM, due_us=looks[0].started_us, attempt=0, part=0, last=True,
        vantage="v", before=health, after=health, looks=looks,
    )  # fmt: skip


def look(camera: int, reason: Reason | None = None) -> Look:
    return Look(
        camera=camera, depth=Depth.STREAM, stream=StreamKind.MAIN, started_us=SystemClock().utc_us(),
        duration_us=1000, vantage="v", reason=reason, media_flowed=reason is None,
    )  # fmt: skip


async def absorbed(service: Service, *reports: Report) -> None:
    for one in reports:
        await service.inbox.put(one)
    working = asyncio.create_task(service.absorb_forever())
    async with asyncio.timeout(10):
        while not service.inbox.empty():
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)


async def test_what_was_absorbed_is_on_disk_and_in_memory_alike(service: Service, writer: Writer) -> None:
    """After a commit the store gives back exactly what the service remembers."""
    first, second = service.inventory.cameras
    await absorbed(service, report(look(first), look(second, Reason.NET_REFUSED)))

    async with writer.connect() as conn:
        stored = {(one.camera, one.dimension): one for one in await load_standings(conn)}
    remembered = {(one.camera, one.dimension): one for found in service.standings.values() for one in found.values()}
    assert stored == remembered
    assert stored[first, "stream"].state is State.UP
    assert stored[second, "stream"].pending is not None


async def test_a_report_that_trips_us_costs_only_itself(service: Service) -> None:
    """A mistake of ours in one report is counted; the reports beside it are booked."""
    first, second = service.inventory.cameras
    bad = report(msgspec.structs.replace(look(first), started_us="yesterday"))  # type: ignore[arg-type]
    good = report(look(second))
    with capture_logs() as said:
        await absorbed(service, bad, good)

    assert [one["event"] for one in said] == ["report.not_absorbed"]
    assert service.standings[second]["stream"].state is State.UP
    assert first not in service.standings
    assert service.counters.snapshot()["streamwatch_dropped_total"] == {"report": 1}


async def test_what_looks_remark_is_counted(service: Service) -> None:
    """A remark changes no state; how many looks had it is a metric."""
    first, second = service.inventory.cameras
    remarked = msgspec.structs.replace(look(first), remarks=(Reason.TLS_UNTRUSTED,))
    await absorbed(service, report(remarked), report(look(second)))

    assert service.standings[first]["stream"].state is State.UP
    assert service.counters.snapshot()["streamwatch_look_remarks_total"] == {"tls.untrusted": 1}


async def test_memory_moves_only_after_the_commit(service: Service, writer: Writer) -> None:
    """While the database cannot be written memory stays as it was; once it can, everything is booked."""
    first, _ = service.inventory.cameras
    await service.inbox.put(report(look(first)))
    async with writer.begin() as conn:  # somebody holds the one write connection
        del conn
        working = asyncio.create_task(service.absorb_forever())
        await asyncio.sleep(1)
        assert first not in service.standings
    async with asyncio.timeout(10):
        while first not in service.standings:
            await asyncio.sleep(0.05)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)

    assert service.standings[first]["stream"].state is State.UP


async def test_time_is_counted_where_the_camera_was(service: Service, writer: Writer, tmp_path: Path) -> None:
    """Moved between two looks: each village gets its part of the time between them, to the microsecond, nothing twice.

    What was counted for the village that it left stays as it is, and a late look of its round there is booked too.
    """
    first, second = service.inventory.cameras
    begin_us = service.clock.utc_us() - 100_000_000
    await absorbed(service, report(look_at(first, begin_us), look_at(second, begin_us)))
    await absorbed(service, report(look_at(first, begin_us + 10_000_000)))
    counted = service.counters.snapshot()["streamwatch_village_up_seconds_total"]
    assert counted == {"A|V1": 10.0}

    sealer = Sealer.open(tmp_path)
    lists = (
        ("villages", b"code,name,region\nV2,\xe6\x9d\x91,A/B\n"),
        ("cameras", b"code,name,village,url\nC1,one,V2,rtsp://127.0.0.1/1\n"),
    )
    async with writer.begin() as conn:
        for kind, rows in lists:
            await run_import(
                conn, sealer, kind, parse_file(rows, kind), now_us=begin_us + 12_345_678, dry_run=False, on_error="stop"
            )
    await Commands(service, writer, sealer, 300).load()
    await absorbed(service, report(look_at(first, begin_us + 20_000_000), look_at(second, begin_us + 20_000_000)))

    counted = service.counters.snapshot()["streamwatch_village_up_seconds_total"]
    assert counted == {"A|V1": pytest.approx(10 + 2.345678 + 20), "A/B|V2": pytest.approx(20 - 12.345678)}


async def test_time_out_of_service_is_not_counted(service: Service) -> None:
    """A look that was under way when its camera was removed adds no time after that."""
    first, _ = service.inventory.cameras
    begin_us = service.clock.utc_us() - 100_000_000
    await absorbed(service, report(look_at(first, begin_us)))
    gone = replace(service.inventory.cameras[first], removed_us=begin_us + 4_000_000)
    service.load(replace(service.inventory, cameras={**service.inventory.cameras, first: gone}))
    await absorbed(service, report(look_at(first, begin_us + 10_000_000)))

    assert service.counters.snapshot()["streamwatch_village_up_seconds_total"] == {"A|V1": 4.0}


def look_at(camera: int, at_us: int) -> Look:
    return msgspec.structs.replace(look(camera), started_us=at_us)


@pytest.mark.parametrize(
    ("ticket", "seconds"),
    [({}, 20.0), ({"patience_ms": 60_000}, 60.0), ({"patience_ms": 60_000, "line": "L", "line_kbps": 9}, 80.0)],
)
def test_a_visit_is_waited_for_as_long_as_its_look_may_take(ticket: dict[str, object], seconds: float) -> None:
    """Its deadline, or its patience, and its turn on a line whose bits are counted."""
    whole = Ticket(camera=1, url="", stream=StreamKind.SUB, offset_ms=0, deadline_ms=20_000, host="", **ticket)  # type: ignore[arg-type]

    assert _longest_s(whole) == seconds


async def test_a_reach_look_that_was_answered_neither_forgives_a_password_nor_settles_a_stream(
    service: Service,
) -> None:
    """It sends no password and asks for no stream: backoff and ordered confirming looks stay as they are."""
    first, second = service.inventory.cameras
    answered = [
        msgspec.structs.replace(look(camera), depth=Depth.REACH, media_flowed=False) for camera in (first, second)
    ]
    for _ in range(2):
        await absorbed(service, report(look(first, Reason.RTSP_AUTH), look(second, Reason.NET_TIMEOUT)))
    until_us = service.planner.waits_us(first)
    assert until_us > 0
    await absorbed(
        service, *(report(msgspec.structs.replace(one, started_us=SystemClock().utc_us())) for one in answered)
    )

    assert service.planner.waits_us(first) == until_us
    assert not service.planner.confirm(second, 0, SystemClock().utc_us())  # one is ordered still


async def test_readiness_and_metrics_tell_of_thinning(service: Service, writer: Writer) -> None:
    """Late looks: the patrol is not ready, and says what it leaves out; metrics say it in numbers."""
    doctor = Doctor(service, LoopLag(service.clock), [], Committer(writer))
    whole = {part.name: part for part in doctor.status().parts}["patrol"]
    capacity = service.planner.capacity
    capacity.turn(0)
    for number in range(40):
        capacity.began(70.0 if number < 10 else 0.0, 300)
    capacity.turn(300_000_000)
    status = doctor.status()
    thinned = {part.name: part for part in status.parts}["patrol"]

    assert whole.ready
    assert not thinned.ready
    assert "one picture look in 2" in thinned.detail
    assert status.gauges["streamwatch_patrol_thinning"] == {"picture": 2.0, "stream": 1.0, "reach": 1.0}
    assert 70.0 <= status.gauges["streamwatch_patrol_lag_seconds"][""] <= 87.5
    assert status.gauges["streamwatch_patrol_lag_median_seconds"][""] < 0.01


async def test_readiness_tells_of_looks_between_the_patrols_that_are_left_out(service: Service, writer: Writer) -> None:
    """They are the last to go, and the sentence says how many are left."""
    service.reconfigure(Policy(), SchedulePolicy(depth=Depth.STREAM, reach_s=60.0))
    capacity = service.planner.capacity
    for period in range(6):
        capacity.turn(period * 300_000_000)
        for _ in range(40):
            capacity.began(299.0, 300)
    doctor = Doctor(service, LoopLag(service.clock), [], Committer(writer))
    patrol = {part.name: part for part in doctor.status().parts}["patrol"]

    assert not patrol.ready
    assert "one stream look in 6 and between them one look in 12" in patrol.detail
    assert doctor.status().gauges["streamwatch_patrol_thinning"]["reach"] == 12.0


async def test_a_setting_for_looks_between_the_patrols_that_does_nothing_is_told_once(service: Service) -> None:
    """With its key and what to do; again where the schedule changes, never where it has an effect on any camera."""
    with capture_logs() as logs:
        for schedule in (
            SchedulePolicy(reach_s=400.0), SchedulePolicy(reach_s=400.0), SchedulePolicy(reach_s=200.0),
            SchedulePolicy(reach_s=201.0), SchedulePolicy(depth=Depth.REACH, reach_s=60.0),
        ):  # fmt: skip
            service.reconfigure(Policy(), schedule)
            service.load(service.inventory)
    told = [line for line in logs if line["event"] == "schedule.reach_s_without_effect"]

    assert [(line["reach_s"], line["depth"]) for line in told] == [
        (400.0, "picture"),
        (201.0, "picture"),
        (60.0, "reach"),
    ]
    assert all("schedule.reach_s" in line["remedy"] for line in told)


async def test_a_code_to_watch_that_no_camera_has_is_told_once(service: Service) -> None:
    """With the code, again only where another one is new; what is known is ordered to be watched."""
    known = next(iter(service.inventory.cameras.values()))
    with capture_logs() as logs:
        for codes in ({known.code, "typo"}, {known.code, "typo"}, {"typo", "other"}):
            service.reconfigure(Policy(), SchedulePolicy(watch=frozenset(codes)))
    told = [line["codes"] for line in logs if line["event"] == "watch.unknown_cameras"]

    assert told == [["typo"], ["other"]]
    assert service.unknown_watched == {"typo", "other"}
    service.reconfigure(Policy(), SchedulePolicy(watch=frozenset({known.code})))
    assert service.unknown_watched == frozenset()
    assert service.planner.visit(known, Depth.STREAM, 0).tickets[0].watch


async def test_what_waits_for_a_picture_is_not_settled_by_a_look_at_the_stream(service: Service) -> None:
    """A fault of the picture is pending and its confirming look ordered: a stream that is up does not take it back."""
    camera = next(iter(service.inventory.cameras))
    now_us = SystemClock().utc_us()
    waits = Pending(State.DOWN, "black", None, now_us, now_us, 1)
    service.standings[camera] = {PICTURE: Standing(camera, PICTURE, State.UP, None, None, now_us, now_us, waits)}
    assert service.planner.confirm(camera, 0, now_us)
    await absorbed(service, report(look(camera)))

    assert not service.planner.confirm(camera, 0, now_us)  # it is ordered still


async def test_a_look_that_says_nothing_takes_no_confirming_look_back(service: Service) -> None:
    """A visit that found no room is void: the look that is to confirm an outage still comes."""
    camera = next(iter(service.inventory.cameras))
    await absorbed(service, report(look(camera, Reason.NET_TIMEOUT)))
    await absorbed(service, report(look(camera, Reason.OURS_LIMIT)))

    assert not service.planner.confirm(camera, 0, SystemClock().utc_us())  # it is ordered still


@pytest.mark.parametrize("reason", [Reason.OURS_LIMIT, Reason.NET_TIMEOUT])
async def test_a_confirming_look_that_says_nothing_is_ordered_again(service: Service, reason: Reason) -> None:
    """It is void, or comes in behind a younger look: the next bad one orders another, not the end of the outage."""
    camera = next(iter(service.inventory.cameras))
    confirming = look(camera, reason)
    await absorbed(service, report(look(camera, Reason.NET_TIMEOUT)))
    await absorbed(service, msgspec.structs.replace(report(confirming), attempt=1))

    assert service.planner.confirm(camera, 0, SystemClock().utc_us())


async def test_an_answer_between_looks_does_not_hide_what_the_deeper_one_found(service: Service) -> None:
    """`explain` tells of the last look that measured something; one that found no camera there is told."""
    camera = next(iter(service.inventory.cameras))
    await absorbed(service, report(look(camera)))
    await absorbed(service, report(msgspec.structs.replace(look(camera), depth=Depth.REACH)))
    assert service.latest[camera].attributed.look.depth is Depth.STREAM
    await absorbed(service, report(msgspec.structs.replace(look(camera, Reason.NET_TIMEOUT), depth=Depth.REACH)))

    assert service.latest[camera].attributed.look.reason is Reason.NET_TIMEOUT


async def test_a_store_that_cannot_write_thins_out_no_patrol(service: Service) -> None:
    """Rounds that were sent meanwhile do not count as unfinished, however long it lasts."""
    plan, now_us = service.planner, SystemClock().utc_us()
    for tick in range(0, 3600, 20):
        plan.stalled()
        plan.due(now_us + tick * 1_000_000)

    assert plan.capacity.unfinished_rounds == 0
    assert plan.capacity.thinning == WHOLE
