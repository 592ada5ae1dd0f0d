"""Depth reach by the short way comes to what the ordinary way comes to, whatever a device does."""

from __future__ import annotations

import asyncio
import resource
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
import uvloop

from streamwatch.clock import SystemClock
from streamwatch.decoders.pool import DecoderPool
from streamwatch.health import LoopLag
from streamwatch.inbox import Inbox
from streamwatch.ingest import asking as asking_module
from streamwatch.ingest import held as held_module
from streamwatch.ingest.asking import Asking, Question
from streamwatch.ingest.session import Begun
from streamwatch.looker import Looker, LookerPolicy
from streamwatch.model.look import Depth, Look, StreamKind
from streamwatch.model.report import Report, Round, Ticket
from streamwatch.net.address import Address, Guard
from streamwatch.net.canary import Canaries
from streamwatch.reaching import Reaching
from streamwatch.simulator.hostile.corpus import CORPUS
from tests.ingest.test_held import device, until
from tests.ingest.test_hostile import CACHE, PATIENCE, hostile

OK = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n"
POLICY = LookerPolicy(connect_s=2, step_s=0.4, per_host=50)


async def _reset(writer: asyncio.StreamWriter) -> None:
    one = writer.get_extra_info("socket")
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


SAYS: dict[str, tuple[bytes, ...] | Callable[[asyncio.StreamWriter], Awaitable[None]]] = {
    "plain": (OK + b"Public: OPTIONS\r\n\r\n",),
    "other_case": (b"RTSP/1.0 200 OK\r\nCseq: 1\r\nServer: cam\r\n\r\n",),
    "server": (OK + b"Server: cam 1.0\r\n\r\n",),
    "padded_server": (OK + b"SERVER:   cam \r\nServer: other\r\n\r\n",),
    "foreign_server": (OK + b"Server: \xcd\xa8\r\n\r\n",),
    "empty_server": (OK + b"Server:\r\nServer: second\r\n\r\n",),
    "long_server": (OK + b"Server: " + b"x" * 300 + b"\r\n\r\n",),
    "folded_server": (OK + b"Server: a\r\n b\r\n\r\n",),
    "unauthorised": (b'RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nWWW-Authenticate: Basic realm="r"\r\n\r\n',),
    "moved": (b"RTSP/1.0 302 Found\r\nCSeq: 1\r\nLocation: rtsp://127.9.9.9/x\r\n\r\n",),
    "busy": (b"RTSP/1.0 453 Not Enough Bandwidth\r\nCSeq: 1\r\nServer: s\r\n\r\n",),
    "not_found": (b"RTSP/1.0 404 Not Found\r\nCSeq: 1\r\n\r\n",),
    "other_version": (b"RTSP/2.0 505 RTSP Version Not Supported\r\nCSeq: 1\r\n\r\n",),
    "unnamed_status": (b"RTSP/1.0 200\r\nCSEQ: 1\r\n\r\n",),
    "broken": (b"RTSP/1.0 500 Internal Server Error\r\nCSeq: 1\r\n\r\n",),
    "no_cseq": (b"RTSP/1.0 200 OK\r\n\r\n",),
    "zero_cseq": (b"RTSP/1.0 200 OK\r\nCSeq: 0\r\n\r\n",),
    "future_cseq": (b"RTSP/1.0 200 OK\r\nCSeq: 7\r\n\r\n",),
    "two_cseqs": (b"RTSP/1.0 200 OK\r\nCSeq: 7\r\nCSeq: 1\r\n\r\n",),
    "provisional": (b"RTSP/1.0 100 Continue\r\nCSeq: 1\r\n\r\n", OK + b"\r\n"),
    "in_pieces": (OK[:9], OK[9:20], OK[20:] + b"\r\n"),
    "body": (OK + b"Content-Length: 4\r\n\r\n", b"body"),
    "body_missing": (OK + b"Content-Length: 4\r\n\r\n",),
    "bare_line_feeds": (OK.replace(b"\r", b"") + b"\n",),
    "asks_first": (b"OPTIONS * RTSP/1.0\r\nCSeq: 4\r\n\r\n", OK + b"\r\n"),
    "sends_on": (b"REDIRECT * RTSP/1.0\r\nCSeq: 4\r\nLocation: rtsp://127.9.9.9/x\r\n\r\n",),
    "other_protocol": (b"HTTP/1.1 400 Bad Request\r\n\r\n",),
    "garbage": (b"\x00\xff" * 300 + OK + b"\r\n",),
    "too_long": (OK + b"X: " + b"y" * 3000 + b"\r\n\r\n",),
    "packet_before": (b"$\x00\x00\x04abcd" + OK + b"\r\n",),
    "flood": (b"a" * 2_000_000,),
    "half": (OK,),
    "silent": (),
    "reset": _reset,
}
CLOSES = {"half", "reset", "garbage", "other_protocol"}


