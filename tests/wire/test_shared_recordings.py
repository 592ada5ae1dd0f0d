"""Every recording of real devices: each file read as what it is, and each maker's files as one whole conversation.

The recordings live beside the project and are not part of it; without them these tests are skipped by name. Pictures
are our own, in packets of our own: without parameter sets, so that the size is what the device's description says.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from streamwatch.errors import Reason, Step
from streamwatch.model.look import Transport
from streamwatch.wire import bitstream, bitstream_h265
from streamwatch.wire.conversation import Conversation
from streamwatch.wire.rtsp import Closed, Event, Request, Response, RtspParser
from streamwatch.wire.sdp import base_url, control_url, parse_sdp, pick_video
from streamwatch.wire.transport import Agreed, Session, parse_session, parse_transport
from streamwatch.wire.url import Origin
from tests.wire import camera, camera_h265
from tests.wire.camera import frame, reply
from tests.wire.makers import BARE
from tests.wire.test_conversation import failed, outcome, talk

TCP, UDP = Transport.TCP, Transport.UDP
NOT_RECORDINGS = {"LICENSE-APACHE", "LICENSE-MIT"}


class Track(NamedTuple):
    """What a description says of its video, and where SETUP goes."""

    codec: str
    payload_type: int
    size: tuple[int, int]
    asked: str


class Reply(NamedTuple):
    """What a reply that is no description says."""

    session: Session | None = None
    agreed: Agreed | None = None
    public: int = 0  # how many methods it lists


HIKVISION = "rtsp://192.168.5.106:554/Streaming/Channels/101"
DAHUA = "rtsp://192.168.5.111:554/cam/realmonitor?channel=1&subtype=1&unicast=true&proto=Onvif"
WOWZA = "rtsp://wowzaec2demo.streamlock.net/vod/mp4:BigBuckBunny_115k.mov"
FILES: dict[str, Track | Reply] = {
    "anpviz_sdp": Track("h264", 96, (704, 576), "rtsp://192.0.2.7/live/trackID=1"),
    "bunny_describe": Track("h264", 97, (240, 160), f"{WOWZA}/trackID=2"),
    "bunny_play": Reply(Session("551045787", 60)),
    "bunny_setup": Reply(Session("1642021126", 60), Agreed(TCP)),
    "dahua_describe_h264_aac_onvif": Track("h264", 96, (704, 480), f"{DAHUA}/trackID=0"),
    "dahua_options": Reply(Session("136527041864", 60), public=10),
    "dahua_play": Reply(Session("634214684047", 60)),
    "dahua_setup": Reply(Session("634214675641", 60), Agreed(TCP, ssrc=0x30A98EE7)),
    "foscam_describe": Track("h264", 96, (1280, 720), "rtsp://192.168.5.107:65534/videoMain/track1"),
    "geovision_sdp": Track("h264", 105, (2688, 1520), "rtsp://192.168.5.237/media/video1/video"),
    "h264dvr_describe": Track("h264", 96, (1920, 1080), "rtsp://127.0.0.1:554/camera/trackID=3"),
    "h264dvr_play": Reply(Session("231970", 60)),
    "h264dvr_setup_audio": Reply(Session("231980", 60), Agreed(UDP, server_ports=(40006, 40007), source="127.0.0.1")),
    "h264dvr_setup_video": Reply(Session("231970", 60), Agreed(UDP, server_ports=(40004, 40005), source="127.0.0.1")),
    "hikvision_describe": Track(
        "h264", 96, (1920, 1080), f"{HIKVISION}/trackID=1?transportmode=unicast&profile=Profile_1"
    ),
    "hikvision_play": Reply(Session("708345999", 60)),
    "hikvision_setup": Reply(Session("708345999", 60), Agreed(TCP, ssrc=0x4CACC3D1)),
    "reolink_describe": Track("h264", 96, (2560, 1440), "rtsp://192.168.5.206/h264Preview_01_main/trackID=1"),
    "reolink_play": Reply(Session("F8F8E425", 60)),
    "reolink_setup": Reply(Session("F8F8E425", 60), Agreed(TCP)),
    "reolink_teardown": Reply(),
    "tplink_sdp": Track("h265", 96, (2560, 1440), "rtsp://192.0.2.7/live/track1"),
}


def parsed(data: bytes) -> Response:
    """The one reply that a file holds, and that nothing is left over."""
    parser = RtspParser()
    parser.receive(data)
    event = parser.next_event()
    assert isinstance(event, Response) and parser.next_event() is None
    assert parser.position == len(data) and parser.skipped_bytes == 0
    return event


@pytest.fixture(scope="module")
def retina(shared_data: Path) -> dict[str, bytes]:
    """The recorded replies by name."""
    files = (shared_data / "rtsp" / "retina").glob("*.txt")
    return {path.stem: path.read_bytes() for path in files if path.stem not in NOT_RECORDINGS}


def test_every_file_is_read(retina: dict[str, bytes]) -> None:
    """None lies there that the table here does not expect something of, and none is missing."""
    assert sorted(retina) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_each_file(retina: dict[str, bytes], name: str) -> None:
    """A description gives its track, codec, size and the address to set up; a reply its session and transport."""
    data, expected = retina[name], FILES[name]
    found = parsed(data) if data.startswith(b"RTSP/") else Response(200, body=data)
    assert found.status == 200
    if isinstance(expected, Reply):
        public = found.headers.get("Public") or ""
        assert parse_session(found.headers.get("Session")) == expected.session
        assert len(public.split(",")) * bool(public) == expected.public
        stated = found.headers.get("Transport")
        if expected.agreed is not None:
            for asked_for in (TCP, UDP):
                assert parse_transport(stated, asked_for) == expected.agreed
        else:
            assert stated is None
        return
    track = pick_video(parse_sdp(found.body))
    assert (track.codec, track.payload_type, track.clock_rate) == (expected.codec, expected.payload_type, 90_000)
    h265 = track.codec == "h265"
    sps = track.parameter_sets[1 if h265 else 0]
    size = bitstream_h265.parse_sps(sps) if h265 else bitstream.parse_sps(sps)
    assert (size.width, size.height) == expected.size and len(track.parameter_sets) == (3 if h265 else 2)
    stated = found.headers.get("Content-Base")
    named = re.match(r"rtsp://([^/:]+)(?::(\d+))?", stated or expected.asked)
    assert named is not None
    origin = Origin("rtsp", named[1], int(named[2] or 554))
    base = base_url(origin, "rtsp://192.0.2.7/live", stated, None)
    assert control_url(origin, base, track.control, (stated,)) == expected.asked


# ---- whole conversations


class Talk(NamedTuple):
    """Which files answer which request (None: a plain reply of ours), and whom we ask."""

    url: str
    describe: str
    options: str | None = None
    setup: str | None = None
    play: str | None = None
    teardown: str | None = None
    transport: Transport = Transport.AUTO


CONVERSATIONS = {
    "anpviz": Talk("rtsp://192.0.2.7/live", "anpviz_sdp"),
    "bunny": Talk(WOWZA, "bunny_describe", setup="bunny_setup", play="bunny_play"),
    "dahua": Talk(DAHUA, "dahua_describe_h264_aac_onvif", "dahua_options", "dahua_setup", "dahua_play"),
    "foscam": Talk("rtsp://192.168.5.107:65534/videoMain", "foscam_describe"),
    "geovision": Talk("rtsp://192.168.5.237/media/video1", "geovision_sdp"),
    "h264dvr": Talk(
        "rtsp://127.0.0.1/camera", "h264dvr_describe", setup="h264dvr_setup_video", play="h264dvr_play", transport=UDP
    ),
    "hikvision": Talk(HIKVISION, "hikvision_describe", setup="hikvision_setup", play="hikvision_play"),
    "reolink": Talk(
        "rtsp://192.168.5.206/h264Preview_01_main",
        "reolink_describe",
        setup="reolink_setup",
        play="reolink_play",
        teardown="reolink_teardown",
    ),
    "tplink": Talk("rtsp://192.0.2.7/live", "tplink_sdp"),
}


def answer(retina: dict[str, bytes], name: str | None, cseq: int) -> bytes:
    """A recorded reply under our CSeq; what is no whole reply gets a head of ours."""
    if name is None:
        return reply(cseq)
    data = retina[name]
    if not data.startswith(b"RTSP/"):
        return reply(cseq, "200 OK", "Content-Type: application/sdp", body=data)
    return re.sub(rb"(?i)cseq: *\d+", b"CSeq: %d" % cseq, data, count=1)


def packets_of(track: Track) -> list[bytes]:
    """A keyframe of ours and more, of the track's codec and payload type, without parameter sets."""
    if track.codec == "h265":
        pictures = camera_h265.encode(352, 288)
        packets = camera_h265.packetise([camera_h265.vcl(picture) for picture in pictures])
    else:
        packets = camera.packetise(BARE)
    return [packet[:1] + bytes((packet[1] & 0x80 | track.payload_type,)) + packet[2:] for packet in packets]


