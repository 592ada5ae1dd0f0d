"""The live view over the control socket, as the web process follows it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from streamwatch.errors import NotFoundError
from streamwatch.live.client import CallError, LiveClient, call
from streamwatch.live.server import LiveServer
from streamwatch.live.view import View
from streamwatch.model.live import CameraLive, Changes, ServiceStatus, Snapshot

STATUS = ServiceStatus(at_us=1, started_us=0, version="test")


def camera(number: int, look_us: int = 0) -> CameraLive:
    return CameraLive(camera=number, standings=(), last_look_us=look_us)


async def handler(op: str, args: dict[str, Any]) -> Any:
    match op:
        case "echo":
            return args
        case "missing":
            raise NotFoundError("no such camera")
        case "slow":
            await asyncio.sleep(60)
    raise RuntimeError("a secret of the inside")


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
async def server(tmp_path: Path) -> Any:
    running = LiveServer(tmp_path / "live.sock", handler, lambda: STATUS)
    await running.start((camera(1), camera(2)))
    yield running
    await running.aclose()


async def test_a_follower_gets_a_snapshot_and_then_every_change(server: LiveServer, tmp_path: Path) -> None:
    """What was there, and what one commit changed, are in the view; the socket is for its owner only."""
    view = View()
    client = LiveClient(tmp_path / "live.sock", view)
    following = asyncio.create_task(client.run())
    await until(lambda: view.connected)
    assert set(view.cameras) == {1, 2}
    told: list[int] = []
    view.subscribe(lambda cameras: told.extend(live.camera for live in cameras))

    for look in range(1, 50):
        server.publish((camera(2, look), camera(3, look)))
    await until(lambda: view.seq == 49)

    assert view.cameras[2].last_look_us == view.cameras[3].last_look_us == 49
    assert told == [2, 3] * 49
    assert (tmp_path / "live.sock").stat().st_mode & 0o777 == 0o600
    following.cancel()


async def test_a_follower_comes_back_by_itself_and_knows_that_it_was_away(tmp_path: Path) -> None:
    """While the service is gone the view says so; after its restart it is whole again."""
    path = tmp_path / "live.sock"
    first = LiveServer(path, handler, lambda: STATUS)
    await first.start((camera(1),))
    view = View()
    following = asyncio.create_task(LiveClient(path, view).run())
    await until(lambda: view.connected)

    await first.aclose()
    await until(lambda: not view.connected)
    second = LiveServer(path, handler, lambda: STATUS)
    await second.start((camera(7),))
    await until(lambda: view.connected)

    assert set(view.cameras) == {7}
    following.cancel()
    await second.aclose()


def test_a_missed_number_asks_for_a_snapshot() -> None:
    """A gap is noticed; what the snapshot already holds is passed over."""
    view = View()
    view.apply(Snapshot(seq=5, status=STATUS, cameras=(camera(1),)))

    assert view.apply(Changes(seq=5, cameras=(camera(1, 99),)))
    assert view.cameras[1].last_look_us == 0
    assert view.apply(Changes(seq=6, cameras=(camera(1, 1),)))
    assert not view.apply(Changes(seq=8, cameras=(camera(1, 2),)))


async def test_commands_are_answered_or_refused_in_words(server: LiveServer, tmp_path: Path) -> None:
    """A value comes back; an error has its detail; a defect of ours shows nothing of the inside."""
    path = tmp_path / "live.sock"

    assert await call(path, "echo", {"a": [1, b"x"]}) == {"a": [1, b"x"]}
    with pytest.raises(CallError, match="no such camera"):
        await call(path, "missing", {})
    with pytest.raises(CallError, match="failed inside") as caught:
        await call(path, "crash", {})
    assert "secret" not in str(caught.value)
    with pytest.raises(CallError, match="did not answer") as late:
        await call(path, "slow", {}, timeout_s=0.1)
    assert late.value.code == "timeout"


async def test_nobody_there_is_said_at_once(tmp_path: Path) -> None:
    """A command without a service names the socket."""
    with pytest.raises(CallError, match="nobody answers") as caught:
        await call(tmp_path / "none.sock", "echo", {})

    assert caught.value.code == "unavailable"


async def test_nonsense_on_the_socket_costs_only_its_own_connection(server: LiveServer, tmp_path: Path) -> None:
    """A peer that speaks nonsense is cut; others go on."""
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "live.sock"))
    writer.write(b"\x00\x00\x00\x03abc")
    async with asyncio.timeout(5):
        assert await reader.read() == b""

    assert await call(tmp_path / "live.sock", "echo", {}) == {}
