"""Stage 1: what the lines of a list name by code: a recorder, a line, a camera.

Lists arrive in any order, so an unknown code is taken and remarked. Refused is only what could never become right: a
loop of parents, and what belongs to somebody else's regions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from streamwatch.inventory.columns import LINES, POINTS
from streamwatch.inventory.parsed import ParsedFile, Rejection
from streamwatch.inventory.particulars import PARTICULARS
from streamwatch.inventory.places import Villages
from streamwatch.store.handles import Connection
from streamwatch.store.inventory_changes import Named, filled_points, line_parents, named_by_code

Row = dict[str, Any]

# By table, which is also the word for it in a message. A line is in no region, so it is nobody's.
UNKNOWN: Final = {"line": "unknown_line", "recorder": "unknown_recorder", "camera": "unknown_camera"}
FOREIGN: Final = {"recorder": "foreign_recorder", "camera": "foreign_camera"}


class References:
    """The references of one list. `learn` before a batch is judged."""

    def __init__(self, file: ParsedFile, villages: Villages, linked: Mapping[str, str]) -> None:
        """`linked`: of a list of lines the parents, of one of points the cameras, that the store has; else nothing."""
        self._names = PARTICULARS[file.kind].names
        self._villages = villages
        self._known: dict[str, dict[str, Named | None]] = {table: {} for table in self._names.values()}
        self._own: frozenset[str] = frozenset()
        self._looped: set[str] = set()
        self._fillers: dict[str, list[str]] = {}
        if file.kind == LINES:
            self._own = frozenset(_column(file, "code"))
            self._looped = looped(_after(file, "parent", linked))
        elif file.kind == POINTS:
            for code, camera in _after(file, "camera", linked).items():
                self._fillers.setdefault(camera, []).append(code)

    @classmethod
    async def open(cls, conn: Connection, file: ParsedFile, villages: Villages) -> References:
        """The references of a list, beside what the store has."""
        linked: Mapping[str, str] = {}
        if file.kind == LINES:
            linked = await line_parents(conn)
        elif file.kind == POINTS:
            linked = await filled_points(conn)
        return cls(file, villages, linked)

    async def learn(self, conn: Connection, rows: Iterable[Row]) -> None:
        """Looks up what some lines (at most BATCH) name."""
        batch = list(rows)
        for column, table in self._names.items():
            known = self._known[table]
            asked = {row[column] for row in batch if row.get(column) is not None} - known.keys()
            if asked:
                known.update(dict.fromkeys(asked), **await named_by_code(conn, table, sorted(asked)))

    def recorder(self, code: str) -> Named | None:
        """The recorder that a line names; None where there is none that the importer sees."""
        found = self._known["recorder"].get(code)
        return found if found is not None and found.village in self._villages else None

    def refusal(self, line: int, values: Row) -> Rejection | None:
        """Why a line cannot be taken for what it names."""
        if values["code"] in self._looped and values.get("parent") is not None:
            remedy = "its parents lead back to it; correct which line hangs on which"
            return Rejection(line, "parent", values["parent"], "parent_loop", remedy)
        for column, table in self._names.items():
            found = self._known[table].get(values.get(column) or "")
            if found is not None and found.village is not None and found.village not in self._villages:
                remedy = f"this {table} is in none of your regions; give one that is"
                return Rejection(line, column, values[column], FOREIGN[table], remedy)
        return None

    def remarks(self, line: int, values: Row) -> Iterator[Rejection]:
        """What should be put right about a line that is taken."""
        for column, table in self._names.items():
            code = values.get(column)
            if code is None:
                continue
            found = self._known[table].get(code)
            if found is None and not (table == "line" and code in self._own):
                remedy = f"no {table} has this code; import {table}s first, or correct it"
                yield Rejection(line, column, code, UNKNOWN[table], remedy)
            others = [point for point in self._fillers.get(code, ()) if point != values["code"]]
            if others:
                remedy = f"point {others[0]} names the same camera; give each point a camera of its own"
                yield Rejection(line, column, code, "shared_camera", remedy)
            if self._fillers and found is not None and found.village != values["village"]:
                remedy = "the camera is in another village than the point; correct one of the two"
                yield Rejection(line, column, code, "other_village", remedy)


def looped(parents: Mapping[str, str]) -> set[str]:
    """The codes from which parents lead back to themselves. Takes one step a code, however long the chains are."""
    found: set[str] = set()
    done: set[str] = set()
    for begin in parents:
        walked: dict[str, int] = {}
        at: str | None = begin
        while at is not None and at not in done and at not in walked:
            walked[at] = len(walked)
            at = parents.get(at)
        if at in walked:
            found.update(code for code, step in walked.items() if step >= walked[at])
        done.update(walked)
    return found


def _after(file: ParsedFile, column: str, stored: Mapping[str, str]) -> dict[str, str]:
    """`stored` as the list will leave it; codes without a value are left out."""
    after = dict(stored)
    if column in file.columns:
        for code, value in zip(_column(file, "code"), _column(file, column), strict=True):
            if value is not None:
                after[code] = value
            elif column not in file.quiet:
                after.pop(code, None)
    return after


def _column(file: ParsedFile, name: str) -> Iterator[Any]:
    at = file.columns.index(name)
    return (row.values[at] for row in file.rows)
