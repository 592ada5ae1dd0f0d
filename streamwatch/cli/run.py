"""`run`: the service, on the settings of a file and the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from streamwatch.cli.import_ import import_into, in_words
from streamwatch.errors import Exit, UsageError
from streamwatch.inventory.csvfile import parse_file
from streamwatch.inventory.parsed import ParsedFile, ParsedRow
from streamwatch.logs import configure
from streamwatch.service.run import Started
from streamwatch.service.run import run as service
from streamwatch.settings import Settings, load

UNSORTED_REGION = "未分区"  # villages that only a camera list names; the operator sorts them in later


async def run(
    config: Path | None,
    *,
    in_one_process: bool,
    ready_fd: int | None,
    cameras: Path | None,
    villages: Path | None,
) -> int:
    """The command."""
    settings = load(config, os.environ)
    configure(settings)
    if cameras is not None or villages is not None:
        await take_in(settings, villages, cameras)
    await service(
        settings,
        config=config,
        environ=os.environ,
        in_one_process=in_one_process,
        ready_fd=ready_fd,
        started=announce,
    )
    return Exit.OK


async def take_in(settings: Settings, villages: Path | None, cameras: Path | None) -> None:
    """Imports a newcomer's lists before the service starts. Villages that only the cameras name are made.

    Raises UsageError naming the first bad lines, and nothing has been taken in from that file then.
    """
    lists: list[tuple[str, ParsedFile]] = []
    if villages is not None:
        lists.append(("villages", parse_file(villages, "villages")))
    if cameras is not None:
        parsed = parse_file(cameras, "cameras")
        if villages is None:
            lists.append(("villages", villages_named_by(parsed)))
        lists.append(("cameras", parsed))
    for kind, parsed in lists:
        named_only = kind == "villages" and villages is None
        result = await import_into(settings, kind, parsed, dry_run=False, on_error="skip", create_only=named_only)
        print(in_words(kind, result), flush=True)
        if not result.created + result.changed + result.unchanged:
            raise UsageError(f"{kind}: no line could be taken in; nothing to watch")


def villages_named_by(cameras: ParsedFile) -> ParsedFile:
    """The villages that a camera list names, as a list of their own: code and name alike, in one region."""
    at = cameras.columns.index("village")
    codes = dict.fromkeys(str(row.values[at]) for row in cameras.rows if row.values[at] is not None)
    return ParsedFile(
        kind="villages",
        columns=("code", "name", "region"),
        rows=tuple(ParsedRow(line, (code, code, UNSORTED_REGION)) for line, code in enumerate(codes, 2)),
        rejected=(),
    )


def announce(started: Started, extra: Mapping[str, str] | None = None) -> None:
    """Tells a person where it runs and, once, how to get in."""
    lines = {"page and API": started.url}
    if started.login is not None:
        lines["first login"] = f"{started.login.name} / {started.login.password}   (shown once)"
        lines["API key"] = f"{started.login.key}   (kept in admin.key of the data directory)"
    lines |= extra or {}
    width = max(map(len, lines))
    print("\nstreamwatch is running. Ctrl-C ends it.\n")
    for name, text in lines.items():
        print(f"  {name:<{width}}  {text}")
    print(flush=True)
