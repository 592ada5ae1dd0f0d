"""Stage 3, wire: RTP of one video track -> its first whole keyframe, over TCP in one piece or over UDP as it comes."""

from __future__ import annotations

import msgspec

from streamwatch.errors import LookError, Reason
from streamwatch.wire import bitstream
from streamwatch.wire.depacketise import (
    DEPACKETISERS,
    JpegDepacketiser,
    JpegUnit,
    KeyUnit,
    Pictures,
    PsDepacketiser,
)
from streamwatch.wire.fragments import take_run
from streamwatch.wire.reorder import Reorder
from streamwatch.wire.rtp import Order, RtpPacket, SequenceTracker, parse_rtp
from streamwatch.wire.rtsp import RtspParser
from streamwatch.wire.sdp import VideoTrack


class Keyframe(msgspec.Struct, frozen=True, gc=False):
    """The first whole keyframe. `data` is Annex B (parameter sets, then all slices of one picture), or a JPEG file."""

    codec: str
    data: bytes
    width: int  # pixels, after cropping
    height: int
    rtp_timestamp: int


class Media:
    """One session's media. `flowed` once there was a packet of the track's payload type; `size` of the latest
    keyframe.

    Raises LookError(media.unsupported_codec) where nobody reads that codec, and from every taking method
    LookError(media.too_large or media.no_keyframe; of what a track holds also media.unsupported_codec or
    media.encrypted).
    """

    __slots__ = (
        "_announced",
        "_max_bytes",
        "_max_pixels",
        "_reorder",
        "_track",
        "bytes",
        "depacketiser",
        "flowed",
        "keyframe",
        "size",
        "tracker",
    )

    def __init__(self, track: VideoTrack, max_pixels: int, max_bytes: int) -> None:
        made = DEPACKETISERS.get(track.codec)
        if made is None:
            raise LookError(Reason.MEDIA_UNSUPPORTED_CODEC, f"the video is {track.codec}, which is not decoded")
        self.depacketiser = made.of(track.parameter_sets, track.fmtp)
        self.tracker = SequenceTracker()
        self.flowed = False
        self.bytes = 0  # RTP packets of our channel or port
        self.size: tuple[int, int] | None = None
        self.keyframe: Keyframe | None = None
        self._track = track
        self._max_pixels = max_pixels
        self._max_bytes = max_bytes  # without a keyframe
        self._announced: int | None = None
        self._reorder: Reorder | None = None  # over UDP

    @property
    def codec(self) -> str:
        """Of the video: what the track says, or once known what is in its program stream (before: "ps")."""
        return self.depacketiser.codec if isinstance(self.depacketiser, PsDepacketiser) else self._track.codec

    @property
    def hint(self) -> str:
        """What the packets say about why no keyframe comes of them; may be empty."""
        found = self.depacketiser
        if found.unready:
            return "; keyframes came, but without their parameter sets, in the stream and in the description"
        if not isinstance(found, JpegDepacketiser) and found.gradual:
            return "; the camera refreshes its picture piece by piece (gradual intra refresh) and sends no keyframe"
        return ""

    @property
    def track(self) -> VideoTrack:
        """What it is the media of."""
        return self._track

    @property
    def self_contained(self) -> bool:
        """Whether pictures come with all that is needed to decode them, and nothing of the description is."""
        found = self.depacketiser
        if isinstance(found, Pictures):
            return found.is_self_contained
        return isinstance(found, PsDepacketiser) or not self._track.parameter_sets

    @property
    def ssrc(self) -> int | None:
        """Whose packets are taken; before the first the one that was announced, or None."""
        if self._reorder is not None:
            return self._reorder.ssrc
        following, ssrc = self.tracker.position()
        return ssrc if following >= 0 else self._announced

    @property
    def building(self) -> bool:
        """Whether a unit that is kept has begun and not ended: a keyframe is on its way."""
        unit = self.depacketiser.open_unit() if isinstance(self.depacketiser, Pictures) else None
        return unit is not None and unit[0] is not None

    def announced(self, ssrc: int | None, *, in_order: bool) -> None:
        """Which source the device says it sends; over UDP packets come in any order."""
        self._announced = ssrc
        self._reorder = None if in_order else Reorder(ssrc)

    def packet(self, data: bytes) -> None:
        """One packet of our channel, in the order in which it was sent."""
        self.bytes += len(data)
        packet = parse_rtp(data)
        if packet is not None:
            self._take(packet)
        if self.bytes > self._max_bytes:
            self._check_bytes()

    def datagram(self, data: bytes, now: float) -> None:
        """One that came to our RTP port, in whatever order."""
        self.bytes += len(data)
        packet = parse_rtp(data)
        if self._reorder is None:
            self._reorder = Reorder()
        if packet is not None:
            for ready in self._reorder.push(packet, now):
                self._take(ready)
        self._check_bytes()

    def run(self, parser: RtspParser, channel: int) -> int:
        """Takes the fast way what is only more of an open unit, without the detour by way of events and packets."""
        found = self.depacketiser
        if self.keyframe is not None or not isinstance(found, Pictures) or found.fragments is None:
            return 0
        budget = self._max_bytes - self.bytes
        packets, size = take_run(parser, self.tracker, found, channel, self._track.payload_type, budget)
        self.bytes += size
        return packets

    def _take(self, packet: RtpPacket) -> None:
        if self.keyframe is not None:
            return
        if packet.payload_type != self._track.payload_type:
            self.tracker.pass_over(packet)
            return
        order = self.tracker.next(packet)
        if order is Order.DROP:
            return
        self.flowed = True
        self.depacketiser.push(packet, after_loss=order is Order.AFTER_LOSS)
        if isinstance(self.depacketiser, JpegDepacketiser):
            if (picture := self.depacketiser.pull()) is not None:
                self._accept(picture, picture.size)
        elif (unit := self.depacketiser.pull()) is not None:
            self._accept(unit, self.depacketiser.size_of(unit.sps))

    def _accept(self, unit: KeyUnit | JpegUnit, size: bitstream.PictureSize) -> None:
        self.size = size.width, size.height
        bitstream.check_size(size, self._max_pixels)
        self.keyframe = Keyframe(self.codec, unit.data, size.width, size.height, unit.timestamp)

    def _check_bytes(self) -> None:
        if self.bytes > self._max_bytes and self.keyframe is None:
            raise LookError(
                Reason.MEDIA_NO_KEYFRAME,
                f"video packets came, but no whole keyframe in {self.bytes} bytes of media{self.hint}",
            )
