"""Which streams are left alone, and for how long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamwatch.decoders.quarantine import FIRST_S, LONGEST_S, MAX_STREAMS, Quarantine


def test_one_crash_is_nobodys_doing_a_second_is_the_streams() -> None:
    """Only this stream's; a success in between forgets the first."""
    found = Quarantine()
    found.crashed(7, 0.0)
    assert found.left_s(7, 1.0) == 0
    found.survived(7)
    found.crashed(7, 2.0)
    assert found.left_s(7, 3.0) == 0
    found.crashed(7, 4.0)
    assert (found.left_s(7, 5.0), found.left_s(8, 5.0)) == (FIRST_S - 1, 0)
    assert found.left_s(7, 4.0 + FIRST_S) == 0


def test_it_takes_twice_as_long_with_each_further_crash_up_to_an_hour() -> None:
    """A stream that does not mend costs a decoder an hour in the end."""
    found, now, pauses = Quarantine(), 0.0, []
    for _ in range(12):
        found.crashed(7, now)
        pauses.append(found.left_s(7, now))
        now += pauses[-1]
    assert pauses[:5] == [0, FIRST_S, 2 * FIRST_S, 4 * FIRST_S, 8 * FIRST_S]
    assert set(pauses[7:]) == {LONGEST_S}


def test_who_is_not_named_is_never_left_alone() -> None:
    """A file, or a look of somebody who tells nobody apart."""
    found = Quarantine()
    for _ in range(9):
        found.crashed(None, 0.0)
    assert found.left_s(None, 0.0) == 0 and not found._records


def test_no_more_streams_are_remembered_than_the_cap() -> None:
    """The one that crashed longest ago is forgotten first."""
    found = Quarantine()
    for stream in range(MAX_STREAMS + 1):
        found.crashed(stream, 0.0)
    for stream in (0, 1):
        found.crashed(stream, 1.0)
    assert (found.left_s(0, 1.0), found.left_s(1, 1.0)) == (0, 0)  # 1 made room for 0
    found.crashed(MAX_STREAMS, 1.0)
    assert found.left_s(MAX_STREAMS, 1.0) > 0


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.floats(0, 5000)), max_size=60))
def test_it_says_what_the_whole_story_says(story: list[tuple[int, bool, float]]) -> None:
    """The oracle reads all that happened to a stream, from its last success on."""
    found, now, told = Quarantine(), 0.0, []
    for stream, crashed, later in story:
        now += later
        told.append((stream, crashed, now))
        found.crashed(stream, now) if crashed else found.survived(stream)
        for each in range(4):
            in_a_row = []
            for who, what, when in told:
                if who == each:
                    in_a_row = [*in_a_row, when] if what else []
            pause = min(FIRST_S * 2 ** (len(in_a_row) - 2), LONGEST_S) if len(in_a_row) > 1 else 0
            assert found.left_s(each, now) == max(0, (in_a_row[-1] + pause if in_a_row else 0) - now)
