"""A farm whose cameras share a listener, and what each camera may have of a bad line."""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from streamwatch.errors import ConfigError, UsageError
from streamwatch.simulator.camera import Camera
from streamwatch.simulator.farm import Farm
from streamwatch.simulator.faults import Fault, Line, line
from streamwatch.simulator.packets import Reel
from streamwatch.simulator.plan import FarmPlan
from tests.simulator.conftest import Talk

R = TypeVar("R")


@asynccontextmanager
async def farm(cache: Path, net: int, **plan: Any) -> AsyncIterator[Farm]:
    """A running farm of TCP cameras at 127.11.`net`.x."""
    settings: dict[str, Any] = {"villages": 1, "cameras": 3, "bind": f"127.11.{net}.0/24", "udp": 0, "both": 0}
    made = Farm(FarmPlan(**(settings | plan), cache_dir=cache))
    try:
        await made.start()
        yield made
    finally:
        await made.aclose()


def known(camera: Camera) -> dict[str, str]:
    """What a client knows of it."""
    return {"sub_url": camera.sub_url, "username": camera.username, "password": camera.password}


async def asked(camera: Camera, ask: Callable[[Talk], R], **how: Any) -> R:
    """What `ask` gets out of one conversation with it, in a thread beside the farm's loop."""

    def talk() -> R:
        with Talk(known(camera), **how) as made:
            return ask(made)

    return await asyncio.to_thread(talk)


def made_of(wide: Farm) -> dict[int, Camera]:
    """Which of its devices are more than their place in the lists."""
    assert wide._site is not None
    return wide._site._made


async def test_each_address_of_a_wide_farm_is_a_camera_of_its_own(clip_cache: Path) -> None:
    """Its own password and path; one that was never asked is not made; other addresses are nobody's."""
    async with farm(clip_cache, 1, cameras=20_000, bind="127.12.0.0/16", wide=True) as wide:
        first, last = wide.cameras[0], wide.cameras[19_999]
        assert await asked(first, lambda talk: (talk.play().status, len(talk.frame()) > 2)) == (200, True)
        assert (await asked(last, lambda talk: talk.play())).status == 200
        assert (await asked(last, lambda talk: talk.ask("DESCRIBE"), password=first.password)).status == 401
        assert len(made_of(wide)) == 2
        nobody = ("127.13.0.1", wide.port)
        with socket.create_connection(nobody, 2) as stranger:
            assert await asyncio.get_running_loop().run_in_executor(None, stranger.recv, 1) == b""


async def test_a_dead_camera_of_a_wide_farm_is_dead_alone(clip_cache: Path) -> None:
    """No SYN is answered at its address, its sessions are cut, its neighbour plays, and it comes back."""
    async with farm(clip_cache, 2, wide=True) as wide:
        camera, neighbour = wide.cameras[0], wide.cameras[1]

        def cut(talk: Talk) -> bool:
            talk.play()
            asyncio.run_coroutine_threadsafe(strike("dead"), loop).result()
            with pytest.raises(ConnectionResetError):
                talk.file.read()
            return True

        async def strike(fault: str | None) -> None:
            wide.set_fault(camera.code, fault)

        loop = asyncio.get_running_loop()
        assert await asked(camera, cut)
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await asked(camera, lambda talk: None, timeout=0.4)
        assert (await asked(neighbour, lambda talk: talk.play())).status == 200
        await strike(None)
        assert (await asked(camera, lambda talk: talk.play())).status == 200


async def test_no_camera_of_a_wide_farm_can_be_refused_alone(clip_cache: Path) -> None:
    """The order is refused by name, and chance does not draw it."""
    async with farm(clip_cache, 3, wide=True, cameras=18, fault_rate=0.9, fault_hold_s=0.05) as wide:
        with pytest.raises(UsageError, match="share one listener"):
            wide.set_fault(wide.cameras[0].code, "refused")
        await asyncio.sleep(0.2)
        assert all(change.fault != Fault.REFUSED for change in wide.standing())


