"""An hour of looks in one row: small, and read back as it was but for the fractions that it drops."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.store import rounds
from streamwatch.store.rounds import HALF_US, HOUR_US, MAX_ROUNDS, Mark, PackedHour, Seen, span_us

S = 1_000_000
DUE = 1_795_000_000 * S + 123_457


def hour(count: int, seed: int, *, spread_s: float) -> tuple[PackedHour, int]:
    """Twelve rounds of `count` cameras, each at its own place in the minute or up to `spread_s` seconds later."""
    dice = random.Random(seed)
    place = {camera: dice.uniform(0, 60) for camera in range(70_000, 70_000 + count)}
    usual_ms = {camera: dice.lognormvariate(6, 0.7) for camera in place}  # around 400 ms
    packed = PackedHour()
    for number in range(12):
        due_us = DUE + number * 300 * S
        looks = [
            Seen(
                camera,
                due_us + int((at + dice.uniform(0, spread_s)) % 60 * S),
                usual_ms[camera] * dice.lognormvariate(0, 0.2),
                Mark.OWN_ROW if dice.random() < 0.01 else Mark.AS_BEFORE,
            )
            for camera, at in place.items()
        ]
        assert packed.add(due_us, 0, looks)
    return packed, 12 * count


@pytest.mark.parametrize(("spread_s", "budget"), [(0.3, 1.1), (60.0, 1.5)])
def test_a_look_costs_at_most_one_and_a_half_bytes(spread_s: float, budget: float) -> None:
    """Thirty cameras, twelve rounds: 1.5 bytes a look though each round has another order; in their order 1.1."""
    for seed in range(5):
        packed, count = hour(30, seed, spread_s=spread_s)
        assert len(packed.encode()) <= budget * count


def test_scattered_looks_do_not_make_room_for_all_cameras() -> None:
    """Rounds of one camera each, as confirming looks are, cost by their looks and not by the village's roster."""
    packed = PackedHour()
    for number in range(1_000):
        due_us = DUE + number * 3_654_321
        packed.add(due_us, 1, [Seen(number + 1, due_us, 400.0, Mark.AS_BEFORE)])
    data = packed.encode()

    assert len(data) <= 12 * 1_000
    assert len(list(PackedHour.decode(data))) == 1_000


@st.composite
def added(draw: st.DrawFn) -> list[tuple[int, int, list[Seen]]]:
    """Rounds as they come: repeated, in parts, with other cameras, out of order."""
    found = []
    for _ in range(draw(st.integers(0, 4))):
        due = draw(st.integers(-(10**10), 10**16))
        for _ in range(draw(st.integers(1, 2))):
            looks = draw(
                st.lists(
                    st.builds(
                        Seen,
                        st.integers(1, 40) | st.integers(1, 2**62),
                        st.integers(due - 10**10, due + 10**10),
                        st.none() | st.floats(0, 90_000),
                        st.sampled_from(Mark),
                    ),
                    max_size=6,
                )
            )
            found.append((due, draw(st.integers(0, 3)), looks))
    return found


def plain(rows: list[tuple[int, int, list[Seen]]]) -> list[tuple[int, int, tuple[tuple[int, int, Mark], ...]]]:
    """What must be read back of camera, start and mark, by ordinary dictionaries."""
    kept: dict[tuple[int, int], dict[int, tuple[int, int, Mark]]] = {}
    for due, attempt, looks in rows:
        for look in looks:
            start = due + (look.started_us - due) // HALF_US * HALF_US
            kept.setdefault((due, attempt), {})[look.camera] = (look.camera, start, look.mark)
    return [(*key, tuple(kept[key][camera] for camera in sorted(kept[key]))) for key in sorted(kept)]


def read(packed: PackedHour) -> list[tuple[int, int, tuple[tuple[int, int, Mark], ...]]]:
    """The same of a packed hour."""
    return [
        (due, attempt, tuple((one.camera, one.started_us, one.mark) for one in looks)) for due, attempt, looks in packed
    ]


@settings(max_examples=200)
@given(added())
def test_what_was_added_is_read_back(rows: list[tuple[int, int, list[Seen]]]) -> None:
    """Whatever was added in whatever order, the packed bytes give it back, each look not later than it was."""
    packed = PackedHour()
    for due, attempt, looks in rows:
        assert packed.add(due, attempt, looks)
    again = PackedHour.decode(packed.encode())

    assert read(again) == read(packed) == plain(rows)
    assert again.encode() == packed.encode()


@settings(max_examples=100)
@given(added())
def test_adding_again_changes_nothing(rows: list[tuple[int, int, list[Seen]]]) -> None:
    """A repeated Report rewrites the same slots: the bytes stay the same."""
    packed = PackedHour()
    for due, attempt, looks in rows:
        packed.add(due, attempt, looks)
    once = packed.encode()
    again = PackedHour.decode(once)
    last = {(due, attempt): index for index, (due, attempt, _) in enumerate(rows)}
    for index, (due, attempt, looks) in enumerate(rows):
        if last[due, attempt] == index:
            again.add(due, attempt, looks)

    assert again.encode() == once


