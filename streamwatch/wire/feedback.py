"""Stage 3, wire: what one session hears and says by RTCP, over UDP or in a channel of its own.

It hears sender reports (the device's clock) and BYE; it says receiver reports, as some cameras stop where nobody seems
to listen, and asks for a keyframe where the device offers that.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final
from zlib import crc32

from streamwatch.wire import rtcp
from streamwatch.wire.keyframe_request import KeyframeRequests
from streamwatch.wire.media import Media
from streamwatch.wire.reception import Reception
from streamwatch.wire.sender_clock import SenderClock

BYE_GRACE_S: Final = (
    1.0  # without media after BYE, until it is believed: GStreamer says it of a source that it replaces
)


class Feedback:
    """Times in seconds, monotonic. `media` is what it is about. `bye` once the device has said it.

    With `from_start` reports go out from PLAY on, also about nobody: over UDP they keep the way open. Else they begin
    with the media.
    """

    __slots__ = (
        "_bytes",
        "_clock",
        "_from_start",
        "_media",
        "_name",
        "_over_at",
        "_reception",
        "_report_at",
        "_requests",
        "_ssrc",
        "bye",
    )

    def __init__(self, media: Media, name: Callable[[], str], *, from_start: bool) -> None:
        self._name = name
        self._ssrc = 0
        self._clock: SenderClock | None = None  # once it is needed, as few looks last until a report comes
        self.bye = False
        self._media = media
        self._from_start = from_start
        self._reception: Reception | None = None
        self._requests = KeyframeRequests(media.track.feedback) if media.track.feedback else None
        self._report_at = inf
        self._over_at = inf
        self._bytes = 0  # of media, when BYE was looked at

    @property
    def clock(self) -> SenderClock:
        """What the device's reports say of its clocks."""
        self._clock = self._clock or SenderClock()
        return self._clock

    @clock.setter
    def clock(self, clock: SenderClock) -> None:
        self._clock = clock

    @property
    def has_heard(self) -> bool:
        """Whether a report came."""
        return self._clock is not None

    @property
    def ssrc(self) -> int:
        """Ours, drawn once there is somebody to report to."""
        self._ssrc = self._ssrc or crc32(self._name().encode())
        return self._ssrc

    @property
    def due(self) -> float:
        """When something is to be done next; never is infinite."""
        request_at = inf if self._requests is None or self._requests.due is None else self._requests.due
        return min(self._report_at, self._over_at, request_at)

    def hear(self, data: bytes, now: float) -> None:
        """A packet that came by our RTCP port or channel, or strayed to that of RTP."""
        for report in rtcp.sender_reports(data):
            self.clock.heard(report, now)
        if not self.bye and rtcp.says_bye(data, self._media.ssrc):
            self.bye = True
            self._bytes = self._media.bytes
            self._over_at = now + BYE_GRACE_S

    def playing(self, now: float) -> None:
        """PLAY is answered."""
        if self._from_start:
            self._report_at = now + rtcp.REPORT_INTERVAL_S

    def flowing(self, now: float) -> None:
        """Media began to flow."""
        if self._requests is not None:
            self._requests.flowing(now)
        if self._report_at == inf:
            self._report_at = now + rtcp.REPORT_INTERVAL_S

    def satisfied(self) -> None:
        """The keyframe came, and the session goes on: no more are asked for."""
        self._requests = None

    def is_over(self, now: float) -> bool:
        """Whether the device has ended the stream: it said so, and nothing came since."""
        if now < self._over_at:
            return False
        if self._media.bytes == self._bytes:
            return True
        self._bytes = self._media.bytes
        self._over_at = now + BYE_GRACE_S
        return False

    def packet(self, now: float) -> bytes | None:
        """The compound packet that is due by now, if one is."""
        media, requests = self._media, self._requests
        request = None
        if requests is not None:
            request = requests.take(self.ssrc, media.ssrc, now, begun=media.building)
        if request is None and now < self._report_at:
            return None
        if self._report_at < inf:
            self._report_at = now + rtcp.REPORT_INTERVAL_S
        return rtcp.receiver_report(self.ssrc, self._report(now)) + (request or b"")  # RFC 4585 section 3.1: together

    def _report(self, now: float) -> rtcp.ReportBlock | None:
        sequence, ssrc = self._media.tracker.position()
        if sequence < 0:
            return None
        told = self.clock.latest(ssrc)
        self._reception = self._reception or Reception()
        return self._reception.block(ssrc, (sequence - 1) & 0xFFFF, self._media.tracker.lost, told, now)
