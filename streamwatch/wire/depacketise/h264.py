"""Stage 3, wire: RTP payloads -> whole H.264 keyframes (RFC 6184, all packetization modes).

How pictures begin, end and are given up is in `pictures`. Decoding order numbers of the interleaved mode (STAP-B, MTAP,
FU-B) are read, but units are not put in another order than they came in: nobody was seen to interleave, and a picture
whose numbers go back is given up. Of a frame that is coded field by field (PAFF) the keyframe is both fields.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Final, NamedTuple

from streamwatch.wire import bitstream
from streamwatch.wire.bitstream import START_CODE
from streamwatch.wire.depacketise.pictures import FragmentShape, Pictures, State
from streamwatch.wire.rtp import SEQUENCE_HALF

STAP_A: Final = 24  # RFC 6184 section 5.7.1
STAP_B: Final = 25
MTAP16: Final = 26  # section 5.7.2
MTAP24: Final = 27
FU_A: Final = 28  # section 5.8
FU_B: Final = 29
DON: Final = 2  # bytes of a decoding order number, section 5.5
_NOT_OURS: Final = frozenset({0, 30, 31})  # undefined


class _Waiting(NamedTuple):
    """A whole first field of a keyframe."""

    field: bitstream.Field
    parts: list[bytes | bytearray]
    size: int
    pps: int
    recovery: bool


class H264Depacketiser(Pictures):
    """One stream's state, as `Pictures`; a picture after a recovery point whose slices are all intra is a keyframe."""

    __slots__ = ("_field", "_in_force", "_number", "_pps", "_recovery", "_second", "_sps", "_waiting")

    SHAPE = FragmentShape(Struct("!HHHHQBB"), 14, 0x9F, FU_A)  # and no forbidden bit
    _FRAGMENT_HEADER = 2  # FU indicator, FU header
    _SLICES = frozenset({bitstream.SLICE, bitstream.SLICE_IDR})
    _SETS = frozenset({bitstream.SPS, bitstream.PPS})

    def __init__(self, sprop: Iterable[bytes] = ()) -> None:
        self._in_force: tuple[int, tuple[bytes, list[bytes]] | None] | None = None  # until another set comes
        self._sps: dict[int, bytes] = {}
        self._pps: dict[int, bytes] = {}
        self._number: int | None = None  # the latest decoding order number
        self._waiting: _Waiting | None = None  # for the field that comes next
        super().__init__(sprop)

    @staticmethod
    def size_of(sps: bytes) -> bitstream.Sps:
        """The SPS, read. Raises ValueError."""
        return bitstream.parse_sps(sps)

    def _reset(self) -> None:
        super()._reset()
        self._recovery = False
        self._field: bitstream.Field | None = None  # that the picture is; None: a frame
        self._second = False  # it completes the field before

    def _payload(self, payload: bytes) -> None:
        kind = payload[0] & 0x1F
        if payload[0] & 0x80:  # forbidden_zero_bit: the sender itself says that this is damaged
            self._damage()
        elif kind == FU_A:
            self._fragment(payload)
        elif kind == STAP_A:
            self._aggregate(payload, 1)
        elif STAP_B <= kind <= FU_B:
            self._interleaved(kind, payload)
        elif kind == 0 and START_CODE[1:] in payload:
            self._units(bitstream.split_annex_b(payload))  # V380: Annex B within one payload
        elif kind in _NOT_OURS:
            self.malformed += 1
        elif payload.find(b"\x00\x00\x01", 1) >= 0:
            self._units(bitstream.split_annex_b(payload))
        else:
            self._unit(payload)

    def _interleaved(self, kind: int, payload: bytes) -> None:
        """What packetization mode 2 has besides: as in the others, behind a decoding order number."""
        at = 2 if kind == FU_B else 1  # FU indicator, FU header; or one header
        if len(payload) < at + DON or (kind == FU_B and not payload[1] & 0x80):  # only a first fragment has a number
            return self._damage()
        number, last = payload[at] << 8 | payload[at + 1], self._number
        self._number = number
        if last is not None and (number - last) & 0xFFFF >= SEQUENCE_HALF:
            return self._damage()
        if kind == FU_B:
            return self._fragment(payload[:at] + payload[at + DON :])
        if kind == STAP_B:
            return self._aggregate(payload, at + DON)
        return self._aggregate_times(payload, at + DON, 2 if kind == MTAP16 else 3)

    def _aggregate_times(self, payload: bytes, at: int, width: int) -> None:
        """Units from `at` on, each behind its size, a number, and how much later than the packet it is (`width`)."""
        found: list[tuple[int, int, bytes]] = []
        while at < len(payload):
            size = int.from_bytes(payload[at : at + 2])
            begin = at + 3 + width
            if begin + size > len(payload):
                return self._damage()
            found.append((payload[at + 2], int.from_bytes(payload[at + 3 : begin]), payload[begin : begin + size]))
            at = begin + size
        base = self._timestamp or 0
        for _, offset, unit in sorted(found, key=lambda one: one[0]):
            self._at((base + offset) & 0xFFFFFFFF)
            if unit:
                self._unit(unit)
        return None

    def _unit(self, unit: bytes) -> None:
        self._take(unit[0] & 0x1F, unit)

    def _begin(self, head: bytes) -> None:
        if head[0] & 0x80:
            self._damage()
        else:
            self._open(head[0] & 0x1F, head[:1], head[1:])

    def _unfragmented(self, payload: bytes) -> tuple[int, bytes, bytes]:
        kind = payload[1] & 0x1F
        return kind, bytes((payload[0] & 0xE0 | kind,)), payload[2:]

    def _non_slice(self, kind: int, unit: bytes) -> None:
        if not bitstream.SEI <= kind <= bitstream.PPS:
            return  # a delimiter says nothing that the next slice does not say
        if self._has_slice:
            self._hold(kind, unit)
            return
        if self._state is State.SKIPPING:
            self._end_picture()
        if kind == bitstream.SEI:
            at_once = bitstream.recovery_point(unit)
            if at_once:
                self._recovery = True
                self._keep(unit)  # the decoder wants to see it too
            elif at_once is not None:
                self.gradual += 1
        else:
            self._keep_parameter_set(unit, in_band=True)

    def _begin_slice(self, kind: int, head: bytes) -> bool:
        first = len(head) > 1 and head[1] & 0x80 != 0  # first_mb_in_slice ue(v) = 0 is a single 1
        opens = self._opens(first=first)
        if opens is None:
            return False
        idr = kind == bitstream.SLICE_IDR
        if opens and self._waiting is not None:
            self._second = self._completes(head, first=first)
        if self._second and not self._recovery:
            return True  # behind an IDR field there is nothing else that it could refer to
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
        if opens and not self._second:
            self._whole = first
            self._pps_id = slice_head.pps
            self._field = self._field_of(head)
        self._idr = True
        return True

    def _field_of(self, head: bytes) -> bitstream.Field | None:
        sets = self._sets_in_force()
        try:
            return None if sets is None else bitstream.peek_field(head, bitstream.parse_sps(sets[0]))
        except ValueError:
            return None

    def _completes(self, head: bytes, *, first: bool) -> bool:
        """A picture begins behind a field of a keyframe: is it the same frame's other field, and goes on with it?"""
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return False
        self._pps_id = waiting.pps
        field = self._field_of(head) if first else None
        if field is None or field != bitstream.Field(waiting.field.frame, not waiting.field.bottom):
            self.broken += 1
            return False
        self._parts, self._size = waiting.parts + self._parts, waiting.size + self._size
        self._recovery = waiting.recovery
        self._idr = self._whole = True
        return True

    def _finish(self) -> None:
        if self._field is None:
            super()._finish()
        else:  # an intra field, and one that needs no other picture than it
            self._waiting = _Waiting(self._field, self._parts, self._size, self._pps_id, self._recovery)

    def lose(self) -> None:
        """Packets, or bytes, are missing here."""
        if self._waiting is not None:
            self._waiting = None
            self.broken += 1
        super().lose()

    def _placed(self, unit: bytes) -> tuple[int, dict[int, bytes], int]:
        self._in_force = None
        kind = unit[0] & 0x1F if unit else 0
        if kind == bitstream.SPS:
            return kind, self._sps, bitstream.parse_sps(unit).id
        return kind, self._pps, bitstream.parse_pps_ids(unit)[0]

    def _sets_in_force(self) -> tuple[bytes, list[bytes]] | None:
        if self._in_force is None or self._in_force[0] != self._pps_id:
            self._in_force = self._pps_id, self._found_sets()
        return self._in_force[1]

    def _found_sets(self) -> tuple[bytes, list[bytes]] | None:
        pps = self._pps.get(self._pps_id)
        sps = None if pps is None else self._sps.get(bitstream.parse_pps_ids(pps)[1])
        if sps is None:
            return None
        wanted = bitstream.parse_sps(sps).id
        return sps, [sps, *(unit for unit in self._pps.values() if bitstream.parse_pps_ids(unit)[1] == wanted)]

    def _clean(self) -> bool:
        return not self._recovery
