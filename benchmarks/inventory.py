"""How long do a city's cameras take to import? The command itself, a process a run, into a fresh SQLite."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import BenchmarkError, Result

CITY = 126_000  # cameras
A_VILLAGE = 35  # cameras


@dataclass(frozen=True, slots=True)
class Plan:
    """The list's length and how often it is imported, each time into a new data directory."""

    cameras: int = CITY
    runs: int = 3
    full: bool = True


FULL = Plan()
QUICK = Plan(cameras=8_000, runs=2, full=False)


def run(plan: Plan, cache: Path) -> Result:  # noqa: ARG001 - this one renders nothing
    """Every run: villages, then the cameras, then the same cameras again, which must change nothing."""
    villages = -(-plan.cameras // A_VILLAGE)
    fixture = {"cameras": plan.cameras, "villages": villages, "runs": plan.runs, "full": plan.full}
    result = Result("inventory", fixture, notes=list(NOTES))
    with tempfile.TemporaryDirectory(prefix="streamwatch-bench-") as folder:
        lists = Path(folder)
        _write(lists / "villages.csv", ("code", "name", "region"), _villages(villages))
        _write(lists / "cameras.csv", CAMERA_HEADING, _cameras(plan.cameras))
        result.fixture["list_mb"] = round((lists / "cameras.csv").stat().st_size / 1e6, 1)
        for number in range(plan.runs):
            _sample(result, lists, lists / f"data-{number}", plan.cameras)
    return result


def _sample(result: Result, lists: Path, data: Path, cameras: int) -> None:
    add = result.samples.add
    _import("villages", lists / "villages.csv", data)
    first = _import("cameras", lists / "cameras.csv", data)
    if (first.said["created"], first.said["rejected"]) != (cameras, []):
        raise BenchmarkError(f"not every line became a camera: {first.said['created']} of {cameras}")
    again = _import("cameras", lists / "cameras.csv", data)
    if again.said["unchanged"] != cameras:
        raise BenchmarkError(f"the same list changed something: {again.said['unchanged']} of {cameras} unchanged")
    add(f"import_{CITY}_s", first.wall_s)
    add(f"import_{CITY}_cpu_s", first.cpu_s)
    add("import_rss_mb", first.peak_mb)
    add("import_same_s", again.wall_s)
    add("import_same_cpu_s", again.cpu_s)
    add("import_same_rss_mb", again.peak_mb)
    add("data_mb", sum(path.stat().st_size for path in data.rglob("*") if path.is_file()) / 1e6)


@dataclass(frozen=True, slots=True)
class _Done:
    said: dict[str, Any]  # what the command printed
    wall_s: float
    cpu_s: float
    peak_mb: float


def _import(kind: str, file: Path, data: Path) -> _Done:
    command = [sys.executable, "-m", "streamwatch", "import", kind, str(file), "--json"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STREAMWATCH_")}
    environment["STREAMWATCH_DATA_DIR"] = str(data)
    begun = time.perf_counter()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, env=environment, stdout=out)
        _, status, used = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        said = out.read()
    if process.returncode not in (0, 1):
        raise BenchmarkError(f"import {kind} ended with {process.returncode}; what it said is above")
    return _Done(json.loads(said), wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6)


CAMERA_HEADING = ("code", "name", "village", "url", "sub_url", "username", "password", "installed_on")


def _villages(count: int) -> Iterable[Sequence[str]]:
    for number in range(count):
        town = f"第{number // 50 % 40 + 1}镇"  # of 40 towns in a county, 50 villages each
        yield _village(number), f"第{number + 1}村", f"第{number // 2_000 + 1}县/{town}"


def _village(number: int) -> str:
    """12 digits: county 6, township 3, village 3. No county has a code in 99."""
    return f"99{number // 2_000:04d}{number // 50 % 40 + 101}{number % 50 + 201}"


def _cameras(count: int) -> Iterable[Sequence[str]]:
    for number in range(count):
        village, channel = divmod(number, A_VILLAGE)
        base = f"rtsp://10.{village >> 8 & 255}.{village & 255}.2:554/Streaming/Channels/{channel + 1}"
        yield (
            f"9900000101{1321:04d}{number:06d}", f"第{village + 1}村{channel + 1}号枪机", _village(village),
            f"{base}01", f"{base}02", "monitor", f"Pass-{number * 7919 % 1_000_003}", "2025-06-01",
        )  # fmt: skip


def _write(path: Path, heading: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(heading)
        writer.writerows(rows)


NOTES = [
    "`streamwatch import cameras FILE --json` in a process of its own, start of Python included, with 8 columns: code, "
    "name, village, both addresses, login, day; every password is sealed.",
    f"The names say {CITY}, which is the full fixture; `fixture` tells how many lines this run had.",
    "import_same is the same list again into the same database: every line is compared, nothing is written.",
]
