"""Turns what `make drills` ran (a JUnit file) into docs/drills.md: which goals held at their full counts.

python tools/drills.py drills.xml
"""

from __future__ import annotations

import os
import platform
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "drills.md"
GOAL = re.compile(r"(?:^|_)r(\d+)_")


def main(report: Path) -> int:
    """Writes the page; the status is 1 where a goal did not hold."""
    suite = ElementTree.parse(report).getroot().find("testsuite")  # noqa: S314
    assert suite is not None, f"{report} holds no test suite"
    rows: dict[int, list[tuple[str, str, float]]] = {}
    for case in suite.iter("testcase"):
        name = case.get("name", "")
        found = GOAL.search(name)
        if found is None:
            continue
        outcome = "held"
        for kind in ("failure", "error", "skipped"):
            if case.find(kind) is not None:
                outcome = kind
        rows.setdefault(int(found[1]), []).append((name, outcome, float(case.get("time", "0"))))
    lines = [
        "# Drills",
        "",
        "The goals of reliability that are tests so far, at full counts (`make drills`). Made by `tools/drills.py`;",
        "what each test sets up, breaks and asks for stands in [goals.md](goals.md). Some prove a part of their goal",
        "so far, on fewer cameras than it will take.",
        "",
        f"Run at {suite.get('timestamp', '')[:19]}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"Linux {platform.release().partition('-')[0]}.",
        "",
        "| goal | tests | held | seconds |",
        "| --- | ---: | ---: | ---: |",
    ]
    for goal, cases in sorted(rows.items()):
        held = sum(outcome == "held" for _, outcome, _ in cases)
        lines.append(f"| R{goal} | {len(cases)} | {held} | {sum(took for _, _, took in cases):.0f} |")
    broken = [(name, outcome) for cases in rows.values() for name, outcome, _ in cases if outcome != "held"]
    lines += ["", *(f"- `{name}`: {outcome}" for name, outcome in broken)] if broken else []
    TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
