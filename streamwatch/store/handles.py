"""What layers above the store call its connections: they pass them on to named queries and speak no SQL themselves."""

from __future__ import annotations

from typing import TypeAlias

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

Connection: TypeAlias = AsyncConnection  # one transaction: on a reader, one snapshot of the database
Reader: TypeAlias = AsyncEngine  # an engine of `open_reader`: it cannot write
