"""The devices of a plan: where each stands in the lists, and the making of one when it is asked for."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import overload

from streamwatch.errors import UsageError
from streamwatch.simulator import equipment, inventory
from streamwatch.simulator.camera import Camera, House
from streamwatch.simulator.carriage import Carriage, Serves, deal
from streamwatch.simulator.dialects import DIALECTS
from streamwatch.simulator.machine import Addresses
from streamwatch.simulator.plan import FarmPlan

SMART_S = (15.0, 40.0, 10.0, 30.0, 25.0, 20.0)  # from key frame to key frame: what makers' smart codecs do
RECORDER_DIALECT = next(dialect for dialect in DIALECTS if "DVR" in dialect.server)
USERNAMES = ("admin", "monitor", "viewer")
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789ABCDEFGHJKMNPQRSTUVWXYZ"


class Devices:
    """All cameras of a plan, then its recorders, a few bytes each; `rng` is the farm's. Raises UsageError where its
    network has fewer addresses."""

    def __init__(self, plan: FarmPlan, rng: random.Random) -> None:
        self._plan = plan
        self.villages = inventory.villages(plan.villages, rng)
        self.entries = inventory.Cameras(plan.cameras, self.villages, rng)
        self.carriages = _dealt(plan, self.entries)
        self._dialects = [DIALECTS[index % len(DIALECTS)] for index in range(plan.cameras)]
        rng.shuffle(self._dialects)
        self.recorders = equipment.recorders(self.entries, self.villages)
        self.addresses = Addresses(plan.bind)
        if len(self.addresses) < len(self):
            raise UsageError(
                f"--bind {plan.bind} has fewer addresses than the {plan.cameras} cameras and "
                f"{len(self.recorders)} recorders: give a wider network"
            )

    def __len__(self) -> int:
        return self._plan.cameras + len(self.recorders)

    def make(self, index: int, house: House, port: int) -> Camera:
        """The device of this place, the same every time but for what has happened to it."""
        plan = self._plan
        drawn = blake2b(f"{plan.seed} {index}".encode(), digest_size=16).digest()
        camera = index < plan.cameras
        entry = self.entries[index] if camera else self.recorders[index - plan.cameras]
        return Camera(
            house, code=entry.code, name=entry.name, village=entry.village, scene=entry.scene,
            address=self.addresses[index], port=port,
            dialect=self._dialects[index] if camera else RECORDER_DIALECT,
            carriage=self.carriages[index] if camera else Carriage(),
            username=USERNAMES[drawn[10] % len(USERNAMES)] if camera else "admin",
            password="".join([LETTERS[byte % len(LETTERS)] for byte in drawn[:10]]),
            start=drawn[11], smart_s=self.entries.smart.get(index) if camera else None,
            latency_s=plan.latency_s * drawn[12] / 255, loss=plan.loss,
        )  # fmt: skip


class Cameras(Sequence[Camera]):
    """The first `count` of the devices that `device` gives, by their place in its lists."""

    def __init__(self, device: Callable[[int], Camera], count: int) -> None:
        self._device, self._count = device, count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Camera: ...
    @overload
    def __getitem__(self, index: slice) -> list[Camera]: ...
    def __getitem__(self, index: int | slice) -> Camera | list[Camera]:
        if isinstance(index, slice):
            return [self._device(one) for one in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._device(index)

    def __iter__(self) -> Iterator[Camera]:
        return map(self._device, range(len(self)))


def _dealt(plan: FarmPlan, entries: inventory.Cameras) -> list[Carriage]:
    """What each camera serves; what is unusual is marked in its name."""
    carriages = deal(plan.cameras, plan.udp, plan.both, random.Random(plan.seed))
    entries.marks.update(
        {index: "（UDP）" for index, carriage in enumerate(carriages) if carriage.serves is Serves.UDP}
    )
    tcp_only = [index for index, carriage in enumerate(carriages) if carriage.serves is Serves.TCP]
    smart = min(int(plan.cameras * plan.smart), len(tcp_only))
    for turn, index in enumerate(random.Random(plan.seed).sample(tcp_only, smart)):
        entries.marks[index] = "（智能编码）"
        entries.smart[index] = SMART_S[turn % len(SMART_S)]
    return carriages
