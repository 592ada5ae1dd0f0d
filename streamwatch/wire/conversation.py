"""Stage 3: one look's whole conversation with one camera, as a pure state machine: bytes and times in, bytes out.

OPTIONS, DESCRIBE, SETUP of the video track, PLAY, media until the first whole keyframe; the shell moves the bytes,
holds the deadlines, and says farewell. Whatever a peer does ends in `keyframe`, or in a `failure` with reason and step.

Media comes interleaved in the connection (TCP) or as datagrams (UDP). A transport that the device refuses, or accepts
and then sends nothing by, is given up for the other one: after a refusal in the same connection (RFC 2326 section
10.4), after silence in a new one, as many devices misbehave on a second SETUP in a session that plays. Where a device
sends us on (`redirect`), all begins anew in a connection to the other address.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from streamwatch.errors import LookError, LookFailure, Reason, Step
from streamwatch.model.look import Depth, Transport
from streamwatch.wire import rtcp, sdp, transport
from streamwatch.wire.ask import Ask as Ask
from streamwatch.wire.attempts import Attempts
from streamwatch.wire.auth import Authenticator
from streamwatch.wire.exchange import Asked
from streamwatch.wire.leg import Leg
from streamwatch.wire.media import Keyframe as Keyframe
from streamwatch.wire.missing import blamed, no_data
from streamwatch.wire.outcome import NAMES, Outcome
from streamwatch.wire.refusals import METHODS, refusal_of
from streamwatch.wire.rtsp import Closed, Event, Interleaved, Request, Response
from streamwatch.wire.upkeep import Datagram, Upkeep
from streamwatch.wire.warm import SHARE, Warm
from streamwatch.wire.words import MAX_SERVER_NAME, plain

SESSION_NOT_FOUND: Final = 454


class Conversation(Outcome):
    """Feed it what arrives, send what it returns. `finished` once `keyframe`, `failure`, or depth reach is settled.

    After every call see what it wants: `redial`: farewell, close, connect to `url` and `start` again; `wants_ports`:
    open a pair of UDP ports and tell it by `use_ports` or `no_ports`; `take_datagrams` are to be sent from them to the
    device's own address; `due`: call `tick` then (seconds, monotonic); `hastened`: `due` has come nearer.

    `progress` grows with every complete message and media packet: silence and trickling are told apart by it.
    `patience_s` is how long after PLAY no media may come before the other transport is tried, None for ever; at most
    half of what is left until `ends`, the look's own deadline (seconds, monotonic). While media flows, the shell's
    deadline is `keyframe_until`.
    Raises UsageError where the address cannot be used; afterwards nothing that a peer sends raises.
    """

    def start(self, now: float) -> bytes:
        """The first bytes to send in a connection that is up at `now` (seconds, monotonic)."""
        if self.redial:
            self._earlier_bytes = self.media_bytes
            self.redial = self.parted = self._parting = self.wants_ports = self.media_flowed = False
            self.kernel_dropped = 0  # of another pair of ports
            self.timings_ms.clear()
            if not self._leg.hung_up:
                self.auth.renew()
            self._leg = Leg(self.auth, self._ask.user_agent, self._route.address, self._cnonce)
        if self._warm is None:
            self._enter(Step.OPTIONS, self.url, now)
        else:
            self._begin_warm(self._warm, now)
        return self._leg.exchange.take_out()

    def _begin_warm(self, warm: Warm, now: float) -> None:
        """With SETUP. Only by the transport that worked: another one is the full conversation's to try."""
        leg = self._leg
        leg.recall(warm, self._ask)
        leg.begun = now
        self._warm_until = now + (self._ends - now) * SHARE
        self._attempts = Attempts(warm.transport, warm.transport)
        self.step, self.codec, self.server = Step.SETUP, warm.track.codec, warm.server
        self._set_up_track()

    def receive(self, data: bytes, now: float) -> bytes:
        """Takes what arrived at `now` (b"": the peer closed); gives the bytes to send."""
        leg = self._leg
        parser = leg.parser
        parser.receive(data)
        try:
            while True:
                over = self.finished or self.redial
                if over and not self._parting:  # what follows is for the farewell, or for who takes the session over
                    break
                event = parser.next_event()
                if event is None:
                    break
                if over:
                    self._part(event)
                elif isinstance(event, Interleaved):
                    if event.channel == leg.channel:
                        self.progress += 1  # RTCP shows no progress: it also comes where no video does
                        self._interleaved(event.payload, now)
                    elif event.channel == leg.control:
                        self._hear(event.payload, now)
                else:
                    self._take(event, now)
                if isinstance(event, Closed):
                    break
        except LookError as error:
            if self.redial:  # of a connection that is over
                self.parted = True
            else:
                self._fail(error)
        return leg.exchange.take_out()

    def datagram(self, data: bytes, now: float, *, control: bool = False) -> None:
        """Takes what came to our RTP port, or to our RTCP port, from where the device sends from."""
        leg = self._leg
        media = leg.media
        if media is None or leg.channel >= 0 or not leg.set_up or self.finished or self.redial:
            return
        if control or rtcp.is_rtcp(data):
            self._hear(data, now)
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
        self._leg.port = port
        try:
            self._set_up_track()
        except LookError as error:  # an address that no answer to a challenge is sent to
            self._fail(error)
        return self._leg.exchange.take_out()

    def no_ports(self, error: LookError) -> bytes:
        """`wants_ports` could not be met: the other transport, where it was not tried yet, or the failure."""
        self.wants_ports = False
        try:
            self._refused(error)
        except LookError:
            self._fail(error)
        return self._leg.exchange.take_out()

    def take_datagrams(self) -> list[Datagram]:
        """What is to be sent by UDP now; each is given once."""
        leg = self._leg
        datagrams, leg.datagrams = leg.datagrams, []
        return datagrams

    def tick(self, now: float) -> bytes:
        """Time has passed; gives the bytes to send. Before `due` nothing happens."""
        due, leg = self.due, self._leg
        if due is None or now < due:
            return b""
        if leg.warm and now >= self._warm_until:
            self._forget_warm()
            return b""
        if leg.patient_until is not None and now >= leg.patient_until:
            self.give_up(now)
            return b""
        if leg.feedback is not None and leg.feedback.is_over(now):
            self.give_up(now)
            if not self.redial:
                self.timeout(now)
            return b""
        if leg.upkeep is not None and leg.upkeep.keepalive_due(now):
            leg.keep_alive(now)
        leg.say(now)
        return leg.exchange.take_out()

    def keep_alive(self, now: float) -> bytes:
        """The session's keepalive, for the shell by way of `tick`."""
        if self.step is Step.FIRST_KEYFRAME and not self.finished:
            self._leg.keep_alive(now)
        return self._leg.exchange.take_out()

    def give_up(self, now: float) -> None:
        """No media came by this transport: the other one is wanted, in a new connection."""
        waits = self.step is Step.FIRST_KEYFRAME and not (self.finished or self.redial or self.media_flowed)
        if waits and self._attempts.another:
            leg = self._leg
            self._change(no_data(f"for {now - leg.begun:.1f} s", bye=leg.bye))

    def farewell(self) -> bytes:
        """TEARDOWN where a session is open, else b"". Call it once, when finished; its reply turns on `parted`."""
        if not self._leg.set_up or self.parted:
            self.parted = True
            return b""
        self._parting = True
        words = self._leg.farewell()
        self.parted = not words
        return words

    # ---- events

    def _take(self, event: Response | Request | Closed, now: float) -> None:
        if isinstance(event, Response):
            if self.step is not Step.FIRST_KEYFRAME:  # answers to keepalives show none either
                self.progress += 1
            self._reply(event, now)
        elif isinstance(event, Request):
            self.progress += 1
            location = self._leg.exchange.serve(event)
            if location is not None:
                self._sent_on(location, "the session")
        else:
            self._closed(event)

    def _closed(self, event: Closed) -> None:
        """Instead of an answer to SETUP it is a refusal of the transport, said badly: the other one in a new one."""
        leg = self._leg
        leg.set_up = False
        where = "" if event.clean else " in the middle of a message"
        error = LookError(Reason.NET_RESET, f"the peer closed the connection{where}")
        if leg.warm:
            self.auth.refusals += leg.exchange.is_first_answer  # it may be what VStarcam means by that
            raise error
        if leg.refused and self.step is Step.SETUP:
            self.redial = True  # it ends the connection with its refusal
        elif self.step is Step.SETUP and event.clean and self._attempts.another:
            self._change(error)
        elif leg.exchange.is_first_answer and event.clean and not self._hung_up:
            # VStarcam closes behind its 401 (retina #45): the answer goes into a new connection, and counts as a try
            self._hung_up = leg.hung_up = self.redial = True
            self.auth.refusals += 1
        else:
            raise error

    def _part(self, event: Event) -> None:
        """After the end only the reply to TEARDOWN matters; media still in flight is let go."""
        exchange = self._leg.exchange
        if isinstance(event, Closed):
            self.parted = True
        elif isinstance(event, Response) and (request := exchange.answers_farewell(event)) is not None:
            # 401: the nonce ran out within the session
            self.parted = event.status != 401 or not exchange.try_again(event, request)

    def _reply(self, reply: Response, now: float) -> None:
        leg, step = self._leg, self.step
        request = leg.exchange.match(reply)
        if request is None:
            return
        if self.server is None and (server := reply.headers.get("Server")):
            self.server = plain(server)[:MAX_SERVER_NAME]
        if step is Step.FIRST_KEYFRAME:
            leg.kept_alive(reply, request)
            return
        if reply.status != 200 and (step is not Step.OPTIONS or (self._hung_up and reply.status == 401)):
            self._refusal(reply, request)
            return
        self.timings_ms[NAMES[step]] = (now - leg.begun) * 1000
        _AFTER[step](self, reply, now)

    def _refusal(self, reply: Response, request: Asked) -> None:
        """A reply that is not 200. Raises LookError where that is the end."""
        leg, step = self._leg, self.step
        if leg.warm and reply.status == 401 and request.answers:
            self.auth.refusals += 1  # the full conversation has what is left of the tries
            raise refusal_of(step, reply)
        if reply.status == 401:
            if self._route.away and self._secret:
                raise self._route.locked()
            leg.exchange.challenged(reply, request, self._fields(step))
        elif 300 <= reply.status < 400:
            self._sent_on(reply.headers.get("Location"), METHODS[step])
        elif reply.status == SESSION_NOT_FOUND and leg.forget_session(request):
            self.step = Step.SETUP
            self._set_up_track()
        else:
            refusal = refusal_of(step, reply)
            if refusal.reason is not Reason.RTSP_TRANSPORT:
                raise refusal
            self._refused(refusal)

    def _after_options(self, reply: Response, now: float) -> None:
        """Any answer will do: that there is one shows that the device speaks RTSP."""
        if self._ask.depth is Depth.REACH:
            self.finished = True
            return
        location = reply.headers.get("Location")
        if 300 <= reply.status < 400 and location is not None:
            self._sent_on(location, METHODS[Step.OPTIONS])
            return
        if reply.status == 401:
            with suppress(LookError):  # DESCRIBE may be open to everybody
                self.auth.challenged(reply.headers.all("WWW-Authenticate"), answered=False)
        self._leg.upkeep = Upkeep(reply.headers.all("Public"))
        self._enter(Step.DESCRIBE, self.url, now)

    def _after_describe(self, reply: Response, now: float) -> None:
        leg = self._leg
        description, track = sdp.described(reply.body)
        self.codec = track.codec
        leg.describe(reply, description, track, self._ask)
        self.step = Step.SETUP
        leg.begun = now
        self._set_up_track()

    def _set_up_track(self) -> None:
        leg = self._leg
        if self._attempts.current is Transport.UDP and leg.port is None:
            self.wants_ports = True
        else:
            leg.exchange.ask("SETUP", leg.track_url, self._fields(Step.SETUP))

    def _after_setup(self, reply: Response, now: float) -> None:
        leg, attempts = self._leg, self._attempts
        leg.set_up = True
        stated = reply.headers.get("Transport")
        agreed = transport.parse_transport(stated, attempts.current)
        other = agreed.lower is not attempts.current
        if agreed.multicast or (other and (attempts.pinned or agreed.lower is Transport.UDP)):
            refusal = LookError(Reason.RTSP_TRANSPORT, f"SETUP was answered with {plain(stated or '')[:80]}")
            if not attempts.another:
                raise refusal
            self._change(refusal)
            return
        self.transport = (Transport.HTTP if self._ask.transport is Transport.HTTP else agreed.lower).value
        self.source = agreed.source if agreed.lower is Transport.UDP else self.source
        leg.agree(agreed)
        self._enter(Step.PLAY, leg.play_url, now)

    def _after_play(self, _: Response, now: float) -> None:
        leg = self._leg
        self.step = Step.FIRST_KEYFRAME
        leg.begun = now
        leg.play(now)
        if self._patience_s is not None and self._attempts.another and not self.media_flowed:
            leg.patient_until = now + min(self._patience_s, max(0.0, self._ends - now) / 2)
        if self.keyframe is not None:  # it came before the reply: v4l2rtspserver
            self._arrived(now)

    # ---- other ways

    def _refused(self, error: LookError) -> None:
        """SETUP was refused: the other transport in the same connection, where it was not tried yet."""
        if not self._attempts.another:
            raise error
        self._attempts.give_up(LookFailure(error.reason, error.step or self.step, error.detail))
        self._leg.refused = True
        self._set_up_track()

    def _change(self, error: LookError) -> None:
        """The other transport in a new connection."""
        error = blamed(error, self.kernel_dropped)
        self._attempts.give_up(LookFailure(error.reason, error.step or self.step, error.detail))
        self.redial = True

    def _sent_on(self, location: str | None, what: str) -> None:
        """To another address of the same host, in a new connection: our password stays with its origin."""
        if self._leg.warm:
            raise LookError(Reason.RTSP_REDIRECT, "the device sends us on")
        route = self._route
        route.follow(location, what)
        elsewhere = route.address.origin
        self.auth = Authenticator(None, elsewhere, self._cnonce) if route.away else self._at_home
        if elsewhere.scheme == "rtsps" and self._ask.transport is Transport.AUTO:
            self._attempts.keep_to_tcp()
        self.redial = True

    # ---- media

    def _interleaved(self, data: bytes, now: float) -> None:
        """A packet of our channel, and what follows it of the same unit."""
        leg = self._leg
        media = leg.media
        if media is None:
            return
        if len(data) > 1 and 192 <= data[1] <= 223:  # RTCP that strays to the channel of RTP, or shares it
            self._hear(data, now)
        try:
            media.packet(data)
        finally:
            if media.size is not None or not self.media_flowed:
                self._look_at(media, now)
        self.progress += media.run(leg.parser, leg.channel)

    # ---- requests

    def _enter(self, step: Step, url: str, now: float) -> None:
        self.step = step
        self._leg.begun = now
        self._leg.exchange.ask(METHODS[step], url, self._fields(step))

    def _fields(self, step: Step) -> str:
        if step is Step.DESCRIBE:
            return "Accept: application/sdp\r\n"
        if step is Step.SETUP:
            leg = self._leg
            return f"Transport: {transport.asked(self._attempts.current, leg.port, leg.profile)}\r\n"
        return "Range: npt=0.000-\r\n" if step is Step.PLAY else ""


_AFTER: Final[dict[Step, Callable[[Conversation, Response, float], None]]] = {
    Step.OPTIONS: Conversation._after_options,
    Step.DESCRIBE: Conversation._after_describe,
    Step.SETUP: Conversation._after_setup,
    Step.PLAY: Conversation._after_play,
}
