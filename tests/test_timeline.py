"""Looks become segments: nothing is booked that was not seen, and every second is booked once."""

from __future__ import annotations

import os
import random
import sys
import types
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch import timeline
from streamwatch.errors import Blame
from streamwatch.model.look import State
from streamwatch.model.standing import STREAM, Pending, Standing
from streamwatch.model.timeline import Origin, Segment
from streamwatch.model.verdict import Opinion
from streamwatch.timeline import Advance, advance, assemble, pieces, present
from tests.timeline_oracle import History, Oracle, counting

SCALE = int(os.environ.get("STREAMWATCH_GOAL_SCALE", "1"))
EXAMPLES = max(1_000, 500 * SCALE)  # goal R8: 10,000 at scale 20
CAMERA = 7
GRACE = 10
UP, DOWN, UNKNOWN = State.UP, State.DOWN, State.UNKNOWN
BLAMES = {None: None, "net.timeout": Blame.CAMERA, "net.reset": Blame.LINE, "rtsp.auth": Blame.ACCESS}


def saw(state: State, reason: str | None = None, confirmations: int = 0, since_us: int | None = None) -> Opinion:
    """An opinion of the stream."""
    return Opinion(STREAM, state, reason, BLAMES[reason], confirmations, since_us)


def replay(history: History, grace: int = GRACE, module: types.ModuleType = timeline) -> tuple[Standing, list[Advance]]:
    """Every look in turn."""
    standing: Standing | None = None
    steps = []
    for at, opinion in history:
        steps.append(module.advance(standing, CAMERA, opinion, at, grace))
        standing = steps[-1].standing
    assert standing is not None
    return standing, steps


def story(history: History, now: int, grace: int = GRACE) -> list[tuple[int, int, State, str | None]]:
    """All that is booked up to `now`, neighbours joined."""
    standing, steps = replay(history, grace)
    closed = [segment for step in steps for segment in step.closed]
    start = counting(history)[0][0]
    found = assemble(closed, standing, start, now, now, grace, CAMERA, STREAM)
    return [(segment.from_us, segment.to_us, segment.state, segment.reason) for segment in found]


@given(st.lists(st.tuples(st.sampled_from([1, 9, 10, 11, 0, -1]), st.integers(0, 5)), max_size=12))
@settings(max_examples=200)
def test_as_before_says_what_the_rules_say(looks: list[tuple[int, int]]) -> None:
    """The short way for a look that finds everything as it was gives the very values that all the rules give."""
    seen = [saw(UP), saw(UP, "net.reset"), saw(DOWN, "net.timeout"), saw(DOWN, "net.timeout", 1)]
    seen += [saw(UNKNOWN, "rtsp.auth"), saw(DOWN, "net.timeout", 0, 3)]
    standing, at = None, 50
    for later, which in looks:
        at += later
        quick = timeline.advance(standing, CAMERA, seen[which], at, GRACE)
        assert quick == timeline.advance_fully(standing, CAMERA, seen[which], at, GRACE)
        standing = quick.standing


@st.composite
def histories(draw: st.DrawFn) -> tuple[History, int]:
    """Looks with gaps, blips, confirmations, unknowns, late ones, and evidence that reaches back; and now."""
    at = draw(st.integers(0, 50))
    history: History = []
    steps = st.sampled_from([1, 1, 2, 3, 4, 5, 6, 9, 10, 11, 12, 20, 25, 0, -1, -4])
    for _ in range(draw(st.integers(1, 20))):
        state = draw(st.sampled_from([UP, UP, DOWN, DOWN, UNKNOWN]))
        reason = draw(st.sampled_from([None, "net.timeout", "net.reset"]))
        confirmations = draw(st.integers(0, 2)) if state is DOWN else 0
        since = at - draw(st.integers(-3, 30)) if draw(st.integers(0, 4)) == 0 else None
        history.append((at, saw(state, reason, confirmations, since)))
        at = max(at + draw(steps), 0)
    latest = max(look[0] for look in history)
    return history, latest + draw(st.sampled_from([0, 1, 5, 9, 10, 11, 30]))


