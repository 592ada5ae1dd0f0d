"""Stage 2: inventory + outcomes + now -> Rounds. The patrol is planned, not looped.

Each village has a phase, spread evenly over the interval and the same after every restart; in its window its cameras
are staggered, each at its own fixed offset. A bad look orders confirming looks; refused credentials are asked ever
more rarely, because a device locks its account after a few wrong tries.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from streamwatch.errors import Reason
from streamwatch.model.inventory import Camera, Inventory
from streamwatch.model.look import Depth
from streamwatch.model.report import Report, Round, Ticket
from streamwatch.schedule.backoff import Backoff
from streamwatch.schedule.capacity import WHOLE, Capacity, depth_of
from streamwatch.schedule.outstanding import Outstanding
from streamwatch.schedule.policy import JITTER, US, Policy, phase_us
from streamwatch.schedule.tickets import ticket_of, tickets_of, turns_of


@dataclass(slots=True)
class _Unit:
    """The cameras of one village that share an interval."""

    village: int
    interval_s: int
    cameras: list[Camera]
    tickets: tuple[Ticket, ...] | None = None  # of all of them in order, made when first due: they stay as they are
    reach: tuple[Ticket, ...] | None = None  # the same within the window of a reach round
    turns: int = 1  # of `tickets` at their busiest device


class Planner:
    """Holds what is due when. Pure: it is told the time and a seeded random."""

    def __init__(self, policy: Policy, rng: random.Random) -> None:
        self.policy = policy
        self.missed_rounds = 0
        self._rng = rng
        self._units: dict[tuple[int, int], _Unit] = {}
        self._cameras: dict[int, Camera] = {}
        self._line_kbps: Mapping[str, int] = {}
        self._at_recorder: Counter[str] = Counter()
        self._patrol: list[tuple[int, tuple[int, int]]] = []
        self._bridges: list[tuple[int, int]] = []  # due, camera: one look between the rounds of two villages
        self._confirm: list[tuple[int, int, int, int]] = []  # due, tie-breaker, camera, attempt
        self._confirming: dict[int, int] = {}  # camera -> attempt that is ordered
        self._backoff = Backoff(rng)
        self._reach: list[tuple[int, tuple[int, int]]] = []  # rounds that only ask whether cameras answer
        self._order = itertools.count()
        self.capacity = _capacity(policy)
        self._outstanding = Outstanding(self.capacity)

    def obey(self, policy: Policy, now_us: int) -> None:
        """Follows another policy from now on; `load` comes next.

        What was learnt stays: who refuses our credentials, what is to be confirmed, what was missed so far, and how
        much room there is where as much is to be done as before.
        """
        before, self.policy = self.policy, policy
        if (before.depth, before.interval_s, before.reach_s) != (policy.depth, policy.interval_s, policy.reach_s):
            unfinished_rounds = self.capacity.unfinished_rounds
            self.capacity = _capacity(policy)
            self.capacity.unfinished_rounds = unfinished_rounds
            self._outstanding = Outstanding(self.capacity)
            self._reach.clear()
            for due_us, key in self._patrol:
                self._resume_reach(key, due_us, now_us)
        self._backoff.at_most(now_us + int(policy.access_backoff_max_s * US))

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
        self._at_recorder = Counter(camera.recorder for camera in self._cameras.values() if camera.recorder is not None)
        if self._backoff:
            for camera in self._cameras.values():
                self._backoff.compare(camera, old.get(camera.id))
        for gone in old.keys() - self._cameras.keys():
            self._backoff.forget(gone)
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

    @property
    def reaches_between(self) -> bool:
        """Whether any camera is looked at between the rounds of the patrol."""
        return any(self._has_room(interval_s * US) for _, interval_s in self._units)

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

    def unanswered(self, camera: int, attempt: int) -> None:
        """A look said nothing: void, or older than what is known. Where it was the confirming one that is ordered, the
        next bad look orders another; any other look's silence takes none back."""
        if self._confirming.get(camera) == attempt:
            del self._confirming[camera]

    def record(self, camera: int, reason: Reason | None, at_us: int) -> None:
        """Learns one outcome, for the backoff of refused credentials."""
        if reason is not None or self._backoff:
            self._backoff.record(camera, reason, at_us, self.policy, self.interval_s(camera))

    def waits_us(self, camera: int) -> int:
        """Until when a camera that refuses our credentials is left alone; 0 where it is not."""
        return self._backoff.waits_us(camera)

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
            unit.turns = turns_of(unit.tickets, self.policy, self._at_recorder)
        tickets = unit.tickets
        if self._backoff:
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
                self._outstanding.sent(order, unit.interval_s, unit.turns)
                yield order

    def _plan_reach(self, key: tuple[int, int], after_us: int, before_us: int) -> None:
        """The next reach round of a unit, where it is not too near to the patrol's."""
        if self.policy.reach_s is not None and self._has_room(before_us - after_us):
            heapq.heappush(self._reach, (after_us + int(self.policy.reach_s * US), key))

    def _resume_reach(self, key: tuple[int, int], patrol_us: int, now_us: int) -> None:
        """The next reach round of a unit as if the policy had been in force since its last round of the patrol."""
        if self.policy.reach_s is not None:
            pause_us, last_us = int(self.policy.reach_s * US), patrol_us - key[1] * US
            self._plan_reach(key, last_us + max(0, now_us - last_us) // pause_us * pause_us, patrol_us)

    def _has_room(self, stretch_us: int) -> bool:
        """Whether a reach round fits between two rounds: one that is nearer than half its pause is near enough."""
        if self.policy.reach_s is None or self.policy.depth is Depth.REACH:
            return False
        pause_us = int(self.policy.reach_s * US)
        return pause_us + pause_us // 2 <= stretch_us

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
                unit.turns = turns_of(unit.reach, self.policy, self._at_recorder)
            tickets, every = unit.reach, self.capacity.thinning.reach_every
            if every > 1:
                turn = _reach_turn(key, due_us, int(self.policy.reach_s * US))
                tickets = tuple(ticket for ticket in tickets if (turn + ticket.camera) % every == 0)
            if not tickets:
                continue
            name = f"{unit.village}:{unit.interval_s}:every {self.policy.reach_s:g} s:{due_us}"
            order = self._round(name, unit.village, due_us, window_s, 0, tickets, depth=Depth.REACH)
            self._outstanding.sent(order, max(1, int(self.policy.reach_s)), unit.turns)
            yield order

    def _tickets(self, cameras: Iterable[Camera], window_s: float) -> tuple[Ticket, ...]:
        return tickets_of(cameras, int(window_s * 1000), self.policy, self._line_kbps)

    def _willing(self, cameras: Sequence[Camera], due_us: int) -> Iterable[Camera]:
        for camera in cameras:
            if self._backoff.waits_us(camera.id) <= due_us:
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


def _capacity(policy: Policy) -> Capacity:
    between = policy.reach_s is not None and policy.depth is not Depth.REACH
    return Capacity(policy.depth, policy.interval_s, between=between)


def _reach_turn(key: tuple[int, int], due_us: int, pause_us: int) -> int:
    """The number of a unit's reach round: those that are sent are counted through, the same after every restart.

    Counting pauses would leave out numbers where the patrol comes, and with them always the same cameras.
    """
    interval_us = key[1] * US
    intervals, since_us = divmod(due_us - phase_us(*key), interval_us)
    between = (interval_us - pause_us // 2) // pause_us  # `_has_room`
    return intervals * between + since_us // pause_us
