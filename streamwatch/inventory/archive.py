"""Stage 1: the vocabulary of 一机一档, the police's inventory of cameras, as tables. Pure.

Columns go by a Chinese heading, a pinyin key, or the name that GB/T 28181-2022 A.2.1.9 gives the same thing. Values
come as numbers or as words. What the store keeps is ours or GB/T 28181's; the archive's own numbers never stand for
another vocabulary (its H.265 is 4 where GB/T 28181 says 5, its 卡口枪机 is 5 where PTZType says 遥控半球): columns
whose two vocabularies differ are not taken at all.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from streamwatch.inventory.cells import CellError, short


@dataclass(frozen=True, slots=True)
class ArchiveColumn:
    """One column of the archive. `column` is ours; None: known, so that misspelt headings can be told, but not used."""

    column: str | None
    zh: tuple[str, ...]
    keys: tuple[str, ...] = ()  # pinyin
    items: tuple[str, ...] = ()  # GB/T 28181-2022 and -2016


# Order and keys as in the exports of several provinces' archive clients; later regional forms add columns at the end.
ARCHIVE: Final[tuple[ArchiveColumn, ...]] = (
    ArchiveColumn(None, ("序号", "编号"), ("XH", "UUID")),
    ArchiveColumn("code", ("设备编码", "国标编码", "摄像机编码"), ("SBBM",), ("DeviceID",)),
    ArchiveColumn("name", ("设备名称", "摄像机名称"), ("SBMC",)),
    ArchiveColumn("vendor", ("设备厂商", "厂商", "品牌", "设备品牌"), ("SBCS",), ("Manufacturer",)),
    ArchiveColumn("civil_code", ("行政区域", "行政区划代码", "行政区划编码"), ("XZQY", "XZQH"), ("CivilCode",)),
    ArchiveColumn("grassroots_code", ("村级编码", "基层组织编码"), ("CJBM",), ("GrassrootsCode",)),
    ArchiveColumn(None, ("监控点位类型", "点位类型"), ("JKDWLX", "JKDLX"), ("PointType",)),
    ArchiveColumn(None, ("设备型号",), ("SBXH",), ("Model",)),
    ArchiveColumn(None, ("点位俗称",), ("DWSC",), ("PointCommonName",)),
    ArchiveColumn("host", ("IP地址", "设备IP", "IPV4地址"), ("IPV4", "IPV4DZ", "IP"), ("IPAddress",)),
    ArchiveColumn(None, ("IPV6地址",), ("IPV6", "IPV6DZ")),
    ArchiveColumn(None, ("MAC地址",), ("MACDZ", "MAC")),
    ArchiveColumn(None, ("摄像机类型", "设备类型"), ("SXJLX",), ("PTZType",)),
    ArchiveColumn(None, ("摄像机功能类型",), ("SXJGNLX",), ("FunctionType",)),
    ArchiveColumn(None, ("补光属性",), ("BGSX",), ("SupplyLightType",)),
    ArchiveColumn(None, ("摄像机编码格式", "编码格式"), ("SXJBMGS",), ("EncodeType",)),
    ArchiveColumn(None, ("对应存储设备IP", "对应存储通道IP"), ("DYCCSBIP",)),
    ArchiveColumn("recorder_channel", ("对应存储设备通道", "对应存储通道"), ("DYCCSBTD",)),
    ArchiveColumn(None, ("安装地址", "详细地址", "地址"), ("AZDZ",), ("Address",)),
    ArchiveColumn("longitude", ("经度",), ("JD",)),
    ArchiveColumn("latitude", ("纬度",), ("WD",)),
    ArchiveColumn(
        "position_type",
        ("摄像机位置类型", "位置类型", "摄像机采集位置"),
        ("SXJWZLX",),
        ("PositionType", "CapturePositionType"),
    ),
    ArchiveColumn(None, ("监视方位", "监视方向", "摄像机监视方位"), ("JSFW", "JSFX"), ("DirectionType",)),
    ArchiveColumn(None, ("摄像机场景预设照片", "场景照片"), ("SXJCJYSZP", "SXJCJYSZPURL")),
    ArchiveColumn(None, ("室内外", "室内外属性"), ("SNW",), ("RoomType",)),
    ArchiveColumn("networked", ("联网属性",), ("LWSX",)),
    ArchiveColumn(None, ("所属辖区公安机关", "辖区公安机关"), ("SSXQGAJG",), ("Block",)),
    ArchiveColumn("installed_on", ("安装时间", "安装日期"), ("AZSJ",), ("InstallTime",)),
    ArchiveColumn(None, ("管理单位",), ("GLDW",), ("ManagementUnit", "Owner")),
    ArchiveColumn(None, ("管理单位联系方式", "联系方式", "联系电话"), ("GLDWLXFS",), ("ContactInfo",)),
    ArchiveColumn("retention_days", ("录像保存天数",), ("LXBCTS", "LXHTPBCTS"), ("RecordSaveDays",)),
    ArchiveColumn("state", ("设备状态",), ("SBZT",)),
    ArchiveColumn(None, ("所属部门/行业", "所属部门行业", "所属部门"), ("SSBMHY",), ("IndustrialClassification",)),
    ArchiveColumn(None, ("分辨率", "视频分辨率", "码流"), ("SPFBL", "SPTPFBL"), ("Resolution", "StreamNumberList")),
    ArchiveColumn(None, ("视频信号类型",), ("SPXHLX",)),
    ArchiveColumn(None, ("是否对外共享",), ("SFDWGX",)),
    ArchiveColumn(None, ("是否接入三级平台", "是否接入上级平台"), ("SFJRSJPT",)),
    ArchiveColumn(None, ("键盘编号",), ("JPBH",)),
    ArchiveColumn(None, ("建设应用类别",), ("JSYYLB",)),
    ArchiveColumn(None, ("安装高度", "立杆编号", "杆件编号", "高度类型"), ("AZGD",)),
    ArchiveColumn(None, ("可视距离",), ("KSJL",)),
    ArchiveColumn(None, ("视频丢失", "色彩失真", "视频模糊", "亮度异常")),
    ArchiveColumn(None, ("视频干扰", "视频卡顿", "视频遮挡", "场景变更")),
    ArchiveColumn(None, ("信令时延", "视频流时延", "关键帧时延")),
    ArchiveColumn(
        None,
        (),
        (),
        ("Parental", "ParentID", "RegisterWay", "Secrecy", "Status", "SafetyWay", "CertNum", "Certifiable", "ErrCode",
         "EndTime", "Info", "BusinessGroupID", "SubCount", "DownloadSpeed", "SVCSpaceSupportMode", "MAC"),
    ),
    ArchiveColumn(None, ("备注", "说明"), ("BZ",)),
)  # fmt: skip


def names_of(column: str) -> tuple[str, ...]:
    """The archive's names for one of our columns, the item names of GB/T 28181 last."""
    return tuple(
        dict.fromkeys(name for row in ARCHIVE if row.column == column for name in (*row.zh, *row.keys, *row.items))
    )