@settings(max_examples=100)
@given(added())
def test_last_keeps_of_each_camera_the_latest_look_of_each_mark(rows: list[tuple[int, int, list[Seen]]]) -> None:
    """What recovery reads is the same from the whole hour and from the little that is kept for long."""
    packed = PackedHour()
    for due, attempt, looks in rows:
        packed.add(due, attempt, looks)
    latest: dict[tuple[int, Mark], int] = {}
    for _due, _attempt, looks in plain(rows):
        for camera, start, mark in looks:
            if mark is not Mark.OWN_ROW:
                latest[camera, mark] = max(start, latest.get((camera, mark), start))
    kept = [look for _, _, looks in PackedHour.decode(packed.last().encode()) for look in looks]
    first, second = PackedHour(), PackedHour()
    for index, (due, attempt, looks) in enumerate(packed):
        (first if index % 2 else second).add(due, attempt, looks)

    assert first.last().last(second).encode() == packed.last().encode()
    assert {(look.camera, look.mark): look.started_us for look in kept} == latest
    assert len(kept) == len(latest)


@pytest.mark.parametrize(
    ("keyframe_ms", "kept"),
    [
        (None, None),
        (0.0, 5.0),
        (9.99, 5.0),
        (10.0, 10.0),
        (55.0, 40.0),
        (400.0, 320.0),
        (81_919.0, 40_960.0),
        (1e9, 81_920.0),
    ],
)
def test_keyframe_time_is_kept_on_a_scale_of_powers_of_two(keyframe_ms: float | None, kept: float | None) -> None:
    """Sixteen values: none, and the lower ends of fifteen steps."""
    packed = PackedHour()
    packed.add(DUE, 0, [Seen(1, DUE, keyframe_ms, Mark.AS_BEFORE)])
    [(_, _, (look,))] = PackedHour.decode(packed.encode())

    assert look.keyframe_ms == kept


def test_parts_of_a_round_join() -> None:
    """A Report comes in parts; the second does not push out the first."""
    packed = PackedHour()
    packed.add(DUE, 0, [Seen(1, DUE, None, Mark.AS_BEFORE)])
    packed.add(DUE, 0, [Seen(2, DUE, None, Mark.AS_BEFORE)])

    assert [[look.camera for look in looks] for _, _, looks in packed] == [[1, 2]]


def test_full_hour_refuses_more_and_keeps_what_it_has() -> None:
    """At the cap a new round is refused and told; one that is there can still be repeated."""
    packed = PackedHour()
    for number in range(MAX_ROUNDS):
        assert packed.add(DUE + number, 0, [Seen(1, DUE + number, None, Mark.OWN_ROW)])

    assert not packed.add(DUE - 1, 0, [Seen(1, DUE, None, Mark.OWN_ROW)])
    assert packed.add(DUE, 0, [Seen(1, DUE, None, Mark.AS_BEFORE)])
    assert len(list(PackedHour.decode(packed.encode()))) == MAX_ROUNDS


def test_too_many_looks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cap counts looks too, over all rounds of the hour."""
    monkeypatch.setattr(rounds, "MAX_LOOKS", 3)
    packed = PackedHour()

    assert packed.add(DUE, 0, [Seen(camera, DUE, None, Mark.OWN_ROW) for camera in (1, 2)])
    assert not packed.add(DUE, 1, [Seen(camera, DUE, None, Mark.OWN_ROW) for camera in (1, 2)])
    assert packed.add(DUE, 1, [Seen(1, DUE, None, Mark.OWN_ROW)])


def test_look_long_before_its_round_is_refused() -> None:
    """A beginning that cannot be kept without becoming later is an error, never a wrong time."""
    with pytest.raises(ValueError, match="camera 1 began"):
        PackedHour().add(DUE, 0, [Seen(1, DUE - 20_000 * S, None, Mark.OWN_ROW)])


@settings(max_examples=500)
@given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda data: b"\x01" + data))
def test_damaged_bytes_raise_value_error(data: bytes) -> None:
    """Whatever is in the row, reading it gives an hour or a ValueError."""
    try:
        list(PackedHour.decode(data))
    except ValueError:
        return


def test_every_shortened_row_is_refused() -> None:
    """A row that lost its end is not read as a shorter hour."""
    whole = hour(6, 1, spread_s=1.0)[0].encode()
    for cut in range(len(whole)):
        with pytest.raises(ValueError):
            list(PackedHour.decode(whole[:cut]))


SPANS = [(5, 300), (20, 300), (26, 600), (60, 900), (300, 3600), (7200, 3600)]


@pytest.mark.parametrize(("interval_s", "span_s"), SPANS)
def test_a_row_is_as_long_as_a_dozen_rounds(interval_s: int, span_s: int) -> None:
    """At least twelve rounds where an hour has them; rows never lie across an hour."""
    assert span_us(interval_s) == span_s * 1_000_000
    assert HOUR_US % span_us(interval_s) == 0
