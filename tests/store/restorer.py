"""The process that `test_restore.py` kills: restores a backup and ends itself, as kill -9 would, at a step."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from streamwatch.store.restore import restore


def main(file: str, database: str, step: str) -> None:
    """Names each step on stdout as it is reached; dies at `step`."""

    def reached(name: str) -> None:
        print(name, flush=True)
        if name == step:
            os.kill(os.getpid(), signal.SIGKILL)

    restore(Path(file), Path(database), Path(database).parent, 1_700_000_000_000_000, reached=reached)


if __name__ == "__main__":
    main(*sys.argv[1:])
