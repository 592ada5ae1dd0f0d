"""The service: sends rounds out, absorbs reports, commits, and only then remembers and tells.

It owns the planner, the standings and the one write connection. It never talks to a camera, decodes or renders.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import structlog

from streamwatch.clock import US, Clock, rfc3339
from streamwatch.counters import Counters
from streamwatch.errors import NotFoundError, Reason, Step, StreamwatchError
from streamwatch.gates import LINE_TURN_S
from streamwatch.live.server import LiveServer
from streamwatch.model.inventory import Camera, Inventory
from streamwatch.model.live import CameraLive
from streamwatch.model.look import Depth, Look
from streamwatch.model.report import Report, Ticket
from streamwatch.model.standing import STREAM, Standing
from streamwatch.schedule import Planner, grace_us
from streamwatch.schedule import Policy as SchedulePolicy
from streamwatch.schedule.capacity import WHOLE
from streamwatch.service.absorb import Absorbed, Judged, absorb
from streamwatch.service.commit import Committer
from streamwatch.service.lookers import Lookers
from streamwatch.store.stays import EVER, Stay, whereabouts
from streamwatch.timeline import Booked
from streamwatch.uptime import Interval, within
from streamwatch.verdict import Policy

GROUP_S: Final = 0.25  # looks wait this long for company in one commit: an fsync is shared, nobody notices the delay
GROUP_LOOKS: Final = 500
INBOX_REPORTS: Final = 4096  # past this lookers wait: the patrol slows down, nothing is dropped
MAX_TOLD: Final = 20  # codes in one line of the log
TICK_S: Final = 0.25
STEPS: Final = frozenset(step.value for step in Step)
VISIT_SPARE_S: Final = 10.0  # beyond the look's own deadline: queueing, decoding, commit

log = structlog.get_logger(__name__)


class BusyError(StreamwatchError):
    """A visit to that camera is under way."""

    code = "running"


class BackoffError(StreamwatchError):
    """That camera refused our credentials several times and is left alone for a while: devices lock accounts."""

    code = "backoff"


def _longest_s(ticket: Ticket) -> float:
    """How long the look of that ticket may take at most: until its line has room for it, and then to its end."""
    turn_s = 0.0 if ticket.line_kbps is None else LINE_TURN_S
    return turn_s + max(ticket.deadline_ms, ticket.patience_ms) / 1000


class Service:
    """Plans, absorbs, commits, tells."""

    def __init__(
        self,
        *,
        clock: Clock,
        policy: Policy,
        schedule: SchedulePolicy,
        committer: Committer,
        rng: random.Random,
    ) -> None:
        self.clock = clock
        self.policy = policy
        self.counters = Counters()
        self.inbox: asyncio.Queue[Report] = asyncio.Queue(INBOX_REPORTS)
        self.planner = Planner(schedule, rng)
        self.inventory = Inventory()
        self.standings: dict[int, dict[str, Standing]] = {}
        self.live: dict[int, CameraLive] = {}
        self.latest: dict[int, Judged] = {}
        self.config_reloaded = True  # whether the last SIGHUP's configuration was taken
        self.maintenance: dict[int, list[Interval]] = {}  # by camera, merged: for the counters only
        self.stays: Mapping[int, Sequence[Stay]] = {}  # of cameras that were moved: for the counters only
        self.lookers = Lookers(self.inbox, self._looker_lost)
        self.server: LiveServer | None = None
        self.unknown_watched: frozenset[str] = frozenset()  # codes of watch.cameras that no camera has
        self._schedule = schedule
        self._committer = committer
        self._idle_reach: SchedulePolicy | None = None
        self._visits: dict[str, asyncio.Future[Look]] = {}
        self._visited: set[int] = set()
        self._wake = asyncio.Event()

    def restore(self, standings: Iterable[Standing]) -> None:
        """Takes in where everything stood when the service last committed; before the first `load`."""
        for standing in standings:
            self.standings.setdefault(standing.camera, {})[standing.dimension] = standing

    def reconfigure(self, policy: Policy, schedule: SchedulePolicy) -> None:
        """Obeys other thresholds and another schedule from now on."""
        self.policy = policy
        self._schedule = schedule
        now_us = self.clock.utc_us()
        self.planner.obey(schedule, now_us)
        self.planner.load(self.inventory, now_us)
        self._check_watched()
        self._check_reach()
        self._wake.set()

    def load(self, inventory: Inventory) -> None:
        """Takes in the inventory as it is from now on."""
        gone = self.live.keys() - inventory.cameras.keys()
        for camera in gone:
            del self.live[camera]
            self.latest.pop(camera, None)
        fresh = [
            CameraLive(camera=camera, standings=tuple(self.standings.get(camera, {}).values()))
            for camera in inventory.cameras.keys() - self.live.keys()
        ]
        self.live.update((live.camera, live) for live in fresh)
        self.inventory = inventory
        self.planner.load(inventory, self.clock.utc_us())
        self._check_watched()
        self._check_reach()
        self._wake.set()
        if self.server is not None:
            self.server.publish(tuple(fresh))
            if gone:
                self.server.forget(gone)
            self.server.pulse()  # with the new version, before the command that changed it is answered

    def _check_watched(self) -> None:
        """Tells which codes of watch.cameras no camera has, once for each that is new."""
        known = {camera.code for camera in self.inventory.cameras.values()}
        unknown = self._schedule.watch - known
        if fresh := sorted(unknown - self.unknown_watched):
            why = "correct watch.cameras, or import these cameras"
            log.warning("watch.unknown_cameras", codes=fresh[:MAX_TOLD], count=len(unknown), remedy=why)
        self.unknown_watched = unknown

    def _check_reach(self) -> None:
        """Tells where the setting for looks between the patrol's has no effect at all, once for each setting of it."""
        reach_s = self._schedule.reach_s
        idle = reach_s is not None and bool(self.inventory.cameras) and not self.planner.reaches_between
        if idle and self._idle_reach != self._schedule:
            why = "set schedule.reach_s to two thirds of schedule.interval_s at most, or leave it away"
            log.warning(
                "schedule.reach_s_without_effect", reach_s=reach_s, interval_s=self._schedule.interval_s,
                depth=self._schedule.depth.value, remedy=why,
            )  # fmt: skip
        self._idle_reach = self._schedule if idle else None

    async def plan_forever(self) -> None:
        """Sends every round when it is due."""
        while True:
            now_us = self.clock.utc_us()
            thinning = self.planner.capacity.thinning
            if self._committer.error is not None:
                self.planner.stalled()
            orders = self.planner.due(now_us)
            if self.planner.capacity.thinning != thinning:
                self._tell_thinning()
            for order in orders:
                if not await self.lookers.link_for(order.village).send(order):
                    self.counters.add("streamwatch_dropped_total", len(order.tickets), "round_without_looker")
                    self.planner.undelivered(order)
            next_us = self.planner.next_due_us()
            pause = TICK_S if next_us is None else min(TICK_S, max(0.0, (next_us - self.clock.utc_us()) / US))
            self._wake.clear()
            try:
                async with asyncio.timeout(max(0.01, pause)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _tell_thinning(self) -> None:
        capacity = self.planner.capacity
        told = {
            "picture_every": capacity.thinning.picture_every,
            "stream_every": capacity.thinning.stream_every,
            "reach_every": capacity.thinning.reach_every,
            "lag_p99_s": round(capacity.lag_s(0.99), 1),
            "unfinished_rounds": capacity.unfinished_rounds,
        }
        if capacity.thinning == WHOLE:
            log.info("patrol.whole_again", **told)
        else:
            log.warning("patrol.thinned", **told, remedy="more cores or lookers, a longer interval, or fewer cameras")

    async def absorb_forever(self) -> None:
        """Takes in reports, groups them, commits them."""
        while True:
            await self._absorb(await self._group())

    async def _group(self) -> list[Report]:
        group = [await self.inbox.get()]
        looks = self._more(group, len(group[0].looks))
        if looks < GROUP_LOOKS:
            await asyncio.sleep(GROUP_S)
            self._more(group, looks)
        return group

    def _more(self, group: list[Report], looks: int) -> int:
        """Adds what waits to a group of so many looks, and tells how many it has then."""
        while looks < GROUP_LOOKS and not self.inbox.empty():
            group.append(self.inbox.get_nowait())
            looks += len(group[-1].looks)
        return looks

    async def _absorb(self, reports: list[Report]) -> None:
        now_us = self.clock.utc_us()
        try:
            absorbed = absorb(reports, self.standings, self.live, self.policy, self.grace_us, self._schedule.reach_s)
            await self._committer.commit(absorbed, now_us)
        except Exception:
            if len(reports) > 1:  # one of them trips over a mistake of ours: the others must not pay for it
                for report in reports:
                    await self._absorb([report])
                return
            log.exception("report.not_absorbed", round=reports[0].round_id)
            self.counters.add("streamwatch_dropped_total", len(reports[0].looks), "report")
            return
        self.standings.update(absorbed.moved)  # memory moves only after the commit
        self.live.update(absorbed.live)
        if self.server is not None:
            self.server.publish(tuple(absorbed.live.values()))
        self._count(absorbed)
        for report in reports:
            self.planner.heard(report, now_us)
        for judged in absorbed.judged:
            self._follow_up(judged, now_us)

    def _follow_up(self, judged: Judged, now_us: int) -> None:
        """The one backward edge: outcomes shape the plan, and a visit hears its answer."""
        look = judged.attributed.look
        waiting = self._visits.get(look.order or "")
        shown = self.latest.get(look.camera)
        asked_only = look.depth is Depth.REACH and look.reason is None and waiting is None
        if not asked_only or shown is None or shown.attributed.look.depth is Depth.REACH:
            self.latest[look.camera] = judged  # an answer between two looks hides nothing that the deeper one measured
        if judged.late or judged.verdict.void is not None:
            self.planner.unanswered(look.camera, judged.attempt)
        else:
            deep = look.depth is not Depth.REACH  # else no password was tried, and no stream asked for
            if deep:
                self.planner.record(look.camera, look.reason, look.started_us)
            if judged.pending:
                self.planner.confirm(look.camera, judged.attempt, now_us)
                self._wake.set()
            elif deep and (look.reason is not None or not self._in_doubt(look.camera)):
                self.planner.settled(look.camera)
        if waiting is not None and not waiting.done():
            waiting.set_result(look)

    def _in_doubt(self, camera: int) -> bool:
        """Whether anything waits to be confirmed: a picture's fault does, whatever a look at the stream alone finds."""
        for standing in self.standings.get(camera, {}).values():  # noqa: SIM110 - called for every look: `any` costs double
            if standing.pending is not None:
                return True
        return False

    async def scrape(self, camera: Camera, depth: Depth, deadline_s: float) -> Look:
        """A visit for a machine that asks again and again. Raises BackoffError where the patrol would not look."""
        until_us = self.planner.waits_us(camera.id)
        if until_us > self.clock.utc_us():
            raise BackoffError(
                f"camera {camera.code} refused our user name and password; it is not asked again before "
                f"{rfc3339(until_us)}, lest it locks the account"
            )
        return await self.visit(camera, depth, deadline_s)

    async def visit(self, camera: Camera, depth: Depth, deadline_s: float | None = None) -> Look:
        """A look now; it counts like any other. Raises BusyError where one runs."""
        if camera.id in self._visited:
            raise BusyError(f"camera {camera.code} is being looked at right now")
        order = self.planner.visit(camera, depth, self.clock.utc_us(), deadline_s)
        waiting: asyncio.Future[Look] = asyncio.get_running_loop().create_future()
        self._visits[order.id] = waiting
        self._visited.add(camera.id)
        try:
            if not await self.lookers.link_for(order.village).send(order):
                raise StreamwatchError("no looker is running: try again in a moment")
            async with asyncio.timeout(_longest_s(order.tickets[0]) + VISIT_SPARE_S):
                return await waiting
        except TimeoutError:
            raise StreamwatchError(f"the look at {camera.code} brought no answer in time") from None
        finally:
            self._visits.pop(order.id, None)
            self._visited.discard(camera.id)

    def camera(self, number: int) -> Camera:
        """The camera of that id. Raises NotFoundError."""
        found = self.inventory.cameras.get(number)
        if found is None:
            raise NotFoundError(f"there is no camera with the id {number}")
        return found

    def grace_us(self, camera: int) -> int:
        """How long a look at that camera speaks for the time after it."""
        return grace_us(self.planner.interval_s(camera))

    def _looker_lost(self) -> None:
        """Confirming looks that it had in hand are lost: the next patrol look orders them again."""
        self.planner.looker_lost()

    def _count(self, absorbed: Absorbed) -> None:
        self._count_time(absorbed.booked)
        add, observe = self.counters.add, self.counters.observe
        looks: dict[tuple[Depth, Reason | None, bool], int] = {}
        for judged in absorbed.judged:
            look = judged.attributed.look
            kind = (look.depth, look.reason, judged.verdict.void is not None)
            looks[kind] = looks.get(kind, 0) + 1
            for remark in look.remarks:
                add("streamwatch_look_remarks_total", 1, remark.value)
            if judged.late:
                add("streamwatch_dropped_total", 1, "late_look")
            if judged.blips:
                add("streamwatch_blips_total", judged.blips)
            for step, took_ms in look.timings_ms.items():
                if step in STEPS:
                    observe("streamwatch_probe_step_seconds", took_ms / 1000, step)
        for (depth, reason, void), count in looks.items():
            outcome = "void" if void else ("ok" if reason is None else "failed")
            add("streamwatch_probes_total", count, depth.value, outcome, "" if reason is None else reason.value)

    def _count_time(self, booked: Iterable[Booked]) -> None:
        """Adds camera-seconds to their villages, each microsecond once."""
        sums_us: dict[tuple[str, int], int] = {}
        for one in booked:
            if one.dimension != STREAM or (camera := self.inventory.cameras.get(one.camera)) is None:
                continue
            plain = camera.id not in self.maintenance and camera.id not in self.stays
            if plain and camera.removed_us is None and camera.installed_us <= one.from_us:
                key = (one.state.value, camera.village)  # as nearly every look: nothing is to be cut
                sums_us[key] = sums_us.get(key, 0) + one.seconds_us
                continue
            for village, stretch in self._served(camera, Interval(one.from_us, one.to_us)):
                excluded_us = sum(b - a for a, b in within(self.maintenance.get(camera.id, ()), stretch))
                whole_us = stretch.to_us - stretch.from_us
                for name, took_us in (("excluded", excluded_us), (one.state.value, whole_us - excluded_us)):
                    sums_us[name, village] = sums_us.get((name, village), 0) + took_us
        for (name, number), sum_us in sums_us.items():
            if sum_us > 0:
                found = self.inventory.villages[number]
                region = self.inventory.regions[found.region].name
                self.counters.add(f"streamwatch_village_{name}_seconds_total", sum_us / US, region, found.code)

    def _served(self, camera: Camera, stretch: Interval) -> Iterator[tuple[int, Interval]]:
        """The part of a stretch in which the camera was in service, and in which village: each microsecond once."""
        end_us = EVER.to_us if camera.removed_us is None else camera.removed_us
        for part in within([stretch], Interval(camera.installed_us, end_us)):
            for village, when in whereabouts(self.stays.get(camera.id, ()), camera.village):
                for there in within([part], when):
                    yield village, there