def difference(history: History, now: int, module: types.ModuleType = timeline) -> str | None:
    """What the module says otherwise than the oracle, or None."""
    standing, steps = replay(history, module=module)
    oracle = Oracle(history, now, GRACE)
    closed = [segment for step in steps for segment in step.closed]
    open_part = module.pieces(standing, now, GRACE)

    cursor, labels = oracle.start, []
    for segment in [*closed, *open_part]:
        if segment.from_us != cursor or segment.to_us <= segment.from_us:
            return f"a hole, overlap or empty segment: {segment} after {cursor}"
        labels += [(segment.state, segment.reason, segment.blame)] * (segment.to_us - segment.from_us)
        cursor = segment.to_us
    if labels != oracle.labels:
        wrong = [
            (oracle.start + n, *pair)
            for n, pair in enumerate(zip(labels, oracle.labels, strict=False))
            if pair[0] != pair[1]
        ]
        return f"other seconds: {len(labels)} against {len(oracle.labels)}, {wrong[:5]}"
    if sum(step.blip for step in steps) != oracle.blips:
        return f"blips: {sum(step.blip for step in steps)} against {oracle.blips}"
    if sum(step.late for step in steps) != len(history) - len(counting(history)):
        return "late looks"
    *kind, since = module.present(standing, now, GRACE)
    if now > standing.seen_us and oracle.labels[since - oracle.start :] != [tuple(kind)] * (now - since):
        return f"present: {kind} since {since} against {oracle.labels[-1]}"
    booked = [entry for step in steps for entry in step.booked]
    if sum(entry.seconds_us for entry in booked) != standing.last_us - oracle.start:
        return "time booked twice or never"
    if all(opinion.since_us is None for _, opinion in history):
        for state in State:
            told = sum(entry.seconds_us for entry in booked if entry.state is state)
            true = sum(one[0] is state for one in oracle.labels[: standing.last_us - oracle.start])
            if told != true:
                return f"booked {told} seconds {state}, not {true}"
    return None


@settings(max_examples=EXAMPLES)
@given(histories())
def test_r8_random_histories_equal_a_second_by_second_oracle(example: tuple[History, int]) -> None:
    """Goal R8: gaps, blips, confirmations, unknowns and late looks give exactly the seconds that the rules name."""
    assert difference(*example) is None


