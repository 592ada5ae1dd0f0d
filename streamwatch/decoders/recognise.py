"""Stage 4, for files: the first bytes of a file -> what it is, by a table, before any library sees it.

FFmpeg is never asked to guess: its demuxer or decoder is chosen here by name, so that a file that is really a list of
other places (a playlist, a session description) is refused by what it is, and cannot reach the code that would open
what it names.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from streamwatch.errors import StreamwatchError

HEAD_BYTES: Final = 4096  # enough for every magic number, and for twenty packets of a transport stream
TS_PACKETS: Final = 4  # in a row with their sync byte: by chance once in 2**32
TS_SIZES: Final = (188, 192, 204)  # ISO/IEC 13818-1 section 2.4.3.2; with a time code in front (M2TS); with parity
TS_SYNC: Final = 0x47


class FileCode(StrEnum):
    """Why a file was not scored, where no reason of a look says it: `error.code` of `score --json`."""

    MISSING = "file.missing"
    DENIED = "file.denied"
    DIRECTORY = "file.directory"
    NOT_A_FILE = "file.not_a_file"
    EMPTY = "file.empty"
    TOO_LARGE = "file.too_large"
    UNREADABLE = "file.unreadable"
    PLAYLIST = "file.playlist"
    UNKNOWN = "file.unknown"


class FileError(StreamwatchError):
    """A file that is not scored; `detail` names the remedy. Other files are not concerned."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Known:
    """What a file is. `name` is FFmpeg's decoder for a picture, its demuxer for a clip."""

    name: str
    says: str
    still: bool = False


_PICTURES: Final = (
    (b"\xff\xd8\xff", Known("mjpeg", "JPEG", still=True)),  # ITU-T T.81 table B.1: SOI, then a marker
    (b"\x89PNG\r\n\x1a\n", Known("png", "PNG", still=True)),  # ISO/IEC 15948 section 5.2
    (b"BM", Known("bmp", "BMP", still=True)),
    (b"GIF87a", Known("gif", "GIF", still=True)),
    (b"GIF89a", Known("gif", "GIF", still=True)),
    (b"II*\x00", Known("tiff", "TIFF", still=True)),  # TIFF 6.0 section 2
    (b"MM\x00*", Known("tiff", "TIFF", still=True)),
)
_CLIPS: Final = (
    (b"\x1a\x45\xdf\xa3", Known("matroska", "Matroska")),  # RFC 8794 section 11.2.1: the EBML header
    (b"FLV\x01", Known("flv", "FLV")),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Known("asf", "ASF")),
    (b"OggS", Known("ogg", "Ogg")),  # RFC 3533 section 6
    (b"DKIF", Known("ivf", "IVF")),
    (b"YUV4MPEG2 ", Known("yuv4mpegpipe", "YUV4MPEG2")),
    (b"DHAV", Known("dhav", "DHAV")),  # recordings of Dahua recorders
    (b"IMKH", Known("mpeg", "MPEG program stream")),  # recordings of Hikvision recorders: a PS behind a header
    (b"\x00\x00\x01\xba", Known("mpeg", "MPEG program stream")),  # ISO/IEC 13818-1 section 2.5.3.3: pack
    (b"\x00\x00\x01\xb3", Known("mpegvideo", "MPEG video")),  # ISO/IEC 13818-2 section 6.2.2.1
)
_RIFF: Final = {  # what stands behind RIFF and a length
    b"WEBP": Known("webp", "WebP", still=True),
    b"AVI ": Known("avi", "AVI"),
}
_MOV: Final = Known("mov", "MP4")
_MOV_BOXES: Final = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"})  # ISO/IEC 14496-12
_MOV_PICTURES: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"mif1", b"avif"})  # brands of still pictures
_TS: Final = Known("mpegts", "MPEG transport stream")
_H264: Final = Known("h264", "H.264 byte stream")
_HEVC: Final = Known("hevc", "H.265 byte stream")
_H264_FIRST: Final = frozenset({0x09, 0x06, 0x27, 0x47, 0x67})  # NAL header: AUD, SEI, SPS of each nal_ref_idc
_HEVC_FIRST: Final = frozenset({0x40, 0x42, 0x44, 0x46, 0x4E})  # first byte of VPS, SPS, PPS, AUD, prefix SEI

_PLAYLISTS: Final = (  # lower case, behind white space; what FFmpeg would follow to other files and addresses
    (b"#extm3u", "an M3U or HLS playlist"),
    (b"ffconcat", "a list of files to be joined (ffconcat)"),
    (b"v=0", "a session description (SDP)"),
    (b"[playlist]", "a PLS playlist"),
    (b"[reference]", "an ASX reference"),
    (b"<asx", "an ASX playlist"),
    (b"<smil", "a SMIL playlist"),
    (b"rtsptext", "a RealMedia reference"),
    (b"rtsp://", "an address"),
    (b"http://", "an address"),
    (b"https://", "an address"),
)
_PLAYLISTS_IN_XML: Final = (
    (b"<mpd", "a DASH manifest"),
    (b"<smoothstreamingmedia", "a Smooth Streaming manifest"),
    (b"<manifest", "a manifest of streams"),
    (b"<playlist", "an XSPF playlist"),
)


def recognise(head: bytes) -> Known:
    """What begins with `head`, the first 4,096 bytes of a file or all of it. Raises FileError."""
    for magic, known in (*_PICTURES, *_CLIPS):
        if head.startswith(magic):
            return known
    if head[:4] == b"RIFF" and head[8:12] in _RIFF:
        return _RIFF[head[8:12]]
    if head[4:8] in _MOV_BOXES:
        if head[4:8] == b"ftyp" and head[8:12] in _MOV_PICTURES:
            detail = "HEIC and AVIF pictures are not read here: save them as JPEG or PNG"
            raise FileError("media.unsupported_codec", detail)
        return _MOV
    stream = _byte_stream(head) or (_TS if _is_transport_stream(head) else None)
    if stream is not None:
        return stream
    _refuse_playlists(head)
    raise FileError(
        FileCode.UNKNOWN,
        "this is no picture (JPEG, PNG, WebP, BMP, GIF, TIFF) and no clip (MP4, MKV, AVI, TS, PS, FLV, H.264, H.265 …)",
    )


def _byte_stream(head: bytes) -> Known | None:
    """Annex B (ITU-T H.264 and H.265): a start code, then a unit that begins a sequence."""
    at = head[:64].find(b"\x00\x00\x01")
    if at < 0 or head[:at].strip(b"\x00") or len(head) < at + 5:
        return None
    if head[at + 3] in _HEVC_FIRST and head[at + 4] == 1:  # nuh_layer_id 0, nuh_temporal_id_plus1 1
        return _HEVC
    return _H264 if head[at + 3] in _H264_FIRST else None


def _is_transport_stream(head: bytes) -> bool:
    """Sync bytes one packet apart, from anywhere in the first packet: recordings begin where they were cut."""
    for size in TS_SIZES:
        for offset in range(min(size, len(head))):
            syncs = head[offset : offset + size * TS_PACKETS : size]
            if syncs == bytes([TS_SYNC]) * TS_PACKETS:
                return True
    return False


def _refuse_playlists(head: bytes) -> None:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    found = next((what for begin, what in _PLAYLISTS if text.startswith(begin)), None)
    if found is None and text.startswith(b"<"):
        found = next((what for word, what in _PLAYLISTS_IN_XML if word in text), None)
    if found is not None:
        detail = f"{found} only names where pictures are, and nothing is opened for it: name the pictures or clips"
        raise FileError(FileCode.PLAYLIST, detail)
