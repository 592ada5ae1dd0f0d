"""Every route, for everybody, on own and foreign objects (goal R29). OpenAPI names them: a new one needs a row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from streamwatch.access.principal import ROLE_PERMISSIONS, Permission, Role
from streamwatch.access.session import CSRF_HEADER
from tests.api.world import SCOPES, VILLAGE_A, VILLAGE_B, World


@dataclass(frozen=True)
class Row:
    """What a route needs, and which object each scope is asked for; `own` lies in county A, `foreign` in county B."""

    permission: Permission | None  # None: open to everybody
    own: dict[str, str] = field(default_factory=dict)
    foreign: dict[str, str] = field(default_factory=dict)
    body: Any = None
    good: int = 200
    reads: bool = False  # it names an object, so it needs READ too
    everything: bool = False  # for those who see everything only; 403 for others

    def expected(self, scope: str, objects: dict[str, str], *, seen: bool) -> int:
        """The status for somebody with the permission; `seen`: the objects lie in the scope."""
        if self.everything and scope != "all":
            return 403
        return self.good if seen or not objects else 404


READ, WRITE, PROBE = Permission.READ, Permission.WRITE, Permission.PROBE
VILLAGE = ({"code": VILLAGE_A}, {"code": VILLAGE_B})
REGION = ({"code": "331121"}, {"code": "331122"})
CAMERA = ({"id": "c1"}, {"id": "c5"})
RECORDER = ({"code": "r1"}, {"code": "r5"})
POINT = ({"code": "p1"}, {"code": "p5"})
FACILITY = ({"code": "f1"}, {"code": "f5"})
NAME = {"name": "新名"}
NEW = {**NAME, "url": "rtsp://192.0.2.1/"}
IN_REGION = ({"region": "331121", "code": VILLAGE_A}, {"region": "331122", "code": VILLAGE_B})
IN_VILLAGE = ({"village": VILLAGE_A, "code": "c1"}, {"village": VILLAGE_B, "code": "c5"})
WORK = {"from": "2026-11-25T00:00:00Z", "to": "2026-11-25T02:00:00Z", "reason": "x"}
API = "/api/v1"
MATRIX = {
    ("post", f"{API}/login"): Row(None, body={"name": ""}, good=422),
    ("post", f"{API}/logout"): Row(None, good=204),
    ("get", f"{API}/session"): Row(None, good=200),
    ("get", f"{API}/overview"): Row(READ),
    ("get", f"{API}/regions"): Row(READ),
    ("get", f"{API}/regions/{{code}}/uptime"): Row(READ, *REGION),
    ("get", f"{API}/regions/{{code}}/status"): Row(READ, *REGION),
    ("get", f"{API}/villages"): Row(READ),
    ("get", f"{API}/villages/{{code}}"): Row(READ, *VILLAGE),
    ("post", f"{API}/villages"): Row(WRITE, *IN_REGION, NAME, 201, reads=True),
    ("patch", f"{API}/villages/{{code}}"): Row(WRITE, *VILLAGE, NAME, reads=True),
    ("delete", f"{API}/villages/{{code}}"): Row(WRITE, *VILLAGE, good=204, reads=True),
    ("get", f"{API}/villages/{{code}}/uptime"): Row(READ, *VILLAGE),
    ("get", f"{API}/villages/{{code}}/status"): Row(READ, *VILLAGE),
    ("get", f"{API}/villages/{{code}}/badge.svg"): Row(READ, *VILLAGE),
    ("get", f"{API}/cameras"): Row(READ),
    ("get", f"{API}/cameras/{{id}}"): Row(READ, *CAMERA),
    ("post", f"{API}/cameras"): Row(WRITE, *IN_VILLAGE, NEW, 201, reads=True),
    ("patch", f"{API}/cameras/{{id}}"): Row(WRITE, *CAMERA, NAME, reads=True),
    ("delete", f"{API}/cameras/{{id}}"): Row(WRITE, *CAMERA, good=204, reads=True),
    ("get", f"{API}/cameras/{{id}}/uptime"): Row(READ, *CAMERA),
    ("get", f"{API}/cameras/{{id}}/timeline"): Row(READ, *CAMERA),
    ("get", f"{API}/cameras/{{id}}/explain"): Row(READ, *CAMERA),
    ("post", f"{API}/cameras/{{id}}/probe"): Row(PROBE, *CAMERA, body={"depth": "picture"}, reads=True),
    ("get", f"{API}/lines"): Row(READ),
    ("get", f"{API}/recorders"): Row(READ),
    ("get", f"{API}/points"): Row(READ),
    ("get", f"{API}/facilities"): Row(READ),
    ("get", f"{API}/lines/{{code}}"): Row(READ, {"code": "l1"}, {"code": "l5"}),
    ("get", f"{API}/recorders/{{code}}"): Row(READ, *RECORDER),
    ("get", f"{API}/points/{{code}}"): Row(READ, *POINT),
    ("get", f"{API}/facilities/{{code}}"): Row(READ, *FACILITY),
    ("patch", f"{API}/lines/{{code}}"): Row(WRITE, {"code": "l1"}, {"code": "l5"}, NAME, everything=True, reads=True),
    ("patch", f"{API}/recorders/{{code}}"): Row(WRITE, *RECORDER, NAME, reads=True),
    ("patch", f"{API}/points/{{code}}"): Row(WRITE, *POINT, NAME, reads=True),
    ("patch", f"{API}/facilities/{{code}}"): Row(WRITE, *FACILITY, NAME, reads=True),
    ("delete", f"{API}/lines/{{code}}"): Row(
        WRITE, {"code": "l1"}, {"code": "l5"}, good=204, everything=True, reads=True
    ),
    ("delete", f"{API}/recorders/{{code}}"): Row(WRITE, *RECORDER, good=204, reads=True),
    ("delete", f"{API}/points/{{code}}"): Row(WRITE, *POINT, good=204, reads=True),
    ("delete", f"{API}/facilities/{{code}}"): Row(WRITE, *FACILITY, good=204, reads=True),
    ("post", f"{API}/villages/import"): Row(WRITE, body={"code": "x"}),
    ("post", f"{API}/lines/import"): Row(WRITE, body={"code": "x"}, everything=True),
    ("post", f"{API}/recorders/import"): Row(WRITE, body={"code": "x"}),
    ("post", f"{API}/cameras/import"): Row(WRITE, body={"code": "x"}),
    ("post", f"{API}/points/import"): Row(WRITE, body={"code": "x"}),
    ("post", f"{API}/facilities/import"): Row(WRITE, body={"code": "x"}),
    ("get", f"{API}/maintenance"): Row(READ),
    ("post", f"{API}/maintenance"): Row(WRITE, {"camera": "c1"}, {"camera": "c5"}, body=WORK, good=201),
    ("get", "/healthz"): Row(None),
    ("get", "/readyz"): Row(None),
    ("get", "/metrics"): Row(Permission.METRICS),
    ("get", "/probe"): Row(Permission.METRICS, {"target": "c1"}, {"target": "c5"}),
}
KEYS = [*Permission, "full"]
GRANTED = {"full": {READ, WRITE, PROBE}} | {permission: {permission} for permission in Permission}


def test_every_route_has_a_row(world: World) -> None:
    """What OpenAPI lists is exactly what the matrix covers."""
    listed = {(method, path) for path, methods in world.app.openapi()["paths"].items() for method in methods}

    assert listed == set(MATRIX)


async def ask(client: Any, route: tuple[str, str], row: Row, objects: dict[str, str]) -> int:
    method, path = route
    body = row.body
    if body is not None and "{" not in path and objects:
        body = {**body, **objects}
    params = objects if body is None and "{" not in path else None
    answer = await client.request(method, path.format(**objects), json=body, params=params)
    assert "Traceback" not in answer.text
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code
        assert answer.json()["code"]
    return int(answer.status_code)


async def test_nobody_gets_401_and_open_routes_answer(world: World) -> None:
    """Without key or session only the open routes answer; a wrong key is nobody too."""
    for route, row in MATRIX.items():
        expected = row.good if row.permission is None else 401
        if route[1].endswith("/session"):
            expected = 401
        async with world.client() as client:
            assert await ask(client, route, row, row.own) == expected
        async with world.client(authorization="Bearer sw_000000000000_" + "A" * 43) as client:
            assert await ask(client, route, row, row.own) == expected


@pytest.mark.parametrize("key", KEYS)
async def test_keys_open_what_their_scopes_say(world: World, key: str) -> None:
    """A key without the permission gets 403; with it, own objects answer and foreign ones do not exist."""
    for route, row in MATRIX.items():
        for scope in SCOPES:
            async with world.client(f"{key}.{scope}") as client:
                sees_a, sees_b = scope != "b", scope != "a"
                if row.permission is not None and row.permission not in GRANTED[key]:
                    # A read route's object is looked up only for who may read; both answers give nothing away.
                    assert await ask(client, route, row, row.own) == 403
                    continue
                if row.reads and READ not in GRANTED[key]:
                    assert await ask(client, route, row, row.own) == 403
                    continue
                assert await ask(client, route, row, row.own) == row.expected(scope, row.own, seen=sees_a), scope
                assert await ask(client, route, row, row.foreign) == row.expected(scope, row.foreign, seen=sees_b), (
                    scope
                )


@pytest.mark.parametrize("role", list(Role))
async def test_sessions_open_what_their_roles_say(world: World, role: Role) -> None:
    """The same with signed-in people; unsafe methods need the token, without it they get 403, all of them."""
    for route, row in MATRIX.items():
        may = row.permission is None or row.permission in ROLE_PERMISSIONS[role]
        for scope in SCOPES:
            sees_a, sees_b = scope != "b", scope != "a"
            async with await world.signed_in(role, scope) as client:
                if not may:
                    assert await ask(client, route, row, row.own) == 403
                elif not route[1].endswith("/logout"):
                    assert await ask(client, route, row, row.own) == row.expected(scope, row.own, seen=sees_a)
                    assert await ask(client, route, row, row.foreign) == row.expected(scope, row.foreign, seen=sees_b)
                if route[0] != "get" and not route[1].endswith("/login"):
                    del client.headers[CSRF_HEADER]
                    assert await ask(client, route, row, row.own) == 403
                    client.headers[CSRF_HEADER] = "x" * 43
                    assert await ask(client, route, row, row.own) == 403


@pytest.mark.parametrize(
    "path",
    [
        "/regions",
        "/villages",
        "/villages?rates=24h",
        "/cameras",
        "/cameras?sort=worst",
        "/lines",
        "/recorders",
        "/points",
        "/facilities",
        "/maintenance",
        "/overview",
    ],
)
async def test_lists_hold_no_foreign_object(world: World, path: str) -> None:
    """Neither list nor count shows anything of a sibling county, and the parent sees both."""
    async with world.client("read.a") as client:
        own = (await client.get(f"/api/v1{path}")).text
    async with world.client("read.city") as client:
        whole = (await client.get(f"/api/v1{path}")).text

    foreign = {"331122", VILLAGE_B, "白石", '"c5"', '"c6"', '"l5"', '"r5"', '"p5"', '"f5"', '"l9"'}
    assert not [word for word in foreign if word in own]
    if path != "/overview":
        assert [word for word in foreign if word in whole]
    assert own != whole


@pytest.mark.parametrize(
    "path",
    [
        "/villages?region=331122",
        *(f"/{kind}?region=331122" for kind in ("cameras", "lines", "recorders", "points", "facilities")),
        *(f"/{kind}?village={VILLAGE_B}" for kind in ("cameras", "lines", "recorders", "points", "facilities")),
    ],
)
async def test_foreign_filter_finds_nothing(world: World, path: str) -> None:
    """A filter that names a foreign region or village is like one that names none."""
    assert (await world.get(path, "read.a"))["items"] == []
    assert (await world.get(path, "read.city"))["items"] != []


async def test_metrics_hold_no_foreign_village_nor_the_service_itself(world: World) -> None:
    """A county's scraper sees its villages only; how the service is concerns those who see everything."""
    async with world.client("metrics.a") as client:
        own = (await client.get("/metrics")).text
    async with world.client("metrics.all") as client:
        whole = (await client.get("/metrics")).text

    assert VILLAGE_A in own
    assert VILLAGE_B not in own
    assert "streamwatch_sessions" not in own
    assert VILLAGE_B in whole
    assert "streamwatch_sessions 3" in whole
