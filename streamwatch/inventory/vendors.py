"""Stage 1: makers of cameras: their names, their numbers in 一机一档, and where their streams are. Pure.

One row a maker. A template is the path of an RTSP address; `{channel}` is a number from 1. Where a maker has paths for
a camera by itself and others for a channel of a recorder, the channel tells which: none given means the camera itself.
What no source or only one doubtful source tells stays empty: then the list must give the whole address.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from streamwatch.inventory.addresses import AddressError, join_address
from streamwatch.inventory.cells import CellError

MAX_CHANNEL: Final = 999  # the largest recorders have 256


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the two streams of one source are. `sub` is None where only the main one is known."""

    main: str
    sub: str | None


@dataclass(frozen=True, slots=True)
class Vendor:
    """A maker. `key` is what the store has; `number` its code in 一机一档 (SBCS)."""

    key: str
    zh: str
    en: str
    also: tuple[str, ...] = ()
    number: int | None = None
    camera: Paths | None = None  # of a camera by itself
    channel: Paths | None = None  # of a channel; also of a camera where the maker makes no difference


@dataclass(frozen=True, slots=True)
class Addresses:
    """Both addresses of a camera, without credentials."""

    main: str
    sub: str | None


class VendorError(CellError):
    """No address can be made; `column` says of what: vendor, host, port or channel."""

    def __init__(self, column: str, code: str, remedy: str) -> None:
        super().__init__(code, remedy)
        self.column = column


_HIKVISION: Final = Paths("/Streaming/Channels/{channel}01", "/Streaming/Channels/{channel}02")
_DAHUA: Final = Paths("/cam/realmonitor?channel={channel}&subtype=0", "/cam/realmonitor?channel={channel}&subtype=1")

# The numbers are those of two archive clients that agree; the standard behind them was not at hand.
VENDORS: Final[Mapping[str, Vendor]] = {
    vendor.key: vendor
    for vendor in (
        # From the maker's integration guide as used by go2rtc; devices from 2012 on.
        Vendor("hikvision", "海康威视", "Hikvision", ("海康", "hik", "haikang", "hikvison"), 1, channel=_HIKVISION),
        # From go2rtc's documentation and installers' notes; channels count from 1.
        Vendor("dahua", "大华", "Dahua", ("浙江大华", "大华股份", "dh"), 2, channel=_DAHUA),
        # Doubtful (?): one note gives the bare host only, others /1/1 and /1/2 from memory. So: no template.
        Vendor("tiandy", "天地伟业", "Tiandy", ("天地", "tiandi"), 3),
        Vendor("kedacom", "科达", "Kedacom", ("苏州科达", "keda"), 4),
        Vendor("axis", "安讯士", "Axis", (), 5),
        Vendor("bosch", "博世", "Bosch", (), 6),
        Vendor("yaan", "亚安", "Yaan", (), 7),
        Vendor("infinova", "英飞拓", "Infinova", (), 8),
        # From an installer's wiki and a second note that agree. A camera by itself: /media/video1; recorders: /unicast.
        Vendor(
            "uniview",
            "宇视",
            "Uniview",
            ("宇视科技", "unv", "yushi"),
            9,
            camera=Paths("/media/video1", "/media/video2"),
            channel=Paths("/unicast/c{channel}/s0/live", "/unicast/c{channel}/s1/live"),
        ),
        Vendor("hisense", "海信", "Hisense", (), 10),
        Vendor("vimicro", "中星电子", "Vimicro", ("中星微", "中星微电子"), 11),
        Vendor("mingjing", "明景", "Mingjing", (), 12),
        Vendor("lenovo", "联想", "Lenovo", (), 13),
        Vendor("zte", "中兴", "ZTE", ("中兴通讯",), 14),
        Vendor("huawei", "华为", "Huawei", ("好望", "holowits"), 15),
        # Hikvision's own older devices and its consumer brand answer the same path. EZVIZ: the password is the
        # verification code on the label.
        Vendor(
            "ezviz",
            "萤石",
            "EZVIZ",
            ("海康萤石",),
            channel=Paths("/h264/ch{channel}/main/av_stream", "/h264/ch{channel}/sub/av_stream"),
        ),
        Vendor(
            "hikvision_old",
            "海康旧款",
            "Hikvision before 2012",
            ("海康老款",),
            channel=Paths("/h264/ch{channel}/main/av_stream", "/h264/ch{channel}/sub/av_stream"),
        ),
        # /stream1 from go2rtc (Chinese TP-Link); /stream2 from memory only (?), as every source of it.
        Vendor("tplink", "普联", "TP-Link", ("tp-link", "tp", "安防普联"), camera=Paths("/stream1", "/stream2")),
        # Its address carries user and password in the path, where they would lie in clear: give the whole address.
        Vendor("xiongmai", "雄迈", "Xiongmai", ("xm", "雄迈科技")),
        Vendor("jovision", "中维世纪", "Jovision", ("中维",)),
        Vendor("other", "其他", "other", ("其它", "未知"), 99),
    )
}

