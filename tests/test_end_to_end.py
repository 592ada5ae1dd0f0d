"""The whole path as an operator has it: a farm, a service with its processes, faults, and what the API says of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.running import alive, farm, service, start
from tests.watching import (
    INTERVAL_S,
    all_seen,
    lists,
    settings,
)

pytestmark = pytest.mark.slow

SCALE = int(os.environ.get("STREAMWATCH_GOAL_SCALE", "1"))


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
