"""Stage 1: a ParsedFile -> the store, in the caller's transaction. First everything is compared, then it is written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from streamwatch.errors import ConfigError, UsageError
from streamwatch.inventory.carried import give_address, is_carried
from streamwatch.inventory.columns import CAMERAS, KINDS, LINES, VILLAGES
from streamwatch.inventory.difference import Difference, Row, Said, compare, hidden
from streamwatch.inventory.parsed import (
    MAX_CHANGES,
    MAX_REJECTIONS,
    MAX_REMARKS,
    Change,
    ImportResult,
    ParsedFile,
    ParsedRow,
    Rejection,
)
from streamwatch.inventory.particulars import PARTICULARS
from streamwatch.inventory.places import Regions, Villages
from streamwatch.inventory.references import References
from streamwatch.inventory.tree import Tree
from streamwatch.model.inventory import Secret
from streamwatch.model.scope import EVERYTHING, Scope
from streamwatch.secrets import Sealer
from streamwatch.store.handles import Connection
from streamwatch.store.inventory_changes import (
    BATCH,
    all_regions,
    insert_region,
    insert_rows,
    regions_within,
    rows_by_code,
    update_rows,
    villages_within,
)
from streamwatch.store.stays import Move, note_moves

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
    scope: Scope = EVERYTHING,
    progress: Callable[[int], None] | None = None,
) -> ImportResult:
    """Brings the store to what a list says and tells what that changed; `conn` is a transaction of the writer.

    Nothing is written where `dry_run`, or where `on_error` is "stop" and any line is refused. Objects that the list
    does not name are left alone; with `create_only` also those that it names and the store has, villages also by their
    name. Nothing outside `scope` is changed or told of. `progress` is told of every batch of lines that was compared.
    126,000 new cameras take about 5 s. Raises UsageError for another kind of list, and for lines from somebody who does
    not see everything.
    """
    if kind not in KINDS or rows.kind != kind:
        raise UsageError(f"this is a list of {rows.kind}, not of {kind}; name the kind that it is")
    if kind == LINES and scope != EVERYTHING:
        raise UsageError("lines belong to no region: only who may see everything can import them")
    work = await _begin(conn, sealer, rows, scope, create_only=create_only)
    total = Difference(rejected=list(rows.rejected))
    refused = rows.rejected_total
    remarks = list(rows.remarks)
    remarked = rows.remarks_total
    counted = {remark.line for remark in rows.remarks}
    async for lines, part, noted in _differences(conn, work, rows, now_us):
        if progress is not None:
            progress(lines)
        total.created += part.created
        total.changed += [] if create_only else part.changed
        total.unchanged += part.unchanged + (len(part.changed) if create_only else 0)
        refused += len(part.rejected)
        total.rejected += part.rejected[: max(0, MAX_REJECTIONS - len(total.rejected))]
        remarked += len({remark.line for remark in noted} - counted)
        remarks += noted[: max(0, MAX_REMARKS - len(remarks))]
    stopped = on_error == "stop" and refused > 0
    if not dry_run and not stopped:
        await _write(conn, work, total, now_us)
    return ImportResult(
        created=0 if stopped else len(total.created),
        changed=0 if stopped else len(total.changed),
        unchanged=total.unchanged,
        rejected=tuple(sorted(total.rejected, key=lambda bad: bad.line)),
        rejected_total=refused,
        remarks=tuple(sorted(remarks, key=lambda remark: remark.line)),
        remarks_total=remarked,
        changes=() if stopped else tuple(Change(item.row["code"], item.fields) for item in total.changed[:MAX_CHANGES]),
        dry_run=dry_run,
        stopped=stopped,
    )


@dataclass(slots=True)
class _Work:
    """What judging the lines of one list takes; PARTICULARS says what of it the kind needs."""

    kind: str
    sealer: Sealer
    villages: Villages
    regions: Regions
    references: References
    new_names_only: bool = False  # of villages: one that the store has by name is not made again by its name

    def resolve(self, line: int, values: Row) -> Said | Rejection:
        """The line with ids in the place of names, and its password hidden."""
        if self.kind == VILLAGES:
            place = self.regions.find(line, values["region"])
            column = "region"
        elif PARTICULARS[self.kind].placed:
            place = self.villages.find(line, values["village"])
            column = "village"
        else:
            return self.references.refusal(line, values) or Said(line, values)
        if isinstance(place, Rejection):
            return place
        values[column] = place
        refused = self.references.refusal(line, values)
        if refused is None and self.kind == CAMERAS and is_carried(values):
            refused = give_address(line, values, self.references.recorder(values["recorder"]))
        if refused is not None:
            return refused
        if "password" in values:
            values["password"] = hidden(values["password"])
        return Said(line, values)

    def ours(self, row: Row) -> bool:
        """Whether a stored row is the importer's to change."""
        if self.kind == VILLAGES:
            return self.regions.sees(row["region"])
        return not PARTICULARS[self.kind].placed or row["village"] in self.villages

    def opened(self, row: Row) -> Row:
        """A stored row with its password as a Secret."""
        owner = PARTICULARS[self.kind].owner
        if owner is not None:
            sealed = row["password_sealed"]
            try:
                row["password"] = None if sealed is None else self.sealer.unseal(row["code"], sealed, owner)
            except ConfigError:
                row["password"] = UNREADABLE  # the key is lost: the list's password takes its place
        return row

    def closed(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Rows fit for the store; each is sealed right before it is written, so that the loop breathes between."""
        owner = PARTICULARS[self.kind].owner
        if owner is None:
            yield from rows
            return
        for row in rows:
            password = row.pop("password", None)
            if password is not UNREADABLE:  # where the list says nothing, what is sealed stays as it is
                row["password_sealed"] = None if password is None else self.sealer.seal(row["code"], password, owner)
            yield row


async def _begin(conn: Connection, sealer: Sealer, file: ParsedFile, scope: Scope, *, create_only: bool) -> _Work:
    everything = scope == EVERYTHING
    villages = Villages(await villages_within(conn, scope))
    return _Work(
        kind=file.kind,
        sealer=sealer,
        villages=villages,
        regions=Regions(
            Tree(await all_regions(conn) if file.kind == VILLAGES else ()),
            None if everything else await regions_within(conn, scope),
        ),
        references=await References.open(conn, file, villages),
        new_names_only=create_only and file.kind == VILLAGES,
    )


async def _differences(
    conn: Connection, work: _Work, file: ParsedFile, now_us: int
) -> AsyncIterator[tuple[int, Difference, list[Rejection]]]:
    """The difference of each batch, of how many lines that is, and what is remarked about those that are taken."""
    table = PARTICULARS[work.kind].table
    for at in range(0, len(file.rows), BATCH):
        batch = [(row.line, _values(file, row)) for row in file.rows[at : at + BATCH]]
        await work.references.learn(conn, (values for _, values in batch))
        said: list[Said] = []
        refused: list[Rejection] = []
        known = 0
        for line, values in batch:
            if work.new_names_only and work.villages.has(values["code"]):
                known += 1
                continue
            found = work.resolve(line, values)
            if isinstance(found, Said):
                said.append(found)
            else:
                refused.append(found)
        stored = await rows_by_code(conn, table, [item.values["code"] for item in said])
        part = compare(work.kind, said, {code: work.opened(row) for code, row in stored.items()}, now_us, work.ours)
        out = {bad.line for bad in part.rejected}
        part.rejected += refused
        part.unchanged += known
        noted = [
            remark
            for item in said
            if item.line not in out
            for remark in work.references.remarks(item.line, item.values)
        ]
        yield len(batch), part, noted


def _values(file: ParsedFile, row: ParsedRow) -> dict[str, Any]:
    values = dict(zip(file.columns, row.values, strict=True))
    for name in file.quiet:
        if values[name] is None:
            del values[name]
    return values


async def _write(conn: Connection, work: _Work, total: Difference, now_us: int) -> None:
    """Writes batch by batch."""
    if work.kind == VILLAGES:
        await _make_regions(conn, work.regions, [*total.created, *(item.row for item in total.changed)])
    table = PARTICULARS[work.kind].table
    for at in range(0, len(total.created), BATCH):
        await insert_rows(conn, table, list(work.closed(total.created[at : at + BATCH])))
    for at in range(0, len(total.changed), BATCH):
        await update_rows(conn, table, list(work.closed(item.row for item in total.changed[at : at + BATCH])))
    if table == "camera":
        moved = [Move(item.row["id"], item.leaves, now_us) for item in total.changed if item.leaves is not None]
        await note_moves(conn, moved)


async def _make_regions(conn: Connection, regions: Regions, rows: Sequence[Row]) -> None:
    made: dict[int, int] = {}
    for region in regions.needed(row["region"] for row in rows):
        parent = region.parent if region.parent is None else made.get(region.parent, region.parent)
        made[region.id] = await insert_region(conn, region.code, region.name, parent)
    for row in rows:
        row["region"] = made.get(row["region"], row["region"])
