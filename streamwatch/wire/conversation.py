"""Stage 3: one look's whole conversation with one camera, as a pure state machine: bytes and times in, bytes out.

OPTIONS, DESCRIBE, SETUP of the video track, PLAY, media until the first whole keyframe; the shell moves the bytes,
holds the deadlines, and says farewell. Whatever a peer does ends in `keyframe`, or in a `failure` with reason and step.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from streamwatch.errors import LookError, LookFailure, Reason, Step
from streamwatch.model.look import Depth
from streamwatch.model.report import Credentials
from streamwatch.wire import bitstream, sdp, transport
from streamwatch.wire.auth import Authenticator
from streamwatch.wire.depacketise import DEPACKETISERS, H264Depacketiser, KeyUnit
from streamwatch.wire.fragments import take_run
from streamwatch.wire.rtp import Order, SequenceTracker, parse_rtp
from streamwatch.wire.rtsp import (
    Closed,
    Event,
    Headers,
    Interleaved,
    Request,
    Response,
    RtspParser,
    protocol_error,
    serialise,
)
from streamwatch.wire.url import parse_address

MAX_MEDIA_BYTES: Final = 8 * 2**20  # without a keyframe: 20 s of 3 Mbit/s, longer than most intervals of keyframes
MAX_STRAY_REPLIES: Final = 16  # of earlier requests, or provisional (1xx)
MAX_SERVER_REQUESTS: Final = 64  # the chattiest device asks once a minute
MAX_SERVER_NAME: Final = 128  # characters

_METHODS: Final = {Step.OPTIONS: "OPTIONS", Step.DESCRIBE: "DESCRIBE", Step.SETUP: "SETUP", Step.PLAY: "PLAY"}
_REASONS: Final = {
    403: Reason.RTSP_FORBIDDEN,
    404: Reason.RTSP_NOT_FOUND,
    410: Reason.RTSP_NOT_FOUND,
    453: Reason.RTSP_BUSY,  # not enough bandwidth
    461: Reason.RTSP_TRANSPORT,
    503: Reason.RTSP_BUSY,
}


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked of one camera. Credentials within `url` serve where `credentials` is None; requests have none."""

    url: str
    depth: Depth
    credentials: Credentials | None = None
    allow_basic: bool = False
    max_pixels: int = bitstream.MAX_PIXELS
    user_agent: str = "streamwatch"


@dataclass(frozen=True, slots=True)
class Keyframe:
    """The first whole keyframe. `data` is Annex B: parameter sets, then all slices of one picture."""

    codec: str
    data: bytes
    width: int  # pixels, after cropping
    height: int
    rtp_timestamp: int


