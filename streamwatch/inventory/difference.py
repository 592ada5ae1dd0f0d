"""Stage 1: what a list says against what the store has -> what must change. Pure.

What a list does not say stays: a column that is missing, a camera that is not in it. An empty cell says "none", except
the password's beside a user name: lists that were exported from here hold no passwords, and must not wipe them out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any, Final
from zoneinfo import ZoneInfo

from streamwatch.clock import from_datetime, to_datetime
from streamwatch.inventory.addresses import split_address
from streamwatch.inventory.columns import CAMERAS
from streamwatch.inventory.parsed import MASKED, Rejection
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
    """An object that differs: its row as it should be, whole, and the columns in which it differs."""

    row: Row
    fields: tuple[str, ...]


@dataclass(slots=True)
class Difference:
    """What must be done. New rows lack an id."""

    created: list[Row] = field(default_factory=list)
    changed: list[Changed] = field(default_factory=list)
    unchanged: int = 0
    rejected: list[Rejection] = field(default_factory=list)


def compare(kind: str, said: Iterable[Said], stored: Mapping[str, Row], now_us: int) -> Difference:
    """The difference of some lines. `stored` has whole rows by code; cameras' with `password` opened to a Secret."""
    found = Difference()
    for item in said:
        before = stored.get(item.values["code"])
        refused = _refusal(kind, item, before, now_us)
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
        row.setdefault("username", None)  # lists may say it of some cameras only; rows are written all alike
        row.setdefault("password", None)
    return row


def _changed(kind: str, values: Row, before: Row, found: Difference) -> None:
    after = {**before, **values}
    if kind == CAMERAS:
        if _keeps_password(values, before):
            after["password"] = before["password"]
        if after["installed_on"] != before["installed_on"]:
            installed = after["installed_on"]
            after["installed_us"] = before["created_us"] if installed is None else day_begins_us(installed)
    fields = tuple(name for name in values if after[name] != before[name])
    if fields:
        found.changed.append(Changed(after, fields))
    else:
        found.unchanged += 1


def _keeps_password(values: Row, before: Row) -> bool:
    """Whether the line says nothing about the password."""
    if "password" not in values:
        return True
    return values["password"] is None and values.get("username", before["username"]) is not None


def _refusal(kind: str, item: Said, before: Row | None, now_us: int) -> Rejection | None:
    """What only the store or the day can tell about a line."""
    for column in ("installed_on", "joined_on"):
        day = item.values.get(column)
        if day is not None and day > to_datetime(now_us).astimezone(HOME).date().isoformat():
            return Rejection(item.line, column, day, "in_future", "give a day that has begun")
    if before is None:
        return None
    if before["removed_us"] is not None:
        remedy = "this code was taken out of service; give the new one a code of its own"
        return Rejection(item.line, "code", before["code"], "removed", remedy)
    return _moved(item, before) if kind == CAMERAS else None


def _moved(item: Said, before: Row) -> Rejection | None:
    """A password is sent only to the host that it was given for (reliability, rule 12)."""
    values = item.values
    url = values["url"]
    address = split_address(url)
    sub_url = values["sub_url"] if "sub_url" in values else before["sub_url"]
    if sub_url is not None and split_address(sub_url).host != address.host:
        return Rejection(item.line, "sub_url", "", "other_host", "url moved to another host; give sub_url there too")
    same = url == before["url"] or address.origin == split_address(before["url"]).origin
    if same or before["password"] is None or not _keeps_password(values, before):
        return None
    remedy = "the address is another host or port; give the password for it again"
    return Rejection(item.line, "password", MASKED, "password_needed", remedy)


def hidden(text: str | None) -> Secret | None:
    """A password of a list as a Secret."""
    return None if text is None else Secret(text)
