"""Stage 1: what a list says against what the store has -> what must change. Pure.

What a list does not say stays: a column that is missing, a camera that is not in it. An empty cell says "none", except
the password's beside a user name: lists that were exported from here hold no passwords, and must not wipe them out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any, Final
from zoneinfo import ZoneInfo

from streamwatch.clock import from_datetime, to_datetime
from streamwatch.inventory.addresses import ALL_SCHEMES, split_address
from streamwatch.inventory.columns import CAMERAS
from streamwatch.inventory.parsed import MASKED, Rejection
from streamwatch.inventory.particulars import PARTICULARS
from streamwatch.model.inventory import Secret

HOME: Final = ZoneInfo("Asia/Shanghai")  # days of a list are the villages' own

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """One line of a list, resolved: `village` and `region` are ids, `password` a Secret."""

    line: int
    values: Row


@dataclass(frozen=True, slots=True)
class Changed:
    """An object that differs: its row as it should be, whole, the columns in which it differs, and the village that it
    leaves, if any."""

    row: Row
    fields: tuple[str, ...]
    leaves: int | None = None


@dataclass(slots=True)
class Difference:
    """What must be done. New rows lack an id."""

    created: list[Row] = field(default_factory=list)
    changed: list[Changed] = field(default_factory=list)
    unchanged: int = 0
    rejected: list[Rejection] = field(default_factory=list)


def compare(
    kind: str,
    said: Iterable[Said],
    stored: Mapping[str, Row],
    now_us: int,
    ours: Callable[[Row], bool] = lambda _: True,
) -> Difference:
    """The difference of some lines. `stored` has whole rows by code; those with a login have `password` as a Secret.

    `ours`: whether a stored row is the importer's to change.
    """
    found = Difference()
    today = to_datetime(now_us).astimezone(HOME).date().isoformat()
    for item in said:
        before = stored.get(item.values["code"])
        refused = _refusal(kind, item, before, today, ours)
        if refused is not None:
            found.rejected.append(refused)
        elif before is None:
            found.created.append(_new(kind, item.values, now_us))
        else:
            _changed(kind, item.values, before, found)
    return found


def day_begins_us(day: str) -> int:
    """Midnight at home at the beginning of an ISO date, in microseconds UTC."""
    return from_datetime(datetime.combine(date.fromisoformat(day), time(), HOME))


def _new(kind: str, values: Row, now_us: int) -> Row:
    row: Row = {**values, "created_us": now_us, "removed_us": None}
    if kind == CAMERAS:
        installed = values.get("installed_on")
        row["installed_us"] = now_us if installed is None else day_begins_us(installed)
    return row


def _changed(kind: str, values: Row, before: Row, found: Difference) -> None:
    after = {**before, **values}
    if PARTICULARS[kind].owner is not None and _keeps_password(values, before):
        after["password"] = before["password"]
    if kind == CAMERAS and after["installed_on"] != before["installed_on"]:
        installed = after["installed_on"]
        after["installed_us"] = before["created_us"] if installed is None else day_begins_us(installed)
    fields = tuple(name for name in values if after[name] != before[name])
    if fields:
        leaves = before["village"] if "village" in fields else None
        found.changed.append(Changed(after, fields, leaves))
    else:
        found.unchanged += 1


def _keeps_password(values: Row, before: Row) -> bool:
    """Whether the line says nothing about the password."""
    if "password" not in values:
        return True
    return values["password"] is None and values.get("username", before["username"]) is not None


def _refusal(kind: str, item: Said, before: Row | None, today: str, ours: Callable[[Row], bool]) -> Rejection | None:
    """What only the store or the day can tell about a line."""
    rules = PARTICULARS[kind]
    for column in rules.days:
        day = item.values.get(column)
        if day is not None and day > today:
            return Rejection(item.line, column, day, "in_future", "give a day that has begun")
    if rules.owner is not None and item.values.get("url", before and before["url"]) is None:
        return Rejection(item.line, "url", "", "missing", "give url, or recorder and recorder_channel")
    if before is None:
        return None
    if not ours(before):
        remedy = "something in other regions than yours has this code; give a code of its own"
        return Rejection(item.line, "code", before["code"], "taken", remedy)
    if before["removed_us"] is not None:
        remedy = "this code was taken out of service; give the new one a code of its own"
        return Rejection(item.line, "code", before["code"], "removed", remedy)
    return None if rules.owner is None else _moved(item, before)


def _moved(item: Said, before: Row) -> Rejection | None:
    """A password is sent only to the host that it was given for (reliability, rule 12)."""
    values = item.values
    url: str = values["url"] if "url" in values else before["url"]
    sub_url: str | None = values.get("sub_url", before.get("sub_url"))
    if (url, sub_url) == (before["url"], before.get("sub_url")):
        return None
    at = split_address(url, ALL_SCHEMES)
    if sub_url is not None and split_address(sub_url).host != at.host:
        return Rejection(item.line, "sub_url", "", "other_host", "url moved to another host; give sub_url there too")
    same = at.origin == split_address(before["url"], ALL_SCHEMES).origin
    if same or before["password"] is None or not _keeps_password(values, before):
        return None
    remedy = "the address is another host or port; give the password for it again"
    return Rejection(item.line, "password", MASKED, "password_needed", remedy)


def hidden(text: str | None) -> Secret | None:
    """A password of a list as a Secret."""
    return None if text is None else Secret(text)
