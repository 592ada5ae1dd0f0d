"""Links this work tree into the virtual environment that runs it: a path file and a `streamwatch` command.

The same as an editable install, without a build: nothing is downloaded that the hashed requirements do not name.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Writes both files; an older link is replaced."""
    site = Path(sysconfig.get_path("purelib"))
    (site / "streamwatch-work-tree.pth").write_text(f"{ROOT}\n", encoding="utf-8")
    command = Path(sys.executable).parent / "streamwatch"
    command.write_text(
        f"#!{sys.executable}\nfrom streamwatch.__main__ import main\n\nmain()\n",
        encoding="utf-8",
    )
    command.chmod(0o755)


if __name__ == "__main__":
    main()
