"""Media as datagrams: cameras that serve only them, or either way, seen by plain sockets and by others' clients."""

from __future__ import annotations

import asyncio
import contextlib
import select
import shutil
import socket
import struct
import subprocess
from pathlib import Path
from urllib.parse import quote

import av
import pytest

from streamwatch.simulator.carriers import BURST, Datagrams
from streamwatch.simulator.packets import frame, payloads
from tests.servers import require
from tests.simulator.conftest import Running, Talk
from tests.simulator.test_streams import url

SHORT_S = 0.6  # how long nothing must come before we believe that nothing comes
INTERLEAVED = "RTP/AVP/TCP;unicast;interleaved=0-1"


def kinds(packets: list[bytes]) -> list[int]:
    """NAL types of RTP packets: of a fragment that of the unit it is cut from."""
    return [packet[12] & 31 if packet[12] & 31 != 28 else packet[13] & 31 for packet in packets]


def flags(packets: list[bytes]) -> tuple[bool, bool]:
    """Whether the first fragment and the last one of a slice are among RTP packets of an access unit."""
    slices = [packet for packet in packets if packet[12] & 31 == 28]
    return any(packet[13] & 0x80 for packet in slices), any(packet[13] & 0x40 for packet in slices)


def udp_files(farm: Running) -> int:
    """How many UDP sockets the farm holds."""
    inodes = {line.split()[9] for line in Path("/proc/net/udp").read_text().splitlines()[1:]}
    held = [link.readlink().name for link in Path(f"/proc/{farm.process.pid}/fd").iterdir() if link.is_symlink()]
    return sum(name.startswith("socket:[") and name[8:-1] in inodes for name in held)


def test_the_shares_are_dealt_and_udp_only_cameras_say_so_in_their_names(either: Running) -> None:
    """Six of twelve serve UDP only, three either; the first two, of one village, refuse TCP in the two known ways."""
    only = either.serving("udp")

    assert (len(only), len(either.serving("both")), len(either.serving("tcp"))) == (6, 3, 3)
    assert [camera["code"] for camera in either.cameras if camera["name"].endswith("（UDP）")] == [
        camera["code"] for camera in only
    ]
    assert either.cameras[:2] == only[:2]
    statuses = []
    for camera in only:
        with Talk(camera) as talk:
            statuses.append(talk.setup(INTERLEAVED).status)
    assert statuses[:2] == [461, 400]
    assert set(statuses) == {461, 400}


@pytest.mark.parametrize("transport", ["udp", "both"])
def test_datagrams_come_from_the_ports_and_with_the_ssrc_that_the_reply_names(either: Running, transport: str) -> None:
    """RFC 2326 12.39: an even server port and the next, on the camera's own address; numbers of RTP-Info; TEARDOWN
    gives the ports back."""
    for camera in either.serving(transport):
        before = udp_files(either)
        with Talk(camera) as talk:
            reply = talk.datagrams()
            assert reply.status == 200
            parameters = dict(part.partition("=")[::2] for part in reply.headers["transport"].split(";"))
            low, high = map(int, parameters["server_port"].split("-"))
            assert udp_files(either) == before + 2
            played = talk.ask("PLAY")
            assert talk.ports is not None
            packet, sender = talk.ports[0].recvfrom(2048)
            sequence, timestamp, ssrc = struct.unpack_from(">xxHII", packet)

            assert parameters["client_port"] == "-".join(str(port.getsockname()[1]) for port in talk.ports)
            assert (low % 2, high) == (0, low + 1)
            assert sender == (camera["sub_url"].split("/")[2].split(":")[0], low)
            assert int(parameters["ssrc"], 16) == ssrc
            if "rtp-info" in played.headers:
                assert f"seq={sequence};rtptime={timestamp}" in played.headers["rtp-info"]
            assert talk.ask("TEARDOWN").status == 200
            assert udp_files(either) == before


