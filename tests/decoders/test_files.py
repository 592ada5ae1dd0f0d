"""Whole files through jailed workers: every kind, damaged ones, hostile ones, and workers that die meanwhile."""

from __future__ import annotations

import asyncio
import io
import itertools
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import av
import numpy as np
import pytest

from streamwatch.decoders import clip as clip_module
from streamwatch.decoders.job import MAX_FRAMES, FileResult
from streamwatch.decoders.pool import DecoderPool
from streamwatch.decoders.recognise import FileCode, FileError, Known, recognise
from streamwatch.decoders.source import Source
from streamwatch.errors import Reason
from tests.decoders.media import CLIPS, PICTURES, clip, live, picture, png_header
from tests.decoders.streams import plane, street

HEADROOM_BYTES = 768 * 2**20
X265 = {"preset": "ultrafast", "x265-params": "log-level=none:keyint=3:min-keyint=3:pools=1"}
VP8 = {"g": "250", "deadline": "realtime"}


class Memory(Source):
    """A file that is not on a disk."""

    def __init__(self, data: bytes, known: Known) -> None:
        super().__init__(-1, len(data), known)
        self._data = data

    def read(self, offset: int, size: int) -> bytes:
        return self._data[offset : offset + size]


async def score(
    pool: DecoderPool, data: bytes, known: Known | None = None, every: int = 1, thumbnails: int = 0
) -> FileResult:
    source = Memory(data, known or recognise(data[:4096]))
    return await pool.score_file(source, every=every, thumbnails=thumbnails, wall_s=30)


@pytest.fixture
async def pool() -> AsyncIterator[DecoderPool]:
    """One worker, a new one for each file, with the room that `score` gives."""
    running = DecoderPool(workers=1, max_pixels=50_000_000, recycle_jobs=1, headroom_bytes=HEADROOM_BYTES)
    await running.start()
    yield running
    await running.aclose()


@pytest.fixture(scope="module")
def clips() -> Mapping[str, bytes]:
    """Three keyframes two seconds apart, in every container and some codecs."""
    made = {kind: clip(live(3, width=320, height=180), kind) for kind in CLIPS}
    small = live(3, width=320, height=180)
    made["h265"] = clip(small, "mp4", codec="libx265", options=X265)
    made["vp8"] = clip(small, "mkv", codec="libvpx", options=VP8)
    made["mpeg4"] = clip(small, "avi", codec="mpeg4", options={"g": "250"})
    made["mjpeg"] = clip(small, "avi", codec="mjpeg", pix_fmt="yuvj420p", options={"qscale": "3"})
    made["ten_bits"] = clip(small, "mp4", pix_fmt="yuv420p10le")
    return made


def measures(result: FileResult, at: int = 0) -> dict[str, float]:
    return {one.name: one.value for one in result.frames[at].measures if one.valid}


async def test_every_kind_of_picture_is_scored_in_the_jail(pool: DecoderPool) -> None:
    """Behind the jail's door each decoder finds all that it needs, and all find the same picture."""
    y = street(480, 270)
    for kind in PICTURES:
        result = await score(pool, picture(y, kind), thumbnails=1)
        (frame,) = result.frames
        assert (result.failure, frame.failure, frame.index, frame.width, frame.height) == (None, None, 0, 480, 270), (
            kind
        )
        # WebP stores limited range: 16-235, and is taken as it is
        assert measures(result)["luma_mean"] == pytest.approx(float(plane(y)[33:-33].mean()), abs=3), kind
        thumbnail = frame.thumbnail
        assert thumbnail is not None and (thumbnail.width, thumbnail.height) == (320, 180), kind
        assert len(thumbnail.rgb) == 320 * 180 * 3
    assert pool.status().restarts == 0


async def test_every_kind_of_clip_is_scored_in_the_jail(pool: DecoderPool, clips: Mapping[str, bytes]) -> None:
    """Three keyframes with their times; between them nothing is decoded."""
    for kind, data in clips.items():
        result = await score(pool, data)
        frames = result.frames if kind != "mjpeg" else result.frames[::3]  # there every frame is a key
        assert result.failure is None, (kind, result.failure)
        assert [frame.failure for frame in frames] == [None] * 3, kind
        assert {frame.width for frame in frames} == {320}, kind
        if kind not in ("ps", "h264"):  # these two tell no times, or only a first one
            times = [(frame.at_us - frames[0].at_us) / 1e6 for frame in frames]
            assert times == pytest.approx([0, 2, 4], abs=0.05), kind
        assert all(later.at_us > earlier.at_us for earlier, later in itertools.pairwise(frames)), kind
        assert measures(result)["luma_mean"] == pytest.approx(118, abs=3), kind
    assert pool.status().restarts == 0


