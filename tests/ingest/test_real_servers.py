"""Looks at RTSP servers that nobody on the team wrote: by UDP only, by TCP only, by both, without being told which."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from streamwatch.clock import SystemClock
from streamwatch.decoders.job import DecodeJob
from streamwatch.decoders.pool import DecoderPool
from streamwatch.errors import Reason, Step
from streamwatch.ingest.session import Heard, Limits, converse
from streamwatch.model.look import Depth, Transport
from streamwatch.net.address import Guard
from streamwatch.wire.conversation import Ask
from tests.servers import Running, Secluded, encode_clip, gstreamer, ipycam, vlc

ROOT = Path(__file__).resolve().parents[2]

Clip = tuple[Path, tuple[int, int]]


@pytest.fixture(scope="module")
def clip(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """A street scene as a surveillance camera saw it."""
    path = tmp_path_factory.mktemp("clips") / "vtest.mp4"
    return path, encode_clip(shared_data / "media" / "vtest.avi", path)


@pytest.fixture(scope="module")
def gst_udp(clip: Clip) -> Iterator[Running]:
    with gstreamer(*clip, "admin", "s3cret", "UDP") as running:
        yield running


@pytest.fixture(scope="module")
def gst_tcp(clip: Clip) -> Iterator[Running]:
    with gstreamer(*clip, protocols="TCP") as running:
        yield running


@pytest.fixture(scope="module")
def gst_both(clip: Clip) -> Iterator[Running]:
    with gstreamer(*clip) as running:
        yield running


@pytest.fixture(scope="module")
def gst_h265(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    path = tmp_path_factory.mktemp("clips") / "vtest_h265.mp4"
    size = encode_clip(shared_data / "media" / "vtest.avi", path, codec="h265")
    with gstreamer(path, size, codec="h265") as running:
        yield running


@pytest.fixture(scope="module")
def vlc_server(clip: Clip) -> Iterator[Running]:
    with vlc(*clip) as running:
        yield running


async def hear(url: str, transport: Transport = Transport.AUTO, prefer: Transport = Transport.TCP) -> Heard:
    ask = Ask(url, Depth.STREAM, transport=transport, prefer=prefer)
    return await converse(ask, Limits(), clock=SystemClock(), guard=Guard())


def is_up(heard: Heard, running: Running, transport: str, codec: str = "h264") -> None:
    """A whole keyframe of the right codec and size, by that transport."""
    assert heard.failure is None
    assert heard.keyframe is not None
    assert (heard.codec, heard.width, heard.height) == (codec, running.width, running.height)
    assert heard.transport == transport


PREFERRING_UDP = """
import asyncio, sys
from streamwatch.clock import SystemClock
from streamwatch.ingest.session import Limits, converse
from streamwatch.model.look import Depth, Transport
from streamwatch.net.address import Guard
from streamwatch.wire.conversation import Ask
ask = Ask(sys.argv[1], Depth.STREAM, prefer=Transport.UDP)
heard = asyncio.run(converse(ask, Limits(total_s=4.0), clock=SystemClock(), guard=Guard()))
print(heard.failure, heard.transport, heard.codec, heard.width, heard.height)
"""


def with_login(running: Running) -> str:
    return running.url.replace("rtsp://", "rtsp://admin:s3cret@")


@pytest.mark.parametrize("prefer", [Transport.TCP, Transport.UDP])
async def test_vlc_that_refuses_tcp_is_up(vlc_server: Running, prefer: Transport) -> None:
    """461 to the interleaved SETUP, UDP in the same connection; asked for UDP first, it needs no second SETUP."""
    is_up(await hear(vlc_server.url, prefer=prefer), vlc_server, "udp")


async def test_vlc_with_tcp_pinned_is_rtsp_transport(vlc_server: Running) -> None:
    """Whoever pins a transport gets no other one."""
    heard = await hear(vlc_server.url, Transport.TCP)

    assert heard.failure is not None
    assert (heard.failure.reason, heard.failure.step) == (Reason.RTSP_TRANSPORT, Step.SETUP)
    assert "461" in heard.failure.detail


@pytest.mark.parametrize("prefer", [Transport.TCP, Transport.UDP])
async def test_gstreamer_with_udp_only_and_digest_is_up(gst_udp: Running, prefer: Transport) -> None:
    """Whichever comes first."""
    is_up(await hear(with_login(gst_udp), prefer=prefer), gst_udp, "udp")


@pytest.mark.parametrize("prefer", [Transport.TCP, Transport.UDP])
async def test_gstreamer_with_tcp_only_is_up(gst_tcp: Running, prefer: Transport) -> None:
    """Also where UDP was remembered."""
    is_up(await hear(gst_tcp.url, prefer=prefer), gst_tcp, "tcp")


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.UDP])
async def test_gstreamer_with_both_does_what_is_asked(gst_both: Running, transport: Transport) -> None:
    """Pinned or preferred."""
    is_up(await hear(gst_both.url, transport), gst_both, transport.value)
    is_up(await hear(gst_both.url, prefer=transport), gst_both, transport.value)


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.UDP])
async def test_h265_is_up_and_its_picture_is_scored(gst_h265: Running, transport: Transport) -> None:
    """GStreamer's rtph265pay over both transports, decoded and measured in the jail."""
    heard = await hear(gst_h265.url, transport)
    is_up(heard, gst_h265, transport.value, "h265")
    assert heard.keyframe is not None
    pool = DecoderPool(workers=1)
    await pool.start()
    try:
        result = await pool.score(DecodeJob(heard.keyframe.codec, heard.keyframe.data, None, 0))
    finally:
        await pool.aclose()
    assert (result.failure, result.width, result.height) == (None, gst_h265.width, gst_h265.height)
    assert result.measures


