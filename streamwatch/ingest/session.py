"""Stage 3: the thin shell around `wire.conversation`: it moves bytes, keeps the deadlines and books the timings.

Two limits hold for every look: one total deadline over all steps, and ten seconds of silence within a step. Silence
means no whole message and no media packet: a peer that trickles a byte a second is silent.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import msgspec

from streamwatch.clock import US, Clock
from streamwatch.errors import LookError, LookFailure, Reason, Step
from streamwatch.ingest.connection import Connection, Opened, Tape
from streamwatch.ingest.dialling import Dialler
from streamwatch.ingest.tunnelling import dial_tunnel
from streamwatch.model.look import Transport
from streamwatch.net.address import Guard
from streamwatch.net.tls import Trust
from streamwatch.net.udp import RECEIVE_BUFFER
from streamwatch.wire.conversation import Ask, Conversation, Keyframe
from streamwatch.wire.transport import MIN_TIMEOUT_S
from streamwatch.wire.upkeep import HALF
from streamwatch.wire.warm import Warm

# Of the total deadline, for the first transport to bring a packet: of 20 s it leaves 13 for the other, which is a whole
# conversation again and, with a "smart codec", up to 10 s until a keyframe.
PATIENCE_SHARE: Final = 1 / 3
AGAIN_S: Final = 0.5  # until a device that takes one connection at a time has seen that the warm look's is gone
TICK_S: Final = 0.05  # nothing that becomes due is looked for more often


class Limits(msgspec.Struct, frozen=True, gc=False):
    """Seconds: to connect, of silence within a step, and in all."""

    connect_s: float = 5.0
    step_s: float = 10.0
    total_s: float = 20.0

    @property
    def patience_s(self) -> float:
        """Of silence after PLAY, until the other transport is tried."""
        return min(self.step_s, self.total_s * PATIENCE_SHARE)


class Heard(msgspec.Struct, frozen=True):
    """What one conversation brought: plain values, the sockets are closed.

    `timings_ms` are of the connection that decided, but "total" is of all. `parting_s` went by after that, until the
    device had answered our TEARDOWN. `keyframe_wait_s` is how long media flowed until the keyframe came, or was given
    up; None where none flowed. `remarks` are what ended nothing and is to be said, each with a sentence for a person.
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
    silent_s: float = 0.0  # at its end: a wait for a keyframe is one while media flows
    media_bytes: int = 0
    packets_lost: int = 0  # of the latest session's media
    remarks: Mapping[Reason, str] = msgspec.field(default_factory=dict)
    let_in: bool | None = None  # whether the device took our credentials; None: it did not say
    refused: int = 0  # answers to challenges, with `Ask.refused`
    clock_offset_ms: float | None = None  # the device's clock in its RTCP sender reports, minus ours
    warm: Warm | None = None  # what the next look may skip; None: forget, or nothing was learnt
    warm_held: bool | None = (
        None  # False: the warm way was tried, and all this is of the full conversation; None: it was not
    )


@dataclass(slots=True)
class Begun:
    """A conversation that began in another way (`asking`), for `converse` to go on with. Moments monotonic.

    Either `error` says why there is no connection, or OPTIONS with CSeq 1 was sent in `connected` at `said_at`, and
    `data` was read since. `close` it, whatever became of it.
    """

    at: float  # when it was dialled
    said_at: float = 0.0
    connected: socket.socket | None = None
    data: bytes = b""
    error: LookError | None = None

    def take(self) -> socket.socket | None:
        """Its socket is the caller's from now on."""
        one, self.connected = self.connected, None
        return one

    def close(self) -> None:
        """Closes its socket, where nobody has taken it."""
        if (one := self.take()) is not None:
            one.close()


async def converse(
    ask: Ask,
    limits: Limits,
    *,
    clock: Clock,
    guard: Guard,
    tape: Tape | None = None,
    receive_buffer: int = RECEIVE_BUFFER,
    trust: Trust | None = None,
    begun: Begun | None = None,
) -> Heard:
    """One conversation with one camera. Never raises for anything a device does; cancelling it closes the sockets.

    `receive_buffer` is asked of the kernel in bytes, should media come by UDP. Every connection goes to the host of
    `ask.url`, and to the address that it had at the first. `trust` judges certificates; shared by all looks of a
    process it remembers them. What is taped is the full conversation. The first connection may have `begun`.
    """
    heard, _ = await _talk(ask, limits, clock, guard, tape, receive_buffer, trust, keep=False, before=begun)
    return heard


async def open_session(
    ask: Ask,
    limits: Limits,
    *,
    clock: Clock,
    guard: Guard,
    receive_buffer: int = RECEIVE_BUFFER,
    trust: Trust | None = None,
    on: asyncio.Transport | None = None,
) -> tuple[Heard, Opened | None]:
    """The same, but a connection in which all went well stays open, with its session if it has one: the caller's now.

    None where it failed, or the device has closed it. The first connection may be one that is open already, `on`.
    """
    return await _talk(ask, limits, clock, guard, None, receive_buffer, trust, keep=True, on=on)


