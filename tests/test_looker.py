"""Round in, Report out: against the simulated farm, in this process."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from streamwatch import memory as memory_module
from streamwatch.clock import SystemClock
from streamwatch.decoders.job import DecodeJob, DecodeResult
from streamwatch.decoders.pool import DecoderPool, JailMode
from streamwatch.errors import Exit, Reason
from streamwatch.findings import found
from streamwatch.gates import Gate
from streamwatch.health import BEAT_S, LoopLag
from streamwatch.inbox import FLUSH_S
from streamwatch.looker import Looker, LookerPolicy
from streamwatch.model.look import Depth, Look, StreamKind, Transport
from streamwatch.model.report import Canary, Credentials, Report, Round, Ticket
from streamwatch.net.address import Guard
from streamwatch.net.canary import Canaries
from streamwatch.net.tls import Verify
from streamwatch.simulator.farm import Farm, FarmPlan
from streamwatch.verdict import Policy as Verdicts
from tests.certificates import certificate
from tests.ingest.tls_camera import peer, serving
from tests.ingest.udp_camera import Camera, Plan, udp_camera
from tests.wire.camera import encode, frame, packetise, reply, sdp

CACHE = Path(__file__).resolve().parents[1] / ".run" / "farm-cache"


@pytest.fixture
async def farm() -> AsyncIterator[Farm]:
    running = Farm(FarmPlan(villages=2, cameras=12, bind="127.9.0.0/16", cache_dir=CACHE))
    await running.start()
    yield running
    await running.aclose()


@pytest.fixture
async def pool() -> AsyncIterator[DecoderPool]:
    running = DecoderPool(workers=1, jail=JailMode.REQUIRED)
    await running.start()
    yield running
    await running.aclose()


def looker(pool: DecoderPool, policy: LookerPolicy | None = None) -> Looker:
    clock = SystemClock()
    return Looker(
        "here",
        pool=pool,
        clock=clock,
        policy=policy or LookerPolicy(),
        guard=Guard(),
        canaries=Canaries((), clock, 60),
        lag=LoopLag(clock),
    )


def order(farm: Farm, window_ms: int = 0, deadline_ms: int = 3000, depth: Depth = Depth.PICTURE) -> Round:
    cameras = farm.cameras
    return Round(
        id="r1",
        village=1,
        depth=depth,
        due_us=SystemClock().utc_us(),
        window_ms=window_ms,
        tickets=tuple(
            Ticket(
                camera=number,
                url=camera.sub_url,
                stream=StreamKind.SUB,
                offset_ms=number * window_ms // len(cameras),
                deadline_ms=deadline_ms,
                host=camera.address,
                credentials=Credentials(camera.username, camera.password),
            )
            for number, camera in enumerate(cameras)
        ),
    )


async def work(who: Looker, what: Round) -> list[Report]:
    reports: list[Report] = []

    async def emit(report: Report) -> None:
        reports.append(report)

    async with asyncio.timeout(60):
        await who.work(what, emit)
    return reports


def looks_of(reports: list[Report]) -> dict[int, Look]:
    return {look.camera: look for report in reports for look in report.looks}


async def test_every_ticket_becomes_one_look_and_the_last_part_closes_the_round(farm: Farm, pool: DecoderPool) -> None:
    """Twelve cameras, twelve looks with a picture measured; parts are numbered and only the last says so."""
    reports = await work(looker(pool), order(farm, window_ms=1500))
    looks = looks_of(reports)

    assert len(looks) == sum(len(report.looks) for report in reports) == 12
    assert {look.reason for look in looks.values()} == {None}
    assert all((look.codec, look.width, look.height) == ("h264", 640, 360) for look in looks.values())
    assert all(look.measure("luma_mean") for look in looks.values())
    assert [report.part for report in reports] == list(range(len(reports)))
    assert [report.last for report in reports] == [False] * (len(reports) - 1) + [True]
    assert len(reports) >= 2


async def test_a_ticket_whose_name_leads_to_this_machine_is_not_allowed(farm: Farm, pool: DecoderPool) -> None:
    """The inventory's localhost is ours.limit with the remedy; the same camera by its address is up."""
    what = order(farm)
    port = what.tickets[0].url.split(":")[2].split("/")[0]
    named = msgspec.structs.replace(what.tickets[0], url=f"rtsp://localhost:{port}/live")
    reports = await work(looker(pool), msgspec.structs.replace(what, tickets=(named, *what.tickets[1:3])))
    looks = looks_of(reports)

    assert looks[named.camera].reason is Reason.OURS_LIMIT
    assert "look.allow_networks" in looks[named.camera].detail
    assert [look.reason for number, look in looks.items() if number != named.camera] == [None, None]