UNUSED: Final = frozenset(name for row in ARCHIVE if row.column is None for name in (*row.zh, *row.keys, *row.items))


def _by_word(words: Mapping[str, str]) -> Mapping[str, str]:
    """Meanings by each of their words, from the words of each meaning with blanks between."""
    return {word: meaning for meaning, said in words.items() for word in said.split()}


# SBZT 设备状态: 1 在用, 2 维修, 3 拆除. The other words are those that operators write instead.
IN_USE: Final = "in_use"
IN_REPAIR: Final = "in_repair"
REMOVED: Final = "removed"
_STATES: Final = _by_word(
    {
        IN_USE: "1 in_use 在用 正常 在线 启用 使用中 正常使用 运行",
        IN_REPAIR: "2 in_repair 维修 维修中 故障 离线 检修",
        REMOVED: "3 removed 拆除 已拆除 报废 已报废 停用",
    }
)

# LWSX 联网属性: 0 已联网, 1 未联网 by the forms; but archive clients exist that show 1 as 已联网. So 1 says nothing.
NETWORKED: Final = "yes"
NOT_NETWORKED: Final = "no"
NETWORKED_UNSURE: Final = "1"
_NETWORKED: Final = _by_word(
    {
        NETWORKED: "0 yes true 已联网 联网 是",
        NOT_NETWORKED: "no false 未联网 否",
        NETWORKED_UNSURE: "1",
    }
)

