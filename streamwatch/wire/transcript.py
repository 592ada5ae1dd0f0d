r"""Stage 3, wire: recordings of one look's conversation: made by `probe --record`, run again by `probe --replay`.

A recording is text, one JSON object a line. The first is the header:

    {"streamwatch_recording": 1, "url": "rtsp://***@192.0.2.7/live", "depth": "stream", "at": "2026-11-24T05:38:10Z",
     "credentials": true, "allow_basic": false, "max_pixels": 8900000, "with_picture": false,
     "transport": "auto", "prefer": "tcp", "max_media_bytes": 8388608}

`credentials` says whether there were any; without `transport` (of before there was UDP) it is tcp. By TLS and through
an HTTP tunnel the RTSP within is recorded. `remarks`, where there are any, has what ended nothing, by reason:
{"tls.untrusted": "…"}. Each further line
has `t_ms` (since the look began), `dir` ("in" from the device, "out" to it) and one of

    "data": "RTSP/1.0 200 OK\r\n…"       one message, or text that is none; Latin-1, so that every byte has a character
    "b64": "…"                           the same where it is not text
    "media": {"channel": 0, "bytes": 1412, "b64": "…"}   one interleaved packet: its size, and its first bytes; what is
                                         missing is zeros. Without --with-picture all of a slice but its head is zeros:
                                         order and sizes of packets and the parameter sets stay, the picture goes
    "media_part": 700, "b64": "…"        a packet that was never completed: how much of it came
    "via": "rtp", "media": {"bytes": 1412, "b64": "…"}   a datagram by our RTP port, or by our RTCP port, "rtcp"
    "dial": true                         a new connection from here on, by the other transport or to another address
    "kernel_dropped": 12                 datagrams that our own machine had thrown away by then
    "skipped": 512                       bytes that were neither RTSP nor a packet of ours
    "end": "closed" | "timeout"          how it ended, where the device or a deadline ended it
    "end": "failed", "reason", "step", "detail"          where our side of the network said so

Masked: see `redaction.py`. Replaying gives the same verdict, reason, step and timings, and a picture only
with --with-picture.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from streamwatch.clock import parse_rfc3339, rfc3339
from streamwatch.errors import LookError, Reason, Step, UsageError
from streamwatch.model.look import Depth, Transport
from streamwatch.model.report import Credentials
from streamwatch.wire.ask import MAX_MEDIA_BYTES
from streamwatch.wire.bitstream import MAX_PIXELS
from streamwatch.wire.conversation import Ask, Conversation
from streamwatch.wire.redaction import MASK, Redactor, masked_url
from streamwatch.wire.reduction import without_picture
from streamwatch.wire.rtsp import Closed, Interleaved, Response, RtspParser
from streamwatch.wire.sdp import VideoTrack, parse_sdp, pick_video
from streamwatch.wire.transport import parse_channels
from streamwatch.wire.url import parse_address

FORMAT: Final = 1
MAX_RECORDED: Final = 32 * 2**20  # bytes; a look ends at 8 MiB of media, a foreign session may add as much
MAX_LOADED: Final = 2 * MAX_RECORDED  # bytes: a mask may be longer than what it hides
MAX_TEXT: Final = 4096  # bytes of what is no whole message; longer ones are cut
MAX_SKIPPED_TEXT: Final = 256  # bytes of garbage that are kept as they are
REPLAY_PORT: Final = 50_000  # what a replay calls our port: nothing is sent to it
PACKET_MAX: Final = 65_535  # bytes: the length field of RFC 2326 section 10.12

CLOSED: Final = "closed"
TIMEOUT: Final = "timeout"
FAILED: Final = "failed"

RTSP: Final = "rtsp"
RTP: Final = "rtp"
RTCP: Final = "rtcp"
DIAL: Final = "dial"
DROPPED: Final = "kernel_dropped"

_KEEPALIVES: Final = (b"OPTIONS ", b"GET_PARAMETER ")


@dataclass(frozen=True, slots=True)
class Chunk:
    """What crossed in one direction; `data` as it is to be fed again, `via` one of RTSP, RTP, RTCP, DIAL, DROPPED."""

    t_ms: float
    direction: str
    data: bytes
    via: str = "rtsp"


class Recorder:
    """Collects what passes. `begun` and every `now` are seconds of one monotonic clock, `at_us` is UTC."""

    __slots__ = ("_begun", "_recorded", "ask", "at_us", "chunks", "end", "full", "remarks")

    def __init__(self, ask: Ask, at_us: int, begun: float) -> None:
        self.ask = ask
        self.at_us = at_us
        self.chunks: list[Chunk] = []
        self.end: dict[str, Any] | None = None
        self.full = False  # MAX_RECORDED was reached; what came later is not kept
        self.remarks: dict[Reason, str] = {}
        self._begun = begun
        self._recorded = 0

    def sent(self, data: bytes, now: float) -> None:
        """Bytes that left."""
        self._add("out", data, now)

    def received(self, data: bytes, now: float) -> None:
        """Bytes that arrived; b"" where the device closed."""
        if data:
            self._add("in", data, now)
        else:
            self._end(now, {"end": CLOSED})

    def datagram_sent(self, data: bytes, now: float, *, control: bool) -> None:
        """A datagram that left."""
        self._add("out", data, now, RTCP if control else RTP)

    def datagram_received(self, data: bytes, now: float, *, control: bool) -> None:
        """A datagram that arrived."""
        self._add("in", data, now, RTCP if control else RTP)

    def dialled(self, now: float) -> None:
        """A new connection is being made, by the other transport or to another address."""
        if self.end is None:
            self.chunks.append(Chunk(self._ms(now), "out", b"", DIAL))

    def dropped(self, total: int, now: float) -> None:
        """So many datagrams our own machine has thrown away."""
        if self.end is None:
            self.chunks.append(Chunk(self._ms(now), "in", str(total).encode(), DROPPED))

    def timed_out(self, now: float) -> None:
        """A deadline fell."""
        self._end(now, {"end": TIMEOUT})

    def failed(self, error: LookError, now: float) -> None:
        """Our side of the network failed the look: refused, reset, no such name."""
        step = error.step or Step.CONNECT
        detail = Redactor(_credentials(self.ask)).text(error.detail)
        self._end(now, {"end": FAILED, "reason": error.reason.value, "step": step.value, "detail": detail})

    def remarked(self, remarks: Mapping[Reason, str]) -> None:
        """What is to be said although it ended nothing."""
        self.remarks.update(remarks)

    def _add(self, direction: str, data: bytes, now: float, via: str = RTSP) -> None:
        self._recorded += len(data)
        if not data or self.end is not None or self._recorded > MAX_RECORDED:
            self.full = self.full or self._recorded > MAX_RECORDED
            return
        self.chunks.append(Chunk(self._ms(now), direction, data, via))

    def _end(self, now: float, what: dict[str, Any]) -> None:
        if self.end is None:
            self.end = {"t_ms": self._ms(now), "dir": "in", **what}

    def _ms(self, now: float) -> float:
        return round((now - self._begun) * 1000, 3)


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording as it was read. `end` is the line that says how it ended, or None."""

    url: str  # masked
    depth: Depth
    at_us: int
    credentials: bool
    allow_basic: bool
    max_pixels: int
    with_picture: bool
    chunks: tuple[Chunk, ...]
    end: dict[str, Any] | None = field(default=None)
    transport: Transport = Transport.TCP
    prefer: Transport = Transport.TCP
    max_media_bytes: int = MAX_MEDIA_BYTES
    remarks: dict[Reason, str] = field(default_factory=dict)

    def ask(self) -> Ask:
        """What was asked, with *** for the credentials that there were."""
        credentials = Credentials(MASK, MASK) if self.credentials else None
        url = parse_address(self.url).url
        return Ask(
            url,
            self.depth,
            credentials,
            allow_basic=self.allow_basic,
            max_pixels=self.max_pixels,
            transport=self.transport,
            prefer=self.prefer,
            max_media_bytes=self.max_media_bytes,
        )


