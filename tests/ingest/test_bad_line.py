"""A real server behind a bad line: sliced, cut, corrupted and throttled, a look ends with a picture or with a name."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamwatch.clock import SystemClock
from streamwatch.errors import Reason, Step
from streamwatch.ingest.session import Heard, Limits, converse
from streamwatch.model.look import Depth, Transport
from streamwatch.net.address import Guard
from streamwatch.simulator.bad_line import NO_FAULTS, Faults
from streamwatch.simulator.proxy import TcpProxy
from streamwatch.wire.conversation import Ask
from tests.servers import Running, encode_clip, gstreamer

CUTS = 24  # places, of each way
CORRUPTED = 16  # looks
SEED = 5
SPAN = 60_000  # bytes: the whole conversation and the first keyframe
ENDINGS = {  # what a device can do to a look; ours.* would be our own fault
    reason for reason in Reason if not reason.startswith("ours.")
}


@pytest.fixture(scope="module")
def camera(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """GStreamer's server, which sends over TCP only."""
    clip = tmp_path_factory.mktemp("clips") / "vtest.mp4"
    with gstreamer(clip, encode_clip(shared_data / "media" / "vtest.avi", clip), protocols="TCP") as running:
        yield running


async def hear(camera: Running, down: Faults = NO_FAULTS, *, seed: int = SEED, limits: Limits | None = None) -> Heard:
    """One look at it over a line with these faults."""
    async with TcpProxy(("127.0.0.1", camera.port), down=down, seed=seed) as proxy:
        url = f"rtsp://127.0.0.1:{proxy.port}/h264"
        ask = Ask(url, Depth.STREAM, transport=Transport.TCP)
        async with asyncio.timeout(30):
            heard = await converse(ask, limits or Limits(), clock=SystemClock(), guard=Guard())
        assert proxy.defects == []
        return heard


async def test_single_bytes_are_the_same_picture(camera: Running) -> None:
    """Whatever the segments, the keyframe is bit by bit that of a good line."""
    good, sliced = await hear(camera), await hear(camera, Faults(slice_bytes=1))

    assert good.failure is None
    assert sliced.failure is None
    assert sliced.keyframe is not None
    assert good.keyframe is not None
    assert sliced.keyframe.data == good.keyframe.data
    assert (sliced.width, sliced.height) == (camera.width, camera.height)


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_a_line_that_is_cut_anywhere_is_a_reset(camera: Running, how: str) -> None:
    """At seeded places: net.reset, or a picture where the whole of it had come."""
    rng = random.Random(f"{SEED} {how}")
    for after in sorted(rng.randrange(SPAN) for _ in range(CUTS)):
        heard = await hear(camera, Faults(cut_after=after, cut=how))
        if heard.failure is not None:
            assert heard.failure.reason is Reason.NET_RESET, (after, how, heard.failure)
        else:
            assert heard.keyframe is not None, (after, how)


async def test_corruption_ends_with_a_picture_or_a_name(camera: Running) -> None:
    """A bit in ten thousand: whatever it hits, the look ends by itself and no defect of ours is in it."""
    limits = Limits(connect_s=1.0, step_s=1.0, total_s=2.0)
    looks = await asyncio.gather(
        *(hear(camera, Faults(corrupt=1e-4), seed=seed, limits=limits) for seed in range(CORRUPTED))
    )

    for seed, heard in enumerate(looks):
        assert heard.keyframe is not None or (heard.failure and heard.failure.reason in ENDINGS), (seed, heard.failure)


async def test_a_byte_now_and_then_ends_with_its_step(camera: Running) -> None:
    """Ten bytes a second are silence: net.timeout at the first step, and no later than its limit."""
    limits = Limits(connect_s=1.0, step_s=1.0, total_s=5.0)
    heard = await hear(camera, Faults(bytes_a_s=10), limits=limits)

    assert heard.failure is not None
    assert (heard.failure.reason, heard.failure.step) == (Reason.NET_TIMEOUT, Step.OPTIONS)
    assert heard.timings_ms["total"] < 2500
