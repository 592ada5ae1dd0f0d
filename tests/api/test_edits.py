"""One line, recorder, planned point or facility changed or taken out: what reaches the service, and what never does."""

from __future__ import annotations

from typing import Any

import pytest

from streamwatch.inventory.parsed import ImportResult, Rejection
from tests.api.world import World


async def send(world: World, method: str, path: str, body: Any = None, key: str = "full.all") -> Any:
    async with world.client(key) as client:
        return await client.request(method, f"/api/v1{path}", json=body)


@pytest.mark.parametrize(
    ("path", "kind", "values"),
    [
        ("/lines/l9", "lines", {"kbps": 5_000, "provider": None}),
        ("/recorders/r1", "recorders", {"username": "admin", "password": "geheim"}),
        ("/points/p5", "points", {"camera": None, "key_point": True}),
        ("/facilities/f5", "facilities", {"tested_on": "2026-11-01", "test_passed": False}),
    ],
)
async def test_a_change_is_judged_and_written_by_the_service(
    world: World, path: str, kind: str, values: dict[str, Any]
) -> None:
    """What is said goes there with the caller's regions; the answer is the thing as it is then."""
    code = path.rpartition("/")[2]
    answer = await send(world, "PATCH", path, {**values, "code": code})

    assert (answer.status_code, answer.json()) == (200, await world.get(path))
    expected = {"kind": kind, "code": code, "values": values, "create": False, "region": None, "author": "key:t"}
    assert world.service.asked == [("edit", expected)]


async def test_an_address_as_it_was_shown_is_that_address(world: World) -> None:
    """Whoever sends back what they read changes nothing."""
    shown = (await world.get("/recorders/r1"))["url"]
    await send(world, "PATCH", "/recorders/r1", {"url": shown})

    assert world.service.asked[0][1]["values"] == {"url": "http://192.0.2.10"}


async def test_a_refused_change_names_column_and_remedy(world: World) -> None:
    """422 with every reason, and the value itself is not repeated: it may be a password."""
    rejected = (Rejection(1, "password", "geheim", "password_needed", "give it again"),)
    world.service.answers["edit"] = ImportResult(rejected=rejected, rejected_total=1, stopped=True).to_json()
    answer = await send(world, "PATCH", "/recorders/r1", {"url": "http://192.0.2.66"})

    assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")
    assert answer.json()["detail"] == "password: give it again"
    assert "geheim" not in answer.text


@pytest.mark.parametrize("body", [{"code": "r2"}, ["name"], {"name": {"a": 1}}, {str(n): "" for n in range(51)}])
async def test_a_change_that_makes_no_sense_never_reaches_the_service(world: World, body: Any) -> None:
    """Another code, no object, nested values, too many."""
    assert (await send(world, "PATCH", "/recorders/r1", body)).status_code == 422
    assert world.service.asked == []


async def test_removing_is_the_services_work(world: World) -> None:
    """Nothing is answered before it is done."""
    answer = await send(world, "DELETE", "/points/p1", key="full.a")

    assert (answer.status_code, answer.content) == (204, b"")
    assert world.service.asked == [("remove", {"kind": "points", "code": "p1", "region": 2, "author": "key:t"})]


@pytest.mark.parametrize(
    ("method", "path"), [("PATCH", "/lines/l1"), ("DELETE", "/lines/l1"), ("POST", "/lines/import")]
)
async def test_lines_are_changed_by_who_sees_everything(world: World, method: str, path: str) -> None:
    """They belong to no region: another county may hang on the same one."""
    answer = await send(world, method, path, {"name": "x"}, "full.city")

    assert (answer.status_code, answer.json()["code"]) == (403, "access.everything")
    assert world.service.asked == []