def dump(recorder: Recorder, *, with_picture: bool = False) -> str:
    """The recording as text, masked, in the order in which its parts were complete."""
    ask = recorder.ask
    credentials = _credentials(ask)
    redactor = Redactor(credentials)
    header = {
        "streamwatch_recording": FORMAT,
        "url": _shown(ask),
        "depth": ask.depth.value,
        "at": rfc3339(recorder.at_us),
        "credentials": credentials is not None,
        "allow_basic": ask.allow_basic,
        "max_pixels": ask.max_pixels,
        "with_picture": with_picture,
        "transport": ask.transport.value,
        "prefer": ask.prefer.value,
        "max_media_bytes": ask.max_media_bytes,
    }
    if recorder.remarks:
        header["remarks"] = {reason.value: redactor.text(said) for reason, said in recorder.remarks.items()}
    incoming = _Incoming(redactor, with_picture=with_picture)
    lines: list[dict[str, Any]] = [header]
    for chunk in recorder.chunks:
        parts: list[dict[str, Any]] = []
        if chunk.via == DIAL:
            parts = [*incoming.rest(), {DIAL: True}]
            incoming = _Incoming(redactor, with_picture=with_picture)
        elif chunk.via == DROPPED:
            parts = [{DROPPED: int(chunk.data)}]
        elif chunk.via != RTSP:
            parts = [_datagram(chunk, incoming.track, with_picture=with_picture)]
        elif chunk.direction == "out":
            packet = chunk.data.startswith(b"$")  # a report of ours
            incoming.sets_up = chunk.data.startswith(b"SETUP ") or incoming.sets_up
            parts = [_binary(chunk.data) if packet else _text(redactor.message(chunk.data, 0))]
        else:
            parts = incoming.feed(chunk.data)
        lines += ({"t_ms": chunk.t_ms, "dir": chunk.direction, **part} for part in parts)
    last = recorder.chunks[-1].t_ms if recorder.chunks else 0.0
    lines += ({"t_ms": last, "dir": "in", **part} for part in incoming.rest())
    if recorder.end is not None:
        lines.append(recorder.end)
    return "".join(json.dumps(line, ensure_ascii=True) + "\n" for line in lines)


