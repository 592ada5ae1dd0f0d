"""What layers above the store call its connections: they pass them on to named queries and speak no SQL themselves."""

from __future__ import annotations

from typing import TypeAlias

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, ProgrammingError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

Connection: TypeAlias = AsyncConnection  # one transaction: on a reader, one snapshot of the database
Writer: TypeAlias = AsyncEngine  # the one engine of `open_writer`
Reader: TypeAlias = AsyncEngine  # an engine of `open_reader`: it cannot write
StoreError: TypeAlias = SQLAlchemyError  # a full disk, a locked or damaged database; what was begun is rolled back


def is_passing(error: SQLAlchemyError) -> bool:
    """Whether the same write may succeed later (a full disk, a lock), rather than these rows being refused for ever."""
    refused = (DataError, IntegrityError, InterfaceError, ProgrammingError)
    return not isinstance(error, refused) and (isinstance(error, DBAPIError) or not hasattr(error, "statement"))
