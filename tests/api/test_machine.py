"""/healthz, /readyz, /metrics: what machines are told, and who may ask."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from streamwatch import __version__
from streamwatch.clock import US
from streamwatch.model.live import Part
from tests.api.world import DAY, STOOD, VILLAGE_A, World, live


def samples(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample by name and label values."""
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_ready_only_while_everything_is(world: World) -> None:
    """200 with every part ready; one part that is not, a lost service or a silent one gives 503 and its name."""
    async with world.client() as client:
        good = await client.get("/readyz")
        assert (good.status_code, good.json()["ready"]) == (200, True)
        assert {part["name"] for part in good.json()["parts"]} == {"database", "service", "store"}

        world.tell(*live(*STOOD), parts=(Part("store", True), Part("jail", False, "not complete")))
        jail = await client.get("/readyz")
        assert jail.status_code == 503
        assert {"name": "jail", "ready": False, "detail": "not complete"} in jail.json()["parts"]

        world.tell(*live(*STOOD), connected=False)
        assert (await client.get("/readyz")).status_code == 503

        world.tell(*live(*STOOD))
        world.clock.now_us += 11 * US
        silent = await client.get("/readyz")
        assert silent.status_code == 503
        assert [part["name"] for part in silent.json()["parts"] if not part["ready"]] == ["pulse"]


async def test_a_patrol_that_is_thinned_is_told_and_stays_in_reach(world: World) -> None:
    """200 with the part not ready and its detail: no balancer may take the page away because looks are less deep."""
    world.tell(*live(*STOOD), parts=(Part("store", True), Part("patrol", False, "more work than room")))
    async with world.client("metrics.all") as client:
        answer = await client.get("/readyz")
        found = samples((await client.get("/metrics")).text)

    assert (answer.status_code, answer.json()["ready"]) == (200, True)
    assert {"name": "patrol", "ready": False, "detail": "more work than room"} in answer.json()["parts"]
    assert found["streamwatch_ready", ("patrol",)] == 0


async def test_not_ready_before_the_service_was_heard_or_without_a_database(world: World) -> None:
    """A fresh process, and one whose database cannot be read, are alive but not ready."""
    status, world.view.status = world.view.status, None
    async with world.client() as client:
        assert (await client.get("/healthz")).text == "ok\n"
        assert (await client.get("/readyz")).status_code == 503
        world.view.status = status
        async with world.writer.begin() as conn:
            await conn.exec_driver_sql("ALTER TABLE village RENAME TO gone")
        answer = await client.get("/readyz")

    assert answer.status_code == 503
    assert {"name": "database", "ready": False, "detail": ""} in answer.json()["parts"]


async def test_metrics_count_villages_and_pass_on_the_services_own(world: World) -> None:
    """The text is what the reference parser reads: cameras by state, faults, the service's counters and gauges."""
    async with world.client("metrics.all") as client:
        answer = await client.get("/metrics")
    found = samples(answer.text)

    region = "丽州市/青河县"
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert found["streamwatch_village_cameras", (region, VILLAGE_A, "up")] == 2
    assert found["streamwatch_village_cameras", (region, VILLAGE_A, "down")] == 1
    assert found["streamwatch_village_cameras", (region, VILLAGE_A, "unknown")] == 1
    assert found["streamwatch_village_faulty_cameras", (region, VILLAGE_A, "blur")] == 1
    assert found["streamwatch_probes_total", ("picture", "ok", "")] == 5
    assert found["streamwatch_sessions", ()] == 3
    assert found["streamwatch_ready", ("store",)] == 1
    assert found["streamwatch_build_info", (__version__,)] == 1


async def test_fault_series_ends_at_zero_and_goes_after_a_day(world: World) -> None:
    """A fault that is gone shows 0, so that alerts end, and no series outlives 24 hours."""
    series = ("streamwatch_village_faulty_cameras", ("丽州市/青河县", VILLAGE_A, "blur"))
    async with world.client("metrics.all") as client:
        assert samples((await client.get("/metrics")).text)[series] == 1
        world.tell(*live(*(one for one in STOOD if one.camera != 3)))
        world.clock.now_us += DAY
        assert samples((await client.get("/metrics")).text)[series] == 0
        world.clock.now_us += 1
        assert series not in samples((await client.get("/metrics")).text)


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("127.8.8.8", {}, 200),
        ("::1", {}, 200),
        ("192.0.2.9", {}, 401),
        ("127.0.0.1", {"X-Forwarded-For": "192.0.2.9"}, 401),
        ("127.0.0.1", {"Forwarded": "for=192.0.2.9"}, 401),
        ("testclient", {}, 401),
    ],
)
async def test_metrics_need_no_key_from_this_machine_only(
    world: World, peer: str, headers: dict[str, str], status: int
) -> None:
    """Loopback is enough, unless a proxy there asks for somebody else."""
    async with world.client(peer=peer, **headers) as client:
        assert (await client.get("/metrics")).status_code == status
