"""Which failures of the store waiting can mend."""

from __future__ import annotations

import sqlite3

import pytest
from sqlalchemy import exc

from streamwatch.store.handles import StoreError, is_passing

CAUSE = sqlite3.Error("x")


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (exc.OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full")), True),
        (exc.OperationalError("BEGIN", {}, sqlite3.OperationalError("database is locked")), True),
        (exc.DatabaseError("INSERT", {}, sqlite3.DatabaseError("database disk image is malformed")), True),
        (exc.TimeoutError("the one connection is taken"), True),
        (exc.IntegrityError("INSERT", {}, sqlite3.IntegrityError("FOREIGN KEY constraint failed")), False),
        (exc.DataError("INSERT", {}, CAUSE), False),
        (exc.ProgrammingError("INSERT", {}, CAUSE), False),
        (exc.InterfaceError("INSERT", {}, CAUSE), False),
        (exc.StatementError("a parameter is missing", "INSERT", {}, CAUSE), False),
    ],
)
def test_only_what_may_pass_is_waited_for(error: StoreError, passing: bool) -> None:
    """A full disk and a lock pass; rows that the schema refuses never will."""
    assert is_passing(error) is passing