def looker(policy: LookerPolicy = POLICY) -> Looker:
    clock = SystemClock()
    return Looker(
        "here",
        pool=DecoderPool(workers=1),
        clock=clock,
        policy=policy,
        guard=Guard(),
        canaries=Canaries((), clock, 60),
        lag=LoopLag(clock),
    )


def ticket(camera: int, url: str, deadline_ms: int = 2_000, host: str | None = None) -> Ticket:
    return Ticket(
        camera=camera, url=url, stream=StreamKind.SUB, offset_ms=0, deadline_ms=deadline_ms, host=host or f"h{camera}"
    )


def order(*tickets: Ticket) -> Round:
    due_us = SystemClock().utc_us()
    return Round(id="r", village=1, depth=Depth.REACH, due_us=due_us, window_ms=0, tickets=tickets)


async def by_work(who: Looker, *tickets: Ticket) -> list[Look]:
    """The short way, as a round goes it."""
    looks: list[Look] = []

    async def emit(report: Report) -> None:
        looks.extend(report.looks)

    await who.work(order(*tickets), emit)
    return sorted(looks, key=lambda look: look.camera)


async def by_look(who: Looker, *tickets: Ticket) -> list[Look]:
    """The ordinary way."""
    return list(await asyncio.gather(*(who.look(one, Depth.REACH, order="r") for one in tickets)))


def told(look: Look) -> tuple[object, ...]:
    """All that a look says but how long it took."""
    return (
        look.camera, look.depth, look.stream, look.vantage, look.reason, look.step, look.detail, look.server,
        look.order, look.remarks, look.transport, look.media_bytes, look.codec, list(look.timings_ms),
    )  # fmt: skip


def test_every_answer_comes_to_the_same_as_in_the_ordinary_way() -> None:
    """Plain, odd, in pieces, silent, closed, reset, refused: reason, step, detail, server, names of timings."""
    uvloop.run(_every_answer())


