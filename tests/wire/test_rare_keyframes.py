"""A long wait for a keyframe: what flows meanwhile is let go."""

from __future__ import annotations

import tracemalloc

import pytest

from streamwatch.errors import LookError, Reason
from streamwatch.wire import sdp
from streamwatch.wire.media import Media
from tests.wire.camera import encode, rtp
from tests.wire.camera import sdp as description

MIB = 2**20


@pytest.mark.parametrize("by_udp", [False, True])
def test_48_mib_without_a_keyframe_take_no_memory(by_udp: bool) -> None:
    """The byte budget grows with a camera's patience; what is kept does not."""
    media = Media(sdp.pick_video(sdp.parse_sdp(description())), 8_900_000, 48 * MIB)
    inter = encode(320, 240, pictures=2)[1][-1]
    payload = inter + bytes(60_000)

    def play() -> None:
        for sequence in range(1_000):
            packet = rtp(payload, sequence, sequence * 3600, marker=True)
            media.datagram(packet, sequence / 25) if by_udp else media.packet(packet)

    tracemalloc.start()
    try:
        with pytest.raises(LookError) as caught:
            play()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert caught.value.reason is Reason.MEDIA_NO_KEYFRAME
    assert media.bytes > 48 * MIB
    assert peak < MIB
