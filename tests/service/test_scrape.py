"""/probe with everything real: a farm, a service with its processes, scrapers that ask at the same time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.running import Farm, Service, farm, service

TIMEOUT = "X-Prometheus-Scrape-Timeout-Seconds"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Farm, Service]]:
    """Twelve cameras that the patrol does not visit meanwhile."""
    folder = tmp_path_factory.mktemp("scrape")
    with (
        farm(folder / "farm", villages=1, cameras=12) as cameras,
        service(
            folder / "data", f"--cameras={cameras.folder / 'cameras.csv'}", "--in-one-process",
            SCHEDULE__INTERVAL_S="86400", SCHEDULE__ACCESS_TRIES="2",
            CANARIES__TARGETS=f"tcp://{cameras.control.removeprefix('http://')}",
        ) as running,
    ):  # fmt: skip
        yield cameras, running


def scrape(running: Service, camera: str, timeout: str = "20", **query: str) -> httpx.Response:
    """As a Prometheus on this machine asks: no key."""
    return httpx.get(
        running.api.base_url.join("/probe"), params={"target": camera} | query, headers={TIMEOUT: timeout},
        timeout=30, trust_env=False,
    )  # fmt: skip


def test_up_down_busy_and_silent_are_told_as_what_they_are(site: tuple[Farm, Service]) -> None:
    """Up 1 with its steps, refused 0, busy 503, silent 0 before the scrape's time is out; then up again."""
    cameras, running = site
    up, refused, busy, silent = (camera["code"] for camera in cameras.cameras[:4])
    cameras.fault(refused, "refused")
    cameras.fault(busy, "busy")
    cameras.fault(silent, "silent")

    good = scrape(running, up)
    assert "\nprobe_success 1\n" in good.text
    assert 'probe_rtsp_step_duration_seconds{step="decode"}' in good.text
    assert '\nprobe_rtsp_info{codec="h264",transport="tcp"} 1\n' in good.text
    assert "\nprobe_success 0\n" in scrape(running, refused).text
    unknown = scrape(running, busy)
    assert (unknown.status_code, unknown.json()["reason"]) == (503, "rtsp.busy")
    began = time.monotonic()
    late = scrape(running, silent, timeout="3")
    assert time.monotonic() - began < 3
    assert "\nprobe_success 0\n" in late.text
    assert 'reason="net.timeout"' in late.text
    cameras.fault(refused, None)
    assert "\nprobe_success 1\n" in scrape(running, refused).text


def test_two_scrapers_of_one_camera_both_get_an_answer(site: tuple[Farm, Service]) -> None:
    """Eight at once, of one camera: one session at a time, and everybody is answered."""
    cameras, running = site
    code = cameras.cameras[5]["code"]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: scrape(running, code), range(8)))

    assert [answer.status_code for answer in answers] == [200] * 8
    assert all("\nprobe_success 1\n" in answer.text for answer in answers)


def test_a_camera_that_refuses_the_password_is_left_alone(site: tuple[Farm, Service]) -> None:
    """Scraped on and on: after the patrol's number of tries nothing is sent any more, and the answer is 503."""
    cameras, running = site
    code = cameras.cameras[6]["code"]
    cameras.fault(code, "auth")
    answers = [scrape(running, code) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 503, 503]
    assert ['reason="rtsp.auth"' in answer.text for answer in answers] == [True, True, False, False]
    assert answers[3].json()["reason"] == "service.backoff"


def test_debug_explains_the_look(site: tuple[Farm, Service]) -> None:
    """With the thresholds of the running service, and no password."""
    cameras, running = site
    camera = cameras.cameras[7]
    text = scrape(running, camera["code"], debug="true").text

    assert "## Thresholds" in text
    assert "probe_success 1" in text
    assert camera.get("password", "?") not in text
