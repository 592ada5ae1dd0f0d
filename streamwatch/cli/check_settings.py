"""`streamwatch check-settings`: reads the configuration as `run` would and names what is wrong."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from streamwatch.errors import ConfigError, Exit
from streamwatch.settings import describe, load


def check_settings(
    config: Path | None,
    *,
    as_json: bool = False,
    list_keys: bool = False,
    environ: Mapping[str, str] = os.environ,
) -> int:
    """Prints the problems, one a line, and gives 78 where there are some, else 0. `list_keys`: every key explained."""
    if list_keys:
        rows = describe()
        if as_json:
            print(json.dumps([asdict(row) for row in rows], ensure_ascii=False))
        else:
            print("\n".join(f"{row.key} = {row.default}\n    {row.description} Takes {row.takes}." for row in rows))
        return Exit.OK
    try:
        settings = load(config, environ)
    except ConfigError as error:
        problems = str(error).splitlines()
        if as_json:
            print(json.dumps({"ok": False, "problems": problems}, ensure_ascii=False))
        else:
            print(error, file=sys.stderr)
        return Exit.CONFIG
    if as_json:
        print(json.dumps({"ok": True, "problems": []}))
    else:
        print(f"settings are well: data in {settings.data_dir}, API on {settings.listen}")
    return Exit.OK
