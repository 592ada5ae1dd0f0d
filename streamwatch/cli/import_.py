"""`streamwatch import KIND FILE`: a list into the inventory, through the running service or by itself."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

from streamwatch.cli.imported import tell
from streamwatch.cli.show import print_json, progress
from streamwatch.cli.through import change
from streamwatch.clock import SystemClock
from streamwatch.errors import Exit
from streamwatch.inventory.apply import run_import
from streamwatch.inventory.lists import parse_file
from streamwatch.inventory.parsed import ImportResult, ParsedFile
from streamwatch.secrets import Sealer
from streamwatch.settings import Settings, load
from streamwatch.store.handles import Writer

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
    """Imports a list and prints what that did. Exit status 0, or 1 where lines were rejected; remarks alone are 0.

    Raises UsageError (64), HeldError (75) where another command holds the data directory, ConfigError (78).
    """
    settings = load(config, os.environ)
    with progress(f"reading {file.name}", None):
        parsed = await asyncio.to_thread(parse_file, file, kind)
    with progress("comparing and writing", len(parsed.rows), unit="lines") as bar:
        result = await import_into(settings, kind, parsed, dry_run=dry_run, on_error=on_error, progress=bar.advance)
    if as_json:
        print_json(result.to_json())
    else:
        tell(kind, result)
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
) -> ImportResult:
    """A list into the inventory: by this process where nobody holds the data directory, else by the running service.

    `create_only`: what the store has stays as it is. `progress` is told of lines only where this process does it.
    Raises HeldError where another command holds the data directory.
    """
    wish: dict[str, Any] = {"dry_run": dry_run, "on_error": on_error, "create_only": create_only}

    async def alone(writer: Writer) -> dict[str, Any]:
        sealer = Sealer.open(settings.data_dir)
        now_us = SystemClock().utc_us()
        async with writer.begin() as conn:
            result = await run_import(conn, sealer, kind, parsed, now_us=now_us, progress=progress, **wish)
        return result.to_json()

    def order() -> dict[str, Any]:
        return {"kind": kind, "file": parsed.to_bytes(), **wish}

    answer = await change(settings, "import", order, alone, timeout_s=SERVICE_TIMEOUT_S)
    return ImportResult.from_json(answer)
