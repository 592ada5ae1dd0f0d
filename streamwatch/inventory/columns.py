"""Stage 1: the columns of each list: heading, the other names it goes by, and how its cells are read.

Other names are Chinese headings in common use and, for cameras, the whole vocabulary of 一机一档 (`archive.py`).
`ignored` are columns that such files have and that say nothing to us: they are known, so that a misspelt heading can be
told from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from streamwatch.inventory import archive, cells
from streamwatch.inventory.addresses import RECORDER_SCHEMES
from streamwatch.inventory.archive import names_of
from streamwatch.inventory.cells import CellError, Parser
from streamwatch.inventory.facilities import facility_kind
from streamwatch.inventory.parsed import Value
from streamwatch.inventory.vendors import vendor_of

VILLAGES: Final = "villages"
LINES: Final = "lines"
RECORDERS: Final = "recorders"
CAMERAS: Final = "cameras"
POINTS: Final = "points"
FACILITIES: Final = "facilities"

RECORDER_KINDS: Final = tuple(RECORDER_SCHEMES)


class Wide(Enum):
    """What full-width digits, letters and marks in a cell are."""

    READ = "read"  # as ordinary ones
    READ_WHOLE = "read_whole"  # as ordinary ones where the cell has nothing else
    KEPT = "kept"  # text


Doubt = Callable[[Value], tuple[str, str] | None]  # of a value that is taken: code and remedy of a remark, or None


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `secret`: its value is never repeated in a message. `address`: its credentials are not. What is not
    `stored` helps to find out the others."""

    name: str
    parse: Parser
    required: bool = False
    secret: bool = False
    address: bool = False
    also: tuple[str, ...] = ()
    stored: bool = True
    wide: Wide = Wide.READ
    doubt: Doubt | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of list. `instead`: which columns may stand in place of a required one, and how to ask for either."""

    columns: tuple[Column, ...]
    ignored: frozenset[str] = frozenset({"序号", "编号", "备注", "说明"})
    instead: Mapping[str, tuple[tuple[frozenset[str], ...], str]] = field(default_factory=dict)


def vendor(text: str) -> str:
    """The maker's key where it is known by any name or its 一机一档 number, else the text."""
    found = vendor_of(text)
    return cells.short(text) if found is None else found.key


def _vendor_doubt(value: Value) -> tuple[str, str] | None:
    if isinstance(value, str) and vendor_of(value) is None:
        return (
            "unknown_vendor",
            "this maker is not in our table and is kept as it is; docs/inventory.md names those that are",
        )
    return None


def _state_doubt(value: Value) -> tuple[str, str] | None:
    if value == archive.IN_REPAIR:
        return "in_repair", "it is watched and may be seen as down; enter the repair as maintenance"
    return None


def _networked_doubt(value: Value) -> tuple[str, str] | None:
    if value == archive.NETWORKED_UNSURE:
        return (
            "networked_unsure",
            "archives differ on what 1 means; it is watched; write 已联网, or 未联网 to leave it out",
        )
    return None


def _position_doubt(value: Value) -> tuple[str, str] | None:
    if isinstance(value, str) and not archive.is_position(value):
        return "unknown_position", "this is no position type and is kept as it is; docs/inventory.md names them"
    return None


def point_kind(text: str) -> str:
    """What kind of place: one line, at most 64 characters."""
    return cells.short(text)


def _address(text: str) -> str:
    return text  # taken apart with the whole row, because credentials go to other columns


def _host(text: str) -> str:
    if len(text) > 255 or not text.isprintable() or " " in text:
        raise CellError("bad_url", "give an IP address or a host name")
    return text


_VILLAGE: Final = Column(
    "village",
    cells.reference,
    required=True,
    also=("村居", "村居编码", "村居名称", "村", "行政村", "所属村居", "所属村"),
    wide=Wide.READ_WHOLE,
)
_LOGIN: Final = (
    Column("username", cells.secret, secret=True, also=("用户名", "账号"), wide=Wide.KEPT),
    Column("password", cells.secret, secret=True, also=("密码", "口令"), wide=Wide.KEPT),
)
_LINE: Final = Column("line", cells.code, also=("线路编码", "所属线路"))
_PLACE: Final = (
    Column("longitude", cells.number(-180, 180), also=names_of("longitude")),
    Column("latitude", cells.number(-90, 90), also=names_of("latitude")),
)


def _name(*also: str, required: bool = True) -> Column:
    return Column("name", cells.name, required=required, also=also, wide=Wide.KEPT)


