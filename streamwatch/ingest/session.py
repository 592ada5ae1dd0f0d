"""Stage 3: the thin shell around `wire.conversation`: it moves bytes, keeps the deadlines and books the timings.

Two limits hold for every look: one total deadline over all steps, and ten seconds of silence within a step. Silence
means no whole message and no media packet: a peer that trickles a byte a second is silent.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import Protocol, cast

from streamwatch.clock import Clock
from streamwatch.errors import LookError, LookFailure, Step
from streamwatch.net.address import Guard, target_of
from streamwatch.net.tcp import dial
from streamwatch.wire.conversation import Ask, Conversation, Keyframe


class Tape(Protocol):
    """Takes down what crosses the socket, when (monotonic seconds), and how it ended: a `transcript.Recorder`."""

    def sent(self, data: bytes, now: float) -> None:
        """Bytes that left."""

    def received(self, data: bytes, now: float) -> None:
        """Bytes that arrived; b"" where the device closed."""

    def timed_out(self, now: float) -> None:
        """A deadline fell."""

    def failed(self, error: LookError, now: float) -> None:
        """Our side of the network failed the look."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds: to connect, of silence within a step, and in all."""

    connect_s: float = 5.0
    step_s: float = 10.0
    total_s: float = 20.0


@dataclass(frozen=True, slots=True)
class Heard:
    """What one conversation brought: plain values, the socket is closed."""

    failure: LookFailure | None
    timings_ms: dict[str, float]
    keyframe: Keyframe | None = None
    media_flowed: bool = False
    codec: str | None = None
    width: int | None = None
    height: int | None = None
    transport: str | None = None
    server: str | None = None


class _Wire(asyncio.Protocol):
    """Feeds the conversation with what arrives and sends what it answers, until it has finished."""

    def __init__(self, conversation: Conversation, clock: Clock, tape: Tape | None) -> None:
        self._conversation = conversation
        self._clock = clock
        self._tape = tape
        self._transport: asyncio.Transport | None = None
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.progressed_at = clock.monotonic()
        self._progress = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def begin(self) -> None:
        self._send(self._conversation.start(self._clock.monotonic()))

    def data_received(self, data: bytes) -> None:
        self._take(data)

    def eof_received(self) -> None:
        self._take(b"")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the interface of asyncio
        self._take(b"")

    def _take(self, data: bytes) -> None:
        if self.finished.done():
            return
        now = self._clock.monotonic()
        if self._tape is not None:
            self._tape.received(data, now)
        try:
            answer = self._conversation.receive(data, now)
        except Exception as error:  # noqa: BLE001 - a defect of ours must end this look only, and be seen as ours
            self.finished.set_exception(error)
            return
        if self._conversation.progress != self._progress:
            self._progress = self._conversation.progress
            self.progressed_at = now
        if answer:
            self._send(answer)
        if self._conversation.finished:
            self.finished.set_result(None)

    def _send(self, data: bytes) -> None:
        if data and self._transport is not None and not self._transport.is_closing():
            if self._tape is not None:
                self._tape.sent(data, self._clock.monotonic())
            self._transport.write(data)

    def close(self) -> None:
        """Says farewell, so that no camera keeps a session of ours, and closes."""
        if self._transport is not None:
            self._send(self._conversation.farewell())
            self._transport.close()


async def converse(ask: Ask, limits: Limits, *, clock: Clock, guard: Guard, tape: Tape | None = None) -> Heard:
    """One conversation with one camera. Never raises for anything a device does; cancelling it closes the socket."""
    conversation = Conversation(ask, lambda: secrets.token_hex(16))
    begun = clock.monotonic()
    timings: dict[str, float] = {}
    try:
        wire = await dial(
            target_of(ask.url),
            lambda: _Wire(conversation, clock, tape),
            guard=guard,
            timeout_s=min(limits.connect_s, limits.total_s),
        )
    except LookError as error:
        now = clock.monotonic()
        if tape is not None:
            tape.failed(error, now)
        timings["total"] = _ms(now - begun)
        failure = LookFailure(error.reason, Step.CONNECT, error.detail)
        return Heard(failure, timings)
    timings["connect"] = _ms(clock.monotonic() - begun)
    try:
        wire.progressed_at = clock.monotonic()
        wire.begin()
        await _until_finished(wire, conversation, limits, begun, clock, tape)
    finally:
        wire.close()
    timings |= conversation.timings_ms
    timings["total"] = _ms(clock.monotonic() - begun)
    return heard_of(conversation, timings)


def heard_of(conversation: Conversation, timings_ms: dict[str, float]) -> Heard:
    """What a conversation that is over brought, live or replayed."""
    return Heard(
        failure=conversation.failure,
        timings_ms=timings_ms,
        keyframe=conversation.keyframe,
        media_flowed=conversation.media_flowed,
        codec=conversation.codec,
        width=conversation.width,
        height=conversation.height,
        transport=conversation.transport,
        server=conversation.server,
    )


async def _until_finished(
    wire: _Wire, conversation: Conversation, limits: Limits, begun: float, clock: Clock, tape: Tape | None
) -> None:
    while not wire.finished.done():
        ends = min(begun + limits.total_s, wire.progressed_at + limits.step_s)
        remaining = ends - clock.monotonic()
        if remaining <= 0:
            conversation.timeout(clock.monotonic())
            if tape is not None:
                tape.timed_out(clock.monotonic())
            return
        await asyncio.wait((wire.finished,), timeout=remaining)
    wire.finished.result()


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
