"""R17 to R19 of the decoders, and what a pool does for its workers' memory, CPU and worst streams."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from streamwatch.decoders import pool
from streamwatch.decoders.job import DecodeJob, DecodeResult
from streamwatch.decoders.link import Worker
from streamwatch.decoders.pool import DecoderPool
from streamwatch.decoders.quarantine import FIRST_S
from streamwatch.errors import Reason
from tests.decoders.streams import bomb, bomb_h265, first_slice, keyframe, keyframe_h265, noisy, street
from tests.wire.jpeg_camera import encode_jpeg

SMALL = keyframe(street(128, 128))
PEAK_KB = 150_000
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and stops processes")


@pytest.fixture
async def one() -> AsyncIterator[DecoderPool]:
    """A pool of one patient worker."""
    running = DecoderPool(workers=1, wall_s=30)
    await running.start()
    yield running
    await running.aclose()


def job(data: bytes = SMALL, codec: str = "h264", stream: int | None = None) -> DecodeJob:
    return DecodeJob(codec, data, None, 0, stream)


def reason_of(result: DecodeResult) -> Reason | None:
    return None if result.failure is None else result.failure.reason


def worker_of(running: DecoderPool) -> Worker:
    worker = running._places[0].worker
    assert worker is not None
    return worker


async def renewed(running: DecoderPool, before: Worker) -> Worker:
    """The worker that took its place, within the second that R18 gives."""
    async with asyncio.timeout(1.0):
        while (worker := running._places[0].worker) is None or worker is before or worker.lost is not None:
            await asyncio.sleep(0.005)
    return worker


def giant_jpeg() -> bytes:
    """A small JPEG whose header says 65500x65500."""
    file = encode_jpeg(320, 240)
    at = file.index(b"\xff\xc0") + 5
    return file[:at] + b"\xff\xdc\xff\xdc" + file[at + 4 :]


def many_slices() -> bytes:
    """One access unit that begins a picture of 4096x2160 ten thousand times."""
    data = bomb(4096, 2160)
    slices = first_slice(data)
    return data[:slices] + data[slices:] * 10_000


@linux
@pytest.mark.parametrize(
    ("codec", "data", "expected"),
    [
        ("h264", bomb(), Reason.MEDIA_TOO_LARGE),
        ("h265", bomb_h265(), Reason.MEDIA_TOO_LARGE),
        ("mjpeg", giant_jpeg(), Reason.MEDIA_TOO_LARGE),
        ("h264", bomb(4096, 2160), Reason.MEDIA_BROKEN),
        ("h264", many_slices(), Reason.MEDIA_BROKEN),
    ],
    ids=["h264", "h265", "mjpeg", "largest", "slices"],
)
async def test_r17_bomb_takes_no_memory_and_no_time(
    one: DecoderPool, codec: str, data: bytes, expected: Reason
) -> None:
    """Setup: a worker that has decoded 4K. Fault: bytes that promise a giant, in each codec; the largest picture that
    may be, without content; ten thousand beginnings of one. Bound: media.too_large or media.broken, 0.5 s of CPU and
    150 MB at the peak; the same worker answers, and the next picture is decoded."""
    worker = worker_of(one)
    assert reason_of(await one.score(job(keyframe(street(3840, 2160))))) is None
    for _ in range(3):
        before_s = worker.cpu_s()
        assert reason_of(await one.score(job(data, codec))) is expected
        assert worker.cpu_s() - before_s < 0.5
    assert worker_of(one) is worker
    status = Path(f"/proc/{worker.pid}/status").read_text()
    assert next(int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line) < PEAK_KB
    assert reason_of(await one.score(job())) is None


@linux
async def test_r18_of_every_hundred_jobs_that_job_only_is_lost() -> None:
    """Setup: two workers, 400 jobs of as many streams. Fault: at every 100th its worker gets SIGSEGV, is ended as the
    kernel does when memory is out (SIGKILL), or loops on (stopped, up to the wall deadline). Bound: that job is
    ours.worker, all others are scored, a new worker within a second."""
    running = DecoderPool(workers=2, wall_s=0.5)
    await running.start()
    faults = iter((signal.SIGSEGV, signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV))
    lost = []
    try:
        for number in range(1, 401):
            if number % 100:
                result = await running.score(job(stream=number))
            else:
                place = running._idle[-1]
                worker = place.worker
                assert worker is not None
                os.kill(worker.pid, signal.SIGSTOP)
                asked = asyncio.create_task(running.score(job(stream=number)))
                while place.entry is None:
                    await asyncio.sleep(0)
                os.kill(worker.pid, next(faults))
                if number != 300:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(worker.pid, signal.SIGCONT)
                result = await asked
                async with asyncio.timeout(1.0):
                    while place.worker is None or place.worker is worker or running.status().alive < 2:
                        await asyncio.sleep(0.005)
            if result.failure is not None:
                lost.append((number, result.failure.reason))
        assert lost == [(number, Reason.OURS_WORKER) for number in (100, 200, 300, 400)]
        assert (running.status().restarts, running.status().alive) == (4, 2)
    finally:
        await running.aclose()


@linux
async def test_r18_stream_that_ends_a_second_worker_is_left_alone_for_a_while(
    one: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Setup: a worker, several streams. Fault: one stream's job ends its worker, and then the next one. Bound: its
    further looks are ours.worker at once and cost no worker, others are scored; after the pause it is tried again."""
    seen = set()
    for _ in range(2):
        worker = worker_of(one)
        seen.add(worker.pid)
        os.kill(worker.pid, signal.SIGSTOP)
        asked = asyncio.create_task(one.score(job(stream=7)))
        await asyncio.sleep(0)
        os.kill(worker.pid, signal.SIGKILL)
        assert reason_of(await asked) is Reason.OURS_WORKER
        await renewed(one, worker)
    assert len(seen) == 2
    worker = worker_of(one)
    alone = await one.score(job(stream=7))
    assert alone.failure is not None and alone.failure.reason is Reason.OURS_WORKER
    assert f"another {FIRST_S:.0f} s" in alone.failure.detail
    assert reason_of(await one.score(job(stream=8))) is None
    assert worker_of(one) is worker
    monkeypatch.setattr(one._quarantine, "left_s", lambda stream, now: 0.0)
    assert reason_of(await one.score(job(stream=7))) is None
    monkeypatch.undo()
    assert reason_of(await one.score(job(stream=7))) is None  # what it did before is forgotten


