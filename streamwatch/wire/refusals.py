"""Stage 3, wire: what it means that a device refuses one of our requests."""

from __future__ import annotations

from typing import Final

from streamwatch.errors import LookError, Reason, Step
from streamwatch.wire.rtsp import Headers, Response

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
    """A reply that is not 200, as the failure it would be."""
    method = METHODS[step]
    said = f"{reply.status} {plain(reply.reason)[:80]}".rstrip()
    if 300 <= reply.status < 400:
        return LookError(Reason.RTSP_REDIRECT, f"{method} was sent on to {_target(reply.headers)}")
    reason = _REASONS.get(reply.status, Reason.RTSP_PROTOCOL)
    if reply.status == 400 and step is Step.SETUP:  # some servers' way to refuse a transport
        reason = Reason.RTSP_TRANSPORT
    return LookError(reason, f"{method} was answered with {said}")


def plain(text: str) -> str:
    """A device's words, fit to be shown."""
    return "".join(char if " " <= char <= "~" else "?" for char in text)


def _target(headers: Headers) -> str:
    """Where a redirect leads, without path and credentials."""
    location = headers.get("Location") or ""
    scheme, found, rest = location.partition("://")
    if not found:
        return "another place on the same host" if location else "nowhere: it has no Location"
    host = rest.split("/")[0].split("?")[0].rpartition("@")[2]
    return f"{plain(scheme)[:16]}://{plain(host)[:128]}"