async def _every_answer() -> None:
    who = looker()
    servers, urls, closed = [], [], []
    for name, says in SAYS.items():

        async def serve(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str = name, says: object = says
        ) -> None:
            with suppress(OSError, asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")
                if callable(says):
                    await says(writer)
                    return
                assert isinstance(says, tuple)
                for piece in says:
                    writer.write(piece)
                    await asyncio.sleep(0.02)
                if name not in CLOSES:
                    await reader.read()
            writer.close()
            closed.append(name)

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        servers.append(server)
        urls.append(f"rtsp://127.0.0.1:{server.sockets[0].getsockname()[1]}/live")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        urls += [f"rtsp://127.0.0.1:{nobody.getsockname()[1]}/", "rtsp://[::1]:1/x", "rtsp://0.0.0.1/x"]
        tickets = [ticket(number, url) for number, url in enumerate(urls)]
        short, long = await by_work(who, *tickets), await by_look(who, *tickets)

    for name, ours, theirs in zip([*SAYS, "refused", "by_ipv6", "guarded"], short, long, strict=True):
        assert told(ours) == told(theirs), name
    assert short[0].reason is None
    assert (len(who._reaching), who.open_sessions, who._all.taken("everybody")) == (0, 0, 0)
    async with asyncio.timeout(5):
        while len(closed) < 2 * (len(SAYS) - 1):
            await asyncio.sleep(0.01)
    who.close()
    for server in servers:
        server.close()


async def test_nobody_answers_a_connection() -> None:
    """Within connect_s, or the deadline where that is less; the sentence is the ordinary way's."""
    who = looker(LookerPolicy(connect_s=0.3))
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        url = f"rtsp://127.0.0.1:{full.getsockname()[1]}/"
        fillers = [socket.socket() for _ in range(3)]
        for one in fillers:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        tickets = [ticket(1, url), ticket(2, url, deadline_ms=100)]
        short, long = await by_work(who, *tickets), await by_look(who, *tickets)
        for one in fillers:
            one.close()

    assert [look.reason for look in short] == ["net.timeout"] * 2
    for ours, theirs in zip(short, long, strict=True):
        assert (ours.reason, ours.step, list(ours.timings_ms)) == (theirs.reason, theirs.step, list(theirs.timings_ms))
        assert ours.detail.split(" within ")[0] == theirs.detail.split(" within ")[0]
    who.close()


@pytest.mark.parametrize("after_s", [0.0, 0.1, 0.5])
async def test_a_round_that_is_cancelled_closes_its_questions(after_s: float) -> None:
    """Before an answer, and after it went on in the ordinary way: nothing stays open, and all places are free."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await reader.read()
            while await reader.read(100):
                pass
        writer.close()
        ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    who = looker(LookerPolicy(connect_s=0.3, step_s=5))
    url = f"rtsp://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    round_ = asyncio.create_task(by_work(who, ticket(1, url, deadline_ms=20_000)))
    await asyncio.sleep(after_s)
    round_.cancel()
    with suppress(asyncio.CancelledError):
        await round_
    await asyncio.sleep(0.05)
    if after_s:
        async with asyncio.timeout(5):
            await ended.wait()
    assert (len(who._reaching), who.open_sessions) == (0, 0)
    assert (who._all.taken("everybody"), who._cameras.taken(1), who._hosts.taken("h1")) == (0, 0, 0)
    who.close()
    server.close()


class Heard(Question):
    """Takes down what it is told, and may have a defect."""

    def __init__(self, address: Address, defect: Exception | None = None) -> None:
        super().__init__(address, b"OPTIONS rtsp://x/ RTSP/1.0\r\nCSeq: 1\r\n\r\n", SystemClock().monotonic())
        self.told: list[object] = []
        self._defect = defect

    def _hear(self, what: object) -> None:
        self.told.append(what)
        if self._defect is not None:
            raise self._defect

    def answered(self, server: str | None, now: float) -> None:
        self._hear(server)

    def goes_on(self, begun: Begun) -> None:
        self._hear(begun.error)
        begun.close()

    def broke(self, error: Exception) -> None:
        self.told.append(error)


@pytest.mark.parametrize("defect", [None, RuntimeError("ours")])
async def test_where_there_is_nowhere_to_go_that_is_told_once(defect: Exception | None) -> None:
    """The kernel refuses at once; where that meets a defect of ours, the question ends with it."""
    asking = Asking(SystemClock(), 1.0)
    one = Heard(Address("255.255.255.255", 554, socket.AF_INET), defect)
    asking.ask(one)

    assert [getattr(told, "step", told) for told in one.told] == ["connect", *([defect] if defect else [])]
    assert len(asking) == 0
    asking.close()


class Chained(Heard):
    """Asks another one as soon as it has heard."""

    asking: Asking
    following: Heard

    def _hear(self, what: object) -> None:
        super()._hear(what)
        self.asking.ask(self.following)


async def test_one_timer_is_enough_whoever_asks_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the next question is asked by one that was just given up: else timers grow more with each."""
    loop = asyncio.get_running_loop()
    timers: list[asyncio.TimerHandle] = []
    later = loop.call_later

    def counted(*given: Any) -> asyncio.TimerHandle:
        timers.append(later(*given))
        return timers[-1]

    asking = Asking(SystemClock(), 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = Address(*silent.getsockname(), socket.AF_INET)
        one, last, following = Chained(address), Heard(address), Heard(address)
        one.asking, one.following = asking, following
        one.begun_at -= 1.0
        last.begun_at = following.begun_at = one.begun_at + 60.0
        monkeypatch.setattr(loop, "call_later", counted)
        asking.ask(one)
        asking.ask(last)
        await until(lambda: bool(one.told))
        monkeypatch.undo()
        pending = [timer for timer in timers if not timer.cancelled() and timer.when() > loop.time() + 30]
        asking.close()
    assert len(pending) == 1
    assert pending[0].cancelled()


def test_a_loop_that_was_late_blames_no_camera_however_many_were_asked() -> None:
    """All connections are up before anybody is given up: epoll tells of a thousand at once."""
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 2_000

    async def work() -> None:
        asking = Asking(SystemClock(), 0.1)
        with socket.create_server(("127.0.0.1", 0), backlog=2_000) as silent:
            address = Address(*silent.getsockname(), socket.AF_INET)
            asked = [Heard(address) for _ in range(1_100)]
            for one in asked:
                asking.ask(one)
            time.sleep(0.1)
            await until(lambda: all(one.told for one in asked))
        assert {str(told) for one in asked for told in one.told} <= {"None"}
        asking.close()

    uvloop.run(work())


def test_the_hostile_corpus_comes_to_the_same() -> None:
    """Every hostility of the corpus, at depth reach."""
    uvloop.run(_corpus())


async def _corpus() -> None:
    who = looker(LookerPolicy(connect_s=PATIENCE.connect_s, step_s=PATIENCE.step_s, per_host=500))
    # what a device does at random, or once only, has no second time that is the same
    names = [name for name in CORPUS if not name.startswith(("cut_", "tls_"))]
    with hostile(CACHE, "--bind=127.75.0.0/16", *(f"--only={name}" for name in names)) as targets:
        tickets = [ticket(number, target.url, deadline_ms=3_000) for number, target in enumerate(targets)]
        short, long = await by_work(who, *tickets), await by_look(who, *tickets)
    for target, ours, theirs in zip(targets, short, long, strict=True):
        if target.hostile == "reset_on_connect":  # whichever comes first, the connection or its reset
            assert (ours.reason, theirs.reason) == ("net.reset", "net.reset")
        else:
            assert told(ours) == told(theirs), target.hostile
    who.close()


def _breaks(*_: object) -> Look:
    raise RuntimeError("a mistake")


@pytest.mark.parametrize("way", ["answered", "refused", "waited", "answered_in_held", "lost_in_held"])
async def test_a_defect_of_ours_ends_its_own_look_and_no_round_waits_for_it(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raised where a question is told: that look is `ours.worker`, all places are free, and the round ends."""
    monkeypatch.setattr(held_module, "ANSWER_S", 0.05)
    monkeypatch.setattr(held_module, "SWEEP_S", 0.02)
    who = looker(
        LookerPolicy(connect_s=1, step_s=1, per_host=2 if "held" in way else 1, held=10 if "held" in way else 0)
    )
    async with device() as camera, asyncio.timeout(10):
        asked = [ticket(number, camera.url, host="h") for number in range(2 if way == "waited" else 1)]
        if "held" in way:
            assert (await by_work(who, *asked))[0].reason is None
            camera.mute = way == "lost_in_held"
            assert who.held == 1
            camera.asked[0].append("TEARDOWN")  # mute is who had one
            monkeypatch.setattr(who._reaching, "_ordinary", _breaks)
        monkeypatch.setattr(Reaching, "found", _breaks)
        monkeypatch.setattr(Reaching, "go_on", _breaks)
        if way == "refused":
            with socket.socket() as nobody:
                nobody.bind(("127.0.0.1", 0))
                asked = [ticket(0, f"rtsp://127.0.0.1:{nobody.getsockname()[1]}/")]
        found = await by_work(who, *asked)
        who.close()
        await until(lambda: camera.open == 0)

    assert [(look.reason, look.step) for look in found] == [("ours.worker", "connect")] * len(asked)
    assert "RuntimeError" in found[0].detail
    assert (who._cameras._taken, who._all._taken, who.open_sessions) == ({}, {}, 0)


async def test_who_waited_for_its_place_goes_the_short_way_too() -> None:
    """A recorder's cameras, one at a time: none opens a transport, and a cancelled round leaves no place taken."""
    who = looker(LookerPolicy(connect_s=1, step_s=1, per_host=1))
    async with device() as camera:
        tickets = [ticket(number, camera.url, host="h") for number in range(5)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Looker, "look", _breaks)
            found = await by_work(who, *tickets)
        assert [(look.camera, look.reason, look.server) for look in found] == [(n, None, "cam") for n in range(5)]
    assert camera.most == 1
    who.close()


@pytest.mark.parametrize("fails", [False, True])
async def test_cancelled_before_its_task_has_begun_a_look_leaves_nothing_behind(
    fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the loop's turn in which it began: also where the connection failed at once."""
    who = looker()
    inbox = Inbox()
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        if fails:
            monkeypatch.setattr(asking_module, "_TCP", 99)  # there is no such kind of socket
        url = f"rtsp://127.0.0.1:{one.getsockname()[1]}/"
        assert who._reaching.begin(order(), ticket(1, url), inbox)
        assert (who._cameras.taken(1), inbox.under_way, len(who._reaching)) == (1, 1, 0 if fails else 1)
        who._reaching.cancel(inbox)
        inbox.cancel()
        await asyncio.sleep(0.02)

    assert (who._cameras._taken, who._all._taken, who.open_sessions, who._reaching._between) == ({}, {}, 0, {})
    who.close()
