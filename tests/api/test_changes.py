"""One camera or village made, changed, taken out: the API, the service behind its socket, and the store, all real."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from streamwatch.api.app import create_app
from streamwatch.clock import rfc3339
from streamwatch.live.client import LiveClient
from streamwatch.live.server import LiveServer
from streamwatch.live.view import View
from streamwatch.model.live import ServiceStatus
from streamwatch.schedule import Policy as SchedulePolicy
from streamwatch.secrets import Sealer
from streamwatch.service.commands import Commands
from streamwatch.service.commit import Committer
from streamwatch.service.core import Service
from streamwatch.store.engine import database_path, default_url, open_reader, open_writer
from streamwatch.store.handles import Writer
from streamwatch.store.tables import camera, camera_stay, recorder
from streamwatch.verdict import Policy
from tests.api.world import DAY, INTERVAL_S, NOW, SESSION_KEY, VILLAGE_A, VILLAGE_B, StillClock


@dataclass
class Office:
    """The API before a running service, and ways to ask it."""

    client: httpx.AsyncClient
    keys: dict[str, str]
    service: Service
    writer: Writer
    sealer: Sealer

    async def ask(self, method: str, path: str, body: Any = None, key: str = "full.all") -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.keys[key]}"}
        return await self.client.request(method, f"/api/v1{path}", json=body, headers=headers)

    async def row(self, code: str) -> dict[str, Any]:
        """A camera's whole row."""
        async with self.writer.connect() as conn:
            return dict((await conn.execute(select(camera).where(camera.c.code == code))).mappings().one())

    async def stays(self) -> list[tuple[Any, ...]]:
        async with self.writer.connect() as conn:
            return [tuple(row) for row in await conn.execute(select(camera_stay))]


@pytest.fixture
async def office(tmp_path: Path, template: tuple[Path, dict[str, str]]) -> AsyncIterator[Office]:
    """Village A with c1 to c4, village B with c5 and c6; the service's clock stands still."""
    url = default_url(tmp_path)
    shutil.copyfile(template[0], database_path(url))
    writer, reader = open_writer(url), open_reader(url)
    async with writer.begin() as conn:
        await conn.execute(update(recorder).values(username=None, password_sealed=None))  # sealed by no key of ours
    clock, view, sealer = StillClock(), View(), Sealer.open(tmp_path)
    service = Service(
        clock=clock,
        policy=Policy(),
        schedule=SchedulePolicy(interval_s=INTERVAL_S),
        committer=Committer(writer),
        rng=random.Random(1),
    )
    commands = Commands(service, writer, sealer, INTERVAL_S)
    await commands.load()
    server = LiveServer(
        tmp_path / "live.sock",
        commands,
        lambda: ServiceStatus(
            at_us=clock.now_us, started_us=NOW, version="1", inventory_version=service.inventory.version
        ),
    )
    await server.start(tuple(service.live.values()))
    service.server = server
    caller = LiveClient(tmp_path / "live.sock", view)
    following = asyncio.create_task(caller.run())
    app = create_app(
        reader=reader,
        view=view,
        caller=caller,
        clock=clock,
        session_key=SESSION_KEY,
        default_interval_s=INTERVAL_S,
    )
    while not view.connected:
        await asyncio.sleep(0.01)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False, client=("192.0.2.9", 5000))
    async with httpx.AsyncClient(transport=transport, base_url="http://streamwatch.test") as client:
        yield Office(client, template[1], service, writer, sealer)
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following
    await server.aclose()
    await reader.dispose()
    await writer.dispose()


async def test_what_is_not_said_stays(office: Office) -> None:
    """One new name: every other column of the row is as it was, and the answer is the camera as it is now."""
    before = await office.row("c1")
    answer = await office.ask("PATCH", "/cameras/c1", {"name": "村口"})
    assert (answer.status_code, answer.json()["name"]) == (200, "村口")
    assert await office.row("c1") == {**before, "name": "村口"}
    assert (await office.ask("GET", "/cameras/c1")).json() == answer.json()
    assert office.service.inventory.cameras[1].name == "村口"


async def test_every_column_can_be_said_and_taken_back(office: Office) -> None:
    """All fields of the form arrive in the answer; null means none."""
    said = {
        "sub_url": "rtsp://192.0.2.2/sub",
        "channel": "3",
        "recorder_channel": "7",
        "interval_s": 60,
        "retention_days": 30,
        "longitude": 120.5,
        "latitude": 28.25,
        "datum": "GCJ-02",
        "key_point": True,
        "installed_on": "2026-01-05",
    }
    answer = await office.ask("PATCH", "/cameras/c2", said)
    assert answer.status_code == 200, answer.text
    assert said.items() <= answer.json().items()
    assert answer.json()["installed_at"] == "2026-01-04T16:00:00Z"
    assert office.service.inventory.cameras[2].interval_s == 60

    answer = await office.ask("PATCH", "/cameras/c2", dict.fromkeys(said))
    shown = answer.json()
    assert {name: shown[name] for name in said} == {**dict.fromkeys(said), "interval_s": INTERVAL_S}