@pytest.mark.parametrize("maker", CONVERSATIONS)
def test_each_maker_s_conversation(retina: dict[str, bytes], maker: str) -> None:
    """OPTIONS to TEARDOWN by recorded replies, however they are cut: a keyframe of the device's own size."""
    asked = CONVERSATIONS[maker]
    track = FILES[asked.describe]
    assert isinstance(track, Track)
    replies = [
        answer(retina, asked.options, 1),
        answer(retina, asked.describe, 2),
        answer(retina, asked.setup, 3),
        answer(retina, asked.play, 4),
    ]
    packets = packets_of(track)
    how = {"url": asked.url, "transport": asked.transport}
    if asked.transport is UDP:
        talked, sent = talk(*replies, **how)  # type: ignore[arg-type]
        for packet in packets:
            talked.datagram(packet, 1.0)
    else:
        data = b"".join([*replies, *map(frame, packets)])
        talked, sent = talk(data, **how)  # type: ignore[arg-type]
        for cut in range(1, len(data), 97):
            assert outcome(talk(data[:cut], data[cut:], **how)[0]) == outcome(talked)  # type: ignore[arg-type]
    assert talked.failure is None and talked.keyframe is not None
    assert (talked.codec, talked.width, talked.height) == (track.codec, *track.size)
    assert sent[2].startswith(f"SETUP {track.asked} RTSP/1.0\r\n")
    farewell = talked.farewell()
    assert farewell.startswith(b"TEARDOWN ")
    last = FILES[asked.play] if asked.play else None
    if isinstance(last, Reply) and last.session is not None:
        assert f"\r\nSession: {last.session.id}\r\n".encode() in farewell
    talked.receive(answer(retina, asked.teardown, int(re.findall(rb"CSeq: (\d+)", farewell)[0])), 2.0)
    assert talked.parted


