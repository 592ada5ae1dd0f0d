"""The table of fuzz targets: every parser that bytes from outside reach."""

from __future__ import annotations

from typing import Final

from tests.fuzz import file_targets, look_targets, media_targets, text_targets
from tests.fuzz.target import Target

_ALL = (*text_targets.TARGETS, *media_targets.TARGETS, *look_targets.TARGETS, *file_targets.TARGETS)
TARGETS: Final[dict[str, Target]] = {target.name: target for target in _ALL}
