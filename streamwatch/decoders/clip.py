"""Stage 4, for files, in the worker: a clip -> its keyframes, one after the other, decoded.

The demuxer is named by `recognise`; whatever it would open beside the file is refused by our own hook, by FFmpeg's
lists, and by the jail. Between two keyframes nothing is decoded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NoReturn, cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamwatch.decoders.codec import OPTIONS, UNFILTERED
from streamwatch.decoders.job import MAX_FRAMES
from streamwatch.decoders.refusal import said, too_large
from streamwatch.decoders.remote import Remote
from streamwatch.errors import LookError, LookFailure, Reason, Step

# FFmpeg's names. What cameras, recorders and their players write; what is not here is not opened, not even for a guess.
DECODERS: Final = frozenset(
    {"h264", "hevc", "mjpeg", "mpeg4", "mpeg1video", "mpeg2video", "h263", "flv", "vp8", "vp9", "libdav1d", "av1"}
    | {"msmpeg4v1", "msmpeg4v2", "msmpeg4", "wmv1", "wmv2", "wmv3", "vc1", "cinepak", "png", "theora", "rawvideo"}
)
BUFFER_BYTES: Final = 256 * 2**10  # one question to the pool
GUESSED_RATE: Final = 25  # frames a second where neither packets nor the container tell a time
MAX_TIME_US: Final = 2**60  # 36,000 years: what lies beyond is no time, and would not fit a fingerprint


@dataclass(frozen=True, slots=True)
class Keyframe:
    """One keyframe of a clip: a frame, or why there is none."""

    index: int
    at_us: int
    frame: VideoFrame | None = None
    failure: LookFailure | None = None


class Clip:
    """A clip of which every `every`-th keyframe is decoded; `every` grows where that would be more than MAX_FRAMES."""

    def __init__(self, remote: Remote, demuxer: str, *, every: int, max_pixels: int) -> None:
        """Reads it once from end to end. Raises LookError: media.no_video, media.unsupported_codec, media.broken,
        media.no_keyframe, ours.memory."""
        self._remote = remote
        self._demuxer = demuxer
        self._max_pixels = max_pixels
        self.keyframes, self._last = self._count()
        self.every = max(every, -(-self.keyframes // MAX_FRAMES))
        self.codec = ""

    @property
    def count(self) -> int:
        """How many keyframes will be decoded."""
        return -(-self.keyframes // self.every)

    def decoded(self) -> Iterator[Keyframe]:
        """The keyframes in their order. A damaged one carries its failure; damage between them is not looked at.

        Where the clip ends within a keyframe, that is how it was cut and no damage: this one is left out.
        """
        with self._open() as container:
            stream = _video(container)
            context = stream.codec_context
            context.thread_count = 1
            context.thread_type = "NONE"
            self.codec = _OURS.get(context.name, context.name)
            left_out = UNFILTERED if OPTIONS.get(self.codec) is UNFILTERED else {}  # measures are those of a look
            context.options = {"max_pixels": str(self._max_pixels), **left_out}
            times = _Times(stream)
            index = 0
            for number, packet in _packets(container, stream):
                at_us = times.of(packet)
                if not packet.is_keyframe:
                    continue
                if index % self.every == 0:
                    keyframe = self._decode(context, packet, index, at_us)
                    if keyframe.failure is None or number != self._last or index == 0:
                        yield keyframe
                index += 1

    def _count(self) -> tuple[int, int]:
        """How many keyframes there are, and the number of the last packet."""
        found, last = 0, -1
        with self._open() as container:
            for number, packet in _packets(container, _video(container)):
                found, last = found + packet.is_keyframe, number
        if found == 0:
            raise LookError(Reason.MEDIA_NO_KEYFRAME, "the clip has no keyframe", step=Step.DECODE)
        return found, last

    def _decode(self, context: VideoCodecContext, packet: Packet[VideoStream], index: int, at_us: int) -> Keyframe:
        try:
            frames = context.decode(packet) + context.decode(None)
        except (MemoryError, av.error.MemoryError):
            raise
        except (av.error.FFmpegError, ValueError, EOFError) as error:
            if context.width * context.height > self._max_pixels:
                raise too_large(context.width, context.height, self._max_pixels) from error
            return Keyframe(index, at_us, failure=_broken(f"the decoder refused the keyframe: {said(error)}"))
        finally:
            context.flush_buffers()
        whole = next((frame for frame in frames if not frame.is_corrupt), None)
        if whole is None:
            what = "is damaged: parts of it are missing" if frames else "made no picture"
            return Keyframe(index, at_us, failure=_broken(f"the keyframe {what}"))
        return Keyframe(index, at_us, frame=whole)

    def _open(self) -> InputContainer:
        self._remote.seek(0)
        options = {
            "format_whitelist": self._demuxer,
            "protocol_whitelist": "none",
            "codec_whitelist": ",".join(sorted(DECODERS)),
        }
        try:
            container: InputContainer = av.open(
                cast("Any", self._remote),
                format=self._demuxer,
                container_options=options,
                metadata_errors="replace",
                buffer_size=BUFFER_BYTES,
                io_open=_refuse,
            )
        except (MemoryError, av.error.MemoryError):
            raise
        except (av.error.FFmpegError, ValueError, EOFError) as error:
            detail = f"the clip's container cannot be read: {said(error)}"
            raise LookError(Reason.MEDIA_BROKEN, detail, step=Step.DECODE) from error
        return container


_OURS: Final = {"hevc": "h265", "libdav1d": "av1"}  # FFmpeg's name -> ours


def _video(container: InputContainer) -> VideoStream:
    streams = [stream for stream in container.streams.video if Disposition.attached_pic not in stream.disposition]
    if not streams:
        raise LookError(Reason.MEDIA_NO_VIDEO, "there is no video in the file", step=Step.DECODE)
    stream = streams[0]
    context = cast("VideoCodecContext | None", stream.codec_context)
    if context is None or context.name not in DECODERS:
        name = "an unknown codec" if context is None else context.name
        raise LookError(Reason.MEDIA_UNSUPPORTED_CODEC, f"{name} is not decoded here", step=Step.DECODE)
    return stream


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[tuple[int, Packet[VideoStream]]]:
    """The stream's packets with their number; the clip ends where its container breaks."""
    try:
        for number, packet in enumerate(container.demux(stream)):
            if packet.size:
                yield number, packet
    except (MemoryError, av.error.MemoryError):
        raise
    except (av.error.FFmpegError, ValueError):
        return


class _Times:
    """When each packet is shown, where the container says it, and else one frame after the packet before."""

    def __init__(self, stream: VideoStream) -> None:
        self._step_us = 1_000_000 / (float(stream.average_rate or 0) or GUESSED_RATE)
        self._next_us = 0.0

    def of(self, packet: Packet[VideoStream]) -> int:
        """Microseconds, within MAX_TIME_US both ways. To be asked for every packet in its turn."""
        stamp = packet.pts if packet.pts is not None else packet.dts
        at_us = int(self._next_us)
        if stamp is not None and packet.time_base is not None:
            at_us = int(stamp * 1_000_000 * packet.time_base)
        at_us = max(-MAX_TIME_US, min(MAX_TIME_US, at_us))
        self._next_us = at_us + self._step_us
        return at_us


def _refuse(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    del url, flags, options
    raise PermissionError("a clip opens no other file")


def _broken(detail: str) -> LookFailure:
    return LookFailure(Reason.MEDIA_BROKEN, Step.DECODE, detail)
