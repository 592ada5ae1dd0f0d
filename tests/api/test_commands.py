"""What is handed to the service: looks, explanations, maintenance; and its refusals."""

from __future__ import annotations

from typing import Any

import pytest

from streamwatch.clock import rfc3339
from streamwatch.store.tables import camera
from tests.api.world import DAY, HOUR, NOW, VILLAGE_A, World

WORK = {"camera": "c1", "from": rfc3339(NOW), "to": rfc3339(NOW + HOUR), "reason": "换杆"}


async def post(world: World, path: str, body: Any, key: str = "full.all") -> Any:
    async with world.client(key) as client:
        return await client.post(f"/api/v1{path}", json=body)


@pytest.mark.parametrize(("body", "depth"), [({"depth": "reach"}, "reach"), ({}, "picture"), (None, "picture")])
async def test_probe_asks_the_service_by_its_own_id(world: World, body: Any, depth: str) -> None:
    """The depth is picture where none is said; the answer is the service's."""
    answer = await post(world, "/cameras/c3/probe", body)

    assert (answer.status_code, answer.json()) == (200, {"state": "up"})
    assert world.service.asked == [("probe", {"camera": 3, "depth": depth})]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("running", 409),
        ("unavailable", 503),
        ("refused", 503),
        ("busy", 503),
        ("timeout", 504),
        ("failed", 500),
        ("x", 500),
    ],
)
async def test_refusals_of_the_service_keep_their_code(world: World, code: str, status: int) -> None:
    """A look under way is 409; a service that is not there is 503; anything else is its own failure."""
    world.service.error = (code, "why")

    answer = await post(world, "/cameras/c3/probe", {})

    assert (answer.status_code, answer.json()["code"], answer.json()["detail"]) == (status, f"service.{code}", "why")


async def test_removed_camera_is_not_looked_at(world: World) -> None:
    """Nothing is sent to an address that is not ours any more."""
    async with world.writer.begin() as conn:
        await conn.execute(camera.update().where(camera.c.id == 3).values(removed_us=NOW - 1))

    answer = await post(world, "/cameras/c3/probe", {})

    assert (answer.status_code, answer.json()["code"]) == (409, "camera.removed")
    assert world.service.asked == []


async def test_explain_passes_on_what_the_service_knows(world: World) -> None:
    """The explanation comes from where the look was judged."""
    world.service.answers["explain"] = {"look": {"state": "up"}, "thresholds": {"a": 1.0}}

    assert await world.get("/cameras/c3/explain") == {"look": {"state": "up"}, "thresholds": {"a": 1.0}}
    assert world.service.asked == [("explain", {"camera": 3})]


async def test_maintenance_is_announced_with_its_author(world: World) -> None:
    """Codes become internal ids; the answer repeats what was booked."""
    answer = await post(world, "/maintenance", WORK, "full.a")
    village = await post(world, "/maintenance", {**WORK, "camera": None, "village": VILLAGE_A}, "full.a")

    assert (answer.status_code, village.status_code) == (201, 201)
    assert answer.json() == {**WORK, "id": 7, "village": None, "author": "key:t"}
    common = {"from_us": NOW, "to_us": NOW + HOUR, "reason": "换杆", "author": "key:t"}
    assert world.service.asked == [
        ("maintenance", {"camera": 1, "village": None, **common}),
        ("maintenance", {"camera": None, "village": 11, **common}),
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"village": VILLAGE_A},
        {"camera": None},
        {"to": rfc3339(NOW)},
        {"to": rfc3339(NOW + 367 * DAY)},
        {"from": "soon"},
        {"reason": ""},
        {"reason": "x" * 501},
        {"author": "somebody else"},
    ],
)
async def test_wrong_maintenance_never_reaches_the_service(world: World, change: dict[str, Any]) -> None:
    """Both or no object, an empty or endless window, no reason, a foreign author: refused."""
    answer = await post(world, "/maintenance", {**WORK, **change})

    assert answer.status_code == 422
    assert world.service.asked == []


async def test_maintenance_is_listed_newest_first_by_page(world: World) -> None:
    """Camera and village by their codes, page by page."""
    first = await world.get("/maintenance?limit=1")
    second = await world.get(f"/maintenance?limit=1&cursor={first['next']}")

    assert [one["id"] for one in (await world.get("/maintenance"))["items"]] == [2, 1]
    assert (first["items"][0]["id"], second["items"][0]["id"], second["next"]) == (2, 1, None)
    assert second["items"][0]["camera"] == "c1"
    assert second["items"][0]["reason"] == "更换电源"
    assert [one["id"] for one in (await world.get("/maintenance", "read.a"))["items"]] == [1]
