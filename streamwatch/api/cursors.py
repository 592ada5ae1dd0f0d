"""Cursors: where a list goes on, opaque to the caller. A cursor holds a position, never a right."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Final, TypeVar

import msgspec
from fastapi import Query

from streamwatch.api.problems import Problem

MAX_LIMIT: Final = 500
DEFAULT_LIMIT: Final = 100
MAX_CURSOR_CHARS: Final = 400  # a code of 64 characters, escaped and encoded, or three numbers

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many items at most.")]
Cursor = Annotated[str | None, Query(max_length=MAX_CURSOR_CHARS, description="`next` of the part before.")]
Position = TypeVar("Position")


def write_cursor(position: object) -> str:
    """A position (numbers, texts, tuples of them) as a cursor."""
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def read_cursor(cursor: str | None, kind: type[Position]) -> Position | None:
    """The position, or None where the list begins. Raises 422 for what is no cursor of this list."""
    if cursor is None:
        return None
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=kind)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise Problem(422, "request.cursor", "the cursor is not one of this list: begin without one") from None
