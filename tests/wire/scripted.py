"""A scripted device and a shell for it, without sockets and without time: whole looks, warm or not, as values."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

from streamwatch.errors import LookFailure, Step
from streamwatch.wire.ask import Ask
from streamwatch.wire.conversation import Conversation, Keyframe
from streamwatch.wire.warm import Warm
from tests.wire import camera_h265
from tests.wire.camera import encode, frame, packetise, reply, sdp

TOTAL_S = 20.0
STEP_S = 10.0
PATIENCE_S = 6.0
TURN_S = 0.02  # from a request to its answer

PICTURES = encode(320, 240, pictures=3)
BARE = tuple(tuple(unit for unit in picture if unit[0] & 0x1F not in {7, 8}) for picture in PICTURES)
PACKETS = packetise(PICTURES, mtu=600)
UDP = "RTP/AVP;unicast;client_port=5000-5001;server_port=6000-6001"
TCP = "RTP/AVP/TCP;unicast;interleaved=0-1"


@dataclass
class Device:
    """What it does; all of it may change between two looks. `refused` counts answers to challenges that it refused."""

    password: str | None = "s3cret-Pa55"  # the one it knows; None: it asks for none
    needs_describe: str | None = None  # how it refuses a SETUP without DESCRIBE: a status, "close", or "silence"
    statuses: dict[str, str] = field(default_factory=dict)  # by method: what it answers instead
    media: str = "good"
    transports: tuple[str, ...] = ("tcp", "udp")
    fresh_nonces: bool = False  # one for each request
    hangs_up: bool = False  # behind its first 401
    slams: bool = False  # closes where an answer is wrong, without a word
    moved: str | None = None  # where DESCRIBE is sent on to
    refused: int = 0
    dials: int = 0
    methods: list[str] = field(default_factory=list)

    def dial(self) -> Line:
        self.dials += 1
        return Line(self)

    def packets(self) -> list[bytes]:
        if self.media == "good":
            return PACKETS
        if self.media == "bare":  # parameter sets in the description only
            return packetise(BARE, mtu=600)
        if self.media == "no_keyframe":
            return packetise(PICTURES[1:], mtu=600)
        if self.media == "h265":
            return camera_h265.packetise(camera_h265.encode(320, 240), mtu=600)
        if self.media == "other_type":
            return [packet[:1] + bytes((packet[1] & 0x80 | 97,)) + packet[2:] for packet in PACKETS]
        return []  # silent

    def description(self) -> bytes:
        if self.media == "h265":
            return sdp(rtpmap="H265/90000")
        if self.media == "other_type":
            return sdp().replace(b" 96", b" 97").replace(b":96", b":97")
        return sdp(PICTURES[0][:2] if self.media == "bare" else ())


@dataclass
class Line:
    """One connection to it."""

    device: Device
    nonce: str = ""
    described: bool = False
    playing: bool = False
    udp: bool = False
    closed: bool = False

    def answer(self, request: str) -> bytes:
        """To one request; b"" is silence, `closed` turns on where it hangs up."""
        device = self.device
        method = request.split(" ", 1)[0]
        device.methods.append(method)
        number = int(re.search(r"CSeq: (\d+)", request)[1])  # type: ignore[index]
        if method == "OPTIONS":
            return reply(number, "200 OK", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN", "Server: scripted")
        if method == "TEARDOWN":
            return reply(number)
        before = device.refused
        if (challenge := self.challenge(request)) is not None:
            self.closed = (device.hangs_up and device.dials == 1) or (device.slams and device.refused > before)
            return b"" if device.slams and device.refused > before else reply(number, "401 Unauthorized", challenge)
        if method == "DESCRIBE" and device.moved is not None and device.moved not in request:
            return reply(number, "302 Moved", f"Location: {device.moved}")
        if (status := device.statuses.get(method)) is not None:
            return reply(number, status)
        if method == "DESCRIBE":
            self.described = True
            return reply(number, "200 OK", "Server: scripted", body=device.description())
        if method == "SETUP":
            return self.set_up(request, number)
        self.playing = True
        return reply(number, "200 OK", "Session: 77")

    def set_up(self, request: str, number: int) -> bytes:
        device = self.device
        if not self.described and device.needs_describe is not None:
            self.closed = device.needs_describe == "close"
            told = [] if device.moved is None else [f"Location: {device.moved}"]
            return reply(number, device.needs_describe, *told) if device.needs_describe[0].isdigit() else b""
        self.udp = "client_port" in request
        if ("udp" if self.udp else "tcp") not in device.transports:
            return reply(number, "461 Unsupported Transport")
        return reply(number, "200 OK", "Session: 77", f"Transport: {UDP if self.udp else TCP}")

    def challenge(self, request: str) -> str | None:
        device = self.device
        if device.password is None:
            return None
        given = re.search(r'Authorization: Digest .*nonce="(\w+)", uri="([^"]+)", response="(\w+)"', request)
        right = False
        if given is not None:
            ha1, ha2 = _md5(f"admin:r:{device.password}"), _md5(f"{request.split(' ', 1)[0]}:{given[2]}")
            right = given[1] == (self.nonce or "n") and given[3] == _md5(f"{ha1}:{given[1]}:{ha2}")
            device.refused += not right
        if right and not device.fresh_nonces:
            return None
        self.nonce = "n" if device.hangs_up else f"n{len(device.methods)}"
        return None if right else f'WWW-Authenticate: Digest realm="r", nonce="{self.nonce}"'


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


@dataclass(frozen=True)
class Came:
    """All that a look comes to, but for times."""

    failure: LookFailure | None
    keyframe: Keyframe | None
    step: Step
    codec: str | None
    size: tuple[int | None, int | None]
    transport: str | None
    server: str | None
    media_flowed: bool
    timings: tuple[str, ...]
    let_in: bool | None


def look(device: Device, ask: Ask) -> tuple[Came, Conversation]:
    """One look, moved and timed as its shell does it."""
    talked = Conversation(ask, lambda: "c0ffee", PATIENCE_S, TOTAL_S)
    now = 0.0
    while True:
        now = _connection(device, talked, now)
        if not talked.redial:
            break
    came = Came(
        talked.failure, talked.keyframe, talked.step, talked.codec, (talked.width, talked.height), talked.transport,
        talked.server, talked.media_flowed, tuple(talked.timings_ms), talked.let_in,
    )  # fmt: skip
    return came, talked


def _connection(device: Device, talked: Conversation, now: float) -> float:
    line = device.dial()
    sent = talked.start(now)
    heard = now
    while not (talked.finished or talked.redial):
        if talked.wants_ports:
            sent += talked.use_ports(5000)
        requests, sent = sent.decode("latin-1").split("\r\n\r\n")[:-1], b""
        for request in requests:
            answer = line.answer(request)
            now += TURN_S
            if answer:
                heard = now
                sent += talked.receive(answer, now)
            if line.closed:
                sent += talked.receive(b"", now)
        if line.playing and not (talked.finished or talked.redial):
            line.playing = False
            for packet in device.packets():
                now += 0.001
                heard = now
                if line.udp:
                    talked.datagram(packet, now)
                else:
                    talked.receive(frame(packet), now)
        if not (requests or sent or talked.wants_ports or talked.finished or talked.redial):
            sent = _wait(talked, heard, now)
            now = max(now, _next(talked, heard))
    for request in talked.farewell().decode("latin-1").split("\r\n\r\n")[:-1]:
        talked.receive(line.answer(request), now)
    talked.receive(b"", now)
    return now


def _next(talked: Conversation, heard: float) -> float:
    fails = min(TOTAL_S, heard + STEP_S, talked.keyframe_until)
    return min(fails, talked.due if talked.due is not None else fails)


def _wait(talked: Conversation, heard: float, now: float) -> bytes:
    """To what comes next of itself: something due, or a deadline."""
    until = max(now, _next(talked, heard))
    if talked.due is not None and talked.due <= until:
        return talked.tick(until)
    talked.timeout(until)
    return b""


def learn(device: Device, ask: Ask) -> Warm:
    """What a look that went well taught."""
    came, talked = look(device, ask)
    assert came.failure is None
    assert talked.warm is not None
    return talked.warm
