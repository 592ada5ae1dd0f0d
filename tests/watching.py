"""A service that watches a farm at a short interval, and what its API says in the units of a test."""

from __future__ import annotations

import itertools
import time
from datetime import datetime
from typing import Any

from tests.running import Farm, Service

INTERVAL_S = 6
WINDOW_S = INTERVAL_S / 4
LOOK_S = 2.0  # the longest that one look may take
CONFIRM_S = INTERVAL_S / 3 * 1.1 + 2 * LOOK_S
GROUP_S = 1.5  # flushing a report, a commit, the way to the web
US = 1_000_000

# fault -> the dimension that shows it, its state and its reason there
SHOWS = {
    "refused": ("stream", "down", "net.refused"),
    "dead": ("stream", "down", "net.timeout"),
    "silent": ("stream", "down", "net.timeout"),
    "no_data": ("stream", "down", "media.no_data"),
    "auth": ("stream", "unknown", "rtsp.auth"),
    "busy": ("stream", "unknown", "rtsp.busy"),
    "not_found": ("stream", "unknown", "rtsp.not_found"),
    "no_keyframe": ("picture", "unknown", "media.no_keyframe"),
    "loss": ("picture", "unknown", "media.no_keyframe"),
    "blackout": ("fault.blackout", "down", "blackout"),
    "blur": ("fault.blur", "down", "blur"),
    "frozen": ("fault.frozen", "down", "frozen"),
}


def settings(running: Farm) -> dict[str, str]:
    return {
        "SCHEDULE__INTERVAL_S": str(INTERVAL_S),
        "SCHEDULE__ACCESS_TRIES": "8",  # the backoff has its own tests; here every interval is to be compared
        "LOOK__CONNECT_S": "1",
        "LOOK__STEP_S": "1",
        "LOOK__DEADLINE_S": str(LOOK_S),
        "CANARIES__TARGETS": f"tcp://{running.control.removeprefix('http://')}",
        "CANARIES__INTERVAL_S": "2",
    }


def lists(running: Farm) -> list[str]:
    return [f"--cameras={running.folder / 'cameras.csv'}", f"--villages={running.folder / 'villages.csv'}"]


def now_us() -> int:
    return time.time_ns() // 1000


def rfc(us: int) -> str:
    return datetime.fromtimestamp(us / US).astimezone().isoformat()


def micro(seconds: float) -> int:
    return round(seconds * US)


def timeline(running: Service, camera: str, dimension: str, from_us: int) -> list[dict[str, Any]]:
    answer = running.get(f"/cameras/{camera}/timeline", dimension=dimension, **{"from": rfc(from_us)})
    items: list[dict[str, Any]] = answer["items"]
    for earlier, later in itertools.pairwise(items):
        assert earlier["to"] == later["from"], "the timeline has a hole"
    return items


def all_seen(running: Service, count: int) -> bool:
    cameras = running.every("/cameras")
    return len(cameras) == count and all(camera["state"] == "up" for camera in cameras)
