"""Is what the service books true, pictures and datagrams included? `patrol` on fewer cameras for longer."""

from __future__ import annotations

from pathlib import Path

from benchmarks import patrol
from benchmarks.measure import Result

FULL = patrol.PICTURES
QUICK = patrol.QUICK_PICTURES


def run(plan: patrol.Plan, cache: Path) -> Result:
    """One run of ten minutes."""
    return patrol.run(plan, cache, "truth")
