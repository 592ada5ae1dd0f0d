"""Stage 1: one thing changed, made or taken out of service by a person: a list of one line, under all its rules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from streamwatch.errors import UsageError
from streamwatch.inventory.apply import run_import
from streamwatch.inventory.columns import KINDS, VILLAGES
from streamwatch.inventory.lists import parse_file
from streamwatch.inventory.parsed import ImportResult, Rejection
from streamwatch.inventory.particulars import PARTICULARS
from streamwatch.model.scope import Scope
from streamwatch.secrets import Sealer
from streamwatch.store.handles import Connection
from streamwatch.store.inventory import list_cameras
from streamwatch.store.inventory_changes import all_regions, remove_row, rows_by_code, villages_within

LINE: Final = 1  # of a list that has no other


async def edit(
    conn: Connection,
    sealer: Sealer,
    kind: str,
    code: str,
    values: Mapping[str, Any],
    *,
    create: bool,
    now_us: int,
    scope: Scope,
) -> ImportResult:
    """Makes the thing with that code, or changes it: what `values` does not name stays, a None in it says "none".

    `values` are columns of the kind's list: texts, numbers, booleans or None; villages and regions by code. A refusal
    is a rejection of the result and nothing is written: `exists` and `unknown` say that the code is there already, or
    is not. `conn` is a transaction of the writer. Raises UsageError for another kind.
    """
    stored = (await rows_by_code(conn, _table(kind), [code])).get(code)
    if stored is not None and create and stored["removed_us"] is None:
        return _refused("exists", code, "this code is in use; change what has it, or give a code of its own")
    if stored is None and not create:
        return _refused("unknown", code, "nothing has this code")
    said = {**({} if create or stored is None else await _required(conn, kind, stored, values)), **values}
    if said.get("username", "") is None and "password" not in said:
        said["password"] = None  # a password without a name is nobody's
    file = parse_file(json.dumps({"code": code, **said}).encode(), kind)
    meant = file.rows[0].values[file.columns.index("code")] if file.rows else code
    if meant != code:  # read as something else, as a list's would be: here it is to be said as it is
        return _refused("bad_code", code, f"write it as {meant}")
    return await run_import(conn, sealer, kind, file, now_us=now_us, dry_run=False, on_error="stop", scope=scope)


async def remove(conn: Connection, kind: str, code: str, now_us: int, scope: Scope) -> ImportResult:
    """Ends the time in service of the thing with that code: its history stays, its code is never used again.

    What is out of service already is left as it is. A village goes last: `in_use` while it has cameras in service.
    """
    rows = await rows_by_code(conn, _table(kind), [code])
    if code not in rows:
        return _refused("unknown", code, "nothing has this code")
    if kind == VILLAGES and await list_cameras(conn, scope, limit=1, village=code):
        return _refused("in_use", code, "it has cameras in service: move them, or take them out of service first")
    return ImportResult(changed=int(await remove_row(conn, _table(kind), code, now_us)))


async def _required(
    conn: Connection, kind: str, stored: Mapping[str, Any], values: Mapping[str, Any]
) -> dict[str, Any]:
    """The columns that a list must have, as they are stored."""
    found: dict[str, Any] = {}
    for column in KINDS[kind].columns:
        if not column.required or column.name in values:
            continue
        value = stored[column.name]
        if column.name == "village":
            codes = {number: code for number, code, *_ in await villages_within(conn, Scope(None))}
            value = codes[value]
        elif column.name == "region":
            value = next(region.name for region in await all_regions(conn) if region.id == value)
        found[column.name] = value
    return found


def _table(kind: str) -> str:
    rules = PARTICULARS.get(kind)
    if rules is None:
        raise UsageError(f"there are no {kind}; name one of {', '.join(PARTICULARS)}")
    return rules.table


def _refused(reason: str, code: str, remedy: str) -> ImportResult:
    rejection = Rejection(LINE, "code", code, reason, remedy)
    return ImportResult(rejected=(rejection,), rejected_total=1, stopped=True)
