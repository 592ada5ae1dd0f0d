"""Stage 1: where a line belongs: its village or region, as far as whoever imports may see. Pure.

What lies outside the importer's regions is like what does not exist; only that its code is taken must be told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from streamwatch.inventory.parsed import Rejection
from streamwatch.inventory.tree import NewRegion, Tree


class Villages:
    """Villages by code or unique name. Removed ones are known, but nothing can be put there."""

    def __init__(self, villages: Iterable[tuple[int, str, str, bool]]) -> None:
        """`villages`: id, code, name, whether it is there still."""
        self._ids: set[int] = set()
        self._by_code: dict[str, int] = {}
        self._by_name: dict[str, list[int]] = {}
        for id_, code, name, there in villages:
            self._ids.add(id_)
            if there:
                self._by_code[code] = id_
                self._by_name.setdefault(name, []).append(id_)

    def __contains__(self, village: object) -> bool:
        return village in self._ids

    def has(self, text: str) -> bool:
        """Whether a village goes by that code or name."""
        return text in self._by_code or text in self._by_name

    def find(self, line: int, text: str) -> int | Rejection:
        """The id of the village that a line names."""
        found = self._by_code.get(text)
        if found is not None:
            return found
        named = self._by_name.get(text, ())
        if len(named) == 1:
            return named[0]
        if named:
            remedy = f"{len(named)} villages have this name; give the code of the right one"
            return Rejection(line, "village", text, "ambiguous_village", remedy)
        remedy = "no village has this code or name; import villages first, or correct it"
        return Rejection(line, "village", text, "unknown_village", remedy)


class Regions:
    """Regions by path or code; missing ones are made, for those who see only some of them below what they see."""

    def __init__(self, tree: Tree, seen: Collection[int] | None) -> None:
        """`seen`: ids of the importer's regions; None: all."""
        self._tree = tree
        self._seen = seen

    def sees(self, region: int) -> bool:
        """Whether a region, or the one below which it is to be made, is the importer's."""
        if self._seen is None:
            return True
        at: int | None = region
        while at is not None and at < 0:
            at = self._tree.missing[-1 - at].parent
        return at in self._seen

    def find(self, line: int, text: str) -> int | Rejection:
        """The id of the region that a line names, below zero where it must be made."""
        found = self._tree.find(text)
        if self.sees(found):
            return found
        remedy = "none of your regions has this path or code; give one of them, or one below"
        return Rejection(line, "region", text, "unknown_region", remedy)

    def needed(self, used: Iterable[int]) -> list[NewRegion]:
        """The regions to be made for those that are used, parents first."""
        return self._tree.needed(used)
