"""Connections that stay open between looks: asked again at little cost, given up where of no use, and bounded."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from streamwatch import looker as looker_module
from streamwatch.clock import SystemClock
from streamwatch.decoders.pool import DecoderPool
from streamwatch.errors import Reason
from streamwatch.health import LoopLag
from streamwatch.ingest import held as held_module
from streamwatch.looker import Looker, LookerPolicy, holdable
from streamwatch.model.look import Depth, Look, StreamKind
from streamwatch.model.report import Credentials, Report, Round, Ticket
from streamwatch.net.address import Guard
from streamwatch.net.canary import Canaries
from tests.wire.camera import encode, frame, packetise, reply, sdp

PACKETS = packetise(encode(320, 240, pictures=2), mtu=600)
LAST = frame(PACKETS[-1][:12] + b"$\x00\xff\xff" * 200)  # who begins to read in its middle reads far beyond its end
ANSWER = ("Server: cam", "Session: 9", "Transport: RTP/AVP/TCP;interleaved=0-1")
HALVES = LAST[:400], LAST[400:]


@dataclass
class Device:
    """What a camera was asked, connection by connection, and how it misbehaves."""

    url: str = ""
    asked: list[list[str]] = field(default_factory=list)
    open: int = 0
    most: int = 0
    closes_after: str | None = None  # a method; it answers and closes
    mute: bool = False  # answers nothing in connections that it has had for a while
    busy: bool = False
    single: bool = False  # has room for one connection, and closes what is more
    locked: bool = False  # takes no password; the second connection answers nothing but OPTIONS
    tries: int = 0  # of a password that was refused
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    def methods(self) -> list[str]:
        """Of each connection, as one text."""
        return [" ".join(one) for one in self.asked]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked: list[str] = []
        self.asked.append(asked)
        self.writers.append(writer)
        self.open += 1
        self.most = max(self.most, self.open)
        if self.single and self.open > 1:
            self.open -= 1
            writer.close()
            return
        playing = False
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                asked.append(method := head.split()[0])
                if self.mute and "TEARDOWN" in asked:
                    continue
                found = re.search(r"CSeq: ([0-9]+)", head)
                assert found is not None
                if self.busy and method == "SETUP":
                    writer.write(reply(int(found[1]), "453 Not Enough Bandwidth"))
                    continue
                if self.locked and method in {"DESCRIBE", "SETUP"}:
                    self.tries += "Authorization:" in head
                    if len(self.asked) != 2:
                        offer = f'WWW-Authenticate: Digest realm="r", nonce="{len(self.asked)}-{found[1]}"'
                        writer.write(reply(int(found[1]), "401 Unauthorized", offer))
                    continue
                body = {"body": sdp()} if method == "DESCRIBE" else {}
                if playing and method == "TEARDOWN":
                    writer.write(HALVES[1])  # what was on its way
                writer.write(reply(int(found[1]), "200 OK", *ANSWER, **body))
                if method == "PLAY":
                    playing = True
                    writer.write(b"".join(frame(packet) for packet in PACKETS) + HALVES[0])
                if method == self.closes_after:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self.open -= 1
            writer.close()


@asynccontextmanager
async def device() -> AsyncIterator[Device]:
    one = Device()
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.url = f"rtsp://127.0.0.1:{server.sockets[0].getsockname()[1]}/live"
    yield one
    server.close()
    for writer in one.writers:
        writer.close()
    await server.wait_closed()


class Own(SystemClock):
    """The machine's clock, and what a test adds to it."""

    later_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.later_s


def holding(most: int = 10, clock: SystemClock | None = None, **policy: Any) -> Looker:
    clock = clock or SystemClock()
    return Looker(
        "here",
        pool=DecoderPool(workers=1),
        clock=clock,
        policy=LookerPolicy(held=most, **policy),
        guard=Guard(),
        canaries=Canaries((), clock, 60),
        lag=LoopLag(clock),
    )


def ticket(one: Device, camera: int = 1, **given: Any) -> Ticket:
    wanted = {"stream": StreamKind.SUB, "offset_ms": 0, "deadline_ms": 3000, "host": f"h{camera}"}
    return Ticket(camera=camera, url=one.url, **{**wanted, **given})


async def looks(who: Looker, *tickets: Ticket, depth: Depth = Depth.REACH, visit: bool = False) -> list[Look]:
    """One round; the looks by camera."""
    reports: list[Report] = []

    async def emit(report: Report) -> None:
        reports.append(report)

    order = Round(
        id="r", village=1, depth=depth, due_us=SystemClock().utc_us(), window_ms=0, visit=visit, tickets=tickets
    )
    async with asyncio.timeout(30):
        await who.work(order, emit)
    assert reports[-1].last
    return sorted((look for report in reports for look in report.looks), key=lambda look: look.camera)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.005)


