"""Stage 3, wire: the body of a DESCRIBE reply (SDP, RFC 4566) -> its video track, and the address that SETUP asks for.

Tolerant: what cannot be read is passed over, never raised; only "no video at all" is an error. Text is Latin-1.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from streamwatch.errors import LookError, Reason, UsageError
from streamwatch.wire import bitstream, bitstream_h265, jpeg
from streamwatch.wire.keyframe_request import FULL_INTRA, PICTURE_LOSS
from streamwatch.wire.transport import FEEDBACK, PLAIN
from streamwatch.wire.url import DEFAULT_PORTS, MAX_URL, Origin, is_absolute, parse_address
from streamwatch.wire.words import plain

MAX_SDP: Final = 128 * 1024  # bytes, as MAX_BODY
MAX_CACHED: Final = 4096  # bytes; the longest real one seen has 2 KiB
MAX_MEDIA: Final = 16  # sections; real devices have up to 4
MAX_FORMATS: Final = 16  # payload types a section; real devices offer one or two
MAX_ATTRIBUTES: Final = 256  # a section, and parameters of an fmtp; real devices have up to 30
MAX_SPROP: Final = 64 * 1024  # characters of parameter sets; real ones have under 300
CONTROL_ALL: Final = "*"  # RFC 2326 section C.1.1

CODECS: Final = {  # rtpmap names -> ours
    "H264": "h264",
    "H265": "h265",
    "HEVC": "h265",
    "JPEG": "mjpeg",
    "PS": "ps",  # GB/T 28181 annex C
    "MP2P": "ps",  # RFC 3555 section 4.2.13
}
STATIC_JPEG: Final = 26  # RFC 3551 table 5
_SPROP: Final[dict[str, tuple[tuple[str, ...], frozenset[int]]]] = {  # parameters of fmtp, and kinds of their units
    "h264": (("sprop-parameter-sets",), frozenset({bitstream.SPS, bitstream.PPS})),
    "h265": (
        ("sprop-vps", "sprop-sps", "sprop-pps"),
        frozenset({bitstream_h265.VPS, bitstream_h265.SPS, bitstream_h265.PPS}),
    ),
}
STATIC_VIDEO: Final = {
    STATIC_JPEG: ("JPEG", 90_000),
    31: ("H261", 90_000),
    32: ("MPV", 90_000),
    34: ("H263", 90_000),
}  # RFC 3551
DEFAULT_CLOCK: Final = 90_000  # Hz, of every video payload in use
NONE: Final[frozenset[str]] = frozenset()
MAX_CLOCK: Final = 10_000_000  # Hz; a rate that is 0 or above is not believed

_LINE = re.compile(r"[^\r\n]+")  # one after the other: 128 KiB may be 64 Ki of them
_MEDIA_LINE = re.compile(r"(\S+)\s+(\S+)\s+(\S+)\s*(.*)")  # TP-LINK: "application/TP-LINK 0 RTP/AVP smart/1/90000"
_RTPMAP = re.compile(r"\s*([0-9]{1,3})\s+([^/\s]+)(?:\s*/\s*([0-9]+))?")
_FMTP = re.compile(r"\s*([0-9]{1,3})(?:\s+(.*))?", re.DOTALL)
_DIMENSIONS = re.compile(r"\s*([0-9]{1,5})\s*,\s*([0-9]{1,5})\s*")  # GStreamer's a=x-dimensions:2560,1440
_FRAME_SIZE = re.compile(r"\s*([0-9]{1,3})\s+([0-9]{1,5})-([0-9]{1,5})\s*")  # 3GPP TS 26.234 clause 5.3.3.2
_AUTHORITY = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*://)*(?:[^/?#]*)")


@dataclass(frozen=True, slots=True)
class Media:
    """One m= section. `attributes` keeps every a= line in its order, known or not."""

    kind: str
    protocol: str
    payload_types: tuple[int, ...]
    attributes: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str | None:
        """The first value of an attribute, or None."""
        return next((value for key, value in self.attributes if key == name), None)


@dataclass(frozen=True, slots=True)
class SessionDescription:
    """All that was understood: attributes before the first m=, and at most MAX_MEDIA sections."""

    attributes: tuple[tuple[str, str], ...]
    media: tuple[Media, ...]

    @property
    def control(self) -> str | None:
        """The session's own a=control."""
        return next((value for key, value in self.attributes if key == "control"), None)


