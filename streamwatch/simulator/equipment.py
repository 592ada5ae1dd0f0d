"""What hangs around the invented cameras: lines, recorders, planned points, and facilities that are no cameras."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby

from streamwatch.simulator.inventory import COUNTY_CODE, CameraEntry, VillageEntry

CHANNELS = 16  # of a recorder
NVR = "118"  # its type within a 20-digit code (GB/T 28181 annex E)
COUNTY_KBPS, VILLAGE_KBPS = 2_000_000, 200_000
PROVIDERS = ("示范电信", "示范广电", "示范移动")
# The middle of a sand desert: a village that is not there cannot be mistaken for one that is.
LONGITUDE, LATITUDE = 83.0, 38.6
POINT_KINDS = {  # what a camera's view is planned for
    "gate": "出入口",
    "square": "公共场所",
    "road": "主要道路",
    "river": "水域",
    "lane": "巷道",
    "field": "田间",
}
KEY_POINTS = ("出入口", "公共场所")
UNSEEN_POINTS = ("后山便道", "废弃砖窑")  # one a village, by turns: planned, and no camera yet
TEST_EVERY_DAYS = 365  # the longest ago that a facility was tested, where it was
FACILITIES: tuple[tuple[str, str], ...] = (
    ("household_alarm", "警铃入户"),
    ("intrusion_alarm", "村委会红外报警"),
    ("broadcast", "应急广播"),
    ("access_control", "村委会门禁"),
    ("electronic_fence", "仓库电子围栏"),
)


@dataclass(frozen=True, slots=True)
class LineEntry:
    """A line as the CSV has it; a village's hangs on its county's."""

    code: str
    name: str
    parent: str
    kbps: int
    provider: str
    circuit: str
    fault_phone: str


@dataclass(frozen=True, slots=True)
class RecorderEntry:
    """A recorder's place in the inventory, before it has an address; `cameras` by channel, from 1."""

    code: str
    name: str
    village: str
    line: str
    scene: str  # what its first channel shows
    cameras: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PointEntry:
    """A planned point; `camera` "" where nobody sees it."""

    code: str
    village: str
    kind: str
    name: str
    longitude: float
    latitude: float
    key_point: bool
    camera: str


@dataclass(frozen=True, slots=True)
class FacilityEntry:
    """A facility; dates are ISO, "" where it was never tested."""

    code: str
    village: str
    kind: str
    name: str
    households: int | None
    installed_on: str
    tested_on: str
    test_passed: str


def line_of(village: str) -> str:
    """The code of a village's line."""
    return f"XL{village}"


def lines(places: Sequence[VillageEntry]) -> list[LineEntry]:
    """A line for each county, then one for each village."""
    counties = sorted({place.region.split("/")[0] for place in places})
    of_county = {name: f"XL{COUNTY_CODE}-{turn}" for turn, name in enumerate(counties, 1)}
    out = [
        LineEntry(code, f"{name}汇聚专线", "", COUNTY_KBPS, PROVIDERS[0], f"DEMO-{turn:02d}-0000", "000-0000")
        for turn, (name, code) in enumerate(of_county.items(), 1)
    ]
    for turn, place in enumerate(places):
        county = of_county[place.region.split("/")[0]]
        provider, circuit = PROVIDERS[turn % len(PROVIDERS)], f"DEMO-{county[-1]:0>2}-{turn + 1:04d}"
        name = f"{place.name}接入专线"
        out.append(LineEntry(line_of(place.code), name, county, VILLAGE_KBPS, provider, circuit, "000-0000"))
    return out


def recorders(seen: Iterable[CameraEntry], places: Sequence[VillageEntry]) -> list[RecorderEntry]:
    """Recorders for `seen` (sorted by village), CHANNELS cameras each."""
    names = {place.code: place.name for place in places}
    out: list[RecorderEntry] = []
    for village, group in groupby(seen, key=lambda camera: camera.village):
        own = list(group)
        for turn, first in enumerate(range(0, len(own), CHANNELS), 1):
            some = own[first : first + CHANNELS]
            code = f"{COUNTY_CODE}0101{NVR}1{len(out) + 1:06d}"
            name, codes = f"{names[village]}{turn}号录像机", tuple(camera.code for camera in some)
            out.append(RecorderEntry(code, name, village, line_of(village), some[0].scene, codes))
    return out


def points(seen: Iterable[CameraEntry], places: Sequence[VillageEntry], rng: random.Random) -> list[PointEntry]:
    """A planned point for every camera of `seen`, and in each village one that no camera fills."""
    out: list[PointEntry] = []
    of_village = {village: list(group) for village, group in groupby(seen, key=lambda camera: camera.village)}
    for turn, place in enumerate(places):
        east, north = turn % 20, turn // 20
        wanted = [
            (POINT_KINDS[camera.scene], camera.name.removeprefix(place.name), camera.code)
            for camera in of_village.get(place.code, [])
        ]
        wanted.append(("其他", UNSEEN_POINTS[turn % len(UNSEEN_POINTS)], ""))
        for number, (kind, name, camera) in enumerate(wanted, 1):
            longitude = LONGITUDE + 0.02 * east + rng.uniform(-0.004, 0.004)
            latitude = LATITUDE + 0.02 * north + rng.uniform(-0.004, 0.004)
            code = f"DW{place.code}-{number:03d}"
            key = kind in KEY_POINTS
            out.append(PointEntry(code, place.code, kind, name, round(longitude, 6), round(latitude, 6), key, camera))
    return out


def facilities(places: Sequence[VillageEntry], today: date, rng: random.Random) -> list[FacilityEntry]:
    """One of each kind in every village: most tested within a year and good, some failed, some never tested."""
    out: list[FacilityEntry] = []
    for place in places:
        for number, (kind, name) in enumerate(FACILITIES, 1):
            installed = today - timedelta(days=rng.randrange(TEST_EVERY_DAYS, 4 * TEST_EVERY_DAYS))
            tested, passed = "", ""
            if rng.random() < 0.9:
                tested = str(today - timedelta(days=rng.randrange(1, TEST_EVERY_DAYS)))
                passed = "yes" if rng.random() < 0.9 else "no"
            households = rng.randrange(place.households // 2, place.households) if kind == "household_alarm" else None
            code = f"SS{place.code}-{number:02d}"
            out.append(FacilityEntry(code, place.code, kind, name, households, str(installed), tested, passed))
    return out
