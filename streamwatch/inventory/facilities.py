"""Stage 1: the kinds of facilities 其它技防设施 that are no cameras, and the names that lists give them. Pure.

One row a kind: a standard's criteria name the `key`, pages show `zh` or `en`, lists may use any of them or an alias.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from streamwatch.inventory.cells import CellError


@dataclass(frozen=True, slots=True)
class FacilityKind:
    """One kind of equipment. `key` is what the store and the standards have (at most 32 characters)."""

    key: str
    zh: str
    en: str
    also: tuple[str, ...] = ()


FACILITY_KINDS: Final[Mapping[str, FacilityKind]] = {
    kind.key: kind
    for kind in (
        FacilityKind(
            "household_alarm", "警铃入户", "alarm bell to the home", ("入户警铃", "联户警铃", "警铃", "联防警铃")
        ),
        FacilityKind(
            "intrusion_alarm",
            "入侵报警",
            "intrusion alarm",
            (
                "红外报警",
                "门磁报警",
                "红外/门磁报警",
                "红外门磁报警",
                "红外",
                "门磁",
                "红外/门磁",
                "红外对射",
                "红外探测器",
            ),
        ),
        FacilityKind(
            "panic_button", "一键报警", "panic button", ("一键式报警", "一键求助", "紧急报警", "紧急按钮", "报警柱")
        ),
        FacilityKind("broadcast", "应急广播", "emergency broadcast", ("大喇叭", "村村响", "广播", "智能广播", "音柱")),
        FacilityKind("access_control", "门禁", "access control", ("门禁系统", "出入口门禁", "人行门禁")),
        FacilityKind(
            "vehicle_barrier", "车辆道闸", "vehicle barrier", ("道闸", "车牌识别道闸", "车辆识别道闸", "停车道闸")
        ),
        FacilityKind("electronic_fence", "电子围栏", "electronic fence", ("脉冲围栏", "张力围栏", "周界报警", "周界")),
        FacilityKind(
            "smoke_alarm", "烟感", "smoke alarm", ("烟雾报警", "烟雾报警器", "烟感报警", "烟感报警器", "独立烟感")
        ),
        FacilityKind("gas_alarm", "燃气报警", "gas alarm", ("可燃气体报警", "燃气报警器", "气感")),
        FacilityKind("video_intercom", "可视对讲", "video intercom", ("楼宇对讲", "对讲门铃", "可视门铃")),
        FacilityKind("electronic_patrol", "电子巡更", "electronic patrol point", ("巡更点", "巡更", "电子巡查")),
        FacilityKind("street_light", "照明", "security lighting", ("路灯", "太阳能路灯", "安防照明")),
        FacilityKind("guard_post", "治安岗亭", "guard post", ("岗亭", "警务室", "治安卡点")),
        FacilityKind("other", "其它", "other", ("其他",)),
    )
}

_SHOWN: Final = 8  # kinds that a message names


def _folded(text: str) -> str:
    """Case, width, spaces and the mark between alternatives do not count."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in plain if character not in " _-、")


_BY_NAME: Final = {
    _folded(name): kind.key for kind in FACILITY_KINDS.values() for name in (kind.key, kind.zh, kind.en, *kind.also)
}


def facility_kind(text: str) -> str:
    """The key of a kind from its key, its Chinese or English name, or an alias. Raises CellError naming the kinds."""
    found = _BY_NAME.get(_folded(text))
    if found is None:
        known = ", ".join(f"{kind.key} {kind.zh}" for kind in list(FACILITY_KINDS.values())[:_SHOWN])
        raise CellError("bad_choice", f"give one of {known}, …, or other; docs/inventory.md names all")
    return found
