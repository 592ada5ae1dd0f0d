"""Stage 3, wire: a session that stays open after its first keyframe: bytes and times in, counts out; bytes to send.

Packets are counted as they come (`tally`) and thrown away. While a keyframe is wanted and one comes, it is put together
as in a look. Messages, reports and whatever is odd go the slow way, by `RtspParser`; every way of cutting the bytes
gives the same.
"""

from __future__ import annotations

from typing import Final

from streamwatch.errors import LookError, Reason
from streamwatch.wire import rtcp
from streamwatch.wire.depacketise import Pictures, PsDepacketiser
from streamwatch.wire.leg import Leg
from streamwatch.wire.media import Keyframe, Media
from streamwatch.wire.rtsp import Closed, Event, Interleaved, Response, RtspParser
from streamwatch.wire.sender_clock import SenderClock
from streamwatch.wire.tally import KEY, Seen, Tally
from streamwatch.wire.upkeep import Datagram

MAX_PICTURES: Final = 4  # within which a keyframe that has begun is whole: parameter sets with a time of their own,
# and two fields, are three
SLOW_COST: Final = 1024  # bytes that one packet of the slow way counts as: it takes as long as so many of the fast way


class Watching:
    """One session. `leg` is its connection, from a conversation that is over; nobody else uses it from here on.

    `over` says why once it has ended. `wanted`: the next keyframe is put into `keyframe`. `cost` grows with what goes
    the slow way, in bytes of the fast one that take as long. Times are seconds, monotonic. Nothing that a peer sends
    raises.
    """

    __slots__ = (
        "_capture",
        "_capture_ends",
        "_channel",
        "_dropped",
        "_last",
        "_limits",
        "_media",
        "_parser",
        "_skip",
        "_tally",
        "cost",
        "keyframe",
        "leg",
        "over",
        "parted",
        "wanted",
    )

    def __init__(self, leg: Leg, now: float, *, max_pixels: int, max_bytes: int) -> None:
        media = leg.media
        if media is None:
            raise ValueError("a connection without media cannot be watched")
        self.leg = leg
        self.over: LookError | None = None
        self.parted = False  # the device has answered our farewell
        self.wanted = False
        self.keyframe: Keyframe | None = None
        self.cost = 0
        self._media = media
        self._channel = leg.channel
        self._tally = Tally(media.track, media.tracker, now, max(0, leg.channel))
        self._limits = max_pixels, max_bytes
        self._last = media  # whose depacketiser knows the parameter sets
        self._capture: Media | None = None
        self._capture_ends = 0
        self._parser: RtspParser | None = leg.parser
        leg.parser, media.keyframe = RtspParser(), None  # what they hold is not kept for as long as the session lasts
        self._skip = 0  # bytes still to come of a packet that was counted
        self._dropped = 0
        if leg.feedback is not None:
            leg.feedback.satisfied()

    @property
    def picture_at(self) -> float:
        """When the latest picture began to come."""
        return self._tally.picture_at

    @property
    def received_bytes(self) -> int:
        """Of RTP, all that came."""
        return self._tally.bytes

    @property
    def due(self) -> float:
        """When `tick` wants to be called next; never is infinite."""
        return self.leg.due

    def receive(self, buffer: bytearray, at: int, end: int, now: float) -> bytes | None:
        """Takes what arrived, which is `buffer` from `at` to `end`; gives the bytes to send.

        None, and there is nothing else to see to, where it was nothing but packets to count.
        """
        if self._parser is None:
            at += self._skip
            if at < end:
                at = self._tally.hop(buffer, at, end, now, self.wanted)
            if at >= end:
                self._skip = at - end
                return None
            self._skip = 0
            self._parser = RtspParser()
            self._parser.channels = frozenset(
                channel for channel in (self._channel, self.leg.control) if channel is not None
            )
        self._parser.receive(bytes(buffer[at:end]))
        return self.go_on(now)

    def go_on(self, now: float) -> bytes:
        """Takes what waits in the connection's parser; gives the bytes to send."""
        parser = self._parser
        try:
            while parser is not None and self.over is None and (event := parser.next_event()) is not None:
                self.cost += SLOW_COST
                self._take(event, now)
        except LookError as error:
            self.over = error
        if parser is not None and self._capture is None and self.over is None:
            self._return(parser, now)
        return self.leg.exchange.take_out()

    def closed(self, now: float) -> None:
        """The device has closed the connection."""
        if self._parser is not None:
            self._parser.receive(b"")
            self.go_on(now)
        if self.over is None:
            self.over = LookError(Reason.NET_RESET, "the peer closed the connection")

    def datagram(self, data: bytes, now: float, *, control: bool) -> None:
        """Takes what came to our RTP port, or to our RTCP port."""
        self.cost += max(SLOW_COST, len(data))
        if control or rtcp.is_rtcp(data):
            self._hear(data, now)
            return
        self._tally.packet(data, now, in_order=False)
        if self.wanted and self._capture is None:
            self._begin(in_order=False)
        if self._capture is not None:
            self._collect(data, now, in_order=False)

    def tick(self, now: float) -> bytes:
        """Time has passed; gives the bytes to send. Before `due` nothing happens."""
        leg = self.leg
        if self.over is not None or now < leg.due:
            return b""
        self._media.bytes = self._tally.bytes
        if leg.feedback is not None and leg.feedback.is_over(now):
            self.over = LookError(Reason.MEDIA_NO_DATA, "the device has said that its stream is over (RTCP BYE)")
            return b""
        try:
            if leg.upkeep is not None and leg.upkeep.keepalive_due(now):
                leg.exchange.forgive()
                leg.keep_alive(now)
            leg.say(now)
        except LookError as error:
            self.over = error
        return leg.exchange.take_out()

    def take_datagrams(self) -> list[Datagram]:
        """What is to be sent by UDP now; each is given once."""
        datagrams, self.leg.datagrams = self.leg.datagrams, []
        return datagrams

    def take(self, now: float, dropped: int = 0) -> Seen:
        """What came since this was last asked; `dropped` datagrams our own machine has thrown away until now."""
        before, self._dropped = self._dropped, dropped
        return self._tally.take(now, dropped - before)

    def clock_offset_ms(self, zero_us: int) -> float | None:
        """As `Outcome.clock_offset_ms`, by what came since this was last asked: clocks are set, and drift."""
        feedback = self.leg.feedback
        if feedback is None:
            return None
        clock, feedback.clock = feedback.clock, SenderClock()
        return clock.offset_ms(self._media.ssrc, zero_us)

    def farewell(self) -> bytes:
        """TEARDOWN, as bytes to send."""
        words = self.leg.farewell()
        self.parted = self.parted or not words
        return words

    # ---- the slow way

    def _take(self, event: Event, now: float) -> None:
        if isinstance(event, Interleaved):
            if event.channel == self._channel:
                self._packet(event.payload, now)
            else:
                self._hear(event.payload, now)
        elif isinstance(event, Response):
            request = self.leg.exchange.match(event)
            if request is None:
                return
            if request.method == "TEARDOWN":
                self.parted = True
            else:
                self.leg.kept_alive(event, request)
                if event.status == 200 and request.answers:
                    self.leg.exchange.proven()
        elif isinstance(event, Closed):
            where = "" if event.clean else " in the middle of a message"
            self.over = LookError(Reason.NET_RESET, f"the peer closed the connection{where}")
        elif self.leg.exchange.serve(event) is not None:
            self.over = LookError(Reason.RTSP_REDIRECT, "the device sends us on while it plays")

    def _packet(self, data: bytes, now: float) -> None:
        if len(data) > 1 and rtcp.is_rtcp(data):  # that strays to the channel of RTP, or shares it
            self._hear(data, now)
        sight = self._tally.packet(data, now)
        if sight == KEY and self.wanted and self._capture is None:
            self._begin(in_order=True)
        if self._capture is not None:
            self._collect(data, now, in_order=True)

    def _hear(self, data: bytes, now: float) -> None:
        self._media.bytes = self._tally.bytes
        if self.leg.feedback is not None:
            self.leg.feedback.hear(data, now)

    def _return(self, parser: RtspParser, now: float) -> None:
        """The fast way again, where a packet of ours begins."""
        if (window := parser.window()) is None:
            return
        buffer, at = window
        end = len(buffer)
        after = self._tally.hop(buffer, at, end, now, wanted=self.wanted)
        if after >= end:
            self._skip = after - end
            self._parser = None
        elif after > at:
            parser.advance(after)

    # ---- a keyframe

    def _begin(self, *, in_order: bool) -> None:
        self._capture = Media(self._media.track, *self._limits)
        known = self._last.depacketiser
        if not isinstance(known, PsDepacketiser):  # in whose stream all comes again
            self._capture.depacketiser = known
        if isinstance(known, Pictures):
            known.lose()  # what came meanwhile
        self._capture.announced(self._media.ssrc, in_order=in_order)
        self._last = self._capture
        self._capture_ends = self._tally.pictures + MAX_PICTURES

    def _collect(self, data: bytes, now: float, *, in_order: bool) -> None:
        capture = self._capture
        assert capture is not None
        try:
            if in_order:
                capture.packet(data)
            else:
                capture.datagram(data, now)
        except LookError:  # an order that finds no keyframe looks for itself, and says why
            self._capture, self.wanted = None, False
            return
        if capture.keyframe is not None:
            self.keyframe, capture.keyframe = capture.keyframe, None
            self._capture, self.wanted = None, False
        elif in_order and self._tally.pictures > self._capture_ends:
            self._capture = None
