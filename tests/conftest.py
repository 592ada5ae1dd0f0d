"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("STREAMWATCH_SHARED", Path(__file__).resolve().parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Recordings of real devices that live beside the project; the tests that need them skip by name without."""
    data = SHARED / "data"
    if not data.is_dir():
        pytest.skip(f"recordings of real devices are not here: {data} (set STREAMWATCH_SHARED)")
    return data