def test_h264dvr_answered_by_udp_where_tcp_alone_is_allowed(retina: dict[str, bytes]) -> None:
    """Its SETUP reply names ports: with TCP pinned that is rtsp.transport, else the other transport is tried."""
    replies = [answer(retina, name, 1 + index) for index, name in enumerate((None, "h264dvr_describe"))]
    for transport in (TCP, Transport.AUTO):
        talked, _ = talk(
            *replies, answer(retina, "h264dvr_setup_video", 3), url="rtsp://127.0.0.1/camera", transport=transport
        )
        if transport is TCP:
            assert failed(talked) == (Reason.RTSP_TRANSPORT, Step.SETUP)
        else:
            assert talked.redial and talked.failure is None


def test_a_conversation_that_ends_after_each_reply(retina: dict[str, bytes]) -> None:
    """A device that falls silent or closes after any of its recorded replies: net.timeout or net.reset at its step."""
    asked = CONVERSATIONS["hikvision"]
    names = (asked.options, asked.describe, asked.setup, asked.play)
    replies = [answer(retina, name, 1 + index) for index, name in enumerate(names)]
    steps = (Step.OPTIONS, Step.DESCRIBE, Step.SETUP, Step.PLAY, Step.FIRST_KEYFRAME)
    for count, step in enumerate(steps):
        closed, _ = talk(*replies[:count], b"", url=asked.url, transport=TCP)
        assert failed(closed) == (Reason.NET_RESET, step)
        silent, _ = talk(*replies[:count], url=asked.url, transport=TCP)
        silent.timeout(30.0)
        expected = Reason.MEDIA_NO_DATA if step is Step.FIRST_KEYFRAME else Reason.NET_TIMEOUT
        assert failed(silent) == (expected, step)


# ---- a capture of two programs that are not ours


class Way(NamedTuple):
    """One direction of one connection."""

    source: str
    source_port: int
    target: str
    target_port: int


def captured(data: bytes) -> dict[Way, bytes]:
    """A pcapng file's TCP streams over IPv4, in order; what was captured twice counts once. Media is not in it."""
    streams: dict[Way, dict[int, bytes]] = {}
    for packet in _packets(data):
        ip = packet[16:]  # Linux cooked capture: 16 bytes before the network's own
        if packet[14:16] != b"\x08\x00" or ip[9] != 6:
            continue
        begin, total = (ip[0] & 15) * 4, int.from_bytes(ip[2:4], "big")
        source_port, target_port, sequence = struct.unpack_from("!HHI", ip, begin)
        payload = ip[begin + (ip[begin + 12] >> 4) * 4 : total]
        way = Way(ip[12:16].hex(), source_port, ip[16:20].hex(), target_port)
        if payload:
            streams.setdefault(way, {}).setdefault(sequence, payload)
    return {way: b"".join(parts[number] for number in sorted(parts)) for way, parts in streams.items()}