async def test_damaged_files_say_so_and_cost_only_themselves(pool: DecoderPool, clips: Mapping[str, bytes]) -> None:
    """Cut in the middle: pictures and MP4 (its index is at the end) are broken, other clips are short."""
    for kind in PICTURES:
        data = picture(street(320, 180), kind)
        result = await score(pool, data[: len(data) // 2])
        assert result.failure is not None and result.failure.reason is Reason.MEDIA_BROKEN, kind
    for kind, data in clips.items():
        result = await score(pool, data[: len(data) * 2 // 3])
        if kind in ("mp4", "h265", "ten_bits"):
            assert result.failure is not None and result.failure.reason is Reason.MEDIA_BROKEN, kind
        else:
            assert result.failure is None and len(result.frames) > 0, (kind, result.failure)
            assert [frame.failure for frame in result.frames if frame.failure] == [], kind
    assert (await score(pool, picture(street(320, 180)))).failure is None
    assert pool.status().restarts == 0


async def test_a_damaged_keyframe_within_a_clip_is_told_and_the_others_are_scored(pool: DecoderPool) -> None:
    """Half of the second keyframe is overwritten: the first and the third are whole."""
    data = bytearray(clip(live(3, width=320, height=180), "h264"))
    starts = [at for at in range(len(data) - 4) if data[at : at + 4] == b"\x00\x00\x01\x65"]
    middle = starts[len(starts) // 3]  # the first slice of the second keyframe
    data[middle + 100 : middle + 400] = bytes([0xFF]) * 300
    result = await score(pool, bytes(data))

    assert [frame.failure.reason if frame.failure else None for frame in result.frames] == [
        None, Reason.MEDIA_BROKEN, None,
    ]  # fmt: skip


async def test_a_picture_that_promises_too_many_pixels_is_too_large(pool: DecoderPool) -> None:
    """Its size is read from the header: 100,000 x 100,000 takes no memory, and the message names it."""
    result = await score(pool, png_header(100_000, 100_000))
    assert result.failure is not None and result.failure.reason is Reason.MEDIA_TOO_LARGE
    assert "100000x100000" in result.failure.detail
    jpeg = bytearray(picture(street(320, 180)))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    result = await score(pool, bytes(jpeg))
    assert result.failure is not None and result.failure.reason is Reason.MEDIA_TOO_LARGE
    assert pool.status().restarts == 0


async def test_a_clip_is_compared_frame_by_frame_as_looks_are(pool: DecoderPool) -> None:
    """Two seconds apart is too soon; the third frame from the last comparison counts, and names it."""
    still = [street(320, 180)] * 8
    result = await score(pool, clip(still))
    compared = [(frame.at_us, frame.reference_us) for frame in result.frames if frame.reference_us is not None]

    assert compared == [(6_000_000, 0), (12_000_000, 6_000_000)]
    assert measures(result, 3)["same_textured"] == 1.0
    assert "same_textured" not in measures(result, 2)


async def test_clips_are_thinned_evenly(pool: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """By `every`; and above the cap by themselves, over their whole length."""
    data = clip(live(10, width=320, height=180), gap_s=0.5)
    result = await score(pool, data, every=4, thumbnails=2)
    assert [frame.index for frame in result.frames] == [0, 4, 8]
    assert (result.keyframes, result.every) == (10, 4)
    assert [frame.thumbnail is not None for frame in result.frames] == [True, True, False]

    many = clip([street(64, 64)] * (MAX_FRAMES // 3 + 1), "avi", codec="mjpeg", pix_fmt="yuvj420p", options={"g": "1"})
    result = await score(pool, many)
    assert result.keyframes == MAX_FRAMES + 2 and result.every == 2
    assert [frame.index for frame in result.frames] == list(range(0, MAX_FRAMES + 2, 2))


async def test_files_without_video_say_what_is_missing(pool: DecoderPool) -> None:
    """Sound only; a codec that is not on the list; a clip without one keyframe."""
    held = io.BytesIO()
    with av.open(held, "w", format="matroska") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        sound.rate = 8000
        container.mux(stream.encode(sound))
    result = await score(pool, held.getvalue())
    assert result.failure is not None and result.failure.reason is Reason.MEDIA_NO_VIDEO

    foreign = clip([street(320, 180)], "mkv", codec="ffv1", options={"g": "1"})
    result = await score(pool, foreign)
    assert result.failure is not None and result.failure.reason is Reason.MEDIA_UNSUPPORTED_CODEC
    assert "ffv1" in result.failure.detail and "ffv1" not in clip_module.DECODERS


@pytest.mark.parametrize("demuxer", ["hls", "concat", "sdp", "dash"])
async def test_a_list_of_other_places_opens_nothing_even_inside(pool: DecoderPool, demuxer: str) -> None:
    """Past the recogniser, straight into the demuxer that would follow it: no file, no connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        there = f"http://127.0.0.1:{server.getsockname()[1]}/x.ts"
        segment = "#EXTINF:1,"
        text = {
            "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n{segment}\n{there}\n{segment}\n/etc/passwd\n#EXT-X-ENDLIST\n",
            "concat": f"ffconcat version 1.0\nfile /etc/passwd\nfile {there}\n",
            "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
            "dash": f'<?xml version="1.0"?><MPD><BaseURL>{there}</BaseURL><Period><AdaptationSet>'
            '<Representation id="1" bandwidth="1"/></AdaptationSet></Period></MPD>',
        }[demuxer]
        result = await score(pool, text.encode(), Known(demuxer, "a list"))
        assert result.failure is not None and result.frames == ()
        with pytest.raises(BlockingIOError):
            server.accept()


class Spoilt(Memory):
    """A file at whose first piece something happens."""

    def __init__(self, data: bytes, happens: Callable[[], None]) -> None:
        super().__init__(data, Known("mjpeg", "JPEG", still=True))
        self._happens = happens

    def read(self, offset: int, size: int) -> bytes:
        self._happens()
        return super().read(offset, size)


async def spoilt(pool: DecoderPool, happens: Callable[[], None], wall_s: float = 30) -> FileResult:
    source = Spoilt(picture(street(320, 180)), happens)
    return await pool.score_file(source, every=1, thumbnails=0, wall_s=wall_s)


async def test_r18_a_worker_that_dies_costs_its_file_only(pool: DecoderPool) -> None:
    """kill -9 while it reads: that file is ours.worker, the next one is scored."""
    worker = pool._places[0].worker
    assert worker is not None
    result = await spoilt(pool, lambda: os.kill(worker.pid, signal.SIGKILL))
    assert result.failure is not None and result.failure.reason is Reason.OURS_WORKER
    assert "signal 9" in result.failure.detail
    assert (await score(pool, picture(street(320, 180)))).failure is None


async def test_r18_a_file_that_takes_too_long_is_stopped(pool: DecoderPool) -> None:
    """At its wall deadline the worker is killed, whatever it does; the next file is scored."""
    worker = pool._places[0].worker
    assert worker is not None
    result = await spoilt(pool, lambda: os.kill(worker.pid, signal.SIGSTOP), wall_s=0.3)
    assert result.failure is not None and result.failure.reason is Reason.OURS_WORKER
    assert "0.3 s" in result.failure.detail
    assert (await score(pool, picture(street(320, 180)))).failure is None


async def test_a_file_that_cannot_be_read_any_further_says_so(pool: DecoderPool) -> None:
    """The disk's error is the file's, not the decoder's; the next file is scored."""

    def fail() -> None:
        raise FileError(FileCode.UNREADABLE, "reading failed at byte 0: Input/output error")

    with pytest.raises(FileError, match="Input/output error"):
        await spoilt(pool, fail)
    assert (await score(pool, picture(street(320, 180)))).failure is None


async def test_a_worker_serves_one_file_and_goes(pool: DecoderPool) -> None:
    """What a file made of its worker cannot touch the next file."""
    pids = set()
    for _ in range(3):
        while (worker := pool._places[0].worker) is None or worker.jobs:
            await asyncio.sleep(0.005)
        pids.add(worker.pid)
        await score(pool, picture(street(320, 180)))

    assert len(pids) == 3 and pool.status().restarts == 0


async def test_natural_photographs_are_scored(pool: DecoderPool, shared_data: Path) -> None:
    """Eight megapixels from a camera, out of focus and sharp."""
    found = {}
    for path in sorted((shared_data / "images" / "blur-pairs").glob("*.JPG")):
        with Source.open(path) as source:
            result = await pool.score_file(source, every=1, thumbnails=1, wall_s=30)
        found[path.stem[-1]] = measures(result)["sharpness"]

    assert found["S"] > 0.5 > 0.3 > found["M"]
    assert found["F"] < 0.3