class _Incoming:
    """Cuts what arrived into messages and packets again, so that each can be masked or reduced as a whole."""

    def __init__(self, redactor: Redactor, *, with_picture: bool) -> None:
        self._redactor = redactor
        self._with_picture = with_picture
        self._parser = RtspParser(foreign=True)
        self._raw = bytearray()  # from the last event on
        self._taken = 0  # position of its first byte
        self._broken = False
        self.sets_up = False  # SETUP was asked, and is not answered yet
        self.track: VideoTrack | None = None  # that the device described: it tells how to reduce

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The parts that `data` completes."""
        self._raw += data
        parts: list[dict[str, Any]] = []
        if self._broken:
            return parts
        self._parser.receive(data)
        try:
            while (event := self._parser.next_event()) is not None and not isinstance(event, Closed):
                size = self._parser.position - self._taken
                raw = bytes(self._raw[:size])
                del self._raw[:size]
                self._taken += size
                if isinstance(event, Interleaved):
                    parts += self._skipped(raw[: size - len(event.payload) - 4])
                    parts.append(self._packet(event))
                else:
                    stated = event.headers.get("Transport")
                    if isinstance(event, Response) and event.status == 200 and (self.sets_up or stated is not None):
                        self.sets_up = False  # an answer without channels means those that were asked for
                        self._parser.channels = frozenset(c for c in parse_channels(stated) if c is not None)
                    parts.append(_text(self._redactor.message(raw, len(event.body))))
                    if event.body:
                        with contextlib.suppress(LookError):
                            self.track = pick_video(parse_sdp(event.body))
        except LookError:  # from here on the conversation is over: what broke it is kept, what follows is not
            self._broken = True
            parts.append(_text(self._redactor.message(bytes(self._raw[:MAX_TEXT]), 0)))
            self._raw.clear()
        return parts

    def rest(self) -> list[dict[str, Any]]:
        """What was begun and never completed."""
        raw = bytes(self._raw)
        if not raw or self._broken:
            return []
        if raw[:1] == b"$" and not self._with_picture:
            return [{"media_part": len(raw), **_binary(raw[:4])}]
        if len(raw) > MAX_TEXT or b"\x00" in raw:
            return [{"skipped": len(raw)}]
        return [_text(self._redactor.message(raw, 0))]

    def _packet(self, packet: Interleaved) -> dict[str, Any]:
        kept = packet.payload
        if not self._with_picture:
            kept = without_picture(kept, self.track)
        return {"media": {"channel": packet.channel, "bytes": len(packet.payload), **_binary(kept.rstrip(b"\x00"))}}

    def _skipped(self, raw: bytes) -> list[dict[str, Any]]:
        if not raw:
            return []
        if len(raw) > MAX_SKIPPED_TEXT:
            return [{"skipped": len(raw)}]
        return [_text(self._redactor.text(raw.decode("latin-1")).encode("latin-1"))]


def _datagram(chunk: Chunk, track: VideoTrack | None, *, with_picture: bool) -> dict[str, Any]:
    kept = chunk.data if with_picture or chunk.direction == "out" else without_picture(chunk.data, track)
    return {"via": chunk.via, "media": {"bytes": len(chunk.data), **_binary(kept.rstrip(b"\x00"))}}


def _text(data: bytes) -> dict[str, Any]:
    if any(byte < 0x20 and byte not in b"\t\r\n" for byte in data):
        return _binary(data)
    return {"data": data.decode("latin-1")}


def _binary(data: bytes) -> dict[str, Any]:
    return {"b64": base64.b64encode(data).decode("ascii")}


def _shown(ask: Ask) -> str:
    """The address, still one that can be asked, with *** in the place of its credentials."""
    try:
        address = parse_address(ask.url)
    except UsageError:
        return masked_url(ask.url)
    scheme, _, rest = masked_url(address.url).partition("://")
    return f"{scheme}://{rest}" if address.credentials is None else f"{scheme}://{MASK}@{rest}"


def _credentials(ask: Ask) -> Credentials | None:
    try:
        return ask.credentials or parse_address(ask.url).credentials
    except UsageError:
        return ask.credentials


def load(text: str) -> Recording:
    """A recording from its text. Raises UsageError naming line and remedy."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise UsageError("the recording is empty: make one with `streamwatch probe --record FILE`")
    header = _object(*lines[0])
    if header.get("streamwatch_recording") != FORMAT:
        raise UsageError(
            f"line 1 does not say streamwatch_recording {FORMAT}: this is no recording that can be replayed"
        )
    chunks: list[Chunk] = []
    size = 0
    end = None
    for number, line in lines[1:]:
        part = _object(number, line)
        try:
            if "end" in part:
                end = part
                _failure(part)
                continue
            chunks.append(_chunk(part))
        except (KeyError, TypeError, ValueError, OverflowError, binascii.Error) as error:  # 1e999 is no whole number
            raise UsageError(f"line {number} of the recording cannot be read: {error}") from None
        size += len(chunks[-1].data)
        if size > MAX_LOADED:  # zeros are not written, so that a short text may stand for any amount of them
            raise UsageError(f"the recording holds more than {MAX_LOADED} bytes by line {number}: record it again")
    try:
        return Recording(
            url=str(header["url"]),
            depth=Depth(header["depth"]),
            at_us=parse_rfc3339(str(header["at"])),
            credentials=bool(header.get("credentials", False)),
            allow_basic=bool(header.get("allow_basic", False)),
            max_pixels=int(header.get("max_pixels", MAX_PIXELS)),
            with_picture=bool(header.get("with_picture", False)),
            chunks=tuple(chunks),
            end=end,
            transport=Transport(header.get("transport", Transport.TCP.value)),
            prefer=Transport(header.get("prefer", Transport.TCP.value)),
            max_media_bytes=int(header.get("max_media_bytes", MAX_MEDIA_BYTES)),
            remarks={Reason(reason): str(said) for reason, said in dict(header.get("remarks", {})).items()},
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"line 1 of the recording cannot be read: {error}") from None


