"""What the tests that run libFuzzer share: they stand in several files, so that they can run beside each other."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCALE = int(os.environ.get("STREAMWATCH_GOAL_SCALE", "1"))
SECONDS = float(os.environ.get("FUZZ_SECONDS", 3 * SCALE if SCALE > 1 else 1))  # R14: 60 at scale 20
SEED = int(os.environ.get("FUZZ_SEED", "1"))
SEVERAL = 3  # files


def fuzz(name: str) -> None:
    """Runs a target for its time. Fails with what broke it, and how to see that again."""
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not here: it has wheels for Linux on x86-64, Python 3.11 to 3.13")
    command = [sys.executable, "-m", "tests.fuzz", name, f"--seconds={max(1, round(SECONDS))}", f"--seed={SEED}"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=SECONDS + 120)
    print(done.stdout, end="")  # the seed, and how to repeat it
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    assert "number_of_executed_units" in done.stderr
