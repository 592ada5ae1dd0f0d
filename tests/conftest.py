"""Fixtures that every test may use."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import settings

# Laws are about what comes out, never about how long it took: the machine may be busy.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

SHARED = Path(os.environ.get("STREAMWATCH_SHARED", Path(__file__).resolve().parents[2] / "shared"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test whose name has `r13_` proves goal R13: `make drills` runs those at their full counts."""
    for item in items:
        if re.search(r"(^|_)r\d+_", item.name):
            item.add_marker(pytest.mark.goal)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Recordings of real devices that live beside the project; the tests that need them skip by name without."""
    data = SHARED / "data"
    if not data.is_dir():
        pytest.skip(f"recordings of real devices are not here: {data} (set STREAMWATCH_SHARED)")
    return data
