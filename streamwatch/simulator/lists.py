"""The farm's inventory as the CSV files that `import` takes (UTF-8, their columns)."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Protocol

from streamwatch.simulator.equipment import FacilityEntry, LineEntry, PointEntry, RecorderEntry
from streamwatch.simulator.inventory import VillageEntry
from streamwatch.simulator.profile import SIZES

HEADINGS: Mapping[str, tuple[str, ...]] = {  # in the order in which they are best imported
    "villages": ("code", "name", "region", "households", "population"),
    "lines": ("code", "name", "parent", "kbps", "provider", "circuit", "fault_phone"),
    "recorders": ("code", "name", "village", "kind", "url", "username", "password", "line"),
    "cameras": (
        "code",
        "name",
        "village",
        "url",
        "sub_url",
        "username",
        "password",
        "recorder",
        "recorder_channel",
        "line",
        "installed_on",
        "interval_s",
    ),
    "points": ("code", "village", "kind", "name", "longitude", "latitude", "key_point", "camera"),
    "facilities": ("code", "village", "kind", "name", "households", "installed_on", "tested_on", "test_passed"),
}


class Listed(Protocol):
    """A device that can be written down: its entry and how it is reached."""

    code: str
    name: str
    village: str
    username: str
    password: str

    @property
    def url(self) -> str:
        """The main stream."""
        ...

    @property
    def sub_url(self) -> str:
        """The sub stream."""
        ...


class ListedCamera(Listed, Protocol):
    """A camera, too."""

    smart_s: float | None

    def url_of(self, stream: str) -> str:
        """One of its streams."""
        ...


@dataclass(frozen=True, slots=True)
class Lists:
    """All of a farm. `recorders` has the entry and the device of each."""

    villages: Sequence[VillageEntry]
    lines: Sequence[LineEntry]
    recorders: Sequence[tuple[RecorderEntry, Listed]]
    cameras: Sequence[ListedCamera]
    points: Sequence[PointEntry]
    facilities: Sequence[FacilityEntry]
    installed_on: str = ""  # of every camera
    smart_interval_s: int | None = None  # of cameras whose key frames are rare; None: the schedule's


def write(folder: Path, lists: Lists) -> None:
    """Writes a file a kind into `folder`, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    channels = {
        camera: (entry.code, channel, entry.line)
        for entry, _ in lists.recorders
        for channel, camera in enumerate(entry.cameras, 1)
    }
    rows: Mapping[str, Iterable[Sequence[object]]] = {
        "villages": ((v.code, v.name, v.region, v.households, v.households * 3) for v in lists.villages),
        "lines": map(astuple, lists.lines),
        "recorders": (
            (e.code, e.name, e.village, "rtsp", device.url, device.username, device.password, e.line)
            for e, device in lists.recorders
        ),
        "cameras": (
            (
                *(c.code, c.name, c.village, c.url, c.sub_url, c.username, c.password, *channels[c.code]),
                *(lists.installed_on, "" if c.smart_s is None else lists.smart_interval_s),
            )
            for c in lists.cameras
        ),
        "points": map(_point, lists.points),
        "facilities": map(astuple, lists.facilities),
    }
    for kind, heading in HEADINGS.items():
        with (folder / f"{kind}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(heading)
            writer.writerows(rows[kind])


def write_streams(folder: Path, cameras: Iterable[ListedCamera], sizes: Sequence[str]) -> None:
    """Writes `streams.csv`, which `import` does not take: a row a camera and size, with that stream's address."""
    with (folder / "streams.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("code", "size", "url"))
        writer.writerows((c.code, size, c.url_of(SIZES[size])) for c in cameras for size in sizes)


def _point(point: PointEntry) -> tuple[object, ...]:
    return tuple("yes" if value is True else "no" if value is False else value for value in astuple(point))
