"""`demo`: what it shows, and the whole of it as a newcomer starts it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from streamwatch.cli.demo import NEEDS, SHOWN, WATCHED, choose, to_watch
from streamwatch.cli.run import ORDER
from streamwatch.simulator.faults import HOSTILE, Fault
from streamwatch.simulator.hostile.corpus import PLAIN
from streamwatch.simulator.lists import HEADINGS
from tests.running import Service

ROOT = Path(__file__).resolve().parents[2]
INTERVAL_S = 5


def listed(count: int, villages: int = 4) -> list[dict[str, Any]]:
    """Cameras as the farm's control port lists them, every third of each transport."""
    return [
        {"code": f"c{n}", "village": n * villages // count, "transport": ("udp", "both", "tcp")[n % 3]}
        for n in range(count)
    ]


def test_each_fault_is_shown_by_a_camera_that_can_have_it() -> None:
    """One camera a fault, none twice, none of the first village, spread over the others."""
    cameras = {camera["code"]: camera for camera in listed(120)}
    chosen = choose([*cameras.values()])

    assert set(chosen) == set(SHOWN) <= {*Fault, *(f"{HOSTILE}{one.name}" for one in PLAIN)}
    assert len(set(chosen.values())) == len(SHOWN)
    for fault, code in chosen.items():
        assert cameras[code]["transport"] == NEEDS.get(fault, "tcp")
    assert {cameras[code]["village"] for code in chosen.values()} == {1, 2, 3}


@pytest.mark.parametrize("count", [1, 2, 3, 12])
def test_a_small_farm_shows_what_it_can(count: int) -> None:
    """Where cameras are few no camera has two faults, and what nobody can show is left out."""
    cameras = [camera | {"village": 0} for camera in listed(count)]
    chosen = choose(cameras)

    assert len(set(chosen.values())) == len(chosen) <= count
    assert ("udp_lost" in chosen) == any(camera["transport"] == "udp" for camera in cameras)
    assert len(chosen) == min(count, len(SHOWN))


def test_the_camera_whose_keyframes_are_rare_shows_nothing_else() -> None:
    """It has its own lesson: no fault is put upon it."""
    cameras = [camera | {"smart_s": 25.0 if number == 7 else None} for number, camera in enumerate(listed(12, 1))]

    assert "c7" not in choose(cameras).values()
    assert "c7" in choose(listed(12, 1)).values()


def test_what_is_watched_shows_no_fault() -> None:
    """A camera in TCP where there is one, none that has a fault or rare keyframes, and none at all in a tiny farm."""
    cameras = [camera | {"smart_s": 25.0 if number == 2 else None} for number, camera in enumerate(listed(120))]
    watched = to_watch(cameras)

    assert len(watched) == WATCHED and "c2" not in watched
    assert not set(watched) & set(choose(cameras).values())
    assert {camera["transport"] for camera in cameras if camera["code"] in watched} == {"tcp"}
    assert to_watch(listed(2, 1)) == []


def test_every_list_of_the_farm_is_one_that_import_takes() -> None:
    """The farm writes what the demo takes in, and nothing is left aside."""
    assert tuple(HEADINGS) == ORDER


def test_the_command_names_every_fault() -> None:
    """`simulate --help`, and so docs/cli.md, lists what can be switched."""
    from streamwatch.cli.app import simulate

    text = (simulate.__doc__ or "").replace(",", " ").replace(".", " ").split()

    assert [fault for fault in Fault if fault not in text] == []


@pytest.mark.slow
def test_a_newcomer_sees_udp_cameras_up_and_the_inventory_complete(tmp_path: Path) -> None:
    """Every camera turns up, those that serve UDP only by name among them; lines and recorders are there."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("STREAMWATCH_")}
    environ |= {"STREAMWATCH_DATA_DIR": str(tmp_path), "STREAMWATCH_LISTEN": "127.0.0.1:0"}
    (tmp_path / "farm-cache").symlink_to(_cache())
    log = tmp_path / "demo.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "streamwatch", "demo", "--villages=2", "--cameras=40", f"--interval={INTERVAL_S}"],
            env=environ, cwd=ROOT, stdout=out, stderr=out,
        )  # fmt: skip
    running = Service(process, tmp_path / "demo", log)
    try:
        running.until(running.ready, 90, "ready")
        cameras = running.until(lambda: _all_up(running, 40), 40, "40 cameras up")
        named = [camera for camera in cameras if camera["name"].endswith("（UDP）")]
        assert len(named) == 2
        assert len({camera["village"] for camera in named}) == 1
        assert {camera["line"] for camera in cameras} == {f"XL{camera['village']}" for camera in cameras}
        assert all(camera["recorder"] for camera in cameras)
        assert len(running.every("/lines")) == 3
        assert len(running.every("/facilities")) == 10
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()


def _all_up(running: Service, count: int) -> list[dict[str, Any]]:
    cameras = running.every("/cameras")
    return cameras if len(cameras) == count and all(c["state"] == "up" and c["last_look_at"] for c in cameras) else []


def _cache() -> Path:
    """Pictures that other tests have rendered."""
    cache = ROOT / ".run" / "farm-cache"
    cache.mkdir(parents=True, exist_ok=True)
    return cache
