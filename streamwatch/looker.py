"""Round -> Report: drives conversations and decoders for the cameras it is given, and owns their memory.

It knows cameras and no store: it says what it saw and how it was itself doing meanwhile, and judges nothing.
"""

from __future__ import annotations

import asyncio
import dataclasses
import resource
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

import structlog
from msgspec.structs import replace

from streamwatch.clock import US, Clock
from streamwatch.decoders.job import DecodeJob, DecodeResult
from streamwatch.decoders.pool import DecoderPool
from streamwatch.errors import ACCESS_REASONS, LookFailure, Reason, Step
from streamwatch.gates import EVERYBODY, Gate, Gates, Lines
from streamwatch.health import LoopLag
from streamwatch.inbox import FLUSH_S, Inbox
from streamwatch.ingest.connection import Opened, Tape
from streamwatch.ingest.held import HeldConnections
from streamwatch.ingest.session import Heard, Limits, converse, open_session
from streamwatch.lockout import Account, account_of
from streamwatch.memory import Memory, sends_password, waited_out
from streamwatch.model.look import Depth, Look, Measurement, StreamKind, Transport
from streamwatch.model.report import Health, Report, Round, Ticket
from streamwatch.net.address import Guard
from streamwatch.net.canary import Canaries
from streamwatch.net.tls import Trust, Verify
from streamwatch.patience import Grant
from streamwatch.reaching import Began, Reaching, found_defect
from streamwatch.watches.looks import busy_with_us, found_by, with_seen
from streamwatch.watches.places import Places
from streamwatch.watches.sessions import Watches
from streamwatch.wire.ask import KEYFRAME_S, Ask
from streamwatch.wire.media import Keyframe

LANE: Final = 8  # an eighth of its places, and beside them, is for looks that confirm or somebody asked for
FILES_A_LOOK: Final = 3  # over UDP: a connection and two ports
FILES_BESIDE: Final = 100  # the channel to the service, decoders, canaries, logs
HELD_SHARE: Final = 1 / 3  # of the deadline, for a look in a connection that was held; the rest is for a new one
TELL_QUEUED_S: Final = 0.001  # below it a look began at once
BEHIND: Final = "a look at this camera is under way and another waits: its interval is shorter than its looks take"
DOUBTFUL: Final = 2  # looks at once with an account that was not let in yet: each may be a wrong answer
NO_ROOM: Final = frozenset({Reason.RTSP_BUSY, Reason.NET_REFUSED, Reason.NET_RESET})  # how devices say it
_offset_ms = attrgetter("offset_ms")
log = structlog.get_logger(__name__)

