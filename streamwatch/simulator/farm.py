"""The farm: plans cameras, gives each an address, switches faults, writes the inventory; `simulate` runs it."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import random
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta, timezone
from itertools import islice
from pathlib import Path

import msgspec

from streamwatch.clock import US, Clock, SystemClock, to_datetime
from streamwatch.errors import ConfigError, NotFoundError, UsageError
from streamwatch.simulator import inventory
from streamwatch.simulator.camera import Camera
from streamwatch.simulator.control import ControlServer
from streamwatch.simulator.dialects import DIALECTS
from streamwatch.simulator.faults import Change, Fault, FaultLog
from streamwatch.simulator.library import Library

FILES_A_CAMERA = 2  # its listener, and a session or the filler of a dead one
FILES_BESIDE = 256  # the program's own, the control port, the cache
PORT_TRIES = 20
MAX_DAYS = 36_500
SWEEP_S = 15.0
SHANGHAI = timezone(timedelta(hours=8))  # no summer time since 1991
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789ABCDEFGHJKMNPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class FarmPlan:
    """What to simulate. `port` 0 picks one that is free on every address; `fault_rate` is the share of cameras that are
    faulty on average, by themselves, each for about `fault_hold_s` seconds. With `installed_days_ago` the inventory
    says that all cameras were installed on that day (of Asia/Shanghai)."""

    villages: int = 8
    cameras: int = 240
    seed: int = 1
    bind: str = "127.1.0.0/16"
    port: int = 0
    control: str = "127.0.0.1:0"
    cache_dir: Path | None = None
    log: Path | None = None
    fault_rate: float = 0.0
    fault_hold_s: float = 300.0
    installed_days_ago: int | None = None


@dataclass(frozen=True, slots=True)
class _Standing:
    """A camera's present fault; `timer` clears it."""

    change: Change
    timer: asyncio.TimerHandle | None


