"""Stage 2: inventory + outcomes + now -> Rounds. The patrol is planned, not looped.

Each village has a phase, spread evenly over the interval and the same after every restart; in its window its cameras
are staggered, each at its own fixed offset. A bad look orders confirming looks; refused credentials are asked ever
more rarely, because a device locks its account after a few wrong tries.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from streamwatch.errors import ACCESS_REASONS, Reason
from streamwatch.model.inventory import Camera, Inventory
from streamwatch.model.look import Depth
from streamwatch.model.report import Report, Round, Ticket
from streamwatch.schedule.capacity import WHOLE, Capacity, depth_of
from streamwatch.schedule.outstanding import Outstanding
from streamwatch.schedule.policy import BACKOFF_INTERVALS, JITTER, US, Policy, phase_us
from streamwatch.schedule.tickets import ticket_of, tickets_of


@dataclass(slots=True)
class _Unit:
    """The cameras of one village that share an interval."""

    village: int
    interval_s: int
    cameras: list[Camera]
    tickets: tuple[Ticket, ...] | None = None  # of all of them in order, made when first due: they stay as they are
    reach: tuple[Ticket, ...] | None = None  # the same within the window of a reach round


@dataclass(slots=True)
class _Access:
    failures: int = 0
    not_before_us: int = 0


class Planner:
    """Holds what is due when. Pure: it is told the time and a seeded random."""

    def __init__(self, policy: Policy, rng: random.Random) -> None:
        self.policy = policy
        self.missed_rounds = 0
        self._rng = rng
        self._units: dict[tuple[int, int], _Unit] = {}
        self._cameras: dict[int, Camera] = {}
        self._line_kbps: Mapping[str, int] = {}
        self._patrol: list[tuple[int, tuple[int, int]]] = []
        self._bridges: list[tuple[int, int]] = []  # due, camera: one look between the rounds of two villages
        self._confirm: list[tuple[int, int, int, int]] = []  # due, tie-breaker, camera, attempt
        self._confirming: dict[int, int] = {}  # camera -> attempt that is ordered
        self._access: dict[int, _Access] = {}
        self._reach: list[tuple[int, tuple[int, int]]] = []  # rounds that only ask whether cameras answer
        self._order = itertools.count()
        self.capacity = Capacity(policy.depth, policy.interval_s)
        self._outstanding = Outstanding(self.capacity)

    def load(self, inventory: Inventory, now_us: int) -> None:
        """Takes in the inventory as it is now: villages keep their phase, changed cameras lose their backoff.

        A camera that goes to a round of another phase gets one look in between where it would wait for longer than the
        round that it leaves: that it was moved must not leave a gap.
        """
        self._line_kbps = inventory.line_kbps
        old = self._cameras
        self._cameras = {
            camera.id: camera
            for camera in inventory.cameras.values()
            if camera.removed_us is None or camera.removed_us > now_us
        }
        for camera in self._cameras.values():
            if camera.id in self._access and old.get(camera.id) != camera:
                del self._access[camera.id]
        for gone in old.keys() - self._cameras.keys():
            self._access.pop(gone, None)
            self._confirming.pop(gone, None)
        units: dict[tuple[int, int], _Unit] = {}
        for camera in self._cameras.values():
            key = (camera.village, camera.interval_s)
            units.setdefault(key, _Unit(camera.village, camera.interval_s, [])).cameras.append(camera)
        due_before = {key: due_us for due_us, key in self._patrol}
        known = self._units.keys()
        for key in units.keys() - known:
            heapq.heappush(self._patrol, (self._first_due(key, now_us), key))
        if known - units.keys():
            self._patrol = [entry for entry in self._patrol if entry[1] in units]
            heapq.heapify(self._patrol)
        self._units = units
        due_after = {key: due_us for due_us, key in self._patrol}
        for camera in self._cameras.values():
            before = old.get(camera.id)
            if before is None or (before.village, before.interval_s) == (camera.village, camera.interval_s):
                continue
            would_be_us = due_before[before.village, before.interval_s]
            if would_be_us < due_after[camera.village, camera.interval_s]:
                heapq.heappush(self._bridges, (would_be_us, camera.id))

    def interval_s(self, camera: int) -> int:
        """The interval that camera is looked at by; the policy's for one that is not in the inventory."""
        found = self._cameras.get(camera)
        return found.interval_s if found is not None else self.policy.interval_s

    def next_due_us(self) -> int | None:
        """When there is something to do next; None with an empty inventory."""
        heads = [heap[0][0] for heap in (self._patrol, self._reach, self._bridges, self._confirm) if heap]
        return min(heads) if heads else None

    def due(self, now_us: int) -> list[Round]:
        """Every round whose time has come. A round that is more than an interval late is skipped and counted."""
        self._outstanding.expire(now_us)
        self.capacity.turn(now_us)
        rounds: list[Round] = []
        while self._patrol and self._patrol[0][0] <= now_us:
            due_us, key = heapq.heappop(self._patrol)
            unit = self._units[key]
            interval_us = unit.interval_s * US
            late = (now_us - due_us) // interval_us
            if late:
                self.missed_rounds += late
                self.capacity.missed(late)
            due_us += late * interval_us
            heapq.heappush(self._patrol, (due_us + interval_us, key))
            self._plan_reach(key, due_us, due_us + interval_us)
            rounds.extend(self._patrol_rounds(unit, due_us))
        rounds.extend(self._due_reach(now_us))
        rounds.extend(self._due_bridges(now_us))
        rounds.extend(self._due_confirmations(now_us))
        return rounds

    def heard(self, report: Report, now_us: int) -> None:
        """Learns how the patrol goes: how late looks began, which rounds ended."""
        self._outstanding.heard(report, now_us)

    def undelivered(self, order: Round) -> None:
        """No looker took that round: what it was to confirm is ordered again by the next bad look."""
        self._outstanding.lost(order.id)
        for ticket in order.tickets:
            self.settled(ticket.camera)

    def looker_lost(self) -> None:
        """Confirming looks that a looker had in hand are lost, as are its rounds."""
        self._outstanding.forget()
        self._confirming.clear()

    def stalled(self) -> None:
        """Nothing can be written, so no round ends: that is no question of capacity, and thins out no patrol."""
        self._outstanding.forget()
        self.capacity.pause()

    def confirm(self, camera: int, attempt: int, now_us: int) -> bool:
        """A bad look, the patrol's (attempt 0) or a confirming one, wants the next confirming look.

        False where none is due: the camera is gone, there were enough, or one is ordered already.
        """
        if self._confirming.get(camera) == attempt:
            del self._confirming[camera]
        following = attempt + 1
        if camera not in self._cameras or following > self.policy.confirm_looks or camera in self._confirming:
            return False
        self._confirming[camera] = following
        delay = self.policy.confirm_delay(following, self.interval_s(camera))
        delay *= self._rng.uniform(1 - JITTER, 1 + JITTER)
        heapq.heappush(self._confirm, (now_us + int(delay * US), next(self._order), camera, following))
        return True

    def settled(self, camera: int) -> None:
        """There is nothing left to confirm: a look that is ordered already is not sent."""
        self._confirming.pop(camera, None)

    def record(self, camera: int, reason: Reason | None, at_us: int) -> None:
        """Learns one outcome, for the backoff of refused credentials."""
        if reason not in ACCESS_REASONS:
            self._access.pop(camera, None)
            return
        state = self._access.setdefault(camera, _Access())
        state.failures += 1
        over = state.failures - self.policy.access_tries
        if over >= 0:
            interval_s = self.interval_s(camera)
            cap_s = min(self.policy.access_backoff_max_s, float(BACKOFF_INTERVALS * interval_s))
            pause_s = min(cap_s, interval_s * 2.0 ** min(1 + over, 16)) * self._rng.uniform(1 - JITTER, 1.0)
            state.not_before_us = at_us + int(pause_s * US)

    def waits_us(self, camera: int) -> int:
        """Until when a camera that refuses our credentials is left alone; 0 where it is not."""
        backoff = self._access.get(camera)
        return 0 if backoff is None else backoff.not_before_us

    def visit(self, camera: Camera, depth: Depth, now_us: int, deadline_s: float | None = None) -> Round:
        """A look now, because somebody asked; with `deadline_s` it ends by then, and sooner where the patrol's does.

        Who names a deadline is a machine that asks again and again: it does not insist on a password that was refused.
        """
        ticket = ticket_of(camera, 0, self.policy, self._line_kbps)
        if deadline_s is not None:
            deadline_ms = min(ticket.deadline_ms, max(1, int(deadline_s * 1000)))
            ticket = msgspec.structs.replace(ticket, deadline_ms=deadline_ms, patience_ms=0)
        tickets = (ticket,)
        number = next(self._order)
        name = f"visit:{camera.id}:{now_us}:{number}"
        return self._round(name, camera.village, now_us, 0.0, 0, tickets, depth=depth, visit=deadline_s is None)

    def _first_due(self, key: tuple[int, int], now_us: int) -> int:
        village, interval_s = key
        interval_us = interval_s * US
        phase = phase_us(village, interval_s)
        return now_us + (phase - now_us) % interval_us

    def _patrol_rounds(self, unit: _Unit, due_us: int) -> Iterator[Round]:
        """The unit's cameras, each as deep as there is room for: one round a depth."""
        window_s = self.policy.window(unit.interval_s)
        if unit.tickets is None:
            unit.tickets = self._tickets(unit.cameras, window_s)
        tickets = unit.tickets
        if self._access:
            willing = {camera.id for camera in self._willing(unit.cameras, due_us)}
            tickets = tuple(ticket for ticket in tickets if ticket.camera in willing)
        by_depth = {self.policy.depth: tickets}
        thinning = self.capacity.thinning
        if thinning != WHOLE:
            turn = due_us // (unit.interval_s * US)
            deep = [depth_of(self.policy.depth, thinning, turn + ticket.camera) for ticket in tickets]
            by_depth = {
                depth: tuple(ticket for ticket, its in zip(tickets, deep, strict=True) if its is depth)
                for depth in dict.fromkeys(deep)
            }
        for depth, some in by_depth.items():
            if some:
                name = f"{unit.village}:{unit.interval_s}:{depth}:{due_us}"
                order = self._round(name, unit.village, due_us, window_s, 0, some, depth=depth)
                self._outstanding.sent(order, unit.interval_s)
                yield order

    def _plan_reach(self, key: tuple[int, int], after_us: int, before_us: int) -> None:
        """The next reach round of a unit, where it is not too near to the patrol's."""
        if self.policy.reach_s is None or self.policy.depth is Depth.REACH:
            return
        pause_us = int(self.policy.reach_s * US)
        if after_us + pause_us + pause_us // 2 <= before_us:
            heapq.heappush(self._reach, (after_us + pause_us, key))

    def _due_reach(self, now_us: int) -> Iterator[Round]:
        while self._reach and self._reach[0][0] <= now_us:
            due_us, key = heapq.heappop(self._reach)
            if (unit := self._units.get(key)) is None or self.policy.reach_s is None:
                continue
            interval_us = unit.interval_s * US
            patrol_us = due_us + (phase_us(*key) - due_us) % interval_us
            self._plan_reach(key, due_us, patrol_us)
            if now_us - due_us >= int(self.policy.reach_s * US):
                continue  # the next one comes at once
            window_s = min(self.policy.reach_s / 4, self.policy.window(unit.interval_s))
            if unit.reach is None:
                unit.reach = self._tickets(unit.cameras, window_s)
            name = f"{unit.village}:{unit.interval_s}:every {self.policy.reach_s:g} s:{due_us}"
            order = self._round(name, unit.village, due_us, window_s, 0, unit.reach, depth=Depth.REACH)
            self._outstanding.sent(order, unit.interval_s)
            yield order

    def _tickets(self, cameras: Iterable[Camera], window_s: float) -> tuple[Ticket, ...]:
        return tickets_of(cameras, int(window_s * 1000), self.policy, self._line_kbps)

    def _willing(self, cameras: Sequence[Camera], due_us: int) -> Iterable[Camera]:
        for camera in cameras:
            backoff = self._access.get(camera.id)
            if backoff is None or backoff.not_before_us <= due_us:
                yield camera

    def _due_bridges(self, now_us: int) -> list[Round]:
        by_village: dict[int, list[Camera]] = {}
        while self._bridges and self._bridges[0][0] <= now_us:
            _, number = heapq.heappop(self._bridges)
            if (camera := self._cameras.get(number)) is not None:
                by_village.setdefault(camera.village, []).append(camera)
        rounds: list[Round] = []
        for village, cameras in by_village.items():
            if tickets := self._tickets(self._willing(cameras, now_us), 0.0):
                rounds.append(self._round(f"{village}:moved:{now_us}", village, now_us, 0.0, 0, tickets))
        return rounds

    def _due_confirmations(self, now_us: int) -> list[Round]:
        by_round: dict[tuple[int, int], list[Camera]] = {}
        while self._confirm and self._confirm[0][0] <= now_us:
            _, _, code, attempt = heapq.heappop(self._confirm)
            if self._confirming.get(code) != attempt or (camera := self._cameras.get(code)) is None:
                continue
            by_round.setdefault((camera.village, attempt), []).append(camera)
        return [
            self._round(
                f"{village}:confirm:{now_us}:{attempt}", village, now_us, 0.0, attempt, self._tickets(cameras, 0.0)
            )
            for (village, attempt), cameras in by_round.items()
        ]

    def _round(
        self,
        name: str,
        village: int,
        due_us: int,
        window_s: float,
        attempt: int,
        tickets: tuple[Ticket, ...],
        *,
        depth: Depth | None = None,
        visit: bool = False,
    ) -> Round:
        return Round(
            id=name,
            village=village,
            depth=depth or self.policy.depth,
            due_us=due_us,
            window_ms=int(window_s * 1000),
            attempt=attempt,
            visit=visit,
            tickets=tickets,
        )
