"""Cameras whose sessions stay open between their looks: against the simulated farm, in this process."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest

from streamwatch.clock import SystemClock
from streamwatch.decoders.pool import DecoderPool
from streamwatch.errors import LookError, Reason
from streamwatch.ingest import continuous
from streamwatch.looker import Looker, LookerPolicy
from streamwatch.model.look import Depth, Look, StreamKind
from streamwatch.model.report import Credentials, Round, Ticket
from streamwatch.quality.streams import STREAM_MEASURES
from streamwatch.simulator.farm import Farm, FarmPlan
from streamwatch.watches import sessions
from streamwatch.wire.watching import Watching
from tests.ingest.test_continuous import Device
from tests.test_looker import CACHE, looker, looks_of, order, pool, work

__all__ = ["pool"]
QUICK = LookerPolicy(watch_keyframe_s=0.2)


@pytest.fixture
async def farm() -> AsyncIterator[Farm]:
    running = Farm(FarmPlan(villages=1, cameras=3, bind="127.9.0.0/16", cache_dir=CACHE, udp=1 / 3))
    await running.start()
    yield running
    await running.aclose()


def watched(farm: Farm, depth: Depth = Depth.PICTURE, *, watch: bool = True) -> Round:
    """A round of all of them."""
    what = order(farm, depth=depth)
    tickets = tuple(msgspec.structs.replace(ticket, watch=watch) for ticket in what.tickets)
    return msgspec.structs.replace(what, tickets=tickets)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.02)


def value(look: Look, name: str) -> float:
    found = look.measure(name)
    assert found is not None and found.valid, name
    return found.value


def unread(watcher: continuous.Watcher) -> None:
    """From here on nothing comes, as far as it knows."""
    watcher._opened.transport.pause_reading()
    if watcher._seat is not None:
        watcher._seat.paused = True


def pictured(who: Looker) -> bool:
    return all(watch.picture is not None for watch in who._watches._watches.values())


async def test_later_looks_are_answered_by_the_session_of_the_first(farm: Farm, pool: DecoderPool) -> None:
    """One session a camera, over TCP and UDP, kept open; each look has its picture and what was measured meanwhile."""
    who = looker(pool, QUICK)
    first = looks_of(await work(who, watched(farm)))
    assert all(look.reason is None and look.measure("stall_s") is None for look in first.values())
    assert {camera.sessions for camera in farm.cameras} == {1} and who._watches.open == 3
    for _ in range(2):
        await until(lambda: pictured(who))
        looks = looks_of(await work(who, watched(farm)))
        for look in looks.values():
            assert (look.reason, look.media_flowed, look.codec, look.width) == (None, True, "h264", 640)
            assert "connect" not in look.timings_ms and look.timings_ms["decode"] > 0
            assert look.measure("luma_mean") is not None and look.keyframe_bytes
            assert value(look, "loss_percent") == 0
            assert value(look, "bitrate_kbps") > 20
            assert value(look, "frame_rate") > 1
            assert value(look, "stall_s") < 5
        assert {look.transport for look in looks.values()} == {"tcp", "udp"}
        assert {camera.sessions for camera in farm.cameras} == {1}
    await who.end_watching()
    await until(lambda: {camera.sessions for camera in farm.cameras} == {0})
    assert not who._watches._places.held


async def test_a_camera_that_is_watched_no_more_is_told_so(farm: Farm, pool: DecoderPool) -> None:
    """TEARDOWN, and an ordinary look in a session of its own."""
    who = looker(pool, QUICK)
    await work(who, watched(farm, Depth.STREAM))
    looks = looks_of(await work(who, watched(farm, Depth.STREAM, watch=False)))

    assert all("connect" in look.timings_ms for look in looks.values())
    await until(lambda: {camera.sessions for camera in farm.cameras} == {0})
    assert who._watches.open == 0


async def test_a_lost_session_is_an_ordinary_look_and_comes_back_by_itself(
    farm: Farm, pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reasons are an ordinary look's; the time without pictures is told; a healthy camera is watched again unasked."""
    monkeypatch.setattr(sessions, "FIRST_RETRY_S", 0.05)
    monkeypatch.setattr(sessions, "LAST_RETRY_S", 0.2)
    who = looker(pool, QUICK)
    await work(who, watched(farm, Depth.STREAM))
    farm.set_fault(farm.cameras[0].code, "refused")
    await until(lambda: who._watches.open == 2)
    await asyncio.sleep(0.3)
    bad = looks_of(await work(who, watched(farm, Depth.STREAM)))[0]
    assert bad.reason is Reason.NET_REFUSED
    assert value(bad, "stall_s") >= 0.3

    farm.set_fault(farm.cameras[0].code, None)
    await until(lambda: who._watches.open == 3)
    look = looks_of(await work(who, watched(farm, Depth.STREAM)))[0]
    assert look.reason is None and "connect" not in look.timings_ms
    assert value(look, "stall_s") >= value(bad, "stall_s")
    await who.end_watching()


