"""Stage 2: inventory + outcomes + now -> Rounds. The patrol is planned, not looped.

`policy.py` is what it obeys, `planner.py` what is due when, `capacity.py` how much of it there is room for.
"""

from streamwatch.schedule.planner import Planner
from streamwatch.schedule.policy import (
    BACKOFF_INTERVALS,
    CONFIRMATIONS,
    GRACE_INTERVALS,
    US,
    Policy,
    grace_us,
    phase_us,
)

__all__ = [
    "BACKOFF_INTERVALS",
    "CONFIRMATIONS",
    "GRACE_INTERVALS",
    "US",
    "Planner",
    "Policy",
    "grace_us",
    "phase_us",
]