Emit = Callable[[Report], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class LookerPolicy:
    """Bounds of one looker: sessions at once per host, per recorder and in all; seconds of each look."""

    per_host: int = 4
    per_recorder: int = 8
    looks_in_flight: int = 256
    connect_s: float = 5.0
    step_s: float = 10.0
    keyframe_s: float = KEYFRAME_S  # of a camera that nothing is known of
    keyframe_most_s: float = 60.0  # of any
    max_pixels: int = 8_900_000
    user_agent: str = "streamwatch"
    held: int = 0  # connections that stay open between looks
    tls_verify: Verify = Verify.WARN
    tls_ca_file: Path | None = None
    watch_most: int = 200  # sessions that stay open and are watched
    watch_keyframe_s: float = 10.0  # between two keyframes of one that are decoded


def holdable(policy: LookerPolicy) -> int:
    """How many connections may be held: as many as the policy says, and the limit of open files leaves."""
    if policy.held <= 0:
        return 0
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    left = soft - FILES_A_LOOK * policy.looks_in_flight - FILES_BESIDE
    if soft != resource.RLIM_INFINITY and left < policy.held:
        why = "raise the limit of open files (LimitNOFILE, ulimit -n) or lower held.connections"
        log.warning("looker.few_open_files", held=max(0, left), wanted=policy.held, limit=soft, remedy=why)
        return max(0, left)
    return policy.held


class Looker:
    """Looks at cameras. One loop owns it; `work` may run for many rounds at once."""

    def __init__(
        self,
        vantage: str,
        *,
        pool: DecoderPool,
        clock: Clock,
        policy: LookerPolicy,
        guard: Guard,
        canaries: Canaries,
        lag: LoopLag,
    ) -> None:
        self.vantage = vantage
        self._pool = pool
        self._clock = clock
        self._policy = policy
        self._guard = guard
        self._canaries = canaries
        self._lag = lag
        self._hosts = Gate(policy.per_host)
        self._recorders = Gate(policy.per_recorder)
        self._cameras = Gate(1)  # one session a camera, ever
        self._all = Gate(policy.looks_in_flight)
        self._lane = Gate(-(-policy.looks_in_flight // LANE))
        self._doubtful = Gate(DOUBTFUL)
        self._lines = Lines(clock)
        self._trust = Trust(policy.tls_verify, policy.tls_ca_file, clock)
        self._memory = Memory(policy.keyframe_s, policy.keyframe_most_s)
        gates = Gates(self._cameras, self._recorders, self._hosts, self._all, self._lane)
        self._held = HeldConnections(holdable(policy), clock, policy.user_agent, gates.enter_device, gates.leave_device)
        self._watches = Watches(
            clock=clock,
            most=policy.watch_most,
            keyframe_s=policy.watch_keyframe_s,
            cameras=self._cameras,
            places=Places(
                (
                    (self._recorders, policy.per_recorder, lambda ticket: ticket.group),
                    (self._hosts, policy.per_host, lambda ticket: ticket.host),
                )
            ),
            doubtful=self._doubtful,
            account_of=_sent_account,
            spend=lambda ticket, size: self._lines.spend(ticket, size),
            score=self._score,
            reopen=self._reopen,
        )
        self._reaching = Reaching(
            vantage,
            clock=clock,
            guard=guard,
            gates=gates,
            held=self._held,
            connect_s=policy.connect_s,
            user_agent=policy.user_agent,
            elsewhere=lambda ticket: self._watches.knows(ticket.camera) or self._holds(ticket),
            ordinary=self._ticket,
            go_on=lambda order, ticket, began: self.look(ticket, order.depth, order=order.id, began=began),
        )
        self._sessions = 0

    @property
    def open_sessions(self) -> int:
        """Connections of looks that are under way."""
        return self._sessions + len(self._reaching)

    @property
    def held(self) -> int:
        """Connections that are open between looks."""
        return len(self._held)

    def close(self) -> None:
        """Closes the connections that are held, for good, and those in which no more than a question is asked."""
        self._held.close()
        self._reaching.close()

    async def end_watching(self) -> None:
        """Says farewell in every session that is watched."""
        await self._watches.aclose()

    def health(self, since: float) -> Health:
        """How we are doing now, with the worst loop lag since the monotonic moment `since`."""
        decoders = self._pool.status()
        return Health(
            at_us=self._clock.utc_us(),
            loop_lag_ms=round(self._lag.worst_ms(since), 1),
            canaries=self._canaries.latest,
            decoders=decoders.alive,
            jailed=decoders.jailed,
            open_sessions=self.open_sessions + self._watches.open,
        )

    async def work(self, order: Round, emit: Emit) -> None:
        """Looks at every camera of the round and emits Reports as looks come in; the last one closes the round."""
        begun = self._clock.monotonic()
        before = self.health(begun - FLUSH_S)
        due = begun - (self._clock.utc_us() - order.due_us) / US
        tickets = deque(sorted(order.tickets, key=_offset_ms))
        inbox = Inbox()
        asks = order.depth is Depth.REACH and not order.visit
        part = 0
        try:
            while tickets or inbox.under_way or inbox.looks or part == 0:
                now = self._clock.monotonic()
                while tickets and due + tickets[0].offset_ms / 1000 <= now:
                    ticket = tickets.popleft()
                    if not (asks and self._reaching.begin(order, ticket, inbox)):
                        inbox.start(self._ticket(order, ticket))
                last = not tickets and not inbox.under_way
                if last or inbox.is_ready(now):
                    await emit(await self._report(order, part, before, inbox.take(), begun, last=last))
                    part += 1
                    inbox.check()
                    continue
                await inbox.wait(due + tickets[0].offset_ms / 1000 if tickets else None, now)
                inbox.check()
        finally:
            if inbox.under_way:
                self._reaching.cancel(inbox)
                inbox.cancel()

    async def _report(
        self, order: Round, part: int, before: Health, looks: tuple[Look, ...], begun: float, *, last: bool
    ) -> Report:
        """A failed look is only told together with what the canaries said after it."""
        taken = self._clock.monotonic()  # the canaries may take longer than a stall that a look met is remembered
        if any(look.reason is not None for look in looks):
            await self._canaries.fresh(taken)
        longest = max([look.duration_us for look in looks], default=0) / US
        after = self.health(max(begun, taken - longest - FLUSH_S))
        return Report(
            round_id=order.id,
            village=order.village,
            depth=order.depth,
            due_us=order.due_us,
            attempt=order.attempt,
            part=part,
            last=last,
            vantage=self.vantage,
            before=before,
            after=after,
            looks=looks,
        )

    async def _ticket(self, order: Round, ticket: Ticket) -> Look:
        """One look of a round, in its turn: the camera's, then its account's and its line's, then all others'."""
        cameras, doubtful = self._cameras, self._doubtful
        queued_s = 0.0
        if not cameras.enter(ticket.camera):
            if not order.visit and cameras.crowded(ticket.camera):
                whose = Reason.OURS_OVERLOAD if self._all.crowded(EVERYBODY) else Reason.OURS_LIMIT
                return self._not_taken(ticket, order, whose, BEHIND)
            queued_s += await self._queue(cameras, ticket.camera)
        try:
            if self._watches.knows(ticket.camera) and (watched := await self._watched(order, ticket)) is not None:
                return watched
            account = self._in_doubt(ticket, order.depth)
            if account is not None and not doubtful.enter(account):
                queued_s += await self._queue(doubtful, account)
            try:
                look = await self._in_turn(order, ticket, queued_s)
                return with_seen(self._watches, ticket, look) if ticket.watch else look
            finally:
                doubtful.leave(account)
        finally:
            cameras.leave(ticket.camera)

    async def _queue(self, gate: Gate, key: Hashable) -> float:
        """Waits for a place that looks at the same camera, device or account hold, and tells the seconds.

        None where somebody waits for this looker's own places: those looks may wait for us, so it is our lack of room.
        """
        begun, ours = self._clock.monotonic(), self._all.crowded(EVERYBODY)
        await gate.wait(key)
        ours = ours or self._all.crowded(EVERYBODY)
        return 0.0 if ours else self._clock.monotonic() - begun

    async def _in_turn(self, order: Round, ticket: Ticket, queued_s: float) -> Look:
        if ticket.line is not None:
            since = self._clock.monotonic()
            if not await self._lines.turn(ticket):
                detail = f"{ticket.line_kbps} kbit/s (limits.per_line_kbps) left no room for this look"
                return self._not_taken(ticket, order, Reason.OURS_LIMIT, f"line {ticket.line}: {detail}")
            queued_s += self._clock.monotonic() - since
        received = taken = 0
        turns = (
            ("recorder", self._recorders, ticket.group),
            ("host", self._hosts, ticket.host),
            ("looker", self._lane if order.attempt or order.visit else self._all, EVERYBODY),
        )
        try:
            for what, gate, key in turns:
                # looks go before connections that are only held
                if not gate.enter(key) and not (self._held.give_way(what, key) and gate.enter(key)):
                    if what != "looker":
                        queued_s += await self._queue(gate, key)
                    else:
                        await gate.wait(key)
                taken += 1
            short = order.depth is Depth.REACH and not order.visit
            look = await self._reaching.look(order, ticket) if short else None
            look = look or await self.look(ticket, order.depth, order=order.id, insist=order.visit)
            received = look.media_bytes
            if queued_s >= TELL_QUEUED_S:
                look = replace(look, queued_ms=round(queued_s * 1000, 3))
        finally:
            for _, gate, key in turns[:taken]:
                gate.leave(key)
            if ticket.line is not None:
                self._lines.settle(ticket, received)
        return look

    def _in_doubt(self, ticket: Ticket, depth: Depth) -> Account | None:
        account = _sent_account(ticket, depth)
        return None if account is None or self._memory.lockout.is_proven(account) else account

    def _not_taken(self, ticket: Ticket, order: Round, reason: Reason, detail: str) -> Look:
        """A look that our own limits left no room for: it says nothing of the camera."""
        started_us, begun = self._clock.utc_us(), self._clock.monotonic()
        return self._told(
            ticket, order.depth, started_us, begun, order.id, reason=reason, step=Step.CONNECT, detail=detail
        )

    async def look(
        self,
        ticket: Ticket,
        depth: Depth,
        *,
        order: str | None = None,
        tape: Tape | None = None,
        insist: bool = False,
        began: Began | None = None,
    ) -> Look:
        """One look at one camera, from where it `began`. A defect of ours ends this look only, and is booked as ours.

        Who insists, a person, has a password tried that the device refused for another camera.
        """
        started_us = self._clock.utc_us() if began is None else began.started_us
        begun = self._clock.monotonic() if began is None else began.begun.at
        try:
            granted = self._grant(ticket)
            heard = await self._heard(ticket, depth, granted, tape, insist=insist, began=began)
            since = begun + heard.parting_s  # which is no part of the look
            return await self.finish(ticket, depth, heard, started_us, since, order, granted)
        except Exception as error:  # noqa: BLE001 - it is told
            return self._told(ticket, depth, started_us, begun, order, **found_defect(ticket, error))
        finally:
            if began is not None:
                began.begun.close()

    async def _reopen(self, ticket: Ticket, depth: Depth) -> Heard:
        """A conversation with a camera whose session was lost: all of it, as the camera may have been set anew. A
        password that was changed is refused once in it; in a warm one it might be twice."""
        return await self._heard(ticket, depth, self._grant(ticket), None, insist=False, warm=False)

    async def _heard(
        self,
        ticket: Ticket,
        depth: Depth,
        granted: Grant,
        tape: Tape | None,
        *,
        insist: bool,
        warm: bool = True,
        began: Began | None = None,
    ) -> Heard:
        self._sessions += 1
        try:
            heard = await self._converse(ticket, depth, granted, tape, insist=insist, warm=warm, began=began)
        finally:
            self._sessions -= 1
        heard = busy_with_us(self._watches, ticket, heard)
        self._memory.remember(ticket, heard, self._clock.monotonic(), depth)
        return heard

    def _grant(self, ticket: Ticket) -> Grant:
        """What this look may take: its camera's own patience, where nobody else waits for what it would hold."""
        if ticket.line is None and (usual := self._memory.usual(ticket)) is not None:
            return usual
        room = self._lines.room(ticket, self._policy.keyframe_most_s)
        refused = ""
        if room == 0:
            refused = f"the budget of line {ticket.line} (limits.per_line_kbps) had no room to wait longer"
        elif self._crowded(ticket):
            refused = "others waited for their turn at its host or recorder, so it was not waited for longer"
        return self._memory.grant(ticket, refused, room)

    def _crowded(self, ticket: Ticket) -> bool:
        return self._recorders.crowded(ticket.group) or self._hosts.crowded(ticket.host) or self._all.crowded(EVERYBODY)

    def ask(
        self, ticket: Ticket, depth: Depth, granted: Grant | None = None, *, insist: bool = False, warm: bool = False
    ) -> Ask:
        """What a ticket asks of its camera; `warm`: what an earlier look learnt may be skipped."""
        now = self._clock.monotonic()
        granted = granted or self._grant(ticket)
        return Ask(
            url=ticket.url,
            depth=depth,
            credentials=ticket.credentials,
            allow_basic=ticket.allow_basic,
            max_pixels=self._policy.max_pixels,
            user_agent=self._policy.user_agent,
            transport=ticket.transport,
            keyframe_s=granted.keyframe_s,
            max_media_bytes=granted.media_bytes,
            prefer=self._memory.transport(ticket),
            withheld=not insist
            and sends_password(ticket, depth)
            and self._memory.lockout.withholds(account_of(ticket), ticket.camera, now),
            warm=self._memory.warm(ticket, now) if warm and not insist else None,
        )

    async def _converse(
        self,
        ticket: Ticket,
        depth: Depth,
        granted: Grant,
        tape: Tape | None,
        *,
        insist: bool,
        warm: bool,
        began: Began | None = None,
    ) -> Heard:
        ask = self.ask(ticket, depth, granted, insist=insist, warm=warm and tape is None)
        limits = Limits(self._policy.connect_s, self._policy.step_s, granted.total_s)
        holds = tape is None and not insist and began is None and self._holds(ticket)
        grown = granted.total_s * 1000 > ticket.deadline_ms  # a share of it may be too short for its next keyframe
        on = self._held.take(ticket) if holds and depth is not Depth.REACH and not grown else None
        # a camera has one session
        dropped = began.dropped if began is not None else on is None and self._held.drop(ticket.camera)
        if ticket.watch and tape is None and depth is not Depth.REACH:
            heard, opened = await open_session(ask, limits, clock=self._clock, guard=self._guard, trust=self._trust)
            heard = self._watches.opened(ticket, depth, ask, heard, opened)
        elif holds:
            heard, opened = await self._open(ask, limits, on)
            if opened is not None:
                self._held.keep(ticket, opened, heard.server)
        else:
            heard = await converse(
                ask,
                limits,
                clock=self._clock,
                guard=self._guard,
                tape=tape,
                trust=self._trust,
                begun=None if began is None else began.begun,
            )
        if heard.failure is not None and heard.failure.reason in NO_ROOM and not heard.media_flowed:
            heard = self._busy(ticket, heard, heard.failure, dropped=dropped)
        return heard

    async def _open(self, ask: Ask, limits: Limits, on: asyncio.Transport | None) -> tuple[Heard, Opened | None]:
        """A conversation whose connection stays open, in the one that was held, or where that is of no use in another
        one, within the same deadline."""
        begun = self._clock.monotonic()
        spent = 0
        if on is not None:
            short = replace(limits, total_s=limits.total_s * HELD_SHARE)
            heard, opened = await open_session(
                ask, short, clock=self._clock, guard=self._guard, trust=self._trust, on=on
            )
            if heard.failure is None or heard.failure.reason in ACCESS_REASONS:  # a password is tried once
                return heard, opened
            spent = heard.media_bytes
            # the full conversation has all that is left: of time, and of tries of the password
            ask = replace(ask, warm=None, refused=heard.refused)
            limits = replace(limits, total_s=limits.total_s - (self._clock.monotonic() - begun))
        heard, opened = await open_session(ask, limits, clock=self._clock, guard=self._guard, trust=self._trust)
        return (replace(heard, media_bytes=heard.media_bytes + spent) if spent else heard), opened

    def _holds(self, ticket: Ticket) -> bool:
        """Whether a connection to that camera may stay open after the look."""
        return (
            self._held.most > 0
            and not ticket.watch
            and ticket.transport in (Transport.AUTO, Transport.TCP)
            and self._memory.transport(ticket) is Transport.TCP
            and self._held.may_hold(ticket)
        )

    def _busy(self, ticket: Ticket, heard: Heard, failure: LookFailure, *, dropped: bool) -> Heard:
        """A device that has no room while we hold connections to it, or closed one just now, is busy with us."""
        count = self._held.too_many(ticket, dropped=dropped)
        if not count:
            return heard
        detail = f"{failure.detail}, while we held {count} connections to it (held.connections): they are closed now"
        return replace(heard, failure=dataclasses.replace(failure, reason=Reason.OURS_LIMIT, detail=detail))

    async def _watched(self, order: Round, ticket: Ticket) -> Look | None:
        """The look of a round as the camera's open session answers it; None where it is to be looked at."""
        started_us, begun = self._clock.utc_us(), self._clock.monotonic()
        answer = await self._watches.answer(ticket, order.depth)
        if answer is None:
            return None
        if answer.picture is not None and answer.picture.result.fingerprint is not None:
            self._memory.remember_fingerprint(ticket, answer.picture.result.fingerprint)
        return self._told(ticket, order.depth, started_us, begun, order.id, **found_by(answer))

    async def _score(self, ticket: Ticket, keyframe: Keyframe, at_us: int) -> DecodeResult:
        job = DecodeJob(
            codec=keyframe.codec,
            data=keyframe.data,
            previous=self._memory.fingerprint(ticket),
            at_us=at_us,
            stream=ticket.camera << 1 | (ticket.stream is StreamKind.SUB),
            snapshot=ticket.snapshot,
            masks=ticket.masks,
        )
        return await self._pool.score(job)

    async def finish(
        self,
        ticket: Ticket,
        depth: Depth,
        heard: Heard,
        started_us: int,
        begun: float,
        order: str | None = None,
        granted: Grant | None = None,
    ) -> Look:
        """What was heard, decoded and scored as far as the depth asks; `begun` is monotonic."""
        failure, timings = heard.failure, heard.timings_ms
        reason, step = (None, None) if failure is None else (failure.reason, failure.step)
        said = list(heard.remarks.values()) if failure is None else [failure.detail]
        if granted is not None and (waited := self._memory.waited(ticket, heard, granted)):
            said.append(waited)
        detail = "; ".join(said)
        measures: tuple[Measurement, ...] = ()
        reference_us: int | None = None
        width, height = heard.width, heard.height
        if depth is Depth.PICTURE and heard.keyframe is not None and reason is None:
            result = await self._score(ticket, heard.keyframe, started_us)
            if result.failure is not None:
                reason, detail = result.failure.reason, result.failure.detail
                step = result.failure.step
            else:
                measures, reference_us = result.measures, result.reference_us
                width, height = result.width or width, result.height or height
                timings = timings | {"decode": result.decode_ms, "score": result.score_ms}
                if result.fingerprint is not None:
                    self._memory.remember_fingerprint(ticket, result.fingerprint)
            timings = {name: ms for name, ms in timings.items() if name != "total"}  # it comes last
            timings["total"] = round((self._clock.monotonic() - begun) * 1000, 3)
        return Look(
            camera=ticket.camera,
            depth=depth,
            stream=ticket.stream,
            started_us=started_us,
            duration_us=int((self._clock.monotonic() - begun) * US),
            vantage=self.vantage,
            order=order,
            reason=reason,
            step=step,
            detail=detail,
            media_flowed=heard.media_flowed,
            media_bytes=heard.media_bytes,
            waited_out=granted is not None and waited_out(heard, granted),
            codec=heard.codec,
            width=width,
            height=height,
            transport=heard.transport,
            server=heard.server,
            timings_ms=timings,
            keyframe_bytes=len(heard.keyframe.data) if heard.keyframe is not None else None,
            measures=measures,
            reference_us=reference_us,
            clock_offset_ms=heard.clock_offset_ms,
            remarks=tuple(heard.remarks),
            warm=heard.warm_held is True,
        )

    def _told(
        self, ticket: Ticket, depth: Depth, started_us: int, begun: float, order: str | None, **found: Any
    ) -> Look:
        """The look as it is reported: who, when, how long, and what was found."""
        return Look(
            camera=ticket.camera,
            depth=depth,
            stream=ticket.stream,
            started_us=started_us,
            duration_us=int((self._clock.monotonic() - begun) * US),
            vantage=self.vantage,
            order=order,
            **found,
        )


def _sent_account(ticket: Ticket, depth: Depth) -> Account | None:
    """Whose password such a look sends."""
    return account_of(ticket) if sends_password(ticket, depth) else None
