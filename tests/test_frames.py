"""Frames of our own sockets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.frames import FrameError, FrameReader, frame


@given(st.lists(st.binary(max_size=300), max_size=8), st.lists(st.integers(1, 50), min_size=1, max_size=20))
def test_frames_do_not_depend_on_how_the_bytes_are_cut(bodies: list[bytes], cuts: list[int]) -> None:
    """Whatever pieces arrive, the same bodies come out in their order."""
    stream = b"".join(map(frame, bodies))
    reader, found, at, turn = FrameReader(), [], 0, 0
    while at < len(stream):
        size = cuts[turn % len(cuts)]
        found += reader.feed(stream[at : at + size])
        at, turn = at + size, turn + 1

    assert found == bodies


def test_an_impossible_length_is_refused_before_anything_is_allocated() -> None:
    """Four bytes that announce two gigabytes end the stream."""
    with pytest.raises(FrameError, match="announced"):
        list(FrameReader(limit=1000).feed(b"\x7f\xff\xff\xff"))
