"""Reports to what is committed: blame, verdict and timeline together, without a service around them."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.errors import Blame, Reason
from streamwatch.model.live import CameraLive
from streamwatch.model.look import Depth, Look, Measurement, State, StreamKind
from streamwatch.model.report import Canary, Health, Report
from streamwatch.model.standing import Standing
from streamwatch.service import absorb as absorbing
from streamwatch.service.absorb import Absorbed, absorb
from streamwatch.store.rounds import Mark
from streamwatch.verdict import Policy

US = 1_000_000
INTERVAL = 300 * US
GRACE = 450 * US
T0 = 1_800_000_000 * US

GOOD = (
    Measurement("luma_mean", 120.0),
    Measurement("luma_std", 40.0),
    Measurement("dark_share", 0.01),
    Measurement("texture", 60.0),
    Measurement("sharpness", 0.8),
    Measurement("sharpness_coarse", 0.8),
    Measurement("same_textured", 0.01),
    Measurement("textured_tiles", 400.0),
)
BLURRED = tuple(Measurement(one.name, 0.1) if one.name.startswith("sharpness") else one for one in GOOD)
FROZEN = tuple(Measurement(one.name, 1.0) if one.name == "same_textured" else one for one in GOOD)


def look(at_us: int, reason: Reason | None = None, measures: tuple[Measurement, ...] = GOOD, **more: object) -> Look:
    return Look(
        camera=1,
        depth=Depth.PICTURE,
        stream=StreamKind.SUB,
        started_us=at_us,
        duration_us=100_000,
        vantage="v",
        reason=reason,
        media_flowed=reason is None,
        measures=() if reason else measures,
        **more,  # type: ignore[arg-type]
    )


class Camera:
    """One camera's life: feeds looks through absorb and remembers what the service would."""

    def __init__(self) -> None:
        self.standings: dict[int, dict[str, Standing]] = {}
        self.live = {1: CameraLive(camera=1, standings=())}
        self.out: list[Absorbed] = []

    def sees(self, *looks: Look, attempt: int = 0, canary: bool = True) -> Absorbed:
        health = Health(at_us=0, loop_lag_ms=0, canaries=(Canary("gateway", canary, 0),))
        report = Report(
            round_id="r", village=1, depth=Depth.PICTURE, due_us=looks[0].started_us, attempt=attempt, part=0,
            last=True, vantage="v", before=health, after=health, looks=looks,
        )  # fmt: skip
        found = absorb([report], self.standings, self.live, Policy(), lambda _: GRACE)
        self.standings.update(found.moved)
        self.live.update(found.live)
        self.out.append(found)
        return found

    def stands(self, dimension: str) -> tuple[State, str | None, int]:
        standing = self.standings[1][dimension]
        return standing.state, standing.reason, standing.since_us


def test_a_good_look_writes_standings_once_and_then_only_its_round() -> None:
    """The first look makes reach, stream and picture stand; the second is as before and writes no row of its own."""
    camera = Camera()
    first = camera.sees(look(T0))
    second = camera.sees(look(T0 + INTERVAL))

    assert set(first.standings) == {(1, "reach"), (1, "stream"), (1, "picture")}
    assert len(first.observations) == 1
    assert (second.standings, second.observations, second.segments) == ({}, [], [])
    assert [line.mark for line in second.lines] == [Mark.AS_BEFORE]
    assert sum(one.seconds_us for one in second.booked if one.dimension == "stream") == INTERVAL


