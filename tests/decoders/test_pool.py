"""The pool: jobs in real jailed processes, and what happens when one is killed, hangs, starves or is overloaded."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import platform
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop

from streamwatch.decoders import jail, pool
from streamwatch.decoders.job import MAX_KEYFRAME_BYTES, MAX_MASKS, DecodeJob, DecodeResult
from streamwatch.decoders.pool import DecoderPool, JailMode
from streamwatch.errors import Reason
from tests.decoders.streams import bomb, keyframe, noisy, street
from tests.wire.jpeg_camera import encode_jpeg

GOOD = keyframe(street())
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def job(data: bytes = GOOD, previous: bytes | None = None, at_us: int = 0) -> DecodeJob:
    return DecodeJob("h264", data, previous, at_us)


def reason_of(result: DecodeResult) -> Reason | None:
    return None if result.failure is None else result.failure.reason


@pytest.fixture
async def one() -> AsyncIterator[DecoderPool]:
    """A pool of one worker, patient: only the tests of the deadline ask for a short one."""
    running = DecoderPool(workers=1, wall_s=30)
    await running.start()
    yield running
    await running.aclose()


def pid_of(running: DecoderPool, slot: int = 0) -> int:
    worker = running._places[slot].worker
    assert worker is not None
    return worker.pid


async def until_alive(running: DecoderPool, other_than: int) -> None:
    """Waits until the first slot holds a new worker."""
    while (worker := running._places[0].worker) is None or worker.pid == other_than or worker.gone.is_set():
        await asyncio.sleep(0.01)


async def until_waiting(running: DecoderPool, count: int) -> None:
    """Waits until the worker has taken its job and `count` others wait behind it."""
    await asyncio.sleep(0)  # let them be queued first
    while len(running._waiting) != count:
        await asyncio.sleep(0.005)


def exists(pid: int) -> bool:
    """A process that is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_keyframe_is_decoded_and_scored(one: DecoderPool) -> None:
    """Size, all measures, a fingerprint, timings; the second look compares with the first."""
    first = await one.score(job(at_us=1_000_000))
    assert (first.failure, first.width, first.height) == (None, 640, 360)
    assert {found.name for found in first.measures} >= {"luma_mean", "dark_share", "texture", "sharpness"}
    assert first.decode_ms > 0 and first.score_ms > 0 and first.reference_us is None
    second = await one.score(job(previous=first.fingerprint, at_us=301_000_000))
    assert second.reference_us == 1_000_000
    assert {found.name: found.value for found in second.measures}["same_textured"] == 1.0


async def test_jpeg_is_decoded_and_scored_too(one: DecoderPool) -> None:
    """Behind the same door, up to the largest picture of either type, and a keyframe of H.264 after it."""
    for width, height, kind in ((640, 360, 1), (4096, 2160, 0), (4096, 2160, 1)):
        found = await one.score(DecodeJob("mjpeg", encode_jpeg(width, height, kind), None, 0))
        assert (found.failure, found.width, found.height) == (None, width, height)
        assert len(found.measures) > 5
    assert reason_of(await one.score(job())) is None


