"""The table of fuzz targets: every parser that bytes from outside reach."""

from __future__ import annotations

from typing import Final

from tests.fuzz import (
    description_targets,
    file_targets,
    look_targets,
    media_targets,
    stream_targets,
    text_targets,
    unit_targets,
)
from tests.fuzz.target import Target

_KINDS = (
    text_targets,
    description_targets,
    media_targets,
    unit_targets,
    look_targets,
    stream_targets,
    file_targets,
)
TARGETS: Final[dict[str, Target]] = {target.name: target for kind in _KINDS for target in kind.TARGETS}
