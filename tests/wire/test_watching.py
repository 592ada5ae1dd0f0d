"""A watched session against the slow and obvious way: the same bytes, the same counts, however they are cut."""

from __future__ import annotations

import itertools
import random
import struct
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.errors import Reason
from streamwatch.model.look import Depth
from streamwatch.model.report import Credentials
from streamwatch.wire import tally
from streamwatch.wire.conversation import Ask, Conversation
from streamwatch.wire.rtp import Order, SequenceTracker, parse_rtp
from streamwatch.wire.rtsp import Interleaved, LookError, RtspParser
from streamwatch.wire.watching import Watching
from tests.wire.camera import URL, encode, frame, packetise, reply, rtp, script

PICTURES = encode(320, 240, pictures=3, slices=2)
PACKETS = packetise([*PICTURES, *PICTURES, *PICTURES], mtu=40)
GOOD = script(PACKETS)
NOON = 100.0
SETS_BEHIND_DELIMITER = b"\x78\x00\x02\x09\x10\x00\x01\x65"


def opened(media: bytes = b"") -> Watching:
    """A session after its first keyframe, or after `media`."""
    talked = Conversation(Ask(URL, Depth.STREAM), lambda: "c")
    talked.start(0.0)
    talked.receive(b"".join(GOOD.parts[:4]) + media, 1.0)
    watching = Watching(talked.leg, NOON, max_pixels=10**7, max_bytes=2**23)
    watching.go_on(NOON)
    return watching


def feed(watching: Watching, data: bytes, cuts: list[int] | None = None) -> Watching:
    """The bytes in pieces, each in a buffer that is used again, a second later than the one before."""
    shared = bytearray(2**17)
    places = sorted({cut for cut in cuts or [] if 0 < cut < len(data)})
    for number, (begin, end) in enumerate(zip([0, *places], [*places, len(data)], strict=True)):
        shared[:] = bytes(len(shared))
        shared[7 : 7 + end - begin] = data[begin:end]
        watching.receive(shared, 7, 7 + end - begin, NOON + 1 + number)
    return watching


class Counts(NamedTuple):
    """What is compared."""

    bytes: int
    packets: int
    lost: int
    pictures: int
    keyframes: int
    last: tuple[int, int]


def counts(watching: Watching) -> Counts:
    """Of a watched session."""
    found = watching._tally
    tracker = found.tracker
    return Counts(found.bytes, found.packets, tracker.lost, found.pictures, found.keyframes, tracker.position())


def obvious(data: bytes) -> Counts:
    """Every packet by the parsers of a look, one after the other, and each byte of it looked at."""
    parser = RtspParser()
    parser.channels = frozenset({0, 1})
    parser.receive(data)
    tracker = SequenceTracker()
    size = packets = keyframes = pictures = 0
    timestamp, told = -1, True
    try:
        while (event := parser.next_event()) is not None:
            if not isinstance(event, Interleaved) or event.channel != 0:
                continue
            size += len(event.payload)
            packet = parse_rtp(event.payload)
            if packet is None:
                continue
            if packet.payload_type != 96:
                tracker.pass_over(packet)
                continue
            if tracker.next(packet) is Order.DROP:
                continue
            packets += 1
            if packet.timestamp != timestamp:
                timestamp, told = packet.timestamp, False
                pictures += 1
            kinds = [kind for kind in kinds_of(packet.payload) if kind]
            if not told and any(kind in {1, 2, 3, 4, 5, 7} for kind in kinds):
                told = True
                keyframes += next(kind for kind in kinds if kind in {1, 2, 3, 4, 5, 7}) in {5, 7}
    except LookError:
        pass
    return Counts(size, packets, tracker.lost, pictures, keyframes, tracker.position())


def kinds_of(payload: bytes) -> list[int]:
    """Of the units in an H.264 payload."""
    payload = payload[:64]
    if not payload:
        return []
    kind = payload[0] & 0x1F
    if kind in {28, 29}:
        return [payload[1] & 0x1F] if len(payload) > 1 else []
    if kind in {24, 25}:
        found, at = [], 1 if kind == 24 else 3
        while at + 2 < len(payload):
            found.append(payload[at + 2] & 0x1F)
            at += 2 + int.from_bytes(payload[at : at + 2])
        return found
    return [kind]


HEADS = [b"\x7c\x05", b"\x7c\x01", b"\x7c\x85", b"\x67", b"\x09", b"\x78\x00\x01\x67", SETS_BEHIND_DELIMITER, b""]
BETWEEN = [
    frame(b"\x80\xc9\x00\x01\x00\x00\x00\x07", 1),
    reply(9),
    b"\r\n",
    frame(b"short"),
    frame(b"other", 9),
    b"\x00junk",
]


