"""The whole path as an operator has it: a farm, a service with its processes, faults, and what the API says of them."""

from __future__ import annotations

import csv
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from streamwatch.clock import parse_rfc3339
from tests.running import Farm, Service, alive, descendants, farm, service, start

pytestmark = pytest.mark.slow

SCALE = int(os.environ.get("STREAMWATCH_GOAL_SCALE", "1"))
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


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Farm, Service]]:
    folder = tmp_path_factory.mktemp("city")
    with (
        farm(folder / "farm", villages=8, cameras=240) as running_farm,
        service(folder / "data", *lists(running_farm), **settings(running_farm)) as running,
    ):
        running.until(lambda: all_seen(running, 240), 60, "240 cameras up")
        yield running_farm, running


def test_every_transition_of_the_farm_is_in_the_timeline(city: tuple[Farm, Service]) -> None:
    """Faults of every kind come and go on 240 cameras for minutes: each begins and ends in the API's timeline within
    one interval of the farm's log, once it is confirmed; times add up within transitions x interval."""
    running_farm, running = city
    rng = random.Random(4711)
    codes = [camera["code"] for camera in running_farm.cameras]
    rng.shuffle(codes)
    began_us = now_us()
    faulty: list[tuple[str, str]] = []
    for turn in range(3 * SCALE):
        for code, fault in faulty:
            del fault
            running_farm.fault(code, None)
        faulty = [(codes[(turn * 33 + number) % 240], fault) for number, fault in enumerate([*SHOWS] * 3)]
        for code, fault in faulty:
            running_farm.fault(code, fault)
            time.sleep(rng.uniform(0, 0.05))
        # a frozen picture takes a second look, an interval later, by nature
        time.sleep(2 * INTERVAL_S + CONFIRM_S + GROUP_S)
    for code, _ in faulty:
        running_farm.fault(code, None)
    time.sleep(2 * INTERVAL_S + CONFIRM_S + GROUP_S)

    log = running_farm.log()
    stretches: list[tuple[str, str, int, int]] = []
    begun: dict[str, tuple[str, int]] = {}
    for line in log:
        at_us = parse_rfc3339(line["at"])
        if at_us < began_us:
            continue
        if line["fault"] is not None:
            begun[line["camera"]] = (line["fault"], at_us)
        elif line["camera"] in begun:
            fault, from_us = begun.pop(line["camera"])
            stretches.append((line["camera"], fault, from_us, at_us))
    assert len(stretches) >= 99 * SCALE

    slack_us = micro(INTERVAL_S + LOOK_S + 0.5)
    wrong: list[str] = []
    booked_us = true_us = 0
    for code, fault, from_us, to_us in stretches:
        dimension, state, reason = SHOWS[fault]
        items = timeline(running, code, dimension, began_us - micro(INTERVAL_S))
        found = [
            item
            for item in items
            if (item["state"], item["reason"]) == (state, reason)
            and from_us - micro(LOOK_S) <= parse_rfc3339(item["from"]) <= from_us + slack_us
        ]
        if not found:
            wrong.append(f"{fault} of {code} at {rfc(from_us)} is not in {dimension}: {items}")
            continue
        end = found[-1]["to"]
        if end is None or not to_us - micro(LOOK_S) <= parse_rfc3339(end) <= to_us + slack_us:
            wrong.append(f"{fault} of {code} ended at {rfc(to_us)}, in {dimension} at {end}")
            continue
        booked_us += parse_rfc3339(end) - parse_rfc3339(found[0]["from"])
        true_us += to_us - from_us
    assert wrong == [], f"{len(wrong)} of {len(stretches)}: " + "\n".join(wrong)
    assert abs(booked_us - true_us) <= 2 * len(stretches) * micro(INTERVAL_S)


