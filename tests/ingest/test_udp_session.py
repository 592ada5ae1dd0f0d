"""Looks by UDP over real sockets: both ways of falling back, what our own kernel drops, and that nothing stays open."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from pathlib import Path

import pytest
import uvloop

from streamwatch.clock import SystemClock
from streamwatch.errors import LookError, Reason, Step
from streamwatch.ingest import connection as connection_module
from streamwatch.ingest.session import PATIENCE_SHARE, Heard, Limits, converse
from streamwatch.model.look import Depth, Transport
from streamwatch.net.address import Guard, parse_networks
from streamwatch.net.udp import RECEIVE_BUFFER, open_pair
from streamwatch.wire import feedback
from streamwatch.wire.conversation import Ask, Conversation
from streamwatch.wire.transcript import Recorder, dump, load, replay
from tests.ingest.udp_camera import Camera, Plan, large_keyframe, udp_camera
from tests.wire.camera import encode, packetise

PACKETS = packetise(encode(320, 240, pictures=2, slices=2), mtu=600)
LARGE = large_keyframe()
BLOCKED_S = 0.02
REFUSED = {"tcp": "461 Unsupported Transport"}


async def hear(
    camera: Camera,
    *,
    transport: Transport = Transport.AUTO,
    prefer: Transport = Transport.TCP,
    total_s: float = 3.0,
    step_s: float = 1.0,
    guard: Guard | None = None,
    receive_buffer: int = RECEIVE_BUFFER,
    tape: bool = False,
) -> tuple[Heard, Recorder | None]:
    ask = Ask(camera.url, Depth.STREAM, transport=transport, prefer=prefer)
    clock = SystemClock()
    recorder = Recorder(ask, clock.utc_us(), clock.monotonic()) if tape else None
    async with asyncio.timeout(30):
        heard = await converse(
            ask,
            Limits(2.0, step_s, total_s),
            clock=clock,
            guard=guard or Guard(),
            tape=recorder,
            receive_buffer=receive_buffer,
        )
    return heard, recorder


def setups(camera: Camera) -> list[str]:
    return [one.split()[1] for one in camera.requests if one.startswith("SETUP")]


def open_sockets() -> int:
    """How many this process has."""
    links = [one.readlink() for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]
    return sum(str(link).startswith("socket:") for link in links)


@pytest.mark.parametrize("status", ["461 Unsupported Transport", "400 Bad Request"])
async def test_a_camera_that_refuses_tcp_is_up_by_udp(status: str) -> None:
    """In one connection, without any configuration; the way back through NAT is opened on both ports."""
    with udp_camera(Plan(PACKETS, refuses={"tcp": status})) as camera:
        heard, _ = await hear(camera)

    assert heard.failure is None
    assert heard.keyframe is not None
    assert (heard.transport, heard.width, heard.height) == ("udp", 320, 240)
    assert (camera.connections, setups(camera)) == (1, ["tcp", "udp"])
    assert {len(one) for one in camera.datagrams} == {12, 28}
    assert camera.requests[-1] == "TEARDOWN"


async def test_a_camera_that_closes_with_its_refusal_is_dialled_again() -> None:
    """461 and FIN: the other transport in a new connection."""
    with udp_camera(Plan(PACKETS, refuses=REFUSED, closes_after_refusal=True)) as camera:
        heard, _ = await hear(camera)

    assert heard.keyframe is not None
    assert (camera.connections, setups(camera)) == (2, ["tcp", "udp"])


@pytest.mark.parametrize("step_s", [1.0, 0.3])
@pytest.mark.parametrize("prefer", [Transport.TCP, Transport.UDP])
async def test_a_camera_that_stays_silent_by_one_is_up_by_the_other(prefer: Transport, step_s: float) -> None:
    """Within its share of the deadline it is asked again, in a new connection, after a farewell in the old one.

    Also where a silent step's own limit falls at the same time.
    """
    with udp_camera(Plan(PACKETS, silent=frozenset({prefer.value}))) as camera:
        heard, _ = await hear(camera, prefer=prefer, total_s=1.5, step_s=step_s)

    assert heard.failure is None
    assert heard.keyframe is not None
    assert heard.transport == ("udp" if prefer is Transport.TCP else "tcp")
    assert camera.connections == 2
    assert camera.requests.index("TEARDOWN") < len(camera.requests) - 5
    assert heard.timings_ms["total"] >= min(1500 * PATIENCE_SHARE, step_s * 1000)


async def test_silence_by_both_is_no_data_and_names_both() -> None:
    """Within one deadline, not two."""
    with udp_camera(Plan([], silent=frozenset({"tcp", "udp"}))) as camera:
        heard, _ = await hear(camera, total_s=0.9)

    assert heard.failure is not None
    assert (heard.failure.reason, heard.failure.step) == (Reason.MEDIA_NO_DATA, Step.FIRST_KEYFRAME)
    assert "over TCP: PLAY was accepted" in heard.failure.detail
    assert "over UDP: PLAY was accepted" in heard.failure.detail
    assert 900 <= heard.timings_ms["total"] < 1800


async def test_silence_and_then_a_refusal_is_no_data() -> None:
    """The device spoke TCP and sent nothing: that it knows no UDP is no news."""
    with udp_camera(Plan([], silent=frozenset({"tcp"}), refuses={"udp": "461 No"})) as camera:
        heard, _ = await hear(camera, total_s=0.9)

    assert heard.failure is not None
    assert heard.failure.reason is Reason.MEDIA_NO_DATA
    assert "461 No" in heard.failure.detail


def test_uvloop_hears_datagrams_as_well() -> None:
    """The loop that is used in production."""
    with udp_camera(Plan(PACKETS, refuses=REFUSED)) as camera:
        heard, _ = uvloop.run(hear(camera))

    assert heard.keyframe is not None


# ---- what our own machine loses


async def late_loop(camera_plan: Plan, **limits: float | int) -> Heard:
    """A look during which the loop is blocked from before the burst until after it, and for 20 ms at least."""
    loop = asyncio.get_running_loop()
    blocked, sent = threading.Event(), threading.Event()

    def block() -> None:
        begun = time.monotonic()
        blocked.set()
        sent.wait(5)
        time.sleep(max(0.0, begun + BLOCKED_S - time.monotonic()))

    def before() -> None:
        loop.call_soon_threadsafe(block)
        assert blocked.wait(5)

    plan = dataclasses.replace(camera_plan, before_media=before, after_media=sent.set)
    with udp_camera(plan) as camera:
        heard, _ = await hear(camera, transport=Transport.UDP, **limits)  # type: ignore[arg-type]
    assert blocked.is_set()
    assert sent.is_set()
    return heard


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_keyframe_of_260_kb_arrives_whole_while_the_loop_is_late(run: object) -> None:
    """190 datagrams in one burst while nobody reads for 20 ms: the buffer holds them; where it is not granted it is
    ours, never the camera's."""
    heard: Heard = run(late_loop(Plan(LARGE), total_s=1.0, step_s=0.5))  # type: ignore[operator]
    pair = open_pair("127.0.0.1")
    granted = pair.buffer_bytes
    pair.close()

    if granted >= RECEIVE_BUFFER:
        assert heard.failure is None
        assert heard.keyframe is not None
        assert len(heard.keyframe.data) > 260_000
    elif heard.keyframe is None:
        assert heard.failure is not None
        assert heard.failure.reason is Reason.OURS_OVERLOAD


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
@pytest.mark.parametrize("later", [True, False])
def test_what_does_not_fit_our_buffer_is_our_overload(run: object, later: bool) -> None:
    """The same burst into a tiny buffer: ours.overload with the number, whether or not datagrams follow the burst."""
    packets = LARGE + (packetise(encode(320, 240, pictures=2)[1:], first=100 + len(LARGE)) if later else [])
    heard: Heard = run(late_loop(Plan(packets), total_s=0.4, step_s=0.4, receive_buffer=1))  # type: ignore[operator]

    assert heard.keyframe is None
    assert heard.failure is not None
    assert (heard.failure.reason, heard.failure.step) == (Reason.OURS_OVERLOAD, Step.FIRST_KEYFRAME)
    assert "our own kernel dropped" in heard.failure.detail