def stream(seed: int) -> tuple[bytes, list[int]]:
    """Mostly plain packets, each kind of oddity in one of a hundred or so; and where it is cut, in half the streams
    anywhere, else between packets."""
    rng = random.Random(seed)

    def seldom(usual: object, *odd: object, share: float = 0.01) -> Any:
        return rng.choice(odd) if rng.random() < share else usual

    sequence, clock, head, size, frames = rng.choice([0, 65_450, 57_300]), 0, b"\x7c\x01", 30, []
    for _ in range(rng.randint(1, 150)):
        sequence += seldom(1, 0, 2, 5, 40_000, 65_533)
        clock = clock + seldom(0, 3600, 3600, 3600, -3600, share=0.15) & 0xFFFFFFFF
        head, size = seldom(head, *HEADS, share=0.3), seldom(size, 30, 31, 1400, 0, share=0.1)
        packet = rtp(
            head + bytes(size),
            sequence,
            clock,
            marker=seldom(False, True, share=0.2),
            pt=seldom(96, 50, 97),
            ssrc=seldom(7, 8),
        )
        frames.append(seldom(b"", *BETWEEN) + frame(bytes((seldom(0x80, 0x90, 0xA0, 0x81, 0x40),)) + packet[1:]))
    data = b"".join(frames)
    anywhere = rng.random() < 0.5
    places = range(len(data)) if anywhere else list(itertools.accumulate(map(len, frames)))
    return data, rng.choices(places, k=rng.randint(0, 30))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_the_fast_way_counts_as_the_slow_one(seed: int) -> None:
    """Loss, repetition, restarts, other sources and types, reports, messages and garbage, in pieces of any size."""
    data, cuts = stream(seed)
    assert counts(feed(opened(), data, cuts)) == obvious(data)


@pytest.mark.parametrize(
    "packets",
    [
        [rtp(b"\x09", 1, 9), rtp(b"\x67", 2, 9), rtp(b"\x41", 3, 9), rtp(b"\x41", 4, 10)],
        [rtp(b"\x41", 65_534, 9), rtp(b"\x41", 65_535, 9), rtp(b"\x41", 0, 9, pt=97), rtp(b"\x41", 1, 9)],
    ],
    ids=["a picture that is decided by its second packet", "a number that goes round at another type"],
)
def test_what_chance_seldom_brings_counts_the_same(packets: list[bytes]) -> None:
    """As above."""
    data = b"".join(map(frame, [rtp(b"\x41", packets[0][2] * 256 + packets[0][3] - 1, 8), *packets]))
    assert counts(feed(opened(), data, [17])) == obvious(data)


def test_every_cut_gives_the_same_counts_and_keyframe() -> None:
    """Also within a header, and within the keyframe that is put together."""
    data = GOOD.media + frame(PACKETS[-1], 1) + reply(7)
    whole = opened()
    whole.wanted = True
    feed(whole, data)
    assert whole.keyframe is not None
    for cut in range(1, len(data), 61):
        watching = opened()
        watching.wanted = True
        feed(watching, data, [cut, cut + 3])
        assert counts(watching) == counts(whole)
        assert watching.keyframe == whole.keyframe


def test_most_packets_go_the_fast_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would not be worth its lines."""
    slow = 0
    packet = tally.Tally.packet

    def counted(*arguments: object, **named: object) -> int:
        nonlocal slow
        slow += 1
        return packet(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(tally.Tally, "packet", counted)
    places = list(itertools.accumulate(len(frame(packet)) for packet in PACKETS))
    watching = feed(opened(), GOOD.media, places[::7])
    assert watching._tally.packets == len(PACKETS)
    assert slow < len(PACKETS) / 10


def test_a_wanted_keyframe_is_the_one_that_a_look_gets() -> None:
    """The same bytes as a look's, and only where it was wanted; what came before its begin is not in it."""
    talked = Conversation(Ask(URL, Depth.STREAM), lambda: "c")
    talked.start(0.0)
    talked.receive(GOOD.whole, 1.0)
    assert talked.keyframe is not None
    watching = feed(opened(), GOOD.media)
    assert watching.keyframe is None
    watching.wanted = True
    later = packetise(PICTURES, mtu=40, first=100 + len(PACKETS))
    feed(watching, b"".join(frame(packet) for packet in later))

    assert watching.keyframe is not None and not watching.wanted
    assert watching.keyframe.data == talked.keyframe.data


def test_parameter_sets_of_long_ago_serve_a_later_keyframe() -> None:
    """A camera that sends them once, at its start: they are not in the description either."""
    watching = opened(GOOD.media)
    bare = [unit for unit in PICTURES[0] if unit[0] & 0x1F == 5]
    later = packetise([bare, PICTURES[1]], mtu=40, first=100 + len(PACKETS), step=3600)
    watching.wanted = True
    feed(watching, b"".join(frame(packet) for packet in later))

    assert watching.keyframe is not None


def test_a_keyframe_that_loses_a_packet_is_given_up_and_the_next_one_taken() -> None:
    """It stays wanted, and nothing of the broken one is kept."""
    frames = [frame(packet) for packet in packetise([*PICTURES] * 6, mtu=40)]
    watching = opened()
    watching.wanted = True
    feed(watching, b"".join(frames[:5] + frames[6:]))

    assert watching.keyframe is not None and watching._tally.tracker.lost == 1