class Farm:
    """A running farm. Raises UsageError for a plan that cannot be, ConfigError where this machine cannot carry it."""

    def __init__(self, plan: FarmPlan, clock: Clock | None = None) -> None:
        self._plan = _checked(plan)
        self._clock = clock or SystemClock()
        self._rng = random.Random(plan.seed)
        self._library = Library(plan.seed, plan.cache_dir)
        self._log: FaultLog | None = None
        self._control: ControlServer | None = None
        self._cameras: dict[str, Camera] = {}
        self._standing: dict[str, _Standing] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.villages = inventory.villages(plan.villages, self._rng)
        self.port = 0

    @property
    def control_url(self) -> str:
        """Where faults are switched, e.g. http://127.0.0.1:40123; only after `start`."""
        assert self._control is not None, "the farm is not started"
        return self._control.url

    @property
    def cameras(self) -> list[Camera]:
        """All cameras, by code; only after `start`."""
        return list(self._cameras.values())

    async def start(self) -> None:
        """Renders, opens every address and the control port. On an error nothing stays open."""
        _raise_file_limit(self._plan.cameras)
        try:
            self._log = FaultLog(self._plan.log)
            entries = inventory.cameras(self._plan.cameras, self.villages, self._rng)
            await self._library.prepare({entry.scene for entry in entries})
            self._open(entries)
            self._control = ControlServer(self)
            await self._control.start(self._plan.control)
        except BaseException:
            await self.aclose()
            raise
        self._tasks.append(asyncio.create_task(self._sweep()))
        if self._plan.fault_rate > 0:
            for _ in range(round(len(self._cameras) * self._plan.fault_rate)):
                self._strike()
            self._tasks.append(asyncio.create_task(self._churn()))

    async def aclose(self) -> None:
        """Ends everything; may be called twice."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        for standing in self._standing.values():
            if standing.timer is not None:
                standing.timer.cancel()
        if self._control is not None:
            await self._control.aclose()
        for camera in self._cameras.values():
            camera.close()
        await self._library.aclose()
        if self._log is not None:
            self._log.close()
            self._log = None
        await asyncio.sleep(0)  # lets cut connections finish

    def write_inventory(self, folder: Path) -> None:
        """Writes villages.csv and cameras.csv; only after `start`, for the port is part of them."""
        installed_on = ""
        if self._plan.installed_days_ago is not None:
            today = to_datetime(self._clock.utc_us()).astimezone(SHANGHAI)
            installed_on = f"{today - timedelta(days=self._plan.installed_days_ago):%Y-%m-%d}"
        inventory.write(folder, self.villages, self._cameras.values(), installed_on)

    def standing(self) -> list[Change]:
        """The faults of now, by camera."""
        return [standing.change for _, standing in sorted(self._standing.items())]

    def check(self, code: str, fault: str | None) -> tuple[Camera, Fault | None]:
        """The camera and the fault of these names. Raises NotFoundError and UsageError."""
        camera = self._cameras.get(code)
        if camera is None:
            raise NotFoundError(f"no camera {code!r} in this farm: GET /cameras lists them")
        if fault is None:
            return camera, None
        try:
            return camera, Fault(fault)
        except ValueError:
            raise UsageError(f"no fault {fault!r}: take one of {', '.join(Fault)} or null") from None

    def set_fault(self, code: str, fault: str | None, until_us: int | None = None) -> Change:
        """Makes a camera faulty, or healthy with None; the farm clears the fault by itself at `until_us` (UTC).

        Takes effect before it returns and is logged then. Raises NotFoundError and UsageError as `check` does, and
        UsageError where `until_us` is not in the future; ConfigError, and nothing changes, without a file descriptor.
        """
        camera, kind = self.check(code, fault)
        now = self._clock.utc_us()
        if kind is None:
            until_us = None
        if until_us is not None and until_us <= now:
            raise UsageError("until is not in the future: leave it out, or give a later RFC 3339 time")
        try:
            camera.apply(kind)
        except OSError as error:
            raise ConfigError(f"camera {code} cannot change to {kind} ({error.strerror}): see ulimit -n") from error
        before = self._standing.pop(code, None)
        if before is not None and before.timer is not None:
            before.timer.cancel()
        change = Change(self._clock.utc_us(), code, kind, until_us)
        if kind is not None:
            self._standing[code] = _Standing(change, None)
            if until_us is not None:
                self._arm(change, until_us)
        if self._log is not None and (kind is not None or before is not None):
            self._log.write(change)
        return change

    def _arm(self, change: Change, until_us: int) -> None:
        """Clears the fault at its end; a timer that fires a little early, as uvloop's may, is armed again."""
        left_us = until_us - self._clock.utc_us()
        if left_us <= 0:
            self.set_fault(change.camera, None)
            return
        timer = asyncio.get_running_loop().call_later(left_us / US, self._arm, change, until_us)
        self._standing[change.camera] = _Standing(change, timer)

    def _open(self, entries: list[inventory.CameraEntry]) -> None:
        addresses = [str(address) for address in islice(_addresses(self._plan.bind), len(entries))]
        cameras = [self._camera(entry, address) for entry, address in zip(entries, addresses, strict=True)]
        for attempt in range(PORT_TRIES):
            port = self._plan.port or _free_port(addresses[0])
            try:
                for camera in cameras:
                    camera.port = port
                    camera.open()
            except OSError as error:
                for opened in cameras:
                    opened.close()
                if self._plan.port == 0 and attempt + 1 < PORT_TRIES:
                    continue  # somebody has that port on one of the addresses
                raise ConfigError(
                    f"cannot listen on {camera.address}:{port} ({error.strerror}): every camera needs an address of "
                    "its own; Linux has all of 127.0.0.0/8, elsewhere add some to an interface and name them by --bind"
                ) from error
            break
        self.port = port
        self._cameras = {camera.code: camera for camera in cameras}

    def _camera(self, entry: inventory.CameraEntry, address: str) -> Camera:
        rng = self._rng
        return Camera(
            code=entry.code, name=entry.name, village=entry.village, scene=entry.scene, address=address, port=0,
            dialect=rng.choice(DIALECTS), username=rng.choice(("admin", "monitor", "viewer")),
            password="".join(rng.choices(LETTERS, k=10)), start=rng.randrange(1000), library=self._library,
        )  # fmt: skip

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            now = asyncio.get_running_loop().time()
            for camera in self._cameras.values():
                camera.sweep(now)

    async def _churn(self) -> None:
        """After the first ones a new fault whenever chance wants, each with its own end."""
        count, rate, hold = len(self._cameras), self._plan.fault_rate, self._plan.fault_hold_s
        while True:
            await asyncio.sleep(self._rng.expovariate(count * rate / hold))
            self._strike()

    def _strike(self) -> None:
        healthy = [code for code in self._cameras if code not in self._standing]
        if healthy:
            hold_s = self._plan.fault_hold_s * self._rng.uniform(0.5, 1.5)
            until_us = self._clock.utc_us() + int(hold_s * US)
            self.set_fault(self._rng.choice(healthy), self._rng.choice(list(Fault)), until_us)


