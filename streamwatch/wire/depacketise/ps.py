"""Stage 3, wire: RTP payloads of an MPEG program stream (GB/T 28181 annex C) -> whole keyframes of the video in it.

`wire.ps` finds the video, this its units, and the pictures are those of the codec's own depacketiser. A picture ends
where the next one begins, as units say it: marker bits and timestamps are set by packs, or packets, or nothing at all.

Which codec it is, the parameter sets tell: they look alike in no codec. The map is believed as long as none came, as
maps come once (GStreamer), never (FFmpeg), or name the wrong one of the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Self

from streamwatch.errors import LookError, Reason
from streamwatch.wire import bitstream
from streamwatch.wire.bitstream import PictureSize
from streamwatch.wire.depacketise.h264 import H264Depacketiser
from streamwatch.wire.depacketise.h265 import H265Depacketiser
from streamwatch.wire.depacketise.pictures import SLICE_HEAD, KeyUnit, Pictures, State
from streamwatch.wire.ps import ProgramStream
from streamwatch.wire.rtp import RtpPacket

STREAM_TYPES: Final = {0x1B: "h264", 0x24: "h265"}  # ISO/IEC 13818-1 table 2-34
OTHER_TYPES: Final = {  # the same, and GB/T 28181 annex C
    0x01: "MPEG-1",
    0x02: "MPEG-2",
    0x10: "MPEG-4 part 2",
    0x1E: "MPEG-C",
    0x33: "H.266",
    0x42: "AVS",
    0x80: "SVAC",
    0xD2: "AVS2",
    0xD4: "AVS3",
}
ENCRYPTED_TYPES: Final = frozenset({0xCF, 0xDB})  # audio and video of Apple's sample encryption, also in cameras
SCRAMBLED_PATIENCE: Final = 2  # packets that say so: one alone may be made of what was lost
_OTHER_UNITS: Final = {  # start codes that neither codec has and others begin with
    0xB0: "MPEG-4 part 2",  # visual_object_sequence_start_code
    0xB3: "MPEG-1 or MPEG-2",  # sequence_header_code
    0xB6: "MPEG-4 part 2",  # vop_start_code
}
_MAKERS: Final[dict[str, type[H264Depacketiser] | type[H265Depacketiser]]] = {
    "h264": H264Depacketiser,
    "h265": H265Depacketiser,
}


def codec_of(head: bytes) -> str | None:
    """Which codec a unit that begins so is of, where its kind tells: an SPS of H.264, a VPS or SPS of H.265."""
    if head[0] & 0x9F == bitstream.SPS:  # odd, which in H.265 is a layer above 31
        return "h264"
    if head[:1] in {b"\x40", b"\x42"} and head[1:2] == b"\x01":  # in H.264 undefined, and a data partition
        return "h265"
    return None


class PsDepacketiser:
    """One stream's state, with the face of `Pictures`; `codec` is h264 or h265 once known, "ps" before.

    `push` raises LookError: media.unsupported_codec, media.encrypted.
    """

    __slots__ = (
        "_broken",
        "_head",
        "_inner",
        "_malformed",
        "_open",
        "_stream",
        "_timestamp",
        "_unready",
        "_zeros",
        "codec",
    )

    def __init__(self) -> None:
        self.codec = "ps"
        self._stream = ProgramStream()
        self._inner: Pictures | None = None
        self._head: bytearray | None = None  # of the unit that is being read; None: none began since the loss
        self._open = False  # its head was passed on
        self._zeros = b""  # at the end of what came: they may begin a start code
        self._timestamp = 0
        self._broken = self._malformed = self._unready = 0  # of inner ones that were given up

    @classmethod
    def of(cls, parameter_sets: Iterable[bytes], fmtp: Mapping[str, str]) -> Self:  # noqa: ARG003 - as `Pictures`
        """For a track as its description has it; that of a program stream says nothing of use."""
        return cls()

    @property
    def broken(self) -> int:
        """As `Pictures`."""
        return self._broken + (0 if self._inner is None else self._inner.broken)

    @property
    def malformed(self) -> int:
        """As `Pictures`, and what made no sense in the program stream."""
        return self._stream.malformed + self._malformed + (0 if self._inner is None else self._inner.malformed)

    @property
    def gradual(self) -> int:
        """As `Pictures`."""
        return 0 if self._inner is None else self._inner.gradual

    @property
    def unready(self) -> int:
        """As `Pictures`."""
        return self._unready + (0 if self._inner is None else self._inner.unready)

    @property
    def state(self) -> State:
        """Where it stands."""
        return State.JOINED if self._inner is None else self._inner.state

    def size_of(self, sps: bytes) -> PictureSize:
        """The size that a KeyUnit's `sps` states. Raises ValueError."""
        return _MAKERS[self.codec].size_of(sps)

    def push(self, packet: RtpPacket, *, after_loss: bool = False) -> None:
        """Takes the next packet. `after_loss`: packets before it are missing."""
        if after_loss:
            self._lose()
        self._timestamp = packet.timestamp
        for piece in self._stream.push(packet.payload):
            self._take(piece.data)
        self._judge()

    def pull(self) -> KeyUnit | None:
        """The keyframe that the last pushes completed, once; None where there is none."""
        return None if self._inner is None else self._inner.pull()

    def _lose(self) -> None:
        self._stream.lose()
        self._head, self._open, self._zeros = None, False, b""
        if self._inner is not None:
            self._inner.lose()

    def _judge(self) -> None:
        """What the stream says of itself, once it has said it. Raises LookError."""
        stream = self._stream
        if stream.scrambled >= SCRAMBLED_PATIENCE or stream.stream_type in ENCRYPTED_TYPES:
            raise LookError(
                Reason.MEDIA_ENCRYPTED,
                "the video in the program stream is encrypted: turn stream encryption off at the device",
            )
        if self.codec != "ps" or stream.stream_type is None:
            return
        if (codec := STREAM_TYPES.get(stream.stream_type)) is not None:
            self._become(codec)
        elif (name := OTHER_TYPES.get(stream.stream_type)) is not None:
            raise _unsupported(name)

    def _become(self, codec: str) -> None:
        if self._inner is not None:
            self._broken += self._inner.broken
            self._malformed += self._inner.malformed
            self._unready += self._inner.unready
        self._inner = _MAKERS[codec]()
        self.codec = codec

    # ---- the elementary stream, clause B of either codec: units behind start codes

    def _take(self, data: bytes) -> None:
        data = self._zeros + data
        first, *others = data.split(bitstream.START_CODE[1:])
        for part in others:
            self._more(first.rstrip(b"\x00"))
            self._end()
            self._head = bytearray()
            first = part
        kept = first.rstrip(b"\x00")
        self._zeros = bytes(min(2, len(first) - len(kept)))  # no unit has three in a row
        self._more(kept)

    def _more(self, data: bytes) -> None:
        if self._head is None or not data:
            return
        if not self._open:
            room = SLICE_HEAD - len(self._head)
            self._head += data[:room]
            data = data[room:]
            if len(self._head) < SLICE_HEAD:
                return
            self._begin(bytes(self._head))
        if data and self._inner is not None:
            self._inner.more_of_unit(data)

    def _begin(self, head: bytes) -> None:
        self._open = True
        codec = codec_of(head)
        if codec is not None and codec != self.codec:
            self._become(codec)
        if self._inner is not None:
            self._inner.begin_unit(head, self._timestamp)
        elif head[0] in _OTHER_UNITS:
            raise _unsupported(_OTHER_UNITS[head[0]])

    def _end(self) -> None:
        if self._head and not self._open:
            self._begin(bytes(self._head))
        if self._open and self._inner is not None:
            self._inner.end_unit()
        self._head, self._open = None, False


def _unsupported(name: str) -> LookError:
    return LookError(Reason.MEDIA_UNSUPPORTED_CODEC, f"the video in the program stream is {name}, which is not decoded")