class Conversation:
    """Feed it what arrives, send what it returns. `finished` once `keyframe`, `failure`, or depth reach is settled.

    `progress` grows with every complete message and media packet: silence and trickling are told apart by it.
    Raises UsageError where the address cannot be used; afterwards nothing that a peer sends raises.
    """

    def __init__(self, ask: Ask, cnonce: Callable[[], str]) -> None:
        address = parse_address(ask.url)
        self.step = Step.OPTIONS
        self.finished = False
        self.failure: LookFailure | None = None
        self.keyframe: Keyframe | None = None
        self.media_flowed = False
        self.media_bytes = 0  # RTP packets of our channel
        self.codec: str | None = None
        self.width: int | None = None
        self.height: int | None = None
        self.transport: str | None = None
        self.server: str | None = None
        self.timings_ms: dict[str, float] = {}
        self.progress = 0
        self.parted = False  # after `farewell`: the peer answered it, or closed
        self._ask = ask
        self._origin = address.origin
        self._url = address.url
        self._auth = Authenticator(
            ask.credentials or address.credentials, address.origin, cnonce, allow_basic=ask.allow_basic
        )
        self._parser = RtspParser()
        self._out: list[bytes] = []
        self._begun = 0.0  # when the present step's first request left
        self._pending: Request | None = None
        self._sequence = 0
        self._strays = 0
        self._server_requests = 0
        self._session: transport.Session | None = None
        self._set_up = False
        self._base = self._track_url = self._play_url = address.url
        self._channel = -1
        self._track: sdp.VideoTrack | None = None
        self._depacketiser: H264Depacketiser | None = None
        self._tracker = SequenceTracker()

    def start(self, now: float) -> bytes:
        """The first bytes to send; the connection is up at `now` (seconds, monotonic)."""
        self._enter(Step.OPTIONS, self._url, now)
        return self._take_out()

    def receive(self, data: bytes, now: float) -> bytes:
        """Takes what arrived at `now` (b"": the peer closed); gives the bytes to send."""
        self._parser.receive(data)
        try:
            while not (self.finished and not self._set_up):
                event = self._parser.next_event()
                if event is None:
                    break
                if self.finished:
                    self._part(event)
                else:
                    self._take(event, now)
                    self._take_fragments()
                if isinstance(event, Closed):
                    break
        except LookError as error:
            self._fail(error)
        return self._take_out()

    def timeout(self, now: float) -> None:
        """The shell's deadline fell at `now`, for one silent step or for the whole look."""
        if self.finished:
            return
        if self.step is not Step.FIRST_KEYFRAME:
            self._fail(LookError(Reason.NET_TIMEOUT, f"no whole answer to {_METHODS.get(self.step, self.step.value)}"))
        elif self.media_flowed:
            self._fail(self._no_keyframe(f"within {now - self._begun:.1f} s"))
        else:
            self._fail(LookError(Reason.MEDIA_NO_DATA, "PLAY was accepted, and then no video packet came"))

    def abort(self, error: LookError) -> None:
        """The shell's own bad news (refused, reset, our own limit): the failure, unless the look is settled."""
        self._set_up = False
        self._fail(error)

    def farewell(self) -> bytes:
        """TEARDOWN where a session is open, else b"". Call it once, when finished; its reply turns on `parted`."""
        if not self._set_up or self.parted:
            self.parted = True
            return b""
        self._ask_for("TEARDOWN", self._play_url)
        return self._take_out()

    # ---- events

    def _take(self, event: Event, now: float) -> None:
        if isinstance(event, Interleaved):
            if event.channel == self._channel:
                self.progress += 1  # RTCP shows no progress: it also comes where no video does
                self._media(event.payload, now)
        elif isinstance(event, Response):
            self.progress += 1
            self._reply(event, now)
        elif isinstance(event, Request):
            self.progress += 1
            self._answer(event)
        else:
            self._set_up = False
            where = "" if event.clean else " in the middle of a message"
            raise LookError(Reason.NET_RESET, f"the peer closed the connection{where}")

    def _part(self, event: Event) -> None:
        """After the end only the reply to TEARDOWN matters; media still in flight is let go."""
        if isinstance(event, Closed) or (
            isinstance(event, Response)
            and self._pending is not None
            and self._pending.method == "TEARDOWN"
            and event.headers.get("CSeq") in {None, str(self._sequence)}
        ):
            self.parted = True

    def _reply(self, reply: Response, now: float) -> None:
        pending = self._pending
        stated = reply.headers.get("CSeq")
        stray = pending is None or reply.status < 200
        if stated is not None and not stray:
            if not stated.isdecimal() or len(stated) > 10 or int(stated) > self._sequence:
                raise protocol_error(f"a reply with a CSeq that we never sent, to {self._sequence}")
            stray = int(stated) < self._sequence
        if stray or pending is None:
            self._strays += 1
            if self._strays > MAX_STRAY_REPLIES:
                raise protocol_error(f"more than {MAX_STRAY_REPLIES} replies to nothing that we asked")
            return
        self._pending = None
        server = reply.headers.get("Server")
        if server and self.server is None:
            self.server = _plain(server)[:MAX_SERVER_NAME]
        if reply.status == 401 and self.step is not Step.OPTIONS:
            answered = pending.headers.get("Authorization") is not None
            self._auth.challenged(reply.headers.all("WWW-Authenticate"), answered=answered)
            self._ask_for(pending.method, pending.url)
            return
        if self.step is not Step.OPTIONS and reply.status != 200:
            raise self._refusal(reply)
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
        self._enter(Step.DESCRIBE, self._url, now)

    def _after_describe(self, reply: Response, now: float) -> None:
        description = sdp.parse_sdp(reply.body)
        self._track = track = sdp.pick_video(description)
        self.codec = track.codec
        depacketiser = DEPACKETISERS.get(track.codec)
        if depacketiser is None:
            raise LookError(Reason.MEDIA_UNSUPPORTED_CODEC, f"the video is {track.codec}, which is not decoded")
        self._depacketiser = depacketiser(track.parameter_sets)
        headers = reply.headers
        base = sdp.base_url(self._origin, self._url, headers.get("Content-Base"), headers.get("Content-Location"))
        self._track_url = sdp.control_url(self._origin, base, track.control)
        self._play_url = sdp.control_url(self._origin, base, description.control)
        self._enter(Step.SETUP, self._track_url, now)

    def _after_setup(self, reply: Response, now: float) -> None:
        self._set_up = True
        self._session = transport.parse_session(reply.headers.get("Session"))
        rtp, rtcp = transport.parse_channels(reply.headers.get("Transport"))
        self._channel = rtp
        self._parser.channels = frozenset({rtp} if rtcp is None else {rtp, rtcp})
        self.transport = "tcp"
        self._enter(Step.PLAY, self._play_url, now)

    def _after_play(self, reply: Response, now: float) -> None:
        self._session = transport.parse_session(reply.headers.get("Session")) or self._session
        self.step = Step.FIRST_KEYFRAME
        self._begun = now
        if self.keyframe is not None:  # it came before the reply: v4l2rtspserver
            self._arrived(now)

    def _refusal(self, reply: Response) -> LookError:
        method = _METHODS[self.step]
        said = f"{reply.status} {_plain(reply.reason)[:80]}".rstrip()
        if 300 <= reply.status < 400:
            return LookError(Reason.RTSP_REDIRECT, f"{method} was sent on to {_target(reply.headers)}")
        reason = _REASONS.get(reply.status, Reason.RTSP_PROTOCOL)
        if reply.status == 400 and self.step is Step.SETUP:  # some servers' way to refuse TCP
            reason = Reason.RTSP_TRANSPORT
        return LookError(reason, f"{method} was answered with {said}")

    # ---- media

    def _media(self, data: bytes, now: float) -> None:
        self.media_bytes += len(data)
        packet = parse_rtp(data)
        depacketiser, track = self._depacketiser, self._track
        if packet is not None and depacketiser is not None and track is not None and self.keyframe is None:
            if packet.payload_type != track.payload_type:
                self._tracker.pass_over(packet)
            elif (order := self._tracker.next(packet)) is not Order.DROP:
                self.media_flowed = True
                depacketiser.push(packet, after_loss=order is Order.AFTER_LOSS)
                unit = depacketiser.pull()
                if unit is not None:
                    self._accept(unit, track.codec)
                    if self.step is Step.FIRST_KEYFRAME:
                        self._arrived(now)
                    return
        if self.media_bytes > MAX_MEDIA_BYTES and self.keyframe is None:
            raise self._no_keyframe(f"in {self.media_bytes} bytes of media")

    def _take_fragments(self) -> None:
        """What is only more of an open unit, without the detour by way of events and packets."""
        if self._depacketiser is None or self._track is None or self.keyframe is not None:
            return
        budget = MAX_MEDIA_BYTES - self.media_bytes
        packets, size = take_run(
            self._parser, self._tracker, self._depacketiser, self._channel, self._track.payload_type, budget
        )
        self.progress += packets
        self.media_bytes += size

    def _accept(self, unit: KeyUnit, codec: str) -> None:
        sps = bitstream.parse_sps(unit.sps)
        self.width, self.height = sps.width, sps.height
        bitstream.check_size(sps, self._ask.max_pixels)
        self.keyframe = Keyframe(codec, unit.data, sps.width, sps.height, unit.timestamp)

    def _arrived(self, now: float) -> None:
        self.timings_ms[Step.FIRST_KEYFRAME.value] = (now - self._begun) * 1000
        self.finished = True

    def _no_keyframe(self, within: str) -> LookError:
        return LookError(Reason.MEDIA_NO_KEYFRAME, f"video packets came, but no whole keyframe {within}")

    # ---- requests

    def _enter(self, step: Step, url: str, now: float) -> None:
        self.step = step
        self._begun = now
        self._ask_for(_METHODS[step], url)

    def _ask_for(self, method: str, url: str) -> None:
        self._sequence += 1
        fields = [("CSeq", str(self._sequence)), ("User-Agent", self._ask.user_agent)]
        answer = self._auth.authorization(method, url)
        if answer is not None:
            fields.append(("Authorization", answer))
        if self._session is not None:
            fields.append(("Session", self._session.id))
        if method == "DESCRIBE":
            fields.append(("Accept", "application/sdp"))
        elif method == "SETUP":
            fields.append(("Transport", transport.ASKED))
        elif method == "PLAY":
            fields.append(("Range", "npt=0.000-"))
        self._pending = Request(method, url, Headers(fields))
        self._out.append(serialise(self._pending))

    def _answer(self, request: Request) -> None:
        """The server asks: OPTIONS is its keepalive, anything else is more than we do. Never taken for a reply."""
        self._server_requests += 1
        if self._server_requests > MAX_SERVER_REQUESTS:
            raise protocol_error(f"more than {MAX_SERVER_REQUESTS} requests from the device")
        known = request.method == "OPTIONS"
        fields = [("Public", "OPTIONS")] if known else []
        stated = request.headers.get("CSeq")
        if stated is not None:
            fields.insert(0, ("CSeq", stated))
        status, reason = (200, "OK") if known else (501, "Not Implemented")
        self._out.append(serialise(Response(status, reason, Headers(fields))))

    def _fail(self, error: LookError) -> None:
        if self.finished:
            self.parted = True
            return
        self.failure = LookFailure(error.reason, error.step or self.step, error.detail)
        self.keyframe = None
        self.finished = True

    def _take_out(self) -> bytes:
        out = b"".join(self._out)
        self._out.clear()
        return out


_AFTER: Final[dict[Step, Callable[[Conversation, Response, float], None]]] = {
    Step.OPTIONS: Conversation._after_options,
    Step.DESCRIBE: Conversation._after_describe,
    Step.SETUP: Conversation._after_setup,
    Step.PLAY: Conversation._after_play,
}


def _plain(text: str) -> str:
    return "".join(char if " " <= char <= "~" else "?" for char in text)


def _target(headers: Headers) -> str:
    """Where a redirect leads, without path and credentials."""
    location = headers.get("Location") or ""
    scheme, found, rest = location.partition("://")
    if not found:
        return "another place on the same host" if location else "nowhere: it has no Location"
    host = rest.split("/")[0].split("?")[0].rpartition("@")[2]
    return f"{_plain(scheme)[:16]}://{_plain(host)[:128]}"