@settings(max_examples=EXAMPLES // 3)
@given(histories())
def test_changed_tells_exactly_when_the_standing_must_be_written(example: tuple[History, int]) -> None:
    """Whoever writes only changed standings and remembers last looks elsewhere knows as much as who writes all."""
    before: Standing | None = None
    for at, opinion in example[0]:
        step = advance(before, CAMERA, opinion, at, GRACE)
        if before is not None:
            kept = Standing(
                CAMERA,
                STREAM,
                before.state,
                before.reason,
                before.blame,
                before.since_us,
                step.standing.last_us,
                before.pending,
            )
            assert step.changed == (kept != step.standing)
            assert step.changed or not step.closed
        before = step.standing


UNKNOWN_FLOOR = "standing.seen_us if standing.state is State.UNKNOWN else standing.since_us"
MUTANTS = {
    "a gap begins one tick late": ("at_us - standing.seen_us > grace_us:", "at_us - standing.seen_us > grace_us + 1:"),
    "own kind reaches over the gap": ("  end_us = standing.last_us\n", "  end_us = standing.last_us + grace_us\n"),
    "confirmed one look early": ("if count <= opinion.confirmations:", "if count < opinion.confirmations:"),
    "down from the confirming look": ("Run(seen, first_us, at_us)], None)", "Run(seen, at_us, at_us)], None)"),
    "a blip is not counted": ("blip=pending is not None and repeated", "blip=False"),
    "unconfirmed time stays up": ("doubted=pending is not None and not repeated", "doubted=False"),
    "unknown becomes known": (UNKNOWN_FLOOR, "standing.since_us"),
    "a late look counts": ("if at_us <= standing.seen_us:", "if at_us < standing.last_us:"),
    "booked from the segment's beginning": ("max(run.from_us, standing.last_us)", "run.from_us"),
    "equal neighbours stay two": ("if found and found[-1].kind == run.kind:", "if False:"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_oracle_finds_planted_mistakes(name: str) -> None:
    """Each deliberate mistake in the rules is noticed: the comparison above is not blind."""
    old, new = MUTANTS[name]
    source = Path(timeline.__file__).read_text(encoding="utf-8")
    assert source.count(old) == 1
    mutant = types.ModuleType("mutant")
    sys.modules["mutant"] = mutant
    try:
        exec(compile(source.replace(old, new), "mutant", "exec"), mutant.__dict__)
    finally:
        del sys.modules["mutant"]

    dice = random.Random(8)
    found = None
    for _ in range(4_000):
        at, history = 0, []
        for _ in range(dice.randint(1, 12)):
            state = dice.choice([UP, UP, DOWN, DOWN, UNKNOWN])
            since = at - dice.randint(-3, 30) if dice.random() < 0.2 else None
            reason = dice.choice([None, "net.timeout", "net.reset"])
            history.append((at, saw(state, reason, dice.randint(0, 2) if state is DOWN else 0, since)))
            at = max(0, at + dice.choice([1, 2, 4, 5, 9, 10, 11, 25, 0, -2]))
        now = max(look[0] for look in history) + dice.choice([0, 1, 10, 11])
        assert difference(history, now) is None
        try:
            found = difference(history, now, mutant)
        except (IndexError, ValueError, AssertionError) as error:
            found = repr(error)
        if found:
            break
    assert found


def test_first_look_begins_the_timeline() -> None:
    """Time before the first look is not booked; the first look's state begins at the look."""
    step = advance(None, CAMERA, saw(UP), 100, GRACE)

    assert step == Advance(Standing(CAMERA, STREAM, UP, None, None, 100, 100), changed=True)


def test_first_look_that_needs_confirmation_is_unknown() -> None:
    """A camera that never answered is unknown until it failed often enough, and then down from its first failure."""
    one = advance(None, CAMERA, saw(DOWN, "net.timeout", 1), 100, GRACE)
    two = advance(one.standing, CAMERA, saw(DOWN, "net.timeout", 1), 103, GRACE)

    assert (one.standing.state, one.standing.since_us) == (UNKNOWN, 100)
    assert (two.standing.state, two.standing.since_us, two.closed) == (DOWN, 100, ())


def test_a_refused_password_stays_the_reason_while_looks_are_rare() -> None:
    """Six intervals apart it is one unknown stretch with its reason; past that nobody knows why; known time is none."""
    refused = saw(UNKNOWN, "rtsp.auth")
    history = [(0, saw(UP)), (7, refused), (14, refused), (54, refused)]

    assert story(history, 100) == [(0, 7, UP, None), (7, 100, UNKNOWN, "rtsp.auth")]
    assert story(history, 110) == [(0, 7, UP, None), (7, 54, UNKNOWN, "rtsp.auth"), (54, 110, UNKNOWN, None)]
    assert story([*history, (90, saw(UP))], 95)[-2:] == [(7, 90, UNKNOWN, "rtsp.auth"), (90, 95, UP, None)]
    down = saw(DOWN, "net.timeout", 1)
    unseen = story([*history, (60, down), (90, down), (95, down)], 95)
    assert unseen[-1] == (90, 95, DOWN, "net.timeout"), "a pending failure must not reach over a gap"


def test_change_begins_at_the_look_that_showed_it_both_ways() -> None:
    """Down lasts from the first look that failed to the first that succeeded."""
    history = [(0, saw(UP)), (5, saw(DOWN, "net.reset")), (10, saw(DOWN, "net.reset")), (15, saw(UP)), (20, saw(UP))]

    assert story(history, 20) == [(0, 5, UP, None), (5, 15, DOWN, "net.reset"), (15, 20, UP, None)]


def test_confirmed_failure_is_down_from_its_first_look_with_the_newest_reason() -> None:
    """Two confirming looks: nothing is booked down before the third failure, then all three are."""
    failing = [(5, saw(DOWN, "net.timeout", 2)), (6, saw(DOWN, "net.timeout", 2)), (8, saw(DOWN, "net.reset", 2))]

    assert story([(0, saw(UP)), *failing[:2]], 8) == [(0, 8, UP, None)]
    assert story([(0, saw(UP)), *failing], 9) == [(0, 5, UP, None), (5, 9, DOWN, "net.reset")]


def test_failure_that_is_not_repeated_changes_nothing_and_is_counted() -> None:
    """A blip leaves one unbroken up segment."""
    history = [(0, saw(UP)), (5, saw(DOWN, "net.timeout", 2)), (6, saw(DOWN, "net.timeout", 2)), (7, saw(UP))]

    assert story(history, 9) == [(0, 9, UP, None)]
    assert [step.blip for step in replay(history)[1]] == [False, False, False, True]


def test_unconfirmed_failures_that_last_are_unknown() -> None:
    """Up looks more than the grace apart with only unconfirmed failures between: that time is neither up nor down."""
    history = [(0, saw(UP)), (8, saw(DOWN, "net.timeout", 2)), (15, saw(DOWN, "net.timeout", 2)), (20, saw(UP))]

    assert story(history, 22) == [(0, 8, UP, None), (8, 20, UNKNOWN, None), (20, 22, UP, None)]


def test_gap_is_unknown_from_look_to_look() -> None:
    """One tick more than the grace, and the whole time between the two looks is unknown; at the grace it is not."""
    assert story([(0, saw(UP)), (3, saw(UP)), (14, saw(UP))], 15) == [
        (0, 3, UP, None),
        (3, 14, UNKNOWN, None),
        (14, 15, UP, None),
    ]
    assert story([(0, saw(UP)), (3, saw(UP)), (13, saw(UP))], 15) == [(0, 15, UP, None)]


def test_down_after_a_gap_is_confirmed_again() -> None:
    """What was down before the gap may have changed meanwhile: it is unknown until its failure is repeated."""
    history = [(0, saw(DOWN, "net.reset")), (5, saw(DOWN, "net.reset", 1)), (30, saw(DOWN, "net.reset", 1))]

    assert story(history, 32) == [(0, 5, DOWN, "net.reset"), (5, 32, UNKNOWN, None)]
    assert story([*history, (33, saw(DOWN, "net.reset", 1))], 35) == [
        (0, 5, DOWN, "net.reset"),
        (5, 30, UNKNOWN, None),
        (30, 35, DOWN, "net.reset"),
    ]


def test_unknown_opinion_is_booked_at_once_with_its_reason() -> None:
    """A refused password is not down, and a failure that waited for confirmation is unknown then."""
    history = [(0, saw(UP)), (5, saw(DOWN, "net.timeout", 2)), (7, saw(UNKNOWN, "rtsp.auth"))]

    assert story(history, 9) == [(0, 5, UP, None), (5, 7, UNKNOWN, None), (7, 9, UNKNOWN, "rtsp.auth")]


def test_other_reason_is_a_new_segment_without_confirmation() -> None:
    """Down stays down, but from that look on for another reason and with another blame."""
    history = [(0, saw(DOWN, "net.timeout")), (5, saw(DOWN, "net.reset", 2)), (9, saw(DOWN, "net.reset", 2))]

    assert story(history, 10) == [(0, 5, DOWN, "net.timeout"), (5, 10, DOWN, "net.reset")]


def test_evidence_reaches_back_within_the_open_segment_only() -> None:
    """A frozen picture is defective from the look it was compared with, but not before the open segment began."""
    history = [(0, saw(UP)), (4, saw(UNKNOWN, "rtsp.auth")), (6, saw(UP)), (9, saw(UP))]

    assert story([*history, (12, saw(DOWN, "net.reset", 0, 8))], 13)[-2:] == [
        (6, 8, UP, None),
        (8, 13, DOWN, "net.reset"),
    ]
    assert story([*history, (12, saw(DOWN, "net.reset", 0, 2))], 13)[-2:] == [
        (4, 6, UNKNOWN, "rtsp.auth"),
        (6, 13, DOWN, "net.reset"),
    ]


def test_evidence_never_reaches_into_a_gap() -> None:
    """Time that nobody watched stays unknown, whatever the next look says of it."""
    history = [(0, saw(UP)), (30, saw(DOWN, "net.reset", 0, 5)), (32, saw(DOWN, "net.timeout", 0, 5))]

    assert story(history, 33) == [(0, 30, UNKNOWN, None), (30, 33, DOWN, "net.timeout")]


@pytest.mark.parametrize("at", [99, 100])
def test_late_or_repeated_look_is_ignored_and_told(at: int) -> None:
    """A look that is not newer than what is known changes nothing."""
    standing = advance(None, CAMERA, saw(UP), 100, GRACE).standing

    assert advance(standing, CAMERA, saw(DOWN), at, GRACE) == Advance(standing, late=True)


def test_look_not_newer_than_a_pending_one_is_late() -> None:
    """A repeated failing look does not confirm itself."""
    one = advance(advance(None, CAMERA, saw(UP), 0, GRACE).standing, CAMERA, saw(DOWN, "net.reset", 1), 5, GRACE)

    assert advance(one.standing, CAMERA, saw(DOWN, "net.reset", 1), 5, GRACE) == Advance(one.standing, late=True)


def test_present_turns_unknown_after_the_grace_back_dated() -> None:
    """The live state holds until the last look plus the grace, and is then unknown since that look."""
    standing = Standing(CAMERA, STREAM, DOWN, "net.reset", Blame.LINE, 40, 100)

    assert present(standing, 110, GRACE) == (DOWN, "net.reset", Blame.LINE, 40)
    assert present(standing, 111, GRACE) == (UNKNOWN, None, None, 100)


def test_pending_change_is_not_shown_before_it_is_confirmed() -> None:
    """While a failure waits, the live state stays; when nothing decides it in time, it is unknown from that failure."""
    standing = Standing(CAMERA, STREAM, UP, None, None, 40, 100, Pending(DOWN, "net.reset", Blame.LINE, 104, 108, 2))

    assert present(standing, 110, GRACE) == (UP, None, None, 40)
    assert present(standing, 111, GRACE) == (UNKNOWN, None, None, 104)
    assert [(piece.from_us, piece.to_us, piece.state) for piece in pieces(standing, 120, GRACE)] == [
        (40, 104, UP),
        (104, 120, UNKNOWN),
    ]


def test_longer_grace_than_before_changes_no_rule() -> None:
    """A camera whose interval was changed is judged by the grace of the look that comes now."""
    up = advance(None, CAMERA, saw(UP), 0, 10).standing
    waiting = advance(up, CAMERA, saw(DOWN, "net.reset", 1), 9, 10).standing

    step = advance(waiting, CAMERA, saw(DOWN, "net.reset", 1), 12, 4)
    assert [(one.from_us, one.to_us, one.state) for one in step.closed] == [(0, 9, UNKNOWN)]
    assert (step.standing.state, step.standing.since_us) == (DOWN, 9)


@settings(max_examples=EXAMPLES // 3)
@given(histories(), st.integers(-20, 60), st.integers(0, 120), st.randoms())
def test_assembled_window_has_no_hole_and_no_equal_neighbours(
    example: tuple[History, int], offset: int, length: int, dice: random.Random
) -> None:
    """Any window is covered exactly, in order; what lies outside the known time, or was removed, is unknown."""
    history, now = example
    standing, steps = replay(history)
    closed = [segment for step in steps for segment in step.closed if dice.random() < 0.8]
    known = {
        second: (segment.state, segment.reason, segment.blame)
        for segment in [*closed, *pieces(standing, now, GRACE)]
        for second in range(segment.from_us, segment.to_us)
    }
    start = history[0][0] + offset
    dice.shuffle(closed)
    found = assemble(closed, standing, start, start + length, now, GRACE, CAMERA, STREAM)

    seconds = [
        (second, (segment.state, segment.reason, segment.blame))
        for segment in found
        for second in range(segment.from_us, segment.to_us)
    ]
    window = range(start, min(start + length, now))
    assert seconds == [(second, known.get(second, (UNKNOWN, None, None))) for second in window]
    kinds = [(segment.state, segment.reason, segment.blame) for segment in found]
    assert all(one != other for one, other in pairwise(kinds))


def test_assembled_window_keeps_made_up_time_apart() -> None:
    """The demo's history does not melt into what was really looked at."""
    made_up = Segment(CAMERA, STREAM, 0, 50, UP, None, None, Origin.MADE_UP)
    standing = Standing(CAMERA, STREAM, UP, None, None, 50, 60)
    found = assemble([made_up], standing, 0, 60, 60, GRACE, CAMERA, STREAM)

    assert [(one.from_us, one.to_us, one.origin) for one in found] == [(0, 50, Origin.MADE_UP), (50, 60, Origin.LOOK)]


def test_never_looked_at_is_unknown() -> None:
    """Without a segment and without a standing, the whole window is unknown without a reason."""
    assert assemble([], None, 5, 90, 50, GRACE, CAMERA, STREAM) == (Segment(CAMERA, STREAM, 5, 50, UNKNOWN),)
    assert assemble([], None, 60, 90, 50, GRACE, CAMERA, STREAM) == ()
