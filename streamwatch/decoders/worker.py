"""Stage 4: the loop of one jailed decode worker: a job in, a result out, until the pool closes the socket.

A keyframe lies in the slot, and is decoded where it lies; the pool writes no other one there before it has the result.
"""

from __future__ import annotations

import contextlib
import gc
import os
import time
from typing import Final

import numpy as np

from streamwatch.decoders import jail, slot, snapshot
from streamwatch.decoders.codec import Codecs, Picture
from streamwatch.decoders.file_worker import answer_file
from streamwatch.decoders.job import (
    LENGTH,
    PADDING,
    DecodeResult,
    Hello,
    SlotJob,
    decode_job,
    framed,
    read_message,
    write_all,
)
from streamwatch.decoders.remote import asking
from streamwatch.errors import LookError, LookFailure, Reason, Step
from streamwatch.quality import score

# Address space a worker may add to what it has at its first breath. An 8.9 Mpx picture takes about 55 MiB to decode,
# its scoring 10 MiB; more than twice that for what contexts and malloc keep. Resident it stays far below.
HEADROOM_BYTES: Final = 160 * 2**20
MAX_DESCRIPTOR: Final = 4096  # the zygote starts with the descriptors it was given and opens a handful

_JUNK: Final = {  # keyframes in name only: parameter sets, and a slice of an IDR picture
    "h264": b"\x00\x00\x00\x01\x67\x00\x00\x00\x01\x68\x00\x00\x00\x01\x65\xff",
    "h265": b"\x00\x00\x01\x40\x01\x00\x00\x01\x42\x01\x00\x00\x01\x44\x01\x00\x00\x01\x26\x01\xff",
    "mjpeg": bytes.fromhex("ffd8ffc0000b080010001001011100ffda0008010100003f0000ffd9"),  # 16x16, grey, no tables
}


def serve(fd: int, slot_fd: int, *, max_pixels: int, headroom_bytes: int, jail_required: bool) -> None:
    """Locks this process in, says Hello on `fd`, and answers jobs until the other side closes. Never raises for a job.

    `slot_fd` is the slot that keyframes come in. It is mapped, and no descriptor but `fd` and stderr is left.

    Where the jail is required and not complete, it says so and takes no job.
    """
    codecs = Codecs(max_pixels=max_pixels)
    keyframes = slot.read_only(slot_fd)
    close_all_but(fd)  # also the one that Python's mmap keeps for itself
    buffer = bytearray(16 * 2**10)  # a job about a keyframe has 2 KiB
    warm_up()
    gc.freeze()
    locked = jail.lock_in(headroom_bytes)
    write_all(fd, framed(Hello(locked.complete, "; ".join(locked.missing))))
    if jail_required and not locked.complete:
        return
    while True:
        message = read_message(fd, buffer)
        if message is None:
            return
        job = decode_job(message)
        del message
        if isinstance(job, SlotJob):
            write_all(fd, framed(answer(codecs, job, keyframes[: job.size])))
        else:
            write_all(fd, framed(answer_file(asking(fd), job, max_pixels=max_pixels)))


def answer(codecs: Codecs, job: SlotJob, data: memoryview) -> DecodeResult:
    """Decodes and scores one job; PADDING stands behind `data`. Failures are part of the result."""
    started = time.perf_counter()
    try:
        picture = codecs.decode(job.codec, data)
        decoded = time.perf_counter()
        scored = score(picture.luma, job.previous, job.at_us)
        scored_at = time.perf_counter()
        height, width = picture.luma.shape
        small = _shown(codecs, job, data, picture) if job.snapshot else None
    except LookError as error:
        failure = LookFailure(error.reason, error.step or Step.DECODE, error.detail)
        return DecodeResult(failure=failure, decode_ms=_ms(started))
    except MemoryError:
        failure = LookFailure(Reason.OURS_MEMORY, Step.SCORE, "no memory left to score or to draw the picture")
        return DecodeResult(failure=failure, decode_ms=_ms(started))
    return DecodeResult(
        width=width,
        height=height,
        measures=scored.measures,
        fingerprint=scored.fingerprint,
        reference_us=scored.reference_us,
        decode_ms=(decoded - started) * 1000,
        score_ms=(scored_at - decoded) * 1000,
        snapshot=small,
    )


def _shown(codecs: Codecs, job: SlotJob, data: memoryview, measured: Picture) -> bytes | None:
    """The snapshot; None where the picture cannot be decoded once more for it: it was measured all the same."""
    try:
        frame = codecs.shown(job.codec, data, measured)
    except LookError:
        return None
    return snapshot.snapshot_of(frame, job.masks)


def warm_up() -> None:
    """Uses every code path once, so that nothing is imported or opened for the first time behind the jail's door."""
    y = np.random.default_rng(1).integers(0, 255, (256, 1344), dtype=np.uint8)
    y[:, 600:] //= 8  # soft, so that the coarse measure is taken as well
    first = score(y, None, 0)
    score(np.repeat(np.repeat(y[:64, :64], 8, 0), 8, 1), first.fingerprint, 60_000_000)
    codecs = Codecs(max_pixels=64 * 64)
    for codec, junk in _JUNK.items():
        with contextlib.suppress(LookError):
            codecs.decode(codec, junk)
    snapshot.warm_up()
    junk = _JUNK["h264"]
    job = SlotJob("h264", len(junk), None, 0)
    decode_job(framed(job)[LENGTH.size :])
    framed(answer(codecs, job, memoryview(junk + PADDING)[: len(junk)]))


def close_all_but(fd: int) -> None:
    """Keeps `fd` and stderr; stdin and stdout become /dev/null."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.closerange(3, fd)
    os.closerange(fd + 1, MAX_DESCRIPTOR)


def _ms(since: float) -> float:
    return (time.perf_counter() - since) * 1000
