"""What is ours to lose: the service killed at any moment, and our own path to the cameras gone."""

from __future__ import annotations

import csv
import os
import random
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from streamwatch.clock import parse_rfc3339
from tests.running import alive, descendants, farm, service, start
from tests.watching import (
    INTERVAL_S,
    LOOK_S,
    US,
    all_seen,
    lists,
    micro,
    now_us,
    rfc,
    settings,
    timeline,
)

pytestmark = pytest.mark.slow

SCALE = int(os.environ.get("STREAMWATCH_GOAL_SCALE", "1"))


def test_r4_after_kill_9_of_everything_no_second_is_lost_or_invented(tmp_path: Path) -> None:
    """Setup: 24 cameras, some of them faulty. Fault: kill -9 of the service at random moments, a pause, restart;
    twice (20 times at full count). Bound: every segment that was closed stays as it was; a pause longer than the
    grace is unknown and nothing is invented in it; up + down + unknown + excluded is the window exactly, always."""
    rng = random.Random(20261124)
    with farm(tmp_path / "farm", villages=2, cameras=24) as running_farm:
        codes = [camera["code"] for camera in running_farm.cameras]
        known: dict[str, list[dict[str, Any]]] = {}
        pauses: list[tuple[int, int]] = []
        began_us = now_us()
        arguments = lists(running_farm)
        for turn in range(max(2, SCALE)):
            if pauses:
                pauses[-1] = (pauses[-1][0], now_us())
            running = start(tmp_path / "data", *arguments, **settings(running_farm))
            try:
                running.until(running.ready, 60, "ready")
                arguments = []
                running_farm.fault(codes[turn % 24], rng.choice(["refused", "blur", "auth", None]))
                running_farm.fault(codes[(turn + 7) % 24], rng.choice(["silent", "blackout", None]))
                time.sleep(INTERVAL_S * 2.5 + rng.uniform(0, INTERVAL_S))
                for code in codes:
                    items = timeline(running, code, "stream", began_us)
                    closed = [item for item in items if item["to"] is not None]
                    for item in known.get(code, []):
                        covering = [
                            one
                            for one in closed
                            if one["from"] <= item["from"]
                            and item["to"] <= one["to"]
                            and (one["state"], one["reason"]) == (item["state"], item["reason"])
                        ]
                        assert covering, f"turn {turn}: {code} lost {item}; has {items}"
                    # The window's end cuts the last one: what was shown as closed before it is what must stay.
                    known[code] = closed[1:]
                    for from_us, to_us in pauses:
                        for item in items:
                            begin = max(parse_rfc3339(item["from"]), from_us)
                            end = min(parse_rfc3339(item["to"]) if item["to"] else now_us(), to_us)
                            if end - begin > micro(0.1):
                                assert item["state"] == "unknown", f"turn {turn}: {code} invents {item} in a pause"
                to_us = now_us() - US
                for village in running.every("/villages"):
                    rate = running.get(
                        f"/villages/{village['code']}/uptime", **{"from": rfc(to_us - 40 * US), "to": rfc(to_us)}
                    )["uptime"]
                    assert rate["value"] is None or 0 <= rate["value"] <= 1
                    of_cameras = [
                        running.get(
                            f"/cameras/{camera['id']}/uptime", **{"from": rfc(to_us - 40 * US), "to": rfc(to_us)}
                        )
                        for camera in running.every("/cameras", village=village["code"])
                    ]
                    for name in ("up_s", "down_s", "unknown_s", "excluded_s"):
                        assert micro(rate[name]) == sum(micro(one["uptime"][name]) for one in of_cameras)
            finally:
                last_us = now_us()
                children = [pid for pid in descendants(running.process.pid) if pid]
                running.kill()
            time.sleep(1)
            assert alive(children) == [], "children outlived the service"
            pauses.append((last_us + micro(0.2), last_us))
            time.sleep(INTERVAL_S * 1.5 + 1)


def test_r1_while_our_path_is_gone_nothing_is_called_down(tmp_path: Path) -> None:
    """Setup: 16 cameras and one canary on the same path. Fault: nothing on it answers for four intervals.
    Bound: 0 s are booked as down; the outage is unknown, from the last look before it to the first one after it."""
    with farm(tmp_path / "farm", villages=2, cameras=17) as running_farm:
        *cameras, canary = running_farm.cameras
        given = settings(running_farm)
        address = next(
            row["url"]
            for row in csv.DictReader((running_farm.folder / "cameras.csv").open(encoding="utf-8"))
            if row["code"] == canary["code"]
        )
        given["CANARIES__TARGETS"] = f"tcp://{urlsplit(address).netloc}"
        given["CANARIES__INTERVAL_S"] = "1"
        with service(tmp_path / "data", *lists(running_farm), **given) as running:
            running.until(lambda: all_seen(running, 17), 40, "17 cameras up")
            began_us = now_us()
            for one in (canary, *cameras):
                running_farm.fault(one["code"], "dead")
            time.sleep(4 * INTERVAL_S)
            assert not running.ready(), "a silent path is no readiness"
            for one in (canary, *cameras):
                running_farm.fault(one["code"], None)
            ended_us = now_us()
            running.until(lambda: all_seen(running, 17), 3 * INTERVAL_S, "17 cameras up again")

            for one in cameras:
                items = timeline(running, one["code"], "stream", began_us - micro(INTERVAL_S))
                assert [item for item in items if item["state"] == "down"] == []
                unknown = [item for item in items if item["state"] == "unknown"]
                assert parse_rfc3339(unknown[-1]["from"]) < began_us + micro(0.5)
                assert parse_rfc3339(unknown[-1]["to"]) < ended_us + micro(INTERVAL_S + LOOK_S)
            void = [line for line in running.api.get("/metrics").text.splitlines() if 'reason="net.timeout"' in line]
            assert any('outcome="void"' in line for line in void)
