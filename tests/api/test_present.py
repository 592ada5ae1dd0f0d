"""The fast way of counting the present gives what the obvious way gives."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from streamwatch.api.present import count, now_of
from streamwatch.clock import US
from streamwatch.errors import Blame
from streamwatch.model.live import CameraLive
from streamwatch.model.look import State
from streamwatch.model.standing import PICTURE, REACH, STREAM, Pending, Standing
from streamwatch.store.census import CountedCamera
from streamwatch.timeline import present

NOW = 10_000 * US
GRACE_US = 450 * US


@st.composite
def standings(draw: st.DrawFn) -> tuple[Standing, ...]:
    """Some dimensions of one camera, fresh and old, with and without something pending."""
    found = []
    for dimension in draw(
        st.lists(st.sampled_from([REACH, STREAM, PICTURE, "fault.blur", "fault.frozen"]), unique=True)
    ):
        since = draw(st.integers(0, 9_000))
        last = draw(st.integers(since, 10_000))
        state = draw(st.sampled_from(State))
        pending = None
        if state is not State.DOWN and draw(st.booleans()):
            first = draw(st.integers(last, 10_000))
            pending = Pending(State.DOWN, "x", None, first * US, first * US, 1)
        found.append(Standing(1, dimension, state, None, None, since * US, last * US, pending))
    return tuple(found)


@given(st.lists(st.one_of(st.none(), standings()), max_size=6))
def test_counting_agrees_with_the_timeline(everything: list[tuple[Standing, ...] | None]) -> None:
    """Every camera is counted once, in the state and with the faults that `timeline.present` gives each standing."""
    cameras = [CountedCamera(number, 1, None, 0, None) for number in range(len(everything))]
    live = {
        number: CameraLive(camera=number, standings=own) for number, own in enumerate(everything) if own is not None
    }

    counts = count(cameras, live, NOW, lambda _: GRACE_US)

    states: Counter[State] = Counter()
    faults: Counter[str] = Counter()
    for own in everything:
        now = {one.dimension: present(one, NOW, GRACE_US)[0] for one in own or ()}
        states[now.get(STREAM, State.UNKNOWN)] += 1
        faults.update(
            name.removeprefix("fault.")
            for name, state in now.items()
            if name.startswith("fault.") and state is State.DOWN
        )
    assert counts.states == states
    assert counts.faults == faults
    assert counts.cameras == len(everything)


@given(standings())
def test_present_of_one_camera_is_the_timelines(own: tuple[Standing, ...]) -> None:
    """State, reason, blame and since when are those of `timeline.present`, fresh or not."""
    now = now_of(CameraLive(camera=1, standings=own), NOW, GRACE_US)

    by_dimension = {one.dimension: present(one, NOW, GRACE_US) for one in own}
    assert (now.stream and tuple(now.stream)) == by_dimension.get(STREAM)
    assert (now.picture and tuple(now.picture)) == by_dimension.get(PICTURE)


def test_a_camera_that_sends_and_gives_no_picture_is_listed_behind_those_that_are_down() -> None:
    """No keyframe while media flows: up, the picture unknown for a reason: a person must see it; a gap is none."""
    up = Standing(1, STREAM, State.UP, None, None, 5, 100)
    no_picture = Standing(1, PICTURE, State.UNKNOWN, "media.no_keyframe", Blame.CAMERA, 50, 100)
    gap = Standing(1, PICTURE, State.UNKNOWN, None, None, 50, 100)

    def rank(*standings: Standing) -> tuple[int, int] | None:
        return now_of(CameraLive(camera=1, standings=standings), 101, 10).rank()

    assert rank(up, no_picture) == (2, 50)
    assert rank(up, gap) is None
    assert rank(up) is None
