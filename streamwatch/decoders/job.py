"""Stage 4's values, and how they cross the socket between pool and worker: 4 bytes of length, then msgpack.

A keyframe itself crosses in the worker's slot (`slot`); all messages but those about files are small.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import Final

import msgspec

from streamwatch.errors import LookFailure
from streamwatch.model.look import Measurement
from streamwatch.model.report import Mask

MAX_KEYFRAME_BYTES: Final = 4 * 2**20  # one access unit; a 4K intra picture at high quality is about 2 MiB
PADDING: Final = bytes(64)  # behind it: AV_INPUT_BUFFER_PADDING_SIZE, so far libavcodec reads on, and wants zeros
MAX_CHUNK_BYTES: Final = 2**20  # of a file, in one answer to a worker
MAX_SNAPSHOT_BYTES: Final = 256 * 2**10  # a JPEG of 640x360 has 20 to 60 KB, one of mere noise 200
MAX_MASKS: Final = 32  # rectangles of one picture
MAX_MESSAGE_BYTES: Final = MAX_CHUNK_BYTES + 64 * 2**10  # the largest: a piece of a file
MAX_FRAMES: Final = 1_000  # scored in one clip: an hour at a keyframe every 4 s; above, the clip is thinned evenly
THUMBNAIL_WIDTH: Final = 320
THUMBNAIL_HEIGHT: Final = 180
MAX_TOLD_BYTES: Final = 3 * THUMBNAIL_WIDTH * THUMBNAIL_HEIGHT + 8 * 2**10  # a Frame with its thumbnail: 177 KiB
LENGTH: Final = struct.Struct("!I")


class DecodeJob(msgspec.Struct, frozen=True):
    """One keyframe to decode and score; what the pool takes.

    `data` is one access unit as an Annex B byte stream (start codes), with the parameter sets it needs in front, or one
    JPEG file, at most 4 MiB. `codec` is h264, h265 or mjpeg. `previous` is the fingerprint of the look before, or None.
    `at_us` is the start of this look. `stream` is any number that tells this stream from others: one that costs decoder
    after decoder is left alone for a while. With `snapshot` the picture itself comes back too, small, as JPEG, black
    where `masks` are; with more than MAX_MASKS of them none does.
    """

    codec: str
    data: bytes
    previous: bytes | None
    at_us: int
    stream: int | None = None
    snapshot: bool = False
    masks: tuple[Mask, ...] = ()


class SlotJob(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """A DecodeJob as the worker is told of it: the keyframe is the first `size` bytes of its slot."""

    codec: str
    size: int
    previous: bytes | None
    at_us: int
    snapshot: bool = False
    masks: tuple[Mask, ...] = ()


class DecodeResult(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What became of a job: a picture with its measures, or a failure with its reason (media.* or ours.*)."""

    failure: LookFailure | None = None
    width: int | None = None  # pixels after cropping; also given with media.too_large where it is known
    height: int | None = None
    measures: tuple[Measurement, ...] = ()
    fingerprint: bytes | None = None  # for the next look at this camera
    reference_us: int | None = None  # start of the look that same_textured compared with
    decode_ms: float = 0.0  # wall time in the worker
    score_ms: float = 0.0
    snapshot: bytes | None = None  # a JPEG of at most MAX_SNAPSHOT_BYTES, where the job asked for one


class FileJob(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """One picture or clip of `size` bytes to score. The worker asks for its bytes (`Want`) and tells each `Frame`.

    `name` is FFmpeg's decoder for a picture (`still`), its demuxer for a clip. Of a clip every `every`-th keyframe is
    scored, at most `MAX_FRAMES`. `thumbnails` is how many of the frames bring a small picture of themselves.
    """

    name: str
    still: bool
    size: int
    every: int = 1
    thumbnails: int = 0


class Want(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """Worker to pool: the bytes of the file from `offset`, at most `size` (and `MAX_CHUNK_BYTES`)."""

    offset: int
    size: int


class Thumbnail(msgspec.Struct, frozen=True, array_like=True):
    """A small picture: rows of RGB, 3 bytes a pixel, at most 320 x 180."""

    width: int
    height: int
    rgb: bytes


class Frame(msgspec.Struct, frozen=True, array_like=True, kw_only=True, tag=1):
    """One picture of a file: its measures, or why it could not be decoded (media.broken)."""

    index: int  # of the keyframe among the clip's keyframes; 0 for a picture
    at_us: int  # its time in the clip
    failure: LookFailure | None = None
    codec: str = ""
    width: int | None = None
    height: int | None = None
    measures: tuple[Measurement, ...] = ()
    reference_us: int | None = None  # time of the frame that same_textured compared with
    thumbnail: Thumbnail | None = None


class FileDone(msgspec.Struct, frozen=True, array_like=True, kw_only=True, tag=2):
    """The end of a file: how many keyframes it has, or why it could not be read. Frames told before stay true."""

    failure: LookFailure | None = None
    keyframes: int = 0
    every: int = 1  # of how many keyframes one was scored
    busy_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of a file: its frames as far as they were told, or why there are none. It crosses no socket."""

    failure: LookFailure | None = None
    frames: tuple[Frame, ...] = ()
    keyframes: int = 0
    every: int = 1


class Hello(msgspec.Struct, frozen=True, array_like=True):
    """A worker's first message: whether it is locked in completely; if not, what is missing."""

    jailed: bool
    detail: str


encode = msgspec.msgpack.Encoder().encode
decode_job = msgspec.msgpack.Decoder(SlotJob | FileJob).decode
decode_result = msgspec.msgpack.Decoder(DecodeResult).decode
decode_told = msgspec.msgpack.Decoder(Want | Frame | FileDone).decode
decode_hello = msgspec.msgpack.Decoder(Hello).decode


def framed(value: SlotJob | DecodeResult | FileJob | Want | Frame | FileDone | Hello) -> bytes:
    """The bytes that cross the socket. Raises ValueError above the cap, naming both sizes."""
    body = encode(value)
    if len(body) > MAX_MESSAGE_BYTES:
        raise ValueError(f"a message of {len(body)} bytes is over the cap of {MAX_MESSAGE_BYTES}")
    return LENGTH.pack(len(body)) + body


def read_message(fd: int, buffer: bytearray) -> memoryview | None:
    """One framed message from a blocking descriptor, by one readv(2) where it is as short as `buffer`; None at the end.

    The other side speaks only when its last message was answered: nothing stands behind a message. `buffer` is grown
    as far as the cap and kept by the caller. Raises ValueError for what does not keep to that: it is not ours.
    """
    if len(buffer) < LENGTH.size:
        buffer.extend(bytes(LENGTH.size))
    got, end = 0, LENGTH.size
    while got < end:
        with memoryview(buffer) as view:
            count = os.readv(fd, [view[got:]])
        if count == 0:
            return None
        got += count
        if got >= LENGTH.size:
            end = LENGTH.size + LENGTH.unpack_from(buffer)[0]
            if end > LENGTH.size + MAX_MESSAGE_BYTES:
                raise ValueError(f"a message of {end - LENGTH.size} bytes is over the cap of {MAX_MESSAGE_BYTES}")
            if len(buffer) < end:
                buffer.extend(bytes(end - len(buffer)))
    if got > end:
        raise ValueError(f"{got - end} bytes stand behind a message of {end}")
    return memoryview(buffer)[LENGTH.size : end]


def write_all(fd: int, data: bytes) -> None:
    """Writes everything to a blocking descriptor."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