def test_a_failure_is_pending_until_two_further_looks_repeat_it_and_begins_at_the_first() -> None:
    """up, then three refusals: the segment ends, and down begins, at the first of them."""
    camera = Camera()
    camera.sees(look(T0))
    one = camera.sees(look(T0 + INTERVAL, Reason.NET_REFUSED))
    assert one.judged[0].pending
    assert camera.stands("stream")[0] is State.UP
    camera.sees(look(T0 + INTERVAL + 10 * US, Reason.NET_REFUSED), attempt=1)
    last = camera.sees(look(T0 + INTERVAL + 30 * US, Reason.NET_REFUSED), attempt=2)

    assert not last.judged[0].pending
    assert camera.stands("stream") == (State.DOWN, "net.refused", T0 + INTERVAL)
    assert {(one.dimension, one.from_us, one.to_us, one.state) for one in last.segments} == {
        ("reach", T0, T0 + INTERVAL, State.UP),
        ("stream", T0, T0 + INTERVAL, State.UP),
    }
    assert camera.standings[1]["stream"].blame is Blame.CAMERA
    assert all(out.observations for out in camera.out[1:])


def test_a_failure_that_is_not_repeated_changes_nothing_and_is_counted() -> None:
    """A blip: no segment, the state as before."""
    camera = Camera()
    camera.sees(look(T0))
    camera.sees(look(T0 + INTERVAL, Reason.NET_TIMEOUT))
    after = camera.sees(look(T0 + INTERVAL + 10 * US), attempt=1)

    assert after.judged[0].blips == 2
    assert after.segments == []
    assert camera.stands("stream") == (State.UP, None, T0)


def test_r1_a_void_look_books_nothing_and_says_why() -> None:
    """Setup: one camera up. Fault: it times out while our canary is silent. Bound: no time moves."""
    camera = Camera()
    camera.sees(look(T0))
    found = camera.sees(look(T0 + INTERVAL, Reason.NET_TIMEOUT), canary=False)

    assert (found.segments, found.standings, found.booked) == ([], {}, [])
    assert camera.live[1].void == "ours.path"
    assert camera.standings[1]["stream"].last_us == T0
    assert not found.judged[0].pending
    camera.sees(look(T0 + 2 * INTERVAL))
    assert camera.live[1].void is None


def test_a_fault_seen_for_the_first_time_was_absent_while_the_picture_was_judged() -> None:
    """Blur after an hour of good pictures: absent for that hour, present from the look that showed it first."""
    camera = Camera()
    for number in range(12):
        camera.sees(look(T0 + number * INTERVAL))
    began = T0 + 12 * INTERVAL
    for attempt, after in enumerate((0, 10 * US, 30 * US)):
        last = camera.sees(look(began + after, measures=BLURRED), attempt=attempt)

    assert camera.stands("fault.blur") == (State.DOWN, "blur", began)
    assert camera.stands("picture") == (State.DOWN, "blur", began)
    assert camera.stands("stream")[0] is State.UP
    (absent,) = [one for one in last.segments if one.dimension == "fault.blur"]
    assert (absent.from_us, absent.to_us, absent.state) == (T0, began, State.UP)


def test_a_frozen_picture_begins_with_the_look_that_it_equals() -> None:
    """The second of two equal pictures shows it; frozen is booked from the first of them."""
    camera = Camera()
    camera.sees(look(T0))
    camera.sees(look(T0 + INTERVAL))
    camera.sees(look(T0 + 2 * INTERVAL, measures=FROZEN, reference_us=T0 + INTERVAL))

    assert camera.stands("fault.frozen") == (State.DOWN, "frozen", T0 + INTERVAL)
    assert camera.stands("picture") == (State.DOWN, "frozen", T0 + INTERVAL)


def test_a_steady_failure_moves_reach_and_stream_only() -> None:
    """While a camera is down its picture is not asked: recovery must not move the picture's last look."""
    camera = Camera()
    camera.sees(look(T0))
    for attempt, after in enumerate((0, 10 * US, 30 * US)):
        camera.sees(look(T0 + INTERVAL + after, Reason.NET_REFUSED), attempt=attempt)
    found = camera.sees(look(T0 + 2 * INTERVAL, Reason.NET_REFUSED))

    assert [line.mark for line in found.lines] == [Mark.NO_PICTURE]
    assert found.standings == {}
    assert camera.standings[1]["picture"].last_us == T0


