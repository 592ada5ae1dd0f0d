"""Stage 3: one look's whole conversation with one camera, as a pure state machine: bytes and times in, bytes out.

OPTIONS, DESCRIBE, SETUP of the video track, PLAY, media until the first whole keyframe; the shell moves the bytes,
holds the deadlines, and says farewell. Whatever a peer does ends in `keyframe`, or in a `failure` with reason and step.

Media comes interleaved in the connection (TCP) or as datagrams (UDP). A transport that the device refuses, or accepts
and then sends nothing by, is given up for the other one: after a refusal in the same connection (RFC 2326 section
10.4), after silence in a new one, as many devices misbehave on a second SETUP in a session that plays.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Final

from streamwatch.errors import LookError, LookFailure, Reason, Step
from streamwatch.model.look import Depth, Transport
from streamwatch.wire import rtcp, sdp, transport
from streamwatch.wire.ask import Ask as Ask
from streamwatch.wire.attempts import Attempts
from streamwatch.wire.auth import Authenticator
from streamwatch.wire.exchange import Exchange
from streamwatch.wire.media import Keyframe as Keyframe
from streamwatch.wire.media import Media
from streamwatch.wire.refusals import METHODS, plain, refusal_of
from streamwatch.wire.rtsp import Closed, Event, Interleaved, Request, Response, RtspParser
from streamwatch.wire.upkeep import Datagram, Upkeep
from streamwatch.wire.url import parse_address

MAX_SERVER_NAME: Final = 128  # characters

_LOST_TO_US: Final = frozenset({Reason.MEDIA_NO_DATA, Reason.MEDIA_NO_KEYFRAME})


class Conversation:
    """Feed it what arrives, send what it returns. `finished` once `keyframe`, `failure`, or depth reach is settled.

    After every call see what it wants: `redial`: farewell, close, connect again and `start` again; `wants_ports`: open
    a pair of UDP ports and tell it by `use_ports` or `no_ports`; `take_datagrams` are to be sent from them to the
    device's own address; `due`: call `tick` then (seconds, monotonic).

    `progress` grows with every complete message and media packet: silence and trickling are told apart by it.
    `patience_s` is how long after PLAY no media may come before the other transport is tried, None for ever; at most
    half of what is left until `ends`, the look's own deadline (seconds, monotonic). While media flows, the shell's
    deadline is `keyframe_until`.
    Raises UsageError where the address cannot be used; afterwards nothing that a peer sends raises.
    """

    def __init__(self, ask: Ask, cnonce: Callable[[], str], patience_s: float | None = None, ends: float = inf) -> None:
        address = parse_address(ask.url)
        self.step = Step.OPTIONS
        self.finished = False
        self.failure: LookFailure | None = None
        self.keyframe: Keyframe | None = None
        self.media_flowed = False
        self.codec: str | None = None
        self.width: int | None = None
        self.height: int | None = None
        self.transport: str | None = None  # tcp or udp, of the latest session
        self.server: str | None = None
        self.timings_ms: dict[str, float] = {}  # of the steps of the latest connection
        self.progress = 0
        self.parted = False  # after `farewell`: the peer answered it, or closed
        self.redial = False
        self.wants_ports = False
        self.source: str | None = None  # the address that the device says its datagrams come from
        self.kernel_dropped = 0  # datagrams that our own machine threw away
        self._ask = ask
        self._patience_s = patience_s
        self._ends = ends
        self._cnonce = cnonce
        self._origin = address.origin
        self._url = address.url
        self._auth = Authenticator(
            ask.credentials or address.credentials, address.origin, cnonce, allow_basic=ask.allow_basic
        )
        self._attempts = Attempts(ask.transport, ask.prefer)
        self._port: int | None = None  # our RTP port
        self._datagrams: list[Datagram] = []
        self._earlier_bytes = 0
        self._begin()

    def _begin(self) -> None:
        """The state of one connection."""
        self._parser = RtspParser()
        self._begun = 0.0  # when the present step's first request left
        self._exchange = Exchange(self._auth, self._ask.user_agent)
        self._set_up = False
        self._refused_here = False  # a transport, in this connection
        self._track_url = self._play_url = self._url
        self._channel = -1
        self._media: Media | None = None
        self._upkeep: Upkeep | None = None
        self._patient_until: float | None = None
        self._bye = False

    @property
    def url(self) -> str:
        """Whom to connect to, without credentials: the address asked for, or where it was sent on to."""
        return self._url

    @property
    def media_bytes(self) -> int:
        """RTP packets of our channels and ports."""
        return self._earlier_bytes + (self._media.bytes if self._media is not None else 0)

    @property
    def packets_lost(self) -> int:
        """Of the latest session's media, on the way to us."""
        return self._media.tracker.lost if self._media is not None else 0

    @property
    def due(self) -> float | None:
        """When `tick` wants to be called; None as long as nothing but the peer matters."""
        if self.step is not Step.FIRST_KEYFRAME or self.finished or self.redial or self._upkeep is None:
            return None
        upkeep, patient = self._upkeep.due, self._patient_until
        if upkeep is None or patient is None:
            return upkeep if patient is None else patient
        return min(upkeep, patient)

    def start(self, now: float) -> bytes:
        """The first bytes to send in a connection that is up at `now` (seconds, monotonic)."""
        if self.redial:
            self._earlier_bytes = self.media_bytes
            self.redial = self.parted = self.wants_ports = False
            self._port = None
            self.timings_ms.clear()
            self._datagrams.clear()
            self._auth.renew()
            self._begin()
        self._enter(Step.OPTIONS, self._url, now)
        return self._exchange.take_out()

    def receive(self, data: bytes, now: float) -> bytes:
        """Takes what arrived at `now` (b"": the peer closed); gives the bytes to send."""
        self._parser.receive(data)
        try:
            while not ((self.finished or self.redial) and not self._set_up):
                event = self._parser.next_event()
                if event is None:
                    break
                if self.finished or self.redial:
                    self._part(event)
                else:
                    self._take(event, now)
                    if self._channel >= 0 and self._media is not None:
                        self.progress += self._media.run(self._parser, self._channel)
                if isinstance(event, Closed):
                    break
        except LookError as error:
            if self.redial:  # of a connection that is over
                self.parted = True
            else:
                self._fail(error)
        return self._exchange.take_out()

    def datagram(self, data: bytes, now: float, *, control: bool = False) -> None:
        """Takes what came to our RTP port, or to our RTCP port, from where the device sends from."""
        media = self._media
        if media is None or self._channel >= 0 or not self._set_up or self.finished or self.redial:
            return
        if control or rtcp.is_rtcp(data):
            self._bye = self._bye or media.ended_by(data)
            return
        self.progress += 1
        try:
            media.datagram(data, now)
        except LookError as error:
            self._fail(error)
        self._look_at(media, now)

    def dropped(self, total: int) -> None:
        """So many datagrams to our ports our own kernel has thrown away until now."""
        self.kernel_dropped = max(self.kernel_dropped, total)

    def use_ports(self, port: int) -> bytes:
        """`wants_ports` is answered: our RTP port is `port`, an even one, RTCP's the next; gives the bytes to send."""
        self.wants_ports = False
        self._port = port
        self._set_up_track()
        return self._exchange.take_out()

    def no_ports(self, error: LookError) -> bytes:
        """`wants_ports` could not be met: the other transport, where it was not tried yet, or the failure."""
        self.wants_ports = False
        try:
            self._refused(error)
        except LookError:
            self._fail(error)
        return self._exchange.take_out()

    def take_datagrams(self) -> list[Datagram]:
        """What is to be sent by UDP now; each is given once."""
        datagrams, self._datagrams = self._datagrams, []
        return datagrams

    def tick(self, now: float) -> bytes:
        """Time has passed; gives the bytes to send. Before `due` nothing happens."""
        due = self.due
        if due is None or now < due or self._upkeep is None:
            return b""
        if self._patient_until is not None and now >= self._patient_until:
            self.give_up(now)
            return b""
        self._datagrams += self._upkeep.reports(now)
        return self.keep_alive(now) if self._upkeep.keepalive_due(now) else b""

    def keep_alive(self, now: float) -> bytes:
        """The session's keepalive, for the shell by way of `tick`."""
        if self._upkeep is not None and self.step is Step.FIRST_KEYFRAME and not self.finished:
            self._upkeep.heard_from_us(now)
            self._exchange.ask(self._upkeep.method, self._play_url)
        return self._exchange.take_out()

    def give_up(self, now: float) -> None:
        """No media came by this transport: the other one is wanted, in a new connection."""
        if self.finished or self.redial or self.step is not Step.FIRST_KEYFRAME or not self._attempts.another:
            return
        self._change(self._no_data(f"for {now - self._begun:.1f} s"))

    def timeout(self, now: float) -> None:
        """The shell's deadline fell at `now`, for one silent step or for the whole look."""
        if self.finished:
            return
        if self.step is not Step.FIRST_KEYFRAME:
            self._fail(LookError(Reason.NET_TIMEOUT, f"no whole answer to {METHODS.get(self.step, self.step.value)}"))
        elif self._media is not None and self._media.flowed:
            detail = f"video packets came, but no whole keyframe within {now - self._begun:.1f} s"
            lost = self._media.tracker.lost
            detail += f"; {lost} packets were lost on the way" if lost else ""
            self._fail(LookError(Reason.MEDIA_NO_KEYFRAME, detail + self._ending()))
        else:
            self._fail(self._no_data(""))

    def abort(self, error: LookError) -> None:
        """The shell's own bad news (refused, reset, our own limit): the failure, unless the look is settled."""
        self._set_up = False
        self._fail(error)

    def farewell(self) -> bytes:
        """TEARDOWN where a session is open, else b"". Call it once, when finished; its reply turns on `parted`."""
        if not self._set_up or self.parted:
            self.parted = True
            return b""
        self._exchange.ask("TEARDOWN", self._play_url)
        return self._exchange.take_out()

    @property
    def keyframe_until(self) -> float:
        """When `timeout` falls because media flows and no keyframe comes; never, as long as none flows."""
        if self.step is not Step.FIRST_KEYFRAME or not self.media_flowed:
            return inf
        return self._begun + self._ask.keyframe_s

    def waited_s(self, now: float) -> float | None:
        """How long media has flowed without a keyframe, or until it came; None where none did."""
        return now - self._begun if self.step is Step.FIRST_KEYFRAME and self.media_flowed else None

    # ---- events

    def _take(self, event: Event, now: float) -> None:
        if isinstance(event, Interleaved):
            if event.channel == self._channel:
                self.progress += 1  # RTCP shows no progress: it also comes where no video does
                self._interleaved(event.payload, now)
        elif isinstance(event, Response):
            if self.step is not Step.FIRST_KEYFRAME:  # answers to keepalives show none either
                self.progress += 1
            self._reply(event, now)
        elif isinstance(event, Request):
            self.progress += 1
            self._exchange.serve(event)
        else:
            self._set_up = False
            if self._refused_here and self.step is Step.SETUP:
                self.redial = True  # it ends the connection with its refusal: the other transport in a new one
                return
            where = "" if event.clean else " in the middle of a message"
            raise LookError(Reason.NET_RESET, f"the peer closed the connection{where}")

    def _part(self, event: Event) -> None:
        """After the end only the reply to TEARDOWN matters; media still in flight is let go."""
        if isinstance(event, Closed):
            self.parted = True
        elif isinstance(event, Response) and (request := self._exchange.answers_farewell(event)) is not None:
            # 401: the nonce ran out within the session
            self.parted = event.status != 401 or not self._exchange.try_again(event, request)

    def _reply(self, reply: Response, now: float) -> None:
        request = self._exchange.match(reply)
        if request is None:
            return
        server = reply.headers.get("Server")
        if server and self.server is None:
            self.server = plain(server)[:MAX_SERVER_NAME]
        if self.step is Step.FIRST_KEYFRAME:
            self._kept_alive(reply, request)
            return
        if reply.status == 401 and self.step is not Step.OPTIONS:
            self._exchange.challenged(reply, request, *self._fields(self.step))
            return
        if self.step is not Step.OPTIONS and reply.status != 200:
            refusal = refusal_of(self.step, reply)
            if refusal.reason is Reason.RTSP_TRANSPORT:
                self._refused(refusal)
                return
            raise refusal
        self.timings_ms[self.step.value] = (now - self._begun) * 1000
        _AFTER[self.step](self, reply, now)

    def _after_options(self, reply: Response, now: float) -> None:
        """Any answer will do: that there is one shows that the device speaks RTSP."""
        if self._ask.depth is Depth.REACH:
            self.finished = True
            return
        if reply.status == 401:
            with suppress(LookError):  # DESCRIBE may be open to everybody
                self._auth.challenged(reply.headers.all("WWW-Authenticate"), answered=False)
        self._upkeep = Upkeep(reply.headers.all("Public"), self._cnonce)
        self._enter(Step.DESCRIBE, self._url, now)

    def _after_describe(self, reply: Response, now: float) -> None:
        description = sdp.parse_sdp(reply.body)
        track = sdp.pick_video(description)
        self.codec = track.codec
        self._media = Media(track, self._ask.max_pixels, self._ask.max_media_bytes)
        headers = reply.headers
        called = headers.get("Content-Base"), headers.get("Content-Location")
        base = sdp.base_url(self._origin, self._url, *called)
        self._track_url = sdp.control_url(self._origin, base, track.control, called)
        self._play_url = sdp.control_url(self._origin, base, description.control, called)
        self.step = Step.SETUP
        self._begun = now
        self._set_up_track()

    def _set_up_track(self) -> None:
        if self._attempts.current is Transport.UDP and self._port is None:
            self.wants_ports = True
        else:
            self._exchange.ask("SETUP", self._track_url, *self._fields(Step.SETUP))

    def _after_setup(self, reply: Response, now: float) -> None:
        self._set_up = True
        self._exchange.session = transport.parse_session(reply.headers.get("Session"))
        stated = reply.headers.get("Transport")
        agreed = transport.parse_transport(stated, self._attempts.current)
        other = agreed.lower is not self._attempts.current
        if agreed.multicast or (other and (self._attempts.pinned or agreed.lower is Transport.UDP)):
            refusal = LookError(Reason.RTSP_TRANSPORT, f"SETUP was answered with {plain(stated or '')[:80]}")
            if not self._attempts.another:
                raise refusal
            self._change(refusal)
            return
        self.transport = agreed.lower.value
        if agreed.lower is Transport.TCP:
            rtp, rtcp_channel = agreed.channels
            self._channel = rtp
            self._parser.channels = frozenset({rtp} if rtcp_channel is None else {rtp, rtcp_channel})
        elif self._media is not None and self._upkeep is not None:
            self._media.announced(agreed.ssrc)
            self.source = agreed.source
            self._datagrams += self._upkeep.opened(agreed.server_ports)
        self._enter(Step.PLAY, self._play_url, now)

    def _after_play(self, reply: Response, now: float) -> None:
        session = transport.parse_session(reply.headers.get("Session")) or self._exchange.session
        self._exchange.session = session
        self.step = Step.FIRST_KEYFRAME
        self._begun = now
        if self._upkeep is not None:
            timeout_s = session.timeout_s if session is not None else transport.DEFAULT_TIMEOUT_S
            self._datagrams += self._upkeep.playing(timeout_s, now)
        if self._patience_s is not None and self._attempts.another and not self.media_flowed:
            self._patient_until = now + min(self._patience_s, max(0.0, self._ends - now) / 2)
        if self.keyframe is not None:  # it came before the reply: v4l2rtspserver
            self._arrived(now)

    def _kept_alive(self, reply: Response, request: Request) -> None:
        """What a device says to a keepalive says nothing about its video."""
        upkeep = self._upkeep
        if upkeep is None:
            return
        if reply.status == 401:
            if not self._exchange.try_again(reply, request):
                upkeep.stop()
        elif reply.status >= 400:  # 405, 501, 551; Tapo C220 and C520WS list methods and say 400 (retina #133, #136)
            upkeep.refused()

    # ---- transports

    def _refused(self, error: LookError) -> None:
        """SETUP was refused: the other transport in the same connection, where it was not tried yet."""
        if not self._attempts.another:
            raise error
        self._attempts.give_up(LookFailure(error.reason, error.step or self.step, error.detail))
        self._refused_here = True
        self._set_up_track()

    def _change(self, error: LookError) -> None:
        """The other transport in a new connection."""
        error = self._blamed(error)
        self._attempts.give_up(LookFailure(error.reason, error.step or self.step, error.detail))
        self._patient_until = None
        self.redial = True

    # ---- media

    def _interleaved(self, data: bytes, now: float) -> None:
        media = self._media
        if media is not None:
            try:
                media.packet(data)
            finally:
                self._look_at(media, now)

    def _look_at(self, media: Media, now: float) -> None:
        """What the packets so far came to."""
        if media.flowed and not self.media_flowed:
            self.media_flowed = True
            self._patient_until = None
        self.codec = media.codec
        if media.size is not None:
            self.width, self.height = media.size
        if media.keyframe is not None and self.keyframe is None:
            self.keyframe = media.keyframe
            if self.step is Step.FIRST_KEYFRAME:
                self._arrived(now)

    def _arrived(self, now: float) -> None:
        self.timings_ms[Step.FIRST_KEYFRAME.value] = (now - self._begun) * 1000
        self.finished = True

    def _no_data(self, how_long: str) -> LookError:
        detail = f"PLAY was accepted, and then no video packet came {how_long}".rstrip()
        return LookError(Reason.MEDIA_NO_DATA, detail + self._ending())

    def _ending(self) -> str:
        return "; the device said that the stream is over (RTCP BYE)" if self._bye else ""

    def _blamed(self, error: LookError) -> LookError:
        """What our own machine threw away is never missing at the camera."""
        if not self.kernel_dropped or error.reason not in _LOST_TO_US:
            return error
        detail = f"our own kernel dropped {self.kernel_dropped} datagrams before we read them; {error.detail}"
        return LookError(Reason.OURS_OVERLOAD, detail, step=error.step)

    # ---- requests

    def _enter(self, step: Step, url: str, now: float) -> None:
        self.step = step
        self._begun = now
        self._exchange.ask(METHODS[step], url, *self._fields(step))

    def _fields(self, step: Step) -> list[tuple[str, str]]:
        if step is Step.DESCRIBE:
            return [("Accept", "application/sdp")]
        if step is Step.SETUP:
            return [("Transport", transport.asked(self._attempts.current, self._port))]
        return [("Range", "npt=0.000-")] if step is Step.PLAY else []

    def _fail(self, error: LookError) -> None:
        if self.finished:
            self.parted = True
            return
        error = self._blamed(error)
        self.failure = self._attempts.verdict(LookFailure(error.reason, error.step or self.step, error.detail))
        self.keyframe = None
        self.redial = self.wants_ports = False
        self.finished = True


_AFTER: Final[dict[Step, Callable[[Conversation, Response, float], None]]] = {
    Step.OPTIONS: Conversation._after_options,
    Step.DESCRIBE: Conversation._after_describe,
    Step.SETUP: Conversation._after_setup,
    Step.PLAY: Conversation._after_play,
}
