"""Stage 1: JSON lines -> headings and records: one object a line, or one array of objects. Knows nothing of cameras.

Keys are headings. A key that a line lacks counts as an empty cell where another line has it. Every key must be known:
its first line is named where it is not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from streamwatch.errors import UsageError
from streamwatch.inventory.headings import Table
from streamwatch.inventory.records import MAX_RECORD_CHARS, Record
from streamwatch.inventory.values import bool_text, number_text, sound

MAX_KEYS: Final = 500  # headings of one list; the longest forms of 一机一档 have 73

_NO_OBJECT: Final = 'is no JSON object such as {"code": "1", …}'
_NESTED: Final = ("bad_value", "give a text, a number, true, false or null, not a list or an object")
_SPACE = re.compile(r"[\s,]*")

Item = tuple[int, dict[str, Any] | str | None]  # line; the object, or why there is none; None for a blank line


class _TwiceError(ValueError):
    """A key stands twice in one object."""


def table(text: str, name: str) -> Table | None:
    """The list. Raises UsageError where it has too many keys or its array is damaged; None where there is no object."""
    places: dict[str, int] = {}
    lines: list[int] = []  # of each key
    found: list[Record] = []
    for line, item in _array(text, name) if text[:1_000].lstrip().startswith("[") else _lines(text):
        found.append(_record(line, item, places))
        lines += [line] * (len(places) - len(lines))
        if len(places) > MAX_KEYS:
            raise UsageError(f"{name}: more than {MAX_KEYS} different keys by line {line}; is it the right file?")
    first = next((record for record in found if record.broken is not None or record.cells), None)
    if first is None and not found:
        return None
    if not places:
        line = found[0].line if first is None else first.line
        raise UsageError(f"{name}: line {line} {_NO_OBJECT}; write one object a line")
    return Table(Record(min(lines), tuple(places)), iter(found), (), tuple(lines))


def _lines(text: str) -> Iterator[Item]:
    for at, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        plain = line.strip()
        if not plain:
            yield at, None
        elif len(plain) > MAX_RECORD_CHARS:
            yield at, f"longer than {MAX_RECORD_CHARS} characters"
        else:
            yield at, _object(plain)


def _object(text: str) -> dict[str, Any] | str:
    try:
        found = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        return _why(error)
    return found if isinstance(found, dict) else _NO_OBJECT


def _array(text: str, name: str) -> Iterator[Item]:
    """The objects of one array; `line` is where each begins."""
    decoder = json.JSONDecoder(object_pairs_hook=_once)
    at = text.index("[") + 1
    line = text.count("\n", 0, at) + 1
    counted = at
    while True:
        space = _SPACE.match(text, at)
        at = at if space is None else space.end()
        line += text.count("\n", counted, at)
        counted = at
        if text.startswith("]", at):
            return
        try:
            found, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise UsageError(
                f"{name}: the object that begins in line {line} {_why(error)}; correct it, or write one object a line"
            ) from None
        yield line, found if isinstance(found, dict) else _NO_OBJECT


def _why(error: Exception) -> str:
    if isinstance(error, _TwiceError):
        return str(error)
    return "is not JSON" if isinstance(error, ValueError) else "is nested too deeply"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _TwiceError("has a key twice")
    return found


def _record(line: int, item: dict[str, Any] | str | None, places: dict[str, int]) -> Record:
    """The values of one object in the places of their keys; a key that is new gets the next place."""
    if item is None:
        return Record(line, ())
    if isinstance(item, str):
        return Record(line, (), item)
    odd: dict[int, tuple[str, str]] = {}
    cells = [""] * len(places)
    for key, value in item.items():
        at = places.setdefault(sound(key), len(places))
        if at == len(cells):
            cells.append("")
        if isinstance(value, str):
            cells[at] = sound(value)
        elif isinstance(value, bool):
            cells[at] = bool_text(value)
        elif isinstance(value, int | float):
            cells[at] = number_text(value)
        elif value is not None:
            odd[at] = _NESTED
    return Record(line, tuple(cells), None, odd or None)
