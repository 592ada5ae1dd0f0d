"""The service as an operator runs it, in processes of its own: its API, its counters and its memory."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.measure import BenchmarkError, SampledCpu, below, ended

READY_S = 120.0
END_S = 15.0


class RunningService:
    """Its process and its API, spoken to with the administrator's key."""

    def __init__(self, pid: int, data: Path) -> None:
        self.pid = pid
        url = json.loads((data / "endpoint.json").read_text())["url"]
        key = (data / "admin.key").read_text().strip()
        self._client = httpx.AsyncClient(
            base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60, trust_env=False
        )

    async def get(self, path: str, **query: Any) -> Any:
        """The JSON of one answer."""
        answer = await self._client.get(f"/api/v1{path}", params=query)
        answer.raise_for_status()
        return answer.json()

    async def every(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """All pages of a list."""
        items: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = await self.get(path, limit=500, **query, **cursor)
            items += page["items"]
            if page["next"] is None:
                return items
            cursor = {"cursor": page["next"]}

    async def metrics(self) -> dict[str, float]:
        """Every sample of /metrics by its name with labels."""
        answer = await self._client.get("/metrics")
        answer.raise_for_status()
        lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    async def aclose(self) -> None:
        """Ends the connections, not the service."""
        await self._client.aclose()


@asynccontextmanager
async def service(folder: Path, **settings: object) -> AsyncIterator[RunningService]:
    """A service that watches the cameras of `folder` from the moment it is ready; keys are settings in capitals."""
    with tempfile.TemporaryDirectory(prefix="streamwatch-bench-") as data:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("STREAMWATCH_")}
        environ |= {f"STREAMWATCH_{name}": str(value) for name, value in settings.items()}
        environ |= {"STREAMWATCH_DATA_DIR": data, "STREAMWATCH_LISTEN": "127.0.0.1:0"}
        ready, tell = os.pipe()
        log = Path(data) / "service.log"
        with log.open("wb") as out:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "streamwatch", "run", f"--ready-fd={tell}",
                f"--villages={folder / 'villages.csv'}", f"--cameras={folder / 'cameras.csv'}",
                env=environ, pass_fds=(tell,), stdout=out, stderr=out,
            )  # fmt: skip
        os.close(tell)
        try:
            try:
                async with asyncio.timeout(READY_S):
                    told = await asyncio.to_thread(os.read, ready, 1)
            except TimeoutError:
                told = b""
            if not told:
                raise BenchmarkError(f"the service was not ready; its log ends with\n{_tail(log)}")
            running = RunningService(process.pid, Path(data))
            try:
                yield running
            finally:
                await running.aclose()
        finally:
            os.close(ready)
            await ended(process, END_S)


class Meters:
    """CPU seconds of a service's processes by what they are, and of the farm beside it, since it was made."""

    def __init__(self, farm: int, root: int) -> None:
        self._farm = SampledCpu(root=farm)
        self._all = SampledCpu(root=root)
        self._root = root
        self.farm_s = self.all_s = 0.0

    def sample(self) -> None:
        """Often: what a process spends between the last sample and its end is not counted."""
        self.farm_s, self.all_s = self._farm.sample(), self._all.sample()

    def parts_s(self) -> dict[str, float]:
        """Of the service by kind of process: service, looker, decoder, web."""
        found: dict[str, float] = {}
        for pid, spent_s in self._all.by_pid().items():
            part = "service" if pid == self._root else _kind(pid)
            found[part] = found.get(part, 0.0) + spent_s
        return found


def _kind(pid: int) -> str:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "ended"
    named = [part.decode().lstrip("_") for part in command if part in (b"_looker", b"_web")]
    return named[0] if named else "decoder"


@dataclass(frozen=True, slots=True)
class Memory:
    """Of a process and all below it, in MB of 10^6 bytes; what they share among themselves is counted once.

    `all_mb` has their share of files too, libraries above all, and so moves with what else runs on the machine;
    `own_mb` is what they allocated.
    """

    all_mb: float
    own_mb: float


def memory(pid: int) -> Memory:
    """Proportional set sizes, as the kernel adds them up in smaps_rollup."""
    total_kb = {"Pss:": 0, "Pss_Anon:": 0}
    for one in {pid, *below(pid)}:
        try:
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text()
        except OSError:  # ended meanwhile
            continue
        for name, kb, *_ in (line.split() for line in rollup.splitlines()[1:]):
            if name in total_kb:
                total_kb[name] += int(kb)
    return Memory(total_kb["Pss:"] * 1024 / 1e6, total_kb["Pss_Anon:"] * 1024 / 1e6)


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])
