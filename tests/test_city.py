"""The whole path on a city of 240 cameras: faults, rates, visits, and processes that die, as the API tells them."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator

import pytest

from streamwatch.clock import parse_rfc3339
from tests.running import Farm, Service, farm, service
from tests.watching import (
    CONFIRM_S,
    GROUP_S,
    INTERVAL_S,
    LOOK_S,
    SHOWS,
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
        faulty = [(codes[(turn * len(SHOWS) * 3 + number) % 240], fault) for number, fault in enumerate([*SHOWS] * 3)]
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
            wrong.append(f"{fault} of {code} ended at {rfc(to_us)}, in {dimension} at {end}: {items}")
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
