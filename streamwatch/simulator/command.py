"""How a program of the simulator ends: by SIGTERM or Ctrl-C, or with the status of what was wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from streamwatch.errors import ConfigError, Exit, UsageError


def serve(serving: Callable[[], Coroutine[Any, Any, Any]]) -> int:
    """Runs what `serving` makes until it ends. Exit 0, 64 for wrong usage, 78 where the machine cannot."""
    try:
        uvloop.run(serving())
    except UsageError as error:
        sys.stderr.write(f"{error}\n")
        return Exit.USAGE
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return Exit.CONFIG
    return Exit.OK
