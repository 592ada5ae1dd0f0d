"""streamwatch: watches surveillance cameras, village by village, and says truthfully how long they were up.

As a library: `found = await streamwatch.probe("rtsp://192.0.2.7/live", depth=streamwatch.Depth.PICTURE)` looks at one
camera, `async with streamwatch.Prober() as prober` at many; `streamwatch.wire` is the protocol alone, without sockets.
`import streamwatch` costs next to nothing: what a name needs is imported when the name is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from streamwatch.decoders.jail import JailError
    from streamwatch.errors import Blame, Reason, Step, StreamwatchError, UsageError
    from streamwatch.findings import Finding, Measured
    from streamwatch.model.look import Depth, State, Transport
    from streamwatch.prober import Prober, probe

__version__ = "0.1.0"

__all__ = [
    "Blame",
    "Depth",
    "Finding",
    "JailError",
    "Measured",
    "Prober",
    "Reason",
    "State",
    "Step",
    "StreamwatchError",
    "Transport",
    "UsageError",
    "__version__",
    "probe",
]

_HOMES: Final = {
    "Blame": "errors",
    "Depth": "model.look",
    "Finding": "findings",
    "JailError": "decoders.jail",
    "Measured": "findings",
    "Prober": "prober",
    "Reason": "errors",
    "State": "model.look",
    "Step": "errors",
    "StreamwatchError": "errors",
    "Transport": "model.look",
    "UsageError": "errors",
    "probe": "prober",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = found  # the next use finds it without this function
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
