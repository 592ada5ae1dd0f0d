"""The farm: plans cameras, gives each an address, switches faults, writes the inventory; `simulate` runs it."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from dataclasses import dataclass, replace
from datetime import timedelta, timezone
from itertools import islice
from pathlib import Path

import msgspec

from streamwatch.clock import US, Clock, SystemClock, to_datetime
from streamwatch.errors import ConfigError, NotFoundError, UsageError
from streamwatch.simulator import equipment, inventory, lists
from streamwatch.simulator.camera import Camera
from streamwatch.simulator.carriage import Carriage, Serves, deal
from streamwatch.simulator.control import ControlServer
from streamwatch.simulator.dialects import DIALECTS, Dialect
from streamwatch.simulator.faults import HOSTILE, Change, Fault, FaultLog, befalls, fits
from streamwatch.simulator.hostile.corpus import CORPUS, PLAIN
from streamwatch.simulator.hostile.props import Props, made_by
from streamwatch.simulator.hostile.stage import Hostility
from streamwatch.simulator.library import Library
from streamwatch.simulator.machine import addresses, free_port, raise_file_limit
from streamwatch.simulator.plan import FarmPlan, checked
from streamwatch.simulator.profile import DEFAULT_SIZES

PORT_TRIES = 20
SWEEP_S = 15.0
SMART_S = (15.0, 40.0, 10.0, 30.0, 25.0, 20.0)  # from key frame to key frame: what makers' smart codecs do
RECORDER_DIALECT = next(dialect for dialect in DIALECTS if "DVR" in dialect.server)
SHANGHAI = timezone(timedelta(hours=8))  # no summer time since 1991
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789ABCDEFGHJKMNPQRSTUVWXYZ"


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
        self._cameras: dict[str, Camera] = {}
        self._recorders: dict[str, Camera] = {}
        self._standing: dict[str, _Standing] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._props: asyncio.Task[Props] | None = None  # of hostile cameras, once there is one
        self.villages = inventory.villages(plan.villages, self._rng)
        self._entries, carriages = _entries(plan, self.villages, self._rng)
        self._carriages = dict(zip((entry.code for entry in self._entries), carriages, strict=True))
        self._recorder_entries = equipment.recorders(self._entries, self.villages)
        if sum(1 for _ in islice(addresses(plan.bind), self._devices)) < self._devices:
            raise UsageError(
                f"--bind {plan.bind} has fewer addresses than the {plan.cameras} cameras and "
                f"{len(self._recorder_entries)} recorders: give a wider network"
            )
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
        datagram_cameras = sum(carriage.udp for carriage in self._carriages.values())
        raise_file_limit(self._plan.cameras, len(self._recorder_entries), datagram_cameras)
        try:
            self._log = FaultLog(self._plan.log)
            await self._library.prepare({entry.scene for entry in self._entries})
            self._open()
            self._control = ControlServer(self)
            await self._control.start(self._plan.control)
        except BaseException:
            await self.aclose()
            raise
        self._tasks.append(asyncio.create_task(self._sweep()))
        self._turn_hostile()
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
        if self._props is not None:
            self._props.cancel()
        for standing in self._standing.values():
            if standing.timer is not None:
                standing.timer.cancel()
        if self._control is not None:
            await self._control.aclose()
        for device in (*self._cameras.values(), *self._recorders.values()):
            device.close()
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
                villages=self.villages,
                lines=equipment.lines(self.villages),
                recorders=[(entry, self._recorders[entry.code]) for entry in self._recorder_entries],
                cameras=self.cameras,
                points=equipment.points(self._entries, self.villages, rng),
                facilities=equipment.facilities(self.villages, today, rng),
                smart_interval_s=self._plan.smart_interval_s,
                installed_on="" if installed is None else str(today - timedelta(days=installed)),
            ),
        )
        if self._plan.sizes != DEFAULT_SIZES:
            lists.write_streams(folder, self.cameras, self._plan.sizes)

    def standing(self) -> list[Change]:
        """The faults of now, by camera."""
        return [standing.change for _, standing in sorted(self._standing.items())]

    def check(self, code: str, fault: str | None) -> tuple[Camera, Fault | Hostility | None]:
        """The camera and the fault of these names. Raises NotFoundError and UsageError."""
        camera = self._cameras.get(code)
        if camera is None:
            raise NotFoundError(f"no camera {code!r} in this farm: GET /cameras lists them")
        if fault is None:
            return camera, None
        if fault.startswith(HOSTILE):
            return camera, _hostility(fault.removeprefix(HOSTILE))
        try:
            kind = Fault(fault)
        except ValueError:
            raise UsageError(f"no fault {fault!r}: take one of {', '.join(Fault)}, {HOSTILE}NAME or null") from None
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

    @property
    def _devices(self) -> int:
        return len(self._entries) + len(self._recorder_entries)

    def _open(self) -> None:
        """Opens all devices, the cameras at the first addresses."""
        places = [str(address) for address in islice(addresses(self._plan.bind), self._devices)]
        makers = [DIALECTS[index % len(DIALECTS)] for index in range(len(self._entries))]
        self._rng.shuffle(makers)
        cameras = [self._camera(*one) for one in zip(self._entries, places, makers, strict=False)]
        recorders = [
            self._recorder(entry, address)
            for entry, address in zip(self._recorder_entries, places[len(cameras) :], strict=True)
        ]
        devices = [*cameras, *recorders]
        for attempt in range(PORT_TRIES):
            port = self._plan.port or free_port(places[0])
            try:
                for device in devices:
                    device.port = port
                    device.open()
            except OSError as error:
                for opened in devices:
                    opened.close()
                if self._plan.port == 0 and attempt + 1 < PORT_TRIES:
                    continue  # somebody has that port on one of the addresses
                raise ConfigError(
                    f"cannot listen on {device.address}:{port} ({error.strerror}): every camera needs an address of "
                    "its own; Linux has all of 127.0.0.0/8, elsewhere add some to an interface and name them by --bind"
                ) from error
            break
        self.port = port
        self._cameras = {camera.code: camera for camera in cameras}
        self._recorders = {recorder.code: recorder for recorder in recorders}

    def _camera(self, entry: inventory.CameraEntry, address: str, dialect: Dialect) -> Camera:
        rng = self._rng
        return Camera(
            code=entry.code, name=entry.name, village=entry.village, scene=entry.scene, address=address, port=0,
            dialect=dialect, carriage=self._carriages[entry.code],
            username=rng.choice(("admin", "monitor", "viewer")), password="".join(rng.choices(LETTERS, k=10)),
            start=rng.randrange(1000), library=self._library, smart_s=entry.smart_s, props=self._dressed,
            streams=self._plan.streams,
        )  # fmt: skip

    def _recorder(self, entry: equipment.RecorderEntry, address: str) -> Camera:
        """What a recorder is here: an RTSP device that shows its first channel, and has no recordings."""
        return Camera(
            code=entry.code, name=entry.name, village=entry.village, scene=entry.scene, address=address, port=0,
            dialect=RECORDER_DIALECT, carriage=Carriage(), username="admin",
            password="".join(self._rng.choices(LETTERS, k=10)), start=0, library=self._library, props=self._dressed,
        )  # fmt: skip

    async def _dressed(self) -> Props:
        """What hostile cameras show, made once, when the first of them is connected to."""
        if self._props is None:
            self._props = asyncio.create_task(made_by(self._library))
        return await asyncio.shield(self._props)

    def _turn_hostile(self) -> None:
        """The share that is hostile from the start: cameras and the order of the corpus as the seed has them."""
        rng = random.Random(self._plan.seed)
        ways = rng.sample(PLAIN, len(PLAIN))
        for turn, code in enumerate(rng.sample(list(self._cameras), round(len(self._cameras) * self._plan.hostile))):
            self.set_fault(code, f"{HOSTILE}{ways[turn % len(ways)].name}")

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            now = asyncio.get_running_loop().time()
            for device in (*self._cameras.values(), *self._recorders.values()):
                device.sweep(now)

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
            code = self._rng.choice(healthy)
            possible = [fault for fault in Fault if befalls(fault, self._carriages[code])]
            self.set_fault(code, self._rng.choice(possible), until_us)


def _hostility(name: str) -> Hostility:
    """Raises UsageError for one that the corpus does not have, or that no rtsp:// address can be."""
    found = CORPUS.get(name)
    if found is None or found not in PLAIN:
        raise UsageError(
            f"no hostility {name!r} over rtsp://: python -m streamwatch.simulator.hostile --list names them"
        )
    return found


def _entries(
    plan: FarmPlan, villages: list[inventory.VillageEntry], rng: random.Random
) -> tuple[list[inventory.CameraEntry], list[Carriage]]:
    """The cameras and what each serves; what is unusual stands in their names, for a newcomer to see."""
    entries = inventory.cameras(plan.cameras, villages, rng)
    carriages = deal(plan.cameras, plan.udp, plan.both, random.Random(plan.seed))
    named = [
        replace(entry, name=f"{entry.name}（UDP）") if carriage.serves is Serves.UDP else entry
        for entry, carriage in zip(entries, carriages, strict=True)
    ]
    tcp_only = [index for index, carriage in enumerate(carriages) if carriage.serves is Serves.TCP]
    smart = int(plan.cameras * plan.smart)
    for turn, index in enumerate(random.Random(plan.seed).sample(tcp_only, min(smart, len(tcp_only)))):
        every_s = SMART_S[turn % len(SMART_S)]
        named[index] = replace(named[index], name=f"{named[index].name}（智能编码）", smart_s=every_s)
    return named, carriages


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