def _packets(data: bytes) -> Iterator[bytes]:
    at = 0
    while at + 12 <= len(data):
        kind, size = struct.unpack_from("<II", data, at)
        if kind == 6:  # enhanced packet block: interface, time, length here, length on the wire
            length = struct.unpack_from("<I", data, at + 20)[0]
            yield data[at + 28 : at + 28 + length]
        at += size


def events(data: bytes) -> list[Event]:
    """Every message of one direction."""
    parser = RtspParser()
    parser.receive(data)
    parser.receive(b"")
    found: list[Event] = []
    while not found or not isinstance(found[-1], Closed):
        event = parser.next_event()
        assert event is not None
        found.append(event)
    assert found.pop() == Closed(clean=True) and parser.skipped_bytes == 0
    return found


@pytest.fixture(scope="module")
def capture(shared_data: Path) -> dict[Way, bytes]:
    """VLC 3.0.16 at VLC 3.0.12, seven connections; the media went by UDP and was not captured."""
    return captured((shared_data / "rtsp" / "pcap" / "ndpi_rtsp.pcap").read_bytes())


def test_both_directions_of_a_capture(capture: dict[Way, bytes]) -> None:
    """VLC's requests and its server's replies are whole messages, in pairs, and nothing else."""
    servers = [way for way in capture if way.source_port == 8554]
    assert len(servers) == 6 and len(capture) == 13  # of the seventh connection only a keepalive was captured
    for way in servers:
        replies = events(capture[way])
        requests = events(capture[Way(way.target, way.target_port, way.source, way.source_port)])
        assert all(isinstance(one, Response) and one.status == 200 for one in replies)
        assert all(isinstance(one, Request) for one in requests)
        methods = [one.method for one in requests if isinstance(one, Request)]
        assert methods[:5] == ["OPTIONS", "DESCRIBE", "SETUP", "SETUP", "PLAY"]
        for asked, said in zip(requests, replies, strict=False):
            assert isinstance(asked, Request) and isinstance(said, Response)
            assert asked.headers.get("CSeq") == said.headers.get("CSeq")


def captured_replies(stream: bytes) -> tuple[list[bytes], str]:
    """A server's replies to OPTIONS, DESCRIBE, SETUP of the video and PLAY under our CSeq, and the video's control."""
    whole = re.split(rb"(?=RTSP/1\.0 200 OK\r\n)", stream)[1:]
    track = pick_video(parse_sdp(parsed(whole[1]).body))
    assert track.control is not None
    chosen = [*whole[:2], whole[2 + int(track.control[-1])], whole[4]]
    numbered = [re.sub(rb"Cseq: \d+", b"Cseq: %d" % (1 + index), part) for index, part in enumerate(chosen)]
    return numbered, track.control


def test_a_capture_s_replies_as_a_conversation(capture: dict[Way, bytes]) -> None:
    """Audio and video of one payload type, in either order, by UDP: the video's track, and its keyframe at 1280x720."""
    orders = set()
    for way, stream in capture.items():
        if way.source_port != 8554:
            continue
        replies, control = captured_replies(stream)
        orders.add(control)
        talked, sent = talk(*replies, url="rtsp://10.2.2.2:8554/", transport=UDP)
        assert sent[2].startswith(f"SETUP {control} RTSP/1.0\r\n")
        announced = parse_transport(parsed(replies[2]).headers.get("Transport"), UDP)
        assert announced.ssrc is not None and announced.server_ports is not None
        ports = [(one.port, one.control) for one in talked.take_datagrams()]
        assert ports == [(announced.server_ports[0], False), (announced.server_ports[1], True)] * 2
        feed(talked, announced.ssrc)
        assert talked.failure is None and talked.keyframe is not None
        assert (talked.codec, talked.width, talked.height) == ("h264", 1280, 720)
        assert (talked.server, talked.transport) == ("VLC/3.0.12", "udp")
    assert orders == {"rtsp://10.2.2.2:8554/trackID=0", "rtsp://10.2.2.2:8554/trackID=1"}


def feed(talked: Conversation, ssrc: int) -> None:
    """Our picture from the source that was announced, and between its packets one of the audio's source."""
    for packet in camera.packetise(BARE):
        talked.datagram(packet[:8] + struct.pack("!I", ssrc) + packet[12:], 1.0)
        talked.datagram(packet[:8] + struct.pack("!I", ssrc ^ 1) + packet[12:], 1.0)
