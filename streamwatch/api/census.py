"""Who is where, kept until the inventory changes: counting needs it for every request, and it rarely changes."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from streamwatch.live.view import View
from streamwatch.model.scope import Scope
from streamwatch.store.census import CountedCamera, CountedVillage, count_cameras, count_villages, together
from streamwatch.store.handles import Reader

MAX_SCOPES: Final = 16  # x 126,000 cameras x about 150 bytes = 19 MB each at worst; officers share their county's
MAX_AGE_S: Final = 30.0  # also where the service cannot say that the inventory changed


@dataclass(frozen=True, slots=True)
class Census:
    """The villages and cameras of one scope by id, removed ones too; `by_village` in the order of camera ids.

    A camera that was moved is in the list of each village that it was in, for the time that it was there.
    """

    villages: dict[int, CountedVillage]
    cameras: dict[int, CountedCamera]
    by_village: dict[int, list[CountedCamera]]

    def current(self) -> list[CountedVillage]:
        """The villages that were not removed."""
        return [village for village in self.villages.values() if village.removed_us is None]

    def serving(self, village: int, at_us: int) -> list[CountedCamera]:
        """The cameras of a village that are in service at that instant."""
        return [camera for camera in self.by_village.get(village, ()) if camera.serves(at_us)]


class CensusKeeper:
    """Reads a scope's census once for each version of the inventory."""

    def __init__(self, reader: Reader, view: View) -> None:
        self._reader = reader
        self._view = view
        self._kept: OrderedDict[int | None, tuple[int, float, Census]] = OrderedDict()

    async def of(self, scope: Scope, now_s: float, *, fresh: bool = False) -> Census:
        """The census of that scope, read again where it must be `fresh`; `now_s` on the monotonic clock."""
        version = self._view.status.inventory_version if self._view.status is not None else -1
        kept = self._kept.get(scope.region)
        if kept is not None and not fresh and kept[0] == version and now_s - kept[1] < MAX_AGE_S:
            self._kept.move_to_end(scope.region)
            return kept[2]
        census = await self._read(scope)
        self._kept[scope.region] = (version, now_s, census)
        self._kept.move_to_end(scope.region)
        while len(self._kept) > MAX_SCOPES:
            self._kept.popitem(last=False)
        return census

    async def _read(self, scope: Scope) -> Census:
        async with self._reader.begin() as conn:
            villages = await count_villages(conn, scope)
            cameras = await count_cameras(conn, scope)
        by_village: dict[int, list[CountedCamera]] = {village.id: [] for village in villages}
        for camera in cameras:
            by_village[camera.village].append(camera)
        return Census({village.id: village for village in villages}, together(cameras), by_village)
