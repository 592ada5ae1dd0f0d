"""Where in a TOML file a key was written. tomllib gives values without places, and a message needs its line."""

from __future__ import annotations

import re

_TABLE = re.compile(r"\s*\[\[?\s*([^\[\]#]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(
    r"\s*((?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'))*)\s*=(.*)$"
)
_PART = re.compile(r"[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'")
_FENCE = re.compile(r'"""|\'\'\'')


def key_lines(text: str) -> dict[tuple[str, ...], int]:
    """The first line (from 1) of every table and key, by its path. The text is known to be valid TOML."""
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    fence: str | None = None  # inside a multi-line string
    for number, line in enumerate(text.splitlines(), start=1):
        if fence is None:
            if found := _TABLE.match(line):
                table = _path(found[1])
                lines.setdefault(table, number)
            elif found := _KEY.match(line):
                path = table + _path(found[1])
                for depth in range(1, len(path) + 1):
                    lines.setdefault(path[:depth], number)
        for mark in _FENCE.findall(line):
            if fence is None:
                fence = mark
            elif fence == mark:
                fence = None
    return lines


def line_of(lines: dict[tuple[str, ...], int], path: tuple[str, ...]) -> int:
    """The line of the path, or of the nearest table around it; 1 where nothing is known."""
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return 1


def _path(text: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(text))
