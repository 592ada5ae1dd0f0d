"""What makers' devices send after PLAY, and how they keep a session. Each test says: what they do: what we do about it.

docs/cameras.md is made from these names and docstrings.
"""

from __future__ import annotations

import struct

import pytest

from streamwatch.errors import Reason, Step
from streamwatch.model.look import Depth, Transport
from streamwatch.wire.conversation import Ask, Conversation
from tests.wire import camera_h265
from tests.wire.camera import (
    URL,
    Picture,
    encode,
    fragments,
    frame,
    packetise,
    reply,
    rtp,
)
from tests.wire.makers import BARE, H264, PICTURE, SETS, SIZE, STATED, look, media, seen, sprop, video
from tests.wire.test_conversation import GOOD, PACKETS, PICTURES, failed
from tests.wire.test_fallback import udp_look, udp_setup

PLAYING = (GOOD.options, GOOD.describe, GOOD.setup, GOOD.play)
RECOVERY_POINT = b"\x06\x06\x01\xc4\x80"


def sent_as(payloads: list[bytes], *, step: int = 0, marker: bool = True) -> bytes:
    """Payloads of one picture, as interleaved packets."""
    last = len(payloads) - 1
    return b"".join(
        frame(rtp(payload, 100 + index, index * step, marker=marker and index == last))
        for index, payload in enumerate(payloads)
    )


def of_ours(packets: list[bytes]) -> bytes:
    return b"".join(frame(packet) for packet in packets)


def changed(packet: bytes, *, first: int | None = None, extra: bytes = b"", tail: bytes = b"") -> bytes:
    """An RTP packet with another first byte, more header and more behind."""
    begin = packet[0] if first is None else first
    return bytes((begin,)) + packet[1:12] + extra + packet[12:] + tail


# ---- the connection


def test_v4l2rtspserver_sends_media_before_the_reply_to_play() -> None:
    """Packets, even the keyframe, before PLAY is answered: they count, and the look ends with the reply."""
    talked, _ = look(play=GOOD.media, media=GOOD.play)
    seen(talked)


def test_any_media_between_teardown_and_its_reply() -> None:
    """Packets still come after TEARDOWN: let go until the reply is there."""
    talked, _ = look()
    talked.farewell()
    parted = []
    for data in (GOOD.media, frame(PACKETS[0]) + reply(5) + frame(PACKETS[1])):
        talked.receive(data, 1.0)
        parted.append(talked.parted)
    assert parted == [False, True]
    seen(talked)


def test_dahua_answers_teardown_with_status_0() -> None:
    """`RTSP/1.0 0 ` without CSeq as the reply to TEARDOWN (mediamtx #423): taken for the reply."""
    talked, _ = look()
    talked.farewell()
    talked.receive(b"RTSP/1.0 0 \r\n\r\n", 1.0)
    assert talked.parted
    waiting, _ = look(describe=b"RTSP/1.0 0 \r\n\r\n", setup=b"", play=b"", media=b"")
    assert not waiting.finished and waiting.step is Step.DESCRIBE


@pytest.mark.parametrize("stray", [b"\r\n", b"\n", b"\r\n\r\n"])
def test_any_line_ends_before_packets(stray: bytes) -> None:
    """`\\r\\n` before the `$` of a packet: passed over."""
    seen(look(media=b"".join(stray + frame(packet) for packet in PACKETS))[0])


@pytest.mark.parametrize("channel", [1, 2, 3, 77, 255])
def test_any_packets_of_channels_that_were_not_agreed_on(channel: int) -> None:
    """Packets of channels that nobody set up, between ours: ignored, even where they are RTP with our numbers."""
    foreign = [packet[:8] + b"\0\0\0\x63" + packet[12:] for packet in PACKETS]
    seen(look(media=b"".join(frame(one, channel) + frame(two) for one, two in zip(foreign, PACKETS, strict=True)))[0])


