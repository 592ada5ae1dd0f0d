"""The farm: its clips, its site, its control port and what goes wrong, put together; `simulate` runs it.

A camera is a few bytes of a list until somebody connects to it, asks for it or makes it faulty.
"""

from __future__ import annotations

import asyncio
import gc
import random
import signal
import sys
from collections.abc import Sequence
from datetime import timedelta, timezone
from pathlib import Path

import msgspec

from streamwatch.clock import Clock, SystemClock, to_datetime
from streamwatch.simulator import equipment, lists
from streamwatch.simulator.camera import Camera, House
from streamwatch.simulator.control import ControlServer
from streamwatch.simulator.devices import Cameras, Devices
from streamwatch.simulator.faults import Change, Fault, FaultLog, Line
from streamwatch.simulator.hostile.props import Props, made_by
from streamwatch.simulator.hostile.stage import Hostility
from streamwatch.simulator.library import Library
from streamwatch.simulator.machine import listens_wide, raise_file_limit
from streamwatch.simulator.mischief import Mischief
from streamwatch.simulator.plan import FarmPlan, checked
from streamwatch.simulator.profile import DEFAULT_SIZES
from streamwatch.simulator.site import Site
from streamwatch.simulator.switchboard import Switchboard

SWEEP_S = 15.0
SHANGHAI = timezone(timedelta(hours=8))  # no summer time since 1991


class Farm:
    """A running farm. Raises UsageError for a plan that cannot be, ConfigError where this machine cannot carry it."""

    def __init__(self, plan: FarmPlan, clock: Clock | None = None) -> None:
        self._plan = checked(plan)
        self._clock = clock or SystemClock()
        self._rng = random.Random(plan.seed)
        self._library = Library(plan.seed, plan.cache_dir, plan.profile)
        self._log: FaultLog | None = None
        self._control: ControlServer | None = None
        self._house: House | None = None
        self._site: Site | None = None
        self._mischief: Mischief | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._props: asyncio.Task[Props] | None = None  # of hostile cameras, once there is one
        self._devices = Devices(plan, self._rng)
        self._wide = listens_wide(len(self._devices)) if plan.wide is None else plan.wide

    @property
    def port(self) -> int:
        """That of all cameras; 0 before `start`."""
        return 0 if self._site is None else self._site.port

    @property
    def count(self) -> int:
        """How many cameras it has."""
        return self._plan.cameras

    @property
    def control_url(self) -> str:
        """Where faults are switched, e.g. http://127.0.0.1:40123; only after `start`."""
        assert self._control is not None, "the farm is not started"
        return self._control.url

    @property
    def cameras(self) -> Sequence[Camera]:
        """All cameras, by code, each made when it is asked for; only after `start`."""
        return Cameras(self.device, self.count)

    async def start(self) -> None:
        """Renders, opens every address and the control port. On an error nothing stays open."""
        datagram_cameras = sum(carriage.udp for carriage in self._devices.carriages)
        raise_file_limit(self._plan.cameras, len(self._devices.recorders), datagram_cameras, wide=self._wide)
        try:
            log = self._log = FaultLog(self._plan.log)
            await self._library.prepare(self._devices.entries.scenes)
            self._house = House(
                Switchboard(), self._library, self._dressed, self._plan.streams, self._plan.paced, self._wide,
                self._plan.profile.gop_frames if self._plan.random_start else 0,
            )  # fmt: skip
            self._site = Site(self._devices, self._house)
            self._site.open(self._plan.port)
            self._mischief = Mischief(
                self._plan, self._devices, self._site,
                wide=self._wide, clock=self._clock, rng=self._rng, log=log,
            )  # fmt: skip
            self._control = ControlServer(self)
            await self._control.start(self._plan.control)
        except BaseException:
            await self.aclose()
            raise
        self._tasks.append(asyncio.create_task(self._sweep()))
        self._mischief.begin()
        if self._plan.fault_rate > 0:
            self._tasks.append(asyncio.create_task(self._mischief.churn()))

    async def aclose(self) -> None:
        """Ends everything; may be called twice."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        if self._props is not None:
            self._props.cancel()
        if self._mischief is not None:
            self._mischief.close()
        if self._control is not None:
            await self._control.aclose()
        if self._site is not None:
            self._site.close()
        if self._house is not None:
            self._house.board.close()
        await self._library.aclose()
        if self._log is not None:
            self._log.close()
            self._log = None
        await asyncio.sleep(0)  # lets cut connections finish

    def write_inventory(self, folder: Path) -> None:
        """Writes a CSV file for each kind that `import` takes; only after `start`, for the port is part of them."""
        today = to_datetime(self._clock.utc_us()).astimezone(SHANGHAI).date()
        installed = self._plan.installed_days_ago
        rng = random.Random(self._plan.seed)
        lists.write(
            folder,
            lists.Lists(
                villages=self._devices.villages,
                lines=equipment.lines(self._devices.villages),
                recorders=[
                    (entry, self.device(index))
                    for index, entry in enumerate(self._devices.recorders, self._plan.cameras)
                ],
                cameras=self.cameras,
                points=equipment.points(self._devices.entries, self._devices.villages, rng),
                facilities=equipment.facilities(self._devices.villages, today, rng),
                smart_interval_s=self._plan.smart_interval_s,
                installed_on="" if installed is None else str(today - timedelta(days=installed)),
            ),
        )
        if self._plan.sizes != DEFAULT_SIZES:
            lists.write_streams(folder, self.cameras, self._plan.sizes)

    def standing(self) -> list[Change]:
        """The faults of now, by camera."""
        return self._present.standing()

    def check(self, code: str, fault: str | None) -> tuple[Camera, Fault | Hostility | Line | None]:
        """As `Mischief.check`."""
        return self._present.check(code, fault)

    def set_fault(self, code: str, fault: str | None, until_us: int | None = None) -> Change:
        """As `Mischief.set_fault`."""
        return self._present.set_fault(code, fault, until_us)

    def device(self, index: int) -> Camera:
        """As `Site.device`; only after `start`."""
        assert self._site is not None, "the farm is not started"
        return self._site.device(index)

    @property
    def _present(self) -> Mischief:
        assert self._mischief is not None, "the farm is not started"
        return self._mischief

    async def _dressed(self) -> Props:
        """What hostile cameras show, made once, when the first of them is connected to."""
        if self._props is None:
            self._props = asyncio.create_task(made_by(self._library))
        return await asyncio.shield(self._props)

    async def _sweep(self) -> None:
        while self._site is not None:
            await asyncio.sleep(SWEEP_S)
            self._site.sweep(asyncio.get_running_loop().time())


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
        gc.collect()
        gc.freeze()  # the clips' many frames are here to stay: no need to look through them again
        await stopping
    finally:
        for task in (starting, stopping):
            task.cancel()
        await asyncio.gather(starting, stopping, return_exceptions=True)
        await farm.aclose()
