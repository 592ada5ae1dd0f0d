"""Invented villages and their cameras: names and codes."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import overload

# No county has this code: provinces end at 82. Names are put together here; where one exists, it is by chance.
COUNTY_CODE = "990101"
REGIONS = ("青河县/双河镇", "青河县/柳林镇", "青河县/石桥乡", "望溪县/清泉镇", "望溪县/松岭乡", "望溪县/云台镇")
# Counties with more villages than names of two syllables have more towns, and more names.
MORE_REGIONS = (
    *REGIONS,
    "青河县/桃源镇", "青河县/长堤镇", "青河县/白塔乡", "青河县/沙洲镇", "青河县/竹园乡", "青河县/北桥镇",
    "望溪县/梅山镇", "望溪县/石门乡", "望溪县/东岗镇", "望溪县/平湖镇", "望溪县/凤林乡", "望溪县/古渡镇",
)  # fmt: skip
_BEFORE = ("", "上", "下", "前", "后", "东", "西")
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
_NAMES = len(_FIRST) * len(_SECOND)
MAX_VILLAGES = len(_BEFORE) * _NAMES
CODE = f"{COUNTY_CODE}01" + "01" + "132" + "1"  # of a camera, before its serial
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
    regions = REGIONS if count <= _NAMES else MORE_REGIONS
    names = []
    for before in _BEFORE[: -(-count // _NAMES)]:
        some = [before + first + second + "村" for first in _FIRST for second in _SECOND]
        rng.shuffle(some)
        names += some
    out = []
    for index, name in enumerate(names[:count]):
        township = index % len(regions)
        code = f"{COUNTY_CODE}{101 + township}{200 + index // len(regions)}"
        out.append(VillageEntry(code, name, regions[township], rng.randrange(120, 900)))
    return out


class Cameras(Sequence[CameraEntry]):
    """`count` cameras, every village with one at least, the rest by the villages' weight. Few bytes each: an entry is
    made when it is asked for, and always the same."""

    def __init__(self, count: int, among: Sequence[VillageEntry], rng: random.Random) -> None:
        weights = [rng.uniform(0.6, 1.4) for _ in among]
        homes = Counter(rng.choices(range(len(among)), weights, k=max(0, count - len(among))))
        homes.update(range(min(count, len(among))))
        self._homes = sorted((among[index] for index in homes), key=lambda village: village.code)
        of_code = {among[index].code: number for index, number in homes.items()}
        self._firsts = [0, *accumulate(of_code[home.code] for home in self._homes)]
        self._kinds = bytes(rng.choices(range(len(KINDS)), k=count))
        self.marks: dict[int, str] = {}  # what is unusual stands behind a name, for a newcomer to see
        self.smart: dict[int, float] = {}

    def __len__(self) -> int:
        return self._firsts[-1]

    @overload
    def __getitem__(self, index: int) -> CameraEntry: ...
    @overload
    def __getitem__(self, index: slice) -> list[CameraEntry]: ...
    def __getitem__(self, index: int | slice) -> CameraEntry | list[CameraEntry]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        place = bisect_right(self._firsts, index) - 1
        home = self._homes[place]
        turn, where = divmod(index - self._firsts[place], len(PLACES))
        spot, scene = PLACES[where]
        number = f"{turn + 1}号" if turn else ""
        name = f"{home.name}{spot}{number}{KINDS[self._kinds[index]]}{self.marks.get(index, '')}"
        return CameraEntry(f"{CODE}{index + 1:06d}", name, home.code, scene, self.smart.get(index))

    @property
    def scenes(self) -> set[str]:
        """The views that there are."""
        largest = max(after - first for first, after in pairwise(self._firsts))
        return {scene for _, scene in PLACES[:largest]}

    def find(self, code: str) -> int | None:
        """Which one has this code."""
        serial = code.removeprefix(CODE)
        if len(serial) != 6 or not serial.isascii() or not serial.isdigit() or not code.startswith(CODE):
            return None
        return int(serial) - 1 if 1 <= int(serial) <= len(self) else None
