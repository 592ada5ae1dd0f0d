"""Stage 3, wire: what one look has come to: what was found, what is waited for, and how it ends.

The other half of `conversation`, which it knows nothing of: that one talks, this one draws the sum.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final

from streamwatch.errors import LookError, LookFailure, Reason, Step
from streamwatch.model.look import Transport
from streamwatch.wire.ask import Ask
from streamwatch.wire.attempts import Attempts
from streamwatch.wire.auth import Authenticator
from streamwatch.wire.leg import Leg
from streamwatch.wire.media import Keyframe, Media
from streamwatch.wire.missing import blamed, no_data, no_keyframe
from streamwatch.wire.redirect import Route
from streamwatch.wire.refusals import METHODS
from streamwatch.wire.url import parse_address
from streamwatch.wire.warm import Warm, learnt, usable

NAMES: Final = {step: step.value for step in Step}  # to ask an enum for its value takes longer


class Outcome:
    """`finished` once `keyframe`, `failure`, or depth reach is settled. Times are seconds, monotonic.

    Raises UsageError where the address cannot be used.
    """

    def __init__(self, ask: Ask, cnonce: Callable[[], str], patience_s: float | None = None, ends: float = inf) -> None:
        address = parse_address(ask.url)
        credentials = ask.credentials or address.credentials
        self.step = Step.OPTIONS
        self.finished = False
        self.failure: LookFailure | None = None
        self.keyframe: Keyframe | None = None
        self.media_flowed = False  # in the latest connection
        self.codec: str | None = None
        self.width: int | None = None
        self.height: int | None = None
        self.transport: str | None = None  # tcp, udp or http, of the latest session
        self.server: str | None = None
        self.timings_ms: dict[str, float] = {}  # of the steps of the latest connection
        self.progress = 0
        self.parted = False  # after `farewell`: the peer answered it, or closed
        self._parting = False  # farewell was said
        self.redial = False
        self.wants_ports = False
        self.hastened = False  # for the shell to take back
        self.source: str | None = None  # the address that the device says its datagrams come from
        self.kernel_dropped = 0  # datagrams that our own machine threw away
        self._ask = ask
        self._patience_s = patience_s
        self._ends = ends
        self._cnonce = cnonce
        self._secret = credentials is not None
        self._route = Route(address)
        self._at_home = Authenticator(
            credentials, address.origin, cnonce, allow_basic=ask.allow_basic, withheld=ask.withheld
        )
        self._at_home.refusals = ask.refused
        self.auth = self._at_home  # for whom we talk to
        self._attempts = self._first_attempts()
        self._warm = usable(ask, self._attempts.current)
        self.warm_held: bool | None = None if self._warm is None else True
        self._warm_until = inf
        self._hung_up = False  # behind a challenge, which is answered in the next connection
        self._earlier_bytes = 0
        self._leg = Leg(self.auth, ask.user_agent, address, cnonce)

    @property
    def leg(self) -> Leg:
        """The latest connection: for who goes on in it."""
        return self._leg

    @property
    def url(self) -> str:
        """Whom to connect to, without credentials: the address asked for, or where it was sent on to."""
        return self._route.address.url

    @property
    def let_in(self) -> bool | None:
        """Whether the device took the credentials that were sent to it; None where it did not say, or none were."""
        failure = self.failure
        if failure is not None and failure.reason is Reason.RTSP_AUTH:
            return False if self._at_home.refusals else None
        return True if self._at_home.answered and self._leg.set_up else None

    @property
    def refused(self) -> int:
        """How many answers to challenges were refused, with those of before."""
        return self._at_home.refusals

    @property
    def media_bytes(self) -> int:
        """RTP packets of our channels and ports."""
        media = self._leg.media
        return self._earlier_bytes + (media.bytes if media is not None else 0)

    @property
    def packets_lost(self) -> int:
        """Of the latest session's media, on the way to us."""
        media = self._leg.media
        return media.tracker.lost if media is not None else 0

    @property
    def due(self) -> float | None:
        """When `tick` wants to be called; None as long as nothing but the peer matters."""
        if self.finished or self.redial:
            return None
        due = self._leg.due if self.step is Step.FIRST_KEYFRAME else inf
        if self._leg.warm:
            due = min(due, self._warm_until)
        return due if due < inf else None

    @property
    def keyframe_until(self) -> float:
        """When `timeout` falls because media flows and no keyframe comes; never, as long as none flows."""
        if self.step is not Step.FIRST_KEYFRAME or not self.media_flowed:
            return inf
        return self._leg.begun + self._ask.keyframe_s

    def waited_s(self, now: float) -> float | None:
        """How long media has flowed without a keyframe, or until it came; None where none did."""
        return now - self._leg.begun if self.step is Step.FIRST_KEYFRAME and self.media_flowed else None

    def clock_offset_ms(self, zero_us: int) -> float | None:
        """The device's clock in its sender reports, minus ours; None where it told no date.

        `zero_us` is what our own clock showed (UTC, microseconds) when the monotonic one stood at zero.
        """
        leg = self._leg
        if leg.feedback is None or leg.media is None or not leg.feedback.has_heard:
            return None
        return leg.feedback.clock.offset_ms(leg.media.ssrc, zero_us)

    @property
    def clock_drift_ppm(self) -> float | None:
        """How much faster the device's media clock runs than its own NTP; None where no two reports tell."""
        leg = self._leg
        if leg.feedback is None or leg.media is None or not leg.feedback.has_heard:
            return None
        return leg.feedback.clock.drift_ppm(leg.media.ssrc, leg.media.track.clock_rate)

    def timeout(self, now: float) -> None:
        """The shell's deadline fell at `now`, for one silent step or for the whole look."""
        leg = self._leg
        if self.finished:
            return
        if self.step is not Step.FIRST_KEYFRAME:
            self._fail(LookError(Reason.NET_TIMEOUT, f"no whole answer to {METHODS.get(self.step, self.step.value)}"))
        elif leg.media is not None and leg.media.flowed:
            self._fail(no_keyframe(leg.media, now - leg.begun, bye=leg.bye))
        else:
            self._fail(no_data("", bye=leg.bye))

    def abort(self, error: LookError) -> None:
        """The shell's own bad news (refused, reset, our own limit): the failure, unless the look is settled."""
        if not self.finished and self._warm is not None:
            self.warm_held = None  # it says nothing of that
        self._leg.set_up = self._leg.warm = False
        self._fail(error)

    # ---- the warm way

    @property
    def warm(self) -> Warm | None:
        """What the next look at this camera may skip; None: forget, or nothing was learnt."""
        leg = self._leg
        media, upkeep = leg.media, leg.upkeep
        if self.keyframe is None or self.failure is not None or media is None or upkeep is None:
            return None
        if leg.warm:
            return self._ask.warm
        if self.transport not in (Transport.TCP.value, Transport.UDP.value) or self._route.told:
            return None
        if self._at_home.refusals or not media.self_contained:  # a login that needs two tries gets them
            return None
        urls = leg.track_url, leg.play_url
        return learnt(self._ask, self.url, media.track, urls, Transport(self.transport), upkeep.method, self.server)

    def _forget_warm(self) -> None:
        """What was learnt does not hold any more: all is as if it had not been tried, but for the time."""
        self._leg.warm = self.warm_held = False
        self._warm = None
        self._attempts = self._first_attempts()
        self.keyframe = self.codec = self.width = self.height = self.transport = self.server = self.source = None
        self.step = Step.OPTIONS
        self.wants_ports = self.hastened = False
        self.redial = True

    def _first_attempts(self) -> Attempts:
        """Which transports are asked for."""
        # who wants TLS gets no pictures by UDP in the clear, unless that is what was asked for
        ask = self._ask
        by_tls = ask.transport is Transport.AUTO and self._route.address.origin.scheme == "rtsps"
        return Attempts(Transport.TCP if by_tls else ask.transport, ask.prefer)

    # ---- what comes

    def _hear(self, data: bytes, now: float) -> None:
        """RTCP."""
        feedback = self._leg.feedback
        if feedback is not None:
            feedback.hear(data, now)
            self.hastened = self.hastened or feedback.bye

    def _look_at(self, media: Media, now: float) -> None:
        """What the packets so far came to."""
        if media.flowed and not self.media_flowed:
            self.media_flowed = True
            self._leg.flowing(now)
            self.hastened = self.hastened or bool(media.track.feedback)
        if media.size is not None:
            self.width, self.height = media.size
            self.codec = media.codec
        if media.keyframe is not None and self.keyframe is None:
            self.keyframe = media.keyframe
            if self.step is Step.FIRST_KEYFRAME:
                self._arrived(now)

    def _arrived(self, now: float) -> None:
        self.timings_ms[NAMES[Step.FIRST_KEYFRAME]] = (now - self._leg.begun) * 1000
        self.finished = True

    def _fail(self, error: LookError) -> None:
        if self.finished:
            self.parted = True
            return
        if self._leg.warm:
            self._forget_warm()
            return
        if self._leg.media is not None:
            self.codec = self._leg.media.codec
        error = blamed(error, self.kernel_dropped)
        failure = LookFailure(error.reason, error.step or self.step, self._route.told + error.detail)
        self.failure = self._attempts.verdict(failure)
        self.keyframe = None
        self.redial = self.wants_ports = False
        self.finished = True
