"""Keyframe requests and sender reports, with GStreamer's server and an encoder that makes a keyframe in ten seconds."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamwatch.clock import SystemClock
from streamwatch.ingest.session import Heard, Limits, converse
from streamwatch.model.look import Depth, Transport
from streamwatch.net.address import Guard
from streamwatch.wire.conversation import Ask
from tests.servers import GST_PYTHON, require

# One encoder that runs on, whoever looks: a request reaches it by the event that GStreamer's server makes of it.
SERVER = """
import gi
for name in ("Gst", "GstRtsp", "GstRtspServer", "GstVideo"):
    gi.require_version(name, "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer, GstVideo
Gst.init(None)
encoder = Gst.parse_launch(
    "videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=25/1"
    " ! x264enc name=enc tune=zerolatency speed-preset=ultrafast key-int-max=250"
    " ! video/x-h264,profile=baseline,stream-format=avc,alignment=au"
    " ! appsink name=out emit-signals=true sync=false max-buffers=1"
)
sources, caps = [], []
def sample(sink):
    found = sink.emit("pull-sample")
    caps[:] = [found.get_caps()]
    for source in sources:
        copy = found.get_buffer().copy_deep()
        copy.pts = copy.dts = Gst.CLOCK_TIME_NONE
        source.emit("push-buffer", copy)
    if not told:
        told.append(True)
        print(server.get_bound_port(), flush=True)
    return Gst.FlowReturn.OK
told = []
def upstream(pad, info):
    structure = info.get_event().get_structure()
    if structure and structure.get_name() == "GstForceKeyUnit":
        event = GstVideo.video_event_new_upstream_force_key_unit(Gst.CLOCK_TIME_NONE, True, 1)
        encoder.get_by_name("enc").get_static_pad("src").send_event(event)
    return Gst.PadProbeReturn.OK
def configure(factory, media):
    source = media.get_element().get_by_name("source")
    source.set_property("caps", caps[0])
    source.get_static_pad("src").add_probe(Gst.PadProbeType.EVENT_UPSTREAM, upstream)
    sources.append(source)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service("0")
for path, profile in (("/plain", GstRtsp.RTSPProfile.AVP), ("/feedback", GstRtsp.RTSPProfile.AVPF)):
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_shared(False)
    factory.set_launch(
        "( appsrc name=source is-live=true do-timestamp=true format=time"
        " ! rtph264pay name=pay0 pt=96 config-interval=-1 )"
    )
    factory.set_profiles(profile)
    factory.connect("media-configure", configure)
    server.get_mount_points().add_factory(path, factory)
server.attach(None)
encoder.get_by_name("out").connect("new-sample", sample)
encoder.set_state(Gst.State.PLAYING)
GLib.MainLoop().run()
"""
CHECK = """
import gi
for name in ("GstRtspServer", "GstVideo", "Gst"):
    gi.require_version(name, "1.0")
from gi.repository import Gst
Gst.init(None)
assert Gst.ElementFactory.find("x264enc")
"""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Where the server listens; its encoder has begun."""
    there = (
        Path(GST_PYTHON).exists()
        and not subprocess.run([GST_PYTHON, "-c", CHECK], capture_output=True, check=False).returncode
    )
    require(
        bool(there),
        "GStreamer's RTSP server with an encoder",
        "apt-get install gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly",
    )
    process = subprocess.Popen([GST_PYTHON, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


async def look(url: str, by: Transport, keyframe_s: float) -> Heard:
    """One look whose keyframe may take that long."""
    ask = Ask(url, Depth.STREAM, transport=by, keyframe_s=keyframe_s)
    return await converse(ask, Limits(), clock=SystemClock(), guard=Guard())


@pytest.mark.parametrize("by", [Transport.TCP, Transport.UDP])
async def test_a_request_brings_the_keyframe(port: int, by: Transport) -> None:
    """Asked for by PLI after a second; unasked it would have taken up to ten, and twice in a row nearly all of them."""
    waits = []
    for _ in range(2):
        heard = await look(f"rtsp://127.0.0.1:{port}/feedback", by, 6.0)
        assert heard.failure is None and heard.keyframe is not None and heard.transport == by.value
        assert (heard.width, heard.height) == (320, 240)
        waits.append(heard.timings_ms["first_keyframe"])
    assert max(waits) < 6000


async def test_sender_reports_of_a_real_server_tell_its_clock(port: int) -> None:
    """It runs on this machine, so its clock is ours. It reports after some three seconds."""
    for _ in range(4):
        heard = await look(f"rtsp://127.0.0.1:{port}/plain", Transport.TCP, 4.0)
        if heard.clock_offset_ms is not None:
            break
    assert heard.clock_offset_ms is not None and abs(heard.clock_offset_ms) < 1000
