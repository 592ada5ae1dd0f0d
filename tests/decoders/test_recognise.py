"""What a file is, by its first bytes; what only names other places is refused by name."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.decoders.recognise import FileError, Known, recognise
from tests.decoders.media import CLIPS, PICTURES, clip, live, picture
from tests.decoders.streams import street

DECODER_OF = {"jpg": "mjpeg"}
DEMUXER_OF = {"mp4": "mov", "mkv": "matroska", "ts": "mpegts", "ps": "mpeg"}


@pytest.mark.parametrize("kind", PICTURES)
def test_pictures_are_known_by_their_first_bytes(kind: str) -> None:
    """Each kind of picture, from nothing but its head."""
    found = recognise(picture(street(320, 180), kind)[:4096])

    assert (found.name, found.still) == (DECODER_OF.get(kind, kind), True)


@pytest.mark.parametrize("kind", CLIPS)
def test_clips_are_known_by_their_first_bytes(kind: str) -> None:
    """Each kind of clip."""
    found = recognise(clip(live(1, width=320, height=180), kind)[:4096])

    assert (found.name, found.still) == (DEMUXER_OF.get(kind, kind), False)


@pytest.mark.parametrize("size", [188, 192, 204])
@pytest.mark.parametrize("offset", [0, 1, 100, 187])
def test_a_transport_stream_may_begin_anywhere_in_a_packet(size: int, offset: int) -> None:
    """Recorders cut where they like, and put time codes or parity between packets."""
    packet = b"\x47" + bytes(size - 1)
    found = recognise((packet * 8)[size - offset :])

    assert found.name == "mpegts"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\x00\x00\x00\x01\x67\x42\x00\x1e", "h264"),
        (b"\x00\x00\x01\x09\xf0", "h264"),
        (b"\x00\x00\x00\x01\x40\x01\x0c", "hevc"),
        (b"\x00\x00\x00\x01\x46\x01\x50", "hevc"),
        (b"IMKH" + bytes(36) + b"\x00\x00\x01\xba", "mpeg"),
        (b"DHAV" + bytes(40), "dhav"),
        (b"YUV4MPEG2 W2 H2\n", "yuv4mpegpipe"),
    ],
)
def test_streams_without_a_container_and_recorders_own_are_known(data: bytes, name: str) -> None:
    """Byte streams of H.264 and H.265 by their first unit; recordings of two makers by their headers."""
    assert recognise(data).name == name


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        "\ufeff  #EXTM3U\nhttp://127.0.0.1/x.ts\n",
        "ffconcat version 1.0\nfile /etc/passwd\n",
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=video 5004 RTP/AVP 96\r\n",
        '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
        "<SmoothStreamingMedia MajorVersion='2'>",
        "[playlist]\nFile1=/etc/passwd\n",
        "http://127.0.0.1/live.m3u8\n",
    ],
)
def test_lists_of_other_places_are_refused_by_name(text: str) -> None:
    """Nothing that FFmpeg would follow elsewhere gets as far as FFmpeg."""
    with pytest.raises(FileError, match="only names where pictures are") as caught:
        recognise(text.encode())
    assert caught.value.code == "file.playlist"


@pytest.mark.parametrize("data", [b"root:x:0:0:root:/root:/bin/bash\n", b"\x00" * 4096, b"PK\x03\x04", b"G", b"RIFF"])
def test_anything_else_is_unknown_and_says_what_is_known(data: bytes) -> None:
    """The remedy is in the message: which kinds there are."""
    with pytest.raises(FileError, match="JPEG, PNG") as caught:
        recognise(data)
    assert caught.value.code == "file.unknown"


def test_a_telephones_heic_is_refused_with_its_remedy() -> None:
    """It looks like an MP4 and is a picture in tiles."""
    with pytest.raises(FileError, match="save them as JPEG"):
        recognise(b"\x00\x00\x00\x18ftypheic" + bytes(40))


@given(st.binary(max_size=1000))
def test_no_bytes_raise_anything_but_a_file_error(data: bytes) -> None:
    """Whatever a file begins with, it is known or refused."""
    with contextlib.suppress(FileError):
        assert isinstance(recognise(data), Known)
