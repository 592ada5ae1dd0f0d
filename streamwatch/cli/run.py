"""`run`: the service, on the settings of a file and the environment, with a newcomer's lists taken in first."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from streamwatch.cli.import_ import import_into
from streamwatch.cli.imported import tell
from streamwatch.cli.show import progress
from streamwatch.cli.through import reading
from streamwatch.clock import SystemClock
from streamwatch.datadir import DataDir
from streamwatch.errors import Exit
from streamwatch.inventory.columns import CAMERAS, FACILITIES, LINES, POINTS, RECORDERS, VILLAGES
from streamwatch.inventory.lists import parse_file
from streamwatch.inventory.parsed import ParsedFile, ParsedRow
from streamwatch.logs import configure
from streamwatch.model.scope import EVERYTHING
from streamwatch.service.run import Started
from streamwatch.service.run import run as service
from streamwatch.settings import Settings, load
from streamwatch.store.inventory import count_watched

UNSORTED_REGION: Final = "未分区"  # villages that only other lists name; the operator sorts them in later
ORDER: Final = (VILLAGES, LINES, RECORDERS, CAMERAS, POINTS, FACILITIES)  # so that nothing is named before it is there
PROBLEMS_SHOWN: Final = 20  # of a list: what stands above must not scroll away; `import --dry-run` shows all


async def run(
    config: Path | None, *, in_one_process: bool, ready_fd: int | None, lists: Mapping[str, Path | None]
) -> int:
    """The command. `lists` by kind. Exit status 1 where of one of them no line could be taken: nothing is started."""
    settings = load(config, os.environ)
    configure(settings)
    given = {kind: path for kind in ORDER if (path := lists.get(kind)) is not None}
    told: dict[str, str] = {}
    if given:
        if not await take_in(settings, given):
            return Exit.DEGRADED
        told["watching"] = await watched(settings)
    await service(
        settings,
        config=config,
        environ=os.environ,
        in_one_process=in_one_process,
        ready_fd=ready_fd,
        started=lambda what: announce(what, told),
    )
    return Exit.OK


async def take_in(settings: Settings, lists: Mapping[str, Path]) -> bool:
    """Imports a newcomer's lists, in that order, before the service starts, and prints what was not taken, and why.

    Without a list of villages, those that the other lists name are made. False where of a list no line could be taken;
    what came before it stays. Raises UsageError for a file that cannot be read, HeldError where something runs already.
    """
    DataDir(settings.data_dir).lock("run", SystemClock().utc_us()).release()  # lists are not for another service
    files = []
    for kind, path in lists.items():
        with progress(f"reading {path.name}", None):
            files.append(parse_file(path, kind))
    if VILLAGES not in lists:
        await _make_villages(settings, files)
    for file in files:
        with progress(f"taking in {file.kind}", len(file.rows), unit="lines") as bar:
            result = await import_into(settings, file.kind, file, dry_run=False, on_error="skip", progress=bar.advance)
        tell(file.kind, result, most=PROBLEMS_SHOWN)
        if not result.created + result.changed + result.unchanged:
            print(f"{lists[file.kind]}: no line could be taken in, so nothing was started; correct it and start again")
            return False
    return True


async def watched(settings: Settings) -> str:
    """How many cameras are in service, in how many villages, in words."""
    async with reading(settings) as conn:
        cameras, villages = await count_watched(conn, EVERYTHING)
    return f"{cameras:,} camera{_s(cameras)} in {villages:,} village{_s(villages)}"


async def _make_villages(settings: Settings, files: Iterable[ParsedFile]) -> None:
    named = villages_named_by(files)
    if not named.rows:
        return
    result = await import_into(settings, VILLAGES, named, dry_run=False, on_error="skip", create_only=True)
    if result.created:
        print(
            f"villages: {result.created} made by their name in a list, in the region {UNSORTED_REGION}; "
            "a list of villages can put them where they belong"
        )


def villages_named_by(files: Iterable[ParsedFile]) -> ParsedFile:
    """The villages that lists name, as a list of their own: code and name alike, in one region."""
    codes: dict[str, None] = {}
    for file in files:
        if "village" in file.columns:
            at = file.columns.index("village")
            codes.update(dict.fromkeys(str(row.values[at]) for row in file.rows if row.values[at] is not None))
    return ParsedFile(
        kind=VILLAGES,
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


def _s(count: int) -> str:
    return "" if count == 1 else "s"
