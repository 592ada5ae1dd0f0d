"""Stage 2: what is due when."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.errors import Reason
from streamwatch.model.inventory import Camera, Inventory, Region, Secret, Village
from streamwatch.model.look import Depth, StreamKind
from streamwatch.model.report import Ticket
from streamwatch.schedule import BACKOFF_INTERVALS, US, Planner, Policy

NOW = 1_800_000_000 * US


def inventory(villages: int = 3, cameras: int = 4, interval_s: int = 60, **extra: object) -> Inventory:
    found = {}
    for village in range(1, villages + 1):
        for number in range(cameras):
            camera = village * 100 + number
            found[camera] = Camera(
                id=camera,
                code=f"C{camera}",
                name="",
                village=village,
                url=f"rtsp://127.0.{village}.{number + 1}:8554/main",
                interval_s=interval_s,
                **extra,  # type: ignore[arg-type]
            )
    return Inventory(
        1,
        {1: Region(1, "R", "R", None)},
        {number: Village(number, f"V{number}", "", 1) for number in range(1, villages + 1)},
        found,
    )


def planner(policy: Policy | None = None, seed: int = 1) -> Planner:
    return Planner(policy or Policy(interval_s=60), random.Random(seed))


def run(plan: Planner, from_us: int, to_us: int, step_us: int = US // 4) -> list[tuple[int, int, int]]:
    """(when, camera, attempt) of every look that is ordered."""
    looks = []
    for now in range(from_us, to_us, step_us):
        for order in plan.due(now):
            looks += [(order.due_us + t.offset_ms * 1000, t.camera, order.attempt) for t in order.tickets]
    return looks


@given(st.integers(1, 40), st.integers(1, 5), st.sampled_from([10, 60, 300]))
@settings(max_examples=30)
def test_every_camera_is_looked_at_once_an_interval(villages: int, cameras: int, interval_s: int) -> None:
    """Over ten intervals each camera gets exactly ten looks, exactly one interval apart."""
    plan = planner(Policy(interval_s=interval_s))
    plan.load(inventory(villages, cameras, interval_s), NOW)

    looks = run(plan, NOW, NOW + 10 * interval_s * US, US)

    by_camera: dict[int, list[int]] = {}
    for at, camera, _ in looks:
        by_camera.setdefault(camera, []).append(at)
    assert len(by_camera) == villages * cameras
    for moments in by_camera.values():
        assert {later - earlier for earlier, later in itertools.pairwise(moments)} <= {interval_s * US}
        assert len(moments) in (9, 10)


def test_villages_are_spread_over_the_interval_and_keep_their_phase_after_a_restart() -> None:
    """A thousand villages fill every tenth of the interval alike, and a new planner gives the same moments."""
    first, second = planner(seed=1), planner(seed=2)
    for plan in (first, second):
        plan.load(inventory(1000, 1, 60), NOW)

    looks = run(first, NOW, NOW + 60 * US)

    assert sorted(looks) == sorted(run(second, NOW, NOW + 60 * US))
    tenths = [0] * 10
    for at, _, _ in looks:
        tenths[at % (60 * US) // (6 * US)] += 1
    assert max(tenths) - min(tenths) < 60


def test_a_bad_look_is_confirmed_twice_about_10_and_30_seconds_later() -> None:
    """Two further looks come at the default interval, each within a tenth of its moment."""
    plan = planner(Policy(interval_s=300))
    plan.load(inventory(1, 1, 300), NOW)

    assert plan.confirm(100, 0, NOW)
    ((first, _, one),) = run(plan, NOW, NOW + 12 * US, US // 100)
    assert plan.confirm(100, 1, first)
    ((second, _, two),) = [look for look in run(plan, first, first + 23 * US, US // 100) if look[2]]

    assert (one, two) == (1, 2)
    assert 9.0 <= (first - NOW) / US <= 11.1
    assert 18.0 <= (second - first) / US <= 22.1
    assert not plan.confirm(100, 2, second)


def test_a_confirming_look_that_was_lost_is_ordered_again() -> None:
    """After its looker died, the next bad look of the patrol orders a confirmation as if none had been."""
    plan = planner()
    plan.load(inventory(1, 1), NOW)
    assert plan.confirm(100, 0, NOW)
    assert not plan.confirm(100, 0, NOW)

    plan.settled(100)

    assert plan.confirm(100, 0, NOW + US)


def test_a_settled_camera_gets_no_confirming_look() -> None:
    """A recovery seen by the patrol cancels the confirmation that was ordered."""
    plan = planner()
    plan.load(inventory(1, 1), NOW)
    plan.confirm(100, 0, NOW)
    plan.settled(100)

    assert [look for look in run(plan, NOW, NOW + 30 * US) if look[2]] == []


def test_a_camera_that_comes_back_is_confirmed_again() -> None:
    """It was removed while a confirming look was ordered, and its backoff is forgotten with it."""
    plan, before = planner(), inventory(1, 2)
    plan.load(before, NOW)
    assert plan.confirm(100, 0, NOW)
    plan.record(100, Reason.RTSP_AUTH, NOW)
    plan.record(100, Reason.RTSP_AUTH, NOW)
    plan.load(replace(before, cameras={101: before.cameras[101]}), NOW)
    run(plan, NOW, NOW + 60 * US, US)
    assert plan.waits_us(100) == 0
    plan.load(before, NOW + 60 * US)
    assert plan.confirm(100, 0, NOW + 60 * US)


def test_refused_credentials_are_asked_ever_more_rarely_and_forgiven_after_an_inventory_change() -> None:
    """From the second refusal on the pause grows to six intervals; a new password is tried at the next round."""
    plan = planner()
    plan.load(inventory(1, 1), NOW)
    looks, now = [], NOW
    while now < NOW + 3600 * US:
        for order in plan.due(now):
            looks.append(order.due_us)
            plan.record(100, Reason.RTSP_AUTH, now)
        now += US
    gaps = [round((b - a) / US) for a, b in itertools.pairwise(looks)]

    assert gaps[:4] == [60, 120, 240, 360]
    assert max(gaps) == BACKOFF_INTERVALS * 60
    assert len(looks) < 14

    plan.load(inventory(1, 1, password=Secret("new"), username="u"), now)
    assert len(run(plan, now, now + 61 * US)) >= 1


def test_a_late_planner_skips_whole_rounds_and_counts_them() -> None:
    """After ten minutes asleep one round is sent, not ten."""
    plan = planner()
    plan.load(inventory(1, 1), NOW)
    run(plan, NOW, NOW + 60 * US)

    orders = plan.due(NOW + 660 * US)

    assert len(orders) == 1
    assert plan.missed_rounds == 9


def test_a_ticket_takes_the_sub_stream_where_there_is_one() -> None:
    """The patrol looks at the sub address; a camera without one gives its main stream."""
    plan = planner()
    plan.load(inventory(1, 1, sub_url="rtsp://127.0.0.9/sub", recorder="NVR1"), NOW)
    (order,) = plan.due(NOW + 60 * US)
    (ticket,) = order.tickets

    assert (ticket.url, ticket.stream, ticket.host) == ("rtsp://127.0.0.9/sub", StreamKind.SUB, "127.0.0.9")
    assert (ticket.group, order.depth) == ("NVR1", Depth.PICTURE)


@pytest.mark.parametrize(("interval_s", "expected"), [(300, (10.0, 20.0)), (20, (20 / 6, 20 / 3 - 20 / 6))])
def test_confirmation_follows_the_interval(interval_s: int, expected: tuple[float, float]) -> None:
    """Short intervals have short confirmations."""
    policy = Policy(interval_s=interval_s)

    assert (policy.confirm_delay(1, interval_s), policy.confirm_delay(2, interval_s)) == pytest.approx(expected)


def test_windows_and_confirmations_shrink_with_the_interval() -> None:
    """A given window never passes half of the interval; as many moments as there are confirming looks."""
    plain, wide = Policy(), Policy(window_s=100.0, confirm_looks=4)

    assert (plain.window(300), plain.window(20)) == (60.0, 5.0)
    assert (plain.confirm_moments(300), plain.confirm_moments(12)) == ((10.0, 30.0), (2.0, 4.0))
    assert (wide.window(300), wide.window(60)) == (100.0, 30.0)
    assert wide.confirm_moments(300) == (10.0, 30.0, 60.0, 120.0)
    assert [wide.confirm_delay(attempt, 300) for attempt in (1, 2, 3, 4)] == [10.0, 20.0, 30.0, 60.0]


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 599), st.sampled_from([60, 120]))
@settings(max_examples=60)
def test_a_camera_that_is_moved_is_never_waited_for_longer_than_an_interval(
    left: int, joined: int, moved_s: int, new_interval_s: int
) -> None:
    """Whenever it goes to another village or interval: no gap, then the new round's rhythm, and no look too many."""
    plan = planner(Policy(interval_s=60, window_s=0.1))
    before = inventory(40, 1, 60)
    camera = before.cameras[left * 100]
    plan.load(before, NOW)
    looks = run(plan, NOW, NOW + moved_s * US, US)
    after = replace(camera, village=joined, interval_s=new_interval_s)
    plan.load(replace(before, cameras={**before.cameras, camera.id: after}), NOW + moved_s * US)
    looks += run(plan, NOW + moved_s * US, NOW + 1_200 * US, US)

    moments = [at for at, number, _ in looks if number == camera.id]
    steps = [later - earlier for earlier, later in itertools.pairwise([NOW, *moments])]
    assert max(steps) <= new_interval_s * US + US
    assert len(moments) <= (moved_s // 60 + 1) + 1 + ((1_200 - moved_s) // new_interval_s + 1)
    assert set(steps[-3:]) == {new_interval_s * US}


def ticket_of(plan: Planner, interval_s: int, **extra: object) -> Ticket:
    """The ticket of a patrol round's only camera."""
    loaded = inventory(1, 1, interval_s, **extra)
    plan.load(replace(loaded, line_kbps={"L1": 2_000}), NOW)
    orders = [order for now in range(NOW, NOW + 2 * interval_s * US, US) for order in plan.due(now)]
    return orders[0].tickets[0]


@pytest.mark.parametrize(
    ("interval_s", "deadline_s", "patience_ms"),
    [(300, 20, 60_000), (120, 20, 60_000), (60, 20, 30_000), (40, 20, 0), (10, 20, 0), (10, 4, 5_000), (300, 60, 0)],
)
def test_a_look_is_as_patient_as_half_the_interval_and_never_more_than_a_minute(
    interval_s: int, deadline_s: float, patience_ms: int
) -> None:
    """It is over and told before the one before it has run out; where that is no more than the deadline, not at all."""
    plan = planner(Policy(interval_s=interval_s, deadline_s=deadline_s))
    ticket = ticket_of(plan, interval_s)

    assert (ticket.deadline_ms, ticket.patience_ms) == (deadline_s * 1000, patience_ms)


def test_a_visit_is_patient_but_for_one_with_a_deadline_of_its_own() -> None:
    """Whoever named a deadline waits no longer than that, and no longer than the patrol would."""
    plan = planner(Policy(interval_s=300))
    camera = inventory(1, 1, 300).cameras[100]

    def asked(deadline_s: float | None) -> tuple[int, int]:
        (ticket,) = plan.visit(camera, Depth.PICTURE, NOW, deadline_s).tickets
        return ticket.deadline_ms, ticket.patience_ms

    assert [asked(None), asked(9.5), asked(50.0)] == [(20_000, 60_000), (9_500, 0), (20_000, 0)]


def test_only_a_person_insists_on_a_password_that_was_refused() -> None:
    """A scrape names its deadline and comes again: it must not try it for each of a recorder's cameras."""
    plan, camera = planner(), inventory(1, 1).cameras[100]

    assert plan.visit(camera, Depth.PICTURE, NOW).visit
    assert not plan.visit(camera, Depth.PICTURE, NOW, 9.5).visit


@pytest.mark.parametrize(
    ("line", "setting", "kbps"),
    [("L1", None, None), ("L1", 4_000, 2_000), ("L1", 500, 500), ("L2", 4_000, 4_000), (None, 4_000, None)],
)
def test_a_ticket_says_what_looks_may_take_of_its_line(line: str | None, setting: int | None, kbps: int | None) -> None:
    """The setting, and at most what the line has; without a setting or a line there is no limit."""
    ticket = ticket_of(planner(Policy(interval_s=60, per_line_kbps=setting)), 60, line=line)

    assert (ticket.line, ticket.line_kbps) == (line, kbps)