# SXJWZLX 摄像机位置类型. 1-10 are also PositionType of GB/T 28181-2016; the rest are the archive's. GB/T 28181-2022 has
# codes of 5 or 7 digits instead (appendix O, not at hand): lengths keep the two vocabularies apart.
POSITIONS: Final[Mapping[int, tuple[str, ...]]] = {
    1: ("省际检查站",),
    2: ("党政机关",),
    3: ("车站码头",),
    4: ("中心广场",),
    5: ("体育场馆",),
    6: ("商业中心",),
    7: ("宗教场所",),
    8: ("校园周边",),
    9: ("治安复杂区域",),
    10: ("交通干线",),
    11: ("医院周边", "医院"),
    12: ("金融机构周边", "金融"),
    13: ("危险物品场所周边", "危险品"),
    14: ("博物馆展览馆", "博物馆"),
    15: ("重点水域、航道", "重点水域", "水域"),
    96: ("市际公安检查站", "市际检查站"),
    97: ("涉外场所", "涉外"),
    98: ("边境沿线", "边境"),
    99: ("旅游景区",),
}
_POSITION_OF: Final[Mapping[str, str]] = {
    name: str(number) for number, names in POSITIONS.items() for name in (str(number), f"{number:02d}", *names)
}
_POSITION_2022 = re.compile(r"[0-9]{5}(?:[0-9]{2})?")

_CIVIL = re.compile(r"[0-9]{6,12}")
_GRASSROOTS = re.compile(r"[0-9]{6}|[0-9]{12}")
_NO_GRASSROOTS: Final = "000000"  # GB/T 28181-2022 E.3: not of a village
_GB_CODE = re.compile(r"[0-9]{20}")


def device_state(text: str) -> str:
    """SBZT: 1 在用, 2 维修, 3 拆除."""
    found = _STATES.get(_plain(text))
    if found is None:
        raise CellError("bad_choice", "give 1 在用, 2 维修 or 3 拆除")
    return found


def networked(text: str) -> str:
    """LWSX: 已联网 or 未联网, 0 or 1."""
    found = _NETWORKED.get(_plain(text))
    if found is None:
        raise CellError("bad_choice", "give 已联网 or 未联网")
    return found


def position_type(text: str) -> str:
    """SXJWZLX: numbers or names, several with / between; or the code of 5 or 7 digits of GB/T 28181-2022."""
    parts = [part for part in re.split(r"[/,;，；]", unicodedata.normalize("NFKC", text)) if part.strip()]
    known = [_POSITION_OF.get(part.strip()) for part in parts]
    if parts and None not in known:
        return "/".join(part for part in known if part is not None)
    return short(text)


def is_position(value: str) -> bool:
    """Whether a position type is of one of the two vocabularies."""
    return all(part in _POSITION_OF or _POSITION_2022.fullmatch(part) for part in value.split("/"))


def civil_code(text: str) -> str:
    """XZQY: 6 or 8 digits, or up to 12 where the list goes down to the village."""
    if not _CIVIL.fullmatch(text):
        raise CellError("bad_code", "give the region's code of 6 to 12 digits")
    return text


def grassroots_code(text: str) -> str:
    """GrassrootsCode: 3 digits township + 3 village, or all 12 digits of the village's code."""
    if not _GRASSROOTS.fullmatch(text):
        raise CellError("bad_code", "give 6 digits (township 3, village 3) or the village's 12 digits")
    return text


def village_code(code: str, civil: str | None, grassroots: str | None) -> str | None:
    """The 12 digits of the village (county 6, township 3, village 3) of which a camera is, or None.

    `code` is the camera's: the county is its first 6 digits where `civil` does not say it (GB/T 28181-2022 E.1).
    """
    if grassroots is not None and grassroots != _NO_GRASSROOTS:
        if len(grassroots) == 12:
            return grassroots
        county = civil[:6] if civil is not None else code[:6] if _GB_CODE.fullmatch(code) else None
        return None if county is None else county + grassroots
    return civil if civil is not None and len(civil) == 12 and not civil.endswith("000") else None


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().strip()
