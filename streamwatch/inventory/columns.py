"""Stage 1: the columns of each list: heading, the other names it goes by, and how its cells are read.

Other names are those of 一机一档 and its pinyin keys. `ignored` are columns that such files have and that say nothing
to us: they are known, so that a misspelt heading can be told from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from streamwatch.inventory import cells
from streamwatch.inventory.cells import Parser
from streamwatch.inventory.facilities import facility_kind

VILLAGES: Final = "villages"
LINES: Final = "lines"
RECORDERS: Final = "recorders"
CAMERAS: Final = "cameras"
POINTS: Final = "points"
FACILITIES: Final = "facilities"

RECORDER_KINDS: Final = ("onvif", "isapi", "dahua", "uniview", "gb28181", "rtsp")


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `secret`: its value is never repeated in a message. `address`: its credentials are not."""

    name: str
    parse: Parser
    required: bool = False
    secret: bool = False
    address: bool = False
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of list."""

    columns: tuple[Column, ...]
    ignored: frozenset[str] = frozenset()

    def by_heading(self) -> Mapping[str, Column]:
        """Columns by every heading they go by, folded."""
        return {heading.casefold(): column for column in self.columns for heading in (column.name, *column.also)}


def _address(text: str) -> str:
    return text  # taken apart with the whole row, because credentials go to other columns


KINDS: Final[Mapping[str, Kind]] = {
    VILLAGES: Kind(
        (
            Column("code", cells.code, required=True, also=("编码", "村居编码", "村级编码")),
            Column("name", cells.name, required=True, also=("名称", "村居名称")),
            Column("region", cells.region, required=True, also=("行政区划", "所属区划")),
            Column("households", cells.whole(0, 1_000_000), also=("户数",)),
            Column("population", cells.whole(0, 10_000_000), also=("人口",)),
            Column("police_station", cells.name, also=("派出所",)),
            Column("unit", cells.name, also=("管理单位",)),
            Column("unit_phone", cells.short, also=("联系方式",)),
            Column("monitor_centre", cells.yes_no, also=("监控中心",)),
            Column("joined_on", cells.day, also=("入网日期",)),
        )
    ),
    LINES: Kind(
        (
            Column("code", cells.code, required=True, also=("线路编码", "编码")),
            Column("name", cells.name, required=True, also=("线路名称", "名称")),
            Column("parent", cells.code, also=("上级线路", "上级线路编码")),
            Column("kbps", cells.whole(1, 100_000_000), also=("带宽kbps",)),
            Column("provider", cells.name, also=("运营商",)),
            Column("circuit", cells.short, also=("电路编号", "专线号", "电路代号")),
            Column("fault_phone", cells.short, also=("报障电话",)),
        ),
        ignored=frozenset({"序号", "备注"}),
    ),
    RECORDERS: Kind(
        (
            Column("code", cells.code, required=True, also=("录像机编码", "设备编码", "SBBM")),
            Column("name", cells.name, required=True, also=("录像机名称", "设备名称", "SBMC")),
            Column("village", cells.name, required=True, also=("村居", "村居编码")),
            Column("kind", cells.choice(*RECORDER_KINDS), required=True, also=("接入方式", "类型")),
            Column("url", _address, required=True, address=True, also=("地址", "访问地址")),
            Column("username", cells.secret, secret=True, also=("用户名",)),
            Column("password", cells.secret, secret=True, also=("密码",)),
            Column("line", cells.code, also=("线路编码",)),
        ),
        ignored=frozenset({"序号", "备注"}),
    ),
    CAMERAS: Kind(
        (
            Column("code", cells.code, required=True, also=("设备编码", "SBBM")),
            Column("name", cells.name, required=True, also=("设备名称", "SBMC")),
            Column("village", cells.name, required=True, also=("村居", "村居编码")),
            Column("url", _address, required=True, address=True, also=("主码流地址",)),
            Column("sub_url", _address, address=True, also=("子码流地址",)),
            Column("vendor", cells.short, also=("设备厂商", "SBCS")),
            Column("channel", cells.short, also=("通道号",)),
            Column("username", cells.secret, secret=True, also=("用户名",)),
            Column("password", cells.secret, secret=True, also=("密码",)),
            Column("allow_basic", cells.yes_no, also=("允许Basic认证", "YXBASICRZ")),
            Column("recorder", cells.code, also=("录像机编码",)),
            Column("recorder_channel", cells.short, also=("录像机通道",)),
            Column("line", cells.code, also=("线路编码",)),
            Column("interval_s", cells.whole(5, 86_400)),
            Column("retention_days", cells.whole(1, 3_650), also=("录像保存天数", "LXBCTS")),
            Column("longitude", cells.number(-180, 180), also=("经度", "JD")),
            Column("latitude", cells.number(-90, 90), also=("纬度", "WD")),
            Column("datum", cells.choice("WGS-84", "GCJ-02", "BD-09", "CGCS2000")),
            Column("position_type", cells.short, also=("摄像机位置类型", "SXJWZLX")),
            Column("key_point", cells.yes_no, also=("重点点位",)),
            Column("installed_on", cells.day, also=("安装时间", "AZSJ")),
        ),
        ignored=frozenset(
            """
            序号 备注 行政区域 XZQY 监控点位类型 JKDWLX 设备型号 SBXH 点位俗称 DWSC IPV4 IPV6 MAC MAC地址 MACDZ
            摄像机类型 SXJLX 摄像机功能类型 SXJGNLX 补光属性 BGSX 摄像机编码格式 编码格式 SXJBMGS 安装地址 AZDZ
            监视方位 JSFW 室内外 联网属性 LWSX 所属辖区公安机关 SSXQGAJG 管理单位 GLDW 管理单位联系方式 联系方式
            GLDWLXFS 设备状态 SBZT 所属部门/行业 所属部门 SSBMHY 分辨率 SPFBL
            """.casefold().split()
        ),
    ),
    POINTS: Kind(
        (
            Column("code", cells.code, required=True, also=("点位编码", "编码")),
            Column("village", cells.name, required=True, also=("村居", "村居编码")),
            Column("kind", cells.short, required=True, also=("点位类型", "类型")),
            Column("name", cells.name, required=True, also=("点位名称", "名称")),
            Column("longitude", cells.number(-180, 180), also=("经度", "JD")),
            Column("latitude", cells.number(-90, 90), also=("纬度", "WD")),
            Column("key_point", cells.yes_no, also=("重点点位",)),
            Column("camera", cells.code, also=("摄像机编码", "设备编码", "SBBM")),
        ),
        ignored=frozenset({"序号", "备注"}),
    ),
    FACILITIES: Kind(
        (
            Column("code", cells.code, required=True, also=("设施编码", "编码", "设备编码")),
            Column("village", cells.name, required=True, also=("村居", "村居编码")),
            Column("kind", facility_kind, required=True, also=("设施类型", "类型")),
            Column("name", cells.name, also=("设施名称", "名称", "设备名称")),
            Column("households", cells.whole(0, 1_000_000), also=("覆盖户数", "户数")),
            Column("installed_on", cells.day, also=("安装时间", "安装日期", "AZSJ")),
            Column("tested_on", cells.day, also=("检测时间", "检测日期", "测试日期")),
            Column("test_passed", cells.passed, also=("test_result", "检测结果", "测试结果")),
        ),
        ignored=frozenset({"序号", "备注"}),
    ),
}