async def test_another_village_moves_it_now(office: Office) -> None:
    """The stay that ended is noted; lists, counts and the patrol follow at once, and it belongs to the other county."""
    answer = await office.ask("PATCH", "/cameras/c1", {"village": VILLAGE_B})
    assert answer.json()["village"] == VILLAGE_B
    assert await office.stays() == [(1, NOW - 20 * DAY, NOW, 11)]
    assert (await office.ask("GET", f"/villages/{VILLAGE_A}")).json()["cameras"] == 3
    assert (await office.ask("GET", f"/villages/{VILLAGE_B}")).json()["cameras"] == 3
    assert (await office.ask("GET", "/cameras/c1", key="read.a")).status_code == 404
    assert (await office.ask("GET", "/cameras/c1", key="read.b")).status_code == 200
    rounds = office.service.planner.due(NOW + INTERVAL_S * 1_000_000)
    assert {order.village for order in rounds for ticket in order.tickets if ticket.camera == 1} == {12}


async def test_password_goes_in_and_never_out(office: Office) -> None:
    """It is sealed, no answer holds it or the user name, and the address of an answer can be sent back as it is."""
    answer = await office.ask("PATCH", "/cameras/c2", {"username": "wang", "password": "geheim-47"})
    assert (answer.json()["has_login"], answer.json()["url"]) == (True, "rtsp://***@192.0.2.2/live")
    assert "geheim" not in answer.text
    assert "wang" not in answer.text
    row = await office.row("c2")
    assert office.sealer.unseal("c2", row["password_sealed"]).reveal() == "geheim-47"

    answer = await office.ask("PATCH", "/cameras/c2", {"url": answer.json()["url"]})
    assert answer.status_code == 200
    assert await office.row("c2") == row
    login = office.service.inventory.cameras[2]
    assert (login.username, login.password and login.password.reveal()) == ("wang", "geheim-47")


async def test_password_is_not_sent_to_another_host(office: Office) -> None:
    """A new host asks for the password again; without it nothing changes and the refusal shows none."""
    await office.ask("PATCH", "/cameras/c2", {"username": "wang", "password": "geheim-47"})
    before = await office.row("c2")
    answer = await office.ask("PATCH", "/cameras/c2", {"url": "rtsp://192.0.2.99/live"})
    assert (answer.status_code, answer.json()["errors"][0]["where"]) == (422, "password")
    assert "geheim" not in answer.text
    assert await office.row("c2") == before

    answer = await office.ask("PATCH", "/cameras/c2", {"url": "rtsp://192.0.2.99/live", "password": "neu"})
    assert answer.status_code == 200
    answer = await office.ask("PATCH", "/cameras/c2", {"username": None})
    assert answer.json()["has_login"] is False
    assert (await office.row("c2"))["password_sealed"] is None


@pytest.mark.parametrize(
    ("said", "where"),
    [
        ({"interval_s": 1}, "interval_s"),
        ({"name": None}, "name"),
        ({"name": "x" * 300}, "name"),
        ({"url": "http://192.0.2.1/"}, "url"),
        ({"sub_url": "rtsp://192.0.2.77/sub"}, "sub_url"),
        ({"installed_on": "2999-01-01"}, "installed_on"),
        ({"longitude": 500}, "longitude"),
        ({"removed_us": 1}, "body.removed_us"),
        ({"code": "c9"}, "body.code"),
        ({"key_point": {"a": 1}}, "body.key_point"),
    ],
)
async def test_rules_of_the_list_hold(office: Office, said: dict[str, Any], where: str) -> None:
    """What a list would refuse is refused with the field's name and a remedy, and nothing is written."""
    before = await office.row("c1")
    answer = await office.ask("PATCH", "/cameras/c1", said)
    assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")
    assert answer.json()["errors"][0]["where"] == where
    assert answer.json()["errors"][0]["message"]
    assert await office.row("c1") == before


NEW = {"code": "c7", "name": "新", "village": VILLAGE_A, "url": "rtsp://192.0.2.7/live"}


async def test_new_camera_is_watched_and_counted_at_once(office: Office) -> None:
    """It answers, its village counts it, and the patrol has it."""
    answer = await office.ask("POST", "/cameras", {**NEW, "username": "a", "password": "b"})
    assert (answer.status_code, answer.json()["id"], answer.json()["state"]) == (201, "c7", "unknown")
    assert (await office.ask("GET", f"/villages/{VILLAGE_A}")).json()["cameras"] == 5
    number = (await office.row("c7"))["id"]
    rounds = office.service.planner.due(NOW + INTERVAL_S * 1_000_000)
    assert number in {ticket.camera for order in rounds for ticket in order.tickets}


