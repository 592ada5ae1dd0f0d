"""The farm: opens the addresses of the devices, switches their faults, writes the inventory; `simulate` runs it.

A camera is a few bytes of a list until somebody connects to it, asks for it or makes it faulty.
"""

from __future__ import annotations

import asyncio
import gc
import random
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta, timezone
from pathlib import Path

import msgspec

from streamwatch.clock import US, Clock, SystemClock, to_datetime
from streamwatch.errors import ConfigError, NotFoundError, UsageError
from streamwatch.simulator import equipment, lists
from streamwatch.simulator.camera import NO_FILES_S, Camera, House, accept_from
from streamwatch.simulator.control import ControlServer
from streamwatch.simulator.devices import Cameras, Devices
from streamwatch.simulator.faults import HOSTILE, LATENCY, LOSES, Change, Fault, FaultLog, Line, befalls, fits, line
from streamwatch.simulator.hostile.corpus import CORPUS, PLAIN
from streamwatch.simulator.hostile.props import Props, made_by
from streamwatch.simulator.hostile.stage import Hostility
from streamwatch.simulator.library import Library
from streamwatch.simulator.machine import free_port, listens_wide, raise_file_limit, wide_listener
from streamwatch.simulator.plan import FarmPlan, checked
from streamwatch.simulator.profile import DEFAULT_SIZES
from streamwatch.simulator.switchboard import Switchboard

PORT_TRIES = 20
ACCEPTS_A_TURN = 16  # connections of a wide farm, taken before the loop may do something else
SWEEP_S = 15.0
KEPT = 20_000  # idle devices of a wide farm that stay made up, about 1 KB each
STRIKE_TRIES = 1000  # draws until chance has found a healthy camera
SHANGHAI = timezone(timedelta(hours=8))  # no summer time since 1991