KINDS: Final[Mapping[str, Kind]] = {
    VILLAGES: Kind(
        (
            Column("code", cells.code, required=True, also=("编码", "村居编码", "村级编码")),
            _name("名称", "村居名称", "村名"),
            Column("region", cells.region, required=True, also=("行政区划", "所属区划", "行政区域"), wide=Wide.KEPT),
            Column("households", cells.whole(0, 1_000_000), also=("户数",)),
            Column("population", cells.whole(0, 10_000_000), also=("人口", "人口数")),
            Column("police_station", cells.name, also=("派出所", "辖区派出所"), wide=Wide.KEPT),
            Column("unit", cells.name, also=("管理单位",), wide=Wide.KEPT),
            Column("unit_phone", cells.short, also=("联系方式", "管理单位联系方式"), wide=Wide.READ_WHOLE),
            Column("monitor_centre", cells.yes_no, also=("监控中心",)),
            Column("joined_on", cells.day, also=("入网日期",)),
        )
    ),
    LINES: Kind(
        (
            Column("code", cells.code, required=True, also=("线路编码", "编码")),
            _name("线路名称", "名称"),
            Column("parent", cells.code, also=("上级线路", "上级线路编码")),
            Column("kbps", cells.whole(1, 100_000_000), also=("带宽kbps", "带宽(kbps)")),
            Column("provider", cells.name, also=("运营商",), wide=Wide.KEPT),
            Column("circuit", cells.short, also=("电路编号", "专线号", "电路代号"), wide=Wide.READ_WHOLE),
            Column("fault_phone", cells.short, also=("报障电话", "故障电话"), wide=Wide.READ_WHOLE),
        )
    ),
    RECORDERS: Kind(
        (
            Column("code", cells.code, required=True, also=("录像机编码", "设备编码", "SBBM", "编码")),
            _name("录像机名称", "设备名称", "SBMC", "名称"),
            _VILLAGE,
            Column("kind", cells.choice(*RECORDER_KINDS), required=True, also=("接入方式", "接入类型", "类型")),
            Column("url", _address, required=True, address=True, also=("地址", "访问地址", "接入地址")),
            *_LOGIN,
            _LINE,
        )
    ),
    CAMERAS: Kind(
        (
            Column("code", cells.code, required=True, also=names_of("code")),
            _name(*names_of("name")),
            _VILLAGE,
            Column("url", _address, required=True, address=True, also=("主码流地址", "取流地址", "RTSP地址", "RTSP")),
            Column("sub_url", _address, address=True, also=("子码流地址", "辅码流地址")),
            Column("vendor", vendor, also=names_of("vendor"), wide=Wide.READ_WHOLE, doubt=_vendor_doubt),
            Column("channel", cells.short, also=("通道号", "通道"), wide=Wide.READ_WHOLE),
            *_LOGIN,
            Column("allow_basic", cells.yes_no, also=("允许Basic认证", "YXBASICRZ")),
            Column("recorder", cells.code, also=("录像机编码", "所属录像机")),
            Column(
                "recorder_channel",
                cells.short,
                also=("录像机通道", *names_of("recorder_channel")),
                wide=Wide.READ_WHOLE,
            ),
            _LINE,
            Column("interval_s", cells.whole(5, 86_400), also=("巡检间隔秒",)),
            Column("retention_days", cells.whole(1, 3_650), also=names_of("retention_days")),
            *_PLACE,
            Column("datum", cells.choice("WGS-84", "GCJ-02", "BD-09", "CGCS2000"), also=("坐标系",)),
            Column("position_type", archive.position_type, also=names_of("position_type"), doubt=_position_doubt),
            Column("key_point", cells.yes_no, also=("重点点位",)),
            Column("installed_on", cells.day, also=names_of("installed_on")),
            # What follows is not kept: it tells where a camera is, and whether it is to be watched at all.
            Column("host", _host, also=names_of("host"), stored=False),
            Column("port", cells.whole(1, 65_535), also=("端口", "端口号", "RTSP端口"), stored=False),
            Column("civil_code", archive.civil_code, also=names_of("civil_code"), stored=False),
            Column("grassroots_code", archive.grassroots_code, also=names_of("grassroots_code"), stored=False),
            Column("state", archive.device_state, also=names_of("state"), stored=False, doubt=_state_doubt),
            Column("networked", archive.networked, also=names_of("networked"), stored=False, doubt=_networked_doubt),
        ),
        ignored=archive.UNUSED,
        instead={
            "village": (
                (frozenset({"grassroots_code"}), frozenset({"civil_code"})),
                "the code or name of its village, or 村级编码 with 行政区域",
            ),
            "url": (
                (frozenset({"vendor", "host"}), frozenset({"recorder", "recorder_channel"})),
                "an rtsp address; or vendor with the IP address in url or host; or recorder with recorder_channel",
            ),
        },
    ),
    POINTS: Kind(
        (
            Column("code", cells.code, required=True, also=("点位编码", "编码")),
            _VILLAGE,
            Column("kind", point_kind, required=True, also=("点位类型", "类型"), wide=Wide.KEPT),
            _name("点位名称", "名称"),
            *_PLACE,
            Column("key_point", cells.yes_no, also=("重点点位",)),
            Column("camera", cells.code, also=("摄像机编码", "设备编码", "SBBM")),
        )
    ),
    FACILITIES: Kind(
        (
            Column("code", cells.code, required=True, also=("设施编码", "编码", "设备编码")),
            _VILLAGE,
            Column("kind", facility_kind, required=True, also=("设施类型", "设备类型", "类型"), wide=Wide.KEPT),
            _name("设施名称", "名称", "设备名称", required=False),
            Column("households", cells.whole(0, 1_000_000), also=("覆盖户数", "户数", "服务户数")),
            Column("installed_on", cells.day, also=("安装时间", "安装日期", "AZSJ")),
            Column("tested_on", cells.day, also=("检测时间", "检测日期", "测试日期", "最近检测日期")),
            Column("test_passed", cells.passed, also=("test_result", "检测结果", "测试结果")),
        )
    ),
}
