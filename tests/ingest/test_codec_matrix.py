"""Every codec by every transport, from encoders and a server that nobody on the team wrote, to a scored picture."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from streamwatch.model.look import Depth, State, Transport
from streamwatch.prober import Prober
from tests.servers import Running, gstreamer
from tests.wire.jpeg_camera import encode_jpeg

CODECS = {"x264enc": "h264", "x265enc": "h265", "jpegenc": "mjpeg"}
SIZES = [(352, 232), (1920, 1080)]  # H.264 and H.265 code them as 352x240 and 1920x1088, and crop
DEEP = {"x264enc10LE": "h264", "x265enc10LE": "h265"}  # ten bits: High 10, Main 10
SERVED = [(encoder, size) for encoder in CODECS for size in SIZES] + [(encoder, SIZES[0]) for encoder in DEEP]
BY = {Transport.TCP: {"tcp"}, Transport.UDP: {"udp"}, Transport.AUTO: {"tcp", "udp"}}  # of them what worked before


@pytest.fixture(scope="module", params=SERVED, ids=str)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, str]]:
    """GStreamer's server, which encodes a picture as long as somebody looks."""
    encoder, size = request.param
    path = tmp_path_factory.mktemp(encoder) / "picture.jpg"
    path.write_bytes(encode_jpeg(*size))
    with gstreamer(path, size, codec=encoder) as running:
        yield running, (CODECS | DEEP)[encoder]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def prober() -> AsyncIterator[Prober]:
    async with Prober(decoders=1) as made:
        yield made


@pytest.mark.parametrize("transport", BY)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_look_gives_the_right_size_and_a_scored_picture(
    served: tuple[Running, str], prober: Prober, transport: Transport
) -> None:
    """Up without a remark, codec and size after cropping, by that transport, with what the picture measures."""
    running, codec = served
    found = await prober.look(running.url, depth=Depth.PICTURE, transport=transport)

    assert (found.state, found.reason, found.detail) == (State.UP, None, None)
    assert (found.codec, found.width, found.height) == (codec, running.width, running.height)
    assert found.transport in BY[transport]
    assert found.measures["luma_mean"].valid and found.measures["sharpness"].value > 0
