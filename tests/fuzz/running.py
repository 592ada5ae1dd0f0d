"""What the tests that run libFuzzer share: they stand in several files, so that they can run beside each other."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

SCALE = int(os.environ.get("STREAMWATCH_GOAL_SCALE", "1"))
SECONDS = float(os.environ.get("FUZZ_SECONDS", 3 * SCALE if SCALE > 1 else 1))  # R14: 60 at scale 20
SEED = int(os.environ.get("FUZZ_SEED", "1"))
SEVERAL = 3  # files


def share(number: int) -> list[str]:
    """The targets of one of the files."""
    return sorted(TARGETS)[number::SEVERAL]


def fuzz(names: list[str]) -> dict[str, tuple[int, str]]:
    """Runs targets for their time each, in one process that loads them once: their statuses, and what they said."""
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not here: it has wheels for Linux on x86-64, Python 3.11 to 3.13")
    seconds = max(1, round(SECONDS))
    command = [sys.executable, "-m", "tests.fuzz", ",".join(names), f"--seconds={seconds}", f"--seed={SEED}"]
    most_s = len(names) * (seconds + 60)
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=most_s)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == len(names), f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return {one["target"]: (one["status"], one["output"]) for one in told}


def holds(found: tuple[int, str]) -> None:
    """Fails with what broke a target, and how to see that again."""
    status, output = found
    print(output, end="")  # the seed, and how to repeat it
    assert status == 0, output[-4000:]
    assert "number_of_executed_units" in output