@pytest.mark.parametrize(
    "garbage",
    [b"\x00" * 7, b"nonsense$\x09\xff", b"$", b"RTSP/2.0 \x01\x02", bytes(range(0x80, 0x100)), b"\xff" * 3000],
)
def test_any_garbage_between_packets(garbage: bytes) -> None:
    """Bytes that are neither RTSP nor a packet of ours (go2rtc #231): we go on at the next `$` of our channel."""
    later = packetise(PICTURES, first=400)
    talked, _ = look(media=of_ours(PACKETS[:2]) + garbage + of_ours(PACKETS[2:]) + of_ours(later))
    seen(talked)


@pytest.mark.parametrize("kept", [1, 4, 300])
def test_live555_cuts_packets_short_when_its_socket_is_full(kept: int) -> None:
    """Before 2013.12 a packet may end in its middle, as in old Reolink (retina #17): the next keyframe is taken."""
    broken = frame(PACKETS[1])[:kept]
    later = packetise([*PICTURES, *PICTURES], first=400, mtu=600)
    talked, _ = look(media=of_ours(PACKETS[:1]) + broken + of_ours(PACKETS[2:]) + of_ours(later) * 2)
    seen(talked)


def test_live555_writes_an_old_session_into_our_connection() -> None:
    """After an unclean end the old session's packets come on our channel too (2015.05): told apart by their source."""
    old = [packet[:8] + b"\0\0\0\x63" + packet[12:] for packet in packetise(PICTURE, first=9000)]
    mixed = b"".join(frame(one) + frame(two) for one, two in zip(PACKETS, old * 9, strict=False))
    seen(look(media=mixed)[0], SIZE)


@pytest.mark.parametrize("method", ["OPTIONS", "GET_PARAMETER", "SET_PARAMETER", "REDIRECT"])
def test_any_request_from_the_device(method: str) -> None:
    """The device itself asks, between replies and packets: answered, and never taken for a reply."""
    asks = f"{method} rtsp://192.0.2.1/ RTSP/1.0\r\nCSeq: 3\r\n\r\n".encode()
    talked, sent = look(setup=asks + GOOD.setup, media=of_ours(PACKETS[:1]) + asks + of_ours(PACKETS[1:]))
    seen(talked)
    assert sum(text.startswith("RTSP/1.0 ") for text in sent) == 2


# ---- keeping a session


def playing(*, options: bytes = GOOD.options, setup: bytes = GOOD.setup) -> Conversation:
    """A look that has media and no keyframe yet."""
    return look(options=options, setup=setup, media=of_ours(packetise(PICTURES[1:])[:1]))[0]


def test_tapo_refuses_the_keepalive_that_it_lists() -> None:
    """C220 and C520WS list methods and answer them with 400 (retina #133, #136): OPTIONS from then on."""
    talked = playing(
        options=reply(1, "200 OK", "Public: OPTIONS, SET_PARAMETER, GET_PARAMETER"),
        setup=reply(3, "200 OK", "Session: 7;timeout=15", "Transport: RTP/AVP/TCP;interleaved=0-1"),
    )
    assert talked.tick(7.6).startswith(b"GET_PARAMETER")
    talked.receive(reply(5, "400 Bad Request"), 7.7)
    assert talked.tick(15.2).startswith(b"OPTIONS") and talked.failure is None
    talked.receive(reply(6) + of_ours(packetise(PICTURES, first=500)), 15.3)
    seen(talked)


def test_tapo_answers_a_keepalive_with_the_number_before() -> None:
    """400 with the CSeq of the request before (retina #133): passed over, the session goes on."""
    talked = playing(options=reply(1, "200 OK", "Public: OPTIONS, GET_PARAMETER"))
    talked.tick(31.0)
    talked.receive(reply(4, "400 Bad Request"), 31.1)
    assert talked.failure is None and not talked.finished
    talked.receive(of_ours(packetise(PICTURES, first=500)), 31.3)
    seen(talked)


@pytest.mark.parametrize(("public", "method"), [("OPTIONS, PLAY", b"OPTIONS"), ("GET_PARAMETER", b"GET_PARAMETER")])
def test_any_server_that_closes_on_unknown_methods(public: str, method: bytes) -> None:
    """Old rtsp-simple-server ends the session on a method it does not know: we send what `Public` lists, or OPTIONS."""
    assert playing(options=reply(1, "200 OK", f"Public: {public}")).tick(30.1).startswith(method)


