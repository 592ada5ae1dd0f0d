"""What goes wrong at a farm: the faults of its cameras, by order, by chance and from the start."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

from streamwatch.clock import US, Clock
from streamwatch.errors import ConfigError, NotFoundError, UsageError
from streamwatch.simulator.camera import Camera
from streamwatch.simulator.devices import Devices
from streamwatch.simulator.faults import HOSTILE, LATENCY, LOSES, Change, Fault, FaultLog, Line, befalls, fits, line
from streamwatch.simulator.hostile.corpus import CORPUS, PLAIN
from streamwatch.simulator.hostile.stage import Hostility
from streamwatch.simulator.plan import FarmPlan
from streamwatch.simulator.site import Site

STRIKE_TRIES = 1000  # draws until chance has found a healthy camera


@dataclass(frozen=True, slots=True)
class _Standing:
    """A camera's present fault; `timer` clears it."""

    change: Change
    timer: asyncio.TimerHandle | None


class Mischief:
    """The present faults of a site's cameras; `rng` is the farm's, and `wide` says that nobody can be refused alone."""

    def __init__(
        self, plan: FarmPlan, devices: Devices, site: Site, *,
        wide: bool, clock: Clock, rng: random.Random, log: FaultLog,
    ) -> None:  # fmt: skip
        self._plan, self._devices, self._site = plan, devices, site
        self._wide, self._clock, self._rng, self._log = wide, clock, rng, log
        self._standing: dict[str, _Standing] = {}

    def close(self) -> None:
        """Clears nothing any more by itself; the log is its owner's."""
        for standing in self._standing.values():
            if standing.timer is not None:
                standing.timer.cancel()

    def standing(self) -> list[Change]:
        """The faults of now, by camera."""
        return [standing.change for _, standing in sorted(self._standing.items())]

    def check(self, code: str, fault: str | None) -> tuple[Camera, Fault | Hostility | Line | None]:
        """The camera and the fault of these names. Raises NotFoundError and UsageError."""
        index = self._devices.entries.find(code)
        if index is None:
            raise NotFoundError(f"no camera {code!r} in this farm: GET /cameras lists them")
        camera = self._site.device(index)
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
        self._site.keep(camera)
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
        if kind is not None or before is not None:
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

    def begin(self) -> None:
        """Makes the share of the plan hostile and faulty: cameras and the order of the corpus as the seed has them."""
        rng = random.Random(self._plan.seed)
        ways = rng.sample(PLAIN, len(PLAIN))
        count = self._plan.cameras
        for turn, index in enumerate(rng.sample(range(count), round(count * self._plan.hostile))):
            self.set_fault(self._devices.entries[index].code, f"{HOSTILE}{ways[turn % len(ways)].name}")
        if self._plan.fault_rate > 0:
            for _ in range(round(count * self._plan.fault_rate)):
                self._strike()

    async def churn(self) -> None:
        """After those of `begin` a new fault whenever chance wants, each with its own end."""
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
