"""Stage 4, for files, in the worker: answers one FileJob: a Frame for each picture as it is scored, then FileDone."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from typing import Final

import av
import msgspec

from streamwatch.decoders.clip import Clip, Keyframe
from streamwatch.decoders.job import FileDone, FileJob, Frame, Want, decode_job, decode_told, encode
from streamwatch.decoders.luma import luma_of, thumbnail_of
from streamwatch.decoders.remote import Ask, Remote
from streamwatch.decoders.still import decode_still
from streamwatch.errors import LookError, LookFailure, Reason, Step
from streamwatch.quality import score

SIDE: Final = 64  # pixels: the smallest picture that every measure looks at
_NO_MEMORY: Final = LookFailure(Reason.OURS_MEMORY, Step.DECODE, "no memory left to decode and score the file")
_NOTHING: Final = LookFailure(Reason.MEDIA_NO_KEYFRAME, Step.DECODE, "the clip's keyframes could not be read")


def answer_file(ask: Ask, job: FileJob, *, max_pixels: int) -> FileDone:
    """Reads the file through `ask`, tells each picture there, and gives the last word. Never raises for a bad file."""
    begun = time.process_time()
    try:
        done = _still(ask, job, max_pixels) if job.still else _clip(ask, job, max_pixels)
    except LookError as error:
        done = FileDone(failure=LookFailure(error.reason, error.step or Step.DECODE, error.detail))
    except (MemoryError, av.error.MemoryError):
        done = FileDone(failure=_NO_MEMORY)
    return msgspec.structs.replace(done, busy_ms=(time.process_time() - begun) * 1000)


def _still(ask: Ask, job: FileJob, max_pixels: int) -> FileDone:
    frame = decode_still(job.name, Remote(ask, job.size).read_all(), max_pixels)
    told, _fingerprint = _scored(Keyframe(0, 0, frame), None, job.name, thumbnail=job.thumbnails > 0)
    ask(told)
    return FileDone(keyframes=1)


def _clip(ask: Ask, job: FileJob, max_pixels: int) -> FileDone:
    clip = Clip(Remote(ask, job.size), job.name, every=job.every, max_pixels=max_pixels)
    shown = set(_spread(clip.count, job.thumbnails))
    fingerprint: bytes | None = None
    first_failure: LookFailure | None = None
    seen = 0
    for number, keyframe in enumerate(clip.decoded()):
        told, fingerprint = _scored(keyframe, fingerprint, clip.codec, thumbnail=number in shown)
        first_failure = first_failure or told.failure
        seen += told.failure is None
        ask(told)
    # Not one picture in it: what cannot be read at all is no fault of a camera.
    return FileDone(failure=None if seen else first_failure or _NOTHING, keyframes=clip.keyframes, every=clip.every)


def _scored(keyframe: Keyframe, previous: bytes | None, codec: str, *, thumbnail: bool) -> tuple[Frame, bytes | None]:
    """What is told of one keyframe, and the fingerprint for the next one."""
    frame = keyframe.frame
    if frame is None:
        return Frame(index=keyframe.index, at_us=keyframe.at_us, failure=keyframe.failure, codec=codec), previous
    luma = luma_of(frame)
    found = score(luma, previous, keyframe.at_us)
    told = Frame(
        index=keyframe.index,
        at_us=keyframe.at_us,
        codec=codec,
        width=luma.shape[1],
        height=luma.shape[0],
        measures=found.measures,
        reference_us=found.reference_us,
        thumbnail=thumbnail_of(frame) if thumbnail else None,
    )
    return told, found.fingerprint


def _spread(count: int, wanted: int) -> Iterator[int]:
    """At most `wanted` of the numbers below `count`, evenly apart, the first among them."""
    wanted = min(wanted, count)
    return (number * count // wanted for number in range(wanted))


def warm_up() -> None:
    """Takes two small files through every path, so that nothing is imported or opened behind the jail's door."""
    pixels = SIDE * SIDE
    head = struct.pack("<2sIII IiiHHIIiiII", b"BM", 54 + 3 * pixels, 0, 54, 40, SIDE, SIDE, 1, 24, *[0] * 6)
    clip = b"YUV4MPEG2 W64 H64 F25:1 C420jpeg\n" + (b"FRAME\n" + bytes(pixels * 3 // 2)) * 2
    for still, name, data in ((True, "bmp", head + bytes(3 * pixels)), (False, "yuv4mpegpipe", clip)):
        for part in (data, data[:60]):
            job = decode_job(encode(FileJob(name, still, len(part), 1, 2)))
            assert isinstance(job, FileJob)
            done = answer_file(_from_memory(part), job, max_pixels=pixels)
            decode_told(encode(done))


def _from_memory(data: bytes) -> Ask:
    def ask(value: Want | Frame) -> bytes:
        told = decode_told(encode(value))
        return data[told.offset : told.offset + told.size] if isinstance(told, Want) else b""

    return ask