def test_a_look_told_twice_is_late_and_changes_nothing() -> None:
    """The same Report again: no segment, no standing, no booked second."""
    camera = Camera()
    camera.sees(look(T0))
    camera.sees(look(T0 + INTERVAL))
    again = camera.sees(look(T0 + INTERVAL))

    assert again.judged[0].late
    assert (again.segments, again.standings, again.booked) == ([], {}, [])


def test_looks_of_one_report_are_taken_in_the_order_of_their_beginnings() -> None:
    """A report whose looks come in any order gives the same standings."""
    looks = [look(T0), *(look(T0 + INTERVAL + after, Reason.NET_REFUSED) for after in (0, 10 * US, 30 * US))]
    straight, shuffled = Camera(), Camera()
    straight.sees(*looks)
    shuffled.sees(*reversed(looks))

    assert straight.standings == shuffled.standings
    assert [*map(msgspec.to_builtins, straight.out[0].segments)] == [
        *map(msgspec.to_builtins, shuffled.out[0].segments)
    ]


def test_a_camera_that_left_the_inventory_is_passed_over() -> None:
    """Its look comes too late to mean anything."""
    camera = Camera()
    stranger = msgspec.structs.replace(look(T0), camera=2)

    found = camera.sees(stranger)

    assert (found.moved, found.lines, found.observations) == ({}, [], [])


def no_keyframe(at_us: int, *, waited_out: bool) -> Look:
    found = look(at_us, Reason.MEDIA_NO_KEYFRAME)
    return msgspec.structs.replace(found, media_flowed=True, waited_out=waited_out)


def test_a_picture_without_keyframes_is_defective_after_three_looks_that_waited_long_enough() -> None:
    """From the first of them; until then unknown, as one that did not wait showed. The stream is up all the while."""
    camera = Camera()
    camera.sees(look(T0))
    seen = []
    for turn, waited_out in enumerate((False, True, True, True), 1):
        camera.sees(no_keyframe(T0 + turn * INTERVAL, waited_out=waited_out))
        seen.append(camera.stands("picture"))

    unknown = (State.UNKNOWN, "media.no_keyframe", T0 + INTERVAL)
    assert seen == [unknown, unknown, unknown, (State.DOWN, "picture_broken", T0 + 2 * INTERVAL)]
    assert camera.stands("stream") == (State.UP, None, T0)


def test_three_looks_without_a_keyframe_are_only_three_in_a_row() -> None:
    """One that did not wait long enough, or that got the picture, begins the count anew."""
    camera = Camera()
    camera.sees(look(T0))
    for turn, waited_out in enumerate((True, True, False, True, True), 1):
        camera.sees(no_keyframe(T0 + turn * INTERVAL, waited_out=waited_out))
    assert camera.stands("picture")[0] is State.UNKNOWN

    camera.sees(look(T0 + 6 * INTERVAL))
    for turn in (7, 8):
        camera.sees(no_keyframe(T0 + turn * INTERVAL, waited_out=True))
    assert camera.stands("picture") == (State.UP, None, T0 + 6 * INTERVAL)
    assert camera.standings[1]["picture"].pending is not None


def test_a_reach_look_moves_reach_alone_and_writes_no_row_of_its_own() -> None:
    """It says nothing of stream and picture, and recovery must know that it did not."""
    camera = Camera()
    camera.sees(look(T0))
    found = camera.sees(msgspec.structs.replace(look(T0 + 60 * US, measures=()), depth=Depth.REACH))

    assert (found.standings, found.observations, found.segments) == ({}, [], [])
    assert [line.mark for line in found.lines] == [Mark.NO_STREAM]
    assert camera.standings[1]["reach"].last_us == T0 + 60 * US
    assert camera.standings[1]["stream"].last_us == camera.standings[1]["picture"].last_us == T0


