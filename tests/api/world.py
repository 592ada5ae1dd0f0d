"""A small world for the API's tests: a city of two counties, two villages, six cameras, everybody who may ask."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import FastAPI

from streamwatch.access.keys import add_key
from streamwatch.access.principal import Permission, Role
from streamwatch.access.session import COOKIE, CSRF_HEADER, Sessions
from streamwatch.clock import US
from streamwatch.errors import Blame
from streamwatch.findings import finding
from streamwatch.inventory.parsed import ImportResult
from streamwatch.live.client import CallError
from streamwatch.live.view import View
from streamwatch.model.live import CameraLive, Part, ServiceStatus, Snapshot
from streamwatch.model.look import Depth, Look, State, StreamKind
from streamwatch.model.standing import PICTURE, STREAM, Standing
from streamwatch.model.timeline import Origin, Segment
from streamwatch.store.access import account_by_name, create_account
from streamwatch.store.handles import Connection, Reader, Writer
from streamwatch.store.tables import (
    camera,
    facility,
    line,
    maintenance,
    point,
    recorder,
    region,
    segment,
    standing,
    village,
)
from streamwatch.verdict import Policy

NOW = 1_795_500_000 * US  # 2026-11-24T06:00:00Z, a whole hour
HOUR = 3_600 * US
DAY = 24 * HOUR
INTERVAL_S = 300
SESSION_KEY = bytes(range(32))
SESSION_S = 2 * 3_600  # not the default
CITY, COUNTY_A, COUNTY_B = 1, 2, 3
SCOPES = {"all": None, "city": CITY, "a": COUNTY_A, "b": COUNTY_B}
# county A: village 11 with cameras 1-4; county B: village 12 with cameras 5-6. Each has a line, a recorder (r1, r5), a
# planned point (p1, p5) and a facility (f1, f5); camera 1 hangs on line l1 and the recorder r5 on l5, nothing on l9.
VILLAGE_A, VILLAGE_B = "331121100001", "331122100001"
SEEN = Look(camera=1, depth=Depth.STREAM, stream=StreamKind.MAIN, started_us=NOW, duration_us=1, vantage="here")
EVIL = "<script>alert(1)</script>青河村"


class StillClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_us = NOW
        self.seconds = 1_000.0

    def utc_us(self) -> int:
        return self.now_us

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@dataclass
class Service:
    """Stands where the service's socket is: remembers what was asked and answers what the test says."""

    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    answers: dict[str, Any] = field(
        default_factory=lambda: {
            "maintenance": 7,
            "probe": {"state": "up"},
            "scrape": {"look": finding(SEEN, "rtsp://192.0.2.7/live", Policy()), "void": None, "thresholds": {}},
            "explain": {"look": None},
            "import": ImportResult().to_json(),
            "edit": ImportResult().to_json(),
            "remove": ImportResult().to_json(),
        }
    )
    error: tuple[str, str] | None = None

    async def call(self, op: str, args: dict[str, Any], timeout_s: float = 30) -> Any:
        self.asked.append((op, args))
        if self.error is not None:
            raise CallError(*self.error)
        return self.answers[op]