@dataclass(frozen=True, slots=True)
class VideoTrack:
    """The track to watch. `codec` is ours (h264, h265, mjpeg, ps) or the lower-case name that the device gave."""

    codec: str
    payload_type: int
    clock_rate: int  # Hz
    control: str | None
    fmtp: dict[str, str] = field(default_factory=dict)  # names in lower case
    parameter_sets: tuple[
        bytes, ...
    ] = ()  # NAL units; of mjpeg its frame header with the size; those in the stream win
    profile: str = PLAIN  # RTP/AVP or RTP/AVPF
    feedback: frozenset[str] = NONE  # "nack pli", "ccm fir": how it may be asked for a keyframe


def described(body: bytes) -> tuple[SessionDescription, VideoTrack]:
    """What a description says, and the track to watch. Raises LookError(media.no_video)."""
    return _described(body) if len(body) <= MAX_CACHED else _described.__wrapped__(body)


@lru_cache(maxsize=1024)  # of at most 4 KiB, and about as much again in parts: 8 MiB; a camera says the same each time
def _described(body: bytes) -> tuple[SessionDescription, VideoTrack]:
    description = parse_sdp(body)
    return description, pick_video(description)


def parse_sdp(body: bytes) -> SessionDescription:
    """What can be read of it. Never raises; lines that make no sense are passed over (o= of TP-LINK, s= of anyone)."""
    session: list[tuple[str, str]] = []
    sections: list[tuple[re.Match[str] | None, list[tuple[str, str]]]] = []
    attributes = session
    for found in _LINE.finditer(body[:MAX_SDP].decode("latin-1")):
        line = found[0]
        key, value = line[:2], line[2:].strip(" \t")
        if key == "m=":
            if len(sections) >= MAX_MEDIA:
                break
            attributes = []
            sections.append((_MEDIA_LINE.fullmatch(value), attributes))
        elif key == "a=" and len(attributes) < MAX_ATTRIBUTES:
            name, _, rest = value.partition(":")
            attributes.append((name.strip().lower(), rest.strip(" \t")))
    media = [_media(line, found) for line, found in sections if line is not None]
    return SessionDescription(tuple(session), tuple(media))


def _media(line: re.Match[str], attributes: list[tuple[str, str]]) -> Media:
    words = line[4].split(maxsplit=MAX_FORMATS)[:MAX_FORMATS]
    numbers = dict.fromkeys(int(word) for word in words if re.fullmatch(r"[0-9]{1,3}", word) and int(word) < 128)
    return Media(line[1].lower(), line[3].upper(), tuple(numbers), tuple(attributes))


def pick_video(description: SessionDescription) -> VideoTrack:
    """The first video track of a codec that we know, else the first of another. Raises LookError(media.no_video)."""
    formats = [_Formats(media) for media in description.media]
    others = [found for media, found in zip(description.media, formats, strict=True) if media.kind != "video"]
    tracks: list[VideoTrack] = []
    for media, own in zip(description.media, formats, strict=True):
        if media.kind == "video":
            tracks += _tracks(media, own, others)
    if not tracks:
        kinds = ", ".join(media.kind[:20] for media in description.media) or "nothing"
        raise LookError(Reason.MEDIA_NO_VIDEO, f"the stream has no video track; its description has {plain(kinds)}")
    known = [track for track in tracks if track.codec in CODECS.values()]
    return (known or tracks)[0]


