"""/probe: answers as blackbox_exporter does, and never turns what nobody knows into a 0."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from streamwatch.api.blackbox import METRICS
from streamwatch.errors import Reason, Step
from streamwatch.findings import finding, thresholds
from streamwatch.live.client import CallError
from streamwatch.model.look import Depth, Look, Measurement, StreamKind
from streamwatch.store.tables import camera
from streamwatch.verdict import Policy
from tests.api.world import NOW, World

URL = "rtsp://192.0.2.7:554/live"
GOOD = Look(
    camera=1, depth=Depth.PICTURE, stream=StreamKind.MAIN, started_us=NOW, duration_us=55_100, vantage="here",
    codec="h264", width=1280, height=720, transport="tcp", server="x", keyframe_bytes=60_123, media_flowed=True,
    timings_ms={"connect": 1.25, "first_keyframe": 41.0, "total": 55.125}, measures=(Measurement("luma_mean", 93.1),),
)  # fmt: skip


def failed(reason: Reason, step: Step) -> Look:
    return Look(camera=1, depth=Depth.PICTURE, stream=StreamKind.MAIN, started_us=NOW, duration_us=1, vantage="here",
                reason=reason, step=step, detail="what happened", timings_ms={"total": 2000.0})  # fmt: skip


def told(world: World, look: Look, void: Reason | None = None) -> None:
    """What the service will answer."""
    policy = Policy()
    world.service.answers["scrape"] = {
        "look": finding(look, URL, policy), "void": void, "thresholds": thresholds(policy),
    }  # fmt: skip


async def scrape(world: World, query: str = "target=c1", key: str | None = None, **headers: str) -> httpx.Response:
    """As a Prometheus on this machine asks."""
    async with world.client(key, peer="127.0.0.1" if key is None else "192.0.2.9", **headers) as client:
        return await client.get(f"/probe?{query}")


def samples(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_a_camera_that_is_up_is_success_with_what_was_found(world: World) -> None:
    """Every number of the look under its name, in the order of the names, in text format 0.0.4."""
    told(world, GOOD)
    answer = await scrape(world)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert samples(answer.text) == {
        ("probe_success", ()): 1,
        ("probe_duration_seconds", ()): 0.055125,
        ("probe_rtsp_step_duration_seconds", ("connect",)): 0.00125,
        ("probe_rtsp_step_duration_seconds", ("first_keyframe",)): 0.041,
        ("probe_rtsp_info", ("h264", "tcp")): 1,
        ("probe_rtsp_width_pixels", ()): 1280,
        ("probe_rtsp_height_pixels", ()): 720,
        ("probe_rtsp_keyframe_bytes", ()): 60_123,
    }
    helped = [line.split()[2] for line in answer.text.splitlines() if line.startswith("# HELP")]
    assert helped == sorted(helped)
    assert world.service.asked == [("scrape", {"camera": 1, "depth": "picture", "timeout_s": 59.0})]


@pytest.mark.parametrize("module", ["reach", "stream", "picture"])
async def test_the_module_is_the_depth(world: World, module: str) -> None:
    """As configured; picture where none is said (above)."""
    told(world, GOOD)
    await scrape(world, f"target=c3&module={module}")

    assert [args["depth"] for _, args in world.service.asked] == [module]


@pytest.mark.parametrize("reason", [Reason.NET_REFUSED, Reason.NET_TIMEOUT, Reason.RTSP_AUTH, Reason.MEDIA_NO_DATA])
async def test_down_is_0_with_its_reason(world: World, reason: Reason) -> None:
    """Status 200, so that Prometheus keeps the sample; reason, step and blame are labels."""
    told(world, failed(reason, Step.DESCRIBE))
    found = samples((await scrape(world)).text)

    blame = "access" if reason is Reason.RTSP_AUTH else "camera"
    assert found["probe_success", ()] == 0
    assert found["probe_duration_seconds", ()] == 2
    assert found["probe_rtsp_failure_info", (reason, "describe", blame)] == 1


async def test_a_fault_of_the_picture_leaves_success_and_is_named(world: World) -> None:
    """`probe_success` is the stream's; a black picture has a series of its own."""
    dark = (Measurement("luma_mean", 2.0), Measurement("luma_std", 0.5), Measurement("dark_share", 1.0),
            Measurement("texture", 0.5))  # fmt: skip
    told(world, Look(**{field: getattr(GOOD, field) for field in Look.__struct_fields__} | {"measures": dark}))
    found = samples((await scrape(world)).text)

    assert found["probe_success", ()] == 1
    assert found["probe_rtsp_picture_fault", ("blackout",)] == 1


@pytest.mark.parametrize(
    ("look", "void", "reason"),
    [
        (failed(Reason.RTSP_BUSY, Step.SETUP), None, "rtsp.busy"),
        (failed(Reason.OURS_WORKER, Step.DECODE), Reason.OURS_WORKER, "ours.worker"),
        (failed(Reason.OURS_LIMIT, Step.CONNECT), Reason.OURS_LIMIT, "ours.limit"),
        (failed(Reason.NET_TIMEOUT, Step.CONNECT), Reason.OURS_PATH, "ours.path"),  # no canary answered either
    ],
)
async def test_unknown_is_503_without_success(world: World, look: Look, void: Reason | None, reason: str) -> None:
    """Busy, our own failure, or a failure while our own path was down: no number at all, and the reason why."""
    told(world, look, void)
    answer = await scrape(world)

    assert (answer.status_code, answer.json()["code"], answer.json()["reason"]) == (503, "probe.unknown", reason)
    assert "probe_success" not in answer.text