@pytest.mark.parametrize(
    ("session", "first"), [("7", 30), ("7;timeout=60", 30), ("7;timeout=15", 7.5), ("7;timeout=0", 2.5)]
)
def test_any_session_expires_in_spite_of_packets(session: str, first: float) -> None:
    """Sessions end at their own timeout, 60 s where none is given: a keepalive at its half."""
    talked = playing(setup=reply(3, "200 OK", f"Session: {session}", "Transport: RTP/AVP/TCP;interleaved=0-1"))
    talked.receive(b"\r\n", 0.1)
    while talked.due is not None and talked.due < first:
        talked.tick(talked.due)  # reports
    assert talked.due is not None and first <= talked.due <= first + 0.1


def test_any_udp_sender_that_stops_without_receiver_reports() -> None:
    """Over UDP some stop where nobody reports: RTCP at the start and every five seconds."""
    talked = udp_look(PACKETS[1])
    assert sum(one.control for one in talked.take_datagrams()) == 2
    for _ in range(2):
        talked.tick(talked.due or 0.0)
        assert any(one.control for one in talked.take_datagrams())


# ---- RTP


def test_geovision_repeats_numbers_in_payload_type_50() -> None:
    """A packet of payload type 50 after each of ours, with its number: no loss, no video."""
    strange = [bytes((packet[0], 50)) + packet[2:12] + b"GEO" for packet in PACKETS]
    seen(look(media=b"".join(frame(one) + frame(two) for one, two in zip(PACKETS, strange, strict=True)))[0])
    alone, _ = look(media=of_ours(strange))
    assert not alone.media_flowed


def test_hikvision_sends_private_data_beside_the_video() -> None:
    """Payload types 107 and 112 on the video's channel with numbers of their own source: ignored."""
    private = [struct.pack("!BBHII", 0x80, 112, 7000 + index, 0, 99) + b"private" for index in range(len(PACKETS))]
    seen(look(media=b"".join(frame(one) + frame(two) for one, two in zip(private, PACKETS, strict=True)))[0])


@pytest.mark.parametrize("mtu", [10_000, 60_000])
def test_tapo_sends_packets_of_10000_bytes(mtu: int) -> None:
    """One packet of 10,000 bytes and more: taken whole, by TCP and UDP."""
    large = encode(1280, 720, pictures=1)
    packets = packetise(large, mtu=mtu)
    assert max(map(len, packets)) > 8_000
    seen(look(media=of_ours(packets))[0], (1280, 720))
    seen(udp_look(*packets), (1280, 720))


def test_any_header_extension() -> None:
    """An extension before the payload, as ONVIF's time of recording (0xABAC): passed over."""
    onvif, sources = struct.pack("!HH", 0xABAC, 3) + bytes(12), struct.pack("!II", 1, 2)
    for first, extra in ((0x90, onvif), (0x82, sources)):
        talked, _ = look(media=of_ours([changed(packet, first=first, extra=extra) for packet in PACKETS]))
        assert talked.keyframe is not None and talked.keyframe == look()[0].keyframe


@pytest.mark.parametrize("padding", [1, 4, 255])
def test_any_padding(padding: int) -> None:
    """Padding behind the payload: taken off."""
    tail = bytes(padding - 1) + bytes((padding,))
    talked, _ = look(media=of_ours([changed(packet, first=0xA0, tail=tail) for packet in PACKETS]))
    assert talked.keyframe is not None and talked.keyframe == look()[0].keyframe


def test_any_other_payload_types_that_use_up_numbers() -> None:
    """Metadata within the video's own numbering: no loss."""
    mixed = []
    for index, packet in enumerate(PACKETS):
        mixed += [packet[:2] + struct.pack("!H", 100 + 2 * index) + packet[4:],
                  struct.pack("!BBHII", 0x80, 107, 101 + 2 * index, 0, 7) + b"<xml/>"]  # fmt: skip
    seen(look(media=of_ours(mixed))[0])


