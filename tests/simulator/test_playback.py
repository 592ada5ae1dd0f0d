"""What a fault leaves of the media."""

from __future__ import annotations

import pytest

from streamwatch.simulator.playback import LOSS_SHARE, _lost


@pytest.mark.parametrize(("packets", "sets"), [(2, 1), (3, 1), (3, 2), (4, 2), (17, 2)])
def test_every_keyframe_loses_a_packet_of_its_slice(packets: int, sets: int) -> None:
    """Also the smallest, whose slice is one packet behind one or two of parameter sets."""
    for _ in range(200):
        assert any(sets <= index < packets for index in _lost(packets, key=True))


def test_other_frames_lose_their_share() -> None:
    """About LOSS_SHARE of many packets, so that most P frames arrive."""
    lost = len(_lost(10_000, key=False)) / 10_000

    assert LOSS_SHARE / 2 < lost < LOSS_SHARE * 2
