"""Stage 6: looks + our own health + canaries -> looks with blame.

The order is fixed: our own loop first, then our path, and only then the camera. A look that we cannot trust is void:
it says nothing about the camera, and the time it should have covered becomes unknown by itself (DESIGN, decision 8).
"""

from __future__ import annotations

from typing import Final

from streamwatch.errors import Blame, Reason, default_blame
from streamwatch.model.look import Look
from streamwatch.model.report import Canary, Health, Report
from streamwatch.model.verdict import Attributed

LAG_SHARE: Final = 0.2  # reliability goal R5: a look that failed while the loop lagged by more of its time is void
MIN_LAG_MS: Final = 250.0  # below this no deadline of ours is in danger, however short the look was

# Failures that a stalled loop of ours, or a broken path, can imitate. A refusal in words is the device's own.
_IMITATED_BY_LAG: Final = frozenset(
    {Reason.NET_TIMEOUT, Reason.NET_RESET, Reason.MEDIA_NO_DATA, Reason.MEDIA_NO_KEYFRAME, Reason.MEDIA_BROKEN}
)
_IMITATED_BY_PATH: Final = frozenset(
    {
        Reason.NET_TIMEOUT,
        Reason.NET_UNREACHABLE,
        Reason.NET_RESET,
        Reason.NET_REFUSED,
        Reason.NET_NAME,
        Reason.MEDIA_NO_DATA,
        Reason.MEDIA_NO_KEYFRAME,
    }
)


def attribute(report: Report) -> tuple[Attributed, ...]:
    """Every look of a report with whose fault its failure is."""
    path_down = _all_silent(report.before.canaries) or _all_silent(report.after.canaries)
    return tuple(_attribute(look, report.before, report.after, path_down=path_down) for look in report.looks)


def _attribute(look: Look, before: Health, after: Health, *, path_down: bool) -> Attributed:
    if look.reason is None:
        return Attributed(look)
    if look.reason.startswith("ours."):
        return Attributed(look, Blame.OURS, look.reason)
    if look.reason in _IMITATED_BY_LAG and _lagged(look, before, after):
        return Attributed(look, Blame.OURS, Reason.OURS_OVERLOAD)
    if look.reason in _IMITATED_BY_PATH and path_down:
        return Attributed(look, Blame.OURS, Reason.OURS_PATH)
    return Attributed(look, default_blame(look.reason))


def _lagged(look: Look, before: Health, after: Health) -> bool:
    lag_ms = max(before.loop_lag_ms, after.loop_lag_ms)
    return lag_ms > max(MIN_LAG_MS, LAG_SHARE * look.duration_us / 1000)


def _all_silent(canaries: tuple[Canary, ...]) -> bool:
    """True only where there are canaries and none of them answered."""
    return bool(canaries) and not any(canary.up for canary in canaries)