def _checked(plan: FarmPlan) -> FarmPlan:
    if not 1 <= plan.villages <= inventory.MAX_VILLAGES:
        raise UsageError(f"villages is {plan.villages}: give 1 to {inventory.MAX_VILLAGES}")
    if not 1 <= plan.cameras <= inventory.MAX_CAMERAS:
        raise UsageError(f"cameras is {plan.cameras}: give 1 to {inventory.MAX_CAMERAS}")
    if not 0 <= plan.port <= 0xFFFF:
        raise UsageError(f"port is {plan.port}: give 0 (any) to 65535")
    if plan.installed_days_ago is not None and not 0 <= plan.installed_days_ago <= MAX_DAYS:
        raise UsageError(f"installed_days_ago is {plan.installed_days_ago}: give 0 to {MAX_DAYS}")
    if not 0 <= plan.fault_rate < 1 or plan.fault_hold_s <= 0:
        raise UsageError("fault_rate is a share from 0 to below 1, fault_hold_s seconds above 0")
    if sum(1 for _ in islice(_addresses(plan.bind), plan.cameras)) < plan.cameras:
        raise UsageError(
            f"--bind {plan.bind} has fewer addresses than the {plan.cameras} cameras: give a wider network"
        )
    return plan


def _addresses(bind: str) -> Iterator[ipaddress.IPv4Address]:
    try:
        network = ipaddress.IPv4Network(bind)
    except ValueError as error:
        raise UsageError(f"--bind {bind} is no IPv4 network such as 127.1.0.0/16: {error}") from None
    return iter(network.hosts())


def _free_port(address: str) -> int:
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            raise ConfigError(
                f"cannot bind {address} ({error.strerror}): Linux has all of 127.0.0.0/8, elsewhere add the addresses "
                "to an interface and name them by --bind"
            ) from error
        return int(probe.getsockname()[1])


def _raise_file_limit(cameras: int) -> None:
    """Raises the soft limit of open files to what `cameras` need. Raises ConfigError where the hard one is below it."""
    need = cameras * FILES_A_CAMERA + FILES_BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= need:
        return
    if hard != resource.RLIM_INFINITY and hard < need:
        raise ConfigError(
            f"{cameras} cameras need {need} open files, the hard limit here is {hard}: raise it (ulimit -Hn, "
            f"LimitNOFILE=) or simulate at most {max(0, (hard - FILES_BESIDE) // FILES_A_CAMERA)} cameras"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))


async def simulate(plan: FarmPlan, inventory_dir: Path | None = None) -> None:
    """Runs a farm until SIGTERM or SIGINT; prints one JSON line when every camera answers."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    farm = Farm(plan)
    starting = asyncio.create_task(farm.start())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            return
        await starting
        if inventory_dir is not None:
            farm.write_inventory(inventory_dir)
        ready = {"control": farm.control_url, "cameras": len(farm.cameras), "port": farm.port}
        sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
        sys.stdout.flush()
        await stopping
    finally:
        for task in (starting, stopping):
            task.cancel()
        await asyncio.gather(starting, stopping, return_exceptions=True)
        await farm.aclose()