def _object(number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise UsageError(f"line {number} of the recording is not a JSON object")
    return value


def _chunk(part: dict[str, Any]) -> Chunk:
    t_ms, direction = float(part["t_ms"]), _direction(part)
    if DIAL in part:
        return Chunk(t_ms, direction, b"", DIAL)
    if DROPPED in part:
        return Chunk(t_ms, direction, str(int(part[DROPPED])).encode(), DROPPED)
    if "via" in part:
        if part["via"] not in {RTP, RTCP}:
            raise ValueError(f"via is {RTP} or {RTCP}")
        return Chunk(t_ms, direction, _padded(part["media"]), str(part["via"]))
    return Chunk(t_ms, direction, _bytes(part))


def _padded(media: dict[str, Any]) -> bytes:
    size = int(media["bytes"])
    if not 0 <= size <= PACKET_MAX:
        raise ValueError(f"media has 0 to {PACKET_MAX} bytes")
    payload = base64.b64decode(media["b64"], validate=True)[:size]
    return payload + bytes(size - len(payload))


def _direction(part: dict[str, Any]) -> str:
    if part["dir"] not in {"in", "out"}:
        raise ValueError("dir is in or out")
    return str(part["dir"])


def _bytes(part: dict[str, Any]) -> bytes:
    if "media" in part:
        media = part["media"]
        channel, payload = int(media["channel"]), _padded(media)
        if not 0 <= channel <= 255:
            raise ValueError("media has a channel of 0 to 255")
        return b"$" + bytes((channel,)) + len(payload).to_bytes(2, "big") + payload
    if "media_part" in part:
        size = min(max(int(part["media_part"]), 0), PACKET_MAX + 4)
        return (base64.b64decode(part["b64"], validate=True) + bytes(size))[:size]
    if "skipped" in part:
        return bytes(min(max(int(part["skipped"]), 0), MAX_RECORDED))
    if "b64" in part:
        return base64.b64decode(part["b64"], validate=True)
    return str(part["data"]).encode("latin-1")


def _failure(end: dict[str, Any]) -> LookError | None:
    if end["end"] not in {CLOSED, TIMEOUT, FAILED}:
        raise ValueError(f"end is {CLOSED}, {TIMEOUT} or {FAILED}")
    float(end["t_ms"])
    if end["end"] != FAILED:
        return None
    return LookError(Reason(end["reason"]), str(end.get("detail", "")), step=Step(end["step"]))


def replay(recording: Recording, ask: Ask | None = None) -> Conversation:
    """The same conversation again, without a network. `ask` is the recording's own where none is given."""
    conversation = Conversation(ask or recording.ask(), lambda: "0" * 16)
    first = recording.chunks[0].t_ms if recording.chunks else 0.0
    end = recording.end
    error = None if end is None else _failure(end)
    if recording.chunks:
        conversation.start(first / 1000)
    for chunk in recording.chunks:
        if not conversation.finished:
            _replay(chunk, conversation)
    if end is None or conversation.finished:
        return conversation
    now = float(end["t_ms"]) / 1000
    if error is not None:
        conversation.abort(error)
    elif end["end"] == CLOSED:
        conversation.receive(b"", now)
    else:
        conversation.timeout(now)
    return conversation


def _replay(chunk: Chunk, conversation: Conversation) -> None:
    now = chunk.t_ms / 1000
    if chunk.via == DIAL:  # it was given up, or the device closed after a refusal
        conversation.give_up(now)
        if not conversation.redial:
            conversation.receive(b"", now)
    elif chunk.via == DROPPED:
        conversation.dropped(int(chunk.data))
    elif chunk.direction == "out":
        if conversation.redial and chunk.data.startswith(b"OPTIONS "):
            conversation.start(now)
        elif chunk.via == RTSP and chunk.data.startswith(_KEEPALIVES) and conversation.step is Step.FIRST_KEYFRAME:
            conversation.keep_alive(now)
        elif chunk.data.startswith(b"TEARDOWN "):  # before the end: the device had said BYE, and then sent nothing
            conversation.tick(now)
    elif chunk.via != RTSP:
        conversation.datagram(chunk.data, now, control=chunk.via == RTCP)
    elif chunk.data:
        conversation.receive(chunk.data, now)
    if conversation.wants_ports:
        conversation.use_ports(REPLAY_PORT)
