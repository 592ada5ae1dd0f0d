"""Stage 9: one hour of a village's looks in one row of at most 1.5 bytes a look. Pure packing, no SQL.

An hour at the default interval and longer ones; `span_us` says how much of it where rounds come quicker.

The design speaks of a row a day. A row is rewritten with every round: twelve times an hour here, 288 times as a day's.
At 30 cameras an hour is about 0.5 KB and a day 11 KB, so a day's row costs 288 x 5.5 KB = 1.6 MB of rewriting a village
and day, an hour's 24 x 12 x 0.25 KB = 72 KB. The price is 23 more rosters of some 40 bytes: 0.1 bytes a look.

What is kept of a look: when it began, to the half second and never later than it did; how long the keyframe took, on
a scale of powers of two; and its mark. Packed, an hour is a head (roster, when the rounds were due) and four planes of
one byte a look; each plane is stored as bare bits or deflated, whichever is shorter.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from enum import IntEnum
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamwatch.store.varint import Reader, put_signed, put_unsigned

VERSION: Final = 1
HOUR_US: Final = 3_600_000_000
SPANS_S: Final = (300, 600, 900, 1_800, 3_600)  # how long one row may be; each divides the next hour
MOST_INTERVALS: Final = 256  # that spans are remembered of; an inventory has a handful
ROUNDS_A_ROW: Final = 12  # at least, so that roster and head stay under 0.2 bytes a look, as an hour's at 300 s
HALF_US: Final = 500_000  # precision of a look's beginning
KEYFRAME_STEP_MS: Final = 5.0  # step k of the scale is [5 x 2^(k-1), 5 x 2^k) ms; 0: there was none
KEYFRAME_STEPS: Final = 15  # from under 10 ms to 82 s and more; a look has 60 s at most
MAX_ROUNDS: Final = 10_000  # an hour; 12 of the patrol, else confirming looks: two for each of 4,000 cameras, and room
MAX_LOOKS: Final = 250_000  # an hour; 4,000 cameras x 60 rounds, 1 MB unpacked

_ABSENT: Final = -0x8000  # in the place of half seconds
_FURTHEST: Final = 0x7FFF  # half seconds: 4.5 h after the round was due
_DEFLATED: Final = 9  # kind of a plane; 0-8 are bits a value
_DENSE, _SPARSE = 0, 1  # a round with a place for every camera of the roster, or only for those named

# Most planes have some hundred bytes; zlib's own defaults clear 256 KiB before each, which takes longer than the rest.
_WINDOW_BITS: Final = -12  # 4 KiB, without header and checksum
_MEMORY_LEVEL: Final = 5

Bytes = NDArray[np.uint8]


@lru_cache(maxsize=MOST_INTERVALS)
def span_us(interval_s: int) -> int:
    """How long a row is of cameras at that interval: the shortest span with ROUNDS_A_ROW rounds, at most an hour.

    A row is written again with each round: at 20 s an hour's row would hold 180 rounds, which costs more than the look.
    """
    fitting = (span_s for span_s in SPANS_S if span_s >= ROUNDS_A_ROW * interval_s)
    return next(fitting, SPANS_S[-1]) * 2 * HALF_US


class Mark(IntEnum):
    """What recovery may conclude from a look: which dimensions it saw as they stood, and so moved their last look."""

    OWN_ROW = 0  # none: what it changed was written to the standings
    AS_BEFORE = 1  # all that the camera had
    NO_PICTURE = 2  # reach and stream
    NO_STREAM = 3  # reach


class Seen(NamedTuple):
    """One look as it is kept. Read back, `started_us` and `keyframe_ms` are the lower ends of their steps."""

    camera: int
    started_us: int
    keyframe_ms: float | None
    mark: Mark


class Place(NamedTuple):
    """One look as it is packed."""

    half_s: int
    step: int
    mark: int


class PackedHour:
    """The rounds of an hour by (due, attempt). Adding what is there already changes nothing."""

    def __init__(self) -> None:
        self._rounds: dict[tuple[int, int], dict[int, Place]] = {}
        self._looks = 0

    def add(self, due_us: int, attempt: int, looks: Iterable[Seen]) -> bool:
        """Puts looks into their round; one of a camera that the round has already takes its place.

        False where the hour is full: nothing was added. Raises ValueError for a look that began hours before its round.
        """
        places = {look.camera: _place(due_us, look) for look in looks}
        known = self._rounds.get((due_us, attempt), {})
        more = len(places.keys() - known.keys())
        full = self._looks + more > MAX_LOOKS or (not known and len(self._rounds) >= MAX_ROUNDS)
        if full:
            return False
        if places:
            self._rounds[due_us, attempt] = {**known, **places}
            self._looks += more
        return True

    def __iter__(self) -> Iterator[tuple[int, int, tuple[Seen, ...]]]:
        """Every round in order: due, attempt, looks by camera."""
        for (due_us, attempt), places in sorted(self._rounds.items()):
            yield due_us, attempt, tuple(_seen(due_us, camera, places[camera]) for camera in sorted(places))

    def last(self, later: PackedHour | None = None) -> PackedHour:
        """Only what recovery needs: of each camera and mark the latest look, and none that changed something.

        Of `self` and `later` together. Two looks a camera at most: no cap of an hour applies.
        """
        latest: dict[tuple[int, int], tuple[int, int, int, Place]] = {}
        for hour in (self, later or PackedHour()):
            for (due_us, attempt), places in hour._rounds.items():
                for camera, place in places.items():
                    if place.mark != Mark.OWN_ROW:
                        key = (camera, place.mark)
                        found = (due_us + place.half_s * HALF_US, due_us, attempt, place)
                        latest[key] = max(found, latest.get(key, found))
        kept = PackedHour()
        for (camera, _mark), (_began_us, due_us, attempt, place) in latest.items():
            kept._rounds.setdefault((due_us, attempt), {})[camera] = place
            kept._looks += 1
        return kept

    def encode(self) -> bytes:
        """The packed bytes."""
        rounds = sorted(self._rounds.items())
        roster = sorted({camera for _, places in rounds for camera in places})
        number = {camera: index for index, camera in enumerate(roster)}
        head = bytearray((VERSION,))
        put_unsigned(head, len(roster))
        for before, camera in zip([0, *roster], roster, strict=False):
            put_unsigned(head, camera - before)
        put_unsigned(head, len(rounds))
        due_before, step_before = 0, 0
        columns: list[NDArray[np.int16]] = []
        for index, ((due_us, attempt), places) in enumerate(rounds):
            put_signed(head, due_us - due_before - step_before)  # rounds that come regularly give zeros
            due_before, step_before = due_us, due_us - due_before if index else 0
            dense = len(places) * 2 >= len(roster)
            put_unsigned(head, attempt << 1 | (_DENSE if dense else _SPARSE))
            if not dense:
                put_unsigned(head, len(places))
                for camera in sorted(places):
                    put_unsigned(head, number[camera])
            cameras = roster if dense else sorted(places)
            columns.append(
                np.array([places.get(camera, (_ABSENT, 0, 0)) for camera in cameras], dtype=np.int16).reshape(-1, 3)
            )
        table = np.concatenate(columns) if columns else np.zeros((0, 3), dtype=np.int16)
        halves = np.ascontiguousarray(table[:, 0]).view(np.uint16)
        low = (halves & 0xFF).astype(np.uint8)
        plain = _squeeze(low)
        # A camera has its own place in the window, so what differs from the round before is often less.
        steps = low - _shifted(low, len(roster))
        stepped = _squeeze(steps.astype(np.uint8))
        head.append(len(stepped) < len(plain))
        planes = [min(plain, stepped, key=len), _squeeze((halves >> 8).astype(np.uint8))]
        planes += [_squeeze(table[:, column].astype(np.uint8)) for column in (1, 2)]
        return bytes(head) + b"".join(planes)

    @classmethod
    def decode(cls, data: bytes) -> PackedHour:
        """The reverse of `encode`. Raises ValueError for bytes that it did not make."""
        reader = Reader(data)
        version = reader.byte()
        if version != VERSION:
            raise ValueError(f"packed rounds of version {version}; this build reads {VERSION}")
        roster: list[int] = []
        for _ in range(reader.unsigned(MAX_LOOKS)):
            roster.append(reader.unsigned() + (roster[-1] if roster else 0))
        keys: list[tuple[int, int]] = []
        members: list[list[int]] = []
        due_us, step_us, count = 0, 0, 0
        for index in range(reader.unsigned(MAX_ROUNDS)):
            before = due_us
            due_us += reader.signed() + step_us
            step_us = due_us - before if index else 0
            attempt, kind = divmod(reader.unsigned(), 2)
            if kind == _SPARSE:
                numbers = [reader.unsigned(len(roster) - 1) for _ in range(reader.unsigned(len(roster)))]
                members.append([roster[number] for number in numbers])
            else:
                members.append(roster)
            keys.append((due_us, attempt))
            count += len(members[-1])
            if count > 2 * MAX_LOOKS:  # a dense round may have half its places empty
                raise ValueError("packed rounds hold more looks than an hour can")
        stepped = reader.byte()
        low, high, steps, marks = (_expand(reader, count) for _ in range(4))
        if stepped:
            low = _summed(low, len(roster))
        halves = (low.astype(np.uint16) | high.astype(np.uint16) << 8).view(np.int16).tolist()
        entries = iter(zip(halves, steps.tolist(), marks.tolist(), strict=True))
        hour = cls()
        for key, cameras in zip(keys, members, strict=True):
            places = {camera: Place(*entry) for camera, entry in zip(cameras, entries, strict=False)}
            hour._rounds[key] = {camera: place for camera, place in places.items() if place.half_s != _ABSENT}
            hour._looks += len(hour._rounds[key])
        return hour


def half_s_of(due_us: int, camera: int, started_us: int) -> int:
    """Half seconds from the round's due time to a look's beginning. Raises ValueError where it began hours before."""
    half_s = min((started_us - due_us) // HALF_US, _FURTHEST)
    if half_s <= _ABSENT:
        raise ValueError(f"a look of camera {camera} began {-half_s // 2} s before its round was due")
    return half_s


def _place(due_us: int, look: Seen) -> Place:
    half_s = half_s_of(due_us, look.camera, look.started_us)
    step = 0
    if look.keyframe_ms is not None:
        step = 1
        while step < KEYFRAME_STEPS and look.keyframe_ms >= KEYFRAME_STEP_MS * 2**step:
            step += 1
    return Place(half_s, step, int(look.mark))


def _seen(due_us: int, camera: int, place: Place) -> Seen:
    keyframe_ms = KEYFRAME_STEP_MS * 2 ** (place.step - 1) if place.step else None
    return Seen(camera, due_us + place.half_s * HALF_US, keyframe_ms, Mark(place.mark))


def _shifted(values: Bytes, width: int) -> Bytes:
    """What stands `width` places before each value; 0 before the first of them."""
    return np.concatenate([np.zeros(min(width, len(values)), dtype=np.uint8), values[: max(0, len(values) - width)]])


def _summed(steps: Bytes, width: int) -> Bytes:
    """The reverse of subtracting `_shifted`, modulo 256."""
    padded = np.concatenate([steps, np.zeros(-len(steps) % max(width, 1), dtype=np.uint8)])
    return padded.reshape(-1, max(width, 1)).cumsum(axis=0, dtype=np.uint8).reshape(-1)[: len(steps)]


def _squeeze(values: Bytes) -> bytes:
    """A plane as bits of the width that its largest value needs, or deflated, whichever is shorter; with its kind."""
    width = int(values.max()).bit_length() if len(values) else 0
    bits = np.unpackbits(values[:, None], axis=1, count=width, bitorder="little")
    bare = bytes((width,)) + np.packbits(bits).tobytes()
    if width == 0:
        return bare
    deflater = zlib.compressobj(9, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL)
    deflated = deflater.compress(values.tobytes()) + deflater.flush()
    head = bytearray((_DEFLATED,))
    put_unsigned(head, len(deflated))
    return min(bare, bytes(head) + deflated, key=len)


def _expand(reader: Reader, count: int) -> Bytes:
    """The reverse of `_squeeze`."""
    kind = reader.byte()
    if kind == _DEFLATED:
        try:
            raw = zlib.decompressobj(-zlib.MAX_WBITS).decompress(reader.take(reader.unsigned()), count + 1)
        except zlib.error as error:
            raise ValueError(f"a plane of packed rounds is damaged: {error}") from None
        if len(raw) != count:
            raise ValueError(f"a plane of packed rounds has {len(raw)} values instead of {count}")
        return np.frombuffer(raw, dtype=np.uint8)
    if kind > 8:
        raise ValueError(f"packed rounds have no plane of kind {kind}")
    data = np.frombuffer(reader.take((count * kind + 7) // 8), dtype=np.uint8)
    bits = np.unpackbits(data, count=count * kind).reshape(count, kind)
    return np.packbits(bits, axis=1, bitorder="little").reshape(-1) if kind else np.zeros(count, dtype=np.uint8)