async def test_a_port_that_somebody_has_is_not_shared(clip_cache: Path) -> None:
    """Two wide farms at one port would take each other's connections: the second one does not start."""
    async with farm(clip_cache, 4, wide=True) as wide:
        with pytest.raises(ConfigError, match=f"0.0.0.0:{wide.port}"):
            async with farm(clip_cache, 5, wide=True, port=wide.port):
                pass


async def test_devices_that_nobody_uses_any_more_are_forgotten(
    clip_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that have a session or a fault stay; what a camera is does not change by being made again."""
    monkeypatch.setattr("streamwatch.simulator.site.KEPT", 0)
    monkeypatch.setattr("streamwatch.simulator.farm.SWEEP_S", 0.05)
    async with farm(clip_cache, 6, wide=True) as wide:
        wide.set_fault(wide.cameras[2].code, "auth")
        before = known(wide.cameras[0])
        assert (await asked(wide.cameras[0], lambda talk: talk.play())).status == 200
        for _ in range(100):
            await asyncio.sleep(0.02)
            if len(made_of(wide)) == 1:
                break

        assert list(made_of(wide)) == [2]
        assert known(wide.cameras[0]) == before


def numbers(talk: Talk, frames: int) -> tuple[list[int], list[int]]:
    """Sequence numbers of so many frames, and the NAL unit type of the first packet of each."""
    talk.play()
    packets, kinds = [], []
    for _ in range(frames):
        got = talk.frame()
        kinds.append(got[0][12] & 31 if got[0][12] & 31 != 28 else got[0][13] & 31)
        packets += [struct.unpack_from(">xxH", packet)[0] for packet in got]
    return packets, kinds


@pytest.mark.parametrize("paced", [True, False])
async def test_a_lossy_line_loses_interleaved_packets_too(clip_cache: Path, paced: bool) -> None:
    """Their numbers are missing, and nothing else is."""
    async with farm(clip_cache, 7, loss=0.4, paced=paced) as lossy, farm(clip_cache, 8, paced=paced) as good:
        (lost, _), (whole, _) = [await asked(one.cameras[0], lambda talk: numbers(talk, 4)) for one in (lossy, good)]

    steps = {(after - before) & 0xFFFF for before, after in itertools.pairwise(lost)}
    assert {(after - before) & 0xFFFF for before, after in itertools.pairwise(whole)} == {1}
    assert max(steps) > 1
    assert max(steps) < 1000


async def test_who_comes_to_a_camera_that_does_not_wait_for_him_waits_for_a_key_frame(clip_cache: Path) -> None:
    """With a random start many begin with P frames; without one all begin with parameter sets."""
    async with farm(clip_cache, 9, random_start=True) as running, farm(clip_cache, 10) as at_once:
        started = [(await asked(running.cameras[0], lambda talk: numbers(talk, 1)))[1][0] for _ in range(12)]
        begun = [(await asked(at_once.cameras[0], lambda talk: numbers(talk, 1)))[1][0] for _ in range(4)]

    assert started.count(1) > 4
    assert 1 not in begun


async def test_a_camera_far_away_answers_later(clip_cache: Path) -> None:
    """Each by a delay of its own, every time the same, and requests in a row in their order."""
    async with farm(clip_cache, 11, cameras=12, latency_s=0.2) as far:
        camera = max(far.cameras, key=lambda one: one.latency_s)
        delays = {one.latency_s for one in far.cameras}

        def two(talk: Talk) -> tuple[list[str], float]:
            start = time.monotonic()
            talk.send("OPTIONS", talk.url)
            talk.send("OPTIONS", talk.url)
            answers = [talk.reply().headers["cseq"] for _ in range(2)]
            return answers, time.monotonic() - start

        order, took = await asked(camera, two)

    assert len(delays) > 6
    assert 0.1 < camera.latency_s <= 0.2
    assert order == ["1", "2"]
    assert took >= camera.latency_s - 0.01


async def test_one_camera_can_be_given_latency_and_be_well_again(clip_cache: Path) -> None:
    """latency:MS delays its answers alone; what is asked after it is lifted does not overtake what came before."""
    async with farm(clip_cache, 13) as one:
        camera, neighbour = one.cameras[0], one.cameras[1]
        assert one.set_fault(camera.code, "latency:250").fault == "latency:250"
        loop = asyncio.get_running_loop()

        async def mend() -> None:
            one.set_fault(camera.code, None)

        def two(talk: Talk) -> tuple[list[str], float]:
            start = time.monotonic()
            talk.send("OPTIONS", talk.url)
            time.sleep(0.05)
            asyncio.run_coroutine_threadsafe(mend(), loop).result()
            talk.send("OPTIONS", talk.url)
            return [talk.reply().headers["cseq"] for _ in range(2)], time.monotonic() - start

        order, took = await asked(camera, two)
        assert order == ["1", "2"]
        assert took >= 0.24
        assert (camera.latency_s, neighbour.latency_s, camera.fault_name) == (0.0, 0.0, None)


async def test_one_camera_can_be_given_loss_and_be_well_again(clip_cache: Path) -> None:
    """loss:PERCENT takes some of its packets alone; then the loss of its farm is back."""
    async with farm(clip_cache, 14, loss=0.001) as one:
        camera, neighbour = one.cameras[0], one.cameras[1]
        one.set_fault(camera.code, "loss:40")
        lost, _ = await asked(camera, lambda talk: numbers(talk, 4))
        assert max((after - before) & 0xFFFF for before, after in itertools.pairwise(lost)) > 1
        assert (camera.loss, neighbour.loss, camera.fault_name, camera.idle) == (0.4, 0.001, "loss:40", False)
        one.set_fault(camera.code, "dead")
        assert (camera.loss, camera.fault_name) == (0.001, "dead")
        one.set_fault(camera.code, "loss:1")
        one.set_fault(camera.code, None)
        assert (camera.loss, camera.fault_name) == (0.001, None)


@pytest.mark.parametrize(
    "name", ["latency:", "latency:0", "latency:10001", "latency:1e3", "loss:0", "loss:100", "loss:x"]
)
def test_a_line_that_cannot_be_is_refused_by_name(name: str) -> None:
    """With the range that it has to be in; other names are no line."""
    with pytest.raises(UsageError, match=f"(?s){name}.*give (latency|loss):NUMBER with"):
        line(name)
    assert line("loss") is None
    assert line("latency:2.5") == Line("latency:2.5", latency_s=0.0025)


@pytest.mark.parametrize("more", [("OPTIONS", "PLAY", "OPTIONS"), ("PLAY", "OPTIONS", "PLAY")])
async def test_answers_keep_their_order_while_a_picture_is_rendered(
    more: tuple[str, ...], clip_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests that come behind a DESCRIBE that has to wait are answered behind it."""
    shown = Camera.shown

    async def later(camera: Camera, stream: str) -> Reel:
        await asyncio.sleep(0.1)
        return await shown(camera, stream)

    monkeypatch.setattr(Camera, "showing", lambda _camera, _stream: None)
    monkeypatch.setattr(Camera, "shown", later)
    async with farm(clip_cache, 12) as slow:

        def four(talk: Talk) -> list[str]:
            talk.ask("DESCRIBE")
            talk.send("DESCRIBE", talk.url)
            for number, method in enumerate(more, 4):
                time.sleep(0.01)  # so that each comes alone
                talk.socket.sendall(f"{method} * RTSP/1.0\r\nCSeq: {number}\r\n\r\n".encode())
            return [talk.reply().headers["cseq"] for _ in range(4)]

        assert await asked(slow.cameras[1], four) == ["3", "4", "5", "6"]
