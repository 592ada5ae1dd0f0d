"""Stage 3, wire: one connection of a look: what was said in it, and how its media comes.

A look has more than one where a transport did not work, or where the device sent us on.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from streamwatch.errors import LookError
from streamwatch.model.look import Transport
from streamwatch.wire import sdp, transport
from streamwatch.wire.ask import Ask
from streamwatch.wire.auth import Authenticator
from streamwatch.wire.exchange import Asked, Exchange
from streamwatch.wire.feedback import Feedback
from streamwatch.wire.media import Media
from streamwatch.wire.rtsp import Response, RtspParser
from streamwatch.wire.sdp import SessionDescription, VideoTrack
from streamwatch.wire.transport import Agreed
from streamwatch.wire.upkeep import Datagram, Upkeep
from streamwatch.wire.url import Address
from streamwatch.wire.warm import Warm


class Leg:
    """Times in seconds, monotonic. What is to be sent by UDP is in `datagrams`, the rest in `exchange`."""

    __slots__ = (
        "address",
        "begun",
        "channel",
        "control",
        "datagrams",
        "exchange",
        "feedback",
        "hung_up",
        "media",
        "name",
        "parser",
        "patient_until",
        "play_url",
        "port",
        "profile",
        "refused",
        "renewed",
        "set_up",
        "track_url",
        "upkeep",
        "warm",
    )

    def __init__(self, auth: Authenticator, user_agent: str, address: Address, name: Callable[[], str]) -> None:
        self.address = address
        self.parser = RtspParser()
        self.exchange = Exchange(auth, user_agent)
        self.name = name  # gives a random text
        self.begun = 0.0  # when the present step's first request left
        self.set_up = False  # a session is open
        self.refused = False  # a transport, here
        self.hung_up = False  # the device, behind a challenge
        self.warm = False  # it began with SETUP: what fails here proves nothing
        self.renewed = False  # a session that the device did not know any more
        self.patient_until: float | None = None
        self.track_url = self.play_url = address.url
        self.profile = transport.PLAIN
        self.port: int | None = None  # ours for RTP
        self.channel = -1  # of RTP over TCP
        self.control: int | None = None  # and of RTCP
        self.media: Media | None = None
        self.feedback: Feedback | None = None
        self.upkeep: Upkeep | None = None
        self.datagrams: list[Datagram] = []

    @property
    def bye(self) -> bool:
        """Whether the device has said that its stream is over."""
        return self.feedback is not None and self.feedback.bye

    @property
    def due(self) -> float:
        """When something is to be sent, or given up, next; never is infinite."""
        upkeep = inf if self.upkeep is None or self.upkeep.due is None else self.upkeep.due
        feedback = inf if self.feedback is None else self.feedback.due
        return min(upkeep, feedback, inf if self.patient_until is None else self.patient_until)

    def describe(self, reply: Response, description: SessionDescription, track: VideoTrack, ask: Ask) -> None:
        """What DESCRIBE was answered with, and the track to watch. Raises LookError."""
        self.media = Media(track, ask.max_pixels, ask.max_media_bytes)
        self.profile = track.profile
        origin, url = self.address.origin, self.address.url
        called = reply.headers.get("Content-Base"), reply.headers.get("Content-Location")
        base = sdp.base_url(origin, url, *called)
        self.track_url = sdp.control_url(origin, base, track.control, called)
        self.play_url = sdp.control_url(origin, base, description.control, called)

    def recall(self, warm: Warm, ask: Ask) -> None:
        """Instead of OPTIONS and DESCRIBE: what an earlier look was told."""
        self.warm = True
        self.media = Media(warm.track, ask.max_pixels, ask.max_media_bytes)
        self.profile = warm.track.profile
        self.track_url, self.play_url = warm.addresses(self.address.url)
        self.upkeep = Upkeep([warm.keepalive])

    def agree(self, agreed: Agreed) -> None:
        """SETUP is answered, and the transport is one that we can do."""
        media, upkeep = self.media, self.upkeep
        if media is None or upkeep is None:
            return
        by_udp = agreed.lower is Transport.UDP
        media.announced(agreed.ssrc, in_order=not by_udp)
        self.feedback = Feedback(media, self.name, from_start=by_udp)
        if by_udp:
            self.datagrams += upkeep.opened(agreed.server_ports, self.feedback)
        else:
            self.channel, self.control = agreed.channels
            self.parser.channels = frozenset((self.channel, self.channel if self.control is None else self.control))

    def play(self, now: float) -> None:
        """PLAY is answered."""
        if self.upkeep is not None and self.feedback is not None:
            session = self.exchange.session
            timeout_s = session.timeout_s if session is not None else transport.DEFAULT_TIMEOUT_S
            self.datagrams += self.upkeep.playing(timeout_s, now, self.feedback)
            self.feedback.playing(now)

    def flowing(self, now: float) -> None:
        """Media began to flow."""
        self.patient_until = None
        if self.feedback is not None and (self.channel < 0 or self.control is not None):
            self.feedback.flowing(now)

    def say(self, now: float) -> None:
        """Sends the RTCP that is due."""
        packet = self.feedback.packet(now) if self.feedback is not None else None
        if packet is None:
            return
        if self.upkeep is not None and self.upkeep.ports is not None:
            self.datagrams.append(Datagram(self.upkeep.ports[1], packet, control=True))
        elif self.control is not None:
            self.exchange.put(b"$" + bytes((self.control,)) + len(packet).to_bytes(2) + packet)

    def keep_alive(self, now: float) -> None:
        """Asks what keeps the session."""
        if self.upkeep is not None:
            self.upkeep.heard_from_us(now)
            self.exchange.ask(self.upkeep.method, self.play_url)

    def forget_session(self, request: Asked) -> bool:
        """The device does not know the session of `request`: whether a fresh one is to be asked for, once."""
        if self.renewed or not request.in_session:
            return False
        self.exchange.session = None
        self.renewed = True
        self.set_up = False
        return True

    def kept_alive(self, reply: Response, request: Asked) -> None:
        """What a device says to a keepalive says nothing about its video."""
        upkeep = self.upkeep
        if upkeep is None:
            return
        if reply.status == 401:
            if not self.exchange.try_again(reply, request):
                upkeep.stop()
        elif reply.status >= 400:  # 405, 501, 551; Tapo C220 and C520WS list methods and say 400 (retina #133, #136)
            upkeep.refused()

    def farewell(self) -> bytes:
        """TEARDOWN, as bytes to send; none where no answer to a challenge may be sent to the session's address."""
        try:
            self.exchange.ask("TEARDOWN", self.play_url)
        except LookError:
            return b""
        return self.exchange.take_out()
