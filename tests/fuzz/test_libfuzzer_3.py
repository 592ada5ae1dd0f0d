"""A share of the targets, each for its time by libFuzzer; `-s` shows the seeds."""

from __future__ import annotations

import pytest

from tests.fuzz.running import SEVERAL, fuzz
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", sorted(TARGETS)[2::SEVERAL])
def test_r14_fuzzing_by_coverage_breaks_nothing(name: str) -> None:
    """Setup: a parser, seeds, its stored corpus. Fault: inputs led by coverage, 1 s (60 in drills). Bound: all laws."""
    fuzz(name)
