"""What one look alone says, in the stable shape of `probe --json`, and the same with its why for `explain`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from streamwatch.clock import to_datetime
from streamwatch.errors import Blame, Exit, Reason, Step
from streamwatch.model.look import Depth, Look, State, StreamKind
from streamwatch.verdict import Policy, blame_of, faults_of, state_of


class Measured(msgspec.Struct, frozen=True, omit_defaults=True):
    """One measure of a picture. Where `valid` is false, `why` names what made it impossible to judge (no_detail, …)."""

    value: float
    valid: bool
    why: str | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one look says, by itself: nothing was confirmed, and nothing was remembered from earlier looks.

    Its fields are the keys of `probe --json`; None where one does not apply. `state` speaks of the `stream` dimension.
    """

    url: str  # credentials masked
    depth: Depth
    stream: StreamKind
    state: State
    faults: tuple[str, ...]  # of the picture, in the order of the fault table
    blame: Blame | None
    step: Step | None  # where the look stopped, if it did
    reason: Reason | None  # None: up without remark
    detail: str | None  # a sentence for a person, without secrets
    codec: str | None  # h264, h265, mjpeg
    width: int | None  # pixels, after cropping
    height: int | None
    transport: str | None  # tcp, udp, http
    server: str | None  # what the device calls itself
    keyframe_bytes: int | None
    started_at: datetime  # aware, UTC
    timings_ms: Mapping[str, float]  # by step, and "total"; a step that was not reached is missing
    measures: Mapping[str, Measured]
    remarks: tuple[Reason, ...]  # what ended nothing, and changes neither state nor exit status: tls.untrusted

    @property
    def exit(self) -> Exit:
        """The exit status that it means: down 2, unknown 3, up with a fault or a reason 1, up 0."""
        match self.state:
            case State.DOWN:
                return Exit.DOWN
            case State.UNKNOWN:
                return Exit.UNKNOWN
            case State.UP:
                return Exit.DEGRADED if self.reason is not None or self.faults else Exit.OK

    def to_dict(self) -> dict[str, Any]:
        """The object of `probe --json`, of texts, numbers, lists and mappings only."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built | {"faults": list(self.faults), "remarks": list(built["remarks"])}

    def to_json(self) -> str:
        """The line of `probe --json`."""
        return msgspec.json.encode(self).decode()


def found(look: Look, masked_url: str, policy: Policy) -> Finding:
    """What that look says under that policy. `masked_url` goes out as it is."""
    return Finding(
        url=masked_url,
        depth=look.depth,
        stream=look.stream,
        state=state_of(look),
        faults=faults_of(look, policy),
        blame=blame_of(look.reason),
        step=look.step,
        reason=look.reason,
        detail=look.detail or None,
        codec=look.codec,
        width=look.width,
        height=look.height,
        transport=look.transport,
        server=look.server,
        keyframe_bytes=look.keyframe_bytes,
        started_at=to_datetime(look.started_us),
        timings_ms=dict(look.timings_ms),
        measures={one.name: Measured(one.value, one.valid, one.why) for one in look.measures},
        remarks=look.remarks,
    )


def finding(look: Look, masked_url: str, policy: Policy) -> dict[str, Any]:
    """One object of `probe --json`: every key is there, null where it does not apply."""
    return found(look, masked_url, policy).to_dict()


def video_in_words(found: Finding) -> str | None:
    """Codec and size, as far as they are known."""
    if found.codec is None:
        return None
    return f"{found.codec} {found.width}x{found.height}" if found.width else found.codec


def reason_in_words(found: Finding) -> str | None:
    """Reason, place and blame, and a sentence; None where there is no reason."""
    if found.reason is None:
        return None
    at = f" at {found.step}" if found.step else ""
    return f"{found.reason}{at} ({found.blame}): {found.detail}"


def noted(found: Finding) -> str | None:
    """What is to be said beside the reason, or without one; None where there is nothing."""
    said = None if found.reason is not None else found.detail
    if not found.remarks:
        return said
    return f"remarks: {', '.join(found.remarks)}" + (f" ({said})" if said else "")


def in_words(found: Finding) -> str:
    """One camera on one line: state, address, what came, what is wrong."""
    faults = f"faults: {', '.join(found.faults)}" if found.faults else None
    total = f"{found.timings_ms.get('total', 0):.0f} ms"
    parts = (f"{found.state:<7}", found.url, video_in_words(found), reason_in_words(found), noted(found), faults, total)
    return "  ".join(part for part in parts if part is not None)


def explained(found: Finding, thresholds: Mapping[str, float], conversation: Sequence[str] | None = None) -> str:
    """The whole of one look, for a person: what was said, how long it took, what was measured, what it means."""
    parts = [f"# {found.url}"]
    if conversation is not None:
        parts += ["", "## Conversation", "", *conversation]
    parts += ["", "## Steps", "", *(f"  {step:<15} {took:9.1f} ms" for step, took in found.timings_ms.items())]
    if found.measures:
        parts += ["", "## Measures", ""]
        for name, measure in found.measures.items():
            note = "" if measure.valid else f"  cannot judge: {measure.why}"
            parts.append(f"  {name:<18} {measure.value:10.4f}{note}")
        parts += ["", "## Thresholds", "", *(f"  {name:<26} {value:g}" for name, value in thresholds.items())]
    parts += ["", "## Verdict", "", f"  {in_words(found)}", ""]
    return "\n".join(parts)


def thresholds(policy: Policy) -> dict[str, float]:
    """What measures are compared with, by name."""
    return dataclasses.asdict(policy)


def worst_exit(statuses: list[Exit]) -> Exit:
    """Of several things asked about, the worst counts: 2 beats 3 beats 1 beats 0."""
    order = (Exit.DOWN, Exit.UNKNOWN, Exit.DEGRADED, Exit.OK)
    return next((status for status in order if status in statuses), Exit.OK)