@pytest.mark.parametrize(
    ("body", "key", "status", "code"),
    [
        ({**NEW, "code": "c1"}, "full.all", 409, "inventory.exists"),
        ({**NEW, "code": "c5"}, "full.a", 409, "inventory.exists"),  # that a code is taken must be told
        ({**NEW, "village": VILLAGE_B}, "full.a", 404, "not_found"),
        ({**NEW, "village": "V"}, "full.all", 404, "not_found"),
        ({"code": "c7", "village": VILLAGE_A, "name": "x"}, "full.all", 422, "request.invalid"),
        ({**NEW, "code": "c/7"}, "full.all", 422, "request.invalid"),
        ({**NEW, "code": "ｃ７"}, "full.all", 422, "request.invalid"),
        (NEW, "read.all", 403, "access.forbidden"),
    ],
)
async def test_new_camera_is_refused(office: Office, body: dict[str, Any], key: str, status: int, code: str) -> None:
    """A code that is taken, a village that is not the caller's, what is missing: each with its own answer."""
    answer = await office.ask("POST", "/cameras", body, key)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert {one.code for one in office.service.inventory.cameras.values()} == {f"c{n}" for n in range(1, 7)}


async def test_move_into_a_foreign_village_is_refused(office: Office) -> None:
    """An editor of county A cannot put a camera where they see nothing."""
    assert (await office.ask("PATCH", "/cameras/c1", {"village": VILLAGE_B}, "full.a")).status_code == 404
    assert await office.stays() == []


async def test_removed_camera_keeps_its_history_and_its_code(office: Office) -> None:
    """Out of service from now on, twice as once: no list, count or round has it; what was before stays; no code comes
    back."""
    window = f"/uptime?from={rfc3339(NOW - DAY)}&to={rfc3339(NOW)}"
    before = (await office.ask("GET", f"/villages/{VILLAGE_A}{window}")).json()
    assert (await office.ask("DELETE", "/cameras/c1")).status_code == 204
    removed = await office.row("c1")
    assert removed["removed_us"] == NOW
    office.service.clock.now_us += DAY  # type: ignore[attr-defined]
    assert (await office.ask("DELETE", "/cameras/c1")).status_code == 204
    assert await office.row("c1") == removed

    assert (await office.ask("GET", f"/villages/{VILLAGE_A}{window}")).json() == before
    assert (await office.ask("GET", "/cameras/c1")).json()["removed_at"] == rfc3339(NOW)
    assert (await office.ask("GET", f"/villages/{VILLAGE_A}")).json()["cameras"] == 3
    rounds = office.service.planner.due(NOW + 2 * DAY)
    assert 1 not in {ticket.camera for order in rounds for ticket in order.tickets}
    for method, path, body in (("PATCH", "/cameras/c1", {"name": "x"}), ("POST", "/cameras", {**NEW, "code": "c1"})):
        answer = await office.ask(method, path, body)
        assert (answer.status_code, answer.json()["code"]) == (409, "inventory.removed")


async def test_a_village_is_made_changed_and_taken_out(office: Office) -> None:
    """Made in a region that is there; changed field by field; taken out only when its last camera is out."""
    new = {"code": "V9", "name": "南山村", "region": "331121", "households": 120}
    answer = await office.ask("POST", "/villages", new, "full.a")
    assert (answer.status_code, answer.json()["households"], answer.json()["cameras"]) == (201, 120, 0)
    assert (
        await office.ask("POST", "/villages", {**new, "code": "V8", "region": "331122"}, "full.a")
    ).status_code == 404
    answer = await office.ask("PATCH", "/villages/V9", {"unit_phone": "110", "households": None})
    shown = answer.json()
    assert (shown["name"], shown["region"], shown["unit_phone"], shown["households"]) == (
        "南山村",
        "331121",
        "110",
        None,
    )
    assert (await office.ask("POST", "/cameras", {**NEW, "village": "V9"})).status_code == 201

    answer = await office.ask("DELETE", "/villages/V9")
    assert (answer.status_code, answer.json()["code"]) == (409, "inventory.in_use")
    assert (await office.ask("DELETE", "/cameras/c7")).status_code == 204
    for _ in range(2):
        assert (await office.ask("DELETE", "/villages/V9")).status_code == 204
    assert "V9" not in (await office.ask("GET", "/villages")).text
    assert (await office.ask("PATCH", "/villages/V9", {"name": "x"})).json()["code"] == "inventory.removed"
    assert (await office.ask("POST", "/villages", new)).json()["code"] == "inventory.removed"
