"""A share of the targets, each for its time by libFuzzer; `-s` shows the seeds."""

from __future__ import annotations

import pytest

from tests.fuzz.running import fuzz, holds, share

NAMES = share(1)


@pytest.fixture(scope="module")
def found() -> dict[str, tuple[int, str]]:
    return fuzz(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_r14_fuzzing_by_coverage_breaks_nothing(name: str, found: dict[str, tuple[int, str]]) -> None:
    """Setup: a parser, seeds, its stored corpus. Fault: inputs led by coverage, 1 s (60 in drills). Bound: all laws."""
    holds(found[name])
