"""Looks at MJPEG from a server that nobody on the team wrote, by TCP and by UDP, down to the picture's measures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from streamwatch.clock import SystemClock
from streamwatch.decoders.codec import Codecs
from streamwatch.decoders.job import PADDING, SlotJob
from streamwatch.decoders.luma import luma_of
from streamwatch.decoders.still import decode_still
from streamwatch.decoders.worker import answer
from streamwatch.errors import Reason
from streamwatch.ingest.session import Heard, Limits, converse
from streamwatch.model.look import Depth, Transport
from streamwatch.net.address import Guard
from streamwatch.quality.score import score
from streamwatch.wire.bitstream import MAX_PIXELS
from streamwatch.wire.conversation import Ask
from tests.servers import Running, gstreamer
from tests.wire.jpeg_camera import encode_jpeg

AT_US = 1_795_498_690_000_000
FILES = {
    "4:2:0": encode_jpeg(1280, 720),
    "4:2:2": encode_jpeg(640, 360, 0),
    "restarts": encode_jpeg(640, 480, restarts=True),
    "large": encode_jpeg(2560, 1440, quality=50),
}
SIZES = {"4:2:0": (1280, 720), "4:2:2": (640, 360), "restarts": (640, 480), "large": (2560, 1440)}


@pytest.fixture(scope="module", params=list(FILES))
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, bytes]]:
    """GStreamer, sending one JPEG file as it is."""
    path: Path = tmp_path_factory.mktemp("jpeg") / "picture.jpg"
    path.write_bytes(FILES[request.param])
    with gstreamer(path, SIZES[request.param], codec="mjpeg") as running:
        yield running, FILES[request.param]


async def hear(url: str, transport: Transport) -> Heard:
    ask = Ask(url, Depth.PICTURE, transport=transport)
    return await converse(ask, Limits(), clock=SystemClock(), guard=Guard())


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.UDP])
async def test_the_picture_measures_as_its_file_does(served: tuple[Running, bytes], transport: Transport) -> None:
    """Up, the right size, and every measure that of the same JPEG read from a file."""
    running, file = served
    heard = await hear(running.url, transport)

    assert heard.failure is None and heard.keyframe is not None
    assert (heard.codec, heard.width, heard.height) == ("mjpeg", running.width, running.height)
    assert heard.transport == transport.value
    data = heard.keyframe.data
    job = SlotJob(heard.keyframe.codec, len(data), None, AT_US)
    result = answer(Codecs(max_pixels=MAX_PIXELS), job, memoryview(data + PADDING)[: len(data)])
    assert result.failure is None and (result.width, result.height) == (running.width, running.height)
    assert result.measures == score(luma_of(decode_still("mjpeg", file, MAX_PIXELS)), None, AT_US).measures
    assert all(measure.valid for measure in result.measures if measure.name == "luma_mean")


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.UDP])
async def test_what_gstreamer_encodes_itself_is_up(tmp_path: Path, transport: Transport) -> None:
    """jpegenc ! rtpjpegpay, the usual way; its picture is that of the file within what encoding again takes."""
    path = tmp_path / "picture.jpg"
    path.write_bytes(FILES["4:2:0"])
    with gstreamer(path, SIZES["4:2:0"], codec="jpegenc") as running:
        heard = await hear(running.url, transport)

    assert heard.failure is None and heard.keyframe is not None
    assert (heard.codec, heard.width, heard.height) == ("mjpeg", 1280, 720)
    picture = Codecs(max_pixels=MAX_PIXELS).decode("mjpeg", heard.keyframe.data)
    file = luma_of(decode_still("mjpeg", FILES["4:2:0"], MAX_PIXELS))
    assert abs(picture.luma.astype(int) - file).mean() < 4


async def test_a_limit_of_pixels_holds(served: tuple[Running, bytes]) -> None:
    """media.too_large before anything is decoded."""
    running, _ = served
    ask = Ask(running.url, Depth.PICTURE, max_pixels=100_000)
    heard = await converse(ask, Limits(), clock=SystemClock(), guard=Guard())

    assert heard.failure is not None and heard.failure.reason is Reason.MEDIA_TOO_LARGE
    assert (heard.width, heard.height) == (running.width, running.height)