async def test_a_session_without_pictures_is_given_up(
    farm: Farm, pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection lives and nothing comes: a stall, after which an order looks for itself."""
    monkeypatch.setattr(continuous, "STALL_S", 0.3)
    monkeypatch.setattr(continuous, "CHECK_S", 0.1)
    who = looker(pool, QUICK)
    await work(who, watched(farm, Depth.STREAM))
    camera, watcher = next(
        (camera, watch.watcher)
        for camera, watch in who._watches._watches.items()
        if watch.watcher is not None and watch.watcher.transport_name == "tcp"
    )
    unread(watcher)
    await until(lambda: watcher.over)
    look = looks_of(await work(who, watched(farm, Depth.STREAM)))[camera]

    assert look.reason is None and value(look, "stall_s") >= 0.3
    assert farm.cameras[camera].sessions == 1
    await who.end_watching()


async def test_a_password_that_is_refused_is_not_tried_again_unasked(farm: Farm, pool: DecoderPool) -> None:
    """Devices lock accounts: the patrol's own backoff decides."""
    who = looker(pool, QUICK)
    await work(who, watched(farm, Depth.STREAM))
    watch = who._watches._watches[0]
    farm.set_fault(farm.cameras[0].code, "auth")
    farm.cameras[0].cut()
    await until(lambda: watch.watcher is None)
    await until(lambda: watch.retrying is None)

    assert watch.watcher is None and watch.retry_s < 5
    await who.end_watching()


@pytest.mark.parametrize("where", ["clock_offset_ms", "take"])
async def test_a_defect_of_ours_costs_the_session_and_no_look(
    farm: Farm, pool: DecoderPool, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """All are looked at as ever, and nothing stays behind."""

    def fails(_: continuous.Watcher) -> None:
        raise RuntimeError("a mistake")

    who = looker(pool, QUICK)
    await work(who, watched(farm, Depth.STREAM))
    with monkeypatch.context() as patched:
        patched.setattr(continuous.Watcher, where, fails)
        looks = looks_of(await work(who, watched(farm, Depth.STREAM)))
    assert {look.reason for look in looks.values()} == {None}
    assert all("connect" in look.timings_ms for look in looks.values())
    await who.end_watching()
    await until(lambda: {camera.sessions for camera in farm.cameras} == {0})
    assert not who._watches._places.held


async def test_half_of_a_recorders_places_are_left_to_others(farm: Farm, pool: DecoderPool) -> None:
    """With four sessions a recorder two cameras are watched, and all are looked at."""
    who = looker(pool, LookerPolicy(per_recorder=4))
    what = watched(farm, Depth.STREAM)
    for ticket in what.tickets:
        one = msgspec.structs.replace(what, tickets=(msgspec.structs.replace(ticket, group="nvr"),))
        assert {look.reason for look in looks_of(await work(who, one)).values()} == {None}
    assert who._watches.open == 2
    await who.end_watching()


async def test_another_address_is_another_session(farm: Farm, pool: DecoderPool) -> None:
    """The main stream in place of the sub stream: the old session ends, as it does for another password."""
    who = looker(pool, QUICK)
    what = watched(farm, Depth.STREAM)
    await work(who, what)
    tickets = tuple(
        msgspec.structs.replace(ticket, url=camera.url)
        for ticket, camera in zip(what.tickets, farm.cameras, strict=True)
    )
    looks = looks_of(await work(who, msgspec.structs.replace(what, tickets=tickets)))
    assert {look.width for look in looks.values()} == {1280}
    assert {camera.sessions for camera in farm.cameras} == {1}
    await who.end_watching()


async def test_a_look_at_a_stream_that_stopped_looks_for_itself(
    farm: Farm, pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the session is given up: what the camera says to a new one decides."""
    who = looker(pool, QUICK)
    await work(who, watched(farm, Depth.STREAM))
    monkeypatch.setattr(continuous.Watcher, "picture_at", property(lambda _: 0.0))
    looks = looks_of(await work(who, watched(farm, Depth.STREAM)))
    assert all(look.reason is None and "connect" in look.timings_ms for look in looks.values())
    assert {camera.sessions for camera in farm.cameras} == {1}
    await who.end_watching()


async def test_a_recorder_that_is_busy_with_our_sessions_is_ours_to_mend(farm: Farm, pool: DecoderPool) -> None:
    """Two of its cameras are watched: that the third is refused is no fault of the recorder's."""
    who = looker(pool, QUICK)
    what = watched(farm, Depth.STREAM)
    tickets = tuple(msgspec.structs.replace(ticket, group="nvr") for ticket in what.tickets)
    await work(who, msgspec.structs.replace(what, tickets=tickets[:2]))
    farm.set_fault(farm.cameras[2].code, "busy")
    look = looks_of(await work(who, msgspec.structs.replace(what, tickets=tickets[2:])))[2]
    assert look.reason is Reason.OURS_LIMIT and "watch.cameras" in look.detail
    await who.end_watching()
    assert looks_of(await work(who, msgspec.structs.replace(what, tickets=tickets[2:])))[2].reason is Reason.RTSP_BUSY
    await who.end_watching()


async def test_what_is_watched_is_charged_to_its_line(
    farm: Farm, pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over TCP and UDP: looks at others that hang on it see what the open sessions take."""
    who = looker(pool, QUICK)
    what = watched(farm, Depth.STREAM)
    tickets = tuple(msgspec.structs.replace(one, line="L1", line_kbps=800_000) for one in what.tickets)
    spent = dict[int, int]()
    spend = who._lines.spend

    def counted(ticket: Ticket, size: int) -> None:
        spent[ticket.camera] = spent.get(ticket.camera, 0) + size
        spend(ticket, size)

    monkeypatch.setattr(continuous, "CHECK_S", 0.2)
    who._lines.spend = counted  # type: ignore[method-assign]
    await work(who, msgspec.structs.replace(what, tickets=tickets))
    watchers = [watch.watcher for watch in who._watches._watches.values()]
    await until(lambda: len(spent) == 3 and all(size > 10_000 for size in spent.values()))
    await asyncio.sleep(0.3)  # of what was not told yet
    await who.end_watching()
    came = [one._watching.received_bytes for one in watchers if one is not None]
    assert sorted(came) == sorted(spent.values())


async def test_no_more_are_watched_than_the_most(farm: Farm, pool: DecoderPool) -> None:
    """The others are looked at as ever."""
    who = looker(pool, LookerPolicy(watch_most=2))
    for _ in range(2):
        looks = looks_of(await work(who, watched(farm, Depth.STREAM)))
        assert {look.reason for look in looks.values()} == {None}
    assert who._watches.open == 2
    await who.end_watching()


async def test_who_is_not_asked_for_any_more_is_let_go(
    farm: Farm, pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A camera that left the inventory gets no orders: its session ends."""
    monkeypatch.setattr(sessions, "UNASKED_S", 0.2)
    who = looker(pool, QUICK)
    await work(who, watched(farm, Depth.STREAM))
    await until(lambda: {camera.sessions for camera in farm.cameras} == {0})
    assert not who._watches._watches and not who._watches._places.held


def test_every_measure_has_its_row() -> None:
    """Names as in the table, in its order."""
    assert list(STREAM_MEASURES) == ["loss_percent", "bitrate_kbps", "frame_rate", "keyframe_interval_s", "stall_s"]


async def test_a_session_that_ends_as_it_is_taken_over_is_opened_again(
    farm: Farm, pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read behind the keyframe may end it: no look is answered by what is over."""
    monkeypatch.setattr(sessions, "FIRST_RETRY_S", 0.05)
    who = looker(pool, QUICK)
    go_on = Watching.go_on

    def ends(watching: Watching, now: float) -> bytes:
        watching.over = LookError(Reason.RTSP_PROTOCOL, "nonsense")
        return go_on(watching, now)

    with monkeypatch.context() as patched:
        patched.setattr(Watching, "go_on", ends)
        await work(who, watched(farm, Depth.STREAM))
    assert all(watch.watcher is None for watch in who._watches._watches.values())
    await until(lambda: who._watches.open == 3)
    await who.end_watching()
    assert not who._watches._places.held


async def test_a_changed_password_is_tried_for_two_cameras_of_a_recorder(
    pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight sessions are lost at once, and all come back by themselves: two wrong answers, then nobody sends one."""
    monkeypatch.setattr(sessions, "FIRST_RETRY_S", 0.05)
    changed, answers, plays = False, 0, list[asyncio.StreamWriter]()

    async def recorder(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answers
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            if not changed:
                plays.append(writer)
                await Device()(reader, writer)
            while changed:
                head = await reader.readuntil(b"\r\n\r\n")
                answers += b"Authorization: Digest" in head
                sequence = re.search(rb"CSeq: ([0-9]+)", head)
                assert sequence is not None
                status = b"200 OK" if head.startswith(b"OPTIONS") else b"401 Unauthorized"
                offer = b'WWW-Authenticate: Digest realm="NVR", nonce="%d", stale="FALSE"' % answers
                await asyncio.sleep(0.02)  # in which the others ask as well
                writer.write(b"RTSP/1.0 %s\r\nCSeq: %s\r\n%s\r\n\r\n" % (status, sequence[1], offer))
        writer.close()

    server = await asyncio.start_server(recorder, "127.0.0.1", 0)
    who = looker(pool, LookerPolicy(per_host=16, per_recorder=16))
    tickets = tuple(
        Ticket(
            camera=number,
            url=f"rtsp://127.0.0.1:{server.sockets[0].getsockname()[1]}/{number}",
            stream=StreamKind.MAIN,
            offset_ms=0,
            deadline_ms=5000,
            host="127.0.0.1",
            group="nvr",
            credentials=Credentials("admin", "until now"),
            watch=True,
        )
        for number in range(8)
    )
    due_us = SystemClock().utc_us()
    what = Round(id="r1", village=1, depth=Depth.STREAM, due_us=due_us, window_ms=0, tickets=tickets)
    assert {look.reason for look in looks_of(await work(who, what)).values()} == {None}
    watches = who._watches._watches.values()
    assert who._watches.open == 8

    changed = True
    for one in plays:
        one.close()
    await until(lambda: who._watches.open == 0 and all(watch.retrying is None for watch in watches))
    assert 1 <= answers <= 2
    assert not who._watches._places.held and not who._doubtful._taken
    await who.end_watching()
    server.close()