def test_what_we_dropped_before_a_bye_is_our_overload(monkeypatch: pytest.MonkeyPatch) -> None:
    """No datagram of media follows that would tell of it, and no deadline falls: the kernel is asked."""
    monkeypatch.setattr(feedback, "BYE_GRACE_S", 0.1)
    bye = bytes((0x81, 203, 0, 1, 0, 0, 0, 7))
    heard = asyncio.run(late_loop(Plan(LARGE, bye=bye), total_s=20.0, step_s=20.0, receive_buffer=1))

    assert heard.failure is not None
    assert "BYE" in heard.failure.detail
    assert heard.failure.reason is Reason.OURS_OVERLOAD


async def test_what_the_network_loses_is_not_ours() -> None:
    """A datagram that never came, and nothing dropped by us: no keyframe."""
    with udp_camera(Plan(PACKETS[:4] + PACKETS[5:])) as camera:
        heard, _ = await hear(camera, transport=Transport.UDP, total_s=0.4)

    assert heard.failure is not None
    assert heard.failure.reason is Reason.MEDIA_NO_KEYFRAME


# ---- whose datagrams count


async def test_media_from_another_host_is_not_taken() -> None:
    """Not even where the device says that it sends from there, unless the guard lets that host through."""
    heard_of = {}
    for says, networks in ((None, ()), ("127.0.0.77", ("127.0.0.1/32",)), ("127.0.0.77", ("127.0.0.0/8",))):
        plan = Plan(PACKETS, source_ip="127.0.0.77", says_source=says)
        with udp_camera(plan) as camera:
            guard = Guard(parse_networks(networks))
            heard, _ = await hear(camera, transport=Transport.UDP, total_s=0.4, guard=guard)
        heard_of[says, networks] = heard.failure.reason if heard.failure else None

    assert list(heard_of.values()) == [Reason.MEDIA_NO_DATA, Reason.MEDIA_NO_DATA, None]


