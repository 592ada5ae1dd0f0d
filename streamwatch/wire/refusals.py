"""Stage 3, wire: what it means that a device refuses one of our requests."""

from __future__ import annotations

from typing import Final

from streamwatch.errors import LookError, Reason, Step
from streamwatch.wire.rtsp import Response
from streamwatch.wire.words import plain

METHODS: Final = {Step.OPTIONS: "OPTIONS", Step.DESCRIBE: "DESCRIBE", Step.SETUP: "SETUP", Step.PLAY: "PLAY"}

_REASONS: Final = {
    403: Reason.RTSP_FORBIDDEN,
    404: Reason.RTSP_NOT_FOUND,
    410: Reason.RTSP_NOT_FOUND,
    453: Reason.RTSP_BUSY,  # not enough bandwidth
    461: Reason.RTSP_TRANSPORT,
    503: Reason.RTSP_BUSY,
}


def refusal_of(step: Step, reply: Response) -> LookError:
    """A reply that is not 200, and sends us nowhere, as the failure it would be."""
    method = METHODS[step]
    said = f"{reply.status} {plain(reply.reason)[:80]}".rstrip()
    reason = _REASONS.get(reply.status, Reason.RTSP_PROTOCOL)
    if reply.status == 400 and step is Step.SETUP:  # some servers' way to refuse a transport
        reason = Reason.RTSP_TRANSPORT
    return LookError(reason, f"{method} was answered with {said}")
