"""Stage 1: a ParsedFile -> the store, in the caller's transaction. First everything is compared, then it is written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from streamwatch.errors import ConfigError, UsageError
from streamwatch.inventory.columns import CAMERAS, KINDS, VILLAGES
from streamwatch.inventory.difference import Difference, Row, Said, compare, hidden
from streamwatch.inventory.parsed import (
    MAX_CHANGES,
    MAX_REJECTIONS,
    Change,
    ImportResult,
    ParsedFile,
    ParsedRow,
    Rejection,
)
from streamwatch.inventory.tree import Tree
from streamwatch.model.inventory import Secret
from streamwatch.secrets import Sealer
from streamwatch.store.handles import Connection
from streamwatch.store.inventory_changes import (
    BATCH,
    all_regions,
    insert_region,
    insert_rows,
    rows_by_code,
    update_rows,
    village_names,
)

TABLES: Final[Mapping[str, str]] = {VILLAGES: "village", CAMERAS: "camera"}
UNREADABLE: Final = Secret("\0unreadable")  # equals no password of a list: cells have no control characters


async def run_import(
    conn: Connection,
    sealer: Sealer,
    kind: str,
    rows: ParsedFile,
    *,
    now_us: int,
    dry_run: bool,
    on_error: Literal["skip", "stop"],
    create_only: bool = False,
    progress: Callable[[int], None] | None = None,
) -> ImportResult:
    """Brings the store to what a list says and tells what that changed; `conn` is a transaction of the writer.

    Nothing is written where `dry_run`, or where `on_error` is "stop" and any line is refused. Objects that the list
    does not name are left alone, with `create_only` also those that it names and the store has. `progress` is told of
    every batch of lines that was compared. 126,000 new cameras take about 5 s. Raises UsageError for another kind of
    list.
    """
    if kind not in KINDS or rows.kind != kind:
        raise UsageError(f"this is a list of {rows.kind}, not of {kind}; name the kind that it is")
    work = _Villages(Tree(await all_regions(conn))) if kind == VILLAGES else _Cameras(await village_names(conn), sealer)
    total = Difference(rejected=list(rows.rejected))
    refused = rows.rejected_total
    async for lines, part in _differences(conn, work, rows, now_us):
        if progress is not None:
            progress(lines)
        total.created += part.created
        total.changed += [] if create_only else part.changed
        total.unchanged += part.unchanged + (len(part.changed) if create_only else 0)
        refused += len(part.rejected)
        total.rejected += part.rejected[: max(0, MAX_REJECTIONS - len(total.rejected))]
    stopped = on_error == "stop" and refused > 0
    if not dry_run and not stopped:
        await _write(conn, work, total)
    return ImportResult(
        created=0 if stopped else len(total.created),
        changed=0 if stopped else len(total.changed),
        unchanged=total.unchanged,
        rejected=tuple(sorted(total.rejected, key=lambda bad: bad.line)),
        rejected_total=refused,
        changes=() if stopped else tuple(Change(item.row["code"], item.fields) for item in total.changed[:MAX_CHANGES]),
        dry_run=dry_run,
        stopped=stopped,
    )


@dataclass(slots=True)
class _Villages:
    """What is particular to villages: their region, which may have to be made."""

    tree: Tree
    kind: str = VILLAGES

    def resolve(self, line: int, values: Row) -> Said | Rejection:
        values["region"] = self.tree.find(values["region"])
        return Said(line, values)

    def opened(self, row: Row) -> Row:
        return row

    def closed(self, rows: Iterable[Row]) -> Iterator[Row]:
        return iter(rows)


@dataclass(slots=True)
class _Cameras:
    """What is particular to cameras: their village, by code or unique name, and their sealed password."""

    names: Sequence[tuple[int, str, str]]
    sealer: Sealer
    kind: str = CAMERAS
    _by_code: dict[str, int] = field(init=False)
    _by_name: dict[str, list[int]] = field(init=False)

    def __post_init__(self) -> None:
        self._by_code = {code: id_ for id_, code, _ in self.names}
        self._by_name = {}
        for id_, _, name in self.names:
            self._by_name.setdefault(name, []).append(id_)

    def resolve(self, line: int, values: Row) -> Said | Rejection:
        text = values["village"]
        found = self._by_code.get(text)
        if found is None:
            named = self._by_name.get(text, [])
            if len(named) > 1:
                remedy = f"{len(named)} villages have this name; give the code of the right one"
                return Rejection(line, "village", text, "ambiguous_village", remedy)
            if not named:
                remedy = "no village has this code or name; import villages first, or correct it"
                return Rejection(line, "village", text, "unknown_village", remedy)
            found = named[0]
        values["village"] = found
        if "password" in values:
            values["password"] = hidden(values["password"])
        return Said(line, values)

    def opened(self, row: Row) -> Row:
        sealed = row["password_sealed"]
        try:
            row["password"] = None if sealed is None else self.sealer.unseal(row["code"], sealed)
        except ConfigError:
            row["password"] = UNREADABLE  # the key is lost: the list's password takes its place
        return row

    def closed(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            password = row.pop("password")
            if password is not UNREADABLE:  # where the list says nothing, what is sealed stays as it is
                row["password_sealed"] = None if password is None else self.sealer.seal(row["code"], password)
            yield row


_Work = _Villages | _Cameras


async def _differences(
    conn: Connection, work: _Work, file: ParsedFile, now_us: int
) -> AsyncIterator[tuple[int, Difference]]:
    """The difference of each batch, and of how many lines that is."""
    table = TABLES[work.kind]
    for at in range(0, len(file.rows), BATCH):
        said: list[Said] = []
        refused: list[Rejection] = []
        batch = file.rows[at : at + BATCH]
        for row in batch:
            found = work.resolve(row.line, _values(file, row))
            if isinstance(found, Said):
                said.append(found)
            else:
                refused.append(found)
        stored = await rows_by_code(conn, table, [item.values["code"] for item in said])
        part = compare(work.kind, said, {code: work.opened(row) for code, row in stored.items()}, now_us)
        part.rejected += refused
        yield len(batch), part


def _values(file: ParsedFile, row: ParsedRow) -> dict[str, Any]:
    values = dict(zip(file.columns, row.values, strict=True))
    for name in file.quiet:
        if values[name] is None:
            del values[name]
    return values


async def _write(conn: Connection, work: _Work, total: Difference) -> None:
    """Writes batch by batch; rows of a batch are sealed right before it, so that the loop breathes between."""
    if isinstance(work, _Villages):
        await _make_regions(conn, work.tree, [*total.created, *(item.row for item in total.changed)])
    table = TABLES[work.kind]
    for at in range(0, len(total.created), BATCH):
        await insert_rows(conn, table, list(work.closed(total.created[at : at + BATCH])))
    for at in range(0, len(total.changed), BATCH):
        await update_rows(conn, table, list(work.closed(item.row for item in total.changed[at : at + BATCH])))


async def _make_regions(conn: Connection, tree: Tree, rows: Sequence[Row]) -> None:
    made: dict[int, int] = {}
    for region in tree.needed(row["region"] for row in rows):
        parent = region.parent if region.parent is None else made.get(region.parent, region.parent)
        made[region.id] = await insert_region(conn, region.code, region.name, parent)
    for row in rows:
        row["region"] = made.get(row["region"], row["region"])