@pytest.mark.parametrize("says", ["0.0.0.0", "239.1.1.1", "camera.local", "169.254.169.254", ""])
async def test_a_source_that_is_no_camera_is_ignored(says: str) -> None:
    """The device's own address still counts."""
    with udp_camera(Plan(PACKETS, says_source=says)) as camera:
        heard, _ = await hear(camera, transport=Transport.UDP)

    assert heard.keyframe is not None


# ---- endings


async def test_the_answer_to_teardown_is_waited_for_but_not_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """By UDP only, and it is no part of the look's time."""
    monkeypatch.setattr(connection_module, "FAREWELL_S", 0.15)
    for answers, transport in ((True, "udp"), (False, "udp"), (False, "tcp")):
        with udp_camera(Plan(PACKETS, answers_teardown=answers)) as camera:
            begun = time.monotonic()
            heard, _ = await hear(camera, transport=Transport(transport))
            took_ms = (time.monotonic() - begun) * 1000
        assert heard.keyframe is not None
        assert (heard.parting_s >= 0.14) is (transport == "udp" and not answers)
        assert took_ms >= heard.timings_ms["total"] + heard.parting_s * 1000 - 1


async def test_the_answer_to_teardown_ends_a_look_whose_deadline_fell(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a keyframe: nobody waits on for what has come."""
    monkeypatch.setattr(connection_module, "FAREWELL_S", 25.0)
    with udp_camera(Plan([], silent=frozenset({"udp"}))) as camera:
        heard, _ = await hear(camera, transport=Transport.UDP, total_s=0.3)
    assert heard.failure is not None and heard.failure.reason is Reason.MEDIA_NO_DATA
    assert heard.parting_s < 20


@pytest.mark.parametrize("how", ["good", "silent", "refused", "cancelled"])
async def test_nothing_stays_open(how: str) -> None:
    """Sockets of both kinds are closed in every path."""
    plan = {
        "good": Plan(PACKETS),
        "silent": Plan([], silent=frozenset({"udp", "tcp"})),
        "refused": Plan([], refuses={"udp": "461 No", "tcp": "461 No"}),
        "cancelled": Plan([], silent=frozenset({"udp"})),
    }[how]
    with udp_camera(plan) as camera:
        await asyncio.sleep(0)
        before = open_sockets()
        looking = asyncio.create_task(hear(camera, prefer=Transport.UDP, total_s=0.6))
        if how == "cancelled":
            while "PLAY" not in camera.requests:
                await asyncio.sleep(0.01)
            assert open_sockets() >= before + 3
            looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        async with asyncio.timeout(5):
            while open_sockets() > before:
                await asyncio.sleep(0.01)


async def test_ports_that_cannot_be_opened_are_our_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera that takes only UDP, and we have no port: nothing is known about it."""

    def full(ip: str, *, buffer_bytes: int) -> None:
        raise LookError(Reason.OURS_LIMIT, "no pair of UDP ports", step=Step.SETUP)

    monkeypatch.setattr(connection_module, "open_pair", full)
    with udp_camera(Plan(PACKETS, refuses=REFUSED)) as camera:
        heard, _ = await hear(camera)
    assert heard.failure is not None
    assert (heard.failure.reason, heard.failure.step) == (Reason.OURS_LIMIT, Step.SETUP)

    with udp_camera(Plan(PACKETS)) as camera:
        heard, _ = await hear(camera, prefer=Transport.UDP)
    assert heard.keyframe is not None
    assert heard.transport == "tcp"


# ---- recordings


CASES = {
    "refused": (Plan(PACKETS, refuses=REFUSED), Transport.TCP),
    "refused and closed": (Plan(PACKETS, refuses=REFUSED, closes_after_refusal=True), Transport.TCP),
    "silent by tcp": (Plan(PACKETS, silent=frozenset({"tcp"})), Transport.TCP),
    "silent by udp": (Plan(PACKETS, silent=frozenset({"udp"})), Transport.UDP),
    "silent by both": (Plan([], silent=frozenset({"tcp", "udp"})), Transport.UDP),
    "refused by both": (Plan([], refuses={"tcp": "461 No", "udp": "400 No"}), Transport.TCP),
    "loss": (Plan(PACKETS[:4] + PACKETS[5:]), Transport.UDP),
}


@pytest.mark.parametrize("case", sorted(CASES))
@pytest.mark.parametrize("picture", [False, True])
async def test_a_recording_replays_to_the_same_answer(case: str, picture: bool) -> None:
    """Datagrams, both connections and who was asked first are in it; what was said is said again."""
    plan, prefer = CASES[case]
    with udp_camera(plan) as camera:
        heard, recorder = await hear(camera, prefer=prefer, total_s=0.9, tape=True)
    assert recorder is not None
    again = replay(load(dump(recorder, with_picture=picture)))

    assert (again.failure and again.failure.reason) == (heard.failure and heard.failure.reason)
    assert again.step is (Step.FIRST_KEYFRAME if case != "refused by both" else Step.SETUP)
    assert (again.transport, again.width, again.media_flowed) == (heard.transport, heard.width, heard.media_flowed)
    if heard.failure is not None and again.failure is not None:
        assert again.failure.detail.split("; over")[0] == heard.failure.detail.split("; over")[0]
    if heard.keyframe is not None:
        assert again.keyframe is not None
        assert len(again.keyframe.data) == len(heard.keyframe.data)
        assert (again.keyframe.data == heard.keyframe.data) is picture
        assert set(again.timings_ms) == set(heard.timings_ms) - {"connect", "total"}


def test_our_own_drops_are_in_the_recording() -> None:
    """Else a replay would blame the camera."""

    async def look() -> tuple[Heard, Recorder]:
        with udp_camera(Plan(LARGE)) as camera:
            ask = Ask(camera.url, Depth.STREAM, transport=Transport.UDP)
            clock = SystemClock()
            recorder = Recorder(ask, clock.utc_us(), clock.monotonic())
            loop = asyncio.get_running_loop()
            loop.call_later(0.05, time.sleep, 0.05)
            heard = await converse(
                ask, Limits(2.0, 0.5, 0.5), clock=clock, guard=Guard(), tape=recorder, receive_buffer=1
            )
            return heard, recorder

    heard, recorder = asyncio.run(look())
    if heard.keyframe is not None:
        pytest.skip("the machine was so fast that even a tiny buffer sufficed")
    again = replay(load(dump(recorder)))

    assert again.failure is not None
    assert again.failure.reason is Reason.OURS_OVERLOAD
    assert '"kernel_dropped"' in dump(recorder)


@pytest.mark.parametrize("method", ["receive", "datagram", "tick"])
async def test_a_defect_of_ours_ends_the_look_and_is_seen(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is raised to the looker, which books it as ours; no socket stays open for it."""

    def broken(*_: object, **__: object) -> bytes:
        raise ZeroDivisionError

    monkeypatch.setattr(Conversation, method, broken)
    silent = frozenset({"udp"}) if method == "tick" else frozenset[str]()
    with udp_camera(Plan(PACKETS, silent=silent)) as camera:
        before = open_sockets()
        with pytest.raises(ZeroDivisionError):
            await hear(camera, prefer=Transport.UDP, total_s=0.6)
        async with asyncio.timeout(5):
            while open_sockets() > before:
                await asyncio.sleep(0.01)