async def test_a_connection_stays_open_and_is_asked_again() -> None:
    """After stream: one session, ended; then OPTIONS for each reach look, in the same connection."""
    who = holding()
    async with device() as camera:
        first = await looks(who, ticket(camera), depth=Depth.STREAM)
        await until(lambda: camera.methods()[0].endswith("TEARDOWN"))
        await asyncio.sleep(0.02)
        second, third = [(await looks(who, ticket(camera)))[0] for _ in range(2)]
        assert (first[0].reason, second.reason, third.reason) == (None, None, None)
        assert camera.methods() == ["OPTIONS DESCRIBE SETUP PLAY TEARDOWN OPTIONS OPTIONS"]
        assert (second.server, set(second.timings_ms)) == ("cam", {"options", "total"})
        assert (who.held, who.open_sessions) == (1, 0)
        who.close()
        await until(lambda: camera.open == 0)


async def test_without_the_setting_nothing_is_held() -> None:
    """The default: an open connection takes a place of a camera."""
    who = holding(LookerPolicy().held)
    async with device() as camera:
        await looks(who, ticket(camera))
        await looks(who, ticket(camera))
        assert (camera.methods(), who.held) == (["OPTIONS", "OPTIONS"], 0)
        await until(lambda: camera.open == 0)


async def test_a_camera_has_one_session_also_where_a_connection_to_it_is_held() -> None:
    """Another look of it never opens a second connection beside the one that is open."""
    who = holding()
    async with device() as camera:
        for depth, visit in ((Depth.REACH, False), (Depth.STREAM, False), (Depth.STREAM, True), (Depth.REACH, False)):
            (look,) = await looks(who, ticket(camera), depth=depth, visit=visit)
            assert look.reason is None
            await asyncio.sleep(0.02)
        assert camera.most == 1
        who.close()


async def test_a_deeper_look_goes_on_in_the_connection_that_is_open() -> None:
    """The whole conversation in it, or from SETUP on what is known; then it is asked again."""
    who = holding()
    async with device() as camera:
        for depth in (Depth.REACH, Depth.STREAM, Depth.STREAM, Depth.REACH):
            (look,) = await looks(who, ticket(camera), depth=depth)
            assert look.reason is None
            await asyncio.sleep(0.03)
        (asked,) = camera.methods()
        assert asked.startswith("OPTIONS OPTIONS DESCRIBE SETUP PLAY TEARDOWN ")
        assert asked.endswith("SETUP PLAY TEARDOWN OPTIONS")
        who.close()


async def test_a_deeper_look_in_a_dead_connection_begins_anew() -> None:
    """Silent, or closed as soon as it is used: a new connection within the same deadline, and the camera is up."""
    who = holding()
    async with device() as camera:
        for closes in (False, True):
            camera.mute, camera.closes_after = False, None
            await looks(who, ticket(camera), depth=Depth.STREAM)
            await until(lambda: camera.methods()[-1].endswith("TEARDOWN"))
            await asyncio.sleep(0.03)
            assert who.held == 1
            camera.mute = True
            if closes:
                asyncio.get_running_loop().call_later(0.05, camera.writers[-1].close)
            (look,) = await looks(who, ticket(camera), depth=Depth.STREAM)
            assert (look.reason, look.keyframe_bytes is not None) == (None, True)
        who.close()


