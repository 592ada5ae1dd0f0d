"""A farm and a service as separate processes, as an operator has them, and the API between them and a test."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

READY_S = 90.0


@dataclass
class Farm:
    """A running simulator."""

    control: str
    folder: Path

    @property
    def cameras(self) -> list[dict[str, Any]]:
        listed = httpx.get(f"{self.control}/cameras").json()
        items: list[dict[str, Any]] = listed["items"] if isinstance(listed, dict) else listed
        return items

    def fault(self, camera: str, fault: str | None) -> None:
        """Switches one camera now."""
        httpx.post(f"{self.control}/faults", json={"camera": camera, "fault": fault}).raise_for_status()

    def log(self) -> list[dict[str, Any]]:
        """Every change so far."""
        return [json.loads(line) for line in (self.folder / "farm.jsonl").read_text().splitlines()]


@contextlib.contextmanager
def farm(folder: Path, *, villages: int, cameras: int, seed: int = 1) -> Iterator[Farm]:
    """A farm on loopback; its pictures are kept beside the work tree between runs."""
    folder.mkdir(parents=True, exist_ok=True)
    cache = Path(__file__).resolve().parents[1] / ".run" / "farm-cache"
    process = subprocess.Popen(
        [
            sys.executable, "-m", "streamwatch.simulator", f"--villages={villages}", f"--cameras={cameras}",
            f"--seed={seed}", f"--inventory={folder}", f"--log={folder / 'farm.jsonl'}", f"--cache={cache}",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        yield Farm(ready["control"], folder)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()


@dataclass
class Service:
    """A running service and its API."""

    process: subprocess.Popen[bytes]
    data_dir: Path
    log: Path
    started: float = field(default_factory=time.monotonic)
    _client: httpx.Client | None = field(default=None, repr=False)

    @property
    def api(self) -> httpx.Client:
        """Speaks with the administrator's key."""
        if self._client is None:
            endpoint = json.loads((self.data_dir / "endpoint.json").read_text())
            if endpoint["pid"] != self.process.pid:
                raise FileNotFoundError("the endpoint is still that of the service before")
            key = (self.data_dir / "admin.key").read_text().strip()
            self._client = httpx.Client(
                base_url=endpoint["url"], headers={"Authorization": f"Bearer {key}"}, timeout=30, trust_env=False
            )
        return self._client

    def get(self, path: str, **query: Any) -> Any:
        """The JSON of one answer."""
        answer = self.api.get(f"/api/v1{path}", params=query)
        answer.raise_for_status()
        return answer.json()

    def every(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """All pages of a list."""
        items: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = self.get(path, limit=500, **query, **({"cursor": cursor} if cursor else {}))
            items += page["items"]
            cursor = page["next"]
            if cursor is None:
                return items

    def until(self, condition: Any, within_s: float, what: str) -> Any:
        """The first true value of `condition()`; fails with the end of the log when it takes longer."""
        ends = time.monotonic() + within_s
        while time.monotonic() < ends:
            with contextlib.suppress(httpx.HTTPError, FileNotFoundError, json.JSONDecodeError):
                if value := condition():
                    return value
            assert self.process.poll() is None, f"the service ended: {self.tail()}"
            time.sleep(0.1)
        raise AssertionError(f"{what}: not within {within_s:g} s; the log ends with\n{self.tail()}")

    def ready(self) -> bool:
        """Whether /readyz says 200."""
        return self.api.get("/readyz").status_code == 200

    def tail(self, lines: int = 30) -> str:
        """The end of what it logged."""
        return "\n".join(self.log.read_text().splitlines()[-lines:])

    def kill(self) -> None:
        """As a power cut would end it."""
        self.process.kill()
        self.process.wait()
        self._client = None

    def children(self) -> dict[int, str]:
        """Process ids below it, with their command lines."""
        return descendants(self.process.pid)


def descendants(pid: int) -> dict[int, str]:
    """Every process below `pid` with its command line, from /proc."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                stat = (entry / "stat").read_text()
                parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found: dict[int, str] = {}
    below = {pid}
    while below:
        below = {child for child, parent in parents.items() if parent in below and child not in found}
        for child in below:
            with contextlib.suppress(OSError):
                found[child] = (Path("/proc") / str(child) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def alive(pids: list[int]) -> list[int]:
    """Those that still run; one that only waits for somebody to take note of its end does not."""
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            if (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
                found.append(pid)
    return found


def start(data_dir: Path, *arguments: str, **settings: str) -> Service:
    """A service in a process of its own; `settings` are environment names without STREAMWATCH_."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("STREAMWATCH_")}
    environ |= {
        "STREAMWATCH_DATA_DIR": str(data_dir),
        "STREAMWATCH_LISTEN": "127.0.0.1:0",
        "STREAMWATCH_LOG_FORMAT": "json",
        **{f"STREAMWATCH_{name}": value for name, value in settings.items()},
    }
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    log = data_dir.parent / f"{data_dir.name}.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "streamwatch", "run", *arguments], env=environ, stdout=out, stderr=out
        )
    return Service(process, data_dir, log)


@contextlib.contextmanager
def service(data_dir: Path, *arguments: str, **settings: str) -> Iterator[Service]:
    """A service that is ready, and ends with the block."""
    running = start(data_dir, *arguments, **settings)
    try:
        running.until(running.ready, READY_S, "ready")
        yield running
    finally:
        if running.process.poll() is None:
            running.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.process.wait(15)
        running.process.kill()