def test_up_down_unknown_and_excluded_are_the_window_exactly(city: tuple[Farm, Service]) -> None:
    """For every village and some cameras, over a ragged window with maintenance in it, to the microsecond."""
    _, running = city
    villages = running.every("/villages")
    running.until(lambda: time.monotonic() - running.started > 45, 50, "a window in which all cameras were in service")
    to_us = now_us() - 3 * US
    from_us = to_us - 25 * US - 123_457
    window = {"from": rfc(from_us), "to": rfc(to_us)}
    running.api.post(
        "/api/v1/maintenance",
        json={
            "village": villages[0]["code"],
            "from": rfc(from_us + 5 * US),
            "to": rfc(now_us() + 3600 * US),
            "reason": "换电源",
        },
    ).raise_for_status()

    time.sleep(INTERVAL_S)
    (counted,) = [
        float(line.rpartition(" ")[2])
        for line in running.api.get("/metrics").text.splitlines()
        if line.startswith("streamwatch_village_excluded_seconds_total")
    ]
    assert 0 < counted <= villages[0]["cameras"] * 3 * INTERVAL_S, "what is booked after the notice counts as excluded"

    total = excluded = 0
    for village in villages:
        rate = running.get(f"/villages/{village['code']}/uptime", **window)["uptime"]
        parts = [micro(rate[name]) for name in ("up_s", "down_s", "unknown_s", "excluded_s")]
        assert sum(parts) == village["cameras"] * (to_us - from_us), village["name"]
        total += sum(parts)
        excluded += parts[3]
    assert total == 240 * (to_us - from_us)
    assert excluded == villages[0]["cameras"] * (to_us - from_us - 5 * US)
    for camera in running.every("/cameras", village=villages[1]["code"])[:3]:
        rate = running.get(f"/cameras/{camera['id']}/uptime", **window)["uptime"]
        assert sum(micro(rate[name]) for name in ("up_s", "down_s", "unknown_s", "excluded_s")) == to_us - from_us


def test_a_visit_looks_now_and_counts(city: tuple[Farm, Service]) -> None:
    """`POST …/probe` answers with what `probe --json` says; the camera's last look is that one."""
    running_farm, running = city
    code = running_farm.cameras[0]["code"]
    found = running.api.post(f"/api/v1/cameras/{code}/probe", json={"depth": "picture"}, timeout=20).json()

    assert (found["state"], found["codec"], found["width"], found["height"]) == ("up", "h264", 640, 360)
    last = parse_rfc3339(running.get(f"/cameras/{code}")["last_look_at"])
    assert last >= parse_rfc3339(found["started_at"])


def test_no_password_is_in_the_log_or_the_process_list(city: tuple[Farm, Service]) -> None:
    """Every camera's password, in nothing that the service wrote or shows, and sealed in the database."""
    running_farm, running = city
    rows = (running_farm.folder / "cameras.csv").read_text().splitlines()
    at = rows[0].split(",").index("password")
    passwords = [row.split(",")[at] for row in rows[1:]]
    assert len(passwords) == 240
    said = running.log.read_bytes()
    said += " ".join(running.children().values()).encode()
    for file in running.data_dir.glob("streamwatch.db*"):
        said += file.read_bytes()

    assert [password for password in passwords if password.encode() in said] == []


@pytest.mark.parametrize("who", ["_looker", "decoders.zygote", "_web"])
def test_a_killed_process_is_replaced(city: tuple[Farm, Service], who: str) -> None:
    """kill -9 of a looker, of its zygote and decoders, of the web: replaced in seconds; no camera is called down."""
    _, running = city
    victims = [pid for pid, command in running.children().items() if who in command]
    assert victims
    begin_us = now_us()
    for pid in victims[:1] if who != "decoders.zygote" else victims:
        os.kill(pid, signal.SIGKILL)
    time.sleep(1)
    running.until(running.ready, 30, "ready again")
    running.until(
        lambda: all(
            camera["last_look_at"] and parse_rfc3339(camera["last_look_at"]) > begin_us + 2 * US
            for camera in running.every("/cameras")
        ),
        30,
        "every camera looked at again",
    )

    assert [camera["id"] for camera in running.every("/cameras") if camera["state"] == "down"] == []
    assert len([pid for pid, command in running.children().items() if who in command]) >= len(victims)


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