@pytest.mark.parametrize("code", ["timeout", "unavailable", "backoff", "refused", "failed"])
async def test_no_answer_of_the_service_is_503_with_its_reason(world: World, code: str) -> None:
    """Nothing was seen: never a 0."""
    world.service.error = (code, "why")
    answer = await scrape(world)

    assert (answer.status_code, answer.json()["reason"]) == (503, f"service.{code}")
    assert "why" in answer.json()["detail"]
    assert len(world.service.asked) == 1


async def test_a_camera_under_way_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two Prometheus servers ask for one camera: the second waits for its turn, with what is left of its time."""
    told(world, GOOD)
    calls: list[float] = []
    answer_as_told = world.service.call

    async def busy_at_first(op: str, args: dict[str, Any], timeout_s: float = 30) -> Any:
        calls.append(timeout_s)
        if len(calls) < 4:
            raise CallError("running" if len(calls) < 3 else "busy", "being looked at")
        return await answer_as_told(op, args, timeout_s)

    monkeypatch.setattr(world.service, "call", busy_at_first)
    answer = await scrape(world, **{"X-Prometheus-Scrape-Timeout-Seconds": "10"})

    assert answer.status_code == 200
    assert calls == [9.5, 9.25, 9.0, 8.75]
    assert world.service.asked[0][1]["timeout_s"] == 7.75


async def test_the_wait_for_a_turn_ends_with_the_scrape(world: World) -> None:
    """Always under way: 503 before Prometheus gives up, not after."""
    world.service.error = ("running", "being looked at")
    began = world.clock.seconds
    answer = await scrape(world, **{"X-Prometheus-Scrape-Timeout-Seconds": "3"})

    assert (answer.status_code, answer.json()["reason"]) == (503, "service.running")
    assert 2.0 <= world.clock.seconds - began <= 2.5


@pytest.mark.parametrize(("header", "look_s"), [("10", 8.5), ("2", 0.75), ("0.4", 0.1), ("1e9", 119.0), ("60.0", 58.5)])
async def test_the_look_ends_before_the_scrape_does(world: World, header: str, look_s: float) -> None:
    """Half a second for the way back, a second for the commit; with less than that, half of what there is."""
    told(world, GOOD)
    await scrape(world, **{"X-Prometheus-Scrape-Timeout-Seconds": header})

    assert world.service.asked[0][1]["timeout_s"] == pytest.approx(look_s)


@pytest.mark.parametrize(
    ("query", "headers", "status", "code"),
    [
        ("target=c1&module=http_2xx", {}, 400, "probe.module"),
        ("target=c1&module=record", {}, 400, "probe.module"),
        ("module=stream", {}, 400, "probe.target"),
        ("target=", {}, 400, "probe.target"),
        ("target=nobody", {}, 404, "not_found"),
        ("target=c1", {"X-Prometheus-Scrape-Timeout-Seconds": "soon"}, 400, "probe.timeout"),
        ("target=c1", {"X-Prometheus-Scrape-Timeout-Seconds": "nan"}, 400, "probe.timeout"),
        ("target=c1", {"X-Prometheus-Scrape-Timeout-Seconds": "-1"}, 400, "probe.timeout"),
        ("target=c1", {"Sec-Fetch-Site": "cross-site"}, 403, "access.foreign_page"),
    ],
)
async def test_wrong_questions(world: World, query: str, headers: dict[str, str], status: int, code: str) -> None:
    """Nothing is looked at; the code says what was wrong."""
    answer = await scrape(world, query, **headers)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert world.service.asked == []


async def test_a_removed_camera_is_404(world: World) -> None:
    """Nothing is sent to an address that is not ours any more."""
    async with world.writer.begin() as conn:
        await conn.execute(camera.update().where(camera.c.id == 3).values(removed_us=NOW - 1))
    answer = await scrape(world, "target=c3")

    assert (answer.status_code, answer.json()["code"]) == (404, "probe.removed")
    assert world.service.asked == []


async def test_who_may_ask(world: World) -> None:
    """As /metrics: nobody from elsewhere without a key for it; a county's key sees its own cameras only."""
    told(world, GOOD)
    async with world.client() as client:
        assert (await client.get("/probe?target=c1")).status_code == 401
    assert (await scrape(world, key="probe.all")).status_code == 403
    assert (await scrape(world, key="metrics.a")).status_code == 200
    assert (await scrape(world, "target=c5", key="metrics.a")).status_code == 404
    assert (await scrape(world, "target=c5", key="metrics.all")).status_code == 200


async def test_debug_is_the_text_for_a_person(world: World) -> None:
    """Steps, measures, thresholds, verdict, and what a scrape would have got; also where that is a 503."""
    told(world, GOOD)
    good = await scrape(world, "target=c1&debug=true")
    told(world, failed(Reason.RTSP_BUSY, Step.SETUP))
    busy = await scrape(world, "target=c1&debug=true")

    assert (good.status_code, good.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    for word in ("## Steps", "## Measures", "## Thresholds", "## Verdict", "luma_mean", "probe_success 1", URL):
        assert word in good.text
    assert busy.status_code == 200
    assert "503, without probe_success" in busy.text
    assert "probe_success 0" not in busy.text


def test_every_series_is_in_the_documentation() -> None:
    """docs/integrators.md names each."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "integrators.md").read_text(encoding="utf-8")

    assert [metric.name for metric in METRICS if f"`{metric.name}" not in text] == []