@dataclass(frozen=True, slots=True)
class _Standing:
    """A camera's present fault; `timer` clears it."""

    change: Change
    timer: asyncio.TimerHandle | None


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
        self._listener: socket.socket | None = None  # of a wide farm
        self._made: dict[int, Camera] = {}  # devices that are more than their place in the lists
        self._standing: dict[str, _Standing] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._props: asyncio.Task[Props] | None = None  # of hostile cameras, once there is one
        self._devices = Devices(plan, self._rng)
        self._wide = listens_wide(len(self._devices)) if plan.wide is None else plan.wide
        self.port = 0

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
            self._log = FaultLog(self._plan.log)
            await self._library.prepare(self._devices.entries.scenes)
            self._house = House(
                Switchboard(), self._library, self._dressed, self._plan.streams, self._plan.paced, self._wide,
                self._plan.profile.gop_frames if self._plan.random_start else 0,
            )  # fmt: skip
            self._open()
            self._control = ControlServer(self)
            await self._control.start(self._plan.control)
        except BaseException:
            await self.aclose()
            raise
        self._tasks.append(asyncio.create_task(self._sweep()))
        self._turn_hostile()
        if self._plan.fault_rate > 0:
            for _ in range(round(self._plan.cameras * self._plan.fault_rate)):
                self._strike()
            self._tasks.append(asyncio.create_task(self._churn()))

    async def aclose(self) -> None:
        """Ends everything; may be called twice."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        if self._props is not None:
            self._props.cancel()
        for standing in self._standing.values():
            if standing.timer is not None:
                standing.timer.cancel()
        if self._control is not None:
            await self._control.aclose()
        for device in self._made.values():
            device.close()
        self._close_listener()
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
        return [standing.change for _, standing in sorted(self._standing.items())]

    def check(self, code: str, fault: str | None) -> tuple[Camera, Fault | Hostility | Line | None]:
        """The camera and the fault of these names. Raises NotFoundError and UsageError."""
        index = self._devices.entries.find(code)
        if index is None:
            raise NotFoundError(f"no camera {code!r} in this farm: GET /cameras lists them")
        camera = self.device(index)
        if fault is None:
            return camera, None
        if fault.startswith(HOSTILE):
            return camera, _hostility(fault.removeprefix(HOSTILE))
        if (bad := line(fault)) is not None:
            return camera, bad
        try:
            kind = Fault(fault)
        except ValueError:
            raise UsageError(
                f"no fault {fault!r}: take one of {', '.join(Fault)}, {LATENCY}MS, {LOSES}PERCENT, "
                f"{HOSTILE}NAME or null"
            ) from None
        if kind is Fault.REFUSED and self._wide:
            raise UsageError(
                f"camera {code} cannot be {kind}: in a farm of this size all share one listener; take dead, or give "
                "each its own by fewer cameras or more open files (ulimit -Hn)"
            )
        if not fits(kind, camera.carriage):
            raise UsageError(
                f"camera {code} cannot have {kind}, because it serves {camera.carriage.serves}: GET /cameras says "
                "which transport each one serves"
            )
        return camera, kind

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
        self._made[self._devices.addresses.find(camera.address)] = camera
        try:
            camera.apply(kind)
        except OSError as error:
            raise ConfigError(f"camera {code} cannot change to {kind} ({error.strerror}): see ulimit -n") from error
        before = self._standing.pop(code, None)
        if before is not None and before.timer is not None:
            before.timer.cancel()
        change = Change(self._clock.utc_us(), code, camera.fault_name, until_us)
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

    def _open(self) -> None:
        """Opens all devices, the cameras at the first addresses."""
        free_port(self._devices.addresses[0])  # says so where it is not ours
        for attempt in range(PORT_TRIES):
            self.port = self._plan.port or free_port(self._devices.addresses[0])
            place = f"0.0.0.0:{self.port}"
            try:
                if self._wide:
                    self._listener = wide_listener(self.port, loopback=self._devices.addresses.loopback)
                    self._listen()
                for index in range(0 if self._wide else len(self._devices)):
                    device = self._made[index] = self.device(index)
                    place = f"{device.address}:{device.port}"
                    device.open()
            except OSError as error:
                for opened in self._made.values():
                    opened.close()
                self._made.clear()
                if self._plan.port == 0 and attempt + 1 < PORT_TRIES:
                    continue  # somebody has that port on one of the addresses
                raise ConfigError(
                    f"cannot listen on {place} ({error.strerror}): every camera needs an address of "
                    "its own; Linux has all of 127.0.0.0/8, elsewhere add some to an interface and name them by --bind"
                ) from error
            return

    def _listen(self) -> None:
        """A wide farm takes connections."""
        if self._listener is not None and self._house is not None:
            self._house.board.listen(self._listener, self._accept)

    def _accept(self) -> None:
        assert self._listener is not None
        assert self._house is not None
        if not accept_from(self._listener, self._take, ACCEPTS_A_TURN):  # the loop would call again at once, for ever
            self._house.board.ignore(self._listener)
            self._house.board.at(self._house.board.time() + NO_FILES_S, self._listen)

    def _take(self, file: int) -> None:
        """A connection belongs to the device whose address it was made to."""
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=file)
        try:
            index = self._devices.addresses.find(connection.getsockname()[0])
        except OSError:
            index = -1
        if not 0 <= index < len(self._devices):
            connection.close()
            return
        connection.detach()
        device = self._made.get(index)
        if device is None:
            device = self._made[index] = self.device(index)
        device.take(file)

    def _close_listener(self) -> None:
        if self._listener is not None and self._house is not None:
            self._house.board.ignore(self._listener)
            self._listener.close()
            self._listener = None

    def device(self, index: int) -> Camera:
        """The device at that address of the network, cameras before recorders; made anew where nobody has used it, and
        not kept for that. Only after `start`."""
        made = self._made.get(index)
        if made is not None:
            return made
        assert self._house is not None, "the farm is not started"
        return self._devices.make(index, self._house, self.port)

    async def _dressed(self) -> Props:
        """What hostile cameras show, made once, when the first of them is connected to."""
        if self._props is None:
            self._props = asyncio.create_task(made_by(self._library))
        return await asyncio.shield(self._props)

    def _turn_hostile(self) -> None:
        """The share that is hostile from the start: cameras and the order of the corpus as the seed has them."""
        rng = random.Random(self._plan.seed)
        ways = rng.sample(PLAIN, len(PLAIN))
        count = self._plan.cameras
        for turn, index in enumerate(rng.sample(range(count), round(count * self._plan.hostile))):
            self.set_fault(self._devices.entries[index].code, f"{HOSTILE}{ways[turn % len(ways)].name}")

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            now = asyncio.get_running_loop().time()
            for device in list(self._made.values()):
                device.sweep(now)
            if self._wide and len(self._made) > KEPT:
                self._made = {index: device for index, device in self._made.items() if not device.idle}

    async def _churn(self) -> None:
        """After the first ones a new fault whenever chance wants, each with its own end."""
        count, rate, hold = self._plan.cameras, self._plan.fault_rate, self._plan.fault_hold_s
        while True:
            await asyncio.sleep(self._rng.expovariate(count * rate / hold))
            self._strike()

    def _strike(self) -> None:
        for _ in range(STRIKE_TRIES):
            index = self._rng.randrange(self._plan.cameras)
            code = self._devices.entries[index].code
            if code not in self._standing:
                break
        else:
            return
        hold_s = self._plan.fault_hold_s * self._rng.uniform(0.5, 1.5)
        until_us = self._clock.utc_us() + int(hold_s * US)
        possible = [
            fault
            for fault in Fault
            if befalls(fault, self._devices.carriages[index]) and not (self._wide and fault is Fault.REFUSED)
        ]
        self.set_fault(code, self._rng.choice(possible), until_us)


def _hostility(name: str) -> Hostility:
    """Raises UsageError for one that the corpus does not have, or that no rtsp:// address can be."""
    found = CORPUS.get(name)
    if found is None or found not in PLAIN:
        raise UsageError(
            f"no hostility {name!r} over rtsp://: python -m streamwatch.simulator.hostile --list names them"
        )
    return found


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