def test_in_one_process_gives_the_same(tmp_path: Path) -> None:
    """`--in-one-process`: the same lists, the same answers, and only the decoders beside it."""
    with farm(tmp_path / "farm", villages=2, cameras=12) as running_farm:
        arguments = [*lists(running_farm), "--in-one-process"]
        with service(tmp_path / "data", *arguments, **settings(running_farm)) as running:
            running.until(lambda: all_seen(running, 12), 40, "12 cameras up")
            assert {"zygote" in command for command in running.children().values()} == {True}
            running_farm.fault(running_farm.cameras[0]["code"], "blur")
            running.until(
                lambda: running.get(f"/cameras/{running_farm.cameras[0]['code']}")["faults"] == ["blur"],
                2 * INTERVAL_S + 2,
                "blur within two intervals",
            )
        assert running.process.returncode == 0


def test_sigterm_ends_it_cleanly_and_a_second_service_names_the_holder(tmp_path: Path) -> None:
    """Exit 0 within 15 s with nothing left; while it runs another one exits 75 and says who holds the directory."""
    with (
        farm(tmp_path / "farm", villages=1, cameras=4) as running_farm,
        service(tmp_path / "data", *lists(running_farm), **settings(running_farm)) as running,
    ):
        endpoint = (tmp_path / "data" / "endpoint.json").read_bytes()
        other = start(tmp_path / "data", **settings(running_farm))
        assert other.process.wait(30) == 75
        assert str(running.process.pid) in other.tail()
        assert (tmp_path / "data" / "endpoint.json").read_bytes() == endpoint
        children = [*running.children()]
        begin = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) == 0
        assert time.monotonic() - begin < 15
        time.sleep(0.5)
        assert alive(children) == []


def test_sighup_takes_all_of_a_new_configuration_or_none(tmp_path: Path) -> None:
    """A good file is obeyed by every process while the service runs on; a bad one is named and changes nothing."""
    config = tmp_path / "streamwatch.toml"
    config.write_text("[schedule]\ninterval_s = 60\n")
    with farm(tmp_path / "farm", villages=1, cameras=4) as running_farm:
        given = settings(running_farm)
        del given["SCHEDULE__INTERVAL_S"]
        arguments = [*lists(running_farm), f"--config={config}"]
        with service(tmp_path / "data", *arguments, **given) as running:
            assert {camera["interval_s"] for camera in running.every("/cameras")} == {60}
            pid = running.process.pid

            config.write_text(f"[schedule]\ninterval_s = {INTERVAL_S}\n")
            running.process.send_signal(signal.SIGHUP)
            running.until(
                lambda: {camera["interval_s"] for camera in running.every("/cameras")} == {INTERVAL_S}, 20, "obeyed"
            )
            running.until(lambda: all_seen(running, 4), 20, "looked at by the new interval")

            config.write_text("[schedule]\ninterval_s = 1\nintervall_s = 7\n")
            running.process.send_signal(signal.SIGHUP)
            running.until(
                lambda: "streamwatch_config_last_reload_successful 0" in running.api.get("/metrics").text, 10, "told"
            )
            assert "intervall_s" in running.tail()
            assert {camera["interval_s"] for camera in running.every("/cameras")} == {INTERVAL_S}
            assert (running.process.pid, running.process.poll()) == (pid, None)


def test_an_import_into_a_running_service_is_watched_at_once(tmp_path: Path) -> None:
    """The command hands its list to the service; a dry run changes nothing, nor does the same list again."""
    with (
        farm(tmp_path / "farm", villages=2, cameras=8) as running_farm,
        service(tmp_path / "data", **settings(running_farm)) as running,
    ):
        assert running.every("/cameras") == []

        def take_in(kind: str, *more: str) -> dict[str, Any]:
            done = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "streamwatch",
                    "import",
                    kind,
                    str(running_farm.folder / f"{kind}.csv"),
                    "--json",
                    *more,
                ],
                env=os.environ | {"STREAMWATCH_DATA_DIR": str(tmp_path / "data")},
                capture_output=True,
                text=True,
                check=True,
            )
            answer: dict[str, Any] = json.loads(done.stdout)
            return answer

        assert take_in("villages")["created"] == 2
        assert take_in("cameras", "--dry-run")["created"] == 8
        assert running.every("/cameras") == []
        assert take_in("cameras")["created"] == 8
        again = take_in("cameras")
        assert (again["created"], again["changed"], again["unchanged"], again["rejected"]) == (0, 0, 8, [])
        running.until(lambda: all_seen(running, 8), 2 * INTERVAL_S + 5, "the new cameras up")


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