def test_a_stream_look_in_place_of_a_picture_look_leaves_the_picture_to_become_unknown() -> None:
    """Thinned out: the stream stays known, the picture is unknown between looks further apart than the grace."""
    camera = Camera()
    camera.sees(look(T0))
    camera.sees(msgspec.structs.replace(look(T0 + INTERVAL, measures=()), depth=Depth.STREAM))
    last = camera.sees(look(T0 + 2 * INTERVAL))

    assert camera.stands("stream") == (State.UP, None, T0)
    assert {(one.dimension, one.from_us, one.to_us, one.state) for one in last.segments} == {
        ("picture", T0, T0 + 2 * INTERVAL, State.UNKNOWN),
    }


@pytest.mark.parametrize(("depth", "reach_s", "span_s"), [
    (Depth.REACH, None, 3600), (Depth.REACH, 60.0, 900), (Depth.REACH, 600.0, 3600), (Depth.STREAM, 60.0, 3600),
])  # fmt: skip
def test_rows_of_answers_are_as_long_as_their_own_rhythm_asks(depth: Depth, reach_s: float | None, span_s: int) -> None:
    """A row is written again with every round: what is asked every 60 s is not kept in rows made for 300 s."""
    health = Health(at_us=0, loop_lag_ms=0)
    seen = msgspec.structs.replace(look(T0), depth=depth, measures=())
    one = Report(
        round_id="r", village=1, depth=depth, due_us=T0, attempt=0, part=0, last=True, vantage="v", before=health,
        after=health, looks=(seen,),
    )  # fmt: skip
    found = absorb([one], {}, {1: CameraLive(camera=1, standings=())}, Policy(), lambda _: GRACE, reach_s)

    assert [line.span_us for line in found.lines] == [span_s * US]


_REASONS = [None, None, None, None, None, Reason.NET_TIMEOUT, Reason.RTSP_AUTH, Reason.OURS_LIMIT, Reason.MEDIA_BROKEN]
_STEPS = [US, INTERVAL, INTERVAL, INTERVAL, GRACE, GRACE + 1, 0, -US]


@given(
    st.lists(
        st.tuples(
            st.integers(1, 2),
            st.sampled_from([Depth.REACH, Depth.STREAM, Depth.STREAM, Depth.PICTURE]),
            st.sampled_from(_REASONS),
            st.sampled_from(_STEPS),
            st.sampled_from([GOOD, GOOD, BLURRED]),
        ),
        max_size=30,
    ),
    st.integers(1, 4),
)
@settings(max_examples=150)
def test_looks_that_find_all_as_before_come_to_what_the_rules_alone_say(
    life: list[tuple[int, Depth, Reason | None, int, tuple[Measurement, ...]]], together: int
) -> None:
    """Whatever two cameras live through, look by look or some in one group: the shorter way says the same of it."""
    results = []
    shorter = vars(absorbing)["take_as_before"]
    for way in (shorter, lambda *_: False):
        standings: dict[int, dict[str, Standing]] = {}
        live = {camera: CameraLive(camera=camera, standings=()) for camera in (1, 2)}
        told, at_us = [], T0
        reports = []
        for camera, depth, reason, step_us, measures in life:
            at_us += step_us
            seen = msgspec.structs.replace(
                look(at_us, reason, measures if depth is Depth.PICTURE else ()), camera=camera, depth=depth
            )
            health = Health(at_us=0, loop_lag_ms=0)
            reports.append(
                Report(
                    round_id="r",
                    village=camera,
                    depth=depth,
                    due_us=at_us,
                    attempt=0,
                    part=0,
                    last=True,
                    vantage="v",
                    before=health,
                    after=health,
                    looks=(seen,),
                )
            )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(absorbing, "take_as_before", way)
            for at in range(0, len(reports), together):
                found = absorb(reports[at : at + together], standings, live, Policy(), lambda _: GRACE, 60.0)
                standings.update(found.moved)
                live.update(found.live)
                told.append(found)
        results.append((told, standings, live))

    assert results[0] == results[1]
