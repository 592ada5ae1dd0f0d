"""`streamwatch import KIND FILE`: a list into the inventory, through the running service or by itself."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Final, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from streamwatch.clock import Clock, SystemClock
from streamwatch.datadir import DataDir, Lock, command_line
from streamwatch.errors import Exit, HeldError
from streamwatch.inventory.apply import run_import
from streamwatch.inventory.parse import parse_file
from streamwatch.inventory.parsed import ImportResult, ParsedFile
from streamwatch.live.client import CallError, call
from streamwatch.secrets import Sealer
from streamwatch.settings import Settings
from streamwatch.store.engine import default_url, open_writer
from streamwatch.store.migrate import upgrade

SERVICE_TIMEOUT_S: Final = 600.0  # 126,000 cameras take the service about 10 s; a loaded machine gets its time

OnError = Literal["skip", "stop"]


async def import_file(
    kind: str,
    file: Path,
    settings: Settings,
    *,
    dry_run: bool = False,
    on_error: OnError = "skip",
    as_json: bool = False,
    clock: Clock | None = None,
) -> int:
    """Imports a list and prints what that did. Exit status 0, or 1 where lines were rejected.

    Raises UsageError (64), HeldError (75) where another command holds the data directory, ConfigError (78).
    """
    with _progress() as bar:
        task = bar.add_task(f"reading {file.name}", total=None)
        parsed = await asyncio.to_thread(parse_file, file, kind)
        bar.update(task, description="comparing", total=len(parsed.rows), completed=0)
        data = DataDir(settings.data_dir)
        now_us = (clock or SystemClock()).utc_us()
        try:
            lock = data.lock(command_line(), now_us)
        except HeldError as held:
            bar.update(task, description="handing it to the service", total=None)
            result = await _by_service(data, parsed, held, dry_run=dry_run, on_error=on_error)
        else:
            result = await _alone(data, lock, settings, parsed, now_us, (bar, task), dry_run=dry_run, on_error=on_error)
    print(json.dumps(result.to_json(), ensure_ascii=False) if as_json else _in_words(kind, result))
    return Exit.DEGRADED if result.rejected_total else Exit.OK


async def _alone(
    data: DataDir,
    lock: Lock,
    settings: Settings,
    parsed: ParsedFile,
    now_us: int,
    shown: tuple[Progress, TaskID],
    *,
    dry_run: bool,
    on_error: OnError,
) -> ImportResult:
    """The work by this process, which holds the lock meanwhile."""
    bar, task = shown
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
                    parsed.kind,
                    parsed,
                    now_us=now_us,
                    dry_run=dry_run,
                    on_error=on_error,
                    progress=lambda lines: bar.advance(task, lines),
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


def _in_words(kind: str, result: ImportResult) -> str:
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
