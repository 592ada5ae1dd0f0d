"""What one look alone says, in the stable shape of `probe --json`, and the same with its why for `explain`."""

from __future__ import annotations

import dataclasses
from typing import Any

from streamwatch.clock import rfc3339
from streamwatch.errors import Exit
from streamwatch.model.look import Look, State
from streamwatch.verdict import Policy, blame_of, faults_of, state_of


def finding(look: Look, masked_url: str, policy: Policy) -> dict[str, Any]:
    """One object of `probe --json`: every key is there, null where it does not apply."""
    return {
        "url": masked_url,
        "depth": look.depth.value,
        "stream": look.stream.value,
        "state": state_of(look).value,
        "faults": list(faults_of(look, policy)),
        "blame": blame_of(look.reason),
        "step": None if look.step is None else look.step.value,
        "reason": None if look.reason is None else look.reason.value,
        "detail": look.detail or None,
        "codec": look.codec,
        "width": look.width,
        "height": look.height,
        "transport": look.transport,
        "server": look.server,
        "keyframe_bytes": look.keyframe_bytes,
        "started_at": rfc3339(look.started_us),
        "timings_ms": dict(look.timings_ms),
        "measures": {
            measure.name: {"value": measure.value, "valid": measure.valid}
            | ({} if measure.why is None else {"why": measure.why})
            for measure in look.measures
        },
    }


def thresholds(policy: Policy) -> dict[str, float]:
    """What measures are compared with, by name."""
    return dataclasses.asdict(policy)


def exit_of(look: Look, policy: Policy) -> Exit:
    """The exit status that one look means: down 2, unknown 3, up with a remark 1, up 0."""
    match state_of(look):
        case State.DOWN:
            return Exit.DOWN
        case State.UNKNOWN:
            return Exit.UNKNOWN
        case State.UP:
            remark = look.reason is not None or bool(faults_of(look, policy))
            return Exit.DEGRADED if remark else Exit.OK


def worst_exit(statuses: list[Exit]) -> Exit:
    """Of several things asked about, the worst counts: 2 beats 3 beats 1 beats 0."""
    order = (Exit.DOWN, Exit.UNKNOWN, Exit.DEGRADED, Exit.OK)
    return next((status for status in order if status in statuses), Exit.OK)
