"""How the farm's made-up makers speak RTSP: the same session in different words. A new habit is one row."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from functools import lru_cache

from streamwatch.simulator.packets import CLOCK_RATE, PAYLOAD_TYPE, Reel


@dataclass(frozen=True, slots=True, eq=False)
class Dialect:
    """The habits of one maker's firmware. `track` is the text behind the stream's URL; paths start with a slash."""

    server: str
    main: str
    sub: str
    full: str  # the third stream, where the farm has one
    track: str = "trackID=1"
    absolute_control: bool = False  # a=control carries the whole URL
    content_base: bool = True
    cseq: str = "CSeq"
    realm: str = "IP Camera"
    qop: bool = True
    stap: bool = True  # SPS and PPS in one STAP-A, else in a packet each
    session_timeout: str = ";timeout=60"
    sprop: bool = True
    rtp_info: bool = True
    sha256: bool = False  # Digest with SHA-256 is offered before MD5 (RFC 7616 section 3.7); needs qop
    get_parameter: bool = True  # else it is not in Public, and a method that is not there ends the connection

    def path(self, stream: str) -> str:
        """Where `sub`, `main` or `full` is."""
        return self.sub if stream == "sub" else self.main if stream == "main" else self.full

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that are answered."""
        return _ALL if self.get_parameter else _FEWER

    @property
    def public(self) -> str:
        """The Public header."""
        return _ALL_NAMED if self.get_parameter else _FEWER_NAMED


_FEWER = ("OPTIONS", "DESCRIBE", "SETUP", "PLAY", "TEARDOWN")
_ALL = (*_FEWER, "GET_PARAMETER")
_FEWER_NAMED, _ALL_NAMED = ", ".join(_FEWER), ", ".join(_ALL)


DIALECTS: tuple[Dialect, ...] = (
    Dialect("Qingshan-RTSP/2.1", "/live/main", "/live/sub", "/live/full", realm="QS-IPC200"),
    Dialect(
        "HuiyanStream 4.0.3", "/stream/101", "/stream/102", "/stream/103", absolute_control=True, qop=False, stap=False
    ),
    Dialect(
        "Yuntan Rtsp Server",
        "/cam/view?channel=1&subtype=0",
        "/cam/view?channel=1&subtype=1",
        "/cam/view?channel=1&subtype=2",
        track="trackID=0",
        content_base=False,
        realm="Login to YT00482A",
        session_timeout="; timeout=60",
    ),
    Dialect(
        "LoboCam/1.7",
        "/ch0_0.h264",
        "/ch0_1.h264",
        "/ch0_2.h264",
        track="streamid=0",
        cseq="Cseq",
        qop=False,
        session_timeout="",
        get_parameter=False,
    ),
    Dialect(
        "Baita-Media 3.2",
        "/h264/ch1/main",
        "/h264/ch1/sub",
        "/h264/ch1/third",
        track="video",
        absolute_control=True,
        content_base=False,
        rtp_info=False,
        sha256=True,
    ),
    Dialect(
        "Songlin Embedded Net DVR",
        "/unicast/c1/s0/live",
        "/unicast/c1/s1/live",
        "/unicast/c1/s2/live",
        stap=False,
        sprop=False,
        realm="SL NVR 8",
        sha256=True,
        get_parameter=False,
    ),
)


@lru_cache(maxsize=256)  # dialects x streams x what else clients ask for
def named(dialect: Dialect, streams: tuple[str, ...], path: str, track: str) -> str | None:
    """Which of `streams` the path of a URL means, or None. With `track` the control part must follow."""
    for stream in streams:
        own = dialect.path(stream)
        if path.startswith(own):
            return stream if path[len(own) :].strip("/") == track else None
    return None


def describe(dialect: Dialect, url: str, host: str, reel: Reel) -> bytes:
    """The SDP (RFC 4566) of one stream; `url` is the stream's, without a slash at the end."""
    control = f"{url}/{dialect.track}" if dialect.absolute_control else dialect.track
    return f"v=0\r\no=- 1772323200 1 IN IP4 {host}\r\n{_description(dialect, reel)}a=control:{control}\r\n".encode()


@lru_cache(maxsize=1024)  # dialects x clips x framing
def _description(dialect: Dialect, reel: Reel) -> str:
    """What all cameras of a dialect say of a clip."""
    fmtp = f"a=fmtp:{PAYLOAD_TYPE} packetization-mode=1;profile-level-id={reel.sps[1:4].hex().upper()}"
    if dialect.sprop:
        fmtp += f";sprop-parameter-sets={b64encode(reel.sps).decode()},{b64encode(reel.pps).decode()}"
    lines = [
        f"s={dialect.server.split('/')[0].split(' ')[0]} Session",
        "c=IN IP4 0.0.0.0",
        "t=0 0",
        *([] if dialect.absolute_control else ["a=control:*"]),
        "a=range:npt=now-",
        f"m=video 0 RTP/AVP {PAYLOAD_TYPE}",
        f"a=rtpmap:{PAYLOAD_TYPE} H264/{CLOCK_RATE}",
        fmtp,
        f"a=framerate:{reel.fps}",
        f"a=x-dimensions:{reel.width},{reel.height}",
        "",
    ]
    return "\r\n".join(lines)