@dataclass
class World:
    """The application over a real database file, and the ways to ask it."""

    app: FastAPI
    view: View
    clock: StillClock
    service: Service
    writer: Writer
    reader: Reader
    keys: dict[str, str] = field(default_factory=dict)
    inventory_version: int = 1

    def client(self, key: str | None = None, *, peer: str = "192.0.2.9", **headers: str) -> httpx.AsyncClient:
        """A client with the key of that name (or none), from an address that is not this machine."""
        if key is not None:
            headers["Authorization"] = f"Bearer {self.keys[key]}"
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False, client=(peer, 5000))
        return httpx.AsyncClient(transport=transport, base_url="http://streamwatch.test", headers=headers)

    async def get(self, path: str, key: str = "read.all") -> Any:
        """The JSON of a GET that must succeed."""
        async with self.client(key) as client:
            answer = await client.get(f"/api/v1{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def signed_in(self, role: Role, scope: str, *, csrf: bool = True) -> httpx.AsyncClient:
        """A browser with the session of the account of that role and scope."""
        async with self.reader.begin() as conn:
            account = await account_by_name(conn, f"{role}.{scope}")
        assert account is not None
        session = Sessions(SESSION_KEY).begin(account, self.clock.now_us)
        client = self.client()
        client.cookies.set(COOKIE, session.cookie)
        if csrf:
            client.headers[CSRF_HEADER] = session.csrf
        return client

    def tell(
        self, *cameras: CameraLive, connected: bool = True, parts: tuple[Part, ...] = (Part("store", True),)
    ) -> None:
        """What the service says about the present."""
        status = ServiceStatus(
            at_us=self.clock.now_us,
            started_us=NOW - DAY,
            version="1.2.3",
            parts=parts,
            inventory_version=self.inventory_version,
            counters={"streamwatch_probes_total": {"picture|ok|": 5.0}},
            gauges={"streamwatch_sessions": {"": 3.0}},
        )
        self.view.apply(Snapshot(seq=self.view.seq + 1, status=status, cameras=cameras))
        if not connected:
            self.view.lost()


def stand(
    number: int,
    dimension: str,
    state: State,
    since_us: int,
    last_us: int,
    reason: str | None = None,
    blame: Blame | None = None,
) -> Standing:
    """A standing with what matters here."""
    return Standing(number, dimension, state, reason, blame, since_us, last_us)


STOOD = (
    # 1: up for ever, intact. 2: down for an hour. 3: up but blurred. 4: last seen long ago.
    stand(1, STREAM, State.UP, NOW - 20 * DAY, NOW - 60 * US),
    stand(1, PICTURE, State.UP, NOW - 20 * DAY, NOW - 60 * US),
    stand(2, STREAM, State.DOWN, NOW - HOUR, NOW - 60 * US, "net.refused", Blame.CAMERA),
    stand(3, STREAM, State.UP, NOW - 20 * DAY, NOW - 60 * US),
    stand(3, PICTURE, State.DOWN, NOW - 2 * HOUR, NOW - 60 * US, "blur", Blame.CAMERA),
    stand(3, "fault.blur", State.DOWN, NOW - 2 * HOUR, NOW - 60 * US, "blur", Blame.CAMERA),
    stand(4, STREAM, State.UP, NOW - 20 * DAY, NOW - 3 * HOUR),
    stand(5, STREAM, State.UP, NOW - 20 * DAY, NOW - 60 * US),
)
CLOSED = (
    Segment(2, STREAM, NOW - 20 * DAY, NOW - 10 * DAY, State.UP, origin=Origin.MADE_UP),
    Segment(2, STREAM, NOW - 10 * DAY, NOW - HOUR, State.UP),
    Segment(3, PICTURE, NOW - 20 * DAY, NOW - 2 * HOUR, State.UP),
)


def live(*standings: Standing) -> tuple[CameraLive, ...]:
    """What the live view holds when these are all standings there are."""
    numbers = sorted({one.camera for one in standings})
    found = []
    for number in numbers:
        own = tuple(one for one in standings if one.camera == number)
        streams = [one for one in own if one.dimension == STREAM]
        found.append(
            CameraLive(
                camera=number,
                standings=own,
                last_look_us=max(one.last_us for one in own),
                last_up_us=max((one.last_us for one in streams if one.state is State.UP), default=None),
            )
        )
    return tuple(found)


async def populate(conn: Connection) -> dict[str, str]:
    """Fills the database; the answer holds every key by name: permission.scope, e.g. read.a."""
    await conn.execute(
        region.insert(),
        [
            {"id": CITY, "code": "3311", "name": "丽州市", "parent": None},
            {"id": COUNTY_A, "code": "331121", "name": "丽州市/青河县", "parent": CITY},
            {"id": COUNTY_B, "code": "331122", "name": "丽州市/白石县", "parent": CITY},
        ],
    )
    await conn.execute(
        village.insert(),
        [
            {"id": 11, "code": VILLAGE_A, "name": EVIL, "region": COUNTY_A, "created_us": NOW - 30 * DAY},
            {"id": 12, "code": VILLAGE_B, "name": "白石村", "region": COUNTY_B, "created_us": NOW - 30 * DAY},
        ],
    )
    await conn.execute(
        camera.insert(),
        [
            {
                "id": number,
                "code": f"c{number}",
                "name": f"{number}号 <img src=x onerror=alert(1)>",
                "village": 11 if number <= 4 else 12,
                "url": f"rtsp://192.0.2.{number}/live",
                "username": "admin" if number == 1 else None,
                "line": "l1" if number == 1 else None,
                "installed_us": NOW - 20 * DAY,
                "created_us": NOW - 20 * DAY,
            }
            for number in range(1, 7)
        ],
    )
    for number, place in ((1, 11), (5, 12)):
        made = {"created_us": NOW - 20 * DAY}
        here = {"id": number, "village": place, "name": f"设备{number} <b>", **made}
        await conn.execute(line.insert().values(id=number, code=f"l{number}", name=f"线路{number}", kbps=2_000, **made))
        await conn.execute(
            recorder.insert().values(
                code=f"r{number}",
                kind="isapi",
                url=f"http://192.0.2.{number}0",
                username="admin" if number == 1 else None,
                password_sealed=b"sealed",
                line="l5" if number == 5 else None,
                **here,
            )
        )
        await conn.execute(point.insert().values(code=f"p{number}", kind="村口", camera=f"c{number}", **here))
        await conn.execute(facility.insert().values(code=f"f{number}", kind="household_alarm", **here))
    await conn.execute(line.insert().values(id=9, code="l9", name="空线路", created_us=NOW))
    await conn.execute(standing.insert(), [_standing_row(one) for one in STOOD])
    await conn.execute(
        segment.insert(),
        [
            {
                "camera": one.camera,
                "dimension": one.dimension,
                "from_us": one.from_us,
                "to_us": one.to_us,
                "state": one.state.value,
                "reason": one.reason,
                "blame": one.blame,
                "origin": one.origin.value,
                "learned_us": one.to_us,
            }
            for one in CLOSED
        ],
    )
    await conn.execute(
        maintenance.insert(),
        [
            {
                "id": 1,
                "camera": 1,
                "village": None,
                "from_us": NOW - 5 * HOUR,
                "to_us": NOW - 3 * HOUR,
                "reason": "更换电源",
                "author": "editor.a",
                "created_us": NOW - DAY,
            },
            {
                "id": 2,
                "camera": None,
                "village": 12,
                "from_us": NOW - HOUR,
                "to_us": NOW + HOUR,
                "reason": "line work",
                "author": "editor.b",
                "created_us": NOW - DAY,
            },
        ],
    )
    keys = {}
    for scope, root in SCOPES.items():
        for permission in Permission:
            made = await add_key(conn, name="t", permissions=frozenset({permission}), region=root, now_us=NOW)
            keys[f"{permission}.{scope}"] = made.text
        made = await add_key(
            conn,
            name="t",
            permissions=frozenset({Permission.READ, Permission.PROBE, Permission.WRITE}),
            region=root,
            now_us=NOW,
        )
        keys[f"full.{scope}"] = made.text
        for role in Role:
            await create_account(
                conn, name=f"{role}.{scope}", password_hash=f"unusable {role}", role=role, region=root, now_us=NOW
            )
    return keys


def _standing_row(one: Standing) -> dict[str, Any]:
    return {
        "camera": one.camera,
        "dimension": one.dimension,
        "state": one.state.value,
        "reason": one.reason,
        "blame": one.blame,
        "since_us": one.since_us,
        "last_us": one.since_us,  # as the service leaves it: later looks are only in the live view
        "pending": None,
    }