async def test_bad_pictures_cost_no_worker(one: DecoderPool) -> None:
    """Truncated, random, unsupported: a media reason each, from the same process."""
    pid = pid_of(one)
    assert reason_of(await one.score(job(GOOD[: len(GOOD) // 2]))) is Reason.MEDIA_BROKEN
    assert reason_of(await one.score(job(os.urandom(5000)))) is Reason.MEDIA_BROKEN
    assert reason_of(await one.score(job(b""))) is Reason.MEDIA_BROKEN
    assert reason_of(await one.score(DecodeJob("av1", GOOD, None, 0))) is Reason.MEDIA_UNSUPPORTED_CODEC
    assert reason_of(await one.score(job())) is None
    assert pid_of(one) == pid and one.status().restarts == 0


@linux
async def test_r17_decoder_bomb_is_too_large_and_takes_no_memory(one: DecoderPool) -> None:
    """31 bytes that ask for 16000x16000: refused, peak memory far below 150 MB, the worker goes on."""
    pid = pid_of(one)
    for _ in range(5):
        assert reason_of(await one.score(job(bomb()))) is Reason.MEDIA_TOO_LARGE
    assert reason_of(await one.score(job(keyframe(street(3840, 2160))))) is None
    peak_kb = next(
        int(line.split()[1]) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "VmHWM" in line
    )
    assert peak_kb < 150_000
    assert pid_of(one) == pid


async def test_largest_keyframe_passes_and_a_larger_one_is_too_large(one: DecoderPool) -> None:
    """4 MiB cross the socket whole (the padding is garbage behind the picture); one byte more is refused unread."""
    filler = b"\x00\x00\x00\x01\x0c" + b"\xff" * (MAX_KEYFRAME_BYTES - len(GOOD) - 5)  # NAL type 12: filler data
    result = await one.score(job(GOOD + filler))
    assert (reason_of(result), result.width) == (None, 640)
    over = await one.score(job(GOOD + filler + b"\xff"))
    assert reason_of(over) is Reason.MEDIA_TOO_LARGE and over.failure is not None
    assert str(MAX_KEYFRAME_BYTES) in over.failure.detail


@linux
async def test_r19_worker_of_the_pool_is_locked_in(one: DecoderPool) -> None:
    """Seen from outside: seccomp filter, no new privileges, limits, three descriptors and its socket, one thread."""
    status = one.status()
    assert status.jailed and status.detail == "" and (status.alive, status.wanted) == (1, 1)
    folder = Path(f"/proc/{pid_of(one)}")
    lines = dict(line.split(":\t", 1) for line in (folder / "status").read_text().splitlines() if ":\t" in line)
    assert (lines["Seccomp"].strip(), lines["NoNewPrivs"].strip(), lines["Threads"].strip()) == ("2", "1", "1")
    limits = {line[:25].strip(): line[25:].split()[:2] for line in (folder / "limits").read_text().splitlines()[1:]}
    soft_s, hard_s = map(int, limits["Max cpu time"])
    assert (
        hard_s == jail.CPU_SECONDS and 30 < soft_s < 30 + 2 * (pool.CHECK_BUSY_S + 1) + 10
    )  # the pool allows it so far
    assert limits["Max open files"] == [str(jail.OPEN_FILES)] * 2
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max address space"][1] != "unlimited"
    assert len(list((folder / "fd").iterdir())) == 4


@linux
async def test_no_secret_of_the_environment_reaches_a_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """The zygote is started with a handful of variables only."""
    monkeypatch.setenv("STREAMWATCH_CAMERA_KEY", "canary-0451")
    running = DecoderPool(workers=1)
    await running.start()
    assert running._zygote is not None
    try:
        assert b"canary-0451" not in Path(f"/proc/{running._zygote.pid}/environ").read_bytes()
    finally:
        await running.aclose()


async def test_r18_killed_idle_worker_is_replaced_and_the_next_job_works(one: DecoderPool) -> None:
    """kill -9 from outside: one restart counted, nothing lost."""
    pid = pid_of(one)
    os.kill(pid, signal.SIGKILL)
    await until_alive(one, pid)
    assert reason_of(await one.score(job())) is None
    assert (one.status().restarts, one.status().alive) == (1, 1)


async def test_job_in_the_moment_of_a_loss_goes_to_the_next_worker(one: DecoderPool) -> None:
    """A worker that is known to be lost gets nothing more, although its place was idle."""
    worker = one._places[0].worker
    assert worker is not None
    worker.lose("it said something odd")
    assert reason_of(await one.score(job())) is None
    assert one.status().restarts == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
async def test_r18_worker_lost_during_a_job_loses_that_job_only(one: DecoderPool, number: signal.Signals) -> None:
    """The stopped worker holds one job, others wait; it dies: that job names the signal, the others work."""
    pid = pid_of(one)
    os.kill(pid, signal.SIGSTOP)
    jobs = [asyncio.create_task(one.score(job())) for _ in range(4)]
    await until_waiting(one, 3)
    os.kill(pid, number)
    with contextlib.suppress(ProcessLookupError):  # SIGKILL needs no waking up
        os.kill(pid, signal.SIGCONT)
    results = await asyncio.gather(*jobs)
    assert [reason_of(result) for result in results] == [Reason.OURS_WORKER, None, None, None]
    assert results[0].failure is not None and f"signal {int(number)}" in results[0].failure.detail
    assert one.status().restarts == 1


async def test_r18_hanging_worker_is_stopped_at_the_wall_deadline() -> None:
    """A job that does not end costs itself and its process; the process is gone afterwards, not left behind."""
    running = DecoderPool(workers=1, wall_s=1.2)
    await running.start()
    try:
        pid = pid_of(running)
        os.kill(pid, signal.SIGSTOP)
        result = await running.score(job())
        assert reason_of(result) is Reason.OURS_WORKER
        assert result.failure is not None and "1.2 s" in result.failure.detail
        await until_alive(running, pid)
        assert not exists(pid)
        assert reason_of(await running.score(job())) is None
    finally:
        await running.aclose()


@linux
async def test_killed_zygote_is_replaced_with_all_its_workers(one: DecoderPool) -> None:
    """The workers die with it (no orphan decodes on), a new zygote and new workers come, the next job works."""
    assert one._zygote is not None
    zygote, worker = one._zygote.pid, pid_of(one)
    os.kill(zygote, signal.SIGKILL)
    await until_alive(one, worker)
    assert not exists(worker)
    assert one._zygote.pid != zygote
    assert reason_of(await one.score(job())) is None


async def test_job_sent_while_the_zygote_is_dead_waits_for_the_new_one(one: DecoderPool) -> None:
    """A moment without workers is no reason to give up a look."""
    assert one._zygote is not None
    worker = pid_of(one)
    os.kill(one._zygote.pid, signal.SIGKILL)
    while not one._zygote.lost.is_set():
        await asyncio.sleep(0.005)
    assert reason_of(await one.score(job())) is None
    assert pid_of(one) != worker


async def test_worker_without_memory_says_ours_memory_and_is_replaced() -> None:
    """Our own limit must not look like a camera's broken picture."""
    running = DecoderPool(workers=1, headroom_bytes=12 * 2**20, wall_s=30)
    await running.start()
    try:
        pid = pid_of(running)
        large = keyframe(noisy(street(3840, 2160), 1, 1))
        assert reason_of(await running.score(job(large))) is Reason.OURS_MEMORY
        await until_alive(running, pid)
        assert reason_of(await running.score(job())) is None
    finally:
        await running.aclose()


async def test_worker_is_renewed_after_its_share_of_jobs() -> None:
    """Age is no restart."""
    running = DecoderPool(workers=1, recycle_jobs=3)
    await running.start()
    try:
        seen = set()
        for _ in range(9):
            assert reason_of(await running.score(job())) is None
            seen.add(running._places[0].worker.pid if running._places[0].worker else 0)
        assert len(seen - {0}) >= 3
        assert running.status().restarts == 0
    finally:
        await running.aclose()


async def test_more_jobs_than_may_wait_are_overload() -> None:
    """The queue holds 32 a worker; what comes on top is told so at once and says nothing about the camera."""
    running = DecoderPool(workers=1, wall_s=1.5)
    await running.start()
    try:
        os.kill(pid_of(running), signal.SIGSTOP)
        jobs = [asyncio.create_task(running.score(job())) for _ in range(1 + pool.WAITING_PER_WORKER + 5)]
        results = await asyncio.gather(*jobs)
        reasons = [reason_of(result) for result in results]
        assert reasons.count(Reason.OURS_WORKER) == 1
        # The worker took its first job before or after the queue filled up.
        assert reasons.count(Reason.OURS_OVERLOAD) in {5, 6}
        assert reasons.count(None) == len(jobs) - 1 - reasons.count(Reason.OURS_OVERLOAD)
    finally:
        await running.aclose()


async def test_cancelled_look_leaves_no_trace(one: DecoderPool) -> None:
    """A caller that gives up frees its place in the queue; later jobs get their own results."""
    os.kill(pid_of(one), signal.SIGSTOP)
    jobs = [asyncio.create_task(one.score(job(keyframe(street(64 * k, 64 * k))))) for k in (2, 3, 4)]
    await until_waiting(one, 2)
    jobs[0].cancel()  # in the worker
    jobs[1].cancel()  # in the queue
    await asyncio.sleep(0)
    os.kill(pid_of(one), signal.SIGCONT)
    assert (await jobs[2]).width == 256
    assert not one._waiting


async def test_closing_ends_whatever_happens_at_that_moment() -> None:
    """A worker that dies in the same tick as the pool is closed does not keep it open; all jobs get an answer."""
    for turns in range(6):
        running = DecoderPool(workers=1, wall_s=30)
        await running.start()
        pid = pid_of(running)
        os.kill(pid, signal.SIGSTOP)
        jobs = [asyncio.create_task(running.score(job())) for _ in range(3)]
        await until_waiting(running, 2)
        worker = running._places[0].worker
        assert worker is not None
        os.kill(pid, signal.SIGKILL)
        if turns % 2:
            await worker.gone.wait()  # the slot's task becomes runnable in this very tick
        for _ in range(turns // 2):
            await asyncio.sleep(0)
        await running.aclose()
        assert {reason_of(result) for result in await asyncio.gather(*jobs)} == {Reason.OURS_WORKER}


@linux
async def test_no_descriptor_and_no_process_is_left_behind() -> None:
    """After twenty lost workers the pool has as many descriptors as before, and after closing none of its processes."""
    running = DecoderPool(workers=2)
    await running.start()
    assert running._zygote is not None
    before = len(list(Path("/proc/self/fd").iterdir()))
    pids = {running._zygote.pid, pid_of(running, 0), pid_of(running, 1)}
    for _ in range(20):
        pid = pid_of(running)
        os.kill(pid, signal.SIGKILL)
        await until_alive(running, pid)
        pids.add(pid_of(running))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    await running.aclose()
    for pid in pids:
        while exists(pid):  # killed; the kernel takes a moment
            await asyncio.sleep(0.01)
    assert reason_of(await running.score(job())) is Reason.OURS_WORKER


@linux
def test_decoders_die_with_the_process_that_owns_them() -> None:
    """kill -9 of the owner leaves no zygote and no worker, not even a stopped one."""
    owner = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent(
                """
                import asyncio, os, signal
                from streamwatch.decoders.pool import DecoderPool
                async def main():
                    pool = DecoderPool(workers=1)
                    await pool.start()
                    os.kill(pool._places[0].worker.pid, signal.SIGSTOP)
                    print(pool._zygote.pid, pool._places[0].worker.pid, flush=True)
                    await asyncio.sleep(60)
                asyncio.run(main())
                """
            ),
        ],
        stdout=subprocess.PIPE,
    )
    assert owner.stdout is not None
    zygote, worker = map(int, owner.stdout.readline().split())
    assert exists(zygote) and exists(worker)
    owner.kill()
    owner.wait()
    owner.stdout.close()
    while exists(zygote) or exists(worker):
        time.sleep(0.01)


@linux
@pytest.mark.skipif(platform.machine() != "x86_64", reason="needs the 32-bit personality of x86_64")
@pytest.mark.parametrize("mode", list(JailMode))
def test_incomplete_jail_is_refused_where_it_is_required(mode: JailMode) -> None:
    """On a machine without a table (i686, by its personality) required refuses with the remedy; best effort says so."""
    script = f"""
        import asyncio, ctypes
        assert ctypes.CDLL(None).personality(8) >= 0  # PER_LINUX32: uname says i686, to all children too
        from streamwatch.decoders.pool import DecoderPool, JailMode
        from streamwatch.decoders.job import DecodeJob
        from streamwatch.decoders.jail import JailError
        async def main():
            pool = DecoderPool(workers=1, jail=JailMode("{mode}"))
            try:
                await pool.start()
            except JailError as error:
                print("refused:", error)
                return
            result = await pool.score(DecodeJob("h264", b"", None, 0))
            print(result.failure.reason, pool.status().jailed, pool.status().detail)
            await pool.aclose()
        asyncio.run(main())
        """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "seccomp (no table of system calls for i686)" in done.stdout
    expected = "refused: " if mode is JailMode.REQUIRED else "media.broken False "
    assert done.stdout.startswith(expected)
    assert ("best_effort" in done.stdout) == (mode is JailMode.REQUIRED)


@linux
@pytest.mark.skipif(platform.machine() != "x86_64", reason="needs the 32-bit personality of x86_64")
def test_worker_itself_takes_no_job_without_the_jail() -> None:
    """The pool refuses it as well, but the decision is made where the bytes would be decoded."""
    script = """
        import ctypes, os, socket
        assert ctypes.CDLL(None).personality(8) >= 0
        from streamwatch.decoders import job, slot, worker
        ours, theirs = socket.socketpair()
        keyframes = slot.Slot()
        if os.fork() == 0:
            ours.close()
            worker.serve(theirs.fileno(), keyframes.fd, max_pixels=10**6, headroom_bytes=2**27, jail_required=True)
            os._exit(0)
        theirs.close()
        buffer = bytearray()
        print(job.decode_hello(job.read_message(ours.fileno(), buffer)).jailed)
        try:
            job.write_all(ours.fileno(), job.framed(job.SlotJob("h264", 0, None, 0)))
        except BrokenPipeError:
            pass
        try:
            print(job.read_message(ours.fileno(), buffer))
        except ConnectionResetError:
            print(None)
        """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False", "None"]


@linux
def test_start_and_score_run_on_uvloop() -> None:
    """The looker runs on uvloop: sockets, readers and kills behave there as well."""

    async def main() -> list[Reason | None]:
        running = DecoderPool(workers=1)
        await running.start()
        pid = pid_of(running)
        first = await running.score(job())
        os.kill(pid, signal.SIGKILL)
        await until_alive(running, pid)
        second = await running.score(job(GOOD[:500]))
        await running.aclose()
        return [reason_of(first), reason_of(second)]

    assert uvloop.run(main()) == [None, Reason.MEDIA_BROKEN]


async def test_more_masks_than_fit_give_no_picture(one: DecoderPool) -> None:
    """None at all rather than one that shows what the last mask was to hide; it is scored all the same."""
    masks = ((0.0, 0.0, 0.1, 0.1),) * MAX_MASKS
    few = await one.score(DecodeJob("h264", GOOD, None, 0, snapshot=True, masks=masks))
    many = await one.score(DecodeJob("h264", GOOD, None, 0, snapshot=True, masks=(*masks, masks[0])))

    assert few.snapshot is not None
    assert many.snapshot is None and many.failure is None and many.measures


async def test_a_worker_is_made_once_there_are_descriptors_again(
    one: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no socket could be had for a new one, it is tried again: the place does not stay empty for ever."""
    lost = pid_of(one)
    with monkeypatch.context() as patch:

        def none_left(*_args: object) -> None:
            raise OSError(errno.EMFILE, "too many open files")

        patch.setattr("streamwatch.decoders.birth.socket.socketpair", none_left)
        os.kill(lost, signal.SIGKILL)
        async with asyncio.timeout(10):
            while "no socket" not in one.status().detail:
                await asyncio.sleep(0.01)
    async with asyncio.timeout(10):
        await until_alive(one, other_than=lost)

    assert reason_of(await one.score(job())) is None
