"""Invented villages and their cameras: names and codes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

# No county has this code: provinces end at 82. Names are put together here; where one exists, it is by chance.
COUNTY_CODE = "990101"
REGIONS = ("青河县/双河镇", "青河县/柳林镇", "青河县/石桥乡", "望溪县/清泉镇", "望溪县/松岭乡", "望溪县/云台镇")
_FIRST = "青石柳白桃松云竹银梨枫槐金长杏禾"
_SECOND = "溪桥塘湾岭坪泉坡河井沟台庄滩店洼"
# Where cameras hang, and the view that they have there.
PLACES: tuple[tuple[str, str], ...] = (
    ("村口东", "gate"), ("村口西", "gate"), ("文化广场", "square"), ("主干道", "road"), ("村委会门前", "square"),
    ("南河堤", "river"), ("北巷", "lane"), ("东田头", "field"), ("小学路口", "road"), ("果园边", "field"),
    ("老桥头", "river"), ("西巷", "lane"), ("停车场", "gate"), ("晒谷场", "field"), ("卫生室门口", "square"),
    ("环村路", "road"), ("水塘边", "river"), ("祠堂巷", "lane"),
)  # fmt: skip
KINDS = ("枪机", "球机", "半球")
MAX_VILLAGES = len(_FIRST) * len(_SECOND)
MAX_CAMERAS = 999_999  # six digits of serial


@dataclass(frozen=True, slots=True)
class VillageEntry:
    """A village as the CSV has it; its 12-digit code is county 6, township 3, village 3 (2xx: 村委会)."""

    code: str
    name: str
    region: str
    households: int


@dataclass(frozen=True, slots=True)
class CameraEntry:
    """A camera's place in the inventory, before it has an address. `code` has 20 digits (GB/T 28181 annex E)."""

    code: str
    name: str
    village: str
    scene: str
    smart_s: float | None = None  # between two key frames, where they are rare


def villages(count: int, rng: random.Random) -> list[VillageEntry]:
    """`count` villages with names of their own, spread over the regions."""
    names = [first + second + "村" for first in _FIRST for second in _SECOND]
    rng.shuffle(names)
    out = []
    for index, name in enumerate(names[:count]):
        township = index % len(REGIONS)
        code = f"{COUNTY_CODE}{101 + township}{200 + index // len(REGIONS)}"
        out.append(VillageEntry(code, name, REGIONS[township], rng.randrange(120, 900)))
    return out


def cameras(count: int, among: Sequence[VillageEntry], rng: random.Random) -> list[CameraEntry]:
    """`count` cameras; every village gets one at least, the rest by the villages' weight."""
    weights = [rng.uniform(0.6, 1.4) for _ in among]
    homes = [*among[:count], *rng.choices(among, weights, k=max(0, count - len(among)))]
    homes.sort(key=lambda village: village.code)
    out: list[CameraEntry] = []
    index = 0
    for serial, home in enumerate(homes, 1):
        index = index + 1 if out and out[-1].village == home.code else 0
        turn, place = divmod(index, len(PLACES))
        where, scene = PLACES[place]
        number = f"{turn + 1}号" if turn else ""
        code = f"{COUNTY_CODE}01" + "01" + "132" + "1" + f"{serial:06d}"
        out.append(CameraEntry(code, f"{home.name}{where}{number}{rng.choice(KINDS)}", home.code, scene))
    return out