async def test_looks_begin_at_their_offsets(farm: Farm, pool: DecoderPool) -> None:
    """The stagger within the window is kept, to the tick of the loop."""
    what = order(farm, window_ms=1200, depth=Depth.STREAM)
    looks = looks_of(await work(looker(pool), what))

    for ticket in what.tickets:
        late_us = looks[ticket.camera].started_us - what.due_us - ticket.offset_ms * 1000
        assert -5_000 <= late_us < 500_000


async def test_a_bad_camera_costs_only_its_own_look(farm: Farm, pool: DecoderPool) -> None:
    """One silent, one refusing, one with another password: nine others are as before."""
    codes = [camera.code for camera in farm.cameras]
    farm.set_fault(codes[0], "silent")
    farm.set_fault(codes[1], "refused")
    farm.set_fault(codes[2], "auth")
    looks = looks_of(await work(looker(pool), order(farm, deadline_ms=1500)))

    assert looks[0].reason is Reason.NET_TIMEOUT
    assert looks[1].reason is Reason.NET_REFUSED
    assert looks[2].reason is Reason.RTSP_AUTH
    assert {looks[number].reason for number in range(3, 12)} == {None}


async def test_a_defect_before_or_behind_the_conversation_costs_only_its_own_look(farm: Farm) -> None:
    """An address that nobody can dial, and a decoder pool that raises: ours, and all other looks are told."""

    class Raising(DecoderPool):
        async def score(self, job: DecodeJob) -> DecodeResult:
            raise RuntimeError(f"{len(job.data)} bytes")

    what = order(farm)
    bad = msgspec.structs.replace(what.tickets[0], url="http://127.0.0.1/live")
    who = looker(Raising(workers=1, jail=JailMode.REQUIRED))
    looks = looks_of(await work(who, msgspec.structs.replace(what, tickets=(bad, *what.tickets[1:4]))))

    assert [looks[number].reason for number in range(4)] == [Reason.OURS_WORKER] * 4
    assert looks[0].detail == "a defect of streamwatch: UsageError"
    assert looks[1].detail == "a defect of streamwatch: RuntimeError"
    assert who.open_sessions == 0


