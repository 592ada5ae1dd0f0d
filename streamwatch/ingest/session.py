"""Stage 3: the thin shell around `wire.conversation`: it moves bytes, keeps the deadlines and books the timings.

Two limits hold for every look: one total deadline over all steps, and ten seconds of silence within a step. Silence
means no whole message and no media packet: a peer that trickles a byte a second is silent.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

from streamwatch.clock import Clock
from streamwatch.errors import LookError, LookFailure, Reason, Step
from streamwatch.ingest.connection import Connection, Tape
from streamwatch.net.address import Guard, target_of
from streamwatch.net.tcp import dial
from streamwatch.net.udp import RECEIVE_BUFFER
from streamwatch.wire.conversation import Ask, Conversation, Keyframe
from streamwatch.wire.transport import MIN_TIMEOUT_S
from streamwatch.wire.upkeep import HALF

# Of the total deadline, for the first transport to bring a packet: of 20 s it leaves 13 for the other, which is a whole
# conversation again and, with a "smart codec", up to 10 s until a keyframe.
PATIENCE_SHARE: Final = 1 / 3
TICK_S: Final = 0.05  # nothing that becomes due is looked for more often


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds: to connect, of silence within a step, and in all."""

    connect_s: float = 5.0
    step_s: float = 10.0
    total_s: float = 20.0

    @property
    def patience_s(self) -> float:
        """Of silence after PLAY, until the other transport is tried."""
        return min(self.step_s, self.total_s * PATIENCE_SHARE)


@dataclass(frozen=True, slots=True)
class Heard:
    """What one conversation brought: plain values, the sockets are closed.

    `timings_ms` are of the connection that decided, but "total" is of all. `parting_s` went by after that, until the
    device had answered our TEARDOWN. `keyframe_wait_s` is how long media flowed until the keyframe came, or was given
    up; None where none flowed.
    """

    failure: LookFailure | None
    timings_ms: dict[str, float]
    keyframe: Keyframe | None = None
    media_flowed: bool = False
    codec: str | None = None
    width: int | None = None
    height: int | None = None
    transport: str | None = None
    server: str | None = None
    parting_s: float = 0.0
    keyframe_wait_s: float | None = None
    media_bytes: int = 0
    packets_lost: int = 0  # of the latest session's media


async def converse(
    ask: Ask,
    limits: Limits,
    *,
    clock: Clock,
    guard: Guard,
    tape: Tape | None = None,
    receive_buffer: int = RECEIVE_BUFFER,
) -> Heard:
    """One conversation with one camera. Never raises for anything a device does; cancelling it closes the sockets.

    `receive_buffer` is asked of the kernel in bytes, should media come by UDP. Every connection goes to the host of
    `ask.url`, and to the address that it had at the first.
    """
    begun = clock.monotonic()
    guard = guard.for_look(ask.url)
    ends = begun + limits.total_s
    conversation = Conversation(ask, lambda: secrets.token_hex(16), limits.patience_s, ends)
    timings: dict[str, float] = {}
    parting_s = 0.0
    waited_s: float | None = None
    while True:
        dialled = clock.monotonic()
        try:
            connection = await dial(
                target_of(conversation.url),
                lambda: Connection(conversation, clock, guard, tape, receive_buffer),
                guard=guard,
                timeout_s=_left(limits.connect_s, ends - dialled),
            )
        except LookError as error:
            now = clock.monotonic()
            if tape is not None:
                tape.failed(error, now)
            conversation.abort(error)
            timings["total"] = _ms(now - begun)
            break
        timings["connect"] = _ms(clock.monotonic() - dialled)
        try:
            connection.begin()
            await _until_over(connection, conversation, limits, ends, clock, tape)
        except BaseException:
            connection.close()
            raise
        told = clock.monotonic()
        await connection.part()
        if not conversation.redial:
            timings |= conversation.timings_ms
            timings["total"] = _ms(told - begun)
            parting_s = clock.monotonic() - told
            waited_s = conversation.waited_s(told)
            break
        if tape is not None:
            tape.dialled(clock.monotonic())
    return heard_of(conversation, timings, parting_s, waited_s)


def _left(connect_s: float, left_s: float) -> float:
    """How long a connection may take. Raises LookError where the look's deadline has fallen already."""
    if left_s <= 0:
        raise LookError(Reason.NET_TIMEOUT, "the deadline fell before it could be tried", step=Step.CONNECT)
    return min(connect_s, left_s)


def heard_of(
    conversation: Conversation,
    timings_ms: dict[str, float],
    parting_s: float = 0.0,
    keyframe_wait_s: float | None = None,
) -> Heard:
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
        parting_s=parting_s,
        keyframe_wait_s=keyframe_wait_s,
        media_bytes=conversation.media_bytes,
        packets_lost=conversation.packets_lost,
    )


async def _until_over(
    connection: Connection, conversation: Conversation, limits: Limits, ends: float, clock: Clock, tape: Tape | None
) -> None:
    while not connection.over:
        now = clock.monotonic()
        due = conversation.due
        if due is not None and due <= now:  # before a deadline that falls at the same time
            connection.tick()
            continue
        fails_at = min(ends, connection.progressed_at + limits.step_s, conversation.keyframe_until)
        if fails_at <= now:
            connection.count_dropped()
            now = clock.monotonic()
            conversation.timeout(now)
            if tape is not None:
                tape.timed_out(now)
            return
        wakes_at = now + _earliest_due_s(limits, ends - now) if due is None else due
        await connection.wait(min(fails_at, wakes_at) - now)
    if connection.defect is not None:
        raise connection.defect


def _earliest_due_s(limits: Limits, left_s: float) -> float:
    """How long nothing can become due while nothing is, should PLAY be answered right now: no timer is needed then."""
    return max(TICK_S, min(limits.patience_s, left_s / 2, MIN_TIMEOUT_S * HALF))


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
