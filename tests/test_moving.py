"""A camera is moved to another village while a real service watches it, twice, with a power cut in between."""

from __future__ import annotations

import csv
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from streamwatch.clock import US, parse_rfc3339, rfc3339
from streamwatch.service.holding import COMPANY_S
from streamwatch.store.engine import database_path, default_url
from tests.running import Farm, Service, farm, service

pytestmark = pytest.mark.slow

INTERVAL_S = 5
CAMERAS = 6


def settings(running: Farm) -> dict[str, str]:
    return {
        "SCHEDULE__INTERVAL_S": str(INTERVAL_S),
        "CANARIES__TARGETS": f"tcp://{running.control.removeprefix('http://')}",
        "CANARIES__INTERVAL_S": "2",
    }


def move(running: Service, running_farm: Farm, code: str, village: str, count: int) -> int:
    """Moves a camera by a list, as an operator does, to a village that then has `count`; the instant of the move."""
    with (running_farm.folder / "cameras.csv").open(encoding="utf-8-sig") as file:
        row = next(row for row in csv.DictReader(file) if row["code"] == code)
    path = running_farm.folder / "moved.csv"
    with path.open("w", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow({**row, "village": village})
    subprocess.run(
        [sys.executable, "-m", "streamwatch", "import", "cameras", str(path)],
        env={**os.environ, "STREAMWATCH_DATA_DIR": str(running.data_dir)},
        check=True,
        capture_output=True,
    )
    with sqlite3.connect(f"file:{database_path(default_url(running.data_dir))}?mode=ro", uri=True) as database:
        found = database.execute("SELECT max(to_us) FROM camera_stay").fetchone()[0]
    running.until(lambda: watched(running, village) == count, 3, "the move is known")
    return int(found)


def seconds(running: Service, path: str, from_us: int, to_us: int) -> dict[str, float]:
    """Up, and all time, of a window."""
    rate = running.get(f"{path}/uptime", **{"from": rfc3339(from_us), "to": rfc3339(to_us)})["uptime"]
    parts = {name: rate[name] for name in ("up_s", "down_s", "unknown_s", "excluded_s")}
    return {"up": parts["up_s"], "all": sum(parts.values())}


def seen(running: Service, after_us: int) -> bool:
    """Whether every camera was looked at after that instant."""
    cameras = running.every("/cameras")
    return len(cameras) == CAMERAS and all(
        camera["last_look_at"] is not None and parse_rfc3339(camera["last_look_at"]) > after_us for camera in cameras
    )


def counters(running: Service) -> dict[str, float]:
    """The camera-seconds of the villages."""
    lines = [line.rpartition(" ") for line in running.api.get("/metrics").text.splitlines()]
    return {name: float(value) for name, _, value in lines if "_seconds_total{region" in name}


def booked(running: Service) -> bool:
    """Whether the villages' counters together are the time from each camera's first look to its last, to 0.1 ms."""
    cameras = running.every("/cameras")
    spans = [parse_rfc3339(camera["last_look_at"]) - parse_rfc3339(camera["state_since"]) for camera in cameras]
    return abs(sum(counters(running).values()) - sum(spans) / US) < 1e-4


def watched(running: Service, village: str) -> int:
    """Cameras of a village in the metrics."""
    return sum(
        int(float(line.rpartition(" ")[2]))
        for line in running.api.get("/metrics").text.splitlines()
        if line.startswith("streamwatch_village_cameras") and f'village="{village}"' in line
    )


def test_history_stays_where_it_was(tmp_path: Path) -> None:
    """Before, around and after each move both villages have exactly their camera-seconds, all of them up, the camera's
    own timeline has no hole, counters only grow and none is doubled; after a power cut the answers are the same."""
    with farm(tmp_path / "farm", villages=2, cameras=CAMERAS) as running_farm:
        lists = [f"--{kind}={running_farm.folder / kind}.csv" for kind in ("villages", "cameras")]
        began: list[tuple[str, tuple[int, int], dict[str, float]]] = []
        with service(tmp_path / "data", *lists, **settings(running_farm)) as running:
            running.until(lambda: seen(running, 0), 40, "every camera was seen")
            cameras = running.every("/cameras")
            code, left = cameras[0]["id"], cameras[0]["village"]
            joined = next(camera["village"] for camera in cameras if camera["village"] != left)
            up_us = max(parse_rfc3339(camera["last_look_at"]) for camera in cameras)
            running.until(lambda: seen(running, up_us + 2 * US), 20, "two seconds of all cameras")
            before = counters(running)
            moved_us = move(running, running_farm, code, joined, CAMERAS // 2 + 1)
            assert (watched(running, left), watched(running, joined)) == (CAMERAS // 2 - 1, CAMERAS // 2 + 1)
            running.until(lambda: seen(running, moved_us + 4 * US), 20, "looks after the move")
            windows = {
                (up_us, moved_us): (CAMERAS // 2, CAMERAS // 2),
                (moved_us, moved_us + 3 * US): (CAMERAS // 2 - 1, CAMERAS // 2 + 1),
            }
            for (from_us, to_us), counts in windows.items():
                for village, count in zip((left, joined), counts, strict=True):
                    found = seconds(running, f"/villages/{village}", from_us, to_us)
                    whole = count * (to_us - from_us) / US
                    assert found == {"up": pytest.approx(whole, abs=1e-5), "all": pytest.approx(whole, abs=1e-5)}
                    began.append((f"/villages/{village}", (from_us, to_us), found))
            around = (moved_us - US, moved_us + 2 * US)
            for village, whole in ((left, 3 * CAMERAS / 2 - 2), (joined, 3 * CAMERAS / 2 + 2)):
                found = seconds(running, f"/villages/{village}", *around)
                assert found["up"] == pytest.approx(whole, abs=1e-5)
                began.append((f"/villages/{village}", around, found))
            own = seconds(running, f"/cameras/{code}", *around)
            assert own["up"] == own["all"] == 3
            running.until(lambda: booked(running), 3 * INTERVAL_S, "every second between two looks is counted once")
            after = counters(running)
            assert all(after[name] >= value for name, value in before.items())
            # A look that found all as before is on disk within two seconds of its round's end: its camera's next one is
            # of another round.
            later_us = moved_us + (4 + INTERVAL_S) * US
            running.until(lambda: seen(running, later_us), 3 * INTERVAL_S, "looks of the next round")
            time.sleep(COMPANY_S + 1)
            back_us = move(running, running_farm, code, left, CAMERAS // 2)  # and back, and at once the power fails
            running.kill()

        with service(tmp_path / "data", **settings(running_farm)) as running:
            to_us = back_us + 2 * US
            running.until(lambda: seen(running, to_us), 40, "every camera was seen again")
            for path, window, found in began:
                assert seconds(running, path, *window) == found
            assert (watched(running, left), watched(running, joined)) == (CAMERAS // 2, CAMERAS // 2)
            for village, count in ((left, CAMERAS // 2 - 1), (joined, CAMERAS // 2 + 1)):
                found = seconds(running, f"/villages/{village}", moved_us, back_us)
                assert found["all"] == pytest.approx(count * (back_us - moved_us) / US, abs=1e-5)
                found = seconds(running, f"/villages/{village}", back_us, to_us)
                assert found["all"] == pytest.approx(CAMERAS // 2 * 2, abs=1e-5)
            # What was last seen before the power failed is known, though the look lies with the village it had left.
            items: list[dict[str, Any]] = running.get(f"/cameras/{code}/timeline", **{"from": rfc3339(up_us)})["items"]
            assert items[0]["state"] == "up"
            assert items[0]["to"] is None or parse_rfc3339(items[0]["to"]) > back_us - INTERVAL_S * 2 * US
