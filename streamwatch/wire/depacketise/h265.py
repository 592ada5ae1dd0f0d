"""Stage 3, wire: RTP payloads -> whole H.265 keyframes (RFC 7798: single NAL unit, aggregation packet, FU, PACI).

How pictures begin, end and are given up is in `pictures`. A keyframe is an IRAP picture (IDR, CRA or BLA): all of its
slices are intra, and the pictures that lead it are not looked at. Packets are taken in the order of RTP; decoding order
numbers, for senders that interleave units (sprop-max-don-diff above 0), are passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from struct import Struct
from typing import Final, Self

from streamwatch.errors import LookError, Reason
from streamwatch.wire import bitstream, bitstream_h265
from streamwatch.wire.bitstream import START_CODE
from streamwatch.wire.depacketise.pictures import FragmentShape, Pictures, State

AGGREGATION: Final = 48  # RFC 7798 section 4.4.2
FRAGMENTATION: Final = 49  # section 4.4.3
PACI: Final = 50  # section 4.4.4; above is unspecified
PACI_HEADER: Final = 4  # bytes: payload header, fields
DON: Final = 2  # bytes of DONL, sections 4.4.1 to 4.4.3
DON_DIFFERENCE: Final = 1  # bytes of DOND, section 4.4.2

_IRAP: Final = frozenset(range(bitstream_h265.BLA_W_LP, bitstream_h265.CRA + 1))
_ENDS: Final = frozenset(
    {bitstream_h265.END_OF_SEQUENCE, bitstream_h265.END_OF_STREAM}
)  # what a picture does not go on behind
_SEVERAL_STREAMS: Final = frozenset({"MRST", "MRMT"})  # section 7.1: sub-layers in RTP streams of their own


def is_numbered(fmtp: Mapping[str, str]) -> bool:
    """Whether units have decoding order numbers before them (RFC 7798 section 7.1: sprop-max-don-diff above 0)."""
    return fmtp.get("sprop-max-don-diff", "").strip("0") != ""


def _is_refinement(unit: bytes) -> bool:
    """Of a layer above 0 (nuh_layer_id): what refines the picture is not looked at."""
    return unit[0] & 0x01 != 0 or (len(unit) > 1 and unit[1] & 0xF8 != 0)


class H265Depacketiser(Pictures):
    """One stream's state, as `Pictures`. `numbered`: units have decoding order numbers before them."""

    __slots__ = ("_kind", "_numbered", "_pps", "_sps", "_vps")

    SHAPE = FragmentShape(Struct("!HHHHQHB"), 15, 0xFFF8, FRAGMENTATION << 9)  # no forbidden bit, layer 0
    _FRAGMENT_HEADER = 3  # payload header, FU header
    _SLICES = frozenset(range(bitstream_h265.LAST_SLICE + 1))
    _SETS = frozenset({bitstream_h265.VPS, bitstream_h265.SPS, bitstream_h265.PPS})

    def __init__(self, sprop: Iterable[bytes] = (), *, numbered: bool = False) -> None:
        self._vps: dict[int, bytes] = {}
        self._sps: dict[int, bytes] = {}
        self._pps: dict[int, bytes] = {}
        self._numbered = numbered
        super().__init__(sprop)

    @classmethod
    def of(cls, parameter_sets: Iterable[bytes], fmtp: Mapping[str, str]) -> Self:
        """For a track as its description has it. Raises LookError(media.unsupported_codec)."""
        mode = fmtp.get("tx-mode", "").upper()
        if mode in _SEVERAL_STREAMS:
            raise LookError(
                Reason.MEDIA_UNSUPPORTED_CODEC, f"the H.265 video comes in several RTP streams (tx-mode {mode})"
            )
        return cls(parameter_sets, numbered=is_numbered(fmtp))

    @staticmethod
    def size_of(sps: bytes) -> bitstream_h265.Sps:
        """The SPS, read. Raises ValueError."""
        return bitstream_h265.parse_sps(sps)

    def _reset(self) -> None:
        super()._reset()
        self._kind = 0  # of the keyframe's slices

    def _payload(self, payload: bytes) -> None:
        kind = bitstream_h265.kind_of(payload)
        if payload[0] & 0x80:  # forbidden_zero_bit: the sender itself says that this is damaged
            self._damage()
        elif _is_refinement(payload):
            return
        elif kind == FRAGMENTATION:
            self._fragment(payload)
        elif kind == AGGREGATION:
            numbers = (DON, DON_DIFFERENCE) if self._numbered else (0, 0)
            self._aggregate(payload, bitstream_h265.HEADER, *numbers)
        elif kind == PACI:
            self._unwrap(payload)
        elif payload.startswith((b"\x00\x00\x01", START_CODE)):  # no header: nuh_temporal_id_plus1 is never 0
            self._units(bitstream.split_annex_b(payload))
        elif kind > PACI:
            self.malformed += 1
        else:
            if self._numbered:
                payload = payload[: bitstream_h265.HEADER] + payload[bitstream_h265.HEADER + DON :]
            if payload.find(b"\x00\x00\x01", 1) >= 0:  # as with H.264: Annex B within one payload
                self._units(bitstream.split_annex_b(payload))
            else:
                self._unit(payload)

    def _unwrap(self, payload: bytes) -> None:
        """A payload behind extensions, whose own header is in two pieces: A and cType, and the rest in PACI's."""
        if len(payload) < PACI_HEADER:
            return self._damage()
        fields = payload[2] << 8 | payload[3]
        kind, skipped = fields >> 9 & 0x3F, fields >> 4 & 0x1F
        body = payload[PACI_HEADER + skipped :]
        if kind == PACI or not body:
            return self._damage()
        return self._payload(bytes((payload[2] & 0x80 | kind << 1 | payload[0] & 0x01, payload[1])) + body)

    def _unit(self, unit: bytes) -> None:
        if len(unit) < bitstream_h265.HEADER:
            self.malformed += 1
        elif not _is_refinement(unit):
            self._take(bitstream_h265.kind_of(unit), unit)

    def _begin(self, head: bytes) -> None:
        if head[0] & 0x80 or len(head) < bitstream_h265.HEADER:
            self._damage()
        elif not _is_refinement(head):
            self._open(bitstream_h265.kind_of(head), head[: bitstream_h265.HEADER], head[bitstream_h265.HEADER :])

    def _unfragmented(self, payload: bytes) -> tuple[int, bytes, bytes]:
        kind = payload[2] & 0x3F
        header = bytes((payload[0] & 0x81 | kind << 1, payload[1]))
        return kind, header, payload[3 + DON if self._numbered else 3 :]

    def _non_slice(self, kind: int, unit: bytes) -> None:
        begins = kind in self._SETS or kind == bitstream_h265.PREFIX_SEI
        if not begins and kind not in _ENDS:
            return
        if self._has_slice and begins:
            self._hold(kind, unit)
            return
        if self._has_slice or self._state is State.SKIPPING:
            self._end_picture()
        if kind in self._SETS:
            self._keep_parameter_set(unit, in_band=True)
        elif kind == bitstream_h265.PREFIX_SEI and bitstream.recovery_point(unit, bitstream_h265.HEADER) is False:
            self.gradual += 1

    def _begin_slice(self, kind: int, head: bytes) -> bool:
        first = bitstream_h265.begins_picture(head)
        opens = self._opens(first=first)
        if opens is None:
            return False
        if kind not in _IRAP or not (opens or self._idr):
            if self._idr:  # all slices of an IRAP picture are of its kind, clause 7.4.2.2
                self._damage()
            return False
        try:
            pps = bitstream_h265.slice_pps(head)
        except ValueError:
            self._damage()
            return False
        if opens:
            self._whole = first
            self._pps_id = pps
            self._kind = kind
        self._idr = True
        return True

    def _placed(self, unit: bytes) -> tuple[int, dict[int, bytes], int]:
        kind = bitstream_h265.kind_of(unit) if unit else 0
        if kind == bitstream_h265.VPS:
            return kind, self._vps, bitstream_h265.parse_vps_id(unit)
        if kind == bitstream_h265.SPS:
            return kind, self._sps, bitstream_h265.parse_sps(unit).id
        return kind, self._pps, bitstream_h265.parse_pps_ids(unit)[0]

    def _sets_in_force(self) -> tuple[bytes, list[bytes]] | None:
        pps = self._pps.get(self._pps_id)
        sps = None if pps is None else self._sps.get(bitstream_h265.parse_pps_ids(pps)[1])
        if sps is None:
            return None
        found = bitstream_h265.parse_sps(sps)
        vps = self._vps.get(found.vps)
        if vps is None:
            return None
        own = [unit for unit in self._pps.values() if bitstream_h265.parse_pps_ids(unit)[1] == found.id]
        return sps, [vps, sps, *own]

    def _clean(self) -> bool:
        return self._kind in {bitstream_h265.IDR_W_RADL, bitstream_h265.IDR_N_LP}