class _Formats:
    """The rtpmap and fmtp lines of one section, by payload type; the first of a number counts."""

    __slots__ = ("fmtp", "rtpmap")

    def __init__(self, media: Media) -> None:
        self.rtpmap: dict[int, tuple[str, int]] = {}
        self.fmtp: dict[int, str] = {}
        for key, value in media.attributes:
            if key == "rtpmap" and (found := _RTPMAP.match(value)):
                rate = int(found[3][:12]) if found[3] else 0
                rate = rate if 0 < rate <= MAX_CLOCK else DEFAULT_CLOCK
                self.rtpmap.setdefault(int(found[1]), (found[2].upper(), rate))
            elif key == "fmtp" and (found := _FMTP.fullmatch(value)) and found[2]:
                self.fmtp.setdefault(int(found[1]), found[2])


def _tracks(media: Media, own: _Formats, others: list[_Formats]) -> list[VideoTrack]:
    # the video's rtpmap and fmtp are found under other sections too (go2rtc WebRTC #419); its own come first
    tracks = []
    for number in media.payload_types:
        strayed = (other.rtpmap[number] for other in others if other.rtpmap.get(number, ("", 0))[0] in CODECS)
        name, rate = own.rtpmap.get(number) or next(strayed, None) or STATIC_VIDEO.get(number) or (None, 0)
        if name is None:
            continue
        scopes = [own, *others] if name in CODECS else [own]
        fmtp = _pairs(next((scope.fmtp[number] for scope in scopes if number in scope.fmtp), ""))
        codec = CODECS.get(name, plain(name.lower())[:20])
        sets = _frame_header(media, number) if codec == "mjpeg" else _parameter_sets(fmtp, codec)
        profile = FEEDBACK if media.protocol == FEEDBACK else PLAIN
        tracks.append(
            VideoTrack(codec, number, rate, media.get("control"), fmtp, sets, profile, _feedback(media, number))
        )
    return tracks


def _feedback(media: Media, number: int) -> frozenset[str]:
    """How a payload type may be asked for a keyframe: RFC 4585 section 4.2, RFC 5104 section 7.1.

    A section of the profile with feedback that names none is taken to know PLI (GStreamer): asking in vain costs
    a few packets.
    """
    known = {PICTURE_LOSS} if media.protocol.endswith("AVPF") else set[str]()
    for key, value in media.attributes:
        if key == "rtcp-fb":
            name, _, kind = value.partition(" ")
            words = " ".join(kind.lower().split()[:2])
            if name in {"*", str(number)} and words in {PICTURE_LOSS, FULL_INTRA}:
                known.add(words)
    return frozenset(known) if known else NONE


def _pairs(text: str) -> dict[str, str]:
    parts = (part.partition("=") for part in text.split(";", MAX_ATTRIBUTES)[:MAX_ATTRIBUTES])
    return {name.strip().lower(): value.strip() for name, _, value in parts if name.strip()}


def _parameter_sets(fmtp: dict[str, str], codec: str) -> tuple[bytes, ...]:
    """SPS and PPS of sprop-parameter-sets (RFC 6184), VPS, SPS and PPS of sprop-vps, -sps, -pps (RFC 7798 section 7.1).

    Bad base64 is left out, Annex B (gw, V380) and trailing zeros are taken off.
    """
    names, kinds = _SPROP.get(codec, ((), frozenset()))
    stated = ",".join(fmtp.get(name, "")[:MAX_SPROP] for name in names)
    units: list[bytes] = []
    for text in stated.split(","):
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4))
        except (binascii.Error, ValueError):
            continue
        units += bitstream.split_annex_b(raw)
    kind_of = bitstream_h265.kind_of if codec == "h265" else _kind_of_h264
    return tuple(unit for unit in units if kind_of(unit) in kinds)


def _kind_of_h264(unit: bytes) -> int:
    return unit[0] & 0x1F


