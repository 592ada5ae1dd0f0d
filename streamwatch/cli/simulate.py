"""`simulate`: the farm of simulated cameras alone."""

from __future__ import annotations

from pathlib import Path

from streamwatch.errors import Exit
from streamwatch.simulator.farm import simulate as farm
from streamwatch.simulator.plan import FarmPlan


async def simulate(plan: FarmPlan, inventory: Path | None) -> int:
    """Serves until SIGTERM or Ctrl-C."""
    await farm(plan, inventory)
    return Exit.OK