@linux
async def test_r19_endless_computing_is_ended_by_the_kernel(one: DecoderPool) -> None:
    """Setup: a worker whose CPU limit the pool does not move on. Fault: it computes, whatever the wall deadline says.
    Bound: SIGXCPU at the limit, the job is ours.worker; the next worker is allowed its share."""
    worker = worker_of(one)
    worker.may_take(0.0)
    one._places[0].check_jobs = 10**9
    noise = keyframe(noisy(street(1920, 1080), 8, 1), qp=20)
    while True:
        result = await one.score(job(noise))
        if result.failure is not None:
            break
        assert worker.cpu_s() < 2
    assert f"signal {int(signal.SIGXCPU)}" in result.failure.detail
    await renewed(one, worker)
    assert reason_of(await one.score(job())) is None


@linux
async def test_the_cpu_limit_moves_on_with_the_work(one: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """From outside, so that the jail need not allow it: by jobs, and by what they took."""
    asked = []
    monkeypatch.setattr(Worker, "may_take", lambda _self, seconds: asked.append(seconds))
    for _ in range(2 * pool.CHECK_JOBS):
        await one.score(job())
    assert asked == [30 + 2 * pool.CHECK_BUSY_S] * 2


@linux
async def test_a_worker_that_grew_is_renewed_and_loses_nothing(
    one: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its memory is read after large pictures and every so many jobs; growing old is no restart."""
    monkeypatch.setattr(pool, "MAX_GROWN_BYTES", 4 * 2**20)
    worker = worker_of(one)
    assert reason_of(await one.score(job())) is None
    assert worker_of(one) is worker
    assert reason_of(await one.score(job(keyframe(street(3840, 2160))))) is None
    assert reason_of(await one.score(job())) is None
    assert worker_of(one) is not worker and one.status().restarts == 0


@linux
async def test_4k_pictures_of_every_codec_one_after_another_fit_into_one_pool(one: DecoderPool) -> None:
    """Each leaves a context behind; nobody's picture is lost for it."""
    large = noisy(street(3840, 2160), 2, 1)
    pictures = [("h264", keyframe(large)), ("h265", keyframe_h265(large)), ("mjpeg", encode_jpeg(4096, 2160))]
    for codec, data in pictures * 2:
        assert reason_of(await one.score(job(data, codec))) is None, codec
    assert one.status().restarts == 0


async def test_a_snapshot_comes_only_where_it_is_asked_for(one: DecoderPool) -> None:
    """As a JPEG, black under its mask, from within the jail; measures are those of the whole picture."""
    data = keyframe(street(1280, 720))
    plain = await one.score(job(data))
    shown = await one.score(DecodeJob("h264", data, None, 0, None, True, ((0.0, 0.0, 1.0, 0.5),)))
    assert plain.snapshot is None and shown.measures == plain.measures
    assert shown.snapshot is not None and shown.snapshot[:2] == b"\xff\xd8" and shown.snapshot[-2:] == b"\xff\xd9"
    again = await one.score(DecodeJob("mjpeg", shown.snapshot, None, 0))
    assert (again.width, again.height) == (640, 360)
    darker = {found.name: found.value for found in again.measures}["dark_share"]
    assert darker > {found.name: found.value for found in plain.measures}["dark_share"] + 0.4


async def test_our_own_standing_still_is_no_deadline_of_a_worker() -> None:
    """It answered in time, and only we did not read it: the answer counts."""
    running = DecoderPool(workers=1, wall_s=0.3)
    await running.start()
    try:
        worker = worker_of(running)
        asked = asyncio.create_task(running.score(job()))
        await asyncio.sleep(0)
        deadline = running._places[0].deadline
        while worker.cpu_s() and running._places[0].entry is not None and asyncio.get_running_loop().time() < deadline:
            pass  # the loop stands still
        running._ring()
        assert reason_of(await asked) is None
        assert worker_of(running) is worker
    finally:
        await running.aclose()


@linux
def test_no_allocation_that_fails_is_taken_for_a_bad_picture(tmp_path: Path) -> None:
    """Address space from none to enough, in small steps, for each codec: ours.memory or a picture, never media."""
    picture = noisy(street(1280, 720), 2, 1)
    cases = (("h264", keyframe(picture)), ("h265", keyframe_h265(picture)), ("mjpeg", encode_jpeg(1280, 720)))
    (tmp_path / "cases").write_bytes(pickle.dumps(cases))
    script = f"""
        import os, pickle, resource
        from pathlib import Path
        from streamwatch.decoders import allocator, jail, worker
        from streamwatch.decoders.codec import Codecs
        from streamwatch.decoders.job import PADDING, SlotJob
        allocator.keep_memory()
        worker.warm_up()
        for codec, data in pickle.loads(Path({str(tmp_path / "cases")!r}).read_bytes()):
            for step in range(0, 6 * 2**20, 2**18):
                if os.fork() == 0:
                    soft = jail._address_space_bytes() + step
                    resource.setrlimit(resource.RLIMIT_AS, (soft, resource.RLIM_INFINITY))
                    view = memoryview(data + PADDING)[: len(data)]
                    found = worker.answer(Codecs(max_pixels=10**7), SlotJob(codec, len(data), None, 0), view)
                    os.write(1, f"{{codec}} {{found.failure and found.failure.reason}}\\n".encode())
                    os._exit(0)
                assert os.wait()[1] == 0
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True, timeout=60
    )
    told = done.stdout.splitlines()
    assert len(told) == 3 * 24
    for codec, _ in cases:
        assert {line for line in told if line.startswith(codec)} == {f"{codec} None", f"{codec} {Reason.OURS_MEMORY}"}