async def test_a_large_keyframe_leaves_in_bursts() -> None:
    """260 KB are 186 datagrams, twice what a default receive buffer holds: BURST leave at once, the others later, all
    in order; what is lost on purpose leaves a gap; a closed way sends nothing more."""
    big = frame(payloads([b"\x65" + bytes(260_000)]))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(0)
        way = Datagrams("127.0.0.1", "127.0.0.1", (peer.getsockname()[1], 9), "RTP/AVP", ssrc=7)
        assert way.send(big, 65_500, 1, 7, lost={3})
        got = waiting(peer)
        assert len(got) == BURST
        while len(got) < len(big.starts) - 1:
            await asyncio.sleep(0)
            got += waiting(peer)
        way.send(big, 0, 2, 7)
        way.close()
        assert len(waiting(peer)) == BURST

    numbers = [int.from_bytes(packet[2:4], "big") for packet in got]
    assert len(big.starts) == 186
    assert numbers == [(65_500 + index) & 0xFFFF for index in range(186) if index != 3]


def waiting(peer: socket.socket) -> list[bytes]:
    """The datagrams that have arrived."""
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(peer.recv(2048))
    return found


def test_a_peer_that_goes_away_leaves_no_socket_behind(either: Running) -> None:
    """A connection that ends without TEARDOWN ends its datagrams."""
    before = udp_files(either)
    with Talk(either.serving("udp")[1]) as talk:
        talk.datagrams()
        talk.ask("PLAY")
        talk.packet()
    for _ in range(100):
        if udp_files(either) == before:
            break
        select.select([], [], [], 0.02)

    assert udp_files(either) == before


def test_the_clients_order_of_transports_decides_where_both_are_served(either: Running) -> None:
    """The first choice that the camera serves is taken; UDP is 461 where only TCP is served."""
    both, tcp, udp = (either.serving(kind)[0] for kind in ("both", "tcp", "udp"))
    offers = ("RTP/AVP/UDP;unicast;client_port=40000-40001", INTERLEAVED)
    got = {}
    for name, camera in (("both", both), ("tcp", tcp), ("udp", udp)):
        for offer in (",".join(offers), ",".join(reversed(offers)), offers[0]):
            with Talk(camera) as talk:
                reply = talk.setup(offer)
                got[name, offer.split(";")[0], len(offer)] = reply.headers.get("transport", str(reply.status))[:11]

    lists, alone = len(",".join(offers)), len(offers[0])
    assert got == {
        ("both", "RTP/AVP/UDP", lists): "RTP/AVP/UDP",
        ("both", "RTP/AVP/TCP", lists): "RTP/AVP/TCP",
        ("both", "RTP/AVP/UDP", alone): "RTP/AVP/UDP",
        ("tcp", "RTP/AVP/UDP", lists): "RTP/AVP/TCP",
        ("tcp", "RTP/AVP/TCP", lists): "RTP/AVP/TCP",
        ("tcp", "RTP/AVP/UDP", alone): "461",
        ("udp", "RTP/AVP/UDP", lists): "RTP/AVP/UDP",
        ("udp", "RTP/AVP/TCP", lists): "RTP/AVP/UDP",
        ("udp", "RTP/AVP/UDP", alone): "RTP/AVP/UDP",
    }


def test_udp_lost_takes_everything_and_sends_nothing(either: Running) -> None:
    """SETUP and PLAY succeed and no datagram comes; the same camera over TCP is untouched; mended, it sends again."""
    camera = either.serving("both")[0]
    either.fault(camera, "udp_lost")
    with Talk(camera) as talk:
        assert talk.datagrams().status == 200
        assert talk.ask("PLAY").status == 200
        assert talk.ports is not None
        assert not select.select([talk.ports[0]], [], [], SHORT_S)[0]
        with Talk(camera) as other:
            other.play()
            assert other.frame()
        either.fault(camera, None)
        assert talk.frame()