# What the recorders of a kind speak is what their maker's template says.
VENDOR_OF_RECORDER: Final[Mapping[str, str]] = {"isapi": "hikvision", "dahua": "dahua", "uniview": "uniview"}

# Ports of makers' own protocols and of the web page, often found in lists in place of the RTSP port.
OTHER_PORTS: Final[Mapping[int, str]] = {
    80: "the web page's",
    443: "the web page's",
    5060: "SIP's",
    8000: "Hikvision's own protocol's",
    34567: "Xiongmai's own protocol's",
    37777: "Dahua's own protocol's",
}

_CHANNEL = re.compile(r"(?:d|ipc|ip|ch|通道)?[ _-]?0*([1-9][0-9]{0,2})", re.IGNORECASE)


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in plain if character not in " -_.")


_BY_NAME: Final[Mapping[str, Vendor]] = {
    _folded(name): vendor
    for vendor in VENDORS.values()
    for name in (
        vendor.key,
        vendor.zh,
        vendor.en,
        *vendor.also,
        *([] if vendor.number is None else [str(vendor.number)]),
    )
}


def vendor_of(text: str) -> Vendor | None:
    """The maker by key, Chinese or English name, alias or 一机一档 number; None where it is not known."""
    return _BY_NAME.get(_folded(text))


def channel_number(text: str) -> int:
    """A channel as lists write it: 1, 01, D1, 通道1. Raises VendorError."""
    found = _CHANNEL.fullmatch(text.strip())
    if found is None:
        raise VendorError("channel", "bad_number", f"give the channel as a number from 1 to {MAX_CHANNEL}")
    return int(found[1])


def stream_addresses(vendor: str, host: str, port: int | None = None, channel: str | int | None = None) -> Addresses:
    """The addresses of a maker's camera, or of a channel of its recorder. Pure.

    `vendor` by any of its names, `host` without brackets, `port` of RTSP (None: 554), `channel` from 1 (None: a camera
    by itself). Raises VendorError, whose `column` is vendor, host, port or channel.
    """
    maker = vendor_of(vendor)
    if maker is None or (maker.camera is None and maker.channel is None):
        known = ", ".join(row.key for row in VENDORS.values() if row.camera or row.channel)
        remedy = f"where this maker's streams are is known for {known} only; give the whole address in url"
        raise VendorError("vendor", "no_template", remedy)
    if port is not None and port in OTHER_PORTS:
        raise VendorError(
            "port", "bad_port", f"this is {OTHER_PORTS[port]} port; give RTSP's, mostly 554, or leave it out"
        )
    paths, number = _paths(maker, channel)
    try:
        return Addresses(
            join_address(host, port, paths.main.format(channel=number)),
            None if paths.sub is None else join_address(host, port, paths.sub.format(channel=number)),
        )
    except AddressError as error:
        raise VendorError("host", "bad_url", str(error)) from None


def _paths(maker: Vendor, channel: str | int | None) -> tuple[Paths, int]:
    if channel is None:
        paths = maker.camera or maker.channel
        number = 1
    else:
        number = channel_number(str(channel))
        paths = maker.channel or (maker.camera if number == 1 else None)
    if paths is None:
        remedy = f"where channels of {maker.key} are is not known; give the whole address in url"
        raise VendorError("channel", "no_template", remedy)
    return paths, number
