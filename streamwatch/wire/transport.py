"""Stage 3, wire: the Session and Transport headers of SETUP (RFC 2326 sections 12.37 and 12.39)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from streamwatch.model.look import Transport

PLAIN: Final = "RTP/AVP"  # the profile of nearly all
FEEDBACK: Final = "RTP/AVPF"  # RFC 4585; GStreamer's server set to it takes no other
ASKED_CHANNELS: Final = (0, 1)
DEFAULT_TIMEOUT_S: Final = 60  # RFC 2326 section 12.37
MIN_TIMEOUT_S: Final = 5  # "timeout=0" is seen; below this a keepalive would be a storm
MAX_TIMEOUT_S: Final = 3600
MAX_CHANNEL: Final = 255
MIN_MEDIA_PORT: Final = 1024  # a device that names a port below has us send to its DNS or SNMP: nothing goes there

_BY_UDP: Final = frozenset({"rtp/avp", "rtp/avp/udp", "rtp/avpf", "rtp/avpf/udp"})
_CHANNELS = re.compile(r"\s*([0-9]{1,3})\s*(?:-\s*([0-9]{1,3}))?\s*")
_PORTS = re.compile(r"\s*([0-9]{1,5})\s*(?:-\s*([0-9]{1,5}))?\s*")
_SSRC = re.compile(r"\s*([0-9A-Fa-f]{1,8})\s*")  # hikvision: "ssrc= d6d6627", a blank and seven digits
_SESSION_ID = re.compile(r"[!-:<-~]{1,512}")  # RFC: 8 or more of a few characters; GStreamer's hold . - ~ _


# Most answers by far; all that follows is for the others.
_PLAIN_SESSION = re.compile(r"([!-:<-~]{1,512})(?:;timeout=([0-9]{1,6}))?")
_PLAIN_TCP = re.compile(
    r"RTP/AVPF?/TCP;unicast;interleaved=([0-9]{1,3})-([0-9]{1,3})(?:;ssrc=([0-9A-Fa-f]{1,8}))?(?:;mode=\"?(?:PLAY|play)\"?)?"
)


class Session(NamedTuple):
    """A session id and for how long it lives without a word from us."""

    id: str
    timeout_s: int


def parse_session(value: str | None) -> Session | None:
    """A Session header, or None where there is none that can be repeated."""
    if (plain := _PLAIN_SESSION.fullmatch(value or "")) is not None:
        seconds = int(plain[2]) if plain[2] else DEFAULT_TIMEOUT_S
        return Session(plain[1], min(max(seconds, MIN_TIMEOUT_S), MAX_TIMEOUT_S))
    head, _, rest = (value or "").partition(";")
    if _SESSION_ID.fullmatch(head.strip()) is None:
        return None
    timeout = DEFAULT_TIMEOUT_S
    for parameter in rest.split(";"):
        name, _, text = parameter.partition("=")
        if name.strip().lower() == "timeout" and re.fullmatch(r"-?[0-9]{1,12}", text.strip()):
            timeout = int(text)
    return Session(head.strip(), min(max(timeout, MIN_TIMEOUT_S), MAX_TIMEOUT_S))


class Agreed(NamedTuple):
    """What a device says in its reply to SETUP. For `lower` tcp `channels` hold, for udp ports and source."""

    lower: Transport  # tcp or udp
    multicast: bool = False
    channels: tuple[int, int | None] = ASKED_CHANNELS  # of RTP and RTCP
    server_ports: tuple[int, int] | None = None  # of RTP and RTCP; None where it names none that we may send to
    source: str | None = None  # the address that it says it sends from
    ssrc: int | None = None


def asked(lower: Transport, port: int | None, profile: str = PLAIN) -> str:
    """The Transport header of our SETUP; `port` is our RTP port where `lower` is udp, RTCP's is the next one."""
    if lower is Transport.UDP and port is not None:
        return f"{profile};unicast;client_port={port}-{port + 1}"
    return f"{profile}/TCP;unicast;interleaved=0-1"


def parse_transport(value: str | None, asked_for: Transport) -> Agreed:
    """A reply's Transport header. What it leaves out, or says in a way that makes no sense, is as it was asked for."""
    plain = _PLAIN_TCP.fullmatch(value or "")
    if plain is not None and int(plain[1]) <= MAX_CHANNEL and int(plain[2]) <= MAX_CHANNEL:
        ssrc = int(plain[3], 16) or None if plain[3] else None
        return Agreed(Transport.TCP, channels=(int(plain[1]), int(plain[2])), ssrc=ssrc)
    text = (value or "").lower()
    if "interleaved" in text or "rtp/avp/tcp" in text or "rtp/avpf/tcp" in text:
        ssrc = _ssrc(_parameters(text)) if "ssrc" in text else None
        return Agreed(Transport.TCP, "multicast" in text, parse_channels(value), ssrc=ssrc)
    names = _parameters(text)
    ssrc = _ssrc(names)
    by_udp = not names.keys().isdisjoint(_BY_UDP) and ("client_port" in names or "server_port" in names)
    lower = Transport.UDP if by_udp else asked_for
    if lower is Transport.TCP:
        return Agreed(lower, "multicast" in names, ssrc=ssrc)
    return Agreed(
        lower=lower,
        multicast="multicast" in names,
        server_ports=_pair(names.get("server_port")),
        source=names.get("source", "").strip() or None,
        ssrc=ssrc,
    )


def _parameters(text: str) -> dict[str, str]:
    names: dict[str, str] = {}
    for parameter in text.split(";"):
        name, _, stated = parameter.partition("=")
        names.setdefault(name.strip(), stated)
    return names


def _ssrc(names: dict[str, str]) -> int | None:
    found = _SSRC.fullmatch(names.get("ssrc", ""))
    return (int(found[1], 16) or None) if found else None  # h264dvr announces 0 and sends another


def _pair(text: str | None) -> tuple[int, int] | None:
    found = _PORTS.fullmatch(text or "")
    if found is None:
        return None
    rtp = int(found[1])
    rtcp = int(found[2]) if found[2] else rtp + 1
    return (rtp, rtcp) if min(rtp, rtcp) >= MIN_MEDIA_PORT and max(rtp, rtcp) <= 65_535 else None


def parse_channels(value: str | None) -> tuple[int, int | None]:
    """The channels of RTP and RTCP in a Transport header; those that we asked for where it names none (h264dvr)."""
    for parameter in (value or "").split(";"):
        name, _, text = parameter.partition("=")
        found = _CHANNELS.fullmatch(text) if name.strip().lower() == "interleaved" else None
        if found and int(found[1]) <= 255:
            control = int(found[2]) if found[2] else int(found[1]) + 1
            return int(found[1]), control if control <= 255 else None
    return ASKED_CHANNELS