def _frame_header(media: Media, number: int) -> tuple[bytes, ...]:
    """The size of a JPEG whose own header has no room for it, as a frame header; nothing where none is said."""
    for key, value in media.attributes:
        sides = ("", "")
        if key == "x-dimensions" and (found := _DIMENSIONS.fullmatch(value)):
            sides = found[1], found[2]
        elif key == "framesize" and (found := _FRAME_SIZE.fullmatch(value)) and int(found[1]) == number:
            sides = found[2], found[3]
        if all(side and 0 < int(side) <= jpeg.MAX_SIDE for side in sides):
            return (jpeg.frame_header(int(sides[0]), int(sides[1])),)
    return ()


def base_url(origin: Origin, request_url: str, content_base: str | None, content_location: str | None) -> str:
    """What controls are relative to (RFC 2326 section C.1.1): Content-Base, else Content-Location, else the request.

    Whatever host they name, or fail to (anjvision has no scheme, others double it, recorders behind a router name their
    inner address), only the path is taken from them: we ask nobody but the host that we are connected to.
    """
    for stated in (content_base, content_location):
        if stated is None or not stated.strip():
            continue
        stated = stated.strip()
        try:
            address = parse_address(stated)
            if address.origin == origin:
                return address.url
        except UsageError:
            pass
        path = stated[_end_of_authority(stated) :]
        ours = f"{origin.scheme}://{origin.authority}{path}"
        if "@" not in path and not re.search(r"[\x00-\x20\x7f]", path) and len(ours) <= MAX_URL:
            return ours
    return request_url


def _end_of_authority(stated: str) -> int:
    if stated.startswith("/"):
        return 0
    found = _AUTHORITY.match(stated)
    return found.end() if found else 0


def control_url(origin: Origin, base: str, control: str | None, called: Iterable[str | None] = ()) -> str:
    """The address of a control: appended to `base` as text, as real devices mean it, or an absolute one of our host.

    `called` are the Content-Base and Content-Location of the reply: what a device calls itself in them (behind a router
    its inner address) is our host in its controls too. Whatever it is called, nobody else is ever asked.
    Raises LookError(rtsp.redirect) where it is another host's or port's, LookError(rtsp.protocol) where it is too long
    or holds blanks.
    """
    if control is None or control in {"", CONTROL_ALL}:
        return base
    if not is_absolute(control):
        if re.search(r"[\x00-\x20\x7f]", control):
            raise LookError(Reason.RTSP_PROTOCOL, "a track's control address holds blanks or control characters")
        joined = f"{base}{'' if base.endswith('/') else '/'}{control.removeprefix('/')}"
        if len(joined) > MAX_URL:
            raise LookError(Reason.RTSP_PROTOCOL, f"a track's control address has more than {MAX_URL} characters")
        return joined
    try:
        address = parse_address(control)
    except UsageError as error:
        raise LookError(Reason.RTSP_REDIRECT, f"a track's control address is not usable: {error}") from None
    if address.origin == origin:
        return address.url
    if _is_itself(address.origin, origin, called):
        return f"{origin.scheme}://{origin.authority}{address.path}"
    raise LookError(
        Reason.RTSP_REDIRECT,
        f"a track's control address leads to {plain(address.origin.authority)}, not to {origin.authority}",
    )


def _is_itself(named: Origin, origin: Origin, called: Iterable[str | None]) -> bool:
    """Whether a device means itself by an origin that is not the one that we reached it by."""
    plain = named.scheme == "rtsp"  # servers behind TLS write rtsp all the same
    if named.host == origin.host and plain and named.port == DEFAULT_PORTS["rtsp"]:
        return True  # GeoVision and Uniview leave their port out, also where it was moved or is forwarded
    for stated in called:
        try:
            if stated is not None and parse_address(stated.strip()).origin == named:
                return plain or named.scheme == origin.scheme
        except UsageError:
            continue
    return False
