"""Stage 3, wire: RTP payloads -> whole H.264 keyframes (RFC 6184: single NAL unit, STAP-A, FU-A).

Push one packet, then pull until None. The state is one of four:

- JOINED: at the start, or past the end of a picture: what comes first may be the middle of a picture, which is normal;
- SKIPPING: something of this picture is missing; nothing is kept until the next one begins;
- BUILDING: slices of one picture are being collected (only those of a keyframe are kept);
- COMPLETE: a keyframe waits to be pulled.

A picture ends with the marker bit, or where the next one begins: another timestamp, or, for cameras that neither mark
nor count time, a unit that cannot follow a slice within a picture (clause 7.4.1.2.3).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final, NamedTuple

from streamwatch.wire import bitstream
from streamwatch.wire.bitstream import START_CODE, Sps
from streamwatch.wire.rtp import RtpPacket

MAX_ACCESS_UNIT: Final = 4 * 2**20  # bytes; 4 MiB x 64 decoders in flight = 256 MiB worst case
MAX_PARTS: Final = 65_536  # start codes, headers and fragments of one picture: 4 MiB in fragments of 64 bytes
MAX_PARAMETER_SETS: Final = 16  # of each kind; real cameras have one or two

STAP_A: Final = 24  # RFC 6184 section 5.7.1
FU_A: Final = 28  # RFC 6184 section 5.8
_NOT_OURS: Final = frozenset({0, 25, 26, 27, 29, 30, 31})  # undefined, or only in interleaved mode, which nobody offers


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
    idr: bool  # False: a recovery point whose slices are all intra

    @property
    def size(self) -> Sps:
        """What says how large it is."""
        return bitstream.parse_sps(self.sps)


class H264Depacketiser:
    """One stream's state. In-band parameter sets win over `sprop`, those of the SDP.

    `broken` counts pictures given up for loss, damage or size; `malformed` packets that break the RFC; `unready`
    keyframes that came whole but with no parameter sets known.
    """

    __slots__ = (
        "_between",
        "_done",
        "_fragmented",
        "_has_slice",
        "_idr",
        "_in_band",
        "_parts",
        "_pps",
        "_pps_id",
        "_recovery",
        "_size",
        "_sps",
        "_state",
        "_timestamp",
        "_whole",
        "broken",
        "malformed",
        "unready",
    )

    def __init__(self, sprop: Iterable[bytes] = ()) -> None:
        self.broken = self.malformed = self.unready = 0
        self._state = State.JOINED
        self._sps: dict[int, bytes] = {}
        self._pps: dict[int, bytes] = {}
        self._in_band: set[int] = set()  # kinds of parameter sets that came in-band
        self._timestamp: int | None = None
        self._between: list[tuple[int, bytes]] = []  # sets and SEI since the last slice, until the next one tells
        self._done: KeyUnit | None = None
        self._fragmented: list[bytes | bytearray] | None = None  # of the unit that an FU-A began; empty: not kept
        self._reset()
        for unit in sprop:
            self._keep_parameter_set(unit, in_band=False)

    @property
    def state(self) -> State:
        """Where it stands."""
        return State.COMPLETE if self._done is not None else self._state

    def push(self, packet: RtpPacket, *, after_loss: bool = False) -> None:
        """Takes the next packet. `after_loss`: packets before it are missing."""
        payload = packet.payload
        if after_loss:
            self._lose()
        if packet.timestamp != self._timestamp:
            if self._timestamp is not None:
                self._end_picture()
            self._timestamp = packet.timestamp
        if not payload:
            return  # "empty NAL": seen as keepalive; says nothing
        kind = payload[0] & 0x1F
        if payload[0] & 0x80:  # forbidden_zero_bit: the sender itself says that this is damaged
            self._damage()
        elif kind == FU_A:
            self._fragment(payload)
        elif kind == STAP_A:
            self._aggregate(payload)
        elif kind == 0 and payload.startswith((b"\x00\x00\x01", START_CODE)):
            self._units(bitstream.split_annex_b(payload))  # V380: Annex B within one payload
        elif kind in _NOT_OURS:
            self.malformed += 1
        elif payload.find(b"\x00\x00\x01", 1) >= 0:
            self._units(bitstream.split_annex_b(payload))
        else:
            self._unit(payload)
        if packet.marker and (self._has_slice or self._state is State.SKIPPING):
            self._end_picture()  # not on a marker of parameter sets or SEI alone (Ivel)

    def open_unit(self) -> tuple[list[bytes | bytearray] | None, int, int, int] | None:
        """For the fast path: the parts of the open unit (None: not kept), its timestamp, room in bytes and in parts.

        None where no unit is open.
        """
        parts, timestamp = self._fragmented, self._timestamp
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

    def _reset(self) -> None:
        self._parts: list[bytes | bytearray] = []
        self._size = 0
        self._has_slice = False  # of any picture
        self._idr = False  # keyframe slices are being kept
        self._recovery = False
        self._whole = False  # its first slice begins at the first macroblock
        self._pps_id = 0
        self._fragmented = None

    def _lose(self) -> None:
        if self._state is State.BUILDING or self._fragmented is not None:
            self._give_up()

    def _damage(self) -> None:
        self.malformed += 1
        self._give_up()

    def _give_up(self) -> None:
        """Drops the picture; also where it is not a keyframe's, as what it would have become is not known."""
        self.broken += 1
        self._reset()
        self._state = State.SKIPPING

    def _end_picture(self) -> None:
        if self._fragmented is not None:
            self.broken += 1  # a fragmented unit without an end
        elif self._idr and self._whole:
            self._finish()
        between, self._between = self._between, []
        self._reset()
        self._state = State.JOINED
        for kind, unit in between:  # they belong to the picture that begins now
            self._non_slice(kind, unit)

    def _finish(self) -> None:
        pps = self._pps.get(self._pps_id)
        sps = None if pps is None else self._sps.get(bitstream.parse_pps_ids(pps)[1])
        if pps is None or sps is None or self._timestamp is None:
            self.unready += 1
            return
        sets: list[bytes | bytearray] = [part for unit in (sps, *self._pps_of(sps)) for part in (START_CODE, unit)]
        self._done = KeyUnit(b"".join(sets + self._parts), sps, self._timestamp, not self._recovery)

    def _pps_of(self, sps: bytes) -> list[bytes]:
        wanted = bitstream.parse_sps(sps).id
        return [unit for unit in self._pps.values() if bitstream.parse_pps_ids(unit)[1] == wanted]

    def _aggregate(self, payload: bytes) -> None:
        at, end = 1, len(payload)
        units = []
        while at < end:
            if at + 2 > end:
                return self._damage()
            size = payload[at] << 8 | payload[at + 1]
            at += 2
            if at + size > end:
                return self._damage()
            if size:
                units.append(payload[at : at + size])
            at += size
        return self._units(units)

    def _units(self, units: Iterable[bytes]) -> None:
        for unit in units:
            self._unit(unit)

    def _unit(self, unit: bytes) -> None:
        if self._fragmented is not None:  # the end of a fragmented unit never came
            self._give_up()
        kind = unit[0] & 0x1F
        if kind in {bitstream.SLICE, bitstream.SLICE_IDR}:
            if self._begin_slice(kind, unit):
                self._keep(unit)
        else:
            self._non_slice(kind, unit)

    def _non_slice(self, kind: int, unit: bytes) -> None:
        if not bitstream.SEI <= kind <= bitstream.DELIMITER:
            return
        if self._has_slice and kind != bitstream.DELIMITER:
            # These come before the slices of a picture, so this one is over; but GStreamer's rtph264pay (1.22,
            # config-interval=-1) repeats them before every slice of one keyframe: the next slice tells.
            if len(self._between) < MAX_PARAMETER_SETS:
                self._between.append((kind, unit))
            return
        if self._has_slice or self._state is State.SKIPPING:
            self._end_picture()
        if kind == bitstream.SEI:
            if bitstream.is_recovery_point(unit):
                self._recovery = True
                self._keep(unit)  # the decoder wants to see it too
        elif kind != bitstream.DELIMITER:
            self._keep_parameter_set(unit, in_band=True)

    def _within_picture(self) -> None:
        """The picture goes on after what stood between its slices: its parameter sets are known, SEI says nothing."""
        between, self._between = self._between, []
        for kind, unit in between:
            if kind != bitstream.SEI:
                self._keep_parameter_set(unit, in_band=True)

    def _begin_slice(self, kind: int, head: bytes) -> bool:
        """Sees the first bytes of a slice; is it one to keep?"""
        first = len(head) > 1 and head[1] & 0x80 != 0  # first_mb_in_slice ue(v) = 0 is a single 1
        if first and (self._has_slice or self._state is State.SKIPPING):
            self._end_picture()
        elif self._between:
            self._within_picture()
        if self._state is State.SKIPPING:
            return False
        self._state = State.BUILDING
        opens = not self._has_slice
        self._has_slice = True
        idr = kind == bitstream.SLICE_IDR
        if not idr and not (self._recovery and (opens or self._idr)):
            return False
        try:
            slice_head = bitstream.peek_slice(head)
        except ValueError:
            self._damage()
            return False
        if idr:
            self._recovery = False
        elif slice_head.kind not in bitstream.I_SLICES:
            self._recovery = self._idr = False
            self._parts = []
            return False
        if opens:
            self._whole = first
            self._pps_id = slice_head.pps
        self._idr = True
        return True

    def _keep(self, unit: bytes) -> None:
        self._parts.append(START_CODE)
        self._parts.append(unit)
        self._grow(len(unit) + len(START_CODE))

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > MAX_ACCESS_UNIT or len(self._fragmented or self._parts) > MAX_PARTS:
            self._give_up()

    def _fragment(self, payload: bytes) -> None:
        if len(payload) < 2:
            return self._damage()
        flags = payload[1]
        if flags & 0x80:  # start
            if self._fragmented is not None:
                self._give_up()
            return self._first_fragment(payload, flags)
        parts = self._fragmented
        if parts is None:
            if self._state is State.BUILDING:
                self._give_up()
            elif self._state is State.JOINED:  # normal at join: the picture began before we came, and is not whole
                self._reset()
                self._state = State.SKIPPING
            return None
        if parts:
            parts.append(payload[2:])  # its type is the first fragment's: Tiandy changes it in mid-way
            self._grow(len(payload) - 2)
        if flags & 0x40 and self._fragmented is not None:  # end
            self._end_fragments()
        return None

    def _first_fragment(self, payload: bytes, flags: int) -> None:
        kind = flags & 0x1F
        header = bytes((payload[0] & 0xE0 | kind,))
        body = payload[2:]
        if kind in {bitstream.SLICE, bitstream.SLICE_IDR}:
            keep = self._begin_slice(kind, header + body[:24])
            if self._state is State.SKIPPING:
                return
            if keep:
                self._parts += (START_CODE, header, body)
                self._fragmented = self._parts
                self._grow(len(body) + 5)
            else:
                self._fragmented = []
        else:
            self._fragmented = [header, body]
        if flags & 0x40 and self._fragmented is not None:
            self._end_fragments()

    def _end_fragments(self) -> None:
        parts, self._fragmented = self._fragmented, None
        if parts and parts is not self._parts:
            unit = b"".join(parts)
            self._units(bitstream.split_annex_b(unit) if b"\x00\x00\x01" in unit else [unit])

    def _keep_parameter_set(self, unit: bytes, *, in_band: bool) -> None:
        """Keeps a set by its id; unreadable ones are counted. The first in-band set of a kind ends the SDP's."""
        unit = unit.rstrip(b"\x00")
        kind = unit[0] & 0x1F if unit else 0
        try:
            if kind == bitstream.SPS:
                sets, number = self._sps, bitstream.parse_sps(unit).id
            else:
                sets, number = self._pps, bitstream.parse_pps_ids(unit)[0]
        except ValueError:
            self.malformed += 1
            return
        if in_band and kind not in self._in_band:
            self._in_band.add(kind)
            sets.clear()
        if number in sets or len(sets) < MAX_PARAMETER_SETS:
            sets[number] = unit
