"""The program's one entry: its own processes first, which must not pay for the command line, then the commands."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Runs what the command line says and exits with its status."""
    arguments = sys.argv[1:]
    match arguments:
        case ["_looker", config, vantage, fd]:
            from streamwatch.service import looker_process

            looker_process.main(_config(config), vantage, int(fd))
        case ["_web", config, fd]:
            from streamwatch.service import web_process

            web_process.main(_config(config), int(fd))
        case _:
            from streamwatch.cli.call import call

            sys.exit(call(arguments))


def _config(text: str) -> Path | None:
    return None if text == "-" else Path(text)


if __name__ == "__main__":
    main()
