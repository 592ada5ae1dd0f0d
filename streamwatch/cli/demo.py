"""`demo`: the service on a simulated farm, with faults that show what it can see and a week of made-up history."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from streamwatch.cli.made_up import write_history
from streamwatch.cli.run import ORDER, announce, take_in
from streamwatch.clock import US, SystemClock, rfc3339
from streamwatch.datadir import DataDir
from streamwatch.errors import ConfigError, Exit
from streamwatch.logs import configure
from streamwatch.service.run import Started
from streamwatch.service.run import run as service
from streamwatch.settings import Settings, load

HISTORY_DAYS: Final = 7
FARM_READY_S: Final = 180.0  # a first start renders every scene; later ones find them in the cache
SHOW_AFTER_S: Final = 15.0  # faults come a little after the start, so that one can watch them arrive
SHOWN: Final = (
    "refused", "silent", "auth", "no_keyframe", "blackout", "blur", "frozen", "dead", "loss", "udp_lost", "tcp_refused",
    "hostile:redirect_elsewhere", "hostile:trickle_options", "hostile:garbage",
)  # fmt: skip
ONE_MORE: Final = 1.000001  # of so many cameras, rounded down, whatever the division leaves
WATCHED: Final = 2  # cameras whose sessions stay open; the pictures of the last one pause now and then
PAUSES_S: Final = 4.0  # most looks do not see it; where they come every few seconds there is none
# The transport of the camera that shows it; for the others TCP only, as most have, where one is left.
NEEDS: Final = {"udp_lost": "udp", "tcp_refused": "both"}


async def demo(
    villages: int, cameras: int, *, keep: bool, interval_s: int, seed: int, churn: float, ready_fd: int | None
) -> int:
    """The command."""
    base = load(None, os.environ)
    folder = base.data_dir / "demo"
    await _one_at_a_time(folder)
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    DataDir(folder)
    print(f"rendering the farm: {villages} villages, {cameras} cameras (first start: up to a minute) …", flush=True)
    async with AsyncExitStack() as stack:
        farm, ready = await _start_farm(folder, base.data_dir, villages, cameras, seed, churn, 2 * interval_s)
        stack.push_async_callback(_end_farm, farm)
        listed = json.loads(await _http("GET", f"{ready['control']}/cameras"))["items"]
        watched = to_watch(listed)
        environ = dict(os.environ) | {
            "STREAMWATCH_DATA_DIR": str(folder),
            "STREAMWATCH_SCHEDULE__INTERVAL_S": str(interval_s),
            # a short interval has short patience, so that every fault is named within two of them
            "STREAMWATCH_LOOK__CONNECT_S": f"{min(5.0, interval_s * 0.15):g}",
            "STREAMWATCH_LOOK__STEP_S": f"{min(10.0, interval_s * 0.15):g}",
            "STREAMWATCH_LOOK__DEADLINE_S": f"{min(20.0, interval_s * 0.4):g}",
            # simulated cameras lock nobody out: whoever changes their fault need not wait for a backoff
            "STREAMWATCH_SCHEDULE__ACCESS_BACKOFF_MAX_S": str(interval_s),
            "STREAMWATCH_LOOK__ALLOW_NETWORKS": "127.0.0.0/8",
            "STREAMWATCH_CANARIES__TARGETS": f"tcp://{urlsplit(ready['control']).netloc}",
            "STREAMWATCH_WATCH__CAMERAS": ",".join(watched) or "[]",
        }
        settings = load(None, environ)
        configure(settings)
        await take_in(settings, {kind: folder / f"{kind}.csv" for kind in ORDER})
        if not keep:
            await write_history(settings, seed=seed)
        stop = asyncio.Event()
        showing = asyncio.create_task(_show_faults(ready["control"], watched[1:], interval_s))
        stack.callback(showing.cancel)
        watching = asyncio.create_task(_end_with(farm, stop))
        stack.callback(watching.cancel)

        def started(what: Started) -> None:
            announce(what, _hints(settings, ready))

        await service(settings, config=None, environ=environ, ready_fd=ready_fd, started=started, stop=stop)
    return Exit.OK


async def _one_at_a_time(folder: Path) -> None:
    """Refuses to empty the folder of a demo that is running. Raises HeldError."""
    if folder.exists():
        DataDir(folder).lock("demo", 0).release()


async def _start_farm(
    folder: Path, cache: Path, villages: int, cameras: int, seed: int, churn: float, smart_interval_s: int
) -> tuple[asyncio.subprocess.Process, dict[str, Any]]:
    farm = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "streamwatch.simulator",
        f"--villages={villages}",
        f"--cameras={cameras}",
        f"--seed={seed}",
        f"--churn={churn}",
        f"--smart={ONE_MORE / cameras}",
        f"--smart-interval={smart_interval_s}",  # a look takes half of it, where it must
        f"--inventory={folder}",
        f"--log={folder / 'farm.jsonl'}",
        f"--cache={cache / 'farm-cache'}",
        f"--installed-days-ago={HISTORY_DAYS}",
        stdout=asyncio.subprocess.PIPE,
    )
    assert farm.stdout is not None
    try:
        async with asyncio.timeout(FARM_READY_S):
            line = await farm.stdout.readline()
    except TimeoutError:
        farm.kill()
        raise ConfigError(
            f"the simulated farm was not ready within {FARM_READY_S:.0f} s: try fewer --cameras"
        ) from None
    if not line:
        await farm.wait()
        raise ConfigError("the simulated farm could not start; what it said is above")
    ready: dict[str, Any] = json.loads(line)
    return farm, ready


async def _end_farm(farm: asyncio.subprocess.Process) -> None:
    if farm.returncode is None:
        farm.terminate()
        try:
            async with asyncio.timeout(5):
                await farm.wait()
        except TimeoutError:
            farm.kill()


async def _end_with(farm: asyncio.subprocess.Process, stop: asyncio.Event) -> None:
    """A demo without its farm would only show our own accident."""
    await farm.wait()
    stop.set()


async def _show_faults(control: str, pausing: list[str], interval_s: float) -> None:
    """Gives one camera each a fault, spread over the villages, once the service has seen them healthy; those that are
    `pausing` send nothing for a moment every two intervals."""
    await asyncio.sleep(SHOW_AFTER_S)
    listed = json.loads(await _http("GET", f"{control}/cameras"))["items"]
    faults = [{"camera": code, "fault": fault} for fault, code in choose(listed).items()]
    await _http("POST", f"{control}/faults", json.dumps(faults).encode())
    while interval_s > 3 * PAUSES_S:
        await asyncio.sleep(2 * interval_s)
        until = rfc3339(SystemClock().utc_us() + int(PAUSES_S * US))
        pauses = [{"camera": code, "fault": "no_data", "until": until} for code in pausing]
        await _http("POST", f"{control}/faults", json.dumps(pauses).encode())


def to_watch(cameras: list[dict[str, Any]]) -> list[str]:
    """Cameras that are watched: of `cameras` (as GET /cameras lists them) some that have nothing else to show."""
    shown = choose(cameras).values()
    free = [camera for camera in cameras if camera["code"] not in shown and not camera.get("smart_s")]
    return [camera["code"] for camera in sorted(free, key=lambda camera: camera["transport"] != "tcp")[:WATCHED]]


def choose(cameras: list[dict[str, Any]]) -> dict[str, str]:
    """The camera for each fault of SHOWN, spread over `cameras` (as GET /cameras lists them), the farm's first village
    apart where there are others: its UDP-only cameras stay up for who looks for them. What no camera left can show is
    left out."""
    home = cameras[0]["village"]
    free = [camera for camera in cameras if camera["village"] != home] or cameras
    free = [camera for camera in free if not camera.get("smart_s")]  # it shows something already
    chosen: dict[str, str] = {}
    for turn, fault in enumerate(sorted(SHOWN, key=lambda fault: fault not in NEEDS)):
        unused = [camera for camera in free if camera["code"] not in chosen.values()]
        fitting = [camera["code"] for camera in unused if camera["transport"] == NEEDS.get(fault, "tcp")]
        if not fitting and fault not in NEEDS:
            fitting = [camera["code"] for camera in unused]
        if fitting:
            chosen[fault] = fitting[turn * len(fitting) // len(SHOWN)]
    return chosen


async def _http(method: str, url: str, body: bytes = b"") -> bytes:
    """One request to the farm's own control port on loopback."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = (
        f"{method} {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    answer = await reader.read(-1)
    writer.close()
    return answer.partition(b"\r\n\r\n")[2]


def _hints(settings: Settings, ready: dict[str, Any]) -> dict[str, str]:
    fault = '{"camera": CODE, "fault": "blur"}'
    return {
        "watching": f"{ready['cameras']} simulated cameras, one look each every {settings.schedule.interval_s} s",
        "faults now": f"{ready['control']}/faults",
        "make one": f"curl -d '{fault}' -H 'content-type: application/json' {ready['control']}/faults",
        "rare keyframes": "the camera with （智能编码） in its name sends one every 15 s: looks learn to wait for it",
        "UDP only": "cameras with （UDP） in their names refuse TCP, and are up all the same",
        "watched": f"{', '.join(settings.watch.cameras) or 'none'}: open all the time; the last one pauses",
        "history": f"the last {HISTORY_DAYS} days before this start are made up, and marked so",
    }
