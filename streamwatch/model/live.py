"""The present: what the service tells the web process over the control socket, and what the web asks of it.

The service sends one Snapshot, then Changes with consecutive numbers; a gap in the numbers asks for a new Snapshot.
Commands travel the other way and are answered after the commit.
"""

from __future__ import annotations

from typing import Any

import msgspec

from streamwatch.model.standing import Standing


class CameraLive(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """One camera now. `void` is the reason (ours.*) of its latest look when that look did not count."""

    camera: int
    standings: tuple[Standing, ...]
    last_look_us: int | None = None
    last_up_us: int | None = None  # last look that found the stream up
    void: str | None = None
    void_us: int | None = None

    def standing(self, dimension: str) -> Standing | None:
        """Where that dimension stands, or None where it was never judged."""
        return next((found for found in self.standings if found.dimension == dimension), None)


class Part(msgspec.Struct, frozen=True, array_like=True):
    """One part of readiness: store, lookers, decoders, jail, canaries …"""

    name: str
    ready: bool
    detail: str = ""


class ServiceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How the service itself is; sent with every snapshot and about once a second."""

    at_us: int
    started_us: int
    version: str
    parts: tuple[Part, ...] = ()
    inventory_version: int = 0
    counters: dict[str, dict[str, float]] = {}  # metric -> label values joined by "|" -> value (see counters.py)
    gauges: dict[str, dict[str, float]] = {}


class Snapshot(msgspec.Struct, frozen=True, tag="snapshot"):
    """Everything, as of number `seq`."""

    seq: int
    status: ServiceStatus
    cameras: tuple[CameraLive, ...]


class Changes(msgspec.Struct, frozen=True, tag="changes"):
    """What one commit changed; `seq` is the predecessor's plus one."""

    seq: int
    cameras: tuple[CameraLive, ...]


class Pulse(msgspec.Struct, frozen=True, tag="pulse"):
    """The service's own status; does not count in `seq`."""

    status: ServiceStatus


class Answer(msgspec.Struct, frozen=True, tag="answer"):
    """To a Command. `error` holds {"code", "detail"} where it failed."""

    id: int
    value: Any = None
    error: dict[str, str] | None = None


class Command(msgspec.Struct, frozen=True, tag="command"):
    """From the web or a command line: `op` with its arguments."""

    id: int
    op: str
    args: dict[str, Any] = {}


class Resend(msgspec.Struct, frozen=True, tag="resend"):
    """From the web: a number was missed, send a Snapshot."""


ToWeb = Snapshot | Changes | Pulse | Answer
ToService = Command | Resend