async def test_our_own_stall_is_told_however_long_the_canaries_took(pool: DecoderPool) -> None:
    """The loop stood still while a look failed, and then canaries were asked for a second: the Report says so."""

    class Slow(Canaries):
        async def fresh(self, since: float) -> tuple[Canary, ...]:
            await asyncio.sleep(2 * FLUSH_S)
            return await super().fresh(since)

    clock = SystemClock()
    lag = LoopLag(clock)
    who = Looker(
        "here", pool=pool, clock=clock, policy=LookerPolicy(), guard=Guard(), canaries=Slow((), clock, 60), lag=lag
    )
    beating = asyncio.create_task(lag.run())
    await asyncio.sleep(2 * BEAT_S)
    asyncio.get_running_loop().call_later(BEAT_S, time.sleep, 0.4)

    async def late(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(2 * BEAT_S)
        writer.close()

    server = await asyncio.start_server(late, "127.0.0.1", 0)
    url = f"rtsp://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    ticket = Ticket(camera=1, url=url, stream=StreamKind.SUB, offset_ms=0, deadline_ms=3000, host="127.0.0.1")
    what = Round(id="r1", village=1, depth=Depth.REACH, due_us=clock.utc_us(), window_ms=0, tickets=(ticket,))
    (report,) = await work(who, what)
    beating.cancel()
    server.close()

    assert report.looks[0].reason is Reason.NET_RESET
    assert report.after.loop_lag_ms > 250


async def test_looks_longer_than_their_interval_do_not_pile_up(idle: Looker) -> None:
    """One look under way, one waits for it; the patrol's next is ours.limit at once, and a person's waits too."""
    release = asyncio.Event()

    async def slow(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.close()

    server = await asyncio.start_server(slow, "127.0.0.1", 0)
    url = f"rtsp://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
    ticket = Ticket(camera=1, url=url, stream=StreamKind.MAIN, offset_ms=0, deadline_ms=5000, host="127.0.0.1")
    what = Round(id="r", village=1, depth=Depth.REACH, due_us=SystemClock().utc_us(), window_ms=0, tickets=(ticket,))
    queued = []
    for _ in range(2):
        queued.append(asyncio.create_task(work(idle, what)))
        await asyncio.sleep(0.05)
    visit = asyncio.create_task(work(idle, msgspec.structs.replace(what, visit=True)))
    third = looks_of(await work(idle, what))[1]
    assert (third.reason, third.duration_us < 1_000_000) == (Reason.OURS_LIMIT, True)
    assert "interval" in third.detail
    assert not any(task.done() for task in (*queued, visit))
    release.set()
    others = [looks_of(reports)[1].reason for reports in await asyncio.gather(*queued, visit)]
    assert others == [Reason.NET_RESET] * 3
    assert looks_of(await work(idle, what))[1].reason is Reason.NET_RESET
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("places", [256, 2])
async def test_a_look_tells_how_long_its_own_recorder_kept_it_waiting(idle: Looker, places: int) -> None:
    """Looks that queue at a slow recorder say so; where this looker has no place to spare it is our lack of room."""
    who = idle
    who._all, who._recorders = Gate(places), Gate(1)
    who._reaching.gates = who._reaching.gates._replace(all=who._all, recorders=who._recorders)

    async def slow(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.2)
        writer.close()

    server = await asyncio.start_server(slow, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    tickets = tuple(
        Ticket(
            camera=camera, url=f"rtsp://127.0.0.1:{port}/{camera}", stream=StreamKind.MAIN, offset_ms=0,
            deadline_ms=5000, host=f"h{camera}", group=group,
        )
        for camera, group in enumerate(["slow", "a", "b", "slow", "slow"])
    )  # fmt: skip
    what = Round(id="r", village=1, depth=Depth.REACH, due_us=SystemClock().utc_us(), window_ms=0, tickets=tickets)
    looks = looks_of(await work(who, what))
    server.close()

    waited = [looks[camera].queued_ms for camera in range(5)]
    late_ms = [(looks[camera].started_us - what.due_us) / 1000 for camera in range(5)]
    if places == 2:
        assert waited[:4] == [0.0] * 4
    else:
        assert waited[:3] == [0.0] * 3
        assert 0 < waited[3] < waited[4]
        assert all(kept <= late for kept, late in zip(waited, late_ms, strict=True))


async def test_a_recorders_account_is_not_locked_by_all_of_its_cameras(pool: DecoderPool) -> None:
    """Twelve channels with one wrong password: two answers at most, in two rounds one more; each look says why."""
    answers = 0

    async def recorder(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answers
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                answers += b"Authorization: Digest" in head
                sequence = re.search(rb"CSeq: ([0-9]+)", head)
                assert sequence is not None
                status = b"200 OK" if head.startswith(b"OPTIONS") else b"401 Unauthorized"
                offer = b'WWW-Authenticate: Digest realm="NVR", nonce="%d", stale="FALSE"' % answers
                writer.write(b"RTSP/1.0 %s\r\nCSeq: %s\r\n%s\r\n\r\n" % (status, sequence[1], offer))
        writer.close()

    server = await asyncio.start_server(recorder, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    def what(*, visit: bool = False) -> Round:
        return Round(
            id="r1",
            village=1,
            depth=Depth.STREAM,
            due_us=SystemClock().utc_us(),
            window_ms=0,
            visit=visit,
            tickets=tuple(
                Ticket(
                    camera=number,
                    url=f"rtsp://127.0.0.1:{port}/{number}",
                    stream=StreamKind.MAIN,
                    offset_ms=0,
                    deadline_ms=5000,
                    host="127.0.0.1",
                    credentials=Credentials("admin", "wrong"),
                )
                for number in range(12)
            ),
        )

    who = looker(pool)
    first = looks_of(await work(who, what()))
    assert {look.reason for look in first.values()} == {Reason.RTSP_AUTH}
    assert sum("for another camera" in look.detail for look in first.values()) >= 10
    assert answers <= 2
    await work(who, what())
    assert answers <= 3
    asked_for = msgspec.structs.replace(what(visit=True), tickets=what().tickets[7:8])
    visited = looks_of(await work(who, asked_for))
    assert "for another camera" not in visited[7].detail
    assert answers <= 4
    server.close()
    await server.wait_closed()


async def test_a_second_look_compares_with_the_first(farm: Farm, pool: DecoderPool) -> None:
    """The memory of a picture lives in the looker: the second look knows when the first one was."""
    who = looker(pool)
    first = looks_of(await work(who, order(farm)))
    await asyncio.sleep(5.1)  # sooner than five seconds later nothing is compared
    second = looks_of(await work(who, order(farm)))

    assert {look.reference_us for look in first.values()} == {None}
    assert all(second[number].reference_us == first[number].started_us for number in first)


async def test_a_dead_decoder_is_ours_and_not_the_cameras(farm: Farm) -> None:
    """A pool that never started gives ours.*, with the stream seen as flowing."""
    pool = DecoderPool(workers=1, jail=JailMode.REQUIRED, wall_s=0.5)
    looks = looks_of(await work(looker(pool), order(farm)))

    assert all(look.reason is not None and look.reason.startswith("ours.") for look in looks.values())
    assert all(look.media_flowed for look in looks.values())


async def test_confirming_looks_have_room_of_their_own_and_no_more(pool: DecoderPool) -> None:
    """Every place is taken by silent cameras: a confirming look and a visit come through, one after the other."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            await reader.read()

    async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            while request := await reader.read(4096):
                cseq = re.search(rb"CSeq: *(\d+)", request)
                assert cseq is not None
                writer.write(b"RTSP/1.0 200 OK\r\nCSeq: " + cseq[1] + b"\r\nPublic: OPTIONS\r\n\r\n")

    servers = [await asyncio.start_server(one, "127.0.0.1", 0) for one in (silent, answering)]
    mute, port = (server.sockets[0].getsockname()[1] for server in servers)
    async with servers[0], servers[1]:
        who = looker(pool, LookerPolicy(looks_in_flight=2, per_host=100, connect_s=30.0, step_s=30.0))

        def what(ports: list[int], **more: object) -> Round:
            tickets = tuple(
                Ticket(
                    camera=number,
                    url=f"rtsp://127.0.0.1:{port}/a",
                    stream=StreamKind.SUB,
                    offset_ms=0,
                    deadline_ms=30_000,
                    host="127.0.0.1",
                )
                for number, port in enumerate(ports, 100 * (1 + bool(more)))
            )
            whole = Round(id="r", village=1, depth=Depth.REACH, due_us=0, window_ms=0, tickets=tickets)
            return msgspec.structs.replace(whole, **more)

        patrol = asyncio.create_task(work(who, what([mute] * 3)))
        while who.open_sessions < 2:
            await asyncio.sleep(0.01)
        confirmed = looks_of(await work(who, what([port] * 3, attempt=1)))
        visited = looks_of(await work(who, what([port], visit=True)))

        assert {look.reason for look in (*confirmed.values(), *visited.values())} == {None}
        assert not patrol.done()
        slow = asyncio.create_task(work(who, what([mute] * 3, attempt=2)))
        while who.open_sessions < 3:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert who.open_sessions == 3
        for task in (patrol, slow):
            task.cancel()
        await asyncio.gather(patrol, slow, return_exceptions=True)


async def test_one_host_is_never_visited_by_more_than_its_limit(pool: DecoderPool) -> None:
    """Eight cameras at one address and a limit of two: never more than two connections at once."""
    now = most = 0

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.2)
        now -= 1
        writer.close()

    server = await asyncio.start_server(slow, "127.0.0.1", 0)
    url = f"rtsp://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
    tickets = tuple(
        Ticket(camera=number, url=url, stream=StreamKind.MAIN, offset_ms=0, deadline_ms=5000, host="127.0.0.1")
        for number in range(8)
    )
    what = Round(id="r", village=1, depth=Depth.REACH, due_us=SystemClock().utc_us(), window_ms=0, tickets=tickets)
    looks = looks_of(await work(looker(pool, LookerPolicy(per_host=2)), what))
    server.close()

    assert len(looks) == 8
    assert most == 2


async def test_an_empty_round_is_answered(pool: DecoderPool) -> None:
    """A round whose cameras all left is closed with no looks."""
    what = Round(id="r", village=1, depth=Depth.REACH, due_us=0, window_ms=0)

    (report,) = await work(looker(pool), what)

    assert (report.last, report.looks) == (True, ())


@pytest.mark.parametrize("depth", [Depth.REACH, Depth.STREAM])
async def test_cameras_that_are_asked_for_no_password_are_not_held_to_two_at_once(depth: Depth) -> None:
    """Credentials in the list, and a device that wants none: as many at once as its address may have."""
    now = most = 0

    async def open_device(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            for _ in range(4):
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                cseq = int(re.findall(r"CSeq: ([0-9]+)", head)[0])
                await asyncio.sleep(0.05)
                body = {"body": sdp()} if head.startswith("DESCRIBE") else {}
                writer.write(reply(cseq, "200 OK", "Session: 9", "Transport: RTP/AVP/TCP;interleaved=0-1", **body))
            writer.write(b"".join(frame(packet) for packet in PACKETS))
            await reader.read()
        now -= 1
        writer.close()

    server = await asyncio.start_server(open_device, "127.0.0.1", 0)
    url = f"rtsp://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
    ticket = Ticket(
        camera=1,
        url=url,
        stream=StreamKind.MAIN,
        offset_ms=0,
        deadline_ms=5000,
        host="h",
        credentials=Credentials("u", "p"),
    )
    first = Round(id="r", village=1, depth=depth, due_us=SystemClock().utc_us(), window_ms=0, tickets=(ticket,))
    who = looker(DecoderPool(workers=1))
    assert looks_of(await work(who, first))[1].reason is None
    tickets = tuple(msgspec.structs.replace(ticket, camera=number) for number in range(4))
    looks = looks_of(await work(who, msgspec.structs.replace(first, tickets=tickets)))
    server.close()

    assert {look.reason for look in looks.values()} == {None}
    assert most == 4


PACKETS = packetise(encode(320, 240, pictures=2), mtu=600)


def ticket_of(camera: Camera, number: int = 1, transport: Transport = Transport.AUTO) -> Ticket:
    return Ticket(
        camera=number,
        url=camera.url,
        stream=StreamKind.SUB,
        offset_ms=0,
        deadline_ms=900,
        host="127.0.0.1",
        transport=transport,
    )


async def looks_at(who: Looker, camera: Camera, ticket: Ticket) -> tuple[Look, list[str]]:
    """One look, and the transports that it asked for."""
    camera.requests.clear()
    look = await who.look(ticket, Depth.STREAM)
    return look, [one.split()[1] for one in camera.requests if one.startswith("SETUP")]


@pytest.fixture
def idle() -> Looker:
    """A looker for looks that decode nothing."""
    return looker(DecoderPool(workers=1, jail=JailMode.REQUIRED))


async def test_the_transport_that_worked_is_asked_for_first_the_next_time(idle: Looker) -> None:
    """A camera that refuses TCP is asked for it once; another stream of it is another memory."""
    with udp_camera(Plan(PACKETS, refuses={"tcp": "461 No"})) as camera:
        ticket = ticket_of(camera)
        first, asked_first = await looks_at(idle, camera, ticket)
        second, asked_second = await looks_at(idle, camera, ticket)
        _, asked_main = await looks_at(idle, camera, msgspec.structs.replace(ticket, stream=StreamKind.MAIN))

    assert (first.reason, first.transport, second.reason, second.transport) == (None, "udp", None, "udp")
    assert (asked_first, asked_second, asked_main) == (["tcp", "udp"], ["udp"], ["tcp", "udp"])


async def test_a_remembered_transport_that_fails_gives_way_and_is_forgotten(idle: Looker) -> None:
    """A firewall came between: the look still succeeds by TCP, and the next one begins with TCP.

    What was learnt is tried first, by UDP; then the full conversation, which begins with UDP as well.
    """
    plan = Plan(PACKETS, refuses={"tcp": "461 No"})
    with udp_camera(plan) as camera:
        await looks_at(idle, camera, ticket_of(camera))
        plan.refuses, plan.silent = {}, frozenset({"udp"})
        second, asked_second = await looks_at(idle, camera, ticket_of(camera))
        third, asked_third = await looks_at(idle, camera, ticket_of(camera))

    assert (second.reason, second.transport, asked_second) == (None, "tcp", ["udp", "udp", "tcp"])
    assert (third.reason, third.transport, asked_third) == (None, "tcp", ["tcp"])


async def test_a_camera_is_down_only_when_both_transports_failed(idle: Looker) -> None:
    """And the detail names both; a remembered one that failed is not asked for first again."""
    plan = Plan(PACKETS, refuses={"tcp": "461 No"})
    with udp_camera(plan) as camera:
        await looks_at(idle, camera, ticket_of(camera))
        plan.silent = frozenset({"udp"})
        second, _ = await looks_at(idle, camera, ticket_of(camera))
        _, asked_third = await looks_at(idle, camera, ticket_of(camera))

    assert second.reason is Reason.MEDIA_NO_DATA
    assert "over UDP: PLAY was accepted" in second.detail
    assert "over TCP: SETUP was answered with 461 No" in second.detail
    assert asked_third == ["tcp", "udp"]


async def test_a_look_that_never_came_to_media_forgets_nothing(idle: Looker) -> None:
    """A camera that was not there for a while is not asked for TCP again."""
    with udp_camera(Plan(PACKETS, refuses={"tcp": "461 No"})) as camera:
        ticket = ticket_of(camera)
        await looks_at(idle, camera, ticket)
        gone = await idle.look(msgspec.structs.replace(ticket, url="rtsp://127.0.0.1:1/live"), Depth.STREAM)
        _, asked = await looks_at(idle, camera, ticket)

    assert gone.reason is Reason.NET_REFUSED
    assert asked == ["udp"]


async def test_a_ticket_that_pins_its_transport_gets_no_other(idle: Looker) -> None:
    """tcp at a camera that refuses it is rtsp.transport."""
    with udp_camera(Plan(PACKETS, refuses={"tcp": "461 No"})) as camera:
        look, asked = await looks_at(idle, camera, ticket_of(camera, transport=Transport.TCP))
        by_udp, asked_udp = await looks_at(idle, camera, ticket_of(camera, transport=Transport.UDP))

    assert (look.reason, asked) == (Reason.RTSP_TRANSPORT, ["tcp"])
    assert (by_udp.reason, asked_udp) == (None, ["udp"])


async def test_remembered_transports_are_bounded(idle: Looker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was not looked at for the longest time is forgotten."""
    monkeypatch.setattr(memory_module, "MAX_MEMORIES", 2)
    with udp_camera(Plan(PACKETS, refuses={"tcp": "461 No"})) as camera:
        for number in (1, 2, 1, 3):
            await looks_at(idle, camera, ticket_of(camera, number))
        asked = [(await looks_at(idle, camera, ticket_of(camera, number)))[1] for number in (3, 1)]
        asked.append((await looks_at(idle, camera, ticket_of(camera, 2)))[1])

    assert asked == [["udp"], ["udp"], ["tcp", "udp"]]


async def test_the_wait_for_the_farewell_is_no_part_of_the_look(idle: Looker) -> None:
    """A camera that never answers TEARDOWN costs a moment that nobody measures."""
    with udp_camera(Plan(PACKETS, answers_teardown=False)) as camera:
        look, _ = await looks_at(idle, camera, ticket_of(camera, transport=Transport.UDP))

    assert look.reason is None
    assert look.duration_us == pytest.approx(look.timings_ms["total"] * 1000, abs=50_000)


@pytest.mark.parametrize("verify", list(Verify))
async def test_an_untrusted_certificate_is_told_as_the_policy_says(
    verify: Verify, pool: DecoderPool, tmp_path: Path
) -> None:
    """strict: the look's reason; warn: a remark of a look that is up, with the cause as its detail; off: nothing."""
    who = looker(pool, LookerPolicy(tls_verify=verify))
    async with peer(context=serving(certificate(), tmp_path)) as device:
        ticket = msgspec.structs.replace(ticket_of(Camera("")), url=device.url, deadline_ms=5000)
        look = await who.look(ticket, Depth.REACH)

    assert look.reason == (Reason.TLS_UNTRUSTED if verify is Verify.STRICT else None)
    assert look.remarks == ((Reason.TLS_UNTRUSTED,) if verify is Verify.WARN else ())
    assert ("self-signed" in look.detail) == (verify is not Verify.OFF)
    assert found(look, device.url, Verdicts()).exit == (Exit.DOWN if verify is Verify.STRICT else Exit.OK)
