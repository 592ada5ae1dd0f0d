"""What all benchmarks share: exact CPU of a tree of processes, samples and their spread, and the result as text."""

from __future__ import annotations

import asyncio
import os
import platform
import resource
import sqlite3
import statistics
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import av
import numpy as np

import streamwatch
from streamwatch.errors import StreamwatchError

DIGITS = 4  # significant, in what is printed: no figure here is known better


class BenchmarkError(StreamwatchError):
    """A run that measured something else than it says; the text tells what went wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU seconds, user and system: of this process, and of its children and theirs."""

    own_s: float
    others_s: float

    @property
    def total_s(self) -> float:
        """All together."""
        return self.own_s + self.others_s


class CpuMeter:
    """CPU of this process and all its descendants except the `apart` ones (and theirs), such as the simulated farm.

    Living processes are read from their CPU clocks (nanoseconds; decoder workers live on between runs), children that
    were waited for from getrusage. Make it before the work, `spent` after it. A process that lived at the beginning and
    is gone raises BenchmarkError; one that came and went in between is counted only where somebody waited for it.
    """

    def __init__(self, apart: Iterable[int] = ()) -> None:
        self._apart = frozenset(apart)
        self._living = _clocks(self._apart)
        self._reaped_s = _reaped_s()
        self._own_s = time.process_time()

    def spent(self) -> Spent:
        """CPU since the meter was made."""
        own_s = time.process_time() - self._own_s
        living, reaped_s = _clocks(self._apart), _reaped_s() - self._reaped_s
        if not self._living.keys() <= living.keys():
            lost = sorted(self._living.keys() - living.keys())
            raise BenchmarkError(f"the processes {lost} ended while they were measured: run again on a quieter machine")
        others_s = sum(now_s - self._living.get(pid, 0.0) for pid, now_s in living.items())
        return Spent(own_s, others_s + reaped_s)


def _reaped_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def below(root: int, apart: frozenset[int] = frozenset()) -> set[int]:
    """Every living process below `root`, without the `apart` ones and theirs."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # ended meanwhile
            continue
        if fields[0] != "Z":
            parents[int(stat.parent.name)] = int(fields[1])
    found: set[int] = set()
    wanted = {root}
    while wanted:
        wanted = {pid for pid, parent in parents.items() if parent in wanted and pid not in apart}
        found |= wanted
    return found


def _clocks(apart: frozenset[int], root: int | None = None) -> dict[int, float]:
    """CPU seconds of every living descendant, by pid; of `root` and those below it, where one is given."""
    found: dict[int, float] = {}
    for pid in below(os.getpid(), apart) if root is None else {root, *below(root, apart)}:
        try:
            found[pid] = time.clock_gettime(~pid << 3 | 2)  # clock_getcpuclockid(3), as glibc computes it
        except OSError:
            continue
    return found


class SampledCpu:
    """CPU of all descendants except the `apart` ones over a long run, in which processes may end; with `root`, of that
    process and those below it.

    Sample it often: what one of them spends between the last sample and its end is not counted."""

    def __init__(self, apart: Iterable[int] = (), root: int | None = None) -> None:
        self._apart = frozenset(apart)
        self._root = root
        self._begun = _clocks(self._apart, root)
        self._latest = dict(self._begun)

    def sample(self) -> float:
        """Seconds since the meter was made."""
        self._latest |= _clocks(self._apart, self._root)
        return sum(self.by_pid().values())

    def by_pid(self) -> dict[int, float]:
        """The same by process, as of the last sample."""
        return {pid: now_s - self._begun.get(pid, 0.0) for pid, now_s in self._latest.items()}


async def ended(process: asyncio.subprocess.Process, within_s: float) -> None:
    """Ends a process by SIGTERM, and by SIGKILL where that takes longer."""
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(within_s):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


@dataclass(slots=True)
class Samples:
    """Figures by name, each with a sample a run."""

    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        """One more sample of a figure."""
        self.values.setdefault(name, []).append(value)

    def median(self, name: str) -> float:
        """The middle one. KeyError where there is none."""
        return statistics.median(self.values[name])

    def figures(self) -> dict[str, dict[str, float]]:
        """`{"min", "median", "max", "n"}` of every figure, by name."""
        return {
            name: {
                "min": rounded(min(values)),
                "median": rounded(statistics.median(values)),
                "max": rounded(max(values)),
                "n": len(values),
            }
            for name, values in self.values.items()
        }


@dataclass(slots=True)
class Result:
    """What a benchmark gives back. `fixture` says what was measured on; with `full` false, on less than by default."""

    benchmark: str
    fixture: dict[str, Any]
    samples: Samples = field(default_factory=Samples)
    ratios: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def to_json(self, machine: Mapping[str, Any]) -> dict[str, Any]:
        """The object of `--json`."""
        return {
            "benchmark": self.benchmark,
            "machine": dict(machine),
            "fixture": self.fixture,
            "figures": self.samples.figures(),
            "ratios": {name: rounded(value) for name, value in self.ratios.items()},
            "notes": self.notes,
        }

    def ratio(self, name: str, above: str, below: str) -> None:
        """The ratio of two figures' medians."""
        self.ratios[name] = self.samples.median(above) / self.samples.median(below)


def rounded(value: float) -> float:
    """To DIGITS significant digits."""
    return float(f"{value:.{DIGITS}g}")


def machine() -> dict[str, Any]:
    """Facts that a figure depends on, as of now."""
    return {
        "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "cpu": _line("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_before": round(os.getloadavg()[0], 2),  # of the last minute: above 0.3 somebody else was at work
        "kernel": platform.release(),
        "python": platform.python_version(),
        "streamwatch": streamwatch.__version__,
        "av": av.__version__,
        "libavcodec": ".".join(str(part) for part in av.library_versions["libavcodec"]),
        "numpy": np.__version__,
        "uvloop": version("uvloop"),
        "sqlite": sqlite3.sqlite_version,
    }


def _line(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "unknown")
