"""The fast path for fragments against the slow one: same bytes, same outcome."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.model.look import Depth
from streamwatch.wire import fragments as fast
from streamwatch.wire import media as media_module
from streamwatch.wire.conversation import Ask, Conversation
from streamwatch.wire.depacketise import pictures
from tests.wire.camera import URL, encode, frame, packetise, rtp
from tests.wire.test_conversation import GOOD, outcome

PICTURES = encode(320, 240, pictures=3, slices=2)
PACKETS = packetise([*PICTURES, *PICTURES], mtu=40)
FRAMES = [frame(packet) for packet in PACKETS]


def talk(media: bytes, cuts: list[int], monkeypatch: pytest.MonkeyPatch, *, slow: bool) -> tuple[Conversation, int]:
    """A look at `media` in pieces; how many packets went the fast way."""
    taken = 0

    def counted(*arguments: object) -> tuple[int, int]:
        nonlocal taken
        found = (0, 0) if slow else fast.take_run(*arguments)  # type: ignore[arg-type]
        taken += found[0]
        return found

    monkeypatch.setattr(media_module, "take_run", counted)
    talked = Conversation(Ask(URL, Depth.STREAM), lambda: "c")
    talked.start(0.0)
    talked.receive(b"".join(GOOD.parts[:4]), 1.0)
    places = sorted({cut for cut in cuts if 0 < cut < len(media)})
    for begin, end in zip([0, *places], [*places, len(media)], strict=True):
        if begin < end:
            talked.receive(media[begin:end], 2.0)
    return talked, taken


def numbers(talked: Conversation) -> tuple[object, ...]:
    """The outcome, and all that is counted on the way."""
    assert talked._leg.media is not None
    depacketiser, tracker = talked._leg.media.depacketiser, talked._leg.media.tracker
    counts = (depacketiser.broken, depacketiser.malformed, depacketiser.unready, depacketiser.state, depacketiser._size)
    return (
        *outcome(talked),
        talked.progress,
        talked.media_bytes,
        *counts,
        tracker.lost,
        tracker.dropped,
        tracker._last,
    )


def test_most_packets_of_a_keyframe_go_the_fast_way() -> None:
    """Else there would be no point in it."""
    with pytest.MonkeyPatch.context() as patch:
        talked, taken = talk(b"".join(FRAMES), [], patch, slow=False)
        assert talked.keyframe is not None and taken > len(packetise(PICTURES[:1], mtu=40)) * 0.8


def twisted(packet: bytes, how: int) -> bytes:
    """A packet with something that the fast path must leave alone."""
    head, rest = bytearray(packet[:12]), packet[12:]
    if how == 0:
        head[1] ^= 0x80  # marker
    elif how == 1:
        head[1] ^= 0x01  # another payload type
    elif how == 2:
        head[7] ^= 1  # another time
    elif how == 3:
        head[11] ^= 1  # another source
    elif how == 4:
        head[0] |= 0x20  # padding
    elif how == 5:
        head[0] |= 0x10  # an extension
    elif how == 6 and len(rest) > 1:
        rest = bytes((rest[0] | 0x80,)) + rest[1:]  # forbidden bit
    elif how == 7 and len(rest) > 1:
        rest = rest[:1] + bytes((rest[1] ^ 0x40,)) + rest[2:]  # end
    elif how == 8 and len(rest) > 1:
        rest = rest[:1] + bytes((rest[1] ^ 0x80,)) + rest[2:]  # start
    elif how == 9:
        rest = rest[:1]
    elif how == 10:
        head[2:4] = struct.pack("!H", (struct.unpack("!H", head[2:4])[0] + 5) & 0xFFFF)
    return bytes(head) + rest


@settings(max_examples=250)
@given(
    st.integers(0, 40),
    st.dictionaries(st.integers(0, 200), st.integers(0, 10), max_size=6),
    st.sets(st.integers(0, 200), max_size=3),
    st.dictionaries(
        st.integers(0, 200),
        st.sampled_from(
            [b"\r\n", frame(b"\x80\xc8\x00\x00", 1), frame(b"zz", 9), b"\xffgarbage", b"OPTIONS x RTSP/1.0\r\n\r\n"]
        ),
        max_size=3,
    ),
    st.lists(st.integers(0, 12_000), max_size=6),
    st.sampled_from([4 * 2**20, 900, 2000]),
)
def test_both_ways_give_the_same(
    begin: int, twists: dict[int, int], lost: set[int], between: dict[int, bytes], cuts: list[int], cap: int
) -> None:
    """Twisted, lost and interrupted packets, in any pieces, with room and without."""
    pieces = []
    for index, packet in enumerate(PACKETS[begin : begin + 220]):
        pieces.append(between.get(index, b""))
        if index not in lost:
            pieces.append(frame(twisted(packet, twists[index]) if index in twists else packet))
    media = b"".join(pieces)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "MAX_ACCESS_UNIT", cap)
        slow, none = talk(media, [], patch, slow=True)
        quick, _ = talk(media, cuts, patch, slow=False)
    assert none == 0
    assert numbers(quick) == numbers(slow)


def test_the_limit_of_media_holds_on_the_fast_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """8 MiB without a keyframe end at the same packet."""
    begin = rtp(b"\x7c\x81\x9a" + bytes(50), 1, 0)
    flood = b"".join(map(frame, [begin, *(rtp(b"\x7c\x01" + bytes(50_000), 2 + number, 0) for number in range(200))]))
    slow, _ = talk(flood, [], monkeypatch, slow=True)
    quick, taken = talk(flood, [], monkeypatch, slow=False)
    assert taken > 100 and slow.failure is not None
    assert numbers(quick) == numbers(slow)
