"""RTSP servers that nobody on the team wrote, and clips for them to play.

A server that is not here skips its tests by name; under CI=true it fails them, so that a green run has met them all.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import pytest

START_S = 30.0
GST_PYTHON = "/usr/bin/python3"  # the Python that has gi is Debian's, whatever runs the tests

IPYCAM_PORT = 8554  # fixed

GST_SERVER = """
import sys
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer
Gst.init(None)
launch, user, password, protocols, codec, pem = sys.argv[1:7]
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service("0")
factory = GstRtspServer.RTSPMediaFactory()
factory.set_shared(False)
factory.set_launch(launch)
if protocols:
    factory.set_protocols(getattr(GstRtsp.RTSPLowerTrans, protocols))
auth = GstRtspServer.RTSPAuth() if user or pem else None
if pem:
    auth.set_tls_certificate(Gio.TlsCertificate.new_from_pem(pem, -1))
if auth:
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    server.set_auth(auth)
    if user:
        auth.set_supported_methods(2)  # Digest
        auth.add_digest(user, password, token)
    else:
        auth.set_default_token(token)  # anybody
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("viewer", "media.factory.access", True)
    permissions.add_permission_for_role("viewer", "media.factory.construct", True)
    factory.set_permissions(permissions)
server.get_mount_points().add_factory(f"/{codec}", factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""


GST_JPEG = "multifilesrc location={clip} loop=true caps=image/jpeg,framerate=10/1"  # one file again and again
GST_LAUNCH = {
    "h264": "( filesrc location={clip} ! qtdemux ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 )",
    "h265": "( filesrc location={clip} ! qtdemux ! h265parse ! rtph265pay name=pay0 pt=96 config-interval=-1 )",
    "mjpeg": f"( {GST_JPEG} ! jpegparse ! rtpjpegpay name=pay0 )",  # as it is
    "jpegenc": f"( {GST_JPEG} ! jpegdec ! jpegenc ! rtpjpegpay name=pay0 )",  # encoded anew
}
GST_LAUNCH |= {
    f"x{number}enc{depth[5:]}": f"( {GST_JPEG} ! jpegdec ! videoconvert ! video/x-raw,format={depth} ! x{number}enc "
    f"tune=zerolatency speed-preset=ultrafast key-int-max=10 ! rtph{number}pay name=pay0 pt=96 config-interval=-1 )"
    for number in ("264", "265")
    for depth in ("I420", "I420_10LE")
}  # encoded anew as well: x264enc, x264enc10LE, x265enc, x265enc10LE


@dataclass(frozen=True)
class Running:
    """A server that plays: where, and what its picture is."""

    url: str
    port: int
    width: int
    height: int


@dataclass(frozen=True)
class Secluded:
    """A server in a network of its own: its address there, and the command prefix that goes in."""

    url: str
    enter: tuple[str, ...]


def require(present: bool, what: str, install: str) -> None:
    """Skips the test, or under CI=true fails it, where a server is missing."""
    if present:
        return
    message = f"{what} is not installed here: {install}"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def encode_clip(source: Path, target: Path, seconds: float = 6.0, codec: str = "h264") -> tuple[int, int]:
    """`source` as H.264 or H.265 without B-frames, a keyframe a second; gives width and height."""
    with av.open(str(source)) as found, av.open(str(target), "w") as made:
        video = found.streams.video[0]
        stream = made.add_stream(f"libx{codec[1:]}", rate=10)
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, "yuv420p"
        stream.options = {"g": "10", "bf": "0", "preset": "ultrafast", "crf": "24", "x265-params": "log-level=none"}
        for number, frame in enumerate(found.decode(video)):
            if number >= seconds * 10:
                break
            plain = frame.reformat(format="yuv420p")
            plain.pts = number
            plain.time_base = Fraction(1, 10)
            made.mux(stream.encode(plain))
        made.mux(stream.encode())
        return video.width, video.height


@contextlib.contextmanager
def gstreamer(
    clip: Path,
    size: tuple[int, int],
    user: str = "",
    password: str = "",
    protocols: str = "",
    codec: str = "h264",
    pem: str = "",
) -> Iterator[Running]:
    """GStreamer's RTSP server, with Digest where a user is given; `protocols` TCP or UDP is the only one it does.

    `codec` names what it does with the clip, see GST_LAUNCH; with `pem`, a certificate and its key, it speaks TLS only.
    """
    there = (
        subprocess.run(
            [GST_PYTHON, "-c", "import gi; gi.require_version('GstRtspServer', '1.0')"],
            capture_output=True,
            check=False,
        )
        if Path(GST_PYTHON).exists()
        else None
    )
    require(
        there is not None and there.returncode == 0,
        "GStreamer's RTSP server",
        "apt-get install gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-good gstreamer1.0-plugins-bad",
    )
    process = subprocess.Popen(
        [GST_PYTHON, "-c", GST_SERVER, GST_LAUNCH[codec].format(clip=clip), user, password, protocols, codec, pem],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield Running(f"rtsp{'s' if pem else ''}://127.0.0.1:{port}/{codec}", port, *size)
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def aio_rtsp(clip: Path, size: tuple[int, int]) -> Iterator[Running]:
    """aio-rtsp-toolkit's server, an independent one in Python."""
    command = Path(sys.executable).parent / "rtsp-server"
    require(command.exists(), "aio-rtsp-toolkit", "pip install 'aio-rtsp-toolkit[server]'")
    port = free_port()
    process = subprocess.Popen(
        [str(command), "-d", str(clip.parent), "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for_port(port, process)
        yield Running(f"rtsp://127.0.0.1:{port}/{clip.name}", port, *size)
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def vlc(clip: Path, size: tuple[int, int]) -> Iterator[Running]:
    """VLC, which sends by UDP only and answers anything else with 461; it takes no port 0 and refuses to be root."""
    command = shutil.which("cvlc")
    require(command is not None, "VLC", "apt-get install vlc-bin vlc-plugin-base")
    port = free_port()
    unprivileged = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory() as home:  # pytest's own folders are for their owner only
        Path(home).chmod(0o777)
        readable = shutil.copy(clip, home)
        process = subprocess.Popen(
            [
                *unprivileged, "env", f"HOME={home}", str(command), "-q", "--loop", "--rtsp-host", "127.0.0.1",
                str(readable), "--sout", f"#rtp{{sdp=rtsp://127.0.0.1:{port}/vlc}}", "--sout-keep",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=home,
        )  # fmt: skip
        try:
            wait_for_port(port, process)
            wait_for_description(f"rtsp://127.0.0.1:{port}/vlc", port)
            yield Running(f"rtsp://127.0.0.1:{port}/vlc", port, *size)
        finally:
            process.kill()
            process.wait()


@contextlib.contextmanager
def ipycam(clip: Path, home: Path) -> Iterator[Secluded]:
    """ipycam, a virtual camera with a main stream of 1920x1080 and a sub stream of 640x360; it encodes with ffmpeg.

    It listens on every address, so it gets a network of its own, and whoever wants to see it must go in there.
    """
    require(importlib.util.find_spec("ipycam") is not None, "ipycam", "pip install ipycam")
    require(shutil.which("ffmpeg") is not None, "ffmpeg, which ipycam encodes with,", "apt-get install ffmpeg")
    for tool, package in (("unshare", "util-linux"), ("nsenter", "util-linux"), ("ip", "iproute2")):
        require(shutil.which(tool) is not None, tool, f"apt-get install {package}")
    try:
        subprocess.run(["unshare", "-n", "true"], check=True, capture_output=True)
    except subprocess.CalledProcessError:
        pytest.skip("no network of its own can be made here for ipycam: unshare -n is not allowed")
    process = subprocess.Popen(
        ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh",
         sys.executable, "-m", "ipycam", "--source", str(clip), "--hw", "cpu"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=home,
    )  # fmt: skip
    try:
        ends = time.monotonic() + START_S
        while not _listens(process.pid, IPYCAM_PORT):
            assert process.poll() is None, f"ipycam ended with {process.returncode}"
            assert time.monotonic() < ends, f"ipycam does not listen after {START_S} s"
            time.sleep(0.05)
        yield Secluded(f"rtsp://127.0.0.1:{IPYCAM_PORT}", ("nsenter", f"--net=/proc/{process.pid}/ns/net"))
    finally:
        process.terminate()  # it ends its encoders
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        process.kill()
        process.wait()


def _listens(pid: int, port: int) -> bool:
    """Whether something listens on that port in the network of that process."""
    tables = [Path(f"/proc/{pid}/net/{name}") for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    return any(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)


def free_port() -> int:
    """A port that was free a moment ago, for servers that take no 0."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as probe:
        return int(probe.getsockname()[1])


def wait_for_description(url: str, port: int) -> None:
    """Until DESCRIBE is answered with 200: VLC listens before it has opened its file, and says 500 meanwhile."""
    ends = time.monotonic() + START_S
    while time.monotonic() < ends:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(f"DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
            if connection.recv(4096).startswith(b"RTSP/1.0 200"):
                return
        time.sleep(0.05)
    pytest.fail(f"no description of {url} within {START_S} s")


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Returns when something listens there."""
    ends = time.monotonic() + START_S
    while time.monotonic() < ends:
        assert process.poll() is None, f"the server ended with {process.returncode}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    pytest.fail(f"nothing listens on port {port} after {START_S} s")
