"""What an operator may decide: one frozen model, from the environment over one TOML file over defaults.

`load(config, environ)` gives `Settings` or raises `ConfigError` with every problem, one a line; `describe()` gives the
rows of the documentation.
"""

from __future__ import annotations

from streamwatch.settings.describe import Described, describe
from streamwatch.settings.load import load
from streamwatch.settings.model import (
    Booking,
    Canaries,
    Decoders,
    Limits,
    Lookers,
    LookRules,
    Metrics,
    Quality,
    Schedule,
    Settings,
    Watch,
    Web,
)

__all__ = [
    "Booking",
    "Canaries",
    "Decoders",
    "Described",
    "Limits",
    "LookRules",
    "Lookers",
    "Metrics",
    "Quality",
    "Schedule",
    "Settings",
    "Watch",
    "Web",
    "describe",
    "load",
]
