"""The table of fuzz targets: every parser that bytes from outside reach."""

from __future__ import annotations

from typing import Final

from tests.fuzz import look_targets, media_targets, text_targets
from tests.fuzz.target import Target

TARGETS: Final[dict[str, Target]] = {
    target.name: target for target in (*text_targets.TARGETS, *media_targets.TARGETS, *look_targets.TARGETS)
}
