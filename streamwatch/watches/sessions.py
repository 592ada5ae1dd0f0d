"""Stage 3's continuous part: the cameras whose sessions stay open in this looker, and what is known of each by them.

A camera is watched once a look at it brought a keyframe and its ticket asks for it. Its later looks are answered from
the open session (`answer`). A session that is lost, or brings no pictures, is opened again by itself, ever more rarely;
a look that comes meanwhile is an ordinary one, so reasons, blame and confirmation are as for any camera.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

import structlog
from msgspec import structs

from streamwatch.clock import Clock
from streamwatch.decoders.job import DecodeResult
from streamwatch.errors import ACCESS_REASONS, LookError, Reason
from streamwatch.gates import Gate
from streamwatch.ingest.connection import Opened
from streamwatch.ingest.continuous import Watcher, part
from streamwatch.ingest.session import Heard
from streamwatch.ingest.sweeping import Sweep
from streamwatch.lockout import Account
from streamwatch.model.look import Depth
from streamwatch.model.report import Ticket
from streamwatch.watches.places import Places
from streamwatch.watches.watch import Answer, Pictured, Watch
from streamwatch.wire.ask import Ask
from streamwatch.wire.media import Keyframe
from streamwatch.wire.tally import Seen

FLOWS_S: Final = 3.0  # pictures that stopped longer ago flow no more: cameras send one a second at the least
PICTURE_WAIT_S: Final = 5.0  # a look waits so long for a new keyframe of an open session; then it is an ordinary one
FIRST_RETRY_S: Final = 1.0  # after a session was lost, doubled each time up to the last
LAST_RETRY_S: Final = 60.0
STEADY_S: Final = 60.0  # a session that lasted so long begins with the first again
UNASKED_S: Final = 900.0  # without a look, until nobody wants it any more; three times the longest time between two
UNASKED_GAPS: Final = 3
_GIVES_UP: Final = ACCESS_REASONS | {Reason.RTSP_BUSY}  # the patrol asks again, in its own time: devices lock accounts
log = structlog.get_logger(__name__)


Score = Callable[[Ticket, Keyframe, int], Awaitable[DecodeResult]]
Reopen = Callable[[Ticket, Depth], Awaitable[Heard]]  # a conversation that comes back by `opened`


class Watches:
    """At most `most`, where hosts and recorders have `places` for them. One loop owns it.

    `score` decodes a keyframe that was whole at a UTC microsecond. `reopen` makes an ordinary conversation
    whose session is handed to `opened`. `spend` is told the bytes that come on a ticket's line. `cameras` is the gate
    with one place a camera, and `doubtful` the one of accounts whose password may be wrong: also of one that was right,
    where sessions are opened again.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        most: int,
        keyframe_s: float,
        cameras: Gate,
        places: Places,
        doubtful: Gate,
        account_of: Callable[[Ticket, Depth], Account | None],
        spend: Callable[[Ticket, int], None],
        score: Score,
        reopen: Reopen,
    ) -> None:
        self._clock = clock
        self._most = most
        self._keyframe_s = keyframe_s
        self._cameras = cameras
        self._places = places
        self._doubtful = doubtful
        self._account_of = account_of
        self._spend = spend
        self._score = score
        self._reopen = reopen
        self._watches: dict[int, Watch] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._told_full = False
        self._sweep = Sweep()

    @property
    def open(self) -> int:
        """Sessions that are open."""
        return sum(watch.watcher is not None for watch in self._watches.values())

    def knows(self, camera: int) -> bool:
        """Whether a session of that camera is, or was, watched: `answer` may have something to say of it."""
        return camera in self._watches

    async def answer(self, ticket: Ticket, depth: Depth) -> Answer | None:
        """What is known of a camera by its open session; None: look at it, the session is closed or was none.

        The camera's place is the caller's meanwhile. A defect of ours costs the session, and no look.
        """
        try:
            return await self._answer(ticket, depth)
        except Exception:
            log.exception("watch.defect", camera=ticket.camera)
        if (watch := self._watches.pop(ticket.camera, None)) is not None:
            self._close(self._forget(watch))
        return None

    async def _answer(self, ticket: Ticket, depth: Depth) -> Answer | None:
        watch = self._watches.get(ticket.camera)
        if watch is None:
            return None
        if not ticket.watch or not _same(ticket, watch.ticket):
            await self._forget(watch)
            return None
        now = self._clock.monotonic()
        self._asked(watch, ticket, depth, now)
        watcher = watch.watcher
        if watcher is None:
            return None
        if now - watcher.picture_at <= FLOWS_S and (depth is not Depth.PICTURE or await self._picture(watch, watcher)):
            seen, watch.seen = watch.seen + watcher.take(), Seen()
            picture, watch.picture = watch.picture, None
            return Answer(watch.heard, seen, picture, watcher.clock_offset_ms())
        await self._lose(watch)
        return None

    def unanswered(self, ticket: Ticket) -> Seen | None:
        """What the sessions of a camera brought since the look before, where a look could not be answered by them."""
        watch = self._watches.get(ticket.camera)
        if watch is None:
            return None
        seen, watch.seen = watch.seen, Seen()
        if watch.picture_at:  # there is no session now
            gap_s = self._clock.monotonic() - watch.picture_at
            seen = replace(seen, longest_gap_s=max(seen.longest_gap_s, gap_s))
        return seen if seen != Seen() else None

    def opened(self, ticket: Ticket, depth: Depth, ask: Ask, heard: Heard, opened: Opened | None) -> Heard:
        """A conversation is over, and its session may stay open: it does where there is a place for it."""
        if opened is None:
            return heard
        now = self._clock.monotonic()
        watch = self._watches.get(ticket.camera)
        may = heard.failure is None and (not self._full() if watch is None else watch.watcher is None)
        places = None
        if may:
            places = watch.places if watch is not None and watch.places else self._places.take(ticket)
        if places is None:
            self._close(part(opened, self._clock))
            return heard
        if watch is None:
            watch = self._watches[ticket.camera] = Watch(ticket, depth, now, heard, FIRST_RETRY_S)
            self._asked(watch, ticket, depth, now)
        watch.places, watch.heard, watch.opened_at, watch.picture = (
            places,
            structs.replace(heard, keyframe=None),
            now,
            None,
        )
        lost_at, watch.picture_at = watch.picture_at, 0.0
        watcher = watch.watcher = Watcher(
            opened,
            self._clock,
            every_s=self._keyframe_s if depth is Depth.PICTURE else None,
            max_pixels=ask.max_pixels,
            max_bytes=ask.max_media_bytes,
            keyframe=lambda frame, _at: self._came(watch, frame),
            ended=lambda error: self._ended(watch, error),
            sweep=self._sweep,
            spent=lambda size: self._spend(watch.ticket, size),
        )
        if lost_at:
            watch.seen = replace(watch.seen, longest_gap_s=max(watch.seen.longest_gap_s, now - lost_at))
        if watcher.over:  # by what was read before it began: `_ended` came before it was there to be booked
            self._book(watch)
        return heard

    def sessions_at(self, ticket: Ticket) -> int:
        """How many of them are at its host, or at its recorder."""
        return self._places.at(ticket)

    async def aclose(self) -> None:
        """Says farewell to all of them."""
        await asyncio.gather(*(self._forget(watch) for watch in tuple(self._watches.values())))
        if self._closing:
            await asyncio.wait(self._closing)

    # ---- pictures

    async def _picture(self, watch: Watch, watcher: Watcher) -> bool:
        """Whether there is one since the latest look; one that is on its way is waited for."""
        if watch.picture is None:
            watcher.want_keyframe()
            watch.waiting = asyncio.get_running_loop().create_future()
            await asyncio.wait((watch.waiting,), timeout=PICTURE_WAIT_S)
            watch.waiting = None
        return watch.picture is not None

    def _came(self, watch: Watch, frame: Keyframe) -> None:
        if watch.scoring is None:  # else the decoders are behind: the next one will do
            watch.scoring = asyncio.create_task(self._scored(watch, frame, self._clock.utc_us()))

    async def _scored(self, watch: Watch, frame: Keyframe, at_us: int) -> None:
        try:
            result = await self._score(watch.ticket, frame, at_us)
            watch.picture = Pictured(result, frame, at_us)
        except Exception:
            log.exception("watch.defect", camera=watch.ticket.camera)
        finally:
            watch.scoring = None
            if watch.waiting is not None and not watch.waiting.done():
                watch.waiting.set_result(None)

    # ---- the end of a session, and the next one

    def _ended(self, watch: Watch, error: LookError) -> None:
        """By itself."""
        log.info("watch.lost", camera=watch.ticket.camera, reason=error.reason.value, detail=error.detail)
        now = self._clock.monotonic()
        watch.retry_s = FIRST_RETRY_S if now - watch.opened_at >= STEADY_S else watch.retry_s
        self._book(watch)
        if watch.retrying is None:
            watch.retrying = asyncio.create_task(self._retry(watch))

    async def _retry(self, watch: Watch) -> None:
        camera = watch.ticket.camera
        try:
            while watch.watcher is None and self._watches.get(camera) is watch:
                await self._clock.sleep(watch.retry_s)
                watch.retry_s = min(LAST_RETRY_S, watch.retry_s * 2)
                # many may be lost at once because their password was changed: then few are to try it. This is waited
                # for with nothing held that looks wait for
                account = self._account_of(watch.ticket, watch.depth)
                if not self._doubtful.enter(account):
                    await self._doubtful.wait(account)
                try:
                    heard = await self._again(watch)
                finally:
                    self._doubtful.leave(account)
                if heard is None:
                    continue
                if heard.keyframe is not None and watch.depth is Depth.PICTURE:
                    self._came(watch, heard.keyframe)
                if heard.failure is not None and heard.failure.reason in _GIVES_UP:
                    return
        except Exception:
            log.exception("watch.defect", camera=camera)
        finally:
            watch.retrying = None

    async def _again(self, watch: Watch) -> Heard | None:
        """Opens its session again; None, and nothing was done, where a look is at it or there is no place for it."""
        camera = watch.ticket.camera
        if watch.watcher is not None or self._watches.get(camera) is not watch or not self._cameras.enter(camera):
            return None
        try:
            places = self._places.take(watch.ticket)
            if places is None:
                return None
            watch.places = places
            heard = await self._reopen(watch.ticket, watch.depth)
            self._spend(watch.ticket, heard.media_bytes)
            return heard
        finally:
            if watch.watcher is None:
                self._leave(watch)
            self._cameras.leave(camera)

    def _book(self, watch: Watch) -> None:
        """Its session is no more."""
        watcher, watch.watcher = watch.watcher, None
        if watcher is not None:
            watch.picture_at = watcher.picture_at
            try:
                watch.seen += watcher.take()
            except Exception:  # what it saw is lost; it is closed nevertheless, and its places are free
                log.exception("watch.defect", camera=watch.ticket.camera)
        self._leave(watch)
        watch.picture = None

    async def _lose(self, watch: Watch) -> None:
        watcher = watch.watcher
        self._book(watch)
        if watcher is not None:
            await watcher.part()

    async def _forget(self, watch: Watch) -> None:
        self._watches.pop(watch.ticket.camera, None)
        if watch.unasked is not None:
            watch.unasked.cancel()
        for task in (watch.retrying, watch.scoring):
            if task is not None and task is not asyncio.current_task():
                task.cancel()
        await self._lose(watch)

    def _asked(self, watch: Watch, ticket: Ticket, depth: Depth, now: float) -> None:
        """A look came: the camera is still wanted."""
        watch.longest_s = max(watch.longest_s, now - watch.asked_at)
        watch.ticket, watch.depth, watch.asked_at = ticket, max(depth, watch.depth, key=list(Depth).index), now
        if watch.unasked is not None:
            watch.unasked.cancel()
        after_s = max(UNASKED_S, UNASKED_GAPS * watch.longest_s)
        watch.unasked = asyncio.get_running_loop().call_later(after_s, self._unwanted, watch)

    def _unwanted(self, watch: Watch) -> None:
        log.info("watch.unasked", camera=watch.ticket.camera)
        self._close(self._forget(watch))

    def _close(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    # ---- room

    def _leave(self, watch: Watch) -> None:
        taken, watch.places = watch.places, ()
        self._places.leave(taken)

    def _full(self) -> bool:
        full = len(self._watches) >= self._most
        if full and not self._told_full:
            self._told_full = True
            log.warning("watch.full", most=self._most, remedy="raise watch.most, or name fewer watch.cameras")
        return full


def _same(ticket: Ticket, before: Ticket) -> bool:
    return (ticket.url, ticket.stream, ticket.credentials, ticket.transport) == (
        before.url,
        before.stream,
        before.credentials,
        before.transport,
    )