@pytest.mark.parametrize("ssrc", [[7, 8], [9], list(range(1, 60))])
def test_any_ssrc_that_changes(ssrc: list[int]) -> None:
    """Another SSRC with each packet, or than was announced, while numbers go on: one stream."""
    packets = [
        packet[:8] + struct.pack("!I", ssrc[index % len(ssrc)]) + packet[12:] for index, packet in enumerate(PACKETS)
    ]
    seen(look(media=of_ours(packets))[0])
    seen(udp_look(*packets[:1], *(one[:8] + packets[0][8:12] + one[12:] for one in PACKETS[1:]),
                  *(one[:8] + packets[0][8:12] + one[12:] for one in packetise(PICTURES * 9, first=300))))  # fmt: skip


@pytest.mark.parametrize("first", [3, 30_000, 65_530])
def test_any_numbering_that_starts_anew(first: int) -> None:
    """The numbers jump when a camera restarts within the session: the next keyframe is taken, by TCP and UDP."""
    before = packetise(PICTURES[1:], first=20_000)
    after = packetise([*PICTURES, *PICTURES], first=first)
    seen(look(media=of_ours(before + after))[0])
    talked = udp_look(*before, *after)
    for packet in packetise(PICTURES[1:], first=first + len(after)):
        talked.datagram(packet, 2.0)
    seen(talked)


@pytest.mark.parametrize("marker", [True, False])
@pytest.mark.parametrize("step", [0, -90_000])
def test_any_clock_that_stands_still_or_jumps_back(step: int, marker: bool) -> None:
    """A constant timestamp, or one that jumps back when NTP sets the clock: pictures are told apart without it."""
    packets = packetise(PICTURES, marker=marker)
    if step == 0:
        moved = [packet[:4] + b"\0\0\0\x09" + packet[8:] for packet in packets]
    else:
        moved = [
            packet[:4] + struct.pack("!I", (int.from_bytes(packet[4:8], "big") * -25 + 2**31) % 2**32) + packet[8:]
            for packet in packets
        ]
    seen(look(media=of_ours(moved))[0])


@pytest.mark.parametrize("marked", ["every unit", "none", "SEI alone"])
def test_ivel_sets_the_marker_where_it_does_not_belong(marked: str) -> None:
    """The marker on SEI and parameter sets, or never: the picture ends where the next one begins."""
    units = [unit for picture in PICTURES for unit in picture]
    stamps = [index for index, picture in enumerate(PICTURES) for _ in picture]
    packets = [
        rtp(unit, 100 + index, stamps[index] * 3600,
            marker=(marked == "every unit" and unit[0] & 0x1F != 5) or (marked == "SEI alone" and unit[0] & 0x1F == 6))
        for index, unit in enumerate(units)
    ]  # fmt: skip
    seen(look(media=of_ours(packets))[0])
    point = [*SETS, RECOVERY_POINT, *(b"\x61" + unit[1:] for unit in BARE[0]), b"\x41\x9a\x00"]
    refresh = [
        rtp(
            unit,
            100 + index,
            9000 * (index == len(point) - 1),
            marker=marked == "every unit" and index < len(point) - 2,
        )
        for index, unit in enumerate(point)
    ]
    seen(look(media=of_ours(refresh))[0], STATED)


# ---- H.264


@pytest.mark.parametrize("slices", [2, 4, 8])
def test_any_picture_of_several_slices(slices: int) -> None:
    """Several slices a picture: collected to the last one."""
    pictures = encode(640, 480, slices=slices)
    talked, _ = look(media=of_ours(packetise(pictures, mtu=500)))
    seen(talked, (640, 480))
    assert talked.keyframe is not None
    assert sum(unit[0] & 0x1F == 5 for unit in talked.keyframe.data.split(b"\x00\x00\x00\x01") if unit) == slices


