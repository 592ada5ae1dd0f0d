"""Stage 1: places in the administrative tree as lists write them -> regions, and those that must be made. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from streamwatch.model.inventory import Region

_ADMINISTRATIVE_CODE: Final = re.compile(r"[0-9]{2,12}")  # GB/T 2260 down to the county, 12 digits below


@dataclass(frozen=True, slots=True)
class NewRegion:
    """A region to be made; ids below zero stand for the ids that the store will give. Parents come first."""

    id: int
    code: str
    name: str
    parent: int | None


class Tree:
    """Finds regions by path or code and remembers which are missing."""

    def __init__(self, known: Iterable[Region]) -> None:
        regions = list(known)
        self._by_code = {region.code: region.id for region in regions}
        self._by_name = {region.name: region.id for region in regions}
        self.missing: list[NewRegion] = []

    def find(self, text: str) -> int:
        """The region's id, below zero where it must be made. `text` is a path (县/镇) or a code."""
        found = self._by_name.get(text)
        if found is None and "/" not in text:
            found = self._by_code.get(text)
        return self._make(text) if found is None else found

    def needed(self, used: Iterable[int]) -> list[NewRegion]:
        """The missing regions that are used, and those above them, parents first."""
        missing = {region.id: region for region in self.missing}
        wanted: set[int] = set()
        for id_ in used:
            at: int | None = id_
            while at in missing and at not in wanted:
                wanted.add(at)
                at = missing[at].parent
        return [region for region in self.missing if region.id in wanted]

    def _make(self, path: str) -> int:
        above, slash, _ = path.rpartition("/")
        parent = self.find(above) if slash else None
        id_ = -1 - len(self.missing)  # after the parent took its own
        code = path if _ADMINISTRATIVE_CODE.fullmatch(path) else code_of(path)
        while code in self._by_code:  # of a region that was made from this path and renamed since
            code += "-2"
        self.missing.append(NewRegion(id_, code, path, parent))
        self._by_name[path] = id_
        self._by_code[code] = id_
        return id_


def code_of(path: str) -> str:
    """A code for a region of which the list gives only the path: the same on every machine, fit for addresses."""
    return "r-" + hashlib.sha256(path.encode()).hexdigest()[:12]