def test_tcp_refused_leaves_datagrams(either: Running) -> None:
    """A camera that served both answers 461 to an interleaved SETUP and plays over UDP, in the same connection."""
    camera = either.serving("both")[1]
    either.fault(camera, "tcp_refused")
    with Talk(camera) as talk:
        assert talk.setup(INTERLEAVED).status == 461
        assert talk.datagrams().status == 200
        talk.ask("PLAY")
        assert 5 in kinds(talk.frame())


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_loss_leaves_no_keyframe_whole(either: Running, transport: str) -> None:
    """Packets come, with gaps in their numbers; of no key frame do all arrive, by either transport."""
    camera = either.serving(transport)[0]
    either.fault(camera, "loss")
    with Talk(camera) as talk:
        assert (talk.datagrams() if transport == "udp" else talk.setup()).status == 200
        talk.ask("PLAY")
        packets = [talk.packet()[1] for _ in range(30)]

    frames: dict[int, list[bytes]] = {}
    for packet in packets:
        frames.setdefault(int.from_bytes(packet[4:8], "big"), []).append(packet)
    pictures = list(frames.values())[:-1]  # the last one may not be over
    numbers = [int.from_bytes(packet[2:4], "big") for packet in packets]
    assert (numbers[-1] - numbers[0]) % 65536 > len(numbers) - 1
    keys = [picture for picture in pictures if 5 in kinds(picture)]
    assert keys
    assert not any(
        flags(key) == (True, True)
        and int.from_bytes(key[-1][2:4], "big") - int.from_bytes(key[0][2:4], "big") == len(key) - 1
        for key in keys
    )


@pytest.mark.parametrize(("transport", "fault"), [("tcp", "udp_lost"), ("tcp", "tcp_refused"), ("udp", "tcp_refused")])
def test_a_fault_that_a_camera_cannot_have_is_refused(either: Running, transport: str, fault: str) -> None:
    """What could not show must not stand in the log: 400, naming what the camera serves."""
    camera = either.serving(transport)[0]

    status, answer = either.ask("/faults", {"camera": camera["code"], "fault": fault})

    assert status == 400
    assert f"serves {transport}" in answer["detail"]
    assert either.ask("/faults")[1]["items"] == []


def test_ffmpeg_decodes_datagrams_and_falls_back_to_no_other_transport(either: Running) -> None:
    """FFmpeg's own UDP client gets the right codec and size from every camera that serves datagrams."""
    options = {"rtsp_transport": "udp", "analyzeduration": "0", "probesize": "32"}
    for camera in either.serving("udp", "both"):
        with av.open(url(camera, "sub_url"), options=options, timeout=10) as container:
            video = container.streams.video[0]
            picture = next(container.decode(video))
        assert (video.codec_context.name, picture.width, picture.height, picture.key_frame) == ("h264", 640, 360, True)
    with pytest.raises(av.FFmpegError):
        av.open(url(either.serving("udp")[0], "sub_url"), options={"rtsp_transport": "tcp"}, timeout=10)


@pytest.mark.parametrize(("transport", "protocols"), [("udp", "udp"), ("both", "udp"), ("both", "tcp")])
def test_gstreamer_plays_it(either: Running, transport: str, protocols: str) -> None:
    """rtspsrc, told to use one transport only, gets the right codec and size."""
    gst = shutil.which("gst-launch-1.0")
    require(gst is not None, "gst-launch-1.0", "apt-get install gstreamer1.0-tools gstreamer1.0-plugins-good -bad")
    assert gst is not None
    camera = either.serving(transport)[-1]
    location = camera["sub_url"].replace("rtsp://", f"rtsp://{camera['username']}:{quote(camera['password'])}@")
    done = subprocess.run(
        [
            gst, "-v", "rtspsrc", f"location={location}", f"protocols={protocols}", "latency=0", "!",
            "application/x-rtp,media=video", "!", "rtph264depay", "!", "h264parse", "!", "fakesink", "num-buffers=2",
        ],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert "video/x-h264" in done.stdout
    assert "width=(int)640, height=(int)360" in done.stdout
