"""Every target over mutations of what real devices and a good camera send: Hypothesis chooses, and shrinks."""

from __future__ import annotations

import os
from functools import lru_cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

SCALE = int(os.environ.get("STREAMWATCH_GOAL_SCALE", "1"))
EXAMPLES = 40 * SCALE
MOST = 8192  # bytes of one input


@lru_cache
def seeds_of(name: str) -> tuple[bytes, ...]:
    """Good inputs, and those that broke it once."""
    target = TARGETS[name]
    stored = (path.read_bytes() for path in target.stored())
    return tuple(data for data in (*target.seeds(), *stored) if len(data) <= MOST)


@st.composite
def mutations(draw: st.DrawFn, target: Target) -> bytes:
    """A good input with up to eight changes: bytes, words of the protocol, lines that go or come twice, two halves."""
    seeds = seeds_of(target.name)
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 8))):
        at = draw(st.integers(0, len(data)))
        to = min(len(data), at + draw(st.integers(0, 40)))
        what = draw(st.integers(0, 6))
        if what == 0:
            data = data[:at] + draw(st.binary(max_size=8)) + data[to:]
        elif what == 1 and target.words:
            data = data[:at] + draw(st.sampled_from(target.words)) + data[at:]
        elif what == 2:
            data = data[:at] + data[to:]
        elif what == 3:
            data = data[:to] + data[at:to] * draw(st.integers(1, 20)) + data[to:]
        elif what == 4:
            other = draw(st.sampled_from(seeds))
            data = data[:at] + other[draw(st.integers(0, len(other))) :]
        elif what == 5:
            lines = data.split(b"\n")
            line = draw(st.integers(0, len(lines) - 1))
            lines[line : line + 1] = [lines[line]] * draw(st.sampled_from((0, 2, 3)))
            data = b"\n".join(lines)
        elif at < len(data):
            data = data[:at] + bytes((data[at] ^ 1 << draw(st.integers(0, 7)),)) + data[at + 1 :]
    return data[:MOST]


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_r14_mutations_hold_every_law(name: str) -> None:
    """Setup: good inputs. Fault: up to eight changes, 40 inputs (800 in drills). Bound: declared errors, all laws."""
    target = TARGETS[name]

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(mutations(target))
    def holds(data: bytes) -> None:
        target.accepts(data)

    holds()