def test_tiandy_changes_the_type_in_the_middle_of_fragments() -> None:
    """Fragments whose NAL type changes after the first: the first one's holds."""
    (idr,) = BARE[0]
    pieces = fragments(idr, 300)
    assert len(pieces) > 2
    wrong = [pieces[0], *(piece[:1] + bytes((piece[1] & 0xE0 | 1,)) + piece[2:] for piece in pieces[1:])]
    seen(look(media=sent_as([*SETS, *wrong]))[0], STATED)


def test_any_empty_fragments() -> None:
    """Fragments and payloads without content: they end nothing."""
    (idr,) = BARE[0]
    pieces = fragments(idr, 300)
    seen(look(media=sent_as([*SETS, b"", pieces[0], pieces[0][:1] + b"\x05", *pieces[1:]]))[0], STATED)


@pytest.mark.parametrize("start", [b"\x00\x00\x01", b"\x00\x00\x00\x01"])
@pytest.mark.parametrize("cut", [False, True])
def test_v380_sends_a_whole_picture_with_start_codes(start: bytes, cut: bool) -> None:
    """Annex B with start codes within one payload or across fragments: split into its units."""
    stream = b"".join(start + unit for unit in PICTURE[0])
    payloads = fragments(stream[len(start) :], 700) if cut else [stream]
    seen(look(media=sent_as(payloads))[0], STATED)


def test_any_parameter_sets_that_come_once_an_hour() -> None:
    """SPS and PPS hardly ever in the stream: those of the description are used until then."""
    talked, _ = look(describe=video(H264, sprop(*SETS)), media=media(bare=True))
    seen(talked, STATED)
    without, _ = look(media=media(bare=True))
    assert without.media_flowed and without.keyframe is None and not without.finished


def test_any_stream_without_idr_pictures() -> None:
    """Recovery points and intra pictures instead of IDR: such a picture is a keyframe."""
    point = [RECOVERY_POINT, *(b"\x61" + unit[1:] for unit in BARE[0])]
    seen(look(media=sent_as([*SETS, *point]))[0], STATED)


@pytest.mark.parametrize(
    "size", [(352, 232), (720, 1280), (1920, 1080), (704, 576), (98, 50), (2560, 1440)], ids=lambda size: f"{size}"
)
def test_any_odd_size(size: tuple[int, int]) -> None:
    """Sizes that are no multiple of 16, upright pictures, 1080 of 1088 coded lines: the size after cropping."""
    seen(look(media=of_ours(packetise(encode(*size, pictures=1))))[0], size)


def test_any_stream_with_b_frames() -> None:
    """Pictures that refer to later ones, sent out of their order in time: the keyframe is none the worse for them."""
    pictures = encode(352, 288, pictures=12, extra="bframes=3:b-adapt=0:keyint=6:min-keyint=6:scenecut=0")
    talked, _ = look(media=of_ours(packetise(pictures[1:], first=100)))
    seen(talked, (352, 288))


def test_any_size_that_changes_in_mid_stream() -> None:
    """A profile switched while it plays: each keyframe has the size of its own parameter sets."""
    other = encode(640, 480, pictures=2)
    packets = [*packetise(PICTURE[1:]), *packetise(other, first=400)]
    seen(look(describe=video(H264, sprop(*SETS)), media=of_ours(packets))[0], (640, 480))


# ---- smart codecs


def smart(until: float, *, keyframe_s: float = 60.0, flows: bool = True) -> Conversation:
    """A camera whose first keyframe comes at `until` seconds after PLAY, asked with the patience given."""
    talked = Conversation(Ask(URL, Depth.STREAM, keyframe_s=keyframe_s), lambda: "c0ffee")
    talked.start(0.0)
    for index, part in enumerate(PLAYING):
        talked.receive(part, 0.01 * (index + 1))
    number = 100
    for second in range(1, int(until)):
        if flows:
            talked.receive(frame(rtp(b"\x41\x9a\x00", number, second * 90_000, marker=True)), float(second))
            number += 1
        if talked.due is not None and talked.due <= second:
            talked.tick(float(second))
    return talked


