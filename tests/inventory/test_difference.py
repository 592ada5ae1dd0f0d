"""What a list says against what the store has: pure, and careful with passwords and time in service."""

from __future__ import annotations

from typing import Any

import pytest

from streamwatch.clock import parse_rfc3339
from streamwatch.inventory.columns import CAMERAS, VILLAGES
from streamwatch.inventory.difference import Difference, Said, compare, day_begins_us
from streamwatch.model.inventory import Secret

NOW = parse_rfc3339("2026-11-24T17:00:00Z")  # the 25th at home
STORED: dict[str, Any] = {
    "id": 7,
    "code": "C",
    "name": "村口",
    "village": 1,
    "url": "rtsp://10.0.0.1/a",
    "sub_url": None,
    "username": "u",
    "password": Secret("p"),
    "password_sealed": b"sealed",
    "installed_on": None,
    "installed_us": 5,
    "created_us": 5,
    "removed_us": None,
}


def said(**values: Any) -> Difference:
    """What a line about the stored camera comes to; it repeats name, village and address unless it says otherwise."""
    line = {"code": "C", "name": "村口", "village": 1, "url": "rtsp://10.0.0.1/a", **values}
    return compare(CAMERAS, [Said(2, line)], {"C": dict(STORED)}, NOW)


def test_the_same_line_changes_nothing() -> None:
    """Compared in clear: a sealed password differs from itself sealed again."""
    found = said(username="u", password=Secret("p"), sub_url=None)

    assert (found.unchanged, found.created, found.changed, found.rejected) == (1, [], [], [])


def test_a_change_names_its_fields_and_keeps_the_rest() -> None:
    """The row is written whole: what the list does not say is as it was. The id stays, also in another village."""
    (change,) = said(name="村尾", village=2).changed

    assert change.fields == ("name", "village")
    assert change.row == {**STORED, "name": "村尾", "village": 2}


@pytest.mark.parametrize(
    ("values", "password", "fields"),
    [
        ({}, "p", ()),
        ({"username": "u", "password": None}, "p", ()),
        ({"username": "v", "password": None}, "p", ("username",)),
        ({"password": None}, "p", ()),
        ({"username": None, "password": None}, None, ("username", "password")),
        ({"username": "u", "password": Secret("q")}, "q", ("password",)),
    ],
)
def test_an_empty_password_beside_a_user_name_keeps_it(
    values: dict[str, Any], password: str | None, fields: tuple[str, ...]
) -> None:
    """Lists exported from here hold no passwords; without a user name there is none either."""
    found = said(**values)

    if not fields:
        assert found.unchanged == 1
        return
    (change,) = found.changed
    assert set(change.fields) == set(fields)
    assert change.row["password"] == (None if password is None else Secret(password))


@pytest.mark.parametrize("url", ["rtsp://10.0.0.2/a", "rtsp://10.0.0.1:8554/a"])
def test_a_password_is_not_sent_to_another_host(url: str) -> None:
    """Who can change an address must not get the password sent there: it is asked for again."""
    (refused,) = said(url=url).rejected

    assert (refused.line, refused.column, refused.value, refused.code) == (2, "password", "***", "password_needed")
    assert said(url=url, password=Secret("p")).changed[0].fields == ("url",)
    assert said(url="rtsp://10.0.0.1:554/b").changed[0].fields == ("url",)


def test_both_addresses_move_together() -> None:
    """A sub address that the list does not name would stay at the old host."""
    stored = {"C": {**STORED, "sub_url": "rtsp://10.0.0.1/b"}}
    line = {"code": "C", "name": "村口", "village": 1, "url": "rtsp://10.0.0.2/a", "password": Secret("p")}

    (refused,) = compare(CAMERAS, [Said(2, line)], stored, NOW).rejected
    assert (refused.column, refused.code) == ("sub_url", "other_host")
    line["sub_url"] = "rtsp://10.0.0.2/b"
    assert compare(CAMERAS, [Said(2, line)], stored, NOW).changed[0].fields == ("url", "sub_url")


def test_time_in_service_begins_with_the_day_of_installation() -> None:
    """Midnight at home; without a date, when it was first imported."""
    line = {"code": "N", "name": "n", "village": 1, "url": "rtsp://h/"}
    dated = {**line, "installed_on": "2024-05-01"}

    assert compare(CAMERAS, [Said(2, line)], {}, NOW).created[0]["installed_us"] == NOW
    assert compare(CAMERAS, [Said(2, dated)], {}, NOW).created[0]["installed_us"] == day_begins_us("2024-05-01")
    assert day_begins_us("2024-05-01") == parse_rfc3339("2024-05-01T00:00:00+08:00")
    (change,) = said(installed_on="2024-05-01").changed
    assert change.row["installed_us"] == day_begins_us("2024-05-01")
    stored = {"C": change.row}
    (back,) = compare(CAMERAS, [Said(2, {**STORED, "code": "C", "installed_on": None})], stored, NOW).changed
    assert back.row["installed_us"] == STORED["created_us"]


def test_a_day_in_the_future_is_refused() -> None:
    """By the villages' calendar: at 17:00 UTC the next day has begun there."""
    assert said(installed_on="2026-11-25").changed
    (refused,) = said(installed_on="2026-11-26").rejected
    assert (refused.column, refused.value, refused.code) == ("installed_on", "2026-11-26", "in_future")
    village = {"code": "V", "name": "n", "region": 1, "joined_on": "2026-11-26"}
    assert compare(VILLAGES, [Said(2, village)], {}, NOW).rejected[0].column == "joined_on"


def test_what_was_removed_does_not_come_back() -> None:
    """Its time out of service would become downtime."""
    line = {"code": "C", "name": "n", "village": 1, "url": "rtsp://h/"}

    (refused,) = compare(CAMERAS, [Said(2, line)], {"C": {**STORED, "removed_us": 9}}, NOW).rejected
    assert (refused.column, refused.code) == ("code", "removed")
