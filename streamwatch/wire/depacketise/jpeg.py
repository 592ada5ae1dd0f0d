"""Stage 3, wire: RTP payloads -> whole JPEG pictures (RFC 2435). Every one of them is a keyframe.

Push one packet, then pull until None; the states are those of `pictures`:

- JOINED: at the start, or past the end of a picture: what comes first may be the middle of a picture, which is normal;
- SKIPPING: something of this picture is missing; nothing is kept until the next one begins;
- BUILDING: fragments of one picture, each of which begins where the one before ended;
- COMPLETE: a picture waits to be pulled.

A picture ends with the marker bit; without one, where the next begins, if its data brought their own end (EOI).
Of an interlaced stream one field is the picture: RFC 2435 sends each as a picture of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, Self

from streamwatch.errors import LookError, Reason
from streamwatch.wire import jpeg
from streamwatch.wire.depacketise.pictures import MAX_ACCESS_UNIT, MAX_PARTS, State
from streamwatch.wire.jpeg import PictureSize, Tables
from streamwatch.wire.rtp import RtpPacket

MAIN_HEADER: Final = 8  # bytes, section 3.1
RESTART_HEADER: Final = 4  # section 3.1.7
TABLES_HEADER: Final = 4  # section 3.1.8
EXTENSION_HEADER: Final = 4  # bytes, RFC 3550 section 5.3.1: profile and length
RESTARTS: Final = 64  # types from here on are those 64 below with a restart header
UNKNOWN_TYPES: Final = 128  # and from here on agreed on by means that no camera has
OWN_TABLES: Final = 128  # Q from here on: the tables are in the stream
NEVER_KEPT: Final = 255  # Q whose tables may change with every picture
LARGEST_STATED: Final = 2040  # pixels a side, section 3.1.5: 255 x 8; a larger one is sent as 0
_OTHER_FRAMES: Final = frozenset(range(0xC1, 0xD0)) - {0xC4, 0xC8, 0xCC}  # T.81 table B.1; not DHT, JPG, DAC
_BLOCKS: Final = {0: jpeg.BLOCKS_422, 1: jpeg.BLOCKS_420}  # section 4.1


class JpegUnit(NamedTuple):
    """A whole picture. `data` is a JPEG file."""

    data: bytes
    size: PictureSize
    timestamp: int


class _Begun(NamedTuple):
    """What the first fragment said of its picture."""

    kind: bytes  # type, Q, width, height: the same in every fragment
    header: bytes
    size: PictureSize


def _stated(extension: bytes) -> dict[int, bytes]:
    """The segments in ONVIF's header extension of a picture's first packet (Streaming Specification, JPEG over RTP).

    Raises LookError(media.unsupported_codec) for a frame header that is not baseline with one or three components.
    """
    if not extension.startswith(jpeg.SOI):  # its profile is that marker
        return {}
    found = jpeg.segments_of(extension[EXTENSION_HEADER:])
    for marker in found:
        odd = marker == jpeg.SOF0 and jpeg.size_stated(found[marker]) is None
        if odd or marker in _OTHER_FRAMES:
            detail = f"the video is JPEG with a frame header ff{marker:02x} that is not decoded, only plain baseline"
            raise LookError(Reason.MEDIA_UNSUPPORTED_CODEC, detail)
    return found


class JpegDepacketiser:
    """One stream's state. `sprop`: a frame header (SOF0) with the size that the SDP states, where it states one.

    `broken` counts pictures given up for loss, damage or size; `malformed` packets that break the RFC; `unready`
    pictures whose quantisation tables have not come yet. `push` raises LookError(media.unsupported_codec) for types
    that only an agreement explains, and for a picture whose size nothing states.
    """

    __slots__ = (
        "_begun",
        "_done",
        "_parts",
        "_room",
        "_size",
        "_state",
        "_stated",
        "_tables",
        "_timestamp",
        "broken",
        "malformed",
        "unready",
    )

    def __init__(self, sprop: Iterable[bytes] = ()) -> None:
        self.broken = self.malformed = self.unready = 0
        self._state = State.JOINED
        self._stated = jpeg.size_stated(b"".join(sprop))
        self._tables: dict[int, Tables] = {}  # by Q: at most 127 x 256 bytes
        self._timestamp = 0
        self._begun: _Begun | None = None
        self._parts: list[bytes] = []
        self._size = 0  # bytes of scan data
        self._room = 0  # for them, beside the headers
        self._done: JpegUnit | None = None

    @classmethod
    def of(cls, parameter_sets: Iterable[bytes], fmtp: Mapping[str, str]) -> Self:  # noqa: ARG003 - as `Pictures`
        """For a track as its description has it."""
        return cls(parameter_sets)

    @property
    def state(self) -> State:
        """Where it stands."""
        return State.COMPLETE if self._done is not None else self._state

    def push(self, packet: RtpPacket, *, after_loss: bool = False) -> None:
        """Takes the next packet. `after_loss`: packets before it are missing."""
        payload = packet.payload
        if after_loss and self._state is State.BUILDING:
            self._give_up()
        if not payload:
            return  # says nothing
        if len(payload) < MAIN_HEADER:
            self._damage()
            return
        offset = int.from_bytes(payload[1:4])
        if offset == 0:
            self._begin(packet)
        elif self._state is State.BUILDING and self._begun is not None:
            fits = offset == self._size and packet.timestamp == self._timestamp and payload[4:8] == self._begun.kind
            if fits:
                self._keep(payload[MAIN_HEADER + (RESTART_HEADER if payload[4] >= RESTARTS else 0) :])
            else:
                self._give_up()
        if packet.marker:
            self._end()

    def pull(self) -> JpegUnit | None:
        """The picture that the last pushes completed, once; None where there is none."""
        done, self._done = self._done, None
        return done

    def _reset(self, state: State) -> None:
        self._state = state
        self._begun = None
        self._parts = []
        self._size = 0

    def _damage(self) -> None:
        self.malformed += 1
        self._give_up()

    def _give_up(self) -> None:
        self.broken += 1
        self._reset(State.SKIPPING)

    def _begin(self, packet: RtpPacket) -> None:
        if self._state is State.BUILDING:  # without a marker, and nothing was lost: its own end tells
            if self._parts and self._parts[-1].endswith(jpeg.EOI):
                self._end()
            else:
                self._give_up()
        self._reset(State.SKIPPING)
        payload = packet.payload
        kind, quality = payload[4], payload[5]
        blocks = _BLOCKS.get(kind % RESTARTS)
        if kind >= UNKNOWN_TYPES or blocks is None:
            detail = f"the video is JPEG of type {kind}, which RFC 2435 does not define; 0, 1, 64 and 65 are decoded"
            raise LookError(Reason.MEDIA_UNSUPPORTED_CODEC, detail)
        at = MAIN_HEADER
        interval = 0
        if kind >= RESTARTS:
            interval = int.from_bytes(payload[at : at + 2])
            at += RESTART_HEADER
        stated = _stated(packet.extension)
        tables: Tables | None = None
        if quality or jpeg.DQT not in stated:
            tables, at = self._quantisation(quality, payload, at)
            if tables is None:
                return
        width, height = self._sides(payload[6] * 8, payload[7] * 8, stated.get(jpeg.SOF0, b""))
        header = jpeg.headers(width, height, blocks, tables, interval, stated)
        self._begun = _Begun(payload[4:8], header, jpeg.size_in(width, height))
        self._timestamp = packet.timestamp
        self._state = State.BUILDING
        self._room = MAX_ACCESS_UNIT - len(header) - len(jpeg.EOI)
        self._keep(payload[at:])

    def _quantisation(self, quality: int, payload: bytes, at: int) -> tuple[Tables | None, int]:
        """The picture's tables and where its data begin; None where it has none, which was counted."""
        if quality < OWN_TABLES:
            if not 1 <= quality <= 99:  # section 4.2: reserved
                self._damage()
                return None, at
            return jpeg.tables_of(quality), at
        if at + TABLES_HEADER > len(payload):
            self._damage()
            return None, at
        precision = payload[at + 1]
        length = int.from_bytes(payload[at + 2 : at + 4])
        at += TABLES_HEADER
        if length == 0:
            tables = self._tables.get(quality)
            if tables is None:
                self.unready += 1
            return tables, at
        found: list[bytes] = []
        begin, end = at, at + length
        while begin < end and len(found) < 2:  # types 0 and 1 use two; some send one for all components
            size = jpeg.TABLE * (2 if precision >> len(found) & 1 else 1)
            found.append(payload[begin : begin + size])
            begin += size
        if end > len(payload) or begin > end:
            self._damage()
            return None, at
        tables = Tables(found[0], found[-1])
        if quality != NEVER_KEPT:
            self._tables[quality] = tables
        return tables, end

    def _sides(self, width: int, height: int, frame: bytes) -> tuple[int, int]:
        """Width and height: the header has them in steps of 8, and 0 where they are too large for it.

        The frame header of ONVIF's header extension wins; what the SDP states does where it is the same in those steps,
        or the header says 0.
        """
        stated = jpeg.size_stated(frame)
        if stated is not None:
            return stated
        stated = self._stated
        if stated is not None:
            rounded = -(-stated[0] // 8) * 8, -(-stated[1] // 8) * 8
            if not (width and height) or rounded == (width, height):
                return stated
        if width and height:
            return width, height
        detail = (
            f"the picture is wider or higher than the {LARGEST_STATED} pixels that JPEG over RTP can tell, and neither "
            "its description (x-dimensions, framesize) nor ONVIF's header extension tells its size"
        )
        raise LookError(Reason.MEDIA_UNSUPPORTED_CODEC, detail)

    def _keep(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size > self._room or len(self._parts) > MAX_PARTS:
            self._give_up()

    def _end(self) -> None:
        begun = self._begun
        if begun is not None and self._size:
            self._parts.insert(0, begun.header)
            if not self._parts[-1].endswith(jpeg.EOI):
                self._parts.append(jpeg.EOI)
            self._done = JpegUnit(b"".join(self._parts), begun.size, self._timestamp)
        self._reset(State.JOINED)