def test_what_came_is_told_by_stretches_of_time() -> None:
    """Seconds, bytes, loss and the longest gap since the last time, also of a gap that goes on."""
    frames = [frame(packet) for packet in PACKETS]
    half = len(frames) // 2
    watching = opened()
    shared = bytearray(b"".join(frames[:half]))
    watching.receive(shared, 0, len(shared), NOON + 4)
    first = watching.take(NOON + 5)
    second = watching.take(NOON + 15)
    shared = bytearray(b"".join(frames[half + 2 :]))
    watching.receive(shared, 0, len(shared), NOON + 16)
    third = watching.take(NOON + 16)

    assert (first.seconds, first.packets, first.longest_gap_s) == (5.0, half, 4.0)
    assert (second.seconds, second.packets, second.longest_gap_s) == (10.0, 0, 11.0)
    assert (third.seconds, third.packets, third.lost, third.longest_gap_s) == (1.0, len(frames) - half - 2, 2, 12.0)
    assert first.pictures + third.pictures == 9
    assert (first.keyframes + third.keyframes, (first + third).keyframe_gaps) == (3, 2)


def test_datagrams_that_come_late_are_not_lost() -> None:
    """Two change places, one is missing, one comes twice."""
    watching = opened()
    watching._channel = -1
    order = [0, 1, 3, 2, 4, 6, 6, 7]
    for place in order:
        watching.datagram(PACKETS[place], NOON + 1, control=False)

    seen = watching.take(NOON + 2)
    assert (seen.packets, seen.lost) == (7, 1)


def test_our_own_kernel_is_not_the_cameras_loss() -> None:
    """Datagrams that our machine has thrown away are taken off, each once."""
    watching = opened()
    for place in (0, 1, 5, 6):
        watching.datagram(PACKETS[place], NOON + 1, control=False)
    assert watching.take(NOON + 2, dropped=2).lost == 1
    watching.datagram(PACKETS[9], NOON + 3, control=False)
    assert watching.take(NOON + 4, dropped=2).lost == 2


def test_keepalives_go_on_and_their_answers_are_taken() -> None:
    """At half of the session's timeout, with its id; what the device asks is answered, for ever."""
    watching = opened(GOOD.media)
    assert watching.due <= NOON
    now, asked, answered = 40.0, 0, 0
    for _ in range(200):
        now = max(now, watching.due)
        out = watching.tick(now)
        asked += out.count(b"Session: 12345678")
        sequence = watching.leg.exchange.sequence
        shared = bytearray(reply(sequence) + b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
        answered += watching.receive(shared, 0, len(shared), now).count(b"200 OK")

    assert watching.over is None
    assert asked > 10 and answered == 200


def test_a_nonce_that_runs_out_again_and_again_ends_no_keepalives() -> None:
    """Each answer that is taken proves the password; two in a row that are not are the last."""
    watching = opened(GOOD.media)
    watching.leg.exchange._auth._credentials = Credentials("u", "p")
    now = 40.0

    def told(status: str, *headers: str) -> bytes:
        shared = bytearray(reply(watching.leg.exchange.sequence, status, *headers))
        return watching.receive(shared, 0, len(shared), now) or b""

    for turn in range(6):
        while not watching.leg.exchange._pending:
            now = max(now + 1, watching.due)
            watching.tick(now)
        stale = f'WWW-Authenticate: Digest realm="r", nonce="n{turn}", stale=TRUE'
        assert f'nonce="n{turn}"'.encode() in told("401 Unauthorized", stale)
        assert told("200 OK") == b""
        now += 40
    watching.tick(now := max(now, watching.due))
    assert told("401 Unauthorized", 'WWW-Authenticate: Digest realm="r", nonce="x"') != b""
    assert told("401 Unauthorized", 'WWW-Authenticate: Digest realm="r", nonce="y"') == b""


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\n", Reason.RTSP_PROTOCOL),
        (b"REDIRECT * RTSP/1.0\r\nCSeq: 1\r\nLocation: rtsp://192.0.2.9/x\r\n\r\n", Reason.RTSP_REDIRECT),
    ],
)
def test_what_ends_a_session_is_told(data: bytes, reason: Reason) -> None:
    """And nothing raises."""
    watching = feed(opened(), data)
    assert watching.over is not None and watching.over.reason is reason


def test_a_closed_connection_is_over() -> None:
    """Between packets, and within one that was counted already."""
    for cut in (len(frame(PACKETS[0])), len(frame(PACKETS[0])) - 3):
        watching = feed(opened(), GOOD.media[:cut])
        watching.closed(NOON + 9)
        assert watching.over is not None and watching.over.reason is Reason.NET_RESET


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=3000), st.lists(st.integers(0, 3000), max_size=5), st.booleans())
def test_nothing_that_a_peer_sends_raises(data: bytes, cuts: list[int], wanted: bool) -> None:
    """Garbage behind good packets, and packets of garbage."""
    watching = opened()
    watching.wanted = wanted
    feed(watching, GOOD.media[:900] + data + b"".join(map(frame, PACKETS)), cuts)
    packets = [data[at : at + 60] for at in range(0, len(data), 60)]
    feed(watching, b"".join(frame(struct.pack("!BB", 0x80, 96) + packet) for packet in packets), cuts)