async def test_a_dead_connection_never_fails_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed meanwhile, or silent: another one is opened within the same deadline, and the camera is up."""
    monkeypatch.setattr(held_module, "ANSWER_S", 0.1)
    monkeypatch.setattr(held_module, "SWEEP_S", 0.02)
    who = holding()
    async with device() as camera:
        await looks(who, ticket(camera), depth=Depth.STREAM)
        await until(lambda: camera.methods()[0].endswith("TEARDOWN"))
        await asyncio.sleep(0.02)
        assert (await looks(who, ticket(camera)))[0].reason is None  # it is of use
        camera.mute = True
        (look,) = await looks(who, ticket(camera))
        assert look.reason is None
        assert camera.methods()[1:] == ["OPTIONS"]
        camera.writers[-1].close()  # while a question is on its way
        (look,) = await looks(who, ticket(camera))
        assert look.reason is None
        who.close()


async def test_a_device_that_closes_what_is_idle_is_left_alone_for_a_day() -> None:
    """It is looked at as without the setting; after a day it is tried again."""
    clock = Own()
    who = holding(clock=clock)
    async with device() as camera:
        camera.closes_after = "OPTIONS"
        for _ in range(3):
            (look,) = await looks(who, ticket(camera))
            assert look.reason is None
            await until(lambda: camera.open == 0)
            await asyncio.sleep(0.01)
        assert who.held == 0
        camera.closes_after = None
        await looks(who, ticket(camera))
        assert who.held == 0
        clock.later_s = held_module.REST_S
        await looks(who, ticket(camera))
        assert who.held == 1
        who.close()


async def test_looks_go_before_connections_that_are_only_held() -> None:
    """Two places at a host: one may be held, the other is free; and a look that needs both gets both."""
    who = holding(per_host=2)
    async with device() as camera:
        tickets = [ticket(camera, number, host="h") for number in (1, 2, 3)]
        for one in tickets:
            await looks(who, one)
        assert who.held == 1
        assert [look.reason for look in await looks(who, *tickets)] == [None] * 3
        assert camera.most == 2
        (kept,) = who._held._held
        others = [one for one in tickets if one.camera != kept]
        assert [look.reason for look in await looks(who, *others)] == [None] * 2
        assert kept not in who._held._held
        who.close()
        assert (who._hosts._taken, who._recorders._taken, who._cameras._taken) == ({}, {}, {})


async def test_beyond_the_cap_the_longest_unused_is_closed() -> None:
    """Two may be held: of three cameras the first is let go, unless it was asked again."""
    who = holding(2)
    async with device() as camera:
        for number in (1, 2, 1, 3):
            await looks(who, ticket(camera, number))
        assert sorted(who._held._held) == [1, 3]
        await until(lambda: camera.open == 2)
        who.close()
        assert (who._hosts._taken, who._held._at) == ({}, {})


async def test_a_device_that_is_busy_with_us_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """453 while we hold a connection to its host: ours.limit, and all are closed; without one it is rtsp.busy."""
    who = holding()
    async with device() as camera:
        await looks(who, ticket(camera, 1, host="h"))
        assert who.held == 1
        camera.busy = True
        (look,) = await looks(who, ticket(camera, 2, host="h"), depth=Depth.STREAM)
        assert (look.reason, who.held) == (Reason.OURS_LIMIT, 0)
        assert "held.connections" in look.detail
        (look,) = await looks(who, ticket(camera, 2, host="h"), depth=Depth.STREAM)
        assert look.reason is Reason.RTSP_BUSY


async def test_a_device_that_has_no_room_beside_our_connection_is_ours() -> None:
    """It closes what is beside the connection that we hold: ours.limit, and none is held there; else it is its own."""
    who = holding()
    async with device() as camera:
        await looks(who, ticket(camera, 1, host="h"))
        assert who.held == 1
        camera.single = True
        (look,) = await looks(who, ticket(camera, 2, host="h"), depth=Depth.STREAM)
        assert (look.reason, who.held) == (Reason.OURS_LIMIT, 0)
        await until(lambda: camera.open == 0)
        (look,) = await looks(who, ticket(camera, 2, host="h"), depth=Depth.STREAM)
        assert (look.reason, who.held) == (None, 1)
        (look,) = await looks(who, ticket(camera, 1, host="h"), depth=Depth.STREAM)
        assert look.reason is Reason.OURS_LIMIT
        await until(lambda: camera.open == 0)
        camera.open = 1
        (look,) = await looks(who, ticket(camera, 1, host="h"), depth=Depth.STREAM)
        assert look.reason is Reason.NET_RESET
        who.close()


async def test_a_device_that_has_not_seen_our_connection_end_is_ours() -> None:
    """Another password is another connection: what the device does to it beside the old one is not its own fault."""
    who = holding()
    async with device() as camera:
        await looks(who, ticket(camera))
        camera.single = True
        camera.open = 2  # as it has not noticed by then
        (look,) = await looks(who, ticket(camera, credentials=Credentials("u", "p")), depth=Depth.STREAM)
        assert (look.reason, who.held) == (Reason.OURS_LIMIT, 0)
        assert "held.connections" in look.detail
        camera.open = 1
        (look,) = await looks(who, ticket(camera, credentials=Credentials("u", "p")), depth=Depth.STREAM)
        assert look.reason is Reason.NET_RESET
        who.close()


async def test_another_address_is_another_connection() -> None:
    """An order with another address or password of the same camera does not go to the old one."""
    who = holding()
    async with device() as camera, device() as other:
        await looks(who, ticket(camera))
        moved = msgspec.structs.replace(ticket(camera), url=other.url)
        assert (await looks(who, moved))[0].reason is None
        assert (camera.methods(), other.methods()) == (["OPTIONS"], ["OPTIONS"])
        await until(lambda: camera.open == 0)
        who.close()


def test_the_limit_of_open_files_leaves_room_for_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 1,024 files 256 looks by UDP take 768, and what is beside them 100."""
    monkeypatch.setattr(looker_module.resource, "getrlimit", lambda _: (1024, 4096))
    assert holdable(LookerPolicy(held=1000)) == 1024 - 3 * 256 - 100
    assert holdable(LookerPolicy(held=100)) == 100
    assert holdable(LookerPolicy(held=100, looks_in_flight=1000)) == 0
    assert holdable(LookerPolicy()) == 0


async def test_a_look_tries_a_password_twice_in_all_its_connections() -> None:
    """In the connection that was held, from SETUP on, and in the ones after it: accounts are locked after five."""
    who = holding()
    async with device() as camera:
        asked = ticket(camera, credentials=Credentials("u", "p"))
        await looks(who, asked, depth=Depth.STREAM)
        await until(lambda: camera.methods()[0].endswith("TEARDOWN"))
        await asyncio.sleep(0.03)
        assert who.held == 1
        camera.locked = True
        (look,) = await looks(who, asked, depth=Depth.STREAM)
        assert look.reason is Reason.RTSP_AUTH and len(camera.asked) == 3
        assert camera.tries == 2
        who.close()
