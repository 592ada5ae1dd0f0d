"""How long a camera's keyframe is waited for, from what was seen of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.patience import LOOKS, Grant, Patience, Wait, grant
from streamwatch.wire.ask import MAX_MEDIA_BYTES

MIB = 2**20


def patience(first_s: float = 10.0, longest_s: float = 60.0, most: int = 100) -> Patience[int]:
    return Patience(first_s, longest_s, most)


def seen(*waits: float) -> Patience[int]:
    """A camera, 1, whose keyframes came after these seconds; after a negative one it was given up."""
    memory = patience()
    for wait in waits:
        if wait < 0:
            memory.gave_up(1, -wait)
        else:
            memory.came(1, wait)
    return memory


def keyframe_s(*waits: float) -> float:
    return seen(*waits).wait(1, 20.0).keyframe_s


def oracle(waits: list[int]) -> tuple[float, float, bool]:
    """Keyframe deadline, need, known; slow and from all that ever happened, in quarters of a second."""
    came: list[float] = []
    given_up: list[float] = []
    for wait in waits:
        if wait < 0:
            given_up.append(-wait / 4)
        else:
            came.append(max([wait / 4, *given_up]))
            given_up = []
    recent = came[-12:]
    longest = max([*recent, *given_up], default=0.0)
    known = len(recent) == 12
    need = min(max(1.5 * max(recent), 10.0), 60.0) if known else 60.0
    return min(max(1.5 * longest, 10.0), 60.0), min(need, 50.0), known


quarters = st.one_of(st.integers(0, 240), st.integers(-240, -1))


@given(st.lists(quarters, max_size=40))
def test_the_deadline_is_one_and_a_half_of_the_longest_interval_seen(waits: list[int]) -> None:
    """Against all looks ever, remembered in full: at least 10 s, at most 60, and of twelve keyframes the need."""
    wait = seen(*(quarter / 4 for quarter in waits)).wait(1, 20.0)

    assert (wait.keyframe_s, wait.need_s, wait.known) == oracle(waits)


@given(st.floats(0, 60), st.floats(5, 60))
def test_a_wait_is_never_rounded_down(wait: float, deadline_s: float) -> None:
    """A byte of memory costs at most a quarter of a second more, times 1.5."""
    found = seen(wait).wait(1, deadline_s)
    exact = min(max(1.5 * wait, 10.0), 60.0)

    assert exact <= found.keyframe_s <= exact + 0.375


def test_a_camera_that_nothing_is_known_of_is_waited_for_ten_seconds() -> None:
    """And may need a minute, less the ten seconds of the conversation: nothing was seen yet."""
    assert patience().wait(1, 20.0) == Wait(10.0, grown_s=0.0, may_s=0.0, need_s=50.0, known=False)


def test_giving_up_shows_more_than_was_waited_and_grows_the_next_wait() -> None:
    """10, 15, 22.5 … up to a minute."""
    memory = patience()
    waited = []
    for _ in range(7):
        wait = memory.wait(1, 20.0).keyframe_s
        waited.append(wait)
        memory.gave_up(1, wait)

    assert waited == [10.0, 15.0, 22.5, 33.75, pytest.approx(50.625, abs=0.375), 60.0, 60.0]


def test_one_bad_hour_is_forgotten_after_twelve_keyframes() -> None:
    """What was given up counts with the keyframe that ended it; eleven more looks keep it, the twelfth drops it."""
    assert keyframe_s(-60, *[2] * 12) == 60.0
    assert keyframe_s(-60, *[2] * 13) == 10.0


def test_a_camera_is_known_by_twelve_keyframes_and_not_by_eleven() -> None:
    """Chance would show eleven short waits of a long interval more often than once in a hundred."""
    eleven, twelve = (seen(*[8] * number).wait(1, 20.0) for number in (LOOKS - 1, LOOKS))

    assert (eleven.known, eleven.need_s) == (False, 50.0)
    assert (twelve.known, twelve.need_s) == (True, 12.0)
    assert seen(*[8] * LOOKS, -12).wait(1, 20.0).need_s == 12.0, "that none came makes no camera slower"


def test_streams_are_remembered_apart_and_the_oldest_is_forgotten() -> None:
    """The bound holds, and a look at a stream keeps it."""
    memory = patience(most=2)
    for key in (1, 2, 1, 3):
        memory.came(key, 20.0)

    assert [memory.wait(key, 20.0).keyframe_s for key in (1, 2, 3)] == [30.0, 10.0, 30.0]


FIRST = patience().wait(1, 20.0)
SLOW = seen(27.25).wait(1, 20.0)


def granted(wait: Wait = SLOW, patience_s: float = 60.0, refused: str = "", room: int | None = None) -> Grant:
    return grant(wait, FIRST, 20.0, patience_s, refused, room)


def test_total_and_bytes_grow_with_the_wait() -> None:
    """27.25 s seen: 41 s of waiting, 31 s more in all, 8 MiB for every ten of them."""
    found = granted()

    assert (found.keyframe_s, found.total_s) == (40.875, 50.875)
    assert found.media_bytes == pytest.approx(40.875 / 10 * 8 * MIB, abs=1)
    assert granted(FIRST) == Grant(10.0, 20.0, 8 * MIB, 50.0)


@given(st.lists(quarters, max_size=20), st.floats(1, 60), st.one_of(st.none(), st.integers(0, 200 * MIB)))
def test_r16_no_look_takes_more_than_a_minute_or_48_mib(waits: list[int], deadline_s: float, room: int | None) -> None:
    """Setup: any past of a camera, any deadline up to a minute. Bound: 60 s in all, 48 MiB."""
    wait = seen(*(quarter / 4 for quarter in waits)).wait(1, deadline_s)
    found = grant(wait, patience().wait(1, deadline_s), deadline_s, 60.0, "", room)

    assert deadline_s <= found.total_s <= 60.0
    assert MAX_MEDIA_BYTES <= found.media_bytes <= 48 * MIB


def test_without_patience_the_total_does_not_grow() -> None:
    """Whoever asked for an answer by a deadline gets it by then; the wait may use what is left of it."""
    found = granted(patience_s=0.0)

    assert (found.keyframe_s, found.total_s, found.media_bytes) == (40.875, 20.0, 16 * MIB)


def test_a_refused_wait_is_the_first_one_and_says_why() -> None:
    """Only where more would have been waited: else nothing was refused."""
    assert granted(refused="the line") == Grant(10.0, 20.0, 8 * MIB, SLOW.need_s, "the line")
    assert granted(FIRST, refused="the line").refused == ""


def test_a_line_bounds_the_bytes_but_never_below_those_of_the_first_wait() -> None:
    """And it is told where it did."""
    assert (granted(room=20 * MIB).media_bytes, granted(room=20 * MIB).line_bound) == (20 * MIB, True)
    assert (granted(room=1).media_bytes, granted(room=1).line_bound) == (8 * MIB, True)
    assert not granted(room=100 * MIB).line_bound


def test_a_short_total_deadline_grows_all_the_same() -> None:
    """With 4 s in all a keyframe is given up after 3.75 s at most; each time the total grows, until it came."""
    memory = patience()
    totals = []
    for _ in range(8):
        wait = memory.wait(1, 4.0)
        total_s = grant(wait, patience().wait(1, 4.0), 4.0, 60.0, "", None).total_s
        totals.append(total_s)
        memory.gave_up(1, min(wait.keyframe_s, total_s - 0.25))

    assert totals[0] == 4.0
    assert totals == sorted(totals)
    assert totals[-1] > 45.0


@given(
    st.lists(st.integers(-200, 240), max_size=20),
    st.lists(st.integers(-200, 240), max_size=20),
    st.sampled_from([0.5, 3.0, 10.0, 20.0, 60.0]),
)
def test_streams_with_early_keyframes_are_granted_the_same(one: list[int], other: list[int], deadline_s: float) -> None:
    """Two of whom `short` says the same may take the same, and no more than one that nothing is known of."""
    first, second = (seen(*(wait / 4 for wait in waits)) for waits in (one, other))
    if first.short(1, deadline_s) is None or first.short(1, deadline_s) != second.short(1, deadline_s):
        return
    unknown = patience().wait(1, deadline_s)
    grants = [
        grant(memory.wait(1, deadline_s), unknown, deadline_s, 60.0, refused, None)
        for memory in (first, second)
        for refused in ("", "others wait")
    ]
    assert len(set(grants)) == 1
    assert (grants[0].keyframe_s, grants[0].total_s) == (unknown.keyframe_s, deadline_s)


def test_a_stream_with_rare_keyframes_is_not_granted_as_others_are() -> None:
    """One wait that is longer than the first by half is enough; without any the stream is like others."""
    assert seen().short(1, 20.0) is False
    assert seen(*[1.0] * LOOKS).short(1, 20.0) is True
    assert seen(*[1.0] * LOOKS, 7.0).short(1, 20.0) is None
    assert seen(1.0).short(1, 2.0) is None
