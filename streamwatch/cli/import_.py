"""`streamwatch import KIND FILE`: a list into the inventory, through the running service or by itself."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from streamwatch.clock import Clock, SystemClock
from streamwatch.datadir import DataDir, command_line
from streamwatch.errors import Exit, HeldError
from streamwatch.inventory.apply import run_import
from streamwatch.inventory.csvfile import parse_file
from streamwatch.inventory.parsed import ImportResult, ParsedFile
from streamwatch.live.client import CallError, call
from streamwatch.secrets import Sealer
from streamwatch.settings import Settings, load
from streamwatch.store.engine import default_url, open_writer
from streamwatch.store.migrate import upgrade

SERVICE_TIMEOUT_S: Final = 600.0  # 126,000 cameras take the service about 10 s; a loaded machine gets its time

OnError = Literal["skip", "stop"]


async def import_file(
    kind: str,
    file: Path,
    *,
    config: Path | None = None,
    dry_run: bool = False,
    on_error: OnError = "skip",
    as_json: bool = False,
) -> int:
    """Imports a list and prints what that did. Exit status 0, or 1 where lines were rejected.

    Raises UsageError (64), HeldError (75) where another command holds the data directory, ConfigError (78).
    """
    settings = load(config, os.environ)
    with _progress() as bar:
        task = bar.add_task(f"reading {file.name}", total=None)
        parsed = await asyncio.to_thread(parse_file, file, kind)
        bar.update(task, description="comparing", total=len(parsed.rows))
        result = await import_into(
            settings,
            kind,
            parsed,
            dry_run=dry_run,
            on_error=on_error,
            progress=lambda lines: bar.advance(task, lines),
        )
    print(json.dumps(result.to_json(), ensure_ascii=False) if as_json else in_words(kind, result))
    return Exit.DEGRADED if result.rejected_total else Exit.OK


async def import_into(
    settings: Settings,
    kind: str,
    parsed: ParsedFile,
    *,
    dry_run: bool,
    on_error: OnError,
    create_only: bool = False,
    progress: Callable[[int], None] | None = None,
    clock: Clock | None = None,
) -> ImportResult:
    """A list into the inventory: by this process where nobody holds the data directory, else by the running service.

    Raises HeldError where another command holds it. `create_only` (what the store has stays as it is) and `progress`
    are for the former case only.
    """
    data = DataDir(settings.data_dir)
    now_us = (clock or SystemClock()).utc_us()
    try:
        lock = data.lock(command_line(), now_us)
    except HeldError as held:
        return await _by_service(data, parsed, held, dry_run=dry_run, on_error=on_error)
    url = settings.database_url or default_url(data.path)
    with lock:
        sealer = Sealer.open(data.path)
        await upgrade(url)
        engine = open_writer(url)
        try:
            async with engine.begin() as conn:
                return await run_import(
                    conn,
                    sealer,
                    kind,
                    parsed,
                    now_us=now_us,
                    dry_run=dry_run,
                    on_error=on_error,
                    create_only=create_only,
                    progress=progress,
                )
        finally:
            await engine.dispose()


async def _by_service(
    data: DataDir, parsed: ParsedFile, held: HeldError, *, dry_run: bool, on_error: OnError
) -> ImportResult:
    """The work by whoever holds the data directory. Raises `held` where that is no service."""
    args = {"kind": parsed.kind, "file": parsed.to_bytes(), "dry_run": dry_run, "on_error": on_error}
    try:
        answer = await call(data.live_sock(), "import", args, timeout_s=SERVICE_TIMEOUT_S)
    except CallError as error:
        if error.code == "unavailable":
            raise held from error
        raise
    return ImportResult.from_json(answer)


def _progress() -> Progress:
    """A bar on a terminal's stderr, nothing elsewhere; gone when the work is done."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def in_words(kind: str, result: ImportResult) -> str:
    """The result for a person, a line a rejection."""
    would = "would be " if result.dry_run else ""
    lines = [
        f"{kind}: {result.created} {would}created, {result.changed} {would}changed, {result.unchanged} unchanged, "
        f"{result.rejected_total} lines rejected"
    ]
    if result.stopped:
        lines.append("nothing was written, because lines were rejected")
    if result.dry_run:
        lines += [f"{change.code}: {', '.join(change.fields)} would change" for change in result.changes]
        if result.changed > len(result.changes):
            lines.append(f"… and {result.changed - len(result.changes)} more")
    for bad in result.rejected:
        place = f"line {bad.line}" + (f", {bad.column}" if bad.column else "")
        shown = f" {bad.value!r}" if bad.value else ""
        lines.append(f"{place}:{shown} {bad.code}; {bad.remedy}")
    if result.rejected_total and not result.rejected:
        lines.append("the rejected lines are too many to be listed")
    return "\n".join(lines)
