"""What a fault leaves of the media."""

from __future__ import annotations

from typing import Any

import pytest

from streamwatch.simulator.faults import Fault
from streamwatch.simulator.playback import LOSS_SHARE, Playback, _lost


@pytest.mark.parametrize(("packets", "sets"), [(2, 1), (3, 1), (3, 2), (4, 2), (17, 2)])
def test_every_keyframe_loses_a_packet_of_its_slice(packets: int, sets: int) -> None:
    """Also the smallest, whose slice is one packet behind one or two of parameter sets."""
    for _ in range(200):
        assert any(sets <= index < packets for index in _lost(packets, key=True))


def test_other_frames_lose_their_share() -> None:
    """About LOSS_SHARE of many packets, so that most P frames arrive."""
    lost = len(_lost(10_000, key=False)) / 10_000

    assert LOSS_SHARE / 2 < lost < LOSS_SHARE * 2


class Smart:
    """A camera whose key frames have their turns, and pictures that are only their names."""

    fault: Fault | None = None
    loss = 0.0
    smart_s = 15.0

    def __init__(self, turn: int | None) -> None:
        self.now = turn
        self.gops: Any = [[f"{group}{frame}" for frame in ("K", "a", "b")] for group in range(3)]

    def showing(self, _stream: str) -> Any:
        return self

    def next_start(self, _stream: str) -> tuple[int, int]:
        return 0, 0

    def turn(self, _now: float) -> int | None:
        return self.now


@pytest.mark.parametrize(
    ("turns", "sent"),
    [
        ([None] * 7, "0K 0a 0b 1K 1a 1b 2K"),
        ([5] * 7, "0a 0b 1a 1b 2a 2b 0a"),
        ([5, 5, 5, 6, 6, 6, 6], "0a 0b 1a 2K 2a 2b 0a"),
        ([5, 5, 6, 6, 6, 7, 7], "0a 0b 1K 1a 1b 2K 2a"),
    ],
)
async def test_a_smart_codec_sends_a_key_frame_when_its_turn_comes_and_never_before(
    turns: list[int | None], sent: str
) -> None:
    """In the middle of a group or at its end; whoever begins to watch waits for the next turn."""
    camera = Smart(turns[0])
    playback = Playback(camera, None, "sub", None, 7, lambda: None)  # type: ignore[arg-type]
    playback._turn = camera.turn(0.0)
    frames = []
    for turn in turns:
        camera.now = turn
        playback._find_place()
        frames.append(playback._next_frame())

    assert frames == sent.split()