@pytest.mark.parametrize("seconds", [12, 40])
def test_hikvision_and_dahua_smart_codecs_send_few_keyframes(seconds: int) -> None:
    """H.264+, H.265+, smart codec with a keyframe in 10 to 40 s: waited for as long as the camera is known to need."""
    talked = smart(seconds)
    assert talked.keyframe_until >= seconds and not talked.finished
    talked.receive(of_ours(packetise(PICTURES, first=9000)), float(seconds))
    assert talked.keyframe is not None and talked.failure is None


def test_any_stream_without_a_keyframe_is_not_taken_for_silence() -> None:
    """Video and no keyframe yet, and no video at all: two reasons."""
    flowing, silent = smart(11, keyframe_s=10), smart(11, keyframe_s=10, flows=False)
    for talked in (flowing, silent):
        talked.timeout(11.0)
    assert failed(flowing) == (Reason.MEDIA_NO_KEYFRAME, Step.FIRST_KEYFRAME) and flowing.media_flowed
    assert failed(silent) == (Reason.MEDIA_NO_DATA, Step.FIRST_KEYFRAME)


@pytest.mark.parametrize("rate", [1, 5])
def test_any_camera_of_one_picture_a_second(rate: int) -> None:
    """1 to 5 pictures a second and no marker: the keyframe is whole when the next picture begins."""
    first, *later = packetise(PICTURES, marker=False, step=90_000 // rate)
    talked, _ = look(media=frame(first))
    for index, packet in enumerate(later):
        talked.receive(frame(packet), 1.0 + index)
    seen(talked)


# ---- H.265


def h265(pictures: list[Picture] | tuple[Picture, ...], fmtp: str = "", **how: bool) -> None:
    talked, _ = look(
        describe=reply(2, "200 OK", "Content-Type: application/sdp", body=camera_h265.sdp(fmtp=fmtp)),
        media=of_ours(camera_h265.packetise(pictures, mtu=700, **how)),
    )
    seen(talked, (352, 288))
    assert talked.codec == "h265"


H265 = camera_h265.encode(352, 288)


@pytest.mark.parametrize("aggregated", [False, True])
@pytest.mark.parametrize("don", [False, True])
def test_any_h265_packetisation(aggregated: bool, don: bool) -> None:
    """Aggregation (48), fragments (49), and order numbers where sprop-max-don-diff says so: read."""
    h265(H265, ";sprop-max-don-diff=2" if don else "", aggregated=aggregated, don=don)


def test_any_h265_paci_packet() -> None:
    """A PACI packet (50) between others, which no description offers: passed over alone."""
    packets = camera_h265.packetise([*H265, *H265])
    paci = rtp(b"\x64\x01\x40\x00\x00\x00", 99, 0)
    talked, _ = look(
        describe=reply(2, "200 OK", "Content-Type: application/sdp", body=camera_h265.sdp()),
        media=frame(paci) + of_ours(packets),
    )
    seen(talked, (352, 288))


def test_tenda_and_reolink_h265_sets_have_sub_layers_and_scaling_lists() -> None:
    """An H.265 SPS with temporal sub-layers or scaling lists: the size is read past them."""
    h265(camera_h265.encode(352, 288, extra="temporal-layers=1"))
    h265(camera_h265.encode(352, 288, extra="scaling-list=default"))


def test_any_datagrams_that_overtake_and_repeat() -> None:
    """By UDP packets overtake each other and come twice: put in order, for a tenth of a second."""
    order = [*PACKETS[:3], PACKETS[4], PACKETS[3], PACKETS[3], *PACKETS[5:]]
    seen(udp_look(*order))
    assert udp_setup(3)


def test_h264dvr_sends_by_udp_what_was_asked_by_tcp() -> None:
    """A SETUP for TCP that is answered with ports: asked again for UDP in a new connection, and taken from there."""
    setup = reply(3, "200 OK", "Session: 7", "Transport: RTP/AVP;unicast;client_port=5000-5001;server_port=40004-40005")
    talked, sent = look(setup=setup, play=b"", media=b"", transport=Transport.AUTO)
    assert talked.redial and talked.failure is None and sent[-1].startswith("SETUP")
