"""Stage 3, wire: what the depacketisers of H.264 and H.265 have in common: pictures of slices, kept or given up.

Push one packet, then pull until None. The state is one of four:

- JOINED: at the start, or past the end of a picture: what comes first may be the middle of a picture, which is normal;
- SKIPPING: something of this picture is missing; nothing is kept until the next one begins;
- BUILDING: slices of one picture are being collected (only those of a keyframe are kept);
- COMPLETE: a keyframe waits to be pulled.

A picture ends with the marker bit, or where the next one begins: another timestamp, or, for cameras that neither mark
nor count time, a unit that cannot follow a slice within a picture (H.264 clause 7.4.1.2.3, H.265 clause 7.4.2.4.4).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from struct import Struct
from typing import ClassVar, Final, NamedTuple, Self

from streamwatch.wire.bitstream import START_CODE, PictureSize, split_annex_b
from streamwatch.wire.rtp import RtpPacket

MAX_ACCESS_UNIT: Final = 4 * 2**20  # bytes; 4 MiB x 64 decoders in flight = 256 MiB worst case
MAX_PARTS: Final = 65_536  # start codes, headers and fragments of one picture: 4 MiB in fragments of 64 bytes
MAX_PARAMETER_SETS: Final = 16  # of each kind; real cameras have one or two
SLICE_HEAD: Final = 24  # bytes of a fragmented slice that are looked into


class State(Enum):
    """Where the depacketiser stands; see above."""

    JOINED = "joined"
    SKIPPING = "skipping"
    BUILDING = "building"
    COMPLETE = "complete"


class KeyUnit(NamedTuple):
    """A whole keyframe. `data` is Annex B: the parameter sets in force, then the slices."""

    data: bytes
    sps: bytes  # NAL unit
    timestamp: int
    idr: bool  # False: H.264 recovery point whose slices are all intra; H.265 CRA or BLA


class FragmentShape(NamedTuple):
    """How the fast path knows a fragment in the middle of a unit."""

    prefix: Struct  # "$" and channel, length; RTP: first bytes, number, time and source; payload header, FU header
    header: int  # bytes of RTP and of fragment header: what follows is picture
    mask: int  # of the payload header
    kind: int  # what it is behind the mask


class Pictures:
    """One stream's state. In-band parameter sets win over `sprop`, those of the SDP.

    `broken` counts pictures given up for loss, damage or size; `malformed` packets that break the RFC; `unready`
    keyframes that came whole but with no parameter sets known; `gradual` recovery points that need more than one
    picture. The codecs say what the bytes mean.
    """

    __slots__ = (
        "_between",
        "_clock",
        "_done",
        "_has_slice",
        "_idr",
        "_in_band",
        "_parts",
        "_pps_id",
        "_size",
        "_state",
        "_timestamp",
        "_whole",
        "broken",
        "fragments",
        "gradual",
        "malformed",
        "unready",
    )

    SHAPE: ClassVar[FragmentShape]
    _FRAGMENT_HEADER: ClassVar[int]  # bytes; the last one has the start and end flags
    _SLICES: ClassVar[frozenset[int]]
    _SETS: ClassVar[frozenset[int]]

    def __init__(self, sprop: Iterable[bytes] = ()) -> None:
        self.broken = self.malformed = self.unready = self.gradual = 0
        self._state = State.JOINED
        self._in_band: set[int] = set()  # kinds of parameter sets that came in-band
        self._timestamp: int | None = None
        self._clock: int | None = None  # where units come without packets: the timestamp of the one that begins
        self._between: list[tuple[int, bytes]] = []  # sets and SEI since the last slice, until the next one tells
        self._done: KeyUnit | None = None
        self.fragments: list[bytes | bytearray] | None = None  # of the unit that a fragment began; empty: not kept
        self._reset()
        for unit in sprop:
            self._keep_parameter_set(unit, in_band=False)

    @classmethod
    def of(cls, parameter_sets: Iterable[bytes], fmtp: Mapping[str, str]) -> Self:  # noqa: ARG003 - H.265 needs it
        """For a track as its description has it."""
        return cls(parameter_sets)

    @staticmethod
    def size_of(sps: bytes) -> PictureSize:
        """The size that a KeyUnit's `sps` states. Raises ValueError."""
        raise NotImplementedError

    @property
    def is_self_contained(self) -> bool:
        """Whether parameter sets of every kind came in-band: those of the SDP are in force no more."""
        return self._in_band == self._SETS

    @property
    def state(self) -> State:
        """Where it stands."""
        return State.COMPLETE if self._done is not None else self._state

    def push(self, packet: RtpPacket, *, after_loss: bool = False) -> None:
        """Takes the next packet. `after_loss`: packets before it are missing."""
        if after_loss:
            self.lose()
        self._at(packet.timestamp)
        if not packet.payload:
            return  # "empty NAL": seen as keepalive; says nothing
        self._payload(packet.payload)
        if packet.marker and (self._has_slice or self._state is State.SKIPPING):
            self._end_picture()  # not on a marker of parameter sets or SEI alone (Ivel)

    def begin_unit(self, head: bytes, timestamp: int) -> None:
        """Of a stream that is no RTP of its own (`wire.ps`): a unit with its first SLICE_HEAD bytes, or all it has.

        Pictures begin and end by what their units say then; a keyframe's timestamp is that of its first unit.
        """
        if self.fragments is not None:  # nobody said that the one before is over
            self._give_up()
        self._clock = timestamp
        if self._timestamp is None:
            self._timestamp = timestamp
        self._begin(head)

    def more_of_unit(self, data: bytes) -> None:
        """What follows its head."""
        parts = self.fragments
        if parts:
            parts.append(data)
            self._grow(len(data))

    def end_unit(self) -> None:
        """It is whole."""
        if self.fragments is not None:
            self._end_fragments()

    def lose(self) -> None:
        """Packets, or bytes, are missing here."""
        if self._state is State.BUILDING or self.fragments is not None:
            self._give_up()

    def open_unit(self) -> tuple[list[bytes | bytearray] | None, int, int, int] | None:
        """For the fast path: the parts of the open unit (None: not kept), its timestamp, room in bytes and in parts.

        None where no unit is open.
        """
        parts, timestamp = self.fragments, self._timestamp
        if parts is None or timestamp is None:
            return None
        if not parts:
            return None, timestamp, MAX_ACCESS_UNIT, MAX_PARTS
        return parts, timestamp, MAX_ACCESS_UNIT - self._size, MAX_PARTS - len(parts)

    def grown(self, size: int) -> None:
        """The fast path added `size` bytes to the open unit."""
        self._size += size

    def pull(self) -> KeyUnit | None:
        """The keyframe that the last pushes completed, once; None where there is none."""
        done, self._done = self._done, None
        return done

    def _at(self, timestamp: int) -> None:
        """What follows has that timestamp."""
        if timestamp != self._timestamp:
            if self._timestamp is not None:
                self._end_picture()
            self._timestamp = timestamp

    def _reset(self) -> None:
        self._parts: list[bytes | bytearray] = []
        self._size = 0
        self._has_slice = False  # of any picture
        self._idr = False  # keyframe slices are being kept
        self._whole = False  # its first slice begins at the first macroblock
        self._pps_id = 0
        self.fragments = None

    def _damage(self) -> None:
        self.malformed += 1
        self._give_up()

    def _give_up(self) -> None:
        """Drops the picture; also where it is not a keyframe's, as what it would have become is not known."""
        self.broken += 1
        self._reset()
        self._state = State.SKIPPING

    def _end_picture(self) -> None:
        if self.fragments is not None:
            self.broken += 1  # a fragmented unit without an end
        elif self._idr and self._whole:
            self._finish()
        between, self._between = self._between, []
        self._reset()
        self._state = State.JOINED
        if self._clock is not None:
            self._timestamp = self._clock
        for kind, unit in between:  # they belong to the picture that begins now
            self._non_slice(kind, unit)

    def _finish(self) -> None:
        sets = self._sets_in_force()
        if sets is None or self._timestamp is None:
            self.unready += 1
            return
        sps, units = sets
        head: list[bytes | bytearray] = [part for unit in units for part in (START_CODE, unit)]
        self._done = KeyUnit(b"".join(head + self._parts), sps, self._timestamp, self._clean())

    def _units(self, units: Iterable[bytes]) -> None:
        for unit in units:
            self._unit(unit)

    def _aggregate(self, payload: bytes, at: int, first: int = 0, further: int = 0) -> None:
        """Units from `at` on, each behind its size of two bytes; before that, bytes that say nothing to us."""
        end = len(payload)
        units: list[bytes] = []
        passed_over = first
        while at < end:
            at += passed_over
            passed_over = further
            if at + 2 > end:
                return self._damage()
            size = payload[at] << 8 | payload[at + 1]
            at += 2
            if at + size > end:
                return self._damage()
            units += _split(payload[at : at + size])
            at += size
        return self._units(units)

    def _take(self, kind: int, unit: bytes) -> None:
        """A whole unit."""
        if self.fragments is not None:  # the end of a fragmented unit never came
            self._give_up()
        if kind in self._SLICES:
            if self._begin_slice(kind, unit):
                self._keep(unit)
        else:
            self._non_slice(kind, unit)

    def _hold(self, kind: int, unit: bytes) -> None:
        """Behind a slice. These come before the slices of a picture, so this one is over; but GStreamer's rtph264pay
        and rtph265pay (1.22, config-interval=-1) repeat them before every slice of one keyframe: the next slice tells.
        """
        if len(self._between) < MAX_PARAMETER_SETS:
            self._between.append((kind, unit))

    def _within_picture(self) -> None:
        """The picture goes on after what stood between its slices: its parameter sets are known, SEI says nothing."""
        between, self._between = self._between, []
        for kind, unit in between:
            if kind in self._SETS:
                self._keep_parameter_set(unit, in_band=True)

    def _opens(self, *, first: bool) -> bool | None:
        """A slice begins: is it the first that we see of its picture? None where the picture is skipped."""
        if first and (self._has_slice or self._state is State.SKIPPING):
            self._end_picture()
        elif self._between:
            self._within_picture()
        if self._state is State.SKIPPING:
            return None
        self._state = State.BUILDING
        opens = not self._has_slice
        self._has_slice = True
        return opens

    def _keep(self, unit: bytes) -> None:
        self._parts.append(START_CODE)
        self._parts.append(unit)
        self._grow(len(unit) + len(START_CODE))

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > MAX_ACCESS_UNIT or len(self.fragments or self._parts) > MAX_PARTS:
            self._give_up()

    def _fragment(self, payload: bytes) -> None:
        header = self._FRAGMENT_HEADER
        if len(payload) < header:
            return self._damage()
        flags = payload[header - 1]
        if flags & 0x80:  # start
            if self.fragments is not None:
                self._give_up()
            return self._first_fragment(payload, flags)
        parts = self.fragments
        if parts is None:
            if self._state is State.BUILDING:
                self._give_up()
            elif self._state is State.JOINED:  # normal at join: the picture began before we came, and is not whole
                self._reset()
                self._state = State.SKIPPING
            return None
        if parts:
            parts.append(payload[header:])  # its type is the first fragment's: Tiandy changes it in mid-way
            self._grow(len(payload) - header)
        if flags & 0x40 and self.fragments is not None:  # end
            self._end_fragments()
        return None

    def _first_fragment(self, payload: bytes, flags: int) -> None:
        self._open(*self._unfragmented(payload))
        if flags & 0x40 and self.fragments is not None:
            self._end_fragments()

    def _open(self, kind: int, header: bytes, body: bytes) -> None:
        """A unit begins of which more will come."""
        if kind in self._SLICES:
            keep = self._begin_slice(kind, header + body[:SLICE_HEAD])
            if self._state is State.SKIPPING:
                return
            if keep:
                self._parts += (START_CODE, header, body)
                self.fragments = self._parts
                self._grow(len(START_CODE) + len(header) + len(body))
            else:
                self.fragments = []
        else:
            self.fragments = [header, body]

    def _end_fragments(self) -> None:
        parts, self.fragments = self.fragments, None
        if parts and parts is not self._parts:
            self._units(_split(b"".join(parts)))

    def _keep_parameter_set(self, unit: bytes, *, in_band: bool) -> None:
        """Keeps a set by its id; unreadable ones are counted. The first in-band set of a kind ends the SDP's."""
        unit = unit.rstrip(b"\x00")
        try:
            kind, sets, number = self._placed(unit)
        except ValueError:
            self.malformed += 1
            return
        if in_band and kind not in self._in_band:
            self._in_band.add(kind)
            sets.clear()
        if number in sets or len(sets) < MAX_PARAMETER_SETS:
            sets[number] = unit

    # ---- what a codec says

    def _payload(self, payload: bytes) -> None:
        """What an RTP payload, never empty, holds."""
        raise NotImplementedError

    def _unit(self, unit: bytes) -> None:
        """A whole unit, never empty."""
        raise NotImplementedError

    def _begin(self, head: bytes) -> None:
        """The first bytes of a unit that came without packets."""
        raise NotImplementedError

    def _unfragmented(self, payload: bytes) -> tuple[int, bytes, bytes]:
        """Of a unit's first fragment: the unit's kind, its header, and what follows that."""
        raise NotImplementedError

    def _begin_slice(self, kind: int, head: bytes) -> bool:
        """Sees the first bytes of a slice; is it one to keep?"""
        raise NotImplementedError

    def _non_slice(self, kind: int, unit: bytes) -> None:
        """Any other unit."""
        raise NotImplementedError

    def _placed(self, unit: bytes) -> tuple[int, dict[int, bytes], int]:
        """Of a parameter set: its kind, where those are kept, and its id. Raises ValueError."""
        raise NotImplementedError

    def _sets_in_force(self) -> tuple[bytes, list[bytes]] | None:
        """The SPS of the picture's first slice, and all sets in their order; None where one is missing."""
        raise NotImplementedError

    def _clean(self) -> bool:
        """Whether the keyframe is an IDR picture."""
        raise NotImplementedError


def _split(unit: bytes) -> list[bytes]:
    """What one unit should be; V380 sends Annex B in its place."""
    if b"\x00\x00\x01" in unit:
        return split_annex_b(unit)
    return [unit] if unit else []