async def _talk(
    ask: Ask,
    limits: Limits,
    clock: Clock,
    guard: Guard,
    tape: Tape | None,
    receive_buffer: int,
    trust: Trust | None,
    *,
    keep: bool,
    on: asyncio.Transport | None = None,
    before: Begun | None = None,
) -> tuple[Heard, Opened | None]:
    if tape is not None and ask.warm is not None:
        ask = msgspec.structs.replace(ask, warm=None)
    opened: Opened | None = None
    dialled_again = False
    begun = clock.monotonic() if before is None else before.at
    guard = guard.for_look(ask.url)
    ends = begun + limits.total_s
    conversation = Conversation(ask, _cnonce, limits.patience_s, ends)
    dialler = Dialler(guard, trust or Trust(clock=clock), clock, limits.connect_s, ends)

    def made() -> Connection:
        return Connection(conversation, clock, guard, tape, receive_buffer, keep=keep)

    timings: dict[str, float] = {}
    parting_s = 0.0
    waited_s: float | None = None
    silent_s = 0.0
    while True:
        dialled = clock.monotonic()
        said_at: float | None = None
        early = b""
        try:
            if before is not None:
                early, connection = before.data, await _adopted(before, made)
                dialled, said_at, before = before.at, before.said_at, None
            elif on is not None:
                connection = made()
                connection.connection_made(on)
                on.set_protocol(connection)
                on = None
            elif ask.transport is Transport.HTTP:
                connection = await dial_tunnel(conversation, dialler, made, _cnonce(), ask.user_agent)
            else:
                connection = await dialler.dial(conversation.url, made, dialler.within())
        except LookError as error:
            if conversation.warm_held is False and error.reason is Reason.NET_REFUSED and not dialled_again:
                dialled_again = True
                await clock.sleep(AGAIN_S)
                continue
            now = clock.monotonic()
            if tape is not None:
                tape.failed(error, now)
            conversation.abort(error)
            timings["total"] = _ms(now - begun)
            break
        timings["connect"] = _ms((clock.monotonic() if said_at is None else said_at) - dialled)
        try:
            connection.begin(said_at, early)
            await _until_over(connection, conversation, limits, ends, clock, tape)
        except BaseException:
            connection.close()
            raise
        told = clock.monotonic()
        if keep:
            opened = connection.hand_over()
        if opened is None:
            if connection.parts_at_once:
                connection.close()
            else:
                await connection.part()
        if not conversation.redial:
            timings |= conversation.timings_ms
            timings["total"] = _ms(told - begun)
            parting_s = clock.monotonic() - told
            waited_s = conversation.waited_s(told)
            silent_s = told - connection.progressed_at
            break
        if tape is not None:
            tape.dialled(clock.monotonic())
    if tape is not None:
        tape.remarked(dialler.remarks)
    zero_us = clock.utc_us() - round(clock.monotonic() * US)
    heard = heard_of(conversation, timings, parting_s, waited_s, dialler.remarks, zero_us, silent_s)
    if opened is not None:
        conversation.keyframe = None  # uvloop's transport keeps the protocol that it had, which keeps this
    return heard, opened


async def _adopted(before: Begun, made: Callable[[], Connection]) -> Connection:
    """Raises LookError where there is no connection."""
    one = before.take()
    if one is None:
        raise before.error or LookError(Reason.OURS_PATH, "there is no connection", step=Step.CONNECT)
    try:
        _, connection = await asyncio.get_running_loop().create_connection(made, sock=one)
    except BaseException as error:
        one.close()
        if isinstance(error, OSError):  # it ended before it could be taken over
            raise LookError(Reason.NET_RESET, "the peer closed the connection", step=Step.OPTIONS) from None
        raise
    return connection


def _cnonce() -> str:
    return secrets.token_hex(16)


def heard_of(
    conversation: Conversation,
    timings_ms: dict[str, float],
    parting_s: float = 0.0,
    keyframe_wait_s: float | None = None,
    remarks: Mapping[Reason, str] = MappingProxyType({}),
    zero_us: int | None = None,
    silent_s: float = 0.0,
) -> Heard:
    """What a conversation that is over brought, live or replayed.

    `zero_us` is what our clock showed (UTC, microseconds) when the conversation's stood at zero.
    """
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
        silent_s=silent_s,
        media_bytes=conversation.media_bytes,
        packets_lost=conversation.packets_lost,
        let_in=conversation.let_in,
        refused=conversation.refused,
        remarks=remarks,
        clock_offset_ms=None if zero_us is None else conversation.clock_offset_ms(zero_us),
        warm=conversation.warm,
        warm_held=conversation.warm_held,
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
        if connection.upload is not None and connection.upload.refused:
            try:
                await connection.upload.reopen()
            except LookError as error:
                connection.fail(error)
            continue
        if fails_at <= now:
            connection.count_dropped()
            now = clock.monotonic()
            conversation.timeout(now)
            connection.over = True  # what comes now is for the farewell
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