def test_probe_of_h265_scores_a_picture(gst_h265: Running) -> None:
    """As a person would ask."""
    done = subprocess.run(
        [sys.executable, "-m", "streamwatch", "probe", gst_h265.url, "--json"],
        capture_output=True, text=True, timeout=60, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert (found["state"], found["codec"], found["width"], found["height"]) == (
        "up", "h265", gst_h265.width, gst_h265.height,
    )  # fmt: skip
    assert found["measures"]


@pytest.mark.parametrize("server", ["gst_udp", "gst_tcp", "gst_both", "gst_h265", "vlc_server"])
async def test_a_warm_look_is_up(server: str, request: pytest.FixtureRequest) -> None:
    """The same picture's size by the same transport; SETUP without DESCRIBE is enough, or the full look is made."""
    running = request.getfixturevalue(server)
    url = with_login(running) if server == "gst_udp" else running.url
    ask = Ask(url, Depth.STREAM)
    for _ in range(5):
        cold = await converse(ask, Limits(), clock=SystemClock(), guard=Guard())
        if cold.failure is None:
            break
        await asyncio.sleep(0.5)  # VLC says 500 until it has opened its file
    is_up(cold, running, cold.transport or "", cold.codec or "")
    assert cold.warm is not None
    again = replace(ask, prefer=Transport(cold.transport or ""), warm=cold.warm)
    heard = await converse(again, Limits(), clock=SystemClock(), guard=Guard())

    is_up(heard, running, cold.transport or "", cold.codec or "")
    assert heard.warm_held is not None
    assert heard.warm_held == (list(heard.timings_ms) == ["connect", "setup", "play", "first_keyframe", "total"])


async def test_gstreamer_hears_the_farewell(gst_udp: Running) -> None:
    """TEARDOWN over UDP is answered, and what that took is not the look's time."""
    heard = await hear(with_login(gst_udp))

    assert 0 < heard.parting_s < 0.2


@pytest.fixture(scope="module")
def virtual_camera(clip: Clip, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secluded]:
    with ipycam(clip[0], tmp_path_factory.mktemp("ipycam")) as running:
        yield running


WARM = """
import asyncio, sys
from msgspec.structs import replace
from streamwatch.clock import SystemClock
from streamwatch.ingest.session import Limits, converse
from streamwatch.model.look import Depth
from streamwatch.net.address import Guard
from streamwatch.wire.conversation import Ask
async def twice(ask):
    for _ in range(2):
        heard = await converse(ask, Limits(total_s=8.0), clock=SystemClock(), guard=Guard())
        ask = replace(ask, warm=heard.warm)
    print(heard.failure, heard.warm_held is not None, heard.codec, heard.width, heard.height)
asyncio.run(twice(Ask(sys.argv[1], Depth.STREAM)))
"""


def within(camera: Secluded, *arguments: str) -> str:
    """What a Python with those arguments says in that camera's network."""
    done = subprocess.run(
        [*camera.enter, sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(("path", "size"), [("video_main", (1920, 1080)), ("video_sub", (640, 360))])
def test_ipycam_is_up(virtual_camera: Secluded, path: str, size: tuple[int, int]) -> None:
    """A virtual camera: right codec and size of both streams, as a person would ask."""
    url = f"{virtual_camera.url}/{path}"
    found = json.loads(within(virtual_camera, "-m", "streamwatch", "probe", url, "--json", "--depth", "stream"))

    assert (found["state"], found["codec"], found["width"], found["height"]) == ("up", "h264", *size)


def test_a_warm_look_at_ipycam_is_up(virtual_camera: Secluded) -> None:
    """What the first look learnt is tried in the second, and whatever comes of that, the picture is there."""
    said = within(virtual_camera, "-c", WARM, f"{virtual_camera.url}/video_sub")

    assert said.split() == ["None", "True", "h264", "640", "360"]


def test_ipycam_that_accepts_udp_and_stays_silent_is_up_by_tcp(virtual_camera: Secluded) -> None:
    """Its SETUP and PLAY for UDP are answered with 200, and then nothing comes: TCP within the same deadline."""
    said = within(virtual_camera, "-c", PREFERRING_UDP, f"{virtual_camera.url}/video_sub")

    assert said.split() == ["None", "tcp", "h264", "640", "360"]
